//! Deflate, frame by frame.
//!
//! A compressed frame is a run of raw deflate blocks (RFC 1951) of which none is final, that ends
//! on a byte and looks back at nothing before it: frames can be put behind one another and each
//! decodes alone. The same frame gives the same bytes from the same codec, whatever it compressed
//! before. It is never larger than [`most_compressed`]: what does not shrink is stored.
//!
//! Two codecs stand behind one interface: ISA-L, where it was found at build time, and zlib-rs,
//! which is always there. Either reads what the other wrote.

#[cfg(isal)]
#[allow(unsafe_code)] // the one place: calls into C
mod isal;
mod zero_frame;
mod zlib_rs;

pub use zero_frame::zero_frame;

use crate::error::{Error, Result};

/// A final block that holds nothing: what turns a run of frames into a whole deflate stream.
pub const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// Deflate's own window: 32 KiB.
pub const WINDOW_BITS: u8 = 15;

const MOST_STORED: usize = 65_535; // a stored block's length has 16 bits
const STORED_HEADER: usize = 5;

/// The deflate codecs of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Intel's ISA-L at level 1, through the system's library.
    Isal,
    /// zlib-rs, pure Rust, on every machine.
    ZlibRs,
}

impl Codec {
    /// The fastest one of this build.
    pub const DEFAULT: Self = if cfg!(isal) { Self::Isal } else { Self::ZlibRs };

    /// All of this build, the default first.
    pub const ALL: &[Self] = if cfg!(isal) { &[Self::Isal, Self::ZlibRs] } else { &[Self::ZlibRs] };

    /// As shown to people: `isa-l`, `zlib-rs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Isal => "isa-l",
            Self::ZlibRs => "zlib-rs",
        }
    }

    /// A compressor, to be kept by one thread. Memory: about 1.2 MiB (ISA-L), 0.3 MiB (zlib-rs).
    pub fn deflater(self) -> Result<Deflater> {
        self.deflater_within(WINDOW_BITS)
    }

    /// One whose frames look back at most 2^`window_bits` bytes, from 9 to [`WINDOW_BITS`].
    pub fn deflater_within(self, window_bits: u8) -> Result<Deflater> {
        Ok(Deflater(match self {
            #[cfg(isal)]
            Self::Isal => Deflate::Isal(isal::Deflater::new(window_bits)?),
            #[cfg(not(isal))]
            Self::Isal => return Err(Error::usage("This build of snapcore has no ISA-L.")),
            Self::ZlibRs => Deflate::ZlibRs(zlib_rs::Deflater::new(window_bits)),
        }))
    }

    /// A decompressor for one run of frames.
    pub fn inflater(self) -> Result<Inflater> {
        Ok(Inflater(match self {
            #[cfg(isal)]
            Self::Isal => Inflate::Isal(isal::Inflater::new()?),
            #[cfg(not(isal))]
            Self::Isal => return Err(Error::usage("This build of snapcore has no ISA-L.")),
            Self::ZlibRs => Inflate::ZlibRs(zlib_rs::Inflater::new()),
        }))
    }
}

/// The most bytes that a frame of `length` bytes can take compressed: its stored form.
pub const fn most_compressed(length: usize) -> usize {
    length + STORED_HEADER * length.div_ceil(MOST_STORED)
}

/// A compressed frame in a buffer that is used again and again.
///
/// The buffer stays filled beyond the frame: clearing a megabyte for each frame would cost 2 % of
/// compressing it.
#[derive(Debug, Default)]
pub struct Compressed {
    buffer: Vec<u8>,
    length: usize,
}

impl Compressed {
    /// The frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends bytes as they are.
    pub fn append(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Takes the first `length` bytes of a buffer with the buffer, and gives its own for it.
    pub fn exchange(&mut self, buffer: &mut Vec<u8>, length: usize) {
        let size = buffer.len();
        std::mem::swap(&mut self.buffer, buffer);
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        self.length = length.min(size);
    }

    /// The next `length` bytes behind the frame's end, whatever they hold.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.length + length;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.length..end]
    }
}

/// Compresses frames.
#[derive(Debug)]
pub struct Deflater(Deflate);

#[derive(Debug)]
enum Deflate {
    #[cfg(isal)]
    Isal(isal::Deflater),
    ZlibRs(zlib_rs::Deflater),
}

