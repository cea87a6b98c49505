//! Which sequence numbers of one direction have passed: a contiguous run and islands above it.
//!
//! ```text
//!      contiguous                    highest
//!  ────────┤      ├─island─┤   ├─island─┤
//!  all seen   gap            gap           not yet
//! ```
//!
//! Invariants
//! - Islands lie above `contiguous`, do not touch it or each other, and are sorted.
//! - At most [`ISLANDS_MAX`] islands are held; beyond that the lowest gap counts as filled.

use transom_wire::{Seq, SeqRange};

/// More gaps than any sane receiver window shows at once.
const ISLANDS_MAX: usize = 64;

/// How a range relates to what has passed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// It continues where the highest ended.
    Next,
    /// It starts beyond the highest: something before it is missing.
    AfterGap,
    /// All of it has passed before.
    Seen,
    /// Some of it has passed before.
    Partly,
    /// None of it has passed, but something above it has.
    FillsGap,
}

/// The sequence numbers that have passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    contiguous: Seq,
    highest: Seq,
    islands: Vec<SeqRange>,
}

impl Ranges {
    /// Nothing has passed; the first number expected is `start`.
    pub(crate) fn starting_at(start: Seq) -> Self {
        Self {
            contiguous: start,
            highest: start,
            islands: Vec::new(),
        }
    }

    /// The first number that has not passed.
    pub(crate) const fn contiguous(&self) -> Seq {
        self.contiguous
    }

    /// The number after the highest that has passed.
    pub(crate) const fn highest(&self) -> Seq {
        self.highest
    }

    /// Whether something below the highest is missing.
    pub(crate) const fn has_gap(&self) -> bool {
        !self.islands.is_empty()
    }

    /// How `range` relates to what has passed.
    pub(crate) fn novelty(&self, range: SeqRange) -> Novelty {
        if range.end.le(self.contiguous) {
            return Novelty::Seen;
        }
        if range.start.ge(self.highest) {
            return if range.start == self.highest {
                Novelty::Next
            } else {
                Novelty::AfterGap
            };
        }
        if range.start.lt(self.contiguous) {
            return Novelty::Partly;
        }
        let mut overlaps = self
            .islands
            .iter()
            .filter(|i| i.start.lt(range.end) && range.start.lt(i.end));
        match overlaps.next() {
            None => Novelty::FillsGap,
            Some(island) if island.start.le(range.start) && range.end.le(island.end) => {
                Novelty::Seen
            }
            Some(_) => Novelty::Partly,
        }
    }

    /// Adds a range and tells how many of its numbers are new.
    pub(crate) fn insert(&mut self, range: SeqRange) -> u32 {
        let mut fresh = range.end.since(range.start);
        if range.end.le(range.start) {
            return 0;
        }
        if range.start == self.contiguous && self.islands.is_empty() {
            // Nearly all data comes in order.
            self.contiguous = range.end;
            self.highest = self.highest.max(range.end);
            return fresh;
        }
        if range.start.lt(self.contiguous) {
            fresh = fresh.saturating_sub(self.contiguous.min(range.end).since(range.start));
        }
        let mut merged = SeqRange {
            start: range.start.max(self.contiguous.min(range.end)),
            end: range.end,
        };
        self.highest = self.highest.max(range.end);
        if merged.end.le(merged.start) {
            return 0;
        }
        self.islands.retain(|island| {
            let apart = island.end.lt(merged.start) || merged.end.lt(island.start);
            if !apart {
                let start = island.start.max(merged.start);
                let end = island.end.min(merged.end);
                if start.lt(end) {
                    fresh = fresh.saturating_sub(end.since(start));
                }
                merged = SeqRange {
                    start: merged.start.min(island.start),
                    end: merged.end.max(island.end),
                };
            }
            apart
        });
        if merged.start.le(self.contiguous) {
            self.contiguous = self.contiguous.max(merged.end);
        } else {
            let at = self
                .islands
                .partition_point(|island| island.start.lt(merged.start));
            self.islands.insert(at, merged);
            if self.islands.len() > ISLANDS_MAX {
                let lowest = self.islands.remove(0);
                self.contiguous = lowest.end;
            }
        }
        fresh
    }

    /// The other end acknowledged up to `ack`: all below it has passed, captured or not.
    pub(crate) fn acknowledge(&mut self, ack: Seq) {
        if ack.le(self.contiguous) {
            return;
        }
        self.contiguous = ack;
        self.highest = self.highest.max(ack);
        let contiguous = &mut self.contiguous;
        self.islands.retain(|island| {
            if island.start.gt(*contiguous) {
                return true;
            }
            *contiguous = contiguous.max(island.end);
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange {
            start: Seq::new(start),
            end: Seq::new(end),
        }
    }

    #[test]
    fn bytes_are_counted_once_whatever_the_order() {
        let mut ranges = Ranges::starting_at(Seq::new(u32::MAX - 9));
        let base = u32::MAX - 9;
        let r = |a: u32, b: u32| range(base.wrapping_add(a), base.wrapping_add(b));
        assert_eq!(ranges.novelty(r(0, 10)), Novelty::Next);
        assert_eq!(ranges.insert(r(0, 10)), 10);
        assert_eq!(ranges.novelty(r(20, 30)), Novelty::AfterGap);
        assert_eq!(ranges.insert(r(20, 30)), 10);
        assert_eq!(ranges.insert(r(40, 50)), 10);
        assert!(ranges.has_gap());
        assert_eq!(ranges.novelty(r(10, 20)), Novelty::FillsGap);
        assert_eq!(ranges.novelty(r(15, 25)), Novelty::Partly);
        assert_eq!(ranges.novelty(r(22, 28)), Novelty::Seen);
        assert_eq!(ranges.insert(r(15, 45)), 15);
        assert_eq!(ranges.insert(r(5, 15)), 5);
        assert!(!ranges.has_gap());
        assert_eq!(ranges.contiguous(), Seq::new(base.wrapping_add(50)));
        assert_eq!(ranges.insert(r(0, 50)), 0);
        assert_eq!(ranges.novelty(r(45, 60)), Novelty::Partly);
    }

    #[test]
    fn acknowledgement_fills_what_was_not_captured() {
        let mut ranges = Ranges::starting_at(Seq::new(0));
        ranges.insert(range(10, 20));
        ranges.insert(range(30, 40));
        ranges.acknowledge(Seq::new(10));
        assert_eq!(ranges.contiguous(), Seq::new(20));
        ranges.acknowledge(Seq::new(35));
        assert_eq!(ranges.contiguous(), Seq::new(40));
        assert!(!ranges.has_gap());
    }

    #[test]
    fn islands_are_bounded() {
        let mut ranges = Ranges::starting_at(Seq::new(0));
        for i in 1..1000u32 {
            ranges.insert(range(i * 20, i * 20 + 10));
            assert!(ranges.islands.len() <= ISLANDS_MAX);
        }
        assert_eq!(ranges.highest(), Seq::new(999 * 20 + 10));
    }
}
