//! hiberfil.sys: whether Windows sleeps on this volume and will go on from what it kept in memory.
//!
//! All blocks of the root directory that are in use are read, rather than its tree descended: that needs no table of
//! letters' cases and no recursion.

use super::super::{Bytes, Fault, Volume};
use super::mft::Mft;
use super::record::{BITMAP, DATA, INDEX_ALLOCATION, INDEX_ROOT, Name, Reference, fix_up};
use super::stream::Stream;

const ROOT: u64 = 5;
/// A root directory of more bytes than a million files take makes its volume whole.
const LARGEST_DIRECTORY: u64 = 256 << 20;
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 512..=65_536;
/// Flag of an index entry that holds no name.
const LAST_ENTRY: u16 = 2;
const HEADER: usize = 4096;

/// A doubt if the volume holds a hibernated system.
pub fn check(mft: &Mft<'_>, volume: &Volume<'_>) -> Result<(), Fault> {
    let Some(file) = find(mft, volume)? else { return Ok(()) };
    let mut record = vec![0; mft.record_size()];
    if mft.record(file.number, &mut record)?.sequence()? != file.sequence {
        return Err(damaged());
    }
    let content = mft.attribute(file.number, DATA, Name::NONE)?.ok_or_else(damaged)?;
    // A file too short for a header marks a volume of another system that is hibernated.
    if content.size() < HEADER as u64 {
        return Err(hibernated());
    }
    let mut header = [0; 4];
    content.read(volume, 0, &mut header)?;
    match &header {
        b"hibr" | b"HIBR" => Err(hibernated()),
        // Nothing yet, or what Windows puts there once it woke up.
        [0, 0, 0, 0] | b"wake" | b"WAKE" => Ok(()),
        _ => Err(Fault::doubt(
            "Windows may be hibernated: hiberfil.sys begins with something unknown.",
        )),
    }
}

/// hiberfil.sys in the root directory.
fn find(mft: &Mft<'_>, volume: &Volume<'_>) -> Result<Option<Reference>, Fault> {
    let root = mft.attribute(ROOT, INDEX_ROOT, Name::I30)?.ok_or_else(damaged)?;
    let Stream::Resident(root) = root else { return Err(damaged()) };
    let view = Bytes(&root);
    let block_size = u64::from(view.le32(8)?);
    if let Some(found) = search(view.0.get(16..).unwrap_or_default())? {
        return Ok(Some(found));
    }
    let Some(blocks) = mft.attribute(ROOT, INDEX_ALLOCATION, Name::I30)? else { return Ok(None) };
    let used = mft.attribute(ROOT, BITMAP, Name::I30)?.ok_or_else(damaged)?;
    if !block_size.is_power_of_two() || !BLOCK_SIZES.contains(&block_size) {
        return Err(damaged());
    }
    if blocks.size() > LARGEST_DIRECTORY {
        return Err(Fault::doubt(
            "The root directory is too large to look for hiberfil.sys in it.",
        ));
    }
    let count = blocks.size() / block_size;
    let mut bitmap = vec![0; usize::try_from(count.div_ceil(8)).map_err(|_| damaged())?];
    used.read(volume, 0, &mut bitmap)?;
    let mut block = vec![0; usize::try_from(block_size).map_err(|_| damaged())?];
    for (byte, at) in bitmap.iter().flat_map(|byte| [byte; 8]).zip(0..count) {
        if byte >> (at % 8) & 1 == 0 {
            continue;
        }
        blocks.read(volume, at * block_size, &mut block)?;
        fix_up(&mut block, *b"INDX")?;
        if let Some(found) = search(&block[24..])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Looks through the entries behind an index header.
fn search(index: &[u8]) -> Result<Option<Reference>, Fault> {
    let header = Bytes(index);
    let start = usize::try_from(header.le32(0)?).map_err(|_| damaged())?;
    let end = usize::try_from(header.le32(4)?).map_err(|_| damaged())?;
    let mut rest = index.get(start..end).ok_or_else(damaged)?;
    loop {
        let view = Bytes(rest);
        let length = usize::from(view.le16(8)?);
        if view.le16(12)? & LAST_ENTRY != 0 {
            return Ok(None);
        }
        // The shortest has 16 bytes, so this ends.
        let entry = Bytes(view.slice(0, length.max(16))?);
        let name = entry.slice(16 + 66, 2 * usize::from(entry.u8(16 + 64)?))?;
        if is_hiberfil(name) {
            return Ok(Some(Reference::new(entry.le64(0)?)));
        }
        rest = &rest[entry.0.len()..];
    }
}

/// Whatever the case of its letters.
fn is_hiberfil(name: &[u8]) -> bool {
    let wanted = b"hiberfil.sys";
    name.len() == 2 * wanted.len()
        && name
            .chunks_exact(2)
            .zip(wanted)
            .all(|(unit, letter)| unit[1] == 0 && unit[0].eq_ignore_ascii_case(letter))
}

fn hibernated() -> Fault {
    Fault::doubt("The volume was not shut down cleanly: Windows is hibernated.")
}

fn damaged() -> Fault {
    Fault::doubt("The root directory is damaged.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_name_in_any_case() {
        let wide = |name: &str| name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert!(is_hiberfil(&wide("hiberfil.sys")));
        assert!(is_hiberfil(&wide("HIBERFIL.SYS")));
        assert!(!is_hiberfil(&wide("hiberfil.sy")));
        assert!(!is_hiberfil(&wide("hiberfil.syß")));
    }
}
