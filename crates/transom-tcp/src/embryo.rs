//! SYN-RECEIVED of a passive open, folded up (RFC 4987 §3.4: the SYN cache).
//!
//! Whoever sends a SYN may have forged its source, so what is kept for it is small. Only what the peer's SYN said is
//! remembered; the first segment that could complete the handshake unfolds it into a [`Connection`], which judges the
//! segment by the rules of RFC 9293 §3.10.7.4 as any other, and is thrown away again when it stays where it was.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::Bytes;
use transom_wire::tcp::{Flags, Options, Timestamps};
use transom_wire::{Ecn, Payload, Seq};

use crate::arrives::listen::{self, Verdict};
use crate::challenge::Challenge;
use crate::config::{Config, Identity, Path};
use crate::connection::{Block, Connection};
use crate::discard::Discard;
use crate::ecn::{self, Again, EcnOffer, Feedback};
use crate::env::Env;
use crate::event::CloseReason;
use crate::options::Negotiated;
use crate::recv::window::syn_window;
use crate::segment::{Segment, Transmit, TransmitKind};
use crate::send::SendQueue;
use crate::state::State;
use crate::tcb::{Handshake, Opening, Tcb, rtt_estimator};
use crate::time::Instant;

/// Doublings of the time between SYN-ACKs; the longest timeout bounds it long before.
const MAX_DOUBLINGS: u8 = 16;

/// A SYN that was answered.
#[derive(Debug)]
pub struct Embryo {
    iss: Seq,
    ts_offset: u32,
    irs: Seq,
    window: u16,
    offer: Offer,
    /// TSval of the SYN.
    ts_recent: u32,
    /// When the latest SYN-ACK was sent, if that is known.
    last_sent: Option<Instant>,
    /// When it is sent again.
    deadline: Instant,
    /// SYN-ACKs sent.
    transmissions: u8,
    /// Those of them that the clock made.
    timeouts: u8,
    /// A SYN without ECN has come, or a SYN-ACK without it gone, where accurate feedback was agreed on.
    plain: bool,
    challenge: Challenge,
}

/// What a SYN offers: what of it a connection needs later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Offer {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub window_scale: Option<u8>,
    /// Selective acknowledgement.
    pub sack: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// Explicit congestion notification.
    pub ecn: EcnOffer,
}

impl Offer {
    /// The offer of a SYN.
    pub fn of(syn: &Segment) -> Self {
        Self {
            mss: syn.options.mss,
            window_scale: syn.options.window_scale,
            sack: syn.options.sack_permitted,
            timestamps: syn.options.timestamps.is_some(),
            ecn: EcnOffer::of(syn),
        }
    }

    /// Sets [`Offer::mss`].
    #[must_use]
    pub const fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
        self
    }

    /// Sets [`Offer::window_scale`].
    #[must_use]
    pub const fn window_scale(mut self, shift: Option<u8>) -> Self {
        self.window_scale = shift;
        self
    }

    /// Sets [`Offer::sack`].
    #[must_use]
    pub const fn sack(mut self, sack: bool) -> Self {
        self.sack = sack;
        self
    }

    /// Sets [`Offer::timestamps`] to true.
    #[must_use]
    pub const fn timestamps(mut self) -> Self {
        self.timestamps = true;
        self
    }

    /// Sets [`Offer::ecn`].
    #[must_use]
    pub const fn ecn(mut self, ecn: EcnOffer) -> Self {
        self.ecn = ecn;
        self
    }

    /// What is left of the offer for a stack that has to remember it in a SYN cookie.
    // SYNF-5: without timestamps there is no room but for the maximum segment size.
    #[must_use]
    pub fn memorable(self, config: &Config) -> Self {
        let ecn = self.ecn.agreed(config);
        if self.timestamps {
            return Self { ecn, ..self };
        }
        Self {
            mss: self.mss,
            window_scale: None,
            sack: false,
            timestamps: false,
            // RFC 9768 §5.1: the acknowledgement shows accurate feedback.
            ecn: match ecn.feedback(config) {
                Feedback::Accurate => ecn,
                Feedback::Off | Feedback::Classic => EcnOffer::NONE,
            },
        }
    }

    fn options(self, ts_recent: u32) -> Options {
        Options {
            mss: self.mss,
            window_scale: self.window_scale,
            sack_permitted: self.sack,
            timestamps: self.timestamps.then_some(Timestamps {
                val: ts_recent,
                ecr: 0,
            }),
            ..Options::EMPTY
        }
    }
}

