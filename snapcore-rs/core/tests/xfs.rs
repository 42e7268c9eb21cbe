//! XFS: the used map is that of its own tools, block by block; a doubt takes the volume whole; damage never frees what was in use.
//!
//! Volumes are made by mkfs.xfs and filled through the kernel, in a mount namespace of the test's own.

mod volumes;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use snapcore::Disk;
use snapcore::filesystems::{self, FileSystem, FreeRuns, Usage, Volume, xfs};
use volumes::{Damaged, Image, each, partclone, run, shell};

const MIB: u64 = 1 << 20;

fn mkfs(size: u64, options: &[&str]) -> Image {
    let image = Image::new(size);
    let path = image.path_str();
    run("mkfs.xfs", &[&["-q", "-L", "volume 1"], options, &[&path]].concat());
    image
}

/// One filled by mkfs.xfs itself: Linux may be built without version 4.
fn mkfs_filled(size: u64, options: &[&str]) -> Image {
    let image = Image::new(size);
    let path = image.path_str();
    let (content, list) = (format!("{path}.content"), format!("{path}.list"));
    let bytes: Vec<u8> =
        (0..700_000u32).flat_map(|word| word.wrapping_mul(77).to_le_bytes()).collect();
    std::fs::write(&content, bytes).unwrap();
    let files = format!("---644 0 0 {content}\n");
    let files: Vec<String> = (0..20).map(|file| format!("file{file} {files}")).collect();
    let files = files.concat();
    std::fs::write(&list, format!("/\n0 0\nd--755 0 0\n{files}$\n")).unwrap();
    run("mkfs.xfs", &[&["-q", "-L", "volume 1", "-p", &list], options, &[&path]].concat());
    image
}

