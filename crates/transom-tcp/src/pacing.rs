//! Pacing: what the window admits is spread over the round trip, instead of going out in bursts as
//! acknowledgements come in.
//!
//! A burst of what a millisecond carries at the rate goes at once, so that super-segments stay
//! super-segments and a caller's timers may be as coarse; the next has to wait for [`Timer::Pacing`].
//! Where the round trip is shorter than that, a burst is a whole window, and nothing ever waits.
//!
//! Controllers that are built on a rate (BBR) are always paced. CUBIC and Reno are by default
//! ([`Config::pacing`](crate::Config::pacing)), unlike in Linux, which enforces their rate only below a
//! queueing discipline of its own: a kernel sees each acknowledgement when it comes, and they are its
//! clock; a stack in user space sees clumps of them, and would answer each clump with a burst that a
//! short queue cannot take. What was idle may send an initial window at once, as Linux does.

use alloc::boxed::Box;
use core::time::Duration;

use crate::congestion::initial_window;
use crate::env::Env;
use crate::pack::{In, Soon, packed};
use crate::rate::per_second_in;
use crate::tcb::Tcb;
use crate::time::{Instant, nanos};
use crate::timer::Timer;

/// Most octets of a quantum, sent as one: the largest super-segment.
const MAX_QUANTUM: u64 = 65_536;
/// A caller's timers may be as coarse as a millisecond: what it wakes too late for is made up for, as
/// far as this.
const CATCH_UP: Duration = Duration::from_millis(2);

/// When the next burst may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pacer {
    /// Octets per second; never 0.
    rate: u64,
    /// When the present burst began, and what has gone out in it.
    since: Instant,
    octets: u64,
    /// When the rate at which it was sent has carried it. The next burst may go then, or sooner when the rate has risen
    /// since: one that was very low for a moment holds nothing back, and one that falls, as it does when loss is found,
    /// does not hold the repair back for what went out before.
    due: Instant,
    /// Octets of the present burst that may still go at once.
    budget: u64,
    /// Something waits for `next_send`.
    held: bool,
}

packed!(Pacer {
    rate: In<5>,
    since,
    octets: In<3>,
    due: Soon,
    budget: In<3>,
    held,
});

