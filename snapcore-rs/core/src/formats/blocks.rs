//! A disk in blocks of a fixed size, of which those with nothing but zeros are left out: what VHD and
//! VHDX have in common.

use std::sync::Arc;

use crate::FRAME_SIZE;
use crate::error::Result;
use crate::parts::{Cutter, Outlet};

use super::Encoded;

/// Writes blocks behind a front part, and remembers where they stand.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Bytes of the disk in a block.
    size: u64,
    /// What stands before each block's data.
    before: Vec<u8>,
    /// Where each block begins in the file, what stands before it included; None where it is left out.
    places: Vec<Option<u64>>,
    /// Bytes of the disk so far.
    offset: u64,
    /// Bytes of the file so far.
    place: u64,
    zeros: Arc<[u8]>,
}

impl Blocks {
    /// For a disk of `disk` bytes. Takes 16 bytes a block.
    pub(super) fn new(disk: u64, size: u64, before: Vec<u8>) -> Self {
        let count = usize::try_from(disk.div_ceil(size)).unwrap_or(usize::MAX);
        let zeros = vec![0; FRAME_SIZE].into();
        Self { size, before, places: vec![None; count], offset: 0, place: 0, zeros }
    }

    /// Where the blocks stand.
    pub(super) fn places(&self) -> &[Option<u64>] {
        &self.places
    }

    /// Reserves the front part.
    pub(super) fn begin<O: Outlet>(&mut self, front: usize, parts: &mut Cutter<O>) -> Result<()> {
        self.place = front as u64;
        parts.hold(front)
    }

    /// The next frame of the disk.
    pub(super) fn data<O: Outlet>(
        &mut self,
        frame: &Encoded<()>,
        parts: &mut Cutter<O>,
    ) -> Result<()> {
        if !self.is_open() {
            let index = self.index();
            self.places[index] = Some(self.place);
            let before = std::mem::take(&mut self.before);
            self.write(&before, parts)?;
            self.before = before;
            self.write_zeros(self.offset % self.size, parts)?;
        }
        let bytes = frame.bytes.as_bytes();
        parts.frame(bytes, frame.source_length, false)?;
        self.place += bytes.len() as u64;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// The next bytes of the disk are zeros.
    pub(super) fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        self.fill(length, parts)?;
        self.offset += length;
        parts.skip(length)
    }

    /// Fills up the last block.
    pub(super) fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        self.fill(self.size, parts)
    }

    /// Appends bytes of the format.
    pub(super) fn write<O: Outlet>(&mut self, bytes: &[u8], parts: &mut Cutter<O>) -> Result<()> {
        self.place += bytes.len() as u64;
        parts.write(bytes)
    }

    fn index(&self) -> usize {
        usize::try_from(self.offset / self.size).unwrap_or(usize::MAX)
    }

    /// Whether the disk is inside a block that stands in the file.
    fn is_open(&self) -> bool {
        !self.offset.is_multiple_of(self.size)
            && self.places.get(self.index()).is_some_and(Option::is_some)
    }

    /// Fills an open block with zeros, as far as this much of the disk goes.
    fn fill<O: Outlet>(&mut self, most: u64, parts: &mut Cutter<O>) -> Result<()> {
        if !self.is_open() {
            return Ok(());
        }
        self.write_zeros((self.size - self.offset % self.size).min(most), parts)
    }

    fn write_zeros<O: Outlet>(&mut self, mut count: u64, parts: &mut Cutter<O>) -> Result<()> {
        let zeros = Arc::clone(&self.zeros);
        while count > 0 {
            let now = usize::try_from(count).unwrap_or(usize::MAX).min(zeros.len());
            self.write(&zeros[..now], parts)?;
            count -= now as u64;
        }
        Ok(())
    }
}
