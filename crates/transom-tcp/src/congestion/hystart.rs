//! HyStart++ (RFC 9406): the first slow start ends where the queue of the bottleneck begins to
//! fill, and not where it overflows.
//!
//! The least round trip of each round is compared with that of the round before. When it has grown by
//! an eighth, growth goes on four times more slowly for five rounds (conservative slow start, CSS);
//! if the round trip falls again meanwhile, it was only jitter, and slow start is resumed. If it grows by as much once
//! more, it was no jitter, and slow start ends at once, which the RFC does not ask for: five rounds are a growth by three,
//! and the queue that makes the round trip longer is filled by less.

use core::time::Duration;

use crate::pack::packed;

/// RFC 9406 §4.3 HS-1: the tuning constants that it recommends.
const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const N_RTT_SAMPLE: u8 = 8;
const CSS_GROWTH_DIVISOR: u64 = 4;
const CSS_ROUNDS: u8 = 5;

/// Conservative slow start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Css {
    /// `cssBaselineMinRtt`.
    baseline: Duration,
    /// Rounds that have ended since, the one in which it began included.
    rounds: u8,
}

packed!(Css { baseline, rounds });

/// The round that is under way, and what is known of the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct HyStart {
    /// `lastRoundMinRTT`; none stands for infinity.
    last_round_min: Option<Duration>,
    /// `currentRoundMinRTT`.
    current_round_min: Option<Duration>,
    /// `rttSampleCount`, as far as it matters.
    samples: u8,
    css: Option<Css>,
}

packed!(HyStart {
    last_round_min,
    current_round_min,
    samples,
    css,
});

impl HyStart {
    /// By what the growth of slow start is divided now: 1, or more in conservative slow start (HS-5).
    pub(super) const fn divisor(&self) -> u64 {
        if self.css.is_some() {
            CSS_GROWTH_DIVISOR
        } else {
            1
        }
    }

    /// An acknowledgement in slow start, after the window has grown for it; true when slow start
    /// is to end.
    ///
    /// `round_end`: it acknowledges what was sent when the round began. `is_used`: the window, and
    /// nothing else, held the sender back; a round trip that grows meanwhile is somebody else's doing,
    /// and no reason to give up growing later.
    pub(super) fn on_ack(&mut self, rtt: Option<Duration>, round_end: bool, is_used: bool) -> bool {
        if let Some(rtt) = rtt.filter(|_| is_used) {
            self.sample(rtt);
        }
        // RFC 9406 §4.2 HS-2.
        if !round_end {
            return false;
        }
        let measured = self
            .current_round_min
            .filter(|_| self.samples >= N_RTT_SAMPLE);
        if self.samples > 0 {
            self.last_round_min = self.current_round_min.take();
            self.samples = 0;
        }
        // HS-6: the round in which it began counts, though it is not a whole one.
        match &mut self.css {
            Some(css) if is_used => {
                css.rounds = css.rounds.saturating_add(1);
                let grows = css.baseline.saturating_add(threshold(css.baseline));
                css.rounds >= CSS_ROUNDS || measured.is_some_and(|least| least >= grows)
            }
            _ => false,
        }
    }

    fn sample(&mut self, rtt: Duration) {
        let current = self.current_round_min.map_or(rtt, |least| least.min(rtt));
        self.current_round_min = Some(current);
        self.samples = self.samples.saturating_add(1);
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        match self.css {
            None => {
                // HS-4.
                if let Some(last) = self.last_round_min
                    && current >= last.saturating_add(threshold(last))
                {
                    self.css = Some(Css {
                        baseline: current,
                        rounds: 0,
                    });
                }
            }
            // HS-5: less than when it began: that was no queue.
            Some(css) if current < css.baseline => self.css = None,
            Some(_) => {}
        }
    }
}

/// `RttThresh`: how much more than in the round before is not jitter.
fn threshold(last_round_min: Duration) -> Duration {
    (last_round_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A round of `samples` acknowledgements that take `rtt`; whether slow start ends with it.
    fn round(hystart: &mut HyStart, rtt: Duration, samples: u32) -> bool {
        (1..=samples).any(|n| hystart.on_ack(Some(rtt), n == samples, true))
    }

    #[test]
    fn req_hs_1_the_recommended_constants() {
        assert_eq!(threshold(ms(1)), ms(4));
        assert_eq!(threshold(ms(80)), ms(10));
        assert_eq!(threshold(ms(900)), ms(16));
        assert_eq!((N_RTT_SAMPLE, CSS_GROWTH_DIVISOR, CSS_ROUNDS), (8, 4, 5));
    }

    #[test]
    fn req_hs_2_a_round_keeps_its_least_round_trip_for_the_next() {
        let mut hystart = HyStart::default();
        for (n, rtt) in [30, 20, 40].into_iter().enumerate() {
            hystart.on_ack(Some(ms(rtt)), n == 2, true);
        }
        assert_eq!(hystart.last_round_min, Some(ms(20)));
        assert_eq!((hystart.current_round_min, hystart.samples), (None, 0));
    }

    #[test]
    fn req_hs_4_an_eighth_more_than_the_round_before_begins_the_conservative_phase() {
        for (rtt, begins) in [(ms(24), true), (Duration::from_micros(23_900), false)] {
            let mut hystart = HyStart::default();
            round(&mut hystart, ms(20), 10);
            round(&mut hystart, rtt, 10);
            assert_eq!(hystart.divisor() == 4, begins, "{rtt:?}");
        }
    }

    #[test]
    fn req_hs_4_seven_samples_prove_nothing() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 10);
        for _ in 0..7 {
            hystart.on_ack(Some(ms(60)), false, true);
            assert_eq!(hystart.divisor(), 1);
        }
        hystart.on_ack(Some(ms(60)), false, true);
        assert_eq!(hystart.divisor(), 4, "the eighth");
    }

    #[test]
    fn req_hs_5_a_shorter_round_trip_resumes_slow_start() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 10);
        round(&mut hystart, ms(30), 10);
        assert_eq!(hystart.divisor(), 4);
        round(&mut hystart, ms(30), 10);
        assert_eq!(hystart.divisor(), 4, "as long as when it began");
        round(&mut hystart, ms(29), 10);
        assert_eq!(hystart.divisor(), 1);
    }

    #[test]
    fn req_hs_6_five_conservative_rounds_end_slow_start_and_the_first_counts() {
        let mut hystart = HyStart::default();
        assert!(!round(&mut hystart, ms(20), 10));
        for n in 1..=5 {
            assert_eq!(round(&mut hystart, ms(30), 10), n == 5, "round {n}");
        }
    }

    #[test]
    fn a_round_trip_that_goes_on_growing_ends_slow_start_at_once() {
        for (rtt, ends) in [(34, true), (33, false)] {
            let mut hystart = HyStart::default();
            round(&mut hystart, ms(20), 10);
            assert!(!round(&mut hystart, ms(30), 10));
            // Seven samples prove nothing here either.
            assert!(!round(&mut hystart, ms(60), 7));
            assert_eq!(round(&mut hystart, ms(rtt), 10), ends, "{rtt} ms");
        }
    }

    #[test]
    fn rounds_in_which_the_window_was_not_used_prove_nothing() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 10);
        for _ in 0..100 {
            assert!(!hystart.on_ack(Some(ms(90)), true, false));
        }
        assert_eq!(hystart.divisor(), 1);
    }
}
