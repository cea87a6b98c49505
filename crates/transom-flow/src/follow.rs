//! Following segments: what a segment shows of its sender when it departs
//! (RFC 9293 §3.10, seen from outside).

use crate::connection::{Arrival, Connection};
use crate::dissect::{Dissected, Quoted};
use crate::frame::Frame;
use crate::lane::Sent;
use crate::meaning::{self, Situation};
use crate::measure::nanos;
use crate::milestones::IcmpSeen;
use crate::model::End;
use crate::ranges::Novelty;
use crate::step::{Cause, Fate, IcmpError, IcmpKind, Meaning, Segment, StateChange, What};
use crate::{hint, truth};
use core::time::Duration;
use transom_tcp::State;
use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

/// A segment that crossed the newest one on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crossed {
    SynAck,
    Fin,
}

/// What the capture says of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) time: Duration,
    pub(crate) frame: u64,
    pub(crate) gso_size: u16,
    pub(crate) fate: Fate,
}

impl Seen {
    /// Of a frame with this number.
    pub(crate) const fn of(frame: &Frame<'_>, number: u64) -> Self {
        Self {
            time: frame.time,
            frame: number,
            gso_size: frame.gso_size,
            fate: frame.fate,
        }
    }
}

impl Connection {
    /// Whether a SYN starts another connection between the same sockets.
    pub(crate) fn is_reopened_by(&self, segment: &Dissected<'_>) -> bool {
        let syn_only = segment.flags.contains(Flags::SYN) && segment.ack.is_none();
        if !syn_only {
            return false;
        }
        let from = self.end_of(segment.src);
        let is_new_number = self.lanes[from]
            .base
            .is_some_and(|base| base != segment.seq);
        is_new_number
            && self.states()[from].is_any(&[
                State::Closed,
                State::TimeWait,
                State::Listen,
                State::SynSent,
            ])
    }

    /// Takes a segment.
    pub(crate) fn segment(&mut self, seen: Seen, segment: &Dissected<'_>) {
        let from = self.end_of(segment.src);
        if self.is_steady && self.take_steady(from, segment, seen) {
            return;
        }
        self.follow(from, segment, seen);
        self.is_steady = self.is_steady();
    }

    /// The long way, which all may go.
    pub(crate) fn follow(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        self.deliver_until(seen.time);
        // A change of state just before a segment of the same end is shown on the segment's row.
        self.steps
            .take_trailing_state(from, seen.time, truth::SAME_MOMENT);
        self.note_log(from, segment);
        if self.take_copy(from, segment, seen) {
            return;
        }
        self.arrive_late_fin(from, segment, seen.time);
        let index = self.steps.next_index();
        let meaning = self.meaning_of(from, segment, seen.time);
        let is_first_data = self.milestones.first_data[from].is_none();
        self.note_milestones(from, segment, seen, meaning);
        self.depart(from, segment, index, meaning);
        self.learn(from, segment, seen, meaning);
        self.measure(from, segment, seen, meaning);
        self.resolve_doubts(from, segment);
        if let Meaning::Retransmission { cause, .. } = meaning
            && !segment.flags.contains(Flags::SYN)
        {
            self.doubt(from, segment, index, cause == Cause::AlreadyAcknowledged);
            match cause {
                Cause::Timeout => self.lanes[from].begin_repair(true),
                Cause::FastRetransmit => self.lanes[from].begin_repair(false),
                _ => {}
            }
        }
        if !matches!(meaning, Meaning::KeepAlive | Meaning::WindowProbe) {
            self.read_first(from, segment);
        }
        self.count(from, segment, seen, meaning);
        self.start_arrival(from, segment, seen, index, meaning);
        let is_new_data = !matches!(meaning, Meaning::KeepAlive | Meaning::WindowProbe);
        let mut described = self.described(from, segment, seen, meaning);
        described.hint = is_new_data
            .then(|| hint::hint(segment.data, is_first_data))
            .flatten();
        let what = What::Segment(described);
        self.push_step(seen.time, what);
        self.last_frame = self.last_frame.max(seen.time);
        self.arrive_crossed(from, seen.time);
    }

