//! Where bytes come from.
//!
//! A source gives exactly the bytes asked for or an error with the offset of the first byte that it
//! could not give: never fewer, never made up. Nothing is mapped into memory: a file that shrinks
//! under a mapping kills the process.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::extents::{self, ExtentKind, ExtentMap};

use direct::Direct;

mod direct;
mod joined;
mod pieces;
mod pipe;
mod stored;

pub use joined::Joined;
pub use pieces::Pieces;
pub use pipe::Pipe;
pub use stored::{Bytes, Fetch, Stored, StoredPart, frame_sizes};

/// Where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameEnd {
    /// The byte after its last.
    pub end: u64,
    /// Whether a part may end there.
    pub boundary: bool,
}

/// Bytes at rest that many threads read at once.
pub trait Source: Send + Sync {
    /// Bytes in all. Does not change.
    fn size(&self) -> u64;

    /// What is known of the bytes without reading them.
    fn extents(&self) -> Result<ExtentMap> {
        Ok(ExtentMap::all_data(self.size()))
    }

    /// Bytes of a logical sector.
    fn sector_size(&self) -> u32 {
        512
    }

    /// Whether what is read later is what is read now: a snapshot of a volume, a stored disk. False where
    /// somebody may be writing.
    fn is_point_in_time(&self) -> bool {
        false
    }

    /// Where the frame that begins at `at` ends: for a source whose bytes move when something before
    /// them changes, so that frames and parts can be cut by what is in them. At most [`FRAME_SIZE`]
    /// bytes; the same for the same bytes. None, always, for a source that is cut by the grid:
    /// frames at multiples of [`FRAME_SIZE`], parts at multiples of
    /// [`BOUNDARY`](crate::parts::BOUNDARY).
    ///
    /// [`FRAME_SIZE`]: crate::FRAME_SIZE
    fn frame_end(&self, at: u64) -> Option<FrameEnd> {
        let _ = at;
        None
    }

    /// Fills `buffer` from `offset`, or says at which byte that failed.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Called once all has been read: is the source still what it was?
    fn confirm(&self) -> Result<()> {
        Ok(())
    }
}

/// A regular file or block device, open for reading only.
#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
    size: u64,
    sector_size: u32,
    is_block_device: bool,
    is_point_in_time: bool,
}

impl Disk {
    /// Opens a disk. Refuses what is neither regular file nor block device, and what is empty.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        // NONBLOCK: a FIFO must be refused, not waited for. It means nothing to files and block
        // devices.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(|errno| {
                let reason = match errno {
                    Errno::NOENT | Errno::NOTDIR => "it does not exist".to_owned(),
                    Errno::ACCESS | Errno::PERM => "it may not be read".to_owned(),
                    Errno::NXIO | Errno::NODEV => "there is no device behind it".to_owned(),
                    other => reason(other),
                };
                Error::disk(path, format!("The disk {shown} cannot be opened: {reason}."))
                    .because(errno)
            })?;
        let kind = file
            .metadata()
            .map_err(|error| {
                Error::disk(path, format!("The disk {shown} cannot be opened: {error}."))
                    .because(error)
            })?
            .file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::disk(
                path,
                format!("{shown} is neither a regular file nor a block device."),
            ));
        }
        let mut disk = Self {
            file,
            path: path.to_owned(),
            size: 0,
            sector_size: 512,
            is_block_device: kind.is_block_device(),
            is_point_in_time: false,
        };
        disk.size = disk.measure()?;
        if disk.size == 0 {
            return Err(Error::disk(path, format!("The disk {shown} is empty.")));
        }
        if disk.is_block_device {
            disk.sector_size = rustix::fs::ioctl_blksszget(&disk.file).unwrap_or(512);
        }
        // Doubles the kernel's readahead; a refusal changes nothing but speed.
        let _ = rustix::fs::fadvise(&disk.file, 0, None, Advice::Sequential);
        Ok(disk)
    }

    /// Says that nobody writes to it until all of it was read.
    #[must_use]
    pub fn as_point_in_time(self) -> Self {
        Self { is_point_in_time: true, ..self }
    }

    /// As it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Data and holes as the file system tells them. A block device, and a file system that does
    /// not tell, are all data.
    fn data_and_holes(&self) -> Result<ExtentMap> {
        if self.is_block_device {
            return Ok(ExtentMap::all_data(self.size));
        }
        let mut builder = extents::Builder::new(extents::MOST_EXTENTS);
        while builder.end() < self.size {
            let at = builder.end();
            let data = match rustix::fs::seek(&self.file, SeekFrom::Data(at)) {
                Ok(data) => data.clamp(at, self.size),
                Err(Errno::NXIO) => self.size, // nothing but a hole up to the end
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(ExtentMap::all_data(self.size)),
                Err(errno) => return Err(self.failed(at, errno)),
            };
            builder.push(data - at, ExtentKind::Zero);
            if data == self.size {
                break;
            }
            let hole = match rustix::fs::seek(&self.file, SeekFrom::Hole(data)) {
                // Whoever frees the block between the two questions could make this stand still: at
                // least a sector is taken as data.
                Ok(hole) => hole.max(data.saturating_add(512)).min(self.size),
                Err(Errno::NXIO) => self.size,
                Err(errno) => return Err(self.failed(data, errno)),
            };
            builder.push(hole - data, ExtentKind::Data);
        }
        Ok(builder.finish())
    }

    fn measure(&self) -> Result<u64> {
        rustix::fs::seek(&self.file, SeekFrom::End(0)).map_err(|errno| {
            Error::disk(
                &self.path,
                format!(
                    "The size of the disk {} cannot be told: {}.",
                    self.path.display(),
                    reason(errno)
                ),
            )
            .because(errno)
        })
    }

    fn failed(&self, offset: u64, errno: Errno) -> Error {
        let sentence =
            format!("The disk {} failed at byte {offset}: {}.", self.path.display(), reason(errno));
        Error::disk_at(&self.path, offset, sentence).because(errno)
    }

    fn shrank(&self, end: u64) -> Error {
        let sentence = format!(
            "The disk {} shrank while it was read: it ends at byte {end} of {}.",
            self.path.display(),
            self.size
        );
        Error::disk_at(&self.path, end, sentence)
    }
}

