//! The superblock: sizes, features, counts.

use std::ops::Range;

use super::super::{Bytes, Fault, Volume};

/// Sectors and blocks of XFS.
const SECTOR_SIZES: std::ops::RangeInclusive<u64> = 512..=32_768;
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 512..=65_536;

/// Groups have at least 16 MiB, unless there is only one.
const SMALLEST_GROUP: u64 = 16 << 20;
/// A log has less than 2 GiB.
const LARGEST_LOG: u64 = 2 << 30;

/// Feature bits of `sb_versionnum` whose meaning for free space is known: all of version 4's but SHARED.
const VERSION_BITS: u16 = 0xfdf0;
const LOG_V2: u16 = 0x0400;
const MORE_BITS: u16 = 0x8000;
/// Of `sb_features2`: lazy counters, attributes 2, parent pointers, 32-bit project ids, CRC, file types.
const FEATURES_2: u32 = 0x0002 | 0x0008 | 0x0010 | 0x0080 | 0x0100 | 0x0200;
const LAZY_COUNTERS: u32 = 0x0002;
const CRC: u32 = 0x0100;
/// Of `sb_features_ro_compat`: free inode B+tree, reverse map, reflink, inode B+tree counts.
const RO_COMPAT: u32 = 0x1 | 0x2 | 0x4 | 0x8;
/// Of `sb_features_incompat`: file types, sparse inodes, metadata UUID, big timestamps, large extent counts,
/// exchanged ranges, parent pointers.
const INCOMPAT: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
const META_UUID: u32 = 0x4;
const NEEDS_REPAIR: u32 = 0x10;

/// What the first sector says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks of the volume.
    pub blocks: u64,
    /// Bytes of a sector.
    pub sector_size: u64,
    /// Blocks of an allocation group; the last may have fewer.
    pub group_blocks: u64,
    /// Allocation groups.
    pub groups: u64,
    /// Bits of a block number within its group.
    group_bits: u32,
    /// First block of the log, as a number with the group in its high bits; 0 if it is elsewhere.
    log_start: u64,
    /// Blocks of the log.
    pub log_blocks: u64,
    /// Version of log records: 1 or 2.
    pub log_version: u32,
    /// Whether every block has a checksum: version 5.
    pub has_crc: bool,
    /// Whether B+tree blocks of free space are kept apart in the counts.
    pub lazy: bool,
    /// Free blocks.
    pub free_blocks: u64,
    /// The volume's.
    pub uuid: [u8; 16],
    /// What every other block bears; mostly the same.
    pub meta_uuid: [u8; 16],
}

impl Superblock {
    /// Bytes of the first sector that are looked at before its size is known.
    pub const LENGTH: usize = 512;
    /// At the start of every XFS volume.
    pub const MAGIC: &[u8] = b"XFSB";

    /// Checks the first sector.
    pub fn parse(sector: &[u8], volume: &Volume<'_>) -> Result<Self, Fault> {
        let view = Bytes(sector);
        let wrong = |what: &str| Fault::doubt(format!("The superblock is damaged: {what}."));
        let power = |size: u64, log: u8, sizes: std::ops::RangeInclusive<u64>| {
            sizes.contains(&size) && 1u64.checked_shl(log.into()) == Some(size)
        };
        let block_size = u64::from(view.be32(4)?);
        let sector_size = u64::from(view.be16(102)?);
        if !power(block_size, view.u8(120)?, BLOCK_SIZES)
            || !power(sector_size, view.u8(121)?, SECTOR_SIZES)
            || sector_size > block_size
        {
            return Err(wrong("its blocks have no possible size"));
        }
        let version = view.be16(100)?;
        let has_crc = match version & 0xf {
            4 => false,
            5 => true,
            other => return Err(Fault::doubt(format!("XFS {other} is not a known version."))),
        };
        let more = if version & MORE_BITS == 0 { 0 } else { view.be32(200)? };
        if version & !0xf & !VERSION_BITS != 0 || more & !FEATURES_2 != 0 {
            return Err(unknown_feature());
        }
        let mut meta_uuid = view.array(32)?;
        if has_crc {
            check_crc(sector_size, volume)?;
            meta_uuid = check_features(view)?;
        }
        if has_crc != (more & CRC != 0) {
            return Err(wrong("its version and its features disagree"));
        }
        if view.u8(126)? != 0 {
            return Err(Fault::doubt("The file system was not made to its end."));
        }
        if view.be64(16)? != 0 || view.be64(24)? != 0 {
            return Err(Fault::doubt("The file system has a realtime device."));
        }
        let superblock = Self {
            block_size,
            blocks: view.be64(8)?,
            sector_size,
            group_blocks: u64::from(view.be32(84)?),
            groups: u64::from(view.be32(88)?),
            group_bits: u32::from(view.u8(124)?),
            log_start: view.be64(48)?,
            log_blocks: u64::from(view.be32(96)?),
            log_version: if version & LOG_V2 == 0 { 1 } else { 2 },
            has_crc,
            lazy: has_crc || more & LAZY_COUNTERS != 0,
            free_blocks: view.be64(144)?,
            uuid: view.array(32)?,
            meta_uuid,
        };
        superblock.check_sizes(volume)?;
        Ok(superblock)
    }

