//! Which blocks files use, by their inodes: asked where block bitmaps have no checksum, so that a damaged one is noticed.
//!
//! What must always hold: each block is claimed once, so no more is looked at than the file system has blocks, whatever its pointers
//! say. Trees nest as deep as their kind allows and no deeper.

use super::descriptors::Group;
use super::superblock::Superblock;
use crate::filesystems::{Bytes, Fault, FreeRuns, Volume};

const TYPE_MASK: u16 = 0xf000;
const TYPE_DIRECTORY: u16 = 0x4000;
const TYPE_REGULAR: u16 = 0x8000;
const TYPE_LINK: u16 = 0xa000;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE_DATA: u32 = 0x1000_0000;

const MODE: usize = 0;
const SIZE: usize = 4;
const LINKS: usize = 26;
const FLAGS: usize = 32;
const BLOCK: usize = 40;
const BLOCK_LENGTH: usize = 60;
const ATTRIBUTES: usize = 104;
const ATTRIBUTES_HIGH: usize = 118;

const DIRECT: usize = 12;
const EXTENT_MAGIC: u16 = 0xf30a;
const EXTENT: usize = 12;
const MOST_EXTENT_DEPTH: u16 = 5;
/// An extent that is longer was allocated and not written.
const MOST_WRITTEN: u16 = 32768;

/// Bytes of an inode table that are read at a time.
const WINDOW: u64 = 1 << 20;

/// Doubts a file system in which a file uses a block of `free`.
pub(super) fn check(
    superblock: &Superblock,
    volume: &Volume<'_>,
    groups: &[Group],
    free: &FreeRuns,
) -> Result<(), Fault> {
    let mut files = Files { superblock, volume, free, claimed: 0 };
    for (group, number) in groups.iter().zip(0..) {
        let table = group.inode_table.saturating_mul(superblock.block_size);
        let length = group.inodes * superblock.inode_size;
        let mut at = 0;
        while at < length {
            let window = WINDOW.min(length - at);
            let bytes =
                volume.read_vec(table + at, usize::try_from(window).unwrap_or(usize::MAX))?;
            let inodes =
                bytes.chunks_exact(usize::try_from(superblock.inode_size).unwrap_or(usize::MAX));
            let first = number * superblock.inodes_per_group + at / superblock.inode_size + 1;
            for (inode, number) in inodes.zip(first..) {
                files.inode(Bytes(inode), number < superblock.first_inode)?;
            }
            at += window;
        }
    }
    Ok(())
}

struct Files<'a> {
    superblock: &'a Superblock,
    volume: &'a Volume<'a>,
    free: &'a FreeRuns,
    /// Blocks of files and of their trees.
    claimed: u64,
}

impl Files<'_> {
    fn inode(&mut self, inode: Bytes<'_>, own: bool) -> Result<(), Fault> {
        // The file system's own, such as the list of bad blocks, need no name.
        if inode.le16(LINKS)? == 0 && !own {
            return Ok(());
        }
        let attributes =
            u64::from(inode.le16(ATTRIBUTES_HIGH)?) << 32 | u64::from(inode.le32(ATTRIBUTES)?);
        if attributes != 0 {
            self.used(attributes, 1)?; // may be shared: not claimed
        }
        let flags = inode.le32(FLAGS)?;
        let kind = inode.le16(MODE)? & TYPE_MASK;
        let has_blocks = match kind {
            TYPE_REGULAR | TYPE_DIRECTORY => true,
            // The target of a short one stands in the pointers' place.
            TYPE_LINK => flags & FLAG_EXTENTS != 0 || inode.le32(SIZE)? as usize >= BLOCK_LENGTH,
            0 => own,
            _ => false,
        };
        if !has_blocks || flags & FLAG_INLINE_DATA != 0 {
            return Ok(());
        }
        let block = inode.slice(BLOCK, BLOCK_LENGTH)?;
        if flags & FLAG_EXTENTS != 0 {
            return self.extents(Bytes(block), MOST_EXTENT_DEPTH + 1);
        }
        self.pointers(&block[..DIRECT * 4], 0)?;
        for (depth, pointer) in (1..).zip(block[DIRECT * 4..].chunks_exact(4)) {
            self.pointers(pointer, depth)?;
        }
        Ok(())
    }

    /// Block numbers of 32 bits; what they point to holds pointers itself, `depth` times.
    fn pointers(&mut self, pointers: &[u8], depth: u32) -> Result<(), Fault> {
        for pointer in pointers.chunks_exact(4) {
            let block = u64::from(Bytes(pointer).le32(0)?);
            if block == 0 {
                continue;
            }
            self.claim(block, 1)?;
            if depth > 0 {
                let bytes = self.read(block)?;
                self.pointers(&bytes, depth - 1)?;
            }
        }
        Ok(())
    }

    /// A node of an extent tree, which must be less deep than `above`.
    fn extents(&mut self, node: Bytes<'_>, above: u16) -> Result<(), Fault> {
        let nonsense = || Fault::doubt("The blocks of a file cannot be told.");
        let (entries, depth) = (node.le16(2)?, node.le16(6)?);
        if node.le16(0)? != EXTENT_MAGIC || depth >= above {
            return Err(nonsense());
        }
        for number in 1..=usize::from(entries) {
            let entry = Bytes(node.slice(number * EXTENT, EXTENT)?);
            if depth == 0 {
                let length = entry.le16(4)?;
                let length = if length > MOST_WRITTEN { length - MOST_WRITTEN } else { length };
                let start = u64::from(entry.le16(6)?) << 32 | u64::from(entry.le32(8)?);
                self.claim(start, u64::from(length))?;
            } else {
                let block = u64::from(entry.le16(8)?) << 32 | u64::from(entry.le32(4)?);
                self.claim(block, 1)?;
                let bytes = self.read(block)?;
                self.extents(Bytes(&bytes), depth)?;
            }
        }
        Ok(())
    }

    fn read(&self, block: u64) -> Result<Vec<u8>, Fault> {
        let size = self.superblock.block_size;
        self.volume.read_vec(block * size, usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn claim(&mut self, start: u64, length: u64) -> Result<(), Fault> {
        // One at least, so that empty entries count too.
        self.claimed = self.claimed.saturating_add(length.max(1));
        if self.claimed > self.superblock.blocks {
            return Err(Fault::doubt("Files use more blocks than there are."));
        }
        self.used(start, length)
    }

    fn used(&self, start: u64, length: u64) -> Result<(), Fault> {
        let size = self.superblock.block_size;
        let end = start.checked_add(length).filter(|&end| end <= self.superblock.blocks);
        let end =
            end.ok_or_else(|| Fault::doubt("A file uses blocks beyond the file system's end."))?;
        if self.free.overlaps(&(start * size..end * size)) {
            return Err(Fault::doubt("A file uses a block that its bitmap takes for free."));
        }
        Ok(())
    }
}
