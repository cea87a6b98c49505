//! BBR, version 3: `draft-ietf-ccwg-bbr`, the editors' copy of 2026-08-03 (after -06).
//!
//! A model of the path, its bandwidth and its least round trip, says how fast to send (`pacing_rate`) and
//! how much may be in flight (`cwnd`); loss bounds the model instead of halving a window.
//!
//! ```text
//!   Startup ──▶ Drain ──▶ ProbeBW: DOWN ──▶ CRUISE ──▶ REFILL ──▶ UP ──▶ DOWN …
//!      ▲                                │
//!      └──────── ProbeRTT ◀── from any state, when the round trip was not seen at its least for 5 s
//! ```
//!
//! | the draft | file |
//! |---|---|
//! | §5.2 organization: initialization, per ACK, per loss | here |
//! | §5.3 state machine: Startup, Drain, ProbeBW | `states.rs` |
//! | §5.3.4 ProbeRTT, §5.4 restarting from idle | `probe_rtt.rs` |
//! | §5.5 the model: rounds, bandwidth, aggregation, what loss says | `model.rs` |
//! | §5.6 control parameters: pacing rate, quantum, window | `control.rs` |
//!
//! Names are the draft's. Rates are octets per second, volumes octets, gains hundredths.
//!
//! The draft gives no answer to ECN but that a mark is congestion (§3.6). Here a round with a mark is a
//! round with too much loss, once for each window of data.

mod control;
mod model;
mod probe_rtt;
mod states;

use core::time::Duration;

use model::{Extra, Filter, Saved};
use states::{AckPhase, State};

use super::{
    Algorithm, Controller, DeliveryInfo, INFINITE_SSTHRESH, LossInfo, LossKind, LostInfo, MAX_CWND,
    RateSample, SentInfo, Setup, read_into_as, write_down_as,
};
use crate::pack::{Packer, Rare, Unpacker, packed};
use crate::time::Instant;

/// No bound.
const INFINITY: u64 = u64::MAX;

/// `RS` of the acknowledgement, or the loss, under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Rs {
    delivery_rate: u64,
    delivered: u64,
    prior_delivered: u64,
    is_app_limited: bool,
    tx_in_flight: u64,
    lost: u64,
    newly_acked: u64,
    rtt: Option<Duration>,
}

packed!(Rs {
    delivery_rate,
    delivered,
    prior_delivered,
    is_app_limited,
    tx_in_flight,
    lost,
    newly_acked,
    rtt,
});

impl Rs {
    fn new(sample: &RateSample, newly_acked: u64, rtt: Option<Duration>) -> Self {
        Self {
            delivery_rate: sample.delivery_rate.unwrap_or(0),
            delivered: sample.delivered,
            prior_delivered: sample.prior_delivered,
            is_app_limited: sample.is_app_limited,
            tx_in_flight: sample.tx_in_flight,
            lost: sample.lost,
            newly_acked,
            rtt,
        }
    }
}

/// `draft-ietf-ccwg-bbr`.
#[derive(Clone, Debug)]
pub struct Bbr {
    /// `C.SMSS`.
    mss: u64,
    /// `C.InitialCwnd`.
    initial_window: u64,
    /// `C.cwnd`.
    cwnd: u64,
    /// `C.pacing_rate`.
    pacing_rate: u64,
    /// `C.has_selective_acks`.
    has_selective_acks: bool,
    /// `C.inflight`.
    in_flight: u64,
    /// `C.delivered`.
    delivered: u64,
    /// `C.is_cwnd_limited`.
    is_cwnd_limited: bool,
    in_recovery: bool,
    random: u64,
    rs: Rs,

    state: State,
    round_count: u64,
    round_start: bool,
    next_round_delivered: u64,
    idle_restart: bool,
    drain_start_round: u64,

    max_bw_filter: Filter,
    bw_shortterm: u64,
    bw: u64,
    bw_latest: u64,
    inflight_longterm: u64,
    inflight_shortterm: u64,
    inflight_latest: u64,
    extra_acked: Extra,
    loss_round_delivered: u64,
    loss_round_start: bool,
    is_loss_in_round: bool,
    /// Ranges of sequence numbers lost in this round.
    lost_ranges_in_round: u32,

    full_bw_reached: bool,
    full_bw_now: bool,
    full_bw: u64,
    full_bw_count: u8,

