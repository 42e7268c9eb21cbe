//! ntfsclone's image: the same bytes as the real ntfsclone's, and restored by it.

mod volumes;

use std::io::Read;
use std::sync::Arc;

use proptest::prelude::*;
use snapcore::codecs::Codec;
use snapcore::formats::ntfsclone::Image as NtfsImage;
use snapcore::source::Source;
use snapcore::{Disk, Error, ErrorKind, Plan, Result};
use volumes::{Image, run, shell};

const FILL: &str = "for i in $(seq 1 150); do head -c $((i * i)) /dev/urandom > file$i; done; rm file*3 file*7; \
    head -c 2000000 /dev/zero > zeros; head -c 2000000 /dev/urandom > noise; rm file1*";

fn mkntfs(size: u64, cluster: u32) -> Image {
    let image = Image::new(size);
    run("mkntfs", &["-q", "-F", "-c", &cluster.to_string(), &image.path_str()]);
    let (path, mount) = (image.path_str(), image.path().with_extension("mount"));
    let mount = mount.display();
    shell(&format!(
        "set -e; mkdir -p {mount}; ntfs-3g -o no_detach {path} {mount} & \
         until mountpoint -q {mount}; do kill -0 $! || exit 1; sleep 0.02; done; \
         cd {mount}; ({FILL}); cd /; umount {mount}; wait $!"
    ));
    image
}

fn open(image: &Image) -> NtfsImage {
    let disk = Disk::open(image.path()).unwrap();
    NtfsImage::new(Arc::new(disk), 0..image.size()).unwrap()
}

fn whole(image: &NtfsImage) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(image.size()).unwrap()];
    image.read(0, &mut bytes).unwrap();
    bytes
}

fn real(image: &Image) -> Vec<u8> {
    run("ntfsclone", &["--save-image", "-O", "-", &image.path_str()])
}

#[test]
fn the_bytes_are_the_real_ones() {
    for cluster in [512, 1024, 4096, 65536] {
        for size in [20 << 20, (21 << 20) + 7 * 512] {
            let image = mkntfs(size, cluster);
            assert!(whole(&open(&image)) == real(&image), "{size} bytes, clusters of {cluster}");
        }
    }
    // The partition is larger than the file system in it.
    let image = mkntfs(20 << 20, 4096);
    image.resize((20 << 20) + 100_352);
    assert!(whole(&open(&image)) == real(&image));
}

#[test]
fn any_piece_is_that_of_the_whole() {
    for cluster in [512, 65536] {
        let image = open(&mkntfs(20 << 20, cluster));
        let all = whole(&image);
        proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(
            at in any::<prop::sample::Index>(), length in prop_oneof![1usize..40, 1usize..200_000]
        )| {
            let at = at.index(all.len());
            let end = all.len().min(at + length);
            let mut piece = vec![0; end - at];
            image.read(at as u64, &mut piece).unwrap();
            prop_assert!(piece == all[at..end]);
        });
    }
}

#[test]
fn ntfsclone_restores_it() {
    let image = mkntfs(40 << 20, 4096);
    let plan = Plan::new(Arc::new(Disk::open(image.path()).unwrap()), true).unwrap();
    let stream = plan.ntfsclone(0, Codec::DEFAULT, Some(2)).unwrap();
    let mut file = Vec::new();
    while let Some(part) = stream.next().unwrap() {
        file.extend_from_slice(part.part.bytes());
    }
    let mut inflated = Vec::new();
    flate2::bufread::GzDecoder::new(&file[..]).read_to_end(&mut inflated).unwrap();
    assert!(inflated == real(&image));
    let saved = Image::new(0);
    saved.write(0, &inflated);
    let restored = Image::new(image.size());
    let (to, from) = (restored.path_str(), saved.path_str());
    run("ntfsclone", &["--restore-image", "--overwrite", &to, &from]);
    assert_eq!(restored.size(), image.size());
    run("ntfsfix", &["-n", &restored.path_str()]);
    assert!(
        whole(&open(&restored)) == inflated,
        "used clusters and backup boot sector are the same"
    );
}

fn refusal(result: Result<impl Sized>) -> Error {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

#[test]
fn what_is_not_in_order_is_refused() {
    let image = mkntfs(20 << 20, 4096);
    image.write(510, &[0, 0]);
    let disk = Arc::new(Disk::open(image.path()).unwrap());
    let error = refusal(NtfsImage::new(disk.clone(), 0..image.size()));
    assert_eq!(error.kind(), ErrorKind::Usage);
    let words = error.to_string();
    assert!(words.contains("boot sector") && words.contains("take a raw snapshot"), "{words}");
    image.write(0, &[0; 512]);
    let error = refusal(NtfsImage::new(disk.clone(), 0..image.size()));
    assert!(error.to_string().contains("no NTFS"), "{error}");
    let plan = Plan::new(disk, false).unwrap();
    assert!(
        refusal(plan.ntfsclone(3, Codec::DEFAULT, None)).to_string().contains("no partition 3")
    );
}

/// SHA-256 of the parts of the image's stream.
fn parts(image: &Image) -> Vec<[u8; 32]> {
    let plan = Plan::new(Arc::new(Disk::open(image.path()).unwrap()), true).unwrap();
    let stream = plan.ntfsclone(0, Codec::DEFAULT, Some(2)).unwrap();
    let mut sums = Vec::new();
    while let Some(part) = stream.next().unwrap() {
        sums.push(part.sha256);
    }
    sums
}

#[test]
fn frames_cover_the_image_and_fit() {
    for cluster in [512, 4096, 65536] {
        let image = open(&mkntfs(21 << 20, cluster));
        let mut at = 0;
        while at < image.size() {
            let end = image.frame_end(at).unwrap().end.min(image.size());
            assert!(end > at && end - at <= snapcore::FRAME_SIZE as u64);
            at = end;
        }
    }
}

#[test]
fn what_changes_early_moves_nothing_behind_it() {
    let image = mkntfs(200 << 20, 4096);
    let (path, folder) = (image.path_str(), tempfile::tempdir().unwrap());
    let noise = folder.path().join("noise");
    shell(&format!("head -c 90000000 /dev/urandom > {}", noise.display()));
    run("ntfscp", &["-q", "-f", &path, &noise.display().to_string(), "/noise"]);
    let (before, disk_before) = (parts(&image), std::fs::read(image.path()).unwrap());
    shell(&format!("head -c 30000 /dev/urandom > {}", noise.display()));
    run("ntfscp", &["-q", "-f", &path, &noise.display().to_string(), "/small"]);
    let (after, disk_after) = (parts(&image), std::fs::read(image.path()).unwrap());
    let changed = disk_before
        .chunks(16 << 20)
        .zip(disk_after.chunks(16 << 20))
        .filter(|(before, after)| before != after)
        .count();
    let new = after.iter().filter(|sum| !before.contains(sum)).count();
    // The header, which counts the used clusters, and each 16 MiB of the volume that changed.
    assert!(new <= changed + 1, "{new} parts are new, {changed} stretches changed");
    assert!(new < after.len(), "{new} of {} parts are new", after.len());
}
