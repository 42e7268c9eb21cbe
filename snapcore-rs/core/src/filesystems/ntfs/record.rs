//! File records: what $MFT is made of.

use super::super::{Bytes, Fault};

/// Sectors of an update sequence have this size whatever the disk's have.
const STRIDE: usize = 512;

/// Attribute types.
pub const ATTRIBUTE_LIST: u32 = 0x20;
pub const VOLUME_NAME: u32 = 0x60;
pub const VOLUME_INFORMATION: u32 = 0x70;
pub const DATA: u32 = 0x80;
pub const INDEX_ROOT: u32 = 0x90;
pub const INDEX_ALLOCATION: u32 = 0xa0;
pub const BITMAP: u32 = 0xb0;
const END: u32 = 0xffff_ffff;

/// A record's number and how often it was used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    pub number: u64,
    pub sequence: u16,
}

impl Reference {
    pub fn new(packed: u64) -> Self {
        let [.., low, high] = packed.to_le_bytes();
        Self { number: packed & ((1 << 48) - 1), sequence: u16::from_le_bytes([low, high]) }
    }
}

/// Puts back the last two bytes of every sector, in whose place the writer left a mark by which torn writes are told.
pub fn fix_up(block: &mut [u8], magic: [u8; 4]) -> Result<(), Fault> {
    let torn = || Fault::doubt("A block of the file table or of a directory is damaged.");
    let view = Bytes(block);
    if view.array::<4>(0)? != magic {
        return Err(torn());
    }
    let start = usize::from(view.le16(4)?);
    let marks = usize::from(view.le16(6)?);
    let sectors = block.len() / STRIDE;
    if marks != sectors + 1 || !start.is_multiple_of(2) || start + 2 * marks > STRIDE - 2 {
        return Err(torn());
    }
    let mark = view.array::<2>(start)?;
    for sector in 0..sectors {
        let original = Bytes(block).array::<2>(start + 2 + 2 * sector)?;
        let place = &mut block[(sector + 1) * STRIDE - 2..][..2];
        if place != mark {
            return Err(torn());
        }
        place.copy_from_slice(&original);
    }
    Ok(())
}

/// A record whose update sequence was checked.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// Checks and repairs the bytes of a record in place.
    pub fn open(bytes: &'a mut [u8]) -> Result<Self, Fault> {
        fix_up(bytes, *b"FILE")?;
        Ok(Self(bytes))
    }

    pub fn in_use(self) -> Result<bool, Fault> {
        Ok(Bytes(self.0).le16(22)? & 1 != 0)
    }

    pub fn sequence(self) -> Result<u16, Fault> {
        Bytes(self.0).le16(16)
    }

    /// The record that this one extends; number 0 and sequence 0 in a base record.
    pub fn base(self) -> Result<Reference, Fault> {
        Ok(Reference::new(Bytes(self.0).le64(32)?))
    }

    /// Bytes that hold something.
    pub fn used(self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(Bytes(self.0).le32(24)?).map_err(|_| damaged())?;
        self.0.get(..length).ok_or_else(damaged)
    }

    /// The attributes in this record.
    pub fn attributes(self) -> Result<Attributes<'a>, Fault> {
        Ok(Attributes { bytes: self.used()?, at: usize::from(Bytes(self.0).le16(20)?) })
    }
}

/// Walks a record's attributes.
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    /// The next attribute, or None after the last.
    pub fn next(&mut self) -> Result<Option<Attribute<'a>>, Fault> {
        let rest = Bytes(self.bytes.get(self.at..).ok_or_else(damaged)?);
        if rest.le32(0)? == END {
            return Ok(None);
        }
        let length = usize::try_from(rest.le32(4)?).map_err(|_| damaged())?;
        // The shortest has 24 bytes, so this ends.
        if length < 24 || !length.is_multiple_of(8) {
            return Err(damaged());
        }
        self.at += length;
        Attribute::parse(rest.slice(0, length)?).map(Some)
    }

    /// The next attribute of this type and name.
    pub fn find(&mut self, kind: u32, name: Name<'_>) -> Result<Option<Attribute<'a>>, Fault> {
        while let Some(attribute) = self.next()? {
            if attribute.kind == kind && name.is(attribute.name) {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }
}

/// An attribute's name, in ASCII; empty for the one without.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a [u8]);

impl Name<'_> {
    /// The one without a name.
    pub const NONE: Self = Self(b"");
    /// A directory's.
    pub const I30: Self = Self(b"$I30");

    /// Whether this is the name in UTF-16.
    pub fn is(self, wide: &[u8]) -> bool {
        wide.len() == self.0.len() * 2
            && wide.chunks_exact(2).zip(self.0).all(|(unit, &letter)| unit == [letter, 0])
    }
}

/// One attribute, or one stretch of it.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    pub kind: u32,
    /// UTF-16LE.
    pub name: &'a [u8],
    /// Not 0 if compressed, encrypted or sparse.
    pub flags: u16,
    pub instance: u16,
    pub body: Body<'a>,
}

