//! What is outstanding, run by run, and what is known about each run.
//!
//! ```text
//!   SND.UNA                                                            SND.NXT
//!     ├─ lost ─┼──── SACKed ────┼─ lost, resent ─┼── SACKed ──┼─ in flight ─┤
//! ```
//!
//! A run is a stretch of sequence space that shares one fate and one time of sending. A 64 KiB
//! super-segment is one run, a burst sent at one instant is one run, and neighbouring SACKed runs
//! are merged, so a bulk transfer keeps a few dozen.
//!
//! Invariants
//! - Runs are in order and without gaps, from `una` to `end`.
//! - No two neighbouring runs are both SACKed.
//! - The counters equal a recount over the runs (INV-10).
//! - At most `2·MAX_RUNS` runs exist, whatever a peer reports; none when nothing is outstanding,
//!   and then memory for a few at most.
//!
//! The file is long because every operation that could break an invariant is in it.

use alloc::collections::VecDeque;

use transom_wire::{Seq, SeqRange};

use super::rack::Mark;
use super::run::{Counters, Covered, Found, Run};
use super::undo::sum_up;
use crate::pack::{Empty, Like, Rare, packed};
use crate::time::Instant;

/// Beyond this many runs a SACK block that would split another one is ignored (CVE-2018-5390 and
/// 2019-11478 are about lists that grow with every block).
pub(super) const MAX_RUNS: usize = 4096;
/// Room for so many is kept when nothing is outstanding: the next message needs it at once.
const KEPT_RUNS: usize = 4;
/// Beyond this many runs, sent data joins the last run even if that was sent earlier.
const COALESCE_RUNS: usize = MAX_RUNS / 2;

/// The runs and their counters.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Scoreboard {
    runs: VecDeque<Run>,
    una: Seq,
    end: Seq,
    counters: Counters,
    /// End of the highest SACKed run.
    highest_sacked: Option<Seq>,
    /// Everything un-SACKed before this is lost by RFC 6675's rule.
    lost_edge: Seq,
    /// Nothing before this waits to be sent again.
    due_from: Seq,
    /// What was found lost since this was last asked for.
    found: Found,
}

impl Empty for Counters {}
impl Empty for Found {}

packed!(Scoreboard {
    una: Like,
    end: Like,
    highest_sacked: Rare,
    lost_edge: Like,
    due_from: Like;
    runs,
    counters,
    found,
});

impl Scoreboard {
    pub(super) const fn new(una: Seq) -> Self {
        Self {
            runs: VecDeque::new(),
            una,
            end: una,
            counters: Counters {
                sacked: 0,
                lost: 0,
                resent: 0,
                due: 0,
            },
            highest_sacked: None,
            lost_edge: una,
            due_from: una,
            found: Found::NOTHING,
        }
    }

    /// What was found lost since the last call.
    pub(super) const fn take_found(&mut self) -> Found {
        core::mem::replace(&mut self.found, Found::NOTHING)
    }

    pub(super) const fn una(&self) -> Seq {
        self.una
    }

    pub(super) const fn end(&self) -> Seq {
        self.end
    }

    pub(super) const fn lost_edge(&self) -> Seq {
        self.lost_edge
    }

    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn outstanding(&self) -> u64 {
        u64::from(self.end.since(self.una))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Nothing is outstanding, and nothing is to be told.
    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.is_empty() && self.counters == Counters::default() && self.found == Found::NOTHING
    }

