//! Which runs of a disk hold what.
//!
//! An [`ExtentMap`] covers its disk without a gap or an overlap, neighbours differ in kind, and it never
//! holds more than [`MOST_EXTENTS`] entries: on a disk more scattered than that the smallest runs
//! of zeros are taken for data, which costs reading them and is never wrong. Unused runs are never joined
//! with data: what they hold must not reach a snapshot. (Of these a file system gives a bounded number.)

use std::ops::Range;

/// 24 bytes each, so a map stays under 24 MiB.
pub const MOST_EXTENTS: usize = 1 << 20;

/// What a run of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// To be read.
    Data,
    /// Reads as zeros, known without reading.
    Zero,
    /// Surely free in its file system; taken as zeros.
    Unused,
}

/// A run of bytes of one kind, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// What they are.
    pub kind: ExtentKind,
}

impl Extent {
    /// The byte after the last.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// All extents of a disk, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentMap {
    extents: Vec<Extent>,
    size: u64,
}

impl ExtentMap {
    /// A disk of which nothing is known but its size.
    pub fn all_data(size: u64) -> Self {
        let mut builder = Builder::new(MOST_EXTENTS);
        builder.push(size, ExtentKind::Data);
        builder.finish()
    }

    /// The extents, in order.
    pub fn as_slice(&self) -> &[Extent] {
        &self.extents
    }

    /// Bytes covered: the disk's size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same map with these runs taken for unused, whatever they were. They are in order and disjoint.
    #[must_use]
    pub fn without(&self, unused: impl Iterator<Item = Range<u64>>) -> Self {
        let mut builder = Builder::new(MOST_EXTENTS);
        let mut rest = self.extents.iter().peekable();
        let mut copy_until = |builder: &mut Builder, end: u64| {
            while let Some(extent) = rest.peek() {
                let to = extent.end().min(end);
                builder.push(to.saturating_sub(builder.end()), extent.kind);
                if extent.end() > end {
                    break;
                }
                rest.next();
            }
        };
        for run in unused {
            copy_until(&mut builder, run.start.min(self.size));
            let end = run.end.min(self.size);
            builder.push(end.saturating_sub(builder.end()), ExtentKind::Unused);
        }
        copy_until(&mut builder, self.size);
        builder.finish()
    }

    /// Bytes that have to be read.
    pub fn data_bytes(&self) -> u64 {
        self.extents
            .iter()
            .filter(|extent| extent.kind == ExtentKind::Data)
            .map(|extent| extent.length)
            .sum()
    }

    /// The parts of `range` that are data, in order.
    pub fn data_in(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.extents.partition_point(|extent| extent.end() <= range.start);
        self.extents[first..]
            .iter()
            .take_while(move |extent| extent.start < range.end)
            .filter(|extent| extent.kind == ExtentKind::Data)
            .map(move |extent| extent.start.max(range.start)..extent.end().min(range.end))
    }

    /// Where the next data at or after `from` begins, or the disk's size.
    pub fn next_data(&self, from: u64) -> u64 {
        let first = self.extents.partition_point(|extent| extent.end() <= from);
        self.extents[first..]
            .iter()
            .find(|extent| extent.kind == ExtentKind::Data)
            .map_or(self.size, |extent| extent.start.max(from))
    }
}

/// Makes an [`ExtentMap`] from runs in order.
#[derive(Debug)]
pub struct Builder {
    extents: Vec<Extent>,
    end: u64,
    most: usize,
    smallest_zero: u64,
}

impl Builder {
    /// `most` is [`MOST_EXTENTS`] but in tests.
    pub fn new(most: usize) -> Self {
        Self { extents: Vec::new(), end: 0, most, smallest_zero: 0 }
    }

    /// Where the next run begins.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends a run; an empty one is left out.
    pub fn push(&mut self, length: u64, kind: ExtentKind) {
        if length == 0 {
            return;
        }
        append(&mut self.extents, Extent { start: self.end, length, kind }, self.smallest_zero);
        self.end += length;
        while self.extents.len() > self.most && self.coarsen() {}
    }

    /// The map of what was pushed.
    pub fn finish(self) -> ExtentMap {
        ExtentMap { size: self.end, extents: self.extents }
    }

    /// Makes data of the runs of zeros under twice the last limit. False where that cannot help any
    /// more.
    fn coarsen(&mut self) -> bool {
        if self.smallest_zero > self.end {
            return false;
        }
        self.smallest_zero = (self.smallest_zero * 2).max(4096);
        let finer = std::mem::take(&mut self.extents);
        for extent in finer {
            append(&mut self.extents, extent, self.smallest_zero);
        }
        true
    }
}

