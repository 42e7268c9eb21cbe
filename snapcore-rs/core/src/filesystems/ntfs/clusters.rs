//! Which clusters are surely free.
//!
//! $Bitmap has no checksum: one wrong bit would lose a cluster of a file. So no cluster is free that any record
//! in use has in one of its runs; where $Bitmap says otherwise, the volume is taken whole. That reads $MFT once, but for long stretches of
//! records that its own map calls unused.

use super::super::{Fault, FreeRuns, Volume, clear_runs};
use super::boot::Boot;
use super::mft::Mft;
use super::record::{BITMAP, Body, DATA, Name, Record};
use super::runs::Pairs;
use super::stream::{Clusters, Stream};

const MFT: u64 = 0;
const BITMAP_FILE: u64 = 6;
const CHUNK: usize = 1 << 20;
/// Records that are looked at: a $MFT of 64 GiB.
const MOST_RECORDS: u64 = 1 << 26;

/// The free runs in bytes, and how many clusters are in use.
pub fn free(mft: &Mft<'_>, boot: &Boot, volume: &Volume<'_>) -> Result<(FreeRuns, u64), Fault> {
    let missing = || Fault::doubt("The file table is damaged: the map of clusters is missing.");
    let Some(Stream::Mapped(bitmap)) = mft.attribute(BITMAP_FILE, DATA, Name::NONE)? else {
        return Err(missing());
    };
    let needed = boot.clusters.div_ceil(8);
    if bitmap.written < needed || bitmap.has_holes() {
        return Err(missing());
    }
    let (free, used) = read(&bitmap, boot, volume)?;
    check(&free, mft, boot, volume)?;
    Ok((free, used))
}

fn read(bitmap: &Clusters, boot: &Boot, volume: &Volume<'_>) -> Result<(FreeRuns, u64), Fault> {
    let mut free = FreeRuns::new(volume.length());
    let mut free_clusters = 0;
    let mut chunk = vec![0; CHUNK];
    let mut first = 0;
    while first < boot.clusters {
        let bits = (boot.clusters - first).min(CHUNK as u64 * 8);
        let bytes = &mut chunk[..usize::try_from(bits.div_ceil(8)).unwrap_or(CHUNK)];
        bitmap.read(volume, first / 8, bytes)?;
        for run in clear_runs(bytes, bits) {
            let length = run.end - run.start;
            free_clusters += length;
            free.push((first + run.start) * boot.cluster_size, length * boot.cluster_size);
        }
        first += bits;
    }
    Ok((free, boot.clusters - free_clusters))
}

/// A doubt if a record in use has a free cluster, or if one that should be in use cannot be read.
fn check(free: &FreeRuns, mft: &Mft<'_>, boot: &Boot, volume: &Volume<'_>) -> Result<(), Fault> {
    if mft.records() > MOST_RECORDS {
        return Err(Fault::doubt("The volume has more files than can be looked through."));
    }
    let in_use = mft.attribute(MFT, BITMAP, Name::NONE)?.ok_or_else(|| {
        Fault::doubt("The file table is damaged: the map of its records is missing.")
    })?;
    let chunk_records = (CHUNK / boot.record_size) as u64;
    let mut chunk = vec![0; CHUNK];
    let mut bits = vec![0; CHUNK / boot.record_size / 8];
    let mut first = 0;
    while first < mft.records() {
        let count = (mft.records() - first).min(chunk_records);
        // The map may end before the records that were ever written do: those behind are not in use.
        let mapped = in_use.size().saturating_sub(first / 8).min(bits.len() as u64);
        let (map, rest) = bits.split_at_mut(usize::try_from(mapped).unwrap_or(0));
        in_use.read(volume, first / 8, map)?;
        rest.fill(0);
        if bits.iter().all(|&byte| byte == 0) {
            first += count;
            continue;
        }
        let bytes = &mut chunk[..usize::try_from(count).unwrap_or(0) * boot.record_size];
        mft.clusters().read(volume, first * boot.record_size as u64, bytes)?;
        for (index, record) in bytes.chunks_exact_mut(boot.record_size).enumerate() {
            let number = first + index as u64;
            match Record::open(record) {
                Ok(record) if record.in_use()? => check_record(number, record, free, boot)?,
                Ok(_) => {}
                Err(_) if bits[index / 8] >> (index % 8) & 1 == 0 => {}
                Err(_) => {
                    return Err(Fault::doubt(format!(
                        "The file table is damaged: record {number} is in use and cannot be read."
                    )));
                }
            }
        }
        first += count;
    }
    Ok(())
}

fn check_record(
    number: u64,
    record: Record<'_>,
    free: &FreeRuns,
    boot: &Boot,
) -> Result<(), Fault> {
    let mut attributes = record.attributes()?;
    while let Some(attribute) = attributes.next()? {
        let Body::Mapped(mapped) = attribute.body else { continue };
        let mut pairs = Pairs::new(mapped.pairs, mapped.lowest, boot.clusters);
        while let Some(run) = pairs.next()? {
            let Some(lcn) = run.lcn else { continue };
            let bytes = lcn * boot.cluster_size..(lcn + run.length) * boot.cluster_size;
            if free.overlaps(&bytes) {
                return Err(Fault::doubt(format!(
                    "The map of clusters is damaged: it calls clusters free that belong to file {number}."
                )));
            }
        }
        if pairs.end() != mapped.end {
            return Err(Fault::doubt(format!(
                "The file table is damaged: the clusters of file {number} have a gap."
            )));
        }
    }
    Ok(())
}

/// A doubt unless the first records stand in $`MFTMirr` as they do in $MFT.
pub fn check_mirror(mft: &Mft<'_>, boot: &Boot, volume: &Volume<'_>) -> Result<(), Fault> {
    let differs = || Fault::doubt("The file table is damaged: it differs from its mirror.");
    let (mut one, mut other) = (vec![0; boot.record_size], vec![0; boot.record_size]);
    for number in 0..4 {
        let record = mft.record(number, &mut one)?;
        let at = boot.mirror * boot.cluster_size + number * boot.record_size as u64;
        volume.read(at, &mut other)?;
        let mirrored = Record::open(&mut other).map_err(|_| differs())?;
        if record.used()? != mirrored.used()? {
            return Err(differs());
        }
    }
    Ok(())
}
