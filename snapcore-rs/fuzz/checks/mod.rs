//! What must hold whatever bytes a parser is given: a check for each fuzz target, which the tests run on seeds and kept corpora.
//!
//! - Nothing panics, and what is told of a disk lies within it.
//! - No more than [`MOST_MEMORY`] is held at a time, what was held before not counted.
//! - Every loop ends: bytes read are bounded by the disk's size, whatever it says.
//!
//! Sums that would keep changed bytes from being looked at are made good first; on what is in good order that changes nothing.
#![allow(dead_code)] // each target uses one check

pub mod disk;
pub mod ext;
pub mod gpt;
pub mod inflate;
pub mod journal;
pub mod lvm;
pub mod mbr;
pub mod ntfs;
mod sectors;
pub mod signs;
pub mod stored;
pub mod xfs;

use peak_alloc::PeakAlloc;
use snapcore::extents::ExtentMap;
use snapcore::filesystems::{FileSystem, Usage};
use snapcore::source::Source;

pub use sectors::Disk;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes.
pub const MOST_MEMORY: usize = 64 << 20;

/// A fuzz target.
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]),
    /// Makes sums good.
    pub mend: fn(&mut Disk),
}

const fn target(name: &'static str, check: fn(&[u8]), mend: fn(&mut Disk)) -> Target {
    Target { name, check, mend }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("disk", disk::check, disk::mend),
    target("ext", ext::check, ext::mend),
    target("gpt", gpt::check, gpt::mend),
    target("inflate", inflate::check, |_| {}),
    target("journal", journal::check, journal::mend),
    target("lvm", lvm::check, lvm::mend),
    target("mbr", mbr::check, |_| {}),
    target("ntfs", ntfs::check, ntfs::mend),
    target("signs", signs::check, |_| {}),
    target("stored", stored::check, |_| {}),
    target("xfs", xfs::check, xfs::mend),
];

/// Does `look`, which must stay within [`MOST_MEMORY`].
pub fn within_memory<T>(look: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let found = look();
    let held = MEMORY.peak_usage() - before;
    assert!(held <= MOST_MEMORY, "{held} bytes were held");
    found
}

/// Looks at a disk, and bounds what is read of it: twice over, and a megabyte for each look that only a few bytes are
/// taken from.
fn within_bounds<T>(disk: &Disk, look: impl FnOnce() -> T) -> T {
    let found = within_memory(look);
    let most = 2 * disk.size() + (64 << 20);
    assert!(disk.bytes_read() <= most, "{} bytes of {} were read", disk.bytes_read(), disk.size());
    found
}

/// What must hold of a file system's word.
fn check_file_system(found: &FileSystem, size: u64) {
    match &found.usage {
        Usage::Mapped { free, used_bytes } => {
            assert!(found.size <= size && *used_bytes <= found.size);
            let mut end = 0;
            for run in free.iter() {
                assert!(run.start < run.end && run.start >= end && run.end <= size);
                end = run.end;
            }
        }
        Usage::Whole { reason } => assert!(!reason.is_empty()),
    }
}

/// Extents make up all of the source.
fn check_extents(extents: &ExtentMap, size: u64) {
    assert_eq!(extents.size(), size);
    let mut end = 0;
    for data in extents.data_in(0..size) {
        assert!(data.start >= end && data.end > data.start && data.end <= size);
        end = data.end;
    }
}
