//! A disk as a whole: its partitions, what is in each, and which of its bytes are surely free.
//!
//! What must always hold: a byte is free only if one file system, in one partition or logical volume that overlaps no other, is sure of it.
//! Two things that claim the same bytes (a file system on the whole disk below a partition table, an LVM label
//! above a file system) make all of them data. What is not free has its reason told.

use crate::error::Result;
use crate::filesystems::{self, FileSystem, FreeRuns, MOST_RUNS, Usage, Volume};
use crate::lvm::{self, Mapped, Mapping, PhysicalVolume};
use crate::partitions::{self, Entry, Table, TableKind};
use crate::source::Source;

const UNKNOWN: &str = "Snapport does not know what is in it.";

/// What is in a partition or a logical volume, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// "ext4", "NTFS", "swap", "LVM2"…; empty where it is not known.
    pub file_system: String,
    /// Empty where there is none.
    pub label: String,
    /// Empty where there is none.
    pub uuid: String,
    /// Bytes of a block; 0 where unknown.
    pub block_size: u32,
    /// Bytes that the file system counts as used; None where nobody can tell.
    pub used_bytes: Option<u64>,
    /// Bytes that are skipped.
    pub unused_bytes: u64,
    /// Why nothing is skipped; None where the file system's word is taken.
    pub reason: Option<String>,
}

impl Content {
    fn unknown() -> Self {
        Self { reason: Some(UNKNOWN.to_owned()), ..Self::default() }
    }
}

/// A partition, or the whole disk where it has no partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its place in the table; number 0 and the whole disk where there is no table.
    pub entry: Entry,
    /// What is in it.
    pub content: Content,
    /// The volume group, where it is a physical volume whose metadata could be read.
    pub group: String,
    /// Logical volumes that lie in it or partly in it.
    pub volumes: Vec<LogicalVolume>,
}

/// A logical volume of LVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Within its group.
    pub name: String,
    /// Its first byte on the disk; None where it does not lie there in one piece.
    pub start: Option<u64>,
    /// Bytes.
    pub length: u64,
    /// What is in it.
    pub content: Content,
}

/// What was found on a disk.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The kind of partition table.
    pub table: TableKind,
    /// Why the table, or the whole disk, could not be made use of.
    pub trouble: Option<String>,
    /// In the order of the disk.
    pub partitions: Vec<Partition>,
    /// Of the whole disk.
    pub free: FreeRuns,
}

impl Layout {
    /// Looks at a disk. Whatever stands on it, there is a layout; what cannot be read is taken whole, and whoever reads
    /// it for a snapshot meets the error in its place.
    pub fn read(disk: &dyn Source, sector_size: u32) -> Self {
        let whole = Volume::whole(disk);
        let table = partitions::read(&whole, sector_size).unwrap_or_else(|error| Table {
            kind: TableKind::None,
            entries: Vec::new(),
            trouble: Some(error.to_string()),
        });
        let mut layout = Self {
            table: table.kind,
            trouble: table.trouble,
            partitions: Vec::new(),
            free: FreeRuns::new(whole.length()),
        };
        if layout.trouble.is_some() {
            return layout;
        }
        if table.entries.is_empty() {
            let entry = Entry {
                number: 0,
                start: 0,
                length: whole.length(),
                type_id: String::new(),
                name: String::new(),
                bootable: false,
            };
            layout.add(entry, &whole);
            return layout;
        }
        match claimed(&whole) {
            Ok(None) => {}
            Ok(Some(kind)) => {
                layout.trouble = Some(format!(
                    "The disk bears the signs of {kind} besides its partition table."
                ));
            }
            Err(error) => layout.trouble = Some(error.to_string()),
        }
        for entry in table.entries {
            let volume = whole.part(entry.start, entry.length);
            layout.add(entry, &volume);
        }
        if layout.trouble.is_some() {
            layout.keep_all();
        }
        layout
    }

    /// Takes back that anything is free.
    fn keep_all(&mut self) {
        self.free = FreeRuns::new(0);
        let logical = self.partitions.iter_mut().flat_map(|partition| {
            let logical = partition.volumes.iter_mut().map(|volume| &mut volume.content);
            std::iter::once(&mut partition.content).chain(logical)
        });
        for content in logical {
            content.unused_bytes = 0;
            content.reason = content.reason.take().or_else(|| self.trouble.clone());
        }
    }

