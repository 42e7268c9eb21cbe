//! ext3 and ext4 with a journal to replay: what is free is free before the replay and after any part of it, and nobody misses a
//! file once it is replayed.

mod volumes;

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use snapcore::Disk;
use snapcore::filesystems::{FreeRuns, Usage, Volume, ext};
use snapcore::source::Source;
use volumes::{Image, each, run, shell};

const MIB: u64 = 1 << 20;

struct Kind {
    what: &'static str,
    mkfs: &'static [&'static str],
    mount: &'static str,
}

const KINDS: &[Kind] = &[
    kind("ext3", &["-t", "ext3", "-b", "1024"]),
    kind("ext4", &["-t", "ext4", "-b", "4096"]),
    kind("a ring that goes round", &["-t", "ext4", "-b", "1024", "-J", "size=1"]),
    kind("uninit_bg", &["-t", "ext4", "-b", "1024", "-J", "size=1", "-O", NO_CHECKSUMS]),
    kind("without 64bit", &["-t", "ext4", "-b", "1024", "-O", "^64bit"]),
    Kind { mount: ",data=journal", ..kind("data in the journal", &["-t", "ext4"]) },
    kind("orphans in a file", &["-t", "ext4", "-O", "orphan_file"]),
];

const NO_CHECKSUMS: &str = "^metadata_csum,uninit_bg";

const fn kind(what: &'static str, mkfs: &'static [&'static str]) -> Kind {
    Kind { what, mkfs, mount: "" }
}

impl Kind {
    /// Of block bitmaps.
    fn has_checksums(&self) -> bool {
        !self.mkfs.contains(&"ext3") && !self.mkfs.contains(&NO_CHECKSUMS)
    }
}

/// Copies of a volume that is mounted, each after some more work was written to it: the last is made while a file is open that was
/// deleted. What changed lately is in the journal and nowhere else: `fsync` writes no more, and blocks that it has already allotted.
fn mounted(kind: &Kind) -> Vec<Image> {
    let image = Image::new(96 * MIB);
    run("mke2fs", &[&["-q", "-F"], kind.mkfs, &[&image.path_str()]].concat());
    let path = image.path_str();
    let rounds = 4;
    let script = format!(
        r#"set -eu
        mkdir {path}.mnt
        mount -t ext4 -o loop,nodelalloc{options} {path} {path}.mnt
        cd {path}.mnt
        for round in $(seq 1 {rounds}); do
            for folder in $(seq 1 8); do
                mkdir -p "$round/$folder"
                for file in $(seq 1 25); do
                    head -c $((file * 997)) /dev/urandom > "$round/$folder/$file"
                done
            done
            head -c 3000000 /dev/urandom > "$round/large"
            if test $round = 1; then sync -f .; else sync "$round/large"; fi
            # What a folder stood in is a file's now.
            if test $round -gt 1; then rm -r "$((round - 1))/"[1-5]; fi
            sync .
            head -c 1500000 /dev/urandom > "$round/later"
            printf '\300\073\071\230 begins like a block of the journal' > "$round/escaped"
            if test $round = {rounds}; then
                exec 9> deleted
                head -c 500000 /dev/urandom >&9
                rm deleted
            fi
            sync "$round/escaped"
            cp --sparse=always {path} {path}.$round
        done
        exec 9>&-
        cd /
        umount {path}.mnt"#,
        options = kind.mount,
    );
    shell(&script);
    (1..=rounds)
        .map(|round| {
            let copy = Image::new(0);
            fs::rename(format!("{path}.{round}"), copy.path()).unwrap();
            copy
        })
        .collect()
}

fn copy(image: &Image) -> Image {
    let copy = Image::new(0);
    run("cp", &["--sparse=always", &image.path_str(), &copy.path_str()]);
    copy
}

fn probe(image: &Image) -> Usage {
    let disk = Disk::open(image.path()).unwrap().as_point_in_time();
    ext::probe(&Volume::whole(&disk)).unwrap().expect("it is ext").usage
}

fn free(image: &Image) -> FreeRuns {
    match probe(image) {
        Usage::Mapped { free, .. } => free,
        Usage::Whole { reason } => panic!("it is taken whole: {reason}"),
    }
}

/// Bytes that dumpe2fs takes for free.
fn dumpe2fs(image: &Image) -> Vec<Range<u64>> {
    let text = String::from_utf8(run("dumpe2fs", &[&image.path_str()])).unwrap();
    let line = text.lines().find(|line| line.starts_with("Block size:")).unwrap();
    let size: u64 = line.split(':').nth(1).unwrap().trim().parse().unwrap();
    let mut runs: Vec<Range<u64>> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for run in line.split(", ").filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            match runs.last_mut() {
                Some(before) if before.end == first * size => before.end = (last + 1) * size,
                _ => runs.push(first * size..(last + 1) * size),
            }
        }
    }
    runs
}

fn all_within(free: &FreeRuns, runs: &[Range<u64>]) -> bool {
    free.iter().all(|free| runs.iter().any(|run| run.start <= free.start && free.end <= run.end))
}

