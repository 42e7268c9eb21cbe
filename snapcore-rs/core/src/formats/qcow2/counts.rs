//! How many users each cluster of the file has.

use std::collections::VecDeque;

use super::{C, CLUSTER};

/// Counts in a block, of 16 bits each.
const IN_BLOCK: u64 = C / 2;
/// Bytes of the file that a block counts: 2 GiB.
pub(super) const COVERED: u64 = IN_BLOCK * C;

/// The counts of what is being written, and the places of the blocks that were.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Of clusters from the first block's that does not stand yet.
    open: VecDeque<u16>,
    blocks: Vec<u64>,
}

impl Counts {
    /// One more user for each cluster of these bytes, none of which lies before the open ones.
    pub(super) fn add(&mut self, place: u64, length: u64) {
        let base = self.blocks.len() as u64 * IN_BLOCK;
        let last = (place + length - 1) / C;
        for cluster in place / C..=last {
            let index = usize::try_from(cluster.saturating_sub(base)).unwrap_or(usize::MAX);
            if index >= self.open.len() {
                self.open.resize(index + 1, 0);
            }
            self.open[index] = self.open[index].saturating_add(1);
        }
    }

    /// The next block, if all that it counts lies before `place`. To be told where it stands.
    pub(super) fn complete(&mut self, place: u64) -> Option<Vec<u8>> {
        // A compressed cluster's last sector may reach a cluster further.
        let covered = (self.blocks.len() as u64 + 1) * COVERED;
        (place >= covered + C).then(|| self.take())
    }

    /// The block that was taken last stands there.
    pub(super) fn stands_at(&mut self, place: u64) {
        if let Some(last) = self.blocks.last_mut() {
            *last = place;
        }
    }

    /// The last blocks and their places, one behind the other from `place`; they count themselves.
    pub(super) fn rest(&mut self, place: u64) -> Vec<(u64, Vec<u8>)> {
        let first = self.blocks.len() as u64;
        let mut count = 0;
        while place + count * C > (first + count) * COVERED {
            count += 1;
        }
        self.add(place, count * C);
        (0..count)
            .map(|number| {
                let block = self.take();
                let at = place + number * C;
                self.stands_at(at);
                (at, block)
            })
            .collect()
    }

    /// The places of all blocks.
    pub(super) fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    fn take(&mut self) -> Vec<u8> {
        self.blocks.push(0);
        let count = self.open.len().min(CLUSTER / 2);
        let mut block: Vec<u8> = self.open.drain(..count).flat_map(u16::to_be_bytes).collect();
        block.resize(CLUSTER, 0);
        block
    }
}
