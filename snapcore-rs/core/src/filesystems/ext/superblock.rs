//! The superblock. Names are those of `struct ext4_super_block` in Linux's fs/ext4/ext4.h.

use super::checksum::crc32c;
use crate::filesystems::{Bytes, Fault, Volume};

const OFFSET: u64 = 1024;
const LENGTH: usize = 1024;
const MAGIC: u16 = 0xef53;

const STATE_VALID: u16 = 1;
const STATE_ERROR: u16 = 2;
const STATE_ORPHANS: u16 = 4;

pub(super) const COMPAT_HAS_JOURNAL: u32 = 0x4;
pub(super) const COMPAT_SPARSE_SUPER2: u32 = 0x200;
// dir_prealloc, imagic_inodes, has_journal, ext_attr, resize_inode, dir_index, sparse_super2, fast_commit, stable_inodes, orphan_file.
const COMPAT_KNOWN: u32 = 0x1
    | 0x2
    | COMPAT_HAS_JOURNAL
    | 0x8
    | 0x10
    | 0x20
    | COMPAT_SPARSE_SUPER2
    | 0x400
    | 0x800
    | 0x1000;

pub(super) const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
pub(super) const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
pub(super) const INCOMPAT_MMP: u32 = 0x100;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
// What ext3 has too: filetype, meta_bg.
const INCOMPAT_OF_EXT3: u32 = 0x2 | INCOMPAT_META_BG;
// extents, 64bit, mmp, flex_bg, ea_inode, csum_seed, largedir, inline_data, encrypt, casefold.
const INCOMPAT_KNOWN: u32 = INCOMPAT_OF_EXT3
    | 0x40
    | INCOMPAT_64BIT
    | INCOMPAT_MMP
    | 0x200
    | 0x400
    | INCOMPAT_CSUM_SEED
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000;

pub(super) const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
pub(super) const RO_COMPAT_GDT_CSUM: u32 = 0x10;
const RO_COMPAT_BIGALLOC: u32 = 0x200;
pub(super) const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const RO_COMPAT_ORPHAN_PRESENT: u32 = 0x1_0000;
// What the kernel sets when it comes to it: large_file, huge_file, dir_nlink, orphans.
const RO_COMPAT_CHANGES: u32 = 0x2 | 0x8 | 0x20 | RO_COMPAT_ORPHAN_PRESENT;
// What ext3 has too: sparse_super, large_file.
const RO_COMPAT_OF_EXT3: u32 = RO_COMPAT_SPARSE_SUPER | 0x2;
// huge_file, gdt_csum, dir_nlink, extra_isize, quota, bigalloc, metadata_csum, readonly, project, verity.
const RO_COMPAT_KNOWN: u32 = RO_COMPAT_OF_EXT3
    | 0x8
    | RO_COMPAT_GDT_CSUM
    | 0x20
    | 0x40
    | 0x100
    | RO_COMPAT_BIGALLOC
    | RO_COMPAT_METADATA_CSUM
    | 0x1000
    | 0x2000
    | 0x8000;

/// Groups that are looked at at most: 64 TiB with blocks of 4 KiB.
const MOST_GROUPS: u64 = 1 << 19;

/// What the journal still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// Nothing, or the file system is in doubt.
    Empty,
    /// What is read has its transactions.
    Replayed,
}

/// What identifies a file system, whether its structures make sense or not.
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) uuid: String,
    pub(super) size: u64,
    pub(super) block_size: u32,
}

/// A superblock whose numbers fit each other and the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
    /// Bytes, from 1 KiB to 64 KiB.
    pub(super) block_size: u64,
    pub(super) blocks: u64,
    /// Of all groups, in blocks.
    pub(super) free_blocks: u64,
    /// 1 with blocks of 1 KiB, but for bigalloc; else 0.
    pub(super) first_data_block: u64,
    /// Blocks in a bit of a bitmap.
    pub(super) cluster: u64,
    pub(super) blocks_per_group: u64,
    pub(super) groups: u64,
    pub(super) inode_table_blocks: u64,
    pub(super) inodes_per_group: u64,
    /// Bytes, a power of two, no more than a block.
    pub(super) inode_size: u64,
    /// Those before it are the file system's own.
    pub(super) first_inode: u64,
    pub(super) reserved_gdt_blocks: u64,
    pub(super) first_meta_bg: u64,
    pub(super) descriptor_size: usize,
    pub(super) backup_groups: [u64; 2],
    pub(super) mmp_block: u64,
    pub(super) uuid: [u8; 16],
    /// Where CRC-32C begins.
    pub(super) seed: u32,
}

/// The superblock's bytes, if the magic number is there.
pub(super) fn find(volume: &Volume<'_>) -> Result<Option<Vec<u8>>, Fault> {
    if !volume.holds(OFFSET, LENGTH as u64) {
        return Ok(None);
    }
    let bytes = volume.read_vec(OFFSET, LENGTH)?;
    Ok((Bytes(&bytes).le16(56)? == MAGIC).then_some(bytes))
}

