//! Several threads: the caller's, which hands out the frames and helps when enough wait, and others.

use super::desk::Desk;
use super::numbering::Numbering;
use super::part::{Part, sockets_hash};
use super::{Make, Numbered};
use crate::capture::Chunk;
use crate::dissect::Glance;
use crate::model::End;
use crate::past::Past;
use crate::table::{HashKey, Pair};
use crate::tracker::{Counters, Frame, Limits};
use core::time::Duration;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Frames that are handed out at once, and their bytes: what stays in the cache until it is followed.
const PART_FRAMES: usize = 2_048;
const PART_BYTES: usize = 256 << 10;
/// Parts that may wait for each lane: so many that nobody runs out of work while others read or follow one.
const WAITING_MAX: usize = 2;

pub(super) struct Threads<T> {
    desk: Arc<Desk<T>>,
    threads: Vec<JoinHandle<()>>,
    /// What is being filled, for each lane.
    parts: Vec<Part>,
    frames: usize,
    bytes: usize,
    counters: Vec<Counters>,
    numbering: Numbering,
}

impl<T: Numbered + Send + 'static> Threads<T> {
    /// So many threads with the caller's, and as many lanes.
    pub(super) fn start(mut limits: Limits, workers: usize, make: Make<T>) -> Self {
        limits.open = limits.open.div_ceil(workers);
        limits.lingering = limits.lingering.div_ceil(workers);
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        let desk = Arc::new(Desk::new(limits, workers, make));
        let start = |worker| {
            let desk = Arc::clone(&desk);
            std::thread::Builder::new()
                .name(format!("flow-{worker}"))
                .spawn(move || desk.work(worker))
        };
        Self {
            // Where there are no more threads to be had, the caller's does the work.
            threads: (1..workers).filter_map(|n| start(n).ok()).collect(),
            parts: (0..workers).map(|_| Part::default()).collect(),
            desk,
            frames: 0,
            bytes: 0,
            counters: vec![Counters::default(); workers],
            numbering: Numbering::new(workers),
        }
    }

    fn part(&mut self, hash: u64) -> Option<&mut Part> {
        let lane = hash % self.parts.len().max(1) as u64;
        self.parts.get_mut(usize::try_from(lane).ok()?)
    }

    /// Puts a frame into a lane's part.
    #[inline]
    pub(super) fn push(
        &mut self,
        frame: &Frame<'_>,
        number: u64,
        glance: &Glance,
        chunk: Option<&Chunk>,
    ) {
        self.frames += 1;
        self.bytes += frame.data.len();
        if let Some(part) = self.part(sockets_hash(glance)) {
            part.frames.push(frame, number, chunk);
        }
    }

    /// Whether as much waits here as is handed out at once.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.frames >= PART_FRAMES || self.bytes >= PART_BYTES
    }

    /// Names a host.
    pub(super) fn label(&mut self, addr: IpAddr, name: &str) {
        for part in &mut self.parts {
            part.names.push((addr, name.into()));
        }
    }

    /// Keeps the memory of a connection for the lane that had it.
    pub(super) fn recycle(&mut self, spent: Past) {
        let pair = Pair::new(spent.addr(End::Client), spent.addr(End::Server));
        if let Some(part) = self.part(pair.hash(HashKey::FIXED)) {
            part.spent.push(spent);
        }
    }

    /// Hands out what was filled, and helps if too much waits to be followed.
    pub(super) fn send(&mut self, ready: &mut VecDeque<T>) {
        self.hand_out();
        let most = WAITING_MAX * self.parts.len();
        if self.desk.waiting() > most {
            // Not just one: to wait and to be woken takes time.
            self.desk.help(most / 2);
        }
        self.merge(ready);
    }

    /// The same at the end of a round, whose latest frame passed `now`.
    pub(super) fn send_round(&mut self, now: Duration, ready: &mut VecDeque<T>) {
        self.end_round(now, false);
        self.send(ready);
    }

    /// The same at the end of all: works until everything is followed.
    pub(super) fn finish(&mut self, now: Duration, ready: &mut VecDeque<T>) {
        self.end_round(now, true);
        self.hand_out();
        self.desk.help(0);
        self.merge(ready);
        self.desk.close();
        self.join();
    }

    fn end_round(&mut self, now: Duration, is_last: bool) {
        for part in &mut self.parts {
            part.ends_at = Some(now);
            part.is_last = is_last;
        }
    }

    fn hand_out(&mut self) {
        self.frames = 0;
        self.bytes = 0;
        let parts = self.parts.iter_mut().enumerate();
        self.desk.add(parts.filter(|(_, part)| part.has_work()));
    }

    /// Hands over the rounds that all lanes are through with.
    fn merge(&mut self, ready: &mut VecDeque<T>) {
        if self.desk.is_broken() {
            self.desk.close();
            self.join();
        }
        while let Some(outcomes) = self.desk.take_round() {
            for (counters, outcome) in self.counters.iter_mut().zip(&outcomes) {
                *counters = outcome.counters;
            }
            self.numbering.merge(outcomes, ready);
        }
    }

    /// Waits for the threads' ends, and panics if one did.
    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl<T> Threads<T> {
    /// What the lanes have seen.
    pub(super) fn counters(&self) -> &[Counters] {
        &self.counters
    }
}

impl<T> Drop for Threads<T> {
    fn drop(&mut self) {
        self.desk.close();
    }
}
