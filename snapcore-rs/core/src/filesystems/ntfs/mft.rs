//! $MFT, the file of all file records, found by its own first record.

use super::super::{Bytes, Fault, Volume};
use super::boot::Boot;
use super::record::{ATTRIBUTE_LIST, Attribute, Body, DATA, Name, Record, Reference};
use super::stream::{Clusters, Stream};

/// Windows ends an attribute list at 256 KiB.
const LARGEST_LIST: u64 = 256 << 10;

/// File records by their number.
#[derive(Debug)]
pub struct Mft<'a> {
    volume: &'a Volume<'a>,
    boot: &'a Boot,
    clusters: Clusters,
}

impl<'a> Mft<'a> {
    /// Maps $MFT: the first stretch from record 0, each further one from a record that those before it map.
    pub fn open(volume: &'a Volume<'a>, boot: &'a Boot) -> Result<Self, Fault> {
        let mut bytes = volume.read_vec(boot.mft * boot.cluster_size, boot.record_size)?;
        let record = Record::open(&mut bytes)?;
        if !record.in_use()? {
            return Err(Fault::doubt("The file table is damaged: it has no record of itself."));
        }
        let clusters = Clusters::new(boot.cluster_size, boot.clusters);
        let mut mft = Self { volume, boot, clusters };
        let list = mft.list(record, DATA, Name::NONE)?;
        let first = record.attributes()?.find(DATA, Name::NONE)?.ok_or_else(missing)?;
        mft.clusters.append_mapped(&first)?;
        if mft.clusters.runs().first().and_then(|run| run.lcn) != Some(boot.mft) {
            return Err(Fault::doubt(
                "The boot sector and the file table disagree about where it lies.",
            ));
        }
        for entry in list.iter().flatten().skip(1) {
            let mut buffer = vec![0; boot.record_size];
            let attribute = mft.stretch((0, record), DATA, Name::NONE, entry, &mut buffer)?;
            mft.clusters.append_mapped(&attribute)?;
        }
        mft.clusters.finish()?;
        if mft.clusters.has_holes() {
            return Err(Fault::doubt("The file table is damaged: it has holes."));
        }
        Ok(mft)
    }

    /// Records that were ever written.
    pub fn records(&self) -> u64 {
        self.clusters.written / self.boot.record_size as u64
    }

    /// Bytes of a record.
    pub fn record_size(&self) -> usize {
        self.boot.record_size
    }

