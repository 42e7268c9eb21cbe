//! `Stored`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use snapcore::codecs::Codec;
use snapcore::error::guard;
use snapcore::source::{Bytes, Stored as Source, StoredPart, frame_sizes};

use crate::errors::Result;
use crate::plan::Plan;

/// A disk that was stored as parts.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct Stored(Arc<Source>);

/// Offset, length, and packed sizes of frames.
type Part = (u64, u64, Option<Vec<u8>>);

#[pymethods]
impl Stored {
    #[new]
    fn new(size: u64, parts: Vec<Part>, fetch: Py<PyAny>) -> Result<Self> {
        let parts = parts
            .into_iter()
            .map(|(offset, length, frames)| {
                let frames = frames.map(|packed| frame_sizes(&packed)).transpose()?;
                Ok(StoredPart { offset, length, frames })
            })
            .collect::<snapcore::Result<_>>()?;
        let fetch = move |number: usize| {
            Python::attach(|py| {
                let bytes = fetch.call1(py, (number,))?;
                // Of `bytes` nothing is copied.
                Ok(Arc::new(bytes.extract::<PyBackedBytes>(py)?) as Bytes)
            })
            .map_err(|error: PyErr| {
                snapcore::Error::internal("A part of the snapshot could not be fetched.")
                    .because(error)
            })
        };
        Ok(Self(Arc::new(Source::new(size, parts, Codec::DEFAULT, Box::new(fetch))?)))
    }

    #[pyo3(signature = (*, skip_unused = true))]
    fn plan(&self, py: Python<'_>, skip_unused: bool) -> Result<Plan> {
        let source = Arc::clone(&self.0);
        Ok(Plan(py.detach(|| guard(|| snapcore::Plan::new(source, skip_unused)))?))
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}
