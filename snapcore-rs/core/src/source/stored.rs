//! A disk that was stored as parts of gzip frames, read back as a source.
//!
//! What must always hold: a byte that is given out was inflated from a frame that held exactly the
//! bytes it should; what the list of parts says of places is checked before anything is fetched.
//! Parts of zeros are never fetched.
//!
//! Memory: [`PARTS`] parts of [`MOST`] (34 MiB) and [`FRAMES`] frames (4 MiB); a part whose last frame
//! was read is let go, so that in a row it is one part. Two workers that want the same part fetch it
//! once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::FRAME_SIZE;
use crate::codecs::{self, Codec};
use crate::error::{Error, Result};
use crate::extents::{Builder, ExtentKind, ExtentMap, MOST_EXTENTS};
use crate::formats::gzip::HEADER;
use crate::parts::MOST;

use super::Source;

/// Parts that are kept.
pub const PARTS: usize = 2;
/// Frames that are kept: reading file systems asks for a few bytes here and there.
const FRAMES: usize = 4;

/// Brings a part by its number. Called by any thread, for one part at a time.
pub type Fetch = dyn Fn(usize) -> Result<Bytes> + Send + Sync;

/// A part's bytes, whoever has them in memory.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A part's place on the disk, and its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// First byte of the disk in it.
    pub offset: u64,
    /// Bytes of the disk in it.
    pub length: u64,
    /// Compressed sizes of its frames, of 1 MiB each but the last; None where all of it is zeros.
    pub frames: Option<Vec<u32>>,
}

/// The sizes of a part's frames out of the bytes that a worker packs them in (LEB128).
pub fn frame_sizes(packed: &[u8]) -> Result<Vec<u32>> {
    let wrong = || Error::usage("A frame's size is larger than any frame.");
    let mut sizes = Vec::with_capacity(16);
    let (mut size, mut shift) = (0u32, 0);
    for &byte in packed {
        if shift > 21 {
            return Err(wrong());
        }
        size |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            sizes.push(size);
            (size, shift) = (0, 0);
        }
    }
    // Cut off in the middle of a size.
    if shift == 0 { Ok(sizes) } else { Err(wrong()) }
}

/// Parts, as a disk.
pub struct Stored {
    size: u64,
    parts: Vec<StoredPart>,
    codec: Codec,
    fetch: Box<Fetch>,
    fetched: Mutex<VecDeque<(usize, Bytes)>>,
    frames: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
}

impl Stored {
    /// A disk of `size` bytes. Refuses parts that leave a gap, overlap, do not fit their frames, or are
    /// larger than any.
    pub fn new(size: u64, parts: Vec<StoredPart>, codec: Codec, fetch: Box<Fetch>) -> Result<Self> {
        let wrong = |what: &str| Err(Error::usage(format!("The snapshot's list of parts {what}.")));
        let mut end = 0u64;
        for part in &parts {
            if part.offset != end || !part.offset.is_multiple_of(FRAME_SIZE as u64) {
                return wrong("leaves a gap");
            }
            let Some(next) = end.checked_add(part.length).filter(|&next| next <= size) else {
                return wrong("goes beyond the disk");
            };
            let frames = part.length.div_ceil(FRAME_SIZE as u64);
            if part.length == 0 || part.frames.as_ref().is_some_and(|it| it.len() as u64 != frames)
            {
                return wrong("does not fit its frames");
            }
            let bytes = part.frames.iter().flatten().map(|&size| u64::from(size)).sum::<u64>();
            if bytes > MOST as u64 {
                return wrong("has a part that is larger than any");
            }
            end = next;
        }
        if end != size || size == 0 {
            return wrong("does not cover the disk");
        }
        let (fetched, frames) = (Mutex::default(), Mutex::default());
        Ok(Self { size, parts, codec, fetch, fetched, frames })
    }

    /// The frame that begins at `start`, a multiple of [`FRAME_SIZE`].
    fn frame(&self, start: u64) -> Result<Arc<[u8]>> {
        if let Some(frame) = kept(&lock(&self.frames), &start) {
            return Ok(frame);
        }
        let number = self.parts.partition_point(|part| part.offset <= start).saturating_sub(1);
        let part = self.parts.get(number).filter(|part| start - part.offset < part.length);
        let Some(part) = part else {
            return Err(Error::internal("A read beyond the end of the stored disk."));
        };
        let length = (part.offset + part.length - start).min(FRAME_SIZE as u64);
        let length = usize::try_from(length).unwrap_or(FRAME_SIZE);
        let Some(frames) = &part.frames else { return Ok(vec![0; length].into()) };
        let bytes = self.part(number)?;
        let index = usize::try_from((start - part.offset) / FRAME_SIZE as u64).unwrap_or(0);
        let before: u64 = frames[..index].iter().map(|&size| u64::from(size)).sum();
        let from = before + if number == 0 { HEADER.len() as u64 } else { 0 };
        let range = usize::try_from(from)
            .ok()
            .and_then(|from| Some(from..from.checked_add(usize::try_from(frames[index]).ok()?)?));
        if index + 1 == frames.len() {
            lock(&self.fetched).retain(|(of, _)| *of != number);
        }
        let bytes = (*bytes).as_ref();
        let compressed = range.and_then(|range| bytes.get(range)).ok_or_else(|| {
            Error::corrupt(format!(
                "The part with byte {start} of the disk is shorter than its frames."
            ))
        })?;
        let frame: Arc<[u8]> = codecs::inflate(self.codec, compressed, length)?.into();
        keep(&mut lock(&self.frames), FRAMES, start, &frame);
        Ok(frame)
    }

