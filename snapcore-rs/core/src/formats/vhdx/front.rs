//! The structures at a VHDX file's begin. All numbers are little-endian.

pub(super) const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;
const LOG: usize = MIB;
const METADATA: usize = 2 * MIB;
/// Where the table of blocks stands.
pub(super) const TABLE: usize = 3 * MIB;
/// Where the metadata's items begin, from its table on.
const ITEMS: u32 = 64 << 10;

/// As the specification writes them; in the file the first three fields are little-endian.
const REGION_TABLE_OF_BLOCKS: Guid =
    Guid(0x2dc2_7766, 0xf623, 0x4200, *b"\x9d\x64\x11\x5e\x9b\xfd\x4a\x08");
const REGION_METADATA: Guid =
    Guid(0x8b7c_a206, 0x4790, 0x4b9a, *b"\xb8\xfe\x57\x5f\x05\x0f\x88\x6e");
const FILE_PARAMETERS: Guid =
    Guid(0xcaa1_6737, 0xfa36, 0x4d43, *b"\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b");
const VIRTUAL_DISK_SIZE: Guid =
    Guid(0x2fa5_4224, 0xcd1b, 0x4876, *b"\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8");
const VIRTUAL_DISK_ID: Guid =
    Guid(0xbeca_12ab, 0xb2e6, 0x4523, *b"\x93\xef\xc3\x09\xe0\x00\xc7\x46");
const LOGICAL_SECTOR: Guid =
    Guid(0x8141_bf1d, 0xa96f, 0x4709, *b"\xba\x47\xf2\x33\xa8\xfa\xab\x5f");
const PHYSICAL_SECTOR: Guid =
    Guid(0xcda3_48c7, 0x445d, 0x4471, *b"\x9c\xc9\xe9\x88\x52\x51\xc5\x56");

/// Whoever does not know the item must not open the file.
const REQUIRED: u32 = 4;
/// The item is of the disk, not of the file.
const OF_DISK: u32 = 2;

#[derive(Clone, Copy)]
struct Guid(u32, u16, u16, [u8; 8]);

impl Guid {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.0.to_le_bytes().to_vec();
        bytes.extend(self.1.to_le_bytes());
        bytes.extend(self.2.to_le_bytes());
        bytes.extend(self.3);
        bytes
    }
}

/// Everything before the table of blocks, each with its place.
pub(super) fn structures(
    size: u64,
    block: u32,
    table_length: u32,
    unique_id: [u8; 16],
) -> Vec<(usize, Vec<u8>)> {
    let regions = regions(table_length);
    vec![
        (0, identifier()),
        (64 * KIB, header(1, unique_id)),
        (128 * KIB, header(2, unique_id)),
        (192 * KIB, regions.clone()),
        (256 * KIB, regions),
        (METADATA, metadata(size, block, unique_id)),
    ]
}

fn identifier() -> Vec<u8> {
    let mut bytes = b"vhdxfile".to_vec();
    bytes.extend("Snapport".encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// Of the two the one with the greater number counts.
fn header(number: u64, unique_id: [u8; 16]) -> Vec<u8> {
    let mut bytes = b"head".to_vec();
    bytes.extend([0; 4]); // the checksum
    bytes.extend(number.to_le_bytes());
    bytes.extend(unique_id); // of what was written to the file
    bytes.extend(unique_id); // of what was written to the disk
    bytes.extend([0; 16]); // the log is empty
    bytes.extend(0u16.to_le_bytes()); // its version
    bytes.extend(1u16.to_le_bytes()); // VHDX 1
    #[allow(clippy::cast_possible_truncation)] // 1 MiB
    bytes.extend((MIB as u32).to_le_bytes());
    bytes.extend((LOG as u64).to_le_bytes());
    bytes.resize(4 * KIB, 0);
    summed(bytes)
}

fn regions(table_length: u32) -> Vec<u8> {
    let mut bytes = b"regi".to_vec();
    bytes.extend([0; 4]); // the checksum
    bytes.extend(2u32.to_le_bytes());
    bytes.extend([0; 4]);
    #[allow(clippy::cast_possible_truncation)] // 1 MiB
    let metadata_length = MIB as u32;
    for (guid, place, length) in [
        (REGION_TABLE_OF_BLOCKS, TABLE, table_length),
        (REGION_METADATA, METADATA, metadata_length),
    ] {
        bytes.extend(guid.bytes());
        bytes.extend((place as u64).to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(1u32.to_le_bytes()); // required
    }
    bytes.resize(64 * KIB, 0);
    summed(bytes)
}

fn metadata(size: u64, block: u32, unique_id: [u8; 16]) -> Vec<u8> {
    let mut parameters = block.to_le_bytes().to_vec();
    parameters.extend([0; 4]); // dynamic, without a parent
    let items = [
        (FILE_PARAMETERS, REQUIRED, parameters),
        (VIRTUAL_DISK_SIZE, REQUIRED | OF_DISK, size.to_le_bytes().to_vec()),
        (VIRTUAL_DISK_ID, REQUIRED | OF_DISK, unique_id.to_vec()),
        (LOGICAL_SECTOR, REQUIRED | OF_DISK, 512u32.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR, REQUIRED | OF_DISK, 4096u32.to_le_bytes().to_vec()),
    ];
    let mut table = b"metadata".to_vec();
    table.extend([0; 2]);
    table.extend(u16::try_from(items.len()).unwrap_or(u16::MAX).to_le_bytes());
    table.extend([0; 20]);
    let mut content = Vec::new();
    for (guid, flags, value) in items {
        table.extend(guid.bytes());
        let place = ITEMS + u32::try_from(content.len()).unwrap_or(u32::MAX);
        table.extend(place.to_le_bytes());
        table.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        table.extend(flags.to_le_bytes());
        table.extend([0; 4]);
        content.extend(value);
    }
    table.resize(ITEMS as usize, 0);
    table.extend(content);
    table
}

/// With its CRC-32C in bytes 4 to 7, which are zeros meanwhile.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}
