//! snapcore as Python sees it: arguments are converted, the interpreter is let go, the core works,
//! errors are mapped.
//!
//! No call here reads, compresses, hashes or waits while it holds the interpreter.

#[allow(unsafe_code)] // Python's buffer protocol is a C struct
mod buffer;
mod disk;
mod errors;
mod inflate;
mod ova;
mod part;
mod pipe;
mod plan;
mod stored;
mod stream;

use pyo3::prelude::*;

#[pymodule]
mod _snapcore {
    #[pymodule_export]
    use crate::disk::Disk;
    #[pymodule_export]
    use crate::inflate::{PartReader, inflate, inflate_part};
    #[pymodule_export]
    use crate::ova::ova;
    #[pymodule_export]
    use crate::part::Part;
    #[pymodule_export]
    use crate::pipe::pipe;
    #[pymodule_export]
    use crate::plan::{Extent, LogicalVolume, Partition, Plan};
    #[pymodule_export]
    use crate::stored::Stored;
    #[pymodule_export]
    use crate::stream::{Stream, Summary};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let codecs: Vec<_> =
            snapcore::codecs::Codec::ALL.iter().map(|codec| codec.name()).collect();
        module.add("CODEC", snapcore::codecs::Codec::DEFAULT.name())?;
        module.add("CODECS", pyo3::types::PyTuple::new(module.py(), codecs)?)?;
        module.add("FRAME_SIZE", snapcore::FRAME_SIZE)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
