//! Where a logical volume's bytes lie in its physical volume.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::filesystems::{Fault, Volume};
use crate::source::Source;

/// A run of a logical volume, dealt out over one or more stripes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First byte in the logical volume.
    pub(super) start: u64,
    pub(super) length: u64,
    /// Bytes that go to one stripe before the next has its turn; the whole length where there is one stripe.
    pub(super) stripe_size: u64,
    /// First byte of each stripe in the physical volume.
    pub(super) stripes: Vec<u64>,
}

/// A logical volume's segments: in order, without a gap, within the physical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub(super) segments: Vec<Segment>,
}

impl Mapping {
    /// Bytes of the logical volume.
    pub fn length(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.start + segment.length)
    }

    /// Where it begins in the physical volume, if it lies there in one piece.
    pub fn in_one_piece(&self) -> Option<u64> {
        let (mut start, mut next) = (None, 0);
        let whole = self.runs(&(0..self.length()), |at, length| {
            if start.is_some() && at != next {
                return Err(());
            }
            start.get_or_insert(at);
            next = at + length;
            Ok(())
        });
        whole.ok().and(start)
    }

    /// Tells `place` of each run that makes up `range`, in the logical volume's order: first byte in the physical volume, bytes.
    pub fn runs<E>(
        &self,
        range: &Range<u64>,
        mut place: impl FnMut(u64, u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let first = self.segments.partition_point(|it| it.start + it.length <= range.start);
        for segment in self.segments[first..].iter().take_while(|it| it.start < range.end) {
            let count = segment.stripes.len() as u64;
            let mut at = range.start.max(segment.start) - segment.start;
            let end = range.end.min(segment.start + segment.length) - segment.start;
            while at < end {
                let (unit, inside) = (at / segment.stripe_size, at % segment.stripe_size);
                let length = (segment.stripe_size - inside).min(end - at);
                let stripe = usize::try_from(unit % count).unwrap_or_default();
                place(
                    segment.stripes[stripe] + unit / count * segment.stripe_size + inside,
                    length,
                )?;
                at += length;
            }
        }
        Ok(())
    }
}

/// A logical volume as a source.
#[derive(Debug)]
pub struct Mapped<'a> {
    volume: Volume<'a>,
    mapping: &'a Mapping,
}

impl<'a> Mapped<'a> {
    /// `volume` is the physical one.
    pub fn new(volume: Volume<'a>, mapping: &'a Mapping) -> Self {
        Self { volume, mapping }
    }
}

impl Source for Mapped<'_> {
    fn is_point_in_time(&self) -> bool {
        self.volume.is_point_in_time()
    }

    fn size(&self) -> u64 {
        self.mapping.length()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        let range = offset..offset.saturating_add(rest.len() as u64);
        self.mapping.runs(&range, |at, length| {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            let (part, left) = std::mem::take(&mut rest).split_at_mut(length);
            rest = left;
            self.volume.read(at, part).map_err(|fault| match fault {
                Fault::Disk(error) => error,
                Fault::Doubt(reason) => Error::internal(reason),
            })
        })?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Error::internal("A logical volume was read beyond its end."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_take_turns() {
        let mapping = Mapping {
            segments: vec![
                Segment { start: 0, length: 100, stripe_size: 100, stripes: vec![1000] },
                Segment { start: 100, length: 40, stripe_size: 10, stripes: vec![500, 700] },
            ],
        };
        let mut runs = Vec::new();
        mapping
            .runs(&(95..135), |at, length| {
                runs.push((at, length));
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!(runs, [(1095, 5), (500, 10), (700, 10), (510, 10), (710, 5)]);
        assert_eq!((mapping.length(), mapping.in_one_piece()), (140, None));
        let segment = |start, at| Segment { start, length: 8, stripe_size: 8, stripes: vec![at] };
        let mapping = Mapping { segments: vec![segment(0, 50), segment(8, 58)] };
        assert_eq!(mapping.in_one_piece(), Some(50));
    }
}
