//! Following connections on several cores.
//!
//! ```text
//!  frames ──▶ Crew::frame ──┬─ batches ─▶ worker 0: Tracker ─┬─ results ─▶ merged ──▶ Crew::take
//!          (by hash of the  └─ batches ─▶ worker 1: Tracker ─┘  (in the order of the rounds)
//!             sockets)
//! ```
//!
//! Both directions of a connection, and the ICMP errors about it, go to one worker; so every worker
//! follows whole connections and no two share anything. What was given is cut into rounds; each
//! worker gets its share of every round, and a round's results are handed over once all workers are
//! through with it. So the outcome does not depend on how the threads happen to run.
//!
//! Within a round a worker takes the frames of one connection after those of another, as the
//! connections are independent: with thousands of them each frame would wait for memory otherwise.
//!
//! Invariants
//! - At most `ROUNDS_AHEAD + 1` rounds wait for each worker: memory is bounded by [`Limits`] and the rounds.
//! - Connections are numbered by their first frames over all workers, as one [`Tracker`] numbers them.

use crate::connection::Connection;
use crate::dissect::{Content, Ignored, dissect, plain_tcp};
use crate::model::End;
use crate::past::Past;
use crate::table::{HashKey, Pair};
use crate::tracker::{Counters, Frame, Limits, Tracker};
use core::fmt;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use transom_wire::Medium;

/// Frames of one round: enough that it holds several of each of thousands of connections.
const ROUND_FRAMES: usize = 32_768;
/// Bytes of one round.
const ROUND_BYTES: usize = 4 << 20;
/// Rounds that may wait for a worker while it is busy with another.
const ROUNDS_AHEAD: usize = 1;
/// Into so many heaps a worker sorts the frames of a round.
const HEAPS: usize = 4096;

/// Something made of a connection that keeps its number.
pub trait Numbered {
    /// Gives it the number that its connection has among all.
    fn set_number(&mut self, number: u64);
}

impl Numbered for Past {
    fn set_number(&mut self, number: u64) {
        self.set_number(number);
    }
}

impl Numbered for Connection {
    fn set_number(&mut self, number: u64) {
        self.number = number;
    }
}

/// Follows connections on several threads, and makes a `T` of each that is over.
///
/// The outcome is that of one [`Tracker`], as long as no limit of [`Limits`] is reached: each worker has
/// its share of them, so which connections are let go early may differ with the number of workers.
///
/// ```
/// use std::time::Duration;
/// use transom_flow::{Frame, Limits, parallel::Crew, wire::Medium};
///
/// let syn = b"E\0\0(\0\0@\0@\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\x80\0\0\x50\0\0\0\x09\0\0\0\0\x50\x02\xff\xff\0\0\0\0";
/// let mut crew = Crew::new(Limits::default(), 2, |past| past);
/// crew.frame(&Frame::new(Duration::ZERO, Medium::Ip, syn));
/// for over in crew.take() {
///     println!("{}", over.connection().verdict().text());
/// }
/// crew.finish();
/// assert_eq!(crew.take().count(), 1);
/// ```
pub struct Crew<T> {
    /// Frames given.
    frames: u64,
    /// Those that were not handed to a worker.
    ignored: Counters,
    ready: VecDeque<T>,
    way: Way<T>,
}

enum Way<T> {
    /// One worker needs no thread.
    Here(Box<Alone<T>>),
    Threads(Threads<T>),
}

type Make<T> = Arc<dyn Fn(Past) -> T + Send + Sync>;

