//! The source as it is.

use std::sync::Arc;

use crate::FRAME_SIZE;
use crate::codecs::Compressed;
use crate::error::Result;
use crate::parts::{Cutter, Outlet};

use super::{Encoded, Format};

/// Writes the bytes of the source, and nothing else.
#[derive(Debug)]
pub struct Plain {
    zeros: Arc<[u8]>,
}

impl Plain {
    /// Takes 1 MiB.
    pub fn new() -> Self {
        Self { zeros: vec![0; FRAME_SIZE].into() }
    }
}

impl Default for Plain {
    fn default() -> Self {
        Self::new()
    }
}

impl Format for Plain {
    type Note = ();
    type Encoder = Encoder;

    fn encoder(&self) -> Result<Encoder> {
        Ok(Encoder)
    }

    fn begin<O: Outlet>(&mut self, _parts: &mut Cutter<O>) -> Result<()> {
        Ok(())
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<()>, parts: &mut Cutter<O>) -> Result<()> {
        parts.frame(frame.bytes.as_bytes(), frame.source_length, false)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        parts.zeros(&self.zeros, length / FRAME_SIZE as u64)?;
        match u32::try_from(length % FRAME_SIZE as u64) {
            Ok(rest) if rest > 0 => parts.frame(&self.zeros[..rest as usize], rest, true),
            _ => Ok(()),
        }
    }

    fn end<O: Outlet>(&mut self, _parts: &mut Cutter<O>) -> Result<()> {
        Ok(())
    }
}

/// Hands a frame on.
#[derive(Debug)]
pub struct Encoder;

impl super::Encoder for Encoder {
    type Note = ();

    fn encode(&mut self, frame: &[u8], out: &mut Compressed) -> Result<()> {
        out.clear();
        out.append(frame);
        Ok(())
    }

    /// Copying it instead would be one copy of three.
    fn take(&mut self, buffer: &mut Vec<u8>, length: usize, out: &mut Compressed) -> Result<()> {
        out.exchange(buffer, length);
        Ok(())
    }
}
