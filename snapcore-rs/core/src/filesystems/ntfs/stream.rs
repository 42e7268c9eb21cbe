//! The bytes of one attribute, wherever they lie.

use super::super::{Fault, Volume};
use super::runs::{Pairs, Run};

/// Runs that are held at a time, 32 bytes each: 8 MiB. An attribute in more pieces makes its volume whole.
pub const MOST_RUNS: usize = 1 << 18;

/// An attribute, to be read.
#[derive(Clone, Debug)]
pub enum Stream {
    /// It lay in its record.
    Resident(Vec<u8>),
    /// It lies in clusters.
    Mapped(Clusters),
}

impl Stream {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Resident(bytes) => bytes.len() as u64,
            Self::Mapped(clusters) => clusters.size,
        }
    }

    /// Fills `buffer` from `offset`; beyond the attribute's end is a doubt.
    pub fn read(&self, volume: &Volume<'_>, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Resident(bytes) => {
                let from = usize::try_from(offset).map_err(|_| ends())?;
                let end = from.checked_add(buffer.len()).ok_or_else(ends)?;
                buffer.copy_from_slice(bytes.get(from..end).ok_or_else(ends)?);
                Ok(())
            }
            Self::Mapped(clusters) => clusters.read(volume, offset, buffer),
        }
    }
}

/// Runs without a gap from the attribute's first cluster on, that share no more clusters than the volume has.
#[derive(Clone, Debug)]
pub struct Clusters {
    cluster_size: u64,
    /// The volume's.
    most: u64,
    runs: Vec<Run>,
    /// The first cluster that no run has.
    end: u64,
    mapped: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes that were written; those behind are zeros.
    pub written: u64,
}

impl Clusters {
    /// Nothing yet, of a volume of `most` clusters.
    pub fn new(cluster_size: u64, most: u64) -> Self {
        Self { cluster_size, most, runs: Vec::new(), end: 0, mapped: 0, size: 0, written: 0 }
    }

    /// Appends the stretch that follows. `end` is the first cluster behind it.
    pub fn append(&mut self, lowest: u64, end: u64, pairs: &[u8]) -> Result<(), Fault> {
        let gap = || Fault::doubt("The file table is damaged: a file's clusters have a gap.");
        if lowest != self.end {
            return Err(gap());
        }
        let mut pairs = Pairs::new(pairs, lowest, self.most);
        while let Some(run) = pairs.next()? {
            if run.lcn.is_some() {
                self.mapped = self.mapped.checked_add(run.length).ok_or_else(gap)?;
            }
            if self.mapped > self.most {
                return Err(Fault::doubt(
                    "A file of the file system has more clusters than the volume.",
                ));
            }
            if self.runs.len() == MOST_RUNS {
                return Err(Fault::doubt("A file of the file system lies in too many pieces."));
            }
            self.runs.push(run);
        }
        if pairs.end() != end {
            return Err(gap());
        }
        self.end = end;
        Ok(())
    }

    /// Checks what the runs do not tell: the sizes.
    pub fn finish(&self) -> Result<(), Fault> {
        let room = self.end.saturating_mul(self.cluster_size);
        if self.size > room || self.written > self.size {
            return Err(Fault::doubt(
                "The file table is damaged: a file is longer than its clusters.",
            ));
        }
        Ok(())
    }

    /// The runs, in order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Whether it has a hole.
    pub fn has_holes(&self) -> bool {
        self.runs.iter().any(|run| run.lcn.is_none())
    }

    /// Fills `buffer` from `offset`. A place that no run has is a doubt.
    pub fn read(&self, volume: &Volume<'_>, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let vcn = at / self.cluster_size;
            let index = self.runs.partition_point(|run| run.vcn + run.length <= vcn);
            let run = self.runs.get(index).ok_or_else(ends)?;
            let inside = at - run.vcn * self.cluster_size;
            let left = run.length * self.cluster_size - inside;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            match run.lcn {
                Some(lcn) => volume.read(lcn * self.cluster_size + inside, now)?,
                None => now.fill(0),
            }
            let written = self.written.saturating_sub(at).min(length as u64);
            now[usize::try_from(written).unwrap_or(length)..].fill(0);
            at += length as u64;
            rest = later;
        }
        Ok(())
    }
}

fn ends() -> Fault {
    Fault::doubt("A file of the file system ends too early.")
}
