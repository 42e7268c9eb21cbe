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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result as Read;
    use crate::source::Source;

    struct Nothing(u64);

    impl Source for Nothing {
        fn size(&self) -> u64 {
            self.0
        }

        fn read(&self, _offset: u64, buffer: &mut [u8]) -> Read<()> {
            buffer.fill(0);
            Ok(())
        }
    }

    /// A group of extents of 4 KiB on one physical volume of 100 of them, from byte 8192 on.
    fn group(volumes: &str) -> Result<PhysicalVolume, Fault> {
        let id = [b'a'; 32];
        let text = format!(
            r#"vg {{ format = "lvm2" status = ["RESIZEABLE", "READ", "WRITE"] flags = [] extent_size = 8
            physical_volumes {{ pv0 {{ id = "{}" status = ["ALLOCATABLE"] flags = [] pe_start = 16 pe_count = 100 }} }}
            logical_volumes {{ {volumes} }} }} version = 1"#,
            "a".repeat(32)
        );
        let label = Label::of(id, 8192 + 100 * 4096);
        read(text.as_bytes(), &label, &Volume::whole(&Nothing(8192 + 100 * 4096)))
    }

    fn volume(name: &str, segments: &[&str]) -> String {
        let count = segments.len();
        let segments: Vec<_> = (1..)
            .zip(segments)
            .map(|(number, segment)| format!("segment{number} {{ {segment} }}"))
            .collect();
        format!(
            r#"{name} {{ status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = {count} {} }}
            "#,
            segments.join(" ")
        )
    }

    fn linear(start: u64, count: u64, at: u64) -> String {
        format!(
            r#"start_extent = {start} extent_count = {count} type = "striped" stripe_count = 1 stripes = ["pv0", {at}]"#
        )
    }

    fn reasons(volumes: &str) -> Vec<Option<String>> {
        group(volumes).unwrap().volumes.into_iter().map(|it| it.mapping.err()).collect()
    }

    #[test]
    fn linear_and_striped_volumes_are_mapped() {
        let striped = r#"start_extent = 0 extent_count = 4 type = "striped" stripe_count = 2 stripe_size = 4
            stripes = ["pv0", 10, "pv0", 20]"#;
        let found =
            group(&(volume("a", &[&linear(0, 3, 0), &linear(3, 2, 5)]) + &volume("b", &[striped])));
        let found = found.unwrap();
        let runs = |index: usize, range: std::ops::Range<u64>| {
            let mut runs = Vec::new();
            let mapping = found.volumes[index].mapping.as_ref().unwrap();
            mapping
                .runs(&range, |at, length| {
                    runs.push(((at - 8192) / 512, length / 512));
                    Ok::<(), ()>(())
                })
                .unwrap();
            runs
        };
        assert_eq!(found.volumes[0].length, 5 * 4096);
        assert_eq!(runs(0, 0..5 * 4096), [(0, 24), (40, 16)]);
        assert_eq!(runs(1, 1024..5 * 2048), [(82, 2), (160, 4), (84, 4), (164, 4), (88, 4)]);
    }

    #[test]
    fn whatever_is_more_than_that_is_told_by_name() {
        let snapshot = r#"start_extent = 0 extent_count = 5 type = "snapshot" chunk_size = 8
            origin = "root" cow_store = "cow""#;
        let all = volume("root", &[&linear(0, 5, 0)])
            + &volume("cow", &[&linear(0, 2, 8)])
            + &volume("snapshot0", &[snapshot]);
        for reason in reasons(&all).into_iter().take(2) {
            assert!(reason.unwrap().contains("has snapshots"));
        }
        let thin = r#"start_extent = 0 extent_count = 5 type = "thin" thin_pool = "pool""#;
        assert!(reasons(&volume("a", &[thin]))[0].as_ref().unwrap().contains("type thin"));
        let far = linear(0, 5, 0).replace("pv0", "pv1");
        assert!(reasons(&volume("a", &[&far]))[0].as_ref().unwrap().contains("more than one"));
        let hidden = volume("a", &[&linear(0, 5, 0)]).replace(", \"VISIBLE\"", "");
        assert!(reasons(&hidden)[0].as_ref().unwrap().contains("state"));
        let gap = volume("a", &[&linear(1, 5, 0)]);
        assert!(reasons(&gap)[0].as_ref().unwrap().contains("cannot be understood"));
    }

    #[test]
    fn volumes_that_overlap_or_leave_the_disk_are_not_believed() {
        let overlap = volume("a", &[&linear(0, 5, 0)]) + &volume("b", &[&linear(0, 5, 4)]);
        assert!(matches!(group(&overlap), Err(Fault::Doubt(reason)) if reason.contains("overlap")));
        for beyond in [linear(0, 5, 96), linear(0, u64::MAX / 2, 1), linear(0, 1, u64::MAX / 2)] {
            assert!(group(&volume("a", &[&beyond])).is_err());
        }
    }
}