/// What a segment means for an [`Embryo`].
#[derive(Debug)]
pub enum EmbryoReply {
    /// Nothing is sent.
    Drop(Discard),
    /// This is sent, and the handshake goes on.
    Send(Discard, Box<Transmit>),
    /// The peer gave up; the embryo is over.
    Over(CloseReason),
    /// The peer contradicts itself: this reset is sent, and the embryo is over.
    Reset(Discard, Box<Transmit>),
    /// The handshake is complete. The connection has taken the segment, with this outcome.
    Complete(Box<Connection>, Result<(), Discard>),
}

impl Embryo {
    /// What is kept of a SYN that a listener accepts. It owes its SYN-ACK: [`syn_ack`](Self::syn_ack).
    ///
    /// # Errors
    /// The segment is no SYN that could open a connection.
    pub fn new(
        config: &Config,
        identity: Identity,
        syn: &Segment,
        now: Instant,
    ) -> Result<Self, Discard> {
        match listen::verdict(syn) {
            Verdict::Open => {}
            Verdict::Reset(discard, _) | Verdict::Drop(discard) => return Err(discard),
        }
        let ts_recent = syn.options.timestamps.map_or(0, |ts| ts.val);
        // EV-L-4, SEC-SYNF-2: text in the SYN is not kept; the peer sends it again, because only the SYN is
        // acknowledged.
        Ok(Self {
            iss: identity.iss,
            ts_offset: identity.ts_offset,
            irs: syn.seq,
            window: syn.window,
            offer: Offer::of(syn),
            ts_recent,
            last_sent: None,
            deadline: now + config.rto_initial,
            transmissions: 0,
            timeouts: 0,
            plain: false,
            challenge: Challenge::default(),
        })
    }

    /// What would have been kept, had the SYN not been answered with a SYN cookie (RFC 4987 §3.6): `segment` acknowledges
    /// the cookie, and `offer` is what the cookie remembers of the SYN.
    pub fn recall(config: &Config, mut offer: Offer, ts_offset: u32, segment: &Segment) -> Self {
        let may_be_accurate = config.ecn.accepts_accurate() && offer.ecn == EcnOffer::NONE;
        if may_be_accurate && ecn::shows_accurate(segment) {
            offer.ecn = EcnOffer::ACCURATE;
        }
        Self {
            iss: segment.ack - 1,
            ts_offset,
            irs: segment.seq - 1,
            window: segment.window,
            offer,
            ts_recent: segment.options.timestamps.map_or(0, |ts| ts.val),
            last_sent: None,
            deadline: segment.received + config.rto_initial,
            transmissions: 1,
            timeouts: 0,
            plain: false,
            challenge: Challenge::default(),
        }
    }

    /// As if the SYN had offered this and nothing more.
    #[must_use]
    pub const fn offering(mut self, offer: Offer) -> Self {
        self.offer = offer;
        self
    }

    /// ISS.
    pub const fn iss(&self) -> Seq {
        self.iss
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); a segment may move it later.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The SYN-ACK, for the first time or again.
    pub fn syn_ack(&mut self, config: &Config, path: &Path, now: Instant) -> Transmit {
        self.last_sent = Some(now);
        let is_accurate = self.offer.ecn.feedback(config) == Feedback::Accurate;
        self.plain |= is_accurate && ecn::is_syn_ack_plain(self.timeouts);
        let syn_ack = self.cookie(config, path, now.ticks());
        self.transmissions = self.transmissions.saturating_add(1);
        syn_ack
    }

    /// A SYN-ACK that nobody remembers to have sent. `clock`: what the timestamp shows, its offset not added.
    pub fn cookie(&self, config: &Config, path: &Path, clock: u32) -> Transmit {
        let options = self.offer.options(self.ts_recent);
        let negotiated = Negotiated::from_peer_syn(config, path, &options);
        let timestamps = Timestamps {
            val: clock.wrapping_add(self.ts_offset),
            ecr: self.ts_recent,
        };
        let mut options = negotiated.syn_ack(timestamps);
        let ecn = match self.offer.ecn.feedback(config) {
            Feedback::Off => Flags::EMPTY,
            Feedback::Classic => Flags::ECE,
            // RFC 9768 §3.2.3.2.2 ACC-14.
            Feedback::Accurate if ecn::is_syn_ack_plain(self.timeouts) => Flags::EMPTY,
            Feedback::Accurate => {
                if self.transmissions == 0 {
                    // ACC-13.
                    options.accecn = ecn::Accurate::syn_ack_option(config.accecn_option);
                }
                ecn::syn_ack_code(self.offer.ecn.field())
            }
        };
        Transmit {
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK | ecn,
            window: syn_window(config),
            urgent: 0,
            options,
            payload: Payload::default(),
            segment_size: 0,
            ecn: Ecn::NotEct,
            dscp: config.dscp,
            kind: TransmitKind::SynAck,
        }
    }

