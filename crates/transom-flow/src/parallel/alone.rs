//! One worker in the caller's thread.

use super::part::{Frames, MANY, TOGETHER};
use super::{Make, Numbered};
use crate::capture::Chunk;
use crate::dissect::Content;
use crate::follow::Seen;
use crate::past::Past;
use crate::tracker::{Frame, Limits, Tracker};
use std::collections::VecDeque;

/// Follows each frame at once while there are few connections, and a few dozen of them together otherwise.
pub(super) struct Alone<T> {
    pub(super) tracker: Tracker,
    /// Frames that are followed together.
    waiting: Frames,
    /// Where their connections are.
    slots: Vec<u32>,
    make: Make<T>,
}

impl<T: Numbered> Alone<T> {
    pub(super) fn new(mut limits: Limits, make: Make<T>) -> Self {
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        Self {
            tracker: Tracker::recording(limits),
            waiting: Frames::default(),
            slots: Vec::new(),
            make,
        }
    }

    /// Whether the next frame is to be followed at once.
    #[inline]
    pub(super) fn is_prompt(&self) -> bool {
        self.waiting.is_empty() && self.tracker.open() < MANY
    }

    #[inline]
    pub(super) fn follow(&mut self, seen: Seen, content: &Content<'_>) {
        self.tracker.content(seen, content);
    }

    #[inline]
    pub(super) fn push(&mut self, frame: &Frame<'_>, number: u64, chunk: Option<&Chunk>) {
        self.waiting.push(frame, number, chunk);
        if self.waiting.len() >= TOGETHER {
            self.catch_up();
        }
    }

    pub(super) fn catch_up(&mut self) {
        let slots = &mut self.slots;
        self.waiting.give(&mut self.tracker, slots, |_| {});
    }

    pub(super) fn hand_over_past(&mut self, ready: &mut VecDeque<T>) {
        self.catch_up();
        let over = self.tracker.take_past().collect();
        self.hand_over(over, ready);
    }

    /// In the order of numbers within a round, as several workers do.
    fn hand_over(&self, mut over: Vec<Past>, ready: &mut VecDeque<T>) {
        over.sort_unstable_by_key(Past::number);
        ready.extend(over.into_iter().map(|past| {
            let number = past.number();
            let mut made = (self.make)(past);
            made.set_number(number);
            made
        }));
    }

    pub(super) fn finish(&mut self, ready: &mut VecDeque<T>) {
        self.catch_up();
        self.tracker.finish();
        let over = self.tracker.take_all_past().collect();
        self.hand_over(over, ready);
    }
}
