//! VHD, dynamic and fixed.
//!
//! ```text
//! dynamic: footer | header | table | block … block | footer
//! fixed:   the disk, sector by sector | footer
//! ```
//! A block is a bitmap of one sector, all ones, and 2 MiB of the disk; what has nothing but zeros in it
//! is left out. Sectors before the bitmap place each block's data on a multiple of 4 KiB, which Hyper-V
//! wants. The table has the place of each block's bitmap; it is known last: what stands before the
//! blocks is the front part. Its size depends on the disk's size only: 4 bytes for 2 MiB, at most 4 MiB.
//!
//! A dynamic disk has the disk's size, in whole sectors; a fixed one is rounded up to 1 MiB with zeros,
//! as Azure wants it.

mod footer;

use std::sync::Arc;

use crate::FRAME_SIZE;
use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::plain;
use super::{Encoded, Format};
use footer::{HEADER, footer, header};

pub use footer::{FOOTER, Identity};

/// Bytes of a disk at most: 2,040 GiB.
pub const MOST: u64 = 2040 << 30;
/// Bytes of the disk in a block.
const BLOCK: u64 = 2 << 20;
/// What stands before a block's data: three and a half KiB of nothing, and the bitmap.
const BEFORE: usize = 4096;
const BITMAP: usize = 512;
const ABSENT: u32 = u32::MAX;

fn check(size: u64) -> Result<()> {
    if size > MOST {
        return Err(Error::usage("A VHD holds at most 2,040 GiB: a larger disk needs VHDX."));
    }
    Ok(())
}

/// Writes `NAME.vhd`, dynamic.
#[derive(Debug)]
pub struct Dynamic {
    identity: Identity,
    /// Of the disk, in whole sectors.
    size: u64,
    /// Where each block's bitmap stands, in sectors.
    table: Vec<u32>,
    /// Bytes of the disk so far.
    offset: u64,
    /// Bytes of the file so far.
    place: u64,
    zeros: Arc<[u8]>,
}

impl Dynamic {
    /// Of a disk of `size` bytes. Refuses more than [`MOST`].
    pub fn new(size: u64, identity: Identity) -> Result<Self> {
        check(size)?;
        let blocks = usize::try_from(size.div_ceil(BLOCK)).unwrap_or(usize::MAX);
        Ok(Self {
            identity,
            size: size.next_multiple_of(512),
            table: vec![ABSENT; blocks],
            offset: 0,
            place: 0,
            zeros: vec![0; FRAME_SIZE].into(),
        })
    }

    /// Bytes before the first block.
    fn front(&self) -> usize {
        (FOOTER + HEADER + self.table.len() * 4).next_multiple_of(BEFORE)
    }

    fn block(&self) -> usize {
        usize::try_from(self.offset / BLOCK).unwrap_or(usize::MAX)
    }

    /// Whether the block that the disk is in stands in the file.
    fn is_open(&self) -> bool {
        !self.offset.is_multiple_of(BLOCK)
            && self.table.get(self.block()).is_some_and(|&place| place != ABSENT)
    }

    fn write<O: Outlet>(&mut self, bytes: &[u8], parts: &mut Cutter<O>) -> Result<()> {
        self.place += bytes.len() as u64;
        parts.write(bytes)
    }

    fn write_zeros<O: Outlet>(&mut self, mut count: u64, parts: &mut Cutter<O>) -> Result<()> {
        let zeros = Arc::clone(&self.zeros);
        while count > 0 {
            let now = usize::try_from(count).unwrap_or(usize::MAX).min(zeros.len());
            self.write(&zeros[..now], parts)?;
            count -= now as u64;
        }
        Ok(())
    }

    /// Begins the block that the disk is in, up to where the disk is.
    fn open<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let block = self.block();
        let sector = (self.place + (BEFORE - BITMAP) as u64) / 512;
        self.table[block] = u32::try_from(sector)
            .map_err(|_| Error::internal("A VHD's block lies beyond what its table can say."))?;
        let mut before = [0; BEFORE];
        before[BEFORE - BITMAP..].fill(0xff);
        self.write(&before, parts)?;
        self.write_zeros(self.offset % BLOCK, parts)
    }

    /// Fills up an open block with zeros, as far as this much of the disk goes; gives how far.
    fn fill<O: Outlet>(&mut self, most: u64, parts: &mut Cutter<O>) -> Result<u64> {
        if !self.is_open() {
            return Ok(0);
        }
        let rest = (BLOCK - self.offset % BLOCK).min(most);
        self.write_zeros(rest, parts)?;
        Ok(rest)
    }
}

impl Format for Dynamic {
    type Note = ();
    type Encoder = plain::Encoder;

    const FRONT_LAST: bool = true;

    fn encoder(&self) -> Result<plain::Encoder> {
        Ok(plain::Encoder)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let front = self.front();
        self.place = front as u64;
        parts.reserve_front(front)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<()>, parts: &mut Cutter<O>) -> Result<()> {
        if !self.is_open() {
            self.open(parts)?;
        }
        let bytes = frame.bytes.as_bytes();
        parts.frame(bytes, frame.source_length, false)?;
        self.place += bytes.len() as u64;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.fill(length, parts)?;
        self.offset += length;
        parts.skip(length)
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.fill(BLOCK, parts)?;
        let last = footer(self.size, self.identity, true);
        self.write(&last, parts)?;
        let mut front = Vec::with_capacity(self.front());
        front.extend_from_slice(&last);
        let entries = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        #[allow(clippy::cast_possible_truncation)] // 2 MiB
        front.extend_from_slice(&header(entries, BLOCK as u32));
        front.extend(self.table.iter().flat_map(|place| place.to_be_bytes()));
        // Readers take a table in whole sectors: what is behind its end is absent, too.
        front.resize(front.len().next_multiple_of(512), 0xff);
        parts.fill_front(0, &front)
    }
}

/// Writes `NAME.vhd`, fixed.
#[derive(Debug)]
pub struct Fixed {
    identity: Identity,
    size: u64,
    plain: plain::Plain,
}

impl Fixed {
    /// Of a disk of `size` bytes. Refuses more than [`MOST`].
    pub fn new(size: u64, identity: Identity) -> Result<Self> {
        check(size)?;
        Ok(Self { identity, size, plain: plain::Plain::new() })
    }
}

impl Format for Fixed {
    type Note = ();
    type Encoder = plain::Encoder;

    fn encoder(&self) -> Result<plain::Encoder> {
        Ok(plain::Encoder)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.plain.begin(parts)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<()>, parts: &mut Cutter<O>) -> Result<()> {
        self.plain.data(frame, parts)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.plain.zeros(length, parts)
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let size = self.size.next_multiple_of(FRAME_SIZE as u64);
        let rest = usize::try_from(size - self.size).unwrap_or(0);
        parts.write(&vec![0; rest])?;
        parts.write(&footer(size, self.identity, false))
    }
}
