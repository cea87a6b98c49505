//! The steps of one connection in bounded memory: the first, the last and the remarkable ones in
//! full, bulk data between them as counts.
//!
//! Invariants
//! - Entries are in the order of their indices, and every index is in exactly one entry.
//! - At most `first + last + MIDDLE_MAX` entries are held.

use crate::model::{End, EndState};
use crate::step::{Entry, Fold, Segment, Step, What};
use core::time::Duration;
use std::collections::VecDeque;

/// Entries between the first and the last steps: folded runs, and the steps worth keeping between them.
const MIDDLE_MAX: usize = 128;

/// Steps of an attempt that nobody answered, or that was refused.
const FAILED_ATTEMPT: usize = 4;
/// Steps of a short conversation: the handshake, a few exchanges, the close.
const CONVERSATION: usize = 24;

/// An entry of the middle.
#[derive(Clone, Debug)]
enum Middle {
    Step(Step),
    Fold(Fold),
}

/// The bounded list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    first: Vec<Step>,
    middle: Vec<Middle>,
    last: VecDeque<Step>,
    next: u64,
}

/// Whether losing the step in a count loses what the connection was about.
fn is_remarkable(step: &Step) -> bool {
    match &step.what {
        What::Segment(segment) => segment.hint.is_some() || !segment.meaning.is_bulk(),
        What::Icmp(_) | What::State(_) | What::Note(_) => true,
    }
}

impl Steps {
    /// Forgets all, and keeps memory for a short conversation.
    pub(crate) fn clear(&mut self) {
        let mut first = core::mem::take(&mut self.first);
        *self = Self::default();
        if first.capacity() <= CONVERSATION {
            first.clear();
            self.first = first;
        }
    }

    /// The index that the next step will have.
    pub(crate) const fn next_index(&self) -> u64 {
        self.next
    }

    /// Adds a step; its index is set here.
    #[inline]
    pub(crate) fn push(&mut self, mut step: Step, first_max: usize, last_max: usize) {
        step.index = self.next;
        self.next += 1;
        if self.first.len() < first_max && self.last.is_empty() {
            if self.first.len() == self.first.capacity() {
                self.grow(first_max);
            }
            self.first.push(step);
            return;
        }
        if self.last.len() >= last_max.max(1)
            && let Some(oldest) = self.last.front()
            && !is_remarkable(oldest)
            && let Some(Middle::Fold(fold)) = self.middle.last_mut()
        {
            // Nearly all steps of long connections take the place of one that is folded.
            fold.absorb(oldest);
            self.last.pop_front();
            self.last.push_back(step);
            return;
        }
        self.last.push_back(step);
        while self.last.len() > last_max.max(1) {
            if let Some(oldest) = self.last.pop_front() {
                self.push_middle(oldest);
            }
        }
    }

    /// Makes room for more of the first steps: for an attempt that fails, for a short conversation, for all.
    #[cold]
    fn grow(&mut self, first_max: usize) {
        let room = match self.first.len() {
            0 => FAILED_ATTEMPT,
            n if n < CONVERSATION => CONVERSATION,
            _ => first_max,
        };
        let more = room.min(first_max).saturating_sub(self.first.len());
        self.first.reserve_exact(more);
    }

    fn push_middle(&mut self, step: Step) {
        if is_remarkable(&step) && self.middle.len() < MIDDLE_MAX {
            self.middle.push(Middle::Step(step));
            return;
        }
        match self.middle.last_mut() {
            Some(Middle::Fold(fold)) => fold.absorb(&step),
            _ => self.middle.push(Middle::Fold(Fold::new(&step))),
        }
    }

