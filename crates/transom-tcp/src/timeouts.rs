//! Timeouts (RFC 9293 §3.10.8), and what becomes of a peer that does not answer (§3.8.3).
//!
//! Each expired deadline is acted on once, however late the caller is.

use core::time::Duration;

use crate::congestion::LossKind;
use crate::env::Env;
use crate::event::{CloseReason, Event};
use crate::recv::ack::AckOwed;
use crate::retransmit_timer::Awaited;
use crate::synsent::SynSent;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::Timer;

/// Doublings of the persist interval; the longest timeout bounds it long before.
const MAX_PERSIST_DOUBLINGS: u32 = 16;

impl SynSent {
    /// Acts on the deadlines of SYN-SENT.
    pub(crate) fn on_timeout(&mut self, env: &mut Env, now: Instant) {
        if env.timers.take_expired(Timer::User, now) {
            env.end_unanswered(CloseReason::UserTimeout, None);
            return;
        }
        if !env.timers.take_expired(Timer::Retransmit, now) {
            return;
        }
        // RFC 9293 §3.8.3 MUST-22, MUST-23: the limits R1 and R2 hold for a SYN too.
        if self.transmissions > env.config.syn_retries {
            env.end_unanswered(CloseReason::TimedOut, None);
            return;
        }
        env.counters.timeouts = env.counters.timeouts.wrapping_add(1);
        if self.transmissions == env.config.retries_r1 {
            env.events.push(Event::RetransmittingExcessively);
        }
        // RFC 5461 §4.1: once the network has said that the peer cannot be reached, one more try.
        if let Some(error) = env.soft_error.filter(|_| self.transmissions > 1) {
            env.end(CloseReason::Unreachable(error), None);
            return;
        }
        env.fast_open_timed_out(self.transmissions);
        self.rtt.backoff();
        self.syn_owed = true;
        env.timers.set(Timer::Retransmit, now + self.rtt.rto());
    }
}

impl Tcb {
    /// Acts on every deadline that has passed, until one ends the connection.
    pub(crate) fn on_timeout(&mut self, env: &mut Env, now: Instant) {
        for timer in Timer::ALL {
            if env.ended.is_some() {
                return;
            }
            if env.timers.take_expired(timer, now) {
                self.expired(env, now, timer);
            }
        }
    }

    fn expired(&mut self, env: &mut Env, now: Instant, timer: Timer) {
        match timer {
            Timer::Retransmit => match self.awaited {
                Awaited::Rto => self.retransmission_timeout(env, now),
                Awaited::Probe => self.probe_timeout(env, now),
                Awaited::Reordering => self.reordering_timeout(env, now),
            },
            Timer::Persist => self.persist_timeout(env, now),
            Timer::DelayedAck => {
                if self.rcv.ack == AckOwed::Delayed {
                    self.rcv.ack = AckOwed::Now;
                }
            }
            Timer::KeepAlive => self.keep_alive_timeout(env, now),
            Timer::SendOverride => {
                self.snd.override_due = true;
                // What was to follow has not come: the peer gets the data with PSH.
                self.snd.more = false;
                self.snd.waits_for_more = false;
            }
            // EV-O-8: nobody waits for the peer's FIN any more.
            Timer::FinWait2 | Timer::TimeWait => env.end(CloseReason::Normal, None),
            // EV-O-1: RFC 9293 sends nothing; a reset lets the peer know.
            Timer::User => {
                let reset = self
                    .phase
                    .state()
                    .is_synchronized()
                    .then(|| self.reset(env, now));
                env.end_unanswered(CloseReason::UserTimeout, reset);
            }
            Timer::Linger => self.end_with_reset(env, now, CloseReason::Aborted),
            // What waits is sent when the outputs are drained.
            Timer::Pacing => {}
        }
    }

    /// RFC 6298 §5.4 to §5.6.
    fn retransmission_timeout(&mut self, env: &mut Env, now: Instant) {
        if let Some(handshake) = &mut self.handshake {
            // EV-O-9, EV-X-4.
            if handshake.transmissions > env.config.syn_ack_retries {
                env.end_unanswered(CloseReason::TimedOut, None);
                return;
            }
            handshake.syn_ack_owed = true;
            if let Some(accurate) = &mut self.ecn.accurate {
                accurate.on_syn_ack_timeout();
            }
        } else {
            self.ecn.hold = false;
            if self.snd.in_flight() == 0 {
                return;
            }
            if self.snd.wnd == 0 {
                // SHLD-17: the peer took back its window. It is probed, not given up.
                env.timers.set(Timer::Persist, now);
                return;
            }
            if self.gives_up(env) {
                env.end_unanswered(CloseReason::TimedOut, None);
                return;
            }
            self.believe_doubted_mtu(env, now);
            self.suspect_black_hole(env, now);
            env.fast_open_timed_out(self.snd.retries);
            self.check_app_limited();
            let flight_size = self.recovery.flight_size();
            let due = self.recovery.due();
            if let Some(accurate) = &mut self.ecn.accurate {
                accurate.on_timeout(self.snd.una);
            }
            let mss = self.mss(env);
            let outcome = self
                .recovery
                .on_timeout(now, self.round_trip(), u32::from(mss));
            if self.ecn.in_episode() {
                self.recovery.forget_undo();
            }
            let kind = LossKind::Timeout {
                first: outcome.first,
            };
            self.tell_loss(now, kind, flight_size, mss);
            self.ecn.on_reduction(self.snd.nxt, false);
            let lost = self.recovery.due().saturating_sub(due);
            self.tell_lost(now, lost, outcome.newest_lost, 1);
            self.update_pacing(env);
        }
        env.counters.timeouts = env.counters.timeouts.wrapping_add(1);
        // RFC 6298 §5.5, §5.6.
        self.rtt.backoff();
        self.set_retransmit_timer(env, now + self.rtt.rto());
    }

