//! The sending half: the variables of RFC 9293 §3.3.1 and the queue of what the application wrote.
//!
//! ```text
//!            1         2          3          4
//!       ----------|----------|----------|----------
//!              SND.UNA    SND.NXT    SND.UNA
//!                                   +SND.WND
//!  1 acknowledged   2 sent, not acknowledged   3 may be sent   4 may not be sent yet
//! ```
//!
//! Sequence space also holds our SYN (at ISS) and our FIN (at the end of the queue).

mod queue;
pub(crate) mod when;

pub use queue::SendQueue;
use transom_wire::Seq;

use crate::pack::{In, Like, Rare, packed, packed_choice};
use crate::time::Instant;

/// Where our FIN stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fin {
    /// The application may still write.
    Open,
    /// To be sent after everything that is queued.
    Queued,
    /// Sent; its number is the end of the queue.
    Sent,
}

packed_choice!(Fin { Open, Queued, Sent });

/// SND.* and what goes with them.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) queue: SendQueue,
    pub(crate) iss: Seq,
    /// SND.UNA.
    pub(crate) una: Seq,
    /// SND.NXT. A window probe beyond it does not count until it is acknowledged.
    pub(crate) nxt: Seq,
    /// SND.WND, scaled.
    pub(crate) wnd: u32,
    /// SND.WL1.
    pub(crate) wl1: Seq,
    /// SND.WL2.
    pub(crate) wl2: Seq,
    /// MAX.SND.WND (RFC 5961 §5.2): never decreases.
    pub(crate) max_wnd: u32,
    /// SND.UP: the octet after the urgent data.
    pub(crate) up: Option<Seq>,
    pub(crate) fin: Fin,
    /// End of the last segment sent that was not full (the Minshall variant of Nagle).
    pub(crate) small_end: Seq,
    /// One octet, or the FIN, was sent at SND.NXT although the window is closed.
    pub(crate) probe_outstanding: bool,
    /// Window probes sent since the peer was last heard.
    pub(crate) probes: u8,
    /// Doublings of the probe interval since the window closed.
    pub(crate) persist_backoff: u8,
    /// Retransmission time-outs since SND.UNA last moved.
    pub(crate) retries: u8,
    /// When data was last sent.
    pub(crate) last_sent: Instant,
    /// A held partial segment has been held long enough.
    pub(crate) override_due: bool,
    pub(crate) cork: bool,
    /// The application said that more follows at once what it wrote last: no PSH on that.
    pub(crate) more: bool,
    /// Because of that, a partial segment waits for more, an acknowledgement or the cork timer.
    pub(crate) waits_for_more: bool,
    /// Octets that the congestion window has deserved as a buffer; only ever grows.
    pub(crate) buffer: usize,
    /// `send` took less than it was given.
    pub(crate) wants_writable: bool,
    /// The congestion window held us back since `usage_start`.
    pub(crate) cwnd_limited: bool,
    /// The same of the round trip before.
    pub(crate) cwnd_limited_before: bool,
    /// Most octets in flight since `usage_start`.
    pub(crate) max_in_flight: u32,
    /// As it was in the period before.
    pub(crate) max_in_flight_before: u32,
    /// The use of the congestion window is watched from the sending of what ends here. It begins
    /// anew with the first sending after that is acknowledged, so that a burst which fills the
    /// window counts until all of it is acknowledged.
    pub(crate) usage_start: Seq,
    /// SND.NXT when this round trip began.
    pub(crate) round_end: Seq,
    /// Where SND.NXT stood when the segment size last changed.
    pub(crate) mss_since: Seq,
}

packed!(Sender {
    wl1,
    iss,
    usage_start: In<4>,
    round_end: In<4>,
    mss_since,
    una,
    nxt: Like,
    wl2: Like,
    small_end: Like,
    queue,
    wnd,
    max_wnd: In<4>,
    up: Rare,
    fin,
    probe_outstanding,
    probes: Rare,
    persist_backoff: Rare,
    retries: Rare,
    last_sent,
    override_due,
    cork,
    more,
    waits_for_more,
    buffer: In<3>,
    wants_writable,
    cwnd_limited,
    cwnd_limited_before,
    max_in_flight: In<3>,
    max_in_flight_before: In<3>,
});