impl Pacer {
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate: rate.max(1),
            since: Instant::ORIGIN,
            octets: 0,
            due: Instant::ORIGIN,
            budget: 0,
            held: false,
        }
    }

    /// Octets per second.
    pub(crate) const fn rate(&self) -> u64 {
        self.rate
    }

    /// When the next burst may go.
    fn next_send(&self) -> Instant {
        self.due.min(self.carried())
    }

    /// When the rate, as it is now, has carried the present burst.
    fn carried(&self) -> Instant {
        let nanos = self.octets.saturating_mul(1_000_000_000) / self.rate;
        self.since.after_nanos(nanos)
    }

    /// Until when nothing may be sent.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        // Nearly always one of the two is so, and spares a division.
        if self.budget > 0 || self.due <= now {
            return None;
        }
        let next_send = self.next_send();
        (next_send > now).then_some(next_send)
    }

    /// What goes at once: PACE-2, a millisecond's worth, at least two segments, at most 64 KiB.
    pub(crate) fn quantum(&self, mss: u64) -> u64 {
        quantum(self.rate, mss)
    }

    /// The most that one segment, or super-segment, may carry: no more than what is left of the burst.
    pub(crate) fn limit(&self, max_payload: usize, mss: u64) -> usize {
        let rest = if self.budget > 0 {
            self.budget
        } else {
            u64::MAX
        };
        let most = self.quantum(mss).min(rest);
        max_payload.min(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// `octets` were sent; so many may go in one burst, if that is more than the rate gives.
    pub(crate) fn on_sent(&mut self, now: Instant, octets: u64, mss: u64, at_once: u64) {
        if self.budget == 0 {
            // PACE-2: a millisecond's worth, at least two segments.
            self.budget = (self.rate / 1000).max(mss.saturating_mul(2)).max(at_once);
            // PACE-2: time in which nothing waited for this is not made up for.
            self.since = if !self.held && self.due <= now {
                // The most usual of what follows, without a division.
                now
            } else {
                let next_send = self.next_send();
                let is_late = self.held && next_send + CATCH_UP >= now;
                if is_late {
                    next_send
                } else {
                    next_send.max(now)
                }
            };
            self.octets = 0;
            self.held = false;
        }
        // Less than a segment is no burst: the next one begins with it.
        self.budget = self.budget.saturating_sub(octets);
        if self.budget < mss {
            self.budget = 0;
        }
        self.octets = self.octets.saturating_add(octets);
        self.due = self.carried();
    }
}

/// What a millisecond carries at `rate` octets per second: at least two segments of `mss`, at most 64 KiB.
pub(crate) fn quantum(rate: u64, mss: u64) -> u64 {
    let two = mss.saturating_mul(2);
    (rate / 1000).clamp(two.min(MAX_QUANTUM), MAX_QUANTUM.max(two))
}

/// PACE-1: the rate of a controller that knows none of its own, in octets per second: twice the window
/// per round trip in slow start, so that it can double, and 1.2 times afterwards, as Linux.
/// At least `least` octets go in a round trip, of `srtt` nanoseconds.
fn window_rate(cwnd: u64, ssthresh: u64, in_flight: u64, least: u64, srtt: u64) -> u64 {
    let tenths = if cwnd < ssthresh / 2 { 20 } else { 12 };
    // No window exceeds 2^30, so that this does not saturate.
    let octets = cwnd.max(in_flight).saturating_mul(tenths);
    per_second_in(octets.max(least * 10), srtt) / 10
}

impl Tcb {
    /// Octets were sent; `was_idle`: with nothing in flight before.
    pub(crate) fn pace(&mut self, now: Instant, octets: u64, mss: u16, was_idle: bool) {
        if let Some(pacer) = &mut self.pacer {
            let mss = u64::from(mss);
            // PACE-3.
            let at_once = if was_idle && !self.congestion.wants_samples() {
                initial_window(mss).min(self.congestion.cwnd())
            } else {
                0
            };
            pacer.on_sent(now, octets, mss, at_once);
        }
    }

    /// Whether data has to wait now. PACE-5: then a timer runs, if there is something.
    pub(crate) fn is_paced(&mut self, env: &mut Env, now: Instant) -> bool {
        let Some(until) = self.pacer.as_ref().and_then(|pacer| pacer.wait(now)) else {
            return false;
        };
        if self.recovery.has_lost() || self.snd.unsent() > 0 || self.snd.fin_waits() {
            if let Some(pacer) = &mut self.pacer {
                pacer.held = true;
            }
            env.timers.set(Timer::Pacing, until);
        }
        true
    }

    /// The window, the round trip or the controller's mind has changed.
    pub(crate) fn update_pacing(&mut self, env: &Env) {
        let srtt = self.rtt.srtt_nanos();
        let mss = u64::from(self.mss(env));
        // Whatever a controller has concluded from losses, a window of one segment may go each round trip:
        // with less, retransmission timeouts would pass while nothing is sent.
        let rate = match (self.congestion.pacing_rate(), srtt) {
            (Some(rate), srtt) => {
                let round_trip = srtt.unwrap_or_else(|| nanos(env.config.rto_initial));
                rate.max(per_second_in(mss, round_trip))
            }
            (None, Some(srtt)) if env.config.pacing => {
                let (cwnd, ssthresh) = (self.congestion.cwnd(), self.congestion.ssthresh());
                window_rate(cwnd, ssthresh, self.recovery.pipe(), mss, srtt)
            }
            _ => {
                self.pacer = None;
                return;
            }
        };
        match &mut self.pacer {
            Some(pacer) => pacer.rate = rate.max(1),
            pacer @ None => *pacer = Some(Box::new(Pacer::new(rate))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_origin(Duration::from_micros(micros))
    }

    #[test]
    fn req_pace_1_twice_the_window_in_slow_start_and_a_fifth_more_afterwards() {
        let srtt = 100_000_000;
        let rate = |cwnd, ssthresh, in_flight| window_rate(cwnd, ssthresh, in_flight, 1448, srtt);
        assert_eq!(rate(100_000, u64::MAX, 0), 2_000_000);
        assert_eq!(rate(100_000, 150_000, 0), 1_200_000);
        assert_eq!(rate(100_000, 50_000, 0), 1_200_000);
        assert_eq!(rate(100_000, 50_000, 200_000), 2_400_000);
        assert_eq!(rate(100, 50_000, 0), 14_480, "a segment each round trip");
    }

    #[test]
    fn req_pace_2_bursts_are_a_millisecond_long_and_follow_at_the_rate() {
        // 12.5 MB/s: 12,500 octets a millisecond.
        let mut pacer = Pacer::new(12_500_000);
        assert_eq!(pacer.quantum(1448), 12_500);
        assert_eq!(quantum(1_000_000, 1448), 2896, "two segments at least");
        assert_eq!(quantum(10_000_000_000, 1448), 65_536);
        let mut now = at(5000);
        for burst in 1..=10 {
            assert_eq!(pacer.wait(now), None);
            pacer.on_sent(now, 10_000, 1448, 0);
            assert_eq!(pacer.wait(now), None, "the rest of the quantum");
            pacer.on_sent(now, 2500, 1448, 0);
            assert_eq!(pacer.wait(now), Some(at(5000 + burst * 1000)));
            now = at(5000 + burst * 1000);
        }
        // A rate that has fallen counts from the next burst on, one that has risen at once.
        let (slow, fast) = (
            Pacer {
                rate: 1000,
                ..pacer
            },
            Pacer {
                rate: 25_000_000,
                ..pacer
            },
        );
        assert_eq!(slow.next_send(), at(15_000));
        assert_eq!(fast.next_send(), at(14_500));
        // An idle time is not made up for.
        now = at(100_000);
        pacer.on_sent(now, 12_500, 1448, 0);
        assert_eq!(pacer.wait(now), Some(at(101_000)));
        // What a coarse timer was late by is, up to two milliseconds.
        pacer.held = true;
        pacer.on_sent(at(101_800), 12_500, 1448, 0);
        assert_eq!(pacer.wait(at(101_800)), Some(at(102_000)));
        pacer.held = true;
        pacer.on_sent(at(110_000), 12_500, 1448, 0);
        assert_eq!(pacer.wait(at(110_000)), Some(at(111_000)), "something else");
    }

    #[test]
    fn req_pace_2_super_segments_share_a_burst() {
        let mut pacer = Pacer::new(12_500_000);
        assert_eq!(pacer.limit(65_536, 1448), 12_500);
        pacer.on_sent(at(1000), 7240, 1448, 0);
        assert_eq!(pacer.limit(65_536, 1448), 12_500 - 7240);
        pacer.on_sent(at(1000), 4344, 1448, 0);
        // What is left is less than a segment: it goes with the next burst.
        assert_eq!(
            pacer.wait(at(1000)),
            Some(at(1000) + Duration::from_nanos(926_720))
        );
        assert_eq!(pacer.limit(65_536, 1448), 12_500);
    }
}