fn append(extents: &mut Vec<Extent>, mut extent: Extent, smallest_zero: u64) {
    if extent.kind == ExtentKind::Zero && extent.length < smallest_zero {
        extent.kind = ExtentKind::Data;
    }
    match extents.last_mut() {
        Some(last) if last.kind == extent.kind => last.length += extent.length,
        _ => extents.push(extent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = ExtentKind> {
        prop_oneof![Just(ExtentKind::Data), Just(ExtentKind::Zero), Just(ExtentKind::Unused)]
    }

    fn runs() -> impl Strategy<Value = Vec<(u64, ExtentKind)>> {
        prop::collection::vec((0u64..20_000, kind()), 0..60)
    }

    fn build(runs: &[(u64, ExtentKind)], most: usize) -> ExtentMap {
        let mut builder = Builder::new(most);
        for &(length, kind) in runs {
            builder.push(length, kind);
        }
        builder.finish()
    }

    #[test]
    fn a_scattered_disk_stays_small_and_keeps_its_data() {
        let mut builder = Builder::new(100);
        for at in 0..5000u64 {
            builder.push(4096, ExtentKind::Data);
            builder.push(4096 * (1 + at % 7), ExtentKind::Zero);
        }
        let map = builder.finish();
        assert!(map.as_slice().len() <= 100);
        assert!(map.data_bytes() >= 5000 * 4096);
    }

    proptest! {
        #[test]
        fn covers_all_without_gap_or_overlap(runs in runs(), most in 1usize..80) {
            let map = build(&runs, most);
            let mut end = 0;
            for pair in map.as_slice().windows(2) {
                prop_assert_ne!(pair[0].kind, pair[1].kind);
            }
            for extent in map.as_slice() {
                prop_assert_eq!(extent.start, end);
                prop_assert!(extent.length > 0);
                end = extent.end();
            }
            prop_assert_eq!(end, runs.iter().map(|run| run.0).sum::<u64>());
        }

        #[test]
        fn coarsening_makes_data_of_zeros_and_of_nothing_else(runs in runs(), most in 1usize..80) {
            let exact = build(&runs, usize::MAX);
            let coarse = build(&runs, most);
            for extent in exact.as_slice() {
                let data: u64 = coarse.data_in(extent.start..extent.end()).map(|range| range.end - range.start).sum();
                match extent.kind {
                    ExtentKind::Data => prop_assert_eq!(data, extent.length),
                    ExtentKind::Unused => prop_assert_eq!(data, 0),
                    // A run that came in pieces may be taken piece by piece.
                    ExtentKind::Zero => prop_assert!(data <= extent.length),
                }
            }
        }

        #[test]
        fn what_is_unused_is_neither_data_nor_zero(runs in runs(), gaps in prop::collection::vec((1u64..9_000, 1u64..9_000), 0..40)) {
            let runs: Vec<_> = runs.into_iter().filter(|run| run.1 != ExtentKind::Unused).collect();
            let map = build(&runs, usize::MAX);
            let mut at = 0;
            let mut unused = Vec::new();
            for (gap, length) in gaps {
                unused.push(at + gap..at + gap + length);
                at += gap + length;
            }
            let without = map.without(unused.iter().cloned());
            prop_assert_eq!(without.size(), map.size());
            prop_assert!(without.as_slice().windows(2).all(|pair| pair[0].kind != pair[1].kind && pair[0].end() == pair[1].start));
            for extent in without.as_slice() {
                let covered: u64 = unused.iter().map(|run| run.end.min(extent.end()).saturating_sub(run.start.max(extent.start))).sum();
                prop_assert_eq!(covered, if extent.kind == ExtentKind::Unused { extent.length } else { 0 });
                if extent.kind != ExtentKind::Unused {
                    let data: u64 = map.data_in(extent.start..extent.end()).map(|range| range.end - range.start).sum();
                    prop_assert_eq!(data, if extent.kind == ExtentKind::Data { extent.length } else { 0 });
                }
            }
        }

        #[test]
        fn data_is_found_from_anywhere(runs in runs(), at in any::<prop::sample::Index>()) {
            let map = build(&runs, usize::MAX);
            prop_assume!(map.size() > 0);
            let from = at.index(usize::try_from(map.size()).unwrap()) as u64;
            let first = map.data_in(from..map.size()).next().map_or(map.size(), |range| range.start);
            prop_assert_eq!(map.next_data(from), first);
        }
    }
}
