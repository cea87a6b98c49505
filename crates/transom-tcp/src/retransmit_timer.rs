//! The one timer behind what is outstanding: it waits for the retransmission timeout, for the time
//! to probe the tail, or for the end of a suspicion of loss, never for two of them.

use core::time::Duration;

use transom_wire::SeqRange;

use crate::env::Env;
use crate::pack::packed_choice;
use crate::segment::Segment;
use crate::tcb::Tcb;
use crate::time::{Instant, nanos};
use crate::timer::Timer;

/// Linux's two clock ticks: what a probe waits for at least beyond two round trips.
const PROBE_SLACK: u64 = nanos(Duration::from_millis(2));

/// RFC 7765 §4 `rrthresh`, in segments outstanding or waiting.
const RESTART_BELOW: u32 = 4;

/// What [`Timer::Retransmit`] waits for (RFC 8985 §7.2 TLP-8: one at a time).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Awaited {
    /// The retransmission timeout (RFC 6298).
    #[default]
    Rto,
    /// The probe timeout (RFC 8985 §7.2).
    Probe,
    /// The end of the reordering window (RFC 8985 §6.3).
    Reordering,
}

packed_choice!(Awaited {
    Rto,
    Probe,
    Reordering,
});

impl Tcb {
    /// When the timeout expires of what was sent, or begins to be waited for, at this time.
    fn timeout_from(&self, time: Instant) -> Instant {
        time.after_nanos(self.rtt.rto_nanos())
    }

    /// Sets the retransmission timeout.
    pub(crate) fn set_retransmit_timer(&mut self, env: &mut Env, deadline: Instant) {
        self.awaited = Awaited::Rto;
        env.timers.set(Timer::Retransmit, deadline);
    }

    /// Starts the timer if it does not run.
    pub(crate) fn start_retransmit_timer(&mut self, env: &mut Env, now: Instant) {
        // RFC 6298 §5.1.
        if !env.timers.is_set(Timer::Retransmit) {
            self.set_retransmit_timer(env, self.timeout_from(now));
        }
    }

    /// New data was sent.
    pub(crate) fn new_data_timer(&mut self, env: &mut Env, now: Instant) {
        // Until our SYN-ACK is acknowledged, the timer is the SYN-ACK's.
        // RFC 8985 §7.2 TLP-1: the probe timeout counts from the last new data.
        if self.recovery.wants_probe() && !self.syn_outstanding() {
            self.set_probe_timer(env, now);
        } else {
            self.start_retransmit_timer(env, now);
        }
    }

    /// Something was sent again.
    pub(crate) fn resent_timer(&mut self, env: &mut Env, now: Instant, range: SeqRange) {
        // As Linux: what the timeout waits for is the oldest segment, and its latest copy has just
        // left. Measured from the first copy, the timer may expire shortly before the answer.
        if range.start == self.snd.una && self.awaited == Awaited::Rto {
            self.set_retransmit_timer(env, self.timeout_from(now));
        } else {
            self.start_retransmit_timer(env, now);
        }
    }

    /// Something new was acknowledged, or everything.
    pub(crate) fn restart_retransmit_timer(&mut self, env: &mut Env, now: Instant) {
        if self.snd.in_flight() == 0 {
            // RFC 6298 §5.2.
            env.timers.stop(Timer::Retransmit);
        } else if !env.timers.is_set(Timer::Persist) {
            // A closed window is probed instead, until it opens.
            if self.recovery.wants_probe() {
                self.set_probe_timer(env, now);
            } else {
                // RFC 6298 §5.3.
                let deadline = self.short_timeout(env, now);
                let deadline = deadline.unwrap_or_else(|| self.timeout_from(now));
                self.set_retransmit_timer(env, deadline);
            }
        }
    }

