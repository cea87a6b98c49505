//! Following connections on several cores.
//!
//! ```text
//!  frames ──▶ Crew::frame ──┬─ parts ─▶ lane 0: Tracker ─┬─ outcomes ─▶ merged ──▶ Crew::take
//!          (by hash of the  └─ parts ─▶ lane 1: Tracker ─┘  (in the order of the rounds)
//!             sockets)
//! ```
//!
//! Both directions of a connection, and the ICMP errors about it, go to one lane; so every lane
//! follows whole connections and no two share anything. What was given is cut into rounds; each
//! lane gets its share of every round in a few parts, and a round's outcome is handed over once all lanes are
//! through with it. So the outcome does not depend on how the threads happen to run.
//!
//! There are as many lanes as threads, but none belongs to one: whoever is free takes the next part of a lane that
//! nobody is at. The caller's thread is one of them. It reads, and follows where the others fall behind; so two
//! cores are busy with many connections, and with one, which the other thread follows while this one reads.
//!
//! Whoever reads only glances at a frame's addresses. Its bytes stay where they were read ([`Chunk`]), and are
//! read by who follows them.
//!
//! With thousands of connections each frame would wait for memory several times. So what a few dozen frames
//! need is read before the first of them is followed: their waits overlap.
//!
//! Invariants
//! - At most two parts wait for each lane, of 256 KiB together with the other lanes' that were filled with it:
//!   memory is bounded by [`Limits`] and the parts.
//! - Connections are numbered by their first frames over all lanes, as one [`Tracker`](crate::Tracker) numbers
//!   them.

mod alone;
mod desk;
mod numbering;
mod part;
mod threads;

use alone::Alone;
use threads::Threads;

use crate::capture::Chunk;
use crate::connection::Connection;
use crate::dissect::{Glance, Ignored, dissect, glance};
use crate::follow::Seen;
use crate::past::Past;
use crate::tracker::{Counters, Frame, Limits};
use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Frames after which what is over is handed over: enough that it costs little.
const ROUND_FRAMES: usize = 8_192;
/// The same in bytes of data.
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
/// The outcome is that of one [`Tracker`](crate::Tracker), as long as no limit of [`Limits`] is reached: each
/// worker has its share of them, so which connections are let go early may differ with the number of workers.
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
    /// The time of the newest frame.
    now: Duration,
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
    #[inline]
    const fn is_full_with(&mut self, glance: &Glance) -> bool {
        self.frames += 1;
        self.bytes += glance.data_len;
        let is_full = self.frames >= ROUND_FRAMES || self.bytes >= ROUND_BYTES;
        if is_full {
            self.frames = 0;
            self.bytes = 0;
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
    /// A crew of so many workers (the caller's thread is one of them), which make a `T` of each connection that is over.
    pub fn new(
        limits: Limits,
        workers: usize,
        make: impl Fn(Past) -> T + Send + Sync + 'static,
    ) -> Self {
        let make: Make<T> = Arc::new(make);
        let way = if workers <= 1 {
            Way::Here(Box::new(Alone::new(limits, make)))
        } else {
            Way::Threads(Threads::start(limits, workers, make))
        };
        Self {
            frames: 0,
            ignored: Counters::default(),
            ready: VecDeque::new(),
            round: Round::default(),
            now: Duration::ZERO,
            way,
        }
    }

    /// Takes the next frame, and returns its number: counted from 1 where the frame does not say it.
    ///
    /// # Errors
    /// [`Ignored`] if it is seen at once that it belongs to no TCP connection. Other such frames are
    /// only counted.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<u64, Ignored> {
        self.frame_in(frame, None)
    }

    /// The same with the memory that the frame's bytes lie in, which may be kept until they are followed. Without
    /// it, or if they do not lie in it, they are copied.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn frame_in(&mut self, frame: &Frame<'_>, chunk: Option<&Chunk>) -> Result<u64, Ignored> {
        self.frames += 1;
        let number = frame.number.unwrap_or(self.frames);
        let followed = match &mut self.way {
            // By reference: a segment is large to be moved.
            Way::Here(alone) if alone.is_prompt() => match &dissect(frame) {
                Ok(content) => {
                    alone.follow(Seen::of(frame, number), content);
                    Ok(Glance::of(content))
                }
                Err(ignored) => Err(*ignored),
            },
            Way::Here(alone) => glanced(frame).inspect(|_| alone.push(frame, number, chunk)),
            Way::Threads(threads) => {
                glanced(frame).inspect(|glance| threads.push(frame, number, glance, chunk))
            }
        };
        match followed {
            Ok(glance) => {
                self.now = frame.time;
                let is_full = self.round.is_full_with(&glance);
                self.hand_over(is_full);
                Ok(number)
            }
            Err(ignored) => {
                self.ignored.ignore(ignored);
                Err(ignored)
            }
        }
    }

    #[inline]
    fn hand_over(&mut self, ends_round: bool) {
        match &mut self.way {
            Way::Here(alone) if ends_round => alone.hand_over_past(&mut self.ready),
            Way::Threads(threads) if ends_round => threads.send_round(self.now, &mut self.ready),
            Way::Threads(threads) if threads.is_full() => threads.send(&mut self.ready),
            _ => {}
        }
    }

    /// Names a host, for the connections that are followed and those to come.
    pub fn label(&mut self, addr: IpAddr, name: &str) {
        match &mut self.way {
            Way::Here(alone) => {
                alone.catch_up();
                alone.tracker.label(addr, name);
            }
            Way::Threads(threads) => threads.label(addr, name),
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
            Way::Threads(threads) => threads.finish(self.now, &mut self.ready),
        }
    }

    /// What was seen; complete after [`finish`](Self::finish).
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.ignored;
        match &self.way {
            Way::Here(alone) => counters.add(alone.tracker.counters()),
            Way::Threads(threads) => {
                for lane in threads.counters() {
                    counters.add(lane);
                }
            }
        }
        counters.frames = self.frames;
        counters
    }
}

/// What has to be known of a frame before it is read.
#[inline]
fn glanced(frame: &Frame<'_>) -> Result<Glance, Ignored> {
    match glance(frame) {
        Some(glance) => Ok(glance),
        None => dissect(frame).as_ref().map(Glance::of).map_err(|e| *e),
    }
}
