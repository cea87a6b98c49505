//! One direction of a connection: what an end sent, and what it said about receiving.

use crate::ranges::Ranges;
use core::time::Duration;
use std::collections::VecDeque;
use transom_wire::{Seq, SeqRange};

/// Segments remembered to tell which one a retransmission repeats, and when it was first sent.
const RECENT_MAX: usize = 128;

/// A segment that was sent and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) range: SeqRange,
    pub(crate) time: Duration,
    pub(crate) frame: u64,
}

/// What one end sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    /// The initial sequence number; relative numbers count from it.
    pub(crate) base: Option<Seq>,
    /// What passed the capture point.
    pub(crate) passed: Ranges,
    /// What arrived at the other end: without what is known to be lost.
    pub(crate) arrived: Ranges,
    /// The sequence number of its FIN.
    pub(crate) fin: Option<Seq>,
    /// The highest number that the other end acknowledged.
    pub(crate) acked: Seq,
    /// When the last gap opened.
    pub(crate) gap_since: Option<Duration>,
    /// When the end last sent anything.
    pub(crate) last_sent: Option<Duration>,
    /// A byte sent into a closed window; it counts as data only once it is acknowledged.
    pub(crate) probe: Option<SeqRange>,
    recent: VecDeque<Sent>,

    /// Its last acknowledgement.
    pub(crate) last_ack: Option<Seq>,
    /// The window it last gave, in bytes.
    pub(crate) window: Option<u32>,
    /// The shift it offered in its SYN.
    pub(crate) scale: Option<u8>,
    /// How often it repeated its last acknowledgement while data was outstanding.
    pub(crate) duplicate_acks: u32,
    /// It reported data above its last acknowledgement.
    pub(crate) sacked_above: bool,
}

impl Lane {
    /// Starts, or starts anew, at an initial sequence number.
    pub(crate) fn start(&mut self, base: Seq, first: Seq) {
        self.base = Some(base);
        self.passed = Ranges::starting_at(first);
        self.arrived = Ranges::starting_at(first);
        self.acked = base;
    }

    /// A number of this direction, counted from the initial one.
    pub(crate) fn relative(&self, seq: Seq) -> Option<u32> {
        self.base.map(|base| seq.since(base))
    }

    /// Remembers a segment until it is acknowledged.
    pub(crate) fn remember(&mut self, sent: Sent) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(sent);
    }

    /// The newest remembered segment that covers `seq`, and the first that did.
    pub(crate) fn sent_before(&self, seq: Seq) -> Option<(Sent, u64)> {
        let mut covering = self
            .recent
            .iter()
            .filter(|s| s.range.start.le(seq) && seq.lt(s.range.end));
        let first = covering.next()?;
        Some((*covering.next_back().unwrap_or(first), first.frame))
    }

    /// The other end acknowledged up to `ack`. Returns the bytes that are known as data only now.
    pub(crate) fn acknowledged(&mut self, ack: Seq) -> u32 {
        if self.base.is_none() || ack.le(self.acked) {
            return 0;
        }
        self.acked = ack;
        let probed = self.probe.take_if(|probe| probe.end.le(ack));
        let late = probed.map_or(0, |probe| self.passed.insert(probe));
        self.passed.acknowledge(ack);
        self.arrived.acknowledge(ack);
        // Segments stay for a while after they are acknowledged, so that a needless
        // retransmission finds its original.
        while self.recent.len() > RECENT_MAX / 2
            && self
                .recent
                .front()
                .is_some_and(|sent| sent.range.end.le(ack))
        {
            self.recent.pop_front();
        }
        late
    }
}
