//! How blocks of the journal are written: descriptors, revocations, commits, and their sums.

use crate::filesystems::ext::checksum::crc32c;
use crate::filesystems::{Bytes, Fault};

pub(super) const MAGIC: u32 = 0xc03b_3998;
pub(super) const DESCRIPTOR: u32 = 1;
pub(super) const COMMIT: u32 = 2;
const SUPERBLOCK_V1: u32 = 3;
const SUPERBLOCK_V2: u32 = 4;
pub(super) const REVOKE: u32 = 5;

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

/// How blocks of the journal are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    wide: bool,
    sums: Sums,
    seed: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sums {
    #[default]
    None,
    /// Of a copy, the lower half.
    V2,
    V3,
}

/// What a descriptor says of a block behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    /// Of the file system.
    pub(super) block: u64,
    sum: u32,
    /// It began like a block of the journal; that was taken out.
    escaped: bool,
}

impl Shape {
    /// Checks a journal's superblock, and finds out how its blocks are written.
    pub(super) fn read(superblock: Bytes<'_>) -> Result<Self, Fault> {
        if superblock.be32(0)? != MAGIC {
            return Err(wrong("is not where it should be"));
        }
        match superblock.be32(4)? {
            SUPERBLOCK_V1 => return Ok(Self::default()),
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
        Ok(Self { wide: incompat & INCOMPAT_64BIT != 0, sums, seed })
    }

    /// Bytes of a sum at a block's end.
    fn tail(self) -> usize {
        if self.sums == Sums::None { 0 } else { 4 }
    }

    /// The sum at the end of a descriptor or a revocation.
    pub(super) fn check_tail(self, block: &[u8]) -> Result<(), Fault> {
        self.check_sum(block, block.len() - 4)
    }

    pub(super) fn check_commit(self, block: &[u8]) -> Result<(), Fault> {
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

    /// What a descriptor says of the blocks behind it.
    pub(super) fn tags(self, block: &[u8]) -> Result<Vec<Tag>, Fault> {
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
            tags.push(Tag { block: high << 32 | low, sum, escaped });
            if flags & LAST != 0 {
                break;
            }
            at += length + if flags & SAME_UUID == 0 { 16 } else { 0 };
        }
        Ok(tags)
    }

    /// The blocks that a revocation names.
    pub(super) fn revokes(self, block: &[u8]) -> Result<Vec<u64>, Fault> {
        let bytes = Bytes(block);
        let end = usize::try_from(bytes.be32(HEADER)?).unwrap_or(usize::MAX);
        if end > block.len() - self.tail() {
            return Err(wrong("revokes more than it has room for"));
        }
        let length = if self.wide { 8 } else { 4 };
        let places = (REVOKES..).step_by(length).take_while(|at| at + length <= end);
        let number = |at| if self.wide { bytes.be64(at) } else { bytes.be32(at).map(u64::from) };
        places.map(number).collect()
    }

    /// The block of the file system out of the journal's, of a transaction; none where its sum is wrong.
    pub(super) fn content(self, tag: &Tag, sequence: u32, mut block: Vec<u8>) -> Option<Vec<u8>> {
        let sum = || crc32c(crc32c(self.seed, &sequence.to_be_bytes()), &block);
        let right = match self.sums {
            Sums::None => true,
            Sums::V2 => tag.sum == sum() & 0xffff,
            Sums::V3 => tag.sum == sum(),
        };
        if tag.escaped {
            block[..4].copy_from_slice(&MAGIC.to_be_bytes());
        }
        right.then_some(block)
    }
}

pub(super) fn wrong(what: &str) -> Fault {
    Fault::doubt(format!("Its journal has to be replayed, but it {what}."))
}
