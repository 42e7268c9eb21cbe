//! NTFS: the used map is ntfsclone's, cluster by cluster; a doubt takes the volume whole; damage never frees what a file has.
//!
//! Volumes are made by mkntfs and filled through ntfs-3g, in a mount namespace of the test's own.

mod volumes;

use std::path::Path;

use snapcore::Disk;
use snapcore::filesystems::{FileSystem, Usage, Volume, ntfs};
use volumes::{Image, run};

/// Runs a script with the volume mounted at `$PWD`.
fn with_mounted(image: &Path, script: &str) {
    let script = format!(
        "set -e; cd /; ntfs-3g -o streams_interface=xattr {image} {mount}; cd {mount}; ({script}); cd /; umount {mount}; \
         while pgrep -f 'ntfs-3g.*{image}' >/dev/null; do sleep 0.05; done",
        image = image.display(),
        mount = image.with_extension("mount").display(),
    );
    std::fs::create_dir_all(image.with_extension("mount")).unwrap();
    run("unshare", &["-m", "sh", "-c", &script]);
}

fn mkntfs(size: u64, cluster: u32) -> Image {
    let image = Image::new(size);
    let cluster = cluster.to_string();
    run("mkntfs", &["-q", "-F", "-c", &cluster, "-L", "Größe C", &image.path_str()]);
    image
}

fn probe(image: &Image) -> FileSystem {
    let disk = Disk::open(image.path()).unwrap();
    ntfs::probe(&Volume::whole(&disk)).unwrap().expect("it is NTFS")
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

/// The map has to be the same as ntfsclone's.
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
    found
}

/// Files of all sizes, a third of them deleted, one with holes, one compressed by attribute, streams, links.
const SCATTER: &str = "mkdir d; for i in $(seq 1 400); do head -c $((i * i % 30000)) /dev/urandom > d/file-with-a-long-name-$i; done; \
    for i in $(seq 1 3 400); do rm d/file-with-a-long-name-$i; done; \
    truncate -s 5M holes; printf x | dd of=holes bs=1 seek=3000000 conv=notrunc status=none; \
    head -c 700000 /dev/urandom > big; ln big also-big; setfattr -n user.stream -v \"$(head -c 3000 /dev/zero | tr '\\0' s)\" big; \
    for i in $(seq 1 40); do head -c 50000 /dev/urandom >> grows; head -c 50000 /dev/urandom >> grows-too; done; rm grows-too";

#[test]
fn the_map_is_ntfsclones_whatever_the_clusters() {
    for cluster in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        let image = mkntfs(48 << 20, cluster);
        let found = check(&image);
        assert_eq!((found.kind, found.label.as_str()), ("NTFS", "Größe C"));
        assert_eq!((found.block_size, found.uuid.len()), (cluster, 16));
        with_mounted(image.path(), SCATTER);
        check(&image);
    }
}

#[test]
fn a_size_that_is_no_multiple_of_anything() {
    for size in [(16 << 20) + 512, (33 << 20) + 7 * 512, (20 << 20) + 4096 + 100] {
        check(&mkntfs(size, 4096));
        check(&mkntfs(size, 65536));
    }
}

#[test]
fn a_full_volume() {
    let image = mkntfs(24 << 20, 4096);
    with_mounted(image.path(), "cat /dev/urandom > all 2>/dev/null || true");
    let found = check(&image);
    assert!(matches!(found.usage, Usage::Mapped { free, .. } if free.bytes() < 1 << 20));
}

#[test]
fn a_file_table_and_a_map_in_many_pieces() {
    // The free space is cut into single clusters, so that $MFT grows piece by piece beyond one record and needs an attribute list.
    let image = mkntfs(40 << 20, 512);
    with_mounted(
        image.path(),
        "mkdir a b; i=0; while [ $i -lt 26000 ]; do i=$((i+1)); head -c 700 /dev/zero > a/$i || break; head -c 700 /dev/zero > b/$i || break; done 2>/dev/null; \
         rm -r b; i=0; while [ $i -lt 9000 ]; do i=$((i+1)); : > a/more-$i || break; done 2>/dev/null; true",
    );
    check(&image);
    let mft = String::from_utf8(run("ntfsinfo", &["-i", "0", "-v", &image.path_str()])).unwrap();
    println!("{mft}");
    assert!(mft.contains("$ATTRIBUTE_LIST"), "{mft}");
}