impl Sender {
    /// The sender of a connection whose SYN is `iss`, with what was written before the handshake.
    pub(crate) fn new(iss: Seq, queue: SendQueue, now: Instant) -> Self {
        let nxt = iss + 1;
        Self {
            queue,
            iss,
            una: iss,
            nxt,
            wnd: 0,
            wl1: Seq::default(),
            wl2: Seq::default(),
            max_wnd: 0,
            up: None,
            fin: Fin::Open,
            small_end: nxt,
            probe_outstanding: false,
            probes: 0,
            persist_backoff: 0,
            retries: 0,
            last_sent: now,
            override_due: false,
            cork: false,
            more: false,
            waits_for_more: false,
            buffer: 0,
            wants_writable: false,
            cwnd_limited: false,
            cwnd_limited_before: false,
            max_in_flight: 0,
            max_in_flight_before: 0,
            usage_start: nxt,
            round_end: nxt,
            mss_since: nxt,
        }
    }

    /// SND.UNA moves to `una`.
    ///
    /// Marks that lie behind it come along: one that stayed where it is would lie *ahead* once half
    /// of the sequence space has passed.
    pub(crate) fn advance(&mut self, una: Seq) {
        self.una = una;
        self.small_end = self.small_end.max(una);
        // Only "more than a segment ago" is asked of this one.
        self.mss_since = self.mss_since.max(una - (1 << 30));
        self.usage_start = self.usage_start.max(una - (1 << 30));
    }

    /// The number after everything that a peer may acknowledge.
    pub(crate) fn max_ack(&self) -> Seq {
        self.nxt + u32::from(self.probe_outstanding)
    }

    /// Octets of data not sent yet.
    pub(crate) fn unsent(&self) -> u32 {
        let end = self.queue.end();
        if end.gt(self.nxt) {
            end.since(self.nxt)
        } else {
            0
        }
    }

    /// The FIN waits to be sent.
    pub(crate) fn fin_waits(&self) -> bool {
        self.fin == Fin::Queued
    }

    /// Our FIN is acknowledged.
    pub(crate) fn fin_acked(&self) -> bool {
        self.fin == Fin::Sent && self.una.gt(self.queue.end())
    }

    /// Sequence space sent and not acknowledged.
    pub(crate) fn in_flight(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Everything that was written, and the FIN if asked for, is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.una == self.nxt && !self.fin_waits()
    }

    /// SND.UNA + SND.WND.
    pub(crate) fn window_end(&self) -> Seq {
        self.una + self.wnd
    }

    /// U of RFC 9293 §3.8.6.2.1. Zero when the peer took back window that we have used (MUST-34).
    pub(crate) fn usable(&self) -> u32 {
        let end = self.window_end();
        if end.gt(self.nxt) {
            end.since(self.nxt)
        } else {
            0
        }
    }

    /// RFC 9293 §3.10.7.4: SND.WL1 < SEG.SEQ, or equal and SND.WL2 ≤ SEG.ACK.
    ///
    /// An acknowledgement of something new is newer than any before, whatever its sequence number:
    /// window probes of some stacks, Linux among them, carry an old one.
    pub(crate) fn is_newer_window(&self, seq: Seq, ack: Seq) -> bool {
        ack.gt(self.una) || self.wl1.lt(seq) || (self.wl1 == seq && self.wl2.le(ack))
    }

    /// Takes over a window; gives whether it changed.
    pub(crate) fn set_window(&mut self, wnd: u32, seq: Seq, ack: Seq) -> bool {
        let changed = self.wnd != wnd;
        self.wnd = wnd;
        self.wl1 = seq;
        self.wl2 = ack;
        self.max_wnd = self.max_wnd.max(wnd);
        changed
    }

    /// Where a segment without text must lie for the peer to take it.
    pub(crate) fn acceptable_seq(&self) -> Seq {
        // RFC 5961 §3.2 wants a reset exactly at the peer's RCV.NXT, and Table 6 of RFC 9293 an
        // acknowledgement inside its window: SND.NXT, unless the peer took back window and threw
        // away what we sent beyond its edge (as Linux).
        self.una.max(self.nxt.min(self.window_end()))
    }
}
