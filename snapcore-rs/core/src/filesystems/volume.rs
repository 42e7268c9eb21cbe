//! A partition as a small disk of its own.

use crate::error::Error;
use crate::source::Source;

/// Bytes that one [`Volume::read_vec`] gives at most.
pub const MOST_READ: usize = 4 << 20;

/// Why a structure could not be read.
#[derive(Debug)]
pub enum Fault {
    /// It is not what it should be: a reason to take the volume whole. One clear sentence.
    Doubt(String),
    /// The disk failed.
    Disk(Error),
}

impl Fault {
    /// A reason to take a volume whole.
    pub fn doubt(reason: impl Into<String>) -> Self {
        Self::Doubt(reason.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

/// A range of a source, read by offsets relative to its start. Nothing outside of it is ever read.
#[derive(Clone, Copy)]
pub struct Volume<'a> {
    source: &'a (dyn Source + 'a),
    start: u64,
    length: u64,
}

impl<'a> Volume<'a> {
    /// The range must lie within the source; what does not is cut off.
    pub fn new(source: &'a (dyn Source + 'a), start: u64, length: u64) -> Self {
        let start = start.min(source.size());
        Self { source, start, length: length.min(source.size() - start) }
    }

    /// All of a source.
    pub fn whole(source: &'a (dyn Source + 'a)) -> Self {
        Self { source, start: 0, length: source.size() }
    }

    /// A range of this volume; what lies beyond its end is cut off.
    #[must_use]
    pub fn part(&self, start: u64, length: u64) -> Self {
        let start = start.min(self.length);
        let length = length.min(self.length - start);
        Self { source: self.source, start: self.start + start, length }
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it begins in its source.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Whether what is read later is what is read now.
    pub fn is_point_in_time(&self) -> bool {
        self.source.is_point_in_time()
    }

    /// Whether all of these bytes are in the volume.
    pub fn holds(&self, offset: u64, length: u64) -> bool {
        offset.checked_add(length).is_some_and(|end| end <= self.length)
    }

    /// Fills `buffer` from `offset`. A range beyond the volume's end is a doubt; the disk's errors bear its own offsets.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        if !self.holds(offset, buffer.len() as u64) {
            return Err(Fault::doubt(
                "A structure of the file system lies beyond the volume's end.",
            ));
        }
        Ok(self.source.read(self.start + offset, buffer)?)
    }

    /// `length` bytes from `offset`, as [`Volume::read`]. More than [`MOST_READ`] is a doubt too.
    pub fn read_vec(&self, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        if length > MOST_READ || !self.holds(offset, length as u64) {
            return Err(Fault::doubt("A structure of the file system is larger than it can be."));
        }
        let mut buffer = vec![0; length];
        self.read(offset, &mut buffer)?;
        Ok(buffer)
    }
}

impl std::fmt::Debug for Volume<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Volume of {} bytes at {}", self.length, self.start)
    }
}
