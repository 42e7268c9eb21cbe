//! Whatever goes wrong is told in its place, ends every thread, and hangs nobody.

mod sources;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use snapcore::codecs::Codec;
use snapcore::formats::gzip::Gzip;
use snapcore::parts::MOST;
use snapcore::pipeline::{self, PARTS, Turn};
use snapcore::{Error, ErrorKind, Stream};
use sources::{Content, Fault, Runs};

const MIB: u64 = 1 << 20;

fn start(source: &Runs, threads: usize) -> Stream {
    let extents = source.extents();
    pipeline::start(Arc::new(source.clone()), extents, Gzip::new(Codec::DEFAULT), Some(threads))
        .unwrap()
}

/// Takes all it can; the number of parts and how it ended.
fn drain(stream: &Stream) -> (u64, Option<Error>) {
    let mut count = 0;
    loop {
        match stream.next() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

#[test]
fn a_read_error_comes_after_the_parts_before_it_and_stays() {
    let at = 70 * MIB + 4711;
    for threads in [1, 4] {
        let stream =
            start(&Runs::new(&[(Content::Noise, 100 * MIB)]).failing(Fault::Error(at)), threads);
        let (parts, error) = drain(&stream);
        let error = error.unwrap();
        assert_eq!((error.kind(), error.offset(), parts), (ErrorKind::Disk, Some(at), 4));
        assert_eq!(stream.next().unwrap_err().offset(), Some(at));
        assert_eq!(stream.finish().unwrap_err().offset(), Some(at));
    }
}

#[test]
fn a_disk_that_shrank_by_its_holes_is_told_before_the_last_part() {
    let source = Runs::new(&[(Content::Noise, 20 * MIB), (Content::Hole, 20 * MIB)])
        .failing(Fault::Shrunk(30 * MIB));
    let (parts, error) = drain(&start(&source, 2));
    // Parts begin at 0, 16 and 32 MiB; the third is the last.
    assert_eq!((parts, error.unwrap().offset()), (2, Some(30 * MIB)));
}

#[test]
fn a_panic_is_an_error() {
    let (_, error) =
        drain(&start(&Runs::new(&[(Content::Noise, 50 * MIB)]).failing(Fault::Panic(40 * MIB)), 2));
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("a fault of the test"), "{error}");
}

#[test]
fn a_slow_caller_stops_the_reading() {
    let source = Runs::new(&[(Content::Noise, 1024 * MIB)]);
    let threads = 2;
    let stream = start(&source, threads);
    let mut last = u64::MAX;
    // Until it stands still.
    while last != source.reads.load(Ordering::Relaxed) || last == 0 {
        last = source.reads.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
    }
    let most = PARTS * MOST.div_ceil(1 << 20) + 2 * threads + 4 + threads + 1;
    assert!(last <= most as u64, "{last} frames were read, at most {most} have room");
    drop(stream);
}

#[test]
fn letting_go_half_way_ends_the_threads() {
    // The source is shared by the threads alone: its last owner is the test once they have ended.
    for taken in [0, 1, 3] {
        let source = Runs::new(&[(Content::Noise, 200 * MIB)]);
        let reads = Arc::clone(&source.reads);
        let stream = start(&source, 3);
        drop(source);
        for _ in 0..taken {
            stream.next().unwrap().unwrap();
        }
        drop(stream);
        assert_eq!(Arc::strong_count(&reads), 1);
    }
}

#[test]
fn cancel_wakes_whoever_waits() {
    let stream = start(&Runs::new(&[(Content::Noise, 2048 * MIB)]), 2);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| drain(&stream).1.unwrap());
        std::thread::sleep(Duration::from_millis(200));
        stream.cancel();
        assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn closing_a_finished_stream_changes_nothing() {
    let stream = start(&Runs::new(&[(Content::Text, 5 * MIB)]), 2);
    assert!(drain(&stream).1.is_none());
    stream.close();
    assert!(stream.finish().is_ok());
    assert!(stream.next().unwrap().is_none());
}

#[test]
fn finishing_too_early_is_refused() {
    let stream = start(&Runs::new(&[(Content::Noise, 100 * MIB)]), 2);
    stream.next().unwrap().unwrap();
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn two_takers_get_each_part_once() {
    let stream = start(&Runs::new(&[(Content::Noise, 200 * MIB)]), 2);
    let mut positions: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut positions = Vec::new();
                    while let Some(part) = stream.next().unwrap() {
                        positions.push(part.part.position());
                    }
                    positions
                })
            })
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    positions.sort_unstable();
    assert_eq!(positions, (0..stream.finish().unwrap().parts).collect::<Vec<_>>());
}

#[test]
fn keeping_every_part_hangs_nobody() {
    let stream = start(&Runs::new(&[(Content::Noise, 200 * MIB)]), 2);
    let mut kept = Vec::new();
    while let Some(part) = stream.next().unwrap() {
        kept.push(part);
    }
    assert!(kept.len() > PARTS);
}

#[test]
fn waiting_has_an_end() {
    let stream = start(&Runs::new(&[(Content::Noise, 200 * MIB)]), 1);
    assert!(matches!(stream.wait(Duration::ZERO).unwrap(), Turn::Waiting));
}

#[test]
fn no_threads_make_no_stream() {
    let source = Runs::new(&[(Content::Text, 1)]);
    let extents = source.extents();
    let error =
        pipeline::start(Arc::new(source), extents, Gzip::new(Codec::DEFAULT), Some(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}
