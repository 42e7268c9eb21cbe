//! A frame of zeros, written by hand: two bits for 258 bytes, about the least that deflate can do.
//!
//! One dynamic block (RFC 1951, 3.2.7) whose literal code has three words: a match of 258 bytes
//! takes one bit, a zero byte and the end of the block take two; the only distance, 1, takes one
//! bit. Then an empty stored block ends on a byte. It does not depend on any codec, so that the
//! zeros of all snapshots are the same parts.

const LONGEST_MATCH: usize = 258;

/// The compressed frame of `length` zeros; `length` is not 0.
pub fn zero_frame(length: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0, 1); // not final
    bits.push(0b10, 2); // dynamic
    bits.push(286 - 257, 5); // HLIT: codes 0..=285
    bits.push(0, 5); // HDIST: one distance code
    bits.push(18 - 4, 4); // HCLEN: code lengths in the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        // The code of the code lengths: 18 (a run of zeros), 1 and 2.
        bits.push(
            match symbol {
                18 => 1,
                1 | 2 => 2,
                _ => 0,
            },
            3,
        );
    }
    // Canonical words, sent first bit first: 18 is 0, 1 is 10, 2 is 11.
    let run = |bits: &mut Bits, zeros: u32| {
        bits.push(0b0, 1);
        bits.push(zeros - 11, 7);
    };
    bits.push(0b11, 2); // literal 0: length 2
    run(&mut bits, 138);
    run(&mut bits, 117); // literals 1..=255 do not occur
    bits.push(0b11, 2); // 256, the end: length 2
    run(&mut bits, 28); // matches of 3..=257 do not occur
    bits.push(0b01, 2); // 285, a match of 258: length 1
    bits.push(0b01, 2); // distance 1: length 1

    // Words: 285 is 0, literal 0 is 10, the end is 11, the distance is 0; a match is two zero bits.
    let matches = length.saturating_sub(1) / LONGEST_MATCH;
    for _ in 0..length - matches * LONGEST_MATCH {
        bits.push(0b01, 2);
    }
    for _ in 0..matches {
        bits.push(0, 2);
    }
    bits.push(0b11, 2);
    bits.push(0, 3); // a stored block, not final
    bits.align();
    bits.bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, width: u32) {
        self.pending |= value << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}
