//! NTFS: the used map is ntfsclone's, cluster by cluster; a doubt takes the volume whole; damage never frees what a file has.
//!
//! Volumes are made by mkntfs and filled through ntfs-3g, in a mount namespace of the test's own.

mod volumes;

use std::cell::Cell;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use snapcore::Disk;
use snapcore::filesystems::{self, FileSystem, Usage, Volume, ntfs};
use volumes::{Damaged, Image, each, partclone, run, shell};

/// Runs a script with the volume mounted at `$PWD`. ntfs-3g stays in the foreground, so that its end can be waited for.
fn with_mounted(image: &Path, script: &str) {
    let script = format!(
        "set -e; mkdir -p {mount}; ntfs-3g -o no_detach,streams_interface=xattr {image} {mount} & \
         until mountpoint -q {mount}; do kill -0 $! || exit 1; sleep 0.02; done; \
         cd {mount}; ({script}); cd /; umount {mount}; wait $!",
        image = image.display(),
        mount = image.with_extension("mount").display(),
    );
    shell(&script);
}

fn mkntfs(size: u64, cluster: u32) -> Image {
    let image = Image::new(size);
    let cluster = cluster.to_string();
    run("mkntfs", &["-q", "-F", "-c", &cluster, "-L", "Größe C", &image.path_str()]);
    image
}

fn probe(image: &Image) -> FileSystem {
    let disk = Disk::open(image.path()).unwrap();
    filesystems::probe(&Volume::whole(&disk)).unwrap().expect("it is known")
}

fn reason(image: &Image) -> String {
    match probe(image).usage {
        Usage::Whole { reason } => reason,
        Usage::Mapped { .. } => panic!("nothing was doubted"),
    }
}

/// Which clusters ntfsclone saves, and how many it counts.
fn ntfsclone(image: &Image) -> (Vec<bool>, u64) {
    let stream = run("ntfsclone", &["--save-image", "-O", "-", &image.path_str()]);
    let number = |at: usize| u64::from_le_bytes(stream[at..at + 8].try_into().unwrap());
    assert_eq!(&stream[..18], b"\0ntfsclone-image\x0a\x01");
    let cluster = u32::from_le_bytes(stream[18..22].try_into().unwrap()) as usize;
    let (clusters, in_use) = (usize::try_from(number(30)).unwrap(), number(38));
    let (mut at, mut used) = (56, Vec::new());
    while used.len() < clusters {
        if stream[at] == 0 {
            used.resize(used.len() + usize::try_from(number(at + 1)).unwrap(), false);
            at += 9;
        } else {
            used.push(true);
            at += 1 + cluster;
        }
    }
    (used, in_use)
}

/// The map has to be the same as ntfsclone's, and partclone has to count the same.
fn check(image: &Image) -> FileSystem {
    let found = probe(image);
    let Usage::Mapped { free, used_bytes } = &found.usage else {
        panic!("{:?}", found.usage);
    };
    let (used, in_use) = ntfsclone(image);
    let cluster = u64::from(found.block_size);
    let mut ours = vec![true; used.len()];
    for run in free.iter() {
        assert!(run.start % cluster == 0 && run.end % cluster == 0);
        for lcn in run.start / cluster..run.end / cluster {
            ours[usize::try_from(lcn).unwrap()] = false;
        }
    }
    let first = ours.iter().zip(&used).position(|(ours, theirs)| ours != theirs);
    assert_eq!(first, None, "of {} clusters", used.len());
    assert_eq!(*used_bytes, in_use * cluster);
    let (theirs, unused) = partclone("ntfs", image);
    assert_eq!((theirs * cluster, unused * cluster), (*used_bytes, free.bytes()));
    found
}

/// Files of all sizes, a third of them deleted, one with holes, one compressed by attribute, streams, links.
const SCATTER: &str = "mkdir d; for i in $(seq 1 400); do head -c $((i * i % 30000)) /dev/urandom > d/file-with-a-long-name-$i; done; \
    for i in $(seq 1 3 400); do rm d/file-with-a-long-name-$i; done; \
    truncate -s 5M holes; printf x | dd of=holes bs=1 seek=3000000 conv=notrunc status=none; \
    head -c 700000 /dev/urandom > big; ln big also-big; setfattr -n user.stream -v \"$(head -c 3000 /dev/zero | tr '\\0' s)\" big; \
    for i in $(seq 1 40); do head -c 50000 /dev/urandom >> grows; head -c 50000 /dev/urandom >> grows-too; done; rm grows-too";

#[test]
fn the_map_is_ntfsclones_whatever_the_clusters_empty_filled_grown_shrunk_and_full() {
    each(&[512, 1024, 2048, 4096, 8192, 16384, 32768, 65536], |&cluster| {
        let image = mkntfs(48 << 20, cluster);
        let found = check(&image);
        assert_eq!((found.kind, found.label.as_str()), ("NTFS", "Größe C"));
        assert_eq!((found.block_size, found.uuid.len()), (cluster, 16));
        with_mounted(image.path(), SCATTER);
        check(&image);
        grow(&image, 80 << 20);
        check(&image);
        run("ntfsresize", &["-ff", "-s", "40M", &image.path_str()]);
        run("ntfsfix", &["-d", &image.path_str()]);
        assert!(check(&image).size <= 40_000_000);
        with_mounted(image.path(), "cat /dev/urandom > all 2>/dev/null || true");
        let Usage::Mapped { free, .. } = check(&image).usage else { unreachable!() };
        assert!(free.bytes() < 1 << 20);
    });
}

