//! Both codecs: frames come back, decode alone, never depend on what came before, and damage is
//! told.

use proptest::prelude::*;
use snapcore::codecs::{self, Codec, Compressed, FINAL_BLOCK, most_compressed};
use snapcore::{ErrorKind, FRAME_SIZE};

fn compress(codec: Codec, frame: &[u8]) -> Vec<u8> {
    let mut out = Compressed::default();
    codec.deflater().unwrap().compress(frame, &mut out).unwrap();
    out.as_bytes().to_vec()
}

/// Bytes between noise and monotony.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    (0u32..9, 1usize..80_000, any::<u64>()).prop_map(|(bits, length, seed)| {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..length).map(|_| u8::try_from(next() >> 33 & ((1 << bits) - 1)).unwrap()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_reads_what_each_wrote(frame in frame()) {
        for &writer in Codec::ALL {
            let bytes = compress(writer, &frame);
            prop_assert!(bytes.len() <= most_compressed(frame.len()));
            for &reader in Codec::ALL {
                prop_assert_eq!(&codecs::inflate(reader, &bytes, frame.len()).unwrap(), &frame);
            }
        }
    }

    #[test]
    fn what_was_compressed_before_does_not_matter(frames in prop::collection::vec(frame(), 2..6)) {
        for &codec in Codec::ALL {
            let mut deflater = codec.deflater().unwrap();
            let mut out = Compressed::default();
            for frame in &frames {
                deflater.compress(frame, &mut out).unwrap();
                prop_assert_eq!(out.as_bytes(), &compress(codec, frame)[..]);
            }
        }
    }

    #[test]
    fn a_frame_is_neither_longer_nor_shorter_than_said(frame in frame(), other in 0usize..90_000) {
        prop_assume!(other != frame.len());
        for &codec in Codec::ALL {
            let bytes = compress(codec, &frame);
            let error = codecs::inflate(codec, &bytes, other).unwrap_err();
            prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_frame_cut_short_is_told(frame in frame(), at in any::<prop::sample::Index>()) {
        for &codec in Codec::ALL {
            let bytes = compress(codec, &frame);
            let cut = &bytes[..at.index(bytes.len())];
            if let Ok(read) = codecs::inflate(codec, cut, frame.len()) {
                // Only a flush that follows a byte-aligned block may be missing without loss.
                prop_assert_eq!(read, frame.clone());
                prop_assert!(bytes.len() - cut.len() <= 5);
            }
        }
    }

    #[test]
    fn damage_gives_an_error_or_other_bytes_of_the_same_length(
        frame in frame(), at in any::<prop::sample::Index>(), bit in 0u32..8
    ) {
        for &writer in Codec::ALL {
            let mut bytes = compress(writer, &frame);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            for &reader in Codec::ALL {
                match codecs::inflate(reader, &bytes, frame.len()) {
                    Ok(read) => prop_assert_eq!(read.len(), frame.len()),
                    Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
                }
            }
        }
    }

    #[test]
    fn noise_is_no_frame_and_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000), length in 0usize..100_000) {
        for &codec in Codec::ALL {
            if let Ok(read) = codecs::inflate(codec, &bytes, length) {
                prop_assert_eq!(read.len(), length);
            }
        }
    }

    #[test]
    fn zeros_of_any_length(length in 1usize..2_000_000) {
        let bytes = codecs::zero_frame(length);
        prop_assert!(bytes.len() < length / 1000 + 160);
        for &codec in Codec::ALL {
            prop_assert_eq!(codecs::inflate(codec, &bytes, length).unwrap(), vec![0; length]);
        }
    }
}

#[test]
fn a_whole_frame_of_noise_is_stored_in_its_bound() {
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    })
    .take(FRAME_SIZE)
    .collect();
    for &codec in Codec::ALL {
        let bytes = compress(codec, &noise);
        assert!(
            (FRAME_SIZE..=most_compressed(FRAME_SIZE)).contains(&bytes.len()),
            "{}",
            bytes.len()
        );
        assert!(codecs::inflate(codec, &bytes, FRAME_SIZE).unwrap() == noise);
    }
}

#[test]
fn zeros_cost_about_a_kilobyte_a_frame() {
    assert!(codecs::zero_frame(FRAME_SIZE).len() <= 1056);
}

#[test]
fn a_final_block_is_refused_wherever_it_stands() {
    for &codec in Codec::ALL {
        let bytes = compress(codec, b"frame");
        for tail in [&FINAL_BLOCK[..], &[3, 0, 3, 0], &[3, 0, 9]] {
            let error = codecs::inflate(codec, &[&bytes[..], tail].concat(), 5).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        let error = codecs::inflate(codec, &[&bytes[..], &bytes[..]].concat(), 5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}

/// ISA-L hashes its own struct's address once a stream: see `codecs/isal/place.rs`. These frames
/// depend on the bucket of their first bytes, each on another one, so that some meet whatever
/// bucket a compressor's address stands for.
#[test]
fn where_a_compressor_lies_in_memory_does_not_matter() {
    let mut state = 0x5eed_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Six bits a byte, or the frame would be stored.
            state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0] & 63
        })
        .take(length)
        .collect()
    };
    for &codec in Codec::ALL {
        let mut deflaters: Vec<_> = (0..4).map(|_| codec.deflater().unwrap()).collect();
        let mut outs: Vec<_> = (0..4).map(|_| Compressed::default()).collect();
        for _ in 0..8000 {
            let (begin, rest) = (noise(16), noise(900));
            let frame = [&begin[..], &rest[..100], &begin[..], &rest[100..]].concat();
            for (deflater, out) in deflaters.iter_mut().zip(&mut outs) {
                deflater.compress(&frame, out).unwrap();
            }
            assert!(outs.windows(2).all(|pair| pair[0].as_bytes() == pair[1].as_bytes()));
        }
    }
}
