//! SYN-SENT: small plain data, because nothing is known of the peer yet.

use alloc::boxed::Box;

use transom_wire::Seq;

use crate::env::Env;
use crate::rtt::RttEstimator;
use crate::segment::{Segment, Transmit};
use crate::send::SendQueue;
use crate::tcb::{Handshake, Opening, Tcb, rtt_estimator};
use crate::time::Instant;

/// What an active opener knows before the peer's SYN.
#[derive(Debug)]
pub(crate) struct SynSent {
    pub(crate) iss: Seq,
    /// What the application wrote already.
    pub(crate) queue: SendQueue,
    pub(crate) rtt: RttEstimator,
    /// Our SYN is to be sent (again).
    pub(crate) syn_owed: bool,
    pub(crate) transmissions: u8,
    /// When the first SYN was sent.
    pub(crate) sent_at: Instant,
    /// When the last one was.
    pub(crate) last_sent: Instant,
    /// A reset for a segment of some other connection.
    pub(crate) reply: Option<Box<Transmit>>,
    /// `send` took less than it was given.
    pub(crate) wants_writable: bool,
    pub(crate) cork: bool,
    pub(crate) up: Option<Seq>,
    /// A SYN that asks for no ECN was sent, or is to be.
    pub(crate) plain: bool,
}

impl SynSent {
    pub(crate) fn new(env: &Env, iss: Seq, now: Instant) -> Self {
        Self {
            iss,
            queue: SendQueue::new(iss + 1),
            rtt: rtt_estimator(&env.config),
            syn_owed: true,
            transmissions: 0,
            sent_at: now,
            last_sent: now,
            reply: None,
            wants_writable: false,
            cork: false,
            up: None,
            plain: false,
        }
    }

    /// The control block that the peer's SYN makes possible.
    pub(crate) fn open(&mut self, env: &Env, segment: &Segment, now: Instant) -> Tcb {
        let opening = Opening {
            iss: self.iss,
            queue: core::mem::replace(&mut self.queue, SendQueue::new(self.iss + 1)),
            rtt: core::mem::replace(&mut self.rtt, rtt_estimator(&env.config)),
            handshake: Handshake {
                syn_ack_owed: false,
                transmissions: self.transmissions,
                last_sent: Some(self.last_sent),
                passive: false,
                plain: self.plain,
            },
            offered: u32::from(crate::recv::window::syn_window(&env.config)),
        };
        let mut tcb = Tcb::new(env, opening, segment, now);
        tcb.snd.wants_writable = self.wants_writable;
        tcb.snd.cork = self.cork;
        tcb.snd.up = self.up;
        tcb.note_syn_data(env, self.sent_at, self.transmissions > 1);
        tcb
    }
}
