//! Cutting a stream into parts.
//!
//! What must always hold: a part ends at the first boundary of [`BOUNDARY`] bytes of the source at
//! which it holds [`LEAST`] bytes or more, and at no other place but the end of the source. So a
//! part's place depends on nothing but the bytes since the part's begin, a change of the disk moves
//! few boundaries, and only a file's last or only part is under [`LEAST`]. The longest: short of
//! [`LEAST`] at one boundary, it takes at most [`BOUNDARY`] bytes of incompressible source more:
//! [`MOST`].
//!
//! A cut waits for the next frame, so that what a format puts behind the last frame joins the last
//! part, even where the source ends at a boundary.
//!
//! Long runs of the same frame (zeros) make equal parts: such a part is made once, and given
//! again as often as it occurs, with hashes that are worked out once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::FRAME_SIZE;
use crate::codecs::most_compressed;
use crate::digests::{Md5Sum, Sha256Sum};
use crate::error::{Error, Result};

/// Bytes of the source between the places where a part may end.
pub const BOUNDARY: u64 = 16 << 20;
/// Bytes that a part holds before it may end.
pub const LEAST: usize = 1 << 20;
/// Bytes that a format may put before the first and behind the last frame, together.
pub const ENVELOPE: usize = 4096;
/// Bytes that no part exceeds: about 17 MiB.
#[allow(clippy::cast_possible_truncation)] // 16 MiB fits everywhere
pub const MOST: usize =
    LEAST + (BOUNDARY as usize / FRAME_SIZE) * most_compressed(FRAME_SIZE) + ENVELOPE;

/// Where a frame lies in its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameEntry {
    /// First byte in the part.
    pub offset: u32,
    /// Bytes in the part.
    pub length: u32,
    /// Bytes of the source that it decodes to.
    pub source_length: u32,
}

/// Buffers of parts that were let go, for the parts to come: touching fresh memory costs as much as
/// a third of hashing it.
///
/// Holds at most [`Pool::KEPT`] of them, that is 34 MiB.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    const KEPT: usize = 2;

    fn take(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(MOST))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.bytes));
    }
}

/// What equal parts share.
#[derive(Debug)]
struct Content {
    buffer: Buffer,
    frames: Vec<FrameEntry>,
    zero: bool,
    source_length: u64,
    md5: OnceLock<Md5Sum>,
    sha256: OnceLock<Sha256Sum>,
}

/// A run of frames, to be stored as one object. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Part {
    content: Arc<Content>,
    position: u64,
    source_offset: u64,
    reserved: bool,
}

impl Part {
    /// The part's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.content.buffer.bytes
    }

    /// The part's place in the file, from 0.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// First byte of the source that is in it.
    pub fn source_offset(&self) -> u64 {
        self.source_offset
    }

    /// Bytes of the source that are in it.
    pub fn source_length(&self) -> u64 {
        self.content.source_length
    }

    /// Its frames, in order.
    pub fn frames(&self) -> &[FrameEntry] {
        &self.content.frames
    }

    /// Whether all of its source is zeros.
    pub fn is_zero(&self) -> bool {
        self.content.zero
    }

    /// Whether [`Outlet::reserve`] was called for it: it brought memory of its own.
    pub fn is_reserved(&self) -> bool {
        self.reserved
    }

    /// Its MD5, worked out once.
    pub fn md5(&self, work_out: impl FnOnce() -> Md5Sum) -> Md5Sum {
        *self.content.md5.get_or_init(work_out)
    }

    /// Its MD5, if it has been worked out.
    pub fn known_md5(&self) -> Option<Md5Sum> {
        self.content.md5.get().copied()
    }

    /// Its SHA-256, worked out once.
    pub fn sha256(&self, work_out: impl FnOnce() -> Sha256Sum) -> Sha256Sum {
        *self.content.sha256.get_or_init(work_out)
    }

    /// Its SHA-256, if it has been worked out.
    pub fn known_sha256(&self) -> Option<Sha256Sum> {
        self.content.sha256.get().copied()
    }
}

/// Takes parts, in order. May block until somebody wants one; an error ends the stream.
pub trait Outlet {
    /// Called before memory is taken for a part; not for one that is given again.
    fn reserve(&mut self) -> Result<()>;
    /// Takes a finished part.
    fn send(&mut self, part: Part) -> Result<()>;
}

/// Puts frames into parts.
#[derive(Debug)]
pub struct Cutter<O> {
    outlet: O,
    pool: Arc<Pool>,
    open: Option<Open>,
    position: u64,
    source_offset: u64,
    repeated: Option<Repeated>,
}

/// The part being filled.
#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    frames: Vec<FrameEntry>,
    zero: bool,
    source_start: u64,
}

/// The last part that was nothing but one frame over and over.
#[derive(Debug)]
struct Repeated {
    frame: Arc<[u8]>,
    content: Arc<Content>,
}