/// Runs a script with the volume mounted at `$PWD`.
fn with_mounted(image: &Image, script: &str) {
    let mount = image.path().with_extension("mount");
    let (image, mount) = (image.path().display(), mount.display());
    shell(&format!(
        "set -e; mkdir -p {mount}; mount -t xfs -o loop {image} {mount}; cd {mount}; {script}; cd /; umount {mount}"
    ));
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

fn xfs_db(image: &Image, commands: &[&str]) -> String {
    let mut arguments = vec!["-r"];
    arguments.extend(commands.iter().flat_map(|&command| ["-c", command]));
    let path = image.path_str();
    arguments.push(&path);
    String::from_utf8(run("xfs_db", &arguments)).unwrap()
}

fn field(image: &Image, structure: &str, name: &str) -> u64 {
    let output = xfs_db(image, &[structure, &format!("p {name}")]);
    output.trim().rsplit(' ').next().unwrap().parse().unwrap()
}

/// The log, in bytes.
fn log(image: &Image) -> Range<u64> {
    let field = |name| field(image, "sb 0", name);
    let (start, bits) = (field("logstart"), field("agblklog"));
    let block = (start >> bits) * field("agblocks") + (start & ((1 << bits) - 1));
    let size = field("blocksize");
    block * size..(block + field("logblocks")) * size
}

/// The free blocks that `xfs_db` lists, and how many of them are kept for the trees to grow, in bytes.
fn listed(image: &Image, block_size: u64) -> (FreeRuns, u64) {
    let group_blocks = field(image, "sb 0", "agblocks");
    let output = xfs_db(image, &["freesp -d"]);
    let mut runs: Vec<Range<u64>> = output
        .lines()
        .filter_map(|line| {
            let numbers: Vec<u64> =
                line.split_whitespace().map_while(|word| word.parse().ok()).collect();
            let &[group, block, length] = numbers.as_slice() else { return None };
            let start = (group * group_blocks + block) * block_size;
            Some(start..start + length * block_size)
        })
        .collect();
    runs.sort_by_key(|run| run.start);
    let mut free = FreeRuns::new(image.size());
    for run in runs {
        free.push(run.start, run.end - run.start);
    }
    let groups = field(image, "sb 0", "agcount");
    let kept: u64 = (0..groups).map(|group| field(image, &format!("agf {group}"), "flcount")).sum();
    (free, kept * block_size)
}

fn free(found: &FileSystem) -> &FreeRuns {
    match &found.usage {
        Usage::Mapped { free, .. } => free,
        Usage::Whole { reason } => panic!("{reason}"),
    }
}

fn check(image: &Image) -> FileSystem {
    let found = probe(image);
    let block_size = u64::from(found.block_size);
    let (mut more, kept) = listed(image, block_size);
    let all = more.bytes();
    for run in free(&found).iter() {
        more.remove(&run);
    }
    assert_eq!(free(&found).bytes() + kept, all, "nothing is free that xfs_db does not list");
    assert_eq!(more.bytes(), kept, "only what the trees keep is taken for used");
    let (used, unused) = partclone("xfs", image);
    let Usage::Mapped { used_bytes, .. } = found.usage else { unreachable!() };
    // The superblock and partclone count the trees' own blocks as free.
    assert_eq!(used_bytes, used * block_size);
    assert!(all <= unused * block_size);
    found
}

/// Files of all sizes, half of them deleted, so that the trees have more than one level.
const SCATTER: &str = "mkdir a b; head -c 24000000 /dev/urandom | split -a 4 -b 4096 - a/; sync -f .; rm a/*[acegikmoqsuwy]; \
    head -c 3000000 /dev/urandom > b/big; truncate -s 50M b/holes; cp --reflink=auto b/big b/twice; ln b/big b/linked; \
    fallocate -l 5M b/unwritten";

#[test]
fn the_map_is_that_of_xfs_db_and_partclone_whatever_the_groups() {
    let old: [(u64, &[&str]); 5] = [
        (400, &["-m", "crc=0", "-d", "agsize=72m"]),
        (400, &["-m", "crc=0"]),
        (400, &["-m", "crc=0", "-b", "size=1024", "-d", "agcount=3", "-l", "lazy-count=0"]),
        (400, &["-m", "crc=0", "-b", "size=512", "-d", "agsize=80m", "-l", "version=1"]),
        (4000, &["-m", "crc=0", "-s", "size=4096", "-n", "ftype=0"]),
    ];
    each(&old, |&(size, options)| {
        check(&mkfs(size * MIB, options));
        let found = check(&mkfs_filled(size * MIB, options));
        let Usage::Mapped { used_bytes, .. } = found.usage else { unreachable!() };
        assert!(used_bytes > 50 * MIB);
    });
    let matrix: [(u64, &[&str]); 8] = [
        (400, &["-d", "agsize=72m"]),
        (1500, &["-d", "agsize=1g"]),
        (400, &[]),
        (400, &["-m", "rmapbt=1,bigtime=1", "-b", "size=1024", "-d", "agcount=5"]),
        (600, &["-m", "reflink=0,finobt=0", "-s", "size=4096"]),
        (4000, &["-d", "agcount=16", "-l", "su=32768"]),
        (700, &["-d", "agcount=2"]),
        (400, &["-l", "su=262144"]),
    ];
    for (size, options) in matrix {
        let image = mkfs(size * MIB, options);
        let found = check(&image);
        assert_eq!((found.kind, found.label.as_str(), found.uuid.len()), ("XFS", "volume 1", 36));
        with_mounted(&image, SCATTER);
        let scattered = free(&check(&image)).iter().count();
        assert!(scattered > 1000, "{options:?}: {scattered} runs");
        // The log goes round.
        with_mounted(&image, "rm -r a; for i in $(seq 30); do touch b/$i; sync -f .; done");
        check(&image);
    }
}

#[test]
fn a_full_volume() {
    let image = mkfs(320 * MIB, &[]);
    with_mounted(&image, "cat /dev/zero > all 2>/dev/null || true");
    assert!(free(&check(&image)).bytes() < 20 * MIB);
}

#[test]
fn a_volume_that_was_grown_and_has_another_uuid() {
    let image = mkfs(330 * MIB, &[]);
    image.resize(500 * MIB + 12_288);
    with_mounted(&image, "xfs_growfs . >/dev/null");
    check(&image);
    run("xfs_admin", &["-U", "generate", &image.path_str()]);
    check(&image);
    with_mounted(&image, SCATTER);
    check(&image);
}

#[test]
fn what_is_not_clean_is_taken_whole() {
    let image = mkfs(400 * MIB, &[]);
    with_mounted(
        &image,
        &format!(
            "{SCATTER}; sync -f .; cp --sparse=always {path} {path}.live",
            path = image.path_str()
        ),
    );
    check(&image);
    let live = std::fs::read(format!("{}.live", image.path_str())).unwrap();
    let damaged = Damaged(&live, BTreeMap::new());
    let found = xfs::probe(&Volume::whole(&damaged)).unwrap().unwrap();
    let Usage::Whole { reason: live } = found.usage else { panic!("it was mounted") };
    assert!(live.contains("not shut down cleanly"), "{live}");
    for (at, bytes, words) in [
        (126, &[1][..], "checksum"),
        (8, &[1], "checksum"),
        (512 + 60, &[1], "checksum"),
        (100, &[0xb4, 0xa6], "not a known version"),
        (512, b"YAGF", "not where it should be"),
    ] {
        let before = image.bytes(at, bytes.len());
        image.write(at, bytes);
        assert!(reason(&image).contains(words), "{} for {words}", reason(&image));
        image.write(at, &before);
    }
    let old = mkfs(400 * MIB, &["-m", "crc=0"]);
    for (at, bytes, words) in [
        (126, &[1][..], "not made to its end"),
        (16, &[1], "realtime"),
        (48, &[0, 0, 0, 0, 0, 0, 0, 0], "another device"),
        (150, &[7], "disagree"),
        (202, &[0x80], "feature that is not known"),
        (512 + 55, &[1], "not as many as it counts"),
    ] {
        let before = old.bytes(at, bytes.len());
        old.write(at, bytes);
        assert!(reason(&old).contains(words), "{} for {words}", reason(&old));
        old.write(at, &before);
    }
    old.resize(399 * MIB);
    assert!(reason(&old).contains("ends before"), "{}", reason(&old));
}

#[test]
fn external_logs_and_realtime_devices_are_taken_whole() {
    let (image, other) = (Image::new(400 * MIB), Image::new(200 * MIB));
    let logdev = format!("logdev={},size=64m", other.path_str());
    run("mkfs.xfs", &["-q", "-l", &logdev, &image.path_str()]);
    assert!(reason(&image).contains("log on another device"));
    let realtime = format!("rtdev={}", other.path_str());
    run("mkfs.xfs", &["-q", "-f", "-r", &realtime, &image.path_str()]);
    assert!(reason(&image).contains("realtime device"));
}

#[test]
fn damage_never_frees_what_was_in_use() {
    let scattered = mkfs(320 * MIB, &[]);
    with_mounted(&scattered, SCATTER);
    for image in [scattered, mkfs_filled(320 * MIB, &["-m", "crc=0"])] {
        let found = check(&image);
        let plain = std::fs::read(image.path()).unwrap();
        // Superblock, group headers, both trees, the log's end.
        let mut places: Vec<u64> = (0..264).collect();
        let log = log(&image);
        let unused = free(&found);
        let magics: [&[u8]; 5] = [b"XAGF", b"ABTB", b"ABTC", b"AB3B", b"AB3C"];
        for at in (0..plain.len() as u64).step_by(512).filter(|at| !log.contains(at)) {
            let block = &plain[usize::try_from(at).unwrap()..];
            if magics.iter().any(|&magic| block.starts_with(magic))
                && !unused.overlaps(&(at..at + 1))
            {
                places.extend(at..at + if block[0] == b'X' { 224 } else { 1200 });
            }
        }
        places.extend(log.start..log.start + 2048);
        let mapped = Cell::new(0);
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(
            Config { cases: 400, failure_persistence: None, ..Config::default() },
            rng,
        );
        let damage = prop::collection::btree_map(prop::sample::select(places), any::<u8>(), 1..4);
        runner
            .run(&damage, |damage| {
                let damaged = Damaged(&plain, damage);
                let now = xfs::probe(&Volume::whole(&damaged)).unwrap();
                if let Some(FileSystem { usage: Usage::Mapped { free: now, .. }, .. }) = now {
                    mapped.set(mapped.get() + 1);
                    let mut left = now;
                    for run in unused.iter() {
                        left.remove(&run);
                    }
                    prop_assert!(left.is_empty(), "{left:?} was in use");
                }
                Ok(())
            })
            .unwrap();
        // Version 4 has no checksums: much of its damage changes nothing that matters.
        let most = if plain[101] & 0xf == 5 { 200 } else { 395 };
        assert!(mapped.get() < most, "damage is noticed: {}", mapped.get());
    }
}
