//! Several disks, one behind the other, as a source: what a file of all of a server's disks is made of.
//!
//! Each disk begins at a multiple of [`FRAME_SIZE`], so that no frame holds bytes of two; what is
//! between them is zeros.

use std::ops::Range;
use std::sync::Arc;

use crate::FRAME_SIZE;
use crate::error::{Error, Result};
use crate::extents::{Builder, ExtentKind, ExtentMap, MOST_EXTENTS};

use super::Source;

/// Disks that are read as one.
pub struct Joined {
    disks: Vec<(Arc<dyn Source>, Range<u64>)>,
    size: u64,
    extents: ExtentMap,
}

impl Joined {
    /// Of these disks with their extents, in the order given.
    pub fn new(disks: Vec<(Arc<dyn Source>, Arc<ExtentMap>)>) -> Result<Self> {
        if disks.is_empty() {
            return Err(Error::usage("There is nothing to read."));
        }
        let mut builder = Builder::new(MOST_EXTENTS);
        let mut placed = Vec::with_capacity(disks.len());
        for (disk, extents) in disks {
            let start = builder.end();
            for extent in extents.as_slice() {
                builder.push(extent.length, extent.kind);
            }
            let end = builder.end();
            // Unused, not zero: that could be taken for data on scattered disks, and nobody has it.
            builder.push(end.next_multiple_of(FRAME_SIZE as u64) - end, ExtentKind::Unused);
            placed.push((disk, start..end));
        }
        Ok(Self { disks: placed, size: builder.end(), extents: builder.finish() })
    }

    /// Where each disk lies here, without the zeros behind it.
    pub fn places(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.disks.iter().map(|(_, place)| place.clone())
    }
}

impl Source for Joined {
    fn size(&self) -> u64 {
        self.size
    }

    fn extents(&self) -> Result<ExtentMap> {
        Ok(self.extents.clone())
    }

    /// Of bytes of one disk: what lies between disks is never asked for.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset + buffer.len() as u64;
        let number = self.disks.partition_point(|(_, place)| place.end <= offset);
        match self.disks.get(number) {
            Some((disk, place)) if place.start <= offset && end <= place.end => {
                disk.read(offset - place.start, buffer)
            }
            _ => Err(Error::internal("A read beyond the end of a disk.")),
        }
    }

    fn confirm(&self) -> Result<()> {
        self.disks.iter().try_for_each(|(disk, _)| disk.confirm())
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places: Vec<_> = self.places().collect();
        formatter.debug_struct("Joined").field("places", &places).finish_non_exhaustive()
    }
}
