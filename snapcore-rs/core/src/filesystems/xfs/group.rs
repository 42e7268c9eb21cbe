//! An allocation group's free space: its header, and two B+trees of the same runs.
//!
//! The trees are sorted by place and by length. In version 4 nothing else tells of a wrong bit in them: each run of the one
//! has to be in the other. The sums of both are compared rather than the runs, of which there may be a hundred million.

use std::ops::Range;

use super::super::{Bytes, Fault, FreeRuns, Volume};
use super::superblock::{Superblock, checksum};

/// Sectors in front of a group that hold its headers.
const HEADERS: u64 = 4;
/// No tree is higher.
const MOST_LEVELS: u32 = 9;
/// Keys and records of both trees: first block and number of blocks, 4 bytes each.
const RECORD: usize = 8;
const POINTER: usize = 4;
const NO_BLOCK: u32 = 0xffff_ffff;

/// What a group counts as free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Blocks in the trees.
    pub free: u64,
    /// Blocks kept for the trees to grow.
    pub list: u64,
    /// Blocks that the trees have beyond their roots.
    pub trees: u64,
}

/// One tree's kind.
#[derive(Clone, Copy, Debug)]
struct Tree {
    /// In version 4, and in version 5.
    magic: [[u8; 4]; 2],
    by_length: bool,
}

const BY_PLACE: Tree = Tree { magic: [*b"ABTB", *b"AB3B"], by_length: false };
const BY_LENGTH: Tree = Tree { magic: [*b"ABTC", *b"AB3C"], by_length: true };

/// What is compared of two trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    runs: u64,
    blocks: u64,
    longest: u64,
    mixed: u64,
}

/// Appends a group's free runs to `free`.
pub fn read(
    superblock: &Superblock,
    group: u64,
    volume: &Volume<'_>,
    free: &mut FreeRuns,
) -> Result<Counts, Fault> {
    let wrong = |what: &str| Fault::doubt(format!("Allocation group {group} is damaged: {what}."));
    let start = group * superblock.group_blocks * superblock.block_size;
    let sector_size = usize::try_from(superblock.sector_size).unwrap_or(usize::MAX);
    let mut header = volume.read_vec(start + superblock.sector_size, sector_size)?;
    let blocks = superblock.blocks_of(group);
    let view = Bytes(&header);
    if view.array::<4>(0)? != *b"XAGF"
        || view.be32(4)? != 1
        || u64::from(view.be32(8)?) != group
        || u64::from(view.be32(12)?) != blocks
    {
        return Err(wrong("its header is not where it should be"));
    }
    if superblock.has_crc {
        if view.array(64)? != superblock.meta_uuid {
            return Err(wrong("it belongs to another file system"));
        }
        checksum(&mut header, 216)?;
    }
    let view = Bytes(&header);
    let counts = Counts {
        free: u64::from(view.be32(52)?),
        list: u64::from(view.be32(48)?),
        trees: u64::from(view.be32(60)?),
    };
    let group = Group { superblock, volume, number: group, start, blocks };
    let (by_place, by_length) = (view.be32(16)?, view.be32(20)?);
    let place_levels = view.be32(28)?;
    let length_levels = view.be32(32)?;
    let sums = group.walk(BY_PLACE, by_place, place_levels, |run| {
        free.push(run.start, run.end - run.start);
    })?;
    if sums.blocks != counts.free || sums.longest != u64::from(view.be32(56)?) {
        return Err(wrong("its free blocks are not as many as it counts"));
    }
    if sums != group.walk(BY_LENGTH, by_length, length_levels, |_| {})? {
        return Err(wrong("its two lists of free blocks differ"));
    }
    for root in [by_place, by_length] {
        let at = start + u64::from(root) * superblock.block_size;
        if free.overlaps(&(at..at + superblock.block_size)) {
            return Err(wrong("it calls its own blocks free"));
        }
    }
    Ok(counts)
}

struct Group<'a> {
    superblock: &'a Superblock,
    volume: &'a Volume<'a>,
    number: u64,
    /// In bytes of the volume.
    start: u64,
    blocks: u64,
}

