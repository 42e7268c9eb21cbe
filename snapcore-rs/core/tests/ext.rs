//! ext2, ext3, ext4: the free runs are dumpe2fs's, block by block; a doubt takes the volume whole; what is skipped is missed by nobody.

mod volumes;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use snapcore::Disk;
use snapcore::filesystems::{FileSystem, FreeRuns, Usage, Volume, ext};
use volumes::{Image, each, partclone, run};

const MIB: u64 = 1 << 20;

/// Files of every size: inline, a block, many blocks, sparse; many in a directory; links.
fn tree() -> &'static Path {
    static TREE: OnceLock<tempfile::TempDir> = OnceLock::new();
    TREE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let noise = |seed: u64, length: usize| -> Vec<u8> {
            let mut state = seed.wrapping_mul(2) | 1;
            (0..length)
                .map(|_| {
                    state = state
                        .wrapping_mul(0x5851_f42d_4c95_7f2d)
                        .wrapping_add(0x1405_7b7e_f767_814f);
                    state.to_le_bytes()[7]
                })
                .collect()
        };
        for (number, length) in [40, 1000, 5000, 70_000, 300_000, 1_500_000].into_iter().enumerate()
        {
            fs::write(root.join(format!("file-{number}")), noise(number as u64, length)).unwrap();
        }
        fs::create_dir_all(root.join("many/deep")).unwrap();
        for number in 0..300_u64 {
            fs::write(root.join(format!("many/{number}")), noise(number, 1500)).unwrap();
        }
        let sparse = fs::File::create(root.join("many/deep/sparse")).unwrap();
        sparse.set_len(3 * MIB).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, &noise(9, 9000), 2 * MIB).unwrap();
        std::os::unix::fs::symlink("file-1", root.join("link")).unwrap();
        folder
    })
    .path()
}

/// One with the files of [`tree`].
fn mkfs(size: u64, arguments: &[&str]) -> Image {
    let tree = tree().display().to_string();
    let image = mkfs_empty(size, &[&["-d", &tree], arguments].concat());
    let path = image.path_str();
    if arguments.iter().any(|argument| argument.contains("quota")) {
        // mke2fs counts no quota of the files that it puts in; e2fsck counts it before it has allotted the quota's own blocks.
        run("sh", &["-c", &format!("e2fsck -fy {path}; e2fsck -fy {path}; test $? -le 1")]);
    }
    image
}

fn mkfs_empty(size: u64, arguments: &[&str]) -> Image {
    let image = Image::new(size);
    let path = image.path_str();
    run("mke2fs", &[&["-q", "-F", "-L", "Größe"], arguments, &[&path]].concat());
    image
}

fn probe(image: &Image) -> FileSystem {
    let disk = Disk::open(image.path()).unwrap();
    ext::probe(&Volume::whole(&disk)).unwrap().expect("it is ext")
}

fn mapped(image: &Image) -> (FreeRuns, u64) {
    match probe(image).usage {
        Usage::Mapped { free, used_bytes } => (free, used_bytes),
        Usage::Whole { reason } => panic!("it is taken whole: {reason}"),
    }
}

fn reason(image: &Image) -> String {
    match probe(image).usage {
        Usage::Whole { reason } => reason,
        Usage::Mapped { .. } => panic!("nothing was doubted"),
    }
}

/// Free runs in bytes, and the number of used blocks times their size, as dumpe2fs has them.
fn dumpe2fs(image: &Image) -> (Vec<Range<u64>>, u64) {
    let text = String::from_utf8(run("dumpe2fs", &[&image.path_str()])).unwrap();
    let header = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(':').nth(1).unwrap().trim().parse().unwrap()
    };
    let (size, blocks) = (header("Block size:"), header("Block count:"));
    let used = (blocks - header("Free blocks:")) * size;
    // Of clusters, ranges give the first block of the last one.
    let cluster = if text.contains("\nCluster size:") { header("Cluster size:") / size } else { 1 };
    let mut runs: Vec<Range<u64>> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for run in line.split(", ").filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            let end = (last + cluster).min(blocks) * size;
            match runs.last_mut() {
                Some(before) if before.end == first * size => before.end = end,
                _ => runs.push(first * size..end),
            }
        }
    }
    (runs, used)
}