    pub(super) fn front(&self) -> Option<&Run> {
        self.runs.front()
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// End of the highest SACKed run.
    pub(super) const fn highest_sacked(&self) -> Option<Seq> {
        self.highest_sacked
    }

    /// Octets in the network by RFC 6675 §4 `SetPipe`: what is neither SACKed nor lost, and once
    /// more what was sent again.
    pub(super) fn pipe(&self) -> u64 {
        (self.outstanding() + self.counters.resent)
            .saturating_sub(self.counters.sacked)
            .saturating_sub(self.counters.lost)
    }

    /// New data was sent, from `end` up to `to`.
    pub(super) fn append(&mut self, to: Seq, now: Instant) {
        if to.le(self.end) {
            return;
        }
        let coalesce = self.runs.len() >= COALESCE_RUNS;
        match self.runs.back_mut() {
            Some(last)
                if last.is_plain()
                    && last.transmissions == 1
                    && (last.sent == now || coalesce)
                    && last.len() < 1 << 30 =>
            {
                last.end = to;
            }
            last => {
                if last.is_none() && self.runs.capacity() == 0 {
                    // Many a connection never has more than one, and keeps this room.
                    self.runs.reserve_exact(1);
                }
                self.runs.push_back(Run {
                    start: self.end,
                    end: to,
                    sent: now,
                    transmissions: 1,
                    sacked: false,
                    lost: false,
                    resent: false,
                });
            }
        }
        self.end = to;
    }

    /// `range` was sent again.
    pub(super) fn resend(&mut self, range: SeqRange, now: Instant) {
        let mut index = self.index_of(range.start);
        while let Some(&run) = self.runs.get(index)
            && run.start.lt(range.end)
        {
            if run.sacked {
                index += 1;
                continue;
            }
            if run.start.lt(range.start) {
                self.split(index, range.start);
                index += 1;
                continue;
            }
            if run.end.gt(range.end) {
                self.split(index, range.end);
            }
            self.change(index, |run| {
                run.resent = true;
                run.sent = now;
                run.transmissions = run.transmissions.saturating_add(1);
            });
            if !self.merge_into_previous(index) {
                index += 1;
            }
        }
    }

    /// Nothing that is outstanding is SACKed, lost or sent again since.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.counters == Counters::default() && self.found.ranges == 0
    }

    /// As [`ack_to`](Self::ack_to), where all [is plain](Self::is_plain) and was sent once, and `ack` lies beyond SND.UNA.
    pub(super) fn ack_plain_to(&mut self, ack: Seq) -> Covered {
        let mut covered = Covered {
            octets: ack.since(self.una),
            delivered: ack.since(self.una),
            highest: Some(ack),
            ..Covered::default()
        };
        while let Some(run) = self.runs.front_mut()
            && run.start.lt(ack)
        {
            let end = run.end.min(ack);
            let mark = Some(Mark {
                sent: run.sent,
                end,
            });
            covered.sent_once = Mark::newest(covered.sent_once, mark);
            covered.lowest_once = covered.lowest_once.or(Some(end));
            if run.end.gt(ack) {
                run.start = ack;
                break;
            }
            self.runs.pop_front();
        }
        self.acked(ack);
        covered
    }

    /// Everything before `ack` is acknowledged.
    pub(super) fn ack_to(&mut self, ack: Seq) -> Covered {
        let mut covered = Covered::default();
        while let Some(&run) = self.runs.front()
            && run.start.lt(ack)
        {
            if run.end.le(ack) {
                covered.add(&run);
                self.counters.remove(&run);
                self.runs.pop_front();
            } else {
                covered.add(&Run { end: ack, ..run });
                self.change(0, |run| run.start = ack);
            }
        }
        self.acked(ack);
        covered
    }

    /// What lay before `ack` is taken out.
    #[inline]
    fn acked(&mut self, ack: Seq) {
        self.una = ack;
        self.end = self.end.max(ack);
        self.lost_edge = self.lost_edge.max(ack);
        self.due_from = self.due_from.max(ack);
        if self.counters.sacked == 0 {
            self.highest_sacked = None;
        }
        if self.runs.is_empty() && self.runs.capacity() > KEPT_RUNS {
            self.runs = VecDeque::new();
        }
    }

