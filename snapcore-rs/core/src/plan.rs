//! What is to be read of a disk, decided before anything is read.

use std::sync::Arc;

use crate::codecs::Codec;
use crate::error::{Error, Result};
use crate::extents::ExtentMap;
use crate::filesystems::FreeRuns;
use crate::formats::gzip::Gzip;
use crate::formats::ntfsclone::Image;
use crate::formats::ova::{Machine, Ova};
use crate::formats::plain::Plain;
use crate::formats::qcow2::Qcow2;
use crate::formats::vhd::{self, Identity};
use crate::formats::vhdx::Vhdx;
use crate::formats::vmdk::{Description, Vmdk};
use crate::layout::Layout;
use crate::pipeline::{self, Stream};
use crate::source::{Joined, Pieces, Source};

/// A disk and the extents of it, as they were when it was planned. Streams made of it keep the disk
/// open.
#[derive(Clone)]
pub struct Plan {
    source: Arc<dyn Source>,
    extents: Arc<ExtentMap>,
    layout: Option<Arc<Layout>>,
}

impl Plan {
    /// Asks the disk for its extents: a [`Disk`](crate::Disk), or whatever stands for one. With `skip_unused`, space that is surely free in its file system is not read and taken for zeros;
    /// without, nothing is looked at and there is no layout.
    pub fn new(source: Arc<dyn Source>, skip_unused: bool) -> Result<Self> {
        let mut extents = source.extents()?;
        let mut layout = None;
        if skip_unused {
            let found = Layout::read(&*source, source.sector_size());
            extents = extents.without(found.free.iter());
            // The map has them now; they may be megabytes.
            layout = Some(Arc::new(Layout { free: FreeRuns::new(0), ..found }));
        }
        Ok(Self { source, extents: Arc::new(extents), layout })
    }

    /// What was found on the disk; None if it was not to be looked at. Its `free` runs are empty: the extents have them.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_deref()
    }

    /// The disk.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// Every byte of the disk, in order.
    pub fn extents(&self) -> &ExtentMap {
        &self.extents
    }

    /// Starts the stream of one gzip file of the whole disk.
    pub fn raw_gzip(&self, codec: Codec, threads: Option<usize>) -> Result<Stream> {
        pipeline::start(
            Arc::clone(&self.source),
            Arc::clone(&self.extents),
            Gzip::new(codec),
            threads,
        )
    }

    /// Starts the stream of one VMDK file, streamOptimized, of the whole disk.
    pub fn vmdk(
        &self,
        description: Description,
        codec: Codec,
        threads: Option<usize>,
    ) -> Result<Stream> {
        let format = Vmdk::new(codec, self.source.size(), description, false);
        pipeline::start(Arc::clone(&self.source), Arc::clone(&self.extents), format, threads)
    }

    /// Starts the stream of one VHD file of the whole disk, dynamic or fixed.
    pub fn vhd(&self, identity: Identity, fixed: bool, threads: Option<usize>) -> Result<Stream> {
        let (source, extents) = (Arc::clone(&self.source), Arc::clone(&self.extents));
        let size = source.size();
        if fixed {
            pipeline::start(source, extents, vhd::Fixed::new(size, identity)?, threads)
        } else {
            pipeline::start(source, extents, vhd::Dynamic::new(size, identity)?, threads)
        }
    }

    /// Starts the stream of one qcow2 file, compressed, of the whole disk.
    pub fn qcow2(&self, codec: Codec, threads: Option<usize>) -> Result<Stream> {
        let format = Qcow2::new(codec, self.source.size())?;
        pipeline::start(Arc::clone(&self.source), Arc::clone(&self.extents), format, threads)
    }

    /// Starts the stream of one VHDX file of the whole disk.
    pub fn vhdx(&self, unique_id: [u8; 16], threads: Option<usize>) -> Result<Stream> {
        let format = Vhdx::new(self.source.size(), unique_id)?;
        pipeline::start(Arc::clone(&self.source), Arc::clone(&self.extents), format, threads)
    }

    /// Starts the stream of these ranges (start, length) of the disk, one behind the other: one gzip
    /// file, or as they are.
    pub fn pieces(
        &self,
        ranges: &[(u64, u64)],
        gzip: bool,
        codec: Codec,
        threads: Option<usize>,
    ) -> Result<Stream> {
        let pieces = Pieces::new(Arc::clone(&self.source), &self.extents, ranges)?;
        let extents = Arc::new(pieces.extents()?);
        if gzip {
            pipeline::start(Arc::new(pieces), extents, Gzip::new(codec), threads)
        } else {
            pipeline::start(Arc::new(pieces), extents, Plain::new(), threads)
        }
    }

    /// Starts the stream of one gzip file of ntfsclone's image of a partition; 0 is the whole of a disk without a table.
    /// Refuses a volume that is not NTFS or not in good order. Positions and lengths are those of the image.
    pub fn ntfsclone(
        &self,
        partition: u32,
        codec: Codec,
        threads: Option<usize>,
    ) -> Result<Stream> {
        let read;
        let layout = if let Some(layout) = self.layout() {
            layout
        } else {
            read = Layout::read(&*self.source, self.source.sector_size());
            &read
        };
        let mut entries = layout.partitions.iter().map(|found| &found.entry);
        let entry = entries.find(|entry| entry.number == partition);
        let entry =
            entry.ok_or_else(|| Error::usage(format!("The disk has no partition {partition}.")))?;
        let disk = Arc::clone(&self.source);
        let image = Image::new(disk, entry.start..entry.start.saturating_add(entry.length))?;
        let extents = Arc::new(ExtentMap::all_data(image.size()));
        pipeline::start(Arc::new(image), extents, Gzip::new(codec), threads)
    }
}

/// Starts the stream of one OVA of a machine with these disks, each with what its VMDK says of itself
/// but its name.
pub fn ova(
    machine: Machine,
    disks: Vec<(Plan, Description)>,
    codec: Codec,
    threads: Option<usize>,
) -> Result<Stream> {
    let (plans, descriptions): (Vec<_>, Vec<_>) = disks.into_iter().unzip();
    let joined = Joined::new(plans.into_iter().map(|plan| (plan.source, plan.extents)).collect())?;
    let format = Ova::new(codec, machine, joined.places().zip(descriptions))?;
    let extents = Arc::new(joined.extents()?);
    pipeline::start(Arc::new(joined), extents, format, threads)
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Plan").field("extents", &self.extents).finish_non_exhaustive()
    }
}
