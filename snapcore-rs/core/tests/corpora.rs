//! The fuzz targets' seeds and whatever they found: nothing panics, nothing hangs, nothing free lies outside.

#[path = "../../fuzz/sectors.rs"]
#[allow(dead_code, clippy::cast_possible_truncation)] // the targets use the rest; sectors are small
mod sectors;

use std::fs;
use std::path::Path;

use snapcore::filesystems::{Volume, ext};

#[test]
fn every_seed_ends_well() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let mut count = 0;
    for target in ["disk", "ext"] {
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let disk = sectors::Disk::of(&fs::read(seed.unwrap().path()).unwrap());
            sectors::check(&disk);
            ext::probe(&Volume::whole(&disk)).unwrap();
            count += 1;
        }
    }
    assert!(count >= 8);
}
