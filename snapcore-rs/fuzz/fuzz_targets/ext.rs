//! ext2, ext3, ext4 on the whole of a disk.
#![no_main]

#[path = "../sectors.rs"]
mod sectors;

use libfuzzer_sys::fuzz_target;
use snapcore::filesystems::{Usage, Volume, ext};

fuzz_target!(|input: &[u8]| {
    let disk = sectors::Disk::of(input);
    let volume = Volume::whole(&disk);
    let Ok(Some(found)) = ext::probe(&volume) else { return };
    if let Usage::Mapped { free, used_bytes } = found.usage {
        assert!(free.bytes() + used_bytes <= volume.length());
    }
});
