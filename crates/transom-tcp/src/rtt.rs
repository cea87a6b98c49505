//! Round-trip time and retransmission timeout (RFC 6298; RFC 7323 appendix G).
//!
//! With hundreds of measurements in a round trip, alpha and beta as they stand forget the round trip
//! before, and a quiet end of a round hides that its beginning was not. Appendix G divides both by the
//! measurements expected, with which the estimate needs many round trips to follow a queue that fills:
//! the timeout falls below the round trip, and each loss is followed by spurious timeouts. As Linux,
//! this takes each measurement in full, and the greatest variation of a round trip counts for the whole
//! of it and fades by a quarter a round trip.
//!
//! The estimator takes measurements that are already free of ambiguity (Karn's rule is applied
//! where segments are tracked, in `recovery/`) and answers one question: how long to wait before
//! sending again. It reads no clock; an instant is needed only to age the minimum.
//!
//! Invariants
//! - `min_rto ≤ rto() ≤ max_rto`, whatever is fed in.
//! - `rto()` never falls while the backoff count grows.

use core::time::Duration;

use crate::pack::{Expected, INITIAL_RTO, In, MAX_RTO, MIN_RTO, Rare, packed};
use crate::time::{Instant, nanos};

/// How long a minimum stays valid, in nanoseconds. Linux `tcp_min_rtt_wlen`: 300 s.
const MIN_RTT_WINDOW: u64 = nanos(Duration::from_secs(300));
/// What a round trip of nothing is taken for, in nanoseconds: 1 ms.
const TICK: u64 = 1_000_000;
/// Beyond this many doublings every timeout is at its maximum.
const MAX_BACKOFF: u32 = 32;

/// The bounds within which an [`RttEstimator`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RttConfig {
    /// Timeout before the first measurement. Default 1 s (RFC 6298 §2.1).
    pub initial_rto: Duration,
    /// Shortest timeout. Default 200 ms, as Linux; RFC 6298 §2.4 says 1 s.
    pub min_rto: Duration,
    /// Longest timeout. Default 60 s, the least that RFC 6298 §2.5 allows.
    pub max_rto: Duration,
    /// Least value of the term that is added to SRTT. Default 200 ms, as Linux: a path without
    /// jitter still has delayed acknowledgements. RFC 6298 §2.3 needs only the clock granularity.
    pub variance_floor: Duration,
}

impl Default for RttConfig {
    fn default() -> Self {
        Self::new(
            Duration::from_secs(1),
            Duration::from_millis(200),
            Duration::from_secs(60),
        )
    }
}

impl RttConfig {
    /// Linux's shape: `rto = srtt + max(4·rttvar, min_rto)`.
    pub const fn new(initial_rto: Duration, min_rto: Duration, max_rto: Duration) -> Self {
        Self {
            initial_rto,
            min_rto,
            max_rto,
            variance_floor: min_rto,
        }
    }

    /// RFC 6298 to the letter: 1 s minimum, variance floored at a granularity of 1 ms only.
    pub const fn rfc6298() -> Self {
        Self {
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_secs(1),
            max_rto: Duration::from_secs(60),
            variance_floor: Duration::from_millis(1),
        }
    }
}

/// SRTT and RTTVAR in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Smoothed {
    srtt: u64,
    rttvar: u64,
    /// The greatest RTTVAR of late; of the present round trip, 0 before its first measurement. In
    /// microseconds.
    held: u32,
    peak: u32,
}

packed!(Smoothed {
    srtt: In<4>,
    rttvar: In<4>,
    held: In<3>,
    peak: In<2>,
});

impl Smoothed {
    /// Keeps the greatest variation of a round trip that had several measurements.
    fn hold(&mut self, round_end: bool) {
        let is_only = self.peak == 0 && round_end;
        let rttvar = u32::try_from(self.rttvar / 1000).unwrap_or(u32::MAX);
        self.peak = self.peak.max(rttvar).max(1);
        if is_only {
            self.held = rttvar;
        } else if round_end && self.peak < self.held {
            self.held -= (self.held - self.peak) / 4;
        } else {
            self.held = self.held.max(self.peak);
        }
        if round_end {
            self.peak = 0;
        }
    }
}