    /// A SACK block, known to lie inside what is outstanding.
    pub(super) fn sack(&mut self, block: SeqRange) -> Covered {
        let mut covered = Covered::default();
        let mut top = None;
        let mut index = self.index_of(block.start);
        while let Some(&run) = self.runs.get(index)
            && run.start.lt(block.end)
        {
            if run.sacked {
                if !self.merge_into_previous(index) {
                    index += 1;
                }
                continue;
            }
            if run.start.lt(block.start) {
                if !self.may_split() {
                    break;
                }
                self.split(index, block.start);
                index += 1;
                continue;
            }
            if run.end.gt(block.end) {
                let follows_sacked = self.previous(index).is_some_and(|run| run.sacked);
                if follows_sacked {
                    // Only the border between the two moves.
                    covered.add(&Run {
                        end: block.end,
                        ..run
                    });
                    self.change(index - 1, |before| {
                        before.absorb(&Run {
                            end: block.end,
                            ..run
                        })
                    });
                    self.change(index, |run| run.start = block.end);
                    top = Some(block.end);
                    break;
                }
                if !self.may_split() {
                    break;
                }
                self.split(index, block.end);
                continue;
            }
            covered.add(&run);
            top = Some(run.end);
            self.change(index, |run| run.sacked = true);
            if !self.merge_into_previous(index) {
                index += 1;
            }
        }
        self.merge_into_previous(index);
        if let Some(top) = top {
            self.highest_sacked = Some(self.highest_sacked.map_or(top, |high| high.max(top)));
        }
        covered
    }

    /// The place before which RFC 6675 holds everything un-SACKed for lost, if it moved: above it
    /// lie `dup_thresh` SACKed ranges, or more than `(dup_thresh − 1)·SMSS` SACKed octets.
    pub(super) fn loss_edge(&self, dup_thresh: u32, mss: u32) -> Option<Seq> {
        let enough = u64::from(dup_thresh.saturating_sub(1)) * u64::from(mss);
        if self.counters.sacked == 0 {
            return None;
        }
        let (mut ranges, mut octets) = (0, 0_u64);
        for run in self.runs.iter().rev() {
            if run.end.le(self.lost_edge) {
                return None;
            }
            if run.sacked {
                ranges += 1;
                octets += u64::from(run.len());
                if ranges >= dup_thresh || octets > enough {
                    return Some(run.start).filter(|edge| edge.gt(self.lost_edge));
                }
            }
        }
        None
    }

    /// Holds for lost what is un-SACKed before `edge`, a place where a run begins; gives the
    /// octets newly lost.
    pub(super) fn lose_before(&mut self, edge: Seq) -> u64 {
        let lost_before = self.counters.lost;
        let from = self.lost_edge;
        self.lose(SeqRange {
            start: from,
            end: edge,
        });
        self.lost_edge = self.lost_edge.max(edge);
        self.counters.lost.saturating_sub(lost_before)
    }

    /// Holds `range` for lost.
    pub(super) fn lose(&mut self, range: SeqRange) {
        let mut index = self.index_of(range.start);
        while let Some(&run) = self.runs.get(index)
            && run.start.lt(range.end)
        {
            if !run.sacked && !run.lost {
                if run.start.lt(range.start) {
                    self.split(index, range.start);
                    index += 1;
                }
                if run.end.gt(range.end) {
                    self.split(index, range.end);
                }
                self.change(index, |run| run.lost = true);
                self.find(index, run.sent);
            }
            index += 1;
        }
        self.due_from = self.due_from.min(range.start).max(self.una);
    }

    /// Whether all of `range` is held for lost, and nothing else.
    pub(super) fn is_only_loss(&self, range: SeqRange) -> bool {
        self.counters.lost == u64::from(range.len())
            && self
                .runs
                .iter()
                .skip(self.index_of(range.start))
                .take_while(|run| run.start.lt(range.end))
                .all(|run| run.lost && run.start.ge(range.start) && run.end.le(range.end))
    }

    /// Holds everything un-SACKed for lost, and what was sent again lost once more.
    pub(super) fn lose_all(&mut self) {
        for run in &mut self.runs {
            if !run.sacked {
                run.lost = true;
                run.resent = false;
            }
        }
        self.counters.lost = self.outstanding().saturating_sub(self.counters.sacked);
        self.counters.due = self.counters.lost;
        self.counters.resent = 0;
        self.lost_edge = self.end;
        self.due_from = self.una;
    }