    /// Removes the change of state of `end` that is the newest step, or the one before it if that
    /// is the other end's, when it happened within `within` before `now`. Its index is given out again.
    pub(crate) fn take_trailing_state(&mut self, end: End, now: Duration, within: Duration) {
        let is_recent = |step: &Step| now.saturating_sub(step.time) <= within;
        let changed = |step: &Step| match &step.what {
            What::State(change) if is_recent(step) => Some(change.end),
            _ => None,
        };
        let Some(newest) = self.newest() else { return };
        let Some(newest_end) = changed(newest) else {
            return;
        };
        let Some(newest) = self.pop() else { return };
        if newest_end == end {
            return;
        }
        let is_wanted = self.newest().and_then(changed) == Some(end);
        let Some(mut earlier) = is_wanted.then(|| self.pop()).flatten() else {
            self.put_back(newest);
            return;
        };
        let mut kept = newest;
        if let What::State(change) = &earlier.what {
            earlier.states[end].state = change.from;
        }
        kept.states[end] = earlier.states[end];
        self.put_back(kept);
    }

    fn pop(&mut self) -> Option<Step> {
        let step = self.last.pop_back().or_else(|| self.first.pop())?;
        self.next = step.index;
        Some(step)
    }

    /// Adds a step that was just removed, or one in its place.
    fn put_back(&mut self, mut step: Step) {
        step.index = self.next;
        self.next += 1;
        if self.last.is_empty() && self.middle.is_empty() {
            self.first.push(step);
        } else {
            self.last.push_back(step);
        }
    }

    /// The newest step, unless it was folded.
    pub(crate) fn newest(&self) -> Option<&Step> {
        self.last.back().or_else(|| {
            if self.middle.is_empty() {
                self.first.last()
            } else {
                None
            }
        })
    }

    /// The segment of this frame, if it is one of the newest few steps.
    pub(crate) fn recent(&self, frame: u64) -> Option<&Segment> {
        /// Changes of state and notes that may follow a segment at once.
        const BEHIND_MAX: usize = 8;
        self.last
            .iter()
            .rev()
            .chain(self.first.iter().rev())
            .take(BEHIND_MAX)
            .find_map(|step| match &step.what {
                What::Segment(segment) if segment.frame == frame => Some(segment),
                _ => None,
            })
    }

    /// The step with this index, unless it was folded.
    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut Step> {
        let in_first = usize::try_from(index)
            .ok()
            .filter(|at| *at < self.first.len());
        if let Some(at) = in_first {
            return self.first.get_mut(at);
        }
        if let Some(front) = self.last.front().map(|step| step.index)
            && let Some(back) = index.checked_sub(front)
        {
            return self.last.get_mut(usize::try_from(back).ok()?);
        }
        self.middle.iter_mut().find_map(|entry| match entry {
            Middle::Step(step) if step.index == index => Some(step),
            _ => None,
        })
    }

    /// Gives one end a new state in every entry from index `from` on. `state_at` gives the state
    /// after the step with an index, and is not asked for states that were observed.
    pub(crate) fn restate(&mut self, end: End, from: u64, state_at: impl Fn(u64) -> EndState) {
        let restate = |states: &mut EndState, index: u64| {
            if index >= from && states.basis != crate::model::Basis::Observed {
                *states = state_at(index);
            }
        };
        for step in self
            .last
            .iter_mut()
            .rev()
            .take_while(|step| step.index >= from)
        {
            restate(&mut step.states[end], step.index);
        }
        for entry in &mut self.middle {
            match entry {
                Middle::Step(step) => restate(&mut step.states[end], step.index),
                Middle::Fold(fold) => restate(&mut fold.states[end], fold.last),
            }
        }
        for step in self
            .first
            .iter_mut()
            .rev()
            .take_while(|step| step.index >= from)
        {
            restate(&mut step.states[end], step.index);
        }
    }

    /// The steps in full that are kept, newest first, for a change in place.
    pub(crate) fn newest_first_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let middle = self
            .middle
            .iter_mut()
            .rev()
            .filter_map(|entry| match entry {
                Middle::Step(step) => Some(step),
                Middle::Fold(_) => None,
            });
        self.last
            .iter_mut()
            .rev()
            .chain(middle)
            .chain(self.first.iter_mut().rev())
    }

    /// Everything, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let middle = self.middle.iter().map(|entry| match entry {
            Middle::Step(step) => Entry::Step(step),
            Middle::Fold(fold) => Entry::Fold(fold),
        });
        self.first
            .iter()
            .map(Entry::Step)
            .chain(middle)
            .chain(self.last.iter().map(Entry::Step))
    }
}
