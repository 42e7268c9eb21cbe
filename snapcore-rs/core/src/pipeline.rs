//! From a source to parts, on several threads.
//!
//! ```text
//! workers (n)          assembler          MD5, SHA-256 (one thread each)      the caller
//! read, look for   →   frames into    →   of the part and of the whole    →   next()
//! zeros, encode        parts, in order    file, in order
//! ```
//! What must always hold:
//! - Order: workers take a frame and its place in the queue to the assembler in one step under one
//!   lock; the assembler waits for the oldest frame. Thus neither parts nor errors depend on
//!   timing: an error comes after all parts before it.
//! - Memory: at most [`PARTS`] parts with memory of their own, of [`MOST`](crate::parts::MOST) (51
//!   MiB; 68 where a format is bound by its hashes) are inside a stream; a caller who is slow stops
//!   the assembler, which stops the workers. Buffers of parts that the caller let go are kept up to
//!   [`BUFFERS`](crate::parts::BUFFERS) in all, 85 MiB. Each worker has one frame of source (1 MiB)
//!   and its encoder (1.2 MiB); at most 2n + 4 encoded frames of 1 MiB wait for the assembler. With 2
//!   workers 98 MiB at the very worst, two parts of the caller's included, half of that on data that
//!   compresses; with [`MOST_THREADS`] 158 MiB.
//! - End: every thread ends when the one it takes from or gives to has ended, so that an error, a
//!   panic, [`Stream::cancel`] or [`Stream::close`] anywhere ends them all; closing waits for them.
//!   No thread waits for another in both directions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::FRAME_SIZE;
use crate::codecs::Compressed;
use crate::digests::{Digest, Md5, Md5Sum, Sha256, Sha256Sum, md5};
use crate::error::{Error, ErrorKind, Result, guard};
use crate::extents::ExtentMap;
use crate::formats::{Encoded, Encoder, Format};
use crate::parts::{Cutter, Outlet, Part};
use crate::source::{Pipe, Source};
use crate::zeros::all_zero;

/// Parts inside a stream: one filled, one hashed, one waiting, or kept where a format holds room in its
/// first part. Measured on 2 cores, raw and qcow2 of the Debian disk: 3 and 4 take the same time (1.24 s,
/// 1.23 s). VHD, whose parts are hashed two at a time, needs three beside the one that is kept, and is
/// given one more ([`Format::HASH_BOUND`]): 1.10 s instead of 1.50 s.
pub const PARTS: usize = 3;
/// Parts that may wait for a hasher, or behind it. Only repeated ones, which take no memory, ever
/// come to more than [`PARTS`]: on a sparse disk the workers go on with the next data while the
/// zeros before it are being hashed. Measured on 1 TiB with 1 GiB of data in 64 places, 2 cores,
/// medians of five: 4 give 5.2 s, 256 give 5.1 s, 8 GiB with the same data take 3.1 s. A run of 16
/// such parts fits.
const QUEUE: usize = 32;
/// Bytes after which a sum of one part looks whether another has come.
const STEP: usize = 256 << 10;
/// Workers at most: the whole file's MD5 is sequential, and at 625 MB/s of output eight fill it.
pub const MOST_THREADS: usize = 16;

/// What a finished stream was.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Bytes of the file.
    pub size: u64,
    /// MD5 of the file; None where its front part came last.
    pub md5: Option<Md5Sum>,
    /// SHA-256 of the file; None where its front part came last.
    pub sha256: Option<Sha256Sum>,
    /// Parts in the file.
    pub parts: u64,
    /// Bytes of the disk, or of the pipe.
    pub source_size: u64,
    /// Bytes read of it.
    pub bytes_read: u64,
    /// CRC-32 of the disk's bytes, where the format has one.
    pub crc32: Option<u32>,
}

/// A part with its hashes.
#[derive(Clone, Debug)]
pub struct HashedPart {
    /// The part.
    pub part: Part,
    /// MD5 of its bytes.
    pub md5: Md5Sum,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Sum,
}

/// What all threads of a stream see.
#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// The first thing that went wrong.
    error: Mutex<Option<Error>>,
    source_done: AtomicU64,
    bytes_out: AtomicU64,
    bytes_read: AtomicU64,
}