fn blocks(bytes: Bytes<'_>, low: usize, high: usize, is_64bit: bool) -> Result<u64, Fault> {
    let high = if is_64bit { u64::from(bytes.le32(high)?) } else { 0 };
    Ok(high << 32 | u64::from(bytes.le32(low)?))
}

/// For people.
pub(super) fn names(bytes: &[u8]) -> Result<Names, Fault> {
    let bytes = Bytes(bytes);
    let (compat, incompat, ro_compat) = (bytes.le32(92)?, bytes.le32(96)?, bytes.le32(100)?);
    let kind = if incompat & INCOMPAT_JOURNAL_DEV != 0 {
        "ext journal"
    } else if incompat & !INCOMPAT_OF_EXT3 & !INCOMPAT_RECOVER != 0
        || ro_compat & !RO_COMPAT_OF_EXT3 != 0
    {
        "ext4"
    } else if compat & COMPAT_HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    let block_size = 1024_u32.checked_shl(bytes.le32(24)?).unwrap_or(0);
    let count = blocks(bytes, 4, 0x150, incompat & INCOMPAT_64BIT != 0)?;
    Ok(Names {
        kind,
        label: bytes.text(120, 16)?,
        uuid: bytes.uuid(104)?,
        size: count.saturating_mul(u64::from(block_size)),
        block_size,
    })
}

impl Superblock {
    /// Checks everything that the superblock alone can tell.
    pub(super) fn read(bytes: &[u8], volume: &Volume<'_>, journal: Journal) -> Result<Self, Fault> {
        let bytes = Bytes(bytes);
        let (compat, incompat, ro_compat) = (bytes.le32(92)?, bytes.le32(96)?, bytes.le32(100)?);
        if incompat & INCOMPAT_JOURNAL_DEV != 0 {
            return Err(Fault::doubt("It is the journal of another file system."));
        }
        let uuid: [u8; 16] = bytes.array(104)?;
        let mut seed = crc32c(!0, &uuid);
        if ro_compat & RO_COMPAT_METADATA_CSUM != 0 {
            if bytes.u8(0x175)? != 1 {
                return Err(Fault::doubt("Its checksums are of an unknown kind."));
            }
            if crc32c(!0, bytes.slice(0, 0x3fc)?) != bytes.le32(0x3fc)? {
                return Err(Fault::doubt("The checksum of its superblock is wrong."));
            }
            if ro_compat & RO_COMPAT_GDT_CSUM != 0 {
                return Err(Fault::doubt("Its features contradict each other."));
            }
        }
        if incompat & INCOMPAT_CSUM_SEED != 0 {
            seed = bytes.le32(0x270)?;
        }
        let (mut known_incompat, mut known_ro_compat) = (INCOMPAT_KNOWN, RO_COMPAT_KNOWN);
        if journal == Journal::Replayed {
            // Blocks of files that are deleted but open are in use until somebody clears them away.
            known_incompat |= INCOMPAT_RECOVER;
            known_ro_compat |= RO_COMPAT_ORPHAN_PRESENT;
        }
        state(bytes, incompat & !known_incompat, ro_compat & !known_ro_compat)?;
        let unknown =
            (compat & !COMPAT_KNOWN, incompat & !known_incompat, ro_compat & !known_ro_compat);
        if bytes.le32(76)? != 1 || unknown != (0, 0, 0) {
            return Err(Fault::doubt(format!(
                "It has features that Snapport does not know (revision {}; {:x}, {:x}, {:x}).",
                bytes.le32(76)?,
                unknown.0,
                unknown.1,
                unknown.2
            )));
        }
        Self::geometry(bytes, compat, incompat, ro_compat, uuid, seed)
            .and_then(|superblock| superblock.within(volume))
    }