    /// A doubt unless groups and log lie within the volume.
    fn check_sizes(&self, volume: &Volume<'_>) -> Result<(), Fault> {
        let wrong = |what: &str| Fault::doubt(format!("The superblock is damaged: {what}."));
        let bytes = self.blocks.checked_mul(self.block_size);
        if !bytes.is_some_and(|bytes| volume.holds(0, bytes)) {
            return Err(Fault::doubt("The partition ends before the file system in it does."));
        }
        if self.group_blocks < 64
            || self.groups != self.blocks.div_ceil(self.group_blocks)
            || self.groups == 0
            || (self.groups > 1 && self.group_blocks * self.block_size < SMALLEST_GROUP)
            || self.group_bits > 31
            || self.group_blocks > 1 << self.group_bits
        {
            return Err(wrong("its allocation groups have no possible size"));
        }
        if self.free_blocks > self.blocks {
            return Err(wrong("more blocks are free than there are"));
        }
        if self.log_start == 0 {
            return Err(Fault::doubt("The file system has its log on another device."));
        }
        let log = self.log();
        if self.log_start >> self.group_bits >= self.groups
            || log.is_empty()
            || log.end > self.blocks * self.block_size
            || log.end - log.start > LARGEST_LOG
        {
            return Err(wrong("its log has no possible place"));
        }
        Ok(())
    }

    /// The log, in bytes of the volume.
    pub fn log(&self) -> Range<u64> {
        let group = self.log_start >> self.group_bits;
        let block = self.log_start & ((1 << self.group_bits) - 1);
        let start = group.saturating_mul(self.group_blocks).saturating_add(block);
        let end = start.saturating_add(self.log_blocks);
        start.saturating_mul(self.block_size)..end.saturating_mul(self.block_size)
    }

    /// Blocks of a group.
    pub fn blocks_of(&self, group: u64) -> u64 {
        self.group_blocks.min(self.blocks - group * self.group_blocks)
    }
}

/// A doubt unless all features of version 5 are known; otherwise the UUID that metadata bears.
fn check_features(view: Bytes<'_>) -> Result<[u8; 16], Fault> {
    let incompat = view.be32(216)?;
    if incompat & NEEDS_REPAIR != 0 {
        return Err(Fault::doubt("The file system is marked as in need of repair."));
    }
    // Compatible features never matter to free space. Of those of the log there are none while it is clean.
    if view.be32(212)? & !RO_COMPAT != 0 || incompat & !INCOMPAT != 0 || view.be32(220)? != 0 {
        return Err(unknown_feature());
    }
    view.array(if incompat & META_UUID == 0 { 32 } else { 248 })
}

fn check_crc(sector_size: u64, volume: &Volume<'_>) -> Result<(), Fault> {
    let mut sector = volume.read_vec(0, usize::try_from(sector_size).unwrap_or(usize::MAX))?;
    checksum(&mut sector, 224)
}

/// A doubt unless the CRC-32C at `at` is that of all other bytes.
pub fn checksum(block: &mut [u8], at: usize) -> Result<(), Fault> {
    let stored = Bytes(block).le32(at)?;
    block[at..at + 4].fill(0);
    if crc32c::crc32c(block) != stored {
        return Err(Fault::doubt("A checksum of the file system's own blocks is wrong."));
    }
    Ok(())
}

fn unknown_feature() -> Fault {
    Fault::doubt("The file system has a feature that is not known here.")
}
