//! Pieces of the stream that lie beyond a gap.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

/// What an out-of-order piece costs besides its octets: a tree entry, its share of a range's
/// entry, and the bookkeeping of its allocation.
pub(super) const PIECE_OVERHEAD: usize = 128;
/// Most ranges kept apart. Far more than any path reorders; bounds the walk over them.
pub(super) const MAX_RANGES: usize = 1024;
/// How many recently changed ranges are remembered for SACK. Twice what one option can carry.
pub(super) const RECENT: usize = 8;

/// Pieces beyond a gap. Keys are offsets from the stream's first octet and never wrap.
#[derive(Debug, Default)]
pub(super) struct OutOfOrder {
    /// The octets, by where they begin; pieces never overlap.
    pub(super) pieces: BTreeMap<u64, Bytes>,
    /// Maximal runs of pieces: start and end.
    pub(super) ranges: BTreeMap<u64, u64>,
    /// A point inside each range changed lately, newest first.
    pub(super) recent: VecDeque<u64>,
    /// Octets held.
    pub(super) octets: usize,
}

impl OutOfOrder {
    /// Real cost of what is held.
    pub(super) fn memory(&self) -> usize {
        self.octets
            .saturating_add(self.pieces.len().saturating_mul(PIECE_OVERHEAD))
    }

    /// The range that contains `point`.
    pub(super) fn range_at(&self, point: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.ranges.range(..=point).next_back()?;
        (point < end).then_some((start, end))
    }

    /// The first range that ends after `point`.
    pub(super) fn range_from(&self, point: u64) -> Option<(u64, u64)> {
        self.range_at(point).or_else(|| {
            self.ranges
                .range(point..)
                .next()
                .map(|(&start, &end)| (start, end))
        })
    }

    /// Adds `[start, end)` to the ranges, merging what touches it.
    pub(super) fn cover(&mut self, start: u64, end: u64) {
        let (mut low, mut high) = (start, end);
        if let Some((&before, &before_end)) = self.ranges.range(..=start).next_back()
            && before_end >= start
        {
            low = before;
            high = high.max(before_end);
        }
        while let Some((&next, &next_end)) = self.ranges.range(low..=high).next() {
            high = high.max(next_end);
            self.ranges.remove(&next);
        }
        self.ranges.insert(low, high);
    }

    /// Removes the piece that begins farthest away, and its octets from the ranges.
    pub(super) fn drop_last(&mut self) {
        let Some((start, piece)) = self.pieces.pop_last() else {
            return;
        };
        self.octets = self.octets.saturating_sub(piece.len());
        if let Some((range_start, _)) = self.ranges.pop_last()
            && range_start < start
        {
            self.ranges.insert(range_start, start);
        }
    }

    /// Start of the farthest piece.
    pub(super) fn last_start(&self) -> Option<u64> {
        self.pieces.last_key_value().map(|(&start, _)| start)
    }

    /// Remembers that the range around `point` changed last.
    pub(super) fn touch(&mut self, point: u64) {
        let range = self.range_at(point);
        let ranges = &self.ranges;
        let same = |&old: &u64| {
            ranges
                .range(..=old)
                .next_back()
                .map(|(&s, &e)| (s, e))
                .filter(|&(_, e)| old < e)
                == range
        };
        if let Some(place) = self.recent.iter().position(same) {
            self.recent.remove(place);
        } else if self.recent.len() >= RECENT {
            self.recent.pop_back();
        }
        self.recent.push_front(point);
    }
}
