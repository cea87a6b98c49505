//! When events are due, and how far off they may be.

use std::time::Duration;

use crate::script::{Options, Time};

/// How much longer than expected a packet or the end of a call is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A time for people.
pub(super) fn text(time: Duration) -> String {
    format!("{:.6} s", time.as_secs_f64())
}

/// How far off a time may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    least: Duration,
    /// Of the time since the event before.
    percent: f64,
}

impl Tolerance {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            least: options.tolerance.unwrap_or(Duration::from_micros(4000)),
            percent: options.tolerance_percent.unwrap_or(12.5),
        }
    }

    /// What is allowed for something at `at` after an event at `previous`.
    fn at(&self, at: Duration, previous: Duration) -> Duration {
        let gap = at.saturating_sub(previous);
        let share = gap.as_secs_f64() * self.percent / 100.0;
        Duration::try_from_secs_f64(share)
            .unwrap_or(Duration::MAX)
            .max(self.least)
    }

    /// Whether `actual` is between the two times, or near enough.
    pub(super) fn covers(
        &self,
        from: Duration,
        to: Duration,
        actual: Duration,
        previous: Duration,
    ) -> bool {
        let early = self.at(from, previous);
        let late = self.at(to, previous);
        actual + early >= from && actual <= to.saturating_add(late)
    }
}

/// When an event is due, since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// Earliest and latest; none is any time.
    between: Option<(Duration, Duration)>,
    returns: Option<Duration>,
    previous: Duration,
    tolerance: Tolerance,
}

impl When {
    /// Of an event that is reached at `now`; the one before was due at `previous`.
    pub(super) fn new(
        time: Time,
        now: Duration,
        previous: Duration,
        tolerance: &Tolerance,
    ) -> Self {
        let base = if time.is_relative() {
            now
        } else {
            Duration::ZERO
        };
        let between = match time {
            Time::Absolute(at) | Time::Relative(at) => Some((base + at, base + at)),
            Time::AbsoluteRange(from, to) | Time::RelativeRange(from, to) => {
                Some((base + from, base + to))
            }
            Time::AbsoluteSpan(from, _) | Time::RelativeSpan(from, _) => {
                Some((base + from, base + from))
            }
            Time::Any => None,
        };
        Self {
            between,
            returns: time.returns().map(|end| base + end),
            previous,
            tolerance: *tolerance,
        }
    }

    /// When something that the script does is done.
    pub(super) fn earliest(&self) -> Duration {
        self.between.map_or(Duration::ZERO, |(from, _)| from)
    }

    /// Until when a packet is waited for.
    pub(super) fn limit(&self, now: Duration) -> Duration {
        self.between.map_or(now, |(_, to)| to).max(now) + PATIENCE
    }

    /// When a blocking call must return.
    pub(super) const fn returns(&self) -> Option<Duration> {
        self.returns
    }

    /// By how much `now` is too late for something that the script does.
    pub(super) fn lateness(&self, now: Duration) -> Option<Duration> {
        let (_, to) = self.between?;
        let is_late = !self
            .tolerance
            .covers(Duration::ZERO, to, now, self.previous);
        is_late.then(|| now.saturating_sub(to))
    }

    /// Expected and actual, when something happened at another time.
    pub(super) fn differs(&self, actual: Duration) -> Option<String> {
        let (from, to) = self.between?;
        if self.tolerance.covers(from, to, actual, self.previous) {
            return None;
        }
        Some(if from == to {
            text(from)
        } else {
            format!("{} to {}", text(from), text(to))
        })
    }

    /// The time that the next event's tolerance counts from.
    pub(super) fn nominal(&self, now: Duration) -> Duration {
        self.between.map_or(now, |(_, to)| to).max(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_tolerance_grows_with_the_gap() {
        let tolerance = Tolerance::new(&Options::default());
        assert!(tolerance.covers(ms(100), ms(100), ms(112), ms(0)));
        assert!(!tolerance.covers(ms(100), ms(100), ms(113), ms(0)));
        assert!(tolerance.covers(ms(100), ms(100), ms(104), ms(100)));
        assert!(!tolerance.covers(ms(100), ms(100), ms(105), ms(100)));
        assert!(!tolerance.covers(ms(100), ms(100), ms(95), ms(99)));
    }

    #[test]
    fn ranges_are_wide_and_any_time_is_any() {
        let tolerance = Tolerance::new(&Options::default());
        let range = When::new(
            Time::RelativeRange(ms(300), ms(400)),
            ms(50),
            ms(50),
            &tolerance,
        );
        assert!(range.differs(ms(455)).is_none());
        assert!(range.differs(ms(600)).is_some());
        let any = When::new(Time::Any, ms(50), ms(50), &tolerance);
        assert!(any.differs(ms(60_000)).is_none());
    }
}
