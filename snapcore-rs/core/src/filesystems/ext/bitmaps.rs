//! Which blocks are free: what block bitmaps say, where everything agrees with them.

use std::ops::Range;

use super::checksum::crc32c;
use super::descriptors::{self, Group, has_super};
use super::inodes;
use super::journal::Replayed;
use super::superblock::{INCOMPAT_META_BG, INCOMPAT_MMP, RO_COMPAT_METADATA_CSUM, Superblock};
use crate::filesystems::{Bytes, Fault, FreeRuns, Volume, clear_runs};

const MMP_MAGIC: u32 = 0x004d_4d50;
const MMP_CLEAN: u32 = 0xff4d_4d50;

/// What is free in a file system whose counts and checksums agree everywhere.
pub(super) struct Free {
    pub(super) runs: FreeRuns,
    /// Blocks that the file system counts as free. After a replay there may be more than in the runs.
    pub(super) blocks: u64,
}

/// What is known of a volume before its journal is replayed.
pub(super) struct Before<'a> {
    pub(super) replayed: &'a Replayed<'a>,
    pub(super) groups: &'a [Group],
}

/// What is free. With `before`, `volume` is the replayed one, and what was free all the time.
pub(super) fn free(
    superblock: &Superblock,
    volume: &Volume<'_>,
    before: Option<&Before<'_>>,
) -> Result<Free, Fault> {
    in_use_by_nobody(superblock, volume)?;
    let groups = descriptors::read(superblock, volume)?;
    let structures = structures(superblock, &groups)?;
    let mut free = FreeRuns::new(volume.length());
    let mut free_blocks = 0_u64;
    for (number, group) in (0..).zip(&groups) {
        let blocks = superblock.group_blocks(number);
        let clusters = (blocks.end - blocks.start).div_ceil(superblock.cluster);
        let mut bitmap = bitmap(superblock, volume, group, &blocks, &structures)?;
        let free_clusters =
            clear_runs(&bitmap, clusters).map(|run| run.end - run.start).sum::<u64>();
        if let Some(before) = before {
            before.add(number, group, &mut bitmap)?;
        }
        for run in clear_runs(&bitmap, clusters) {
            let start = blocks.start + run.start * superblock.cluster;
            let end = (blocks.start + run.end * superblock.cluster).min(blocks.end);
            free.push(start * superblock.block_size, (end - start) * superblock.block_size);
        }
        if free_clusters != u64::from(group.free_clusters) {
            return Err(Fault::doubt(format!(
                "Block group {number} counts {} free, but its bitmap has {free_clusters}.",
                group.free_clusters
            )));
        }
        free_blocks += free_clusters * superblock.cluster;
    }
    // That count is kept up to date at the end of a mount only.
    if before.is_none() && free_blocks != superblock.free_blocks {
        return Err(Fault::doubt(format!(
            "Its superblock counts {} free blocks, but its block groups have {free_blocks}.",
            superblock.free_blocks
        )));
    }
    if !superblock.has_ro_compat(RO_COMPAT_METADATA_CSUM) {
        inodes::check(superblock, volume, &groups, &free)?;
    }
    Ok(Free { runs: free, blocks: free_blocks })
}

impl Before<'_> {
    /// Adds what was in use at any time to what is set in a group's bitmap.
    fn add(&self, number: u64, group: &Group, bitmap: &mut [u8]) -> Result<(), Fault> {
        let earlier = usize::try_from(number).ok().and_then(|number| self.groups.get(number));
        match earlier {
            Some(earlier) if earlier.has_the_place_of(group) => {
                // Never written then, nor now.
                if earlier.uninitialised && group.uninitialised {
                    return Ok(());
                }
                self.replayed.add_earlier(group.block_bitmap, bitmap)
            }
            _ => Err(Fault::doubt("Its journal moves block groups.")),
        }
    }
}

/// Multiple mount protection: nobody else has it mounted or checks it.
fn in_use_by_nobody(superblock: &Superblock, volume: &Volume<'_>) -> Result<(), Fault> {
    if !superblock.has_incompat(INCOMPAT_MMP) {
        return Ok(());
    }
    if superblock.mmp_block >= superblock.blocks {
        return Err(Fault::doubt("Its protection against being mounted twice is broken."));
    }
    let block = volume.read_vec(superblock.mmp_block * superblock.block_size, 1024)?;
    let (magic, sequence) = (Bytes(&block).le32(0)?, Bytes(&block).le32(4)?);
    if (magic, sequence) != (MMP_MAGIC, MMP_CLEAN) {
        return Err(Fault::doubt("It is mounted or being checked, perhaps by another machine."));
    }
    Ok(())
}

/// Runs of structures that are looked at at most: three for each group of the most. 24 MiB.
const MOST_STRUCTURES: usize = 3 << 19;

