//! Disks into streams of parts.
//!
//! What must always hold:
//! - The same bytes of a disk give the same bytes of a stream, whatever the number of threads and
//!   their timing.
//! - No byte of a disk is ever made up: what could not be read ends the stream with an error that
//!   names the offset.
//! - Memory is bounded by the depth of the queues, whatever the disk ([`pipeline`] has the sum).
//! - A frame decodes alone; a part ends by the rule in [`parts`], which depends on nothing but the
//!   bytes.
//!
//! The way of a byte: [`source`] reads it, as far as [`extents`] says that there is something to read ([`layout`] knows from
//! [`partitions`], [`lvm`] and [`filesystems`] what is surely free); a
//! worker of the [`pipeline`] compresses its frame with a codec of [`codecs`]; a writer of [`formats`] puts
//! the frame into the current part of [`parts`]; [`digests`] hash the part and the whole file; the caller
//! takes the part from a [`Stream`]. A format is a writer behind [`formats::Format`]; everything else is
//! shared by all of them.

pub mod checksum;
pub mod codecs;
pub mod digests;
pub mod error;
pub mod extents;
pub mod filesystems;
pub mod formats;
pub mod layout;
pub mod lvm;
pub mod partitions;
pub mod parts;
pub mod pipeline;
pub mod plan;
pub mod source;
pub mod zeros;

pub use error::{Error, ErrorKind, Result};
pub use extents::{Extent, ExtentKind};
pub use parts::{FrameEntry, Part};
pub use pipeline::{Stream, Summary};
pub use plan::Plan;
pub use source::Disk;

/// Bytes of the source in a frame, the unit of compression and of random access.
///
/// Every frame but a disk's last has this size.
pub const FRAME_SIZE: usize = 1 << 20;
