//! What an acceptable acknowledgement changes (RFC 9293 §3.10.7.4, fifth): three calls, values
//! only: recovery (what arrived, what is lost), the estimator, congestion (how much).

use core::time::Duration;

use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

use crate::congestion::{AckInfo, LossInfo, LossKind};
use crate::env::Env;
use crate::event::Event;
use crate::recovery::{AckInput, AckOutcome, DUP_THRESH, RoundTrip};
use crate::segment::Segment;
use crate::send::Fin;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

impl Tcb {
    /// Takes an acknowledgement with `SEG.ACK ≤ SND.NXT` that is not too old.
    pub(crate) fn on_ack(&mut self, env: &mut Env, now: Instant, segment: &Segment) {
        let was_window = self.snd.wnd;
        if self.tells_nothing(segment) {
            self.update_window(segment);
            if self.snd.wnd > 0 {
                self.window_is_open(env, now, was_window == 0);
            }
            return;
        }
        let in_handshake = self.syn_outstanding();
        let is_duplicate = self.is_duplicate(segment);
        let was_one =
            self.ecn.may_hear(segment) && self.congestion.cwnd() <= u64::from(self.mss(env));
        let handshake = self.handshake.as_ref();
        let opening = handshake.map(|handshake| handshake.transmissions > 1);
        if opening.is_some() {
            self.syn_acknowledged(env, now, segment);
        } else if segment.ack.ge(self.snd.una) {
            self.update_window(segment);
        }
        if segment.ack.gt(self.snd.nxt) {
            self.probe_was_taken(now);
        }
        let advance = if segment.ack.gt(self.snd.una) {
            segment.ack.since(self.snd.una)
        } else {
            0
        };
        let echo = self.heed(env, now, segment, (is_duplicate, in_handshake), advance);
        if advance > 0 {
            self.on_progress(env, now);
        }
        if let Some(again) = opening {
            self.fast_open_answered(env, now, segment, again);
        }
        if self.snd.wnd > 0 {
            self.window_is_open(env, now, was_window == 0);
        }
        if advance > 0 {
            // RFC 3168 §6.1.2 ECN-9: a window of one segment cannot be reduced further, so that the
            // next segment waits for the retransmission timer.
            let doublings = self.ecn.hold_at_one(was_one && echo);
            if let Some(doublings) = doublings
                && !env.timers.is_set(Timer::Persist)
            {
                let wait = self.rtt.rto().saturating_mul(1 << doublings);
                self.set_retransmit_timer(env, now + wait.min(env.config.rto_max));
            }
        }
    }

    /// It comes with data, nothing is outstanding and nothing is reported: all that the acknowledgement can bring is a
    /// window. So it is for whoever only receives, with each segment.
    fn tells_nothing(&self, segment: &Segment) -> bool {
        !segment.payload.is_empty()
            && segment.ack == self.snd.una
            && self.snd.una == self.snd.nxt
            && self.handshake.is_none()
            && segment.options.sack.is_empty()
            && !segment.has(Flags::ECE)
            && self.ecn.accurate.is_none()
            && !self.ecn.in_episode()
            && !self.recovery.is_recovering()
            && !self.congestion.wants_samples()
    }

    /// RFC 5681 §2: CC-9.
    fn is_duplicate(&self, segment: &Segment) -> bool {
        // RFC 9768 §3.2.2.5.1: with SACK, a duplicate has blocks; what has none acknowledges our acknowledgements.
        let acks_acks =
            self.negotiated.sack && self.ecn.accurate.is_some() && segment.options.sack.is_empty();
        segment.is_empty()
            && !acks_acks
            && segment.ack == self.snd.una
            && self.scaled_window(segment) == self.snd.wnd
    }

    /// SEG.WND in octets; in a SYN it is never scaled (RFC 7323 §2.2 WS-4).
    fn scaled_window(&self, segment: &Segment) -> u32 {
        let shift = if segment.has(Flags::SYN) {
            0
        } else {
            self.negotiated.snd_shift()
        };
        u32::from(segment.window) << shift
    }

    fn update_window(&mut self, segment: &Segment) {
        if self.snd.is_newer_window(segment.seq, segment.ack) {
            let wnd = self.scaled_window(segment);
            self.snd.set_window(wnd, segment.seq, segment.ack);
        }
    }

