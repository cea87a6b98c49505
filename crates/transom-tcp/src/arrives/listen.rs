//! SEGMENT ARRIVES in LISTEN (RFC 9293 §3.10.7.2), for the listener that the stack keeps.

use transom_wire::tcp::Flags;

use super::closed;
use crate::discard::Discard;
use crate::segment::{Segment, Transmit};

/// What a listener does with a segment.
#[derive(Clone, Debug)]
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
