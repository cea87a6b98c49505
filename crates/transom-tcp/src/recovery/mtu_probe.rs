//! A segment that is larger than the path is known to carry: losing it says something about its size, and nothing about
//! congestion (RFC 4821 §7.5, §7.6).

use transom_wire::SeqRange;

use super::{AckOutcome, Episode, Recovery};

/// What became of the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MtuProbe {
    /// It has arrived.
    Arrived,
    /// It is lost, and nothing else is: what it carried is due again, and no episode begins.
    Lost,
    /// Other things are lost, too, so that nothing can be said about it.
    Unknown,
}

impl Recovery {
    /// `range`, sent last, is larger than the path is known to carry.
    pub const fn watch_mtu_probe(&mut self, range: SeqRange) {
        self.mtu_probe = Some(range);
    }

    /// Tells of its arrival.
    pub(super) fn mtu_probe_arrived(&mut self, outcome: &mut AckOutcome) {
        if let Some(range) = self.mtu_probe
            && self.board.una().ge(range.end)
        {
            self.mtu_probe = None;
            outcome.mtu_probe = Some(MtuProbe::Arrived);
        }
    }

    /// Whether what was found lost is this segment alone; then no episode is to begin.
    // RFC 4821 §7.5 PMTU-9: no change of the congestion window, only the search is told.
    pub(super) fn is_mtu_probe_alone(&mut self, outcome: &mut AckOutcome) -> bool {
        let Some(range) = self.mtu_probe else {
            return false;
        };
        if outcome.newly_lost == 0 {
            return false;
        }
        self.mtu_probe = None;
        let is_alone = self.rack.is_some() && self.episode == Episode::None;
        if !is_alone || !self.board.is_only_loss(range) {
            outcome.mtu_probe = Some(MtuProbe::Unknown);
            return false;
        }
        outcome.mtu_probe = Some(MtuProbe::Lost);
        outcome.newly_lost = 0;
        self.board.take_found();
        self.forced = true;
        true
    }

    /// A timeout: too much is lost to say anything.
    pub(super) const fn forget_mtu_probe(&mut self) {
        self.mtu_probe = None;
    }

    /// Whether one is under way.
    pub const fn has_mtu_probe(&self) -> bool {
        self.mtu_probe.is_some()
    }
}
