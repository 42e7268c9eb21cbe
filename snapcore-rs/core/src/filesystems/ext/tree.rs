//! The blocks of a file: what the 60 bytes in its inode lead to, extents or block numbers.
//!
//! What must always hold: trees nest as deep as their kind allows and no deeper. How many nodes are looked at is the visitor's to
//! bound, for a node may be pointed at any number of times.

use super::superblock::Superblock;
use crate::filesystems::{Bytes, Fault, Volume};

/// Bytes in the inode.
pub(super) const ROOT_LENGTH: usize = 60;

const DIRECT: usize = 12;
const EXTENT: usize = 12;
const EXTENT_MAGIC: u16 = 0xf30a;
const MOST_EXTENT_DEPTH: u16 = 5;
/// An extent that is longer was allocated and not written.
const MOST_WRITTEN: u16 = 32768;

/// Is told what is found, in the file's order.
pub(super) trait Visitor {
    /// A block of the tree itself, before it is read.
    fn node(&mut self, block: u64) -> Result<(), Fault>;

    /// A node of extents that was read.
    fn extents(&mut self, _node: Bytes<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// Blocks of the file: the number of the first in the file, and in the file system.
    fn data(&mut self, first: u64, start: u64, length: u64, written: bool) -> Result<(), Fault>;
}

/// Bytes of a node of extents before its checksum.
pub(super) fn summed(node: Bytes<'_>) -> Result<usize, Fault> {
    Ok((1 + usize::from(node.le16(4)?)) * EXTENT)
}

/// Where trees are read from.
#[derive(Clone, Copy)]
pub(super) struct Trees<'a> {
    pub(super) superblock: &'a Superblock,
    pub(super) volume: &'a Volume<'a>,
}

impl Trees<'_> {
    /// Visits all blocks below the `root` in an inode.
    pub(super) fn visit(
        self,
        root: &[u8],
        is_extents: bool,
        visitor: &mut impl Visitor,
    ) -> Result<(), Fault> {
        if is_extents {
            return self.extents(Bytes(root), MOST_EXTENT_DEPTH + 1, visitor);
        }
        let (direct, indirect) = root.split_at(DIRECT * 4);
        let mut first = 0;
        self.pointers(direct, 0, &mut first, visitor)?;
        for (depth, pointer) in (1..).zip(indirect.chunks_exact(4)) {
            self.pointers(pointer, depth, &mut first, visitor)?;
        }
        Ok(())
    }

    /// Block numbers of 32 bits; what they point to holds such numbers itself, `depth` times.
    fn pointers(
        self,
        pointers: &[u8],
        depth: u32,
        first: &mut u64,
        visitor: &mut impl Visitor,
    ) -> Result<(), Fault> {
        for pointer in pointers.chunks_exact(4) {
            let block = u64::from(Bytes(pointer).le32(0)?);
            if block == 0 {
                *first += (self.superblock.block_size / 4).pow(depth); // a hole
            } else if depth == 0 {
                visitor.data(*first, block, 1, true)?;
                *first += 1;
            } else {
                visitor.node(block)?;
                let bytes = self.read(block)?;
                self.pointers(&bytes, depth - 1, first, visitor)?;
            }
        }
        Ok(())
    }

    /// A node of a tree of extents, which must be less deep than `above`.
    fn extents(self, node: Bytes<'_>, above: u16, visitor: &mut impl Visitor) -> Result<(), Fault> {
        let (entries, depth) = (node.le16(2)?, node.le16(6)?);
        if node.le16(0)? != EXTENT_MAGIC || depth >= above {
            return Err(Fault::doubt("The blocks of a file cannot be told."));
        }
        for number in 1..=usize::from(entries) {
            let entry = Bytes(node.slice(number * EXTENT, EXTENT)?);
            if depth == 0 {
                let length = entry.le16(4)?;
                let written = length <= MOST_WRITTEN;
                let length = if written { length } else { length - MOST_WRITTEN };
                let start = u64::from(entry.le16(6)?) << 32 | u64::from(entry.le32(8)?);
                visitor.data(u64::from(entry.le32(0)?), start, u64::from(length), written)?;
            } else {
                let block = u64::from(entry.le16(8)?) << 32 | u64::from(entry.le32(4)?);
                visitor.node(block)?;
                let bytes = self.read(block)?;
                visitor.extents(Bytes(&bytes))?;
                self.extents(Bytes(&bytes), depth, visitor)?;
            }
        }
        Ok(())
    }

    fn read(self, block: u64) -> Result<Vec<u8>, Fault> {
        let size = self.superblock.block_size;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        self.volume.read_vec(block.saturating_mul(size), length)
    }
}