/// Where an attribute's bytes are.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Here.
    Resident(&'a [u8]),
    /// In clusters of their own.
    Mapped(Mapped<'a>),
}

/// A stretch of an attribute's clusters.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    /// The first.
    pub lowest: u64,
    /// The one behind the last.
    pub end: u64,
    /// Mapping pairs.
    pub pairs: &'a [u8],
    /// Bytes of the attribute. Only where `lowest` is 0.
    pub size: u64,
    /// Bytes of it that were written; the others are zeros whatever the clusters hold.
    pub written: u64,
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let view = Bytes(bytes);
        let name_length = 2 * usize::from(view.u8(9)?);
        let name = view.slice(usize::from(view.le16(10)?), name_length);
        let body = match view.u8(8)? {
            0 => {
                let length = usize::try_from(view.le32(16)?).map_err(|_| damaged())?;
                Body::Resident(view.slice(usize::from(view.le16(20)?), length)?)
            }
            1 => {
                let (lowest, highest) = (view.le64(16)?, view.le64(24)?);
                let end = highest.checked_add(1).or((lowest == 0).then_some(0));
                let end = end.filter(|&end| end >= lowest).ok_or_else(damaged)?;
                let pairs = usize::from(view.le16(32)?);
                if pairs < 64 {
                    return Err(damaged());
                }
                let (size, written) = (view.le64(48)?, view.le64(56)?);
                let pairs = bytes.get(pairs..).ok_or_else(damaged)?;
                Body::Mapped(Mapped { lowest, end, pairs, size, written })
            }
            _ => return Err(damaged()),
        };
        Ok(Self {
            kind: view.le32(0)?,
            name: if name_length == 0 { &[] } else { name? },
            flags: view.le16(12)?,
            instance: view.le16(14)?,
            body,
        })
    }
}

fn damaged() -> Fault {
    Fault::doubt("The file table is damaged: a file's record makes no sense.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..8].copy_from_slice(b"FILE\x30\0\x03\0");
        bytes[20] = 56;
        bytes[22] = 1;
        bytes[24] = 96;
        bytes[0x30..0x36].copy_from_slice(&[7, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
        bytes[510] = 7;
        bytes[1022] = 7;
        // One resident attribute of 3 bytes, then the end.
        bytes[56..64].copy_from_slice(&[0x60, 0, 0, 0, 32, 0, 0, 0]);
        bytes[72] = 3;
        bytes[76] = 24;
        bytes[80..83].copy_from_slice(b"abc");
        bytes[88..92].fill(0xff);
        bytes
    }

    #[test]
    fn puts_the_ends_of_sectors_back() {
        let mut bytes = record();
        let record = Record::open(&mut bytes).unwrap();
        assert_eq!((&record.0[510..512], &record.0[1022..]), (&b"\xaa\xbb"[..], &b"\xcc\xdd"[..]));
        let mut attributes = record.attributes().unwrap();
        let found = attributes.find(VOLUME_NAME, Name::NONE).unwrap().unwrap();
        assert!(matches!(found.body, Body::Resident(b"abc")));
        assert!(attributes.next().unwrap().is_none());
    }

    #[test]
    fn refuses_torn_records() {
        for (at, byte) in [(0, 0), (4, 0x31), (5, 9), (6, 2), (510, 8), (1023, 1), (48, 8)] {
            let mut bytes = record();
            bytes[at] = byte;
            assert!(Record::open(&mut bytes).is_err(), "{byte} at {at}");
        }
    }

    proptest! {
        #[test]
        fn any_damage_ends_in_attributes_or_a_doubt(damage in prop::collection::vec((0usize..1024, any::<u8>()), 1..9)) {
            let mut bytes = record();
            for (at, byte) in damage {
                bytes[at] = byte;
            }
            if let Ok(record) = Record::open(&mut bytes)
                && let Ok(mut attributes) = record.attributes()
            {
                let mut count = 0;
                while let Ok(Some(_)) = attributes.next() {
                    count += 1;
                }
                prop_assert!(count < 1024 / 24);
            }
        }
    }
}
