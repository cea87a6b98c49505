//! HyStart++ (RFC 9406): the first slow start ends where the queue of the bottleneck begins to
//! fill, and not where it overflows.
//!
//! The least round trip of each round is compared with that of the round before. When it has grown by
//! an eighth, growth goes on four times more slowly for five rounds (conservative slow start, CSS);
//! if the round trip falls again meanwhile, it was only jitter, and slow start is resumed.
//!
//! Two things the RFC does not ask for:
//! - When the round trip goes on growing by as much once more, it is no jitter, and slow start ends at once: five rounds are a
//!   growth by three.
//! - Where the path reorders, and a queue that overflows is dear, it looks within a round. The least of a whole round has to grow
//!   else; but a window is spread over the round trip (pacing), and what stands in the queue grows from the first packet of a round
//!   to the last, while the first still finds it empty: a round with a long round trip throughout comes one doubling later,
//!   and the queue overflows in it. So eight samples in a row are what is compared there, wherever in the round they lie.
//!   Everywhere else who looks so early has the lesser share beside one who does not.

use core::time::Duration;

use super::AckInfo;
use crate::pack::{Rare, packed};

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
    /// Greatest of what groups of samples had as their least, in all rounds before and in this one.
    earlier_max: Option<Duration>,
    current_round_max: Option<Duration>,
    /// The least of the group that is under way, where it looks within a round.
    group_min: Option<Duration>,
    /// `rttSampleCount`, of the round or of the group.
    samples: u8,
    within: bool,
    css: Option<Css>,
}

