//! A stretch of what is outstanding, and sums over stretches.

use transom_wire::Seq;

use super::rack::Mark;
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

/// What was found lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Found {
    /// When the newest of it had been sent; the origin stands for nothing found.
    pub(super) newest: Instant,
    /// Ranges with something else between them.
    pub(super) ranges: u32,
}

impl Found {
    pub(super) const NOTHING: Self = Self {
        newest: Instant::ORIGIN,
        ranges: 0,
    };

    pub(super) fn newest(&self) -> Option<Instant> {
        (self.ranges > 0).then_some(self.newest)
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
    /// The newest run that was sent exactly once and not SACKed before.
    pub(super) sent_once: Option<Mark>,
    /// The newest run that was sent more than once and not SACKed before.
    pub(super) resent: Option<Mark>,
    /// End of the lowest run that was sent exactly once and not SACKed before.
    pub(super) lowest_once: Option<Seq>,
    /// End of the highest run not SACKed before.
    pub(super) highest: Option<Seq>,
}

impl Covered {
    pub(super) fn add(&mut self, run: &Run) {
        self.octets += run.len();
        if run.sacked {
            return;
        }
        self.delivered += run.len();
        let mark = Some(Mark {
            sent: run.sent,
            end: run.end,
        });
        if run.transmissions > 1 {
            self.resent = Mark::newest(self.resent, mark);
        } else {
            self.sent_once = Mark::newest(self.sent_once, mark);
            self.lowest_once = lower(self.lowest_once, Some(run.end));
        }
        self.highest = higher(self.highest, Some(run.end));
    }

    /// When the newest run that was not SACKed before was sent last.
    pub(super) fn newest_sent(&self) -> Option<Instant> {
        let (once, resent) = (self.sent_once, self.resent);
        once.map(|mark| mark.sent).max(resent.map(|mark| mark.sent))
    }

    /// Takes what another block covers.
    pub(super) fn join(&mut self, other: &Self) {
        self.octets = self.octets.saturating_add(other.octets);
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.sent_once = Mark::newest(self.sent_once, other.sent_once);
        self.resent = Mark::newest(self.resent, other.resent);
        self.lowest_once = lower(self.lowest_once, other.lowest_once);
        self.highest = higher(self.highest, other.highest);
    }
}

fn lower(a: Option<Seq>, b: Option<Seq>) -> Option<Seq> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn higher(a: Option<Seq>, b: Option<Seq>) -> Option<Seq> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
