//! The control block of a connection in one of RFC 9293's "other states" (§3.10.7.4): both
//! sequence spaces are known.
//!
//! The block is the conductor: it passes values between leaves that do not know each other
//! (invariant 4): the sender, the receiver, recovery (what to send again), congestion (how much)
//! and the round-trip estimator.

use alloc::boxed::Box;
use core::num::NonZeroU32;

use transom_wire::tcp::{Options, Timestamps};
use transom_wire::{Seq, SeqRange};

use crate::arrives::closed::bare_reset;
use crate::config::Config;
use crate::congestion::{self, Controller, Setup};
use crate::delivery::Delivery;
use crate::ecn::EcnState;
use crate::env::Env;
use crate::event::{CloseReason, Event};
use crate::mtu_search::{self, MtuSearch};
use crate::options::Negotiated;
use crate::pacing::Pacer;
use crate::pack::packed_choice;
use crate::recovery::{DUP_THRESH, Recovery};
use crate::recv::Receiver;
use crate::retransmit_timer::Awaited;
use crate::rtt::{RttConfig, RttEstimator};
use crate::segment::{Segment, Transmit};
use crate::send::SendQueue;
use crate::send::Sender;
use crate::state::State;
use crate::time::Instant;
use crate::timer::Timer;

/// Ticks of the timestamp clock. No round trip takes ten minutes; a larger difference is an echo that we never sent.
const LONGEST_ROUND_TRIP: u32 = 600_000;

/// The states in which both sequence spaces are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

packed_choice!(Phase {
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
});

impl Phase {
    pub(crate) const fn state(self) -> State {
        match self {
            Self::SynReceived => State::SynReceived,
            Self::Established => State::Established,
            Self::FinWait1 => State::FinWait1,
            Self::FinWait2 => State::FinWait2,
            Self::CloseWait => State::CloseWait,
            Self::Closing => State::Closing,
            Self::LastAck => State::LastAck,
            Self::TimeWait => State::TimeWait,
        }
    }
}

/// What is known only until our SYN is acknowledged.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// A SYN-ACK is to be sent.
    pub(crate) syn_ack_owed: bool,
    /// SYNs and SYN-ACKs sent.
    pub(crate) transmissions: u8,
    /// When the last of them was sent, if that is known.
    pub(crate) last_sent: Option<Instant>,
    /// The connection came from a listener.
    pub(crate) passive: bool,
    /// A SYN that asks for no ECN was sent or received, or a SYN-ACK that agrees to none.
    pub(crate) plain: bool,
}

/// What a new control block is made from.
pub(crate) struct Opening {
    pub(crate) iss: Seq,
    pub(crate) queue: SendQueue,
    pub(crate) rtt: RttEstimator,
    pub(crate) handshake: Handshake,
    /// Octets of window offered in our SYN, if one was sent.
    pub(crate) offered: u32,
}

/// TCB: everything that a connection knows once it has seen the peer's SYN.
#[derive(Debug)]
pub(crate) struct Tcb {
    pub(crate) phase: Phase,
    pub(crate) snd: Sender,
    pub(crate) rcv: Receiver,
    pub(crate) negotiated: Negotiated,
    pub(crate) recovery: Recovery,
    /// What the retransmission timer waits for.
    pub(crate) awaited: Awaited,
    /// A tail loss probe is owed.
    pub(crate) loss_probe_owed: bool,
    pub(crate) congestion: Box<dyn Controller>,
    /// Present while there is a rate to keep.
    pub(crate) pacer: Option<Box<Pacer>>,
    /// Present where the controller wants delivery-rate samples.
    pub(crate) delivery: Option<Box<Delivery>>,
    pub(crate) rtt: RttEstimator,
    pub(crate) ecn: EcnState,
    /// Present until our SYN is acknowledged.
    pub(crate) handshake: Option<Box<Handshake>>,
    /// A reset that does not end the connection: for a segment that belongs to another one.
    pub(crate) reply: Option<Box<Transmit>>,
    /// A window probe is owed.
    pub(crate) probe_owed: bool,
    /// A keep-alive probe is owed.
    pub(crate) keep_alive_owed: bool,
    /// Keep-alive probes sent since the peer was last heard.
    pub(crate) keep_alive_probes: u8,
    /// When the peer was last heard.
    pub(crate) last_heard: Instant,
    /// The search for what the path carries.
    pub(crate) mtu_search: Option<Box<MtuSearch>>,
    /// The path MTU that a router reported, not believed until data is lost (RFC 5927 §7.2).
    pub(crate) doubted_mtu: Option<NonZeroU32>,
}

