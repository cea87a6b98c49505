//! Delivery-rate samples (draft-ietf-ccwg-bbr §4.1): how fast the path delivered what an acknowledgement
//! covers, told from what had been delivered when it was sent.
//!
//! The draft keeps a snapshot with each packet. Here what was sent at one instant shares one: a burst,
//! or a super-segment, is one step for the network too. The snapshots lie in the order of sending and
//! are found by their time, so that this leaf knows nothing of sequence numbers; they are gone when
//! nothing is outstanding.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use crate::congestion::{DeliveryInfo, LostInfo, RateSample};
use crate::env::Env;
use crate::pack::packed;
use crate::rate::per_second;
use crate::recovery::AckOutcome;
use crate::tcb::Tcb;
use crate::time::Instant;

/// Snapshots kept at most; beyond it the oldest is forgotten, and what needs it takes the next.
const MAX_SENT: usize = 2048;

/// `P`: what was known when something was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sent {
    send_time: Instant,
    first_send_time: Instant,
    delivered_time: Instant,
    delivered: u64,
    lost: u64,
    /// Octets in flight, these included.
    tx_in_flight: u64,
    is_app_limited: bool,
}

/// `C`: the state of the connection.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    delivered: u64,
    lost: u64,
    delivered_time: Instant,
    first_send_time: Instant,
    /// What will have been delivered when the application's pause has left the network; 0: no pause.
    app_limited: u64,
    sent: VecDeque<Sent>,
    /// The last sample, in octets per second, and whether the application limited it.
    rate: Option<(u64, bool)>,
}

packed!(Delivery {
    delivered,
    lost,
    delivered_time,
    first_send_time,
    app_limited,
    rate;
    sent,
});

impl Delivery {
    /// Octets delivered since the connection began.
    #[cfg(test)]
    pub(crate) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The last sample in octets per second, and whether the application limited it.
    pub(crate) const fn rate(&self) -> Option<(u64, bool)> {
        self.rate
    }

    /// Nothing is outstanding.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.sent.is_empty()
    }

    /// The application limits what is being delivered.
    pub(crate) const fn is_app_limited(&self) -> bool {
        self.app_limited > 0
    }

    /// Something was sent, or sent again. Octets in flight `before` and `after` it.
    pub(crate) fn on_sent(&mut self, now: Instant, before: u64, after: u64) {
        if before == 0 {
            (self.first_send_time, self.delivered_time) = (now, now);
        }
        match self.sent.back_mut() {
            Some(last) if last.send_time == now => last.tx_in_flight = after,
            _ => {
                if self.sent.len() >= MAX_SENT {
                    self.sent.pop_front();
                }
                self.sent.push_back(Sent {
                    send_time: now,
                    first_send_time: self.first_send_time,
                    delivered_time: self.delivered_time,
                    delivered: self.delivered,
                    lost: self.lost,
                    tx_in_flight: after,
                    is_app_limited: self.is_app_limited(),
                });
            }
        }
    }

    /// `octets` were delivered, the newest of them sent at `newest`; a sample, if it makes one.
    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        octets: u64,
        newest: Option<Instant>,
        min_rtt: Option<Duration>,
        srtt: Option<Duration>,
    ) -> Option<RateSample> {
        if octets == 0 {
            return None;
        }
        self.delivered = self.delivered.saturating_add(octets);
        self.delivered_time = now;
        // The bubble has been acknowledged.
        if self.delivered > self.app_limited {
            self.app_limited = 0;
        }
        let sent = self.find(newest?)?;
        self.first_send_time = self.first_send_time.max(sent.send_time);
        // What was sent two round trips before it is found lost now or was.
        self.forget_before(sent.send_time - srtt.unwrap_or_default() * 2);
        // The longer of the two: acknowledgements may be compressed, and sends may be bunched.
        let send_elapsed = sent.send_time.duration_since(sent.first_send_time);
        let ack_elapsed = now.duration_since(sent.delivered_time);
        let interval = send_elapsed.max(ack_elapsed);
        let delivered = self.delivered.saturating_sub(sent.delivered);
        // BBR-3: shorter than a round trip, it is a copy sent in vain that was taken for the original.
        let is_reliable = min_rtt.is_none_or(|min| interval >= min) && !interval.is_zero();
        let rate = is_reliable.then(|| per_second(delivered, interval));
        if let Some(rate) = rate {
            self.rate = Some((rate, sent.is_app_limited));
        }
        Some(RateSample {
            delivery_rate: rate,
            delivered,
            prior_delivered: sent.delivered,
            is_app_limited: sent.is_app_limited,
            tx_in_flight: sent.tx_in_flight,
            lost: self.lost.saturating_sub(sent.lost),
            total_delivered: self.delivered,
        })
    }

    /// `octets` were found lost, the newest of them sent at `newest`: what was in flight when it was
    /// sent, and what was lost since.
    pub(crate) fn on_lost(&mut self, octets: u64, newest: Option<Instant>) -> Option<RateSample> {
        if octets == 0 {
            return None;
        }
        self.lost = self.lost.saturating_add(octets);
        let sent = self.find(newest?)?;
        Some(RateSample {
            delivery_rate: None,
            delivered: 0,
            prior_delivered: sent.delivered,
            is_app_limited: sent.is_app_limited,
            tx_in_flight: sent.tx_in_flight,
            lost: self.lost.saturating_sub(sent.lost),
            total_delivered: self.delivered,
        })
    }

    /// BBR-4: the application has left the window unused.
    pub(crate) fn mark_app_limited(&mut self, in_flight: u64) {
        self.app_limited = self.delivered.saturating_add(in_flight).max(1);
    }

    /// Nothing is outstanding.
    pub(crate) fn forget(&mut self) {
        self.sent = VecDeque::new();
    }

    fn forget_before(&mut self, oldest: Instant) {
        while self
            .sent
            .front()
            .is_some_and(|sent| sent.send_time < oldest)
        {
            self.sent.pop_front();
        }
    }

    /// The snapshot of `send_time`, or the next.
    fn find(&self, send_time: Instant) -> Option<Sent> {
        let index = self.sent.partition_point(|sent| sent.send_time < send_time);
        self.sent.get(index).copied()
    }
}

