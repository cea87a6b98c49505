//! One direction of a connection: what an end sent, and what it said about receiving.

use crate::copies::{Doubt, Identity};
use crate::ranges::Ranges;
use core::time::Duration;
use std::collections::VecDeque;
use transom_wire::tcp::SackBlocks;
use transom_wire::{Seq, SeqRange};

/// Segments remembered to tell which one a retransmission repeats, when it was first sent, and how
/// long its acknowledgement took.
const RECENT_MAX: usize = 1024;
/// The same while the other end was not heard, whose acknowledgements would let them be forgotten.
const RECENT_MAX_UNANSWERED: usize = 16;

/// A segment that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) range: SeqRange,
    /// In nanoseconds.
    pub(crate) time: u64,
    pub(crate) frame: u64,
    /// Its TSval; 0 if it has none.
    pub(crate) clock: u32,
    pub(crate) ip_id: u16,
    pub(crate) hop_limit: u8,
    /// What it holds was sent more than once.
    pub(crate) is_repeated: bool,
}

/// Data is being sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    /// It ends when this is acknowledged.
    pub(crate) until: Seq,
    /// The retransmission timer began it.
    pub(crate) by_timeout: bool,
}

/// A round trip that an acknowledgement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    pub(crate) nanos: u64,
    /// Of a SYN.
    pub(crate) is_handshake: bool,
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
    /// Acknowledged beyond what was captured: the capture lacks it, or has it out of order.
    pub(crate) unseen: Option<SeqRange>,
    /// In the order of sending.
    recent: VecDeque<Sent>,
    /// Of `recent`, those from the front that are acknowledged.
    done: usize,
    pub(crate) identity: Identity,
    /// The repair under way.
    pub(crate) episode: Option<Episode>,
    /// When what it sent was last acknowledged further.
    pub(crate) advanced_at: Option<Duration>,
    /// Retransmissions that may have been needless.
    pub(crate) doubts: VecDeque<Doubt>,

    /// Its last acknowledgement.
    pub(crate) last_ack: Option<Seq>,
    /// The window it last gave, in bytes.
    pub(crate) window: Option<u32>,
    /// Its SYN was captured.
    pub(crate) has_syn: bool,
    /// The shift it offered in its SYN.
    pub(crate) scale: Option<u8>,
    /// How often it repeated its last acknowledgement while data was outstanding.
    pub(crate) duplicate_acks: u32,
    /// It reported data above its last acknowledgement.
    pub(crate) sacked_above: bool,
    /// The end of the highest block so reported.
    pub(crate) sacked_to: Seq,
}

impl Lane {
    /// Starts, or starts anew, at an initial sequence number.
    pub(crate) fn start(&mut self, base: Seq, first: Seq) {
        self.base = Some(base);
        self.passed = Ranges::starting_at(first);
        self.arrived = Ranges::starting_at(first);
        self.acked = base;
    }

    /// Whether all that was sent passed in order, and the end is neither done nor has a closed window.
    pub(crate) fn is_plain(&self) -> bool {
        let has_answered = self.base.zip(self.last_ack).is_some();
        has_answered
            && self.has_syn
            && self.fin.is_none()
            && self.probe.is_none()
            && self.unseen.is_none()
            && self.gap_since.is_none()
            && !self.passed.has_gap()
            && self.window.is_some_and(|window| window > 0)
    }

    /// A number of this direction, counted from the initial one.
    pub(crate) fn relative(&self, seq: Seq) -> Option<u32> {
        self.base.map(|base| seq.since(base))
    }

