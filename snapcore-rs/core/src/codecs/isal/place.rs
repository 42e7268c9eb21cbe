//! Where a compressor's memory lies, because with ISA-L that reaches its output.
//!
//! `isal_deflate_icf_body_hash_hist_*` of ISA-L (2.30 and later) forgets to load the register from
//! which it hashes the bytes at position 2 of a stream, and hashes what the caller left there: the
//! address of the stream's struct, shifted right by 16. So position 2 is filed under a stray bucket
//! of 8,192, and where that happens to be the bucket of position 0 or 1 a match is missed: the
//! output is right but another, about once in 15,000 frames, and another in each process, as
//! addresses are random.
//!
//! The same frame must give the same bytes. So the memory is put where the stray bucket is always
//! the same one: the hash is a CRC-32C, of which addresses 64 KiB apart give all values, so some
//! place in any gigabyte of address space will do. What is not needed of that gigabyte, which is
//! never touched, is given back at once.

use std::ffi::c_void;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::error::{Error, Result};

/// The bits of an address that the stray hash does not see.
const UNSEEN: u32 = 16;
const WINDOW: usize = 1 << UNSEEN;
/// `IGZIP_HASH8K_HASH_SIZE` − 1: the buckets of level 1.
const BUCKETS: u32 = 8191;
/// The one that all compressors use.
const BUCKET: u32 = 0;
/// 15 bits of an address are enough to give all buckets; twice that holds them whole wherever it
/// begins.
const SEARCHED: usize = 2 * (WINDOW << 15);

/// Zeroed memory at such a place, on a boundary of 64 KiB.
#[derive(Debug)]
pub(super) struct Place {
    address: *mut c_void,
    length: usize,
}

// SAFETY: the memory belongs to this value alone, whichever thread holds it.
unsafe impl Send for Place {}

impl Place {
    pub(super) fn new(size: usize) -> Result<Self> {
        let length = size.next_multiple_of(WINDOW);
        Self::find(length).map_err(|errno| {
            Error::internal("There is no address space for a compressor.").because(errno)
        })
    }

    fn find(length: usize) -> std::result::Result<Self, Errno> {
        // SAFETY: a new private mapping at a place that the kernel chooses touches nobody's memory.
        let begin = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                SEARCHED,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let mut all = Self { address: begin, length: SEARCHED };
        let start = begin.addr();
        let end = start + SEARCHED;
        let found = (start.next_multiple_of(WINDOW)..=end - length)
            .step_by(WINDOW)
            .find(|&address| stray_bucket(address) == BUCKET)
            .ok_or(Errno::NOMEM)?;
        all.keep(found - start, length)?;
        // SAFETY: the mapping is this value's own.
        unsafe {
            rustix::mm::mprotect(all.address, length, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(all)
    }

    /// Gives back all but `length` bytes from `offset`.
    fn keep(&mut self, offset: usize, length: usize) -> std::result::Result<(), Errno> {
        let rest = self.length - offset - length;
        // SAFETY: both ranges lie in the mapping, which is this value's own and of which nothing is
        // in use yet.
        unsafe {
            if rest > 0 {
                rustix::mm::munmap(self.address.byte_add(offset + length), rest)?;
                self.length -= rest;
            }
            if offset > 0 {
                rustix::mm::munmap(self.address, offset)?;
                self.address = self.address.byte_add(offset);
                self.length -= offset;
            }
        }
        Ok(())
    }

    pub(super) fn pointer(&mut self) -> *mut u8 {
        self.address.cast()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody has a pointer into it any more. That
        // it cannot be unmapped is impossible for a whole mapping, and would only keep the memory.
        let _ = unsafe { rustix::mm::munmap(self.address, self.length) };
    }
}

/// What ISA-L files position 2 under, for a struct at `address`: the instruction `crc32` of bits
/// 16 to 47.
fn stray_bucket(address: usize) -> u32 {
    let [a, b, c, d, ..] = (address as u64 >> UNSEEN).to_le_bytes();
    let hash = [a, b, c, d]
        .iter()
        .fold(0, |hash: u32, &byte| hash >> 8 ^ CRC32C[(hash.to_le_bytes()[0] ^ byte) as usize]);
    hash & BUCKETS
}

/// The CRC-32C of each byte.
#[allow(clippy::cast_possible_truncation)] // of a byte
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut bit = 0;
        table[at] = (at & 255) as u32;
        while bit < 8 {
            table[at] = table[at] >> 1 ^ if table[at] & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_crc_32c() {
        // RFC 3720, B.4, counts zeros from a register of ones; here the register begins with zero:
        // the hash of four bytes is linear in them.
        assert_eq!(CRC32C[0x80], 0x82f6_3b78);
        assert_eq!(CRC32C[255], 0xad7d_5351);
        let hash = |bits: usize| stray_bucket(bits << UNSEEN);
        assert_eq!(hash(0x1234_5678), hash(0x1234_0000) ^ hash(0x5678));
    }

    #[test]
    fn every_place_has_the_same_bucket() {
        let mut places: Vec<_> = (0..64).map(|_| Place::new(365_008).unwrap()).collect();
        for place in &mut places {
            assert_eq!(stray_bucket(place.pointer().addr()), BUCKET);
            assert_eq!(place.length, 6 * WINDOW);
        }
    }

    #[test]
    fn some_place_anywhere_will_do() {
        for start in (0..1usize << 47).step_by((1 << 40) + (77 << 16)) {
            let mut windows = (start..start + SEARCHED - 6 * WINDOW).step_by(WINDOW);
            assert!(windows.any(|address| stray_bucket(address) == BUCKET), "{start:x}");
        }
    }
}
