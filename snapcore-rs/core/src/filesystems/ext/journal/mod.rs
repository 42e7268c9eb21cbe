//! The journal of ext3 and ext4 (jbd2), and the file system as it is once its journal is replayed. Nothing is written.
//!
//! What must always hold:
//! - Whoever mounts the volume may replay all committed transactions, or fewer, or none: what is in use after any number of
//!   them is in use. So bitmaps are the sum of what stands in their place and of every copy in the log.
//! - The log ends where Linux ends it: at the first block that is not of the transaction whose turn it is. Where Linux might see
//!   more than is seen here (a sum that is wrong, a feature or kind of block that is not known) the volume is doubted.
//! - Only for a source that stays as it is: what is planned by a journal must be read with that journal.
//!
//! Source: Linux's Documentation/filesystems/ext4/journal.rst, and what fs/jbd2/recovery.c does.

mod blocks;
mod log;
mod place;
mod replayed;

pub use replayed::Replayed;

use log::Log;
use place::Place;

use super::descriptors::Group;
use super::superblock::Superblock;
use crate::filesystems::{Fault, Volume};

/// Replays the journal of a file system whose superblock, as it stands on the volume, is `bytes`.
pub(super) fn replay<'a>(
    bytes: &[u8],
    superblock: &Superblock,
    first_group: &Group,
    volume: Volume<'a>,
) -> Result<Replayed<'a>, Fault> {
    let place = Place::find(bytes, superblock, first_group, &volume)?;
    let log = Log::read(place, superblock.block_size, &volume)?;
    Ok(Replayed::new(volume, log, superblock.block_size))
}