impl Group<'_> {
    /// Tells `found` of every run in the tree, in bytes of the volume. Ends, because runs only ascend.
    fn walk(
        &self,
        tree: Tree,
        root: u32,
        levels: u32,
        mut found: impl FnMut(Range<u64>),
    ) -> Result<Sums, Fault> {
        if levels == 0 || levels > MOST_LEVELS {
            return Err(self.damaged());
        }
        let mut number = root;
        let mut block = self.block(tree, number, levels - 1)?;
        for level in (0..levels - 1).rev() {
            let view = Bytes(&block);
            let most = (block.len() - self.header()) / (RECORD + POINTER);
            number = view.be32(self.header() + most * RECORD)?;
            if view.be16(6)? == 0 || usize::from(view.be16(6)?) > most {
                return Err(self.damaged());
            }
            block = self.block(tree, number, level)?;
        }
        let mut sums = Sums::default();
        let mut last = None;
        let mut left = NO_BLOCK;
        loop {
            let view = Bytes(&block);
            let records = usize::from(view.be16(6)?);
            if (records == 0 && levels > 1)
                || self.header() + records * RECORD > block.len()
                || view.be32(8)? != left
            {
                return Err(self.damaged());
            }
            for record in block[self.header()..][..records * RECORD].chunks_exact(RECORD) {
                let record = Bytes(record);
                let (first, length) = (u64::from(record.be32(0)?), u64::from(record.be32(4)?));
                let key = if tree.by_length { (length, first) } else { (first, length) };
                let end = first + length;
                if length == 0
                    || end > self.blocks
                    || first * self.superblock.block_size < HEADERS * self.superblock.sector_size
                    || last.is_some_and(|(key_before, end_before)| {
                        key <= key_before || (!tree.by_length && first <= end_before)
                    })
                {
                    return Err(self.damaged());
                }
                last = Some((key, end));
                sums.runs += 1;
                sums.blocks = sums.blocks.saturating_add(length);
                sums.longest = sums.longest.max(length);
                sums.mixed = sums.mixed.wrapping_add(mix(first << 32 | length));
                found(self.place(first)..self.place(end));
            }
            left = number;
            number = view.be32(12)?;
            if number == NO_BLOCK {
                return Ok(sums);
            }
            block = self.block(tree, number, 0)?;
        }
    }

    /// A block of the group, in bytes of the volume.
    fn place(&self, block: u64) -> u64 {
        self.start + block * self.superblock.block_size
    }

    /// Bytes in front of a tree block's keys or records.
    fn header(&self) -> usize {
        if self.superblock.has_crc { 56 } else { 16 }
    }

    /// A block of a tree, checked to be that.
    fn block(&self, tree: Tree, number: u32, level: u32) -> Result<Vec<u8>, Fault> {
        if u64::from(number) >= self.blocks {
            return Err(self.damaged());
        }
        let at = self.place(number.into());
        let size = usize::try_from(self.superblock.block_size).unwrap_or(usize::MAX);
        let mut block = self.volume.read_vec(at, size)?;
        let view = Bytes(&block);
        let magic = tree.magic[usize::from(self.superblock.has_crc)];
        if view.array(0)? != magic || u32::from(view.be16(4)?) != level {
            return Err(self.damaged());
        }
        if self.superblock.has_crc {
            if view.be64(16)? != at / 512
                || view.array(32)? != self.superblock.meta_uuid
                || u64::from(view.be32(48)?) != self.number
            {
                return Err(self.damaged());
            }
            checksum(&mut block, 52)?;
        }
        Ok(block)
    }

    fn damaged(&self) -> Fault {
        Fault::doubt(format!(
            "Allocation group {} is damaged: its list of free blocks makes no sense.",
            self.number
        ))
    }
}

/// Spreads a run over 64 bits, so that sums of different runs differ: splitmix64's last step.
fn mix(run: u64) -> u64 {
    let mixed = (run ^ run >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
