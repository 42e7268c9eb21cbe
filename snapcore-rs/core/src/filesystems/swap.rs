//! Linux swap space: a page of header, then pages that mean nothing once the system is down.
//!
//! A hibernated system lies in them; then its signature stands in place of swap's, and everything is kept. Source:
//! `union swap_header` in Linux's include/linux/swap.h.

use super::{Bytes, Fault, FileSystem, FreeRuns, Usage, Volume};

const SIGNATURE: &[u8; 10] = b"SWAPSPACE2";
/// Of every architecture that Linux swaps on.
const PAGE_SIZES: [u32; 5] = [4096, 8192, 16384, 32768, 65536];
/// What swsusp, its older versions and uswsusp, `TuxOnIce` and low-level hibernation write in place of the signature.
const HIBERNATED: [&[u8]; 5] =
    [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"];

const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const UUID: usize = 1036;
const LABEL: usize = 1052;
const LABEL_LENGTH: usize = 16;

/// Swap space, used or hibernated into.
pub fn probe(volume: &Volume<'_>) -> crate::Result<Option<FileSystem>> {
    for page_size in PAGE_SIZES {
        match at_page_size(volume, page_size) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(Fault::Doubt(reason)) => return Ok(Some(FileSystem::whole("swap", reason))),
            Err(Fault::Disk(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn at_page_size(volume: &Volume<'_>, page_size: u32) -> Result<Option<FileSystem>, Fault> {
    let page = u64::from(page_size);
    if !volume.holds(0, page) {
        return Ok(None);
    }
    let mut signature = [0; SIGNATURE.len()];
    volume.read(page - SIGNATURE.len() as u64, &mut signature)?;
    if HIBERNATED.iter().any(|sign| signature.starts_with(sign)) {
        return Err(Fault::doubt("It holds a hibernated system."));
    }
    if &signature == b"SWAP-SPACE" {
        return Err(Fault::doubt("It is swap space of the old kind."));
    }
    if &signature != SIGNATURE {
        return Ok(None);
    }
    let header = volume.read_vec(0, 4096)?;
    let header = Bytes(&header);
    if header.le32(VERSION)? != 1 {
        return Err(Fault::doubt("It is swap space of an unknown version or byte order."));
    }
    let size = (u64::from(header.le32(LAST_PAGE)?) + 1) * page;
    if size <= page || size > volume.length() {
        return Err(Fault::doubt("Its swap space is larger than its partition."));
    }
    let mut free = FreeRuns::new(volume.length());
    free.push(page, size - page);
    Ok(Some(FileSystem {
        kind: "swap",
        label: header.text(LABEL, LABEL_LENGTH)?,
        uuid: header.uuid(UUID)?,
        size,
        block_size: page_size,
        usage: Usage::Mapped { free, used_bytes: page },
    }))
}
