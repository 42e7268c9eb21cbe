//! Swap, and whatever is known by its name alone.

use snapcore::filesystems::{Usage, Volume, recognised, swap};
use snapcore::source::Source;

use super::{Disk, check_file_system, within_bounds};

pub fn check(input: &[u8]) {
    let disk = Disk::of(input);
    let volume = Volume::whole(&disk);
    if let Some(found) = within_bounds(&disk, || swap::probe(&volume)).unwrap() {
        check_file_system(&found, disk.size());
    }
    if let Some(found) = within_bounds(&disk, || recognised::probe(&volume)).unwrap() {
        assert!(matches!(&found.usage, Usage::Whole { reason } if !reason.is_empty()));
    }
}