    /// RFC 7765 §4 RTO-13: where too little is outstanding for duplicates to tell of a loss, and too little waits, the timeout
    /// counts from when the oldest segment was sent; unless that has passed.
    fn short_timeout(&self, env: &Env, now: Instant) -> Option<Instant> {
        if !env.config.rto_restart {
            return None;
        }
        let octets = self.snd.in_flight().saturating_add(self.snd.unsent());
        let segments = octets.div_ceil(u32::from(self.mss(env)).max(1));
        let sent = (segments < RESTART_BELOW).then(|| self.recovery.oldest_sent())??;
        Some(self.timeout_from(sent)).filter(|deadline| *deadline > now)
    }

    /// RFC 8985 §7.2 TLP-2.
    fn set_probe_timer(&mut self, env: &mut Env, now: Instant) {
        let wait = match self.rtt.srtt_nanos() {
            // The acknowledgement of a lone segment may be delayed.
            Some(srtt) if self.snd.in_flight() <= u32::from(self.mss(env)) => srtt
                .saturating_mul(2)
                .saturating_add(nanos(env.config.rto_min)),
            Some(srtt) => srtt.saturating_mul(2).saturating_add(PROBE_SLACK),
            None => nanos(env.config.rto_initial),
        };
        let deadline = now.after_nanos(wait).min(self.timeout_of_oldest(now));
        self.awaited = Awaited::Probe;
        env.timers.set(Timer::Retransmit, deadline);
    }

    /// When the oldest octet outstanding is due by RFC 6298, however late it is now.
    fn timeout_of_oldest(&self, now: Instant) -> Instant {
        let sent = self.recovery.oldest_sent().unwrap_or(now);
        self.timeout_from(sent).max(now)
    }

    /// An acknowledgement left something in doubt until `deadline`, or took the doubt away.
    pub(crate) fn await_reordering(
        &mut self,
        env: &mut Env,
        now: Instant,
        deadline: Option<Instant>,
    ) {
        if !env.timers.is_set(Timer::Retransmit) {
            return;
        }
        match deadline {
            // RFC 8985 §6.2 step 5, RACK-9.
            Some(deadline) => {
                self.awaited = Awaited::Reordering;
                env.timers.set(Timer::Retransmit, deadline.max(now));
            }
            None => {
                let is_moot = match self.awaited {
                    Awaited::Rto => false,
                    Awaited::Reordering => true,
                    Awaited::Probe => !self.recovery.wants_probe(),
                };
                if is_moot {
                    self.set_retransmit_timer(env, self.timeout_of_oldest(now));
                }
            }
        }
    }

    /// RFC 8985 §7.3: the tail is to be probed.
    pub(crate) fn probe_timeout(&mut self, env: &mut Env, now: Instant) {
        if self.snd.in_flight() == 0 {
            return;
        }
        self.loss_probe_owed = self.recovery.wants_probe() && self.snd.wnd > 0;
        // TLP-5: whatever is sent, the timeout comes next.
        let deadline = if self.loss_probe_owed {
            self.timeout_from(now)
        } else {
            self.timeout_of_oldest(now)
        };
        self.set_retransmit_timer(env, deadline);
    }

    /// RFC 8985 §6.3: what was waited for has not arrived.
    pub(crate) fn reordering_timeout(&mut self, env: &mut Env, now: Instant) {
        if self.snd.in_flight() == 0 {
            return;
        }
        self.check_app_limited();
        let mss = self.mss(env);
        let before = self.recovery.pipe();
        let outcome = self
            .recovery
            .on_reorder_timeout(now, self.round_trip(), u32::from(mss));
        let mss = self.size_after(env, now, &outcome, mss);
        self.set_retransmit_timer(env, self.timeout_of_oldest(now));
        self.tell_congestion(now, &outcome, before, None, mss, None);
        self.update_pacing(env);
        self.await_reordering(env, now, outcome.reorder_deadline);
    }

    /// The latest time at which the segment can have been sent whose timestamp the peer echoes.
    pub(crate) fn echoed(&self, env: &Env, segment: &Segment) -> Option<Instant> {
        if !self.recovery.wants_echo() {
            return None;
        }
        let (_, ticks) = self.echo(env, segment)?;
        // Both readings of the clock were rounded down.
        Some(segment.received - Duration::from_millis(u64::from(ticks.saturating_sub(1))))
    }
}
