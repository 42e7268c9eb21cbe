//! What the metadata says of a volume group, as far as it concerns one physical volume.

use std::collections::HashSet;

use super::label::Label;
use super::mapping::{Mapping, Segment};
use super::text::{Node, Section, nonsense, parse};
use super::{LogicalVolume, MOST_SEGMENTS, PhysicalVolume};
use crate::filesystems::{Fault, Volume};

const SECTOR: u64 = 512;

/// The physical volume at hand, in bytes.
struct Extents<'a> {
    name: &'a str,
    size: u64,
    start: u64,
    count: u64,
}

pub(super) fn read(
    text: &[u8],
    label: &Label,
    volume: &Volume<'_>,
) -> Result<PhysicalVolume, Fault> {
    let all = parse(text)?;
    let mut groups = all.sections();
    let (Some((name, group)), None) = (groups.next(), groups.next()) else {
        return Err(nonsense());
    };
    if group.text("format").unwrap_or("lvm2") != "lvm2"
        || group
            .texts("status")?
            .iter()
            .any(|flag| !["RESIZEABLE", "READ", "WRITE", "EXPORTED"].contains(flag))
        || !group.texts("flags")?.is_empty()
    {
        return Err(Fault::doubt("Its volume group is in a state that Snapport does not know."));
    }
    let extents = extents(group, label, volume)?;
    let mut found = PhysicalVolume {
        uuid: label.uuid.clone(),
        group: name.to_owned(),
        volumes: Vec::new(),
        trouble: None,
    };
    let Some(volumes) = group.section("logical_volumes") else { return Ok(found) };
    let used_by_others = names_in_segments(volumes);
    let mut taken = Vec::new();
    for (name, section) in volumes.sections() {
        let segments = segments(section)?;
        let mut length = 0_u64;
        for segment in &segments {
            length = segment
                .number("extent_count")?
                .checked_mul(extents.size)
                .and_then(|bytes| bytes.checked_add(length))
                .ok_or_else(nonsense)?;
            occupy(segment, &extents, &mut taken)?;
        }
        let mapping = plain(name, section, &used_by_others).and_then(|()| map(&segments, &extents));
        let mapping = match mapping {
            Ok(mapping) => Ok(mapping),
            Err(Fault::Doubt(reason)) => Err(reason),
            Err(fault) => return Err(fault),
        };
        found.volumes.push(LogicalVolume { name: name.to_owned(), length, mapping });
    }
    taken.sort_unstable();
    if taken.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(Fault::doubt("Logical volumes overlap."));
    }
    Ok(found)
}

fn extents<'a>(
    group: &Section<'a>,
    label: &Label,
    volume: &Volume<'_>,
) -> Result<Extents<'a>, Fault> {
    let size = group.number("extent_size")?.checked_mul(SECTOR).filter(|&size| size > 0);
    let size = size.ok_or_else(nonsense)?;
    let list = group.section("physical_volumes").ok_or_else(nonsense)?;
    for (name, section) in list.sections() {
        let id = section.text("id")?.bytes().filter(|&byte| byte != b'-');
        if !id.eq(label.id) {
            continue;
        }
        if section.texts("status")?.iter().any(|&flag| flag != "ALLOCATABLE")
            || !section.texts("flags")?.is_empty()
        {
            return Err(Fault::doubt("It is in a state that Snapport does not know."));
        }
        let start = section.number("pe_start")?.checked_mul(SECTOR).ok_or_else(nonsense)?;
        let count = section.number("pe_count")?;
        let end = count.checked_mul(size).and_then(|bytes| bytes.checked_add(start));
        if end.is_none_or(|end| end > volume.length() || end > label.device_size) {
            return Err(Fault::doubt("It is smaller than LVM's metadata says."));
        }
        return Ok(Extents { name, size, start, count });
    }
    Err(Fault::doubt("LVM's metadata does not know this physical volume."))
}

/// Segments in their order, which must be that of their names.
fn segments<'s, 'a>(volume: &'s Section<'a>) -> Result<Vec<&'s Section<'a>>, Fault> {
    let count = volume.number("segment_count")?;
    let found: Vec<_> = volume.sections().filter(|(name, _)| name.starts_with("segment")).collect();
    if found.len() as u64 != count || found.len() > MOST_SEGMENTS || found.is_empty() {
        return Err(nonsense());
    }
    let in_order = (1..).zip(&found).all(|(number, (name, _))| name[7..].parse() == Ok(number));
    if in_order { Ok(found.into_iter().map(|it| it.1).collect()) } else { Err(nonsense()) }
}