impl Deflater {
    /// Replaces what `out` holds with the compressed frame.
    pub fn compress(&mut self, frame: &[u8], out: &mut Compressed) -> Result<()> {
        out.clear();
        self.append(frame, out)
    }

    /// Appends the compressed frame to what `out` holds.
    pub fn append(&mut self, frame: &[u8], out: &mut Compressed) -> Result<()> {
        let room = out.room(most_compressed(frame.len()));
        let fitted = match &mut self.0 {
            #[cfg(isal)]
            Deflate::Isal(codec) => codec.compress(frame, room)?,
            Deflate::ZlibRs(codec) => codec.compress(frame, room)?,
        };
        out.length += fitted.unwrap_or_else(|| store(frame, room));
        Ok(())
    }
}

/// Writes stored blocks and gives their length; `out` has [`most_compressed`] room.
fn store(frame: &[u8], out: &mut [u8]) -> usize {
    let mut end = 0;
    for block in frame.chunks(MOST_STORED) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out[end] = 0; // not final, stored, padding
        out[end + 1..end + 3].copy_from_slice(&length.to_le_bytes());
        out[end + 3..end + STORED_HEADER].copy_from_slice(&(!length).to_le_bytes());
        out[end + STORED_HEADER..][..block.len()].copy_from_slice(block);
        end += STORED_HEADER + block.len();
    }
    end
}

/// What one step of a decompressor did.
#[derive(Clone, Copy, Debug)]
struct Step {
    read: usize,
    written: usize,
    /// The final block was read.
    ended: bool,
}

/// Decompresses a run of frames, at most as many bytes as it is asked for.
#[derive(Debug)]
pub struct Inflater(Inflate);

#[derive(Debug)]
enum Inflate {
    #[cfg(isal)]
    Isal(isal::Inflater),
    ZlibRs(zlib_rs::Inflater),
}

impl Inflater {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step> {
        match &mut self.0 {
            #[cfg(isal)]
            Inflate::Isal(codec) => codec.step(input, out),
            Inflate::ZlibRs(codec) => codec.step(input, out),
        }
    }

    /// Fills `out` from `input`, and gives the bytes of `input` that it took. Too little or a final
    /// block is [`ErrorKind::Corrupt`].
    ///
    /// [`ErrorKind::Corrupt`]: crate::ErrorKind::Corrupt
    pub fn fill(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let (mut read, mut written) = (0, 0);
        while written < out.len() {
            let step = self.step(&input[read..], &mut out[written..])?;
            read += step.read;
            written += step.written;
            if step.ended || (step.read == 0 && step.written == 0) {
                break;
            }
        }
        if written == out.len() {
            Ok(read)
        } else {
            Err(Error::corrupt("The compressed data ends too early."))
        }
    }

    /// Makes sure that `input`, the rest of a run of frames, holds nothing more and ends where a
    /// frame ends.
    pub fn end(mut self, input: &[u8]) -> Result<()> {
        if self.drain(input)? {
            return Err(Error::corrupt("The compressed data has a final block inside a frame."));
        }
        // Only at the end of a block does a final block end the stream.
        if self.drain(&FINAL_BLOCK)? {
            Ok(())
        } else {
            Err(Error::corrupt("The compressed data ends in the middle of a block."))
        }
    }

    /// Reads all of `input`, which must not decode to anything. True if its last byte ended the
    /// stream.
    fn drain(&mut self, input: &[u8]) -> Result<bool> {
        let mut read = 0;
        while read < input.len() {
            let step = self.step(&input[read..], &mut [0])?;
            read += step.read;
            if step.written > 0 || (step.read == 0 && !step.ended) {
                return Err(Error::corrupt("The compressed data holds more than it should."));
            }
            if step.ended {
                return if read == input.len() {
                    Ok(true)
                } else {
                    Err(Error::corrupt("There are bytes behind the end of the compressed data."))
                };
            }
        }
        Ok(false)
    }
}

/// Decodes one frame, which has to hold exactly `length` bytes and nothing behind them.
pub fn inflate(codec: Codec, frame: &[u8], length: usize) -> Result<Vec<u8>> {
    let mut out = vec![0; length];
    let mut inflater = codec.inflater()?;
    let read = inflater.fill(frame, &mut out)?;
    inflater.end(&frame[read..])?;
    Ok(out)
}