    /// RFC 9293 §3.8.3 MUST-20: counts one more retransmission; true when R2 is passed.
    fn gives_up(&mut self, env: &mut Env) -> bool {
        let r2 = if self.is_orphan() {
            env.config.orphan_retries
        } else {
            env.config.retries_r2
        };
        if self.snd.retries >= r2 {
            return true;
        }
        self.snd.retries = self.snd.retries.saturating_add(1);
        if self.snd.retries == env.config.retries_r1 {
            // SHLD-9, and negative advice to IP (MUST-20) for whoever routes.
            env.events.push(Event::RetransmittingExcessively);
        }
        false
    }

    /// RFC 9293 §3.8.6.1: probe the closed window, ever more seldom.
    fn persist_timeout(&mut self, env: &mut Env, now: Instant) {
        if self.snd.wnd > 0 && self.snd.usable() > 0 || self.snd.is_idle() {
            return;
        }
        // MUST-37: as long as the peer answers, `probes` starts again (see `heard`). Without an
        // answer the limit R2 holds, and the one for orphans (ZWP-8).
        let limit = if self.is_orphan() {
            env.config.orphan_retries
        } else {
            env.config.retries_r2
        };
        if self.snd.probes >= limit {
            env.end_unanswered(CloseReason::TimedOut, None);
            return;
        }
        // SEC-ZWP-2: a peer that answers and never opens its window must not keep alive what no
        // application waits for.
        if self.is_orphan() && self.snd.persist_backoff >= limit {
            self.end_with_reset(env, now, CloseReason::TimedOut);
            return;
        }
        self.snd.probes = self.snd.probes.saturating_add(1);
        self.snd.persist_backoff = self.snd.persist_backoff.saturating_add(1);
        self.probe_owed = true;
        env.timers
            .set(Timer::Persist, now + self.persist_interval(env));
    }

    /// SHLD-30: doubles up to the longest timeout.
    fn persist_interval(&self, env: &Env) -> Duration {
        let doublings = u32::from(self.snd.persist_backoff).min(MAX_PERSIST_DOUBLINGS);
        self.rtt
            .base_rto()
            .saturating_mul(1 << doublings)
            .min(env.config.rto_max)
    }

    /// RFC 9293 §3.8.4.
    fn keep_alive_timeout(&mut self, env: &mut Env, now: Instant) {
        let Some(keep_alive) = env.config.keep_alive else {
            return;
        };
        // KA-5: only where the connection can last for ever.
        let lasting = matches!(
            self.phase,
            Phase::Established | Phase::CloseWait | Phase::FinWait2 | Phase::FinWait1
        );
        if !lasting {
            return;
        }
        let idle = now.duration_since(self.last_heard);
        // MUST-26: only when nothing is outstanding and nothing was heard.
        if self.snd.in_flight() > 0 || idle < keep_alive.idle {
            let wait = keep_alive
                .idle
                .saturating_sub(idle)
                .max(Duration::from_millis(1));
            let wait = if self.snd.in_flight() > 0 {
                keep_alive.idle
            } else {
                wait
            };
            env.timers.set(Timer::KeepAlive, now + wait);
            return;
        }
        // UTO-4: the application's limit, if there is one, replaces the count.
        let too_long = match env.config.user_timeout {
            Some(limit) => idle >= limit && self.keep_alive_probes > 0,
            None => self.keep_alive_probes >= keep_alive.probes,
        };
        if too_long {
            // KA-4: with a reset, in case the peer is there after all.
            let reset = self.reset(env, now);
            env.end_unanswered(CloseReason::KeepAliveTimedOut, Some(reset));
            return;
        }
        self.keep_alive_probes = self.keep_alive_probes.saturating_add(1);
        self.keep_alive_owed = true;
        env.timers.set(Timer::KeepAlive, now + keep_alive.interval);
    }

    /// The peer was heard, whatever it said.
    pub(crate) fn heard(&mut self, env: &mut Env, now: Instant) {
        self.last_heard = now;
        self.snd.probes = 0;
        if self.keep_alive_probes > 0 || self.keep_alive_owed {
            // KA-3.
            self.keep_alive_probes = 0;
            self.keep_alive_owed = false;
            if let Some(keep_alive) = env.config.keep_alive {
                env.timers.set(Timer::KeepAlive, now + keep_alive.idle);
            }
        }
    }
}
