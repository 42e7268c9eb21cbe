//! Telling zeros from data.

/// Whether every byte is zero. True for no bytes.
///
/// Blocks of 256 bytes are folded without a branch, which the compiler turns into wide ORs; the
/// first block that holds anything ends the search, so that data costs next to nothing.
pub fn all_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<256>();
    blocks.iter().all(|block| block.iter().fold(0, |seen, byte| seen | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::all_zero;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_zero() {
        assert!(all_zero(&[]));
    }

    proptest! {
        #[test]
        fn one_set_byte_is_found(length in 1usize..5000, at in any::<prop::sample::Index>(), bit in 0u32..8) {
            let mut bytes = vec![0; length];
            prop_assert!(all_zero(&bytes));
            bytes[at.index(length)] = 1 << bit;
            prop_assert!(!all_zero(&bytes));
        }
    }
}
