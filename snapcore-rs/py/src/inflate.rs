//! Reading parts back.

use std::sync::{Mutex, PoisonError};

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snapcore::codecs;
use snapcore::error::guard;
use snapcore::formats::gzip;

use crate::errors::{Raised, codec};

/// One frame of a part; it has to hold exactly `source_length` bytes.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // PyO3 passes converted arguments by value
#[pyo3(signature = (data, source_length, *, codec = None))]
pub(crate) fn inflate<'py>(
    py: Python<'py>,
    data: PyBuffer<u8>,
    source_length: usize,
    codec: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let codec = self::codec(codec)?;
    let data = data.to_vec(py)?; // whoever holds the buffer may change it once the interpreter is let go
    if source_length > snapcore::FRAME_SIZE {
        let sentence =
            format!("A frame holds at most {} bytes, not {source_length}.", snapcore::FRAME_SIZE);
        return Err(Raised::from(snapcore::Error::corrupt(sentence)).into());
    }
    let frame = py
        .detach(|| guard(|| codecs::inflate(codec, &data, source_length)))
        .map_err(Raised::from)?;
    Ok(PyBytes::new(py, &frame))
}

/// Reads a whole part back, a frame at a time.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // PyO3 passes converted arguments by value
#[pyo3(signature = (data, source_length, *, first, last, codec = None))]
pub(crate) fn inflate_part(
    py: Python<'_>,
    data: PyBuffer<u8>,
    source_length: u64,
    first: bool,
    last: bool,
    codec: Option<&str>,
) -> PyResult<PartReader> {
    let codec = self::codec(codec)?;
    let data = data.to_vec(py)?;
    let reader =
        gzip::PartReader::new(codec, data, source_length, first, last).map_err(Raised::from)?;
    Ok(PartReader(Mutex::new(reader)))
}

/// The frames of a part, in order.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct PartReader(Mutex<gzip::PartReader<Vec<u8>>>);

#[pymethods]
impl PartReader {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let frame = py
            .detach(|| guard(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_frame()))
            .map_err(Raised::from)?;
        Ok(frame.map(|bytes| PyBytes::new(py, &bytes)))
    }
}