    /// A segment as its step holds it.
    #[inline]
    pub(crate) fn described(
        &self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) -> Segment {
        let (own, peer) = (&self.lanes[from], &self.lanes[from.other()]);
        let sack = &segment.options.sack;
        Segment {
            frame: seen.frame,
            from,
            flags: segment.flags,
            seq: segment.seq,
            relative_seq: own.relative(segment.seq).unwrap_or(0),
            ack: segment.ack,
            relative_ack: segment.ack.and_then(|ack| peer.relative(ack)),
            len: segment.len,
            window: self.window_of(from, segment),
            segments: wire_segments(segment.len, seen.gso_size),
            sack_blocks: u8::try_from(sack.len()).unwrap_or(u8::MAX),
            sack: (!sack.is_empty()).then(|| Box::new(*sack)),
            options: segment
                .flags
                .contains(Flags::SYN)
                .then(|| Box::new(segment.options)),
            meaning,
            fills_window: self.fills_window(from, segment),
            needless: matches!(
                meaning,
                Meaning::Retransmission {
                    cause: Cause::AlreadyAcknowledged,
                    ..
                }
            ),
            fate: seen.fate,
            hint: None,
        }
    }

    /// Whether data reaches the end of the receiver's window.
    fn fills_window(&self, from: End, segment: &Dissected<'_>) -> bool {
        let (own, peer) = (&self.lanes[from], &self.lanes[from.other()]);
        let is_known = peer.has_syn && own.has_syn;
        let (Some(ack), Some(window @ 1..), true) = (peer.last_ack, peer.window, is_known) else {
            return false;
        };
        let edge = ack + window;
        segment.len > 0 && segment.seq.lt(edge) && (segment.seq + segment.len).ge(edge)
    }

    /// Keeps the letters for a log of connections.
    fn note_log(&mut self, from: End, segment: &Dissected<'_>) {
        let heard = self.milestones.heard;
        if heard.client == 0 && heard.server == 0 && from == End::Server {
            self.log.flip();
        }
        let acknowledged = &self.lanes[from.other()];
        let reveals_gap = acknowledged.base.is_some()
            && segment
                .ack
                .is_some_and(|ack| ack.gt(acknowledged.passed.contiguous()));
        self.log.segment(from, segment, reveals_gap);
    }

    /// The window in bytes: RFC 7323 §2.2, a SYN's window is never scaled, and no window is unless
    /// both SYNs offered a scale.
    pub(crate) fn window_of(&self, from: End, segment: &Dissected<'_>) -> u32 {
        let raw = u32::from(segment.window);
        match (self.lanes[from].scale, self.lanes[from.other()].scale) {
            // RFC 7323 §2.3: a shift above 14 counts as 14.
            (Some(own), Some(_)) if !segment.flags.contains(Flags::SYN) => raw << own.min(14),
            _ => raw,
        }
    }

    fn meaning_of(&self, from: End, segment: &Dissected<'_>, time: Duration) -> Meaning {
        let peer = from.other();
        Situation {
            segment,
            time,
            window: self.window_of(from, segment),
            own: &self.lanes[from],
            peer: &self.lanes[peer],
            own_facts: &self.facts[from],
            peer_facts: &self.facts[peer],
            owed: self.owed[from],
            has_reset: self.milestones.resets[from].is_some(),
            has_sent_syn_ack: self.milestones.syn_acks[from] > 0,
            sender: &self.survey.meters[from],
            receiver: &self.survey.meters[peer],
        }
        .meaning()
    }

    /// A FIN that acknowledges the other end's FIN, which was taken not to have arrived: it came in
    /// between, and the sender was in CLOSE-WAIT for a while.
    fn arrive_late_fin(&mut self, to: End, segment: &Dissected<'_>, time: Duration) {
        let peer = to.other();
        let covers = segment
            .ack
            .zip(self.lanes[peer].fin)
            .is_some_and(|(ack, fin)| ack.gt(fin));
        if !covers || !segment.flags.contains(Flags::FIN) || self.truth[to].is_some() {
            return;
        }
        let index = self.steps.next_index();
        let state = self.inferred_at(to, index);
        if state != Some(State::Established) {
            return;
        }
        self.facts[to].fin_received = Some(index);
        let change = StateChange {
            end: to,
            from: state,
            to: State::CloseWait,
            arrival_of: self.milestones.fins[peer].map(|fin| fin.frame),
        };
        self.push_step(time, What::State(change));
    }

