//! `Stream` and `Summary`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use snapcore::digests::hex;
use snapcore::pipeline::Turn;

use crate::errors::Raised;
use crate::part::Part;

/// How long Ctrl-C may wait for a disk that does not answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// Parts of a file, in order.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct Stream(Option<snapcore::Stream>);

impl Stream {
    pub(crate) fn new(stream: snapcore::Stream) -> Self {
        Self(Some(stream))
    }

    fn stream(&self) -> Result<&snapcore::Stream, Raised> {
        self.0.as_ref().ok_or_else(|| snapcore::Error::cancelled().into())
    }
}

#[pymethods]
impl Stream {
    #[getter]
    fn progress(&self) -> Result<(u64, u64), Raised> {
        Ok(self.stream()?.progress())
    }

    fn cancel(&self) -> Result<(), Raised> {
        self.stream()?.cancel();
        Ok(())
    }

    fn close(&self, py: Python<'_>) -> Result<(), Raised> {
        let stream = self.stream()?;
        py.detach(|| stream.close());
        Ok(())
    }

    fn finish(&self, py: Python<'_>) -> Result<Summary, Raised> {
        let stream = self.stream()?;
        Ok(Summary::new(&py.detach(|| stream.finish())?))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Part>> {
        let stream = self.stream()?;
        loop {
            match py.detach(|| stream.wait(PATIENCE)).map_err(Raised::from)? {
                Turn::Part(part) => return Ok(Some(Part(part))),
                Turn::End => return Ok(None),
                Turn::Waiting => py.check_signals()?,
            }
        }
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_arguments))]
    fn __exit__(&self, py: Python<'_>, _arguments: &Bound<'_, PyTuple>) -> Result<(), Raised> {
        self.close(py)
    }
}

impl Drop for Stream {
    /// Python may let go of it at any time: the threads are waited for without the interpreter.
    fn drop(&mut self) {
        let stream = self.0.take();
        Python::attach(|py| py.detach(|| drop(stream)));
    }
}

/// What a finished stream was.
#[pyclass(frozen, get_all, module = "snapcore")]
pub(crate) struct Summary {
    size: u64,
    md5: Option<String>,
    sha256: Option<String>,
    parts: u64,
    source_size: u64,
    bytes_read: u64,
    crc32: Option<u32>,
}

impl Summary {
    fn new(summary: &snapcore::Summary) -> Self {
        Self {
            size: summary.size,
            md5: summary.md5.as_ref().map(|sum| hex(sum)),
            sha256: summary.sha256.as_ref().map(|sum| hex(sum)),
            parts: summary.parts,
            source_size: summary.source_size,
            bytes_read: summary.bytes_read,
            crc32: summary.crc32,
        }
    }
}

#[pymethods]
impl Summary {
    fn __repr__(&self) -> String {
        let md5 = self.md5.as_deref().unwrap_or("hashes not known");
        format!("<Summary of {} bytes in {} parts, {md5}>", self.size, self.parts)
    }
}
