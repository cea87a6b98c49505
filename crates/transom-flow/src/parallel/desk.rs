//! Where work lies, and who takes it.
//!
//! Connections are spread over lanes. The parts of a lane are followed one after the other, by whoever is free: a
//! lane belongs to no thread, so nobody waits while there is a part of a lane that nobody is at.
//!
//! Invariants
//! - A lane's follower is at the desk, or with the one thread that works on the lane.
//! - The parts of a lane are worked on in the order in which they came.

use super::Make;
use super::part::Part;
use crate::past::Past;
use crate::tracker::{Counters, Limits, Tracker};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What follows the connections of a lane.
struct Follower {
    tracker: Tracker,
    /// The first frames of the connections that began in this round, in the order of the lane's own numbers.
    begun: Vec<u64>,
    slots: Vec<u32>,
}

/// What a round made of a lane.
pub(super) struct Outcome<T> {
    /// The first frame of each connection that began, in the order of the lane's own numbers.
    pub(super) begun: Vec<u64>,
    /// What ended, with the lane's own number of it.
    pub(super) over: Vec<(u64, T)>,
    pub(super) counters: Counters,
}

struct Lane<T> {
    follower: Option<Box<Follower>>,
    waiting: VecDeque<Part>,
    /// Of the rounds that the lane is through with.
    outcomes: VecDeque<Outcome<T>>,
}

impl<T> Lane<T> {
    /// Whether a part waits and nobody is at the lane.
    fn has_job(&self) -> bool {
        self.follower.is_some() && !self.waiting.is_empty()
    }
}

/// A part and what is needed to follow it.
struct Job {
    lane: usize,
    follower: Box<Follower>,
    part: Part,
}

/// What is left when a job is done.
struct Done<T> {
    job: Job,
    outcome: Option<Outcome<T>>,
}

impl Job {
    /// Gives the part's frames to the lane's tracker; at the end of a round, makes a `T` of each connection
    /// that is over.
    fn work<T>(mut self, make: &Make<T>) -> Done<T> {
        let Follower {
            tracker,
            begun,
            slots,
        } = &mut *self.follower;
        for (addr, name) in self.part.names.drain(..) {
            tracker.label(addr, &name);
        }
        for spent in self.part.spent.drain(..) {
            tracker.recycle(spent);
        }
        let frames = &mut self.part.frames;
        frames.give(tracker, slots, |frame| begun.push(frame));
        let outcome = self.part.ends_at.take().map(|now| {
            tracker.pass_time(now);
            let number = |over: Past| (over.number(), make(over));
            let mut over: Vec<(u64, T)> = tracker.take_past().map(number).collect();
            if self.part.is_last {
                tracker.finish();
                over.extend(tracker.take_all_past().map(number));
            }
            Outcome {
                begun: core::mem::take(begun),
                over,
                counters: *tracker.counters(),
            }
        });
        Done { job: self, outcome }
    }
}

/// What lies on the desk.
struct Papers<T> {
    lanes: Vec<Lane<T>>,
    /// Parts that wait.
    waiting: usize,
    /// Parts to be filled again.
    spare: Vec<Part>,
    /// Threads that wait for work.
    idle: usize,
    /// The caller's thread waits until so few parts wait, or it can help.
    awaited: Option<usize>,
    /// Nothing more will come.
    is_closed: bool,
    /// A thread has panicked.
    is_broken: bool,
}

impl<T> Papers<T> {
    /// The next part of a lane that nobody is at; of this lane, if it has one.
    fn take_job(&mut self, preferred: usize) -> Option<Job> {
        let count = self.lanes.len();
        let mut order = (0..count).map(|n| (n + preferred) % count);
        let is_open = |lane: &usize| self.lanes.get(*lane).is_some_and(Lane::has_job);
        let number = order.find(is_open)?;
        let lane = self.lanes.get_mut(number)?;
        let part = lane.waiting.pop_front()?;
        self.waiting -= 1;
        Some(Job {
            lane: number,
            follower: lane.follower.take()?,
            part,
        })
    }

    fn put_back(&mut self, done: Done<T>) {
        let Done { job, outcome } = done;
        if let Some(lane) = self.lanes.get_mut(job.lane) {
            lane.follower = Some(job.follower);
            lane.outcomes.extend(outcome);
        }
        self.spare.push(job.part);
    }

    /// Whether all parts were followed.
    fn is_done(&self) -> bool {
        self.waiting == 0 && self.lanes.iter().all(|lane| lane.follower.is_some())
    }

    /// What all lanes made of the next round, if all are through with it.
    fn take_round(&mut self) -> Option<Vec<Outcome<T>>> {
        let is_whole = self.lanes.iter().all(|lane| !lane.outcomes.is_empty());
        let lanes = is_whole.then_some(&mut self.lanes)?;
        let outcomes = lanes.iter_mut().filter_map(|l| l.outcomes.pop_front());
        Some(outcomes.collect())
    }
}

