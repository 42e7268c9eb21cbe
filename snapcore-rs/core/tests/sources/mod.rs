//! Sources whose faults can be chosen.
#![allow(dead_code)] // each test file uses some of it

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use snapcore::extents::{Builder, ExtentKind, ExtentMap, MOST_EXTENTS};
use snapcore::source::Source;
use snapcore::{Error, Result};

/// What a run of the source holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Zeros that nobody has to read.
    Hole,
    /// Zeros that have to be read to be known.
    WrittenZeros,
    /// Compresses well.
    Text,
    /// Does not compress.
    Noise,
}

/// A source made of runs, of any size without memory for its holes.
#[derive(Clone, Debug)]
pub struct Runs {
    pub pieces: Vec<(Content, u64)>,
    pub fault: Fault,
    pub reads: Arc<AtomicU64>,
}

/// What goes wrong, at a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Error(u64),
    Panic(u64),
    Shrunk(u64),
}

impl Runs {
    pub fn new(runs: &[(Content, u64)]) -> Self {
        Self { pieces: runs.to_vec(), fault: Fault::None, reads: Arc::default() }
    }

    pub fn failing(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    pub fn extents(&self) -> Arc<ExtentMap> {
        let mut builder = Builder::new(MOST_EXTENTS);
        for &(content, length) in &self.pieces {
            let kind = match content {
                Content::Hole => ExtentKind::Zero,
                _ => ExtentKind::Data,
            };
            builder.push(length, kind);
        }
        Arc::new(builder.finish())
    }

    /// The bytes at `offset`.
    pub fn copy(&self, offset: u64, buffer: &mut [u8]) {
        let mut start = 0;
        for &(content, length) in &self.pieces {
            let end = start + length;
            let (from, to) = (start.max(offset), end.min(offset + buffer.len() as u64));
            if from < to {
                let place = |at: u64| usize::try_from(at - offset).unwrap();
                let bytes = &mut buffer[place(from)..place(to)];
                for (at, byte) in (from..).zip(bytes) {
                    *byte = match content {
                        Content::Hole | Content::WrittenZeros => 0,
                        Content::Text => {
                            b"the house of the snapshot "[usize::try_from(at % 26).unwrap()]
                        }
                        // splitmix64's last step
                        Content::Noise => {
                            let x =
                                (at ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                            ((x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56).to_le_bytes()
                                [0]
                        }
                    };
                }
            }
            start = end;
        }
    }
}

impl Source for Runs {
    fn size(&self) -> u64 {
        self.pieces.iter().map(|run| run.1).sum()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let range = offset..offset + buffer.len() as u64;
        match self.fault {
            Fault::Error(at) if range.contains(&at) => {
                return Err(Error::disk_at(std::path::Path::new("runs"), at, "The disk failed."));
            }
            Fault::Panic(at) if range.contains(&at) => panic!("a fault of the test"),
            _ => {}
        }
        self.copy(offset, buffer);
        Ok(())
    }

    fn confirm(&self) -> Result<()> {
        match self.fault {
            Fault::Shrunk(at) => {
                Err(Error::disk_at(std::path::Path::new("runs"), at, "The disk shrank."))
            }
            _ => Ok(()),
        }
    }
}
