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
//! With thousands of connections each frame would wait for memory several times. So what a few dozen frames
//! need is read before the first of them is followed: their waits overlap.
//!
//! Invariants
//! - At most two rounds wait for each worker: memory is bounded by [`Limits`] and the rounds.
//! - Connections are numbered by their first frames over all workers, as one [`Tracker`] numbers them.

mod numbering;
mod share;
mod threads;

use share::{MANY, Share, TOGETHER};
use threads::Threads;

use crate::connection::Connection;
use crate::dissect::{Content, Ignored, dissect};
use crate::follow::Seen;
use crate::past::Past;
use crate::table::Pair;
use crate::tracker::{Counters, Frame, Limits, Tracker};
use core::fmt;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Frames of one round: enough that handing it over costs little, and few enough for a cache.
const ROUND_FRAMES: usize = 8_192;
/// Bytes of one round.
const ROUND_BYTES: usize = 4 << 20;

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
    round: Round,
    way: Way<T>,
}

/// How much was given in the present round.
#[derive(Default)]
struct Round {
    frames: usize,
    bytes: usize,
}

impl Round {
    /// Whether the round ends with this.
    fn is_full_with(&mut self, content: &Content<'_>) -> bool {
        self.frames += 1;
        if let Content::Tcp(segment) = content {
            self.bytes += segment.data.len();
        }
        let is_full = self.frames >= ROUND_FRAMES || self.bytes >= ROUND_BYTES;
        if is_full {
            *self = Self::default();
        }
        is_full
    }
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
            round: Round::default(),
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
        // By reference: a segment is large to be moved.
        let dissected = dissect(frame);
        let content = match &dissected {
            Ok(content) => content,
            Err(ignored) => {
                self.ignored.ignore(*ignored);
                return Err(*ignored);
            }
        };
        let seen = Seen::of(frame, number);
        let is_full = self.round.is_full_with(content);
        match &mut self.way {
            Way::Here(alone) => {
                alone.frame(seen, content);
                if is_full {
                    alone.hand_over_past(&mut self.ready);
                }
            }
            Way::Threads(threads) => {
                threads.now = frame.time;
                threads.push(seen, content);
                if is_full {
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
            Way::Here(alone) => {
                alone.catch_up();
                alone.tracker.label(addr, name);
            }
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

/// One worker in the caller's thread: while there are few connections it follows each frame at once.
struct Alone<T> {
    tracker: Tracker,
    /// Frames that are followed together.
    waiting: Share,
    make: Make<T>,
}

impl<T: Numbered> Alone<T> {
    fn new(mut limits: Limits, make: Make<T>) -> Self {
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        Self {
            tracker: Tracker::recording(limits),
            waiting: Share::default(),
            make,
        }
    }

    fn frame(&mut self, seen: Seen, content: &Content<'_>) {
        if self.waiting.is_empty() && self.tracker.open() < MANY {
            self.tracker.content(seen, content);
            return;
        }
        self.waiting.push(seen, content);
        if self.waiting.len() >= TOGETHER {
            self.catch_up();
        }
    }

    fn catch_up(&mut self) {
        self.waiting.give(&mut self.tracker, |_| {});
    }

    fn hand_over_past(&mut self, ready: &mut VecDeque<T>) {
        self.catch_up();
        let over = self.tracker.take_past().collect();
        self.hand_over(over, ready);
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
        self.catch_up();
        self.tracker.finish();
        let over = self.tracker.take_all_past().collect();
        self.hand_over(over, ready);
    }
}
