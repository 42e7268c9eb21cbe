//! Which bytes of a volume its file system surely does not use.
//!
//! What must always hold:
//! - A superset, never a subset: whatever is not surely free is used. A file system that is dirty, has a journal to replay, a wrong
//!   checksum, a feature nobody here knows, or counts that do not agree is taken whole, with the reason in a sentence.
//! - Every byte is hostile: numbers are checked before they are used, no module holds more than [`MOST_MEMORY`] whatever a disk says, every
//!   loop ends, nothing panics.
//! - Only a disk that could not be read is an error. All else is a file system, perhaps taken whole, or none.
//!
//! Each module's `probe` tells of one kind of file system; [`probe`] asks them all.

mod bitmap;
mod bytes;
pub mod ext;
mod free;
pub mod ntfs;
pub mod recognised;
pub mod swap;
mod volume;
pub mod xfs;

use crate::error::Result;

pub use bitmap::clear_runs;
pub use bytes::Bytes;
pub use free::{FreeRuns, MOST_RUNS};
pub use volume::{Fault, MOST_READ, Volume};

/// Bytes that a file system's module may hold at a time, its [`FreeRuns`] included.
pub const MOST_MEMORY: usize = 64 << 20;

/// What is to be kept of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Everything but what is surely free.
    Mapped {
        /// Surely free.
        free: FreeRuns,
        /// Bytes that the file system counts as used, by its own words: what `df` would take for the rest of its size.
        used_bytes: u64,
    },
    /// Everything.
    Whole {
        /// One clear sentence: why nothing is skipped.
        reason: String,
    },
}

/// A file system, or whatever else a volume was recognised as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// "ext4", "NTFS", "XFS", "swap", "LUKS"…: for people.
    pub kind: &'static str,
    /// Empty where there is none. As written, with U+FFFD for what is no text.
    pub label: String,
    /// As its own tools write it; empty where there is none.
    pub uuid: String,
    /// Bytes, as the file system says; may be more than the volume has where it is taken whole. 0 where unknown.
    pub size: u64,
    /// Bytes of its unit of allocation; 0 where unknown.
    pub block_size: u32,
    /// What is to be kept.
    pub usage: Usage,
}

impl FileSystem {
    /// One that is recognised by name and taken whole.
    pub fn whole(kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            label: String::new(),
            uuid: String::new(),
            size: 0,
            block_size: 0,
            usage: Usage::Whole { reason: reason.into() },
        }
    }
}

type Probe = fn(&Volume<'_>) -> Result<Option<FileSystem>>;

/// Every module's `probe`.
const PROBES: &[Probe] = &[ext::probe, ntfs::probe, xfs::probe, swap::probe, recognised::probe];

/// The volume's file system; None where no module knows it. Errors are those of the disk.
///
/// A volume that more than one module knows, because an older file system's remains were never wiped, is taken whole.
pub fn probe(volume: &Volume<'_>) -> Result<Option<FileSystem>> {
    let mut found: Option<FileSystem> = None;
    for probe in PROBES {
        let Some(other) = probe(volume)? else { continue };
        found = Some(match found {
            None => other,
            Some(first) => {
                let reason = format!(
                    "It bears the signs of both {} and {}, so nobody can tell what is free.",
                    first.kind, other.kind
                );
                FileSystem { usage: Usage::Whole { reason }, ..first }
            }
        });
    }
    Ok(found)
}
