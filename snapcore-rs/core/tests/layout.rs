//! Whole disks: tables that others wrote, volumes in them, and what a snapshot brings back.

mod volumes;

use std::fs;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use snapcore::codecs::Codec;
use snapcore::extents::ExtentKind;
use snapcore::layout::{Layout, Partition};
use snapcore::partitions::TableKind;
use snapcore::{Disk, Plan};
use volumes::{Image, run};

const MIB: u64 = 1 << 20;

fn fed(command: &str, arguments: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn partitioned(size: u64, script: &str) -> Image {
    let image = Image::new(size);
    fed("sfdisk", &["-q", &image.path_str()], script);
    image
}

fn layout(image: &Image) -> Layout {
    Layout::read(&Disk::open(image.path()).unwrap(), 512)
}

/// Number, start and length in bytes, as sfdisk has them; extended partitions left out.
fn sfdisk(image: &Image) -> Vec<(u32, u64, u64)> {
    let path = image.path_str();
    let text = String::from_utf8(run("sfdisk", &["-d", &path])).unwrap();
    let number = |line: &str, name: &str| -> u64 {
        line.split(name).nth(1).unwrap().trim_start().split(',').next().unwrap().parse().unwrap()
    };
    let mut found: Vec<_> = text
        .lines()
        .filter(|line| {
            line.contains("start=") && !["type=5", "type=f"].iter().any(|it| line.ends_with(it))
        })
        .map(|line| {
            let name = line.split(" :").next().unwrap().trim_end();
            let digits = &name[path.len()..];
            (digits.parse().unwrap(), number(line, "start=") * 512, number(line, "size=") * 512)
        })
        .collect();
    found.sort_by_key(|it| it.1);
    found
}

fn places(layout: &Layout) -> Vec<(u32, u64, u64)> {
    let place = |it: &Partition| (it.entry.number, it.entry.start, it.entry.length);
    layout.partitions.iter().map(place).collect()
}

fn ext4(image: &Image, at: u64, size: u64) {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..50_u64 {
        let bytes: Vec<u8> =
            (0..20_000 + number * 777).map(|at| (at * (number + 3) % 251) as u8).collect();
        fs::write(tree.path().join(number.to_string()), bytes).unwrap();
    }
    let offset = format!("offset={at}");
    let blocks = format!("{}k", size / 1024);
    run(
        "mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-E",
            &offset,
            "-d",
            &tree.path().display().to_string(),
            &image.path_str(),
            &blocks,
        ],
    );
}

fn swap(image: &Image, at: u64, size: u64) {
    let volume = Image::new(size);
    run("mkswap", &["-q", "-L", "swap", &volume.path_str()]);
    image.write(at, &volume.bytes(0, 4096));
}

#[test]
fn boot_records_are_read_as_sfdisk_reads_them() {
    let script = "label: dos\n2048,20480,83,*\n,40960,82\n,,5\n,20480,83\n,10240,7\n,,83\n";
    let image = partitioned(128 * MIB, script);
    let found = layout(&image);
    assert_eq!((found.table, &found.trouble), (TableKind::Mbr, &None));
    assert_eq!(places(&found), sfdisk(&image));
    assert_eq!(found.partitions.len(), 5);
    let entries: Vec<_> = found.partitions.iter().map(|it| &it.entry).collect();
    assert_eq!((entries[0].type_id.as_str(), entries[0].bootable), ("0x83", true));
    assert_eq!((entries[3].type_id.as_str(), entries[3].bootable), ("0x07", false));
}

