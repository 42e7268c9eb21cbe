//! What a stream's file looks like: one writer a format, behind one interface.
//!
//! A format has two halves. Its [`Encoder`] works in parallel, one a thread, on frames that it
//! knows nothing of but their bytes; its [`Format`] works alone and in order, and puts encoded
//! frames and runs of zeros into parts. Neither reads a disk, opens a file, knows a thread or
//! hashes anything.

mod blocks;
pub mod gzip;
pub mod ntfsclone;
pub mod ova;
pub mod plain;
pub mod qcow2;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

use crate::codecs::Compressed;
use crate::error::Result;
use crate::parts::{Cutter, Outlet};

/// The sequential half of a writer.
pub trait Format: Send + 'static {
    /// What an encoder tells of a frame besides its bytes.
    type Note: Send + 'static;
    /// The parallel half.
    type Encoder: Encoder<Note = Self::Note>;

    /// Whether something in the file is known later than what stands behind it ([`Cutter::hold`]). The
    /// file's hashes are then not known in the end: they can only be worked out from its begin.
    const OUT_OF_ORDER: bool = false;

    /// Whether all else waits for the hashes of its parts: then one part more may be inside a stream.
    const HASH_BOUND: bool = false;

    /// Whether each frame can be read alone by its place in its part.
    const INDEXED: bool = false;

    /// An encoder for one thread.
    fn encoder(&self) -> Result<Self::Encoder>;

    /// Called once, before all else.
    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()>;

    /// The next frame holds data.
    fn data<O: Outlet>(&mut self, frame: &Encoded<Self::Note>, parts: &mut Cutter<O>)
    -> Result<()>;

    /// The next `length` bytes of the source are zeros. Whole frames, but for the end of the
    /// source and for a source that has its own frames.
    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()>;

    /// Called once, after the last frame.
    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()>;

    /// The CRC-32 of the source so far, where the format keeps one.
    fn crc32(&self) -> Option<u32> {
        None
    }
}

/// The parallel half of a writer. The same frame gives the same bytes, whoever encodes it.
pub trait Encoder: Send + 'static {
    /// What to tell of a frame besides its bytes.
    type Note: Send + 'static;

    /// Replaces what `out` holds with the encoded frame.
    fn encode(&mut self, frame: &[u8], out: &mut Compressed) -> Result<Self::Note>;

    /// As [`Encoder::encode`], of the first `length` bytes of `buffer`, which may be exchanged for
    /// another one of the same size.
    fn take(
        &mut self,
        buffer: &mut Vec<u8>,
        length: usize,
        out: &mut Compressed,
    ) -> Result<Self::Note> {
        self.encode(&buffer[..length], out)
    }
}

/// A frame as an encoder left it.
#[derive(Debug)]
pub struct Encoded<N> {
    /// For the part.
    pub bytes: Compressed,
    /// Bytes of the source in it.
    pub source_length: u32,
    /// For the format.
    pub note: N,
}
