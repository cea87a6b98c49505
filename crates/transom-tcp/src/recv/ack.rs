//! When received data is acknowledged (RFC 9293 §3.8.6.3, RFC 5681 §4.2).
//!
//! Input only marks what is owed; `transmit.rs` sends it, on data if there is any. Several
//! segments handled before that are answered by one acknowledgement (MUST-58, MUST-59).

use core::time::Duration;

use super::{Inserted, Receiver};
use crate::time::{Instant, nanos};

/// RMSS before a segment was seen, as Linux: small enough that a peer with a small MSS is
/// acknowledged often enough.
pub(crate) const INITIAL_RMSS: u16 = 536;
/// Most duplicate acknowledgements owed at once: what fast retransmit needs.
const MAX_DUPLICATES: u8 = 3;

/// The acknowledgement owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum AckOwed {
    /// None.
    #[default]
    No,
    /// One, when the timer expires or more data comes.
    Delayed,
    /// One, now.
    Now,
    /// One, now, to tell that the window has opened.
    WindowUpdate,
    /// One, now, for congestion marks on what asks for no acknowledgement.
    Marks,
    /// So many duplicates, now: a peer without SACK counts them.
    Duplicates(u8),
}

/// What a data segment asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Promptness {
    /// Acknowledge at once.
    Now,
    /// Acknowledge within the delayed-ACK time.
    Soon,
}

impl Receiver {
    /// Owes an acknowledgement at once.
    pub(crate) fn ack_now(&mut self) {
        if !matches!(self.ack, AckOwed::Duplicates(_)) {
            self.ack = AckOwed::Now;
        }
    }

    /// Owes an acknowledgement at once for the sake of congestion marks alone.
    pub(crate) fn ack_marks(&mut self) {
        if matches!(self.ack, AckOwed::No | AckOwed::Delayed) {
            self.ack = AckOwed::Marks;
        }
    }

    /// A segment of `pieces` original segments brought data.
    pub(crate) fn owe_ack(
        &mut self,
        inserted: &Inserted,
        pieces: u32,
        sack: bool,
        now: Instant,
    ) -> Promptness {
        self.last_data_at = now;
        if inserted.advanced == 0 {
            self.owe_duplicates(pieces, sack);
            return Promptness::Now;
        }
        // RFC 5681 §4.2: (partly) filling a gap, or a duplicate part, is acknowledged at once.
        let at_once = inserted.filled_gap
            || inserted.out_of_order
            || inserted.duplicate.is_some()
            || inserted.dropped_for_memory;
        let quick = self.quick_acks > 0;
        self.quick_acks = self
            .quick_acks
            .saturating_sub(u8::try_from(pieces).unwrap_or(u8::MAX));
        // RFC 9293 §3.8.6.3 SHLD-19: at least every second full segment.
        let unacked = self.nxt().since(self.last_ack_sent);
        if at_once || quick || unacked >= 2 * u32::from(self.rmss) {
            self.ack = AckOwed::Now;
            return Promptness::Now;
        }
        if self.ack == AckOwed::No {
            self.ack = AckOwed::Delayed;
        }
        Promptness::Soon
    }

    /// RFC 5681 §4.2 SACK-7: data out of order is acknowledged at once, segment by segment. With
    /// SACK one acknowledgement tells everything.
    fn owe_duplicates(&mut self, pieces: u32, sack: bool) {
        if sack {
            self.ack = AckOwed::Now;
            return;
        }
        let owed = if let AckOwed::Duplicates(owed) = self.ack {
            owed
        } else {
            0
        };
        let more = u8::try_from(pieces).unwrap_or(u8::MAX);
        self.ack = AckOwed::Duplicates(owed.saturating_add(more).min(MAX_DUPLICATES));
    }

    /// A segment that acknowledges RCV.NXT is being sent.
    pub(crate) fn on_ack_sent(&mut self) {
        self.last_ack_sent = self.nxt();
        self.ack = match self.ack {
            AckOwed::Duplicates(owed) if owed > 1 => AckOwed::Duplicates(owed - 1),
            _ => AckOwed::No,
        };
    }

    /// The application answered what it received: its answers carry the acknowledgements.
    pub(crate) fn on_data_sent(&mut self, delay: Duration, now: Instant) {
        let has_received = self.nxt() != self.irs + 1;
        if has_received && now.nanos_since(self.last_data_at) < nanos(delay) {
            self.quick_acks = 0;
        }
    }
}
