//! Looking at the device again and again for a while, instead of going to sleep at once.

use std::time::{Duration, Instant};

/// How often busy polling looks at the device in one turn: for some microseconds, most of which it spends looking.
pub(crate) const LOOKS: usize = 16;

/// How long to look before sleeping, by how long frames have let themselves be waited for.
///
/// It pays to look only if a frame comes before the patience ends. So patience is what was allowed as long as each
/// frame comes within that time of the one before, and halves with each that does not: a stack with nothing but
/// a packet now and then soon sleeps as if this were off.
///
/// Measured by the system's clock, because a paused clock of tokio's stands still until everything sleeps.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    most: Duration,
    patience: Duration,
    /// When frames came last.
    last: Option<Instant>,
}

impl BusyPoll {
    pub(crate) const fn new(most: Duration) -> Self {
        Self {
            most,
            patience: Duration::ZERO,
            last: None,
        }
    }

    /// Frames have come.
    pub(crate) fn note_frames(&mut self) {
        if !self.most.is_zero() {
            self.note_frames_at(Instant::now());
        }
    }

    fn note_frames_at(&mut self, now: Instant) {
        let waited = self.last.map(|last| now.duration_since(last));
        self.patience = if waited.is_some_and(|waited| waited <= self.most) {
            self.most
        } else {
            self.patience / 2
        };
        self.last = Some(now);
    }

    /// Whether to look once more rather than sleep.
    pub(crate) fn goes_on(&self) -> bool {
        !self.patience.is_zero() && self.last.is_some_and(|last| last.elapsed() < self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(100);

    #[test]
    fn without_a_time_it_never_looks_twice() {
        let mut poll = BusyPoll::new(Duration::ZERO);
        poll.note_frames();
        poll.note_frames();
        assert!(!poll.goes_on());
    }

    #[test]
    fn patience_follows_what_came_of_it() {
        let mut poll = BusyPoll::new(MOST);
        let mut now = Instant::now();
        // The first frame says nothing of the next.
        poll.note_frames_at(now);
        assert_eq!(poll.patience, Duration::ZERO);
        now += MOST / 2;
        poll.note_frames_at(now);
        assert_eq!(poll.patience, MOST);
        for _ in 0..40 {
            now += MOST * 2;
            poll.note_frames_at(now);
        }
        assert_eq!(poll.patience, Duration::ZERO);
        now += MOST / 2;
        poll.note_frames_at(now);
        assert_eq!(poll.patience, MOST);
    }
}
