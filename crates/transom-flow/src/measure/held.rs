//! What holds a sender back, in time.
//!
//! The rule, in the spirit of T-RAT (Zhang, Breslau, Paxson, Shenker: "On the Characteristics and
//! Origins of Internet Flow Rates", SIGCOMM 2002) but deciding for each wait instead of each flight.
//! A wait is the time before a segment of new data, and it belongs to
//!
//! 1. *loss*, from the third duplicate acknowledgement, the first with SACK, or data sent again, until
//!    all that had been sent before is acknowledged; and when it ended with data that a timer sent again;
//! 2. *the receiver's window*, while that had no room for a full segment; also the time that the
//!    sender needed to answer when room was made;
//! 3. *the application*, if the segment before the wait showed that all data had been sent: PSH on a
//!    segment that is not full, or PSH on any and the next data did not come promptly after an
//!    acknowledgement (all common stacks set PSH on what empties the send buffer);
//! 4. *the network* otherwise: there was more to send, the window had room, and yet the sender
//!    waited for acknowledgements (congestion window), or for its pacing or its own link.
//!
//! "Promptly" allows for the way from the capture point to the sender and back, which is measured,
//! so that the rule holds wherever the capture was taken. For the same reason the window that counts
//! for a segment is the one that its sender knew: the one that passed that much earlier.

use super::Limited;
use transom_wire::Seq;

const APPLICATION: usize = 0;
const WINDOW: usize = 1;
const LOSS: usize = 2;
const NETWORK: usize = 3;

/// Time that a sender may take to send after an acknowledgement, besides its half of the path.
const PROMPT: u64 = 2_000_000;

/// What a segment did to its sender, or an acknowledgement to whom it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// New data; with PSH, with less than a full segment.
    Data { push: bool, short: bool },
    /// Data sent again; by the retransmission timer, or because acknowledgements told of a loss.
    Again { by_timer: bool },
    /// An acknowledgement that makes room: by number or by window.
    Room,
    /// Anything else.
    Other,
}

/// The clock of one sender.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    times: [u64; 4],
    /// Up to when time is accounted for.
    since: u64,
    /// Waiting time of which the reason will be known at the next data.
    pending: u64,
    /// When an acknowledgement last made room.
    room_at: u64,
    is_started: bool,
    /// The last data had PSH.
    pushed: bool,
    /// The last data was less than a full segment.
    short: bool,
    /// A loss is being repaired until this is acknowledged.
    repairs_until: Option<Seq>,
    /// The highest acknowledgement, and the room, at the last [`Event::Room`].
    ack: Option<Seq>,
    room: u32,
    /// The receiver's window has no room.
    is_shut: bool,
    /// The wait began with a window without room.
    was_shut: bool,
    /// The window that the sender knew at its last data had no room for more.
    is_shut_there: bool,
    /// Windows of the past, where the sender is far away.
    edges: Option<Box<Edges>>,
}

/// A path to the sender that is shorter needs no memory of windows.
const NEAR: u64 = 1_000_000;
/// Windows of the past that are remembered, spread over a bit more than a round trip.
const EDGES: usize = 8;

/// Ends of the receiver's window in the past, with the times at which they passed.
#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    passed: [(u64, Seq); EDGES],
    newest: usize,
    len: usize,
}

impl Edges {
    fn add(&mut self, now: u64, edge: Seq, spacing: u64) {
        let newest = self.passed.get(self.newest).map_or(0, |(at, _)| *at);
        if self.len > 0 && now.saturating_sub(newest) < spacing {
            return;
        }
        self.newest = (self.newest + 1) % EDGES;
        self.len = (self.len + 1).min(EDGES);
        if let Some(place) = self.passed.get_mut(self.newest) {
            *place = (now, edge);
        }
    }

    /// The newest that had passed at a time.
    fn known_at(&self, time: u64) -> Option<Seq> {
        (0..self.len)
            .filter_map(|back| self.passed.get((self.newest + EDGES - back) % EDGES))
            .find(|(at, _)| *at <= time)
            .map(|(_, edge)| *edge)
    }
}

