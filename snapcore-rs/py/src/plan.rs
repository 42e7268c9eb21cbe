//! `Plan`, `Extent`, `Partition` and `LogicalVolume`.

use pyo3::prelude::*;
use snapcore::ExtentKind;
use snapcore::error::guard;
use snapcore::formats::vhd::Identity;
use snapcore::formats::vmdk::{Adapter, Description};

use crate::errors::{Result, codec};
use crate::stream::Stream;

/// The controller of that name.
pub(crate) fn adapter(name: &str) -> Result<Adapter> {
    match name {
        "ide" => Ok(Adapter::Ide),
        "lsilogic" => Ok(Adapter::LsiLogic),
        other => Err(snapcore::Error::usage(format!("There is no adapter {other:?}.")).into()),
    }
}

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

/// What is in a partition or a logical volume.
#[pyclass(frozen, get_all, module = "snapcore")]
pub(crate) struct Partition {
    number: u32,
    start: u64,
    length: u64,
    type_id: String,
    name: String,
    bootable: bool,
    file_system: String,
    label: String,
    uuid: String,
    block_size: u32,
    used_bytes: Option<u64>,
    unused_bytes: u64,
    reason: Option<String>,
    volumes: Vec<Py<LogicalVolume>>,
}

impl Partition {
    fn new(py: Python<'_>, partition: &snapcore::layout::Partition) -> PyResult<Self> {
        let snapcore::layout::Partition { entry, content, group, volumes } = partition.clone();
        let volumes = volumes.into_iter().map(|volume| {
            let content = volume.content;
            Py::new(
                py,
                LogicalVolume {
                    group: group.clone(),
                    name: volume.name,
                    start: volume.start,
                    length: volume.length,
                    file_system: content.file_system,
                    label: content.label,
                    uuid: content.uuid,
                    block_size: content.block_size,
                    used_bytes: content.used_bytes,
                    unused_bytes: content.unused_bytes,
                    reason: content.reason,
                },
            )
        });
        Ok(Self {
            number: entry.number,
            start: entry.start,
            length: entry.length,
            type_id: entry.type_id,
            name: entry.name,
            bootable: entry.bootable,
            file_system: content.file_system,
            label: content.label,
            uuid: content.uuid,
            block_size: content.block_size,
            used_bytes: content.used_bytes,
            unused_bytes: content.unused_bytes,
            reason: content.reason,
            volumes: volumes.collect::<PyResult<_>>()?,
        })
    }
}

#[pymethods]
impl Partition {
    fn __repr__(&self) -> String {
        format!(
            "<Partition {} at {} of {} bytes, {:?}>",
            self.number, self.start, self.length, self.file_system
        )
    }
}

/// A logical volume of LVM in a partition.
#[pyclass(frozen, get_all, module = "snapcore")]
pub(crate) struct LogicalVolume {
    group: String,
    name: String,
    start: Option<u64>,
    length: u64,
    file_system: String,
    label: String,
    uuid: String,
    block_size: u32,
    used_bytes: Option<u64>,
    unused_bytes: u64,
    reason: Option<String>,
}

#[pymethods]
impl LogicalVolume {
    fn __repr__(&self) -> String {
        format!(
            "<LogicalVolume {}/{} of {} bytes, {:?}>",
            self.group, self.name, self.length, self.file_system
        )
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
    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<Partition>> {
        let partitions = self.0.layout().map_or(&[][..], |layout| &layout.partitions);
        partitions.iter().map(|partition| Partition::new(py, partition)).collect()
    }

    #[getter]
    fn partition_table(&self) -> Option<&'static str> {
        self.0.layout().map(|layout| layout.table.name())
    }

    #[getter]
    fn reason(&self) -> Option<String> {
        self.0.layout().and_then(|layout| layout.trouble.clone())
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

    #[pyo3(signature = (*, name, cid, adapter = "lsilogic", threads = None, codec = None))]
    fn vmdk(
        &self,
        py: Python<'_>,
        name: String,
        cid: u32,
        adapter: &str,
        threads: Option<usize>,
        codec: Option<&str>,
    ) -> Result<Stream> {
        let codec = self::codec(codec)?;
        let adapter = self::adapter(adapter)?;
        let description = Description { name, cid, adapter };
        Ok(Stream::new(py.detach(|| guard(|| self.0.vmdk(description, codec, threads)))?))
    }

    #[pyo3(signature = (*, unique_id, created, fixed = false, threads = None))]
    fn vhd(
        &self,
        py: Python<'_>,
        unique_id: [u8; 16],
        created: u32,
        fixed: bool,
        threads: Option<usize>,
    ) -> Result<Stream> {
        let identity = Identity { unique_id, created };
        Ok(Stream::new(py.detach(|| guard(|| self.0.vhd(identity, fixed, threads)))?))
    }

    #[pyo3(signature = (*, threads = None, codec = None))]
    fn qcow2(&self, py: Python<'_>, threads: Option<usize>, codec: Option<&str>) -> Result<Stream> {
        let codec = self::codec(codec)?;
        Ok(Stream::new(py.detach(|| guard(|| self.0.qcow2(codec, threads)))?))
    }

    #[pyo3(signature = (*, unique_id, threads = None))]
    fn vhdx(&self, py: Python<'_>, unique_id: [u8; 16], threads: Option<usize>) -> Result<Stream> {
        Ok(Stream::new(py.detach(|| guard(|| self.0.vhdx(unique_id, threads)))?))
    }

    #[pyo3(signature = (ranges, *, gzip, threads = None, codec = None))]
    #[allow(clippy::needless_pass_by_value)] // as Python gives it
    fn pieces(
        &self,
        py: Python<'_>,
        ranges: Vec<(u64, u64)>,
        gzip: bool,
        threads: Option<usize>,
        codec: Option<&str>,
    ) -> Result<Stream> {
        let codec = self::codec(codec)?;
        let start = || guard(|| self.0.pieces(&ranges, gzip, codec, threads));
        Ok(Stream::new(py.detach(start)?))
    }

    #[pyo3(signature = (*, partition, threads = None, codec = None))]
    fn ntfsclone(
        &self,
        py: Python<'_>,
        partition: u32,
        threads: Option<usize>,
        codec: Option<&str>,
    ) -> Result<Stream> {
        let codec = self::codec(codec)?;
        Ok(Stream::new(py.detach(|| self.0.ntfsclone(partition, codec, threads))?))
    }
}
