//! Data that was never sent: whether it may go now, how much of it, and what waits if it may not.

use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

use super::Plan;
use crate::congestion::SentInfo;
use crate::env::Env;
use crate::segment::{RetransmitCause, TransmitKind};
use crate::send::Fin;
use crate::send::when::{Hold, Offer, Verdict, decide};
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

impl Tcb {
    /// Data that was never sent.
    pub(super) fn new_data(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Plan> {
        if self.snd.unsent() == 0 {
            return None;
        }
        let max_payload = self.most_at_once(env, max_payload);
        self.restart_after_idle(env, now);
        if self.mtu_search.is_some()
            && let Some(larger) = self.larger_segment(env, now)
        {
            return Some(larger);
        }
        self.fresh(env, now, max_payload, false)
    }

    /// RFC 8985 §7.3 TLP-4: one segment as a tail loss probe, whatever the congestion window says:
    /// a new one if there is one and the peer's window has room, else the last one again.
    pub(super) fn loss_probe(&mut self, env: &mut Env, now: Instant) -> Option<Plan> {
        if !core::mem::take(&mut self.loss_probe_owed) || !self.recovery.wants_probe() {
            return None;
        }
        if self.snd.unsent() > 0
            && let Some(probe) = self.fresh(env, now, 0, true)
        {
            self.recovery.on_probe_sent(false);
            return Some(probe);
        }
        let mss = self.segment_size(env, now, false);
        let mut range = self.recovery.probe_range(u32::from(mss))?;
        // RFC 9293 §3.8.6 SHLD-16: not beyond a window that has shrunk; the timeout does the rest.
        if range.start.ge(self.snd.window_end()) {
            return None;
        }
        range.end = range.end.min(self.snd.window_end());
        let kind = TransmitKind::Retransmit(RetransmitCause::TailLossProbe);
        let probe = self.send_again(env, now, range, kind, mss);
        self.recovery.on_probe_sent(true);
        Some(probe)
    }

    fn fresh(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
        is_probe: bool,
    ) -> Option<Plan> {
        let mss = self.segment_size(env, now, true);
        let mut offer = self.offer(env, mss, max_payload);
        if is_probe {
            offer.cwnd_room = offer.cwnd_room.max(u32::from(mss));
            offer.override_due = true;
            offer.may_defer = false;
        }
        let len = match decide(&offer) {
            Verdict::Send(len) => len,
            Verdict::Hold(_) if is_probe => return None,
            Verdict::Hold(hold) => {
                self.held(env, now, hold);
                return self.speculative(env, now, max_payload);
            }
        };
        let seq = self.snd.nxt;
        let end = seq + len;
        let is_last = end == self.snd.queue.end();
        let mut flags = Flags::ACK | self.ecn.take_cwr();
        // RFC 9293 §3.9.1.2 MUST-61, SHLD-27: on the last segment of what was written, or of a
        // burst, but never on what the application holds back; a FIN means that nothing follows.
        let held_back =
            !self.snd.fin_waits() && (self.snd.more || (self.snd.cork && !self.snd.override_due));
        if (is_last && !held_back) || len > u32::from(mss) {
            flags |= Flags::PSH;
        }
        // EV-X-15: the FIN rides along if the window has room for it.
        let fin = is_last && self.snd.fin_waits() && offer.usable > len;
        if fin {
            flags |= Flags::FIN;
            self.snd.fin = Fin::Sent;
        }
        self.sent_new(
            env,
            now,
            SeqRange {
                start: seq,
                end: end + u32::from(fin),
            },
            len,
            mss,
        );
        let kind = if fin {
            TransmitKind::Fin
        } else {
            TransmitKind::Data
        };
        Some(Plan {
            seq,
            flags,
            len,
            kind,
            mss,
            new: true,
            sack: true,
        })
    }

    /// RFC 5681 §4.1: a window that was not used for a while says nothing about the path.
    fn restart_after_idle(&mut self, env: &Env, now: Instant) {
        let is_wanted = env.config.restart_after_idle && env.counters.bytes_sent > 0;
        if self.snd.in_flight() > 0 || !is_wanted {
            return;
        }
        if now.nanos_since(self.snd.last_sent) > self.rtt.rto_nanos() {
            let idle = now.duration_since(self.snd.last_sent);
            let rto = self.rtt.rto();
            self.congestion.on_idle_restart(now, idle, rto);
            self.snd.last_sent = now;
        }
    }

    fn offer(&self, env: &Env, mss: u16, max_payload: usize) -> Offer {
        let mss = u32::from(mss.max(1));
        let cwnd = self.congestion.cwnd();
        let pipe = self.recovery.pipe();
        // RFC 3042: two segments more for the first duplicate acknowledgements.
        let allowance = self.recovery.limited_transmit_allowance(mss);
        let room = cwnd.saturating_add(allowance).saturating_sub(pipe);
        // RFC 3168 §6.1.2 ECN-9.
        let on_hold = self.ecn.hold && env.timers.is_set(Timer::Retransmit);
        let room = if on_hold { 0 } else { room };
        let in_recovery = self.recovery.is_recovering();
        let window = cwnd.min(u64::from(self.snd.wnd));
        Offer {
            unsent: self.snd.unsent(),
            usable: self.snd.usable(),
            cwnd_room: saturate(room),
            mss,
            max_payload: u32::try_from(max_payload).unwrap_or(u32::MAX),
            max_wnd: self.snd.max_wnd,
            window: saturate(window),
            per_millisecond: if max_payload > mss as usize {
                saturate(self.per_millisecond(cwnd))
            } else {
                // No super-segment waits to grow.
                0
            },
            in_flight: self.snd.in_flight(),
            small_unacked: self.snd.small_end.gt(self.snd.una),
            nodelay: env.config.nodelay,
            cork: self.snd.cork || self.snd.waits_for_more,
            flush: self.snd.fin_waits() || self.snd.up.is_some_and(|up| up.gt(self.snd.nxt)),
            override_due: self.snd.override_due,
            may_defer: !in_recovery,
        }
    }

    /// Octets that a millisecond carries at twice the rate of one window per round trip, as Linux
    /// sizes its super-segments.
    fn per_millisecond(&self, cwnd: u64) -> u64 {
        let micros = (self.rtt.srtt_nanos().unwrap_or(0) / 1000).max(1);
        cwnd.saturating_mul(2000) / micros
    }

    /// Starts what will end the waiting, where no acknowledgement will.
    fn held(&mut self, env: &mut Env, now: Instant, hold: Hold) {
        match hold {
            Hold::Congestion => self.snd.cwnd_limited = true,
            Hold::Window => self.await_window(env, now),
            // RFC 9293 §3.8.6.2.1: the override; while something is in flight its acknowledgement
            // comes first.
            Hold::SillyWindow if self.snd.in_flight() == 0 => {
                env.timers
                    .start(Timer::SendOverride, now + env.config.sws_override);
            }
            // NAG-4.
            Hold::Cork => env
                .timers
                .start(Timer::SendOverride, now + env.config.cork_limit),
            Hold::SillyWindow | Hold::Small | Hold::Empty => {}
        }
    }

    /// The window is closed and something waits: probe it when nothing is in flight that would be
    /// acknowledged, or when the peer took the window back under what is.
    pub(crate) fn await_window(&self, env: &mut Env, now: Instant) {
        if self.snd.wnd > 0 && self.snd.in_flight() > 0 {
            return;
        }
        if !env.timers.is_set(Timer::Persist) {
            // RFC 9293 §3.8.6.1 SHLD-29: first after one RTO. Only one of the two timers runs.
            env.timers.stop(Timer::Retransmit);
            env.timers.set(Timer::Persist, now + self.rtt.base_rto());
        }
    }

    /// Book-keeping for sequence space that was sent for the first time.
    pub(crate) fn sent_new(
        &mut self,
        env: &mut Env,
        now: Instant,
        range: SeqRange,
        len: u32,
        mss: u16,
    ) {
        let before = self.recovery.pipe();
        self.snd.nxt = range.end;
        self.snd.probe_outstanding = false;
        self.snd.override_due = false;
        if !len.is_multiple_of(u32::from(mss.max(1))) {
            self.snd.small_end = range.end;
        }
        self.snd.last_sent = now;
        self.rcv.on_data_sent(env.config.delayed_ack, now);
        self.note_sent(range, false, now);
        self.pace(now, u64::from(len), mss, before == 0);
        let in_flight = self.recovery.pipe();
        if self.snd.una.ge(self.snd.usage_start) {
            self.snd.usage_start = range.end;
            self.snd.cwnd_limited_before = core::mem::take(&mut self.snd.cwnd_limited);
            self.snd.max_in_flight_before = core::mem::take(&mut self.snd.max_in_flight);
        }
        self.snd.max_in_flight = self.snd.max_in_flight.max(saturate(in_flight));
        self.congestion.on_sent(&SentInfo {
            now,
            bytes: u64::from(len),
            in_flight_before: before,
            is_app_limited: self.is_app_limited(),
        });
        if in_flight.saturating_add(u64::from(mss)) > self.congestion.cwnd() {
            self.snd.cwnd_limited = true;
        }
        if before == 0 && self.pacer.is_some() {
            // The controller may pace what follows an idle time in its own way.
            self.update_pacing(env);
        }
        env.counters.bytes_sent = env.counters.bytes_sent.saturating_add(u64::from(len));
        env.timers.stop(Timer::SendOverride);
        if env.config.unsent_limit.is_some() {
            self.tell_room(env);
        }
        self.new_data_timer(env, now);
    }
}

fn saturate(octets: u64) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}