packed!(HyStart {
    last_round_min: Rare,
    current_round_min: Rare,
    earlier_max: Rare,
    current_round_max: Rare,
    group_min: Rare,
    samples: Rare,
    within: Rare,
    css: Rare,
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
    /// Where something else than the window held the sender back, a round trip that grows is somebody else's doing,
    /// and no reason to give up growing later.
    pub(super) fn on_ack(&mut self, ack: &AckInfo) -> bool {
        let rtt = ack.rtt.filter(|_| ack.is_cwnd_limited);
        if ack.reorders && !self.within {
            self.within = true;
            self.samples = 0;
        }
        let mut is_over = rtt.is_some_and(|rtt| self.sample(rtt));
        if ack.round_end {
            let least = self.end_round();
            // HS-6: the round in which it began counts, though it is not a whole one.
            if let Some(css) = self.css.as_mut().filter(|_| ack.is_cwnd_limited) {
                css.rounds = css.rounds.saturating_add(1);
                let grown = css.baseline.saturating_add(threshold(css.baseline));
                is_over |= css.rounds >= CSS_ROUNDS || least.is_some_and(|least| least >= grown);
            }
        }
        is_over
    }

    /// RFC 9406 §4.2 HS-2. A group does not reach from one round into the next. Gives the least of the round, if it is known
    /// well enough and nothing was looked for within it.
    fn end_round(&mut self) -> Option<Duration> {
        let least = self.current_round_min.take()?;
        self.last_round_min = Some(least);
        self.earlier_max = self.earlier_max.max(self.current_round_max.take());
        self.group_min = None;
        let samples = core::mem::take(&mut self.samples);
        (samples >= N_RTT_SAMPLE && !self.within).then_some(least)
    }

    fn sample(&mut self, rtt: Duration) -> bool {
        let current = self.current_round_min.map_or(rtt, |least| least.min(rtt));
        self.current_round_min = Some(current);
        self.samples = self.samples.saturating_add(1);
        if !self.within {
            if self.samples >= N_RTT_SAMPLE {
                self.round_so_far(current);
            }
            return false;
        }
        let group = self.group_min.map_or(rtt, |least| least.min(rtt));
        self.group_min = Some(group);
        if self.samples < N_RTT_SAMPLE {
            return false;
        }
        self.samples = 0;
        self.group_min = None;
        self.group(group)
    }

    /// All round trips of this round took at least `least`.
    fn round_so_far(&mut self, least: Duration) {
        match self.css {
            None => self.begin_if_grown(least),
            // HS-5: less than when it began: that was no queue.
            Some(css) if least < css.baseline => self.css = None,
            Some(_) => {}
        }
    }

    /// HS-4.
    fn begin_if_grown(&mut self, least: Duration) {
        if let Some(last) = self.last_round_min
            && least >= last.saturating_add(threshold(last))
        {
            self.css = Some(Css {
                baseline: least,
                rounds: 0,
            });
        }
    }

    /// Eight round trips in a row took at least `least`.
    fn group(&mut self, least: Duration) -> bool {
        self.current_round_max = self.current_round_max.max(Some(least));
        match self.css {
            None => {
                self.begin_if_grown(least);
                false
            }
            // HS-5: not yet in the round in which it began.
            Some(css) if least < css.baseline => {
                if css.rounds > 0 {
                    self.css = None;
                }
                false
            }
            Some(css) => {
                let seen = self.earlier_max.max(Some(css.baseline));
                seen.is_some_and(|seen| least >= seen.saturating_add(threshold(css.baseline)))
            }
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
    use crate::time::Instant;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// An acknowledgement that took `rtt`.
    fn ack(rtt: Duration, round_end: bool) -> AckInfo {
        AckInfo {
            rtt: Some(rtt),
            round_end,
            ..super::super::tests::ack(Instant::ORIGIN, 1000)
        }
    }

    /// A round of `samples` acknowledgements that take `rtt`; whether slow start ends with it.
    fn round(hystart: &mut HyStart, rtt: Duration, samples: u32) -> bool {
        (1..=samples).any(|n| hystart.on_ack(&ack(rtt, n == samples)))
    }

    /// Eight acknowledgements within a round on a path that reorders; whether slow start ends with them.
    fn eight(hystart: &mut HyStart, rtt: u64) -> bool {
        (0..8).any(|_| {
            hystart.on_ack(&AckInfo {
                reorders: true,
                ..ack(ms(rtt), false)
            })
        })
    }

    /// Groups of eight, each with the divisor that follows, and the one in conservative slow start that ends it.
    fn eights(hystart: &mut HyStart, groups: [(u64, u64); 4], last: u64) {
        for (rtt, divisor) in groups {
            let is_over = eight(hystart, rtt);
            assert_eq!((hystart.divisor(), is_over), (divisor, false), "{rtt} ms");
        }
        assert_eq!((eight(hystart, last), hystart.divisor()), (true, 4));
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
            hystart.on_ack(&ack(ms(rtt), n == 2));
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
            hystart.on_ack(&ack(ms(60), false));
            assert_eq!(hystart.divisor(), 1);
        }
        hystart.on_ack(&ack(ms(60), false));
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
    fn where_the_path_reorders_a_queue_that_grows_within_a_round_is_seen_in_it() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 16);
        // The least of the round stays 20 ms.
        eights(&mut hystart, [(20, 1), (23, 1), (24, 4), (27, 4)], 28);
    }

    #[test]
    fn what_rounds_before_have_seen_does_not_end_slow_start() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 8);
        // Jitter: a round begins as short as ever.
        assert!(!eight(&mut hystart, 20));
        assert!(!eight(&mut hystart, 34));
        hystart.on_ack(&ack(ms(34), true));
        eights(&mut hystart, [(20, 1), (24, 4), (34, 4), (37, 4)], 38);
    }

    #[test]
    fn elsewhere_the_least_of_the_round_counts() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 16);
        hystart.on_ack(&ack(ms(20), false));
        assert!(!round(&mut hystart, ms(60), 30));
        assert_eq!(hystart.divisor(), 1);
    }

    #[test]
    fn rounds_in_which_the_window_was_not_used_prove_nothing() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(20), 10);
        for _ in 0..100 {
            assert!(!hystart.on_ack(&AckInfo {
                is_cwnd_limited: false,
                ..ack(ms(90), true)
            }));
        }
        assert_eq!(hystart.divisor(), 1);
    }
}
