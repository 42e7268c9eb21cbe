//! VMDK, the variant `streamOptimized`, as one forward stream (`VMware`, "Virtual Disk Format 5.0").
//!
//! ```text
//! header, descriptor | grain … grain | table | grain … grain | table | … | directory | footer | end
//! ```
//! A grain is 64 KiB of the disk, deflated as a zlib stream behind a marker with its place; grains of
//! zeros are left out. A table has the places of 512 grains and stands behind them, so that no more
//! than one is held in memory; the directory has the places of the tables: 4 bytes for 32 MiB of the
//! disk. Every directory entry has its table, an empty one too. The file ends exactly with the
//! end-of-stream marker: `VMware` hashes up to it.
//!
//! The disk's size is rounded up to whole grains with zeros. Places are 32-bit sector numbers: a file
//! that would reach 2 TiB is refused when it does.

mod descriptor;
mod grain;

use sha2::{Digest, Sha256};

use crate::codecs::Codec;
use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::{Encoded, Format};

pub use descriptor::{Adapter, Description};
pub use grain::{Encoder, Grains};

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;
/// Bytes of a grain.
pub const GRAIN: usize = 64 << 10;
/// Grains in a table.
const TABLE: usize = 512;
/// Sectors before the first grain.
const OVERHEAD: u64 = 128;
/// Sectors of the descriptor.
const DESCRIPTOR: u64 = 20;
const MAGIC: u32 = 0x564d_444b; // "KDMV"
/// Newlines can be tested, grains are compressed, there are markers.
const FLAGS: u32 = 0x0003_0001;
/// The directory stands at the end, and the footer knows where.
const AT_END: u64 = u64::MAX;

/// What a marker stands before.
#[derive(Clone, Copy)]
enum Marker {
    End = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

/// Writes `NAME.vmdk`.
#[derive(Debug)]
pub struct Vmdk {
    codec: Codec,
    description: Description,
    /// Sectors of the disk, in whole grains.
    capacity: u64,
    /// Of the next grain.
    grain: u64,
    table: Box<[u32; TABLE]>,
    directory: Vec<u32>,
    /// Sectors written.
    sector: u64,
    scratch: Vec<u8>,
    sha256: Option<Sha256>,
}

impl Vmdk {
    /// Of a disk of `size` bytes. With `hashed` the file's SHA-256 is worked out on the way.
    pub fn new(codec: Codec, size: u64, description: Description, hashed: bool) -> Self {
        Self {
            codec,
            description,
            capacity: size.div_ceil(GRAIN as u64) * (GRAIN as u64 / SECTOR),
            grain: 0,
            table: Box::new([0; TABLE]),
            directory: Vec::new(),
            sector: 0,
            scratch: Vec::new(),
            sha256: hashed.then(Sha256::new),
        }
    }

    /// Bytes of the file so far.
    pub fn written(&self) -> u64 {
        self.sector * SECTOR
    }

    /// SHA-256 of the file so far, where it was wanted.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256.clone().map(|hash| hash.finalize().into())
    }

    /// Bytes that the new machine sees: whole grains.
    pub fn virtual_size(size: u64) -> u64 {
        size.div_ceil(GRAIN as u64) * GRAIN as u64
    }

    /// Grains of the disk that are still to come.
    fn grains_left(&self) -> u64 {
        self.grains() - self.grain
    }

    fn grains(&self) -> u64 {
        self.capacity / (GRAIN as u64 / SECTOR)
    }

    /// Writes whole sectors.
    fn write<O: Outlet>(&mut self, bytes: &[u8], parts: &mut Cutter<O>) -> Result<()> {
        if let Some(hash) = &mut self.sha256 {
            hash.update(bytes);
        }
        self.sector += bytes.len() as u64 / SECTOR;
        parts.write(bytes)
    }

    fn marker<O: Outlet>(
        &mut self,
        kind: Marker,
        sectors: u64,
        parts: &mut Cutter<O>,
    ) -> Result<()> {
        let mut marker = [0; 512];
        marker[..8].copy_from_slice(&sectors.to_le_bytes());
        marker[12..16].copy_from_slice(&(kind as u32).to_le_bytes());
        self.write(&marker, parts)
    }

    /// Where the next sector stands, as tables have it.
    fn place(&self) -> Result<u32> {
        u32::try_from(self.sector).map_err(|_| {
            Error::usage("The disk holds too much for a VMDK file, which ends below 2 TiB.")
        })
    }

