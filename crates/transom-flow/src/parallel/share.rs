//! A worker's share of a round, and what it makes of it.

use super::{Make, Pair};
use crate::dissect::Content;
use crate::follow::Seen;
use crate::past::Past;
use crate::table::HashKey;
use crate::tracker::{Counters, Tracker};
use core::time::Duration;
use std::net::IpAddr;

/// Into so many heaps a worker sorts the frames of a round.
const HEAPS: usize = 1024;

/// What a frame of a share holds; its data stands elsewhere.
pub(super) struct Given {
    seen: Seen,
    content: Content<'static>,
    hash: u64,
    at: usize,
    len: usize,
}

impl Given {
    pub(super) fn new(seen: Seen, content: &Content<'_>, hash: u64, at: usize) -> Self {
        let (content, len) = match content {
            Content::Tcp(segment) => (Content::Tcp(segment.with_data(&[])), segment.data.len()),
            Content::Icmp(quoted) => (Content::Icmp(*quoted), 0),
        };
        Self {
            seen,
            content,
            hash,
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
    let (src, dst) = match content {
        Content::Tcp(segment) => (segment.src, segment.dst),
        Content::Icmp(quoted) => (quoted.src, quoted.dst),
    };
    Pair::new(src, dst).hash(HashKey::FIXED)
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
    /// Places in `frames` in the order in which they are followed.
    order: Vec<u32>,
}

impl Share {
    pub(super) fn push(&mut self, seen: Seen, hash: u64, content: &Content<'_>) {
        self.frames
            .push(Given::new(seen, content, hash, self.bytes.len()));
        if let Content::Tcp(segment) = content {
            self.bytes.extend_from_slice(segment.data);
        }
    }

    /// Orders the frames by heaps: those of one connection stay in their order and come to lie close
    /// to each other.
    pub(super) fn sort(&mut self) {
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
        self.sort();
        let mut begun = Vec::new();
        let given = self
            .order
            .iter()
            .filter_map(|at| self.frames.get(*at as usize));
        for given in given {
            let before = tracker.counters().connections;
            given.follow(&self.bytes, tracker);
            if tracker.counters().connections > before {
                begun.push(given.seen.frame);
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
