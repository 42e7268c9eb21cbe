//! The one error of this crate: what kind it is, one sentence that says what happened, and its
//! cause.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A disk is missing, is no disk, shrank, or could not be read.
    Disk,
    /// The stream was cancelled by its owner.
    Cancelled,
    /// Compressed bytes are not what they were said to be.
    Corrupt,
    /// The call makes no sense as it was made.
    Usage,
    /// A fault of this crate or of a library below it.
    Internal,
}

/// An error, cheap to clone because a stream gives it again to whoever asks next.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    sentence: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), path: None, offset: None, source: None }
    }

    /// A disk that cannot be used as a whole.
    pub fn disk(path: &Path, sentence: impl Into<String>) -> Self {
        Self { path: Some(path.to_owned()), ..Self::new(ErrorKind::Disk, sentence) }
    }

    /// A disk that failed at a byte.
    pub fn disk_at(path: &Path, offset: u64, sentence: impl Into<String>) -> Self {
        Self { offset: Some(offset), ..Self::disk(path, sentence) }
    }

    /// The stream's owner wanted it to end.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "The stream was cancelled.")
    }

    /// Compressed bytes do not decode to what they should.
    pub fn corrupt(sentence: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, sentence)
    }

    /// A call that makes no sense.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, sentence)
    }

    /// A fault that is not the caller's.
    pub fn internal(sentence: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, sentence)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(cause));
        self
    }

    /// What happened, to tell apart.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The disk's path, for [`ErrorKind::Disk`].
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The byte of the disk at which it failed, where there is one.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }
}

/// Makes an error of a panic. What `work` was changing must not be used again after one.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words =
            words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Error::internal(format!("snapcore panicked: {words}.")))
    })
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|cause| cause.as_ref() as &(dyn std::error::Error + 'static))
    }
}