/// A measurement, in nanoseconds, that is the least of its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Minimum {
    rtt: u64,
    at: Instant,
}

packed!(Minimum {
    rtt: In<4>,
    at,
});

/// [`RttConfig`] in nanoseconds: half the size, of which every connection has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) min_rto: u64,
    pub(crate) max_rto: u64,
    variance_floor: u64,
}

impl Bounds {
    #[inline]
    pub(crate) fn new(config: &RttConfig) -> Self {
        let min_rto = nanos(config.min_rto);
        Self {
            min_rto,
            // A contradictory configuration must not panic.
            max_rto: nanos(config.max_rto).max(min_rto),
            variance_floor: nanos(config.variance_floor),
        }
    }
}

packed!(Bounds {
    min_rto: Expected<MIN_RTO>,
    variance_floor: Expected<MIN_RTO>,
    max_rto: Expected<MAX_RTO>,
});

/// RFC 6298 state of one connection.
#[derive(Clone, Debug)]
pub struct RttEstimator {
    bounds: Bounds,
    smoothed: Option<Smoothed>,
    /// The least measurement of the window, and the least of its second half, which takes over
    /// when the first expires.
    min: Option<[Minimum; 2]>,
    backoff: u32,
    /// Timeout before the first measurement; raised by [`Self::on_syn_timeout`].
    unmeasured_rto: u64,
}

packed!(RttEstimator {
    bounds,
    smoothed,
    min,
    backoff: Rare,
    unmeasured_rto: Expected<INITIAL_RTO>,
});

impl RttEstimator {
    /// Nothing measured yet.
    pub fn new(config: RttConfig) -> Self {
        Self {
            bounds: Bounds::new(&config),
            smoothed: None,
            min: None,
            backoff: 0,
            unmeasured_rto: nanos(config.initial_rto),
        }
    }

    /// Smoothed round-trip time, once there was a measurement.
    pub fn srtt(&self) -> Option<Duration> {
        self.srtt_nanos().map(Duration::from_nanos)
    }

    /// The same in nanoseconds.
    #[inline]
    pub(crate) fn srtt_nanos(&self) -> Option<u64> {
        self.smoothed.map(|s| s.srtt)
    }

    /// Round-trip time variation; zero before the first measurement.
    pub fn rttvar(&self) -> Duration {
        self.smoothed
            .map_or(Duration::ZERO, |s| Duration::from_nanos(s.rttvar))
    }

