//! Controlled delay (RFC 8289): a queue that drops when packets have stood in it for too long.

use std::time::Duration;

/// The state of one CoDel queue; judges each packet as it leaves the queue.
#[derive(Clone, Debug)]
pub(crate) struct Codel {
    target: Duration,
    interval: Duration,
    /// When the sojourn time will have been above the target for a whole interval.
    first_above: Option<Duration>,
    dropping: bool,
    drop_next: Duration,
    count: u32,
    last_count: u32,
}

impl Codel {
    pub(crate) fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            first_above: None,
            dropping: false,
            drop_next: Duration::ZERO,
            count: 0,
            last_count: 0,
        }
    }

    /// Whether the packet that leaves the queue at `now` is to be dropped or marked.
    ///
    /// `sojourn`: how long it stood. `behind`: octets that still wait behind it. `largest`: octets of
    /// the largest packet seen.
    pub(crate) fn takes(
        &mut self,
        now: Duration,
        sojourn: Duration,
        behind: u64,
        largest: u64,
    ) -> bool {
        let above = self.above_for_an_interval(now, sojourn, behind, largest);
        if self.dropping {
            if !above {
                self.dropping = false;
            } else if now >= self.drop_next {
                self.count = self.count.saturating_add(1);
                self.drop_next = self.control_law(self.drop_next);
                return true;
            }
            return false;
        }
        if above {
            self.enter(now);
        }
        above
    }

    /// RFC 8289 §5.5 (dodequeue): a queue of one packet or less is never too long.
    fn above_for_an_interval(
        &mut self,
        now: Duration,
        sojourn: Duration,
        behind: u64,
        largest: u64,
    ) -> bool {
        if sojourn < self.target || behind <= largest {
            self.first_above = None;
            return false;
        }
        match self.first_above {
            None => {
                self.first_above = Some(now.saturating_add(self.interval));
                false
            }
            Some(first_above) => now >= first_above,
        }
    }

    /// Starts to drop; soon after the last time, at the rate that had been found then.
    fn enter(&mut self, now: Duration) {
        self.dropping = true;
        let delta = self.count.saturating_sub(self.last_count);
        let is_recent = now.saturating_sub(self.drop_next) < self.interval * 16;
        self.count = if delta > 1 && is_recent { delta } else { 1 };
        self.drop_next = self.control_law(now);
        self.last_count = self.count;
    }

    /// The next drop comes sooner by the square root of the number of drops.
    fn control_law(&self, from: Duration) -> Duration {
        from.saturating_add(self.interval.div_f64(f64::from(self.count.max(1)).sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_queue_below_the_target_is_left_alone() {
        let mut codel = Codel::new(ms(5), ms(100));
        assert!((0..1000).all(|n| !codel.takes(ms(n), ms(4), 100_000, 1500)));
    }

    #[test]
    fn a_short_burst_passes() {
        let mut codel = Codel::new(ms(5), ms(100));
        assert!((0..99).all(|n| !codel.takes(ms(n), ms(50), 100_000, 1500)));
        assert!(!codel.takes(ms(100), ms(1), 100_000, 1500));
        assert!((101..200).all(|n| !codel.takes(ms(n), ms(50), 100_000, 1500)));
    }

    /// RFC 8289 §5.3: the n-th drop comes interval/√n after the one before.
    #[test]
    fn drops_come_faster_by_the_square_root() {
        let mut codel = Codel::new(ms(5), ms(100));
        let drops: Vec<u64> = (0..=500)
            .filter(|&n| codel.takes(ms(n), ms(50), 100_000, 1500))
            .collect();
        assert_eq!(drops, [100, 200, 271, 329, 379, 424, 464]);
    }

    #[test]
    fn the_last_packet_is_never_dropped() {
        let mut codel = Codel::new(ms(5), ms(100));
        assert!((0..1000).all(|n| !codel.takes(ms(n), ms(500), 1500, 1500)));
    }
}
