//! CUBIC (RFC 9438) in integers: the engine has no floating point.
//!
//! Octets for windows, milliseconds for the time since the epoch's start. The RFC counts windows
//! in segments; multiplied by SMSS its equations are
//!
//! ```text
//! W_cubic(t) = C·SMSS·(t − K)³ + W_max            C = 0.4 segments/s³        (figure 1)
//! K          = ∛((W_max − cwnd_epoch) / (C·SMSS))                            (figure 2)
//! W_est     += α_cubic · SMSS · acked / cwnd      α = 3·(1−β)/(1+β) = 9/17   (figure 4)
//! ```
//!
//! One thing the RFC does not ask for, and Linux does: after a slow start that ended without loss (§4.10) the window grows by at least a
//! twentieth of itself each round trip until the first congestion event. The plateau there is no window at which anything was lost, only
//! the place where the round trip began to grow; whoever else began to use the path at the same time goes on, and the curve alone
//! would need half a minute to make up for it. Not on a path that reorders ([`AckInfo::reorders`]).

use alloc::boxed::Box;
use core::time::Duration;

use super::{
    AckInfo, Algorithm, Controller, LossInfo, LossKind, Phase, SentInfo, Setup, Window,
    read_into_as, write_down_as,
};
use crate::pack::{In, Packer, Rare, Unpacker, Usual, packed};
use crate::time::Instant;

/// β_cubic = 0.7 (RFC 9438 §4.6).
const BETA: (u64, u64) = (7, 10);
/// β_ecn = 0.85 (RFC 8511 §3).
const BETA_ECN: (u64, u64) = (17, 20);
/// (1 + β_cubic) / 2 = 0.85 (RFC 9438 §4.7).
const FAST_CONVERGENCE: (u64, u64) = (17, 20);
/// α_cubic = 3·(1 − β)/(1 + β) = 0.9/1.7 (RFC 9438 §4.3).
const ALPHA: (u64, u64) = (9, 17);
/// The part of the window by which it grows each round trip at least while nothing has ever been lost.
const SEARCH: u64 = 20;
/// ms³ in which one SMSS is gained from the plateau: 1 / C = 2.5 s³.
const CUBE_MILLIS_PER_SEGMENT: u64 = 2_500_000_000;
/// (2^21 ms)³ < 2^63: 35 minutes from the plateau the window has long reached its maximum.
const MAX_MILLIS: u64 = 1 << 21;

/// A period of congestion avoidance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Epoch {
    /// When it began; moved forward by the time in which the window was not used.
    start: Instant,
    /// Time from its start to the plateau.
    k: Duration,
    /// Height of the plateau: W_max, or cwnd at the start when that is higher.
    origin: u64,
    /// What Reno would have by now.
    w_est: u64,
    /// Remainder of the division that grows `w_est`, in 17ths of octet·octets.
    w_est_rest: u64,
}

packed!(Epoch {
    start,
    k,
    origin,
    w_est,
    w_est_rest,
});

/// All that a congestion event changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Saved {
    cwnd: u64,
    ssthresh: u64,
    cwnd_prior: u64,
    w_max: u64,
    epoch: Option<Epoch>,
    searches: bool,
}

packed!(Saved {
    cwnd,
    ssthresh,
    cwnd_prior,
    w_max,
    epoch,
    searches,
});

/// RFC 9438.
#[derive(Clone, Debug)]
pub struct Cubic {
    window: Window,
    /// Window just before the last reduction; 0: there was none.
    w_max: u64,
    /// Window at the last reduction, without fast convergence; decides when α becomes 1.
    cwnd_prior: u64,
    epoch: Option<Epoch>,
    /// The next epoch begins at its own plateau (after a timeout).
    plateau_next: bool,
    /// There was no congestion event yet, so that nothing is known of what the path takes: the plateau is only where
    /// slow start ended.
    searches: bool,
    /// Remainder of the division by cwnd that grows it.
    growth_rest: u64,
    /// Last time the window was in use: until here the epoch's clock runs.
    last_used: Instant,
    before_loss: Option<Box<Saved>>,
}

