//! Streams of pipes: the bytes that went in, cut so that a change moves little.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use snapcore::codecs::Codec;
use snapcore::formats::gzip::Gzip;
use snapcore::formats::plain::Plain;
use snapcore::parts::{LEAST, MOST};
use snapcore::pipeline::{self, HashedPart, Summary};
use snapcore::source::Pipe;
use snapcore::{ErrorKind, Stream};

const MIB: usize = 1 << 20;

/// Bytes that look random, the same for the same seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn start(gzip: bool, pipe: Pipe, threads: usize) -> Stream {
    if gzip {
        pipeline::start_pipe(pipe, Gzip::new(Codec::DEFAULT), Some(threads)).unwrap()
    } else {
        pipeline::start_pipe(pipe, Plain::new(), Some(threads)).unwrap()
    }
}

fn take(bytes: &[u8], gzip: bool, threads: usize) -> (Vec<HashedPart>, Summary) {
    let (reading, mut writing) = std::io::pipe().unwrap();
    let stream = start(gzip, Pipe::open(reading.as_raw_fd()).unwrap(), threads);
    drop(reading);
    thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in bytes.chunks(70_001) {
                writing.write_all(chunk).unwrap();
            }
        });
        let mut parts = Vec::new();
        while let Some(part) = stream.next().unwrap() {
            parts.push(part);
        }
        (parts, stream.finish().unwrap())
    })
}

fn whole(parts: &[HashedPart]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.part.bytes()).copied().collect()
}

#[test]
fn all_that_went_in_comes_out() {
    let mut long = noise(40 * MIB + 7, 1);
    long[3 * MIB..25 * MIB].fill(0);
    for bytes in [&[][..], &[7][..], &long[..]] {
        let (parts, summary) = take(bytes, false, 2);
        assert!(whole(&parts) == bytes);
        assert_eq!((summary.size, summary.source_size), (bytes.len() as u64, bytes.len() as u64));
        let (parts, summary) = take(bytes, true, 2);
        let (file, mut inflated) = (whole(&parts), Vec::new());
        flate2::bufread::GzDecoder::new(&file[..]).read_to_end(&mut inflated).unwrap();
        assert!(inflated == bytes);
        assert_eq!((summary.size, summary.source_size), (file.len() as u64, bytes.len() as u64));
    }
}

#[test]
fn parts_have_their_sizes_and_do_not_depend_on_threads() {
    let bytes = noise(90 * MIB, 2);
    for gzip in [false, true] {
        let (parts, _) = take(&bytes, gzip, 1);
        let sums = |parts: &[HashedPart]| parts.iter().map(|part| part.sha256).collect::<Vec<_>>();
        assert_eq!(sums(&parts), sums(&take(&bytes, gzip, 3).0));
        assert!(parts.len() > 6, "{} parts", parts.len());
        let mut offset = 0;
        for (at, part) in parts.iter().enumerate() {
            let size = part.part.bytes().len();
            assert!(size <= MOST && (size >= LEAST || at + 1 == parts.len()));
            assert_eq!((part.part.position(), part.part.source_offset()), (at as u64, offset));
            offset += part.part.source_length();
        }
        assert_eq!(offset, bytes.len() as u64);
    }
}

#[test]
fn a_change_moves_little() {
    let bytes = noise(120 * MIB, 3);
    let mut changed = bytes.clone();
    changed.splice(5 * MIB..5 * MIB, noise(12_345, 4)); // inserted
    changed.drain(60 * MIB..60 * MIB + 999); // taken out
    for gzip in [false, true] {
        let before: HashSet<_> = take(&bytes, gzip, 2).0.iter().map(|part| part.sha256).collect();
        let after = take(&changed, gzip, 2).0;
        let new: usize = after
            .iter()
            .filter(|part| !before.contains(&part.sha256))
            .map(|part| part.part.bytes().len())
            .sum();
        // Two changes, a part or two each; and the last part, with the trailer of a gzip file.
        assert!(new < 36 * MIB, "{new} bytes are new, gzip {gzip}");
    }
}

#[test]
fn a_pipe_nobody_writes_to_can_be_left() {
    let (reading, writing) = std::io::pipe().unwrap();
    let stream = start(false, Pipe::open(reading.as_raw_fd()).unwrap(), 2);
    thread::scope(|scope| {
        let next = scope.spawn(|| stream.next());
        thread::sleep(Duration::from_millis(50));
        stream.cancel();
        assert_eq!(next.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    let other = start(true, Pipe::open(reading.as_raw_fd()).unwrap(), 1);
    other.close();
    drop(writing);
}

#[test]
fn what_is_no_file_is_refused() {
    assert_eq!(Pipe::open(-1).unwrap_err().kind(), ErrorKind::Usage);
}
