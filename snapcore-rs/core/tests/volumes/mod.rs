//! Volumes in files, made by the file systems' own tools.
#![allow(dead_code)] // each test file uses some of it

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::FallocateFlags;
use snapcore::Result;
use snapcore::source::Source;

/// A sparse file in a folder of its own that goes with it.
pub struct Image {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Image {
    pub fn new(size: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        File::create(&path).unwrap().set_len(size).unwrap();
        Self { path, _folder: folder }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn path_str(&self) -> String {
        self.path.display().to_string()
    }

    pub fn size(&self) -> u64 {
        self.path.metadata().unwrap().len()
    }

    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub fn resize(&self, size: u64) {
        OpenOptions::new().write(true).open(&self.path).unwrap().set_len(size).unwrap();
    }

    /// Makes a hole of what must be zeros from now on.
    pub fn punch(&self, at: u64, length: u64) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file, hole, at, length).unwrap();
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, at).unwrap();
    }
}

/// Checks kinds four at a time: the tools mostly wait.
pub fn each<T: Sync>(kinds: &[T], check: impl Fn(&T) + Sync) {
    for kinds in kinds.chunks(4) {
        thread::scope(|scope| {
            for kind in kinds {
                scope.spawn(|| check(kind));
            }
        });
    }
}

/// What a command prints. It has to end well.
pub fn run(command: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(command)
        .args(arguments)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{command} could not be run: {error}"));
    assert!(
        output.status.success(),
        "{command} {arguments:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(2000)]),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs a script in a mount namespace of its own, which takes its mounts with it.
pub fn shell(script: &str) -> Vec<u8> {
    run("timeout", &["100", "unshare", "-m", "sh", "-c", script])
}

/// Used and free blocks that partclone counts, of a `kind` that its programs are named after.
pub fn partclone(kind: &str, image: &Image) -> (u64, u64) {
    let path = image.path_str();
    let log = format!("{path}.log");
    // It syncs every disk of the machine, and waits for a clock that ticks each second or two.
    let partclone = format!("partclone.{kind}");
    run("eatmydata", &[&partclone, "-f", "1", "-c", "-s", &path, "-O", "/dev/null", "-L", &log]);
    let log = std::fs::read_to_string(log).unwrap();
    let blocks = |line: &str| -> u64 {
        let line = log.lines().find(|found| found.starts_with(line)).unwrap();
        line.rsplit("= ").next().unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    (blocks("Space in use:"), blocks("Free Space:"))
}

/// A volume in memory whose bytes can be damaged.
pub struct Damaged<'a>(pub &'a [u8], pub BTreeMap<u64, u8>);

impl Source for Damaged<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        for (at, byte) in self.1.range(offset..offset + buffer.len() as u64) {
            buffer[usize::try_from(at - offset).unwrap()] = *byte;
        }
        Ok(())
    }
}