impl<T> fmt::Debug for Crew<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("frames", &self.frames)
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl<T: Numbered + Send + 'static> Crew<T> {
    /// A crew of so many workers (one needs no thread), which make a `T` of each connection that is over.
    pub fn new(
        limits: Limits,
        workers: usize,
        make: impl Fn(Past) -> T + Send + Sync + 'static,
    ) -> Self {
        let make: Make<T> = Arc::new(make);
        let way = if workers <= 1 {
            Way::Here(Box::new(Alone::new(limits, make)))
        } else {
            Way::Threads(Threads::start(limits, workers, &make))
        };
        Self {
            frames: 0,
            ignored: Counters::default(),
            ready: VecDeque::new(),
            way,
        }
    }

    /// Takes the next frame, and returns its number: counted from 1 where the frame does not say it.
    ///
    /// # Errors
    /// [`Ignored`] if it is seen at once that it belongs to no TCP connection. Other such frames are
    /// only counted.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<u64, Ignored> {
        self.frames += 1;
        let number = frame.number.unwrap_or(self.frames);
        match &mut self.way {
            Way::Here(alone) => alone.frame(number, frame, &mut self.ready),
            Way::Threads(threads) => {
                let hash = sockets_hash(frame);
                let hash = hash.inspect_err(|ignored| self.ignored.ignore(*ignored))?;
                threads.now = frame.time;
                if threads.push(number, hash, frame) {
                    threads.send_round(false);
                    threads.merge(&mut self.ready);
                }
            }
        }
        Ok(number)
    }

    /// Names a host, for the connections that are followed and those to come.
    pub fn label(&mut self, addr: IpAddr, name: &str) {
        match &mut self.way {
            Way::Here(alone) => alone.tracker.label(addr, name),
            Way::Threads(threads) => {
                for worker in &mut threads.workers {
                    worker.next.names.push((addr, name.into()));
                }
            }
        }
    }

    /// What was made of the connections that are over, and not taken yet. Call it now and then: what is
    /// not taken is kept.
    pub fn take(&mut self) -> impl Iterator<Item = T> {
        self.ready.drain(..)
    }

    /// Gives back a connection that nobody wants any more: its memory is used again by the worker that had
    /// it, which costs less than to free what another thread allocated.
    pub fn recycle(&mut self, spent: Past) {
        match &mut self.way {
            Way::Here(alone) => alone.tracker.recycle(spent),
            Way::Threads(threads) => threads.recycle(spent),
        }
    }

    /// Nothing more will come: all connections are over, and [`take`](Self::take) gives the rest. Waits
    /// for the workers.
    pub fn finish(&mut self) {
        match &mut self.way {
            Way::Here(alone) => alone.finish(&mut self.ready),
            Way::Threads(threads) => {
                threads.send_round(true);
                threads.merge_all(&mut self.ready);
            }
        }
    }

    /// What was seen; complete after [`finish`](Self::finish).
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.ignored;
        match &self.way {
            Way::Here(alone) => counters.add(alone.tracker.counters()),
            Way::Threads(threads) => {
                for worker in &threads.workers {
                    counters.add(&worker.counters);
                }
            }
        }
        counters.frames = self.frames;
        counters
    }
}

/// One worker in the caller's thread: it follows each frame at once.
struct Alone<T> {
    tracker: Tracker,
    round_frames: usize,
    round_bytes: usize,
    make: Make<T>,
}

impl<T: Numbered> Alone<T> {
    fn new(mut limits: Limits, make: Make<T>) -> Self {
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        Self {
            tracker: Tracker::recording(limits),
            round_frames: 0,
            round_bytes: 0,
            make,
        }
    }

    fn frame(&mut self, number: u64, frame: &Frame<'_>, ready: &mut VecDeque<T>) {
        let mut frame = *frame;
        frame.number = Some(number);
        // What is no TCP is counted.
        let _ = self.tracker.frame(&frame);
        self.round_frames += 1;
        self.round_bytes += frame.data.len();
        if self.round_frames >= ROUND_FRAMES || self.round_bytes >= ROUND_BYTES {
            self.round_frames = 0;
            self.round_bytes = 0;
            let over = self.tracker.take_past().collect();
            self.hand_over(over, ready);
        }
    }

    /// In the order of numbers within a round, as several workers do.
    fn hand_over(&self, mut over: Vec<Past>, ready: &mut VecDeque<T>) {
        over.sort_unstable_by_key(Past::number);
        ready.extend(over.into_iter().map(|past| {
            let number = past.number();
            let mut made = (self.make)(past);
            made.set_number(number);
            made
        }));
    }

    fn finish(&mut self, ready: &mut VecDeque<T>) {
        self.tracker.finish();
        let over = self.tracker.take_all_past().collect();
        self.hand_over(over, ready);
    }
}

/// The hash of the two sockets that a frame is about, the same for both directions and for ICMP errors.
fn sockets_hash(frame: &Frame<'_>) -> Result<u64, Ignored> {
    if frame.medium == Medium::Ip
        && let Some(pair) = plain_tcp(frame.data)
    {
        return Ok(pair.hash(HashKey::FIXED));
    }
    let (src, dst) = match dissect(frame)? {
        Content::Tcp(segment) => (segment.src, segment.dst),
        Content::Icmp(quoted) => (quoted.src, quoted.dst),
    };
    Ok(Pair::new(src, dst).hash(HashKey::FIXED))
}

/// A frame of a share; its bytes stand elsewhere.
struct Given {
    frame: Frame<'static>,
    hash: u64,
    at: usize,
    len: usize,
}

impl Given {
    fn frame<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let data = bytes.get(self.at..self.at + self.len);
        self.frame.with_data(data.unwrap_or_default())
    }
}

/// A worker's share of a round.
#[derive(Default)]
struct Share {
    frames: Vec<Given>,
    /// The bytes of all frames.
    bytes: Vec<u8>,
    names: Vec<(IpAddr, Box<str>)>,
    /// Connections whose memory may be used again.
    spent: Vec<Past>,
    /// The time at the end of the round, for all workers.
    now: Duration,
    is_last: bool,
    /// Places in `frames` in the order in which they are followed.
    order: Vec<u32>,
}