packed!(Cubic {
    window,
    w_max: Rare,
    cwnd_prior: Rare,
    epoch: Rare,
    plateau_next,
    searches: In<1>,
    growth_rest: Rare,
    last_used,
    before_loss: Rare,
});

impl Cubic {
    /// A new connection's controller.
    pub fn new(setup: &Setup) -> Self {
        Self {
            window: Window::new(setup),
            w_max: 0,
            cwnd_prior: 0,
            epoch: None,
            plateau_next: false,
            searches: true,
            growth_rest: 0,
            last_used: setup.now,
            before_loss: None,
        }
    }

    /// The window before the last reduction (W_max), in octets; 0 when there was none.
    pub const fn w_max(&self) -> u64 {
        self.w_max
    }

    /// Time from the epoch's start to its plateau (K).
    pub fn k(&self) -> Option<Duration> {
        self.epoch.map(|epoch| epoch.k)
    }

    /// The Reno-friendly window (W_est), in octets.
    pub fn w_est(&self) -> Option<u64> {
        self.epoch.map(|epoch| epoch.w_est)
    }

    /// Moves the epoch so that time in which the window was not used does not count.
    fn skip_unused(&mut self, now: Instant) {
        // RFC 9438 §5.8 CUB-9: t must not include periods limited by the application.
        let unused = now.duration_since(self.last_used);
        if let Some(epoch) = &mut self.epoch {
            epoch.start = (epoch.start + unused).min(now);
        }
        self.last_used = now;
    }

    fn begin_epoch(&mut self, now: Instant) -> Epoch {
        let cwnd = self.window.cwnd;
        let below = self.w_max.saturating_sub(cwnd);
        let plateau = core::mem::take(&mut self.plateau_next) || below == 0;
        let (k, origin) = if plateau {
            // RFC 9438 §4.8 CUB-10: after a timeout K = 0 and W_max = cwnd; the same holds when
            // the window already exceeds the old plateau.
            self.w_max = cwnd;
            (Duration::ZERO, cwnd)
        } else {
            (time_to_plateau(below, self.window.mss), self.w_max)
        };
        self.growth_rest = 0;
        // RFC 9438 §4.3 CUB-5: W_est starts at cwnd_epoch.
        Epoch {
            start: now,
            k,
            origin,
            w_est: cwnd,
            w_est_rest: 0,
        }
    }

    fn congestion_avoidance(&mut self, ack: &AckInfo, acked: u64) {
        let srtt = ack.srtt.or(ack.rtt).unwrap_or_default();
        let mut epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.begin_epoch(ack.now),
        };
        let cwnd = self.window.cwnd.max(1);
        let mss = self.window.mss;
        // RFC 9438 §4.3 CUB-6: α is 1 once the window before the reduction is reached again.
        let alpha = if epoch.w_est < self.cwnd_prior {
            ALPHA.0
        } else {
            ALPHA.1
        };
        let gain = alpha.saturating_mul(mss).saturating_mul(acked);
        let gain = gain.saturating_add(epoch.w_est_rest);
        let divisor = ALPHA.1.saturating_mul(cwnd);
        epoch.w_est = epoch.w_est.saturating_add(gain / divisor);
        epoch.w_est_rest = gain % divisor;

