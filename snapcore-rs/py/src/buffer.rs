//! A part's bytes through Python's buffer protocol, without a copy: the one module of the bindings
//! with `unsafe`.

use std::ffi::c_int;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Fills `view` with the read-only bytes of `bytes`, which belong to `owner`.
///
/// # Safety `view` is null or valid for writes, as the interpreter passes it to `bf_getbuffer`.
/// `bytes` stay where they are, unchanged, for as long as `owner` lives.
pub(crate) unsafe fn fill(
    owner: &Bound<'_, PyAny>,
    bytes: &[u8],
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("There is no view to fill."));
    }
    let length = ffi::Py_ssize_t::try_from(bytes.len())?;
    // SAFETY: view is valid by this function's contract. PyBuffer_FillInfo refuses writable views
    // (readonly = 1), so the pointer is only read through; it takes a reference to owner, which
    // keeps the bytes until the view is released.
    let code = unsafe {
        ffi::PyBuffer_FillInfo(
            view,
            owner.as_ptr(),
            bytes.as_ptr().cast_mut().cast(),
            length,
            1,
            flags,
        )
    };
    if code == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
}