    ack_phase: AckPhase,
    is_bw_probe_sample: bool,
    bw_probe_up_acked: u64,
    probe_up_acked_per_inc: u64,
    bw_probe_up_rounds: u32,
    rounds_since_probe_up: u64,
    bw_probe_wait: Duration,
    cycle_stamp: Instant,
    prev_probe_too_high: bool,
    prev_probe_precautionary: bool,

    /// `BBR.min_rtt`; none: infinite.
    min_rtt: Option<Duration>,
    min_rtt_stamp: Instant,
    probe_rtt_min_delay: Option<Duration>,
    probe_rtt_min_stamp: Instant,
    probe_rtt_expired: bool,
    probe_rtt_done_stamp: Option<Instant>,
    probe_rtt_round_done: bool,

    prior_cwnd: u64,
    undo: Saved,
}

packed!(Bbr {
    mss,
    initial_window,
    cwnd,
    pacing_rate,
    has_selective_acks,
    in_flight,
    delivered,
    is_cwnd_limited,
    in_recovery,
    random,
    rs,
    state,
    round_count,
    round_start,
    next_round_delivered,
    idle_restart,
    drain_start_round,
    max_bw_filter,
    bw_shortterm,
    bw,
    bw_latest,
    inflight_longterm,
    inflight_shortterm,
    inflight_latest,
    extra_acked,
    loss_round_delivered,
    loss_round_start,
    is_loss_in_round,
    lost_ranges_in_round,
    full_bw_reached,
    full_bw_now,
    full_bw,
    full_bw_count,
    ack_phase,
    is_bw_probe_sample,
    bw_probe_up_acked,
    probe_up_acked_per_inc,
    bw_probe_up_rounds,
    rounds_since_probe_up,
    bw_probe_wait,
    cycle_stamp,
    prev_probe_too_high,
    prev_probe_precautionary,
    min_rtt,
    min_rtt_stamp,
    probe_rtt_min_delay,
    probe_rtt_min_stamp,
    probe_rtt_expired,
    probe_rtt_done_stamp,
    probe_rtt_round_done,
    prior_cwnd,
    undo,
});

impl Bbr {
    /// A new connection's controller.
    pub fn new(setup: &Setup) -> Self {
        let mss = setup.mss.max(1);
        let initial_window = setup.initial_window.max(mss);
        let mut bbr = Self {
            mss,
            initial_window,
            cwnd: initial_window,
            pacing_rate: 0,
            has_selective_acks: setup.selective_acks,
            in_flight: 0,
            delivered: 0,
            is_cwnd_limited: false,
            in_recovery: false,
            // Any odd number: the generator must not stand at 0.
            random: setup.seed | 1,
            rs: Rs::default(),
            state: State::Startup,
            round_count: 0,
            round_start: false,
            next_round_delivered: 0,
            idle_restart: false,
            drain_start_round: 0,
            max_bw_filter: Filter::default(),
            bw_shortterm: INFINITY,
            bw: 0,
            bw_latest: 0,
            inflight_longterm: INFINITY,
            inflight_shortterm: INFINITY,
            inflight_latest: 0,
            extra_acked: Extra::new(setup.now),
            loss_round_delivered: 0,
            loss_round_start: false,
            is_loss_in_round: false,
            lost_ranges_in_round: 0,
            full_bw_reached: false,
            full_bw_now: false,
            full_bw: 0,
            full_bw_count: 0,
            ack_phase: AckPhase::Init,
            is_bw_probe_sample: false,
            bw_probe_up_acked: 0,
            probe_up_acked_per_inc: INFINITY,
            bw_probe_up_rounds: 0,
            rounds_since_probe_up: 0,
            bw_probe_wait: Duration::ZERO,
            cycle_stamp: setup.now,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
            min_rtt: None,
            min_rtt_stamp: setup.now,
            probe_rtt_min_delay: None,
            probe_rtt_min_stamp: setup.now,
            probe_rtt_expired: false,
            probe_rtt_done_stamp: None,
            probe_rtt_round_done: false,
            prior_cwnd: 0,
            undo: Saved::default(),
        };
        bbr.init_pacing_rate(None);
        bbr
    }

