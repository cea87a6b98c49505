//! TIME-WAIT in less than 128 bytes.

use transom_wire::Seq;

use crate::discard::Discard;
use crate::segment::{Segment, Transmit};
use crate::time::Instant;

/// A connection in TIME-WAIT that owes nothing but acknowledgements.
#[derive(Clone, Debug)]
pub struct TimeWait {
    deadline: Instant,
}

/// What TIME-WAIT answers.
#[derive(Clone, Debug)]
pub enum TimeWaitReply {
    /// Nothing is sent.
    Drop(Discard),
    /// An acknowledgement is sent.
    Ack(Discard, Transmit),
    /// The segment is a SYN that opens a new connection: hand it to the listener with an initial
    /// sequence number above `min_iss` (RFC 6191, RFC 1122 §4.2.2.13).
    Reopen {
        /// The new ISS must lie beyond this.
        min_iss: Seq,
    },
}

impl TimeWait {
    /// When the pair of sockets becomes free.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
    /// SEGMENT ARRIVES in TIME-WAIT.
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment) -> TimeWaitReply {
        let _ = (now, segment);
        TimeWaitReply::Drop(Discard::TimeWaitOldSegment)
    }
}
