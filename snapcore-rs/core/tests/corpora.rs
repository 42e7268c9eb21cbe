//! The fuzz targets' seeds and whatever they found: nothing panics, nothing hangs, nothing free lies outside.

#[path = "../../fuzz/sectors.rs"]
#[allow(dead_code, clippy::cast_possible_truncation)] // the targets use the rest; sectors are small
mod sectors;

use std::fs;
use std::path::Path;

use snapcore::filesystems::{Usage, Volume, ext, ntfs, xfs};

#[test]
fn every_seed_ends_well() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let mut count = 0;
    for target in ["disk", "ext", "ntfs", "xfs"] {
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let disk = sectors::Disk::of(&fs::read(seed.unwrap().path()).unwrap());
            sectors::check(&disk);
            ext::probe(&Volume::whole(&disk)).unwrap();
            let found =
                [ntfs::probe, xfs::probe].map(|probe| probe(&Volume::whole(&disk)).unwrap());
            // Their seeds are volumes in good order, so that fuzzing begins behind every check.
            let mapped =
                found.iter().flatten().any(|found| matches!(found.usage, Usage::Mapped { .. }));
            assert_eq!(mapped, matches!(target, "ntfs" | "xfs"));
            count += 1;
        }
    }
    assert!(count >= 15);
}
