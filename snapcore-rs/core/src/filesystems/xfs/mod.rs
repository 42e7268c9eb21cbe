//! XFS, versions 4 and 5.
//!
//! What must always hold: a block is free only if the file system was unmounted cleanly, knows no feature that is not known
//! here, and both B+trees of its group list it; headers, trees and superblock agree on how many there are; in version 5
//! every block read bears the right checksum. The few blocks that a group keeps for its trees to grow, and
//! those that the trees have, are counted as free by the superblock and taken for used here.
//!
//! [`superblock`] tells sizes and features; [`log`] whether there is anything to recover; [`group`] reads what is free.
//!
//! Memory: the free runs (8 MiB), a block of each tree, 1 MiB of the log.
//!
//! Facts: XFS Algorithms & Data Structures (kernel.org), and the fields' behaviour under xfsprogs 6.1 and Linux 6.

mod group;
mod log;
mod superblock;

use super::{Bytes, Fault, FileSystem, FreeRuns, Usage, Volume};
use crate::error::Result;

use superblock::Superblock;

/// Tells XFS.
pub fn probe(volume: &Volume<'_>) -> Result<Option<FileSystem>> {
    let mut sector = [0; Superblock::LENGTH];
    match volume.read(0, &mut sector) {
        Ok(()) if sector.starts_with(Superblock::MAGIC) => {}
        Ok(()) | Err(Fault::Doubt(_)) => return Ok(None),
        Err(Fault::Disk(error)) => return Err(error),
    }
    let mut found = FileSystem::whole("XFS", String::new());
    let view = Bytes(&sector);
    found.label = view.text(108, 12).unwrap_or_default();
    found.uuid = view.uuid(32).unwrap_or_default();
    found.usage = match map(&sector, volume, &mut found) {
        Ok(usage) => usage,
        Err(Fault::Doubt(reason)) => Usage::Whole { reason },
        Err(Fault::Disk(error)) => return Err(error),
    };
    Ok(Some(found))
}

/// Fills in what is known before a doubt comes up.
fn map(
    sector: &[u8],
    volume: &Volume<'_>,
    found: &mut FileSystem,
) -> std::result::Result<Usage, Fault> {
    let superblock = Superblock::parse(sector, volume)?;
    found.size = superblock.blocks * superblock.block_size;
    found.block_size = u32::try_from(superblock.block_size).unwrap_or(0);
    log::check(&superblock, volume)?;
    let mut free = FreeRuns::new(volume.length());
    let mut counted = 0;
    for number in 0..superblock.groups {
        let counts = group::read(&superblock, number, volume, &mut free)?;
        counted += counts.free + counts.list + if superblock.lazy { counts.trees } else { 0 };
    }
    if counted != superblock.free_blocks {
        return Err(Fault::doubt(
            "The superblock and the allocation groups disagree about how many blocks are free.",
        ));
    }
    if free.overlaps(&superblock.log()) {
        return Err(Fault::doubt("The file system calls its own log free."));
    }
    let used_bytes = (superblock.blocks - superblock.free_blocks) * superblock.block_size;
    Ok(Usage::Mapped { free, used_bytes })
}
