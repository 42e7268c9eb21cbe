//! `Plan` and `Extent`.

use pyo3::prelude::*;
use pyo3::types::PyList;
use snapcore::ExtentKind;
use snapcore::error::guard;

use crate::errors::{Result, codec};
use crate::stream::Stream;

/// A run of bytes of a disk that are all data, zeros or unused.
#[pyclass(frozen, eq, hash, module = "snapcore")]
#[derive(PartialEq, Hash)]
pub(crate) struct Extent {
    #[pyo3(get)]
    start: u64,
    #[pyo3(get)]
    length: u64,
    #[pyo3(get)]
    kind: &'static str,
}

#[pymethods]
impl Extent {
    fn __repr__(&self) -> String {
        format!("Extent(start={}, length={}, kind='{}')", self.start, self.length, self.kind)
    }
}

/// What is to be read of a disk.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct Plan(pub(crate) snapcore::Plan);

#[pymethods]
impl Plan {
    #[getter]
    fn size(&self) -> u64 {
        self.0.extents().size()
    }

    #[getter]
    fn bytes_to_read(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.extents().data_bytes())
    }

    #[getter]
    fn extents(&self) -> Vec<Extent> {
        self.0
            .extents()
            .as_slice()
            .iter()
            .map(|extent| Extent {
                start: extent.start,
                length: extent.length,
                kind: match extent.kind {
                    ExtentKind::Data => "data",
                    ExtentKind::Zero => "zero",
                    ExtentKind::Unused => "unused",
                },
            })
            .collect()
    }

    #[getter]
    #[allow(clippy::unused_self)] // no partition table is read yet
    fn partitions<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        PyList::empty(py)
    }

    #[pyo3(signature = (*, threads = None, codec = None))]
    fn raw_gzip(
        &self,
        py: Python<'_>,
        threads: Option<usize>,
        codec: Option<&str>,
    ) -> Result<Stream> {
        let codec = self::codec(codec)?;
        Ok(Stream::new(py.detach(|| guard(|| self.0.raw_gzip(codec, threads)))?))
    }
}
