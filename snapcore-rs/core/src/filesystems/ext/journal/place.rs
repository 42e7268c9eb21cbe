//! Where the journal's blocks stand: what its inode says.

use crate::filesystems::ext::checksum::crc32c;
use crate::filesystems::ext::descriptors::Group;
use crate::filesystems::ext::superblock::{RO_COMPAT_METADATA_CSUM, Superblock};
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
const BLOCK_LENGTH: usize = 60;
const GENERATION: usize = 100;
const SIZE_HIGH: usize = 108;
const FLAG_EXTENTS: u32 = 0x8_0000;

const DIRECT: usize = 12;
const EXTENT: usize = 12;
const EXTENT_MAGIC: u16 = 0xf30a;
const MOST_EXTENT_DEPTH: u16 = 5;
/// An extent that is longer was allocated and not written.
const MOST_WRITTEN: u16 = 32768;

/// Runs of blocks that are kept at most. mke2fs lays a journal into one run, or a few.
const MOST_RUNS: usize = 1 << 14;

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
        let block = inode.slice(BLOCK, BLOCK_LENGTH)?;
        // The superblock has a copy, which repair goes by where the inode is damaged: they must agree.
        let copy = fields.slice(SUPER_BACKUP, BLOCK_LENGTH + 8)?;
        let (low, high) = (inode.le32(SIZE)?, inode.le32(SIZE_HIGH)?);
        let sizes = [high.to_le_bytes(), low.to_le_bytes()].concat();
        if fields.u8(SUPER_BACKUP_KIND)? != BACKUP_OF_BLOCKS || *copy != *[block, &sizes].concat() {
            return Err(elsewhere());
        }
        let length = (u64::from(high) << 32 | u64::from(low)) / superblock.block_size;
        let seed = crc32c(superblock.seed, &INODE.to_le_bytes());
        let seed = crc32c(seed, inode.slice(GENERATION, 4)?);
        let mut walk =
            Walk { superblock, volume, seed, place: Self { runs: Vec::new(), blocks: 0 } };
        if inode.le32(FLAGS)? & FLAG_EXTENTS != 0 {
            walk.extents(Bytes(block), MOST_EXTENT_DEPTH + 1)?;
        } else {
            walk.pointers(&block[..DIRECT * 4], 0, length)?;
            for (depth, pointer) in (1..).zip(block[DIRECT * 4..].chunks_exact(4)) {
                walk.pointers(pointer, depth, length)?;
            }
        }
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
    volume: &'a Volume<'a>,
    /// Where the sums of this inode's extents begin.
    seed: u32,
    place: Place,
}

impl Walk<'_> {
    /// A node of the tree of extents, which must be less deep than `above`.
    fn extents(&mut self, node: Bytes<'_>, above: u16) -> Result<(), Fault> {
        let (entries, depth) = (node.le16(2)?, node.le16(6)?);
        if node.le16(0)? != EXTENT_MAGIC || depth >= above {
            return Err(nonsense());
        }
        for number in 1..=usize::from(entries) {
            let entry = Bytes(node.slice(number * EXTENT, EXTENT)?);
            if u64::from(entry.le32(0)?) != self.place.blocks {
                return Err(nonsense()); // a hole
            }
            if depth == 0 {
                let length = entry.le16(4)?;
                if length > MOST_WRITTEN {
                    return Err(nonsense());
                }
                let start = u64::from(entry.le16(6)?) << 32 | u64::from(entry.le32(8)?);
                self.add(start, u64::from(length))?;
            } else {
                let block = u64::from(entry.le16(8)?) << 32 | u64::from(entry.le32(4)?);
                let bytes = self.read(block)?;
                let child = Bytes(&bytes);
                if self.superblock.has_ro_compat(RO_COMPAT_METADATA_CSUM) {
                    let end = (1 + usize::from(child.le16(4)?)) * EXTENT;
                    if crc32c(self.seed, child.slice(0, end)?) != child.le32(end)? {
                        return Err(nonsense());
                    }
                }
                self.extents(child, depth)?;
            }
        }
        Ok(())
    }

    /// Block numbers of 32 bits, up to the journal's `length`; what they point to holds pointers itself, `depth` times.
    fn pointers(&mut self, pointers: &[u8], depth: u32, length: u64) -> Result<(), Fault> {
        for pointer in pointers.chunks_exact(4) {
            if self.place.blocks >= length {
                break;
            }
            let block = u64::from(Bytes(pointer).le32(0)?);
            if depth == 0 {
                self.add(block, 1)?;
            } else {
                let bytes = self.read(block)?;
                self.pointers(&bytes, depth - 1, length)?;
            }
        }
        Ok(())
    }

    fn read(&self, block: u64) -> Result<Vec<u8>, Fault> {
        let size = self.superblock.block_size;
        let at = block.checked_mul(size).ok_or_else(nonsense)?;
        self.volume.read_vec(at, usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn add(&mut self, start: u64, length: u64) -> Result<(), Fault> {
        let end = start.checked_add(length).filter(|&end| end <= self.superblock.blocks);
        if start == 0 || length == 0 || end.is_none() {
            return Err(nonsense());
        }
        let full = self.place.runs.len() == MOST_RUNS;
        match self.place.runs.last_mut() {
            Some(last) if last.1 + last.2 == start => last.2 += length,
            _ if full => return Err(nonsense()),
            _ => self.place.runs.push((self.place.blocks, start, length)),
        }
        self.place.blocks += length;
        Ok(())
    }
}

fn nonsense() -> Fault {
    Fault::doubt("Its journal has to be replayed, but its blocks cannot be told.")
}
