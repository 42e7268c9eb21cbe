//! LVM2 on the whole of a disk.

use snapcore::filesystems::Volume;
use snapcore::lvm::{self, Mapped, PhysicalVolume};
use snapcore::source::Source;

use super::{Disk, within_bounds};

/// Runs that are looked at of each logical volume: striped by the sector there may be millions.
const MOST_RUNS: usize = 10_000;

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let volume = Volume::whole(&disk);
    let Some(found) = within_bounds(&disk, || lvm::probe(&volume)).unwrap() else { return };
    check_volumes(&found, &volume);
}

/// Logical volumes lie within the physical one, and bytes of theirs can be read wherever they lie.
fn check_volumes(found: &PhysicalVolume, volume: &Volume<'_>) {
    assert!(found.trouble.is_none() || found.volumes.is_empty());
    for logical in &found.volumes {
        let Ok(mapping) = &logical.mapping else { continue };
        assert_eq!(mapping.length(), logical.length);
        let (mut runs, mut covered) = (0, 0);
        let all = mapping.runs(&(0..mapping.length()), |start, length| {
            assert!(length > 0 && volume.holds(start, length));
            (runs, covered) = (runs + 1, covered + length);
            if runs < MOST_RUNS { Ok(()) } else { Err(()) }
        });
        assert!(all.is_err() || covered == mapping.length());
        let mapped = Mapped::new(*volume, mapping);
        for at in [0, mapped.size() / 2, mapped.size().saturating_sub(4096)] {
            let length = (mapped.size() - at).min(4096);
            mapped.read(at, &mut vec![0; length as usize]).unwrap();
        }
    }
}

/// The sums of the metadata, of its area and of the label, on the whole disk and in its first partition.
pub fn mend(disk: &mut Disk) {
    for start in [0, 1 << 20] {
        let label = start + 512;
        if disk.bytes(label, 8) != b"LABELONE" {
            continue;
        }
        let area = start + 4096;
        let (offset, length) = (disk.le64(area + 40) % (1 << 20), disk.le64(area + 48) % (1 << 18));
        let metadata = sum(&disk.bytes(area + offset, length as usize));
        disk.write(area + 56, &metadata);
        let header = sum(&disk.bytes(area + 4, 508));
        disk.write(area, &header);
        let all = sum(&disk.bytes(label + 20, 492));
        disk.write(label + 16, &all);
    }
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    sum.update(bytes);
    (!sum.finalize()).to_le_bytes()
}
