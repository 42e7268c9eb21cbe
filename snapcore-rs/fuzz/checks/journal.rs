//! ext3 and ext4 with a journal to replay, on the whole of a disk.

use snapcore::filesystems::{Volume, ext};
use snapcore::source::Source;

use super::{Disk, check_file_system, within_bounds};

const MAGIC: [u8; 4] = [0xc0, 0x3b, 0x39, 0x98];
const DESCRIPTOR: u64 = 1;
const COMMIT: u64 = 2;
const SUPERBLOCK: u64 = 4;
const REVOKE: u64 = 5;
const CSUM_V3: u64 = 0x10;
const TAG: u64 = 16;

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let volume = Volume::whole(&disk);
    let found = within_bounds(&disk, || ext::probe(&volume)).unwrap();
    if let Some(found) = found {
        check_file_system(&found, disk.size());
    }
    // Nothing but a doubt, or bytes.
    let Ok(Some(replayed)) = ext::replayed(volume) else { return };
    let mut bytes = vec![0; 1 << 20];
    replayed.read(0, &mut bytes).unwrap();
    let _ = replayed.confirm();
}

/// The sums of the journal's own blocks and of the copies in it; of the third kind, where blocks follow each other on the disk.
pub fn mend(disk: &mut Disk) {
    let blocks = disk.places_of(&MAGIC);
    let is_super = |disk: &Disk, at: u64| big(disk, at + 4) == SUPERBLOCK;
    let Some(superblock) = blocks.iter().copied().find(|&at| is_super(disk, at)) else { return };
    let size = big(disk, superblock + 12);
    if big(disk, superblock + 0x28) & CSUM_V3 == 0 || ![1024, 4096].contains(&size) {
        return;
    }
    put_sum(disk, !0, superblock, 1024, 0xfc);
    let seed = crc32c(!0, &disk.bytes(superblock + 0x30, 16));
    for at in blocks {
        match big(disk, at + 4) {
            DESCRIPTOR => {
                mend_tags(disk, seed, at, size);
                put_sum(disk, seed, at, size, size - 4);
            }
            REVOKE => put_sum(disk, seed, at, size, size - 4),
            COMMIT => put_sum(disk, seed, at, size, 16),
            _ => {}
        }
    }
}

fn mend_tags(disk: &mut Disk, seed: u32, at: u64, size: u64) {
    let sequence = disk.bytes(at + 8, 4);
    let (mut tag, mut copy) = (at + 12, at + size);
    while tag + TAG <= at + size - 4 {
        let flags = big(disk, tag + 4);
        let sum = crc32c(crc32c(seed, &sequence), &disk.bytes(copy, size as usize));
        disk.write(tag + 12, &sum.to_be_bytes());
        if flags & 8 != 0 {
            break;
        }
        tag += TAG + if flags & 2 == 0 { 16 } else { 0 };
        copy += size;
    }
}

/// The sum over a block that has it at `place`.
fn put_sum(disk: &mut Disk, seed: u32, at: u64, size: u64, place: u64) {
    disk.write(at + place, &[0; 4]);
    let sum = crc32c(seed, &disk.bytes(at, size as usize));
    disk.write(at + place, &sum.to_be_bytes());
}

fn big(disk: &Disk, at: u64) -> u64 {
    disk.le32(at).to_le_bytes()[..4].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn crc32c(register: u32, bytes: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!register, bytes)
}
