//! MD5 (RFC 1321), one or two at a time.
//!
//! Each step of MD5 needs the result of the step before, so one chain leaves most of a core idle; two
//! chains that know nothing of each other fill it. Measured on one core (Zen 4 at 2.6 GHz): one chain
//! 607 MB/s, two side by side 540 MB/s each. The same in one AVX-512 vector gives 606 MB/s, which is no
//! more than 1 or 2 % of a stream and was not worth `unsafe` or another dependency.

/// A running MD5.
#[derive(Clone, Debug)]
pub struct Md5 {
    state: State,
    pending: [u8; BLOCK],
    length: u64,
}

const BLOCK: usize = 64;
type State = [u32; 4];

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            pending: [0; BLOCK],
            length: 0,
        }
    }
}

impl Md5 {
    /// The sum of some bytes.
    pub fn digest(bytes: &[u8]) -> [u8; 16] {
        let mut sum = Self::default();
        sum.update(bytes);
        sum.finish()
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let bytes = self.fill(bytes);
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            one(&mut self.state, block);
        }
        self.keep(bytes.len(), rest);
    }

    /// The sum.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8); // RFC 1321, 3.2: modulo 2^64
        let used = self.used();
        let mut tail = [0; 2 * BLOCK];
        tail[..used].copy_from_slice(&self.pending[..used]);
        tail[used] = 0x80;
        let end = if used < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        tail[end - 8..end].copy_from_slice(&bits.to_le_bytes());
        for block in tail[..end].as_chunks::<BLOCK>().0 {
            one(&mut self.state, block);
        }
        let mut sum = [0; 16];
        for (bytes, word) in sum.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        sum
    }

    fn used(&self) -> usize {
        usize::try_from(self.length % BLOCK as u64).unwrap_or_default()
    }

    /// Completes a begun block, and gives what is left of `bytes`.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let used = self.used();
        if used == 0 {
            return bytes;
        }
        let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - used));
        self.pending[used..used + head.len()].copy_from_slice(head);
        self.length += head.len() as u64;
        if used + head.len() == BLOCK {
            one(&mut self.state, &self.pending);
        }
        rest
    }

    /// Counts `length` bytes, of which `rest` made no whole block.
    fn keep(&mut self, length: usize, rest: &[u8]) {
        self.length += length as u64;
        if !rest.is_empty() {
            let used = self.used();
            self.pending[used - rest.len()..used].copy_from_slice(rest);
        }
    }
}

/// Two sums take the same bytes. They may stand at different places within a block.
pub fn update_both(first: &mut Md5, second: &mut Md5, bytes: &[u8]) {
    update_each((first, bytes), (second, bytes));
}

/// Two sums take bytes of their own, of any lengths.
pub fn update_each((first, bytes_1): (&mut Md5, &[u8]), (second, bytes_2): (&mut Md5, &[u8])) {
    let (bytes_1, bytes_2) = (first.fill(bytes_1), second.fill(bytes_2));
    let (blocks_1, rest_1) = bytes_1.as_chunks::<BLOCK>();
    let (blocks_2, rest_2) = bytes_2.as_chunks::<BLOCK>();
    for (block_1, block_2) in blocks_1.iter().zip(blocks_2) {
        two(&mut first.state, block_1, &mut second.state, block_2);
    }
    // One of them may have more blocks.
    let both = blocks_1.len().min(blocks_2.len());
    for block in &blocks_1[both..] {
        one(&mut first.state, block);
    }
    for block in &blocks_2[both..] {
        one(&mut second.state, block);
    }
    first.keep(bytes_1.len(), rest_1);
    second.keep(bytes_2.len(), rest_2);
}

