//! The core's one error becomes an exception of the tree in `snapcore.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use snapcore::ErrorKind;

/// An error of the core on its way to Python.
pub(crate) struct Raised(snapcore::Error);

impl From<snapcore::Error> for Raised {
    fn from(error: snapcore::Error) -> Self {
        Self(error)
    }
}

impl From<Raised> for PyErr {
    fn from(Raised(error): Raised) -> Self {
        Python::attach(|py| exception(py, &error).unwrap_or_else(|failure| failure))
    }
}

/// With the path and the offset where the exception has them, and the cause in the core's words as
/// a note.
fn exception(py: Python<'_>, error: &snapcore::Error) -> PyResult<PyErr> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || py.import("snapcore.errors").map(Bound::unbind))?.bind(py);
    let class =
        |name: &str| -> PyResult<Bound<'_, PyType>> { Ok(module.getattr(name)?.cast_into()?) };
    // What a caller's own function raised on the way, the caller gets.
    let cause = std::error::Error::source(error);
    if let Some(raised) = cause.and_then(|cause| cause.downcast_ref::<PyErr>()) {
        return Ok(raised.clone_ref(py));
    }
    let sentence = error.to_string();
    let raised = match error.kind() {
        ErrorKind::Disk => {
            let path = error.path().map(|path| path.to_string_lossy().into_owned());
            PyErr::from_type(class("DiskError")?, (sentence, path, error.offset()))
        }
        ErrorKind::Cancelled => PyErr::from_type(class("Cancelled")?, sentence),
        ErrorKind::Corrupt => PyErr::from_type(class("CorruptFrame")?, sentence),
        ErrorKind::Usage => PyErr::from_type(class("UsageError")?, sentence),
        ErrorKind::Internal => PyErr::from_type(class("InternalError")?, sentence),
    };
    if let Some(cause) = std::error::Error::source(error) {
        raised.add_note(py, format!("Cause: {cause}"))?;
    }
    Ok(raised)
}

/// The core's result as one that Python calls can give.
pub(crate) type Result<T> = std::result::Result<T, Raised>;

/// Which codec a caller meant by its name; none means the build's default.
pub(crate) fn codec(name: Option<&str>) -> Result<snapcore::codecs::Codec> {
    use snapcore::codecs::Codec;
    let Some(name) = name else { return Ok(Codec::DEFAULT) };
    Codec::ALL.iter().copied().find(|codec| codec.name() == name).ok_or_else(|| {
        Raised(snapcore::Error::usage(format!(
            "This build of snapcore has no codec called {name:?}."
        )))
    })
}
