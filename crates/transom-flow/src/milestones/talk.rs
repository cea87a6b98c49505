//! How the two ends talk with each other: turns, pauses, small writes that wait, data in flight.
//!
//! A few words are kept for each end and brought up to date with each segment; what only unusual
//! connections show is kept apart, in [`Rare`](super::Rare), which the others do not have.

use super::rare::{Episode, Restart, Stuck};
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::model::End;
use crate::step::{Cause, Meaning};
use core::time::Duration;
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// A pause of the whole connection that is worth remembering.
pub(crate) const PAUSE_MIN: Duration = Duration::from_secs(5);
/// A pause of a sender after which its congestion window starts anew: more than common timeouts.
pub(crate) const RESTART_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Full segments that were in flight before it, for the new start to show.
pub(crate) const RESTART_SEGMENTS_MIN: u32 = 20;
/// The shortest delay of an acknowledgement that a timer makes: common systems wait 40 ms and more.
pub(crate) const DELAYED_ACK_MIN: Duration = Duration::from_millis(30);
/// RFC 9293 §3.8.6.3 MUST-40: no acknowledgement is delayed by half a second or more.
pub(crate) const DELAYED_ACK_MAX: Duration = Duration::from_millis(500);
/// Within this time data follows the acknowledgement that it waited for.
pub(crate) const RELEASED_MAX: Duration = Duration::from_millis(3);
/// What a segment can carry when no SYN told; RFC 9293 §3.7.1 MUST-15.
const MSS_DEFAULT: u16 = 536;

/// What is kept of each end as a speaker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Talk {
    /// When its newest new data passed.
    pub(crate) last_data: Option<Duration>,
    /// Bytes, and segments, of new data since the other end last sent any.
    pub(crate) run_bytes: u32,
    pub(crate) run_segments: u32,
    /// How often it answered data of the other end with data.
    pub(crate) turns: u32,
    /// The longest time from the other end's data to its answer, and the answer's frame.
    pub(crate) slowest: Option<(Duration, u64)>,
    /// The maximum segment size that it offered.
    pub(crate) mss: Option<u16>,
    /// Whether its SYN offered selective acknowledgement, a window scale, and timestamps.
    pub(crate) sack: Option<bool>,
    pub(crate) scale: Option<bool>,
    pub(crate) timestamps: Option<bool>,
    /// Its first data was an HTTP request.
    pub(crate) asks_http: bool,
    /// It was a TLS handshake.
    pub(crate) asks_tls: bool,
    /// A segment smaller than could be, sent while nothing else was under way.
    small: Option<Duration>,
    /// Such a segment was acknowledged late: when, and how late.
    held: Option<(Duration, Duration)>,
    /// The most data in flight so far.
    pub(crate) flight_max: u32,
    /// The largest segment known to have arrived.
    pub(crate) largest_arrived: u32,
    /// The largest segment under way, and the number after it.
    largest_pending: Option<(Seq, u32)>,
}

impl Talk {
    /// What its segments may carry at most, by the other end's offer.
    fn limit(self) -> u32 {
        u32::from(self.mss.unwrap_or(MSS_DEFAULT))
    }
}

impl Connection {
    /// Keeps how the ends talk. Before the segment's own effects are.
    pub(crate) fn note_talk(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        self.note_pause(from, seen.time);
        self.note_asked(from, segment, seen, meaning);
        if let Some(ack) = segment.ack {
            self.note_answered(from, ack, segment, seen);
        }
        match meaning {
            Meaning::Data | Meaning::DataAfterGap | Meaning::Fin | Meaning::Syn
                if segment.len > 0 =>
            {
                self.note_data(from, segment, seen);
            }
            Meaning::Retransmission { cause, .. }
                if segment.len > 0 && !segment.flags.contains(Flags::SYN) =>
            {
                self.note_repeat(from, segment, seen, cause);
            }
            _ => {}
        }
    }

