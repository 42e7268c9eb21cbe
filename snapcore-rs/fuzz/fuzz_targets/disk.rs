//! Whole disks: tables, LVM, and every file system behind them.
#![no_main]

#[path = "../sectors.rs"]
mod sectors;

use libfuzzer_sys::fuzz_target;

/// Makes good the sums that keep changed bytes from being looked at.
fn sum_up(disk: &mut sectors::Disk) {
    // GPT: the entries, then the header.
    let header = disk.bytes(512, 92);
    if header.starts_with(b"EFI PART") {
        let field = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let length = (field(80) as usize).saturating_mul(field(84) as usize).min(1 << 17);
        let sum = crc32fast::hash(&disk.bytes(u64::from(field(72)) % 64 * 512, length));
        disk.write(512 + 88, &sum.to_le_bytes());
        disk.write(512 + 16, &[0; 4]);
        let sum = crc32fast::hash(&disk.bytes(512, 92));
        disk.write(512 + 16, &sum.to_le_bytes());
    }
    // LVM in the first partition or on the whole disk: metadata, its area, the label.
    for start in [0, 1 << 20] {
        let lvm = |bytes: &[u8]| {
            let mut sum = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
            sum.update(bytes);
            (!sum.finalize()).to_le_bytes()
        };
        let label = start + 512;
        if disk.bytes(label, 8) != b"LABELONE" {
            continue;
        }
        let area = start + 4096;
        let place = disk.bytes(area + 40, 16);
        let number = |at: usize| u64::from_le_bytes(place[at..at + 8].try_into().unwrap());
        let (offset, length) = (number(0) % (1 << 20), number(8) % (1 << 18));
        let sum = lvm(&disk.bytes(area + offset, length as usize));
        disk.write(area + 56, &sum);
        let sum = lvm(&disk.bytes(area + 4, 508));
        disk.write(area, &sum);
        let sum = lvm(&disk.bytes(label + 20, 492));
        disk.write(label + 16, &sum);
    }
}

fuzz_target!(|input: &[u8]| {
    let mut disk = sectors::Disk::of(input);
    sum_up(&mut disk);
    sectors::check(&disk);
});
