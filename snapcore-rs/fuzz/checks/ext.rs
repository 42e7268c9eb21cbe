//! ext2, ext3, ext4 on the whole of a disk.

use snapcore::filesystems::{Volume, ext};
use snapcore::source::Source;

use super::{Disk, check_file_system, within_bounds};

const SUPERBLOCK: u64 = 1024;
const METADATA_CSUM: u64 = 0x400;
const GDT_CSUM: u64 = 0x10;
const BIGALLOC: u64 = 0x200;
const IS_64BIT: u64 = 0x80;
const CSUM_SEED: u64 = 0x2000;
const BLOCK_UNINIT: u64 = 2;

/// Groups whose sums are made good.
const MOST_GROUPS: u64 = 64;

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let found = within_bounds(&disk, || ext::probe(&Volume::whole(&disk))).unwrap();
    if let Some(found) = found {
        check_file_system(&found, disk.size());
    }
}

/// The counts of free blocks, and the sums of bitmaps, descriptors and superblock. Descriptors are looked for where they
/// stand without `meta_bg`, which is where the first of them stand with it.
pub fn mend(disk: &mut Disk) {
    let Some(shape) = Shape::of(disk) else { return };
    let mut free = 0;
    for group in 0..shape.groups {
        let at = shape.table + group * shape.descriptor;
        // Where the bitmap was never written, nothing but the count tells of it.
        if !shape.has_sums || disk.le16(at + 18) & BLOCK_UNINIT == 0 {
            shape.mend_bitmap(disk, group, at);
        }
        shape.mend_descriptor(disk, group, at);
        free += shape.number(disk, at, (12, 44)) * shape.cluster;
    }
    if shape.has_all_groups {
        let free = free.to_le_bytes();
        disk.write(SUPERBLOCK + 12, &free[..4]);
        if shape.is_64bit {
            disk.write(SUPERBLOCK + 0x158, &free[4..]);
        }
    }
    if shape.metadata_csum {
        let sum = crc32c(!0, &disk.bytes(SUPERBLOCK, 0x3fc));
        disk.write(SUPERBLOCK + 0x3fc, &sum.to_le_bytes());
    }
}

/// What of a file system's shape is needed to find its sums.
struct Shape {
    is_64bit: bool,
    has_sums: bool,
    metadata_csum: bool,
    block: u64,
    cluster: u64,
    blocks: u64,
    first_block: u64,
    group_blocks: u64,
    /// Bits of a bitmap.
    group_clusters: u64,
    groups: u64,
    has_all_groups: bool,
    /// Bytes of a descriptor, and where the first stands.
    descriptor: u64,
    table: u64,
    uuid: Vec<u8>,
    seed: u32,
}

impl Shape {
    fn of(disk: &Disk) -> Option<Self> {
        if disk.le16(SUPERBLOCK + 56) != 0xef53 {
            return None;
        }
        let field = |at: u64| disk.le32(SUPERBLOCK + at);
        let (incompat, features) = (field(96), field(100));
        let is_64bit = incompat & IS_64BIT != 0;
        let block = 1024 << (field(24) % 7);
        let (first_block, group_blocks) = (field(20), field(32));
        let group_clusters = field(if features & BIGALLOC != 0 { 36 } else { 32 }).min(block * 8);
        let blocks = field(4) | if is_64bit { field(0x150) << 32 } else { 0 };
        let descriptor = if is_64bit { disk.le16(SUPERBLOCK + 254) } else { 32 };
        if ![32, 64].contains(&descriptor) {
            return None;
        }
        let cluster = group_blocks.checked_div(group_clusters).filter(|&blocks| blocks > 0)?;
        let all = blocks.saturating_sub(first_block).div_ceil(group_blocks);
        let groups = all.min(block / descriptor).min(MOST_GROUPS);
        let uuid = disk.bytes(SUPERBLOCK + 104, 16);
        let seed = if incompat & CSUM_SEED != 0 { field(0x270) as u32 } else { crc32c(!0, &uuid) };
        Some(Self {
            is_64bit,
            has_sums: features & (METADATA_CSUM | GDT_CSUM) != 0,
            metadata_csum: features & METADATA_CSUM != 0,
            block,
            cluster,
            blocks,
            first_block,
            group_blocks,
            group_clusters,
            groups,
            has_all_groups: groups == all,
            descriptor,
            // Blocks of 1 KiB in clusters begin with one before the superblock.
            table: (first_block + 1 + u64::from(block == 1024 && first_block == 0)) * block,
            uuid,
            seed,
        })
    }

    /// The count and the sum of a group's bitmap.
    fn mend_bitmap(&self, disk: &mut Disk, group: u64, at: u64) {
        let wide = if self.descriptor == 64 { disk.le32(at + 32) << 32 } else { 0 };
        let place = (disk.le32(at) | wide).saturating_mul(self.block);
        let bitmap = disk.bytes(place, self.group_clusters as usize / 8);
        let left = self.blocks - self.first_block - group * self.group_blocks;
        let bits = left.div_ceil(self.cluster).min(bitmap.len() as u64 * 8) as usize;
        let free = (0..bits).filter(|bit| bitmap[bit / 8] >> (bit % 8) & 1 == 0).count();
        self.put(disk, at, (12, 44), free as u32);
        if self.metadata_csum {
            self.put(disk, at, (24, 56), crc32c(self.seed, &bitmap));
        }
    }

    fn mend_descriptor(&self, disk: &mut Disk, group: u64, at: u64) {
        let bytes = disk.bytes(at, self.descriptor as usize);
        let number = (group as u32).to_le_bytes();
        let (head, tail) = (&bytes[..30], &bytes[32..]);
        let sum = if self.metadata_csum {
            crc32c(self.seed, &[&number[..], head, &[0, 0], tail].concat()) as u16
        } else if self.has_sums {
            crc16(!0, &[&self.uuid, &number[..], head, tail].concat())
        } else {
            return;
        };
        disk.write(at + 30, &sum.to_le_bytes());
    }

    /// A number whose halves stand apart.
    fn number(&self, disk: &Disk, at: u64, (low, high): (u64, u64)) -> u64 {
        disk.le16(at + low) | if self.descriptor == 64 { disk.le16(at + high) << 16 } else { 0 }
    }

    fn put(&self, disk: &mut Disk, at: u64, (low, high): (u64, u64), number: u32) {
        let bytes = number.to_le_bytes();
        disk.write(at + low, &bytes[..2]);
        if self.descriptor == 64 {
            disk.write(at + high, &bytes[2..]);
        }
    }
}

fn crc32c(register: u32, bytes: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!register, bytes)
}

fn crc16(register: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(register, |register, &byte| {
        (0..8).fold(register ^ u16::from(byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xa001 } else { sum >> 1 }
        })
    })
}
