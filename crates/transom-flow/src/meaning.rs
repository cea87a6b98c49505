//! What a segment is for, judged by what passed before it.

use crate::dissect::Dissected;
use crate::facts::Facts;
use crate::lane::Lane;
use crate::measure::nanos;
use crate::ranges::Novelty;
use crate::step::{Cause, Meaning};
use core::time::Duration;
use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

/// The shortest retransmission timeout that common systems use.
const RTO_MIN: Duration = Duration::from_millis(200);
/// A gap filled within this time was reordering, as no sender repairs a loss so fast.
const REORDERING_MAX: Duration = Duration::from_millis(3);
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
    pub(crate) rtt: Option<Duration>,
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
        match self.own.passed.novelty(range) {
            Novelty::Next if is_fin => Meaning::Fin,
            Novelty::AfterGap if is_fin => Meaning::Fin,
            Novelty::Next => Meaning::Data,
            Novelty::AfterGap => Meaning::DataAfterGap,
            Novelty::Seen | Novelty::Partly => self.retransmission(),
            Novelty::FillsGap => self.gap_filled(),
        }
    }

    /// A number that had not passed, below others that had: late, or sent again after its first
    /// copy was lost before the capture point.
    fn gap_filled(&self) -> Meaning {
        let since = self
            .own
            .gap_since
            .map(|since| self.time.saturating_sub(since));
        let is_quick = since.is_some_and(|since| since <= REORDERING_MAX);
        let is_shown = self.peer.duplicate_acks >= DUPLICATE_THRESHOLD;
        let cause = match since {
            _ if is_shown => Cause::FastRetransmit,
            Some(since) if since >= RTO_MIN => Cause::Timeout,
            _ if self.peer.sacked_above && !is_quick => Cause::FastRetransmit,
            _ => return Meaning::OutOfOrder,
        };
        Meaning::Retransmission {
            cause,
            original: None,
        }
    }

    fn retransmission(&self) -> Meaning {
        let range = self.range();
        let sent = self.own.sent_before(range.start);
        let original = sent.map(|(_, first)| first);
        let elapsed = sent
            .map(|(newest, _)| Duration::from_nanos(nanos(self.time).saturating_sub(newest.time)));
        let loss_shown = self.peer.duplicate_acks >= DUPLICATE_THRESHOLD || self.peer.sacked_above;
        let patience = match self.rtt {
            Some(rtt) if loss_shown => RTO_MIN.max(rtt.saturating_mul(2)),
            _ => RTO_MIN,
        };
        let cause = if range.end.le(self.own.acked) {
            Cause::AlreadyAcknowledged
        } else if elapsed.is_some_and(|elapsed| elapsed >= patience) {
            Cause::Timeout
        } else if loss_shown {
            Cause::FastRetransmit
        } else if elapsed.is_some() && range.end.ge(self.own.passed.highest()) {
            Cause::TailLossProbe
        } else {
            Cause::Unknown
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