#[test]
fn what_contradicts_itself_is_data() {
    let script = "label: dos\n2048,20480,83\n,,5\n,20480,83\n,20480,83\n";
    let fresh = || {
        let image = partitioned(128 * MIB, script);
        ext4(&image, MIB, 10 * MIB);
        assert!(layout(&image).free.bytes() > 0);
        image
    };
    let trouble = |image: &Image| {
        let found = layout(image);
        assert!(found.free.is_empty() && found.partitions.is_empty());
        found.trouble.unwrap()
    };
    let image = fresh();
    image.write(446 + 12, &(1_u32 << 30).to_le_bytes());
    assert!(trouble(&image).contains("beyond the disk's end"));
    let image = fresh();
    image.write(446 + 8, &0_u32.to_le_bytes());
    assert!(trouble(&image).contains("overlaps the partition table"));
    let image = fresh();
    image.write(446 + 12, &30_000_u32.to_le_bytes());
    assert!(trouble(&image).contains("overlap"));
    // The chain's second record leads back to the first.
    let first = u64::from(u32::from_le_bytes(image.bytes(446 + 16 + 8, 4).try_into().unwrap()));
    let image = fresh();
    let next = u64::from(u32::from_le_bytes(
        image.bytes(first * 512 + 446 + 16 + 8, 4).try_into().unwrap(),
    ));
    let second = (first + next) * 512;
    image.write(second + 446 + 16, &[0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert!(trouble(&image).contains("in a circle"));
    // Two extended partitions.
    let image = fresh();
    let entry = image.bytes(446 + 16, 16);
    image.write(446 + 32, &entry);
    assert!(trouble(&image).contains("two extended"));
}

#[test]
fn either_copy_of_a_gpt_is_enough() {
    let image =
        partitioned(128 * MIB, "label: gpt\n,20M,U,*\n,30M,S\nsize=40M,type=L,name=Größe\n");
    ext4(&image, MIB * 51, 40 * MIB);
    let whole = layout(&image);
    assert_eq!((whole.table, &whole.trouble), (TableKind::Gpt, &None));
    assert_eq!(places(&whole), sfdisk(&image));
    let last = whole.partitions.last().unwrap();
    assert_eq!(last.entry.name, "Größe");
    assert_eq!(last.entry.type_id, "0fc63daf-8483-4772-8e79-3d69d8477de4");
    assert_eq!((last.content.file_system.as_str(), &last.content.reason), ("ext4", &None));
    assert!(whole.free.bytes() > 20 * MIB);

    for (damage, enough) in [
        (&[512][..], true),
        (&[1024 + 56], true),
        (&[128 * MIB - 512], true),
        (&[128 * MIB - 512 * 33 + 3], true),
        (&[512, 128 * MIB - 512], false),
        (&[1024, 128 * MIB - 512 * 33], false),
    ] {
        let copy = Image::new(0);
        run("cp", &["--sparse=always", &image.path_str(), &copy.path_str()]);
        for &at in damage {
            copy.write(at, &[copy.bytes(at, 1)[0] ^ 0xff]);
        }
        let found = layout(&copy);
        if enough {
            assert_eq!((places(&found), &found.free), (places(&whole), &whole.free), "{damage:?}");
        } else {
            assert!(found.trouble.unwrap().contains("Both copies"), "{damage:?}");
            assert!(found.free.is_empty());
        }
    }
}

#[test]
fn copies_of_a_gpt_that_differ_are_not_believed() {
    let image = partitioned(64 * MIB, "label: gpt\n,20M,L\n");
    ext4(&image, MIB, 20 * MIB);
    let other = partitioned(64 * MIB, "label: gpt\n,30M,L\n");
    let tail = 512 * 33;
    image.write(64 * MIB - tail, &other.bytes(64 * MIB - tail, 512 * 33));
    let found = layout(&image);
    assert!(found.trouble.unwrap().contains("differ"));
    assert!(found.free.is_empty());
}

#[test]
fn a_disk_without_a_table_is_one_volume() {
    let image = Image::new(32 * MIB);
    ext4(&image, 0, 32 * MIB);
    let found = layout(&image);
    assert_eq!((found.table, &found.trouble), (TableKind::None, &None));
    assert_eq!(places(&found), [(0, 0, 32 * MIB)]);
    assert_eq!(found.partitions[0].content.unused_bytes, found.free.bytes());
    assert!(found.free.bytes() > 10 * MIB);

    let unknown = Image::new(MIB);
    let found = layout(&unknown);
    assert!(found.partitions[0].content.reason.as_ref().unwrap().contains("does not know"));
    assert!(found.free.is_empty());
}

#[test]
fn two_things_that_claim_the_same_bytes_keep_them_all() {
    // A table written over a disk that was one file system.
    let image = Image::new(64 * MIB);
    ext4(&image, 0, 64 * MIB);
    fed("sfdisk", &["-q", "--wipe=never", &image.path_str()], "label: dos\n32768,,83\n");
    ext4(&image, 16 * MIB, 48 * MIB);
    let found = layout(&image);
    assert!(found.trouble.unwrap().contains("ext4 besides its partition table"));
    assert!(found.free.is_empty());
    assert!(found.partitions[0].content.reason.is_some());

    // FAT's first sector before ext4's superblock.
    let image = Image::new(32 * MIB);
    ext4(&image, 0, 32 * MIB);
    image.write(82, b"FAT32   ");
    let found = layout(&image);
    assert!(found.partitions[0].content.reason.as_ref().unwrap().contains("both ext4 and FAT"));
    assert!(found.free.is_empty());

    // The member of a mirror, its superblock at the end.
    let image = Image::new(32 * MIB);
    ext4(&image, 0, 31 * MIB);
    image.write(32 * MIB - 65536, &0xa92b_4efc_u32.to_le_bytes());
    assert!(layout(&image).free.is_empty());
}

#[test]
fn swap_is_skipped_but_for_its_header_unless_a_system_sleeps_in_it() {
    let image = partitioned(64 * MIB, "label: dos\n2048,61440,82\n");
    swap(&image, MIB, 30 * MIB);
    let found = layout(&image);
    let content = &found.partitions[0].content;
    assert_eq!((content.file_system.as_str(), content.label.as_str()), ("swap", "swap"));
    assert!(found.free.iter().eq(std::iter::once(MIB + 4096..31 * MIB)));
    image.write(MIB + 4086, b"S1SUSPEND\0");
    let found = layout(&image);
    assert!(found.partitions[0].content.reason.as_ref().unwrap().contains("hibernated"));
    assert!(found.free.is_empty());
}

#[test]
fn what_is_known_by_name_is_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "secret").unwrap();
    let make: [(&str, u64, &[&str]); 2] = [
        (
            "LUKS",
            32,
            &[
                "cryptsetup",
                "luksFormat",
                "-q",
                "--pbkdf",
                "pbkdf2",
                "--pbkdf-force-iterations",
                "1000",
                "--label",
                "disk",
            ],
        ),
        ("btrfs", 128, &["mkfs.btrfs", "-q", "-L", "data"]),
    ];
    for (kind, size, command) in make {
        if Command::new(command[0]).arg("--version").output().is_err() {
            // Neither is needed by anything else: what stands in their place are the magic numbers.
            let image = Image::new(size * MIB);
            let (at, magic): (u64, &[u8]) =
                if kind == "LUKS" { (0, b"LUKS\xba\xbe") } else { (0x1_0040, b"_BHRfS_M") };
            image.write(at, magic);
            assert_eq!(layout(&image).partitions[0].content.file_system, kind);
            continue;
        }
        let image = Image::new(size * MIB);
        let path = image.path_str();
        let key = key.display().to_string();
        let mut arguments = command[1..].to_vec();
        arguments.push(&path);
        if kind == "LUKS" {
            arguments.push(&key);
        }
        run(command[0], &arguments);
        let found = layout(&image);
        let content = &found.partitions[0].content;
        assert_eq!(content.file_system, kind);
        assert!(content.reason.is_some() && found.free.is_empty());
        assert!(!content.uuid.is_empty() && !content.label.is_empty());
    }
}

