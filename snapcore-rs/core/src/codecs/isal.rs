//! ISA-L, the one module of this crate with `unsafe`: calls through `isal_shim.c` into C.
//!
//! The C side keeps no pointer after a call returns and its structs hold plain bytes and pointers
//! into themselves or into the call's buffers, so both structs are memory that Rust owns, aligned
//! to 64 and freed as usual.

use crate::error::{Error, Result};

use super::Step;
use place::Place;

mod place;

/// ISA-L takes lengths as 32 bits; frames and parts are far below.
const MOST: usize = 1 << 30;

unsafe extern "C" {
    safe fn snapcore_isal_deflate_size() -> usize;
    safe fn snapcore_isal_inflate_size() -> usize;
    fn snapcore_isal_deflate(
        memory: *mut u8,
        input: *const u8,
        input_length: u32,
        out: *mut u8,
        capacity: u32,
        window_bits: u32,
    ) -> i64;
    fn snapcore_isal_inflate_begin(memory: *mut u8);
    fn snapcore_isal_inflate(
        memory: *mut u8,
        input: *const u8,
        input_length: *mut u32,
        out: *mut u8,
        out_length: *mut u32,
    ) -> i32;
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Memory for a C struct, zeroed, aligned beyond what any C type asks for.
#[derive(Debug)]
struct Memory(Box<[Line]>);

impl Memory {
    fn new(size: usize) -> Self {
        Self(vec![Line([0; 64]); size.div_ceil(64)].into_boxed_slice())
    }

    fn pointer(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

#[derive(Debug)]
pub(super) struct Deflater {
    place: Place,
    window_bits: u32,
}

impl Deflater {
    pub(super) fn new(window_bits: u8) -> Result<Self> {
        let place = Place::new(snapcore_isal_deflate_size())?;
        Ok(Self { place, window_bits: u32::from(window_bits) })
    }

    /// The compressed length, or None if it does not fit into `out`.
    pub(super) fn compress(&mut self, frame: &[u8], out: &mut [u8]) -> Result<Option<usize>> {
        // STATELESS_OVERFLOW in igzip_lib.h
        const OVERFLOW: i64 = -1;
        let (input_length, capacity) = (length(frame.len())?, length(out.len())?);
        // SAFETY: the memory has the size the C side asked for and 64-byte alignment; input and
        // output are valid for the lengths given with them, cannot overlap (one is shared, the
        // other exclusive), and no pointer outlives the call.
        let code = unsafe {
            snapcore_isal_deflate(
                self.place.pointer(),
                frame.as_ptr(),
                input_length,
                out.as_mut_ptr(),
                capacity,
                self.window_bits,
            )
        };
        match usize::try_from(code) {
            Ok(written) if written <= out.len() => Ok(Some(written)),
            Err(_) if code == OVERFLOW => Ok(None),
            _ => Err(Error::internal(format!("ISA-L could not compress a frame (code {code})."))),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inflater(Memory);

impl Inflater {
    #[allow(clippy::unnecessary_wraps)] // as the other constructors of codecs
    pub(super) fn new() -> Result<Self> {
        let mut memory = Memory::new(snapcore_isal_inflate_size());
        // SAFETY: the memory has the size the C side asked for and 64-byte alignment.
        unsafe { snapcore_isal_inflate_begin(memory.pointer()) };
        Ok(Self(memory))
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step> {
        let mut read = length(input.len().min(MOST))?;
        let mut written = length(out.len().min(MOST))?;
        // SAFETY: the memory was initialised by `new` and holds no pointer that is used before this
        // call sets it anew; input and output are valid for the lengths given with them; no pointer
        // outlives the call's use of it.
        let code = unsafe {
            snapcore_isal_inflate(
                self.0.pointer(),
                input.as_ptr(),
                &raw mut read,
                out.as_mut_ptr(),
                &raw mut written,
            )
        };
        if code < 0 {
            return Err(Error::corrupt("The compressed data is damaged."));
        }
        Ok(Step { read: read as usize, written: written as usize, ended: code == 1 })
    }
}

fn length(bytes: usize) -> Result<u32> {
    u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MOST)
        .ok_or_else(|| Error::usage(format!("{bytes} bytes are too many for one call.")))
}
