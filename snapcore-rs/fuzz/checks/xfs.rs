//! XFS on the whole of a disk.

use snapcore::filesystems::{Volume, xfs};
use snapcore::source::Source;

use super::{Disk, check_file_system, within_bounds};

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let found = within_bounds(&disk, || xfs::probe(&Volume::whole(&disk))).unwrap();
    if let Some(found) = found {
        check_file_system(&found, disk.size());
    }
}

/// Version 5's sums: of the superblock, of groups' headers, of blocks of trees.
pub fn mend(disk: &mut Disk) {
    let superblock = disk.bytes(0, 122);
    let power = |log: u8| 1_usize << log.min(16);
    let (block, sector) = (power(superblock[120]), power(superblock[121]));
    if superblock[101] & 15 != 5 {
        return;
    }
    for (magic, length, at) in
        [(b"XFSB", sector, 224), (b"XAGF", sector, 216), (b"AB3B", block, 52), (b"AB3C", block, 52)]
    {
        for place in disk.places_of(magic) {
            disk.write(place + at, &[0; 4]);
            let sum = crc32c::crc32c(&disk.bytes(place, length));
            disk.write(place + at, &sum.to_le_bytes());
        }
    }
}
