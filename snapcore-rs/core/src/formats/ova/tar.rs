//! Headers of a tar archive, as GNU tar writes them: `VMware` refuses the newer kind (pax).

/// Bytes of a header, and what everything in the archive is a multiple of.
pub(super) const BLOCK: usize = 512;
/// Bytes of a name at most.
pub(super) const MOST_NAME: usize = 99;
const NAME: usize = 0;
const MODE: usize = 100;
const OWNER: usize = 108;
const GROUP: usize = 116;
const SIZE: usize = 124;
const TIME: usize = 136;
const SUM: usize = 148;
const KIND: usize = 156;
const MAGIC: usize = 257;
/// What eleven octal digits can say: 8 GiB.
const MOST_OCTAL: u64 = 1 << 33;

/// Of a plain file; `name` is at most [`MOST_NAME`] bytes, `modified` in seconds since 1970.
pub(super) fn header(name: &str, size: u64, modified: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(NAME, name.as_bytes());
    put(MODE, b"0000644\0");
    put(OWNER, b"0000000\0");
    put(GROUP, b"0000000\0");
    put(SIZE, &number(size));
    put(TIME, &number(modified));
    put(SUM, b"        ");
    put(KIND, b"0");
    put(MAGIC, b"ustar  \0");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[SUM..SUM + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Octal where that can say it, else the bytes of the number behind a mark.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < MOST_OCTAL {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[4..].copy_from_slice(&value.to_be_bytes());
        field[0] = 0x80;
    }
    field
}

/// Zeros that fill a file up to whole blocks.
pub(super) fn padding(length: usize) -> &'static [u8] {
    &[0; BLOCK][..length.next_multiple_of(BLOCK) - length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sizes_are_octal_and_large_ones_bytes() {
        assert_eq!(&header("a", 0o1234, 1)[SIZE..SIZE + 12], b"00000001234\0");
        assert_eq!(&header("a", MOST_OCTAL - 1, 1)[SIZE..SIZE + 12], b"77777777777\0");
        let large = header("a", MOST_OCTAL, 1);
        assert_eq!(large[SIZE..SIZE + 12], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let largest = header("a", u64::MAX, 1);
        assert_eq!(largest[SIZE..SIZE + 4], [0x80, 0, 0, 0]);
        assert_eq!(largest[SIZE + 4..SIZE + 12], [0xff; 8]);
    }

    #[test]
    fn the_sum_is_of_all_bytes_with_blanks_in_its_place() {
        let mut made = header("machine-disk1.vmdk", 9 << 30, 1_790_000_000);
        let told = u32::from_str_radix(str::from_utf8(&made[SUM..SUM + 6]).unwrap(), 8).unwrap();
        made[SUM..SUM + 8].fill(b' ');
        assert_eq!(told, made.iter().map(|&byte| u32::from(byte)).sum::<u32>());
    }

    #[test]
    fn files_are_filled_up_to_whole_blocks() {
        for (length, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(length).len(), expected);
        }
    }
}
