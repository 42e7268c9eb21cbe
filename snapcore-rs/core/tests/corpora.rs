//! The fuzz targets' checks on their seeds and on what fuzzing kept: nothing panics, nothing hangs, nothing holds too
//! much memory, nothing free lies outside.

#[path = "../../fuzz/checks/mod.rs"]
#[allow(
    clippy::cast_possible_truncation, // sectors and their numbers are small
    clippy::pedantic,
    missing_docs
)]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use snapcore::filesystems::{Usage, Volume, ext, ntfs, xfs};

use checks::{Disk, MOST_MEMORY, TARGETS, Target, within_memory};

/// Memory is measured for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder).join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let inputs = paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap()));
    inputs.collect()
}

#[test]
fn every_input_ends_well() {
    let _alone = alone();
    for Target { name, check, .. } in TARGETS {
        for (folder, least) in [("seeds", 1), ("corpus", 20)] {
            let inputs = inputs(folder, name);
            assert!(inputs.len() >= least, "{name}: {} in {folder}", inputs.len());
            for (path, input) in inputs {
                // Shown where a check fails.
                println!("{}", path.display());
                check(&input);
            }
        }
    }
}

/// Fuzzing begins behind every check: the seeds are in good order, and sums made good are what they were.
#[test]
fn seeds_are_in_good_order() {
    let _alone = alone();
    for Target { name, mend, .. } in TARGETS {
        for (path, input) in inputs("seeds", name) {
            let disk = Disk::of(&input);
            let mut mended = Disk::of(&input);
            mend(&mut mended);
            // A record and its mirror may bear other marks of torn writes.
            let same = *name == "ntfs" || mended.sectors() == disk.sectors();
            assert!(same, "{}", path.display());
            let probe = match *name {
                "ext" | "journal" => ext::probe,
                "ntfs" => ntfs::probe,
                "xfs" => xfs::probe,
                _ => continue,
            };
            for disk in [disk, mended] {
                let found = probe(&Volume::whole(&disk)).unwrap().unwrap();
                if let Usage::Whole { reason } = found.usage {
                    panic!("{}: {reason}", path.display());
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "bytes were held")]
fn memory_is_measured() {
    let _alone = alone();
    // Far more: a test that has just ended may still let go of something.
    within_memory(|| std::hint::black_box(vec![1_u8; 2 * MOST_MEMORY]));
}