    /// The SYN-ACK was not answered in time: false when it was sent often enough.
    // EV-O-9, SYNF-9.
    pub fn handle_timeout(&mut self, config: &Config, now: Instant) -> bool {
        if self.timeouts >= config.syn_ack_retries {
            return false;
        }
        self.timeouts += 1;
        self.rearm(config, now);
        true
    }

    /// Waits for an answer to the SYN-ACK of this moment.
    fn rearm(&mut self, config: &Config, now: Instant) {
        // RFC 6298 §5.5.
        let doublings = u32::from(self.timeouts.min(MAX_DOUBLINGS));
        let wait = config
            .rto_initial
            .saturating_mul(1 << doublings)
            .min(config.rto_max);
        self.deadline = now + wait;
    }

    /// SEGMENT ARRIVES in SYN-RECEIVED. `place` gives the connection that this may become its memory.
    pub fn handle_segment(
        &mut self,
        config: &Arc<Config>,
        path: Path,
        now: Instant,
        segment: &Segment,
        place: impl FnOnce(Connection) -> Box<Connection>,
    ) -> EmbryoReply {
        let others = Flags::ACK | Flags::RST;
        let is_syn = segment.has(Flags::SYN) && !segment.flags.intersects(others);
        if is_syn && segment.seq == self.irs {
            match self.offer.ecn.again(config, segment) {
                Again::Same => {}
                Again::Plain => self.plain = true,
                Again::Mixed => return self.mixed(config, path, now),
            }
            let syn_ack = self.syn_ack(config, &path, now);
            // EV-O-9, as Linux: this one has its time, too. Otherwise it goes twice, as both ends back off alike, and after
            // the last one the embryo would end while the peer's acknowledgement is on its way.
            self.rearm(config, now);
            return EmbryoReply::Send(Discard::SynRetransmitted, Box::new(syn_ack));
        }
        let mut connection = place(self.unfold(config.clone(), path, now));
        let outcome = connection.handle_segment(now, segment);
        if let Some(reason) = connection.closed() {
            return EmbryoReply::Over(reason);
        }
        if connection.state() != State::SynReceived {
            return EmbryoReply::Complete(connection, outcome);
        }
        let reply = connection.poll_transmit(now, 0);
        self.challenge = connection.env.challenge;
        let discard = outcome.err().unwrap_or(Discard::SynRetransmitted);
        match reply {
            Some(reply) => EmbryoReply::Send(discard, Box::new(reply)),
            None => EmbryoReply::Drop(discard),
        }
    }

    /// RFC 9768 §3.1.5 ACC-4: classic and accurate ECN in one handshake.
    fn mixed(&self, config: &Arc<Config>, path: Path, now: Instant) -> EmbryoReply {
        match self.reset(config.clone(), path, now) {
            Some(reset) => EmbryoReply::Reset(Discard::EcnModesMixed, Box::new(reset)),
            None => EmbryoReply::Over(CloseReason::Aborted),
        }
    }

    /// ABORT: the reset for the peer.
    pub fn reset(&self, config: Arc<Config>, path: Path, now: Instant) -> Option<Transmit> {
        let mut connection = self.unfold(config, path, now);
        connection.abort(now);
        connection.poll_transmit(now, 0)
    }

    /// The connection that this is.
    fn unfold(&self, config: Arc<Config>, path: Path, now: Instant) -> Connection {
        let mut env = Env::new(config, path, self.ts_offset, now);
        env.challenge = self.challenge;
        env.counters.segments_sent = u32::from(self.transmissions);
        env.counters.timeouts = u32::from(self.timeouts);
        let mut rtt = rtt_estimator(&env.config);
        for _ in 0..self.timeouts {
            rtt.backoff();
        }
        let opening = Opening {
            iss: self.iss,
            queue: SendQueue::new(self.iss + 1),
            rtt,
            handshake: Handshake {
                syn_ack_owed: false,
                transmissions: self.transmissions,
                last_sent: self.last_sent,
                passive: true,
                plain: self.plain,
            },
            offered: u32::from(syn_window(&env.config)),
        };
        let syn = Segment {
            seq: self.irs,
            ack: Seq::default(),
            flags: Flags::SYN | self.offer.ecn.flags(),
            window: self.window,
            urgent: 0,
            options: self.offer.options(self.ts_recent),
            payload: Bytes::new(),
            ecn: self.offer.ecn.field(),
            received: now,
            gso_size: 0,
        };
        let tcb = Tcb::new(&env, opening, &syn, now);
        Connection {
            env,
            block: Block::Tcb(tcb),
        }
    }
}
