//! A stretch of what is outstanding, and sums over stretches.

use transom_wire::Seq;

use crate::time::Instant;

/// A stretch of sequence space with one fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) start: Seq,
    pub(super) end: Seq,
    /// When it was last sent.
    pub(super) sent: Instant,
    /// How often it was sent; saturates.
    pub(super) transmissions: u8,
    pub(super) sacked: bool,
    /// Believed lost.
    pub(super) lost: bool,
    /// Sent again since it was believed lost, or (RFC 6675 NextSeg rules 3 and 4) without that.
    pub(super) resent: bool,
}

impl Run {
    pub(super) const fn len(&self) -> u32 {
        self.end.since(self.start)
    }

    /// Never SACKed, lost or resent.
    pub(super) const fn is_plain(&self) -> bool {
        !self.sacked && !self.lost && !self.resent
    }

    /// Whether it waits to be sent again.
    pub(super) const fn is_due(&self) -> bool {
        self.lost && !self.resent && !self.sacked
    }

    /// Takes over what follows directly; what is uncertain then is remembered as resent.
    pub(super) fn absorb(&mut self, next: &Self) {
        self.end = next.end;
        self.sent = self.sent.max(next.sent);
        self.transmissions = self.transmissions.max(next.transmissions);
    }

    pub(super) const fn same_fate(&self, other: &Self) -> bool {
        self.sacked == other.sacked
            && self.lost == other.lost
            && self.resent == other.resent
            && (self.transmissions == 1) == (other.transmissions == 1)
    }
}

/// Octets by fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counters {
    pub(super) sacked: u64,
    /// Lost and not SACKed.
    pub(super) lost: u64,
    /// Resent and not SACKed.
    pub(super) resent: u64,
    /// Waiting to be sent again.
    pub(super) due: u64,
}

impl Counters {
    pub(super) fn add(&mut self, run: &Run) {
        let len = u64::from(run.len());
        if run.sacked {
            self.sacked += len;
        } else {
            self.lost += if run.lost { len } else { 0 };
            self.resent += if run.resent { len } else { 0 };
            self.due += if run.is_due() { len } else { 0 };
        }
    }

    pub(super) fn remove(&mut self, run: &Run) {
        let len = u64::from(run.len());
        if run.sacked {
            self.sacked -= len;
        } else {
            self.lost -= if run.lost { len } else { 0 };
            self.resent -= if run.resent { len } else { 0 };
            self.due -= if run.is_due() { len } else { 0 };
        }
    }
}

/// What an acknowledgement, or a SACK block, newly covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Covered {
    /// Octets that were outstanding.
    pub(super) octets: u32,
    /// Of these, octets not SACKed before.
    pub(super) delivered: u32,
    /// When the newest run that was sent exactly once (and not SACKed before) was sent.
    pub(super) sent_once: Option<Instant>,
    /// When the newest run that was sent more than once (and not SACKed before) was last sent.
    pub(super) resent_at: Option<Instant>,
}

impl Covered {
    pub(super) fn add(&mut self, run: &Run) {
        self.octets += run.len();
        if run.sacked {
            return;
        }
        self.delivered += run.len();
        if run.transmissions > 1 {
            self.resent_at = self.resent_at.max(Some(run.sent));
        } else {
            self.sent_once = self.sent_once.max(Some(run.sent));
        }
    }
}
