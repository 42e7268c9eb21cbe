//! The stream is one standard gzip member of exactly the source, in parts by the rule, whatever the
//! source.

mod sources;

use std::io::Read;
use std::sync::Arc;

use proptest::prelude::*;
use snapcore::codecs::{self, Codec};
use snapcore::digests::{Digest, Sha256};
use snapcore::formats::gzip::{Gzip, HEADER, PartReader, TRAILER_LENGTH};
use snapcore::parts::{BOUNDARY, LEAST, MOST};
use snapcore::pipeline::{self, HashedPart, Summary};
use snapcore::{FRAME_SIZE, Stream};
use sources::{Content, Runs};

const MIB: u64 = 1 << 20;

fn start(source: &Runs, codec: Codec, threads: usize) -> Stream {
    let extents = source.extents();
    pipeline::start(Arc::new(source.clone()), extents, Gzip::new(codec), Some(threads)).unwrap()
}

fn take(source: &Runs, codec: Codec, threads: usize) -> (Vec<HashedPart>, Summary) {
    let stream = start(source, codec, threads);
    let mut parts = Vec::new();
    while let Some(part) = stream.next().unwrap() {
        parts.push(part);
    }
    let summary = stream.finish().unwrap();
    (parts, summary)
}

fn join(parts: &[HashedPart]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.part.bytes()).copied().collect()
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    md5_crate::Md5::digest(bytes).into()
}

/// Everything that must hold of parts, but for what they decode to.
fn check_parts(parts: &[HashedPart], summary: &Summary, size: u64) {
    let file = join(parts);
    assert_eq!((summary.size, summary.parts), (file.len() as u64, parts.len() as u64));
    assert_eq!((summary.md5.unwrap(), summary.source_size), (md5(&file), size));
    assert_eq!(summary.sha256.unwrap(), <[u8; 32]>::from(Sha256::digest(&file)));
    let mut source_offset = 0;
    for (position, HashedPart { part, md5: md5_sum, sha256 }) in parts.iter().enumerate() {
        let (bytes, first, last) = (part.bytes(), position == 0, position + 1 == parts.len());
        assert_eq!(part.position(), position as u64);
        assert_eq!(part.source_offset(), source_offset);
        assert_eq!(*md5_sum, md5(bytes));
        assert_eq!(*sha256, <[u8; 32]>::from(Sha256::digest(bytes)));
        assert!(bytes.len() <= MOST);
        source_offset += part.source_length();
        if last {
            assert_eq!(source_offset, size);
        } else {
            assert!(bytes.len() >= LEAST);
            assert_eq!(source_offset % BOUNDARY, 0);
        }
        // Frames lie one behind the other, with nothing between them, and held too little at every
        // earlier boundary.
        let mut end = if first { HEADER.len() } else { 0 };
        let mut at = part.source_offset();
        for frame in part.frames() {
            if at % BOUNDARY == 0 && at > part.source_offset() {
                assert!(end < LEAST, "part {position} should have ended at {at}");
            }
            assert_eq!(frame.offset as usize, end);
            end += frame.length as usize;
            at += u64::from(frame.source_length);
        }
        assert_eq!(bytes.len() - end, if last { TRAILER_LENGTH } else { 0 });
    }
}

/// One member, then nothing.
fn gunzip(file: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::bufread::GzDecoder::new(file);
    let mut bytes = Vec::new();
    decoder.read_to_end(&mut bytes).unwrap();
    assert!(decoder.into_inner().is_empty(), "bytes behind the first member");
    bytes
}

