//! The one place that builds segments (invariant 2): an ordered list of reasons, the first of which
//! is taken.
//!
//! reset or challenge → SYN or SYN-ACK → retransmission → window probe → tail loss probe → new data, with the FIN if
//! it fits → FIN → keep-alive probe → bare acknowledgement

mod again;
mod fresh;

use transom_wire::tcp::{Flags, SackBlocks};
use transom_wire::{Ecn, Payload, Seq, SeqRange};

use crate::ecn;
use crate::env::Env;
use crate::options;
use crate::recv::ack::AckOwed;
use crate::recv::window::syn_window;
use crate::segment::{Transmit, TransmitKind};
use crate::send::Fin;
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
        let asks = ecn::syn_flags(&env.config, self.transmissions, self.plain);
        self.plain |= asks.is_empty();
        let flags = Flags::SYN | asks;
        let (fast_open, payload) = self.fast_open(env);
        let mut options = options::syn(&env.config, &env.path, env.ts_val(now));
        options.fast_open = fast_open;
        self.transmissions = self.transmissions.saturating_add(1);
        env.timers.start(Timer::Retransmit, now + self.rtt.rto());
        Some(Transmit {
            seq: self.iss,
            ack: Seq::default(),
            flags,
            window: syn_window(&env.config),
            urgent: 0,
            options,
            segment_size: u16::try_from(payload.len()).unwrap_or(u16::MAX),
            payload,
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
            env.count_sent(1);
            return Some(*reset);
        }
        let mut owes_code = false;
        if let Some(accurate) = &mut self.ecn.accurate {
            accurate.set_now(now);
            owes_code = accurate.owes_code();
        }
        if self.handshake.is_some()
            && let Some(syn_ack) = self.syn_ack(env, now)
        {
            env.count_sent(1);
            return Some(syn_ack);
        }
        let Some(plan) = self.next_owed(env, now, max_payload, owes_code) else {
            debug_assert!(
                !(env.timers.is_set(Timer::Retransmit) && env.timers.is_set(Timer::Persist)),
                "EV-O-7: what is outstanding is either sent again or probed for"
            );
            env.undrained = None;
            return None;
        };
        env.count_sent(pieces(plan.len, plan.mss));
        let is_last = self.is_last();
        if is_last {
            env.undrained = None;
        }
        let transmit = self.build(env, now, plan);
        // It may set timers and spend what is owed; where it finds nothing, there is neither.
        debug_assert!(
            !is_last || self.next_owed(env, now, max_payload, false).is_none(),
            "the next call would find nothing"
        );
        Some(transmit)
    }

    /// What goes next, and why.
    fn next_owed(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
        owes_code: bool,
    ) -> Option<Plan> {
        if owes_code && let Some(ack) = self.acknowledgement(env, now) {
            return Some(ack);
        }
        if self.handshake.is_some() {
            // RFC 9293 §3.10.4: data waits for ESTABLISHED; a FIN without data does not. RFC 7413 §4.2.2: a valid
            // cookie says that the peer is there, so its data need not wait.
            if env.is_fast_opened()
                && let Some(data) = self.new_data(env, now, max_payload)
            {
                return Some(data);
            }
            if let Some(fin) = self.bare_fin(env, now) {
                return Some(fin);
            }
        } else if self.phase != Phase::TimeWait
            && let Some(plan) = self.next_synchronized(env, now, max_payload)
        {
            return Some(plan);
        }
        self.acknowledgement(env, now)
    }

    /// The same once the handshake is complete, before bare acknowledgements.
    fn next_synchronized(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Plan> {
        // PACE-4: what is sent again is paced too; probes and acknowledgements are not.
        let may_go = self.has_something() && !self.is_paced(env, now);
        if may_go && let Some(again) = self.retransmission(env, now, max_payload) {
            return Some(again);
        }
        if self.probe_owed {
            return Some(self.window_probe(env, now));
        }
        if self.loss_probe_owed
            && let Some(probe) = self.loss_probe(env, now)
        {
            return Some(probe);
        }
        if may_go {
            if let Some(data) = self.new_data(env, now, max_payload) {
                return Some(data);
            }
            if let Some(fin) = self.bare_fin(env, now) {
                return Some(fin);
            }
        }
        // FRTO-5.
        if self.recovery.give_up_frto()
            && let Some(again) = self.retransmission(env, now, max_payload)
        {
            return Some(again);
        }
        core::mem::take(&mut self.keep_alive_owed).then(|| self.keep_alive(env, now))
    }

    /// Whether the segment that was just planned is certainly the last that is owed; it pays every acknowledgement but
    /// the duplicates that a peer counts.
    #[inline]
    fn is_last(&self) -> bool {
        let owes_probe = self.probe_owed || self.loss_probe_owed || self.keep_alive_owed;
        let owes_more = matches!(self.rcv.ack, AckOwed::Duplicates(_));
        !self.has_something()
            && !owes_more
            && !owes_probe
            && self.handshake.is_none()
            && self.ecn.accurate.is_none()
            && !self.recovery.prefers_new_data()
    }

    /// Whether there is anything that pacing could hold back.
    #[inline]
    fn has_something(&self) -> bool {
        self.snd.queue.end().gt(self.snd.nxt)
            || self.recovery.has_lost()
            || self.recovery.is_in_recovery()
            || self.snd.fin_waits()
    }

    /// What the device may cut, in one burst: nothing, where the pieces would have to differ.
    pub(super) fn most_at_once(&self, env: &Env, max_payload: usize) -> usize {
        // RFC 9293 §3.8.5 MUST-62: the urgent pointer counts from each segment's own number.
        let urgent = self.snd.up.is_some_and(|up| up.gt(self.snd.una));
        let max_payload = if urgent || self.ecn.forbids_cutting() {
            0
        } else {
            max_payload
        };
        match &self.pacer {
            // Nothing is less than nothing.
            Some(pacer) if max_payload > 0 => pacer.limit(max_payload, u64::from(self.mss(env))),
            _ => max_payload,
        }
    }

    fn syn_ack(&mut self, env: &mut Env, now: Instant) -> Option<Transmit> {
        let handshake = self.handshake.as_mut()?;
        if !core::mem::take(&mut handshake.syn_ack_owed) {
            return None;
        }
        handshake.last_sent = Some(now);
        handshake.transmissions = handshake.transmissions.saturating_add(1);
        self.start_retransmit_timer(env, now);
        self.rcv.on_ack_sent();
        let timestamps = self.timestamps(env, now);
        let mut options = self.negotiated.syn_ack(timestamps);
        options.fast_open = env.renewed_cookie();
        let flags = Flags::SYN | Flags::ACK | self.ecn.syn_ack_flags();
        if let Some(accurate) = &mut self.ecn.accurate
            && accurate.is_option_on_syn_ack()
        {
            options.accecn = ecn::Accurate::syn_ack_option(env.config.accecn_option);
        }
        // What came with the SYN takes up window.
        let left = u16::try_from(self.rcv.wnd()).unwrap_or(u16::MAX);
        Some(Transmit {
            seq: self.snd.iss,
            ack: self.rcv.nxt(),
            flags,
            window: syn_window(&env.config).min(left),
            urgent: 0,
            options,
            payload: Payload::default(),
            segment_size: 0,
            ecn: Ecn::NotEct,
            dscp: env.config.dscp,
            kind: TransmitKind::SynAck,
        })
    }

    /// RFC 9293 §3.8.6.1: one octet that the window does not admit.
    fn window_probe(&mut self, env: &Env, now: Instant) -> Plan {
        self.probe_owed = false;
        // ZWP-2: an octet that was never sent, or, when the peer took back window that we had used
        // already, the oldest that was.
        let seq = if self.snd.in_flight() > 0 {
            self.snd.una
        } else {
            self.snd.nxt
        };
        let len = self.snd.queue.held_from(seq).min(1);
        let mut flags = Flags::ACK;
        if len == 0 {
            // EV-X-14: nothing but the FIN waits.
            flags |= Flags::FIN;
        }
        if seq == self.snd.nxt {
            self.snd.probe_outstanding = true;
        }
        Plan {
            flags,
            len,
            ..Plan::bare(seq, TransmitKind::Probe, self.segment_size(env, now, false))
        }
    }

    /// The FIN without data.
    fn bare_fin(&mut self, env: &mut Env, now: Instant) -> Option<Plan> {
        if !self.snd.fin_waits() || self.phase == Phase::SynReceived {
            if self.snd.unsent() > 0 {
                return None;
            }
            return self.speculative(env, now, 0);
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
        let mss = self.segment_size(env, now, false);
        let range = SeqRange {
            start: seq,
            end: seq + 1,
        };
        self.sent_new(env, now, range, 0, mss);
        Some(Plan {
            flags: Flags::FIN | Flags::ACK,
            ..Plan::bare(seq, TransmitKind::Fin, mss)
        })
    }

    /// RFC 9293 §3.8.4 SHLD-12: no data, and a sequence number that asks for an acknowledgement.
    fn keep_alive(&self, env: &Env, now: Instant) -> Plan {
        let mss = self.segment_size(env, now, false);
        Plan::bare(self.snd.nxt - 1, TransmitKind::KeepAlive, mss)
    }

    /// A bare acknowledgement, if one is owed.
    #[inline]
    fn acknowledgement(&self, env: &mut Env, now: Instant) -> Option<Plan> {
        let kind = match self.rcv.ack {
            AckOwed::Now | AckOwed::Duplicates(_) | AckOwed::Marks => TransmitKind::Ack,
            AckOwed::WindowUpdate => TransmitKind::WindowUpdate,
            AckOwed::No | AckOwed::Delayed if env.challenge.take() => TransmitKind::ChallengeAck,
            AckOwed::No | AckOwed::Delayed => return None,
        };
        let mss = self.segment_size(env, now, false);
        Some(Plan {
            // RFC 9768 §3.2.2.5.1 ACC-11: else the peer might take it for a duplicate.
            sack: self.rcv.ack != AckOwed::Marks,
            ..Plan::bare(self.acceptable_seq(), kind, mss)
        })
    }

    /// Puts a segment together. Every one carries ACK, the window and the options, so it pays
    /// whatever acknowledgement was owed.
    #[inline]
    fn build(&mut self, env: &mut Env, now: Instant, plan: Plan) -> Transmit {
        let Plan {
            seq,
            flags,
            len,
            kind,
            mss,
            new,
            sack,
        } = plan;
        let payload = if len > 0 {
            self.snd.queue.slice(seq, len as usize)
        } else {
            Payload::default()
        };
        let mut options = self.options_for(env, now, new);
        if !sack {
            options.sack = SackBlocks::EMPTY;
        }
        let (flags, urgent) = self.urgent_pointer(seq, flags, len);
        let has_data = len > 0;
        let pure = !has_data && !flags.contains(Flags::FIN) && options.sack.is_empty();
        let flags = flags | self.ecn.ack_flags(pure);
        let is_new = matches!(kind, TransmitKind::Data | TransmitKind::Fin) && has_data;
        let ecn = self.ecn.codepoint(is_new);
        if let Some(accurate) = &mut self.ecn.accurate {
            let range = is_new.then(|| SeqRange::new(seq, seq + len));
            accurate.on_sent(&options, range);
        }
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
    fn urgent_pointer(&mut self, seq: Seq, flags: Flags, len: u32) -> (Flags, u16) {
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

/// What a segment is to be, beside what every one carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seq: Seq,
    pub(crate) flags: Flags,
    /// Octets of the queue that it carries, from `seq` on.
    pub(crate) len: u32,
    pub(crate) kind: TransmitKind,
    /// Eff.snd.MSS.
    pub(crate) mss: u16,
    /// Some of the data was never sent.
    pub(crate) new: bool,
    /// It may report what has arrived beyond a gap.
    pub(crate) sack: bool,
}

impl Plan {
    /// A segment with ACK and nothing else.
    pub(crate) const fn bare(seq: Seq, kind: TransmitKind, mss: u16) -> Self {
        Self {
            seq,
            flags: Flags::ACK,
            len: 0,
            kind,
            mss,
            new: false,
            sack: true,
        }
    }
}

/// How many segments a payload makes on the wire.
#[inline]
pub(crate) fn pieces(len: u32, mss: u16) -> u32 {
    if len <= u32::from(mss) {
        return 1;
    }
    len.div_ceil(u32::from(mss.max(1)))
}
