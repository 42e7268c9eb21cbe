//! Compressed frames that somebody else may have written, through every codec.
//!
//! An input is the length that the frame is said to decode to (3 bytes, little-endian), then the frame.

use snapcore::FRAME_SIZE;
use snapcore::codecs::{self, Codec};
use snapcore::formats::gzip::PartReader;

use super::within_memory;

/// What stands around a buffer and must stay as it is: one codec is not written in Rust.
const GUARD: usize = 4096;
const UNTOUCHED: u8 = 0xa5;

pub fn check(input: &[u8]) {
    let Some((&[a, b, c], frame)) = input.split_first_chunk() else { return };
    let length = u32::from_le_bytes([a, b, c, 0]) as usize % (FRAME_SIZE + 1);
    let found: Vec<_> = Codec::ALL
        .iter()
        .map(|&codec| {
            check_guarded(codec, frame, length);
            within_memory(|| check_part(codec, frame, length));
            let bytes = within_memory(|| codecs::inflate(codec, frame, length));
            assert!(bytes.as_ref().is_ok_and(|bytes| bytes.len() == length) || bytes.is_err());
            bytes.ok()
        })
        .collect();
    // One may notice a fault that another does not; what they give is the same.
    let mut good = found.iter().flatten();
    if let Some(first) = good.next() {
        assert!(good.all(|other| other == first));
    }
}

/// Nothing is written but where it was asked for.
fn check_guarded(codec: Codec, frame: &[u8], length: usize) {
    let mut room = vec![UNTOUCHED; GUARD + length + GUARD];
    let out = &mut room[GUARD..GUARD + length];
    if let Ok(read) = codec.inflater().unwrap().fill(frame, out) {
        assert!(read <= frame.len());
    }
    assert!(room[..GUARD].iter().chain(&room[GUARD + length..]).all(|&byte| byte == UNTOUCHED));
}

/// The bytes as a part: of one frame, of several and a file's last, a file's first.
fn check_part(codec: Codec, frame: &[u8], length: usize) {
    for (times, first, last) in [(1, false, false), (3, false, true), (1, true, false)] {
        let part = PartReader::new(codec, frame, (length * times) as u64, first, last);
        let Ok(mut part) = part else { continue };
        let mut read = 0;
        while let Ok(Some(frame)) = part.next_frame() {
            read += frame.len();
        }
        assert!(read <= length * times);
    }
}
