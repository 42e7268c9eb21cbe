//! $`LogFile`: whether the volume was shut down cleanly.
//!
//! Only two states are clean: a log that nothing was ever written to (all bytes 0xff, as tools leave it), and one
//! whose newer restart area has no client that still works with it.

use super::super::{Bytes, Fault, Volume};
use super::record::fix_up;
use super::stream::Stream;

/// A log has no more than 4 GiB.
const LARGEST: u64 = 4 << 30;
const CHUNK: usize = 1 << 20;
/// No client works with the log.
const NO_CLIENT: u16 = 0xffff;
/// Flag of a restart area.
const VOLUME_IS_CLEAN: u16 = 2;
/// A restart page has 4 KiB on every machine that Windows runs on; the field allows others.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 4096..=65_536;

/// What a restart page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Restart {
    lsn: u64,
    clean: bool,
}

/// A doubt unless the log shows that the volume was shut down cleanly.
pub fn check(log: &Stream, volume: &Volume<'_>) -> Result<(), Fault> {
    if log.size() > LARGEST {
        return Err(unclean("its log is too large"));
    }
    let mut start = [0; 20];
    log.read(volume, 0, &mut start)?;
    if start == [0xff; 20] {
        return check_empty(log, volume);
    }
    let page_size = u64::from(Bytes(&start).le32(16)?);
    if !page_size.is_power_of_two() || !PAGE_SIZES.contains(&page_size) {
        return Err(unclean("its log cannot be read"));
    }
    // The second page stands behind the first, or was never written.
    let first = restart(log, volume, 0, page_size)?;
    let second = restart(log, volume, page_size, page_size)?;
    match [first, second].into_iter().flatten().max_by_key(|restart| restart.lsn) {
        Some(Restart { clean: true, .. }) => Ok(()),
        Some(_) => Err(unclean("its log still has changes that were not made")),
        None => Err(unclean("its log cannot be read")),
    }
}

fn check_empty(log: &Stream, volume: &Volume<'_>) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < log.size() {
        let length = usize::try_from(log.size() - at).unwrap_or(CHUNK).min(CHUNK);
        log.read(volume, at, &mut chunk[..length])?;
        if chunk[..length].iter().any(|&byte| byte != 0xff) {
            return Err(unclean("its log begins empty and goes on with something else"));
        }
        at += length as u64;
    }
    Ok(())
}

/// The restart area at `at`; None where there is none that can be read.
fn restart(
    log: &Stream,
    volume: &Volume<'_>,
    at: u64,
    size: u64,
) -> Result<Option<Restart>, Fault> {
    let mut page = vec![0; usize::try_from(size).unwrap_or(0)];
    log.read(volume, at, &mut page)?;
    if page.starts_with(b"CHKD") {
        return Err(unclean("a check of it was not brought to its end"));
    }
    if fix_up(&mut page, *b"RSTR").is_err() {
        return Ok(None);
    }
    let view = Bytes(&page);
    let (minor, major) = (view.le16(26)?, view.le16(28)?);
    match (major, minor) {
        (1, 0 | 1) => {}
        (2, 0) => {
            return Err(Fault::doubt(
                "The volume was not shut down cleanly: Windows will start fast from what it kept in memory.",
            ));
        }
        _ => return Err(unclean("its log has an unknown version")),
    }
    let area = Bytes(view.0.get(usize::from(view.le16(24)?)..).unwrap_or_default());
    let (lsn, client, flags) = (area.le64(0)?, area.le16(12)?, area.le16(14)?);
    Ok(Some(Restart { lsn, clean: client == NO_CLIENT || flags & VOLUME_IS_CLEAN != 0 }))
}

fn unclean(why: &str) -> Fault {
    Fault::doubt(format!("The volume was not shut down cleanly: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::source::Source;

    struct Nothing;

    impl Source for Nothing {
        fn size(&self) -> u64 {
            1
        }
        fn read(&self, _: u64, _: &mut [u8]) -> Result<()> {
            Ok(())
        }
    }

    fn page(lsn: u64, client: u16, flags: u16, version: (u16, u16)) -> Vec<u8> {
        let mut page = vec![0; 4096];
        page[..8].copy_from_slice(b"RSTR\x1e\0\x09\0");
        page[16..20].copy_from_slice(&4096u32.to_le_bytes());
        page[20..24].copy_from_slice(&4096u32.to_le_bytes());
        page[24] = 0x30;
        page[26..28].copy_from_slice(&version.1.to_le_bytes());
        page[28..30].copy_from_slice(&version.0.to_le_bytes());
        page[0x30..0x38].copy_from_slice(&lsn.to_le_bytes());
        page[0x3c..0x3e].copy_from_slice(&client.to_le_bytes());
        page[0x3e..0x40].copy_from_slice(&flags.to_le_bytes());
        page
    }

    fn reason(log: Vec<u8>) -> Option<String> {
        match check(&Stream::Resident(log), &Volume::whole(&Nothing)) {
            Ok(()) => None,
            Err(Fault::Doubt(reason)) => Some(reason),
            Err(Fault::Disk(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn the_newer_page_tells() {
        let clean = || page(8, NO_CLIENT, 0, (1, 1));
        let busy = |lsn| page(lsn, 0, 0, (1, 1));
        assert_eq!(reason([clean(), busy(7)].concat()), None);
        assert_eq!(reason([page(8, 0, VOLUME_IS_CLEAN, (1, 1)), vec![0; 4096]].concat()), None);
        assert!(reason([clean(), busy(9)].concat()).unwrap().contains("not shut down cleanly"));
        let fast = reason([page(8, NO_CLIENT, 0, (2, 0)), clean()].concat()).unwrap();
        assert!(fast.contains("start fast"));
        assert!(reason([clean(), page(9, NO_CLIENT, 0, (3, 0))].concat()).is_some());
    }

    #[test]
    fn an_empty_log_is_empty_to_its_end() {
        assert_eq!(reason(vec![0xff; 3 << 20]), None);
        let mut log = vec![0xff; 3 << 20];
        log[(2 << 20) + 5] = 0;
        assert!(reason(log).is_some());
        assert!(reason(vec![0; 1 << 20]).is_some());
        assert!(reason(vec![0xff; 10]).is_some());
    }
}
