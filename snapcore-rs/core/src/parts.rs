//! Cutting a stream into parts.
//!
//! What must always hold: a part ends at the first boundary of the source at which it holds
//! [`LEAST`] bytes or more. Boundaries are the multiples of [`BOUNDARY`], or where a source that has
//! its own frames says so, never more than [`BOUNDARY`] bytes apart. So a part's place depends on
//! nothing but the bytes since the part's begin, a change of the disk moves few boundaries, and only
//! a file's last or only part is under [`LEAST`]. The longest: short of [`LEAST`] at one boundary, it
//! takes at most [`BOUNDARY`] bytes of incompressible source more: [`MOST`]. What a format adds beyond
//! [`ENVELOPE`] (tables, blocks filled up with zeros) cuts parts before they would become longer.
//!
//! A cut waits for the next frame, so that what a format puts behind the last frame joins the last
//! part, even where the source ends at a boundary.
//!
//! A format that has to write something before it knows it holds room for it ([`Cutter::hold`]): the
//! part with that room is kept once it ends ([`MOST`] and [`MOST_HELD`] of memory) and sent when the
//! room was filled, with the position that it has in the file. One at a time.
//!
//! Long runs of the same frame (zeros) make equal parts: such a part is made once, and given
//! again as often as it occurs, with hashes that are worked out once.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::FRAME_SIZE;
use crate::codecs::most_compressed;
use crate::digests::{Md5Sum, Sha256Sum};
use crate::error::{Error, Result};

/// Bytes of the source between the places where a part may end.
pub const BOUNDARY: u64 = 16 << 20;
/// Bytes that a part holds before it may end.
pub const LEAST: usize = 1 << 20;
/// Bytes that a format may put around its frames in any part without cutting it: headers, trailers,
/// 4 KiB before each 2 MiB of data.
pub const ENVELOPE: usize = 64 << 10;
/// Bytes that a format may hold room for.
pub const MOST_HELD: usize = 8 << 20;
/// Bytes that no part exceeds, but for what is held in it: about 17 MiB.
#[allow(clippy::cast_possible_truncation)] // 16 MiB fits everywhere
pub const MOST: usize =
    LEAST + (BOUNDARY as usize / FRAME_SIZE) * most_compressed(FRAME_SIZE) + ENVELOPE;

/// Buffers of parts, used and kept: those inside a stream, and two with a caller who sends two at a
/// time. As long as no more are used all are used again: a tar of 333 MB touched 23,000 fresh pages,
/// where two were kept however many were used it was 38,000.
pub const BUFFERS: usize = 5;

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
/// One is kept only where it and all others, used and kept, are no more than [`BUFFERS`].
#[derive(Debug, Default)]
pub struct Pool(Mutex<Buffers>);

#[derive(Debug, Default)]
struct Buffers {
    used: usize,
    kept: Vec<Vec<u8>>,
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        let mut buffers = self.lock();
        buffers.used += 1;
        buffers.kept.pop().unwrap_or_else(|| Vec::with_capacity(MOST))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.lock();
        buffers.used = buffers.used.saturating_sub(1);
        if buffers.used + buffers.kept.len() < BUFFERS {
            buffer.clear();
            buffers.kept.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    on_grid: bool,
    indexed: bool,
    open: Option<Open>,
    position: u64,
    source_offset: u64,
    /// Where the source of the next part to be sent begins.
    part_start: u64,
    /// The source said that a part may end here.
    told: bool,
    held: Held,
    repeated: Option<Repeated>,
}

/// Room for what is known later, in one part.
#[derive(Debug)]
enum Held {
    None,
    /// In the open part.
    Open(Range<usize>),
    /// In a part that has ended.
    Kept(Kept),
}

/// A part that waits for what is to be filled in.
#[derive(Debug)]
struct Kept {
    part: Open,
    room: Range<usize>,
    position: u64,
    source_offset: u64,
    source_length: u64,
}

/// The part being filled.
#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    frames: Vec<FrameEntry>,
    zero: bool,
}

/// The last part that was nothing but one frame over and over.
#[derive(Debug)]
struct Repeated {
    frame: Arc<[u8]>,
    content: Arc<Content>,
}

impl<O: Outlet> Cutter<O> {
    /// Begins at byte 0 of the source. `on_grid`: boundaries are the multiples of [`BOUNDARY`]; else
    /// [`Cutter::boundary`] tells them. `indexed`: the places of frames are kept.
    pub fn new(outlet: O, on_grid: bool, indexed: bool) -> Self {
        Self {
            outlet,
            pool: Arc::default(),
            on_grid,
            indexed,
            open: None,
            position: 0,
            source_offset: 0,
            part_start: 0,
            told: false,
            held: Held::None,
            repeated: None,
        }
    }

    /// Parts that have ended.
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

    /// Holds room for `length` bytes here, in one part, to be filled by [`Cutter::fill`]. Only once what
    /// was held before is released; by formats that say so
    /// ([`Format::OUT_OF_ORDER`](crate::formats::Format::OUT_OF_ORDER)).
    pub fn hold(&mut self, length: usize) -> Result<()> {
        if length > MOST_HELD || !matches!(self.held, Held::None) {
            return Err(Error::internal("A format cannot hold room in its file."));
        }
        let open = self.open()?;
        let start = open.bytes.len();
        open.bytes.resize(start + length, 0);
        open.zero = false;
        self.held = Held::Open(start..start + length);
        Ok(())
    }

