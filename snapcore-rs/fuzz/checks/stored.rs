//! Stored snapshots: the list of parts, the packed sizes of frames, the parts that the store gives.
//!
//! An input is the disk's size (8 bytes), then parts: first byte and length on the disk (8 bytes each), flags, the number of
//! bytes that its frames' sizes are packed in (2) and these, the number of its own bytes (3) and these. With the lowest bit of the
//! flags the part is zeros, with the next its place follows from the part before it; the size is that of all
//! parts where the first says so.

use std::sync::Arc;

use snapcore::codecs::Codec;
use snapcore::layout::Layout;
use snapcore::source::{Source, Stored, StoredPart, frame_sizes};
use snapcore::{Error, FRAME_SIZE};

use super::{check_extents, disk::check_layout, within_memory};

const ZEROS: u8 = 1;
const IN_PLACE: u8 = 2;
const MOST_PARTS: usize = 64;

pub fn check(input: &[u8]) {
    let (size, parts, bodies) = read(input);
    let found: Vec<_> = Codec::ALL
        .iter()
        .map(|&codec| {
            let bodies = bodies.clone();
            let fetch = move |number: usize| {
                let body = bodies.get(number).cloned();
                let body = body.ok_or_else(|| Error::internal("There is no such part."))?;
                Ok(Arc::new(body) as snapcore::source::Bytes)
            };
            within_memory(|| check_disk(size, &parts, codec, Box::new(fetch)))
        })
        .collect();
    assert!(found.windows(2).all(|pair| pair[0].is_some() == pair[1].is_some()));
}

fn check_disk(
    size: u64,
    parts: &[StoredPart],
    codec: Codec,
    fetch: Box<snapcore::source::Fetch>,
) -> Option<()> {
    let disk = Stored::new(size, parts.to_vec(), codec, fetch).ok()?;
    assert_eq!(disk.size(), size);
    check_extents(&disk.extents().unwrap(), size);
    check_layout(&Layout::read(&disk, 512), size);
    let mut buffer = vec![0; 100_000];
    for part in parts {
        // Both ends, across a frame's end.
        let frame = FRAME_SIZE as u64;
        for at in [part.offset, part.offset + (part.length / frame * frame).saturating_sub(500)] {
            let length = (size - at).min(buffer.len() as u64) as usize;
            let read = disk.read(at, &mut buffer[..length]);
            assert!(
                read.is_ok()
                    || part.frames.is_some()
                    || at + length as u64 > part.offset + part.length
            );
        }
    }
    Some(())
}

fn read(input: &[u8]) -> (u64, Vec<StoredPart>, Vec<Vec<u8>>) {
    let mut rest = input;
    let mut size = number(&mut rest, 8);
    let (mut parts, mut bodies) = (Vec::new(), Vec::new());
    let mut end = 0_u64;
    let mut in_place = false;
    while !rest.is_empty() && parts.len() < MOST_PARTS {
        let (mut offset, length) = (number(&mut rest, 8), number(&mut rest, 8));
        let flags = number(&mut rest, 1) as u8;
        let packed = number(&mut rest, 2) as usize;
        let packed = take(&mut rest, packed);
        let body = number(&mut rest, 3) as usize;
        bodies.push(take(&mut rest, body).to_vec());
        if flags & IN_PLACE != 0 {
            offset = end;
        }
        in_place |= parts.is_empty() && flags & IN_PLACE != 0;
        end = offset.saturating_add(length);
        let frames = if flags & ZEROS == 0 { frame_sizes(packed).ok() } else { None };
        parts.push(StoredPart { offset, length, frames });
    }
    if in_place {
        size = end;
    }
    (size, parts, bodies)
}

fn number(rest: &mut &[u8], length: usize) -> u64 {
    take(rest, length).iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Fewer bytes at the input's end.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length.min(rest.len()));
    *rest = left;
    taken
}
