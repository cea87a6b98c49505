//! Reno: slow start and congestion avoidance of RFC 5681, counting octets (RFC 3465).

use core::time::Duration;

use super::{
    AckInfo, Algorithm, Controller, LossInfo, LossKind, Phase, Setup, Window, read_into_as,
    write_down_as,
};
use crate::pack::{Packer, Rare, Unpacker, Usual, packed};
use crate::time::Instant;

/// RFC 5681 §3.1: half is left after loss.
const BETA: (u64, u64) = (1, 2);
/// RFC 8511 §3: four fifths after a mark.
const BETA_ECN: (u64, u64) = (4, 5);

/// RFC 5681.
#[derive(Clone, Debug)]
pub struct Reno {
    window: Window,
    /// Octets acknowledged since the window last grew in congestion avoidance.
    acked: u64,
    /// `(cwnd, ssthresh)` before the last episode.
    before_loss: Option<(u64, u64)>,
}

packed!(Reno {
    window,
    acked: Rare,
    before_loss: Rare,
});

impl Reno {
    /// A new connection's controller.
    pub fn new(setup: &Setup) -> Self {
        Self {
            window: Window::new(setup),
            acked: 0,
            before_loss: None,
        }
    }

    /// Limits the growth per acknowledgement in slow start to `segs` segments, the L of RFC 3465
    /// §2.2 (which recommends 2). Default: no limit, as Linux.
    #[must_use]
    pub const fn with_abc_limit(mut self, segs: u32) -> Self {
        self.window.abc_limit_segs = Some(segs);
        self
    }

    /// What came before the first event of an episode is what its undoing goes back to.
    fn remember(&mut self) {
        if self.window.phase == Phase::Open || self.before_loss.is_none() {
            self.before_loss = Some((self.window.cwnd, self.window.ssthresh));
        }
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }

    fn on_ack(&mut self, ack: &AckInfo) {
        // RFC 5681 §3.1 CC-13: a window that did not limit the sender proves nothing.
        if ack.in_recovery || self.window.phase == Phase::FastRecovery {
            return;
        }
        if !ack.is_cwnd_limited {
            if self.in_slow_start() {
                self.window.watch_delay(ack);
            }
            return;
        }
        let mut acked = ack.bytes_acked;
        if self.in_slow_start() {
            acked = self.window.slow_start(acked);
            self.window.watch_delay(ack);
            if self.in_slow_start() {
                return;
            }
        }
        // RFC 5681 §3.1 CC-6 (RFC 3465 §2.1): one SMSS for each window of octets acknowledged.
        self.acked = self.acked.saturating_add(acked);
        if self.acked >= self.window.cwnd {
            self.acked -= self.window.cwnd;
            self.window.grow(self.window.mss);
            // What exceeds a whole further window is no evidence for a second increase.
            self.acked = self.acked.min(self.window.cwnd);
        }
    }

    fn on_loss(&mut self, loss: &LossInfo) {
        self.remember();
        self.window.change_mss(loss.mss);
        self.acked = 0;
        // RFC 5681 §3.1 CC-7: half of FlightSize, not of cwnd, which may be unused.
        let left = self
            .window
            .share(loss.kind, loss.flight_size, BETA, BETA_ECN);
        match loss.kind {
            LossKind::FastRetransmit | LossKind::Ecn => {
                self.window.set_ssthresh(left);
                self.window.set_cwnd(self.window.ssthresh);
                self.window.phase = Phase::FastRecovery;
            }
            LossKind::Timeout { first } => {
                // RFC 5681 §3.1 CC-8: held constant when the same data times out again.
                if first {
                    self.window.set_ssthresh(left);
                }
                // RFC 5681 §3.1 CC-3: the loss window is one full-sized segment.
                self.window.set_cwnd(self.window.mss);
                self.window.phase = Phase::Loss;
            }
        }
    }

    fn on_recovery_exit(&mut self, _now: Instant, flight_size: u64) {
        if self.window.phase == Phase::FastRecovery {
            // RFC 6582 §3.2 step 3 NR-5: min(ssthresh, max(FlightSize, SMSS) + SMSS) prevents
            // a burst when little is outstanding.
            let mss = self.window.mss;
            let flight = flight_size.max(mss).saturating_add(mss);
            self.window.set_cwnd(self.window.ssthresh.min(flight));
        }
        self.window.phase = Phase::Open;
        self.acked = 0;
    }

    fn on_idle_restart(&mut self, _now: Instant, idle: Duration, rto: Duration) {
        self.window.idle_restart(idle, rto);
        self.before_loss = None;
        self.acked = 0;
    }

    fn on_spurious(&mut self) {
        if let Some((cwnd, ssthresh)) = self.before_loss.take() {
            self.window.set_ssthresh(self.window.ssthresh.max(ssthresh));
            self.window.set_cwnd(self.window.cwnd.max(cwnd));
            self.window.phase = Phase::Open;
        }
    }

    fn on_mss_change(&mut self, mss: u64) {
        self.window.change_mss(mss);
    }

    fn set_recovery_cwnd(&mut self, cwnd: u64) {
        self.window.set_cwnd(cwnd);
    }

    fn write_down(&self, to: &mut Packer<'_>) -> bool {
        write_down_as::<Usual, _>(Algorithm::Reno, self, to);
        true
    }

    fn read_into(&mut self, from: &Unpacker<'_>) -> bool {
        read_into_as::<Usual, _>(Algorithm::Reno, self, from)
    }
}

#[cfg(test)]
mod tests;
