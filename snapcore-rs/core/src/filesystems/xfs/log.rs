//! The log: whether it was left clean.
//!
//! Every 512 bytes of the log begin with the number of the round in which they were written. The log is clean only
//! if the newest round begins at its start and ends at a single place, behind which all is older, and the record that ends exactly there tells of
//! an unmount and nothing else: the rule by which XFS itself decides that there is nothing to recover.
//!
//! All of the log is read, at most 2 GiB: a search for the place by halves, as XFS does it, would trust bytes never seen.

use super::super::{Bytes, Fault, Volume};
use super::superblock::Superblock;

const BLOCK: usize = 512;
const CHUNK: usize = 1 << 20;
const MAGIC: u32 = 0xfeed_babe;
/// Bytes of a record that one block of header describes.
const BYTES_PER_HEADER: u64 = 32 << 10;
/// Flag of an operation: the volume was unmounted.
const UNMOUNT: u8 = 0x20;
/// Who writes such operations.
const LOG_CLIENT: u8 = 0xaa;

/// What the numbers of the rounds show.
#[derive(Debug, Default)]
struct Rounds {
    blocks: u64,
    /// Of the first block.
    newest: u32,
    /// The first block of an older round, where there is one.
    head: Option<u64>,
    /// The last record's first block before the head, and behind it.
    record: Option<u64>,
    older_record: Option<u64>,
}

/// A doubt unless the log is clean.
pub fn check(superblock: &Superblock, volume: &Volume<'_>) -> Result<(), Fault> {
    let range = superblock.log();
    let log = volume.part(range.start, range.end - range.start);
    let rounds = rounds(&log)?;
    let head = rounds.head.unwrap_or(rounds.blocks);
    // A record may go on at the log's start.
    let start = rounds.record.or(rounds.older_record).ok_or_else(|| unclean("its log is empty"))?;
    let round = if rounds.record.is_some() { rounds.newest } else { rounds.newest - 1 };
    let header = log.read_vec(start * BLOCK as u64, BLOCK)?;
    let header = Bytes(&header);
    let id = header.array(304)?;
    if header.be32(4)? != round
        || header.be32(8)? != superblock.log_version
        || header.be64(16)? != u64::from(round) << 32 | start
        || (id != superblock.uuid && id != superblock.meta_uuid)
    {
        return Err(unclean("its log cannot be read"));
    }
    let headers = if superblock.log_version == 1 {
        1
    } else {
        u64::from(header.be32(320)?).div_ceil(BYTES_PER_HEADER).max(1)
    };
    let length = u64::from(header.be32(12)?).div_ceil(BLOCK as u64);
    let end = start + headers + length;
    if length == 0 || end % rounds.blocks != head % rounds.blocks || end > start + rounds.blocks {
        return Err(unclean("its log ends in the middle of a record"));
    }
    let operation = (start + headers) % rounds.blocks;
    let operation = log.read_vec(operation * BLOCK as u64, BLOCK)?;
    // The operation's first four bytes stand in the header, the round's number in their place.
    if header.be32(40)? != 1 || operation[8] != LOG_CLIENT || operation[9] & UNMOUNT == 0 {
        return Err(unclean("its log still has changes that were not made"));
    }
    Ok(())
}

fn rounds(log: &Volume<'_>) -> Result<Rounds, Fault> {
    let mut rounds = Rounds { blocks: log.length() / BLOCK as u64, ..Rounds::default() };
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < rounds.blocks {
        let count = (rounds.blocks - at).min((CHUNK / BLOCK) as u64);
        let bytes = &mut chunk[..usize::try_from(count).unwrap_or(0) * BLOCK];
        log.read(at * BLOCK as u64, bytes)?;
        for block in bytes.chunks_exact(BLOCK) {
            let is_header = Bytes(block).be32(0)? == MAGIC;
            let round = Bytes(block).be32(if is_header { 4 } else { 0 })?;
            if at == 0 {
                rounds.newest = round;
            }
            if rounds.newest == 0 {
                return Err(unclean("its log was wiped"));
            }
            if round != rounds.newest && rounds.head.is_none() {
                rounds.head = Some(at);
            }
            // Behind the head there are older ones: of the round before, or of none, where a tool wiped the log.
            if rounds.head.is_some() && round >= rounds.newest {
                return Err(unclean("its log has rounds out of order"));
            }
            if is_header {
                *(if rounds.head.is_none() {
                    &mut rounds.record
                } else {
                    &mut rounds.older_record
                }) = Some(at);
            }
            at += 1;
        }
    }
    Ok(rounds)
}

fn unclean(why: &str) -> Fault {
    Fault::doubt(format!("The volume was not shut down cleanly: {why}."))
}
