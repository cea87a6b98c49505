//! Counting and recording in one place.

use core::fmt;
use core::net::SocketAddr;

use transom_tcp::{Instant, State};
use transom_wire::{RxFrame, TxFrame};

use crate::counters::Counters;
use crate::discard::Discard;
use crate::recorder::{Direction, FrameRef, Recorder};
use crate::tuple::Tuple;

/// A frame, or a part of one, that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) reason: Discard,
    /// Local and remote socket, where known.
    pub(crate) pair: Option<(SocketAddr, SocketAddr)>,
}

impl Dropped {
    pub(crate) fn between(local: SocketAddr, peer: SocketAddr, reason: impl Into<Discard>) -> Self {
        Self {
            reason: reason.into(),
            pair: Some((local, peer)),
        }
    }
}

impl From<Discard> for Dropped {
    fn from(reason: Discard) -> Self {
        Self { reason, pair: None }
    }
}

/// The counters, and the recorder if there is one.
pub(crate) struct Observer {
    pub(crate) counters: Counters,
    pub(crate) recorder: Option<Box<dyn Recorder + Send>>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self {
            counters: Counters::new(),
            recorder: None,
        }
    }

    pub(crate) fn frame_in(&mut self, now: Instant, frame: &RxFrame) {
        self.counters.frames_in += 1;
        self.counters.bytes_in += frame.data.len() as u64;
        if let Some(recorder) = &mut self.recorder {
            recorder.frame(now, Direction::In, FrameRef::Rx(frame));
        }
    }

    pub(crate) fn frame_out(&mut self, now: Instant, frame: &TxFrame) {
        self.counters.frames_out += 1;
        self.counters.bytes_out += frame.len() as u64;
        if let Some(recorder) = &mut self.recorder {
            recorder.frame(now, Direction::Out, FrameRef::Tx(frame));
        }
    }

    pub(crate) fn discard(&mut self, now: Instant, dropped: impl Into<Dropped>) {
        let Dropped { reason, pair } = dropped.into();
        self.counters.discard(reason);
        if let Some(recorder) = &mut self.recorder {
            recorder.discard(
                now,
                pair.map(|pair| pair.0),
                pair.map(|pair| pair.1),
                reason,
            );
        }
    }

    pub(crate) fn state(&mut self, now: Instant, tuple: &Tuple, from: State, to: State) {
        if let Some(recorder) = &mut self.recorder {
            recorder.state(now, tuple.local(), tuple.remote(), from, to);
        }
    }
}
