//! What surrounds the control block and survives every change of its shape.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::challenge::Challenge;
use crate::config::{Config, Path};
use crate::discard::Discard;
use crate::event::{CloseReason, Event, Events, PathError};
use crate::fastopen::FastOpening;
use crate::info::Counters;
use crate::path;
use crate::segment::Transmit;
use crate::state::State;
use crate::time::Instant;
use crate::timer::Timers;

/// Configuration, path, deadlines, events and totals of one connection.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) config: Arc<Config>,
    pub(crate) path: Path,
    /// Added to the clock to give the timestamp option's value.
    pub(crate) ts_offset: u32,
    pub(crate) timers: Timers,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    pub(crate) challenge: Challenge,
    pub(crate) last_discard: Option<Discard>,
    /// The latest problem that the network reported, given as the reason if the connection dies.
    pub(crate) soft_error: Option<PathError>,
    /// Since when something may be owed to the network: set by every input and call, cleared when
    /// `poll_transmit` has nothing left. Until then `poll_timeout` lies in the past, so a caller
    /// who forgets to drain loses time and nothing else.
    pub(crate) undrained: Option<Instant>,
    /// Set by whatever ends the connection; the control block is replaced when the current input
    /// is done with.
    pub(crate) ended: Option<Ended>,
    /// Memory is short: buffers do not grow.
    pub(crate) memory_pressure: bool,
    /// Present where Fast Open is in use.
    pub(crate) fast_open: Option<Box<FastOpening>>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reason: CloseReason,
    /// The reset that tells the peer.
    pub(crate) reset: Option<Box<Transmit>>,
}

impl Env {
    pub(crate) fn new(config: Arc<Config>, path: Path, ts_offset: u32, now: Instant) -> Self {
        Self {
            path: path::at_first(&config, path),
            config,
            ts_offset,
            timers: Timers::default(),
            events: Events::default(),
            counters: Counters::default(),
            challenge: Challenge::default(),
            last_discard: None,
            soft_error: None,
            undrained: Some(now),
            ended: None,
            memory_pressure: false,
            fast_open: None,
        }
    }

    /// The one place through which every change of state passes (invariant 3).
    pub(crate) fn enter(&mut self, from: State, to: State) {
        debug_assert!(from.may_become(to), "{from} must not become {to}");
        self.events.push(Event::State { from, to });
    }

    /// Marks that output may be owed.
    pub(crate) const fn touch(&mut self, now: Instant) {
        if self.undrained.is_none() {
            self.undrained = Some(now);
        }
    }

    /// The value of the timestamp option at `now` (RFC 7323 §5.4: a clock of 1 ms).
    pub(crate) const fn ts_val(&self, now: Instant) -> u32 {
        now.ticks().wrapping_add(self.ts_offset)
    }

    /// Ends the connection once the current input is done with. The first reason stands.
    pub(crate) fn end(&mut self, reason: CloseReason, reset: Option<Transmit>) {
        if self.ended.is_none() {
            self.ended = Some(Ended {
                reason,
                reset: reset.map(Box::new),
            });
        }
    }

    /// Ends the connection because the peer did not answer.
    pub(crate) fn end_unanswered(&mut self, reason: CloseReason, reset: Option<Transmit>) {
        // RFC 1122 §4.2.3.9: what the network said about it explains the silence best.
        self.end(
            self.soft_error.map_or(reason, CloseReason::Unreachable),
            reset,
        );
    }

    /// Owes an acknowledgement to a segment that may be forged, at most one per interval. Gives whether
    /// this one is answered.
    pub(crate) fn request_challenge(&mut self, now: Instant) -> bool {
        // RFC 5961 §3.2, §4.2, §5.2.
        self.challenge.request(now, self.config.challenge_interval)
    }

    pub(crate) const fn count_sent(&mut self, segments: u32) {
        self.counters.segments_sent = self.counters.segments_sent.wrapping_add(segments);
    }

    pub(crate) fn count_discard(&mut self, discard: Discard) {
        self.counters.discards = self.counters.discards.wrapping_add(1);
        self.last_discard = Some(discard);
    }
}
