//! GUID partition tables (UEFI specification, chapter 5): a header and entries at the disk's start, and again at its end.
//!
//! One good copy is enough. Two good copies that say different things are not believed.

use super::mbr::Record;
use super::{Entry, MOST_PARTITIONS, Table, TableKind};
use crate::checksum::crc32;
use crate::filesystems::{Bytes, Fault, Volume};

const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER: usize = 92;
const ENTRY: usize = 128;
const NAME: usize = 56;
const LEGACY_BIOS_BOOTABLE: u64 = 1 << 2;

struct Header {
    /// Where it stands, in sectors.
    own: u64,
    alternate: u64,
    first_usable: u64,
    last_usable: u64,
    entries_at: u64,
    entries_length: usize,
    entry_size: usize,
    entries_sum: u32,
    disk_guid: [u8; 16],
}

/// A header and its entries, both with good sums.
struct Copy {
    header: Header,
    entries: Vec<u8>,
}

/// The table that a protective record announces.
pub(super) fn read(disk: &Volume<'_>, sector_size: u64, record: &Record) -> Result<Table, Fault> {
    let mut sizes = vec![sector_size];
    // A file does not tell what sectors the disk had that it is a copy of.
    sizes.extend([512, 4096].into_iter().filter(|&size| size != sector_size));
    let mut found: Option<(u64, Copy)> = None;
    for size in sizes {
        let Some(last) = (disk.length() / size).checked_sub(1) else { continue };
        let first = copy(disk, size, 1)?;
        let second = copy(disk, size, last)?;
        // A disk that grew has its second copy where the first says.
        let second = match (&first, second) {
            (Some(first), None) => copy(disk, size, first.header.alternate)?,
            (_, second) => second,
        };
        let best = match (first, second) {
            (Some(first), Some(second)) if !agree(&first, &second) => {
                return Ok(Table::doubtful(
                    TableKind::Gpt,
                    "The two copies of its partition table differ.",
                ));
            }
            (Some(copy), _) | (None, Some(copy)) => copy,
            (None, None) => continue,
        };
        if found.replace((size, best)).is_some() {
            return Ok(Table::doubtful(
                TableKind::Gpt,
                "It has partition tables for two sizes of sectors.",
            ));
        }
    }
    let Some((size, copy)) = found else {
        return Ok(Table::doubtful(
            TableKind::Gpt,
            "Both copies of its partition table are damaged.",
        ));
    };
    let table = entries(disk, size, &copy)?;
    // A hybrid: other systems go by the boot record, so it has to say the same.
    for slot in record.others() {
        let start = slot.start.saturating_mul(size);
        let length = slot.length.saturating_mul(size);
        let same = table.entries.iter().any(|entry| (entry.start, entry.length) == (start, length));
        if !same && table.trouble.is_none() {
            return Ok(Table::doubtful(
                TableKind::Gpt,
                "Its boot record has partitions that its partition table has not.",
            ));
        }
    }
    Ok(table)
}

fn agree(first: &Copy, second: &Copy) -> bool {
    let of = |header: &Header| {
        (
            header.first_usable,
            header.last_usable,
            header.entry_size,
            header.entries_sum,
            header.disk_guid,
        )
    };
    of(&first.header) == of(&second.header) && first.entries == second.entries
}

/// The copy whose header stands at this sector, if it is whole.
fn copy(disk: &Volume<'_>, sector_size: u64, own: u64) -> Result<Option<Copy>, Fault> {
    let Some(header) = header(disk, sector_size, own)? else { return Ok(None) };
    let Some(at) = header.entries_at.checked_mul(sector_size) else { return Ok(None) };
    if !disk.holds(at, header.entries_length as u64) {
        return Ok(None);
    }
    let entries = disk.read_vec(at, header.entries_length)?;
    Ok((crc32(&entries) == header.entries_sum).then_some(Copy { header, entries }))
}

fn header(disk: &Volume<'_>, sector_size: u64, own: u64) -> Result<Option<Header>, Fault> {
    let Some(at) = own.checked_mul(sector_size).filter(|&at| disk.holds(at, sector_size)) else {
        return Ok(None);
    };
    let sector = disk.read_vec(at, usize::try_from(sector_size).unwrap_or(usize::MAX))?;
    let bytes = Bytes(&sector);
    if &bytes.array(0)? != SIGNATURE || bytes.le32(8)? >> 16 != 1 {
        return Ok(None);
    }
    let length = usize::try_from(bytes.le32(12)?).unwrap_or(usize::MAX);
    if length < HEADER || length > sector.len() {
        return Ok(None);
    }
    let mut summed = bytes.slice(0, length)?.to_vec();
    summed[16..20].fill(0);
    let count = usize::try_from(bytes.le32(80)?).unwrap_or(usize::MAX);
    let entry_size = usize::try_from(bytes.le32(84)?).unwrap_or(usize::MAX);
    if crc32(&summed) != bytes.le32(16)?
        || bytes.le64(24)? != own
        || !(1..=MOST_PARTITIONS).contains(&count)
        || !(ENTRY..=4096).contains(&entry_size)
        || !entry_size.is_power_of_two()
    {
        return Ok(None);
    }
    Ok(Some(Header {
        own,
        alternate: bytes.le64(32)?,
        first_usable: bytes.le64(40)?,
        last_usable: bytes.le64(48)?,
        disk_guid: bytes.array(56)?,
        entries_at: bytes.le64(72)?,
        entries_length: count * entry_size,
        entry_size,
        entries_sum: bytes.le32(88)?,
    }))
}

fn entries(disk: &Volume<'_>, sector_size: u64, copy: &Copy) -> Result<Table, Fault> {
    let header = &copy.header;
    let mut entries = Vec::new();
    for (number, bytes) in (1..).zip(copy.entries.chunks_exact(header.entry_size)) {
        let bytes = Bytes(bytes);
        let kind: [u8; 16] = bytes.array(0)?;
        if kind == [0; 16] {
            continue;
        }
        let (first, last) = (bytes.le64(32)?, bytes.le64(40)?);
        if first > last || first < header.first_usable || last > header.last_usable {
            let reason = format!("Partition {number} lies outside of the usable space.");
            return Ok(Table::doubtful(TableKind::Gpt, reason));
        }
        // last - first + 1 could be 2^64
        let length = (last - first).saturating_add(1).saturating_mul(sector_size);
        entries.push(Entry {
            number,
            start: first.saturating_mul(sector_size),
            length,
            type_id: guid(kind),
            name: name(bytes.slice(NAME, 72)?),
            bootable: bytes.le64(48)? & LEGACY_BIOS_BOOTABLE != 0,
        });
    }
    let place = |sector: u64, length: u64| {
        let start = sector.saturating_mul(sector_size);
        (start, start.saturating_add(length))
    };
    let used = [
        place(0, 2 * sector_size),
        place(header.own, sector_size),
        place(header.alternate, sector_size),
        place(header.entries_at, header.entries_length as u64),
    ];
    Ok(Table::checked(TableKind::Gpt, entries, &used, disk.length()))
}

/// The first three fields are little-endian.
fn guid(bytes: [u8; 16]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let hex = crate::digests::hex(&ORDER.map(|at| bytes[at]));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn name(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|letter| letter.ok().filter(|letter| !letter.is_control()))
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
