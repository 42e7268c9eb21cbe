//! Ranges of a source, one behind the other, as a source.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::extents::{Builder, ExtentKind, ExtentMap, MOST_EXTENTS};

use super::Source;

/// Ranges that are read as one.
pub struct Pieces {
    source: Arc<dyn Source>,
    /// Where each begins here, and its range there.
    ranges: Vec<(u64, Range<u64>)>,
    size: u64,
    extents: ExtentMap,
}

impl Pieces {
    /// Of these ranges (start, length), in the order given; `extents` are the source's. Refuses empty
    /// ranges and what lies beyond the end.
    pub fn new(
        source: Arc<dyn Source>,
        extents: &ExtentMap,
        ranges: &[(u64, u64)],
    ) -> Result<Self> {
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut builder = Builder::new(MOST_EXTENTS);
        let mut size = 0;
        for &(start, length) in ranges {
            let end = start.checked_add(length).filter(|&end| length > 0 && end <= source.size());
            let end = end.ok_or_else(|| {
                Error::usage(format!("There are no {length} bytes at {start} of the disk."))
            })?;
            let mut at = start;
            for data in extents.data_in(start..end) {
                builder.push(data.start - at, ExtentKind::Zero);
                builder.push(data.end - data.start, ExtentKind::Data);
                at = data.end;
            }
            builder.push(end - at, ExtentKind::Zero);
            pieces.push((size, start..end));
            size += length;
        }
        if pieces.is_empty() {
            return Err(Error::usage("There is nothing to read."));
        }
        Ok(Self { source, ranges: pieces, size, extents: builder.finish() })
    }
}

impl Source for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn extents(&self) -> Result<ExtentMap> {
        Ok(self.extents.clone())
    }

    fn sector_size(&self) -> u32 {
        self.source.sector_size()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let place = self.ranges.partition_point(|(start, _)| *start <= at);
            let (start, range) = &self.ranges[place.saturating_sub(1)];
            let from = range.start + (at - start);
            let left = usize::try_from(range.end.saturating_sub(from)).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(Error::internal("A read beyond the end of the pieces."));
            }
            let length = left.min(buffer.len() - done);
            self.source.read(from, &mut buffer[done..done + length])?;
            done += length;
        }
        Ok(())
    }

    fn confirm(&self) -> Result<()> {
        self.source.confirm()
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pieces").field("ranges", &self.ranges).finish_non_exhaustive()
    }
}
