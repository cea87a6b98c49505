//! SEGMENT ARRIVES in CLOSED (RFC 9293 §3.10.7.1): the reset owed to a segment without connection.

use transom_wire::tcp::{Flags, Options};
use transom_wire::{Ecn, Payload, Seq};

use crate::discard::Discard;
use crate::segment::{Segment, Transmit, TransmitKind};

/// The reset that answers `segment`, sent to where it came from.
///
/// # Errors
/// A reset is never answered with a reset.
pub fn reply(segment: &Segment) -> Result<Transmit, Discard> {
    if segment.has(Flags::RST) {
        return Err(Discard::ResetWithoutConnection);
    }
    // RFC 9293 §3.10.7.1: the reset takes the sequence number that the sender of the segment
    // expects; without an ACK to tell it, 0 and an acknowledgement of the segment.
    Ok(if segment.has(Flags::ACK) {
        bare_reset(segment.ack, None)
    } else {
        bare_reset(Seq::new(0), Some(segment.end()))
    })
}

/// A reset without options.
pub(crate) fn bare_reset(seq: Seq, ack: Option<Seq>) -> Transmit {
    Transmit {
        seq,
        ack: ack.unwrap_or_default(),
        flags: if ack.is_some() {
            Flags::RST | Flags::ACK
        } else {
            Flags::RST
        },
        window: 0,
        urgent: 0,
        options: Options::EMPTY,
        payload: Payload::default(),
        segment_size: 0,
        ecn: Ecn::NotEct,
        dscp: 0,
        kind: TransmitKind::Reset,
    }
}