/// Every volume that another is made of: what belongs to a snapshot, a mirror, a pool, a cache.
fn names_in_segments<'a>(volumes: &Section<'a>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (_, volume) in volumes.sections() {
        for (_, segment) in volume.sections() {
            for (name, node) in &segment.0 {
                match node {
                    Node::Text(text) if *name != "type" => {
                        names.insert(*text);
                    }
                    Node::List(list) => names.extend(list.iter().filter_map(|node| match node {
                        Node::Text(text) => Some(*text),
                        _ => None,
                    })),
                    _ => {}
                }
            }
        }
    }
    names
}

/// Does the volume stand for itself?
fn plain(name: &str, volume: &Section<'_>, used_by_others: &HashSet<&str>) -> Result<(), Fault> {
    if used_by_others.contains(name) {
        return Err(Fault::doubt("It is a part of another logical volume, or has snapshots."));
    }
    let status = volume.texts("status")?;
    if !status.contains(&"VISIBLE")
        || status.iter().any(|flag| !["READ", "WRITE", "VISIBLE"].contains(flag))
        || !volume.texts("flags")?.is_empty()
    {
        return Err(Fault::doubt("It is in a state that Snapport does not know."));
    }
    Ok(())
}

/// Stripes of a segment: name of the volume and first extent of each. None where it is of another kind.
fn stripes<'a>(segment: &Section<'a>) -> Result<Option<Vec<(&'a str, u64)>>, Fault> {
    if segment.text("type")? != "striped" {
        return Ok(None);
    }
    let list = segment.list("stripes")?;
    let mut stripes = Vec::new();
    for pair in list.chunks(2) {
        match pair {
            [Node::Text(name), Node::Number(extent)] => {
                stripes.push((*name, u64::try_from(*extent).map_err(|_| nonsense())?));
            }
            _ => return Err(nonsense()),
        }
    }
    if stripes.is_empty() || stripes.len() as u64 != segment.number("stripe_count")? {
        return Err(nonsense());
    }
    Ok(Some(stripes))
}

/// Notes which extents of the physical volume belong to a segment.
fn occupy(
    segment: &Section<'_>,
    extents: &Extents<'_>,
    taken: &mut Vec<(u64, u64)>,
) -> Result<(), Fault> {
    let Some(stripes) = stripes(segment)? else { return Ok(()) };
    let length = segment.number("extent_count")?.div_ceil(stripes.len() as u64);
    for (_, first) in stripes.iter().filter(|stripe| stripe.0 == extents.name) {
        match first.checked_add(length) {
            Some(end) if end <= extents.count => taken.push((*first, end)),
            _ => return Err(Fault::doubt("A logical volume is larger than its physical volume.")),
        }
    }
    if taken.len() > MOST_SEGMENTS {
        return Err(Fault::doubt("It has more segments than Snapport looks at."));
    }
    Ok(())
}

fn map(segments: &[&Section<'_>], extents: &Extents<'_>) -> Result<Mapping, Fault> {
    let mut mapping = Mapping { segments: Vec::with_capacity(segments.len()) };
    for segment in segments {
        let Some(stripes) = stripes(segment)? else {
            let kind = segment.text("type")?;
            let kind: String = kind.chars().filter(char::is_ascii_graphic).take(32).collect();
            return Err(Fault::doubt(format!(
                "It is a logical volume of the type {kind}, which is not looked into."
            )));
        };
        if stripes.iter().any(|stripe| stripe.0 != extents.name) {
            return Err(Fault::doubt("It lies on more than one physical volume."));
        }
        let count = stripes.len() as u64;
        let start = segment.number("start_extent")?.checked_mul(extents.size);
        let length = segment.number("extent_count")?.checked_mul(extents.size);
        let (Some(start), Some(length)) = (start, length) else { return Err(nonsense()) };
        if start != mapping.length() || length == 0 {
            return Err(nonsense());
        }
        let stripe_size =
            if count == 1 { length } else { segment.number("stripe_size")?.saturating_mul(SECTOR) };
        let row = stripe_size.checked_mul(count).filter(|&row| row > 0 && length % row == 0);
        if row.is_none() || length % (count * extents.size) != 0 {
            return Err(nonsense());
        }
        let place = |&(_, extent): &(&str, u64)| {
            // Within the physical volume: that was seen when its extents were noted.
            extent
                .checked_mul(extents.size)
                .and_then(|bytes| bytes.checked_add(extents.start))
                .ok_or_else(nonsense)
        };
        let stripes = stripes.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        mapping.segments.push(Segment { start, length, stripe_size, stripes });
    }
    Ok(mapping)
}
