//! What is to be read of a disk, decided before anything is read.

use std::sync::Arc;

use crate::codecs::Codec;
use crate::error::Result;
use crate::extents::ExtentMap;
use crate::formats::gzip::Gzip;
use crate::pipeline::{self, Stream};
use crate::source::{Disk, Source};

/// A disk and the extents of it, as they were when it was planned. Streams made of it keep the disk
/// open.
#[derive(Clone, Debug)]
pub struct Plan {
    disk: Arc<Disk>,
    extents: Arc<ExtentMap>,
}

impl Plan {
    /// Asks the disk for its extents. With `skip_unused`, space that is surely free in its file
    /// system is not read; no file system is understood yet, so nothing is.
    pub fn new(disk: Arc<Disk>, _skip_unused: bool) -> Result<Self> {
        let extents = Arc::new(disk.extents()?);
        Ok(Self { disk, extents })
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// Every byte of the disk, in order.
    pub fn extents(&self) -> &ExtentMap {
        &self.extents
    }

    /// Starts the stream of one gzip file of the whole disk.
    pub fn raw_gzip(&self, codec: Codec, threads: Option<usize>) -> Result<Stream> {
        let source = Arc::clone(&self.disk) as Arc<dyn Source>;
        pipeline::start(source, Arc::clone(&self.extents), Gzip::new(codec), threads)
    }
}
