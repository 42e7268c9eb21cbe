//! Runs of free bytes.

use std::ops::Range;

/// 16 bytes each, so 8 MiB. Data and free runs in turn still fit an extent map.
pub const MOST_RUNS: usize = (1 << 19) - 1;

/// Runs of bytes of a volume that are surely free: in order, disjoint, not adjoining, within the volume.
///
/// At most [`MOST_RUNS`] are kept: on a volume more scattered than that the smallest are dropped, and so taken for used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeRuns {
    runs: Vec<Range<u64>>,
    /// May still grow; at the end of all others.
    last: Option<Range<u64>>,
    limit: u64,
    most: usize,
    smallest: u64,
}

impl FreeRuns {
    /// None yet, of a volume of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self::with_most(length, MOST_RUNS)
    }

    fn with_most(length: u64, most: usize) -> Self {
        Self { runs: Vec::new(), last: None, limit: length, most, smallest: 1 }
    }

    /// Appends a run; joins it to the last where they adjoin. What lies beyond the volume's end, or before the end of the last run, is left out.
    pub fn push(&mut self, start: u64, length: u64) {
        let floor = self.last.as_ref().map_or(0, |last| last.end);
        let end = start.saturating_add(length).min(self.limit);
        let start = start.max(floor);
        if start >= end {
            return;
        }
        match &mut self.last {
            Some(last) if last.end == start => last.end = end,
            last => {
                let before = last.replace(start..end);
                self.keep(before);
            }
        }
    }

    /// Takes `range` out again: a structure that is in use whatever a bitmap says.
    pub fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let last = self.last.take();
        self.keep(last);
        let first = self.runs.partition_point(|run| run.end <= range.start);
        let after = self.runs.partition_point(|run| run.start < range.end);
        if first >= after {
            return;
        }
        let head = self.runs[first].start..range.start;
        let tail = range.end..self.runs[after - 1].end;
        let rest = [head, tail].into_iter().filter(|run| run.start < run.end);
        self.runs.splice(first..after, rest);
        self.shrink();
    }

    /// Whether a run has a byte of `range`.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        let first = self.runs.partition_point(|run| run.end <= range.start);
        let run = self.runs.get(first).or(self.last.as_ref());
        !range.is_empty() && run.is_some_and(|run| run.start < range.end && range.start < run.end)
    }

    /// The runs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().cloned().chain(self.last.clone())
    }

    /// Bytes in all runs.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|run| run.end - run.start).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.last.is_none()
    }

    fn keep(&mut self, run: Option<Range<u64>>) {
        if let Some(run) = run.filter(|run| run.end - run.start >= self.smallest) {
            self.runs.push(run);
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        while self.runs.len() >= self.most {
            self.smallest = (self.smallest * 2).max(512);
            let smallest = self.smallest;
            self.runs.retain(|run| run.end - run.start >= smallest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn joins_clips_and_refuses_the_way_back() {
        let mut free = FreeRuns::new(1000);
        free.push(100, 100);
        free.push(200, 50);
        free.push(150, 20); // there already
        free.push(240, 20);
        free.push(900, u64::MAX);
        free.push(2000, 10);
        assert_eq!(free.iter().collect::<Vec<_>>(), [100..260, 900..1000]);
        assert_eq!(free.bytes(), 260);
    }

    #[test]
    fn a_scattered_volume_keeps_the_largest_runs() {
        let mut free = FreeRuns::with_most(u64::MAX, 100);
        for at in 0..10_000u64 {
            free.push(at << 20, if at % 1000 == 0 { 1 << 19 } else { 512 * (1 + at % 7) });
        }
        assert!(free.iter().count() <= 100);
        assert_eq!(free.iter().filter(|run| run.end - run.start == 1 << 19).count(), 10);
    }

    proptest! {
        #[test]
        fn remove_takes_out_that_and_nothing_else(
            runs in prop::collection::vec((0u64..40, 1u64..40), 0..30), from in 0u64..1000, length in 0u64..300
        ) {
            let mut free = FreeRuns::new(1000);
            let mut at = 0;
            for (gap, length) in runs {
                free.push(at + gap, length);
                at += gap + length;
            }
            let removed = from..from + length;
            let expected: Vec<_> = free.iter().flatten().filter(|byte| !removed.contains(byte)).collect();
            let overlaps = free.overlaps(&removed);
            prop_assert_eq!(overlaps, free.iter().flatten().any(|byte| removed.contains(&byte)));
            free.remove(&removed);
            prop_assert_eq!(free.iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