impl Share {
    fn push(&mut self, number: u64, hash: u64, frame: &Frame<'_>) {
        let mut bare = frame.with_data(&[]);
        bare.number = Some(number);
        self.frames.push(Given {
            frame: bare,
            hash,
            at: self.bytes.len(),
            len: frame.data.len(),
        });
        self.bytes.extend_from_slice(frame.data);
    }

    /// Orders the frames by heaps: those of one connection stay in their order and come to lie close
    /// to each other.
    fn sort(&mut self) {
        let heap_of = |given: &Given| (given.hash >> 32) as usize % HEAPS;
        // Where each heap begins.
        let mut places = vec![0u32; HEAPS + 1];
        for given in &self.frames {
            if let Some(count) = places.get_mut(heap_of(given) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for place in &mut places {
            sum += *place;
            *place = sum;
        }
        self.order.clear();
        self.order.resize(self.frames.len(), 0);
        for (given, at) in self.frames.iter().zip(0u32..) {
            if let Some(place) = places.get_mut(heap_of(given))
                && let Some(slot) = self.order.get_mut(*place as usize)
            {
                *slot = at;
                *place += 1;
            }
        }
    }

    /// Gives all frames to a worker's tracker, and makes a `T` of each connection that is over.
    fn follow<T>(mut self, worker: usize, tracker: &mut Tracker, make: &Make<T>) -> Outcome<T> {
        for (addr, name) in self.names.drain(..) {
            tracker.label(addr, &name);
        }
        for spent in self.spent.drain(..) {
            tracker.recycle(spent);
        }
        self.sort();
        let mut begun = Vec::new();
        let given = self
            .order
            .iter()
            .filter_map(|at| self.frames.get(*at as usize));
        for given in given {
            let before = tracker.counters().connections;
            // What is no TCP after all is counted.
            let _ = tracker.frame(&given.frame(&self.bytes));
            if tracker.counters().connections > before {
                begun.extend(given.frame.number);
            }
        }
        tracker.pass_time(self.now);
        let number = |over: Past| (over.number(), make(over));
        let mut over: Vec<(u64, T)> = tracker.take_past().map(number).collect();
        if self.is_last {
            tracker.finish();
            over.extend(tracker.take_all_past().map(number));
        }
        self.frames.clear();
        self.bytes.clear();
        Outcome {
            worker,
            begun,
            over,
            counters: *tracker.counters(),
            share: self,
        }
    }
}

/// What a worker made of its share.
struct Outcome<T> {
    worker: usize,
    /// The first frame of each connection that began, in the order of the worker's own numbers.
    begun: Vec<u64>,
    /// What ended, with the worker's own number of it.
    over: Vec<(u64, T)>,
    counters: Counters,
    /// To be filled again.
    share: Share,
}

/// Numbers connections by their first frames.
struct Numbering {
    /// Connections numbered so far.
    numbered: u64,
    own: Vec<OwnNumbers>,
}

/// The numbers that one worker gave.
#[derive(Default)]
struct OwnNumbers {
    /// Connections that began so far.
    begun: u64,
    /// The numbers among all of the connections that are not over, by the worker's own.
    numbers: HashMap<u64, u64>,
}

impl Numbering {
    fn new(workers: usize) -> Self {
        Self {
            numbered: 0,
            own: (0..workers).map(|_| OwnNumbers::default()).collect(),
        }
    }

    /// Numbers what began in a round, and passes on what ended; returns the shares to be filled again.
    fn merge<T: Numbered>(
        &mut self,
        outcomes: Vec<Outcome<T>>,
        ready: &mut VecDeque<T>,
    ) -> Vec<Share> {
        let mut begun: Vec<(u64, usize, u64)> = Vec::new();
        for outcome in &outcomes {
            let Some(own) = self.own.get_mut(outcome.worker) else {
                continue;
            };
            for frame in &outcome.begun {
                own.begun += 1;
                begun.push((*frame, outcome.worker, own.begun));
            }
        }
        begun.sort_unstable();
        for (_, worker, number) in begun {
            self.numbered += 1;
            if let Some(own) = self.own.get_mut(worker) {
                own.numbers.insert(number, self.numbered);
            }
        }
        let mut over: Vec<(u64, T)> = Vec::new();
        let mut shares = Vec::new();
        for outcome in outcomes {
            shares.push(outcome.share);
            let Some(own) = self.own.get_mut(outcome.worker) else {
                continue;
            };
            over.extend(outcome.over.into_iter().map(|(number, mut over)| {
                let number = own.numbers.remove(&number).unwrap_or(number);
                over.set_number(number);
                (number, over)
            }));
        }
        over.sort_unstable_by_key(|(number, _)| *number);
        ready.extend(over.into_iter().map(|(_, over)| over));
        shares
    }
}

struct Worker<T> {
    shares: Option<SyncSender<Share>>,
    /// What is being filled.
    next: Share,
    spare: Vec<Share>,
    outcomes: VecDeque<Outcome<T>>,
    counters: Counters,
    thread: Option<JoinHandle<()>>,
}

struct Threads<T> {
    workers: Vec<Worker<T>>,
    outcomes: Receiver<Outcome<T>>,
    round_frames: usize,
    round_bytes: usize,
    now: Duration,
    numbering: Numbering,
}

impl<T: Numbered + Send + 'static> Threads<T> {
    fn start(mut limits: Limits, workers: usize, make: &Make<T>) -> Self {
        limits.open = limits.open.div_ceil(workers);
        limits.lingering = limits.lingering.div_ceil(workers);
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        let (sender, outcomes) = channel();
        let start = |worker| {
            let (shares, inbox) = sync_channel(ROUNDS_AHEAD);
            let (make, sender) = (Arc::clone(make), sender.clone());
            let mut tracker = Tracker::recording(limits);
            let thread = std::thread::Builder::new()
                .name(format!("flow-{worker}"))
                .spawn(move || work(worker, &mut tracker, &inbox, &sender, &make));
            Worker {
                shares: Some(shares),
                next: Share::default(),
                spare: Vec::new(),
                outcomes: VecDeque::new(),
                counters: Counters::default(),
                // Where there are no more threads to be had, `send` does the work.
                thread: thread.ok(),
            }
        };
        Self {
            workers: (0..workers).map(start).collect(),
            outcomes,
            round_frames: 0,
            round_bytes: 0,
            now: Duration::ZERO,
            numbering: Numbering::new(workers),
        }
    }

    /// Puts a frame into a worker's share; true if the round is full.
    fn push(&mut self, number: u64, hash: u64, frame: &Frame<'_>) -> bool {
        // The low bits choose the worker, high ones the heap.
        let worker = hash % self.workers.len().max(1) as u64;
        let worker = usize::try_from(worker).ok();
        if let Some(worker) = worker.and_then(|n| self.workers.get_mut(n)) {
            worker.next.push(number, hash, frame);
        }
        self.round_frames += 1;
        self.round_bytes += frame.data.len();
        self.round_frames >= ROUND_FRAMES || self.round_bytes >= ROUND_BYTES
    }

    /// Keeps the memory of a connection for the worker that had it.
    fn recycle(&mut self, spent: Past) {
        let pair = Pair::new(spent.addr(End::Client), spent.addr(End::Server));
        let worker = pair.hash(HashKey::FIXED) % self.workers.len().max(1) as u64;
        let worker = usize::try_from(worker).ok();
        if let Some(worker) = worker.and_then(|n| self.workers.get_mut(n)) {
            worker.next.spent.push(spent);
        }
    }

    /// Sends every worker its share of the round; waits if one is too far behind.
    fn send_round(&mut self, is_last: bool) {
        self.round_frames = 0;
        self.round_bytes = 0;
        for worker in &mut self.workers {
            let spare = worker.spare.pop().unwrap_or_default();
            let mut share = core::mem::replace(&mut worker.next, spare);
            share.now = self.now;
            share.is_last = is_last;
            let is_heard = worker
                .shares
                .as_ref()
                .is_some_and(|shares| shares.send(share).is_ok());
            if !is_heard || is_last {
                worker.shares = None;
            }
        }
    }

    /// Hands over the rounds that all workers are through with.
    fn merge(&mut self, ready: &mut VecDeque<T>) {
        while let Ok(outcome) = self.outcomes.try_recv() {
            if let Some(worker) = self.workers.get_mut(outcome.worker) {
                worker.outcomes.push_back(outcome);
            }
        }
        while self.workers.iter().all(|w| !w.outcomes.is_empty()) {
            let mut outcomes = Vec::new();
            for worker in &mut self.workers {
                if let Some(outcome) = worker.outcomes.pop_front() {
                    worker.counters = outcome.counters;
                    outcomes.push(outcome);
                }
            }
            let shares = self.numbering.merge(outcomes, ready);
            for (worker, share) in self.workers.iter_mut().zip(shares) {
                worker.spare.push(share);
            }
        }
    }

    /// Waits for all workers and hands over everything.
    fn merge_all(&mut self, ready: &mut VecDeque<T>) {
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take()
                && let Err(panic) = thread.join()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.merge(ready);
    }
}

/// A worker's thread.
fn work<T>(
    worker: usize,
    tracker: &mut Tracker,
    inbox: &Receiver<Share>,
    outcomes: &Sender<Outcome<T>>,
    make: &Make<T>,
) {
    while let Ok(share) = inbox.recv() {
        if outcomes.send(share.follow(worker, tracker, make)).is_err() {
            return;
        }
    }
}
