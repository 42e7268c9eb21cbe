//! ntfsclone's special image of an NTFS volume: its used clusters, in order, as one stream.
//!
//! ```text
//! header (56 bytes) | 0, count: free clusters | 1, a used cluster | … | 1, the backup boot sector
//! ```
//! All numbers are little-endian. The image has the bytes that `ntfsclone --save-image` gives for the same volume.
//!
//! An [`Image`] is a source: where each of its bytes stands on the disk is known before anything is read, so
//! that workers read, compress and hash it as they do a disk. Memory: 24 bytes a run of used clusters, at most 12 MiB.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::filesystems::{self, FreeRuns, Usage, Volume};
use crate::parts::BOUNDARY;
use crate::source::{FrameEnd, Source};

/// "\0ntfsclone-image", major version 10, minor version 1 (since when the backup boot sector is in the image).
const MAGIC: [u8; 18] = *b"\0ntfsclone-image\x0a\x01";
const HEADER: usize = 56;
const FREE: u8 = 0;
const USED: u8 = 1;
/// Bytes of the volume in a frame at most: with a command for each of the smallest clusters, and the
/// header, they are less than [`FRAME_SIZE`](crate::FRAME_SIZE) of the image.
const STEP: u64 = 1 << 19;
/// A command and the number of clusters.
const GAP: u64 = 9;

/// Used clusters behind one another, and the gap before them.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// First byte in the image: that of the gap.
    at: u64,
    /// First cluster.
    first: u64,
    /// Clusters; 0 only in the last run, which may be nothing but a gap.
    count: u64,
}

/// The image of a volume, to be read.
pub struct Image {
    disk: Arc<dyn Source>,
    volume: Range<u64>,
    cluster_size: u64,
    clusters: u64,
    header: [u8; HEADER],
    runs: Vec<Run>,
    /// Where the command of the backup boot sector stands.
    end: u64,
    /// Bytes behind the last whole cluster, up to the end of the backup boot sector.
    tail: u64,
}

impl Image {
    /// Of the volume at these bytes of the disk. Refuses what is not NTFS or not in good order.
    pub fn new(disk: Arc<dyn Source>, volume: Range<u64>) -> Result<Self> {
        let length = volume.end.saturating_sub(volume.start);
        let found = filesystems::probe(&Volume::new(&*disk, volume.start, length))?;
        let refused = |reason: &str| {
            Error::usage(format!(
                "{reason} An ntfsclone image can be made only of an NTFS volume in good order: take a raw snapshot instead."
            ))
        };
        let found = found.filter(|found| found.kind == "NTFS");
        let found = found.ok_or_else(|| refused("There is no NTFS here."))?;
        let free = match found.usage {
            Usage::Mapped { free, .. } => free,
            Usage::Whole { reason } => return Err(refused(&reason)),
        };
        let cluster_size = u64::from(found.block_size);
        let clusters = found.size / cluster_size;
        let (runs, end) = runs(&free, cluster_size, clusters);
        let in_use: u64 = runs.iter().map(|run| run.count).sum();
        let mut header = [0; HEADER];
        header[..18].copy_from_slice(&MAGIC);
        header[18..22].copy_from_slice(&found.block_size.to_le_bytes());
        header[22..30].copy_from_slice(&length.to_le_bytes());
        header[30..38].copy_from_slice(&clusters.to_le_bytes());
        header[38..46].copy_from_slice(&in_use.to_le_bytes());
        header[46..50].copy_from_slice(&56u32.to_le_bytes());
        let mut sector_size = [0; 2];
        disk.read(volume.start + 11, &mut sector_size)?;
        let size = (found.size + u64::from(u16::from_le_bytes(sector_size))).min(length);
        let tail = size - clusters * cluster_size;
        Ok(Self { disk, volume, cluster_size, clusters, header, runs, end, tail })
    }