    /// The clusters of $MFT.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Reads a record into `buffer` and checks it.
    pub fn record<'b>(&self, number: u64, buffer: &'b mut [u8]) -> Result<Record<'b>, Fault> {
        let at = number.checked_mul(self.boot.record_size as u64).ok_or_else(missing)?;
        self.clusters.read(self.volume, at, buffer)?;
        Record::open(buffer)
    }

    /// An attribute of a file, in as many pieces as it has. None where the file has none such.
    pub fn attribute(
        &self,
        number: u64,
        kind: u32,
        name: Name<'_>,
    ) -> Result<Option<Stream>, Fault> {
        let mut buffer = vec![0; self.boot.record_size];
        let record = self.record(number, &mut buffer)?;
        if !record.in_use()? || record.base()? != Reference::new(0) {
            return Err(Fault::doubt(
                "The file table is damaged: a file of the file system itself is missing.",
            ));
        }
        let mut clusters = Clusters::new(self.boot.cluster_size, self.boot.clusters);
        let mut room = vec![0; self.boot.record_size];
        if let Some(list) = self.list(record, kind, name)? {
            for entry in &list {
                let attribute = self.stretch((number, record), kind, name, entry, &mut room)?;
                if let (Body::Resident(bytes), 1) = (attribute.body, list.len()) {
                    return Ok(Some(Stream::Resident(bytes.to_vec())));
                }
                clusters.append_mapped(&attribute)?;
            }
            if list.is_empty() {
                return Ok(None);
            }
        } else {
            let Some(attribute) = record.attributes()?.find(kind, name)? else { return Ok(None) };
            if let Body::Resident(bytes) = attribute.body {
                return Ok(Some(Stream::Resident(bytes.to_vec())));
            }
            clusters.append_mapped(&attribute)?;
        }
        clusters.finish()?;
        Ok(Some(Stream::Mapped(clusters)))
    }

    /// The stretches of an attribute by the record's attribute list, in order; None where it has no list.
    fn list(
        &self,
        record: Record<'_>,
        kind: u32,
        name: Name<'_>,
    ) -> Result<Option<Vec<Entry>>, Fault> {
        let found = record.attributes()?.find(ATTRIBUTE_LIST, Name::NONE)?;
        let Some(attribute) = found else { return Ok(None) };
        let bytes = match attribute.body {
            Body::Resident(bytes) => bytes.to_vec(),
            Body::Mapped(_) => {
                let mut clusters = Clusters::new(self.boot.cluster_size, self.boot.clusters);
                clusters.append_mapped(&attribute)?;
                clusters.finish()?;
                let length = usize::try_from(clusters.size.min(LARGEST_LIST + 1)).unwrap_or(0);
                if length as u64 > LARGEST_LIST {
                    return Err(Fault::doubt(
                        "The file table is damaged: a list of attributes is too long.",
                    ));
                }
                let mut bytes = vec![0; length];
                clusters.read(self.volume, 0, &mut bytes)?;
                bytes
            }
        };
        let mut entries = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let view = Bytes(rest);
            let length = usize::from(view.le16(4)?);
            // The shortest has 26 bytes, so this ends.
            let entry = Bytes(view.slice(0, length.max(26))?);
            let wide = entry.slice(usize::from(entry.u8(7)?), 2 * usize::from(entry.u8(6)?));
            if entry.le32(0)? == kind && name.is(if entry.u8(6)? == 0 { &[] } else { wide? }) {
                entries.push(Entry {
                    lowest: entry.le64(8)?,
                    record: Reference::new(entry.le64(16)?),
                    instance: entry.le16(24)?,
                });
            }
            rest = &rest[entry.0.len()..];
        }
        entries.sort_by_key(|entry| entry.lowest);
        Ok(Some(entries))
    }

    /// The attribute that an entry of the list of `base`, record `number`, tells of.
    fn stretch<'b>(
        &self,
        (number, base): (u64, Record<'b>),
        kind: u32,
        name: Name<'_>,
        entry: &Entry,
        buffer: &'b mut [u8],
    ) -> Result<Attribute<'b>, Fault> {
        let own = Reference { number, sequence: base.sequence()? };
        let record = if entry.record == own {
            base
        } else {
            let record = self.record(entry.record.number, buffer)?;
            if !record.in_use()?
                || record.sequence()? != entry.record.sequence
                || record.base()? != own
            {
                return Err(missing());
            }
            record
        };
        let mut attributes = record.attributes()?;
        while let Some(attribute) = attributes.find(kind, name)? {
            let lowest = match attribute.body {
                Body::Resident(_) => 0,
                Body::Mapped(mapped) => mapped.lowest,
            };
            if attribute.instance == entry.instance && lowest == entry.lowest {
                return Ok(attribute);
            }
        }
        Err(missing())
    }
}

/// Where a stretch of an attribute is.
#[derive(Debug)]
struct Entry {
    lowest: u64,
    record: Reference,
    instance: u16,
}

impl Clusters {
    /// Appends an attribute's stretch. One whose bytes are not those of its clusters is a doubt.
    fn append_mapped(&mut self, attribute: &Attribute<'_>) -> Result<(), Fault> {
        let Body::Mapped(mapped) = attribute.body else {
            return Err(Fault::doubt("The file table is damaged: a file is too short."));
        };
        if attribute.flags != 0 {
            return Err(Fault::doubt(
                "A file of the file system itself is compressed or encrypted.",
            ));
        }
        if mapped.lowest == 0 {
            (self.size, self.written) = (mapped.size, mapped.written);
        }
        self.append(mapped.lowest, mapped.end, mapped.pairs)
    }
}

fn missing() -> Fault {
    Fault::doubt("The file table is damaged: a record that it tells of is missing.")
}