/// Every block that holds the file system's own structures: in order, disjoint.
fn structures(superblock: &Superblock, groups: &[Group]) -> Result<Vec<Range<u64>>, Fault> {
    let runs = Vec::with_capacity((groups.len() * 4).min(MOST_STRUCTURES));
    let mut found = Structures { superblock, runs, last: [None; 4] };
    for (number, group) in (0..).zip(groups) {
        let (start, length) = head(superblock, number);
        if length > 0 {
            let blocks = superblock.group_blocks(number);
            // A short last group may have no room for the reserved descriptors.
            found.add(0, start, length.min(blocks.end.saturating_sub(start)))?;
        }
        found.add(1, group.block_bitmap, 1)?;
        found.add(2, group.inode_bitmap, 1)?;
        found.add(3, group.inode_table, superblock.inode_table_blocks)?;
    }
    let mut runs = found.runs;
    runs.sort_unstable_by_key(|run| run.start);
    if runs.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return Err(Fault::doubt("Structures of the file system overlap."));
    }
    Ok(runs)
}

struct Structures<'a> {
    superblock: &'a Superblock,
    runs: Vec<Range<u64>>,
    /// The run that the last structure of each kind is in. With `flex_bg` the same kind of many groups stands in a row, without it
    /// all kinds of one group do.
    last: [Option<usize>; 4],
}

impl Structures<'_> {
    fn add(&mut self, kind: usize, start: u64, length: u64) -> Result<(), Fault> {
        let end = start.checked_add(length).filter(|&end| end <= self.superblock.blocks);
        let Some(end) = end.filter(|_| start >= self.superblock.first_data_block) else {
            return Err(Fault::doubt("A structure of the file system lies beyond its end."));
        };
        let mut last = self.last.iter().flatten().copied();
        let index = if let Some(index) = last.find(|&index| self.runs[index].end == start) {
            self.runs[index].end = end;
            index
        } else if self.runs.len() == MOST_STRUCTURES {
            return Err(Fault::doubt("Its structures are more scattered than Snapport looks at."));
        } else {
            self.runs.push(start..end);
            self.runs.len() - 1
        };
        self.last[kind] = Some(index);
        Ok(())
    }
}

/// What stands at the head of a group, superblock and descriptors: first block and number of blocks.
fn head(superblock: &Superblock, group: u64) -> (u64, u64) {
    let per_block = superblock.descriptors_per_block();
    let has_super = has_super(superblock, group);
    let start = superblock.group_blocks(group).start;
    let mut length = u64::from(has_super);
    if !superblock.has_incompat(INCOMPAT_META_BG) || group / per_block < superblock.first_meta_bg {
        if has_super {
            length += if superblock.has_incompat(INCOMPAT_META_BG) {
                superblock.first_meta_bg
            } else {
                superblock.groups.div_ceil(per_block) + superblock.reserved_gdt_blocks
            };
        }
    } else if [0, 1, per_block - 1].contains(&(group % per_block)) {
        length += 1;
    }
    if group == 0 && superblock.block_size == 1024 && superblock.first_data_block == 0 {
        length += 1; // bigalloc: block 0 comes before the superblock
    }
    (start, length)
}

/// A group's bitmap, a bit a cluster; made up of the structures in it where it was never written.
fn bitmap(
    superblock: &Superblock,
    volume: &Volume<'_>,
    group: &Group,
    blocks: &Range<u64>,
    structures: &[Range<u64>],
) -> Result<Vec<u8>, Fault> {
    let length = superblock.blocks_per_group / superblock.cluster / 8;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bitmap = if group.uninitialised {
        vec![0; length]
    } else {
        let bitmap = volume.read_vec(group.block_bitmap * superblock.block_size, length)?;
        if superblock.has_ro_compat(RO_COMPAT_METADATA_CSUM) {
            // Descriptors of 32 bytes have room for half of the sum.
            let mask = if superblock.descriptor_size >= 64 { !0 } else { 0xffff };
            if (crc32c(superblock.seed, &bitmap) ^ group.bitmap_checksum) & mask != 0 {
                return Err(Fault::doubt("The checksum of a block bitmap is wrong."));
            }
        }
        bitmap
    };
    let first = structures.partition_point(|run| run.end <= blocks.start);
    for run in structures[first..].iter().take_while(|run| run.start < blocks.end) {
        let start = (run.start.max(blocks.start) - blocks.start) / superblock.cluster;
        let end = (run.end.min(blocks.end) - blocks.start).div_ceil(superblock.cluster);
        for bit in start..end {
            let Some(byte) = usize::try_from(bit / 8).ok().and_then(|index| bitmap.get_mut(index))
            else {
                return Err(Fault::doubt("A structure of the file system lies beyond its end."));
            };
            let mask = 1 << (bit % 8);
            if !group.uninitialised && *byte & mask == 0 {
                return Err(Fault::doubt(
                    "A block bitmap takes the file system's own structures for free.",
                ));
            }
            *byte |= mask;
        }
    }
    Ok(bitmap)
}
