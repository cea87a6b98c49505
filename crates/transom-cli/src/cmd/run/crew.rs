//! The tasks that carry the program's connections.
//!
//! A task that has carried one takes the next: to make a task and to take it apart again costs more than a tenth of what
//! else is to be done here for a short connection.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use transom::{Incoming, IncomingStream};

use super::activity::Counted;
use super::legs::Legs;

/// Tasks that wait for a connection; a busy time leaves no more behind.
const MOST_IDLE: usize = 32;

/// An attempt of the program, and its place in the count of what goes on.
type Attempt = (Incoming, Counted);

#[derive(Debug)]
struct Crew {
    legs: Legs,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Attempts for those who wait: never more than there are.
    attempts: VecDeque<Attempt>,
    idle: usize,
    /// No more will come.
    is_over: bool,
}

/// Sends those who wait away, when nobody serves any more.
struct Dismisses(Arc<Crew>);

impl Drop for Dismisses {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        // Each is refused.
        let left = std::mem::take(&mut state.attempts);
        drop(state);
        drop(left);
        self.0.news.notify_waiters();
    }
}

/// Carries every connection of the program, until the stack ends, or this is dropped. Those that have begun go on then.
pub(super) async fn serve(legs: Legs, mut incoming: IncomingStream) {
    let activity = legs.activity.clone();
    let crew = Arc::new(Crew {
        legs,
        state: Mutex::default(),
        news: Notify::new(),
    });
    let _dismisses = Dismisses(Arc::clone(&crew));
    while let Some(attempt) = incoming.next().await {
        if let Some(attempt) = crew.hand_over((attempt, activity.begin())) {
            tokio::spawn(Arc::clone(&crew).work(attempt));
        }
    }
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it to one who waits; back, if nobody does.
    fn hand_over(&self, attempt: Attempt) -> Option<Attempt> {
        let mut state = self.lock();
        if state.attempts.len() >= state.idle {
            return Some(attempt);
        }
        state.attempts.push_back(attempt);
        drop(state);
        // What it used last is still in the cache.
        self.news.notify_last();
        None
    }

    async fn work(self: Arc<Self>, first: Attempt) {
        let mut next = Some(first);
        while let Some((attempt, counted)) = next {
            self.legs.carry(attempt, counted).await;
            next = self.next().await;
        }
    }

    /// The next attempt; None if nobody is needed any more.
    async fn next(&self) -> Option<Attempt> {
        let mut news = pin!(self.news.notified());
        {
            let mut state = self.lock();
            if let Some(attempt) = state.attempts.pop_front() {
                return Some(attempt);
            }
            if state.is_over || state.idle >= MOST_IDLE {
                return None;
            }
            // Who counts as idle is told.
            news.as_mut().enable();
            state.idle += 1;
        }
        loop {
            news.as_mut().await;
            let mut state = self.lock();
            let attempt = state.attempts.pop_front();
            if attempt.is_some() || state.is_over {
                state.idle -= 1;
                return attempt;
            }
            // One who had just become free was faster.
            news.set(self.news.notified());
            news.as_mut().enable();
        }
    }
}
