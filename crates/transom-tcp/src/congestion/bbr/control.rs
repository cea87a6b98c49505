//! §5.6: pacing rate, send quantum and window.

use core::time::Duration;

use super::states::State;
use super::{Bbr, INFINITY};
use crate::pacing::quantum;
use crate::rate::{per_second, volume};

/// `BBR.PacingMarginPercent`.
const PACING_MARGIN: u64 = 1;

/// `octets` times a gain in hundredths.
const fn scaled(octets: u64, gain: u64) -> u64 {
    (octets / 100).saturating_mul(gain) + octets % 100 * gain / 100
}

impl Bbr {
    /// BBR-17 `InitPacingRate`.
    pub(super) fn init_pacing_rate(&mut self, srtt: Option<Duration>) {
        let nominal = per_second(
            self.initial_window,
            srtt.unwrap_or(Duration::from_millis(1)),
        );
        self.pacing_rate = scaled(nominal, State::Startup.pacing_gain());
    }

    /// `SetPacingRateWithGain`: before the pipe was full, only upwards.
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let rate = scaled(scaled(self.bw, gain), 100 - PACING_MARGIN);
        if self.full_bw_reached || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    pub(super) fn set_pacing_rate(&mut self) {
        self.set_pacing_rate_with_gain(self.state.pacing_gain());
    }

    /// BBR-18 `C.send_quantum`.
    fn send_quantum(&self) -> u64 {
        quantum(self.pacing_rate, self.mss)
    }

    /// `BBR.MinPipeCwnd`.
    pub(super) const fn min_pipe_cwnd(&self) -> u64 {
        self.mss.saturating_mul(4)
    }

    /// `BDPMultiple`.
    pub(super) fn bdp(&self, gain: u64) -> u64 {
        self.bdp_at(self.bw, gain)
    }

    fn bdp_at(&self, bw: u64, gain: u64) -> u64 {
        match self.min_rtt {
            None => self.initial_window,
            Some(rtt) => scaled(volume(bw, rtt), gain),
        }
    }

    /// `TargetInflight`.
    pub(super) fn target_inflight(&self) -> u64 {
        self.bdp(100).min(self.cwnd)
    }

    /// `QuantizationBudget`.
    fn quantization_budget(&self, inflight_cap: u64) -> u64 {
        let offload_budget = self.send_quantum().saturating_mul(3);
        let cap = inflight_cap.max(offload_budget).max(self.min_pipe_cwnd());
        if self.state == State::ProbeBwUp {
            cap.saturating_add(self.mss.saturating_mul(2))
        } else {
            cap
        }
    }

    /// `Inflight(gain)`.
    pub(super) fn inflight(&self, gain: u64) -> u64 {
        self.inflight_at(self.bw, gain)
    }

    /// `Inflight(bw, gain)`.
    pub(super) fn inflight_at(&self, bw: u64, gain: u64) -> u64 {
        self.quantization_budget(self.bdp_at(bw, gain))
    }

    /// BBR-15 `BBR.max_inflight`.
    fn max_inflight(&self) -> u64 {
        let extra = self.extra_acked.get(!self.full_bw_reached);
        let cap = self.bdp(self.state.cwnd_gain()).saturating_add(extra);
        self.quantization_budget(cap)
    }

    /// BBR-15 `SetCwnd`.
    pub(super) fn set_cwnd(&mut self) {
        let max_inflight = self.max_inflight();
        let grown = self.cwnd.saturating_add(self.rs.newly_acked);
        if self.full_bw_reached {
            self.cwnd = grown.min(max_inflight);
        } else if self.cwnd < max_inflight || self.delivered < self.initial_window {
            self.cwnd = grown;
        }
        self.cwnd = self.cwnd.max(self.min_pipe_cwnd());
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_cwnd());
        }
        self.bound_cwnd_for_model();
    }

    pub(super) fn probe_rtt_cwnd(&self) -> u64 {
        self.bdp(State::ProbeRtt.cwnd_gain())
            .max(self.min_pipe_cwnd())
    }

    /// BBR-16 `BoundCwndForModel`.
    pub(super) fn bound_cwnd_for_model(&mut self) {
        let cap = match self.state {
            State::ProbeBwDown | State::ProbeBwRefill | State::ProbeBwUp => self.inflight_longterm,
            State::ProbeBwCruise | State::ProbeRtt => self.inflight_with_headroom(),
            State::Startup | State::Drain => INFINITY,
        };
        let cap = cap.min(self.inflight_shortterm).max(self.min_pipe_cwnd());
        self.cwnd = self.cwnd.min(cap);
    }

    pub(super) fn save_cwnd(&mut self) {
        self.prior_cwnd = if !self.in_recovery && self.state != State::ProbeRtt {
            self.cwnd
        } else {
            self.prior_cwnd.max(self.cwnd)
        };
    }

    pub(super) fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }
}
