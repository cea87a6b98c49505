//! TLP: the tail is probed before the retransmission timer (RFC 8985 §7).
//!
//! When the last segments of a flight are lost, nothing arrives behind them that would tell. One
//! segment more, or the last one again, makes the peer say what it has.

use transom_wire::tcp::SackBlocks;
use transom_wire::{Seq, SeqRange};

use super::{AckInput, AckOutcome, Episode, Recovery, is_duplicate_report};

use crate::pack::{Is, Rare, packed};

/// RFC 8985 §7.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// `TLP.end_seq`: SND.NXT after the probe that is not accounted for yet.
    end: Option<Seq>,
    /// `TLP.is_retrans`.
    is_retransmission: bool,
    /// A round trip was measured since the last probe.
    measured: bool,
}

packed!(Probe {
    end: Rare,
    is_retransmission,
    measured: Is<1>,
});

impl Probe {
    pub(super) const NONE: Self = Self {
        end: None,
        is_retransmission: false,
        measured: false,
    };

    /// No probe is open.
    #[inline]
    pub(super) const fn is_none(&self) -> bool {
        self.end.is_none()
    }
}

impl Recovery {
    /// Says whether tails are probed at all; so they are unless this was called.
    pub const fn allow_probe(&mut self, probes: bool) {
        self.probes = probes;
    }

    /// Whether the probe timeout may run: something is outstanding, nothing was SACKed, no recovery
    /// is under way (RFC 8985 §7.2 TLP-1), no probe is open and a round trip was measured since the
    /// last (§7.3 TLP-3).
    pub fn wants_probe(&self) -> bool {
        self.probes
            && self.rack.is_some()
            && self.episode == Episode::None
            && self.board.counters().sacked == 0
            && !self.board.is_empty()
            && self.probe.end.is_none()
            && self.probe.measured
    }

    /// The segment to send again as a probe when there is nothing new: the one with the highest
    /// number (TLP-4).
    pub fn probe_range(&self, mss: u32) -> Option<SeqRange> {
        self.board.last_unsacked(mss)
    }

    /// The probe was sent (after [`Self::on_sent`]).
    pub const fn on_probe_sent(&mut self, is_retransmission: bool) {
        self.probe = Probe {
            end: Some(self.board.end()),
            is_retransmission,
            measured: false,
        };
    }

    /// RFC 8985 §7.4.2: what an acknowledgement says of the open probe. TLP-6.
    pub(super) fn probe_acked(&mut self, input: &AckInput<'_>, outcome: &mut AckOutcome) {
        let Some(end) = self.probe.end.filter(|end| input.ack.ge(*end)) else {
            return;
        };
        if !self.probe.is_retransmission {
            self.probe.end = None;
        } else if reports_duplicate_to(input.sack, input.ack, end) {
            // Both copies arrived: nothing was lost.
            self.probe.end = None;
            outcome.probe_was_needless = true;
        } else if input.ack.gt(end) {
            // One copy arrived: the probe has repaired a loss, and loss means congestion.
            self.probe.end = None;
            outcome.probe_repaired = true;
        } else if input.is_duplicate && input.sack.iter().next().is_none() {
            // A duplicate from a peer that does not report duplicates.
            self.probe.end = None;
            outcome.probe_was_needless = true;
        }
    }

    /// A round trip was measured.
    pub const fn on_measured(&mut self) {
        self.probe.measured = true;
    }

    /// TLP-7: forgotten at the start of fast recovery, and at a timeout.
    pub(super) const fn reset_probe(&mut self) {
        self.probe.end = None;
    }
}

fn reports_duplicate_to(sack: &SackBlocks, ack: Seq, end: Seq) -> bool {
    let mut blocks = sack.iter();
    let (first, second) = (blocks.next(), blocks.next());
    first.is_some_and(|first| first.end == end && is_duplicate_report(first, second, ack))
}
