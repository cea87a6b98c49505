//! How often a connection answers a segment that may be forged (RFC 5961 §7).

use core::time::Duration;

use crate::pack::{Rare, packed};
use crate::time::Instant;

/// The throttle for challenge ACKs of one connection.
///
/// There is no count shared between connections: an exact one can be measured by a third party,
/// who learns from it whether two hosts talk and where their windows are (CVE-2016-5696).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Challenge {
    /// No other may follow before.
    next: Instant,
    owed: bool,
}

packed!(Challenge {
    next: Rare,
    owed: Rare,
});

impl Challenge {
    /// Asks for a challenge ACK; gives false when the last one is too recent.
    pub(crate) fn request(&mut self, now: Instant, interval: Duration) -> bool {
        // RFC 5961 §7 BLIND-4: the rate is limited, and the limit can be tuned.
        if now < self.next {
            return false;
        }
        self.next = now + interval;
        self.owed = true;
        true
    }

    /// Whether one is owed; it no longer is.
    pub(crate) fn take(&mut self) -> bool {
        core::mem::take(&mut self.owed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_blind_4_a_burst_is_answered_once_per_interval() {
        let interval = Duration::from_millis(500);
        let mut challenge = Challenge::default();
        let mut answered = 0;
        for millis in 0..1001 {
            let now = Instant::from_origin(Duration::from_millis(millis));
            challenge.request(now, interval);
            answered += u32::from(challenge.take());
        }
        assert_eq!(answered, 3);
    }
}
