//! Whole disks: tables, LVM, and every file system behind them.

use snapcore::layout::{Content, Layout};
use snapcore::source::Source;

use super::{Disk, gpt, lvm, within_bounds};

pub fn mend(disk: &mut Disk) {
    gpt::mend(disk);
    lvm::mend(disk);
}

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let layout = within_bounds(&disk, || Layout::read(&disk, 512));
    check_layout(&layout, disk.size());
}

/// What must hold of any disk's layout.
pub fn check_layout(layout: &Layout, size: u64) {
    let mut end = 0;
    for run in layout.free.iter() {
        assert!(run.start < run.end && run.start >= end && run.end <= size);
        end = run.end;
    }
    assert!(layout.trouble.is_none() || layout.free.is_empty());
    let mut unused = 0;
    for partition in &layout.partitions {
        check_content(&partition.content, partition.entry.length);
        unused += partition.content.unused_bytes;
        for volume in &partition.volumes {
            check_content(&volume.content, volume.length);
        }
    }
    assert_eq!(unused, layout.free.bytes());
}

fn check_content(content: &Content, length: u64) {
    assert!(content.unused_bytes <= length);
    assert!(content.reason.is_none() || content.unused_bytes == 0);
}