impl Source for Disk {
    fn is_point_in_time(&self) -> bool {
        self.is_point_in_time
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn extents(&self) -> Result<ExtentMap> {
        self.data_and_holes()
    }

    /// 512 for a file.
    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        let mut direct = None;
        while done < buffer.len() {
            let at = offset + done as u64;
            let rest = &mut buffer[done..];
            let read = match &mut direct {
                None => rustix::io::pread(&self.file, rest, at),
                Some(direct) => Direct::read(direct, at, rest),
            };
            match read {
                Ok(0) => return Err(self.shrank(at)),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let again = if errno == Errno::IO && direct.is_none() {
                        Direct::open(&self.file)
                    } else {
                        None
                    };
                    if again.is_none() {
                        return Err(self.failed(at, errno));
                    }
                    direct = again;
                }
            }
        }
        Ok(())
    }

    /// Also tells a file that lost nothing but holes, which nobody reads.
    fn confirm(&self) -> Result<()> {
        let size = self.measure()?;
        if size < self.size { Err(self.shrank(size)) } else { Ok(()) }
    }
}

/// "no such file" rather than "No such file or directory (os error 2)".
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::io::{Seek, Write};

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn reads_what_is_there() {
        let file = file(b"0123456789");
        let disk = Disk::open(file.path()).unwrap();
        assert_eq!((disk.size(), disk.sector_size()), (10, 512));
        let mut buffer = [0; 4];
        disk.read(3, &mut buffer).unwrap();
        assert_eq!(&buffer, b"3456");
    }

    #[test]
    fn refuses_what_is_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let empty = file(b"");
        for (path, words) in [
            (folder.path(), "neither a regular file nor a block device"),
            (Path::new("/dev/zero"), "neither a regular file nor a block device"),
            (missing.as_path(), "does not exist"),
            (empty.path(), "is empty"),
        ] {
            let error = Disk::open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Disk, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.path(), Some(path));
        }
    }

    #[test]
    fn does_not_wait_for_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        assert!(Disk::open(&path).unwrap_err().to_string().contains("neither"));
    }

    #[test]
    fn tells_where_a_shrunken_disk_ends() {
        let file = file(&[7; 10_000]);
        let disk = Disk::open(file.path()).unwrap();
        file.as_file().set_len(6000).unwrap();
        let error = disk.read(4096, &mut [0; 4096]).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Disk, Some(6000)));
        assert_eq!(disk.confirm().unwrap_err().offset(), Some(6000));
    }

    #[test]
    fn data_right_before_the_end_is_found() {
        for size in [1, 7, 511, 512, 513, 5000] {
            let file = file(&vec![1; size]);
            let map = Disk::open(file.path()).unwrap().extents().unwrap();
            assert_eq!((map.size(), map.data_bytes()), (size as u64, size as u64));
        }
    }

    #[test]
    fn finds_the_holes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        file.seek(std::io::SeekFrom::Start(16 << 20)).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        let map = Disk::open(file.path()).unwrap().extents().unwrap();
        assert_eq!(map.size(), 64 << 20);
        assert!(map.data_in(0..64 << 20).eq(std::iter::once(16 << 20..17 << 20)));
    }
}
