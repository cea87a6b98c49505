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
//! Invariants
//! - At most `ROUNDS_AHEAD + 1` rounds wait for each worker: memory is bounded by [`Limits`] and the rounds.
//! - Connections are numbered by their first frames over all workers, as one [`Tracker`] numbers them.

use crate::connection::Connection;
use crate::dissect::{Content, Ignored, dissect};
use crate::table::{HashKey, Pair};
use crate::tracker::{Counters, Frame, Limits, Tracker};
use core::fmt;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use transom_wire::Medium;

/// Frames of one round; large enough that the hand-over costs little.
const ROUND_FRAMES: usize = 2048;
/// Bytes of one round; small enough that a worker finds its share in the processor's cache.
const ROUND_BYTES: usize = 512 * 1024;
/// Rounds that may wait for a worker while it is busy with another.
const ROUNDS_AHEAD: usize = 3;

/// Something made of a connection that keeps its number.
pub trait Numbered {
    /// Gives it the number that its connection has among all.
    fn set_number(&mut self, number: u64);
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
/// let mut crew = Crew::new(Limits::default(), 2, |connection| connection);
/// crew.frame(&Frame::new(Duration::ZERO, Medium::Ip, syn)).unwrap();
/// for over in crew.take() {
///     println!("{}", over.verdict().text());
/// }
/// crew.finish();
/// assert_eq!(crew.take().count(), 1);
/// ```
pub struct Crew<T> {
    counters: Counters,
    ready: VecDeque<T>,
    way: Way<T>,
}

enum Way<T> {
    /// One worker needs no thread.
    Here(Box<Tracker>, Make<T>),
    Threads(Threads<T>),
}

type Make<T> = Arc<dyn Fn(Connection) -> T + Send + Sync>;

impl<T> fmt::Debug for Crew<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("counters", &self.counters)
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl<T: Numbered + Send + 'static> Crew<T> {
    /// A crew of so many workers (one needs no thread), which make a `T` of each connection that is over.
    pub fn new(
        limits: Limits,
        workers: usize,
        make: impl Fn(Connection) -> T + Send + Sync + 'static,
    ) -> Self {
        let make: Make<T> = Arc::new(make);
        let way = if workers <= 1 {
            Way::Here(Box::new(Tracker::new(limits)), make)
        } else {
            Way::Threads(Threads::start(limits, workers, &make))
        };
        Self {
            counters: Counters::default(),
            ready: VecDeque::new(),
            way,
        }
    }

    /// Takes the next frame and returns its number, counted from 1 where the frame does not say it.
    ///
    /// # Errors
    /// [`Ignored`] if it is seen at once that it belongs to no TCP connection. Other such frames are
    /// only counted.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<u64, Ignored> {
        match &mut self.way {
            Way::Here(tracker, make) => {
                let tracked = tracker.frame(frame)?;
                if tracker.has_closed() {
                    self.ready
                        .extend(tracker.take_closed().map(|over| make(over)));
                }
                Ok(tracked.frame)
            }
            Way::Threads(threads) => {
                self.counters.frames += 1;
                let number = frame.number.unwrap_or(self.counters.frames);
                threads.now = frame.time;
                let hash =
                    sockets_hash(frame).inspect_err(|ignored| self.counters.ignore(*ignored))?;
                if threads.push(number, frame, hash) {
                    threads.send_round(false);
                    threads.merge(&mut self.ready);
                }
                Ok(number)
            }
        }
    }

    /// Names a host, for the connections that are followed and those to come.
    pub fn label(&mut self, addr: IpAddr, name: &str) {
        match &mut self.way {
            Way::Here(tracker, _) => tracker.label(addr, name),
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

    /// Nothing more will come: all connections are over, and [`take`](Self::take) gives the rest in the
    /// order of their numbers. Waits for the workers.
    pub fn finish(&mut self) {
        match &mut self.way {
            Way::Here(tracker, make) => {
                tracker.finish();
                self.counters = *tracker.counters();
                self.ready.extend(tracker.take_all().map(|over| make(over)));
            }
            Way::Threads(threads) => {
                threads.send_round(true);
                threads.merge_all(&mut self.ready);
                for worker in &threads.workers {
                    self.counters.add(&worker.counters);
                }
            }
        }
    }

    /// What was seen; complete after [`finish`](Self::finish).
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
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

/// The sockets of a TCP segment in a whole IPv4 packet; what is less common is left to [`dissect`].
fn plain_tcp(packet: &[u8]) -> Option<Pair> {
    let (head, rest) = packet.split_first_chunk::<20>()?;
    let [
        first,
        _,
        _,
        _,
        _,
        _,
        fragment,
        offset,
        _,
        protocol,
        _,
        _,
        addrs @ ..,
    ] = head;
    let options = usize::from(first & 15).checked_sub(5)? * 4;
    let is_plain = first >> 4 == 4 && *protocol == 6 && fragment & 0x3f == 0 && *offset == 0;
    let ports = rest.get(options..)?.first_chunk::<4>()?;
    if !is_plain {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = *addrs;
    let [p0, p1, q0, q1] = *ports;
    Some(Pair::new(
        SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]))),
        SocketAddr::from((Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([q0, q1]))),
    ))
}