    /// The least measurement of about the last five minutes.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min.map(|[least, _]| Duration::from_nanos(least.rtt))
    }

    /// How often the timeout was doubled.
    pub const fn backoff_count(&self) -> u32 {
        self.backoff
    }

    /// The retransmission timeout, doubled as often as [`Self::backoff`] says, within its bounds.
    pub fn rto(&self) -> Duration {
        Duration::from_nanos(self.rto_nanos())
    }

    /// The same in nanoseconds.
    pub(crate) fn rto_nanos(&self) -> u64 {
        let base = self.clamp(self.base());
        if self.backoff == 0 {
            return base;
        }
        // RFC 6298 §5.5: each expiry doubles the timeout; §2.5: a maximum may be placed on it.
        let factor = 1_u64.checked_shl(self.backoff).unwrap_or(u64::MAX);
        self.clamp(base.saturating_mul(factor))
    }

    /// The timeout without backoff.
    pub fn base_rto(&self) -> Duration {
        Duration::from_nanos(self.base_rto_nanos())
    }

    /// The same in nanoseconds.
    pub(crate) fn base_rto_nanos(&self) -> u64 {
        self.clamp(self.base())
    }

    fn base(&self) -> u64 {
        let Some(smoothed) = self.smoothed else {
            return self.unmeasured_rto;
        };
        // RFC 6298 §2.3: RTO = SRTT + max(G, 4·RTTVAR).
        let held = u64::from(smoothed.held) * 1000;
        let variance = smoothed.rttvar.max(held).saturating_mul(4);
        smoothed
            .srtt
            .saturating_add(variance.max(self.bounds.variance_floor))
    }

    fn clamp(&self, rto: u64) -> u64 {
        rto.clamp(self.bounds.min_rto, self.bounds.max_rto)
    }

    /// A round trip was measured.
    ///
    /// `rtt`: time between sending and the acknowledgement's arrival, of data that was not
    /// retransmitted or by timestamp echo. `round_end`: what was sent when the round trip began is
    /// acknowledged with it.
    ///
    /// Takes back any backoff (RFC 6298 §5, last paragraph: once there is a new measurement, the
    /// timeout is computed from it).
    pub fn on_sample(&mut self, now: Instant, rtt: Duration, round_end: bool) {
        let sample = nanos(rtt).min(u64::MAX >> 4);
        let mut smoothed = match self.smoothed {
            // RFC 6298 §2.2: the first measurement R gives SRTT = R, RTTVAR = R/2.
            None => Smoothed {
                srtt: sample,
                rttvar: sample / 2,
                held: 0,
                peak: 0,
            },
            Some(old) => Smoothed {
                // RFC 6298 §2.3: RTTVAR first, with the old SRTT; beta = 1/4, alpha = 1/8.
                rttvar: toward(old.rttvar, old.srtt.abs_diff(sample), 4),
                srtt: toward(old.srtt, sample, 8),
                ..old
            },
        };
        // RFC 7323 §G TS-10: with one sample per ACK the history must still span whole round trips.
        smoothed.hold(round_end);
        self.smoothed = Some(smoothed);
        self.backoff = 0;
        self.update_min(now, sample);
    }

    /// The retransmission timer expired: the timeout doubles.
    pub fn backoff(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(MAX_BACKOFF);
    }

    /// New data was acknowledged: back to the timeout that the measurements give.
    ///
    /// RFC 6298 keeps the backoff until there is a measurement, which [`Self::on_sample`] does by
    /// itself; Linux takes it back on every advance of SND.UNA, which is this call.
    pub const fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// The handshake is done and its SYN (or SYN-ACK) had timed out.
    ///
    /// RFC 6298 §5.7: a timeout below 3 s is set to 3 s when data transmission begins, because
    /// the handshake gave no measurement.
    pub fn on_syn_timeout(&mut self) {
        self.backoff = 0;
        self.unmeasured_rto = self.unmeasured_rto.max(nanos(Duration::from_secs(3)));
    }

    /// Forgets the measurements but not the bounds (the path changed, RFC 6298 §5 note).
    pub const fn forget(&mut self) {
        self.smoothed = None;
        self.min = None;
    }

    /// Two-stage windowed minimum: the runner-up is restarted every half window.
    fn update_min(&mut self, now: Instant, rtt: u64) {
        // A clock that did not move between two events knows only that it was less than a tick; as Linux.
        let rtt = if rtt == 0 { TICK } else { rtt };
        let new = Minimum { rtt, at: now };
        self.min = Some(match self.min {
            Some([least, _]) if rtt <= least.rtt => [new, new],
            None => [new, new],
            Some([least, next]) => {
                let half = MIN_RTT_WINDOW / 2;
                let stale = now.nanos_since(next.at) > half;
                let next = if rtt <= next.rtt || next == least && stale {
                    new
                } else {
                    next
                };
                if now.nanos_since(least.at) > MIN_RTT_WINDOW {
                    [next, new]
                } else {
                    [least, next]
                }
            }
        });
    }
}

/// Moves `value` one `weight`-th of the way to `target`, exactly in integers.
const fn toward(value: u64, target: u64, weight: u64) -> u64 {
    if target >= value {
        value + (target - value) / weight
    } else {
        value - (value - target) / weight
    }
}

#[cfg(test)]
mod tests;