impl Shared {
    fn fail(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// A panic in another thread is told by its own error; what the lock guards is whole at every
/// moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a stream that could not send has to say: nothing, whoever hung up has said it.
struct HungUp;

/// In the order of the source, for the assembler.
enum Piece<N> {
    /// And whether a part may end behind it.
    Frame(Receiver<Result<Work<N>>>, bool),
    Zeros(u64),
    End,
}

/// A frame that was read.
enum Work<N> {
    Data(Encoded<N>),
    Zeros(u64),
}

/// To a hasher, and from it.
enum Flow<P, E> {
    Part(P),
    End(E),
}

#[derive(Clone, Copy, Debug)]
struct Totals {
    parts: u64,
    source_size: u64,
    crc32: Option<u32>,
}

/// Starts the threads of a stream. `threads` workers, by default one a core.
pub fn start<F: Format>(
    source: Arc<dyn Source>,
    extents: Arc<ExtentMap>,
    format: F,
    threads: Option<usize>,
) -> Result<Stream> {
    let walk = Walk { next: 0, source, extents };
    start_from(Origin::Source(walk), format, threads)
}

/// As [`start`], of all that comes out of a pipe.
pub fn start_pipe<F: Format>(pipe: Pipe, format: F, threads: Option<usize>) -> Result<Stream> {
    start_from(Origin::Pipe(pipe), format, threads)
}

fn start_from<F: Format>(origin: Origin, format: F, threads: Option<usize>) -> Result<Stream> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match threads {
        Some(0) => return Err(Error::usage("A stream needs at least one thread.")),
        Some(count) => count.min(MOST_THREADS),
        None => cores.min(MOST_THREADS),
    };
    let shared = Arc::new(Shared::default());
    let (source, on_grid) = match &origin {
        Origin::Source(walk) => {
            (Some(Arc::clone(&walk.source)), walk.source.frame_end(0).is_none())
        }
        Origin::Pipe(_) => (None, false),
    };
    let encoders = (0..threads).map(|_| format.encoder()).collect::<Result<Vec<_>>>()?;

    let (pieces_in, pieces_out) = bounded(2 * threads + 4);
    let (spare_in, spare_out) = bounded(2 * threads + 4);
    // All that was sent to one hasher was sent to the other or is next: they never wait for each
    // other.
    let (to_md5, md5_from) = bounded(QUEUE);
    let (to_sha256, sha256_from) = bounded(QUEUE);
    let (md5_to, from_md5) = bounded(QUEUE);
    let (sha256_to, from_sha256) = bounded(QUEUE);
    let parts = PARTS + usize::from(F::HASH_BOUND);
    let (permit_back, permits) = bounded(parts);
    for _ in 0..parts {
        // There is room for exactly these.
        let _ = permit_back.send(());
    }

    let mut crew = Crew { shared: Arc::clone(&shared), handles: Vec::new() };
    let feed = Feed { origin, pieces: pieces_in, ended: false };
    let feed = Arc::new(Mutex::new(feed));
    for encoder in encoders {
        let worker = Worker {
            shared: Arc::clone(&shared),
            feed: Arc::clone(&feed),
            spare: spare_out.clone(),
        };
        crew.spawn("snap-frame", move || {
            worker.run(encoder);
            Ok(())
        })?;
    }
    drop(feed);
    let outlet = ToHashers { to_md5, to_sha256, permits, shared: Arc::clone(&shared) };
    let assembler = Assembler {
        source,
        on_grid,
        shared: Arc::clone(&shared),
        pieces: pieces_out,
        spare: spare_in,
    };
    crew.spawn("snap-parts", move || assembler.run(format, outlet))?;
    crew.spawn("snap-md5", move || {
        if F::OUT_OF_ORDER {
            hash_md5_of_parts(&md5_from, &md5_to);
        } else {
            hash_md5(&md5_from, &md5_to);
        }
        Ok(())
    })?;
    crew.spawn("snap-sha256", move || {
        hash_sha256(&sha256_from, &sha256_to, F::OUT_OF_ORDER);
        Ok(())
    })?;

    let ends = Ends { from_md5, from_sha256, permit_back };
    let state = State { ends: Some(ends), crew, outcome: None };
    Ok(Stream { shared, state: Mutex::new(state) })
}

/// Where the frames come from.
enum Origin {
    Source(Walk),
    Pipe(Pipe),
}

/// A source, and how far it is handed out.
struct Walk {
    next: u64,
    source: Arc<dyn Source>,
    extents: Arc<ExtentMap>,
}

/// Hands out the frames in order.
struct Feed<N> {
    origin: Origin,
    pieces: Sender<Piece<N>>,
    ended: bool,
}

/// A frame, and where to send it.
struct Job<N> {
    /// Where it is yet to be read; None where it was.
    from: Option<(Arc<dyn Source>, Arc<ExtentMap>, u64)>,
    length: usize,
    reply: Sender<Result<Work<N>>>,
}

/// What the walk of a source comes to next.
struct Stretch {
    /// Bytes of zeros before the frame.
    zeros: u64,
    /// The frame's place and length; none at the end.
    frame: Option<(u64, usize)>,
    boundary: bool,
}

impl Walk {
    /// The next frame with data, and the zeros before it.
    fn step(&mut self) -> Stretch {
        let size = self.extents.size();
        let frame_size = FRAME_SIZE as u64;
        let own = if self.next < size { self.source.frame_end(self.next) } else { None };
        let data = self.extents.next_data(self.next);
        let start = match own {
            Some(_) => self.next,
            None if data == size => size,
            None => data - data % frame_size,
        };
        let zeros = start.saturating_sub(self.next);
        self.next = start;
        if start == size {
            return Stretch { zeros, frame: None, boundary: false };
        }
        let (end, boundary) = own.map_or((start + frame_size, false), |own| {
            (own.end.clamp(start + 1, start + frame_size), own.boundary)
        });
        self.next = size.min(end);
        let length = usize::try_from(self.next - start).unwrap_or(FRAME_SIZE);
        Stretch { zeros, frame: Some((start, length)), boundary }
    }
}

impl<N> Feed<N> {
    /// The next frame with data; that of a pipe is read into `frame`. Runs of zeros before it go to
    /// the assembler by themselves, and so does an error of the pipe.
    fn take(
        &mut self,
        frame: &mut [u8],
        shared: &Shared,
    ) -> std::result::Result<Option<Job<N>>, HungUp> {
        if self.ended {
            return Ok(None);
        }
        let (found, boundary) = match &mut self.origin {
            Origin::Source(walk) => {
                let stretch = walk.step();
                if stretch.zeros > 0 {
                    self.pieces.send(Piece::Zeros(stretch.zeros)).map_err(|_| HungUp)?;
                }
                let from = |start| (Arc::clone(&walk.source), Arc::clone(&walk.extents), start);
                let found = stretch.frame.map(|(start, length)| (Some(from(start)), length));
                (found, stretch.boundary)
            }
            Origin::Pipe(pipe) => match pipe.read(frame, &shared.cancelled) {
                Ok(piece) => {
                    shared.bytes_read.fetch_add(piece.length as u64, Ordering::Relaxed);
                    ((piece.length > 0).then_some((None, piece.length)), piece.boundary)
                }
                Err(error) => {
                    self.ended = true;
                    let (reply, answer) = bounded(1);
                    self.pieces.send(Piece::Frame(answer, false)).map_err(|_| HungUp)?;
                    let _ = reply.send(Err(error)); // whoever hung up has told why
                    return Ok(None);
                }
            },
        };
        let Some((from, length)) = found else {
            self.ended = true;
            self.pieces.send(Piece::End).map_err(|_| HungUp)?;
            return Ok(None);
        };
        let (reply, answer) = bounded(1);
        self.pieces.send(Piece::Frame(answer, boundary)).map_err(|_| HungUp)?;
        Ok(Some(Job { from, length, reply }))
    }
}

struct Worker<N> {
    shared: Arc<Shared>,
    feed: Arc<Mutex<Feed<N>>>,
    spare: Receiver<Compressed>,
}

impl<N: Send + 'static> Worker<N> {
    fn run(self, mut encoder: impl Encoder<Note = N>) {
        let mut buffer = vec![0; FRAME_SIZE];
        while !self.shared.is_cancelled() {
            let job = match lock(&self.feed).take(&mut buffer, &self.shared) {
                Ok(Some(job)) => job,
                Ok(None) | Err(HungUp) => break,
            };
            let frame = &mut buffer[..job.length];
            let read = match job.from {
                Some((source, extents, start)) => self.read(&*source, &extents, start, frame),
                None => Ok(()),
            };
            let work = read.and_then(|()| self.encode(&mut encoder, &mut buffer, job.length));
            if job.reply.send(work).is_err() {
                break;
            }
        }
    }

