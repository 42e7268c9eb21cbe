//! Volumes in files, made by the file systems' own tools.
#![allow(dead_code)] // each test file uses some of it

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    pub fn write(&self, at: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, at).unwrap();
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