        let t = ack.now.duration_since(epoch.start);
        let is_friendly = w_cubic(t, epoch.k, epoch.origin, mss) < epoch.w_est;
        // RFC 9438 §4.2 CUB-3: target = W_cubic(t + RTT), within cwnd and 1.5·cwnd.
        let curve = if is_friendly {
            cwnd
        } else {
            w_cubic(t.saturating_add(srtt), epoch.k, epoch.origin, mss)
        };
        let least = if self.searches && !ack.reorders {
            cwnd + cwnd / SEARCH
        } else {
            cwnd
        };
        let target = curve.clamp(least, cwnd + cwnd / 2);
        // RFC 9438 §4.4 CUB-4: (target − cwnd)/cwnd segments for each segment acknowledged.
        let gain = (target - cwnd)
            .saturating_mul(acked)
            .saturating_add(self.growth_rest);
        self.window.grow(gain / cwnd);
        self.growth_rest = gain % cwnd;
        if is_friendly {
            // RFC 9438 §4.3: in the Reno-friendly region the window is W_est.
            self.window.set_cwnd(self.window.cwnd.max(epoch.w_est));
        }
        self.epoch = Some(epoch);
    }

    /// RFC 9438 §4.6 and §4.7: what every congestion event does before it sets the window.
    fn reduce(&mut self, left: u64) {
        let cwnd = self.window.cwnd;
        self.window.set_ssthresh(left);
        self.cwnd_prior = cwnd;
        // RFC 9438 §4.7 CUB-8: a flow that did not reach its old maximum gives room to new ones.
        self.w_max = if cwnd < self.w_max {
            cwnd.saturating_mul(FAST_CONVERGENCE.0) / FAST_CONVERGENCE.1
        } else {
            cwnd
        };
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }

    fn on_ack(&mut self, ack: &AckInfo) {
        if ack.in_recovery || self.window.phase == Phase::FastRecovery {
            self.last_used = ack.now;
            return;
        }
        if !ack.is_cwnd_limited {
            self.skip_unused(ack.now);
            if self.in_slow_start() {
                self.window.watch_delay(ack);
            }
            return;
        }
        self.last_used = ack.now;
        let mut acked = ack.bytes_acked;
        if self.in_slow_start() {
            acked = self.window.slow_start(acked);
            if self.window.watch_delay(ack) {
                // RFC 9438 §4.10 CUB-12: slow start ended without loss, so that the curve begins
                // at its plateau: K = 0 and W_max = cwnd.
                self.cwnd_prior = self.window.cwnd;
                self.plateau_next = true;
                self.epoch = None;
            }
        }
        if acked > 0 && !self.in_slow_start() {
            self.congestion_avoidance(ack, acked);
        }
    }

    fn on_loss(&mut self, loss: &LossInfo) {
        // What came before the first event of an episode is what its undoing goes back to.
        if self.window.phase == Phase::Open || self.before_loss.is_none() {
            self.before_loss = Some(Box::new(Saved {
                cwnd: self.window.cwnd,
                ssthresh: self.window.ssthresh,
                cwnd_prior: self.cwnd_prior,
                w_max: self.w_max,
                epoch: self.epoch,
                searches: self.searches,
            }));
        }
        self.window.change_mss(loss.mss);
        self.searches = false;
        self.epoch = None;
        // RFC 9438 §4.6 CUB-7: of what is in flight; or of the window, as Linux does, where it is not allowed to grow
        // without being used (CC-13) and was used. A burst that waits for its turn would else deepen every reduction.
        let size = match loss.kind {
            LossKind::FastRetransmit if loss.is_cwnd_limited => self.window.cwnd,
            _ => loss.flight_size,
        };
        let left = self.window.share(loss.kind, size, BETA, BETA_ECN);
        match loss.kind {
            LossKind::FastRetransmit | LossKind::Ecn => {
                self.reduce(left);
                // RFC 9438 §4.6 CUB-7: at least two segments after loss, which ssthresh already
                // is; at least one after a congestion mark.
                let cwnd = match loss.kind {
                    LossKind::Ecn => left,
                    _ => self.window.ssthresh,
                };
                self.window.set_cwnd(cwnd);
                self.plateau_next = false;
                self.window.phase = Phase::FastRecovery;
            }
            LossKind::Timeout { first } => {
                // RFC 9438 §4.8 CUB-10: as Reno, but with β_cubic.
                if first {
                    self.reduce(left);
                }
                self.window.set_cwnd(self.window.mss);
                self.plateau_next = true;
                self.window.phase = Phase::Loss;
            }
        }
    }

    fn on_recovery_exit(&mut self, now: Instant, _flight_size: u64) {
        if self.window.phase == Phase::FastRecovery {
            // RFC 6582 §3.2 step 3 NR-5, second option, as Linux and RFC 9937 §6.3: the window
            // continues from ssthresh, which is where the next epoch's curve begins.
            self.window.set_cwnd(self.window.ssthresh);
        }
        self.window.phase = Phase::Open;
        self.last_used = now;
    }

    fn on_idle_restart(&mut self, now: Instant, idle: Duration, rto: Duration) {
        self.window.idle_restart(idle, rto);
        self.before_loss = None;
        self.skip_unused(now);
    }

    fn on_spurious(&mut self) {
        // RFC 9438 §4.9.1 CUB-13: all variables as before, unless the window has grown past them.
        if let Some(saved) = self.before_loss.take()
            && self.window.cwnd < saved.cwnd
        {
            self.window.set_cwnd(saved.cwnd);
            self.window.set_ssthresh(saved.ssthresh);
            self.cwnd_prior = saved.cwnd_prior;
            self.w_max = saved.w_max;
            self.epoch = saved.epoch;
            self.searches = saved.searches;
            self.plateau_next = false;
            self.window.phase = Phase::Open;
        }
    }

    fn on_mss_change(&mut self, mss: u64) {
        self.window.change_mss(mss);
    }

    fn on_sent(&mut self, sent: &SentInfo) {
        if sent.in_flight_before == 0 {
            self.skip_unused(sent.now);
        }
    }

    fn in_slow_start(&self) -> bool {
        // RFC 9438 §4.10 says "cwnd ≤ ssthresh" for continuing slow start and RFC 5681 allows
        // either when equal; after a reduction both are equal and the curve has to take over.
        self.window.cwnd < self.window.ssthresh
    }

    fn set_recovery_cwnd(&mut self, cwnd: u64) {
        self.window.set_cwnd(cwnd);
    }

    fn write_down(&self, to: &mut Packer<'_>) -> bool {
        write_down_as::<Usual, _>(Algorithm::Cubic, self, to);
        true
    }

    fn read_into(&mut self, from: &Unpacker<'_>) -> bool {
        read_into_as::<Usual, _>(Algorithm::Cubic, self, from)
    }
}

