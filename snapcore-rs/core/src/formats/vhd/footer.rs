//! VHD's footer and header (Microsoft, "Virtual Hard Disk Image Format Specification" 1.0).
//!
//! All numbers are big-endian.

/// Bytes of the footer.
pub const FOOTER: usize = 512;
/// Bytes of a dynamic disk's header.
pub(super) const HEADER: usize = 1024;
const NONE: u64 = u64::MAX;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;

/// What tells one VHD from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Any 16 bytes, the same for the same file.
    pub unique_id: [u8; 16],
    /// Seconds since 2000-01-01, UTC.
    pub created: u32,
}

/// The footer of a disk of `size` bytes.
pub(super) fn footer(size: u64, identity: Identity, dynamic: bool) -> [u8; FOOTER] {
    let mut writer = Writer(Vec::with_capacity(FOOTER));
    writer.bytes(b"conectix");
    writer.u32(2); // a bit that is always set
    writer.u32(0x0001_0000);
    writer.u64(if dynamic { FOOTER as u64 } else { NONE });
    writer.u32(identity.created);
    // With any other creator but "win " and "qem2", readers work out the size from the geometry, and
    // cut the disk short.
    writer.bytes(b"win ");
    writer.u32(0x000a_0000);
    writer.bytes(b"Wi2k");
    writer.u64(size);
    writer.u64(size);
    writer.bytes(&geometry(size / 512));
    writer.u32(if dynamic { DYNAMIC } else { FIXED });
    writer.u32(0); // the checksum
    writer.bytes(&identity.unique_id);
    let mut footer = [0; FOOTER];
    footer[..writer.0.len()].copy_from_slice(&writer.0);
    let sum = checksum(&footer);
    footer[64..68].copy_from_slice(&sum.to_be_bytes());
    footer
}

/// The header of a dynamic disk whose table has so many entries.
pub(super) fn header(entries: u32, block: u32) -> [u8; HEADER] {
    let mut writer = Writer(Vec::with_capacity(HEADER));
    writer.bytes(b"cxsparse");
    writer.u64(NONE);
    writer.u64((FOOTER + HEADER) as u64); // where the table stands
    writer.u32(0x0001_0000);
    writer.u32(entries);
    writer.u32(block);
    let mut header = [0; HEADER];
    header[..writer.0.len()].copy_from_slice(&writer.0);
    let sum = checksum(&header);
    header[36..40].copy_from_slice(&sum.to_be_bytes());
    header
}

struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }
}

/// The ones' complement of the sum of all bytes; the field itself is zeros.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>()
}

/// Cylinders (16 bits), heads, sectors: the specification's algorithm, for disks of any size.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65_535 * 16 * 255);
    let (mut heads, mut per_track) = (16, 255);
    let mut tracks = sectors / per_track;
    if sectors < 65_535 * 16 * 63 {
        per_track = 17;
        tracks = sectors / per_track;
        heads = tracks.div_ceil(1024).max(4);
        if tracks >= heads * 1024 || heads > 16 {
            (heads, per_track) = (16, 31);
            tracks = sectors / per_track;
        }
        if tracks >= heads * 1024 {
            (heads, per_track) = (16, 63);
            tracks = sectors / per_track;
        }
    }
    let [high, low] = u16::try_from(tracks / heads).unwrap_or(u16::MAX).to_be_bytes();
    let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    [high, low, byte(heads), byte(per_track)]
}