    /// RACK: holds for lost what was sent before `newest` and is `overdue`; gives the octets newly
    /// lost, and when the newest of those was sent that are not overdue yet.
    ///
    /// What was never sent twice lies in the order of sending, so the search ends at the first such
    /// run that is newer (RACK-15).
    pub(super) fn lose_sent_before(
        &mut self,
        newest: Mark,
        overdue: impl Fn(Instant) -> bool,
    ) -> (u64, Option<Instant>) {
        let due_before = self.counters.due;
        let mut waiting = None;
        let mut index = 0;
        while let Some(&run) = self.runs.get(index) {
            let mark = Mark {
                sent: run.sent,
                end: run.end,
            };
            if !newest.is_after(mark) {
                if run.transmissions == 1 {
                    break;
                }
            } else if !run.sacked && !run.is_due() {
                if overdue(run.sent) {
                    self.lose_run(index);
                    if self.merge_into_previous(index) {
                        continue;
                    }
                } else {
                    waiting = waiting.max(Some(run.sent));
                }
            }
            index += 1;
        }
        (self.counters.due.saturating_sub(due_before), waiting)
    }

    /// RACK after a timeout: holds for lost the first `mss` octets and what is `overdue`.
    pub(super) fn lose_first_and(&mut self, mss: u32, overdue: impl Fn(Instant) -> bool) {
        if let Some(&first) = self.runs.front()
            && !first.sacked
        {
            if first.len() > mss {
                self.split(0, first.start + mss);
            }
            self.lose_run(0);
        }
        for index in 1..self.runs.len() {
            if self
                .runs
                .get(index)
                .is_some_and(|run| !run.sacked && !run.is_due() && overdue(run.sent))
            {
                self.lose_run(index);
            }
        }
        self.due_from = self.una;
    }

    /// Holds a run for lost, once more if it was sent again (RACK-10).
    fn lose_run(&mut self, index: usize) {
        self.change(index, |run| {
            run.lost = true;
            run.resent = false;
        });
        if let Some(&run) = self.runs.get(index) {
            self.find(index, run.sent);
            self.due_from = self.due_from.min(run.start).max(self.una);
        }
    }

    /// The run at `index` was found lost.
    fn find(&mut self, index: usize, sent: Instant) {
        let continues = self.previous(index).is_some_and(Run::is_due);
        // What a call goes on with was found before it, or by it.
        let is_further = !continues || self.found.ranges == 0;
        self.found.newest = self.found.newest.max(sent);
        self.found.ranges = self.found.ranges.saturating_add(u32::from(is_further));
    }

    /// Holds for lost every run too long for segments of `mss`.
    pub(super) fn lose_longer_than(&mut self, mss: u32) {
        for index in 0..self.runs.len() {
            if self
                .runs
                .get(index)
                .is_some_and(|run| !run.sacked && run.len() > mss)
            {
                self.change(index, |run| {
                    run.lost = true;
                    run.resent = false;
                });
            }
        }
        self.due_from = self.una;
    }

    /// Holds nothing for lost any more: what was sent again is in the network twice.
    pub(super) fn believe_in_flight(&mut self) {
        for index in 0..self.runs.len() {
            self.change(index, |run| run.lost &= run.sacked);
        }
        self.lost_edge = self.una;
    }

    /// What was sent more than once and has not arrived: when the first of it was last sent, where
    /// it lies, and the octets that went again.
    pub(super) fn sent_again(&self) -> Option<(Instant, SeqRange, u64)> {
        let again = self
            .runs
            .iter()
            .filter(|run| run.transmissions > 1 && !run.sacked);
        sum_up(again.map(|run| {
            let (start, end) = (run.start, run.end);
            let octets = u64::from(run.len()) * u64::from(run.transmissions - 1);
            (run.sent, SeqRange { start, end }, octets)
        }))
    }

