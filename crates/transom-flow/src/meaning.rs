//! What a segment is for, judged by what passed before it.

use crate::dissect::Dissected;
use crate::facts::Facts;
use crate::lane::{Episode, Lane};
use crate::measure::Meter;
use crate::ranges::Novelty;
use crate::step::{Cause, Meaning};
use core::time::Duration;
use transom_wire::tcp::Flags;
use transom_wire::{Seq, SeqRange};

/// The shortest retransmission timeout that common systems use.
const RTO_MIN: Duration = Duration::from_millis(200);
/// The same for systems tuned to short paths (FreeBSD, data centres).
const RTO_MIN_TUNED: Duration = Duration::from_millis(30);
/// A gap filled within this time was reordering, where the round trip is not known.
const REORDERING_MAX: Duration = Duration::from_millis(3);
/// Time that a sender may take to answer, besides its half of the path.
const PROMPT: Duration = Duration::from_millis(2);
/// Duplicate acknowledgements that start a fast retransmit (RFC 5681 §3.2).
const DUPLICATE_THRESHOLD: u32 = 3;

/// The answer that an end owes, so that its next acknowledgement can be named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owed {
    #[default]
    Nothing,
    /// To a SYN or a RST that does not fit (RFC 5961).
    Challenge,
    /// To a keep-alive.
    KeepAlive,
    /// To a window probe.
    Probe,
}

/// Round trips on one side of the capture point, where they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HalfRtt {
    pub(crate) min: Option<Duration>,
    pub(crate) mean: Option<Duration>,
}

/// What is known when a segment passes. "Own" is the sender's, "peer" the receiver's.
pub(crate) struct Situation<'a> {
    pub(crate) segment: &'a Dissected<'a>,
    pub(crate) time: Duration,
    pub(crate) window: u32,
    pub(crate) own: &'a Lane,
    pub(crate) peer: &'a Lane,
    pub(crate) own_facts: &'a Facts,
    pub(crate) peer_facts: &'a Facts,
    pub(crate) owed: Owed,
    pub(crate) has_reset: bool,
    pub(crate) has_sent_syn_ack: bool,
    /// The path from the capture point to the sender and back, and to the receiver and back.
    pub(crate) sender: &'a Meter,
    pub(crate) receiver: &'a Meter,
}

