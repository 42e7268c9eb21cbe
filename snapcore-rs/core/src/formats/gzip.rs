//! One gzip member (RFC 1952) of the whole disk, made of frames that each decode alone.
//!
//! ```text
//! header (10 bytes) | frame | frame | … | final empty block (2) | CRC-32 (4) | size modulo 2^32 (4)
//! ```
//! One member, because browsers' `DecompressionStream`, Python's `decompressobj` and others stop at
//! the end of the first. The header holds no name and no time, so that the first part depends on
//! the disk alone. No frame has the final block; an empty one behind the last frame has, so that a
//! frame's bytes do not depend on its place.

use std::sync::Arc;

use crate::FRAME_SIZE;
use crate::checksum::{self, Shift};
use crate::codecs::{self, Codec, Compressed, Deflater, FINAL_BLOCK, Inflater};
use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::{Encoded, Format};

/// Magic, deflate, no flags, no time, fastest algorithm, unknown system.
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Bytes behind the last frame.
pub const TRAILER_LENGTH: usize = FINAL_BLOCK.len() + 8;

/// Writes `NAME.raw.gz`.
#[derive(Debug)]
pub struct Gzip {
    codec: Codec,
    zero_frame: Arc<[u8]>,
    frame_shift: Shift,
    crc32: u32,
    size: u64,
}

impl Gzip {
    /// Compresses with `codec`.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            zero_frame: codecs::zero_frame(FRAME_SIZE).into(),
            frame_shift: Shift::new(FRAME_SIZE as u64),
            crc32: 0,
            size: 0,
        }
    }
}

impl Format for Gzip {
    type Note = u32; // the CRC-32
    type Encoder = Encoder;

    const INDEXED: bool = true;

    fn encoder(&self) -> Result<Encoder> {
        Ok(Encoder(self.codec.deflater()?))
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        parts.envelope(&HEADER)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<u32>, parts: &mut Cutter<O>) -> Result<()> {
        let length = u64::from(frame.source_length);
        let shift = if length == FRAME_SIZE as u64 { self.frame_shift } else { Shift::new(length) };
        self.crc32 = shift.join(self.crc32, frame.note);
        self.size += length;
        parts.frame(frame.bytes.as_bytes(), frame.source_length, false)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.crc32 = Shift::new(length).zeros(self.crc32);
        self.size += length;
        parts.zeros(&self.zero_frame, length / FRAME_SIZE as u64)?;
        match u32::try_from(length % FRAME_SIZE as u64) {
            Ok(rest) if rest > 0 => parts.frame(&codecs::zero_frame(rest as usize), rest, true),
            _ => Ok(()),
        }
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let mut trailer = [0; TRAILER_LENGTH];
        trailer[..2].copy_from_slice(&FINAL_BLOCK);
        trailer[2..6].copy_from_slice(&self.crc32.to_le_bytes());
        trailer[6..].copy_from_slice(&self.size.to_le_bytes()[..4]); // modulo 2^32
        parts.envelope(&trailer)
    }

    fn crc32(&self) -> Option<u32> {
        Some(self.crc32)
    }
}

/// Deflates a frame and sums it.
#[derive(Debug)]
pub struct Encoder(Deflater);

impl super::Encoder for Encoder {
    type Note = u32;

    fn encode(&mut self, frame: &[u8], out: &mut Compressed) -> Result<u32> {
        self.0.compress(frame, out)?;
        Ok(checksum::crc32(frame))
    }
}

/// Reads a part of a gzip file back, a frame at a time. Holds no more than the frame it is asked
/// for.
#[derive(Debug)]
pub struct PartReader<B> {
    part: B,
    read: usize,
    end: usize,
    left: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading(Inflater),
    Ended,
    Failed(Error),
}

impl<B: AsRef<[u8]>> PartReader<B> {
    /// `part` holds `source_length` bytes of the source; `first` and `last` tell whether it begins
    /// with the file's header and ends with its trailer.
    pub fn new(codec: Codec, part: B, source_length: u64, first: bool, last: bool) -> Result<Self> {
        let bytes = part.as_ref();
        let (mut read, mut end) = (0, bytes.len());
        if first {
            if !bytes.starts_with(&HEADER) {
                return Err(Error::corrupt(
                    "The first part does not begin with this format's gzip header.",
                ));
            }
            read = HEADER.len();
        }
        if last {
            end = end
                .checked_sub(TRAILER_LENGTH)
                .filter(|&end| end >= read && bytes[end..].starts_with(&FINAL_BLOCK))
                .ok_or_else(|| Error::corrupt("The last part does not end with a gzip trailer."))?;
        }
        Ok(Self { part, read, end, left: source_length, state: State::Reading(codec.inflater()?) })
    }

    /// The next bytes of the source: [`FRAME_SIZE`], fewer only in the last frame. None after the
    /// last, once the part is known to hold nothing more.
    ///
    /// After an error, every call gives that error.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>> {
        // Should reading panic, this is what stays.
        let unfinished = State::Failed(Error::internal("A part was not read to its end."));
        let (state, frame) = match std::mem::replace(&mut self.state, unfinished) {
            State::Reading(inflater) => match self.read(inflater) {
                Ok((state, frame)) => (state, Ok(frame)),
                Err(error) => (State::Failed(error.clone()), Err(error)),
            },
            State::Ended => (State::Ended, Ok(None)),
            State::Failed(error) => (State::Failed(error.clone()), Err(error)),
        };
        self.state = state;
        frame
    }

    fn read(&mut self, mut inflater: Inflater) -> Result<(State, Option<Vec<u8>>)> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(FRAME_SIZE);
        let rest = &self.part.as_ref()[self.read..self.end];
        if length == 0 {
            inflater.end(rest)?;
            return Ok((State::Ended, None));
        }
        let mut frame = vec![0; length];
        self.read += inflater.fill(rest, &mut frame)?;
        self.left -= length as u64;
        Ok((State::Reading(inflater), Some(frame)))
    }
}
