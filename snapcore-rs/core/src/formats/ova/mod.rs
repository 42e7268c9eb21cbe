//! OVA: a machine with all its disks in one file (DMTF DSP0243, "Open Virtualization Format").
//!
//! ```text
//! header | NAME.ovf | header | NAME-disk1.vmdk | header | NAME-disk2.vmdk | … | header | NAME.mf | end
//! ```
//! A tar archive: the description of the machine first, then each disk as a streamOptimized VMDK, then
//! the SHA-256 of all of them. A disk's header has its size, which is known behind it: the part with
//! the header is held until then.
//!
//! Made of a [`Joined`](crate::source::Joined) source: each disk begins with a frame.

mod tar;

use std::fmt::Write;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::FRAME_SIZE;
use crate::codecs::Codec;
use crate::error::{Error, Result};
use crate::parts::{Cutter, Outlet};

use super::vmdk::{Description, Encoder, Grains, Vmdk};
use super::{Encoded, Format};
use tar::{BLOCK, MOST_NAME};

/// What the archive says of itself.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The name of all files in it, without what they end in; at most 80 bytes, no slash.
    pub name: String,
    /// The content of `NAME.ovf`.
    pub ovf: Vec<u8>,
    /// When it was made, in seconds since 1970.
    pub modified: u64,
}

/// Writes `NAME.ova`.
#[derive(Debug)]
pub struct Ova {
    codec: Codec,
    machine: Machine,
    /// Still to be written: the last first.
    waiting: Vec<Member>,
    open: Option<Member>,
    /// Bytes of the source so far.
    offset: u64,
    /// `NAME.mf`, as far as it is known.
    sums: String,
}

/// A disk of the machine.
#[derive(Debug)]
struct Member {
    /// Where the next disk begins in the source.
    end: u64,
    name: String,
    vmdk: Vmdk,
}

impl Ova {
    /// Of disks that lie there in the source, in their order, each with what its VMDK says of itself.
    pub fn new(
        codec: Codec,
        machine: Machine,
        disks: impl Iterator<Item = (Range<u64>, Description)>,
    ) -> Result<Self> {
        let name = &machine.name;
        if name.is_empty() || name.len() + 19 > MOST_NAME || name.contains(['/', '\0', '\n']) {
            return Err(Error::usage("The OVA's name cannot be a file's in it."));
        }
        let mut waiting: Vec<_> = disks
            .enumerate()
            .map(|(index, (place, mut description))| {
                let name = disk_name(name, index + 1);
                description.name.clone_from(&name);
                let vmdk = Vmdk::new(codec, place.end - place.start, description, true);
                Member { end: place.end.next_multiple_of(FRAME_SIZE as u64), name, vmdk }
            })
            .collect();
        waiting.reverse();
        Ok(Self { codec, machine, waiting, open: None, offset: 0, sums: String::new() })
    }

    /// Begins the next disk, if there is one.
    fn begin_disk<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let Some(mut member) = self.waiting.pop() else { return Ok(()) };
        parts.hold(BLOCK)?;
        member.vmdk.begin(parts)?;
        self.open = Some(member);
        Ok(())
    }

    /// Ends the disk whose last byte was written, and begins the next.
    fn step<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let ended = self.open.take_if(|member| member.end == self.offset);
        let Some(Member { name, mut vmdk, .. }) = ended else { return Ok(()) };
        vmdk.end(parts)?; // in whole sectors: the archive wants no filling up
        parts.fill(0, &tar::header(&name, vmdk.written(), self.machine.modified))?;
        parts.release()?;
        if let Some(sum) = vmdk.sha256() {
            self.sum(&name, &sum);
        }
        self.begin_disk(parts)
    }

    fn sum(&mut self, name: &str, sum: &[u8]) {
        let _ = write!(self.sums, "SHA256({name})= "); // a String takes all
        for byte in sum {
            let _ = write!(self.sums, "{byte:02x}");
        }
        self.sums.push('\n');
    }

    fn put_file<O: Outlet>(&self, name: &str, content: &[u8], parts: &mut Cutter<O>) -> Result<()> {
        parts.write(&tar::header(name, content.len() as u64, self.machine.modified))?;
        parts.write(content)?;
        parts.write(tar::padding(content.len()))
    }
}

/// What the archive calls the VMDK file of a disk; `number` counts from 1.
fn disk_name(machine: &str, number: usize) -> String {
    format!("{machine}-disk{number}.vmdk")
}

impl Format for Ova {
    type Note = Grains;
    type Encoder = Encoder;

    const OUT_OF_ORDER: bool = true;

    fn encoder(&self) -> Result<Encoder> {
        Encoder::new(self.codec)
    }

    fn begin<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        let name = format!("{}.ovf", self.machine.name);
        let ovf = std::mem::take(&mut self.machine.ovf);
        self.put_file(&name, &ovf, parts)?;
        self.sum(&name, &Sha256::digest(&ovf));
        self.begin_disk(parts)
    }

    fn data<O: Outlet>(&mut self, frame: &Encoded<Grains>, parts: &mut Cutter<O>) -> Result<()> {
        let Some(member) = &mut self.open else { return Err(no_disk()) };
        self.offset += u64::from(frame.source_length);
        member.vmdk.data(frame, parts)?;
        self.step(parts)
    }

    fn zeros<O: Outlet>(&mut self, length: u64, parts: &mut Cutter<O>) -> Result<()> {
        let mut left = length;
        while left > 0 {
            let Some(member) = &mut self.open else { return Err(no_disk()) };
            let now = left.min(member.end - self.offset);
            self.offset += now;
            left -= now;
            member.vmdk.zeros(now, parts)?;
            self.step(parts)?;
        }
        Ok(())
    }

    fn end<O: Outlet>(&mut self, parts: &mut Cutter<O>) -> Result<()> {
        if self.open.is_some() || !self.waiting.is_empty() {
            return Err(no_disk());
        }
        let sums = std::mem::take(&mut self.sums);
        self.put_file(&format!("{}.mf", self.machine.name), sums.as_bytes(), parts)?;
        parts.write(&[0; 2 * BLOCK])
    }
}

fn no_disk() -> Error {
    Error::internal("The disks of an OVA are not those that it was made for.")
}
