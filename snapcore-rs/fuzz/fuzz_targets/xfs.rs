//! XFS on the whole of a disk.
#![no_main]

#[path = "../sectors.rs"]
mod sectors;

use libfuzzer_sys::fuzz_target;
use snapcore::filesystems::{Usage, Volume, xfs};

fuzz_target!(|input: &[u8]| {
    let disk = sectors::Disk::of(input);
    let volume = Volume::whole(&disk);
    let Ok(Some(found)) = xfs::probe(&volume) else { return };
    if let Usage::Mapped { free, used_bytes } = found.usage {
        assert!(free.bytes() <= found.size && used_bytes <= found.size);
    }
});
