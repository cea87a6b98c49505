//! The one place that builds segments (invariant 2): an ordered list of reasons, the first of which
//! is taken.
//!
//! reset or challenge → SYN or SYN-ACK → retransmission → window probe → new data, with the FIN if
//! it fits → FIN → keep-alive probe → bare acknowledgement

use transom_wire::tcp::{Flags, Options};
use transom_wire::{Ecn, Payload, Seq, SeqRange};

use crate::ecn;
use crate::env::Env;
use crate::options;
use crate::recovery::{Retransmit, SendLimits};
use crate::recv::ack::AckOwed;
use crate::recv::window::syn_window;
use crate::segment::{Transmit, TransmitKind};
use crate::send::Fin;
use crate::send::when::{Hold, Offer, Verdict, decide};
use crate::synsent::SynSent;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::Timer;

impl SynSent {
    /// SYN-SENT: a reset for somebody else's segment, then our SYN.
    pub(crate) fn poll_transmit(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        if let Some(reset) = self.reply.take() {
            return Some(*reset);
        }
        if !core::mem::take(&mut self.syn_owed) {
            return None;
        }
        if self.transmissions == 0 {
            self.sent_at = now;
        }
        self.last_sent = now;
        let flags = Flags::SYN | ecn::syn_flags(&env.config, self.transmissions);
        self.transmissions = self.transmissions.saturating_add(1);
        env.timers.start(Timer::Retransmit, now + self.rtt.rto());
        Some(Transmit {
            seq: self.iss,
            ack: Seq::default(),
            flags,
            window: syn_window(&env.config),
            urgent: 0,
            options: options::syn(&env.config, &env.path, env.ts_val(now)),
            payload: Payload::default(),
            segment_size: 0,
            ecn: Ecn::NotEct,
            dscp: env.config.dscp,
            kind: TransmitKind::Syn,
        })
    }
}

