//! A volume as it reads once its journal is replayed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::log::{Copy, Log};
use crate::error::{Error, Result};
use crate::filesystems::{Fault, Volume};
use crate::source::Source;

/// The volume, with the last copy of each block in the block's place. Its superblock still says that there is a journal to replay.
pub struct Replayed<'a> {
    volume: Volume<'a>,
    log: Log,
    block_size: u64,
    /// A copy had a wrong sum.
    damaged: AtomicBool,
}

impl<'a> Replayed<'a> {
    pub(in crate::filesystems::ext) fn new(volume: Volume<'a>, log: Log, block_size: u64) -> Self {
        Self { volume, log, block_size, damaged: AtomicBool::new(false) }
    }

    /// Doubts the volume if a copy that was read had a wrong sum.
    pub fn confirm(&self) -> std::result::Result<(), Fault> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(Fault::doubt(
                "Its journal has to be replayed, but it has a block whose checksum is wrong.",
            ));
        }
        Ok(())
    }

    /// Adds what is set in `block` before the replay, and after any part of it, to what is set in `bitmap`.
    pub(in crate::filesystems::ext) fn add_earlier(
        &self,
        block: u64,
        bitmap: &mut [u8],
    ) -> std::result::Result<(), Fault> {
        let mut add = |earlier: &[u8]| {
            for (byte, earlier) in bitmap.iter_mut().zip(earlier) {
                *byte |= earlier;
            }
        };
        let length = usize::try_from(self.block_size).unwrap_or(usize::MAX);
        add(&self.volume.read_vec(block.saturating_mul(self.block_size), length)?);
        for copy in self.log.copies_of(&(block..block.saturating_add(1))) {
            if let Some(earlier) = self.content(copy)? {
                add(&earlier);
            }
        }
        Ok(())
    }

    /// None where it cannot be believed, which [`Replayed::confirm`] will tell.
    fn content(&self, copy: &Copy) -> Result<Option<Vec<u8>>> {
        match self.log.content(copy, &self.volume) {
            Ok(Some(content)) => Ok(Some(content)),
            Ok(None) | Err(Fault::Doubt(_)) => {
                self.damaged.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(Fault::Disk(error)) => Err(error),
        }
    }
}

impl Source for Replayed<'_> {
    fn is_point_in_time(&self) -> bool {
        true
    }

    fn size(&self) -> u64 {
        self.volume.length()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.volume.read(offset, buffer).map_err(|fault| match fault {
            Fault::Disk(error) => error,
            Fault::Doubt(reason) => Error::internal(reason),
        })?;
        let end = offset + buffer.len() as u64;
        let blocks = offset / self.block_size..end.div_ceil(self.block_size);
        for copies in
            self.log.copies_of(&blocks).chunk_by(|one, other| one.tag.block == other.tag.block)
        {
            let Some(last) = copies.iter().rfind(|copy| copy.stands) else { continue };
            let Some(content) = self.content(last)? else { continue };
            let start = last.tag.block * self.block_size;
            let (from, to) = (start.max(offset), (start + self.block_size).min(end));
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            buffer[place(from - offset)..place(to - offset)]
                .copy_from_slice(&content[place(from - start)..place(to - start)]);
        }
        Ok(())
    }
}
