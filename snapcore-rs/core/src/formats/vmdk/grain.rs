//! Grains: the parallel half.

use crate::FRAME_SIZE;
use crate::codecs::{Codec, Compressed, Deflater, FINAL_BLOCK};
use crate::error::Result;
use crate::zeros::all_zero;

use super::GRAIN;

/// A place on the disk (64 bits, filled in later) and the zlib stream's length.
const MARKER: usize = 12;
/// Deflate with a window of 32 KiB, fastest (RFC 1950).
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];
const IN_FRAME: usize = FRAME_SIZE / GRAIN;

/// The lengths of a frame's grains in bytes, markers and padding included; 0 where one is left out.
#[derive(Clone, Copy, Debug)]
pub struct Grains {
    lengths: [usize; IN_FRAME],
    count: usize,
}

impl Grains {
    /// One for each grain of the frame.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths[..self.count]
    }
}

/// Deflates the grains of a frame, each behind its marker.
#[derive(Debug)]
pub struct Encoder {
    deflater: Deflater,
    grain: Vec<u8>,
    deflated: Compressed,
}

impl Encoder {
    /// For one thread.
    pub fn new(codec: Codec) -> Result<Self> {
        Ok(Self {
            deflater: codec.deflater()?,
            grain: vec![0; GRAIN],
            deflated: Compressed::default(),
        })
    }

    /// Appends a marker, the zlib stream, and zeros up to the next sector; gives their length.
    fn put(&mut self, grain: &[u8], out: &mut Compressed) -> Result<usize> {
        self.deflater.compress(grain, &mut self.deflated)?;
        let bytes = self.deflated.as_bytes();
        let size = ZLIB_HEADER.len() + bytes.len() + FINAL_BLOCK.len() + 4;
        let mut marker = [0; MARKER];
        // It fits: a grain's stored form is 64 KiB and a few bytes.
        marker[8..].copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        out.append(&marker);
        out.append(&ZLIB_HEADER);
        out.append(bytes);
        out.append(&FINAL_BLOCK);
        out.append(&simd_adler32::adler32(&grain).to_be_bytes());
        let length = MARKER + size;
        let padded = length.next_multiple_of(512);
        out.append(&[0; 512][..padded - length]);
        Ok(padded)
    }
}

impl super::super::Encoder for Encoder {
    type Note = Grains;

    fn encode(&mut self, frame: &[u8], out: &mut Compressed) -> Result<Grains> {
        out.clear();
        let mut grains = Grains { lengths: [0; IN_FRAME], count: 0 };
        for piece in frame.chunks(GRAIN) {
            if !all_zero(piece) {
                grains.lengths[grains.count] = if piece.len() == GRAIN {
                    self.put(piece, out)?
                } else {
                    let mut grain = std::mem::take(&mut self.grain);
                    grain.fill(0);
                    grain[..piece.len()].copy_from_slice(piece);
                    let length = self.put(&grain, out)?;
                    self.grain = grain;
                    length
                };
            }
            grains.count += 1;
        }
        Ok(grains)
    }
}
