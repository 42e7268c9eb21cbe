//! The boot sector: where everything else is.

use super::super::{Bytes, Fault, Volume};

/// Clusters have 512 bytes to 2 MiB: Windows makes no others since 2017, and none over 64 KiB before.
const LARGEST_CLUSTER: u64 = 2 << 20;
/// File records have 1 KiB; 4 KiB on disks with sectors of 4 KiB.
const RECORD_SIZES: std::ops::RangeInclusive<u64> = 512..=4096;

/// What the first sector says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Whole clusters of the volume. What lies behind them belongs to no file: the backup boot sector does.
    pub clusters: u64,
    /// Bytes of the volume without its backup boot sector.
    pub size: u64,
    /// First cluster of $MFT.
    pub mft: u64,
    /// First cluster of $`MFTMirr`.
    pub mirror: u64,
    /// Bytes of a file record.
    pub record_size: usize,
    /// Tells this volume from others.
    pub serial: u64,
}

impl Boot {
    /// Bytes of the first sector that matter.
    pub const LENGTH: usize = 512;

    /// Checks the first sector of a volume whose OEM id is NTFS's.
    pub fn parse(sector: &[u8], volume: &Volume<'_>) -> Result<Self, Fault> {
        let sector = Bytes(sector);
        let wrong = |what: &str| Fault::doubt(format!("The boot sector is damaged: {what}."));
        if sector.le16(510)? != 0xaa55 {
            return Err(wrong("its end mark is missing"));
        }
        let sector_size = u64::from(sector.le16(11)?);
        if !sector_size.is_power_of_two() || !(256..=4096).contains(&sector_size) {
            return Err(wrong("its sectors have no possible size"));
        }
        // Counts over 128 are negative powers of two.
        let shift = match sector.u8(13)? {
            0 => return Err(wrong("its clusters have no sectors")),
            count @ 1..=128 if count.is_power_of_two() => count.trailing_zeros(),
            1..=128 => return Err(wrong("its clusters have no possible size")),
            power => 256 - u32::from(power),
        };
        let cluster_size = sector_size
            .checked_shl(shift)
            .filter(|&size| shift < 32 && (512..=LARGEST_CLUSTER).contains(&size))
            .ok_or_else(|| wrong("its clusters have no possible size"))?;
        // Fields of FAT, which NTFS keeps at zero.
        let unused = [sector.le16(14)?, sector.le16(17)?, sector.le16(19)?, sector.le16(22)?];
        if unused != [0; 4] || sector.u8(16)? != 0 || sector.le32(32)? != 0 {
            return Err(wrong("fields that must be zero are not"));
        }
        let sectors = sector.le64(40)?;
        let size = sectors
            .checked_mul(sector_size)
            .filter(|&size| volume.holds(0, size))
            .ok_or_else(|| Fault::doubt("The partition ends before the file system in it does."))?;
        let clusters = size / cluster_size;
        if clusters == 0 {
            return Err(wrong("it has no clusters"));
        }
        let record_size = match sector.0[64].cast_signed() {
            clusters @ 1.. => cluster_size.checked_mul(u64::from(clusters.unsigned_abs())),
            power => 1u64.checked_shl(u32::from(power.unsigned_abs())),
        };
        let record_size = record_size
            .filter(|size| size.is_power_of_two() && RECORD_SIZES.contains(size))
            .and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| wrong("its file records have no possible size"))?;
        let boot = Self {
            cluster_size,
            clusters,
            size,
            mft: sector.le64(48)?,
            mirror: sector.le64(56)?,
            record_size,
            serial: sector.le64(72)?,
        };
        if boot.mft >= clusters || boot.mirror >= clusters {
            return Err(wrong("it tells of a file table beyond the volume's end"));
        }
        Ok(boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::source::Source;

    struct Nothing(u64);

    impl Source for Nothing {
        fn size(&self) -> u64 {
            self.0
        }
        fn read(&self, _: u64, buffer: &mut [u8]) -> Result<()> {
            buffer.fill(0);
            Ok(())
        }
    }

    fn sector() -> [u8; 512] {
        let mut sector = [0; 512];
        sector[11..13].copy_from_slice(&512u16.to_le_bytes());
        sector[13] = 8;
        sector[40..48].copy_from_slice(&81_919u64.to_le_bytes());
        sector[48] = 4;
        sector[56] = 5;
        sector[64] = 0xf6;
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    fn parse(change: impl Fn(&mut [u8; 512])) -> std::result::Result<Boot, Fault> {
        let mut sector = sector();
        change(&mut sector);
        Boot::parse(&sector, &Volume::whole(&Nothing(40 << 20)))
    }

    #[test]
    fn reads_sizes_and_their_negative_powers() {
        let boot = parse(|_| {}).unwrap();
        assert_eq!((boot.cluster_size, boot.clusters, boot.record_size), (4096, 10_239, 1024));
        assert_eq!(parse(|sector| sector[13] = 128).unwrap().cluster_size, 65_536);
        assert_eq!(parse(|sector| sector[13] = 0xf4).unwrap().cluster_size, 2 << 20);
        let large = parse(|sector| (sector[13], sector[64]) = (1, 2)).unwrap();
        assert_eq!((large.cluster_size, large.record_size), (512, 1024));
    }

    #[test]
    fn refuses_what_no_volume_has() {
        for range in [11..13, 13..14, 40..48, 64..65, 510..512] {
            assert!(parse(|sector| sector[range.clone()].fill(0)).is_err(), "{range:?}");
        }
        for (at, byte) in [
            (11, 1),
            (13, 3),
            (13, 0xf0),
            (13, 129),
            (14, 1),
            (45, 1),
            (50, 9),
            (64, 0xc0),
            (64, 3),
        ] {
            assert!(parse(|sector| sector[at] = byte).is_err(), "{byte:#x} at {at}");
        }
    }
}
