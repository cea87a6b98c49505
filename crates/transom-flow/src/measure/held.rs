//! What holds a sender back, in time.
//!
//! The rule, in the spirit of T-RAT (Zhang, Breslau, Paxson, Shenker: "On the Characteristics and
//! Origins of Internet Flow Rates", SIGCOMM 2002) but deciding for each wait instead of each flight.
//! A wait is the time before a segment of new data, and it belongs to
//!
//! 1. *loss*, while data sent again is not acknowledged together with all that was sent before it,
//!    and when it ended with data sent again;
//! 2. *the receiver's window*, while that had no room for a full segment; also the time that the
//!    sender needed to answer when room was made;
//! 3. *the application*, if the segment before the wait showed that all data had been sent: PSH on a
//!    segment that is not full, or PSH on any and the next data did not come promptly after an
//!    acknowledgement (all common stacks set PSH on what empties the send buffer);
//! 4. *the network* otherwise: there was more to send, the window had room, and yet the sender
//!    waited for acknowledgements (congestion window), or for its pacing or its own link.
//!
//! "Promptly" allows for the way from the capture point to the sender and back, which is measured,
//! so that the rule holds wherever the capture was taken.

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
    /// Data sent again.
    Again,
    /// An acknowledgement that makes room: by number or by window.
    Room,
    /// Anything else.
    Other,
}

/// The clock of one sender.
#[derive(Clone, Copy, Debug, Default)]
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
                let reason = if self.was_shut && is_prompt {
                    WINDOW
                } else if self.pushed && (self.short || !is_prompt) {
                    APPLICATION
                } else {
                    NETWORK
                };
                self.add(reason, self.pending);
                self.pending = 0;
                self.was_shut = false;
                self.is_started = true;
                self.pushed = push;
                self.short = short;
            }
            Event::Again => {
                self.add(LOSS, self.pending);
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
