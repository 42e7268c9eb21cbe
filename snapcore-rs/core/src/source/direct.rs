//! Reading past the page cache, to tell one bad sector from its neighbours.
//!
//! The kernel reads ahead in large pieces and fails a whole piece, and whoever waits for it, for
//! one bad sector. After an I/O error a page at a time is asked of the device itself: what is good
//! is read, what is bad is known to 4 KiB.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Bytes of a page, and the alignment that direct reads want of place, length and memory.
pub(super) const PAGE: usize = 4096;

/// Memory for a direct read.
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// A disk opened once more, past the page cache.
pub(super) struct Direct {
    file: File,
    page: Box<Page>,
}

impl Direct {
    /// None where the file system knows no direct reads: the error then stays as the kernel told
    /// it.
    pub(super) fn open(file: &File) -> Option<Self> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?.into();
        Some(Self { file, page: Box::new(Page([0; PAGE])) })
    }

    /// The bytes from `at` to the end of its page, at most `buffer`. Gives how many; 0 at the end
    /// of the disk.
    pub(super) fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let skipped = at % PAGE as u64;
        let count = rustix::io::pread(&self.file, &mut self.page.0, at - skipped)?;
        let bytes = self.page.0[..count].get(usize::try_from(skipped).unwrap_or(PAGE)..);
        let bytes = bytes.unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }
}
