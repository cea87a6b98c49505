//! Workers with threads of their own.

use super::numbering::Numbering;
use super::share::{Outcome, Share, sockets_hash};
use super::{Make, Numbered};
use crate::dissect::Content;
use crate::follow::Seen;
use crate::model::End;
use crate::past::Past;
use crate::table::{HashKey, Pair};
use crate::tracker::{Counters, Limits, Tracker};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Rounds that may wait for a worker while it is busy with another.
const ROUNDS_AHEAD: usize = 1;

pub(super) struct Worker<T> {
    shares: Option<SyncSender<Share>>,
    /// What is being filled.
    pub(super) next: Share,
    spare: Vec<Share>,
    outcomes: VecDeque<Outcome<T>>,
    pub(super) counters: Counters,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Threads<T> {
    pub(super) workers: Vec<Worker<T>>,
    outcomes: Receiver<Outcome<T>>,
    pub(super) now: Duration,
    numbering: Numbering,
}

impl<T: Numbered + Send + 'static> Threads<T> {
    pub(super) fn start(mut limits: Limits, workers: usize, make: &Make<T>) -> Self {
        limits.open = limits.open.div_ceil(workers);
        limits.lingering = limits.lingering.div_ceil(workers);
        // Taken out after each round, and no more than are followed can end in one.
        limits.closed = usize::MAX;
        let (sender, outcomes) = channel();
        let start = |worker| {
            let (shares, inbox) = sync_channel(ROUNDS_AHEAD);
            let (make, sender) = (Arc::clone(make), sender.clone());
            let mut tracker = Tracker::recording(limits);
            let thread = std::thread::Builder::new()
                .name(format!("flow-{worker}"))
                .spawn(move || work(worker, &mut tracker, &inbox, &sender, &make));
            Worker {
                shares: Some(shares),
                next: Share::default(),
                spare: Vec::new(),
                outcomes: VecDeque::new(),
                counters: Counters::default(),
                // Where there are no more threads to be had, `send` does the work.
                thread: thread.ok(),
            }
        };
        Self {
            workers: (0..workers).map(start).collect(),
            outcomes,
            now: Duration::ZERO,
            numbering: Numbering::new(workers),
        }
    }

    /// Puts a frame into a worker's share.
    pub(super) fn push(&mut self, seen: Seen, content: &Content<'_>) {
        let hash = sockets_hash(content);
        let worker = hash % self.workers.len().max(1) as u64;
        let worker = usize::try_from(worker).ok();
        if let Some(worker) = worker.and_then(|n| self.workers.get_mut(n)) {
            worker.next.push(seen, content);
        }
    }

    /// Keeps the memory of a connection for the worker that had it.
    pub(super) fn recycle(&mut self, spent: Past) {
        let pair = Pair::new(spent.addr(End::Client), spent.addr(End::Server));
        let worker = pair.hash(HashKey::FIXED) % self.workers.len().max(1) as u64;
        let worker = usize::try_from(worker).ok();
        if let Some(worker) = worker.and_then(|n| self.workers.get_mut(n)) {
            worker.next.spent.push(spent);
        }
    }

    /// Sends every worker its share of the round; waits if one is too far behind.
    pub(super) fn send_round(&mut self, is_last: bool) {
        for worker in &mut self.workers {
            let spare = worker.spare.pop().unwrap_or_default();
            let mut share = core::mem::replace(&mut worker.next, spare);
            share.now = self.now;
            share.is_last = is_last;
            let is_heard = worker
                .shares
                .as_ref()
                .is_some_and(|shares| shares.send(share).is_ok());
            if !is_heard || is_last {
                worker.shares = None;
            }
        }
    }

    /// Hands over the rounds that all workers are through with.
    pub(super) fn merge(&mut self, ready: &mut VecDeque<T>) {
        while let Ok(outcome) = self.outcomes.try_recv() {
            if let Some(worker) = self.workers.get_mut(outcome.worker) {
                worker.outcomes.push_back(outcome);
            }
        }
        while self.workers.iter().all(|w| !w.outcomes.is_empty()) {
            let mut outcomes = Vec::new();
            for worker in &mut self.workers {
                if let Some(outcome) = worker.outcomes.pop_front() {
                    worker.counters = outcome.counters;
                    outcomes.push(outcome);
                }
            }
            let shares = self.numbering.merge(outcomes, ready);
            for (worker, share) in self.workers.iter_mut().zip(shares) {
                worker.spare.push(share);
            }
        }
    }

    /// Waits for all workers and hands over everything.
    pub(super) fn merge_all(&mut self, ready: &mut VecDeque<T>) {
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take()
                && let Err(panic) = thread.join()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.merge(ready);
    }
}

/// A worker's thread.
pub(super) fn work<T>(
    worker: usize,
    tracker: &mut Tracker,
    inbox: &Receiver<Share>,
    outcomes: &Sender<Outcome<T>>,
    make: &Make<T>,
) {
    while let Ok(share) = inbox.recv() {
        if outcomes.send(share.follow(worker, tracker, make)).is_err() {
            return;
        }
    }
}
