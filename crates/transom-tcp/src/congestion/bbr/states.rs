//! §5.3: Startup, Drain and the cycle that probes for bandwidth.

use core::time::Duration;

use super::{Bbr, INFINITY};
use crate::pack::packed_choice;
use crate::time::Instant;

/// `BBRStartupFullLossCnt`.
const STARTUP_FULL_LOSS_CNT: u32 = 6;
/// Rounds of Drain at most.
const MAX_DRAIN_ROUNDS: u64 = 3;
/// Rounds between probes at most, so that Reno and CUBIC beside us get on.
const MAX_RENO_ROUNDS: u64 = 63;
/// `BBR.Headroom`, in hundredths.
const HEADROOM: u64 = 15;

/// `BBR.state`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

packed_choice!(State {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
});

impl State {
    /// BBR-1: pacing gain in hundredths.
    pub(super) const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::ProbeBwDown => 90,
            Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeRtt => 100,
            Self::ProbeBwUp => 125,
        }
    }

    /// BBR-1: window gain in hundredths.
    pub(super) const fn cwnd_gain(self) -> u64 {
        match self {
            Self::ProbeBwUp => 225,
            Self::ProbeRtt => 50,
            _ => 200,
        }
    }

    /// `IsInAProbeBWState`.
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(
            self,
            Self::ProbeBwDown | Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeBwUp
        )
    }
}

/// `BBR.ack_phase`: what acknowledgements say about a probe for bandwidth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

packed_choice!(AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
});

impl Bbr {
    /// `IsProbingBW`.
    pub(super) const fn is_probing_bw(&self) -> bool {
        matches!(
            self.state,
            State::Startup | State::ProbeBwRefill | State::ProbeBwUp
        )
    }

    pub(super) const fn reset_full_bw(&mut self) {
        self.full_bw = 0;
        self.full_bw_count = 0;
        self.full_bw_now = false;
    }

    /// BBR-6: three rounds without a quarter more, none of them limited by the application.
    pub(super) fn check_full_bw_reached(&mut self) {
        if self.full_bw_now || !self.round_start || self.rs.is_app_limited {
            return;
        }
        if self.rs.delivery_rate.saturating_mul(4) >= self.full_bw.saturating_mul(5) {
            self.reset_full_bw();
            self.full_bw = self.rs.delivery_rate;
            return;
        }
        self.full_bw_count = self.full_bw_count.saturating_add(1);
        self.full_bw_now = self.full_bw_count >= 3;
        self.full_bw_reached |= self.full_bw_now;
    }

    pub(super) fn check_startup_done(&mut self) {
        self.check_startup_high_loss();
        if self.state == State::Startup && self.full_bw_reached {
            self.enter_drain();
        }
    }

    /// BBR-7 `CheckStartupHighLoss`.
    fn check_startup_high_loss(&mut self) {
        if self.state != State::Startup || self.full_bw_reached || !self.in_recovery {
            return;
        }
        let is_too_much = if self.has_selective_acks {
            // A round that began with the first loss is over: recovery has lasted as long.
            self.loss_round_start
                && self.lost_ranges_in_round >= STARTUP_FULL_LOSS_CNT
                && self.is_inflight_too_high()
        } else {
            self.lost_ranges_in_round > 0
        };
        if is_too_much {
            self.leave_startup_for_congestion();
        }
    }

    /// The pipe is full: congestion says so.
    pub(super) fn leave_startup_for_congestion(&mut self) {
        self.undo.state = Some(State::Startup);
        self.full_bw_reached = true;
        self.inflight_longterm = self.bdp(100).max(self.inflight_latest);
        self.enter_drain();
    }

    fn enter_drain(&mut self) {
        self.state = State::Drain;
        self.drain_start_round = self.round_count;
    }

    /// BBR-8.
    pub(super) fn check_drain_done(&mut self, now: Instant) {
        if self.state == State::Drain
            && (self.in_flight <= self.inflight(100)
                || self.round_count > self.drain_start_round + MAX_DRAIN_ROUNDS)
        {
            self.start_probe_bw_down(now);
        }
    }

    pub(super) fn start_probe_bw_down(&mut self, now: Instant) {
        self.reset_congestion_signals();
        self.probe_up_acked_per_inc = INFINITY;
        self.pick_probe_wait();
        self.cycle_stamp = now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.state = State::ProbeBwDown;
    }

    pub(super) const fn start_probe_bw_cruise(&mut self) {
        self.state = State::ProbeBwCruise;
    }

    pub(super) const fn start_probe_bw_refill(&mut self) {
        self.reset_short_term_model();
        self.bw_probe_up_rounds = 0;
        self.bw_probe_up_acked = 0;
        self.prev_probe_precautionary = false;
        self.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.state = State::ProbeBwRefill;
    }

