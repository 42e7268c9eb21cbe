//! Bytes that come once and in order, from a pipe, cut by what they are.
//!
//! What must always hold: where a frame or a part may end depends on nothing but the bytes since the
//! last place where a part might have ended, and such a place depends on nothing but the 64 bytes
//! before it (but for [`BOUNDARY`], the most there may be between two). So a change in the middle
//! moves what is near it, and nothing behind the next such place.
//!
//! Memory: 1 MiB read ahead.

use std::fs::File;
use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::FRAME_SIZE;
use crate::error::{Error, Result};
use crate::parts::BOUNDARY;

/// How often a reader that waits looks whether it is to stop: 100 ms.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// One place in 4 MiB is a boundary. Fewer would make a change cost more, more would make more
/// objects: storing one takes 20 to 30 ms whatever its size.
const MASK: u64 = !(u64::MAX >> 22);
/// What each byte adds to the rolling hash: any fixed numbers that look random do.
const GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state: u64 = 0;
    let mut at = 0;
    while at < table.len() {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// A frame that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes; 0 at the end of the pipe.
    pub length: usize,
    /// Whether a part may end behind it.
    pub boundary: bool,
}

/// The reading end of a pipe, or of anything else that is read to its end.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    ahead: Vec<u8>,
    taken: usize,
    filled: usize,
    ended: bool,
    hash: u64,
    since_boundary: u64,
}

impl Pipe {
    /// Opens what stands behind a file descriptor of this process once more; the caller may close
    /// it.
    pub fn open(fd: RawFd) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(format!("/proc/self/fd/{fd}"), flags, Mode::empty());
        let file = file.map(File::from).map_err(|errno| {
            Error::usage(format!("The file descriptor {fd} cannot be read.")).because(errno)
        })?;
        Ok(Self {
            file,
            ahead: vec![0; FRAME_SIZE],
            taken: 0,
            filled: 0,
            ended: false,
            hash: 0,
            since_boundary: 0,
        })
    }

    /// Fills the begin of `frame`, of [`FRAME_SIZE`] bytes, up to the next place where a part may
    /// end. Waits for whoever writes; `stop` ends that within a tenth of a second.
    pub fn read(&mut self, frame: &mut [u8], stop: &AtomicBool) -> Result<Piece> {
        let mut length = 0;
        while length < frame.len() {
            if self.taken == self.filled && !self.fill(stop)? {
                break;
            }
            let room = frame.len() - length;
            let left = usize::try_from(BOUNDARY - self.since_boundary).unwrap_or(usize::MAX);
            let ahead = &self.ahead[self.taken..self.filled];
            let ahead = &ahead[..ahead.len().min(room).min(left)];
            let found = find_boundary(&mut self.hash, ahead);
            let count = found.unwrap_or(ahead.len());
            frame[length..length + count].copy_from_slice(&ahead[..count]);
            length += count;
            self.taken += count;
            self.since_boundary += count as u64;
            if found.is_some() || self.since_boundary == BOUNDARY {
                self.since_boundary = 0;
                return Ok(Piece { length, boundary: true });
            }
        }
        Ok(Piece { length, boundary: false })
    }

    /// Reads ahead; false at the end.
    fn fill(&mut self, stop: &AtomicBool) -> Result<bool> {
        while !self.ended {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::cancelled());
            }
            let mut waiting = [PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN)];
            match poll(&mut waiting, Some(&PATIENCE)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(failed(errno)),
            }
            match rustix::io::read(&self.file, &mut self.ahead[..]) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    (self.taken, self.filled) = (0, count);
                    return Ok(true);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(false)
    }
}

/// The number of bytes up to and with the first boundary.
fn find_boundary(hash: &mut u64, bytes: &[u8]) -> Option<usize> {
    let mut rolling = *hash;
    for (at, &byte) in bytes.iter().enumerate() {
        rolling = (rolling << 1).wrapping_add(GEAR[usize::from(byte)]);
        if rolling & MASK == 0 {
            *hash = rolling;
            return Some(at + 1);
        }
    }
    *hash = rolling;
    None
}

fn failed(errno: Errno) -> Error {
    Error::internal("The stream that is to be stored cannot be read.").because(errno)
}
