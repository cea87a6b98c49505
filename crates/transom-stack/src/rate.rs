//! Limits on what a stranger can make the stack send.
//!
//! A global bucket whose size is blurred by chance (an exact shared counter tells a third party whether
//! somebody else was answered: CVE-2020-25705), and a row of small buckets by destination.

use core::net::IpAddr;
use core::time::Duration;

use transom_tcp::Instant;

use crate::secret::{Key, Purpose, Random};
use crate::tuple::octets16;

/// How many messages a second, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Messages a second in the long run; 0 sends none.
    pub per_second: u32,
    /// Messages at once after a pause.
    pub burst: u32,
}

impl RateLimit {
    /// A limit of `per_second` messages a second and `burst` at once.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket was last counted; `None`: full.
    counted: Option<Instant>,
    tokens: u32,
}

impl Bucket {
    const FULL: Self = Self {
        counted: None,
        tokens: 0,
    };

    fn refill(&mut self, limit: RateLimit, now: Instant) {
        let Some(counted) = self.counted else {
            self.tokens = limit.burst;
            self.counted = Some(now);
            return;
        };
        if limit.per_second == 0 {
            return;
        }
        let interval = Duration::from_secs(1) / limit.per_second;
        let elapsed = now.duration_since(counted);
        let earned = elapsed.as_nanos() / interval.as_nanos().max(1);
        let room = limit.burst.saturating_sub(self.tokens);
        if earned >= u128::from(room) {
            self.tokens = limit.burst;
            self.counted = Some(now);
        } else if earned > 0 {
            self.tokens += earned as u32;
            self.counted = Some(counted + interval * earned as u32);
        }
    }
}

/// Decides whether one more message may go out.
#[derive(Debug)]
pub(crate) struct Limiter {
    global_limit: RateLimit,
    each_limit: RateLimit,
    global: Bucket,
    each: Vec<Bucket>,
    key: Key,
}

/// Buckets by destination. Destinations that share one share its tokens: memory stays fixed.
const ROWS: usize = 1024;

impl Limiter {
    pub(crate) fn new(secret: &[u8; 32], global_limit: RateLimit, each_limit: RateLimit) -> Self {
        Self {
            global_limit,
            each_limit,
            global: Bucket::FULL,
            each: Vec::new(),
            key: Key::derive(secret, Purpose::RateLimit),
        }
    }

    /// Takes a token for a message to `destination`, if there is one.
    pub(crate) fn allow(&mut self, destination: IpAddr, now: Instant, random: &mut Random) -> bool {
        if self.global_limit.per_second == 0 || self.each_limit.per_second == 0 {
            return false;
        }
        if self.each.is_empty() {
            self.each = vec![Bucket::FULL; ROWS];
        }
        self.global.refill(self.global_limit, now);
        let row = self.key.hash(&octets16(destination)) as usize % ROWS;
        let Some(each) = self.each.get_mut(row) else {
            return false;
        };
        each.refill(self.each_limit, now);
        if each.tokens == 0 || self.global.tokens == 0 {
            return false;
        }
        each.tokens -= 1;
        // Up to three tokens at a time, by chance, as Linux does since 2020. A bucket too small to be
        // worth probing is counted exactly.
        let blur = if self.global_limit.burst >= 16 {
            random.below(3)
        } else {
            0
        };
        self.global.tokens = self.global.tokens.saturating_sub(1 + blur);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn burst_then_steady_rate() {
        let mut random = Random::new(&[2; 32]);
        let mut limiter = Limiter::new(
            &[2; 32],
            RateLimit::new(1_000_000, 100_000),
            RateLimit::new(10, 3),
        );
        let mut sent = |ms| {
            (0..100)
                .filter(|_| limiter.allow(A, at(ms), &mut random))
                .count()
        };
        assert_eq!(sent(0), 3);
        assert_eq!(sent(50), 0);
        assert_eq!(sent(100), 1);
        assert_eq!(sent(10_000), 3);
    }

    #[test]
    fn req_sec_icmp_4_and_cve_12_global_budget_is_blurred() {
        let spent = |seed| {
            let mut random = Random::new(&[seed; 32]);
            let mut limiter = Limiter::new(
                &[2; 32],
                RateLimit::new(1000, 50),
                RateLimit::new(1000, 1000),
            );
            (0..100)
                .filter(|_| limiter.allow(A, at(0), &mut random))
                .count()
        };
        let counts: std::collections::HashSet<usize> = (0..20).map(spent).collect();
        assert!(
            counts.len() > 1,
            "an exact budget can be counted from outside"
        );
        assert!(counts.iter().all(|count| *count <= 50));
    }
}
