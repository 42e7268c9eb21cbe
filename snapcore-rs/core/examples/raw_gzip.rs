//! Streams a disk to nowhere, or to standard output: `raw_gzip DISK [THREADS] [CODEC] [-o]`. For
//! profiles and comparisons.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use snapcore::codecs::Codec;
use snapcore::digests::hex;
use snapcore::{Disk, Plan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = PathBuf::from(arguments.first().ok_or("which disk?")?);
    let threads = arguments.get(1).map(|text| text.parse()).transpose()?;
    let name = arguments.get(2).map_or(Codec::DEFAULT.name(), String::as_str);
    let codec = *Codec::ALL.iter().find(|codec| codec.name() == name).ok_or("no such codec")?;
    let write = arguments.get(3).is_some_and(|flag| flag == "-o");

    let begin = Instant::now();
    let stream = Plan::new(Arc::new(Disk::open(&path)?), true)?.raw_gzip(codec, threads)?;
    while let Some(part) = stream.next()? {
        if write {
            std::io::stdout().write_all(part.part.bytes())?;
        }
    }
    let summary = stream.finish()?;
    eprintln!(
        "{:.2} s, {} bytes of {} read, {} bytes in {} parts, MD5 {}",
        begin.elapsed().as_secs_f64(),
        summary.bytes_read,
        summary.source_size,
        summary.size,
        summary.parts,
        summary.md5.as_ref().map(|sum| hex(sum)).unwrap_or_default()
    );
    Ok(())
}