    /// Forgets what was SACKed: the receiver has thrown it away (RFC 2018 §8).
    pub(super) fn forget_sacked(&mut self) {
        for index in 0..self.runs.len() {
            self.change(index, |run| {
                if run.sacked {
                    run.sacked = false;
                    run.lost = false;
                    run.resent = false;
                }
            });
        }
        self.highest_sacked = None;
        self.lost_edge = self.una;
        self.due_from = self.una;
    }

    /// The first octets that are lost and not sent again: at most `limit`, without a gap.
    pub(super) fn next_due(&mut self, limit: u32) -> Option<SeqRange> {
        if self.counters.due == 0 {
            return None;
        }
        let mut index = self.index_of(self.due_from);
        while self.runs.get(index).is_some_and(|run| !run.is_due()) {
            index += 1;
        }
        let first = self.runs.get(index)?;
        let start = first.start;
        self.due_from = start;
        let mut end = start;
        while let Some(run) = self.runs.get(index)
            && run.is_due()
            && end.since(start) < limit
        {
            end = run.end;
            index += 1;
        }
        Some(SeqRange {
            start,
            end: end.min(start + limit),
        })
    }

    /// The first octets from `from` on that are neither SACKed nor resent, at most `limit`.
    pub(super) fn next_unsacked(&self, from: Seq, limit: u32) -> Option<SeqRange> {
        let mut index = self.index_of(from);
        while let Some(run) = self.runs.get(index) {
            if !run.sacked && !run.resent {
                let start = run.start.max(from);
                return Some(SeqRange {
                    start,
                    end: run.end.min(start + limit),
                });
            }
            index += 1;
        }
        None
    }

    /// The last octets outstanding, if they are un-SACKed: at most `limit`.
    pub(super) fn last_unsacked(&self, limit: u32) -> Option<SeqRange> {
        let run = self.runs.iter().rev().find(|run| !run.sacked)?;
        let start = if run.len() > limit {
            run.end - limit
        } else {
            run.start
        };
        Some(SeqRange {
            start,
            end: run.end,
        })
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.end);
    }

    /// Starts at a later place, if nothing is outstanding (sequence space was skipped).
    pub(super) fn restart(&mut self, una: Seq) {
        if self.runs.is_empty() && una.gt(self.end) {
            *self = Self::new(una);
        }
    }

    /// Index of the run that contains `seq`, or of the first after it.
    fn index_of(&self, seq: Seq) -> usize {
        if self.runs.front().is_none_or(|run| seq.lt(run.end)) {
            return 0;
        }
        self.runs.partition_point(|run| run.end.le(seq))
    }

    fn may_split(&self) -> bool {
        self.runs.len() < MAX_RUNS
    }

    fn previous(&self, index: usize) -> Option<&Run> {
        self.runs.get(index.checked_sub(1)?)
    }

    /// Cuts the run at `index` in two at `at`, which lies inside it.
    fn split(&mut self, index: usize, at: Seq) {
        let Some(run) = self.runs.get_mut(index) else {
            return;
        };
        let upper = Run { start: at, ..*run };
        run.end = at;
        self.runs.insert(index + 1, upper);
    }

    /// Changes a run and keeps the counters true.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.get_mut(index) {
            self.counters.remove(run);
            change(run);
            self.counters.add(run);
        }
    }

    /// Joins the run at `index` to the one before it if they share their fate.
    fn merge_into_previous(&mut self, index: usize) -> bool {
        let coalesce = self.runs.len() >= COALESCE_RUNS;
        let (Some(&run), Some(&before)) = (self.runs.get(index), self.previous(index)) else {
            return false;
        };
        let joined = (run.sacked && before.sacked)
            || (run.same_fate(&before) && (run.sent == before.sent || run.is_due() || coalesce));
        if joined {
            // No counter changes: both parts count alike.
            if let Some(before) = self.runs.get_mut(index - 1) {
                before.absorb(&run);
            }
            self.runs.remove(index);
        }
        joined
    }
}

#[cfg(test)]
mod tests;