    /// Our SYN is acknowledged: RFC 9293 §3.10.7.4 sets the window unconditionally.
    fn syn_acknowledged(&mut self, env: &mut Env, now: Instant, segment: &Segment) {
        let wnd = self.scaled_window(segment);
        self.snd.set_window(wnd, segment.seq, segment.ack);
        self.snd.advance(self.snd.iss + 1);
        self.establish(env, now, segment);
        if let Some(accurate) = &mut self.ecn.accurate {
            accurate.on_handshake_ack(segment);
            if accurate.take_handshake_mark() {
                // RFC 9768 §3.2.2.2: a mark of the handshake is one of the first window.
                let mss = self.mss(env);
                let cwnd = self.congestion.cwnd();
                self.tell_loss(now, LossKind::Ecn, cwnd, mss);
                self.ecn.on_reduction(self.snd.nxt, true);
            }
        }
    }

    /// The marks that an acknowledgement tells of. `in_handshake`: it acknowledges our SYN.
    fn marks(
        &mut self,
        env: &Env,
        segment: &Segment,
        delivered: u32,
        in_handshake: bool,
    ) -> Option<u32> {
        if self.ecn.accurate.is_none() {
            return self.ecn.is_echo(segment).then_some(1);
        }
        let mss = u32::from(self.mss(env));
        let (iss, una) = (self.snd.iss, self.snd.una);
        let sacked = !segment.options.sack.is_empty();
        let accurate = self.ecn.accurate.as_mut()?;
        accurate.on_delivered(una, sacked);
        let is_code = accurate.is_code(segment, iss + 1, in_handshake);
        if segment.has(Flags::SYN) || is_code {
            return None;
        }
        let heard = accurate.on_feedback(segment, delivered, mss);
        (heard.packets > 0).then_some(heard.packets)
    }

    /// The octet, or the FIN, that was sent at SND.NXT into a closed window has been accepted.
    fn probe_was_taken(&mut self, now: Instant) {
        let start = self.snd.nxt;
        if self.snd.unsent() == 0 && self.snd.fin_waits() {
            self.snd.fin = Fin::Sent;
        }
        self.snd.nxt += 1;
        self.snd.probe_outstanding = false;
        // As a retransmission: a probe measures no round trip (ZWP-5).
        self.note_sent(
            SeqRange {
                start,
                end: self.snd.nxt,
            },
            false,
            now,
        );
        self.note_sent(
            SeqRange {
                start,
                end: self.snd.nxt,
            },
            true,
            now,
        );
    }

    /// Recovery, estimator, congestion; true when marks were heard of.
    fn heed(
        &mut self,
        env: &mut Env,
        now: Instant,
        segment: &Segment,
        (is_duplicate, in_handshake): (bool, bool),
        advance: u32,
    ) -> bool {
        self.check_app_limited();
        let mss = self.mss(env);
        let before = self.recovery.pipe();
        let outcome = self.recovery.on_ack(&AckInput {
            now,
            ack: segment.ack,
            sack: &segment.options.sack,
            is_duplicate,
            mss: u32::from(mss),
            echoed: self.echoed(env, segment),
            round_trip: self.round_trip(),
        });
        if advance > 0 {
            self.snd.advance(segment.ack);
            let freed = self.snd.queue.ack_to(segment.ack);
            env.counters.bytes_acked = env.counters.bytes_acked.saturating_add(freed as u64);
        }
        env.counters.count_outcome(&outcome);
        let mss = self.size_after(env, now, &outcome, mss);
        // The round trip of the handshake has been measured, and what went with the SYN made the same.
        let rtt = (!in_handshake)
            .then(|| self.measure(env, now, segment, &outcome, advance))
            .flatten();
        let marks = self.marks(env, segment, outcome.delivered, in_handshake);
        let echo = marks.is_some();
        self.tell_congestion(now, &outcome, before, rtt, mss, marks);
        self.update_pacing(env);
        if outcome.restart_rto && advance > 0 {
            self.restart_retransmit_timer(env, now);
        }
        self.await_reordering(env, now, outcome.reorder_deadline);
        echo
    }

    /// What RACK needs to know of the estimator.
    pub(crate) fn round_trip(&self) -> RoundTrip {
        RoundTrip {
            min: self.rtt.min_rtt(),
            smoothed: self.rtt.srtt(),
        }
    }

