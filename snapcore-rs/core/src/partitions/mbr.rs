//! Master boot records: four entries, and logical partitions chained within an extended one.
//!
//! Each extended boot record holds one logical partition, relative to itself, and the place of the next record,
//! relative to the extended partition.

use super::{Entry, MOST_PARTITIONS, Table, TableKind};
use crate::filesystems::{Bytes, Fault, Volume};

const ENTRIES: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: usize = 510;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
const PROTECTIVE: u8 = 0xee;

/// An entry as it is written, in sectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    status: u8,
    pub(super) kind: u8,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Slot {
    fn is_empty(self) -> bool {
        self.kind == 0
    }

    fn is_extended(self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

/// A boot record, master or extended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) slots: [Slot; 4],
}

impl Record {
    /// None without the signature, or at a place beyond the disk's end.
    pub(super) fn read(disk: &Volume<'_>, at: u64) -> Result<Option<Self>, Fault> {
        if !disk.holds(at, 512) {
            return Ok(None);
        }
        let bytes = disk.read_vec(at, 512)?;
        let bytes = Bytes(&bytes);
        if bytes.array(SIGNATURE)? != [0x55, 0xaa] {
            return Ok(None);
        }
        let slot = |index: usize| -> Result<Slot, Fault> {
            let at = ENTRIES + index * ENTRY;
            Ok(Slot {
                status: bytes.u8(at)?,
                kind: bytes.u8(at + 4)?,
                start: u64::from(bytes.le32(at + 8)?),
                length: u64::from(bytes.le32(at + 12)?),
            })
        };
        Ok(Some(Self { slots: [slot(0)?, slot(1)?, slot(2)?, slot(3)?] }))
    }

    pub(super) fn is_protective(&self) -> bool {
        self.slots.iter().any(|slot| slot.kind == PROTECTIVE)
    }

    /// Entries that are no GPT's guard.
    pub(super) fn others(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().copied().filter(|slot| !slot.is_empty() && slot.kind != PROTECTIVE)
    }
}

/// The partitions of a record that guards no GPT.
pub(super) fn read(disk: &Volume<'_>, sector_size: u64, record: &Record) -> Result<Table, Fault> {
    // A file system's own boot sector has the same signature, and code or text in the entries' place.
    if record.slots.iter().any(|slot| slot.status & 0x7f != 0)
        || record.slots.iter().all(|slot| slot.is_empty())
    {
        return Ok(Table::none());
    }
    let mut entries = Vec::new();
    let mut used = vec![(0, sector_size)];
    let mut extended = None;
    for (number, slot) in (1..).zip(record.slots) {
        if slot.is_empty() {
            continue;
        }
        if slot.is_extended() {
            if extended.replace(slot).is_some() {
                return Ok(Table::doubtful(TableKind::Mbr, "There are two extended partitions."));
            }
        } else {
            entries.push(entry(number, slot, 0, sector_size));
        }
    }
    if let Some(extended) = extended {
        // As an entry among the others it is checked like one, then left out.
        let container = entry(0, extended, 0, sector_size);
        let mut all = entries.clone();
        all.push(container.clone());
        let table = Table::checked(TableKind::Mbr, all, &used, disk.length());
        if table.trouble.is_some() {
            return Ok(table);
        }
        match logical(disk, sector_size, extended, &mut used)? {
            Ok(logical) => {
                let within = |entry: &Entry| {
                    entry.start >= container.start && entry.end() <= container.end()
                };
                if let Some(entry) = logical.iter().find(|entry| !within(entry)) {
                    let reason =
                        format!("Partition {} is not within the extended partition.", entry.number);
                    return Ok(Table::doubtful(TableKind::Mbr, reason));
                }
                entries.extend(logical);
            }
            Err(reason) => return Ok(Table::doubtful(TableKind::Mbr, reason)),
        }
    }
    Ok(Table::checked(TableKind::Mbr, entries, &used, disk.length()))
}

/// Walks the chain; or says why it cannot be walked.
fn logical(
    disk: &Volume<'_>,
    sector_size: u64,
    extended: Slot,
    used: &mut Vec<(u64, u64)>,
) -> Result<Result<Vec<Entry>, &'static str>, Fault> {
    let mut entries = Vec::new();
    let mut at = extended.start;
    let mut number = 5;
    for _ in 0..MOST_PARTITIONS {
        if at - extended.start >= extended.length {
            return Ok(Err("The chain of logical partitions leaves the extended partition."));
        }
        let start = at * sector_size;
        if used.iter().any(|place| place.0 == start) {
            return Ok(Err("The chain of logical partitions runs in a circle."));
        }
        used.push((start, start + sector_size));
        let Some(record) = Record::read(disk, start)? else {
            // An extended partition that nobody has filled yet.
            return Ok(if entries.is_empty() {
                Ok(entries)
            } else {
                Err("The chain of logical partitions is broken.")
            });
        };
        let mut next = None;
        for slot in record.slots.into_iter().filter(|slot| !slot.is_empty()) {
            if slot.status & 0x7f != 0 {
                return Ok(Err("The chain of logical partitions is broken."));
            }
            if slot.is_extended() {
                if next.replace(slot).is_some() {
                    return Ok(Err("The chain of logical partitions branches."));
                }
            } else {
                entries.push(entry(number, slot, at, sector_size));
                number += 1;
            }
        }
        match next {
            Some(next) => at = extended.start + next.start,
            None => return Ok(Ok(entries)),
        }
    }
    Ok(Err("There are more logical partitions than Snapport looks at."))
}

fn entry(number: u32, slot: Slot, base: u64, sector_size: u64) -> Entry {
    Entry {
        number,
        // 33 bits of sectors of at most 32 bits of bytes would not fit; sectors are no larger than 64 KiB.
        start: (base + slot.start).saturating_mul(sector_size),
        length: slot.length.saturating_mul(sector_size),
        type_id: format!("0x{:02x}", slot.kind),
        name: String::new(),
        bootable: slot.status == 0x80,
    }
}