impl Situation<'_> {
    /// The sequence numbers that the segment takes.
    pub(crate) fn range(&self) -> SeqRange {
        range(self.segment)
    }

    /// What the segment is for.
    pub(crate) fn meaning(&self) -> Meaning {
        let segment = self.segment;
        if segment.flags.contains(Flags::RST) {
            return if self.has_reset {
                Meaning::ResetAgain
            } else {
                Meaning::Reset
            };
        }
        if segment.flags.contains(Flags::SYN) {
            return self.syn();
        }
        if segment.len > 0 || segment.flags.contains(Flags::FIN) {
            return self.data();
        }
        self.acknowledgement()
    }

    fn syn(&self) -> Meaning {
        let segment = self.segment;
        let is_syn_ack = segment.flags.contains(Flags::ACK);
        let again = self.own_facts.syn_sent.is_some() && self.own.base == Some(segment.seq);
        // In a simultaneous open the SYN,ACK repeats the SYN's number, but is the answer to the other's.
        if again && (!is_syn_ack || self.has_sent_syn_ack) {
            let original = self.own.sent_before(segment.seq).map(|(_, first)| first);
            // A SYN,ACK may also be sent again to answer a SYN that came again.
            let asked = self
                .peer
                .last_sent
                .filter(|asked| Some(*asked) > self.own.last_sent);
            let is_answer =
                is_syn_ack && asked.is_some_and(|asked| self.time.saturating_sub(asked) < RTO_MIN);
            let cause = if is_answer {
                Cause::Unknown
            } else {
                Cause::Timeout
            };
            return Meaning::Retransmission { cause, original };
        }
        if is_syn_ack {
            Meaning::SynAck
        } else {
            Meaning::Syn
        }
    }

    /// Whether the segment takes the last number sent, or none, as probes do.
    fn is_probe_shaped(&self) -> bool {
        self.own.base.is_some()
            && self.own.fin.is_none()
            && self.segment.len <= 1
            && self.segment.seq + 1 == self.own.passed.highest()
            && self.own.acked == self.own.passed.highest()
    }

    fn data(&self) -> Meaning {
        let is_fin = self.segment.flags.contains(Flags::FIN);
        let range = self.range();
        if !is_fin {
            let beyond_window = self.segment.len == 1 && self.segment.seq == self.own.acked;
            if self.peer.window == Some(0) && (beyond_window || self.is_probe_shaped()) {
                return Meaning::WindowProbe;
            }
            if self.is_probe_shaped() {
                return Meaning::KeepAlive;
            }
        }
        if self.own.base.is_none() {
            return if is_fin { Meaning::Fin } else { Meaning::Data };
        }
        if self.is_captured_late(range) {
            return if is_fin { Meaning::Fin } else { Meaning::Data };
        }
        match self.own.passed.novelty(range) {
            Novelty::Next if is_fin => Meaning::Fin,
            Novelty::AfterGap if is_fin => Meaning::Fin,
            Novelty::Next => Meaning::Data,
            Novelty::AfterGap => Meaning::DataAfterGap,
            Novelty::Seen | Novelty::Partly => self.retransmission(),
            Novelty::FillsGap => self.gap_filled(),
        }
    }

    /// Whether the capture holds the segment just behind its acknowledgement, as those of fast networks
    /// do: it had not passed before.
    fn is_captured_late(&self, range: SeqRange) -> bool {
        let is_announced = self
            .own
            .unseen
            .is_some_and(|unseen| unseen.contains(range.start));
        let announced = self.own.advanced_at;
        is_announced && announced.is_some_and(|at| self.time.saturating_sub(at) <= REORDERING_MAX)
    }

    /// The shortest round trip of the whole path, if both halves are known.
    fn shortest_rtt(&self) -> Option<Duration> {
        Some(
            self.sender
                .half_rtt()
                .min?
                .saturating_add(self.receiver.half_rtt().min?),
        )
    }

    /// Whether the segment may be the sender's answer to the receiver's last segment.
    fn is_prompt(&self) -> bool {
        let half = self.sender.half_rtt().mean.unwrap_or_default();
        let allowed = half.saturating_add(half / 2).saturating_add(PROMPT);
        let heard = self.peer.last_sent;
        heard.is_some_and(|heard| self.time.saturating_sub(heard) <= allowed)
    }

    /// Whether a timer must have sent the segment: the receiver's last segment is too long ago for an
    /// answer, and for the wait for reordering (RFC 8985 §6.2: a quarter of the round trip).
    fn is_by_timer(&self) -> bool {
        let Some(heard) = self.peer.last_sent else {
            return true;
        };
        if !self.peer.sacked_above {
            return !self.is_prompt();
        }
        let mean = |rtt: HalfRtt| rtt.mean.unwrap_or_default();
        let rtt = mean(self.sender.half_rtt()).saturating_add(mean(self.receiver.half_rtt()));
        let allowed = mean(self.sender.half_rtt())
            .saturating_add(rtt / 2)
            .saturating_add(PROMPT);
        self.time.saturating_sub(heard) > allowed
    }

    /// Whether the receiver's acknowledgements say that what ends at `end` is lost: three in a row
    /// (RFC 5681 §3.2), or a block above it (RFC 6675 §4, RFC 8985 §6).
    fn is_loss_shown(&self, end: Seq) -> bool {
        let is_sacked_above = self.peer.sacked_above && end.le(self.peer.sacked_to);
        self.peer.duplicate_acks >= DUPLICATE_THRESHOLD || is_sacked_above
    }

    /// Why data is sent again that was not acknowledged. `since` is when it was last sent, or
    /// should have been.
    fn cause(&self, range: SeqRange, since: Duration) -> Cause {
        if let Some(Episode {
            by_timeout: true, ..
        }) = self.own.episode
        {
            return Cause::Timeout;
        }
        // RFC 6298 §5.3: an acknowledgement of new data starts the timer anew.
        let armed = since.max(self.own.advanced_at.unwrap_or_default());
        let silence = self.time.saturating_sub(armed);
        let is_oldest = range.start.le(self.own.acked);
        let is_prompt = self.is_prompt();
        let is_shown = self.is_loss_shown(range.end) || self.own.episode.is_some();
        if is_shown && is_oldest && self.is_by_timer() {
            return Cause::Timeout;
        }
        if is_shown && (is_prompt || silence < RTO_MIN || !is_oldest) {
            return Cause::FastRetransmit;
        }
        if silence >= RTO_MIN {
            return Cause::Timeout;
        }
        let is_after_round_trip = self
            .shortest_rtt()
            .is_none_or(|rtt| silence.saturating_mul(2) >= rtt.saturating_mul(3));
        if range.end.ge(self.own.passed.highest()) && is_after_round_trip && !is_prompt {
            return Cause::TailLossProbe;
        }
        if is_oldest && silence >= RTO_MIN_TUNED && is_after_round_trip && !is_prompt {
            return Cause::Timeout;
        }
        if range.end.ge(self.own.passed.highest()) {
            return Cause::TailLossProbe;
        }
        Cause::Unknown
    }

    /// A number that had not passed, below others that had: late, or sent again after its first
    /// copy was lost before the capture point.
    ///
    /// What is sent again comes a round trip after what first showed the gap, at the earliest,
    /// wherever the capture was taken.
    fn gap_filled(&self) -> Meaning {
        let range = self.range();
        let shown_at = self
            .own
            .first_above(range.end)
            .map(Duration::from_nanos)
            .or(self.own.gap_since);
        let since = shown_at.unwrap_or(self.time);
        let elapsed = self.time.saturating_sub(since);
        let soonest = match self.shortest_rtt() {
            Some(rtt) => rtt.saturating_mul(9) / 10,
            None => REORDERING_MAX,
        };
        if elapsed < soonest || elapsed <= REORDERING_MAX.min(soonest) {
            return Meaning::OutOfOrder;
        }
        Meaning::Retransmission {
            cause: self.cause(range, since),
            original: None,
        }
    }

    fn retransmission(&self) -> Meaning {
        let range = self.range();
        let sent = self.own.sent_before(range.start);
        let original = sent.map(|(_, first)| first);
        let cause = match sent {
            _ if range.end.le(self.own.acked) => Cause::AlreadyAcknowledged,
            Some((newest, _)) => self.cause(range, Duration::from_nanos(newest.time)),
            None if self.is_loss_shown(range.end) => Cause::FastRetransmit,
            None => Cause::Unknown,
        };
        Meaning::Retransmission { cause, original }
    }

    fn acknowledgement(&self) -> Meaning {
        let Some(ack) = self.segment.ack else {
            return Meaning::Ack;
        };
        if self.is_probe_shaped() && self.segment.seq != self.own.passed.highest() {
            let closed = self.peer.window == Some(0);
            return if closed {
                Meaning::WindowProbe
            } else {
                Meaning::KeepAlive
            };
        }
        let ends_handshake = self.peer_facts.syn_sent.is_some()
            && self.own_facts.syn_sent.is_some()
            && self.own.last_ack.is_none_or(|last| last.lt(ack))
            && self.peer.base.is_some_and(|base| ack == base + 1);
        if ends_handshake {
            return Meaning::HandshakeAck;
        }
        let repeats = self.own.last_ack == Some(ack);
        let opens = self.own.window.is_some_and(|before| self.window > before);
        match self.owed {
            Owed::Challenge if repeats => return Meaning::ChallengeAck,
            Owed::KeepAlive if repeats && !opens => return Meaning::KeepAliveAck,
            Owed::Probe if repeats && self.window == 0 => return Meaning::WindowProbeAck,
            _ => {}
        }
        if self.window == 0 {
            return Meaning::ZeroWindow;
        }
        if repeats {
            let same_window = self.own.window == Some(self.window);
            let has_sack = !self.segment.options.sack.is_empty();
            // RFC 5681 §2: data outstanding, no data, same number, same window; with SACK the blocks tell.
            if ack.lt(self.peer.passed.highest()) && (same_window || has_sack) {
                return Meaning::DuplicateAck(self.own.duplicate_acks + 1);
            }
            if opens {
                return Meaning::WindowUpdate;
            }
        }
        Meaning::Ack
    }
}

/// The sequence numbers that a segment takes: SYN, data, FIN.
pub(crate) fn range(segment: &Dissected<'_>) -> SeqRange {
    let control = u32::from(segment.flags.contains(Flags::SYN))
        + u32::from(segment.flags.contains(Flags::FIN));
    SeqRange {
        start: segment.seq,
        end: segment.seq + segment.len + control,
    }
}