/// Runs `$step!(f, a b c d, word, shift, constant)` for the 64 steps: the function, the word's
/// place and the shifts by RFC 1321, 3.4; the constants are floor(2^32 · |sin(i + 1)|).
macro_rules! steps {
    ($step:ident) => {
        steps!(@round $step f
            0 7 0xd76a_a478, 1 12 0xe8c7_b756, 2 17 0x2420_70db, 3 22 0xc1bd_ceee,
            4 7 0xf57c_0faf, 5 12 0x4787_c62a, 6 17 0xa830_4613, 7 22 0xfd46_9501,
            8 7 0x6980_98d8, 9 12 0x8b44_f7af, 10 17 0xffff_5bb1, 11 22 0x895c_d7be,
            12 7 0x6b90_1122, 13 12 0xfd98_7193, 14 17 0xa679_438e, 15 22 0x49b4_0821);
        steps!(@round $step g
            1 5 0xf61e_2562, 6 9 0xc040_b340, 11 14 0x265e_5a51, 0 20 0xe9b6_c7aa,
            5 5 0xd62f_105d, 10 9 0x0244_1453, 15 14 0xd8a1_e681, 4 20 0xe7d3_fbc8,
            9 5 0x21e1_cde6, 14 9 0xc337_07d6, 3 14 0xf4d5_0d87, 8 20 0x455a_14ed,
            13 5 0xa9e3_e905, 2 9 0xfcef_a3f8, 7 14 0x676f_02d9, 12 20 0x8d2a_4c8a);
        steps!(@round $step h
            5 4 0xfffa_3942, 8 11 0x8771_f681, 11 16 0x6d9d_6122, 14 23 0xfde5_380c,
            1 4 0xa4be_ea44, 4 11 0x4bde_cfa9, 7 16 0xf6bb_4b60, 10 23 0xbebf_bc70,
            13 4 0x289b_7ec6, 0 11 0xeaa1_27fa, 3 16 0xd4ef_3085, 6 23 0x0488_1d05,
            9 4 0xd9d4_d039, 12 11 0xe6db_99e5, 15 16 0x1fa2_7cf8, 2 23 0xc4ac_5665);
        steps!(@round $step i
            0 6 0xf429_2244, 7 10 0x432a_ff97, 14 15 0xab94_23a7, 5 21 0xfc93_a039,
            12 6 0x655b_59c3, 3 10 0x8f0c_cc92, 10 15 0xffef_f47d, 1 21 0x8584_5dd1,
            8 6 0x6fa8_7e4f, 15 10 0xfe2c_e6e0, 6 15 0xa301_4314, 13 21 0x4e08_11a1,
            4 6 0xf753_7e82, 11 10 0xbd3a_f235, 2 15 0x2ad7_d2bb, 9 21 0xeb86_d391);
    };
    (@round $step:ident $f:ident $(
        $w0:literal $s0:literal $k0:literal, $w1:literal $s1:literal $k1:literal,
        $w2:literal $s2:literal $k2:literal, $w3:literal $s3:literal $k3:literal
    ),+) => {
        $(
            $step!($f 0 1 2 3 $w0 $s0 $k0);
            $step!($f 3 0 1 2 $w1 $s1 $k1);
            $step!($f 2 3 0 1 $w2 $s2 $k2);
            $step!($f 1 2 3 0 $w3 $s3 $k3);
        )+
    };
}

#[inline]
fn f(x: u32, y: u32, z: u32) -> u32 {
    z ^ (x & (y ^ z))
}

#[inline]
fn g(x: u32, y: u32, z: u32) -> u32 {
    // The two terms share no bit; as a sum the one without x is ready early.
    (x & z).wrapping_add(y & !z)
}

#[inline]
fn h(x: u32, y: u32, z: u32) -> u32 {
    x ^ (y ^ z)
}

#[inline]
fn i(x: u32, y: u32, z: u32) -> u32 {
    y ^ (x | !z)
}

fn words(block: &[u8; BLOCK]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn add(state: &mut State, sum: State) {
    for (word, more) in state.iter_mut().zip(sum) {
        *word = word.wrapping_add(more);
    }
}

macro_rules! step {
    ($s:ident, $m:ident, $f:ident $a:literal $b:literal $c:literal $d:literal $w:literal $shift:literal $k:literal) => {
        $s[$a] = $s[$a]
            .wrapping_add($m[$w].wrapping_add($k))
            .wrapping_add($f($s[$b], $s[$c], $s[$d]))
            .rotate_left($shift)
            .wrapping_add($s[$b]);
    };
}

fn one(state: &mut State, block: &[u8; BLOCK]) {
    let (mut s, m) = (*state, words(block));
    macro_rules! lanes { ($($rest:tt)*) => { step!(s, m, $($rest)*); }; }
    steps!(lanes);
    add(state, s);
}

fn two(state_1: &mut State, block_1: &[u8; BLOCK], state_2: &mut State, block_2: &[u8; BLOCK]) {
    let (mut s1, m1) = (*state_1, words(block_1));
    let (mut s2, m2) = (*state_2, words(block_2));
    macro_rules! lanes { ($($rest:tt)*) => { step!(s1, m1, $($rest)*); step!(s2, m2, $($rest)*); }; }
    steps!(lanes);
    add(state_1, s1);
    add(state_2, s2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digests::hex;
    use md5_crate::Digest;
    use proptest::prelude::*;

    fn oracle(bytes: &[u8]) -> [u8; 16] {
        md5_crate::Md5::digest(bytes).into()
    }

    /// RFC 1321, A.5.
    #[test]
    fn the_suite_of_the_standard() {
        for (text, sum) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(hex(&Md5::digest(text.as_bytes())), sum);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..12)) {
            let mut sum = Md5::default();
            for piece in &pieces {
                sum.update(piece);
            }
            prop_assert_eq!(sum.finish(), oracle(&pieces.concat()));
        }

        #[test]
        fn two_at_a_time_are_two_one_at_a_time(
            before in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        ) {
            let mut whole = Md5::default();
            whole.update(&before);
            let mut all = before;
            for piece in &pieces {
                let mut part = Md5::default();
                update_both(&mut whole, &mut part, piece);
                prop_assert_eq!(part.finish(), oracle(piece));
                all.extend_from_slice(piece);
            }
            prop_assert_eq!(whole.finish(), oracle(&all));
        }

        #[test]
        fn two_of_different_bytes(
            before in prop::collection::vec(any::<u8>(), 0..200),
            one in prop::collection::vec(any::<u8>(), 0..500),
            other in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let (mut first, mut second) = (Md5::default(), Md5::default());
            first.update(&before);
            update_each((&mut first, &one), (&mut second, &other));
            prop_assert_eq!(first.finish(), oracle(&[before, one].concat()));
            prop_assert_eq!(second.finish(), oracle(&other));
        }
    }
}
