//! `ova`.

use pyo3::prelude::*;
use snapcore::error::guard;
use snapcore::formats::ova::Machine;
use snapcore::formats::vmdk::Description;

use crate::errors::{Result, codec};
use crate::plan::{Plan, adapter};
use crate::stream::Stream;

#[pyfunction]
#[pyo3(signature = (disks, *, name, ovf, modified, adapter = "lsilogic", threads = None, codec = None))]
#[allow(clippy::too_many_arguments)] // as Python gives them
pub(crate) fn ova(
    py: Python<'_>,
    disks: Vec<(PyRef<'_, Plan>, u32)>,
    name: String,
    ovf: Vec<u8>,
    modified: u64,
    adapter: &str,
    threads: Option<usize>,
    codec: Option<&str>,
) -> Result<Stream> {
    let codec = self::codec(codec)?;
    let adapter = self::adapter(adapter)?;
    let machine = Machine { name, ovf, modified };
    let disks: Vec<_> = disks
        .into_iter()
        .map(|(plan, cid)| (plan.0.clone(), Description { name: String::new(), cid, adapter }))
        .collect();
    let start = || guard(|| snapcore::plan::ova(machine, disks, codec, threads));
    Ok(Stream::new(py.detach(start)?))
}
