//! Runs of clear bits.

use std::ops::Range;

/// The longest runs of clear bits among the first `bits` of a bitmap whose bytes begin with their lowest bit. Bits
/// beyond the bitmap's end count as set.
pub fn clear_runs(bitmap: &[u8], bits: u64) -> impl Iterator<Item = Range<u64>> + '_ {
    let bits = bits.min(bitmap.len() as u64 * 8);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next(bitmap, at, bits, 0);
        if start >= bits {
            return None;
        }
        at = next(bitmap, start, bits, 0xff);
        Some(start..at)
    })
}

/// The first bit from `from` on that is clear; or, with `flip` 0xff, set. `bits` where there is none.
fn next(bitmap: &[u8], from: u64, bits: u64, flip: u8) -> u64 {
    let mut at = from;
    while at < bits {
        let Some(&byte) = usize::try_from(at / 8).ok().and_then(|index| bitmap.get(index)) else {
            return bits;
        };
        let wanted = !(byte ^ flip) >> (at % 8);
        if wanted != 0 {
            return (at + u64::from(wanted.trailing_zeros())).min(bits);
        }
        at = (at / 8 + 1) * 8;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_clear_bit_is_in_one_run_and_no_set_one(
            bitmap in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..20), bits in 0u64..200
        ) {
            let mut expected = Vec::new();
            for bit in 0..bits.min(bitmap.len() as u64 * 8) {
                if bitmap[usize::try_from(bit / 8).unwrap()] >> (bit % 8) & 1 == 0 {
                    expected.push(bit);
                }
            }
            let runs: Vec<_> = clear_runs(&bitmap, bits).collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
