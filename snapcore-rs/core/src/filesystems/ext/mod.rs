//! ext2, ext3 and ext4.
//!
//! What a block bitmap says is believed where the file system was unmounted cleanly, knows no error, every checksum that it has is
//! right, and the free counts of bitmaps, descriptors and superblock are the same. Where bitmaps have no checksum, no file may
//! use a block that is free. Source: Linux's
//! Documentation/filesystems/ext4.

mod bitmaps;
mod checksum;
mod descriptors;
mod inodes;
mod journal;
mod superblock;
mod tree;

pub use journal::Replayed;

use super::{Bytes, Fault, FileSystem, FreeRuns, Usage, Volume};
use bitmaps::{Before, Free};
use descriptors::Group;
use superblock::{INCOMPAT_RECOVER, Journal, Superblock};

/// Groups that are looked at at most where their descriptors are held twice, before and after the replay: 16 TiB with blocks of
/// 4 KiB.
const MOST_GROUPS_REPLAYED: u64 = 1 << 17;

/// ext2, ext3 or ext4, or the journal of one.
pub fn probe(volume: &Volume<'_>) -> crate::Result<Option<FileSystem>> {
    match look(volume) {
        Ok(found) => Ok(found),
        Err(Fault::Disk(error)) => Err(error),
        Err(Fault::Doubt(reason)) => Ok(Some(FileSystem::whole("ext4", reason))),
    }
}

fn look(volume: &Volume<'_>) -> Result<Option<FileSystem>, Fault> {
    let Some(bytes) = superblock::find(volume)? else { return Ok(None) };
    let names = superblock::names(&bytes)?;
    let usage = match map(&bytes, volume) {
        Ok((free, used_bytes)) => Usage::Mapped { free, used_bytes },
        Err(Fault::Doubt(reason)) => Usage::Whole { reason },
        Err(fault) => return Err(fault),
    };
    Ok(Some(FileSystem {
        kind: names.kind,
        label: names.label,
        uuid: names.uuid,
        size: names.size,
        block_size: names.block_size,
        usage,
    }))
}

fn map(bytes: &[u8], volume: &Volume<'_>) -> Result<(FreeRuns, u64), Fault> {
    let (superblock, free) = if has_to_be_replayed(bytes)? && volume.is_point_in_time() {
        free_all_the_time(bytes, volume)?
    } else {
        let superblock = Superblock::read(bytes, volume, Journal::Empty)?;
        let free = bitmaps::free(&superblock, volume, None)?;
        (superblock, free)
    };
    let used_blocks = superblock
        .blocks
        .checked_sub(free.blocks)
        .ok_or_else(|| Fault::doubt("It counts more free blocks than it has."))?;
    Ok((free.runs, used_blocks * superblock.block_size))
}

/// What is free once the journal is replayed, and was so all the time before.
fn free_all_the_time(bytes: &[u8], volume: &Volume<'_>) -> Result<(Superblock, Free), Fault> {
    let (before, groups, replayed) = replay(bytes, *volume)?;
    let after = Volume::whole(&replayed);
    let bytes = superblock::find(&after)?.unwrap_or_default();
    let superblock = Superblock::read(&bytes, &after, Journal::Replayed)?;
    if !superblock.fits(&before) {
        return Err(Fault::doubt("Its journal has to be replayed, and changes its size."));
    }
    let before = Before { replayed: &replayed, groups: &groups };
    let free = bitmaps::free(&superblock, &after, Some(&before))?;
    replayed.confirm()?;
    Ok((superblock, free))
}

type Replay<'a> = (Superblock, Vec<Group>, Replayed<'a>);

/// The superblock and the groups as they stand on the volume, and the volume with its journal replayed.
fn replay<'a>(bytes: &[u8], volume: Volume<'a>) -> Result<Replay<'a>, Fault> {
    let superblock = Superblock::read(bytes, &volume, Journal::Replayed)?;
    if superblock.groups > MOST_GROUPS_REPLAYED {
        return Err(Fault::doubt(
            "Its journal has to be replayed, and it has more block groups than Snapport looks at.",
        ));
    }
    let groups = descriptors::read(&superblock, &volume)?;
    let first = groups.first().ok_or_else(|| Fault::doubt("It has no block groups."))?;
    let replayed = journal::replay(bytes, &superblock, first, volume)?;
    Ok((superblock, groups, replayed))
}

/// The volume as it reads once its journal is replayed; nothing is written. None if it is not ext, or there is nothing to replay.
pub fn replayed(volume: Volume<'_>) -> Result<Option<Replayed<'_>>, Fault> {
    let Some(bytes) = superblock::find(&volume)? else { return Ok(None) };
    if !has_to_be_replayed(&bytes)? {
        return Ok(None);
    }
    Ok(Some(replay(&bytes, volume)?.2))
}

fn has_to_be_replayed(superblock: &[u8]) -> Result<bool, Fault> {
    Ok(Bytes(superblock).le32(96)? & INCOMPAT_RECOVER != 0)
}