impl Tcb {
    /// The next segment, or `None` when nothing is owed.
    pub(crate) fn poll_transmit(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Transmit> {
        if let Some(reset) = self.reply.take() {
            return Some(*reset);
        }
        let max_payload = self.most_at_once(max_payload);
        if let Some(syn_ack) = self.syn_ack(env, now) {
            return Some(syn_ack);
        }
        if self.handshake.is_some() {
            // RFC 9293 §3.10.4: data waits for ESTABLISHED; a FIN without data does not.
            if let Some(fin) = self.bare_fin(env, now) {
                return Some(fin);
            }
        } else if self.phase != Phase::TimeWait {
            if let Some(again) = self.retransmission(env, now, max_payload) {
                return Some(again);
            }
            if let Some(probe) = self.window_probe(env, now) {
                return Some(probe);
            }
            if let Some(data) = self.new_data(env, now, max_payload) {
                return Some(data);
            }
            if let Some(fin) = self.bare_fin(env, now) {
                return Some(fin);
            }
            if core::mem::take(&mut self.keep_alive_owed) {
                return Some(self.keep_alive(env, now));
            }
        }
        self.acknowledgement(env, now)
    }

    /// What the device may cut: nothing, where the pieces would have to differ.
    fn most_at_once(&self, max_payload: usize) -> usize {
        // RFC 9293 §3.8.5 MUST-62: the urgent pointer counts from each segment's own number.
        let urgent = self.snd.up.is_some_and(|up| up.gt(self.snd.una));
        if urgent { 0 } else { max_payload }
    }

    fn syn_ack(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        let handshake = self.handshake.as_mut()?;
        if !core::mem::take(&mut handshake.syn_ack_owed) {
            return None;
        }
        handshake.last_sent = now;
        handshake.transmissions = handshake.transmissions.saturating_add(1);
        self.start_retransmit_timer(env, now);
        self.rcv.on_ack_sent();
        let timestamps = self.timestamps(env, now);
        Some(Transmit {
            seq: self.snd.iss,
            ack: self.rcv.nxt(),
            flags: Flags::SYN | Flags::ACK | self.ecn.syn_ack_flags(),
            window: syn_window(&env.config),
            urgent: 0,
            options: self.negotiated.syn_ack(timestamps),
            payload: Payload::default(),
            segment_size: 0,
            ecn: Ecn::NotEct,
            dscp: env.config.dscp,
            kind: TransmitKind::SynAck,
        })
    }

    /// What recovery wants sent again.
    fn retransmission(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Transmit> {
        if !self.recovery.has_lost() {
            return None;
        }
        let (options, mss) = self.options(env, now);
        let limits = self.limits(mss, max_payload);
        let Retransmit { range, cause } = self.recovery.next_retransmit(&limits)?;
        Some(self.send_again(
            env,
            now,
            range,
            TransmitKind::Retransmit(cause),
            options,
            mss,
        ))
    }

    fn limits(&self, mss: u16, max_payload: usize) -> SendLimits {
        let mss = u32::from(mss);
        let segments = (max_payload / mss.max(1) as usize).max(1);
        SendLimits {
            mss,
            limit: segments.saturating_mul(mss as usize),
            cwnd: self.congestion.cwnd(),
            snd_wnd_end: self.snd.window_end(),
        }
    }

    fn send_again(
        &mut self,
        env: &mut Env,
        now: Instant,
        range: SeqRange,
        kind: TransmitKind,
        options: Options,
        mss: u16,
    ) -> Transmit {
        let payload = self.snd.queue.slice(range.start, range.len() as usize);
        let with_fin = self.snd.fin == Fin::Sent && range.end.gt(self.snd.queue.end());
        let mut flags = Flags::ACK;
        if with_fin {
            flags |= Flags::FIN;
        }
        if !payload.is_empty() && range.end.ge(self.snd.queue.push_end()) {
            flags |= Flags::PSH;
        }
        env.counters.bytes_retransmitted = env
            .counters
            .bytes_retransmitted
            .saturating_add(payload.len() as u64);
        let pieces = pieces(payload.len(), mss);
        env.counters.retransmissions = env.counters.retransmissions.wrapping_add(pieces);
        self.note_sent(range, true, now);
        self.start_retransmit_timer(env, now);
        self.build(env, range.start, flags, payload, kind, options, mss)
    }

    /// RFC 9293 §3.8.6.1: one octet that the window does not admit.
    fn window_probe(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        if !core::mem::take(&mut self.probe_owed) {
            return None;
        }
        let (options, mss) = self.options(env, now);
        // ZWP-2: an octet that was never sent, or, when the peer took back window that we had used
        // already, the oldest that was.
        let seq = if self.snd.in_flight() > 0 {
            self.snd.una
        } else {
            self.snd.nxt
        };
        let payload = self.snd.queue.slice(seq, 1);
        let mut flags = Flags::ACK;
        if payload.is_empty() {
            // EV-X-14: nothing but the FIN waits.
            flags |= Flags::FIN;
        }
        if seq == self.snd.nxt {
            self.snd.probe_outstanding = true;
        }
        Some(self.build(env, seq, flags, payload, TransmitKind::Probe, options, mss))
    }

    /// Data that was never sent.
    fn new_data(&mut self, env: &mut Env, now: Instant, max_payload: usize) -> Option<Transmit> {
        if self.snd.unsent() == 0 {
            return None;
        }
        self.restart_after_idle(env, now);
        // A device would repeat CWR on each piece, and the second could end a newer echo.
        let max_payload = if self.ecn.owes_cwr() { 0 } else { max_payload };
        let (options, mss) = self.options(env, now);
        let offer = self.offer(env, mss, max_payload);
        let len = match decide(&offer) {
            Verdict::Send(len) => len,
            Verdict::Hold(hold) => {
                self.held(env, now, hold);
                return self.speculative(env, now, max_payload, options, mss);
            }
        };
        let seq = self.snd.nxt;
        let payload = self.snd.queue.slice(seq, len as usize);
        let end = seq + len;
        let is_last = end == self.snd.queue.end();
        let mut flags = Flags::ACK | self.ecn.take_cwr();
        // RFC 9293 §3.9.1.2 MUST-61, SHLD-27: on the last segment of what was written, or of a
        // burst, but never on what the application holds back.
        if (is_last && !self.snd.cork) || len > u32::from(mss) {
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
        Some(self.build(env, seq, flags, payload, kind, options, mss))
    }

    /// RFC 5681 §4.1: a window that was not used for a while says nothing about the path.
    fn restart_after_idle(&mut self, env: &Env, now: Instant) {
        if self.snd.in_flight() > 0 || env.counters.bytes_sent == 0 {
            return;
        }
        let idle = now.duration_since(self.snd.last_sent);
        let rto = self.rtt.rto();
        if idle > rto {
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
        let in_recovery = self.recovery.is_in_recovery() || self.recovery.is_in_loss();
        let window = cwnd.min(u64::from(self.snd.wnd));
        Offer {
            unsent: self.snd.unsent(),
            usable: self.snd.usable(),
            cwnd_room: saturate(room),
            mss,
            max_payload: u32::try_from(max_payload).unwrap_or(u32::MAX),
            max_wnd: self.snd.max_wnd,
            window: saturate(window),
            per_millisecond: saturate(self.per_millisecond(cwnd)),
            in_flight: self.snd.in_flight(),
            small_unacked: self.snd.small_end.gt(self.snd.una),
            nodelay: env.config.nodelay,
            cork: self.snd.cork,
            flush: self.snd.fin_waits() || self.snd.up.is_some_and(|up| up.gt(self.snd.nxt)),
            override_due: self.snd.override_due,
            may_defer: !in_recovery,
        }
    }

    /// Octets that a millisecond carries at twice the rate of one window per round trip, as Linux
    /// sizes its super-segments.
    fn per_millisecond(&self, cwnd: u64) -> u64 {
        let micros = self.rtt.srtt().map_or(0, |srtt| srtt.as_micros());
        let micros = u64::try_from(micros).unwrap_or(u64::MAX).max(1);
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

    /// RFC 6675 §4 rules 3 and 4, when no new data may go.
    fn speculative(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
        options: Options,
        mss: u16,
    ) -> Option<Transmit> {
        if !self.recovery.is_in_recovery() {
            return None;
        }
        let limits = self.limits(mss, max_payload);
        let Retransmit { range, cause } = self.recovery.next_speculative(&limits)?;
        Some(self.send_again(
            env,
            now,
            range,
            TransmitKind::Retransmit(cause),
            options,
            mss,
        ))
    }

    /// Book-keeping for sequence space that was sent for the first time.
    fn sent_new(&mut self, env: &mut Env, now: Instant, range: SeqRange, len: u32, mss: u16) {
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
        let in_flight = self.recovery.pipe();
        self.snd.max_in_flight = self.snd.max_in_flight.max(in_flight);
        self.congestion.on_sent(now, u64::from(len), before);
        if in_flight.saturating_add(u64::from(mss)) > self.congestion.cwnd() {
            self.snd.cwnd_limited = true;
        }
        env.counters.bytes_sent = env.counters.bytes_sent.saturating_add(u64::from(len));
        env.timers.stop(Timer::SendOverride);
        self.start_retransmit_timer(env, now);
    }

    /// The FIN without data.
    fn bare_fin(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        if !self.snd.fin_waits() || self.phase == Phase::SynReceived {
            let (options, mss) = (self.recovery.is_in_recovery() && self.snd.unsent() == 0)
                .then(|| self.options(env, now))?;
            return self.speculative(env, now, usize::from(mss), options, mss);
        }
        if self.snd.unsent() > 0 {
            return None;
        }
        if self.snd.usable() == 0 {
            // EV-X-13, EV-X-14: the FIN takes up window too; until it opens it is a probe.
            self.await_window(env, now);
            return None;
        }
        let seq = self.snd.nxt;
        self.snd.fin = Fin::Sent;
        let (options, mss) = self.options(env, now);
        self.sent_new(
            env,
            now,
            SeqRange {
                start: seq,
                end: seq + 1,
            },
            0,
            mss,
        );
        let flags = Flags::FIN | Flags::ACK;
        Some(self.build(
            env,
            seq,
            flags,
            Payload::default(),
            TransmitKind::Fin,
            options,
            mss,
        ))
    }

    /// RFC 9293 §3.8.4 SHLD-12: no data, and a sequence number that asks for an acknowledgement.
    fn keep_alive(&mut self, env: &mut Env, now: Instant) -> Transmit {
        let (options, mss) = self.options(env, now);
        let seq = self.snd.nxt - 1;
        let kind = TransmitKind::KeepAlive;
        self.build(env, seq, Flags::ACK, Payload::default(), kind, options, mss)
    }

    /// A bare acknowledgement, if one is owed.
    fn acknowledgement(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        let kind = match self.rcv.ack {
            AckOwed::Now | AckOwed::Duplicates(_) => TransmitKind::Ack,
            AckOwed::WindowUpdate => TransmitKind::WindowUpdate,
            AckOwed::No | AckOwed::Delayed if env.challenge.take() => TransmitKind::ChallengeAck,
            AckOwed::No | AckOwed::Delayed => return None,
        };
        let (options, mss) = self.options(env, now);
        let seq = self.snd.nxt;
        Some(self.build(env, seq, Flags::ACK, Payload::default(), kind, options, mss))
    }

    /// Puts a segment together. Every one carries ACK, the window and the options, so it pays
    /// whatever acknowledgement was owed.
    #[expect(clippy::too_many_arguments, reason = "the fields of one segment")]
    fn build(
        &mut self,
        env: &mut Env,
        seq: Seq,
        flags: Flags,
        payload: Payload,
        kind: TransmitKind,
        options: Options,
        mss: u16,
    ) -> Transmit {
        let (flags, urgent) = self.urgent_pointer(seq, flags, payload.len());
        let flags = flags | self.ecn.ack_flags();
        let is_new = matches!(kind, TransmitKind::Data | TransmitKind::Fin);
        let ecn = self.ecn.codepoint(is_new && !payload.is_empty());
        let window = self
            .rcv
            .select_window(self.negotiated.rcv_shift(), u32::from(self.rcv.rmss));
        let ack = self.rcv.nxt();
        self.rcv.on_ack_sent();
        // RFC 2883 §4: each duplicate is reported once.
        self.rcv.queue.take_duplicate();
        env.timers.stop(Timer::DelayedAck);
        env.challenge.take();
        Transmit {
            seq,
            ack,
            flags,
            window,
            urgent,
            options,
            payload,
            segment_size: mss,
            ecn,
            dscp: env.config.dscp,
            kind,
        }
    }

    /// RFC 9293 §3.8.5: URG as long as SND.UP lies ahead.
    fn urgent_pointer(&mut self, seq: Seq, flags: Flags, len: usize) -> (Flags, u16) {
        let Some(up) = self.snd.up else {
            return (flags, 0);
        };
        if up.le(self.snd.una) {
            self.snd.up = None;
            return (flags, 0);
        }
        if len == 0 || up.le(seq) {
            return (flags, 0);
        }
        // MUST-31: urgent data may be longer than the pointer reaches; as far as it does, then.
        (
            flags | Flags::URG,
            u16::try_from(up.since(seq)).unwrap_or(u16::MAX),
        )
    }
}

/// How many segments a payload makes on the wire.
pub(crate) fn pieces(len: usize, mss: u16) -> u32 {
    u32::try_from(len.div_ceil(usize::from(mss.max(1))))
        .unwrap_or(u32::MAX)
        .max(1)
}

fn saturate(octets: u64) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}