#[test]
fn a_size_that_is_no_multiple_of_anything() {
    for size in [(16 << 20) + 512, (33 << 20) + 7 * 512, (20 << 20) + 4096 + 100] {
        check(&mkntfs(size, 4096));
        check(&mkntfs(size, 65536));
    }
}

/// Cuts the free space into pairs of clusters, so that $MFT grows piece by piece beyond one record; a third of the files are then emptied.
const SHATTER: &str = "(head -c 3850000 /dev/urandom | split -a 4 -b 700 - f; cat /dev/zero > pad; truncate -s 0 f*[acegikmoqsuwy]; \
    seq -f more-%g 1000 | xargs touch) 2>/dev/null || true";

#[test]
fn a_file_table_and_a_map_in_many_pieces() {
    let image = mkntfs(16 << 20, 512);
    with_mounted(image.path(), SHATTER);
    check(&image);
    let table = file_info(&image, 0);
    assert!(table.contains("$ATTRIBUTE_LIST"), "{table}");
    // The map of clusters grows too. Where it found room in one piece, that is told as two.
    grow(&image, 300 << 20);
    check(&image);
    if pieces(&image, 6) == 1 {
        split_bitmap(&image);
        check(&image);
    }
    assert!(pieces(&image, 6) > 1);
}

/// Runs in which a file's record says that it lies.
fn pieces(image: &Image, file: u32) -> u32 {
    let info = file_info(image, file);
    info.rsplit_once("Total runs: ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

fn file_info(image: &Image, file: u32) -> String {
    let output = run("ntfsinfo", &["-v", "-i", &file.to_string(), &image.path_str()]);
    String::from_utf8_lossy(&output).into_owned()
}

fn grow(image: &Image, size: u64) {
    image.resize(size);
    run("ntfsresize", &["-ff", &image.path_str()]);
    run("ntfsfix", &["-d", &image.path_str()]);
}

/// Where a file's record is, for a volume whose first records lie in one piece.
fn record_at(image: &Image, number: u64) -> u64 {
    let sector = image.bytes(0, 512);
    let cluster = u64::from(u16::from_le_bytes([sector[11], sector[12]])) * u64::from(sector[13]);
    u64::from_le_bytes(sector[48..56].try_into().unwrap()) * cluster + number * 1024
}

/// Where an attribute begins in a record.
fn attribute_at(record: &[u8], kind: u32) -> usize {
    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    while word(at) != kind {
        assert!(word(at) < kind, "the record has no attribute {kind:#x}");
        at += word(at + 4) as usize;
    }
    at
}

/// Tells the one run of $Bitmap as two that adjoin.
fn split_bitmap(image: &Image) {
    let at = record_at(image, 6);
    let record = image.bytes(at, 1024);
    let attribute = attribute_at(&record, 0x80);
    let pairs = attribute + usize::from(record[attribute + 32]);
    let (length_size, place_size) = (record[pairs] & 15, record[pairs] >> 4);
    assert_eq!(length_size, 2, "the length has two bytes");
    let length = u16::from_le_bytes([record[pairs + 1], record[pairs + 2]]);
    let mut split = vec![place_size << 4 | 1, 0x20];
    split.extend(&record[pairs + 3..pairs + 3 + usize::from(place_size)]);
    split.extend([0x11, u8::try_from(length - 0x20).unwrap(), 0x20, 0]);
    let room =
        u32::from_le_bytes(record[attribute + 4..attribute + 8].try_into().unwrap()) as usize;
    assert!(pairs + split.len() <= attribute + room, "the attribute has no room");
    image.write(at + pairs as u64, &split);
}

#[test]
fn what_is_not_clean_is_taken_whole() {
    let clean = mkntfs(32 << 20, 4096);
    let volume = record_at(&clean, 3);
    let record = clean.bytes(volume, 1024);
    let attribute = attribute_at(&record, 0x70);
    let state = volume + (attribute + usize::from(record[attribute + 20])) as u64 + 10;
    let log = {
        let record = clean.bytes(record_at(&clean, 2), 1024);
        let pairs = attribute_at(&record, 0x80) + 64;
        let (length, place) = (record[pairs] & 15, record[pairs] >> 4);
        let mut number = [0; 8];
        number[..usize::from(place)]
            .copy_from_slice(&record[pairs + 1 + usize::from(length)..][..usize::from(place)]);
        u64::from_le_bytes(number) * 4096
    };
    let mut restart = vec![0u8; 4096];
    restart[..8].copy_from_slice(b"RSTR\x1e\0\x09\0");
    (restart[17], restart[21], restart[24], restart[26], restart[28]) = (16, 16, 0x30, 1, 1);
    let mut fast = restart.clone();
    (fast[26], fast[28], fast[0x3c], fast[0x3d]) = (0, 2, 0xff, 0xff);
    let mirror = record_at(&clean, 0) + 300;
    for (at, bytes, words) in [
        (state, &[1, 0][..], "not shut down cleanly: it is marked as dirty"),
        (state, &[4, 0], "not in order"),
        (state, &[0, 0x40], "not in order"),
        (state - 2, &[4], "not a known version"),
        (log, &restart, "not shut down cleanly"),
        (log, &fast, "start fast"),
        (log + 100_000, &[0], "not shut down cleanly"),
        (mirror, &[0x77], "mirror"),
        (510, &[0], "boot sector"),
        (3, b"-FVE-FS-", "encrypted with BitLocker"),
    ] {
        let before = clean.bytes(at, bytes.len());
        clean.write(at, bytes);
        assert!(reason(&clean).contains(words), "{} for {words:?}", reason(&clean));
        clean.write(at, &before);
    }
    // A flag of a volume in good order.
    let mirror = u64::from_le_bytes(clean.bytes(56, 8).try_into().unwrap()) * 4096;
    clean.write(state, &[0x80, 0]);
    clean.write(mirror + (state - record_at(&clean, 0)), &[0x80, 0]);
    check(&clean);
}

#[test]
fn hibernation_is_found_among_many_files() {
    for name in ["hiberfil.sys", "HIBERFIL.SYS"] {
        for (header, words) in [
            ("printf HIBR; head -c 4092 /dev/zero", "Windows is hibernated"),
            ("printf hibr; head -c 90000 /dev/zero", "Windows is hibernated"),
            ("printf wake", "Windows is hibernated"),
            ("printf RSTR; head -c 4092 /dev/zero", "may be hibernated"),
        ] {
            let image = mkntfs(32 << 20, 4096);
            let script = format!(
                "seq -f a-file-with-quite-a-long-name-%g 600 | xargs touch; ({header}) > {name}"
            );
            with_mounted(image.path(), &script);
            assert!(reason(&image).contains(words), "{} for {header}", reason(&image));
        }
        let image = mkntfs(32 << 20, 4096);
        let script = "mkdir d; echo > d/hiberfil.sys; head -c 5000 /dev/zero > ";
        with_mounted(image.path(), &format!("{script}{name}"));
        check(&image);
        with_mounted(image.path(), &format!("printf wake | dd of={name} conv=notrunc status=none"));
        check(&image);
    }
}

#[test]
fn a_map_that_calls_a_files_cluster_free_is_not_believed() {
    let image = mkntfs(32 << 20, 4096);
    with_mounted(image.path(), "head -c 3000000 /dev/urandom > file");
    let found = check(&image);
    let Usage::Mapped { free, .. } = found.usage else { unreachable!() };
    let record = image.bytes(record_at(&image, 6), 1024);
    let pairs = attribute_at(&record, 0x80) + 64;
    assert_eq!(record[pairs] & 15, 1);
    let lcn = record[pairs + 2..][..usize::from(record[pairs] >> 4)]
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte));
    for cluster in 0..(32 << 20) / 4096 - 1 {
        let byte = lcn * 4096 + cluster / 8;
        let before = image.bytes(byte, 1)[0];
        let range = cluster * 4096..(cluster + 1) * 4096;
        if free.overlaps(&range) || cluster % 7 != 0 {
            continue;
        }
        image.write(byte, &[before & !(1 << (cluster % 8))]);
        assert!(reason(&image).contains("map of clusters is damaged"), "cluster {cluster}");
        image.write(byte, &[before]);
    }
    check(&image);
}

