//! Hashes of parts and of the whole file.
//!
//! The whole file's MD5 and SHA-256 are sequential by nature: one thread each carries them through
//! all parts in order, and hashes each part by itself in the same walk. MD5 waits for its own last
//! result at every step, so the part's and the file's are worked out side by side
//! ([`md5::update_both`]) for little more than the price of one.

pub mod md5;

pub use md5::Md5;
pub use sha2::{Digest, Sha256};

/// An MD5.
pub type Md5Sum = [u8; 16];
/// A SHA-256.
pub type Sha256Sum = [u8; 32];

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}