    fn start_probe_bw_up(&mut self) {
        self.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.reset_full_bw();
        self.full_bw = self.rs.delivery_rate;
        self.state = State::ProbeBwUp;
        self.raise_inflight_longterm_slope();
    }

    /// `UpdateProbeBWCyclePhase`.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, now: Instant) {
        if !self.full_bw_reached || self.adapt_long_term_model() {
            return;
        }
        let state = self.state;
        match state {
            State::ProbeBwDown | State::ProbeBwCruise if self.is_time_to_probe_bw(now) => {
                self.start_probe_bw_refill();
            }
            State::ProbeBwDown if self.is_time_to_cruise() => self.start_probe_bw_cruise(),
            // BBR-10: one round of it.
            State::ProbeBwRefill if self.round_start => {
                self.is_bw_probe_sample = true;
                self.start_probe_bw_up();
            }
            State::ProbeBwUp if self.is_time_to_go_down() => {
                self.prev_probe_too_high = false;
                self.start_probe_bw_down(now);
            }
            _ => {}
        }
    }

    /// BBR-9 `PickProbeWait`: by the clock, and by rounds.
    fn pick_probe_wait(&mut self) {
        self.rounds_since_probe_up = self.random_below(2);
        let micros = self.random_below(1_000_000);
        self.bw_probe_wait = Duration::from_secs(2) + Duration::from_micros(micros);
    }

    fn is_time_to_probe_bw(&self, now: Instant) -> bool {
        let has_elapsed = now > self.cycle_stamp + self.bw_probe_wait;
        // Reno would have gained a segment a round, and be back where it was in as many rounds.
        let reno_rounds = self.target_inflight() / self.mss;
        has_elapsed || self.rounds_since_probe_up >= reno_rounds.min(MAX_RENO_ROUNDS)
    }

    fn is_time_to_cruise(&self) -> bool {
        self.in_flight <= self.inflight_with_headroom()
            && self.in_flight <= self.inflight_at(self.max_bw(), 100)
    }

    /// BBR-11.
    fn is_time_to_go_down(&mut self) -> bool {
        if self.prev_probe_too_high && self.in_flight >= self.inflight_longterm {
            self.prev_probe_precautionary = true;
            return true;
        }
        if self.is_cwnd_limited && self.cwnd >= self.inflight_longterm {
            // The bound is what limits the bandwidth.
            self.reset_full_bw();
            self.full_bw = self.rs.delivery_rate;
            return false;
        }
        self.full_bw_now
    }

    /// `InflightWithHeadroom`: room is left for others.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        if self.inflight_longterm == INFINITY {
            return INFINITY;
        }
        let share = self.inflight_longterm.saturating_mul(HEADROOM) / 100;
        self.inflight_longterm
            .saturating_sub(share.max(self.mss))
            .max(self.min_pipe_cwnd())
    }

    fn raise_inflight_longterm_slope(&mut self) {
        let growth = 1_u64 << self.bw_probe_up_rounds.min(30);
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(30);
        self.probe_up_acked_per_inc = (self.cwnd / growth).max(self.mss);
    }

    /// BBR-10 `ProbeInflightLongtermUpward`.
    fn probe_inflight_longterm_upward(&mut self) {
        if !self.is_cwnd_limited || self.cwnd < self.inflight_longterm {
            return;
        }
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(self.rs.newly_acked);
        let per_inc = self.probe_up_acked_per_inc.max(1);
        let delta = self.bw_probe_up_acked / per_inc;
        self.bw_probe_up_acked %= per_inc;
        self.inflight_longterm = self
            .inflight_longterm
            .saturating_add(delta.saturating_mul(self.mss));
        if self.round_start {
            self.raise_inflight_longterm_slope();
        }
    }

    /// `AdaptLongTermModel`; true when it has changed the state.
    fn adapt_long_term_model(&mut self) -> bool {
        if self.ack_phase == AckPhase::ProbeStarting && self.round_start {
            self.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.ack_phase == AckPhase::ProbeStopping && self.round_start {
            self.is_bw_probe_sample = false;
            self.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() && !self.rs.is_app_limited {
                self.max_bw_filter.advance();
            }
            if self.state.is_probe_bw()
                && self.prev_probe_precautionary
                && !self.prev_probe_too_high
            {
                self.start_probe_bw_refill();
                return true;
            }
        }
        if !self.is_inflight_too_high() && self.inflight_longterm < INFINITY {
            self.inflight_longterm = self.inflight_longterm.max(self.rs.tx_in_flight);
            if self.state == State::ProbeBwUp {
                self.probe_inflight_longterm_upward();
            }
        }
        false
    }
}
