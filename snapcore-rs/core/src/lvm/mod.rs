//! LVM2: logical volumes that lie linear or striped within one physical volume, so that their file systems can be looked at.
//!
//! What must always hold: volumes that are told lie within the physical volume's extents, apart from each other. Metadata whose sums are
//! wrong, whose copies differ or which cannot be understood tells no volumes, with the reason. Thin, cache, mirrored and RAID volumes,
//! snapshots and their origins, and whatever spans disks are told by name alone. Source: lvm2's
//! `lib/format_text/layout.h` and `lib/label/label.h`.

mod label;
mod mapping;
mod metadata;
mod text;

use crate::filesystems::{Fault, Volume};

pub use mapping::{Mapped, Mapping};

/// Logical volumes and segments of one physical volume at most.
const MOST_SEGMENTS: usize = 1 << 16;

/// A physical volume and what its metadata tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// As LVM writes it.
    pub uuid: String,
    /// The volume group's name; empty where the metadata could not be read.
    pub group: String,
    /// In the metadata's order.
    pub volumes: Vec<LogicalVolume>,
    /// Why no volume is told.
    pub trouble: Option<String>,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Within its group.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Where it lies; or one clear sentence: why that is not told.
    pub mapping: Result<Mapping, String>,
}

/// The volume's LVM2 label and what is behind it; None without one. Errors are those of the disk.
pub fn probe(volume: &Volume<'_>) -> crate::Result<Option<PhysicalVolume>> {
    let label = match label::find(volume) {
        Ok(None) => return Ok(None),
        Ok(Some(label)) => label,
        Err(Fault::Disk(error)) => return Err(error),
        Err(Fault::Doubt(reason)) => {
            return Ok(Some(PhysicalVolume { trouble: Some(reason), ..Default::default() }));
        }
    };
    let uuid = label.uuid.clone();
    match label.text(volume).and_then(|text| metadata::read(&text, &label, volume)) {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Disk(error)) => Err(error),
        Err(Fault::Doubt(reason)) => {
            Ok(Some(PhysicalVolume { uuid, trouble: Some(reason), ..Default::default() }))
        }
    }
}