    fn read(
        &self,
        source: &dyn Source,
        extents: &ExtentMap,
        start: u64,
        frame: &mut [u8],
    ) -> Result<()> {
        let mut filled = 0;
        for range in extents.data_in(start..start + frame.len() as u64) {
            let (from, to) = (place(range.start - start), place(range.end - start));
            frame[filled..from].fill(0);
            source.read(range.start, &mut frame[from..to])?;
            self.shared.bytes_read.fetch_add(range.end - range.start, Ordering::Relaxed);
            filled = to;
        }
        frame[filled..].fill(0);
        Ok(())
    }

    fn encode(
        &self,
        encoder: &mut impl Encoder<Note = N>,
        buffer: &mut Vec<u8>,
        length: usize,
    ) -> Result<Work<N>> {
        if all_zero(&buffer[..length]) {
            return Ok(Work::Zeros(length as u64));
        }
        let mut bytes = self.spare.try_recv().unwrap_or_default();
        let note = encoder.take(buffer, length, &mut bytes)?;
        let source_length =
            u32::try_from(length).map_err(|_| Error::internal("A frame is larger than 4 GiB."))?;
        Ok(Work::Data(Encoded { bytes, source_length, note }))
    }
}

/// Places inside a frame fit any address space.
fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

struct Assembler<N> {
    /// To be asked in the end; none of a pipe.
    source: Option<Arc<dyn Source>>,
    on_grid: bool,
    shared: Arc<Shared>,
    pieces: Receiver<Piece<N>>,
    spare: Sender<Compressed>,
}