/// The volume as a snapshot brings it back.
fn without_free(image: &Image, free: &FreeRuns) -> Image {
    let copy = copy(image);
    for run in free.iter() {
        copy.punch(run.start, run.end - run.start);
    }
    copy
}

/// Replays the journal and repairs what there is to repair, as often as it takes.
fn repair(image: &Image) {
    let path = image.path_str();
    run("sh", &["-c", &format!("e2fsck -fy {path} || e2fsck -fy {path} || e2fsck -fy {path}")]);
}

/// Whether the same files are in both, as debugfs finds them.
fn same_files(what: &str, one: &Image, other: &Image) {
    let folder = tempfile::tempdir().unwrap();
    let rdump = |image: &Image, name: &str| {
        let into = folder.path().join(name);
        fs::create_dir(&into).unwrap();
        run("debugfs", &["-R", &format!("rdump / {}", into.display()), &image.path_str()]);
        into.display().to_string()
    };
    let (before, after) = (rdump(one, "before"), rdump(other, "after"));
    assert!(fs::read_dir(Path::new(&before)).unwrap().count() > 0, "{what}: nothing is compared");
    run("diff", &["-r", "--no-dereference", &before, &after]);
}

#[test]
fn every_kind() {
    let stale = AtomicUsize::new(0);
    each(KINDS, |kind| {
        for (round, image) in (1..).zip(mounted(kind)) {
            let what = format!("{}, round {round}", kind.what);
            let replayed = copy(&image);
            run("sh", &["-c", &format!("e2fsck -fy {}; test $? -le 1", replayed.path_str())]);
            let changed = check_free(kind, &what, &image, &replayed);
            stale.fetch_add(usize::from(changed), Ordering::Relaxed);
            // In the last one e2fsck also clears away the file that was deleted.
            if round < 4 {
                check_replay(&what, &image);
            }
        }
    });
    assert!(stale.into_inner() > 5, "the replay changed no bitmaps");
}

/// What is free is so before and after the replay, and nobody misses a file. Returns whether the replay is seen to free, or use,
/// anything.
fn check_free(kind: &Kind, what: &str, image: &Image, replayed: &Image) -> bool {
    let free = free(image);
    let after = dumpe2fs(replayed);
    assert!(all_within(&free, &after), "{what}: it is in use once replayed");
    // What was freed in between is all that is taken too much.
    let most = after.iter().map(|run| run.end - run.start).sum::<u64>();
    assert!(free.bytes() > most - 16 * MIB, "{what}: {} of {most}", free.bytes());

    let restored = without_free(image, &free);
    run("sh", &["-c", &format!("e2fsck -fy {}; test $? -le 1", restored.path_str())]);
    run("e2fsck", &["-fn", &restored.path_str()]);
    same_files(what, replayed, &restored);

    // Where descriptors and bitmaps were written at different times, dumpe2fs refuses.
    if kind.has_checksums() {
        return false;
    }
    let before = dumpe2fs(image);
    assert!(all_within(&free, &before), "{what}: it is in use on the volume");
    before != after
}

/// Every block of the volume is as e2fsck leaves it: but for the superblock, which it writes anew, and the journal's own.
fn check_replay(what: &str, image: &Image) {
    let disk = Disk::open(image.path()).unwrap();
    let replayed = ext::replayed(Volume::whole(&disk)).unwrap().expect("there is a journal");
    let expected = copy(image);
    let path = expected.path_str();
    run("sh", &["-c", &format!("e2fsck -E journal_only -y {path}; test $? -le 1")]);
    let size = block_size(image);
    let own: HashSet<u64> = journal(image).into_iter().chain([1024 / size]).collect();
    let (length, block_length) = (usize::try_from(MIB).unwrap(), usize::try_from(size).unwrap());
    let (mut found, mut differ) = (vec![0; length], 0);
    for at in (0..image.size()).step_by(length) {
        replayed.read(at, &mut found).unwrap();
        let (expected, before) = (expected.bytes(at, length), image.bytes(at, length));
        let blocks = found.chunks(block_length).zip(expected.chunks(block_length));
        for (block, ((found, expected), before)) in
            (at / size..).zip(blocks.zip(before.chunks(block_length)))
        {
            if !own.contains(&block) {
                assert!(found == expected, "{what}: block {block}");
                differ += usize::from(found != before);
            }
        }
    }
    replayed.confirm().unwrap();
    assert!(differ > 0, "{what}: there was nothing to replay");
}

/// The kernel replays the restored volume's journal too, and finds every file.
#[test]
fn a_restored_volume_is_mounted() {
    let image = mounted(&KINDS[1]).pop().unwrap();
    let restored = without_free(&image, &free(&image));
    let listing = |image: &Image| {
        let path = image.path_str();
        shell(&format!(
            "mkdir {path}.mnt; mount -o loop {path} {path}.mnt; cd {path}.mnt
            find . -type f | sort | xargs sha256sum; cd /; umount {path}.mnt"
        ))
    };
    let (expected, found) = (listing(&image), listing(&restored));
    assert!(expected.split(|&byte| byte == b'\n').count() > 400);
    assert_eq!(expected, found);
    run("e2fsck", &["-fn", &restored.path_str()]);
}