impl Held {
    pub(crate) fn limited(&self) -> Limited {
        self.times.into()
    }

    fn add(&mut self, reason: usize, time: u64) {
        if let Some(sum) = self.times.get_mut(reason) {
            *sum = sum.saturating_add(time);
        }
    }

    /// Something happened. `half_rtt` is the round trip between the capture point and the sender.
    pub(crate) fn event(&mut self, now: u64, event: Event, half_rtt: u64) {
        if self.is_started {
            let waited = now.saturating_sub(self.since);
            if self.repairs_until.is_some() {
                self.add(LOSS, waited);
            } else if self.is_shut {
                let reason = if self.is_shut_there {
                    WINDOW
                } else if self.pushed && self.short {
                    APPLICATION
                } else {
                    NETWORK
                };
                self.add(reason, self.pending);
                self.pending = 0;
                self.add(WINDOW, waited);
                self.was_shut = true;
            } else {
                self.pending = self.pending.saturating_add(waited);
            }
        }
        self.since = self.since.max(now);
        match event {
            Event::Data { push, short } => {
                let prompt = half_rtt.saturating_add(half_rtt / 2).saturating_add(PROMPT);
                let is_prompt = now.saturating_sub(self.room_at) <= prompt;
                let reason = if (self.was_shut && is_prompt) || self.is_shut_there {
                    WINDOW
                } else if self.pushed && (self.short || !is_prompt) {
                    APPLICATION
                } else {
                    NETWORK
                };
                self.add(reason, self.pending);
                self.pending = 0;
                self.was_shut = false;
                self.is_shut_there = false;
                self.is_started = true;
                self.pushed = push;
                self.short = short;
            }
            Event::Again { by_timer } => {
                self.add(if by_timer { LOSS } else { NETWORK }, self.pending);
                self.pending = 0;
            }
            Event::Room => self.room_at = now,
            Event::Other => {}
        }
    }

    /// Data was sent again: the repair goes on until all that was sent is acknowledged.
    pub(crate) fn begin_repair(&mut self, highest: Seq) {
        self.repairs_until.get_or_insert(highest);
    }

    /// All up to here is acknowledged.
    pub(crate) fn end_repair(&mut self, ack: Seq) {
        self.repairs_until.take_if(|until| until.le(ack));
    }

    /// The end of the receiver's window passes on its way to the sender.
    pub(crate) fn note_edge(&mut self, now: u64, edge: Seq, half_rtt: u64) {
        if half_rtt >= NEAR {
            let edges = self.edges.get_or_insert_default();
            edges.add(now, edge, half_rtt / (EDGES as u64 - 2));
        }
    }

    /// The sender sent data up to `highest`: tells whether the window that it knew had no room for
    /// `full` more.
    pub(crate) fn note_end(&mut self, now: u64, highest: Seq, full: u32, half_rtt: u64) {
        let has_more = !(self.pushed && self.short);
        let known = self.edges.as_ref().filter(|_| half_rtt >= NEAR);
        let edge = known.and_then(|edges| edges.known_at(now.saturating_sub(half_rtt)));
        self.is_shut_there = has_more && edge.is_some_and(|edge| (highest + full).gt(edge));
    }

    /// Whether an acknowledgement lets the sender send more than before.
    pub(crate) fn is_news(&self, ack: Option<Seq>, room: Option<u32>) -> bool {
        ack != self.ack || room.is_some_and(|room| room > self.room)
    }

    /// What is acknowledged, and how much room the receiver's window has for what would be sent next,
    /// if that is known; `full` is a full segment.
    pub(crate) fn set_room(&mut self, ack: Option<Seq>, room: Option<u32>, full: u32) {
        self.ack = ack;
        self.room = room.unwrap_or(0);
        // With PSH on a short segment nothing waits for room, unless there is none at all.
        let has_more = !(self.pushed && self.short);
        self.is_shut = room.is_some_and(|room| room == 0 || (has_more && room < full));
    }
}
