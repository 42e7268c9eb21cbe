//! `Part`.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyMemoryView, PyTuple};
use snapcore::digests::hex;
use snapcore::pipeline::HashedPart;

/// A run of frames, to be stored as one object.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct Part(pub(crate) HashedPart);

#[pymethods]
impl Part {
    #[getter]
    fn data<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(this)
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.part.bytes().len()
    }

    #[getter]
    fn md5(&self) -> String {
        hex(&self.0.md5)
    }

    #[getter]
    fn sha256(&self) -> String {
        hex(&self.0.sha256)
    }

    #[getter]
    fn position(&self) -> u64 {
        self.0.part.position()
    }

    #[getter]
    fn source_offset(&self) -> u64 {
        self.0.part.source_offset()
    }

    #[getter]
    fn source_length(&self) -> u64 {
        self.0.part.source_length()
    }

    #[getter]
    fn zero(&self) -> bool {
        self.0.part.is_zero()
    }

    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let frames = self.0.part.frames().iter();
        let rows =
            frames.map(|frame| PyTuple::new(py, [frame.offset, frame.length, frame.source_length]));
        PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)
    }

    /// As Python 3.12 gives it to every buffer; here for 3.11 too, where the type stub promises it.
    fn __buffer__<'py>(
        this: &Bound<'py, Self>,
        _flags: c_int,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(this)
    }

    fn __len__(&self) -> usize {
        self.size()
    }

    fn __repr__(&self) -> String {
        format!("<Part {} of {} bytes, {}>", self.position(), self.size(), self.md5())
    }

    #[allow(unsafe_code)]
    unsafe fn __getbuffer__(
        this: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: the interpreter calls this as bf_getbuffer; the class is frozen and a part never
        // changes.
        unsafe { crate::buffer::fill(this.as_any(), this.get().0.part.bytes(), view, flags) }
    }
}
