//! The sums that ext4 keeps of its structures.

/// CRC-32C as Linux's `crc32c_le`: the register goes in and comes out as it is, without inversion.
pub(super) fn crc32c(register: u32, bytes: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!register, bytes)
}

/// CRC-16 with the reflected polynomial 0xa001, as Linux's `crc16`.
pub(super) fn crc16(register: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(register, |register, &byte| {
        (0..8).fold(register ^ u16::from(byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xa001 } else { sum >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_catalogue() {
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }
}
