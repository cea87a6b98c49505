use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use transom_stack::tcp::{Instant, State};
use transom_stack::{Direction, Discard, FrameRef, Recorder};

/// One thing that a stack did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was handed a frame or handed one out.
    Frame {
        /// Which way.
        direction: Direction,
        /// The IP packet.
        packet: Vec<u8>,
    },
    /// A connection went from one state to another.
    State {
        /// The host's own address and port.
        local: SocketAddr,
        /// The other end's.
        peer: SocketAddr,
        /// The state before.
        from: State,
        /// The state after.
        to: State,
    },
    /// A frame was discarded.
    Discard {
        /// The reason.
        reason: Discard,
    },
}

/// What happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Time since the world's start.
    pub time: Duration,
    /// What happened.
    pub what: What,
}

/// What a stack did, in order. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    omitted: u64,
}

impl Journal {
    /// Entries kept; what comes later is only counted.
    pub const LIMIT: usize = 1 << 20;

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A list of values cannot be half written: a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.kept().entries.clone()
    }

    /// Entries that were not kept because there were too many.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.kept().omitted
    }

    fn note(&self, now: Instant, what: What) {
        let mut kept = self.kept();
        if kept.entries.len() < Self::LIMIT {
            kept.entries.push(Entry {
                time: now.since_origin(),
                what,
            });
        } else {
            kept.omitted += 1;
        }
    }
}

impl Recorder for Journal {
    fn frame(&mut self, now: Instant, direction: Direction, frame: FrameRef<'_>) {
        self.note(
            now,
            What::Frame {
                direction,
                packet: frame.to_vec(),
            },
        );
    }

    fn state(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, from: State, to: State) {
        self.note(
            now,
            What::State {
                local,
                peer,
                from,
                to,
            },
        );
    }

    fn discard(
        &mut self,
        now: Instant,
        _local: Option<SocketAddr>,
        _peer: Option<SocketAddr>,
        reason: Discard,
    ) {
        self.note(now, What::Discard { reason });
    }
}