impl Tcb {
    /// The handshake is over: what a controller that models the path needs from here on.
    pub(crate) fn begin_congestion_control(&mut self, env: &Env, now: Instant) {
        if self.congestion.wants_samples() && self.delivery.is_none() {
            self.delivery = Some(Box::default());
        }
        if let Some(srtt) = self.rtt.srtt() {
            self.congestion.on_handshake(now, srtt);
        }
        self.update_pacing(env);
    }

    pub(crate) fn is_app_limited(&self) -> bool {
        self.delivery
            .as_ref()
            .is_some_and(|delivery| delivery.is_app_limited())
    }

    /// BBR-4: to be called before an acknowledgement, a timeout or a write changes anything.
    pub(crate) fn check_app_limited(&mut self) {
        let in_flight = self.recovery.pipe();
        if let Some(delivery) = &mut self.delivery
            && self.snd.unsent() == 0
            && in_flight < self.congestion.cwnd()
            && !self.recovery.has_lost()
        {
            delivery.mark_app_limited(in_flight);
        }
    }

    /// Octets were found lost.
    pub(crate) fn tell_lost(
        &mut self,
        now: Instant,
        newly_lost: u64,
        newest: Option<Instant>,
        ranges: u32,
    ) {
        if let Some(delivery) = &mut self.delivery
            && let Some(sample) = delivery.on_lost(newly_lost, newest)
        {
            self.congestion.on_lost(&LostInfo {
                now,
                newly_lost,
                ranges,
                sample,
            });
        }
    }

    /// What an acknowledgement delivered and found lost.
    pub(crate) fn tell_delivery(
        &mut self,
        now: Instant,
        outcome: &AckOutcome,
        rtt: Option<Duration>,
        ce_packets: u32,
    ) {
        self.tell_lost(
            now,
            outcome.newly_lost,
            outcome.newest_lost,
            outcome.lost_ranges,
        );
        let Some(delivery) = &mut self.delivery else {
            return;
        };
        let newly_acked = u64::from(outcome.delivered);
        let (min_rtt, srtt) = (self.rtt.min_rtt(), self.rtt.srtt());
        let sample = delivery.on_delivered(now, newly_acked, outcome.newest_sent, min_rtt, srtt);
        let is_app_limited = delivery.is_app_limited();
        if self.recovery.is_empty() {
            delivery.forget();
        }
        self.congestion.on_delivery(&DeliveryInfo {
            now,
            sample,
            newly_acked,
            newly_lost: outcome.newly_lost,
            in_flight: self.recovery.pipe(),
            ce_packets,
            rtt,
            is_cwnd_limited: self.snd.cwnd_limited,
            is_app_limited,
            in_recovery: self.recovery.is_recovering(),
        });
        if self.congestion.limits_delivery()
            && let Some(delivery) = &mut self.delivery
        {
            delivery.mark_app_limited(self.recovery.pipe());
        }
    }
}

#[cfg(test)]
mod tests;