/// A worker's share of a round.
#[derive(Default)]
struct Share {
    /// The frames without their bytes, which follow each other in `bytes`.
    frames: Vec<(Frame<'static>, usize)>,
    bytes: Vec<u8>,
    names: Vec<(IpAddr, Box<str>)>,
    /// The time at the end of the round, for all workers.
    now: Duration,
    is_last: bool,
}

/// What a worker made of its share.
struct Outcome<T> {
    worker: usize,
    /// The first frame of each connection that began, in their order.
    begun: Vec<u64>,
    /// What ended, with the worker's own number of it.
    over: Vec<(u64, T)>,
    counters: Counters,
    /// To be filled again.
    share: Share,
}

struct Worker<T> {
    shares: Option<SyncSender<Share>>,
    /// What is being filled.
    next: Share,
    spare: Vec<Share>,
    outcomes: VecDeque<Outcome<T>>,
    counters: Counters,
    /// Connections that began so far.
    begun: u64,
    /// The numbers among all of the connections that are not over, by the worker's own.
    numbers: HashMap<u64, u64>,
    thread: Option<JoinHandle<()>>,
}

struct Threads<T> {
    workers: Vec<Worker<T>>,
    outcomes: Receiver<Outcome<T>>,
    round_frames: usize,
    round_bytes: usize,
    now: Duration,
    /// Connections numbered so far.
    numbered: u64,
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
            let tracker = Tracker::new(limits);
            let thread = std::thread::Builder::new()
                .name(format!("flow-{worker}"))
                .spawn(move || work(worker, tracker, &inbox, &sender, &make));
            // Without its thread a worker has no inbox; its frames are lost, as `finish` tells.
            let thread = thread.ok();
            Worker {
                shares: Some(shares),
                next: Share::default(),
                spare: Vec::new(),
                outcomes: VecDeque::new(),
                counters: Counters::default(),
                begun: 0,
                numbers: HashMap::new(),
                thread,
            }
        };
        Self {
            workers: (0..workers).map(start).collect(),
            outcomes,
            round_frames: 0,
            round_bytes: 0,
            now: Duration::ZERO,
            numbered: 0,
        }
    }

    /// Puts a frame into a worker's share; true if the round is full.
    fn push(&mut self, number: u64, frame: &Frame<'_>, hash: u64) -> bool {
        // The table of each worker uses another key, so its hashes do not lack these bits.
        let worker = hash % self.workers.len().max(1) as u64;
        let Some(worker) = usize::try_from(worker)
            .ok()
            .and_then(|n| self.workers.get_mut(n))
        else {
            return false;
        };
        let mut bare = frame.with_data(&[]);
        bare.number = Some(number);
        worker.next.frames.push((bare, frame.data.len()));
        worker.next.bytes.extend_from_slice(frame.data);
        self.round_frames += 1;
        self.round_bytes += frame.data.len();
        self.round_frames >= ROUND_FRAMES || self.round_bytes >= ROUND_BYTES
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
            self.keep(outcome);
        }
        self.merge_rounds(ready);
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

    fn keep(&mut self, outcome: Outcome<T>) {
        if let Some(worker) = self.workers.get_mut(outcome.worker) {
            worker.outcomes.push_back(outcome);
        }
    }

    fn merge_rounds(&mut self, ready: &mut VecDeque<T>) {
        while self
            .workers
            .iter()
            .all(|worker| !worker.outcomes.is_empty())
        {
            let mut begun: Vec<(u64, usize)> = Vec::new();
            let mut over: Vec<(u64, T)> = Vec::new();
            let outcomes: Vec<Outcome<T>> = self
                .workers
                .iter_mut()
                .filter_map(|worker| worker.outcomes.pop_front())
                .collect();
            for outcome in &outcomes {
                begun.extend(outcome.begun.iter().map(|frame| (*frame, outcome.worker)));
            }
            begun.sort_unstable();
            for (_, worker) in begun {
                self.numbered += 1;
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.begun += 1;
                    worker.numbers.insert(worker.begun, self.numbered);
                }
            }
            for outcome in outcomes {
                let Some(worker) = self.workers.get_mut(outcome.worker) else {
                    continue;
                };
                worker.counters = outcome.counters;
                worker.spare.push(outcome.share);
                over.extend(outcome.over.into_iter().map(|(own, mut over)| {
                    let number = worker.numbers.remove(&own).unwrap_or(own);
                    over.set_number(number);
                    (number, over)
                }));
            }
            over.sort_unstable_by_key(|(number, _)| *number);
            ready.extend(over.into_iter().map(|(_, over)| over));
        }
    }
}

/// A worker's thread.
fn work<T>(
    worker: usize,
    mut tracker: Tracker,
    inbox: &Receiver<Share>,
    outcomes: &Sender<Outcome<T>>,
    make: &Make<T>,
) {
    while let Ok(mut share) = inbox.recv() {
        for (addr, name) in share.names.drain(..) {
            tracker.label(addr, &name);
        }
        let mut begun = Vec::new();
        let mut rest = share.bytes.as_slice();
        for (frame, len) in &share.frames {
            let (data, after) = rest.split_at_checked(*len).unwrap_or_default();
            rest = after;
            let before = tracker.counters().connections;
            // What is no TCP after all is counted.
            let _ = tracker.frame(&frame.with_data(data));
            if tracker.counters().connections > before {
                begun.extend(frame.number);
            }
        }
        tracker.pass_time(share.now);
        let number = |over: Connection| (over.number(), make(over));
        let mut over: Vec<(u64, T)> = tracker.take_closed().map(number).collect();
        if share.is_last {
            tracker.finish();
            over.extend(tracker.take_all().map(number));
        }
        let mut counters = *tracker.counters();
        // Frames are counted where they are given.
        counters.frames = 0;
        share.frames.clear();
        share.bytes.clear();
        let outcome = Outcome {
            worker,
            begun,
            over,
            counters,
            share,
        };
        if outcomes.send(outcome).is_err() {
            return;
        }
    }
}
