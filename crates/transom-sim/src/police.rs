//! Rules about time and rate that drop at the entrance of a link: a policer, and outages.

use std::time::Duration;

/// A token bucket: what exceeds the rate by more than the burst is dropped, nothing is delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policer {
    /// Bits per second.
    pub rate: u64,
    /// Octets that may pass at once.
    pub burst: u64,
}

/// The time that so many octets take.
pub(crate) fn time_of(octets: u64, bits_per_second: u64) -> Duration {
    let nanos = u128::from(octets) * 8 * 1_000_000_000 / u128::from(bits_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A [`Policer`] at work.
///
/// The bucket is kept as the time at which it will be full again, so that no fraction of a token is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    policer: Policer,
    full_at: Duration,
}

impl Bucket {
    pub(crate) fn new(policer: Policer) -> Self {
        Self {
            policer,
            full_at: Duration::ZERO,
        }
    }

    /// Takes the tokens for a packet, if there are enough.
    pub(crate) fn lets_pass(&mut self, now: Duration, size: u64) -> bool {
        let after = self
            .full_at
            .max(now)
            .saturating_add(time_of(size, self.policer.rate));
        let depth = time_of(self.policer.burst, self.policer.rate);
        if after.saturating_sub(now) > depth {
            return false;
        }
        self.full_at = after;
        true
    }
}

/// Time in which a link carries nothing: what is sent then is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it begins, in the link's time.
    pub at: Duration,
    /// How long it is.
    pub length: Duration,
    /// It comes again after each such time.
    pub every: Option<Duration>,
}

impl Outage {
    /// Whether the link is down.
    #[must_use]
    pub fn covers(&self, now: Duration) -> bool {
        let Some(since) = now.checked_sub(self.at) else {
            return false;
        };
        let since = match self.every {
            Some(every) if !every.is_zero() => {
                let nanos = since.as_nanos() % every.as_nanos();
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
            _ => since,
        };
        since < self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_lets_its_burst_pass_and_then_its_rate() {
        // 1 Mbit/s: 1000 octets in 8 ms.
        let mut bucket = Bucket::new(Policer {
            rate: 1_000_000,
            burst: 3000,
        });
        let passed = (0..5).filter(|_| bucket.lets_pass(ms(0), 1000)).count();
        assert_eq!(passed, 3);
        assert!(!bucket.lets_pass(ms(7), 1000));
        assert!(bucket.lets_pass(ms(8), 1000));
        assert!(!bucket.lets_pass(ms(9), 1000));
        let long = (100..1100)
            .filter(|&n| bucket.lets_pass(ms(n), 1000))
            .count();
        assert_eq!(long, 3 + 124);
    }

    #[test]
    fn an_outage_comes_again() {
        let outage = Outage {
            at: ms(100),
            length: ms(10),
            every: Some(ms(1000)),
        };
        let down: Vec<u64> = (0..2500).filter(|&n| outage.covers(ms(n))).collect();
        assert_eq!(down.len(), 30);
        assert_eq!((down[0], down[10], down[29]), (100, 1100, 2109));
        let once = Outage {
            every: None,
            ..outage
        };
        assert_eq!((0..2500).filter(|&n| once.covers(ms(n))).count(), 10);
    }
}
