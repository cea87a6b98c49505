//! Undoing: what was sent again had only been late, or only its acknowledgement was lost.
//!
//! Two things tell. A timestamp: what closed the gap was sent before anything was sent again
//! (RFC 3522, Eifel detection). And D-SACK: every octet that was sent again arrived twice
//! (RFC 3708). Then the episode was no sign of congestion, and its reduction is taken back
//! (RFC 4015; Linux `tcp_try_undo_*`). A third, F-RTO, is in [`frto`](super::frto).

use alloc::boxed::Box;

use transom_wire::SeqRange;

use super::{AckInput, AckOutcome, Episode, Recovery};
use crate::pack::packed;
use crate::time::Instant;

/// How an episode was found to be a mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spurious {
    /// The gap was closed by what was sent before anything was sent again (RFC 3522).
    Timestamp,
    /// All that was sent again was reported as duplicate (RFC 2883).
    Duplicates,
    /// Data arrived that was never sent again: after a timeout (RFC 5682), or all of it before anything was.
    Originals,
}

/// What one episode sent again, kept until the next begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// When something was first sent again, and everything lies in the stretch.
    resent: Option<(Instant, SeqRange)>,
    /// Octets sent again and not reported as duplicates.
    unreported: u64,
    /// The timer had expired: no sign of reordering then.
    timed_out: bool,
}

packed!(Undo {
    resent,
    unreported,
    timed_out,
});

impl Undo {
    /// RFC 8985 §7: the first thing sent again may have been a probe, before the episode.
    fn new(resent: Option<(Instant, SeqRange, u64)>) -> Self {
        Self {
            resent: resent.map(|(first, range, _)| (first, range)),
            unreported: resent.map_or(0, |(_, _, octets)| octets),
            timed_out: false,
        }
    }

    fn on_resent(&mut self, range: SeqRange, now: Instant) {
        self.unreported = self.unreported.saturating_add(u64::from(range.len()));
        self.resent = Some(match self.resent {
            None => (now, range),
            Some((first, hull)) => (first, join(hull, range)),
        });
    }

    /// The peer has reported `block` as a duplicate; gives whether that was sent again.
    fn on_duplicate(&mut self, block: SeqRange) -> bool {
        let Some((_, hull)) = self.resent else {
            return false;
        };
        // A duplicate of something else was made by the network.
        let inside = SeqRange {
            start: block.start.max(hull.start),
            end: block.end.min(hull.end),
        };
        let is_ours = inside.start.lt(inside.end);
        if is_ours {
            self.unreported = self.unreported.saturating_sub(u64::from(inside.len()));
        }
        is_ours
    }

    fn all_were_duplicates(&self) -> bool {
        self.resent.is_some() && self.unreported == 0
    }

    /// The acknowledgement of something new echoes a time before anything was sent again.
    fn came_before(&self, input: &AckInput<'_>) -> bool {
        match (self.resent, input.echoed) {
            (Some((first, _)), Some(echoed)) => echoed < first,
            _ => false,
        }
    }
}

fn join(a: SeqRange, b: SeqRange) -> SeqRange {
    SeqRange {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    }
}

impl Recovery {
    /// A congestion episode begins that loss recovery may find to be a mistake.
    pub(super) fn arm_undo(&mut self) {
        self.undo = Some(Box::new(Undo::new(self.board.sent_again())));
    }

    /// The timer has expired in the episode.
    pub(super) fn undo_timed_out(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.timed_out = true;
        }
    }

    /// The window is reduced for another reason too, which a mistake of ours does not refute.
    pub fn forget_undo(&mut self) {
        self.undo = None;
    }

    pub(super) fn note_resent(&mut self, range: SeqRange, now: Instant) {
        if self.episode != Episode::None
            && let Some(undo) = &mut self.undo
        {
            undo.on_resent(range, now);
        }
    }

    /// Whether an acknowledgement shows that the last episode was a mistake: UNDO-1, EIF-1. If so,
    /// nothing is held for lost any more, and an episode under way is over.
    pub(super) fn detect_spurious(
        &mut self,
        input: &AckInput<'_>,
        advanced: bool,
        originals: bool,
        outcome: &mut AckOutcome,
    ) {
        let evidence = self.evidence(input, advanced, outcome.dsack);
        let evidence = evidence.or_else(|| originals.then_some(Spurious::Originals));
        let Some(evidence) = evidence else {
            return;
        };
        self.undo = None;
        outcome.spurious = Some(evidence);
        if self.episode == Episode::Recovery
            && let Some(rack) = &mut self.rack
        {
            rack.on_reordering();
        }
        if self.episode != Episode::None {
            self.board.believe_in_flight();
            self.end_episode(outcome);
        }
    }

    fn evidence(&mut self, input: &AckInput<'_>, advanced: bool, dsack: bool) -> Option<Spurious> {
        let undo = self.undo.as_mut()?;
        if dsack
            && let Some(block) = input.sack.iter().next()
            && undo.on_duplicate(block)
            && !undo.timed_out
            && let Some(rack) = &mut self.rack
        {
            // Not by RFC 8985, which learns of reordering only from what was never sent again: on a
            // path that reorders much, fast retransmit would hide it for many round trips.
            rack.on_reordering();
        }
        let by_duplicates = dsack && undo.all_were_duplicates();
        let by_timestamp = advanced && undo.came_before(input);
        let is_full = self.board.una().ge(self.recover);
        // Part of the data was late; what was sent again besides may still be needed.
        let in_doubt = !is_full && self.board.counters().resent > 0;
        // What was held for lost arrived before its turn to be sent again came: pacing may keep it back. No D-SACK
        // will tell, as nothing arrived twice (Linux `tcp_packet_delayed`).
        let by_arrival = self.sack && advanced && is_full && undo.resent.is_none();
        match self.episode {
            Episode::Recovery if by_arrival => Some(Spurious::Originals),
            Episode::None => by_duplicates.then_some(Spurious::Duplicates),
            Episode::Recovery if by_timestamp && !in_doubt => Some(Spurious::Timestamp),
            Episode::Loss if by_timestamp => Some(Spurious::Timestamp),
            Episode::Recovery | Episode::Loss => by_duplicates.then_some(Spurious::Duplicates),
        }
    }
}

/// The hull of stretches, when the first of them was last sent, and their octets.
pub(super) fn sum_up(
    stretches: impl Iterator<Item = (Instant, SeqRange, u64)>,
) -> Option<(Instant, SeqRange, u64)> {
    stretches.reduce(|(first, hull, octets), (sent, range, more)| {
        (
            first.min(sent),
            join(hull, range),
            octets.saturating_add(more),
        )
    })
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use transom_wire::Seq;

    use super::*;

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange {
            start: Seq::new(start),
            end: Seq::new(end),
        }
    }

    #[test]
    fn req_undo_1_only_duplicates_of_what_was_sent_again_count() {
        let now = Instant::from_origin(Duration::from_secs(1));
        let mut undo = Undo::new(None);
        undo.on_duplicate(range(0, 1000));
        assert!(!undo.all_were_duplicates(), "nothing was sent again");
        undo.on_resent(range(u32::MAX - 999, 0), now);
        undo.on_resent(range(3000, 4000), now);
        undo.on_duplicate(range(9000, 12_000));
        assert!(!undo.all_were_duplicates());
        undo.on_duplicate(range(u32::MAX - 1999, 0));
        assert_eq!(undo.unreported, 1000);
        undo.on_duplicate(range(3000, 4000));
        assert!(undo.all_were_duplicates());
    }
}
