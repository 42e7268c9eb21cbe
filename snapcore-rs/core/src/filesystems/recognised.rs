//! What is known by its name alone, and so taken whole.
//!
//! A name also keeps others from being skipped by mistake: a member of a RAID may begin like the file system in it, and
//! a new file system may stand among the remains of an old one.

use super::{Bytes, Fault, FileSystem, Volume};

/// Bytes at a fixed place that only one thing has.
struct Sign {
    kind: &'static str,
    at: u64,
    bytes: &'static [u8],
}

const fn sign(kind: &'static str, at: u64, bytes: &'static [u8]) -> Sign {
    Sign { kind, at, bytes }
}

const RAID: &str = "Linux RAID";
const RAID_MAGIC: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();

const SIGNS: &[Sign] = &[
    sign("LUKS", 0, b"LUKS\xba\xbe"),
    sign("BitLocker", 3, b"-FVE-FS-"),
    // "To Go": behind a boot sector like FAT's.
    sign("BitLocker", 424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"),
    sign(RAID, 0, &RAID_MAGIC),
    sign(RAID, 4096, &RAID_MAGIC),
    sign("btrfs", 0x1_0040, b"_BHRfS_M"),
    sign("exFAT", 3, b"EXFAT   "),
    sign("ReFS", 3, b"ReFS\0"),
    sign("FAT", 54, b"FAT12   "),
    sign("FAT", 54, b"FAT16   "),
    sign("FAT", 82, b"FAT32   "),
    sign("F2FS", 1024, &0xf2f5_2010_u32.to_le_bytes()),
    sign("EROFS", 1024, &0xe0f5_e1e2_u32.to_le_bytes()),
    sign("JFS", 32768, b"JFS1"),
    sign("ReiserFS", 65536 + 52, b"ReIsEr"),
    sign("NILFS2", 1024 + 6, &[0x34, 0x34, 0x18, 0x04]),
    sign("GFS2", 65536, &0x0116_1970_u32.to_be_bytes()),
    sign("OCFS2", 4096, b"OCFSV2"),
    sign("HFS+", 1024, b"H+\0\x04"),
    sign("HFS+", 1024, b"HX\0\x05"),
    sign("APFS", 32, b"NXSB"),
    sign("squashfs", 0, b"hsqs"),
    sign("ISO 9660", 32769, b"CD001"),
    sign("UFS", 8192 + 1372, &0x0001_1954_u32.to_le_bytes()),
    sign("UFS", 65536 + 1372, &0x1954_0119_u32.to_le_bytes()),
    sign("BSD disklabel", 512, &0x8256_4557_u32.to_le_bytes()),
    sign("VMFS", 1 << 20, &0xc001_d00d_u32.to_le_bytes()),
    sign("BlueStore", 0, b"bluestore block device"),
    sign("VDO", 0, b"dmvdo001"),
    sign("Stratis", 516, b"!Stra0tis\x86\xff\x02^\x41rh"),
    sign("bcache", 4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    sign(
        "bcachefs",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
    ),
    sign("Windows dynamic disk", 3072, b"PRIVHEAD"),
];

const BTRFS_SUPERBLOCK: u64 = 0x1_0000;
const ZFS_UBERBLOCKS: u64 = 128 << 10;
const ZFS_MAGIC: u64 = 0x00ba_b10c;

/// Whatever is known by name.
pub fn probe(volume: &Volume<'_>) -> crate::Result<Option<FileSystem>> {
    match recognise(volume) {
        Ok(found) => Ok(found),
        Err(Fault::Disk(error)) => Err(error),
        // Nothing is read here that was not seen to be within the volume.
        Err(Fault::Doubt(reason)) => Ok(Some(FileSystem::whole("unknown", reason))),
    }
}

fn recognise(volume: &Volume<'_>) -> Result<Option<FileSystem>, Fault> {
    for sign in SIGNS {
        if has(volume, sign.at, sign.bytes)? {
            return named(volume, sign.kind).map(Some);
        }
    }
    if is_raid_by_its_end(volume)? {
        return named(volume, RAID).map(Some);
    }
    if is_zfs(volume)? {
        return named(volume, "ZFS").map(Some);
    }
    Ok(None)
}

fn has(volume: &Volume<'_>, at: u64, bytes: &[u8]) -> Result<bool, Fault> {
    Ok(volume.holds(at, bytes.len() as u64) && volume.read_vec(at, bytes.len())? == bytes)
}

/// Versions 0.90 and 1.0 of md's superblock stand at the end, behind a file system that begins as if alone.
fn is_raid_by_its_end(volume: &Volume<'_>) -> Result<bool, Fault> {
    let length = volume.length();
    let old = (length & !0xffff).checked_sub(0x1_0000);
    let new = (length / 512).checked_sub(16).map(|sector| (sector & !7) * 512);
    for at in [old, new].into_iter().flatten() {
        if has(volume, at, &RAID_MAGIC)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_zfs(volume: &Volume<'_>) -> Result<bool, Fault> {
    const LENGTH: usize = 128 << 10;
    if !volume.holds(ZFS_UBERBLOCKS, LENGTH as u64) {
        return Ok(false);
    }
    let ring = volume.read_vec(ZFS_UBERBLOCKS, LENGTH)?;
    for slot in ring.chunks_exact(1024) {
        let magic = Bytes(slot).le64(0)?;
        if magic == ZFS_MAGIC || magic.swap_bytes() == ZFS_MAGIC {
            return Ok(true);
        }
    }
    Ok(false)
}

/// With label and UUID where they are easily had.
fn named(volume: &Volume<'_>, kind: &'static str) -> Result<FileSystem, Fault> {
    let reason = match kind {
        "LUKS" | "BitLocker" => {
            format!("It is encrypted with {kind}, so nobody can tell what is free.")
        }
        RAID => "It is a member of a RAID, which is not looked into.".to_owned(),
        _ => format!("Snapport cannot tell which space of {kind} is free."),
    };
    let mut found = FileSystem::whole(kind, reason);
    match kind {
        "btrfs" if volume.holds(BTRFS_SUPERBLOCK, 4096) => {
            let block = volume.read_vec(BTRFS_SUPERBLOCK, 4096)?;
            let block = Bytes(&block);
            found.uuid = block.uuid(0x20)?;
            found.size = block.le64(0x70)?;
            found.block_size = block.le32(0x90)?;
            found.label = block.text(0x12b, 256)?;
        }
        "LUKS" if volume.holds(0, 512) => {
            let header = volume.read_vec(0, 512)?;
            let header = Bytes(&header);
            found.uuid = header.text(0xa8, 40)?;
            if header.be16(6)? == 2 {
                found.label = header.text(0x18, 48)?;
            }
        }
        _ => {}
    }
    Ok(found)
}
