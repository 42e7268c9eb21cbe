//! qcow2, version 3, compressed, as a stream whose front part comes last (QEMU, docs/interop/qcow2.txt).
//!
//! ```text
//! header | L1 | refcount table || clusters … L2 table | clusters … L2 table | … refcount blocks
//! ```
//! A cluster is 64 KiB of the disk, deflated and put right behind the one before; one that does not
//! shrink stands as it is, aligned; one of zeros is left out. An L2 table has the places of 512 MiB and
//! stands behind them; a refcount block counts the users of 2 GiB of the file and stands behind those.
//! So memory holds one L2 table, the counts of the 2 GiB being written, and what the front part has: 16
//! bytes for 512 MiB of the disk, and 8 for 2 GiB of the file.
//!
//! Compressed clusters share clusters of the file: each count is of the compressed ones that touch it,
//! in whole sectors, as `qemu-img check` counts.

mod cluster;
mod counts;

use crate::codecs::Codec;
use crate::error::{Error, Result};
use crate::parts::{Cutter, MOST_HELD, Outlet};

use super::{Encoded, Format};
use counts::Counts;

pub use cluster::{Clusters, Encoder};

/// Bytes of a cluster.
pub const CLUSTER: usize = 64 << 10;
const C: u64 = CLUSTER as u64;
const CLUSTER_BITS: u32 = 16;
/// Entries of an L2 table.
const TABLE: usize = CLUSTER / 8;
/// This cluster has one user: it may be written to without a copy.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Where an entry's number of further sectors begins.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);
const MAGIC: [u8; 4] = *b"QFI\xfb";
const HEADER: u32 = 104;

/// Writes `NAME.qcow2`.
#[derive(Debug)]
pub struct Qcow2 {
    codec: Codec,
    size: u64,
    /// Clusters of the disk so far.
    cluster: u64,
    table: Vec<u64>,
    l1: Vec<u64>,
    counts: Counts,
    /// Bytes of the file so far.
    place: u64,
    scratch: Vec<u8>,
}

impl Qcow2 {
    /// Of a disk of `size` bytes, in whole sectors.
    pub fn new(codec: Codec, size: u64) -> Result<Self> {
        let size = size.checked_next_multiple_of(512).unwrap_or(u64::MAX);
        let tables = size.div_ceil(C * TABLE as u64);
        let format = Self {
            codec,
            size,
            cluster: 0,
            table: vec![0; TABLE],
            l1: vec![0; usize::try_from(tables).unwrap_or(usize::MAX).min(MOST_HELD)],
            counts: Counts::default(),
            place: 0,
            scratch: Vec::new(),
        };
        if tables > (MOST_HELD / 16) as u64 || format.front() > MOST_HELD as u64 {
            return Err(Error::usage("The disk is too large for a QCOW2 file made here."));
        }
        Ok(format)
    }

    fn l1_clusters(&self) -> u64 {
        (self.l1.len() as u64 * 8).div_ceil(C)
    }

    /// Clusters of the refcount table: for a file with every cluster of the disk stored, its tables,
    /// and what alignment may cost.
    fn count_clusters(&self) -> u64 {
        let most = self.size + self.l1.len() as u64 * 2 * C + (1 << 32);
        let blocks = most / counts::COVERED * 2 + 2;
        (blocks * 8).div_ceil(C)
    }

    /// Bytes before the first cluster of the disk.
    fn front(&self) -> u64 {
        (1 + self.l1_clusters() + self.count_clusters()) * C
    }

    fn write<O: Outlet>(&mut self, bytes: &[u8], parts: &mut Cutter<O>) -> Result<()> {
        self.place += bytes.len() as u64;
        parts.write(bytes)
    }

