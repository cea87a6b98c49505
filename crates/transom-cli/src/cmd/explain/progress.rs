//! How far a long work has got, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use transom_flow::words::{bytes, count, duration};

/// How long a work takes before anything is shown.
const PATIENCE: Duration = Duration::from_millis(800);
/// Between two looks at what is shown.
const PERIOD: Duration = Duration::from_millis(200);
/// Frames between two looks at the clock.
const STRIDE: u64 = 4096;

/// A line on stderr that tells how far it is, if stderr is a terminal.
pub(super) struct Progress {
    is_shown: bool,
    has_written: bool,
    start: Instant,
    next: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self {
            is_shown: io::stderr().is_terminal(),
            has_written: false,
            start,
            next: start + PATIENCE,
        }
    }

    /// Called for every frame; mostly does nothing.
    #[inline]
    pub(super) fn frame(&mut self, frames: u64, at: impl FnOnce() -> (u64, Option<u64>)) {
        if self.is_shown && frames.is_multiple_of(STRIDE) {
            self.look(frames, at());
        }
    }

    #[cold]
    fn look(&mut self, frames: u64, (read, total): (u64, Option<u64>)) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        self.has_written = true;
        let line = line(frames, read, total, now - self.start);
        // Erases what was there, so that a shorter line leaves no rest of a longer one.
        let _ = write!(io::stderr(), "\r\x1b[Ktransom: {line}");
    }

    /// Takes the line away.
    pub(super) fn done(&mut self) {
        if std::mem::take(&mut self.has_written) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}

/// How much is done, in words.
pub(crate) fn share(frames: u64, read: u64, total: Option<u64>) -> String {
    let frames = count(frames, "frame");
    match total {
        Some(total) if total > 0 && read <= total => {
            let percent = u128::from(read) * 100 / u128::from(total);
            format!("{percent} % of {}, {frames}", bytes(total))
        }
        _ => format!("{}, {frames}", bytes(read)),
    }
}

/// How far it is, and how long it takes.
fn line(frames: u64, read: u64, total: Option<u64>, spent: Duration) -> String {
    let share = share(frames, read, total);
    match total {
        Some(total) if total > 0 && read <= total => {
            format!("{share}, {} left", duration(left(spent, read, total)))
        }
        _ => share,
    }
}

/// What is left at the speed so far, in whole seconds.
fn left(spent: Duration, read: u64, total: u64) -> Duration {
    let nanos = spent.as_nanos() * u128::from(total - read) / u128::from(read.max(1));
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::from_secs(seconds.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_left() {
        assert_eq!(
            line(1_000, 1 << 20, Some(4 << 20), Duration::from_secs(2)),
            "25 % of 4.0 MiB, 1,000 frames, 7.0 s left"
        );
        assert_eq!(
            line(1_000, 1 << 20, None, Duration::from_secs(2)),
            "1.0 MiB, 1,000 frames"
        );
    }
}
