//! ext2, ext3 and ext4.
//!
//! What a block bitmap says is believed where the file system was unmounted cleanly, knows no error, every checksum that it has is
//! right, and the free counts of bitmaps, descriptors and superblock are the same. Where bitmaps have no checksum, no file may
//! use a block that is free. Source: Linux's
//! Documentation/filesystems/ext4.

mod checksum;
mod groups;
mod inodes;
mod superblock;

use super::{Fault, FileSystem, FreeRuns, Usage, Volume};
use superblock::Superblock;

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
    let superblock = Superblock::read(bytes, volume)?;
    let free = groups::free_runs(&superblock, volume)?;
    let used_blocks = superblock
        .blocks
        .checked_sub(superblock.free_blocks)
        .ok_or_else(|| Fault::doubt("It counts more free blocks than it has."))?;
    Ok((free, used_blocks * superblock.block_size))
}
