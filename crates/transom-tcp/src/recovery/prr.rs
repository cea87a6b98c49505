//! Proportional rate reduction (RFC 9937): how fast the window shrinks during fast recovery.
//!
//! Without it a sender whose new window is still more than the path holds keeps losing what it
//! resends: after slow start has overshot by half, 0.7 of the flight is too much. PRR sends in
//! proportion to what is delivered, so the path itself paces recovery.

use super::{AckOutcome, Recovery};

/// One episode's account, in octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Prr {
    /// `RecoverFS`: what was in flight when the episode began.
    recover_fs: u64,
    /// Delivered since.
    delivered: u64,
    /// Sent since, new and repeated.
    out: u64,
}

impl Prr {
    pub(super) const fn new(recover_fs: u64) -> Self {
        Self {
            recover_fs,
            delivered: 0,
            out: 0,
        }
    }

    /// RFC 9937 §6.2 PRR-10: everything that is sent counts.
    pub(super) const fn on_sent(&mut self, octets: u32) {
        self.out = self.out.saturating_add(octets as u64);
    }

    /// Octets that may be sent now that `delivered` more have arrived.
    fn send_count(&mut self, delivered: u64, in_flight: u64, limit: &Limit) -> u64 {
        self.delivered = self.delivered.saturating_add(delivered);
        let credit = if in_flight > limit.ssthresh {
            // RFC 9937 §6.2 PRR-5: shrink in proportion to what arrives.
            let share = u128::from(self.delivered) * u128::from(limit.ssthresh);
            let share = share.div_ceil(u128::from(self.recover_fs.max(1)));
            u64::try_from(share)
                .unwrap_or(u64::MAX)
                .saturating_sub(self.out)
        } else {
            // PRR-6: no more than arrives, plus one segment per safe ACK, up to ssthresh.
            let owed = self.delivered.saturating_sub(self.out).max(delivered);
            let extra = if limit.safe { limit.mss } else { 0 };
            owed.saturating_add(extra).min(limit.ssthresh - in_flight)
        };
        // PRR-8: the first retransmission is sent whatever the sums say.
        if self.out == 0 && credit == 0 {
            limit.mss
        } else {
            credit
        }
    }
}

/// What bounds the window.
struct Limit {
    ssthresh: u64,
    mss: u64,
    /// SND.UNA advanced and nothing more was found lost (RFC 9937 §6.1 SafeACK, PRR-7).
    safe: bool,
}

impl Recovery {
    /// Whether [`recovery_cwnd`](Self::recovery_cwnd) may have something to say.
    #[inline]
    pub const fn is_reducing(&self) -> bool {
        self.prr.is_some()
    }

    /// The window after an acknowledgement during fast recovery, to be set with
    /// [`Controller::set_recovery_cwnd`](crate::congestion::Controller::set_recovery_cwnd).
    ///
    /// `None` when the controller's own window holds: outside fast recovery, without SACK (there
    /// [`Self::pipe`] contains the inflation of RFC 6582), or when nothing was delivered.
    pub fn recovery_cwnd(&mut self, outcome: &AckOutcome, ssthresh: u64, mss: u32) -> Option<u64> {
        let in_flight = self.pipe();
        let prr = self.prr.as_mut()?;
        // RFC 9937 §6.2 PRR-2. A recovery that the reordering timer begins has no acknowledgement
        // to start from: one segment goes, as in Linux.
        let delivered = match (outcome.delivered, outcome.entered_recovery) {
            (0, false) => return None,
            (0, true) => mss,
            (delivered, _) => delivered,
        };
        let safe = outcome.newly_acked > 0 && outcome.newly_lost == 0;
        let limit = Limit {
            ssthresh,
            mss: u64::from(mss),
            safe,
        };
        let count = prr.send_count(u64::from(delivered), in_flight, &limit);
        // PRR-9: the formula's count may be negative; ours stops at zero.
        Some(in_flight.saturating_add(count))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const MSS: u64 = 1000;

    fn limit(ssthresh: u64, safe: bool) -> Limit {
        Limit {
            ssthresh,
            mss: MSS,
            safe,
        }
    }

    #[test]
    fn req_prr_5_above_ssthresh_sending_is_proportional_to_delivery() {
        // 20 segments in flight, ssthresh 10: one segment is sent for two that arrive.
        let mut prr = Prr::new(20_000);
        let mut in_flight = 19_000;
        let mut sent = Vec::new();
        for _ in 0..8 {
            let count = prr.send_count(MSS, in_flight, &limit(10_000, false));
            in_flight -= MSS;
            let whole = count / MSS * MSS;
            prr.on_sent(u32::try_from(whole).unwrap());
            in_flight += whole;
            sent.push(whole / MSS);
        }
        // The first goes at once (PRR-8 or the ceiling), then every second arrival sends one.
        assert_eq!(sent.iter().sum::<u64>(), 4);
        assert!(sent.iter().all(|&segments| segments <= 1));
    }

    #[test]
    fn req_prr_6_and_prr_7_and_prr_15_below_ssthresh_no_more_than_arrives_plus_one_for_a_safe_ack()
    {
        let mut prr = Prr::new(20_000);
        prr.on_sent(1000);
        assert_eq!(prr.send_count(2000, 5000, &limit(10_000, false)), 2000);
        assert_eq!(
            prr.send_count(2000, 5000, &limit(10_000, true)),
            4000,
            "3000 owed, and one"
        );
        prr.on_sent(9000);
        assert_eq!(prr.send_count(1000, 5000, &limit(10_000, true)), 2000);
        assert_eq!(
            prr.send_count(9000, 9500, &limit(10_000, true)),
            500,
            "never past ssthresh"
        );
    }

    #[test]
    fn req_prr_8_the_first_retransmission_is_sent_in_any_case() {
        let mut prr = Prr::new(20_000);
        assert_eq!(prr.send_count(0, 5000, &limit(5000, false)), MSS);
        prr.on_sent(1000);
        assert_eq!(prr.send_count(0, 5000, &limit(5000, false)), 0);
    }

    #[test]
    fn req_prr_9_and_prr_10_what_was_sent_too_much_does_not_turn_negative() {
        let mut prr = Prr::new(20_000);
        prr.on_sent(15_000);
        assert_eq!(prr.send_count(2000, 12_000, &limit(10_000, true)), 0);
        let mut prr = Prr::new(0);
        assert_eq!(
            prr.send_count(u64::MAX, u64::MAX, &limit(u64::MAX - 1, true)),
            u64::MAX
        );
    }
}
