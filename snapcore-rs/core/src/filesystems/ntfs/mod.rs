//! NTFS.
//!
//! What must always hold: a cluster is free only on a volume that was shut down cleanly, whose own records can all be
//! read and agree with their mirror, and whose map of clusters no file's record contradicts. The clusters behind the last
//! whole one, in which the backup boot sector lies, are never free.
//!
//! [`boot`] tells where $MFT is; [`mft`] reads its [`record`]s; a [`stream`] is one attribute of a file, in [`runs`] of
//! clusters; [`logfile`] and [`hibernation`] look for a reason to doubt; [`clusters`] finds what is free.
//!
//! Memory: $MFT's runs and those of one other file (8 MiB each), the free runs (8 MiB), 2 MiB of buffers.
//!
//! Facts: the documentation of the Linux-NTFS project, and the fields' behaviour under mkntfs and ntfs-3g 2022.10.3.

mod boot;
mod clusters;
mod hibernation;
mod logfile;
mod mft;
mod record;
mod runs;
mod stream;

use super::{Bytes, Fault, FileSystem, Usage, Volume};
use crate::error::Result;

use boot::Boot;
use mft::Mft;
use record::{DATA, Name, VOLUME_INFORMATION, VOLUME_NAME};
use stream::Stream;

const LOGFILE: u64 = 2;
const VOLUME: u64 = 3;

/// The volume must be checked before it is used again.
const DIRTY: u16 = 0x0001;
/// Windows makes no short names here. The one flag of a volume in good order.
const NO_SHORT_NAMES: u16 = 0x0080;

const NTFS_ID: &[u8] = b"NTFS    ";

/// Tells NTFS.
pub fn probe(volume: &Volume<'_>) -> Result<Option<FileSystem>> {
    match examine(volume) {
        Ok(found) => Ok(found),
        // Nothing is a doubt before it is known to be NTFS but a volume too short to be anything.
        Err(Fault::Doubt(_)) => Ok(None),
        Err(Fault::Disk(error)) => Err(error),
    }
}

fn examine(volume: &Volume<'_>) -> std::result::Result<Option<FileSystem>, Fault> {
    let mut sector = [0; Boot::LENGTH];
    volume.read(0, &mut sector)?;
    if &sector[3..11] != NTFS_ID {
        return Ok(None);
    }
    let mut found = FileSystem::whole("NTFS", String::new());
    found.usage = match map(&sector, volume, &mut found) {
        Ok(usage) => usage,
        Err(Fault::Doubt(reason)) => Usage::Whole { reason },
        Err(Fault::Disk(error)) => return Err(Fault::Disk(error)),
    };
    Ok(Some(found))
}

/// Fills in what is known before a doubt comes up.
fn map(
    sector: &[u8],
    volume: &Volume<'_>,
    found: &mut FileSystem,
) -> std::result::Result<Usage, Fault> {
    let boot = Boot::parse(sector, volume)?;
    found.size = boot.size;
    found.block_size = u32::try_from(boot.cluster_size).unwrap_or(0);
    found.uuid = format!("{:016X}", boot.serial);
    let mft = Mft::open(volume, &boot)?;
    if let Some(Stream::Resident(name)) = mft.attribute(VOLUME, VOLUME_NAME, Name::NONE)? {
        found.label = label(&name);
    }
    check_state(&mft)?;
    clusters::check_mirror(&mft, &boot, volume)?;
    let log = mft
        .attribute(LOGFILE, DATA, Name::NONE)?
        .ok_or_else(|| Fault::doubt("The file table is damaged: the volume's log is missing."))?;
    logfile::check(&log, volume)?;
    hibernation::check(&mft, volume)?;
    let (free, used) = clusters::free(&mft, &boot, volume)?;
    Ok(Usage::Mapped { free, used_bytes: used * boot.cluster_size })
}

/// A doubt unless the volume says that it is in good order.
fn check_state(mft: &Mft<'_>) -> std::result::Result<(), Fault> {
    let Some(Stream::Resident(state)) = mft.attribute(VOLUME, VOLUME_INFORMATION, Name::NONE)?
    else {
        return Err(Fault::doubt("The file table is damaged: the volume's state is missing."));
    };
    let state = Bytes(&state);
    let (major, minor, flags) = (state.u8(8)?, state.u8(9)?, state.le16(10)?);
    if flags & DIRTY != 0 {
        return Err(Fault::doubt("The volume was not shut down cleanly: it is marked as dirty."));
    }
    if flags & !NO_SHORT_NAMES != 0 {
        return Err(Fault::doubt(format!(
            "The volume is not in order: Windows has left work to do on it (flags {flags:#06x})."
        )));
    }
    if !matches!((major, minor), (1, 0..=2) | (3, 0 | 1)) {
        return Err(Fault::doubt(format!("NTFS {major}.{minor} is not a known version.")));
    }
    Ok(())
}

/// UTF-16 as text fit to be shown.
fn label(wide: &[u8]) -> String {
    let units = wide.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.ok().filter(|letter| !letter.is_control()))
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
