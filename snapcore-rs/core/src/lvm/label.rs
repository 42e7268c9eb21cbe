//! The label in one of a physical volume's first four sectors, and the metadata areas that it leads to.

use crate::filesystems::{Bytes, Fault, Volume};

const SECTOR: usize = 512;
const LABEL: &[u8; 8] = b"LABELONE";
const TYPE: &[u8; 8] = b"LVM2 001";
const SUMMED_FROM: usize = 20;
const AREA_MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
const AREA_HEADER: u64 = 512;
const IGNORED: u32 = 1;
/// Areas of either kind at most.
const MOST_AREAS: usize = 16;
/// Text at most; lvm2's areas are 1 MiB by default and hold two copies.
const MOST_TEXT: u64 = 1 << 20;

/// What the label says.
pub(super) struct Label {
    /// Without dashes.
    pub(super) id: [u8; 32],
    /// With dashes.
    pub(super) uuid: String,
    pub(super) device_size: u64,
    areas: Vec<(u64, u64)>,
}

/// lvm2's CRC: the usual polynomial, its own start, no inversion.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    sum.update(bytes);
    !sum.finalize()
}

pub(super) fn find(volume: &Volume<'_>) -> Result<Option<Label>, Fault> {
    for sector in 0..4_u64 {
        let at = sector * SECTOR as u64;
        if !volume.holds(at, SECTOR as u64) {
            return Ok(None);
        }
        let bytes = volume.read_vec(at, SECTOR)?;
        let label = Bytes(&bytes);
        if &label.array(0)? != LABEL || &label.array(24)? != TYPE {
            continue;
        }
        if label.le64(8)? != sector
            || label.le32(16)? != checksum(label.slice(SUMMED_FROM, SECTOR - SUMMED_FROM)?)
        {
            return Err(Fault::doubt("The checksum of its LVM label is wrong."));
        }
        return header(label, usize::try_from(label.le32(20)?).unwrap_or(usize::MAX)).map(Some);
    }
    Ok(None)
}

/// `pv_header`: the data areas, then the metadata areas, each list ended by zeros.
fn header(label: Bytes<'_>, at: usize) -> Result<Label, Fault> {
    let id: [u8; 32] = label.array(at)?;
    let device_size = label.le64(at.saturating_add(32))?;
    let mut at = at + 40;
    let mut lists = [Vec::new(), Vec::new()];
    for list in &mut lists {
        loop {
            let area = (label.le64(at)?, label.le64(at + 8)?);
            at += 16;
            if area.0 == 0 {
                break;
            }
            list.push(area);
            if list.len() > MOST_AREAS {
                return Err(Fault::doubt("Its LVM label makes no sense."));
            }
        }
    }
    if !id.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Fault::doubt("Its LVM label makes no sense."));
    }
    let [_, areas] = lists;
    let text: String = id.iter().map(|&byte| char::from(byte)).collect();
    let mut uuid = text.clone();
    for dash in [26, 22, 18, 14, 10, 6] {
        uuid.insert(dash, '-');
    }
    Ok(Label { id, uuid, device_size, areas })
}

impl Label {
    /// Of no metadata areas.
    #[cfg(test)]
    pub(super) fn of(id: [u8; 32], device_size: u64) -> Self {
        Self { id, uuid: String::new(), device_size, areas: Vec::new() }
    }

    /// The metadata: that of all areas that have any, if it is the same.
    pub(super) fn text(&self, volume: &Volume<'_>) -> Result<Vec<u8>, Fault> {
        let mut found: Option<Vec<u8>> = None;
        for &(start, size) in &self.areas {
            let Some(text) = area(volume, start, size)? else { continue };
            if found.as_ref().is_some_and(|found| *found != text) {
                return Err(Fault::doubt("The copies of its LVM metadata differ."));
            }
            found = Some(text);
        }
        found.ok_or_else(|| Fault::doubt("It has no LVM metadata of its own."))
    }
}

fn area(volume: &Volume<'_>, start: u64, size: u64) -> Result<Option<Vec<u8>>, Fault> {
    let wrong = || Fault::doubt("Its LVM metadata is damaged.");
    let bytes = volume.read_vec(start, SECTOR)?;
    let header = Bytes(&bytes);
    if header.le32(0)? != checksum(header.slice(4, SECTOR - 4)?)
        || &header.array(4)? != AREA_MAGIC
        || (header.le32(20)?, header.le64(24)?) != (1, start)
        || header.le64(32)? != size
        || size <= AREA_HEADER
        || !volume.holds(start, size)
    {
        return Err(wrong());
    }
    // The first place is the committed one. A second says that a change was prepared.
    let (offset, length) = (header.le64(40)?, header.le64(48)?);
    let (sum, flags) = (header.le32(56)?, header.le32(60)?);
    if header.le64(64)? != 0 {
        return Err(Fault::doubt("A change of its LVM metadata was begun and not ended."));
    }
    if offset == 0 || flags & IGNORED != 0 {
        return Ok(None);
    }
    if offset < AREA_HEADER || offset >= size || length > MOST_TEXT || length > size - AREA_HEADER {
        return Err(wrong());
    }
    // The area is a ring.
    let first = length.min(size - offset);
    let vec =
        |at: u64, length: u64| volume.read_vec(at, usize::try_from(length).unwrap_or(usize::MAX));
    let mut text = vec(start + offset, first)?;
    text.extend(vec(start + AREA_HEADER, length - first)?);
    if checksum(&text) != sum {
        return Err(Fault::doubt("The checksum of its LVM metadata is wrong."));
    }
    Ok(Some(text))
}