    /// Two SYN,ACKs or two FINs crossed on their way: the one seen first arrives after the one seen
    /// second has left.
    fn arrive_crossed(&mut self, to: End, time: Duration) {
        let Some(crossed) = self.crossed.take() else {
            return;
        };
        let peer = to.other();
        let arrival_of = match crossed {
            Crossed::SynAck => self.milestones.first_syn_acks[peer],
            Crossed::Fin => self.milestones.fins[peer].map(|fin| fin.frame),
        };
        let is_under_way = |arrival: &Arrival| Some(arrival.frame) == arrival_of;
        if self.in_flight.iter().any(is_under_way) {
            // Its time of arrival is known, and not come.
            return;
        }
        let index = self.steps.next_index();
        let before = self.inferred_at(to, index);
        let facts = &mut self.facts[to];
        match crossed {
            Crossed::SynAck => facts.syn_acked.get_or_insert(index),
            Crossed::Fin => facts.fin_received.get_or_insert(index),
        };
        let after = self.inferred_at(to, index);
        if let Some(state) = after
            && after != before
            && self.truth[to].is_none()
        {
            let change = StateChange {
                end: to,
                from: before,
                to: state,
                arrival_of,
            };
            self.push_step(time, What::State(change));
        }
    }

    /// What the segment adds to the sequence numbers that passed.
    fn learn(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, meaning: Meaning) {
        if segment.flags.contains(Flags::RST) {
            return;
        }
        let is_syn = segment.flags.contains(Flags::SYN);
        let own = &mut self.lanes[from];
        // An acknowledgement of an older connection may have come before the SYN,ACK of this one.
        let is_first = meaning == Meaning::Syn
            || (meaning == Meaning::SynAck && own.base != Some(segment.seq));
        if is_syn && (own.base.is_none() || is_first) {
            own.start(segment.seq, segment.seq);
        } else if own.base.is_none() {
            own.start(segment.seq - 1, segment.seq);
        }
        if is_syn {
            own.has_syn = true;
            own.scale = segment.options.window_scale;
        }
        let range = meaning::range(segment);
        if meaning == Meaning::WindowProbe && segment.len > 0 {
            own.probe = Some(range);
            self.learn_receiver(from, segment, seen, meaning);
            return;
        }
        if own.passed.novelty(range) == Novelty::AfterGap && segment.sequence_len() > 0 {
            own.gap_since.get_or_insert(seen.time);
            self.totals[from].gaps += 1;
        }
        let data_start = segment.seq + u32::from(is_syn);
        let data = SeqRange {
            start: data_start,
            end: data_start + segment.len,
        };
        if is_syn {
            own.passed.insert(SeqRange {
                start: segment.seq,
                end: data_start,
            });
        }
        let before = own.passed.highest();
        let announced = own.see(data);
        self.totals[from].bytes += u64::from(own.passed.insert(data)) + u64::from(announced);
        if segment.flags.contains(Flags::FIN) {
            own.fin = Some(data.end);
            own.passed.insert(SeqRange {
                start: data.end,
                end: data.end + 1,
            });
        }
        // A FIN that comes without the data before it tells how much that was.
        let advance = u64::from(own.passed.highest().since(before));
        let is_new_fin = segment.flags.contains(Flags::FIN) && data.end.ge(before);
        self.totals[from].extent += advance.saturating_sub(u64::from(is_new_fin));
        if !own.passed.has_gap() {
            own.gap_since = None;
        }
        if range.start != range.end && meaning != Meaning::KeepAlive {
            let is_repeated = matches!(meaning, Meaning::Retransmission { .. });
            self.remember(from, segment, seen, is_repeated);
        }
        self.learn_receiver(from, segment, seen, meaning);
    }

    /// What data that continues what passed before adds to it.
    pub(crate) fn learn_next(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) {
        let passed = &mut self.lanes[from].passed;
        let before = passed.highest();
        let totals = &mut self.totals[from];
        totals.bytes += u64::from(passed.insert(meaning::range(segment)));
        totals.extent += u64::from(passed.highest().since(before));
        self.remember(from, segment, seen, false);
    }

    /// Remembers a segment until it is acknowledged.
    fn remember(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, is_repeated: bool) {
        let sent = Sent {
            range: meaning::range(segment),
            time: nanos(seen.time),
            frame: seen.frame,
            clock: segment.options.timestamps.map_or(0, |clock| clock.val),
            ip_id: segment.ip_id,
            hop_limit: segment.hop_limit,
            is_repeated,
        };
        let is_answered = self.lanes[from.other()].last_ack.is_some();
        self.lanes[from].remember(sent, is_answered);
    }