/// The estimator with a configuration's bounds.
pub(crate) fn rtt_estimator(config: &Config) -> RttEstimator {
    RttEstimator::new(rtt_config(config))
}

/// The bounds that a configuration gives to the estimator.
#[inline]
pub(crate) const fn rtt_config(config: &Config) -> RttConfig {
    RttConfig::new(config.rto_initial, config.rto_min, config.rto_max)
}

impl Tcb {
    /// A block in SYN-RECEIVED, from the peer's SYN or SYN-ACK.
    pub(crate) fn new(env: &Env, opening: Opening, syn: &Segment, now: Instant) -> Self {
        let negotiated = Negotiated::from_peer_syn(&env.config, &env.path, &syn.options);
        let mut snd = Sender::new(opening.iss, opening.queue, now);
        // RFC 7323 §2.2 WS-4: the window of a SYN is never scaled.
        snd.set_window(u32::from(syn.window), syn.seq, opening.iss);
        let mss = negotiated.eff_snd_mss(&env.config, &env.path, negotiated.fixed_options_len());
        let mut recovery = Recovery::new(opening.iss, negotiated.sack, DUP_THRESH);
        if env.config.rack {
            recovery.use_rack();
            recovery.allow_probe(env.config.tail_loss_probe);
        }
        Self {
            phase: Phase::SynReceived,
            snd,
            rcv: Receiver::new(&env.config, syn.seq, opening.offered, &syn.options, now),
            recovery,
            awaited: Awaited::default(),
            loss_probe_owed: false,
            congestion: controller(
                env,
                u64::from(mss),
                initial_window(env, mss),
                now,
                negotiated.sack,
                opening.iss,
            ),
            pacer: None,
            delivery: None,
            negotiated,
            rtt: opening.rtt,
            ecn: EcnState::new(&env.config, &opening.handshake, syn),
            handshake: Some(Box::new(opening.handshake)),
            reply: None,
            probe_owed: false,
            keep_alive_owed: false,
            keep_alive_probes: 0,
            last_heard: now,
            mtu_search: mtu_search::from_the_start(env, now),
            doubted_mtu: None,
        }
    }

    /// Changes the state (invariant 3: the only place that does).
    pub(crate) fn enter(&mut self, env: &mut Env, phase: Phase, now: Instant) {
        env.enter(self.phase.state(), phase.state());
        self.phase = phase;
        match phase {
            Phase::FinWait2 => self.limit_fin_wait_2(env, now),
            Phase::TimeWait => self.start_time_wait(env, now),
            _ => {}
        }
    }

    /// EV-X-9: a half-close lasts as long as the application reads; without a reader it is limited.
    pub(crate) fn limit_fin_wait_2(&self, env: &mut Env, now: Instant) {
        if self.is_orphan() {
            env.timers
                .start(Timer::FinWait2, now + env.config.fin_wait_2);
        }
    }

    /// RFC 9293 §3.10.7.4, FIN bit: start the time-wait timer, stop the others.
    fn start_time_wait(&mut self, env: &mut Env, now: Instant) {
        env.timers.stop_all();
        self.snd.queue.clear();
        self.recovery.clear();
        self.restart_time_wait(env, now);
    }

    /// 2 MSL from now.
    pub(crate) fn restart_time_wait(&self, env: &mut Env, now: Instant) {
        // RFC 9293 §3.6.1 MUST-13.
        env.timers.set(Timer::TimeWait, now + env.config.time_wait);
    }

    /// Our SYN is not acknowledged.
    ///
    /// SND.UNA = ISS would not do: after four gibioctets that is so again.
    pub(crate) const fn syn_outstanding(&self) -> bool {
        self.handshake.is_some()
    }

    /// How far behind SND.UNA an acknowledgement may be: MAX.SND.WND, and not before our SYN, where
    /// nothing was ever sent (as Linux).
    pub(crate) fn oldest_ack(&self, env: &Env) -> u32 {
        let acknowledged = env
            .counters
            .bytes_acked
            .saturating_add(1 + u64::from(self.snd.fin_acked()));
        let acknowledged = u32::try_from(acknowledged).unwrap_or(u32::MAX);
        self.snd.max_wnd.min(acknowledged)
    }

