//! zlib-rs through flate2: pure Rust, for machines without ISA-L.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::error::{Error, Result};

use super::Step;

/// Level 1 is zlib-ng's "quick", which spends a fixed code on every byte.
const LEVEL: u32 = 2;

#[derive(Debug)]
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new(window_bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits))
    }

    /// The compressed length, or None if it does not fit into `out`.
    pub(super) fn compress(&mut self, frame: &[u8], out: &mut [u8]) -> Result<Option<usize>> {
        self.0.reset();
        self.0.compress(frame, out, FlushCompress::Full).map_err(|error| {
            Error::internal("zlib-rs could not compress a frame.").because(error)
        })?;
        // A flush is done when room is left behind it.
        let written = usize::try_from(self.0.total_out()).unwrap_or(usize::MAX);
        Ok((self.0.total_in() == frame.len() as u64 && written < out.len()).then_some(written))
    }
}

#[derive(Debug)]
pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new(false))
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step> {
        let (read, written) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, out, FlushDecompress::None)
            .map_err(|error| Error::corrupt("The compressed data is damaged.").because(error))?;
        Ok(Step {
            read: usize::try_from(self.0.total_in() - read).unwrap_or(usize::MAX),
            written: usize::try_from(self.0.total_out() - written).unwrap_or(usize::MAX),
            ended: status == Status::StreamEnd,
        })
    }
}