    /// What the segment tells of its sender as a receiver.
    pub(crate) fn learn_receiver(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        let window = self.window_of(from, segment);
        let peer = from.other();
        let own = &mut self.lanes[from];
        own.last_sent = Some(seen.time);
        own.window = Some(window);
        if let Some(ack) = segment.ack {
            let has_sack = !segment.options.sack.is_empty();
            let is_new = own.last_ack.is_none_or(|last| ack.gt(last));
            if is_new {
                own.last_ack = Some(ack);
                own.duplicate_acks = 0;
                own.sacked_above = false;
            }
            if has_sack && own.last_ack == Some(ack) {
                own.note_blocks(ack, &segment.options.sack);
            }
            if let Meaning::DuplicateAck(count) = meaning {
                own.duplicate_acks = count;
            }
            if self.lanes[peer].base.is_none() {
                self.lanes[peer].start(ack - 1, ack);
            }
            if is_new {
                if seen.fate != Fate::Lost {
                    let sender = &mut self.lanes[peer];
                    sender.advanced_at = Some(seen.time);
                    sender.episode.take_if(|episode| episode.until.le(ack));
                }
                self.measure_round_trip(from, segment, ack, seen);
            }
        }
    }

    pub(crate) fn count(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        let segments = u64::from(wire_segments(segment.len, seen.gso_size));
        let totals = &mut self.totals[from];
        totals.frames += 1;
        totals.ip_bytes += u64::from(segment.ip_len);
        totals.truncated += u64::from(segment.captured < segment.len);
        totals.time_reversals += u64::from(seen.time < self.last_frame);
        totals.segments += segments;
        match meaning {
            Meaning::Retransmission { .. } => {
                totals.retransmitted += segments;
                totals.retransmitted_bytes += u64::from(segment.len);
                self.milestones
                    .first_retransmission
                    .get_or_insert(seen.frame);
            }
            Meaning::OutOfOrder => totals.out_of_order += segments,
            Meaning::DuplicateAck(_) => totals.duplicate_acks += 1,
            Meaning::WindowProbe => totals.window_probes += 1,
            Meaning::KeepAlive => totals.keep_alives += 1,
            _ => {}
        }
        let is_reset = segment.flags.contains(Flags::RST);
        // Whatever it comes to: one in answer to nothing, or one that is to be ignored, was sent, too.
        totals.resets += u64::from(is_reset);
        if segment.window == 0 && !is_reset {
            totals.zero_windows += 1;
        }
        if seen.fate == Fate::Lost {
            totals.lost += segments;
        }
    }

    /// Takes an ICMP error about a segment of this connection.
    pub(crate) fn icmp(&mut self, time: Duration, frame: u64, quoted: &Quoted) {
        self.is_steady = false;
        self.deliver_until(time);
        let to = self.end_of(quoted.src);
        let index = self.steps.next_index();
        let state = self.inferred_at(to, index);
        let while_opening = matches!(state, Some(State::SynSent | State::SynReceived));
        let is_fatal = while_opening
            && !matches!(quoted.kind, IcmpKind::PacketTooBig(_) | IcmpKind::Other(..));
        if is_fatal {
            // RFC 1122 §4.2.3.9 makes "no route" a hint only; in SYN-SENT common systems give up
            // at once. A SYN sent again takes this back.
            let facts = &mut self.facts[to];
            facts.ended.get_or_insert(index);
            facts.ended_by_other = true;
        }
        let (reporter, kind) = (quoted.reporter, quoted.kind);
        self.note_too_big(to, reporter, kind, frame);
        self.milestones.icmp.get_or_insert(IcmpSeen {
            frame,
            reporter,
            kind,
            while_opening,
        });
        self.push_step(
            time,
            What::Icmp(IcmpError {
                frame,
                reporter,
                to,
                kind,
            }),
        );
        self.last_frame = self.last_frame.max(time);
    }
}

/// Segments on the wire for data of `len` bytes cut into pieces of `gso_size`.
fn wire_segments(len: u32, gso_size: u16) -> u32 {
    match gso_size {
        0 => 1,
        size => len.div_ceil(u32::from(size)).max(1),
    }
}

impl Dissected<'_> {
    /// Length in sequence space.
    fn sequence_len(&self) -> u32 {
        let range = meaning::range(self);
        range.end.since(range.start)
    }
}