fn check_contents(source: &Runs, parts: &[HashedPart]) {
    let size: u64 = source.pieces.iter().map(|run| run.1).sum();
    let mut plain = vec![0; usize::try_from(size).unwrap()];
    source.copy(0, &mut plain);
    assert!(gunzip(&join(parts)) == plain);
    for &codec in Codec::ALL {
        for (position, HashedPart { part, .. }) in parts.iter().enumerate() {
            let (first, last) = (position == 0, position + 1 == parts.len());
            let mut reader =
                PartReader::new(codec, part.bytes(), part.source_length(), first, last).unwrap();
            let mut at = usize::try_from(part.source_offset()).unwrap();
            for entry in part.frames() {
                let frame = reader.next_frame().unwrap().unwrap();
                let bytes = &part.bytes()[entry.offset as usize..][..entry.length as usize];
                assert!(frame == plain[at..at + frame.len()]);
                assert!(
                    codecs::inflate(codec, bytes, entry.source_length as usize).unwrap() == frame
                );
                at += frame.len();
            }
            assert!(reader.next_frame().unwrap().is_none());
            assert_eq!(
                part.is_zero(),
                plain[at - usize::try_from(part.source_length()).unwrap()..at]
                    .iter()
                    .all(|&b| b == 0)
            );
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Hole),
        Just(Content::WrittenZeros),
        Just(Content::Text),
        Just(Content::Noise)
    ]
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![
        1..5000u64,
        (0..20 * MIB).prop_map(|length| length + 1),
        (1..18u64).prop_map(|frames| frames * MIB)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_source_comes_back(runs in prop::collection::vec((content(), length()), 1..6), threads in 1..4usize) {
        let source = Runs::new(&runs);
        for &codec in Codec::ALL {
            let (parts, summary) = take(&source, codec, threads);
            check_parts(&parts, &summary, runs.iter().map(|run| run.1).sum());
            check_contents(&source, &parts);
        }
    }
}

#[test]
fn sizes_at_every_edge() {
    let edges = [
        1,
        2,
        257,
        258,
        259,
        MIB - 1,
        MIB,
        MIB + 1,
        16 * MIB - 1,
        16 * MIB,
        16 * MIB + 1,
        32 * MIB,
    ];
    for &codec in Codec::ALL {
        for size in edges {
            for content in [Content::Hole, Content::WrittenZeros, Content::Noise] {
                let source = Runs::new(&[(content, size)]);
                let (parts, summary) = take(&source, codec, 2);
                check_parts(&parts, &summary, size);
                check_contents(&source, &parts);
            }
        }
    }
}

#[test]
fn a_file_whose_source_ends_at_a_boundary_has_no_part_of_a_bare_trailer() {
    let (parts, _) = take(&Runs::new(&[(Content::Noise, 32 * MIB)]), Codec::DEFAULT, 2);
    assert_eq!(parts.len(), 2);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let source = Runs::new(&[
        (Content::Text, 9 * MIB + 5),
        (Content::Hole, 70 * MIB),
        (Content::Noise, 21 * MIB),
        (Content::WrittenZeros, 3 * MIB),
        (Content::Text, 5 * MIB),
    ]);
    for &codec in Codec::ALL {
        let (first, _) = take(&source, codec, 1);
        for threads in [2, 3, 7, 16] {
            let (parts, _) = take(&source, codec, threads);
            assert!(join(&parts) == join(&first), "{} with {threads} threads", codec.name());
            assert_eq!(
                parts.iter().map(|part| part.part.source_offset()).collect::<Vec<_>>(),
                first.iter().map(|part| part.part.source_offset()).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn zeros_are_the_same_parts_wherever_they_lie_and_whether_they_were_read() {
    let gib = 1024 * MIB;
    // The first part holds the header; a data part then moves the zeros; the last part holds the
    // trailer.
    let holes = Runs::new(&[(Content::Noise, 16 * MIB), (Content::Hole, 5 * gib)]);
    let (of_holes, summary) = take(&holes, Codec::DEFAULT, 2);
    assert_eq!(summary.bytes_read, 16 * MIB);
    check_parts(&of_holes, &summary, 5 * gib + 16 * MIB);
    let written = Runs::new(&[
        (Content::Noise, 32 * MIB),
        (Content::WrittenZeros, 2 * gib),
        (Content::Text, 1),
    ]);
    let (of_written, summary) = take(&written, Codec::DEFAULT, 2);
    check_parts(&of_written, &summary, 2 * gib + 32 * MIB + 1);
    let zero = |parts: &[HashedPart]| -> Vec<[u8; 32]> {
        parts
            .iter()
            .filter(|part| part.part.is_zero() && part.part.source_length() == 1008 * MIB)
            .map(|part| part.sha256)
            .collect()
    };
    let (of_holes, of_written) = (zero(&of_holes), zero(&of_written));
    assert_eq!((of_holes.len(), of_written.len()), (5, 2));
    assert!(of_holes.iter().chain(&of_written).all(|sum| *sum == of_holes[0]));
}

#[test]
fn a_sparse_terabyte_is_summed_right() {
    // Checked without its bytes: ISIZE is the size modulo 2^32, and the CRC is that of the data
    // with zeros appended.
    let tib = 1 << 40;
    let source = Runs::new(&[(Content::Text, 3 * MIB), (Content::Hole, tib + 17)]);
    let (parts, summary) = take(&source, Codec::DEFAULT, 2);
    let mut data = vec![0; 3 << 20];
    source.copy(0, &mut data);
    let mut expected = crc32fast::Hasher::new_with_initial(crc32fast::hash(&data));
    let zeros = vec![0; 1 << 20];
    let mut gib_of_zeros = crc32fast::Hasher::new();
    (0..1024).for_each(|_| gib_of_zeros.update(&zeros));
    (0..1024).for_each(|_| expected.combine(&gib_of_zeros));
    expected.update(&zeros[..17]);
    let crc32 = expected.finalize();
    assert_eq!(summary.crc32, Some(crc32));
    let trailer = parts.last().unwrap().part.bytes();
    let trailer = &trailer[trailer.len() - 8..];
    assert_eq!(trailer[..4], crc32.to_le_bytes());
    assert_eq!(trailer[4..], (3 * (1u32 << 20) + 17).to_le_bytes());
    assert!(parts.len() > 1000);
    assert_eq!(summary.bytes_read, 3 * MIB);
    assert_eq!(FRAME_SIZE as u64, MIB);
}
