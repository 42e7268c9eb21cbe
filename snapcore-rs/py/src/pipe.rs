//! `pipe`.

use std::os::fd::RawFd;

use pyo3::prelude::*;
use snapcore::error::guard;
use snapcore::formats::gzip::Gzip;
use snapcore::formats::plain::Plain;
use snapcore::pipeline;
use snapcore::source::Pipe;

use crate::errors::{Result, codec};
use crate::stream::Stream;

#[pyfunction]
#[pyo3(signature = (fd, *, gzip, threads = None, codec = None))]
pub(crate) fn pipe(
    py: Python<'_>,
    fd: RawFd,
    gzip: bool,
    threads: Option<usize>,
    codec: Option<&str>,
) -> Result<Stream> {
    let codec = self::codec(codec)?;
    let start = || {
        let pipe = Pipe::open(fd)?;
        if gzip {
            pipeline::start_pipe(pipe, Gzip::new(codec), threads)
        } else {
            pipeline::start_pipe(pipe, Plain::new(), threads)
        }
    };
    Ok(Stream::new(py.detach(|| guard(start))?))
}
