//! The log: which blocks of the file system its committed transactions hold.

use std::ops::Range;

use super::blocks::{COMMIT, DESCRIPTOR, MAGIC, REVOKE, Shape, Tag, wrong};
use super::place::Place;
use crate::filesystems::{Bytes, Fault, Volume};

/// Copies that are looked at at most: as many blocks of 4 KiB as the largest journal has that mke2fs makes by itself. 8 MiB.
const MOST_COPIES: usize = 1 << 18;
/// Of 16 bytes each.
const MOST_REVOKES: usize = 1 << 19;

/// A block of the file system as a transaction left it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) tag: Tag,
    /// The number of the journal's block that has it.
    at: u32,
    sequence: u32,
    /// No later transaction says that it is not to be replayed.
    pub(super) stands: bool,
}

/// What the committed transactions hold.
#[derive(Debug)]
pub(in crate::filesystems::ext) struct Log {
    place: Place,
    shape: Shape,
    block_size: usize,
    /// In the blocks' order, those of one block oldest first.
    copies: Vec<Copy>,
}

/// Transactions, oldest first.
#[derive(Default)]
struct Transactions {
    copies: Vec<Copy>,
    /// Copies of this block up to this transaction are not to be replayed.
    revoked: Vec<(u64, u32)>,
}

/// The part of the journal that is a ring, and where in it the log begins.
struct Ring {
    first: u64,
    end: u64,
    start: u64,
    sequence: u32,
}

impl Log {
    pub(super) fn read(place: Place, block_size: u64, volume: &Volume<'_>) -> Result<Self, Fault> {
        let block_size = usize::try_from(block_size).unwrap_or(usize::MAX);
        let mut log = Self { place, shape: Shape::default(), block_size, copies: Vec::new() };
        let superblock = log.block(0, volume)?;
        let superblock = Bytes(&superblock);
        log.shape = Shape::read(superblock)?;
        let ring = ring_of(superblock, log.block_size, log.place.blocks())?;
        if ring.start != 0 {
            log.copies = log.walk(&ring, volume)?.settled();
        }
        Ok(log)
    }

    /// Every copy of these blocks, whether it stands or not: in the blocks' order, those of one block oldest first.
    pub(super) fn copies_of(&self, blocks: &Range<u64>) -> &[Copy] {
        let start = self.copies.partition_point(|copy| copy.tag.block < blocks.start);
        let end = self.copies.partition_point(|copy| copy.tag.block < blocks.end);
        self.copies.get(start..end).unwrap_or_default()
    }

    /// What a copy holds; none where its sum is wrong.
    pub(super) fn content(
        &self,
        copy: &Copy,
        volume: &Volume<'_>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let block = self.block(u64::from(copy.at), volume)?;
        Ok(self.shape.content(&copy.tag, copy.sequence, block))
    }

    fn block(&self, number: u64, volume: &Volume<'_>) -> Result<Vec<u8>, Fault> {
        let block = self.place.of(number).ok_or_else(|| wrong("ends too early"))?;
        volume.read_vec(block.saturating_mul(self.block_size as u64), self.block_size)
    }

    /// From the first transaction to the last that was committed.
    fn walk(&self, ring: &Ring, volume: &Volume<'_>) -> Result<Transactions, Fault> {
        let mut found = Transactions::default();
        let length = ring.end - ring.first;
        let (mut at, mut sequence, mut gone) = (ring.start - ring.first, ring.sequence, 0);
        // Of the transaction that is not committed yet.
        let (mut committed, mut committed_revokes) = (0, 0);
        loop {
            let block = self.block(ring.first + at, volume)?;
            let bytes = Bytes(&block);
            if bytes.be32(0)? != MAGIC || bytes.be32(8)? != sequence {
                break;
            }
            let mut step = 1;
            match bytes.be32(4)? {
                DESCRIPTOR => {
                    self.shape.check_tail(&block)?;
                    for tag in self.shape.tags(&block)? {
                        let number = ring.first + (at + step) % length;
                        let number = u32::try_from(number).map_err(|_| wrong("is too long"))?;
                        found.copies.push(Copy { tag, at: number, sequence, stands: true });
                        step += 1;
                    }
                }
                COMMIT => {
                    self.shape.check_commit(&block)?;
                    sequence = sequence.wrapping_add(1);
                    (committed, committed_revokes) = (found.copies.len(), found.revoked.len());
                }
                REVOKE => {
                    self.shape.check_tail(&block)?;
                    let blocks = self.shape.revokes(&block)?;
                    found.revoked.extend(blocks.into_iter().map(|block| (block, sequence)));
                }
                _ => return Err(wrong("has a block of an unknown kind")),
            }
            if found.copies.len() > MOST_COPIES || found.revoked.len() > MOST_REVOKES {
                return Err(wrong("is longer than Snapport looks at"));
            }
            gone += step;
            if gone > length {
                return Err(wrong("runs in a circle"));
            }
            at = (at + step) % length;
        }
        found.copies.truncate(committed);
        found.revoked.truncate(committed_revokes);
        Ok(found)
    }
}

impl Transactions {
    fn settled(self) -> Vec<Copy> {
        let Self { mut copies, mut revoked } = self;
        // Both stable: the last of a block is its last.
        copies.sort_by_key(|copy| copy.tag.block);
        revoked.sort_by_key(|revoked| revoked.0);
        for copy in &mut copies {
            let after = revoked.partition_point(|revoked| revoked.0 <= copy.tag.block);
            let last = after.checked_sub(1).and_then(|last| revoked.get(last));
            // Sequences go round.
            let is_revoked = |&&(block, sequence): &&(u64, u32)| {
                block == copy.tag.block && sequence.wrapping_sub(copy.sequence) < 1 << 31
            };
            copy.stands = !last.is_some_and(|last| is_revoked(&last));
        }
        copies
    }
}

fn ring_of(superblock: Bytes<'_>, block_size: usize, blocks: u64) -> Result<Ring, Fault> {
    let field = |at| superblock.be32(at).map(u64::from);
    let ring = Ring {
        first: field(0x14)?,
        end: field(0x10)?,
        start: field(0x1c)?,
        sequence: superblock.be32(0x18)?,
    };
    if superblock.be32(0x20)? != 0 {
        return Err(wrong("was ended by an error"));
    }
    if field(0xc)? != block_size as u64
        || ring.end > blocks
        || ring.first == 0
        || ring.first >= ring.end
        || ring.start != 0 && !(ring.first..ring.end).contains(&ring.start)
    {
        return Err(wrong("has numbers that contradict each other"));
    }
    Ok(ring)
}