impl<N: Send + 'static> Assembler<N> {
    fn run<F: Format<Note = N>>(self, mut format: F, outlet: ToHashers) -> Result<()> {
        let mut parts = Cutter::new(outlet, self.on_grid, F::INDEXED && self.on_grid);
        format.begin(&mut parts)?;
        loop {
            if self.shared.is_cancelled() {
                return Err(Error::cancelled());
            }
            // A queue that ends before its end: whoever broke it off has told why.
            match self.pieces.recv() {
                Ok(Piece::Frame(answer, boundary)) => match answer.recv() {
                    Ok(work) => {
                        match work? {
                            Work::Zeros(length) => format.zeros(length, &mut parts)?,
                            Work::Data(frame) => {
                                format.data(&frame, &mut parts)?;
                                // A spare buffer too many is let go.
                                let _ = self.spare.try_send(frame.bytes);
                            }
                        }
                        if boundary {
                            parts.boundary();
                        }
                    }
                    Err(_) => return Ok(()),
                },
                Ok(Piece::Zeros(length)) => format.zeros(length, &mut parts)?,
                Ok(Piece::End) => break,
                Err(_) => return Ok(()),
            }
        }
        if let Some(source) = &self.source {
            source.confirm()?;
        }
        format.end(&mut parts)?;
        let crc32 = format.crc32();
        parts.flush()?;
        let totals = Totals { parts: parts.parts(), source_size: parts.source_offset(), crc32 };
        parts.outlet().end(totals);
        Ok(())
    }
}

/// The assembler's way out.
struct ToHashers {
    to_md5: Sender<Flow<Part, Totals>>,
    to_sha256: Sender<Flow<Part, Totals>>,
    permits: Receiver<()>,
    shared: Arc<Shared>,
}

impl ToHashers {
    fn end(&self, totals: Totals) {
        // Whoever hung up need not be told.
        let _ = self.to_sha256.send(Flow::End(totals));
        let _ = self.to_md5.send(Flow::End(totals));
    }
}

impl Outlet for ToHashers {
    fn reserve(&mut self) -> Result<()> {
        self.permits.recv().map_err(|_| Error::cancelled())
    }

    fn send(&mut self, part: Part) -> Result<()> {
        if self.shared.is_cancelled() {
            return Err(Error::cancelled());
        }
        self.to_sha256.send(Flow::Part(part.clone())).map_err(|_| Error::cancelled())?;
        self.to_md5.send(Flow::Part(part)).map_err(|_| Error::cancelled())
    }
}

type Md5Flow = Flow<(Part, Md5Sum), (Totals, Option<Md5Sum>)>;
type Sha256Flow = Flow<Sha256Sum, Option<Sha256Sum>>;

