//! Where the journal's blocks stand: what its inode says.

use crate::filesystems::ext::checksum::crc32c;
use crate::filesystems::ext::descriptors::Group;
use crate::filesystems::ext::superblock::{RO_COMPAT_METADATA_CSUM, Superblock};
use crate::filesystems::ext::tree::{ROOT_LENGTH, Trees, Visitor, summed};
use crate::filesystems::{Bytes, Fault, Volume};

/// Its own number, and that of the inode in its superblock.
const INODE: u32 = 8;

const SUPER_BACKUP_KIND: usize = 253;
const SUPER_INODE: usize = 0xe0;
const SUPER_DEVICE: usize = 0xe4;
const SUPER_BACKUP: usize = 0x10c;
const BACKUP_OF_BLOCKS: u8 = 1;

const SIZE: usize = 4;
const FLAGS: usize = 32;
const BLOCK: usize = 40;
const GENERATION: usize = 100;
const SIZE_HIGH: usize = 108;
const FLAG_EXTENTS: u32 = 0x8_0000;

/// Runs of blocks that are kept at most. mke2fs lays a journal into one run, or a few.
const MOST_RUNS: usize = 1 << 14;

/// Nodes of the tree that leads to them: a journal of 4 GiB in pointers of 1 KiB takes as many.
const MOST_NODES: usize = 1 << 14;

/// The journal's blocks, in its own order.
#[derive(Debug)]
pub(super) struct Place {
    /// The number of the first in the journal, its block of the volume, and how many follow each other.
    runs: Vec<(u64, u64, u64)>,
    blocks: u64,
}

impl Place {
    pub(super) fn find(
        bytes: &[u8],
        superblock: &Superblock,
        first_group: &Group,
        volume: &Volume<'_>,
    ) -> Result<Self, Fault> {
        let elsewhere =
            || Fault::doubt("Its journal has to be replayed, and is not where it should be.");
        let fields = Bytes(bytes);
        if fields.le32(SUPER_DEVICE)? != 0 || fields.le32(SUPER_INODE)? != INODE {
            return Err(elsewhere());
        }
        let size = usize::try_from(superblock.inode_size).unwrap_or(usize::MAX);
        let at = u64::from(INODE - 1) * superblock.inode_size;
        let at = first_group.inode_table.saturating_mul(superblock.block_size).saturating_add(at);
        let inode = volume.read_vec(at, size)?;
        let inode = Bytes(&inode);
        let block = inode.slice(BLOCK, ROOT_LENGTH)?;
        // The superblock has a copy, which repair goes by where the inode is damaged: they must agree.
        let copy = fields.slice(SUPER_BACKUP, ROOT_LENGTH + 8)?;
        let (low, high) = (inode.le32(SIZE)?, inode.le32(SIZE_HIGH)?);
        let sizes = [high.to_le_bytes(), low.to_le_bytes()].concat();
        if fields.u8(SUPER_BACKUP_KIND)? != BACKUP_OF_BLOCKS || *copy != *[block, &sizes].concat() {
            return Err(elsewhere());
        }
        let length = (u64::from(high) << 32 | u64::from(low)) / superblock.block_size;
        let seed = crc32c(superblock.seed, &INODE.to_le_bytes());
        let seed = crc32c(seed, inode.slice(GENERATION, 4)?);
        let place = Self { runs: Vec::new(), blocks: 0 };
        let mut walk = Walk { superblock, seed, nodes: 0, place };
        let is_extents = inode.le32(FLAGS)? & FLAG_EXTENTS != 0;
        Trees { superblock, volume }.visit(block, is_extents, &mut walk)?;
        if walk.place.blocks < length {
            return Err(elsewhere());
        }
        Ok(walk.place)
    }

    /// Blocks of the journal.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The volume's block of the journal's block `number`; none beyond its end.
    pub(super) fn of(&self, number: u64) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.0 <= number);
        let (first, block, length) = *self.runs.get(after.checked_sub(1)?)?;
        (number - first < length).then(|| block + (number - first))
    }
}

struct Walk<'a> {
    superblock: &'a Superblock,
    /// Where the sums of this inode's extents begin.
    seed: u32,
    nodes: usize,
    place: Place,
}

impl Visitor for Walk<'_> {
    fn node(&mut self, _: u64) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES { Err(nonsense()) } else { Ok(()) }
    }

    fn extents(&mut self, node: Bytes<'_>) -> Result<(), Fault> {
        if !self.superblock.has_ro_compat(RO_COMPAT_METADATA_CSUM) {
            return Ok(());
        }
        let end = summed(node)?;
        let right = crc32c(self.seed, node.slice(0, end)?) == node.le32(end)?;
        if right { Ok(()) } else { Err(nonsense()) }
    }

    fn data(&mut self, first: u64, start: u64, length: u64, written: bool) -> Result<(), Fault> {
        let end = start.checked_add(length).filter(|&end| end <= self.superblock.blocks);
        let whole = first == self.place.blocks && written && length > 0;
        if !whole || start == 0 || end.is_none() {
            return Err(nonsense());
        }
        let full = self.place.runs.len() == MOST_RUNS;
        match self.place.runs.last_mut() {
            Some(last) if last.1 + last.2 == start => last.2 += length,
            _ if full => return Err(nonsense()),
            _ => self.place.runs.push((first, start, length)),
        }
        self.place.blocks += length;
        Ok(())
    }
}

fn nonsense() -> Fault {
    Fault::doubt("Its journal has to be replayed, but its blocks cannot be told.")
}
