//! SEGMENT ARRIVES in LISTEN (RFC 9293 §3.10.7.2), for the listener that the stack keeps.

use transom_wire::tcp::Flags;

use super::closed;
use crate::config::Identity;
use crate::discard::Discard;
use crate::env::Env;
use crate::recv::window::syn_window;
use crate::segment::{Segment, Transmit};
use crate::send::SendQueue;
use crate::state::State;
use crate::tcb::{Handshake, Opening, Tcb, rtt_estimator};
use crate::time::Instant;

/// What a listener does with a segment.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once a segment, and taken apart at once"
)]
pub enum Verdict {
    /// A SYN that may become a connection: [`Connection::accept`](crate::Connection::accept).
    Open,
    /// The segment is discarded and this reset answers it.
    Reset(Discard, Transmit),
    /// The segment is discarded.
    Drop(Discard),
}

/// Judges a segment that arrived for a listener and for no connection.
pub fn verdict(segment: &Segment) -> Verdict {
    // RFC 9293 §3.10.7.2: first RST, second ACK, third SYN, fourth anything else.
    if segment.has(Flags::RST) {
        return Verdict::Drop(Discard::ResetWithoutConnection);
    }
    if segment.has(Flags::ACK) {
        let reset = closed::bare_reset(segment.ack, None);
        return Verdict::Reset(Discard::ListenUnexpectedAck, reset);
    }
    if !segment.has(Flags::SYN) {
        return Verdict::Drop(Discard::ListenWithoutSyn);
    }
    // The RFC would keep the FIN for later; no honest sender produces the combination.
    if segment.has(Flags::FIN) {
        return Verdict::Drop(Discard::SynWithFin);
    }
    Verdict::Open
}

/// The connection that a SYN opens, in SYN-RECEIVED (RFC 9293 §3.10.7.2, third).
pub(crate) fn open(
    env: &mut Env,
    identity: Identity,
    syn: &Segment,
    now: Instant,
) -> Result<Tcb, Discard> {
    match verdict(syn) {
        Verdict::Open => {}
        Verdict::Reset(discard, _) | Verdict::Drop(discard) => return Err(discard),
    }
    let opening = Opening {
        iss: identity.iss,
        queue: SendQueue::new(identity.iss + 1),
        rtt: rtt_estimator(&env.config),
        handshake: Handshake {
            syn_ack_owed: true,
            transmissions: 0,
            last_sent: None,
            passive: true,
            plain: false,
        },
        offered: u32::from(syn_window(&env.config)),
    };
    // EV-L-4: text in the SYN is not taken; the peer sends it again, because only the SYN is
    // acknowledged.
    env.enter(State::Listen, State::SynReceived);
    Ok(Tcb::new(env, opening, syn, now))
}