#[test]
fn a_source_that_somebody_may_write_to_is_taken_whole() {
    let image = mounted(&KINDS[1]).remove(0);
    let disk = Disk::open(image.path()).unwrap();
    match ext::probe(&Volume::whole(&disk)).unwrap().unwrap().usage {
        Usage::Whole { reason } => assert!(reason.contains("has to be replayed"), "{reason}"),
        Usage::Mapped { .. } => panic!("nothing was doubted"),
    }
}

/// Blocks of the journal, as debugfs tells them.
fn journal(image: &Image) -> Vec<u64> {
    let text =
        String::from_utf8(run("debugfs", &["-c", "-R", "blocks <8>", &image.path_str()])).unwrap();
    text.split_whitespace().map(|block| block.parse().unwrap()).collect()
}

fn block_size(image: &Image) -> u64 {
    1024 << u32::from(image.bytes(1024 + 24, 1)[0])
}

fn reason(image: &Image) -> String {
    match probe(image) {
        Usage::Whole { reason } => reason,
        Usage::Mapped { .. } => panic!("nothing was doubted"),
    }
}

#[test]
fn a_doubt_takes_all() {
    let fresh = mounted(&KINDS[1]).remove(0);
    let (blocks, size) = (journal(&fresh), block_size(&fresh));
    let start = u32::from_be_bytes(fresh.bytes(blocks[0] * size + 0x1c, 4).try_into().unwrap());
    let first = blocks[usize::try_from(start).unwrap()] * size;
    let changed = |at: u64, bytes: &[u8]| {
        let image = copy(&fresh);
        image.write(at, bytes);
        reason(&image)
    };
    let superblock = blocks[0] * size;
    assert!(changed(1024 + 0xe4, &[1]).contains("checksum of its superblock"));
    assert!(changed(superblock, &[0]).contains("not where it should be"));
    assert!(changed(superblock + 0x2b, &[0x32]).contains("features that Snapport does not know"));
    assert!(changed(superblock + 0x23, &[5]).contains("checksum is wrong"));
    // A descriptor, and what it describes.
    assert_eq!(fresh.bytes(first + 4, 4), [0, 0, 0, 1]);
    assert!(changed(first + 20, &[0xff]).contains("checksum is wrong"));
    assert!(changed(first + 4, &[0, 0, 0, 9]).contains("unknown kind"));
    // The copy of the inode in the superblock: it has no checksum of its own, so it is put right.
    let inode =
        String::from_utf8(run("debugfs", &["-c", "-R", "imap <8>", &fresh.path_str()])).unwrap();
    let block = inode.split("at block ").nth(1).unwrap().split([',', '\n']).next().unwrap();
    let offset = inode.split("offset 0x").nth(1).unwrap().trim();
    let at = block.parse::<u64>().unwrap() * size + u64::from_str_radix(offset, 16).unwrap();
    let before = fresh.bytes(at + 60, 1)[0];
    assert!(changed(at + 60, &[before ^ 1]).contains("not where it should be"));
}

/// A number that looks random and is the same each time.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *state >> 20
}

/// With any damage to the journal, whatever is in the plain volume after its repair is in one without its free space.
#[test]
fn damage_loses_no_file_that_the_plain_volume_has() {
    let skipped = AtomicUsize::new(0);
    each(&[(0, 1_126), (2, 1_127), (3, 1_128)], |(kind, seed)| {
        let (kind, mut state) = (&KINDS[*kind], *seed);
        for fresh in mounted(kind).into_iter().skip(2) {
            let (blocks, size) = (journal(&fresh), block_size(&fresh));
            let field = |at: u64| {
                let bytes = fresh.bytes(blocks[0] * size + at, 4);
                u64::from(u32::from_be_bytes(bytes.try_into().unwrap()))
            };
            let (start, count) = (field(0x1c), blocks.len() as u64);
            for _ in 0..6 {
                let image = copy(&fresh);
                // Most of them where the log begins; some in the superblock.
                let number = match dice(&mut state) % 8 {
                    0 => 0,
                    _ => (start + dice(&mut state) % 40) % count,
                };
                let block = blocks[usize::try_from(number).unwrap()] * size;
                let at = block + dice(&mut state) % if number == 0 { 96 } else { size };
                image.write(at, &[(dice(&mut state) & 0xff) as u8]);
                let Usage::Mapped { free, .. } = probe(&image) else { continue };
                skipped.fetch_add(1, Ordering::Relaxed);
                let restored = without_free(&image, &free);
                repair(&image);
                repair(&restored);
                same_files(kind.what, &image, &restored);
            }
        }
    });
    let skipped = skipped.into_inner();
    assert!(skipped > 8, "{skipped}: nearly nothing was put to the test");
}
