//! NTFS on the whole of a disk, and ntfsclone's image of it.

use std::sync::Arc;

use snapcore::filesystems::{Usage, Volume, ntfs};
use snapcore::formats::ntfsclone::Image;
use snapcore::source::Source;

use super::{Disk, check_file_system, within_bounds, within_memory};

/// Frames of an image that are read.
const MOST_FRAMES: usize = 16;

pub fn check(input: &[u8]) {
    let mut disk = Disk::of(input);
    mend(&mut disk);
    let size = disk.size();
    let Some(found) = within_bounds(&disk, || ntfs::probe(&Volume::whole(&disk))).unwrap() else {
        return;
    };
    check_file_system(&found, size);
    if matches!(found.usage, Usage::Mapped { .. }) {
        within_memory(|| check_image(disk));
    }
}

/// An image can be read from its begin and to its end. It is refused only for what else was found on the volume.
fn check_image(disk: Disk) {
    let size = disk.size();
    let Ok(image) = Image::new(Arc::new(disk), 0..size) else { return };
    let mut at = 0;
    let mut frame = Vec::new();
    for _ in 0..MOST_FRAMES {
        let end = image.frame_end(at).unwrap().end.min(image.size());
        assert!(end > at && end - at <= snapcore::FRAME_SIZE as u64);
        frame.resize((end - at) as usize, 0);
        image.read(at, &mut frame).unwrap();
        at = end;
        if at == image.size() {
            return;
        }
    }
    frame.resize((image.size() - at).min(100_000) as usize, 0);
    image.read(image.size() - frame.len() as u64, &mut frame).unwrap();
}

/// The marks of torn writes, and the mirror of the first records.
pub fn mend(disk: &mut Disk) {
    for magic in [b"FILE", b"INDX", b"RSTR"] {
        for place in disk.places_of(magic) {
            let (start, marks) = (disk.le16(place + 4), disk.le16(place + 6).min(129));
            if start + 2 * marks > 510 {
                continue;
            }
            let mark = disk.bytes(place + start, 2);
            for sector in 1..marks {
                disk.write(place + sector * 512 - 2, &mark);
            }
        }
    }
    let cluster = disk.le16(11).saturating_mul(disk.le16(13) & 0xff);
    let place = |number: u64| number.saturating_mul(cluster);
    let records = disk.bytes(place(disk.le64(48)), 4096);
    if records.starts_with(b"FILE") {
        disk.write(place(disk.le64(56)), &records);
    }
}
