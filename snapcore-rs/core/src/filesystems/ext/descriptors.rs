//! Block group descriptors: where a group's structures stand, and what it counts.

use super::checksum::{crc16, crc32c};
use super::superblock::{
    COMPAT_SPARSE_SUPER2, INCOMPAT_META_BG, RO_COMPAT_METADATA_CSUM, RO_COMPAT_SPARSE_SUPER,
    Superblock,
};
use crate::filesystems::{Bytes, Fault, Volume};

const INODE_UNINIT: u16 = 1;
const BLOCK_UNINIT: u16 = 2;

/// What is wanted of a descriptor: 48 bytes, of at most half a million.
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    /// At the table's head; those behind were never used.
    pub(super) inodes: u64,
    pub(super) free_clusters: u32,
    pub(super) bitmap_checksum: u32,
    pub(super) uninitialised: bool,
}

impl Group {
    pub(super) fn has_the_place_of(&self, other: &Self) -> bool {
        (self.block_bitmap, self.inode_bitmap, self.inode_table)
            == (other.block_bitmap, other.inode_bitmap, other.inode_table)
    }
}

/// All of them, in order; their checksums are right.
pub(super) fn read(superblock: &Superblock, volume: &Volume<'_>) -> Result<Vec<Group>, Fault> {
    let mut groups = Vec::new();
    let block_size = usize::try_from(superblock.block_size).unwrap_or(usize::MAX);
    for index in 0..superblock.groups.div_ceil(superblock.descriptors_per_block()) {
        let at = descriptor_block(superblock, index);
        let block = volume.read_vec(at.saturating_mul(superblock.block_size), block_size)?;
        for bytes in block.chunks_exact(superblock.descriptor_size) {
            let number = groups.len() as u64;
            if number < superblock.groups {
                groups.push(descriptor(superblock, number, bytes)?);
            }
        }
    }
    Ok(groups)
}

/// Where the block of descriptors of this index stands.
fn descriptor_block(superblock: &Superblock, index: u64) -> u64 {
    // bigalloc with blocks of 1 KiB: the superblock is in block 1 all the same.
    let shift = u64::from(superblock.block_size == 1024 && superblock.first_data_block == 0);
    if !superblock.has_incompat(INCOMPAT_META_BG) || index < superblock.first_meta_bg {
        return superblock.first_data_block + shift + 1 + index;
    }
    let group = index * superblock.descriptors_per_block();
    let shift = if group == 0 { shift } else { 0 };
    superblock.group_blocks(group).start + shift + u64::from(has_super(superblock, group))
}

fn descriptor(superblock: &Superblock, number: u64, bytes: &[u8]) -> Result<Group, Fault> {
    let stored = Bytes(bytes).le16(30)?;
    let fields = Bytes(bytes);
    let number32 = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let (head, tail) = (fields.slice(0, 30)?, fields.slice(32, bytes.len() - 32)?);
    let sum = if superblock.has_ro_compat(RO_COMPAT_METADATA_CSUM) {
        let sum = crc32c(crc32c(superblock.seed, &number32), head);
        Some((crc32c(crc32c(sum, &[0, 0]), tail) & 0xffff) as u16)
    } else if superblock.has_descriptor_checksums() {
        let sum = crc16(crc16(crc16(!0, &superblock.uuid), &number32), head);
        Some(crc16(sum, tail))
    } else {
        None
    };
    if sum.is_some_and(|sum| sum != stored) {
        return Err(Fault::doubt(format!("The checksum of block group {number} is wrong.")));
    }
    let wide = bytes.len() >= 64;
    let number = |low: usize, high: usize| -> Result<u64, Fault> {
        let high = if wide { u64::from(fields.le32(high)?) } else { 0 };
        Ok(high << 32 | u64::from(fields.le32(low)?))
    };
    let half = |low: usize, high: usize| -> Result<u32, Fault> {
        let high = if wide { u32::from(fields.le16(high)?) } else { 0 };
        Ok(high << 16 | u32::from(fields.le16(low)?))
    };
    // Without a checksum the flags mean nothing.
    let flags = if superblock.has_descriptor_checksums() { fields.le16(18)? } else { 0 };
    let unused = if !superblock.has_descriptor_checksums() {
        0
    } else if flags & INODE_UNINIT != 0 {
        superblock.inodes_per_group
    } else {
        u64::from(half(28, 50)?)
    };
    Ok(Group {
        inodes: superblock.inodes_per_group.saturating_sub(unused),
        block_bitmap: number(0, 32)?,
        inode_bitmap: number(4, 36)?,
        inode_table: number(8, 40)?,
        free_clusters: half(12, 44)?,
        bitmap_checksum: half(24, 56)?,
        uninitialised: flags & BLOCK_UNINIT != 0,
    })
}

/// Whether a group begins with a copy of the superblock.
pub(super) fn has_super(superblock: &Superblock, group: u64) -> bool {
    if group == 0 {
        return true;
    }
    if superblock.has_compat(COMPAT_SPARSE_SUPER2) {
        return superblock.backup_groups.contains(&group);
    }
    !superblock.has_ro_compat(RO_COMPAT_SPARSE_SUPER)
        || group == 1
        || [3, 5, 7].into_iter().any(|base| is_power(group, base))
}

fn is_power(mut number: u64, base: u64) -> bool {
    while number > 1 && number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}