    /// RFC 6298 §4, RFC 7323 §4.1: one measurement per acknowledgement of something new, be it by SACK: while a gap
    /// is open, a queue may fill.
    fn measure(
        &mut self,
        env: &Env,
        now: Instant,
        segment: &Segment,
        outcome: &AckOutcome,
        advance: u32,
    ) -> Option<Duration> {
        // Karn's rule first, because it measures finer than a timestamp's millisecond; a timestamp
        // when what was acknowledged had been sent twice (RTO-6). TS-9: only if SND.UNA moved.
        let rtt = match outcome.rtt_sample {
            Some(sent_at) => Some(segment.received.duration_since(sent_at)),
            None if advance > 0 => outcome
                .resent_at
                .and_then(|sent| self.timestamp_rtt(env, segment, sent)),
            None => None,
        }?;
        let round_end = self.snd.una.ge(self.snd.round_end);
        self.rtt.on_sample(now, rtt, round_end);
        Some(rtt)
    }

    pub(crate) fn tell_congestion(
        &mut self,
        now: Instant,
        outcome: &AckOutcome,
        before: u64,
        rtt: Option<Duration>,
        mss: u16,
        marks: Option<u32>,
    ) {
        let echo = marks.is_some();
        let echo_is_over = self.ecn.on_progress(self.snd.una);
        if outcome.exited_recovery || echo_is_over {
            // RFC 9937 §6.2 PRR-11: the window goes on from ssthresh. Without PRR what is in flight
            // counts too (RFC 6582 §3.2 step 3).
            let flight_size = if self.negotiated.sack {
                self.congestion.ssthresh()
            } else {
                self.recovery.flight_size()
            };
            self.congestion.on_recovery_exit(now, flight_size);
        }
        if outcome.spurious.is_some() && !echo {
            // UNDO-1, EIF-3: not when a router says at the same time that it is congested.
            self.congestion.on_spurious();
        }
        self.reduce(now, outcome, mss, echo);
        if self.recovery.is_reducing() {
            let ssthresh = self.congestion.ssthresh();
            let cwnd = self
                .recovery
                .recovery_cwnd(outcome, ssthresh, u32::from(mss));
            if let Some(cwnd) = cwnd {
                self.congestion.set_recovery_cwnd(cwnd);
            }
        }
        if outcome.delivered > 0 {
            self.grow(now, outcome, before, rtt, echo);
        }
        if self.delivery.is_some() {
            self.tell_delivery(now, outcome, rtt, marks.unwrap_or(0));
        }
    }

    /// Takes back the window for what was lost, or marked.
    fn reduce(&mut self, now: Instant, outcome: &AckOutcome, mss: u16, echo: bool) {
        if !outcome.entered_recovery && !outcome.probe_repaired && !echo {
            return;
        }
        // What was in flight when it was lost, or marked.
        let flight_before = self.recovery.flight_size() + u64::from(outcome.newly_acked);
        if outcome.entered_recovery {
            // The window of an echo's episode has been reduced for this round trip already.
            if self.ecn.in_episode() {
                self.recovery.forget_undo();
            } else {
                let flight_size = self.flight_within_window();
                self.tell_loss(now, LossKind::FastRetransmit, flight_size, mss);
            }
            self.ecn.on_reduction(self.snd.nxt, false);
        } else if outcome.probe_repaired {
            // RFC 8985 §7.4.2 TLP-6: as for a fast retransmit, all at once.
            self.recovery.forget_undo();
            self.tell_loss(now, LossKind::FastRetransmit, flight_before, mss);
            self.congestion
                .on_recovery_exit(now, self.recovery.flight_size());
            self.ecn.on_reduction(self.snd.nxt, false);
        } else if echo && self.ecn.may_reduce() && !self.recovery.is_recovering() {
            self.recovery.forget_undo();
            self.tell_loss(now, LossKind::Ecn, flight_before, mss);
            self.ecn.on_reduction(self.snd.nxt, true);
        }
    }

    /// A congestion episode begins.
    pub(crate) fn tell_loss(&mut self, now: Instant, kind: LossKind, flight_size: u64, mss: u16) {
        self.congestion.on_loss(&LossInfo {
            now,
            kind,
            flight_size,
            in_flight: self.recovery.pipe(),
            is_cwnd_limited: self.snd.cwnd_limited || self.snd.cwnd_limited_before,
            mss: u64::from(mss),
        });
    }

