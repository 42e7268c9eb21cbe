//! Clusters: the parallel half.

use crate::FRAME_SIZE;
use crate::codecs::{Codec, Compressed, Deflater, FINAL_BLOCK};
use crate::error::Result;
use crate::zeros::all_zero;

use super::CLUSTER;

/// QEMU inflates with a window of 4 KiB.
const WINDOW_BITS: u8 = 12;
const IN_FRAME: usize = FRAME_SIZE / CLUSTER;

/// The lengths of a frame's clusters in bytes: 0 where it is zeros, [`CLUSTER`] where it did not shrink.
#[derive(Clone, Copy, Debug)]
pub struct Clusters {
    lengths: [usize; IN_FRAME],
    count: usize,
}

impl Clusters {
    /// One for each cluster of the frame.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths[..self.count]
    }
}

/// Deflates the clusters of a frame, one behind the other.
#[derive(Debug)]
pub struct Encoder {
    deflater: Deflater,
    cluster: Vec<u8>,
    deflated: Compressed,
}

impl Encoder {
    /// For one thread.
    pub fn new(codec: Codec) -> Result<Self> {
        Ok(Self {
            deflater: codec.deflater_within(WINDOW_BITS)?,
            cluster: vec![0; CLUSTER],
            deflated: Compressed::default(),
        })
    }

    fn put(&mut self, cluster: &[u8], out: &mut Compressed) -> Result<usize> {
        self.deflater.compress(cluster, &mut self.deflated)?;
        let bytes = self.deflated.as_bytes();
        let length = bytes.len() + FINAL_BLOCK.len();
        if length >= CLUSTER {
            out.append(cluster);
            return Ok(CLUSTER);
        }
        out.append(bytes);
        out.append(&FINAL_BLOCK);
        Ok(length)
    }
}

impl super::super::Encoder for Encoder {
    type Note = Clusters;

    fn encode(&mut self, frame: &[u8], out: &mut Compressed) -> Result<Clusters> {
        out.clear();
        let mut clusters = Clusters { lengths: [0; IN_FRAME], count: 0 };
        for piece in frame.chunks(CLUSTER) {
            if !all_zero(piece) {
                clusters.lengths[clusters.count] = if piece.len() == CLUSTER {
                    self.put(piece, out)?
                } else {
                    let mut cluster = std::mem::take(&mut self.cluster);
                    cluster.fill(0);
                    cluster[..piece.len()].copy_from_slice(piece);
                    let length = self.put(&cluster, out)?;
                    self.cluster = cluster;
                    length
                };
            }
            clusters.count += 1;
        }
        Ok(clusters)
    }
}
