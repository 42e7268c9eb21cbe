//! The log: which blocks of the file system its committed transactions hold.

use std::ops::Range;

use super::place::Place;
use crate::filesystems::ext::checksum::crc32c;
use crate::filesystems::{Bytes, Fault, Volume};

const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPERBLOCK_V1: u32 = 3;
const SUPERBLOCK_V2: u32 = 4;
const REVOKE: u32 = 5;

const INCOMPAT_REVOKE: u32 = 0x1;
const INCOMPAT_64BIT: u32 = 0x2;
const INCOMPAT_CSUM_V2: u32 = 0x8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
/// Not known: asynchronous commits, and fast ones, which tell of blocks in other ways.
const INCOMPAT_KNOWN: u32 = INCOMPAT_REVOKE | INCOMPAT_64BIT | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3;
const CRC32C: u8 = 4;

const HEADER: usize = 12;
const SUPERBLOCK_LENGTH: usize = 1024;
const SUPERBLOCK_SUM: usize = 0xfc;
const COMMIT_SUM: usize = 16;
const REVOKES: usize = 16;

const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// Copies that are looked at at most: as many blocks of 4 KiB as the largest journal has that mke2fs makes by itself. 6 MiB.
const MOST_COPIES: usize = 1 << 18;
/// Of 16 bytes each.
const MOST_REVOKES: usize = 1 << 19;

/// A block of the file system as a transaction left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// The block of the file system.
    pub(super) block: u64,
    /// The number of the journal's block that has it.
    pub(super) at: u32,
    sequence: u32,
    sum: u32,
    /// It began like a block of the journal; that was taken out.
    escaped: bool,
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

/// How blocks of the journal are written.
#[derive(Clone, Copy, Debug)]
struct Shape {
    wide: bool,
    sums: Sums,
    seed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sums {
    None,
    /// Of a copy, the lower half.
    V2,
    V3,
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
        let shape = Shape { wide: false, sums: Sums::None, seed: 0 };
        let mut log = Self { place, shape, block_size, copies: Vec::new() };
        let superblock = log.block(0, volume)?;
        let superblock = Bytes(&superblock);
        log.shape = shape_of(superblock)?;
        let ring = ring_of(superblock, log.block_size, log.place.blocks())?;
        if ring.start != 0 {
            log.copies = log.walk(&ring, volume)?.settled();
        }
        Ok(log)
    }

    /// Every copy of these blocks, whether it stands or not: in the blocks' order, those of one block oldest first.
    pub(super) fn copies_of(&self, blocks: &Range<u64>) -> &[Copy] {
        let start = self.copies.partition_point(|copy| copy.block < blocks.start);
        let end = self.copies.partition_point(|copy| copy.block < blocks.end);
        self.copies.get(start..end).unwrap_or_default()
    }

    /// What a copy holds; none where its sum is wrong.
    pub(super) fn content(
        &self,
        copy: &Copy,
        volume: &Volume<'_>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let mut block = self.block(u64::from(copy.at), volume)?;
        let sum = crc32c(crc32c(self.shape.seed, &copy.sequence.to_be_bytes()), &block);
        let right = match self.shape.sums {
            Sums::None => true,
            Sums::V2 => copy.sum == sum & 0xffff,
            Sums::V3 => copy.sum == sum,
        };
        if copy.escaped {
            block[..4].copy_from_slice(&MAGIC.to_be_bytes());
        }
        Ok(right.then_some(block))
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
                        found.copies.push(Copy { at: number, sequence, ..tag });
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
                    self.shape.revokes(bytes, |block| found.revoked.push((block, sequence)))?;
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
        copies.sort_by_key(|copy| copy.block);
        revoked.sort_by_key(|revoked| revoked.0);
        for copy in &mut copies {
            let after = revoked.partition_point(|revoked| revoked.0 <= copy.block);
            let last = after.checked_sub(1).and_then(|last| revoked.get(last));
            // Sequences go round.
            let is_revoked = |&&(block, sequence): &&(u64, u32)| {
                block == copy.block && sequence.wrapping_sub(copy.sequence) < 1 << 31
            };
            copy.stands = !last.is_some_and(|last| is_revoked(&last));
        }
        copies
    }
}