/// W_cubic(t) in octets: `origin + C·SMSS·(t − K)³`, never below zero.
fn w_cubic(t: Duration, k: Duration, origin: u64, mss: u64) -> u64 {
    let (distance, above) = if t >= k {
        (t.saturating_sub(k), true)
    } else {
        (k.saturating_sub(t), false)
    };
    let millis = u64::try_from(distance.as_millis())
        .unwrap_or(u64::MAX)
        .min(MAX_MILLIS);
    let cube = millis * millis * millis;
    // Divided in two steps, so that nothing overflows and the remainder is not lost:
    // (2^63 / 2.5e9)·SMSS + 2.5e9·SMSS stays below 2^64 for every SMSS below 2^31.
    let whole = (cube / CUBE_MILLIS_PER_SEGMENT).saturating_mul(mss);
    let rest = (cube % CUBE_MILLIS_PER_SEGMENT).saturating_mul(mss) / CUBE_MILLIS_PER_SEGMENT;
    let offset = whole.saturating_add(rest);
    if above {
        origin.saturating_add(offset)
    } else {
        origin.saturating_sub(offset)
    }
}

/// K: how long the curve takes to gain `below` octets.
fn time_to_plateau(below: u64, mss: u64) -> Duration {
    // ∛(below / (0.4·SMSS)) in microseconds: 1e18 µs³ to the s³.
    let cube = u128::from(below) * 2_500_000_000_000_000_000 / u128::from(mss.max(1));
    Duration::from_micros(cube_root(cube))
}

/// ⌊∛value⌋, exactly, for values below 2^126 (the result then fits 42 bits).
fn cube_root(value: u128) -> u64 {
    let mut root: u64 = 0;
    let mut bit: u64 = 1 << 41;
    while bit > 0 {
        let candidate = root | bit;
        let wide = u128::from(candidate);
        if wide * wide * wide <= value {
            root = candidate;
        }
        bit >>= 1;
    }
    root
}

#[cfg(test)]
mod tests;