/// The desk, at which the caller's thread and others meet.
pub(super) struct Desk<T> {
    papers: Mutex<Papers<T>>,
    /// Told when there is work.
    work: Condvar,
    /// Told when the caller's thread need not wait any longer.
    room: Condvar,
    make: Make<T>,
}

type Locked<'a, T> = MutexGuard<'a, Papers<T>>;

impl<T> Desk<T> {
    pub(super) fn new(limits: Limits, lanes: usize, make: Make<T>) -> Self {
        let lane = |_| Lane {
            follower: Some(Box::new(Follower {
                tracker: Tracker::recording(limits),
                begun: Vec::new(),
                slots: Vec::new(),
            })),
            waiting: VecDeque::new(),
            outcomes: VecDeque::new(),
        };
        Self {
            papers: Mutex::new(Papers {
                lanes: (0..lanes).map(lane).collect(),
                waiting: 0,
                spare: Vec::new(),
                idle: 0,
                awaited: None,
                is_closed: false,
                is_broken: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            make,
        }
    }

    fn papers(&self) -> Locked<'_, T> {
        // Work is done without the lock, so nobody panics with it.
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a part to each of these lanes, and puts one to be filled in its place.
    pub(super) fn add<'a>(&self, parts: impl Iterator<Item = (usize, &'a mut Part)>) {
        let mut papers = self.papers();
        for (lane, part) in parts {
            let next = papers.spare.pop().unwrap_or_default();
            if let Some(lane) = papers.lanes.get_mut(lane) {
                lane.waiting.push_back(core::mem::replace(part, next));
                papers.waiting += 1;
            }
        }
        self.let_go(papers);
    }

    /// A thread's work: whatever comes, until nothing more will.
    pub(super) fn work(&self, preferred: usize) {
        let alarm = Alarm(self);
        let mut papers = self.papers();
        loop {
            if let Some(job) = papers.take_job(preferred) {
                papers = self.follow(papers, job);
            } else if papers.is_closed {
                break;
            } else {
                papers.idle += 1;
                papers = self
                    .work
                    .wait(papers)
                    .unwrap_or_else(PoisonError::into_inner);
                papers.idle -= 1;
            }
        }
        drop(papers);
        core::mem::forget(alarm);
    }

    /// The caller's thread works with the others until no more than `goal` parts wait; if that is none, until
    /// everything is followed. Returns early if a thread has panicked.
    pub(super) fn help(&self, goal: usize) {
        let mut papers = self.papers();
        let is_needed =
            |papers: &Papers<T>| papers.waiting > goal || goal == 0 && !papers.is_done();
        while is_needed(&papers) && !papers.is_broken {
            if let Some(job) = papers.take_job(0) {
                papers = self.follow(papers, job);
            } else {
                papers.awaited = Some(goal);
                papers = self
                    .room
                    .wait(papers)
                    .unwrap_or_else(PoisonError::into_inner);
                papers.awaited = None;
            }
        }
    }

    /// Does a job without the papers.
    fn follow<'a>(&'a self, papers: Locked<'a, T>, job: Job) -> Locked<'a, T> {
        self.let_go(papers);
        let done = job.work(&self.make);
        let mut papers = self.papers();
        papers.put_back(done);
        if papers.awaited.is_some() && papers.is_done() {
            self.room.notify_one();
        }
        papers
    }

    /// Lets go of the papers, and wakes those who can go on.
    fn let_go(&self, papers: Locked<'_, T>) {
        let has_job = papers.lanes.iter().any(Lane::has_job);
        let wakes_one = has_job && papers.idle > 0;
        let may_help = has_job && !wakes_one;
        let waiting = papers.waiting;
        let wakes_caller = papers
            .awaited
            .is_some_and(|goal| waiting <= goal || may_help);
        drop(papers);
        if wakes_one {
            self.work.notify_one();
        }
        if wakes_caller {
            self.room.notify_one();
        }
    }

    /// What all lanes made of the next round, if all are through with it.
    pub(super) fn take_round(&self) -> Option<Vec<Outcome<T>>> {
        self.papers().take_round()
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.papers().is_closed = true;
        self.work.notify_all();
    }

    /// Parts that wait.
    pub(super) fn waiting(&self) -> usize {
        self.papers().waiting
    }

    /// Whether a thread has panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.papers().is_broken
    }
}

/// Tells the caller's thread when its own panics.
struct Alarm<'a, T>(&'a Desk<T>);

impl<T> Drop for Alarm<'_, T> {
    fn drop(&mut self) {
        self.0.papers().is_broken = true;
        self.0.room.notify_all();
    }
}
