//! CRC-32 as gzip uses it (RFC 1952), and its algebra.
//!
//! Frames are summed by whoever compresses them, in any order; here the sums are joined. With `⊗`
//! for the product of polynomials modulo the CRC's, a register that runs over n zero bytes is
//! multiplied by x^(8n). That power takes O(log n) products, so a terabyte of zeros costs nothing.

const POLYNOMIAL: u32 = 0xedb8_8320; // reflected: bit 31 is the coefficient of x^0
const ONE: u32 = 1 << 31;

/// The sum of some bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The effect of appending a fixed number of bytes, worked out once and used for many frames.
#[derive(Clone, Copy, Debug)]
pub struct Shift(u32);

impl Shift {
    /// x^(8 · `length`).
    pub fn new(length: u64) -> Self {
        let mut power = ONE;
        let mut square = ONE >> 8; // x^8: one byte
        let mut left = length;
        while left != 0 {
            if left & 1 == 1 {
                power = product(power, square);
            }
            square = product(square, square);
            left >>= 1;
        }
        Self(power)
    }

    /// The sum of A‖B from the sums of A and of B, where B has this shift's length.
    pub fn join(self, first: u32, second: u32) -> u32 {
        product(first, self.0) ^ second
    }

    /// The sum of A‖zeros from the sum of A.
    pub fn zeros(self, first: u32) -> u32 {
        !product(!first, self.0)
    }
}

fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    for bit in (0..32).rev() {
        if a >> bit & 1 == 1 {
            sum ^= b;
        }
        b = if b & 1 == 1 { b >> 1 ^ POLYNOMIAL } else { b >> 1 };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_terabyte_of_zeros_agrees_with_its_halves() {
        let half = Shift::new(1 << 39);
        assert_eq!(half.zeros(half.zeros(77)), Shift::new(1 << 40).zeros(77));
    }

    proptest! {
        #[test]
        fn joined_sums_are_the_sum_of_the_joined(
            a in prop::collection::vec(any::<u8>(), 0..300), b in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let whole: Vec<u8> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(Shift::new(b.len() as u64).join(crc32(&a), crc32(&b)), crc32(&whole));
        }

        #[test]
        fn zeros_are_bytes_like_others(a in prop::collection::vec(any::<u8>(), 0..300), count in 0usize..4000) {
            let mut whole = a.clone();
            whole.resize(a.len() + count, 0);
            prop_assert_eq!(Shift::new(count as u64).zeros(crc32(&a)), crc32(&whole));
        }
    }
}
