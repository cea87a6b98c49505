//! TIME-WAIT in less than 128 octets (RFC 9293 §3.6.1, RFC 6191, RFC 1337).
//!
//! All that is left to do is to acknowledge the peer's FIN again, should it come again, to tell old
//! segments from a new connection, and to end.

use core::time::Duration;

use transom_wire::tcp::{Flags, Options, Timestamps};
use transom_wire::{Ecn, Payload, Seq};

use crate::challenge::Challenge;
use crate::discard::Discard;
use crate::env::Env;
use crate::segment::{Segment, Transmit, TransmitKind};
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

/// A new initial sequence number lies this far beyond SND.NXT, as in Linux: beyond any window of the
/// old connection without scaling.
const ISS_DISTANCE: u32 = 65_535 + 2;

/// A connection in TIME-WAIT that owes nothing but acknowledgements.
#[derive(Debug)]
pub struct TimeWait {
    deadline: Instant,
    time_wait: Duration,
    snd_nxt: Seq,
    rcv_nxt: Seq,
    /// The window as of entry, as on the wire (TW-13).
    window: u16,
    rcv_wnd: u32,
    /// MAX.SND.WND, or less (see `Tcb::oldest_ack`): how old an acknowledgement may be.
    max_snd_wnd: u32,
    dscp: u8,
    /// The flags that show the counter of marks, if it was in use.
    feedback: Flags,
    /// TS.Recent and the offset of our own clock, if timestamps were in use.
    timestamps: Option<(u32, u32)>,
    challenge_interval: Duration,
    challenge: Challenge,
}

/// What TIME-WAIT answers.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once a segment, and taken apart at once"
)]
pub enum TimeWaitReply {
    /// Nothing is sent.
    Drop(Discard),
    /// This acknowledgement is sent.
    Ack(Discard, Transmit),
    /// The segment is a SYN that opens a new connection: the old one is over; hand the segment to
    /// the listener, with an initial sequence number beyond `min_iss`.
    Reopen {
        /// RFC 1122 §4.2.2.13: the new ISS must be larger than any number of the old connection.
        min_iss: Seq,
    },
}

impl TimeWait {
    pub(crate) fn new(env: &Env, tcb: &Tcb) -> Self {
        let rcv_wnd = tcb.rcv.wnd();
        Self {
            deadline: env.timers.get(Timer::TimeWait).unwrap_or(Instant::ORIGIN),
            time_wait: env.config.time_wait,
            snd_nxt: tcb.snd.nxt,
            rcv_nxt: tcb.rcv.nxt(),
            window: u16::try_from(rcv_wnd >> tcb.negotiated.rcv_shift()).unwrap_or(u16::MAX),
            rcv_wnd,
            max_snd_wnd: tcb.oldest_ack(env),
            dscp: env.config.dscp,
            feedback: tcb
                .ecn
                .accurate
                .as_ref()
                .map_or(Flags::EMPTY, |accurate| accurate.counter_flags()),
            timestamps: tcb
                .negotiated
                .timestamps
                .then_some((tcb.rcv.ts_recent, env.ts_offset)),
            challenge_interval: env.config.challenge_interval,
            challenge: Challenge::default(),
        }
    }

    /// When the pair of sockets becomes free.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// SND.NXT: a connection that reuses the pair of sockets must begin beyond it.
    pub fn min_iss(&self) -> Seq {
        self.snd_nxt + ISS_DISTANCE
    }

    /// RCV.NXT of the old connection.
    pub const fn rcv_nxt(&self) -> Seq {
        self.rcv_nxt
    }

    /// Whether an active open may take the pair of sockets over now, and beyond which initial
    /// sequence number: timestamps tell old segments from new ones once the clock has moved on
    /// (RFC 6191 §2, TW-11; Linux `tcp_tw_reuse`).
    pub fn reuse(&self, now: Instant) -> Option<Seq> {
        let entered = self.deadline - self.time_wait;
        let moved_on = now.duration_since(entered) > Duration::from_secs(1);
        (self.timestamps.is_some() && moved_on).then(|| self.min_iss())
    }

