//! Segments as values: what came in, and what is to go out.

use bytes::Bytes;
use transom_wire::Seq;
use transom_wire::frame::Payload;
use transom_wire::ip::Ecn;
use transom_wire::tcp::{Flags, Options};

use crate::time::Instant;

/// A segment that arrived, with its checksum verified.
///
/// It may be a **super-segment**: several segments of one flow merged by the device (GRO). The
/// engine thinks in sequence ranges, so nothing else changes.
#[derive(Clone, Debug)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; meaningful with [`Flags::ACK`] only.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND as on the wire, not scaled.
    pub window: u16,
    /// SEG.UP as on the wire; meaningful with [`Flags::URG`] only.
    pub urgent: u16,
    /// The options, parsed.
    pub options: Options,
    /// The data: a slice of the frame's own buffer.
    pub payload: Bytes,
    /// The ECN field of the IP header.
    pub ecn: Ecn,
    /// When the frame was received; round-trip times are measured from it.
    pub received: Instant,
    /// Payload octets per original segment of a super-segment; 0 for a single segment.
    pub gso_size: u16,
}

impl Segment {
    /// SEG.LEN: octets of sequence space, SYN and FIN included (RFC 9293 §3.3.1).
    pub fn len(&self) -> u32 {
        self.payload_len()
            + u32::from(self.flags.contains(Flags::SYN))
            + u32::from(self.flags.contains(Flags::FIN))
    }

    /// Whether the segment takes up no sequence space.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of data.
    pub fn payload_len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX >> 1)
    }

    /// The sequence number after the last one that the segment takes up.
    pub fn end(&self) -> Seq {
        self.seq + self.len()
    }

    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }
}

/// A segment to be sent: everything but addresses, ports and checksum.
///
/// When `payload` is longer than `segment_size` the device must cut it into segments of that size,
/// giving FIN and PSH to the last piece only and the urgent pointer to none.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// SEG.SEQ of the first piece.
    pub seq: Seq,
    /// SEG.ACK; 0 unless ACK is set.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND as on the wire, already scaled down.
    pub window: u16,
    /// SEG.UP; 0 unless URG is set.
    pub urgent: u16,
    /// The options, the same on each piece.
    pub options: Options,
    /// The data.
    pub payload: Payload,
    /// Octets of payload per segment on the wire.
    pub segment_size: u16,
    /// The ECN field for the IP header.
    pub ecn: Ecn,
    /// The differentiated-services code point for the IP header (6 bits).
    pub dscp: u8,
    /// Why the segment is sent.
    pub kind: TransmitKind,
}

/// The one reason for which a segment is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TransmitKind {
    /// A reset: the connection was aborted, or there was none.
    Reset,
    /// Our SYN of an active open.
    Syn,
    /// SYN and ACK, of a passive or a simultaneous open.
    SynAck,
    /// Data sent for the first time.
    Data,
    /// Sequence space sent before, and why it is sent again.
    Retransmit(RetransmitCause),
    /// A zero-window probe (RFC 9293 §3.8.6.1).
    Probe,
    /// A keep-alive probe (RFC 9293 §3.8.4).
    KeepAlive,
    /// Our FIN, alone or on the last data.
    Fin,
    /// A bare acknowledgement.
    Ack,
    /// A bare acknowledgement that opens the window.
    WindowUpdate,
    /// The answer to a segment that may be forged (RFC 5961).
    ChallengeAck,
}

/// Why something is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RetransmitCause {
    /// The retransmission timer expired (RFC 6298).
    Timeout,
    /// Three duplicate acknowledgements, or a partial one (RFC 5681, 6582).
    FastRetransmit,
    /// The SACK scoreboard says that it is lost (RFC 8985, or RFC 6675).
    Sack,
    /// The one segment that RFC 6675 §4 rule 4 allows to keep acknowledgements coming.
    Rescue,
    /// The tail was probed before the timer (RFC 8985 §7).
    TailLossProbe,
    /// The path MTU fell below the size it was sent with.
    Mtu,
    /// A SYN carried it, and nothing but the SYN was acknowledged (RFC 7413 §4.2.2).
    FastOpen,
}

impl Transmit {
    /// Octets of sequence space, SYN and FIN included.
    pub fn len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX >> 1)
            + u32::from(self.flags.contains(Flags::SYN))
            + u32::from(self.flags.contains(Flags::FIN))
    }

    /// Whether the segment takes up no sequence space.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