/// The volume as a snapshot brings it back: what is free is gone.
fn without_free(image: &Image, free: &FreeRuns) -> Image {
    let copy = Image::new(0);
    run("cp", &["--sparse=always", &image.path_str(), &copy.path_str()]);
    for run in free.iter() {
        copy.punch(run.start, run.end - run.start);
    }
    copy
}

/// Every file, as debugfs finds it.
fn files(image: &Image, into: &Path) {
    fs::create_dir_all(into).unwrap();
    run("debugfs", &["-R", &format!("rdump / {}", into.display()), &image.path_str()]);
}

/// The map is dumpe2fs's, block by block, and partclone counts the same; without what is free the file system is in order.
fn check_map(what: &str, image: &Image) -> Image {
    let (free, used_bytes) = mapped(image);
    let (expected, expected_used) = dumpe2fs(image);
    assert!(!expected.is_empty() || free.is_empty(), "{what}");
    assert_eq!(free.iter().collect::<Vec<_>>(), expected, "{what}");
    assert_eq!(used_bytes, expected_used, "{what}");
    // partclone refuses bigalloc: it takes a bit for a block.
    if !what.contains(BIGALLOC) {
        let (used, unused) = partclone("extfs", image);
        let size = u64::from(probe(image).block_size);
        assert_eq!((used * size, unused * size), (used_bytes, free.bytes()), "{what}");
    }
    let restored = without_free(image, &free);
    run("e2fsck", &["-fn", &restored.path_str()]);
    restored
}

/// And nobody misses a file.
fn check(what: &str, image: &Image) {
    let restored = check_map(what, image);
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    files(image, &before);
    files(&restored, &after);
    run(
        "diff",
        &["-r", "--no-dereference", &before.display().to_string(), &after.display().to_string()],
    );
    assert!(fs::read_dir(&after).unwrap().count() > 1, "{what}: nothing was compared");
}

const BIGALLOC: &str = "bigalloc";