    /// Writes the table of the grains so far.
    fn end_table<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let mut bytes = [0; TABLE * 4];
        for (place, entry) in bytes.chunks_exact_mut(4).zip(self.table.iter()) {
            place.copy_from_slice(&entry.to_le_bytes());
        }
        self.marker(Marker::Table, bytes.len() as u64 / SECTOR, parts)?;
        self.directory.push(self.place()?);
        self.write(&bytes, parts)?;
        self.table.fill(0);
        Ok(())
    }

    /// The next grain was written, or left out.
    fn step<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.grain += 1;
        if self.grain.is_multiple_of(TABLE as u64) || self.grain == self.grains() {
            self.end_table(parts)?;
        }
        Ok(())
    }

    fn header(&self, directory: u64) -> [u8; 512] {
        let mut header = [0; 512];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC.to_le_bytes());
        put(&3u32.to_le_bytes()); // version
        put(&FLAGS.to_le_bytes());
        put(&self.capacity.to_le_bytes());
        put(&(GRAIN as u64 / SECTOR).to_le_bytes());
        put(&1u64.to_le_bytes()); // where the descriptor stands
        put(&DESCRIPTOR.to_le_bytes());
        put(&512u32.to_le_bytes()); // grains in a table
        put(&0u64.to_le_bytes()); // no second directory
        put(&directory.to_le_bytes());
        put(&OVERHEAD.to_le_bytes());
        put(&[0]); // shut down cleanly
        put(b"\n \r\n");
        put(&1u16.to_le_bytes()); // deflate
        header
    }
}

impl Format for Vmdk {
    type Note = Grains;
    type Encoder = Encoder;

    fn encoder(&self) -> Result<Encoder> {
        Encoder::new(self.codec)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        #[allow(clippy::cast_possible_truncation)] // 64 KiB
        let mut front = vec![0; (OVERHEAD * SECTOR) as usize];
        front[..512].copy_from_slice(&self.header(AT_END));
        let text = self.description.text(self.capacity);
        let room = &mut front[512..][..usize::try_from(DESCRIPTOR * SECTOR).unwrap_or(0)];
        let Some(place) = room.get_mut(..text.len()) else {
            return Err(Error::usage("The name of the VMDK file is too long."));
        };
        place.copy_from_slice(text.as_bytes());
        self.write(&front, parts)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<Grains>, parts: &mut Cutter<O>) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(frame.bytes.as_bytes());
        let mut at = 0;
        let mut table_due = false;
        let first = self.sector;
        // Of a frame that reaches beyond the disk's end the rest is zeros.
        let count = usize::try_from(self.grains_left()).unwrap_or(usize::MAX);
        for &length in frame.note.lengths().iter().take(count) {
            if length > 0 {
                // The marker's first field: the grain's place on the disk.
                let place = self.grain * (GRAIN as u64 / SECTOR);
                scratch[at..at + 8].copy_from_slice(&place.to_le_bytes());
                let index = usize::try_from(self.grain % TABLE as u64).unwrap_or(0);
                self.table[index] = self.place()?;
                self.sector += length as u64 / SECTOR;
                at += length;
            }
            self.grain += 1;
            if self.grain.is_multiple_of(TABLE as u64) || self.grain == self.grains() {
                table_due = true;
            }
        }
        self.sector = first + scratch.len() as u64 / SECTOR;
        if let Some(hash) = &mut self.sha256 {
            hash.update(&scratch);
        }
        parts.frame(&scratch, frame.source_length, false)?;
        self.scratch = scratch;
        // 32 frames have one table: it is due behind a frame, or not at all.
        if table_due { self.end_table(parts) } else { Ok(()) }
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        let mut left = length;
        while left > 0 && self.grains_left() > 0 {
            let in_table = TABLE as u64 - self.grain % TABLE as u64;
            let now = left.min(in_table.min(self.grains_left()) * GRAIN as u64);
            parts.skip(now)?;
            left -= now;
            self.grain += now.div_ceil(GRAIN as u64) - 1;
            self.step(parts)?;
        }
        // Zeros beyond the disk's end: no grain has them.
        if left > 0 { parts.skip(left) } else { Ok(()) }
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let mut bytes: Vec<u8> =
            self.directory.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        self.marker(Marker::Directory, bytes.len() as u64 / SECTOR, parts)?;
        let directory = self.sector;
        self.place()?;
        self.write(&bytes, parts)?;
        self.marker(Marker::Footer, 1, parts)?;
        let footer = self.header(directory);
        self.write(&footer, parts)?;
        self.marker(Marker::End, 0, parts)
    }
}