    fn add(&mut self, entry: Entry, volume: &Volume<'_>) {
        let mut partition = Partition {
            entry,
            content: Content::unknown(),
            group: String::new(),
            volumes: Vec::new(),
        };
        let found = filesystems::probe(volume).and_then(|found| Ok((found, lvm::probe(volume)?)));
        match found {
            Err(error) => partition.content.reason = Some(error.to_string()),
            Ok((None, None)) => {}
            Ok((Some(found), None)) => {
                let start = volume.start();
                let free = take(found, &mut partition.content);
                for run in free.iter() {
                    self.free.push(start + run.start, run.end - run.start);
                }
            }
            Ok((Some(found), Some(_))) => {
                let kind = found.kind;
                take(found, &mut partition.content);
                partition.content.unused_bytes = 0;
                partition.content.used_bytes = None;
                partition.content.reason = Some(format!(
                    "It bears the signs of both {kind} and LVM2, so nobody can tell what is free."
                ));
            }
            Ok((None, Some(physical))) => self.add_physical(physical, volume, &mut partition),
        }
        self.partitions.push(partition);
    }

    fn add_physical(
        &mut self,
        physical: PhysicalVolume,
        volume: &Volume<'_>,
        partition: &mut Partition,
    ) {
        partition.content = Content {
            file_system: "LVM2".to_owned(),
            uuid: physical.uuid,
            reason: physical.trouble,
            ..Content::default()
        };
        partition.group = physical.group;
        let mut scattered = Scattered::default();
        for logical in physical.volumes {
            let mut content = Content::unknown();
            match &logical.mapping {
                Err(reason) => content.reason = Some(reason.clone()),
                Ok(mapping) => {
                    let mapped = Mapped::new(*volume, mapping);
                    match filesystems::probe(&Volume::whole(&mapped)) {
                        Err(error) => content.reason = Some(error.to_string()),
                        Ok(None) => {}
                        Ok(Some(found)) => {
                            let free = take(found, &mut content);
                            for run in free.iter() {
                                // Cannot fail; the closure of the reader can.
                                let _ = mapping.runs(&run, |start, length| {
                                    scattered.push(volume.start() + start, length);
                                    Ok::<(), ()>(())
                                });
                            }
                        }
                    }
                }
            }
            let (name, length) = (logical.name, logical.length);
            let mapping = logical.mapping.as_ref().ok();
            let start = mapping.and_then(Mapping::in_one_piece).map(|at| volume.start() + at);
            partition.volumes.push(LogicalVolume { name, start, length, content });
        }
        let before = self.free.bytes();
        scattered.into_order(&mut self.free);
        partition.content.unused_bytes = self.free.bytes() - before;
        if partition.content.unused_bytes == 0 && partition.content.reason.is_none() {
            partition.content.reason =
                Some("None of its logical volumes has space that is surely free.".to_owned());
        }
    }
}

/// What claims the whole disk, if anything does.
fn claimed(whole: &Volume<'_>) -> Result<Option<&'static str>> {
    if let Some(found) = filesystems::probe(whole)? {
        return Ok(Some(found.kind));
    }
    Ok(lvm::probe(whole)?.map(|_| "LVM2"))
}

/// Fills `content`; the free runs that come with it.
fn take(found: FileSystem, content: &mut Content) -> FreeRuns {
    found.kind.clone_into(&mut content.file_system);
    content.label = found.label;
    content.uuid = found.uuid;
    content.block_size = found.block_size;
    match found.usage {
        Usage::Mapped { free, used_bytes } => {
            content.reason = None;
            content.used_bytes = Some(used_bytes);
            content.unused_bytes = free.bytes();
            free
        }
        Usage::Whole { reason } => {
            content.reason = Some(reason);
            FreeRuns::new(0)
        }
    }
}

/// Free runs in any order, as logical volumes give them: at most 16 MiB of them, then the smallest go.
#[derive(Default)]
struct Scattered {
    runs: Vec<(u64, u64)>,
    smallest: u64,
}

impl Scattered {
    fn push(&mut self, start: u64, length: u64) {
        if let Some(last) = self.runs.last_mut().filter(|last| last.0 + last.1 == start) {
            last.1 += length;
        } else if length >= self.smallest {
            self.runs.push((start, length));
        }
        while self.runs.len() > 2 * MOST_RUNS {
            self.smallest = (self.smallest * 2).max(512);
            let smallest = self.smallest;
            self.runs.retain(|run| run.1 >= smallest);
        }
    }

    fn into_order(mut self, free: &mut FreeRuns) {
        self.runs.sort_unstable();
        for (start, length) in self.runs {
            free.push(start, length);
        }
    }
}