    /// SEGMENT ARRIVES in TIME-WAIT.
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment) -> TimeWaitReply {
        if segment.has(Flags::RST) {
            // RFC 1337 §3 (F1), TW-10: a reset does not shorten TIME-WAIT.
            return TimeWaitReply::Drop(Discard::ResetInTimeWait);
        }
        if segment.has(Flags::SYN) && !segment.has(Flags::ACK) {
            return self.syn(segment);
        }
        if segment.has(Flags::SYN) {
            return self.challenge(now, Discard::SynChallenged);
        }
        if self.timestamps.is_some() && segment.options.timestamps.is_none() {
            // RFC 7323 §3.2 TS-3: dropped without an answer, lest a forged FIN prolong TIME-WAIT.
            return TimeWaitReply::Drop(Discard::TimestampMissing);
        }
        if segment.has(Flags::FIN) && segment.end() == self.rcv_nxt && !self.is_old(segment) {
            // RFC 9293 §3.10.7.4: the peer did not get our acknowledgement. Again, and 2 MSL anew.
            self.deadline = now + self.time_wait;
            return TimeWaitReply::Ack(Discard::OldDuplicate, self.acknowledgement(now));
        }
        if !self.is_old(segment) && self.is_in_window(segment) {
            if !segment.has(Flags::ACK) {
                // EV-T-8.
                return TimeWaitReply::Drop(Discard::AckMissing);
            }
            // EV-T-9, EV-T-12: an acknowledgement of what was never sent, or too old, is answered.
            let acceptable =
                segment.ack.le(self.snd_nxt) && segment.ack.ge(self.snd_nxt - self.max_snd_wnd);
            if segment.is_empty() && acceptable {
                return TimeWaitReply::Drop(Discard::TimeWaitOldSegment);
            }
        }
        // TW-9: anything else is old.
        self.challenge(now, Discard::TimeWaitOldSegment)
    }

    /// RFC 6191 §2.
    fn syn(&self, segment: &Segment) -> TimeWaitReply {
        // The number of the peer's FIN was the last one; RCV.NXT is one beyond.
        let later = segment.seq.ge(self.rcv_nxt);
        let acceptable = match (self.timestamps, segment.options.timestamps) {
            // TW-1, TW-2.
            (Some((recent, _)), Some(new)) => {
                let (new, recent) = (Seq::new(new.val), Seq::new(recent));
                new.gt(recent) || (new == recent && later)
            }
            // TW-5.
            (None, Some(_)) => true,
            // TW-3, TW-6.
            (Some(_) | None, None) => later,
        };
        if acceptable {
            TimeWaitReply::Reopen {
                min_iss: self.min_iss(),
            }
        } else {
            // TW-4: silently, as RFC 6191 says. Linux acknowledges, which makes a genuine client
            // reset and try again, and tells a stranger that there was a connection.
            TimeWaitReply::Drop(Discard::TimeWaitOldSyn)
        }
    }

    /// RFC 9293 §3.10.7.4, first.
    fn is_in_window(&self, segment: &Segment) -> bool {
        let (nxt, wnd) = (self.rcv_nxt, self.rcv_wnd);
        match (segment.is_empty(), wnd) {
            (true, 0) => segment.seq == nxt,
            (false, 0) => false,
            (true, _) => segment.seq.in_window(nxt, wnd),
            // Any part of it: the first octet inside, or RCV.NXT inside the segment.
            (false, _) => {
                segment.seq.in_window(nxt, wnd) || segment.seq.lt(nxt) && segment.end().gt(nxt)
            }
        }
    }

    /// PAWS.
    fn is_old(&self, segment: &Segment) -> bool {
        match (self.timestamps, segment.options.timestamps) {
            (Some((recent, _)), Some(new)) => Seq::new(new.val).lt(Seq::new(recent)),
            _ => false,
        }
    }

    fn challenge(&mut self, now: Instant, discard: Discard) -> TimeWaitReply {
        if self.challenge.request(now, self.challenge_interval) {
            self.challenge.take();
            TimeWaitReply::Ack(discard, self.acknowledgement(now))
        } else {
            TimeWaitReply::Drop(discard)
        }
    }

    fn acknowledgement(&self, now: Instant) -> Transmit {
        let timestamps = self.timestamps.map(|(recent, offset)| Timestamps {
            val: now.ticks().wrapping_add(offset),
            ecr: recent,
        });
        Transmit {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            // RFC 9768 §3.2.2.2.
            flags: Flags::ACK | self.feedback,
            window: self.window,
            urgent: 0,
            options: Options {
                timestamps,
                ..Options::EMPTY
            },
            payload: Payload::default(),
            segment_size: 0,
            ecn: Ecn::NotEct,
            dscp: self.dscp,
            kind: TransmitKind::Ack,
        }
    }
}