    /// A pause of the whole connection before this segment.
    fn note_pause(&mut self, from: End, now: Duration) {
        let is_first = self.milestones.heard.client + self.milestones.heard.server <= 1;
        let length = now.saturating_sub(self.last_frame);
        if !is_first && length >= PAUSE_MIN {
            self.milestones.rare().pause = Some(super::rare::Pause {
                length,
                since: crate::model::Ends::default(),
            });
        }
        if let Some(pause) = self
            .milestones
            .rare
            .as_mut()
            .and_then(|rare| rare.pause.as_mut())
        {
            pause.since[from] += 1;
        }
    }

    /// Keep-alives that wait for an answer, and an answer to a SYN that is none.
    fn note_asked(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, meaning: Meaning) {
        if meaning == Meaning::KeepAlive {
            self.milestones.rare().asked[from] += 1;
        }
        let client = self.lanes[End::Client].base;
        let is_stale = from == End::Server
            && self.milestones.syn_ack.is_none()
            && self.milestones.heard.server == 1
            && !segment.flags.contains(Flags::SYN)
            && self.milestones.first_syn.is_some()
            && segment
                .ack
                .zip(client)
                .is_some_and(|(ack, base)| ack != base + 1);
        if is_stale {
            self.milestones.rare().stale_ack = Some(seen.frame);
        }
        if let Some(rare) = self.milestones.rare.as_mut() {
            rare.asked[from.other()] = 0;
        }
    }

    /// New data.
    fn note_data(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let peer = from.other();
        let lane = &self.lanes[from];
        let flight = lane.passed.highest().since(lane.acked);
        let is_started = lane.base.is_some();
        let asked = self.milestones.talk[peer].last_data;
        let limit = self.milestones.talk[peer].limit();
        self.milestones.talk[peer].run_bytes = 0;
        self.milestones.talk[peer].run_segments = 0;
        let talk = &mut self.milestones.talk[from];
        let before = talk.last_data.replace(seen.time);
        if before.is_none() {
            talk.asks_tls = matches!(segment.data, [22, 3, ..]);
            talk.asks_http = matches!(
                segment.data,
                [b'G', b'E', b'T', b' ', ..]
                    | [b'P', b'O', b'S', b'T', b' ', ..]
                    | [b'P', b'U', b'T', b' ', ..]
                    | [b'H', b'E', b'A', b'D', b' ', ..]
            );
        }
        talk.run_bytes = talk.run_bytes.saturating_add(segment.len);
        talk.run_segments = talk.run_segments.saturating_add(1);
        if let Some(asked) = asked.filter(|asked| before.is_none_or(|before| before < *asked)) {
            talk.turns = talk.turns.saturating_add(1);
            let wait = seen.time.saturating_sub(asked);
            if talk.slowest.is_none_or(|(slowest, _)| wait > slowest) {
                talk.slowest = Some((wait, seen.frame));
            }
        }
        // Numbers before the first acknowledgement tell nothing of what is under way.
        let flight = if is_started && flight < 1 << 30 {
            flight
        } else {
            0
        };
        let is_small = segment.len < limit;
        let released = talk.held.take().filter(|(at, _)| {
            is_small && seen.time.saturating_sub(*at) <= RELEASED_MAX && flight == 0
        });
        talk.small = (is_small && flight == 0).then_some(seen.time);
        let now = flight.saturating_add(segment.len);
        let flight_before = talk.flight_max;
        talk.flight_max = talk.flight_max.max(now);
        if segment.len > talk.largest_arrived
            && talk
                .largest_pending
                .is_none_or(|(_, pending)| segment.len >= pending)
        {
            talk.largest_pending = Some((segment.seq + segment.len, segment.len));
        }
        let pause = before.map(|before| seen.time.saturating_sub(before));
        if let Some((_, delay)) = released {
            let episode = &mut self.milestones.rare().held[from];
            episode.add(delay, seen.frame);
        }
        if let Some(pause) = pause.filter(|pause| *pause >= RESTART_PAUSE_MIN)
            && flight == 0
            && flight_before >= RESTART_SEGMENTS_MIN * limit
        {
            let rare = self.milestones.rare();
            rare.restarts[from].begin(pause, flight_before, seen.frame);
        }
        if let Some(rare) = self.milestones.rare.as_mut() {
            rare.restarts[from].sent(segment.len);
        }
    }

