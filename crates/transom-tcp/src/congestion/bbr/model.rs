//! §5.5: what is known of the path, and what loss says about it.

use super::states::State;
use super::{Bbr, INFINITY, LossInfo, LostInfo, Rs};
use crate::pack::packed;
use crate::rate::volume;
use crate::time::Instant;

/// `BBR.LossThresh`, in hundredths.
pub(super) const LOSS_THRESH: u64 = 2;
/// `BBR.Beta`, in tenths.
const BETA: u64 = 7;
/// `BBR.ExtraAckedFilterLen` in round trips.
const EXTRA_ACKED_FILTER_LEN: usize = 10;

/// `BBR.max_bw_filter`: the largest of the cycle before and of this one (`BBR.MaxBwFilterLen` = 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Filter {
    before: u64,
    now: u64,
}

packed!(Filter { before, now });

impl Filter {
    pub(super) fn max(self) -> u64 {
        self.before.max(self.now)
    }

    pub(super) fn update(&mut self, value: u64) {
        self.now = self.now.max(value);
    }

    /// `AdvanceMaxBwFilter`. A cycle that has measured nothing does not push out one that has.
    pub(super) const fn advance(&mut self) {
        if self.now > 0 {
            self.before = self.now;
            self.now = 0;
        }
    }
}

/// `BBR.extra_acked` and what it is estimated from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extra {
    interval_start: Instant,
    delivered: u64,
    /// The largest of each of the latest rounds; the present one lies at `round` modulo the length.
    rounds: [u64; EXTRA_ACKED_FILTER_LEN],
    round: u64,
}

packed!(Extra {
    interval_start,
    delivered,
    rounds,
    round,
});

impl Extra {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            interval_start: now,
            delivered: 0,
            rounds: [0; EXTRA_ACKED_FILTER_LEN],
            round: 0,
        }
    }

    /// The flow begins, or was idle.
    pub(super) const fn restart(&mut self, now: Instant) {
        self.interval_start = now;
        self.delivered = 0;
    }

    /// The estimate: the largest of ten rounds, or in Startup of this one and the last.
    pub(super) fn get(&self, is_startup: bool) -> u64 {
        let len = if is_startup {
            2
        } else {
            EXTRA_ACKED_FILTER_LEN
        };
        (0..len as u64)
            .filter_map(|age| self.rounds.get(slot(self.round.checked_sub(age)?)))
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// `UpdateACKAggregation`.
    fn update(&mut self, now: Instant, bw: u64, newly_acked: u64, cwnd: u64, round: u64) {
        let expected = volume(bw, now.duration_since(self.interval_start));
        let expected = if self.delivered <= expected {
            self.restart(now);
            0
        } else {
            expected
        };
        self.delivered = self.delivered.saturating_add(newly_acked);
        let extra = self.delivered.saturating_sub(expected).min(cwnd);
        // Rounds that were skipped measured nothing.
        let skipped = round
            .saturating_sub(self.round)
            .min(self.rounds.len() as u64);
        for age in 0..skipped {
            if let Some(old) = self.rounds.get_mut(slot(round.saturating_sub(age))) {
                *old = 0;
            }
        }
        self.round = round;
        if let Some(present) = self.rounds.get_mut(slot(round)) {
            *present = (*present).max(extra);
        }
    }
}

/// Where a round's value lies.
fn slot(round: u64) -> usize {
    usize::try_from(round % EXTRA_ACKED_FILTER_LEN as u64).unwrap_or(0)
}

/// What is restored when loss turns out not to have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Saved {
    pub(super) state: Option<State>,
    bw_shortterm: u64,
    inflight_shortterm: u64,
    inflight_longterm: u64,
}

packed!(Saved {
    state,
    bw_shortterm,
    inflight_shortterm,
    inflight_longterm,
});

impl Bbr {
    /// `BBR.max_bw`.
    pub(super) fn max_bw(&self) -> u64 {
        self.max_bw_filter.max()
    }

    /// BBR-5 `UpdateRound`.
    fn update_round(&mut self) {
        self.round_start = self.rs.prior_delivered >= self.next_round_delivered;
        if self.round_start {
            self.start_round();
            self.round_count = self.round_count.saturating_add(1);
            self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
        }
    }

