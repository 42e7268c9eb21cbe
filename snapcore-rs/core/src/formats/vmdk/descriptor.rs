//! The text in a VMDK file that describes it.

use super::{GRAIN, SECTOR};

/// The controller that the disk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// IDE.
    Ide,
    /// LSI Logic's SCSI, and whatever is no IDE.
    LsiLogic,
}

impl Adapter {
    /// As the descriptor has it: "ide", "lsilogic".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ide => "ide",
            Self::LsiLogic => "lsilogic",
        }
    }
}

/// What the file says of itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// The file's name. Whatever a reader could stumble over is replaced in it.
    pub name: String,
    /// Which content this is: two files with the same number are taken for the same.
    pub cid: u32,
    /// Which controller.
    pub adapter: Adapter,
}

impl Description {
    /// The descriptor, for so many sectors.
    pub(super) fn text(&self, capacity: u64) -> String {
        // These two mean "no parent" and "not known".
        let cid = if self.cid >= 0xffff_fffe { 0x5a5a_5a5a } else { self.cid };
        let adapter = self.adapter.name();
        let (heads, most) = match self.adapter {
            Adapter::Ide => (16, 16_383),
            Adapter::LsiLogic => (255, 65_535),
        };
        let cylinders = capacity.div_ceil(heads * 63).min(most);
        format!(
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={cid:08x}\nparentCID=ffffffff\n\
             createType=\"streamOptimized\"\n\n\
             # Extent description\nRW {capacity} SPARSE \"{name}\"\n\n\
             # The Disk Data Base\n#DDB\n\n\
             ddb.adapterType = \"{adapter}\"\n\
             ddb.geometry.cylinders = \"{cylinders}\"\n\
             ddb.geometry.heads = \"{heads}\"\n\
             ddb.geometry.sectors = \"63\"\n\
             ddb.longContentID = \"{cid:08x}{capacity:016x}{cid:08x}\"\n\
             ddb.toolsInstallType = \"4\"\n\
             ddb.toolsVersion = \"2147483647\"\n\
             ddb.virtualHWVersion = \"10\"\n",
            name = self.plain_name(),
        )
    }

    fn plain_name(&self) -> String {
        let plain = |letter: char| {
            if letter.is_control() || "\"\\/".contains(letter) { '_' } else { letter }
        };
        self.name.chars().map(plain).collect()
    }
}

const _: () = assert!((GRAIN as u64).is_multiple_of(SECTOR));
