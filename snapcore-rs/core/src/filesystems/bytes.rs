//! Numbers out of bytes, never from beyond their end.

use super::Fault;

/// A structure as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

macro_rules! number {
    ($name:ident, $kind:ty, $from:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(self, at: usize) -> Result<$kind, Fault> {
            Ok(<$kind>::$from(self.array(at)?))
        }
    };
}

impl<'a> Bytes<'a> {
    /// `length` bytes from `at`, or the doubt that the structure ends before.
    pub fn slice(self, at: usize, length: usize) -> Result<&'a [u8], Fault> {
        at.checked_add(length)
            .and_then(|end| self.0.get(at..end))
            .ok_or_else(|| Fault::doubt("A structure of the file system ends too early."))
    }

    /// `N` bytes from `at`.
    pub fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N)?);
        Ok(array)
    }

    number!(u8, u8, from_le_bytes, "The byte at `at`.");
    number!(le16, u16, from_le_bytes, "Little-endian.");
    number!(le32, u32, from_le_bytes, "Little-endian.");
    number!(le64, u64, from_le_bytes, "Little-endian.");
    number!(be16, u16, from_be_bytes, "Big-endian.");
    number!(be32, u32, from_be_bytes, "Big-endian.");
    number!(be64, u64, from_be_bytes, "Big-endian.");

    /// `length` bytes from `at` as text up to the first NUL, with U+FFFD for what is no UTF-8 or is a control character.
    pub fn text(self, at: usize, length: usize) -> Result<String, Fault> {
        let bytes = self.slice(at, length)?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]);
        Ok(text
            .trim_end()
            .chars()
            .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
            .collect())
    }

    /// 16 bytes from `at` as a UUID in the order of RFC 9562; empty where all are zero.
    pub fn uuid(self, at: usize) -> Result<String, Fault> {
        let number = u128::from_be_bytes(self.array(at)?);
        if number == 0 {
            return Ok(String::new());
        }
        let hex = format!("{number:032x}");
        Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_refuses_beyond_the_end() {
        let bytes = Bytes(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes.le16(1).unwrap(), 0x0302);
        assert_eq!(bytes.be32(4).unwrap(), 0x0506_0708);
        assert_eq!(bytes.le64(0).unwrap(), 0x0807_0605_0403_0201);
        assert!(matches!(bytes.le64(1), Err(Fault::Doubt(_))));
        assert!(matches!(bytes.u8(usize::MAX), Err(Fault::Doubt(_))));
    }

    #[test]
    fn texts_are_fit_to_be_shown() {
        assert_eq!(Bytes(b"root\0junk").text(0, 9).unwrap(), "root");
        assert_eq!(Bytes(b"a\x1bb\xff ").text(0, 5).unwrap(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_uuid_is_written_as_its_tools_write_it() {
        let bytes: Vec<u8> = (1..=16).collect();
        assert_eq!(Bytes(&bytes).uuid(0).unwrap(), "01020304-0506-0708-090a-0b0c0d0e0f10");
        assert_eq!(Bytes(&[0; 16]).uuid(0).unwrap(), "");
    }
}