    /// Where a segment without text must lie for the peer to take it.
    pub(crate) fn acceptable_seq(&self) -> Seq {
        // The SYN takes no room in the peer's window.
        if self.syn_outstanding() {
            self.snd.nxt
        } else {
            self.snd.acceptable_seq()
        }
    }

    /// The application has closed: nobody reads, nobody can be told.
    pub(crate) fn is_orphan(&self) -> bool {
        self.rcv.reader == crate::recv::Reader::Gone
    }

    /// The window of the handshake's segments replaced by a scaled one; events and timers.
    pub(crate) fn establish(&mut self, env: &mut Env, now: Instant, segment: &Segment) {
        let Some(handshake) = self.handshake.take() else {
            return;
        };
        // Not what was sent again because the peer's SYN came again, which is the same loss, nor the
        // SYN-ACK that follows the SYN in a simultaneous open.
        let timeouts = self.rtt.backoff_count();
        if let Some(rtt) = self.handshake_rtt(env, &handshake, segment) {
            self.rtt.on_sample(now, rtt, true);
            self.recovery.on_measured();
        } else if timeouts > 0 {
            // RFC 6298 §5.7 RTO-9.
            self.rtt.on_syn_timeout();
        }
        self.rtt.reset_backoff();
        if timeouts > 1 {
            // RFC 5681 §3.1 CC-2: a lost SYN means congestion; begin with one segment. RFC 6928 §2:
            // but not for a single repetition, which a timeout of 1 s may cause on a long path.
            let mss = u64::from(self.mss(env));
            self.congestion = controller(env, mss, mss, now, self.negotiated.sack, self.snd.iss);
        }
        self.begin_congestion_control(env, now);
        self.snd.retries = 0;
        // RFC 9293 §3.9.1.1 MUST-21: the limit has been kept; it counts again when data waits.
        env.timers.stop(Timer::User);
        self.restart_retransmit_timer(env, now);
        if let Some(keep_alive) = env.config.keep_alive {
            env.timers.set(Timer::KeepAlive, now + keep_alive.idle);
        }
        if self.phase == Phase::SynReceived {
            self.enter(env, Phase::Established, now);
        }
        env.events.push(Event::Connected);
        if self.phase == Phase::Established && self.snd.fin_waits() {
            self.enter(env, Phase::FinWait1, now);
        }
        if self.snd.unsent() > 0 {
            self.start_user_timer(env, now);
        }
    }

    /// RFC 6298 §3: Karn's rule, unless the timestamp tells which SYN is acknowledged.
    fn handshake_rtt(
        &self,
        env: &Env,
        handshake: &Handshake,
        segment: &Segment,
    ) -> Option<core::time::Duration> {
        let sent = handshake.last_sent?;
        if handshake.transmissions <= 1 {
            return Some(segment.received.duration_since(sent));
        }
        self.timestamp_rtt(env, segment, sent)
    }

    /// The round trip that the timestamp echo shows of something that was last sent at `sent`.
    ///
    /// An older echo is no measurement (RFC 8985 §6.2 step 1): when only the acknowledgement was
    /// lost, the peer finds the repetition outside its window and echoes what it heard before,
    /// which makes a round trip of the whole timeout.
    pub(crate) fn timestamp_rtt(
        &self,
        env: &Env,
        segment: &Segment,
        sent: Instant,
    ) -> Option<core::time::Duration> {
        let (echo, ticks) = self.echo(env, segment)?;
        let is_stale = Seq::new(echo).lt(Seq::new(env.ts_val(sent)));
        (!is_stale).then(|| core::time::Duration::from_millis(u64::from(ticks.max(1))))
    }

    /// The timestamp of ours that a segment echoes, and how old it is, in ticks of a millisecond.
    // TS-15: an echo of nothing, or of the future, is no measurement.
    pub(crate) fn echo(&self, env: &Env, segment: &Segment) -> Option<(u32, u32)> {
        let echo = segment
            .options
            .timestamps
            .filter(|_| self.negotiated.timestamps)?
            .ecr;
        let ticks = env.ts_val(segment.received).wrapping_sub(echo);
        (echo != 0 && ticks < LONGEST_ROUND_TRIP).then_some((echo, ticks))
    }

    /// Eff.snd.MSS of a segment without SACK blocks.
    pub(crate) fn mss(&self, env: &Env) -> u16 {
        let fixed = self.negotiated.fixed_options_len();
        self.negotiated.eff_snd_mss(&env.config, &env.path, fixed)
    }

