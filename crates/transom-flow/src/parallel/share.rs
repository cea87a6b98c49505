//! A worker's share of a round, and what it makes of it.

use super::{Make, Pair};
use crate::dissect::Content;
use crate::follow::Seen;
use crate::past::Past;
use crate::table::HashKey;
use crate::tracker::{Counters, Tracker};
use core::time::Duration;
use std::net::IpAddr;

/// Connections of which not all stay in the cache.
pub(super) const MANY: usize = 256;
/// Frames whose waits for memory overlap.
pub(super) const TOGETHER: usize = 32;

/// What a frame of a share holds; its data stands elsewhere.
pub(super) struct Given {
    seen: Seen,
    content: Content<'static>,
    at: usize,
    len: usize,
}

impl Given {
    pub(super) fn new(seen: Seen, content: &Content<'_>, at: usize) -> Self {
        let (content, len) = match content {
            Content::Tcp(segment) => (Content::Tcp(segment.with_data(&[])), segment.data.len()),
            Content::Icmp(quoted) => (Content::Icmp(*quoted), 0),
        };
        Self {
            seen,
            content,
            at,
            len,
        }
    }

    pub(super) fn follow(&self, bytes: &[u8], tracker: &mut Tracker) {
        let data = bytes.get(self.at..self.at + self.len).unwrap_or_default();
        match &self.content {
            Content::Tcp(segment) => {
                tracker.content(self.seen, &Content::Tcp(segment.with_data(data)))
            }
            icmp @ Content::Icmp(_) => tracker.content(self.seen, icmp),
        };
    }
}

/// The hash of the two sockets that a frame is about, the same for both directions and for ICMP errors.
pub(super) fn sockets_hash(content: &Content<'_>) -> u64 {
    sockets(content).hash(HashKey::FIXED)
}

fn sockets(content: &Content<'_>) -> Pair {
    let (src, dst) = match content {
        Content::Tcp(segment) => (segment.src, segment.dst),
        Content::Icmp(quoted) => (quoted.src, quoted.dst),
    };
    Pair::new(src, dst)
}

/// A worker's share of a round.
#[derive(Default)]
pub(super) struct Share {
    frames: Vec<Given>,
    /// The bytes of all frames.
    bytes: Vec<u8>,
    pub(super) names: Vec<(IpAddr, Box<str>)>,
    /// Connections whose memory may be used again.
    pub(super) spent: Vec<Past>,
    /// The time at the end of the round, for all workers.
    pub(super) now: Duration,
    pub(super) is_last: bool,
    /// Where the connections of the next few frames are.
    slots: Vec<u32>,
}

impl Share {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Gives all frames to a tracker, and tells `begins` the frame of each connection that begins.
    pub(super) fn give(&mut self, tracker: &mut Tracker, mut begins: impl FnMut(u64)) {
        for frames in self.frames.chunks(TOGETHER) {
            self.slots.clear();
            if tracker.open() >= MANY {
                let pairs = frames.iter().map(|given| sockets(&given.content));
                tracker.warm(pairs, &mut self.slots);
            }
            let mut slots = self.slots.iter();
            for given in frames {
                let before = tracker.counters().connections;
                if let Some(slot) = slots.next() {
                    tracker.expect(*slot);
                }
                given.follow(&self.bytes, tracker);
                if tracker.counters().connections > before {
                    begins(given.seen.frame);
                }
            }
        }
        self.frames.clear();
        self.bytes.clear();
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, seen: Seen, content: &Content<'_>) {
        self.frames
            .push(Given::new(seen, content, self.bytes.len()));
        if let Content::Tcp(segment) = content {
            self.bytes.extend_from_slice(segment.data);
        }
    }

    /// Gives all frames to a worker's tracker, and makes a `T` of each connection that is over.
    pub(super) fn follow<T>(
        mut self,
        worker: usize,
        tracker: &mut Tracker,
        make: &Make<T>,
    ) -> Outcome<T> {
        for (addr, name) in self.names.drain(..) {
            tracker.label(addr, &name);
        }
        for spent in self.spent.drain(..) {
            tracker.recycle(spent);
        }
        let mut begun = Vec::new();
        self.give(tracker, |frame| begun.push(frame));
        tracker.pass_time(self.now);
        let number = |over: Past| (over.number(), make(over));
        let mut over: Vec<(u64, T)> = tracker.take_past().map(number).collect();
        if self.is_last {
            tracker.finish();
            over.extend(tracker.take_all_past().map(number));
        }
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
pub(super) struct Outcome<T> {
    pub(super) worker: usize,
    /// The first frame of each connection that began, in the order of the worker's own numbers.
    pub(super) begun: Vec<u64>,
    /// What ended, with the worker's own number of it.
    pub(super) over: Vec<(u64, T)>,
    pub(super) counters: Counters,
    /// To be filled again.
    pub(super) share: Share,
}
