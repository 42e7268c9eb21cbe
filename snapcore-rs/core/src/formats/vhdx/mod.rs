//! VHDX, dynamic (Microsoft, [MS-VHDX]), as a stream whose front part comes last.
//!
//! ```text
//! 0        file identifier     64 KiB, 128 KiB   headers     192 KiB, 256 KiB   region tables
//! 1 MiB    log, empty          2 MiB             metadata    3 MiB              table of blocks
//! then     blocks, each on a multiple of 1 MiB
//! ```
//! Blocks of zeros are left out. A block is 2 MiB on disks up to 1 TiB and grows with larger ones, so
//! that the table stays below 5 MiB up to 64 TiB, the format's limit. Sectors have 512 bytes; the disk's
//! size is that of whole sectors.

mod front;

use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::blocks::Blocks;
use super::plain;
use super::{Encoded, Format};
use front::MIB;

/// Bytes of a disk at most: 64 TiB.
pub const MOST: u64 = 64 << 40;
/// Blocks at most.
const MOST_BLOCKS: u64 = 1 << 19;
const LEAST_BLOCK: u64 = 2 << 20;
const SECTOR: u64 = 512;
/// A block all of which stands in the file.
const PRESENT: u64 = 6;
/// A block that reads as zeros.
const ZERO: u64 = 2;

/// Writes `NAME.vhdx`.
#[derive(Debug)]
pub struct Vhdx {
    unique_id: [u8; 16],
    size: u64,
    block: u64,
    blocks: Blocks,
}

impl Vhdx {
    /// Of a disk of `size` bytes; `unique_id` any 16 bytes, the same for the same file. Refuses more
    /// than [`MOST`].
    pub fn new(size: u64, unique_id: [u8; 16]) -> Result<Self> {
        if size > MOST {
            return Err(Error::usage("A VHDX holds at most 64 TiB."));
        }
        let mut block = LEAST_BLOCK;
        while size.div_ceil(block) > MOST_BLOCKS {
            block *= 2;
        }
        let size = size.next_multiple_of(SECTOR);
        Ok(Self { unique_id, size, block, blocks: Blocks::new(size, block, Vec::new()) })
    }

    /// Bytes of the table of blocks: behind each 4 GiB of blocks stands an entry for a bitmap, which
    /// only differencing disks have.
    fn table_length(&self) -> usize {
        let blocks = self.blocks.places().len();
        (blocks + blocks.saturating_sub(1) / self.blocks_in_chunk()) * 8
    }

    fn blocks_in_chunk(&self) -> usize {
        usize::try_from((SECTOR << 23) / self.block).unwrap_or(usize::MAX)
    }

    fn table(&self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.table_length());
        for (number, place) in self.blocks.places().iter().enumerate() {
            if number > 0 && number.is_multiple_of(self.blocks_in_chunk()) {
                table.extend([0; 8]);
            }
            // The place is a multiple of 1 MiB: its low bits are the state's.
            table.extend(place.map_or(ZERO, |place| place | PRESENT).to_le_bytes());
        }
        table
    }

    fn table_region(&self) -> usize {
        self.table_length().next_multiple_of(MIB)
    }
}

impl Format for Vhdx {
    type Note = ();
    type Encoder = plain::Encoder;

    const OUT_OF_ORDER: bool = true;
    const HASH_BOUND: bool = true;

    fn encoder(&self) -> Result<plain::Encoder> {
        Ok(plain::Encoder)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.begin(front::TABLE + self.table_region(), parts)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<()>, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.data(frame, parts)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.zeros(length, parts)
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.blocks.end(parts)?;
        for (at, bytes) in front::structures(
            self.size,
            u32::try_from(self.block).unwrap_or(u32::MAX),
            u32::try_from(self.table_region()).unwrap_or(u32::MAX),
            self.unique_id,
        ) {
            parts.fill(at, &bytes)?;
        }
        parts.fill(front::TABLE, &self.table())
    }
}