/// A loop device that goes when the test does.
struct Loop(String);

impl Loop {
    fn new(image: &Image) -> Self {
        let name = run("losetup", &["-f", "--show", &image.path_str()]);
        Self(String::from_utf8(name).unwrap().trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

fn lvm(system: &Path, devices: &[&Loop], command: &[&str]) -> String {
    let devices: Vec<_> = devices.iter().map(|it| it.0.as_str()).collect();
    let devices = devices.join(",");
    let system = format!("LVM_SYSTEM_DIR={}", system.display());
    let mut arguments = vec![
        system.as_str(),
        "LVM_SUPPRESS_FD_WARNINGS=1",
        "lvm",
        command[0],
        "--driverloaded",
        "n",
    ];
    arguments.extend(["--devices", &devices]);
    arguments.extend(&command[1..]);
    String::from_utf8(run("env", &arguments)).unwrap()
}

#[test]
fn logical_volumes_are_looked_into() {
    let system = tempfile::tempdir().unwrap();
    let image = Image::new(256 * MIB);
    let other = Image::new(64 * MIB);
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), vec![7; 3_000_000]).unwrap();
    let ranges;
    {
        let (device, second) = (Loop::new(&image), Loop::new(&other));
        let lvm = |command: &[&str]| lvm(system.path(), &[&device, &second], command);
        lvm(&["pvcreate", &device.0]);
        lvm(&["pvcreate", &second.0]);
        lvm(&["vgcreate", "group", &device.0, &second.0]);
        for (name, size) in [("root", "48M"), ("home", "32M"), ("empty", "8M")] {
            lvm(&["lvcreate", "-an", "-Zn", "-Wn", "-n", name, "-L", size, "group", &device.0]);
        }
        lvm(&["lvextend", "-L", "+32M", "group/root", &device.0]);
        lvm(&["lvcreate", "-an", "-Zn", "-Wn", "-n", "wide", "-i", "2", "-L", "16M", "group"]);
        ranges =
            lvm(&["lvs", "--noheadings", "-o", "lv_name,seg_pe_ranges", "--segments", "group"]);
    }
    // 1 MiB of metadata, then extents of 4 MiB: root is in two pieces, home between them.
    let starts: Vec<u64> = ranges
        .lines()
        .filter(|line| line.contains("root"))
        .map(|line| {
            let range = line.split(':').nth(1).unwrap().split('-').next().unwrap();
            MIB + 4 * MIB * range.parse::<u64>().unwrap()
        })
        .collect();
    assert_eq!(starts.len(), 2, "{ranges}");
    let root = Image::new(80 * MIB);
    run(
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-d", &tree.path().display().to_string(), &root.path_str()],
    );
    image.write(starts[0], &root.bytes(0, 48 << 20));
    image.write(starts[1], &root.bytes(48 * MIB, 32 << 20));

    let found = layout(&image);
    let partition = &found.partitions[0];
    assert_eq!(
        (partition.content.file_system.as_str(), partition.group.as_str()),
        ("LVM2", "group")
    );
    assert_eq!(partition.content.reason, None);
    let volume = |name: &str| partition.volumes.iter().find(|it| it.name == name).unwrap();
    let reason = |name: &str| volume(name).content.reason.clone().unwrap();
    assert_eq!(volume("root").content.file_system, "ext4");
    assert_eq!(volume("root").length, 80 * MIB);
    assert_eq!(volume("root").content.unused_bytes, found.free.bytes());
    assert!(reason("wide").contains("more than one physical volume"));
    assert!(reason("empty").contains("does not know"));

    // The same runs as in the volume by itself, moved.
    let alone = layout(&root);
    let inside: Vec<Range<u64>> = alone
        .free
        .iter()
        .flat_map(|run| {
            let low = run.start.min(48 * MIB)..run.end.min(48 * MIB);
            let high = run.start.max(48 * MIB)..run.end.max(48 * MIB);
            [
                low.start + starts[0]..low.end + starts[0],
                high.start - 48 * MIB + starts[1]..high.end - 48 * MIB + starts[1],
            ]
        })
        .filter(|run| !run.is_empty())
        .collect();
    assert_eq!(found.free.iter().collect::<Vec<_>>(), inside);

    // One wrong byte of metadata.
    let text = image.bytes(0, 1 << 20);
    let at = text.windows(12).rposition(|bytes| bytes == b"extent_count").unwrap() as u64;
    image.write(at, b"E");
    let found = layout(&image);
    assert!(
        found.partitions[0]
            .content
            .reason
            .as_ref()
            .unwrap()
            .contains("checksum of its LVM metadata")
    );
    assert!(found.free.is_empty());
}

/// What gunzip makes of the stream.
fn snapshot(image: &Image) -> (Image, Plan) {
    let disk = Arc::new(Disk::open(image.path()).unwrap());
    let plan = Plan::new(disk, true).unwrap();
    let stream = plan.raw_gzip(Codec::DEFAULT, Some(2)).unwrap();
    let packed = tempfile::NamedTempFile::new().unwrap();
    while let Some(part) = stream.next().unwrap() {
        packed.as_file().write_all(part.part.bytes()).unwrap();
    }
    let summary = stream.finish().unwrap();
    assert_eq!(summary.bytes_read, plan.extents().data_bytes());
    let restored = Image::new(0);
    run("sh", &["-c", &format!("gzip -dc <{} >{}", packed.path().display(), restored.path_str())]);
    (restored, plan)
}

#[test]
fn a_snapshot_brings_back_all_but_what_was_free() {
    let image = partitioned(160 * MIB, "label: dos\n2048,122880,83,*\n,61440,82\n,,83\n");
    // Remains of deleted files everywhere.
    let remains = b"deleted, and nobody's business ".repeat(1 << 15);
    for at in (MIB..160 * MIB - MIB).step_by(remains.len()) {
        image.write(at, &remains);
    }
    ext4(&image, MIB, 60 * MIB);
    swap(&image, 61 * MIB, 30 * MIB);
    let (restored, plan) = snapshot(&image);
    assert_eq!(restored.size(), image.size());
    let found = plan.layout().unwrap();
    assert_eq!(found.trouble, None);
    let reasons: Vec<_> = found.partitions.iter().map(|it| it.content.reason.is_some()).collect();
    assert_eq!(reasons, [false, false, true]);

    let (mut before, mut after) = (Vec::new(), Vec::new());
    fs::File::open(image.path()).unwrap().read_to_end(&mut before).unwrap();
    fs::File::open(restored.path()).unwrap().read_to_end(&mut after).unwrap();
    let mut unused = 0;
    for extent in plan.extents().as_slice() {
        let range = usize::try_from(extent.start).unwrap()..usize::try_from(extent.end()).unwrap();
        if extent.kind == ExtentKind::Unused {
            unused += extent.length;
            assert!(after[range].iter().all(|&byte| byte == 0));
        } else {
            assert!(before[range.clone()] == after[range]);
        }
    }
    assert!(unused > 70 * MIB);
    // The unknown partition and what is between partitions came along.
    let third = usize::try_from(found.partitions[2].entry.start).unwrap();
    assert!(
        after[third..third + remains.len()]
            .windows(remains.len())
            .any(|bytes| bytes == &before[third..third + remains.len()])
    );

    let volume = restored.path().with_extension("ext4");
    fs::write(&volume, &after[1 << 20..61 << 20]).unwrap();
    run("e2fsck", &["-fn", &volume.display().to_string()]);
    let folder = tempfile::tempdir().unwrap();
    run(
        "debugfs",
        &["-R", &format!("rdump / {}", folder.path().display()), &volume.display().to_string()],
    );
    for number in 0..50_u64 {
        let bytes: Vec<u8> =
            (0..20_000 + number * 777).map(|at| (at * (number + 3) % 251) as u8).collect();
        assert_eq!(fs::read(folder.path().join(number.to_string())).unwrap(), bytes);
    }
}

#[test]
fn every_sector_is_taken_if_that_is_wanted() {
    let image = Image::new(16 * MIB);
    ext4(&image, 0, 16 * MIB);
    let plan = Plan::new(Arc::new(Disk::open(image.path()).unwrap()), false).unwrap();
    assert!(plan.layout().is_none());
    assert!(plan.extents().as_slice().iter().all(|extent| extent.kind != ExtentKind::Unused));
}
