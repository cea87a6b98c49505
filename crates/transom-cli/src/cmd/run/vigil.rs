//! Staying awake for a moment after something has passed.
//!
//! To be woken takes long where the processor has halted meanwhile, longer than to carry a packet; and a program that
//! waits for an answer sends again as soon as it has it. So the thread that carries looks again and again for some
//! microseconds before it sleeps, where that has been of use lately and nobody else wants the processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// How long nothing has to pass until it sleeps: longer than a server on the same machine takes for an answer.
const MOST: Duration = Duration::from_micros(50);
/// Packets that pass between two attempts where it was of no use.
const SELDOM: u64 = 64;
/// How long it stays awake, in sum, between two looks at whether others want the processor.
const WINDOW: Duration = Duration::from_millis(5);
/// Shortest and longest time for which it is given up when they do.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_millis(1600);

/// What passes, and who waits for it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vigil(Arc<Passing>);

#[derive(Debug)]
struct Passing {
    count: AtomicU64,
    /// The count at which somebody is woken.
    wanted: AtomicU64,
    wake: Notify,
}

impl Default for Passing {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            wake: Notify::new(),
        }
    }
}

impl Vigil {
    /// A packet passes.
    pub(crate) fn passes(&self) {
        let Passing {
            count,
            wanted,
            wake,
        } = &*self.0;
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= wanted.load(Ordering::Relaxed) {
            wanted.store(u64::MAX, Ordering::Relaxed);
            wake.notify_one();
        }
    }

    fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Keeps the thread awake that polls this, and through which everything passes.
    pub(crate) async fn keep(self) {
        let mut use_of_it = Use::new();
        let mut others = Others::new();
        loop {
            let wanted = self.count().saturating_add(use_of_it.packets());
            self.0.wanted.store(wanted, Ordering::Relaxed);
            self.0.wake.notified().await;
            if let Some(rest) = self.watch(&mut use_of_it, &mut others).await {
                tokio::time::sleep(rest).await;
            }
        }
    }

    /// Stays awake until nothing has passed for a while, or others want the processor: for how long it is theirs.
    async fn watch(&self, use_of_it: &mut Use, others: &mut Others) -> Option<Duration> {
        let mut seen = self.count();
        let mut last = Instant::now();
        let mut waited = false;
        let mut from = Spent::now();
        loop {
            // The runtime looks at its descriptors, and goes on at once.
            tokio::task::yield_now().await;
            let now = Instant::now();
            let count = self.count();
            let ends = count == seen && now.duration_since(last) > MOST;
            if ends || now.duration_since(from.at) > WINDOW {
                let until = Spent::now();
                let rest = others.note(from, until);
                if rest.is_some() {
                    return rest;
                }
                from = until;
            }
            if ends {
                use_of_it.note(false);
                return None;
            }
            if count == seen {
                waited = true;
                continue;
            }
            if std::mem::take(&mut waited) {
                // It would have slept.
                use_of_it.note(true);
            }
            seen = count;
            last = now;
        }
    }
}

/// How often something passed while it was waited for, of late.
#[derive(Debug)]
struct Use {
    /// In parts of [`Self::ALWAYS`].
    often: u32,
}

impl Use {
    const ALWAYS: u32 = 1 << 16;

    const fn new() -> Self {
        Self {
            often: Self::ALWAYS,
        }
    }

    const fn note(&mut self, passed: bool) {
        self.often -= self.often / 8;
        if passed {
            self.often += Self::ALWAYS / 8;
        }
    }

    /// How many packets have to pass until the next attempt is worth it.
    const fn packets(&self) -> u64 {
        if self.often >= Self::ALWAYS / 2 {
            1
        } else {
            SELDOM
        }
    }
}

/// A moment, and how much of the processor the thread has had until then.
#[derive(Clone, Copy, Debug)]
struct Spent {
    at: Instant,
    processor: Duration,
}

impl Spent {
    fn now() -> Self {
        let at = Instant::now();
        let processor = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        // Where it cannot be told, nobody else seems to be there.
        let processor = processor.map_or_else(|_| Duration::ZERO, Duration::from);
        Self { at, processor }
    }
}

/// Whether others want the processor: then the thread, which does not sleep, does not always have it.
#[derive(Debug)]
struct Others {
    awake: Duration,
    theirs: Duration,
    rest: Duration,
}

impl Others {
    const fn new() -> Self {
        Self {
            awake: Duration::ZERO,
            theirs: Duration::ZERO,
            rest: REST,
        }
    }

    /// Between these the thread did not sleep. Gives how long to leave the processor to others, if they want it.
    fn note(&mut self, from: Spent, until: Spent) -> Option<Duration> {
        let awake = until.at.duration_since(from.at);
        let ours = until.processor.saturating_sub(from.processor);
        self.awake += awake;
        self.theirs += awake.saturating_sub(ours);
        if self.awake < WINDOW {
            return None;
        }
        // One who computes beside us takes a half. The program and those who watch take some of it, too.
        let are_many = self.theirs * 4 > self.awake;
        (self.awake, self.theirs) = (Duration::ZERO, Duration::ZERO);
        let rest = self.rest;
        self.rest = if are_many {
            (rest * 2).min(LONGEST_REST)
        } else {
            REST
        };
        are_many.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_seldom_tried_where_it_is_of_no_use_and_again_when_it_is() {
        let mut use_of_it = Use::new();
        assert_eq!(use_of_it.packets(), 1);
        (0..100).for_each(|_| use_of_it.note(false));
        assert_eq!(use_of_it.packets(), SELDOM);
        (0..6).for_each(|_| use_of_it.note(true));
        assert_eq!(use_of_it.packets(), 1);
        (0..100_000).for_each(|_| use_of_it.note(true));
        assert!(use_of_it.often <= Use::ALWAYS);
    }

    #[test]
    fn the_processor_is_left_to_others_for_longer_and_longer_while_they_want_it() {
        let begun = Instant::now();
        let spent = |at, processor| Spent {
            at: begun + at,
            processor,
        };
        let none = spent(Duration::ZERO, Duration::ZERO);
        let mut others = Others::new();
        assert_eq!(others.note(none, spent(WINDOW, WINDOW)), None);
        // They had a half.
        let mut half = || others.note(none, spent(WINDOW, WINDOW / 2));
        assert_eq!(half(), Some(REST));
        assert_eq!(half(), Some(REST * 2));
        let rests = [(); 10].map(|()| half());
        assert_eq!(rests.last(), Some(&Some(LONGEST_REST)));
        // In short pieces as well as in one.
        let piece = spent(WINDOW / 4, WINDOW / 4);
        let rests = [(); 4].map(|()| others.note(none, piece));
        assert_eq!(rests, [None; 4]);
        assert_eq!(others.note(none, spent(WINDOW, Duration::ZERO)), Some(REST));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn it_sleeps_until_something_passes_and_soon_again() {
        let vigil = Vigil::default();
        let kept = tokio::spawn(vigil.clone().keep());
        tokio::task::yield_now().await;
        assert_eq!(vigil.0.wanted.load(Ordering::Relaxed), 1);
        vigil.passes();
        // Nobody need be woken who is awake.
        assert_eq!(vigil.0.wanted.load(Ordering::Relaxed), u64::MAX);
        while vigil.0.wanted.load(Ordering::Relaxed) == u64::MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(vigil.count(), 1);
        kept.abort();
    }
}
