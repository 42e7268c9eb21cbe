//! Ranges of a disk as one source.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use proptest::prelude::*;
use snapcore::codecs::Codec;
use snapcore::source::{Pieces, Source};
use snapcore::{Disk, ErrorKind, Plan};

/// A disk with a hole in the middle.
fn disk() -> (tempfile::NamedTempFile, Vec<u8>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let noise: Vec<u8> =
        (0u32..300_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    file.write_all(&noise).unwrap();
    file.as_file().set_len(5 << 20).unwrap();
    file.seek(SeekFrom::Start(4 << 20)).unwrap();
    file.write_all(&noise).unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    (file, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn the_bytes_are_those_of_the_ranges(ranges in prop::collection::vec((0u64..5 << 20, 1u64..2 << 20), 1..5), gzip: bool) {
        let (file, bytes) = disk();
        let ranges: Vec<_> = ranges.into_iter().map(|(start, length)| (start, length.min((5 << 20) - start))).collect();
        let expected: Vec<u8> = ranges.iter().flat_map(|&(start, length)| {
            bytes[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()].iter().copied()
        }).collect();
        let plan = Plan::new(Arc::new(Disk::open(file.path()).unwrap()), false).unwrap();
        let stream = plan.pieces(&ranges, gzip, Codec::DEFAULT, Some(2)).unwrap();
        let mut got = Vec::new();
        while let Some(part) = stream.next().unwrap() {
            got.extend_from_slice(part.part.bytes());
        }
        prop_assert_eq!(stream.finish().unwrap().source_size, expected.len() as u64);
        if gzip {
            let mut inflated = Vec::new();
            flate2::bufread::GzDecoder::new(&got[..]).read_to_end(&mut inflated).unwrap();
            got = inflated;
        }
        prop_assert!(got == expected);
    }
}

#[test]
fn holes_are_not_read() {
    let (file, _) = disk();
    let disk: Arc<dyn Source> = Arc::new(Disk::open(file.path()).unwrap());
    let extents = disk.extents().unwrap();
    let pieces = Pieces::new(disk, &extents, &[(0, 2 << 20), (3 << 20, 2 << 20)]).unwrap();
    assert_eq!(pieces.size(), 4 << 20);
    assert!(pieces.extents().unwrap().data_bytes() < 1 << 20);
}

#[test]
fn ranges_that_are_none_are_refused() {
    let (file, _) = disk();
    let plan = Plan::new(Arc::new(Disk::open(file.path()).unwrap()), false).unwrap();
    let size = 5 << 20;
    for ranges in
        [&[][..], &[(0, 0)], &[(size, 1)], &[(0, size + 1)], &[(u64::MAX, 2)], &[(1, u64::MAX)]]
    {
        let error = plan.pieces(ranges, true, Codec::DEFAULT, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
