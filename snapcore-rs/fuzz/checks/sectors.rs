//! Disks of a few sectors, for fuzzing: so small an input reaches every structure of a large disk.
//!
//! An input is a byte that chooses the size, then records: the sector's number (32 bits, little-endian) and its 512 bytes.
//! Sectors without a record are zeros.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use snapcore::source::Source;
use snapcore::{Error, Result};

/// Bytes of a sector.
pub const SECTOR: usize = 512;
const RECORD: usize = 4 + SECTOR;

/// A disk made of an input.
#[derive(Debug)]
pub struct Disk {
    size: u64,
    sectors: BTreeMap<u64, [u8; SECTOR]>,
    read: AtomicU64,
}

impl Disk {
    /// From 1 MiB to 1 TiB.
    pub fn of(input: &[u8]) -> Self {
        let (&exponent, records) = input.split_first().unwrap_or((&0, &[]));
        let size = 1 << (20 + exponent % 21);
        let mut sectors = BTreeMap::new();
        for record in records.chunks(RECORD) {
            let mut number = [0; 4];
            let mut bytes = [0; SECTOR];
            let (head, body) = record.split_at(record.len().min(4));
            number[..head.len()].copy_from_slice(head);
            bytes[..body.len()].copy_from_slice(body);
            sectors.insert(u64::from(u32::from_le_bytes(number)) % (size / SECTOR as u64), bytes);
        }
        Self { size, sectors, read: AtomicU64::new(0) }
    }

    pub fn sectors(&self) -> &BTreeMap<u64, [u8; SECTOR]> {
        &self.sectors
    }

    /// How much was read of it as a source.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Where the sectors stand that begin with this.
    pub fn places_of(&self, magic: &[u8]) -> Vec<u64> {
        let with = self.sectors.iter().filter(|(_, bytes)| bytes.starts_with(magic));
        with.map(|(number, _)| number * SECTOR as u64).collect()
    }

    pub fn le16(&self, at: u64) -> u64 {
        self.little(at, 2)
    }

    pub fn le32(&self, at: u64) -> u64 {
        self.little(at, 4)
    }

    pub fn le64(&self, at: u64) -> u64 {
        self.little(at, 8)
    }

    fn little(&self, at: u64, length: usize) -> u64 {
        let bytes = self.bytes(at, length);
        bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// The bytes of a range, shorter than 1 MiB; zeros beyond the disk's end.
    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.copy(at.min(self.size), &mut bytes);
        bytes
    }

    /// Puts bytes into their sectors; not beyond the disk's end.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        if at.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
            return;
        }
        for (place, &byte) in (at..).zip(bytes) {
            let sector = self.sectors.entry(place / SECTOR as u64).or_insert([0; SECTOR]);
            sector[place as usize % SECTOR] = byte;
        }
    }

    fn copy(&self, offset: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        let first = offset / SECTOR as u64;
        for (&number, bytes) in self.sectors.range(first..end.div_ceil(SECTOR as u64)) {
            let start = number * SECTOR as u64;
            let from = start.max(offset);
            let to = (start + SECTOR as u64).min(end);
            buffer[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
    }
}

impl Source for Disk {
    fn is_point_in_time(&self) -> bool {
        true
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(Error::internal("A read beyond the disk's end."));
        }
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.copy(offset, buffer);
        Ok(())
    }
}