    /// Writes into the room that is held, from `at` in it.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        let (open, room) = match (&mut self.held, &mut self.open) {
            (Held::Open(room), Some(open)) => (open, room.clone()),
            (Held::Kept(kept), _) => (&mut kept.part, kept.room.clone()),
            _ => return Err(Error::internal("A format holds no room in its file.")),
        };
        let start = room.start.saturating_add(at);
        let end = start.saturating_add(bytes.len());
        let Some(place) = open.bytes.get_mut(start..end).filter(|_| end <= room.end) else {
            return Err(Error::internal("A format writes more than it held room for."));
        };
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// All of the room is filled: the part goes its way.
    pub fn release(&mut self) -> Result<()> {
        let Held::Kept(kept) = std::mem::replace(&mut self.held, Held::None) else { return Ok(()) };
        let content = Arc::new(self.content(kept.part, kept.source_length));
        self.outlet.send(Part {
            content,
            position: kept.position,
            source_offset: kept.source_offset,
            reserved: true,
        })
    }

    /// Appends a few bytes that belong to the format; never cuts.
    pub fn envelope(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > ENVELOPE / 16 {
            return Err(Error::internal("A format's envelope is larger than parts have room for."));
        }
        self.open()?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends bytes that belong to the format: any number, anywhere. Cuts where a part would become
    /// larger than it may be, but not at boundaries.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let held = self.held_in_open();
            let open = self.open()?;
            #[allow(clippy::cast_possible_truncation)] // 16 MiB fits everywhere
            let room = (held + BOUNDARY as usize).saturating_sub(open.bytes.len());
            if room == 0 {
                self.send_open()?;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            open.bytes.extend_from_slice(now);
            open.zero = false;
            bytes = later;
        }
        Ok(())
    }

    /// Appends a frame of `source_length` bytes of the source.
    pub fn frame(&mut self, bytes: &[u8], source_length: u32, zero: bool) -> Result<()> {
        self.cut_if_due()?;
        let most = self.held_in_open() + MOST;
        if self.open.as_ref().is_some_and(|open| open.bytes.len() + bytes.len() > most) {
            self.send_open()?; // it has more than BOUNDARY of what the format wrote
        }
        let indexed = self.indexed;
        let source_offset = self.source_offset + u64::from(source_length);
        let open = self.open()?;
        let offset = u32::try_from(open.bytes.len()).map_err(too_large)?;
        let length = u32::try_from(bytes.len()).map_err(too_large)?;
        open.bytes.extend_from_slice(bytes);
        if indexed {
            open.frames.push(FrameEntry { offset, length, source_length });
        }
        open.zero &= zero;
        self.source_offset = source_offset;
        self.told = false;
        Ok(())
    }

    /// The next `length` bytes of the source are not in the file.
    pub fn skip(&mut self, length: u64) -> Result<()> {
        self.cut_if_due()?;
        let end = self.source_offset + length;
        let boundary = (self.source_offset / BOUNDARY + 1) * BOUNDARY;
        if self.on_grid && boundary < end {
            self.source_offset = boundary;
            self.cut_if_due()?;
        }
        self.source_offset = end;
        self.told = false;
        Ok(())
    }

    /// The source says that a part may end here.
    pub fn boundary(&mut self) {
        self.told = true;
    }

    /// Appends the frame `count` times; it holds [`FRAME_SIZE`] zeros of the source each time.
    pub fn zeros(&mut self, frame: &Arc<[u8]>, count: u64) -> Result<()> {
        let whole = frames_of_repeated_part(frame.len());
        let mut left = count;
        while left > 0 {
            self.cut_if_due()?;
            let at_boundary = self.on_grid
                && self.open.is_none()
                && self.part_start == self.source_offset
                && self.source_offset.is_multiple_of(BOUNDARY);
            if left >= whole && at_boundary {
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

    /// Sends what is left, at the end of the source; a part with held room last.
    pub fn flush(&mut self) -> Result<()> {
        self.send_open()?;
        self.release()
    }

    fn held_in_open(&self) -> usize {
        if let Held::Open(room) = &self.held { room.len() } else { 0 }
    }

    fn open(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            self.outlet.reserve()?;
        }
        let pool = &self.pool;
        Ok(self.open.get_or_insert_with(|| Open {
            bytes: pool.take(),
            frames: Vec::new(),
            zero: true,
        }))
    }

    fn cut_if_due(&mut self) -> Result<()> {
        let boundary =
            if self.on_grid { self.source_offset.is_multiple_of(BOUNDARY) } else { self.told };
        let due = boundary && self.open.as_ref().is_some_and(|open| open.bytes.len() >= LEAST);
        if due { self.send_open() } else { Ok(()) }
    }

    fn send_open(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let source_length = self.source_offset - self.part_start;
        if let Held::Open(room) = &self.held {
            self.held = Held::Kept(Kept {
                part: open,
                room: room.clone(),
                position: self.position,
                source_offset: self.part_start,
                source_length,
            });
            self.position += 1;
            self.part_start = self.source_offset;
            return Ok(());
        }
        self.send(Arc::new(self.content(open, source_length)), source_length, true)
    }

    fn repeat(&mut self, frame: &Arc<[u8]>, whole: u64) -> Result<()> {
        let source_length = whole * FRAME_SIZE as u64;
        if let Some(repeated) =
            self.repeated.as_ref().filter(|repeated| Arc::ptr_eq(&repeated.frame, frame))
        {
            let content = Arc::clone(&repeated.content);
            self.source_offset += source_length;
            self.told = false;
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
        self.part_start = self.source_offset;
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