    pub(super) const fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    pub(super) fn update_latest_delivery_signals(&mut self) {
        self.bw_latest = self.bw_latest.max(self.rs.delivery_rate);
        self.inflight_latest = self.inflight_latest.max(self.rs.delivered);
        self.loss_round_start = self.rs.prior_delivered >= self.loss_round_delivered;
        if self.loss_round_start {
            self.loss_round_delivered = self.delivered;
        }
    }

    pub(super) const fn advance_latest_delivery_signals(&mut self) {
        if self.loss_round_start {
            self.bw_latest = self.rs.delivery_rate;
            self.inflight_latest = self.rs.delivered;
            self.lost_ranges_in_round = 0;
        }
    }

    pub(super) const fn reset_congestion_signals(&mut self) {
        self.is_loss_in_round = false;
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    pub(super) fn update_congestion_signals(&mut self) {
        self.update_round();
        let rate = self.rs.delivery_rate;
        if rate > 0 && (rate >= self.max_bw() || !self.rs.is_app_limited) {
            self.max_bw_filter.update(rate);
        }
        if !self.loss_round_start {
            return;
        }
        // BBR-14 `AdaptLowerBoundsFromCongestion`: once per round trip.
        if !self.is_probing_bw() && self.is_loss_in_round {
            self.lower_bounds();
        }
        self.is_loss_in_round = false;
    }

    /// `InitLowerBounds`, `LossLowerBounds`.
    fn lower_bounds(&mut self) {
        if self.bw_shortterm == INFINITY {
            self.bw_shortterm = self.max_bw();
        }
        if self.inflight_shortterm == INFINITY {
            self.inflight_shortterm = self.cwnd;
        }
        self.bw_shortterm = self.bw_latest.max(beta(self.bw_shortterm));
        self.inflight_shortterm = self.inflight_latest.max(beta(self.inflight_shortterm));
    }

    pub(super) const fn reset_short_term_model(&mut self) {
        self.bw_shortterm = INFINITY;
        self.inflight_shortterm = INFINITY;
    }

    pub(super) fn bound_bw_for_model(&mut self) {
        self.bw = self.max_bw().min(self.bw_shortterm);
    }

    pub(super) fn update_ack_aggregation(&mut self, now: Instant) {
        self.extra_acked.update(
            now,
            self.bw,
            self.rs.newly_acked,
            self.cwnd,
            self.round_count,
        );
    }

    /// BBR-12 `IsInflightTooHigh`.
    pub(super) const fn is_inflight_too_high(&self) -> bool {
        let is_over =
            self.rs.lost.saturating_mul(100) > self.rs.tx_in_flight.saturating_mul(LOSS_THRESH);
        is_over || (self.rs.lost > 0 && !self.has_selective_acks)
    }

    fn handle_inflight_too_high(&mut self, now: Instant) {
        self.prev_probe_too_high = true;
        // Once per probe.
        self.is_bw_probe_sample = false;
        if !self.rs.is_app_limited {
            self.inflight_longterm = self.rs.tx_in_flight.max(beta(self.target_inflight()));
        }
        if self.state == State::ProbeBwUp {
            self.undo.state = Some(State::ProbeBwUp);
            self.start_probe_bw_down(now);
        }
    }

    fn note_loss(&mut self) {
        if !self.is_loss_in_round {
            self.loss_round_delivered = self.delivered;
            self.save_state_upon_loss();
        }
        self.is_loss_in_round = true;
    }

    /// `HandleLostPacket`. What one acknowledgement finds lost is one packet here.
    pub(super) fn handle_lost_packet(&mut self, lost: &LostInfo) {
        self.note_loss();
        self.lost_ranges_in_round = self.lost_ranges_in_round.saturating_add(lost.ranges);
        if !self.is_bw_probe_sample {
            return;
        }
        self.rs = Rs::new(&lost.sample, 0, None);
        if self.is_inflight_too_high() {
            self.rs.tx_in_flight = inflight_at_loss(&self.rs, lost.newly_lost);
            self.handle_inflight_too_high(lost.now);
        }
    }

    /// BBR-21: a round with a congestion mark is a round with too much loss.
    pub(super) fn mark_is_congestion(&mut self, mark: &LossInfo) {
        self.note_loss();
        self.rs.tx_in_flight = mark.flight_size;
        self.rs.is_app_limited = false;
        if self.state == State::Startup {
            self.leave_startup_for_congestion();
        } else if self.is_bw_probe_sample {
            self.handle_inflight_too_high(mark.now);
        }
    }

    /// `SaveStateUponLoss`.
    pub(super) fn save_state_upon_loss(&mut self) {
        self.save_cwnd();
        self.undo = Saved {
            state: None,
            bw_shortterm: self.bw_shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
        };
    }

    /// `HandleSpuriousLossDetection`.
    pub(super) fn handle_spurious_loss(&mut self) {
        let undo = core::mem::take(&mut self.undo);
        self.restore_cwnd();
        self.is_loss_in_round = false;
        self.reset_full_bw();
        self.bw_shortterm = self.bw_shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        match undo.state {
            Some(State::Startup) if self.state != State::Startup => {
                self.full_bw_reached = false;
                if self.state != State::ProbeRtt {
                    self.state = State::Startup;
                }
            }
            Some(State::ProbeBwUp) if !matches!(self.state, State::ProbeBwUp | State::ProbeRtt) => {
                self.start_probe_bw_refill();
            }
            _ => {}
        }
    }
}

/// 0.7 of something.
pub(super) const fn beta(octets: u64) -> u64 {
    octets / 10 * BETA + octets % 10 * BETA / 10
}

/// BBR-13 `InflightAtLoss`: at what volume the losses crossed the threshold, when `size` octets of `rs`
/// were the last that were lost.
fn inflight_at_loss(rs: &Rs, size: u64) -> u64 {
    let inflight_prev = rs.tx_in_flight.saturating_sub(size);
    let lost_prev = rs.lost.saturating_sub(size);
    let tolerated = inflight_prev.saturating_mul(LOSS_THRESH);
    let lost_prefix = tolerated.saturating_sub(lost_prev.saturating_mul(100)) / (100 - LOSS_THRESH);
    inflight_prev.saturating_add(lost_prefix)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn req_bbr_2_the_bandwidth_is_the_largest_of_two_cycles() {
        let mut filter = Filter::default();
        filter.update(50);
        filter.update(30);
        assert_eq!(filter.max(), 50);
        filter.advance();
        filter.update(20);
        assert_eq!(filter.max(), 50);
        filter.advance();
        assert_eq!(filter.max(), 20);
        filter.advance();
        assert_eq!(filter.max(), 20, "nothing was measured since");
    }

    #[test]
    fn req_bbr_2_aggregation_is_remembered_for_ten_rounds_and_two_in_startup() {
        let mut extra = Extra::new(at(0));
        // 1 MB/s expected; 50 kB at once.
        extra.update(at(1), 1_000_000, 50_000, 1_000_000, 1);
        assert_eq!(extra.get(false), 50_000);
        for round in 2..=10 {
            extra.update(at(round * 100), 1_000_000, 1000, 1_000_000, round);
            assert_eq!(extra.get(false), 50_000, "round {round}");
            assert_eq!(extra.get(true) == 50_000, round == 2, "round {round}");
        }
        extra.update(at(1100), 1_000_000, 1000, 1_000_000, 11);
        assert_eq!(extra.get(false), 1000);
        // Never more than the window; and skipped rounds hold nothing.
        extra.update(at(1200), 1_000_000, 50_000, 7000, 40);
        assert_eq!(extra.get(false), 7000);
    }

    #[test]
    fn req_bbr_13_where_in_a_burst_the_threshold_was_crossed() {
        // 98 in flight before, nothing lost; then 40 sent and lost: (2 % of 98) / 0.98 = 2 of them.
        let rs = Rs {
            tx_in_flight: 138_000,
            lost: 40_000,
            ..Rs::default()
        };
        assert_eq!(inflight_at_loss(&rs, 40_000), 100_000);
        // Crossed before: nothing of it.
        let rs = Rs {
            tx_in_flight: 100_000,
            lost: 50_000,
            ..Rs::default()
        };
        assert_eq!(inflight_at_loss(&rs, 1000), 99_000);
        assert_eq!(inflight_at_loss(&Rs::default(), u64::MAX), 0);
    }
}