    /// `UpdateModelAndState`, `UpdateControlParameters`.
    fn update_on_ack(&mut self, now: Instant) {
        self.update_latest_delivery_signals();
        self.update_congestion_signals();
        self.update_ack_aggregation(now);
        self.check_full_bw_reached();
        self.check_startup_done();
        self.check_drain_done(now);
        self.update_probe_bw_cycle_phase(now);
        self.update_min_rtt(now);
        self.check_probe_rtt(now);
        self.advance_latest_delivery_signals();
        self.bound_bw_for_model();
        self.set_pacing_rate();
        self.set_cwnd();
    }

    /// A number below `bound`, from a generator that needs to mix flows and nothing else.
    fn random_below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // The low bits are the weaker ones.
        (self.random >> 16) % bound.max(1)
    }
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn cwnd(&self) -> u64 {
        self.cwnd.clamp(self.mss, MAX_CWND.max(self.mss))
    }

    /// BBR knows none.
    fn ssthresh(&self) -> u64 {
        INFINITE_SSTHRESH
    }

    /// All that BBR needs of an acknowledgement comes with [`Self::on_delivery`].
    fn on_ack(&mut self, _ack: &super::AckInfo) {}

    fn on_loss(&mut self, loss: &LossInfo) {
        self.mss = loss.mss.max(1);
        match loss.kind {
            LossKind::FastRetransmit => {
                self.save_state_upon_loss();
                self.in_recovery = true;
            }
            LossKind::Timeout { .. } => {
                self.save_state_upon_loss();
                self.in_recovery = true;
                // §5.6.4.4 BBR-20: one segment more than what is believed to be in flight.
                self.cwnd = loss.in_flight.saturating_add(self.mss);
            }
            LossKind::Ecn => self.mark_is_congestion(loss),
        }
    }

    fn on_recovery_exit(&mut self, _now: Instant, _flight_size: u64) {
        self.in_recovery = false;
        self.restore_cwnd();
        self.bound_cwnd_for_model();
    }

    /// §5.4: the window stays as it is, because what is sent next is paced.
    fn on_idle_restart(&mut self, _now: Instant, _idle: Duration, _rto: Duration) {}

    fn on_spurious(&mut self) {
        self.handle_spurious_loss();
        self.bound_cwnd_for_model();
    }

    fn on_mss_change(&mut self, mss: u64) {
        self.mss = mss.max(1);
    }

    fn on_sent(&mut self, sent: &SentInfo) {
        if sent.in_flight_before == 0 && sent.is_app_limited {
            self.restart_from_idle(sent.now);
        }
    }

    fn wants_samples(&self) -> bool {
        true
    }

    fn on_handshake(&mut self, now: Instant, rtt: Duration) {
        self.min_rtt = Some(rtt);
        self.min_rtt_stamp = now;
        self.probe_rtt_min_stamp = now;
        self.extra_acked.restart(now);
        self.init_pacing_rate(Some(rtt));
    }

    fn on_lost(&mut self, lost: &LostInfo) {
        self.handle_lost_packet(lost);
    }

    fn on_delivery(&mut self, delivery: &DeliveryInfo) {
        self.in_flight = delivery.in_flight;
        self.is_cwnd_limited = delivery.is_cwnd_limited;
        let Some(sample) = &delivery.sample else {
            return;
        };
        self.in_recovery = delivery.in_recovery;
        self.delivered = sample.total_delivered;
        self.rs = Rs::new(sample, delivery.newly_acked, delivery.rtt);
        self.update_on_ack(delivery.now);
    }

    fn limits_delivery(&self) -> bool {
        // §5.3.4.3: what ProbeRTT measures is no bandwidth.
        self.state == State::ProbeRtt
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate.max(1))
    }

    fn in_slow_start(&self) -> bool {
        self.state == State::Startup
    }

    /// §5.6.4.4: recovery is governed by the model; proportional rate reduction has no part in it.
    fn set_recovery_cwnd(&mut self, _cwnd: u64) {}

    fn write_down(&self, to: &mut Packer<'_>) -> bool {
        write_down_as::<Rare, _>(Algorithm::Bbr, self, to);
        true
    }

    fn read_into(&mut self, from: &Unpacker<'_>) -> bool {
        read_into_as::<Rare, _>(Algorithm::Bbr, self, from)
    }
}

#[cfg(test)]
mod tests;