#[test]
fn damage_never_frees_what_was_in_use() {
    let image = mkntfs(16 << 20, 1024);
    with_mounted(image.path(), SCATTER);
    check(&image);
    let plain = std::fs::read(image.path()).unwrap();
    let Usage::Mapped { free, .. } = probe(&image).usage else { unreachable!() };
    // Where metadata is: the boot sector, $MFT, $MFTMirr, $LogFile, $Bitmap, the root directory.
    let mut places: Vec<u64> = (0..512).collect();
    for block in (0..plain.len()).step_by(512) {
        let record = block - block % 1024;
        if [&b"FILE"[..], b"INDX"].contains(&&plain[record..record + 4]) {
            places.extend(block as u64..block as u64 + 512);
        }
    }
    let mapped = Cell::new(0);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let damage = prop::collection::btree_map(prop::sample::select(places), any::<u8>(), 1..4);
    runner
        .run(&damage, |damage| {
            let damaged = Damaged(&plain, damage);
            let found = ntfs::probe(&Volume::whole(&damaged)).unwrap();
            if let Some(FileSystem { usage: Usage::Mapped { free: now, .. }, .. }) = found {
                mapped.set(mapped.get() + 1);
                let mut left = now.clone();
                for run in free.iter() {
                    left.remove(&run);
                }
                prop_assert!(left.is_empty(), "{left:?} was in use");
            }
            Ok(())
        })
        .unwrap();
    assert!(mapped.get() > 100, "most damage changes nothing: {}", mapped.get());
}
