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

use crate::FRAME_SIZE;
use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::blocks::Blocks;
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
    blocks: Blocks,
}

impl Dynamic {
    /// Of a disk of `size` bytes. Refuses more than [`MOST`].
    pub fn new(size: u64, identity: Identity) -> Result<Self> {
        check(size)?;
        let mut before = vec![0; BEFORE];
        before[BEFORE - BITMAP..].fill(0xff);
        let blocks = Blocks::new(size, BLOCK, before);
        Ok(Self { identity, size: size.next_multiple_of(512), blocks })
    }

    /// Bytes before the first block.
    fn front(&self) -> usize {
        (FOOTER + HEADER + self.blocks.places().len() * 4).next_multiple_of(BEFORE)
    }

    /// Where the bitmaps stand, in sectors.
    fn table(&self) -> Result<Vec<u8>> {
        let sector = |place: Option<u64>| match place {
            None => Ok(ABSENT),
            Some(place) => u32::try_from((place + (BEFORE - BITMAP) as u64) / 512)
                .map_err(|_| Error::internal("A VHD's block lies beyond what its table can say.")),
        };
        let mut table = Vec::with_capacity(self.blocks.places().len() * 4);
        for &place in self.blocks.places() {
            table.extend(sector(place)?.to_be_bytes());
        }
        Ok(table)
    }
}

impl Format for Dynamic {
    type Note = ();
    type Encoder = plain::Encoder;

    const OUT_OF_ORDER: bool = true;
    const HASH_BOUND: bool = true;

    fn encoder(&self) -> Result<plain::Encoder> {
        Ok(plain::Encoder)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.begin(self.front(), parts)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<()>, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.data(frame, parts)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.zeros(length, parts)
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.end(parts)?;
        let last = footer(self.size, self.identity, true);
        self.blocks.write(&last, parts)?;
        let mut front = Vec::with_capacity(self.front());
        front.extend_from_slice(&last);
        let entries = u32::try_from(self.blocks.places().len()).unwrap_or(u32::MAX);
        #[allow(clippy::cast_possible_truncation)] // 2 MiB
        front.extend_from_slice(&header(entries, BLOCK as u32));
        front.extend(self.table()?);
        // Readers take a table in whole sectors: what is behind its end is absent, too.
        front.resize(front.len().next_multiple_of(512), 0xff);
        parts.fill(0, &front)
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