    /// Clusters in the image.
    pub fn clusters_in_use(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// Where in the volume what stands at this byte of the image belongs: a gap to the cluster behind
    /// it, the header to the first byte.
    fn place(&self, at: u64) -> u64 {
        if at >= self.end {
            return self.clusters * self.cluster_size;
        }
        let Some(place) = self.runs.partition_point(|run| run.at <= at).checked_sub(1) else {
            return 0;
        };
        let run = self.runs[place];
        let inside = (at - run.at).saturating_sub(self.gap_before(place));
        (run.first + inside / (self.cluster_size + 1)) * self.cluster_size
    }

    /// The first byte of the image that belongs to this byte of the volume or to one behind it.
    fn image_place(&self, volume: u64) -> u64 {
        let cluster = volume.div_ceil(self.cluster_size);
        let place = self.runs.partition_point(|run| run.first + run.count <= cluster);
        let Some(run) = self.runs.get(place) else { return self.size() };
        if cluster <= run.first {
            return run.at;
        }
        run.at + self.gap_before(place) + (cluster - run.first) * (self.cluster_size + 1)
    }

    /// Bytes of the gap's command before this run.
    fn gap_before(&self, place: usize) -> u64 {
        let before = place.checked_sub(1).map(|place| self.runs[place]);
        let free = self.runs[place].first - before.map_or(0, |run| run.first + run.count);
        if free > 0 { GAP } else { 0 }
    }

    /// Fills `buffer`, as far as the run goes, and gives the number of bytes.
    fn read_run(
        &self,
        run: Run,
        free_before: u64,
        inside: u64,
        buffer: &mut [u8],
    ) -> Result<usize> {
        let gap = if free_before > 0 { GAP } else { 0 };
        if inside < gap {
            let mut command = [FREE; 9];
            command[1..].copy_from_slice(&free_before.to_le_bytes());
            return Ok(copy(&command, inside, buffer));
        }
        let inside = inside - gap;
        let stride = self.cluster_size + 1;
        let left = usize::try_from(run.count * stride - inside).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let buffer = &mut buffer[..length];
        // A byte of command before each cluster: what is read in one piece goes to the buffer's end and moves to its places.
        let commands = |upto: u64| upto.div_ceil(stride);
        let (from, to) = (inside, inside + length as u64);
        let bytes = length - index(commands(to) - commands(from));
        let mut source = length - bytes;
        let first = run.first * self.cluster_size + from - commands(from);
        self.disk.read(self.volume.start + first, &mut buffer[source..])?;
        let mut at = 0;
        while at < length {
            let place = (from + at as u64) % stride;
            if place == 0 {
                buffer[at] = USED;
                at += 1;
            } else {
                let piece = index(stride - place).min(length - at);
                buffer.copy_within(source..source + piece, at);
                source += piece;
                at += piece;
            }
        }
        Ok(length)
    }
}

impl Source for Image {
    fn size(&self) -> u64 {
        self.end + if self.tail > 0 { 1 + self.tail } else { 0 }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let (at, rest) = (offset + done as u64, &mut buffer[done..]);
            done += if at < HEADER as u64 {
                copy(&self.header, at, rest)
            } else if at < self.end {
                let place = self.runs.partition_point(|run| run.at <= at) - 1;
                let run = self.runs[place];
                let before = place.checked_sub(1).map(|place| self.runs[place]);
                let free = run.first - before.map_or(0, |run| run.first + run.count);
                self.read_run(run, free, at - run.at, rest)?
            } else if at == self.end {
                rest[0] = USED;
                1
            } else {
                let tail = self.clusters * self.cluster_size + (at - self.end - 1);
                self.disk.read(self.volume.start + tail, rest)?;
                rest.len()
            };
        }
        Ok(())
    }

    /// A frame ends where the next [`STEP`] of the volume begins, so that what is allocated or freed
    /// early in the volume moves no frame behind it; a part may end at each [`BOUNDARY`] of the volume.
    fn frame_end(&self, at: u64) -> Option<FrameEnd> {
        let from = self.place(at);
        let end = self.image_place((from / STEP + 1) * STEP).max(at + 1);
        Some(FrameEnd { end, boundary: self.place(end) / BOUNDARY != from / BOUNDARY })
    }

    fn confirm(&self) -> Result<()> {
        self.disk.confirm()
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Image of {} clusters at {}", self.clusters, self.volume.start)
    }
}

/// The used runs, and the image's byte behind them.
fn runs(free: &FreeRuns, cluster_size: u64, clusters: u64) -> (Vec<Run>, u64) {
    let mut runs = Vec::new();
    let (mut at, mut next) = (HEADER as u64, 0);
    let ends = std::iter::once(clusters..clusters);
    let free = free.iter().map(|run| run.start / cluster_size..run.end / cluster_size);
    let mut gap = 0;
    for free in free.chain(ends) {
        let count = free.start - next;
        if count > 0 || free.is_empty() {
            runs.push(Run { at, first: next, count });
            at += count * (cluster_size + 1) + if gap > 0 { GAP } else { 0 };
        }
        gap = free.end - free.start;
        next = free.end;
    }
    (runs, at)
}

/// Copies from `bytes[inside..]` as much as fits, and gives the number of bytes.
fn copy(bytes: &[u8], inside: u64, buffer: &mut [u8]) -> usize {
    let bytes = &bytes[index(inside)..];
    let length = bytes.len().min(buffer.len());
    buffer[..length].copy_from_slice(&bytes[..length]);
    length
}

/// Places inside a buffer fit any address space.
fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