impl<O: Outlet> Cutter<O> {
    /// Begins at byte 0 of the source.
    pub fn new(outlet: O) -> Self {
        Self {
            outlet,
            pool: Arc::default(),
            open: None,
            position: 0,
            source_offset: 0,
            repeated: None,
        }
    }

    /// Parts sent.
    pub fn parts(&self) -> u64 {
        self.position
    }

    /// Bytes of the source in frames so far.
    pub fn source_offset(&self) -> u64 {
        self.source_offset
    }

    /// Where the parts go.
    pub fn outlet(&mut self) -> &mut O {
        &mut self.outlet
    }

    /// Appends bytes that belong to the format. They may only stand before the first and behind the
    /// last frame.
    pub fn envelope(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > ENVELOPE / 2 {
            return Err(Error::internal("A format's envelope is larger than parts have room for."));
        }
        self.open()?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a frame of `source_length` bytes of the source.
    pub fn frame(&mut self, bytes: &[u8], source_length: u32, zero: bool) -> Result<()> {
        self.cut_if_due()?;
        let source_offset = self.source_offset + u64::from(source_length);
        let open = self.open()?;
        if open.bytes.len() + bytes.len() > MOST {
            return Err(Error::internal("A part would become larger than any part may be."));
        }
        let offset = u32::try_from(open.bytes.len()).map_err(too_large)?;
        let length = u32::try_from(bytes.len()).map_err(too_large)?;
        open.bytes.extend_from_slice(bytes);
        open.frames.push(FrameEntry { offset, length, source_length });
        open.zero &= zero;
        self.source_offset = source_offset;
        Ok(())
    }

    /// Appends the frame `count` times; it holds [`FRAME_SIZE`] zeros of the source each time.
    pub fn zeros(&mut self, frame: &Arc<[u8]>, count: u64) -> Result<()> {
        let whole = frames_of_repeated_part(frame.len());
        let mut left = count;
        while left > 0 {
            self.cut_if_due()?;
            if left >= whole && self.open.is_none() && self.source_offset.is_multiple_of(BOUNDARY) {
                self.repeat(frame, whole)?;
                left -= whole;
            } else {
                #[allow(clippy::cast_possible_truncation)] // 1 MiB
                self.frame(frame, FRAME_SIZE as u32, true)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Sends what is left, at the end of the source.
    pub fn flush(&mut self) -> Result<()> {
        self.send_open()
    }

    fn open(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            self.outlet.reserve()?;
        }
        let (pool, source_start) = (&self.pool, self.source_offset);
        Ok(self.open.get_or_insert_with(|| Open {
            bytes: pool.take(),
            frames: Vec::new(),
            zero: true,
            source_start,
        }))
    }

    fn cut_if_due(&mut self) -> Result<()> {
        let due = self.source_offset.is_multiple_of(BOUNDARY)
            && self.open.as_ref().is_some_and(|open| open.bytes.len() >= LEAST);
        if due { self.send_open() } else { Ok(()) }
    }

    fn send_open(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let source_length = self.source_offset - open.source_start;
        self.send(Arc::new(self.content(open, source_length)), source_length, true)
    }

    fn repeat(&mut self, frame: &Arc<[u8]>, whole: u64) -> Result<()> {
        let source_length = whole * FRAME_SIZE as u64;
        if let Some(repeated) =
            self.repeated.as_ref().filter(|repeated| Arc::ptr_eq(&repeated.frame, frame))
        {
            let content = Arc::clone(&repeated.content);
            self.source_offset += source_length;
            return self.send(content, source_length, false);
        }
        for _ in 0..whole {
            #[allow(clippy::cast_possible_truncation)] // 1 MiB
            self.frame(frame, FRAME_SIZE as u32, true)?;
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        let content = Arc::new(self.content(open, source_length));
        self.repeated = Some(Repeated { frame: Arc::clone(frame), content: Arc::clone(&content) });
        self.send(content, source_length, true)
    }

    fn content(&self, open: Open, source_length: u64) -> Content {
        Content {
            buffer: Buffer { bytes: open.bytes, pool: Arc::clone(&self.pool) },
            frames: open.frames,
            zero: open.zero,
            source_length,
            md5: OnceLock::new(),
            sha256: OnceLock::new(),
        }
    }

    fn send(&mut self, content: Arc<Content>, source_length: u64, reserved: bool) -> Result<()> {
        let source_offset = self.source_offset - source_length;
        let part = Part { content, position: self.position, source_offset, reserved };
        self.position += 1;
        self.outlet.send(part)
    }
}

/// How many equal frames make a part that begins and ends at a boundary.
fn frames_of_repeated_part(frame_length: usize) -> u64 {
    let in_boundary = BOUNDARY / FRAME_SIZE as u64;
    in_boundary * (LEAST as u64).div_ceil(in_boundary * frame_length as u64)
}

fn too_large(_: std::num::TryFromIntError) -> Error {
    Error::internal("A part is larger than any part may be.")
}