    fn geometry(
        bytes: Bytes<'_>,
        compat: u32,
        incompat: u32,
        ro_compat: u32,
        uuid: [u8; 16],
        seed: u32,
    ) -> Result<Self, Fault> {
        let absurd = || Fault::doubt("The numbers in its superblock contradict each other.");
        let is_64bit = incompat & INCOMPAT_64BIT != 0;
        let bigalloc = ro_compat & RO_COMPAT_BIGALLOC != 0;

        let log_block_size = bytes.le32(24)?;
        if log_block_size > 6 {
            return Err(absurd());
        }
        let block_size = 1024_u64 << log_block_size;
        let cluster = if bigalloc {
            let log_cluster_size = bytes.le32(28)?;
            if log_cluster_size < log_block_size || log_cluster_size > 20 {
                return Err(absurd());
            }
            1_u64 << (log_cluster_size - log_block_size)
        } else {
            1
        };
        let first_data_block = u64::from(bytes.le32(20)?);
        if first_data_block != u64::from(block_size == 1024 && !bigalloc) {
            return Err(absurd());
        }

        let blocks_per_group = u64::from(bytes.le32(32)?);
        let clusters_per_group =
            if bigalloc { u64::from(bytes.le32(36)?) } else { blocks_per_group };
        if clusters_per_group == 0
            || clusters_per_group % 8 != 0
            || clusters_per_group > block_size * 8
            || clusters_per_group * cluster != blocks_per_group
        {
            return Err(absurd());
        }
        let inodes_per_group = u64::from(bytes.le32(40)?);
        let inode_size = u64::from(bytes.le16(88)?);
        if inodes_per_group == 0
            || inodes_per_group > block_size * 8
            || !inode_size.is_power_of_two()
            || !(128..=block_size).contains(&inode_size)
        {
            return Err(absurd());
        }
        let inode_table_blocks = (inodes_per_group * inode_size).div_ceil(block_size);

        let count = blocks(bytes, 4, 0x150, is_64bit)?;
        if count <= first_data_block {
            return Err(absurd());
        }
        let groups = (count - first_data_block).div_ceil(blocks_per_group);
        if groups > MOST_GROUPS {
            return Err(Fault::doubt("It has more block groups than Snapport looks at."));
        }
        let descriptor_size = if is_64bit { usize::from(bytes.le16(254)?) } else { 32 };
        if !descriptor_size.is_power_of_two()
            || is_64bit && descriptor_size < 64
            || descriptor_size as u64 > block_size
        {
            return Err(absurd());
        }
        Ok(Self {
            compat,
            incompat,
            ro_compat,
            block_size,
            blocks: count,
            free_blocks: blocks(bytes, 12, 0x158, is_64bit)?,
            first_data_block,
            cluster,
            blocks_per_group,
            groups,
            inode_table_blocks,
            inodes_per_group,
            inode_size,
            first_inode: u64::from(bytes.le32(84)?),
            reserved_gdt_blocks: u64::from(bytes.le16(206)?),
            first_meta_bg: u64::from(bytes.le32(260)?),
            descriptor_size,
            backup_groups: [u64::from(bytes.le32(0x24c)?), u64::from(bytes.le32(0x250)?)],
            mmp_block: bytes.le64(0x168)?,
            uuid,
            seed,
        })
    }

    fn within(self, volume: &Volume<'_>) -> Result<Self, Fault> {
        match self.blocks.checked_mul(self.block_size) {
            Some(size) if size <= volume.length() => Ok(self),
            _ => Err(Fault::doubt("It is larger than its partition.")),
        }
    }

    /// Whether the other is of the same file system, no larger and no smaller.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let other = other.clone();
        // These change while it is mounted.
        *self == Self { free_blocks: self.free_blocks, ro_compat: self.ro_compat, ..other }
            && (self.ro_compat ^ other.ro_compat) & !RO_COMPAT_CHANGES == 0
    }

    pub(super) fn has_compat(&self, feature: u32) -> bool {
        self.compat & feature != 0
    }

    pub(super) fn has_incompat(&self, feature: u32) -> bool {
        self.incompat & feature != 0
    }

    pub(super) fn has_ro_compat(&self, feature: u32) -> bool {
        self.ro_compat & feature != 0
    }

    /// Whether descriptors bear sums, and so their flags may be believed.
    pub(super) fn has_descriptor_checksums(&self) -> bool {
        self.has_ro_compat(RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM)
    }

    pub(super) fn descriptors_per_block(&self) -> u64 {
        self.block_size / self.descriptor_size as u64
    }

    /// The first block of a group, and the one after its last.
    pub(super) fn group_blocks(&self, group: u64) -> std::ops::Range<u64> {
        let start = self.first_data_block + group * self.blocks_per_group;
        start..(start + self.blocks_per_group).min(self.blocks)
    }
}

/// Is all that the file system knows in its blocks?
fn state(bytes: Bytes<'_>, incompat: u32, ro_compat: u32) -> Result<(), Fault> {
    let state = bytes.le16(58)?;
    if incompat & INCOMPAT_RECOVER != 0 {
        return Err(Fault::doubt(
            "Its journal has to be replayed: it is mounted, or was not unmounted cleanly.",
        ));
    }
    if state & STATE_ERROR != 0 {
        return Err(Fault::doubt("It has errors that were not repaired."));
    }
    if state & STATE_VALID == 0 {
        return Err(Fault::doubt("It is mounted, or was not unmounted cleanly."));
    }
    if state & STATE_ORPHANS != 0 || ro_compat & RO_COMPAT_ORPHAN_PRESENT != 0 {
        return Err(Fault::doubt(
            "Files that were deleted while open have still to be cleared away.",
        ));
    }
    Ok(())
}
