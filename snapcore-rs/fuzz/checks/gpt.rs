//! GUID partition tables, for sectors of 512 bytes and of 4 KiB.

use snapcore::checksum::crc32;
use snapcore::source::Source;

use super::{Disk, mbr};

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    mbr::check_table(&disk);
}

/// Both copies' sums: of the entries, then of the header.
pub fn mend(disk: &mut Disk) {
    let size = disk.size();
    for (header, sector) in [(512, 512), (size - 512, 512), (4096, 4096), (size - 4096, 4096)] {
        if disk.bytes(header, 8) != b"EFI PART" {
            continue;
        }
        let entries = disk.le64(header + 72).saturating_mul(sector);
        let length = disk.le32(header + 80).saturating_mul(disk.le32(header + 84));
        if let Some(length) = usize::try_from(length).ok().filter(|&length| length <= 1 << 20) {
            let sum = crc32(&disk.bytes(entries, length));
            disk.write(header + 88, &sum.to_le_bytes());
        }
        let length = disk.le32(header + 12).min(sector) as usize;
        disk.write(header + 16, &[0; 4]);
        let sum = crc32(&disk.bytes(header, length));
        disk.write(header + 16, &sum.to_le_bytes());
    }
}