    /// A part's bytes. Whoever comes second waits for the first, and finds what it brought.
    fn part(&self, number: usize) -> Result<Bytes> {
        let mut fetched = lock(&self.fetched);
        if let Some(bytes) = kept(&fetched, &number) {
            return Ok(bytes);
        }
        let bytes = (self.fetch)(number)?;
        keep(&mut fetched, PARTS, number, &bytes);
        Ok(bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kept<K: PartialEq, V: Clone>(held: &VecDeque<(K, V)>, key: &K) -> Option<V> {
    held.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone())
}

fn keep<K, V: Clone>(held: &mut VecDeque<(K, V)>, most: usize, key: K, value: &V) {
    if held.len() == most {
        held.pop_front();
    }
    held.push_back((key, value.clone()));
}

impl Source for Stored {
    fn is_point_in_time(&self) -> bool {
        true
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn extents(&self) -> Result<ExtentMap> {
        let mut builder = Builder::new(MOST_EXTENTS);
        for part in &self.parts {
            let kind = if part.frames.is_some() { ExtentKind::Data } else { ExtentKind::Zero };
            builder.push(part.length, kind);
        }
        Ok(builder.finish())
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let inside = usize::try_from(at % FRAME_SIZE as u64).unwrap_or(0);
            let frame = self.frame(at - inside as u64)?;
            let Some(bytes) = frame.get(inside..).filter(|bytes| !bytes.is_empty()) else {
                return Err(Error::internal("A read beyond the end of the stored disk."));
            };
            let length = bytes.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&bytes[..length]);
            done += length;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Stored disk of {} bytes in {} parts", self.size, self.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codecs::{Compressed, most_compressed};
    use crate::error::ErrorKind;

    fn stored(size: u64, parts: &[(u64, u64, Option<Vec<u32>>)]) -> Result<Stored> {
        let part = |(offset, length, frames): &(u64, u64, Option<Vec<u32>>)| StoredPart {
            offset: *offset,
            length: *length,
            frames: frames.clone(),
        };
        let mut frame = Compressed::default();
        Codec::ZlibRs.deflater()?.compress(&[7; 1000], &mut frame)?;
        let body = [&HEADER, frame.as_bytes()].concat();
        let parts = parts.iter().map(part).collect();
        Stored::new(size, parts, Codec::ZlibRs, Box::new(move |_| Ok(Arc::new(body.clone()))))
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        let mib = FRAME_SIZE as u64;
        for (size, parts, words) in [
            (mib, vec![], "does not cover"),
            (2 * mib, vec![(0, mib, None)], "does not cover"),
            (2 * mib, vec![(0, mib, None), (mib / 2, mib, None)], "gap"),
            (3 * mib, vec![(0, mib / 2, None), (mib / 2, mib, None)], "gap"),
            (mib, vec![(0, 2 * mib, None)], "beyond"),
            (mib, vec![(0, u64::MAX, None)], "beyond"),
            (mib, vec![(0, mib, Some(vec![1, 2]))], "does not fit its frames"),
            (mib, vec![(0, mib, Some(vec![u32::MAX]))], "larger than any"),
            (40 * mib, vec![(0, 40 * mib, Some(vec![500_000; 40]))], "larger than any"),
        ] {
            let error = stored(size, &parts).unwrap_err();
            assert!(error.to_string().contains(words), "{error} for {words}");
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
    }

    #[test]
    fn reads_beyond_the_end_and_beyond_a_part_are_errors() {
        let frame = u32::try_from(most_compressed(FRAME_SIZE)).unwrap();
        let disk = stored(1000, &[(0, 1000, Some(vec![frame]))]).unwrap();
        let error = disk.read(0, &mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "the part is shorter than its frame");
        let mib = FRAME_SIZE as u64;
        let disk = stored(mib, &[(0, mib, None)]).unwrap();
        for at in [mib, mib + 1, 5 * mib] {
            assert!(disk.read(at, &mut [0; 10]).unwrap_err().to_string().contains("beyond"));
        }
    }

    #[test]
    fn sizes_of_frames_are_unpacked() {
        assert_eq!(
            frame_sizes(&[0, 0x7f, 0x80, 1, 0xff, 0xff, 0x3f]).unwrap(),
            [0, 127, 128, 0xf_ffff]
        );
        for wrong in [&[0x80][..], &[1, 0xff, 0xff], &[0x80, 0x80, 0x80, 0x80, 1]] {
            assert!(frame_sizes(wrong).is_err(), "{wrong:x?}");
        }
    }
}