    /// Eff.snd.MSS of the next segment (not SYN). `data`: some that was never sent goes with it.
    #[inline]
    pub(crate) fn segment_size(&self, env: &Env, now: Instant, data: bool) -> u16 {
        if self.ecn.accurate.is_none() && !self.rcv.queue.has_blocks() {
            // Nearly always.
            return self.mss(env);
        }
        // RFC 6691 §4 MSS-2: each option taken off the payload of the segment that carries it.
        let options = self.options_for(env, now, data);
        let len = u16::try_from(options.emitted_len()).unwrap_or(40);
        self.negotiated.eff_snd_mss(&env.config, &env.path, len)
    }

    /// The options of the next segment (not SYN). `data`: some that was never sent goes with it.
    #[inline]
    pub(crate) fn options_for(&self, env: &Env, now: Instant, data: bool) -> Options {
        let mut options = Options {
            // RFC 7323 §3.2 TS-2: in every segment once negotiated.
            timestamps: self
                .negotiated
                .timestamps
                .then(|| self.timestamps(env, now)),
            ..Options::EMPTY
        };
        if self.rcv.queue.has_blocks() {
            options.sack = self.rcv.sack_blocks(self.negotiated.max_sack_blocks());
        }
        if let Some(accurate) = &self.ecn.accurate {
            accurate.add_option(&mut options, data, now, self.rtt.srtt());
        }
        options
    }

    /// The timestamp option of a segment with ACK.
    pub(crate) fn timestamps(&self, env: &Env, now: Instant) -> Timestamps {
        Timestamps {
            val: env.ts_val(now),
            ecr: self.rcv.ts_recent,
        }
    }

    /// The reset that ends this connection for the peer.
    pub(crate) fn reset(&self, env: &Env, now: Instant) -> Transmit {
        // EV-U-12: with ACK, as deployed; the sequence number is the one that the peer expects.
        let mut reset = bare_reset(self.acceptable_seq(), Some(self.rcv.nxt()));
        if let Some(accurate) = &self.ecn.accurate {
            // RFC 9768 §3.2.2.2: on whatever has ACK and no SYN.
            reset.flags |= accurate.counter_flags();
        }
        reset.options.timestamps = self
            .negotiated
            .timestamps
            .then(|| self.timestamps(env, now));
        reset.dscp = env.config.dscp;
        reset
    }

    /// Owes a reset that leaves this connection as it is.
    pub(crate) fn reply_with(&mut self, reset: Transmit) {
        self.reply = Some(Box::new(reset));
    }

    /// The user timeout counts from the last progress as long as something waits.
    pub(crate) fn start_user_timer(&self, env: &mut Env, now: Instant) {
        if let Some(timeout) = env.config.user_timeout {
            env.timers.start(Timer::User, now + timeout);
        }
    }

    /// Ends the connection with a reset to the peer.
    pub(crate) fn end_with_reset(&self, env: &mut Env, now: Instant, reason: CloseReason) {
        let reset = self.reset(env, now);
        env.end(reason, Some(reset));
    }

    /// Notes sequence space as sent.
    pub(crate) fn note_sent(&mut self, range: SeqRange, again: bool, now: Instant) {
        let before = self.recovery.pipe();
        self.recovery.on_sent(range, now, again);
        if let Some(delivery) = &mut self.delivery {
            delivery.on_sent(now, before, self.recovery.pipe());
        }
    }
}

/// A controller with a configuration's choices.
fn controller(
    env: &Env,
    mss: u64,
    initial_window: u64,
    now: Instant,
    selective_acks: bool,
    iss: Seq,
) -> Box<dyn Controller> {
    let mut setup = Setup::new(mss, initial_window, now);
    setup.hystart = env.config.hystart;
    setup.abe = env.config.abe;
    setup.selective_acks = selective_acks;
    // Both are unpredictable, and different for each pair of sockets.
    setup.seed = u64::from(iss.raw()) << 32 | u64::from(env.ts_offset);
    env.config.congestion.build(&setup)
}

/// RFC 6928, scaled to the configured number of segments.
fn initial_window(env: &Env, mss: u16) -> u64 {
    let ten = congestion::initial_window(u64::from(mss));
    ten.saturating_mul(u64::from(env.config.initial_window_segs.max(1))) / 10
}