const MATRIX: &[(&str, u64, &[&str])] = &[
    ("ext2", 64, &["-t", "ext2"]),
    ("ext2 with blocks of 1 KiB", 40, &["-t", "ext2", "-b", "1024"]),
    (
        "ext2 without sparse_super",
        64,
        &["-t", "ext2", "-b", "1024", "-O", "^sparse_super,^resize_inode"],
    ),
    ("ext3", 64, &["-t", "ext3"]),
    ("ext3 with blocks of 1 KiB", 64, &["-t", "ext3", "-b", "1024"]),
    ("ext4", 300, &["-t", "ext4", "-b", "4096"]),
    ("ext4 with blocks of 1 KiB", 64, &["-t", "ext4", "-b", "1024"]),
    ("ext4 with blocks of 2 KiB", 64, &["-t", "ext4", "-b", "2048"]),
    ("ext4 with blocks of 64 KiB", 128, &["-t", "ext4", "-b", "65536"]),
    ("ext4 without 64bit", 300, &["-t", "ext4", "-b", "4096", "-O", "^64bit"]),
    ("ext4 without flex_bg", 300, &["-t", "ext4", "-b", "4096", "-O", "^flex_bg"]),
    ("meta_bg", 200, &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"]),
    (
        "meta_bg without 64bit and flex_bg",
        200,
        &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode,^64bit,^flex_bg"],
    ),
    ("bigalloc", 300, &["-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C", "65536"]),
    (
        "bigalloc with blocks of 1 KiB",
        100,
        &["-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "8192"],
    ),
    (
        "metadata_csum without 64bit",
        200,
        &["-t", "ext4", "-b", "4096", "-O", "metadata_csum,^64bit"],
    ),
    ("metadata_csum_seed", 200, &["-t", "ext4", "-O", "metadata_csum,metadata_csum_seed"]),
    ("uninit_bg", 300, &["-t", "ext4", "-b", "4096", "-O", "^metadata_csum,uninit_bg"]),
    (
        "uninit_bg without 64bit and flex_bg",
        300,
        &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit,^flex_bg"],
    ),
    ("no checksums", 100, &["-t", "ext4", "-O", "^metadata_csum,^uninit_bg"]),
    ("sparse_super2", 300, &["-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"]),
    ("multiple mount protection", 64, &["-t", "ext4", "-O", "mmp"]),
    ("without a journal", 64, &["-t", "ext4", "-O", "^has_journal"]),
    (
        "inline data, quota, encryption, case folding",
        100,
        &["-t", "ext4", "-O", "inline_data,quota,encrypt,casefold,verity,project"],
    ),
    ("small inodes, small groups", 64, &["-t", "ext4", "-I", "128", "-g", "2048", "-b", "1024"]),
    (
        "an odd last group, bigalloc",
        131,
        &["-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C", "16384"],
    ),
    ("large and empty", 20_000, &["-t", "ext4", "-E", "lazy_itable_init=1"]),
];

#[test]
fn the_map_is_dumpe2fs_s_on_every_kind() {
    each(MATRIX, |(what, size, arguments)| check(what, &mkfs(size * MIB, arguments)));
}

#[test]
fn names_are_told() {
    for (kind, features) in [("ext2", "^has_journal"), ("ext3", "has_journal")] {
        let found = probe(&mkfs(
            32 * MIB,
            &["-t", "ext2", "-O", features, "-U", "01234567-89ab-cdef-0123-456789abcdef"],
        ));
        assert_eq!((found.kind, found.label.as_str()), (kind, "Größe"));
        assert_eq!(found.uuid, "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!((found.size, found.block_size), (32 * MIB, 1024));
    }
    assert_eq!(probe(&mkfs(32 * MIB, &["-t", "ext4"])).kind, "ext4");
}

/// Kinds that are small enough to be filled.
fn small_kinds() -> Vec<(&'static str, &'static [&'static str])> {
    MATRIX.iter().filter(|kind| kind.1 < 1000).map(|kind| (kind.0, kind.2)).collect()
}

#[test]
fn every_kind_empty_and_full() {
    let folder = tempfile::tempdir().unwrap();
    // Of all sizes, so that no block is left.
    let mut commands = Vec::new();
    for (number, length) in [8 << 20, 1 << 20, 100_000, 10_000, 1000].into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        fs::write(&path, vec![0xb1; length]).unwrap();
        for copy in 0..9 {
            commands.push(format!("write {} full-{number}-{copy}", path.display()));
        }
    }
    let path = folder.path().join("commands").display().to_string();
    fs::write(&path, commands.join("\n")).unwrap();
    each(&small_kinds(), |(what, arguments)| {
        let image = mkfs_empty(64 * MIB, &[*arguments, &["-m", "0"]].concat());
        check_map(what, &image);
        // debugfs tells of a full file system and still ends well.
        run("debugfs", &["-w", "-f", &path, &image.path_str()]);
        run("sh", &["-c", &format!("e2fsck -fy {}; test $? -le 1", image.path_str())]);
        let free = mapped(&image).0.bytes();
        assert!(free < MIB, "{what}: {free} bytes are left");
        check_map(what, &image);
    });
}

#[test]
fn every_kind_grown_and_shrunk() {
    each(&small_kinds(), |(what, arguments)| {
        let image = mkfs(64 * MIB, arguments);
        let resize = |to: &str| {
            run("resize2fs", &["-f", &image.path_str(), to]);
            // There resize2fs counts blocks, not clusters. e2fsck says the same of it.
            if what.contains(BIGALLOC) && matches!(probe(&image).usage, Usage::Whole { .. }) {
                assert!(reason(&image).contains("counts"), "{what}: {}", reason(&image));
                run("sh", &["-c", &format!("e2fsck -fy {}; test $? -le 1", image.path_str())]);
            }
        };
        resize("211M");
        assert!(mapped(&image).0.bytes() > 100 * MIB, "{what}: it did not grow");
        check_map(what, &image);
        resize("48M");
        assert_eq!(probe(&image).size, 48 * MIB, "{what}");
        check(what, &image);
    });
}

#[test]
fn fragmented() {
    let fragmented = mkfs(64 * MIB, &["-t", "ext4", "-b", "1024"]);
    let commands = fragmented.path().with_extension("commands");
    let lines: Vec<String> =
        (0..300).step_by(2).map(|number| format!("rm many/{number}")).collect();
    fs::write(&commands, lines.join("\n")).unwrap();
    run("debugfs", &["-w", "-f", &commands.display().to_string(), &fragmented.path_str()]);
    assert!(mapped(&fragmented).0.iter().count() > 100);
    check("fragmented", &fragmented);
}

#[test]
fn a_doubt_takes_all() {
    let metadata_csum = || mkfs(64 * MIB, &["-t", "ext4", "-b", "4096"]);
    let plain = || mkfs(64 * MIB, &["-t", "ext2", "-b", "4096"]);
    let bitmap_of = |image: &Image| -> u64 {
        let text = String::from_utf8(run("dumpe2fs", &[&image.path_str()])).unwrap();
        let line = text.lines().find(|line| line.contains("Block bitmap at ")).unwrap();
        line.split("Block bitmap at ")
            .nth(1)
            .unwrap()
            .split([' ', ','])
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let flip = |image: &Image, at: u64| image.write(at, &[image.bytes(at, 1)[0] ^ 0x10]);

    let image = plain();
    image.write(1024 + 58, &[0]);
    assert!(reason(&image).contains("not unmounted cleanly"));
    let image = plain();
    image.write(1024 + 58, &[3]);
    assert!(reason(&image).contains("errors"));
    let image = plain();
    image.write(1024 + 96, &[6]);
    assert!(reason(&image).contains("journal has to be replayed"));
    let image = plain();
    image.write(1024 + 98, &[0x80]);
    assert!(reason(&image).contains("features that Snapport does not know"));
    let image = plain();
    flip(&image, 1024 + 12);
    assert!(reason(&image).contains("superblock counts"));
    let image = plain();
    flip(&image, 4096 + 12);
    assert!(reason(&image).contains("counts"));
    let image = plain();
    flip(&image, bitmap_of(&image) * 4096 + 1500);
    assert!(reason(&image).contains("its bitmap has"));
    let image = plain();
    fs::OpenOptions::new().write(true).open(image.path()).unwrap().set_len(63 * MIB).unwrap();
    assert!(reason(&image).contains("larger than its partition"));

    let image = metadata_csum();
    flip(&image, 1024 + 48);
    assert!(reason(&image).contains("checksum of its superblock"));
    let image = metadata_csum();
    flip(&image, 4096 + 17);
    assert!(reason(&image).contains("checksum of block group 0"));
    let image = metadata_csum();
    flip(&image, bitmap_of(&image) * 4096 + 1500);
    assert!(reason(&image).contains("checksum of a block bitmap"));

    let image = mkfs(64 * MIB, &["-t", "ext4", "-O", "mmp", "-b", "4096"]);
    let text = String::from_utf8(run("dumpe2fs", &["-h", &image.path_str()])).unwrap();
    let line = text.lines().find(|line| line.starts_with("MMP block number:")).unwrap();
    let block: u64 = line.split(':').nth(1).unwrap().trim().parse().unwrap();
    image.write(block * 4096 + 4, &1_u32.to_le_bytes());
    assert!(reason(&image).contains("another machine"));

    let image = Image::new(16 * MIB);
    run("mke2fs", &["-q", "-F", "-O", "journal_dev", "-b", "4096", &image.path_str()]);
    assert_eq!(probe(&image).kind, "ext journal");
    assert!(reason(&image).contains("journal of another"));
}

/// A number that looks random and is the same each time.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *state >> 20
}

/// With any damage to the file system's own structures, whatever debugfs still reads of the plain volume it reads of
/// one without its free space.
#[test]
fn damage_loses_no_file_that_the_plain_volume_has() {
    const KINDS: &[&[&str]] = &[
        &["-t", "ext2", "-b", "1024", "-N", "600"],
        &["-t", "ext4", "-b", "1024", "-N", "600"],
        &["-t", "ext4", "-b", "1024", "-N", "600", "-O", "^metadata_csum,uninit_bg"],
    ];
    let mut state = 20_261_122;
    let mut skipped = 0;
    for arguments in KINDS {
        let fresh = mkfs(16 * MIB, arguments);
        // Superblock, descriptors, bitmaps and inode tables of both groups.
        let text = String::from_utf8(run("dumpe2fs", &[&fresh.path_str()])).unwrap();
        let mut places = vec![1, 2];
        for name in ["Block bitmap at ", "Inode bitmap at ", "Inode table at "] {
            for line in text.lines().filter(|line| line.contains(name)) {
                let block = line.split(name).nth(1).unwrap();
                let block: u64 = block.split([' ', ',', '-']).next().unwrap().parse().unwrap();
                places.push(block);
                if name.starts_with("Block") {
                    places.extend([block; 4]); // where it hurts most
                }
            }
        }
        for _ in 0..10 {
            let image = Image::new(0);
            run("cp", &["--sparse=always", &fresh.path_str(), &image.path_str()]);
            let place = places[usize::try_from(dice(&mut state)).unwrap() % places.len()] * 1024;
            // Bytes that change places keep every count as it was.
            let (one, other) = (place + dice(&mut state) % 1024, place + dice(&mut state) % 1024);
            if dice(&mut state).is_multiple_of(2) {
                let (a, b) = (image.bytes(one, 1), image.bytes(other, 1));
                image.write(one, &b);
                image.write(other, &a);
            } else {
                image.write(one, &[(dice(&mut state) & 0xff) as u8]);
            }
            let Usage::Mapped { free, .. } = probe(&image).usage else { continue };
            skipped += 1;
            let restored = without_free(&image, &free);
            let folder = tempfile::tempdir().unwrap();
            let (before, after) = (folder.path().join("before"), folder.path().join("after"));
            files(&image, &before);
            files(&restored, &after);
            run(
                "diff",
                &[
                    "-r",
                    "--no-dereference",
                    &before.display().to_string(),
                    &after.display().to_string(),
                ],
            );
        }
    }
    assert!(skipped > 3, "{skipped}: nearly nothing was put to the test");
}

#[test]
fn a_bitmap_that_frees_a_file_is_not_believed() {
    for features in ["^metadata_csum,uninit_bg", "^metadata_csum,^uninit_bg,^extents,^64bit"] {
        let image = mkfs(16 * MIB, &["-t", "ext4", "-b", "1024", "-O", features]);
        let text =
            String::from_utf8(run("debugfs", &["-R", "blocks file-3", &image.path_str()])).unwrap();
        let block: u64 = text.split_whitespace().last().unwrap().parse().unwrap();
        let text = String::from_utf8(run("dumpe2fs", &[&image.path_str()])).unwrap();
        let line = text.lines().find(|line| line.contains("Block bitmap at ")).unwrap();
        let bitmap: u64 = line
            .split("Block bitmap at ")
            .nth(1)
            .unwrap()
            .split([' ', ','])
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let free = mapped(&image).0.iter().next().unwrap().start / 1024;
        assert!(block <= 8192 && free <= 8192, "both are in the first group");
        // The file's block and a free one change places: every count stays right.
        for bit in [block - 1, free - 1] {
            let at = bitmap * 1024 + bit / 8;
            image.write(at, &[image.bytes(at, 1)[0] ^ 1 << (bit % 8)]);
        }
        assert!(reason(&image).contains("a block that its bitmap takes for free"));
    }
}
