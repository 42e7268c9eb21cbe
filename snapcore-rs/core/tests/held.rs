//! Room held for what is known later: the part with it waits, has its place in the file, and loses
//! nothing; several disks as one source.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use snapcore::extents::{ExtentKind, ExtentMap};
use snapcore::parts::{BOUNDARY, Cutter, LEAST, MOST_HELD, Outlet, Part};
use snapcore::source::{Joined, Source};
use snapcore::{ErrorKind, FRAME_SIZE, Result};

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Part>>>);

impl Outlet for Kept {
    fn reserve(&mut self) -> Result<()> {
        Ok(())
    }

    fn send(&mut self, part: Part) -> Result<()> {
        self.0.lock().unwrap().push(part);
        Ok(())
    }
}

impl Kept {
    fn positions(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(Part::position).collect()
    }

    /// The file, joined by the parts' positions.
    fn file(&self) -> Vec<u8> {
        let mut parts = self.0.lock().unwrap().clone();
        parts.sort_by_key(Part::position);
        assert!(parts.iter().map(Part::position).eq(0..parts.len() as u64));
        parts.iter().flat_map(|part| part.bytes().to_vec()).collect()
    }
}

fn frame(fill: u8) -> Vec<u8> {
    vec![fill; FRAME_SIZE]
}

#[allow(clippy::cast_possible_truncation)]
const FRAME: u32 = FRAME_SIZE as u32;

#[test]
fn the_part_with_the_room_comes_once_it_is_filled() {
    let kept = Kept::default();
    let mut parts = Cutter::new(kept.clone(), true, false);
    parts.write(b"before").unwrap();
    parts.hold(4).unwrap();
    for number in 0..40 {
        parts.frame(&frame(number), FRAME, false).unwrap();
    }
    assert_eq!(kept.positions(), [1]);
    parts.fill(0, b"ro").unwrap();
    parts.fill(2, b"om").unwrap();
    parts.release().unwrap();
    assert_eq!(kept.positions(), [1, 0]);
    parts.hold(3).unwrap();
    parts.fill(0, b"end").unwrap();
    parts.release().unwrap();
    parts.flush().unwrap();
    assert_eq!(kept.positions(), [1, 0, 2]);
    let file = kept.file();
    assert!(file.starts_with(b"beforeroom") && file.ends_with(b"end"));
    assert_eq!(file.len(), 13 + 40 * FRAME_SIZE);
    let lengths: Vec<_> =
        kept.0.lock().unwrap().iter().map(|part| (part.position(), part.source_length())).collect();
    assert_eq!(lengths, [(1, BOUNDARY), (0, BOUNDARY), (2, 8 * u64::from(FRAME))]);
}

#[test]
fn what_was_never_released_comes_last() {
    let kept = Kept::default();
    let mut parts = Cutter::new(kept.clone(), true, false);
    parts.hold(8).unwrap();
    for number in 0..33 {
        parts.frame(&frame(number), FRAME, false).unwrap();
    }
    parts.fill(0, b"12345678").unwrap();
    parts.flush().unwrap();
    assert_eq!(kept.positions(), [1, 2, 0]);
    assert!(kept.file().starts_with(b"12345678"));
}

#[test]
fn only_one_at_a_time_and_only_what_was_held() {
    let mut parts = Cutter::new(Kept::default(), true, false);
    assert_eq!(parts.fill(0, b"x").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(parts.hold(MOST_HELD + 1).unwrap_err().kind(), ErrorKind::Internal);
    parts.hold(4).unwrap();
    assert_eq!(parts.hold(4).unwrap_err().kind(), ErrorKind::Internal);
    for (at, bytes) in [(0, &b"12345"[..]), (4, b"1"), (5, b""), (usize::MAX, b"1")] {
        assert_eq!(parts.fill(at, bytes).unwrap_err().kind(), ErrorKind::Internal);
    }
    parts.fill(4, b"").unwrap();
    parts.release().unwrap();
    assert_eq!(parts.fill(0, b"x").unwrap_err().kind(), ErrorKind::Internal);
}

proptest! {
    // Each copies some 60 MiB about.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_wherever_room_is_held(
        steps in prop::collection::vec((0u8..4, 1usize..1 << 21), 1..60)
    ) {
        let kept = Kept::default();
        let mut parts = Cutter::new(kept.clone(), true, false);
        let mut expected = Vec::new();
        let mut room: Option<(usize, usize)> = None;
        for (number, (step, length)) in steps.into_iter().enumerate() {
            #[allow(clippy::cast_possible_truncation)]
            let fill = number as u8 + 1;
            match step {
                0 => {
                    let bytes = vec![fill; length];
                    parts.write(&bytes).unwrap();
                    expected.extend(bytes);
                }
                1 => {
                    parts.frame(&frame(fill), FRAME, false).unwrap();
                    expected.extend(frame(fill));
                }
                2 => parts.skip(length as u64).unwrap(),
                _ => {
                    if let Some((at, length)) = room.take() {
                        parts.fill(0, &vec![fill; length]).unwrap();
                        parts.release().unwrap();
                        expected[at..at + length].fill(fill);
                    } else {
                        let length = length.min(100_000);
                        parts.hold(length).unwrap();
                        room = Some((expected.len(), length));
                        expected.resize(expected.len() + length, 0);
                    }
                }
            }
        }
        parts.flush().unwrap();
        prop_assert!(kept.file() == expected);
        let sent = kept.0.lock().unwrap();
        let last = sent.iter().map(Part::position).max();
        for part in sent.iter() {
            prop_assert!(Some(part.position()) == last || part.bytes().len() >= LEAST);
        }
    }
}

/// A disk of one byte over and over.
struct Plain(u8, u64);

impl Source for Plain {
    fn size(&self) -> u64 {
        self.1
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        assert!(offset + buffer.len() as u64 <= self.1);
        buffer.fill(self.0);
        Ok(())
    }
}

#[test]
fn joined_disks_each_begin_with_a_frame() {
    let sizes = [1, FRAME_SIZE as u64, FRAME_SIZE as u64 + 1, 3 * FRAME_SIZE as u64 - 1];
    let disks = sizes
        .iter()
        .zip(1..)
        .map(|(&size, fill)| {
            let disk: Arc<dyn Source> = Arc::new(Plain(fill, size));
            (disk, Arc::new(ExtentMap::all_data(size)))
        })
        .collect();
    let joined = Joined::new(disks).unwrap();
    let extents = joined.extents().unwrap();
    assert_eq!(joined.size(), 7 * FRAME_SIZE as u64);
    assert_eq!(extents.size(), joined.size());
    for ((place, size), fill) in joined.places().zip(sizes).zip(1..) {
        assert_eq!(place.start % FRAME_SIZE as u64, 0);
        assert_eq!(place.end - place.start, size);
        let data: Vec<_> = extents.data_in(place.clone()).collect();
        assert_eq!(data, std::slice::from_ref(&place));
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        joined.read(place.start, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == fill));
        assert!(joined.read(place.end - 1, &mut [0; 2]).is_err() || place.end == place.start);
    }
    // What lies between them is not anybody's: it is never read.
    assert!(extents.as_slice().iter().all(|extent| extent.kind != ExtentKind::Zero));
    assert!(Joined::new(Vec::new()).is_err());
}