    /// What an acknowledgement tells of the other end's data.
    fn note_answered(&mut self, from: End, ack: Seq, segment: &Dissected<'_>, seen: Seen) {
        let peer = from.other();
        let is_advance = self.lanes[peer].base.is_some() && ack.gt(self.lanes[peer].acked);
        let own_rtt = self.milestones.handshake.map(|handshake| match from {
            End::Server => handshake.syn_ack.saturating_sub(handshake.syn),
            End::Client => handshake.ack.saturating_sub(handshake.syn_ack),
        });
        let is_last = ack == self.lanes[peer].passed.highest();
        let talk = &mut self.milestones.talk[peer];
        if !is_advance {
            return;
        }
        if let Some((end, len)) = talk.largest_pending
            && ack.ge(end)
        {
            talk.largest_arrived = len;
            talk.largest_pending = None;
        }
        if let Some(small) = talk.small.take()
            && segment.len == 0
            && is_last
            && !segment.flags.contains(Flags::FIN)
            && let Some(delay) = seen
                .time
                .saturating_sub(small)
                .checked_sub(own_rtt.unwrap_or_default())
            && (DELAYED_ACK_MIN..DELAYED_ACK_MAX).contains(&delay)
        {
            talk.held = Some((seen.time, delay));
        }
        if let Some(rare) = self.milestones.rare.as_mut() {
            rare.stuck[peer].answered(ack);
            rare.restarts[peer].answered();
        }
    }

    /// Data sent again.
    fn note_repeat(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, cause: Cause) {
        let talk = &mut self.milestones.talk[from];
        if let Some((end, len)) = talk.largest_pending
            && segment.seq + len == end
            && segment.len < len
        {
            // It was cut: what arrives in the end is smaller.
            talk.largest_pending = Some((segment.seq + segment.len, segment.len));
        }
        let rare = self.milestones.rare();
        let causes = &mut rare.causes[from];
        match cause {
            Cause::Timeout => causes.timeouts += 1,
            Cause::AlreadyAcknowledged => causes.needless += 1,
            _ => causes.other += 1,
        }
        if cause != Cause::AlreadyAcknowledged {
            rare.stuck[from].repeated(segment.seq, segment.len, seen);
        }
    }
}

impl Episode {
    fn add(&mut self, time: Duration, frame: u64) {
        if self.count == 0 {
            self.frame = frame;
        }
        self.count += 1;
        self.total = self.total.saturating_add(time);
    }
}

impl Stuck {
    fn repeated(&mut self, seq: Seq, len: u32, seen: Seen) {
        let run = &mut self.now;
        if run.count > 0 && run.seq == seq {
            run.count += 1;
            run.last = seen.time;
            run.len = run.len.max(len);
        } else {
            *run = super::rare::Run {
                seq,
                len,
                count: 1,
                first: seen.time,
                last: seen.time,
                frame: seen.frame,
            };
        }
        if run.count >= self.worst.count {
            self.worst = *run;
        }
    }

    fn answered(&mut self, ack: Seq) {
        if self.now.count > 0 && ack.gt(self.now.seq) {
            self.now.count = 0;
        }
    }
}

impl Restart {
    fn begin(&mut self, pause: Duration, flight: u32, frame: u64) {
        *self = Self {
            pause,
            flight,
            frame,
            burst: 0,
            later: 0,
            is_first_round: true,
            ..*self
        };
    }

    fn sent(&mut self, len: u32) {
        if self.flight == 0 {
            return;
        }
        if self.is_first_round {
            self.burst = self.burst.saturating_add(len);
        } else {
            self.later = self.later.saturating_add(len);
            // It had as much to send as before the pause, and was let send less in the first round.
            if self.later >= self.flight / 2 && self.burst <= self.flight / 2 {
                self.times += 1;
                self.shown = Some((self.pause, self.burst, self.flight, self.frame));
                self.flight = 0;
            }
        }
    }

    fn answered(&mut self) {
        self.is_first_round = false;
    }
}
