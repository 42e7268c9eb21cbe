//! Mapping pairs: the runs of clusters in which an attribute lies, packed.

use super::super::Fault;

/// A run of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First cluster in the attribute.
    pub vcn: u64,
    /// First cluster on the volume; None where the attribute has a hole.
    pub lcn: Option<u64>,
    /// Clusters, never 0.
    pub length: u64,
}

/// Reads mapping pairs whose first cluster is `vcn` of the attribute. Every run lies within `clusters`.
pub struct Pairs<'a> {
    bytes: &'a [u8],
    vcn: u64,
    lcn: i64,
    clusters: u64,
}

impl<'a> Pairs<'a> {
    pub fn new(bytes: &'a [u8], vcn: u64, clusters: u64) -> Self {
        Self { bytes, vcn, lcn: 0, clusters }
    }

    /// The next run, or None after the last.
    pub fn next(&mut self) -> Result<Option<Run>, Fault> {
        // The array may fill its attribute to the last byte.
        let Some((&sizes, rest)) = self.bytes.split_first() else { return Ok(None) };
        if sizes == 0 {
            return Ok(None);
        }
        let (length_size, place_size) = (usize::from(sizes & 15), usize::from(sizes >> 4));
        let length = signed(rest.get(..length_size).ok_or_else(damaged)?)?;
        let length = u64::try_from(length).ok().filter(|&length| length > 0).ok_or_else(damaged)?;
        let place = rest.get(length_size..length_size + place_size).ok_or_else(damaged)?;
        let lcn = if place.is_empty() {
            None
        } else {
            self.lcn = self.lcn.checked_add(signed(place)?).ok_or_else(damaged)?;
            let lcn = u64::try_from(self.lcn).map_err(|_| damaged())?;
            lcn.checked_add(length).filter(|&end| end <= self.clusters).ok_or_else(damaged)?;
            Some(lcn)
        };
        let run = Run { vcn: self.vcn, lcn, length };
        self.vcn = self.vcn.checked_add(length).ok_or_else(damaged)?;
        self.bytes = &rest[length_size + place_size..];
        Ok(Some(run))
    }

    /// The cluster of the attribute that follows the runs so far.
    pub fn end(&self) -> u64 {
        self.vcn
    }
}

/// Little-endian of one to eight bytes.
fn signed(bytes: &[u8]) -> Result<i64, Fault> {
    let (Some(&high), true) = (bytes.last(), bytes.len() <= 8) else { return Err(damaged()) };
    let mut number = [if high & 0x80 == 0 { 0 } else { 0xff }; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(number))
}

fn damaged() -> Fault {
    Fault::doubt("The file table is damaged: a file's list of clusters makes no sense.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], clusters: u64) -> Result<Vec<Run>, Fault> {
        let mut pairs = Pairs::new(bytes, 0, clusters);
        let mut runs = Vec::new();
        while let Some(run) = pairs.next()? {
            runs.push(run);
        }
        Ok(runs)
    }

    #[test]
    fn reads_steps_back_and_holes() {
        let bytes = [0x21, 0x18, 0x34, 0x56, 0x01, 0x05, 0x11, 0x02, 0xf0, 0, 9];
        let runs = all(&bytes, 1 << 20).unwrap();
        assert_eq!(
            runs,
            [
                Run { vcn: 0, lcn: Some(0x5634), length: 0x18 },
                Run { vcn: 0x18, lcn: None, length: 5 },
                Run { vcn: 0x1d, lcn: Some(0x5624), length: 2 },
            ]
        );
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let wrong: [&[u8]; 7] = [
            &[0x11, 0, 1],    // no length
            &[0x11, 0xff, 1], // a negative one
            &[0x10, 1],       // none at all
            &[0x11, 1, 0xff], // before the volume
            &[0x11, 2, 99],   // behind it
            &[0x21, 1, 1],    // cut off
            &[0x9f, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ];
        for bytes in wrong {
            assert!(all(bytes, 100).is_err(), "{bytes:x?}");
        }
        assert!(all(&[0x18, 255, 255, 255, 255, 255, 255, 255, 127, 0], u64::MAX).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_give_runs_in_order_or_a_doubt(bytes in prop::collection::vec(any::<u8>(), 0..200), clusters in 1u64..1 << 40) {
            if let Ok(runs) = all(&bytes, clusters) {
                let mut vcn = 0;
                for run in runs {
                    prop_assert_eq!(run.vcn, vcn);
                    vcn += run.length;
                    prop_assert!(run.lcn.is_none_or(|lcn| lcn + run.length <= clusters));
                }
            }
        }
    }
}