/// Of each part and of the whole.
fn hash_md5(from: &Receiver<Flow<Part, Totals>>, to: &Sender<Md5Flow>) {
    let mut whole = Md5::default();
    for flow in from {
        let sent = match flow {
            Flow::Part(part) => {
                let sum = if let Some(sum) = part.known_md5() {
                    whole.update(part.bytes());
                    sum
                } else {
                    let mut own = Md5::default();
                    md5::update_both(&mut whole, &mut own, part.bytes());
                    part.md5(|| own.finish())
                };
                to.send(Flow::Part((part, sum)))
            }
            Flow::End(totals) => to.send(Flow::End((totals, Some(whole.clone().finish())))),
        };
        if sent.is_err() {
            break;
        }
    }
}

/// Of each part only. Two are summed side by side, for little more than one alone; the second joins
/// while the first is under way. Measured on 847 MB of VHD, 2 cores, where all others wait for this
/// thread: 0.89 s, and 1.10 s where only those were paired that waited at the same time.
fn hash_md5_of_parts(from: &Receiver<Flow<Part, Totals>>, to: &Sender<Md5Flow>) {
    let mut begun: VecDeque<Summed> = VecDeque::new();
    let mut end = None;
    loop {
        while end.is_none()
            && begun.len() < QUEUE
            && begun.iter().filter(|it| it.left() > 0).count() < 2
        {
            let flow = if begun.is_empty() { from.recv().ok() } else { from.try_recv().ok() };
            match flow {
                Some(Flow::Part(part)) => begun.push_back(Summed::new(part)),
                Some(Flow::End(totals)) => end = Some(totals),
                None if begun.is_empty() => return, // whoever broke it off has told why
                None => break,
            }
        }
        let mut open = begun.iter_mut().filter(|it| it.left() > 0);
        match (open.next(), open.next()) {
            (Some(first), Some(second)) => {
                let length = STEP.min(first.left()).min(second.left());
                let (first, second) = (first.take(length), second.take(length));
                md5::update_each(first, second);
            }
            (Some(first), None) => {
                let (sum, bytes) = first.take(STEP.min(first.left()));
                sum.update(bytes);
            }
            _ => {}
        }
        while begun.front().is_some_and(|it| it.left() == 0)
            && let Some(Summed { part, sum, .. }) = begun.pop_front()
        {
            let sum = part.md5(|| sum.finish());
            if to.send(Flow::Part((part, sum))).is_err() {
                return;
            }
        }
        if begun.is_empty()
            && let Some(totals) = end
        {
            let _ = to.send(Flow::End((totals, None))); // whoever hung up need not be told
            return;
        }
    }
}

/// A part whose MD5 is being worked out.
struct Summed {
    part: Part,
    sum: Md5,
    done: usize,
}

impl Summed {
    fn new(part: Part) -> Self {
        let done = if part.known_md5().is_some() { part.bytes().len() } else { 0 };
        Self { part, sum: Md5::default(), done }
    }

    fn left(&self) -> usize {
        self.part.bytes().len() - self.done
    }

    /// The sum, and the next bytes for it.
    fn take(&mut self, length: usize) -> (&mut Md5, &[u8]) {
        let start = self.done;
        self.done += length;
        (&mut self.sum, &self.part.bytes()[start..self.done])
    }
}

fn hash_sha256(from: &Receiver<Flow<Part, Totals>>, to: &Sender<Sha256Flow>, out_of_order: bool) {
    let mut whole = Sha256::new();
    for flow in from {
        let sent = match flow {
            Flow::Part(part) => {
                let sum = part.sha256(|| Sha256::digest(part.bytes()).into());
                if !out_of_order {
                    whole.update(part.bytes());
                }
                to.send(Flow::Part(sum))
            }
            Flow::End(_) => {
                let sum = (!out_of_order).then(|| whole.clone().finalize().into());
                to.send(Flow::End(sum))
            }
        };
        if sent.is_err() {
            break;
        }
    }
}

/// The threads of a stream.
struct Crew {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Whatever `work` ends with, a panic included, is told by [`Shared`] once its channels have
    /// closed.
    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let body = move || match guard(work) {
            // Cancelled is also how a thread says that somebody else hung up: no cause of anything.
            Err(error) if error.kind() != ErrorKind::Cancelled => shared.fail(error),
            Ok(()) | Err(_) => {}
        };
        let handle =
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| {
                Error::internal("A thread of snapcore could not be started.").because(error)
            })?;
        self.handles.push(handle);
        Ok(())
    }

    fn join(&mut self) {
        for handle in self.handles.drain(..) {
            // Its panic was caught and told.
            let _ = handle.join();
        }
    }
}

/// The caller's ends of the channels. Letting them go ends all threads.
struct Ends {
    from_md5: Receiver<Md5Flow>,
    from_sha256: Receiver<Sha256Flow>,
    permit_back: Sender<()>,
}

