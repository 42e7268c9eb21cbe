//! Which blocks files use, by their inodes: asked where block bitmaps have no checksum, so that a damaged one is noticed.
//!
//! What must always hold: each block is claimed once, so no more is looked at than the file system has blocks, whatever its pointers
//! say.

use super::descriptors::Group;
use super::superblock::Superblock;
use super::tree::{ROOT_LENGTH, Trees, Visitor};
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
const ATTRIBUTES: usize = 104;
const ATTRIBUTES_HIGH: usize = 118;

/// Bytes of an inode table that are read at a time.
const WINDOW: u64 = 1 << 20;

/// Doubts a file system in which a file uses a block of `free`.
pub(super) fn check(
    superblock: &Superblock,
    volume: &Volume<'_>,
    groups: &[Group],
    free: &FreeRuns,
) -> Result<(), Fault> {
    let trees = Trees { superblock, volume };
    let mut files = Files { trees, blocks: Blocks { superblock, free, claimed: 0 } };
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
    trees: Trees<'a>,
    blocks: Blocks<'a>,
}

struct Blocks<'a> {
    superblock: &'a Superblock,
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
            self.blocks.used(attributes, 1)?; // may be shared: not claimed
        }
        let flags = inode.le32(FLAGS)?;
        let kind = inode.le16(MODE)? & TYPE_MASK;
        let has_blocks = match kind {
            TYPE_REGULAR | TYPE_DIRECTORY => true,
            // The target of a short one stands in the pointers' place.
            TYPE_LINK => flags & FLAG_EXTENTS != 0 || inode.le32(SIZE)? as usize >= ROOT_LENGTH,
            0 => own,
            _ => false,
        };
        if !has_blocks || flags & FLAG_INLINE_DATA != 0 {
            return Ok(());
        }
        let root = inode.slice(BLOCK, ROOT_LENGTH)?;
        self.trees.visit(root, flags & FLAG_EXTENTS != 0, &mut self.blocks)
    }
}

impl Visitor for Blocks<'_> {
    fn node(&mut self, block: u64) -> Result<(), Fault> {
        self.claim(block, 1)
    }

    fn data(&mut self, _: u64, start: u64, length: u64, _: bool) -> Result<(), Fault> {
        self.claim(start, length)
    }
}

impl Blocks<'_> {
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