/// Checks a journal's superblock, and finds out how its blocks are written.
fn shape_of(superblock: Bytes<'_>) -> Result<Shape, Fault> {
    if superblock.be32(0)? != MAGIC {
        return Err(wrong("is not where it should be"));
    }
    match superblock.be32(4)? {
        SUPERBLOCK_V1 => return Ok(Shape { wide: false, sums: Sums::None, seed: 0 }),
        SUPERBLOCK_V2 => {}
        _ => return Err(wrong("is not where it should be")),
    }
    let (compat, incompat, ro_compat) =
        (superblock.be32(0x24)?, superblock.be32(0x28)?, superblock.be32(0x2c)?);
    if compat != 0 || incompat & !INCOMPAT_KNOWN != 0 || ro_compat != 0 {
        return Err(wrong("has features that Snapport does not know"));
    }
    let sums = match (incompat & INCOMPAT_CSUM_V2 != 0, incompat & INCOMPAT_CSUM_V3 != 0) {
        (false, false) => Sums::None,
        (true, false) => Sums::V2,
        (false, true) => Sums::V3,
        (true, true) => return Err(wrong("has features that contradict each other")),
    };
    if sums != Sums::None {
        let sum = crc32c(!0, superblock.slice(0, SUPERBLOCK_SUM)?);
        let sum = crc32c(sum, &[0; 4]);
        let rest = SUPERBLOCK_SUM + 4;
        let sum = crc32c(sum, superblock.slice(rest, SUPERBLOCK_LENGTH - rest)?);
        if superblock.u8(0x50)? != CRC32C || sum != superblock.be32(SUPERBLOCK_SUM)? {
            return Err(wrong("has a superblock whose checksum is wrong"));
        }
    }
    let seed = crc32c(!0, superblock.slice(0x30, 16)?);
    Ok(Shape { wide: incompat & INCOMPAT_64BIT != 0, sums, seed })
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

impl Shape {
    /// Bytes of a sum at a block's end.
    fn tail(self) -> usize {
        if self.sums == Sums::None { 0 } else { 4 }
    }

    /// The sum at the end of a descriptor or a revocation.
    fn check_tail(self, block: &[u8]) -> Result<(), Fault> {
        self.check_sum(block, block.len() - 4)
    }

    fn check_commit(self, block: &[u8]) -> Result<(), Fault> {
        self.check_sum(block, COMMIT_SUM)
    }

    fn check_sum(self, block: &[u8], at: usize) -> Result<(), Fault> {
        if self.sums == Sums::None {
            return Ok(());
        }
        let sum = crc32c(crc32c(crc32c(self.seed, &block[..at]), &[0; 4]), &block[at + 4..]);
        if sum == Bytes(block).be32(at)? {
            Ok(())
        } else {
            Err(wrong("has a block whose checksum is wrong"))
        }
    }

    /// What a descriptor says of the blocks behind it; their places are yet to be told.
    fn tags(self, block: &[u8]) -> Result<Vec<Copy>, Fault> {
        let bytes = Bytes(block);
        let length = match self.sums {
            Sums::V3 => 16,
            Sums::V2 if self.wide => 14,
            Sums::V2 => 10,
            Sums::None if self.wide => 12,
            Sums::None => 8,
        };
        let end = block.len() - self.tail();
        let (mut tags, mut at) = (Vec::new(), HEADER);
        while at + length <= end {
            let low = u64::from(bytes.be32(at)?);
            let (flags, high, sum) = if self.sums == Sums::V3 {
                (bytes.be32(at + 4)?, bytes.be32(at + 8)?, bytes.be32(at + 12)?)
            } else {
                let high = if self.wide { bytes.be32(at + 8)? } else { 0 };
                (u32::from(bytes.be16(at + 6)?), high, u32::from(bytes.be16(at + 4)?))
            };
            let high = if self.wide { u64::from(high) } else { 0 };
            let escaped = flags & ESCAPED != 0;
            let block = high << 32 | low;
            tags.push(Copy { block, at: 0, sequence: 0, sum, escaped, stands: true });
            if flags & LAST != 0 {
                break;
            }
            at += length + if flags & SAME_UUID == 0 { 16 } else { 0 };
        }
        Ok(tags)
    }

    fn revokes(self, block: Bytes<'_>, mut revoked: impl FnMut(u64)) -> Result<(), Fault> {
        let end = usize::try_from(block.be32(HEADER)?).unwrap_or(usize::MAX);
        if end > block.0.len() - self.tail() {
            return Err(wrong("revokes more than it has room for"));
        }
        let length = if self.wide { 8 } else { 4 };
        let mut at = REVOKES;
        while at + length <= end {
            revoked(if self.wide { block.be64(at)? } else { u64::from(block.be32(at)?) });
            at += length;
        }
        Ok(())
    }
}

fn wrong(what: &str) -> Fault {
    Fault::doubt(format!("Its journal has to be replayed, but it {what}."))
}
