//! Master boot records, logical partitions in their chain, and whatever else begins a disk.

use snapcore::filesystems::Volume;
use snapcore::partitions::{self, MOST_PARTITIONS};
use snapcore::source::Source;

use super::{Disk, within_bounds};

pub fn check(input: &[u8]) {
    check_table(&Disk::of(input));
}

/// Partitions lie within the disk, apart from each other.
pub fn check_table(disk: &Disk) {
    for sector_size in [512, 4096] {
        let table =
            within_bounds(disk, || partitions::read(&Volume::whole(disk), sector_size)).unwrap();
        assert!(table.trouble.is_none() || table.entries.is_empty());
        assert!(table.entries.len() <= MOST_PARTITIONS + 4);
        let mut end = 0;
        for entry in &table.entries {
            assert!(entry.start >= end && entry.length > 0);
            end = entry.start.checked_add(entry.length).unwrap();
            assert!(end <= disk.size());
        }
    }
}