    /// Lets the window grow by what was delivered.
    fn grow(
        &mut self,
        now: Instant,
        outcome: &AckOutcome,
        before: u64,
        rtt: Option<Duration>,
        echo: bool,
    ) {
        let round_end = self.snd.una.ge(self.snd.round_end);
        // CC-13: growth only while the window is what holds us back. In slow start half of it is
        // enough, because it doubles within the round trip; in this one or in the one before, as a round
        // trip begins with a few segments while most of the last window are being acknowledged.
        let used = u64::from(self.snd.max_in_flight.max(self.snd.max_in_flight_before));
        let is_cwnd_limited = self.snd.cwnd_limited
            || (self.congestion.in_slow_start() && self.congestion.cwnd() < 2 * used);
        // RFC 3168 §6.1.2 ECN-7: an echo never lets the window grow. RFC 5681 §3.1: nor does what
        // acknowledges nothing new, whatever SACK blocks it brings; unless the path is known to reorder so much that
        // there is always a gap somewhere, and most of what arrives is only SACKed (as Linux). Not in slow start, though,
        // which would fill the queue: what overflows there is dear on such a path.
        let in_any_order =
            u32::from(self.recovery.reordering()) > DUP_THRESH && !self.congestion.in_slow_start();
        if !echo && (outcome.newly_acked > 0 || self.recovery.is_recovering() || in_any_order) {
            self.congestion.on_ack(&AckInfo {
                now,
                bytes_acked: u64::from(outcome.delivered),
                bytes_in_flight_before: before,
                bytes_in_flight: self.recovery.pipe(),
                rtt,
                srtt: self.rtt.srtt(),
                min_rtt: self.rtt.min_rtt(),
                is_cwnd_limited,
                app_limited: self.snd.unsent() == 0,
                round_end,
                in_recovery: self.recovery.is_in_recovery(),
                reorders: self.recovery.reordering() > 0,
            });
        }
        if round_end {
            self.snd.round_end = self.snd.nxt;
        }
    }

    /// FlightSize of RFC 5681 §3.1, for setting ssthresh. Where a gap stays open for long, much more
    /// than a window lies SACKed behind it, and the threshold would rise instead of falling.
    pub(crate) fn flight_within_window(&self) -> u64 {
        self.recovery.flight_size().min(self.congestion.cwnd())
    }

    /// SND.UNA moved.
    fn on_progress(&mut self, env: &mut Env, now: Instant) {
        self.snd.retries = 0;
        self.snd.override_due = false;
        self.snd.waits_for_more = false;
        env.timers.stop(Timer::SendOverride);
        env.timers.stop(Timer::User);
        if self.snd.is_idle() {
            env.timers.stop(Timer::Linger);
        } else {
            self.start_user_timer(env, now);
        }
        if self.snd.in_flight() == 0 {
            env.timers.stop(Timer::Retransmit);
        }
        if !env.memory_pressure {
            let deserved = usize::try_from(2 * self.congestion.cwnd()).unwrap_or(usize::MAX);
            self.snd.buffer = self.snd.buffer.max(deserved);
        }
        self.tell_room(env);
    }

    /// Tells a writer that found too little room that there is more.
    pub(crate) fn tell_room(&mut self, env: &mut Env) {
        if !self.snd.wants_writable {
            return;
        }
        let limit = env.config.send_limit(self.snd.buffer);
        let free = limit.saturating_sub(self.snd.queue.len());
        // Not for every octet: a writer that is woken should find room worth a system call.
        let is_worth_it = free >= limit / 4
            && env
                .config
                .unsent_limit
                .is_none_or(|limit| (self.snd.unsent() as usize) < limit.div_ceil(2));
        if is_worth_it {
            self.snd.wants_writable = false;
            env.events.push(Event::Writable);
        }
    }

    /// SND.WND is not zero.
    fn window_is_open(&mut self, env: &mut Env, now: Instant, was_closed: bool) {
        self.snd.persist_backoff = 0;
        self.probe_owed = false;
        if env.timers.is_set(Timer::Persist) {
            // RFC 9293 §3.8.6.1, ZWP-4: the probing is over, and what waits is sent at once.
            env.timers.stop(Timer::Persist);
            if self.snd.in_flight() > 0 {
                self.start_retransmit_timer(env, now);
            }
        }
        if was_closed && self.snd.in_flight() > 0 {
            self.start_retransmit_timer(env, now);
        }
    }
}
