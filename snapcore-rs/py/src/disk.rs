//! `Disk`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use snapcore::error::guard;
use snapcore::source::Source;

use crate::errors::Result;
use crate::plan::Plan;

/// A regular file or block device, open for reading only.
#[pyclass(frozen, module = "snapcore")]
pub(crate) struct Disk {
    /// None once closed. Streams hold their own.
    opened: Mutex<Option<Arc<snapcore::Disk>>>,
    path: PathBuf,
    size: u64,
    sector_size: u32,
}

impl Disk {
    fn open(&self) -> Result<Arc<snapcore::Disk>> {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| snapcore::Error::usage("The disk is closed.").into())
    }
}

#[pymethods]
impl Disk {
    #[new]
    #[pyo3(signature = (path, *, point_in_time = false))]
    fn new(py: Python<'_>, path: PathBuf, point_in_time: bool) -> Result<Self> {
        let disk = py.detach(|| guard(|| snapcore::Disk::open(&path)))?;
        let disk = if point_in_time { disk.as_point_in_time() } else { disk };
        let (size, sector_size) = (disk.size(), disk.sector_size());
        Ok(Self { opened: Mutex::new(Some(Arc::new(disk))), path, size, sector_size })
    }

    #[getter]
    fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    #[getter]
    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    #[pyo3(signature = (*, skip_unused = true))]
    fn plan(&self, py: Python<'_>, skip_unused: bool) -> Result<Plan> {
        let disk = self.open()?;
        Ok(Plan(py.detach(|| guard(|| snapcore::Plan::new(disk, skip_unused)))?))
    }

    fn close(&self) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_arguments))]
    fn __exit__(&self, _arguments: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        format!("<Disk {} of {} bytes>", self.path.display(), self.size)
    }
}
