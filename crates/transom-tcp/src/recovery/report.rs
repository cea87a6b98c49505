//! What goes into [`Recovery`](super::Recovery) and what comes out of it.

use transom_wire::tcp::SackBlocks;
use transom_wire::{Seq, SeqRange};

pub use super::mtu_probe::MtuProbe;
pub use super::rack::RoundTrip;
pub use super::undo::Spurious;
pub use crate::segment::RetransmitCause;
use crate::time::Instant;

/// What an acceptable acknowledgement says.
#[derive(Clone, Copy, Debug)]
pub struct AckInput<'a> {
    /// When it arrived.
    pub now: Instant,
    /// SEG.ACK; may be old, never beyond SND.NXT.
    pub ack: Seq,
    /// Its SACK blocks, unchecked.
    pub sack: &'a SackBlocks,
    /// A duplicate by RFC 5681 §2, if data is outstanding: no payload, no SYN or FIN, SEG.ACK =
    /// SND.UNA and the window unchanged.
    pub is_duplicate: bool,
    /// SMSS in octets.
    pub mss: u32,
    /// The latest time at which the segment that the peer's timestamp echoes can have been sent.
    pub echoed: Option<Instant>,
    /// The round trip, for RACK.
    pub round_trip: RoundTrip,
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct AckOutcome {
    /// Octets by which SND.UNA moved.
    pub newly_acked: u32,
    /// Octets newly reported by SACK blocks.
    pub newly_sacked: u32,
    /// Octets newly known to have arrived, either way.
    pub delivered: u32,
    /// When the newest of these octets was sent, if that is unambiguous (Karn).
    pub rtt_sample: Option<Instant>,
    /// When the newest of the octets sent more than once was last sent: a timestamp echo from
    /// before that is no measurement either.
    pub resent_at: Option<Instant>,
    /// When the newest of these octets was sent last.
    pub newest_sent: Option<Instant>,
    /// A congestion episode begins: tell the controller (`on_loss`) before sending.
    pub entered_recovery: bool,
    /// The episode is over: tell the controller (`on_recovery_exit`). May be true together with
    /// `entered_recovery`; then the old one ended first.
    pub exited_recovery: bool,
    /// SND.UNA moved during fast recovery but not past the recovery point.
    pub partial_ack: bool,
    /// Restart the retransmission timer (RFC 6298 §5.3), which without SACK only the first partial
    /// acknowledgement of an episode does (RFC 6582 §3.2 step 3).
    pub restart_rto: bool,
    /// The first block reported a duplicate (RFC 2883).
    pub dsack: bool,
    /// The peer had thrown away what it had SACKed.
    pub reneged: bool,
    /// Octets newly believed lost.
    pub newly_lost: u64,
    /// When the newest of these was sent.
    pub newest_lost: Option<Instant>,
    /// In how many ranges they lie.
    pub lost_ranges: u32,
    /// When something is lost unless it has arrived (RACK): arm the reordering timer.
    pub reorder_deadline: Option<Instant>,
    /// A tail loss probe has repaired a loss: the controller is to reduce as for a fast
    /// retransmit, though no recovery follows (RFC 8985 §7.4.2).
    pub probe_repaired: bool,
    /// The last episode was a mistake: tell the controller (`on_spurious`), after
    /// `exited_recovery`.
    pub spurious: Option<Spurious>,
    /// The tail loss probe's original had arrived too.
    pub probe_was_needless: bool,
    /// What became of a segment that was larger than the path was known to carry.
    pub mtu_probe: Option<MtuProbe>,
    /// Segments by which limited transmit now exceeds the window (RFC 3042): 0, 1 or 2.
    pub limited_transmit: u32,
}

/// What a retransmission timeout means for the controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct TimeoutOutcome {
    /// ssthresh is to be set: this is the first timeout for this data, or a retransmission got
    /// lost (RFC 5681 §3.1 and §4.3).
    pub first: bool,
    /// The oldest outstanding octet had been SACKed: all SACK information was forgotten.
    pub reneged: bool,
    /// When the newest of what was found lost had been sent, where that is known.
    pub newest_lost: Option<Instant>,
}

/// A stretch to send again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmit {
    /// What; may be several segments.
    pub range: SeqRange,
    /// Why.
    pub cause: RetransmitCause,
}

/// What may be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendLimits {
    /// SMSS in octets.
    pub mss: u32,
    /// Most octets in one piece (offload limit).
    pub limit: usize,
    /// The congestion window, in octets.
    pub cwnd: u64,
    /// SND.UNA + SND.WND.
    pub snd_wnd_end: Seq,
}