    /// Remembers a segment, and for as long as that costs nothing also beyond its acknowledgement, so
    /// that a needless retransmission finds its original. `is_answered` tells that the other end was
    /// heard.
    pub(crate) fn remember(&mut self, sent: Sent, is_answered: bool) {
        if sent.is_repeated {
            for earlier in &mut self.recent {
                earlier.is_repeated |= earlier.range.overlaps(sent.range);
            }
        }
        let max = if is_answered {
            RECENT_MAX
        } else {
            RECENT_MAX_UNANSWERED
        };
        let is_full = self.recent.len() == self.recent.capacity();
        if self.recent.len() >= max || (is_full && self.done > 0) {
            self.recent.pop_front();
            self.done = self.done.saturating_sub(1);
        }
        self.recent.push_back(sent);
    }

    /// An acknowledgement of what was not acknowledged before passes. Returns how long it took, if it
    /// is sure for which segment it is (Karn and Partridge's rule, RFC 6298 §3, or an echoed TSval,
    /// RFC 7323 §4).
    pub(crate) fn end_round_trips(
        &mut self,
        ack: Seq,
        echo: Option<u32>,
        now: u64,
    ) -> Option<RoundTrip> {
        let mut newest = None;
        let mut is_sure = true;
        let mut echoed = None;
        while let Some(sent) = self.recent.get(self.done)
            && sent.range.end.le(ack)
        {
            if sent.is_repeated {
                is_sure = false;
                if sent.clock != 0 && echo == Some(sent.clock) {
                    echoed = Some(*sent);
                }
            } else {
                newest = Some(*sent);
            }
            self.done += 1;
        }
        let sent = if is_sure { newest } else { echoed }?;
        Some(RoundTrip {
            nanos: now.checked_sub(sent.time)?,
            is_handshake: self.base == Some(sent.range.start),
        })
    }

    /// When something above `seq` was first sent, in nanoseconds.
    pub(crate) fn first_above(&self, seq: Seq) -> Option<u64> {
        let above = self.recent.iter().find(|sent| seq.le(sent.range.start));
        above.map(|sent| sent.time)
    }

    /// Data was sent again: a repair begins, or its timer ran out.
    pub(crate) fn begin_repair(&mut self, by_timeout: bool) {
        let until = self.passed.highest();
        match &mut self.episode {
            Some(episode) if by_timeout && !episode.by_timeout => {
                *episode = Episode { until, by_timeout };
            }
            Some(_) => {}
            none => *none = Some(Episode { until, by_timeout }),
        }
    }

    /// Data passes; returns how many of its bytes an acknowledgement had announced.
    pub(crate) fn see(&mut self, data: SeqRange) -> u32 {
        let Some(unseen) = self.unseen else { return 0 };
        let Some(announced) = unseen.intersection(data) else {
            return 0;
        };
        // What came first of it is seen; a gap before it stays what the capture lacks.
        let rest = SeqRange {
            start: announced.end,
            end: unseen.end,
        };
        self.unseen = (!rest.is_empty()).then_some(rest);
        announced.len()
    }

    /// The remembered segments, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Sent> {
        self.recent.iter().rev()
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

    /// It reports data above its acknowledgement `ack`.
    pub(crate) fn note_blocks(&mut self, ack: Seq, blocks: &SackBlocks) {
        for block in blocks.iter().filter(|block| block.end.gt(ack)) {
            self.sacked_to = if self.sacked_above {
                self.sacked_to.max(block.end)
            } else {
                block.end
            };
            self.sacked_above = true;
        }
    }

    /// The other end acknowledged up to `ack`. Returns the bytes that are known as data only now.
    pub(crate) fn acknowledged(&mut self, ack: Seq) -> u32 {
        if self.base.is_none() || ack.le(self.acked) {
            return 0;
        }
        self.acked = ack;
        let highest = self.passed.highest();
        if ack.gt(highest) {
            let start = match self.unseen {
                Some(unseen) if unseen.end == highest => unseen.start,
                _ => highest,
            };
            self.unseen = Some(SeqRange { start, end: ack });
        }
        let probed = self.probe.take_if(|probe| probe.end.le(ack));
        let late = probed.map_or(0, |probe| self.passed.insert(probe));
        self.passed.acknowledge(ack);
        self.arrived.acknowledge(ack);
        late
    }
}