struct State {
    ends: Option<Ends>,
    crew: Crew,
    outcome: Option<Result<Summary>>,
}

/// What [`Stream::wait`] came back with.
#[derive(Debug)]
pub enum Turn {
    /// The next part.
    Part(HashedPart),
    /// There are no more.
    End,
    /// Not yet.
    Waiting,
}

/// Parts of a file, in order, from threads that run ahead of the caller as far as memory allows.
///
/// Any number of threads may take parts at the same time; each part goes to one of them. After an
/// error or [`Stream::cancel`] every call gives that error. Letting go of a stream ends its threads
/// and waits for them.
pub struct Stream {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stream").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Stream {
    /// The next part, or None after the last.
    pub fn next(&self) -> Result<Option<HashedPart>> {
        loop {
            match self.wait(Duration::from_secs(3600))? {
                Turn::Part(part) => return Ok(Some(part)),
                Turn::End => return Ok(None),
                Turn::Waiting => {}
            }
        }
    }

    /// The next part, if there is one in time. `patience` does not count the time that another
    /// thread takes to get its part.
    pub fn wait(&self, patience: Duration) -> Result<Turn> {
        let mut state = lock(&self.state);
        if let Some(outcome) = &state.outcome {
            return outcome.clone().map(|_| Turn::End);
        }
        if self.shared.is_cancelled() {
            return Err(self.end(&mut state));
        }
        let Some(ends) = &state.ends else { return Err(self.end(&mut state)) };
        let md5 = match ends.from_md5.recv_timeout(patience) {
            Ok(flow) => flow,
            Err(RecvTimeoutError::Timeout) => return Ok(Turn::Waiting),
            Err(RecvTimeoutError::Disconnected) => return Err(self.end(&mut state)),
        };
        // Whatever MD5 has got, SHA-256 got before.
        match (md5, ends.from_sha256.recv()) {
            (Flow::Part((part, md5)), Ok(Flow::Part(sha256))) => {
                let (source, out) = (part.source_length(), part.bytes().len() as u64);
                self.shared.source_done.fetch_add(source, Ordering::Relaxed);
                self.shared.bytes_out.fetch_add(out, Ordering::Relaxed);
                if part.is_reserved() {
                    let _ = ends.permit_back.send(()); // the assembler may have ended
                }
                Ok(Turn::Part(HashedPart { part, md5, sha256 }))
            }
            (Flow::End((totals, md5)), Ok(Flow::End(sha256))) => {
                state.ends = None;
                state.crew.join();
                let Totals { parts, source_size, crc32 } = totals;
                state.outcome = Some(Ok(Summary {
                    size: self.shared.bytes_out.load(Ordering::Relaxed),
                    md5,
                    sha256,
                    parts,
                    source_size,
                    bytes_read: self.shared.bytes_read.load(Ordering::Relaxed),
                    crc32,
                }));
                Ok(Turn::End)
            }
            _ => Err(self.end(&mut state)),
        }
    }

    /// What the file was, once all its parts were taken.
    pub fn finish(&self) -> Result<Summary> {
        if let Some(outcome) = &lock(&self.state).outcome {
            return outcome.clone();
        }
        match self.next()? {
            None => lock(&self.state).outcome.clone().unwrap_or_else(|| Err(Error::cancelled())),
            Some(_) => Err(Error::usage("The stream has parts that nobody took.")),
        }
    }

    /// Bytes of the disk and bytes of the file in the parts that were taken.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.shared.source_done.load(Ordering::Relaxed),
            self.shared.bytes_out.load(Ordering::Relaxed),
        )
    }

    /// Ends the stream from any thread, without waiting for it.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Ends the stream and waits for its threads. A stream that had ended stays as it was.
    pub fn close(&self) {
        self.cancel();
        let mut state = lock(&self.state);
        if state.outcome.is_none() {
            self.end(&mut state);
        }
    }

    /// Ends all threads and gives the reason.
    fn end(&self, state: &mut State) -> Error {
        state.ends = None;
        state.crew.join();
        let error = lock(&self.shared.error).clone();
        let error = error.unwrap_or_else(|| {
            if self.shared.is_cancelled() {
                Error::cancelled()
            } else {
                Error::internal("A stream of snapcore ended without a reason.")
            }
        });
        state.outcome = Some(Err(error.clone()));
        error
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
    }
}
