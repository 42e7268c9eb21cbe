//! Partition tables.
//!
//! What must always hold:
//! - Partitions that are told lie within the disk, apart from each other and from the tables themselves. A table that says anything
//!   else is not believed at all: the whole disk is data, with the reason.
//! - What is outside of partitions belongs to nobody's file system and is always data.
//! - Bytes are hostile: no more than [`MOST_PARTITIONS`] entries are looked at, a chain of them ends, sums are checked.

mod gpt;
mod mbr;

use crate::filesystems::{Fault, Volume};

/// Partitions of a disk at most.
pub const MOST_PARTITIONS: usize = 1024;

/// What kind of table a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// A file system on the whole disk, or nothing that is known.
    None,
    /// Master boot record, with logical partitions.
    Mbr,
    /// GUID partition table.
    Gpt,
}

impl TableKind {
    /// "none", "mbr" or "gpt".
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mbr => "mbr",
            Self::Gpt => "gpt",
        }
    }
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the system counts: from 1; logical partitions from 5.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// MBR: "0x83"; GPT: the GUID in lower case.
    pub type_id: String,
    /// GPT's name; else empty.
    pub name: String,
    /// MBR: marked active. GPT: the attribute "legacy BIOS bootable".
    pub bootable: bool,
}

impl Entry {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// A disk's partition table, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Of what kind.
    pub kind: TableKind,
    /// In the order of the disk.
    pub entries: Vec<Entry>,
    /// Why the table is not believed; `entries` is empty then.
    pub trouble: Option<String>,
}

impl Table {
    fn none() -> Self {
        Self { kind: TableKind::None, entries: Vec::new(), trouble: None }
    }

    fn doubtful(kind: TableKind, reason: impl Into<String>) -> Self {
        Self { kind, entries: Vec::new(), trouble: Some(reason.into()) }
    }

    /// `used` are the tables' own places.
    fn checked(kind: TableKind, mut entries: Vec<Entry>, used: &[(u64, u64)], disk: u64) -> Self {
        entries.sort_by_key(|entry| (entry.start, entry.length));
        for entry in &entries {
            if entry.length == 0
                || entry.start.checked_add(entry.length).is_none_or(|end| end > disk)
            {
                let reason = format!("Partition {} ends beyond the disk's end.", entry.number);
                return Self::doubtful(kind, reason);
            }
            if used.iter().any(|&(start, end)| start < entry.end() && entry.start < end) {
                let reason =
                    format!("Partition {} overlaps the partition table itself.", entry.number);
                return Self::doubtful(kind, reason);
            }
        }
        for pair in entries.windows(2) {
            if pair[1].start < pair[0].end() {
                let reason =
                    format!("Partitions {} and {} overlap.", pair[0].number, pair[1].number);
                return Self::doubtful(kind, reason);
            }
        }
        Self { kind, entries, trouble: None }
    }
}

/// The disk's table. Errors are those of the disk.
pub fn read(disk: &Volume<'_>, sector_size: u32) -> crate::Result<Table> {
    match look(disk, u64::from(sector_size)) {
        Ok(table) => Ok(table),
        Err(Fault::Disk(error)) => Err(error),
        Err(Fault::Doubt(reason)) => Ok(Table::doubtful(TableKind::None, reason)),
    }
}

fn look(disk: &Volume<'_>, sector_size: u64) -> Result<Table, Fault> {
    let Some(record) = mbr::Record::read(disk, 0)? else { return Ok(Table::none()) };
    if record.is_protective() {
        return gpt::read(disk, sector_size, &record);
    }
    mbr::read(disk, sector_size, &record)
}