    fn align<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let rest = usize::try_from(self.place.next_multiple_of(C) - self.place).unwrap_or(0);
        self.write(&vec![0; rest], parts)
    }

    /// Writes one aligned cluster that has one user, and gives its place.
    fn put_cluster<O: Outlet>(&mut self, bytes: &[u8], parts: &mut Cutter<O>) -> Result<u64> {
        self.align(parts)?;
        let place = self.place;
        self.counts.add(place, C);
        self.write(bytes, parts)?;
        Ok(place)
    }

    /// Writes the table of the clusters so far, unless it is empty, and blocks that are complete.
    fn end_table<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        if self.table.iter().any(|&entry| entry != 0) {
            let bytes: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            let place = self.put_cluster(&bytes, parts)?;
            let index = usize::try_from((self.cluster - 1) / TABLE as u64).unwrap_or(usize::MAX);
            if let Some(entry) = self.l1.get_mut(index) {
                *entry = place | COPIED;
            }
            self.table.fill(0);
        }
        while let Some(block) = self.counts.complete(self.place) {
            self.align(parts)?;
            // Of itself too, if it lies in its own range: it does not, that has ended.
            let place = self.place;
            self.counts.add(place, C);
            self.counts.stands_at(place);
            self.write(&block, parts)?;
        }
        Ok(())
    }

    fn entry(&mut self, value: u64) {
        let index = usize::try_from(self.cluster % TABLE as u64).unwrap_or(0);
        self.table[index] = value;
    }

    /// Goes on by so many clusters, which do not go beyond the table's end.
    fn step<O: Outlet>(&mut self, clusters: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.cluster += clusters;
        if self.cluster.is_multiple_of(TABLE as u64) { self.end_table(parts) } else { Ok(()) }
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(CLUSTER);
        header.extend(MAGIC);
        header.extend(3u32.to_be_bytes());
        header.extend([0; 12]); // no backing file
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.size.to_be_bytes());
        header.extend([0; 4]); // not encrypted
        header.extend(u32::try_from(self.l1.len()).unwrap_or(u32::MAX).to_be_bytes());
        header.extend(C.to_be_bytes()); // where L1 stands
        header.extend(((1 + self.l1_clusters()) * C).to_be_bytes()); // and the refcount table
        let clusters = u32::try_from(self.count_clusters()).unwrap_or(u32::MAX);
        header.extend(clusters.to_be_bytes());
        header.extend([0; 4 + 8]); // no snapshots
        header.extend([0; 3 * 8]); // no features
        header.extend(4u32.to_be_bytes()); // counts of 16 bits
        header.extend(HEADER.to_be_bytes());
        header.extend([0; 8]); // no extensions
        header
    }
}

impl Format for Qcow2 {
    type Note = Clusters;
    type Encoder = Encoder;

    const OUT_OF_ORDER: bool = true;

    fn encoder(&self) -> Result<Encoder> {
        Encoder::new(self.codec)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let front = self.front();
        self.place = front;
        self.counts.add(0, front);
        parts.hold(usize::try_from(front).unwrap_or(usize::MAX))
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<Clusters>, parts: &mut Cutter<O>) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let first = self.place;
        let mut bytes = frame.bytes.as_bytes();
        let clusters = frame.note.lengths();
        for (number, &length) in clusters.iter().enumerate() {
            let place = self.place;
            if length == CLUSTER {
                let aligned = place.next_multiple_of(C);
                scratch.resize(scratch.len() + usize::try_from(aligned - place).unwrap_or(0), 0);
                self.place = aligned + C;
                self.counts.add(aligned, C);
                self.entry(aligned | COPIED);
            } else if length > 0 {
                self.place += length as u64;
                let sectors = (self.place - 1) / 512 - place / 512;
                self.counts.add(place, (place / 512 + sectors + 1) * 512 - place);
                self.entry(COMPRESSED | sectors << SECTORS_SHIFT | place);
            }
            let (now, later) = bytes.split_at(length);
            scratch.extend_from_slice(now);
            bytes = later;
            // The last one's step may write a table, which belongs behind the frame.
            if number + 1 < clusters.len() {
                self.cluster += 1;
            }
        }
        debug_assert_eq!(self.place, first + scratch.len() as u64);
        parts.frame(&scratch, frame.source_length, false)?;
        self.scratch = scratch;
        self.step(1, parts)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        let mut left = length;
        while left > 0 {
            let in_table = (TABLE as u64 - self.cluster % TABLE as u64) * C;
            let now = left.min(in_table);
            parts.skip(now)?;
            left -= now;
            self.step(now.div_ceil(C), parts)?;
        }
        Ok(())
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        if !self.cluster.is_multiple_of(TABLE as u64) {
            self.end_table(parts)?;
        }
        self.align(parts)?;
        // The last blocks count themselves.
        for (place, block) in self.counts.rest(self.place) {
            debug_assert_eq!(place, self.place);
            self.write(&block, parts)?;
        }
        let l1: Vec<u8> = self.l1.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        let blocks: Vec<u8> =
            self.counts.blocks().iter().flat_map(|place| place.to_be_bytes()).collect();
        parts.fill(0, &self.header())?;
        parts.fill(CLUSTER, &l1)?;
        let at = (1 + self.l1_clusters()) * C;
        parts.fill(usize::try_from(at).unwrap_or(usize::MAX), &blocks)
    }
}
