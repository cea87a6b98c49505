//! The steps of a connection: segments, ICMP errors, changes of state, notes; and folded runs.

use crate::model::{End, EndState, Ends};
use core::time::Duration;
use std::net::IpAddr;
use transom_tcp::State;
use transom_wire::Seq;
use transom_wire::tcp::{Flags, Options, SackBlocks};

/// One thing that happened, with both ends' states after it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Position in the connection, from 0; no two steps of a connection share one.
    pub index: u64,
    /// When, since the origin that the caller of the tracker chose.
    pub time: Duration,
    /// What.
    pub what: What,
    /// Both ends' states after the step (after arrival, unless the step says otherwise).
    pub states: Ends<EndState>,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// A segment went from one end to the other.
    Segment(Segment),
    /// An ICMP error about a segment of this connection.
    Icmp(IcmpError),
    /// An end changed its state without a segment of its own, such as at the end of TIME-WAIT.
    State(StateChange),
    /// A remark from outside, such as what happened on the other leg of a relay.
    Note(Note),
}

/// A TCP segment as captured.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Number of the frame in the capture, from 1.
    pub frame: u64,
    /// Who sent it.
    pub from: End,
    /// Control bits.
    pub flags: Flags,
    /// SEG.SEQ as on the wire.
    pub seq: Seq,
    /// SEG.SEQ counted from the sender's initial sequence number.
    pub relative_seq: u32,
    /// SEG.ACK as on the wire, where the ACK bit is set.
    pub ack: Option<Seq>,
    /// SEG.ACK counted from the other end's initial sequence number; `None` also while that number is unknown.
    pub relative_ack: Option<u32>,
    /// Bytes of data.
    pub len: u32,
    /// The window in bytes, scaled where the handshake told the scale.
    pub window: u32,
    /// Wire segments in this frame: more than one for a super-packet whose segment size is known.
    pub segments: u32,
    /// SACK blocks carried.
    pub sack_blocks: u8,
    /// The SACK blocks, where it carries any, with the numbers on the wire.
    pub sack: Option<Box<SackBlocks>>,
    /// The options of a SYN.
    pub options: Option<Box<Options>>,
    /// What the segment is for.
    pub meaning: Meaning,
    /// Its data reaches the end of the receiver's window: nothing more may be sent before the
    /// window moves.
    pub fills_window: bool,
    /// It was sent again for nothing, as the other end's acknowledgements showed: the data had
    /// arrived before (RFC 2883 §4, RFC 3522 §3).
    pub needless: bool,
    /// Whether it arrived, where that is known.
    pub fate: Fate,
    /// What the data looks like, from its first bytes; may hold any characters.
    pub hint: Option<Box<str>>,
}

impl Segment {
    /// The SACK blocks, counted from the other end's initial sequence number; none while that is unknown.
    pub fn relative_sack(&self) -> impl Iterator<Item = (u32, u32)> {
        let base = self
            .ack
            .zip(self.relative_ack)
            .map(|(ack, relative)| ack - relative);
        let blocks = self.sack.as_deref().map_or(&[][..], SackBlocks::as_slice);
        base.into_iter().flat_map(move |base| {
            blocks
                .iter()
                .map(move |block| (block.start.since(base), block.end.since(base)))
        })
    }

    /// Length in sequence space: data, SYN and FIN.
    #[must_use]
    pub fn sequence_len(&self) -> u32 {
        self.len
            .saturating_add(u32::from(self.flags.contains(Flags::SYN)))
            .saturating_add(u32::from(self.flags.contains(Flags::FIN)))
    }
}

/// Whether a segment arrived at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Fate {
    /// Seen at one point only: taken to arrive unless later segments contradict it.
    #[default]
    Unknown,
    /// Arrives at this time: known from a simulated link, or from the other end's capture.
    Arrives(Duration),
    /// Dropped on the way.
    Lost,
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meaning {
    /// A SYN.
    Syn,
    /// A SYN,ACK.
    SynAck,
    /// The acknowledgement that ends the handshake.
    HandshakeAck,
    /// New data.
    Data,
    /// New data after a gap: segments before it were not captured, or were lost before the capture point.
    DataAfterGap,
    /// An acknowledgement of something new.
    Ack,
    /// A FIN, with or without data.
    Fin,
    /// A reset.
    Reset,
    /// A reset sent again, because the other end goes on sending.
    ResetAgain,
    /// Sent again.
    Retransmission {
        /// Why, as far as the packets tell.
        cause: Cause,
        /// The frame that carried it first, when it was captured.
        original: Option<u64>,
    },
    /// Arrived behind segments that were sent after it.
    OutOfOrder,
    /// The n-th acknowledgement in a row of the same number while data was outstanding.
    DuplicateAck(u32),
    /// A probe of an idle connection.
    KeepAlive,
    /// The answer to a keep-alive.
    KeepAliveAck,
    /// The receiver's window is closed.
    ZeroWindow,
    /// The receiver's window opened further.
    WindowUpdate,
    /// A probe of a closed window.
    WindowProbe,
    /// The answer to a probe of a closed window.
    WindowProbeAck,
    /// An acknowledgement that questions an unexpected SYN or RST (RFC 5961).
    ChallengeAck,
    /// The same packet as in an earlier frame: captured twice, as by a port mirror, or delivered
    /// twice by the network. Its sender sent it once.
    Duplicate {
        /// The frame that holds it first.
        original: u64,
    },
}

/// Why a segment was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The retransmission timer ran out (RFC 6298).
    Timeout,
    /// Duplicate acknowledgements or SACK blocks showed the loss (RFC 5681, RFC 6675).
    FastRetransmit,
    /// The tail was sent again before the timer, to draw an acknowledgement (RFC 8985 §7).
    TailLossProbe,
    /// The data had been acknowledged already when it passed the capture point.
    AlreadyAcknowledged,
    /// The packets do not tell.
    Unknown,
}

impl Cause {
    /// A stable identifier, such as `fast_retransmit`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::FastRetransmit => "fast_retransmit",
            Self::TailLossProbe => "tail_loss_probe",
            Self::AlreadyAcknowledged => "already_acknowledged",
            Self::Unknown => "unknown",
        }
    }

    /// A few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::FastRetransmit => "fast",
            Self::TailLossProbe => "tail loss probe",
            Self::AlreadyAcknowledged => "already acknowledged",
            Self::Unknown => "cause unknown",
        }
    }
}

impl Meaning {
    /// A stable identifier, such as `data` or `retransmission`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::HandshakeAck => "handshake_ack",
            Self::Data => "data",
            Self::DataAfterGap => "data_after_gap",
            Self::Ack => "ack",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::ResetAgain => "reset_again",
            Self::Retransmission { .. } => "retransmission",
            Self::OutOfOrder => "out_of_order",
            Self::DuplicateAck(_) => "duplicate_ack",
            Self::KeepAlive => "keep_alive",
            Self::KeepAliveAck => "keep_alive_ack",
            Self::ZeroWindow => "zero_window",
            Self::WindowUpdate => "window_update",
            Self::WindowProbe => "window_probe",
            Self::WindowProbeAck => "window_probe_ack",
            Self::ChallengeAck => "challenge_ack",
            Self::Duplicate { .. } => "duplicate",
        }
    }

    /// Whether a run of such segments may be folded into a count.
    #[must_use]
    pub const fn is_bulk(self) -> bool {
        matches!(
            self,
            Self::Data
                | Self::DataAfterGap
                | Self::Ack
                | Self::Retransmission { .. }
                | Self::OutOfOrder
                | Self::DuplicateAck(_)
                | Self::WindowUpdate
                | Self::KeepAlive
                | Self::KeepAliveAck
                | Self::WindowProbe
                | Self::WindowProbeAck
                | Self::Duplicate { .. }
        )
    }
}

/// An ICMP error that quotes a segment of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Number of the frame in the capture, from 1.
    pub frame: u64,
    /// The host that reports.
    pub reporter: IpAddr,
    /// The end whose segment is quoted, and that is told.
    pub to: End,
    /// What it says.
    pub kind: IcmpKind,
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IcmpKind {
    /// No route to the network, or to the host.
    NoRoute,
    /// The host does not answer its neighbours.
    HostUnreachable,
    /// The host has no TCP.
    ProtocolUnreachable,
    /// Nobody listens at the port.
    PortUnreachable,
    /// A filter forbids it.
    Prohibited,
    /// The packet does not fit the next link, which takes this many bytes (0: not told).
    PacketTooBig(u32),
    /// The hop limit ran out on the way.
    HopLimitExceeded,
    /// Anything else: type and code.
    Other(u8, u8),
}

impl core::fmt::Display for IcmpKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoRoute => f.write_str("no route to host"),
            Self::HostUnreachable => f.write_str("host unreachable"),
            Self::ProtocolUnreachable => f.write_str("protocol unreachable"),
            Self::PortUnreachable => f.write_str("port unreachable"),
            Self::Prohibited => f.write_str("administratively prohibited"),
            Self::PacketTooBig(0) => f.write_str("packet too big"),
            Self::PacketTooBig(mtu) => write!(f, "packet too big, MTU {mtu}"),
            Self::HopLimitExceeded => f.write_str("hop limit exceeded"),
            Self::Other(kind, code) => write!(f, "ICMP type {kind} code {code}"),
        }
    }
}

/// A change of state that no segment of that end shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Whose.
    pub end: End,
    /// The state left, when known.
    pub from: Option<State>,
    /// The state entered.
    pub to: State,
    /// The frame whose arrival caused it, when known.
    pub arrival_of: Option<u64>,
}

/// A remark from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The words.
    pub text: Box<str>,
}

/// What a folded run held in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldedTotals {
    /// Segments.
    pub segments: u64,
    /// Bytes of data, whether new or sent again.
    pub bytes: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Segments that were lost.
    pub lost: u64,
}

/// A run of steps of which only counts are kept.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Index of the first step folded.
    pub first: u64,
    /// Index of the last step folded.
    pub last: u64,
    /// Time of the first step folded.
    pub start: Duration,
    /// Time of the last step folded.
    pub end: Duration,
    /// Steps folded.
    pub steps: u64,
    /// What each end sent.
    pub sent: Ends<FoldedTotals>,
    /// Both ends' states after the run.
    pub states: Ends<EndState>,
}

impl Fold {
    /// A run of one step.
    #[must_use]
    pub fn new(step: &Step) -> Self {
        let mut fold = Self {
            first: step.index,
            last: step.index,
            start: step.time,
            end: step.time,
            steps: 0,
            sent: Ends::default(),
            states: step.states,
        };
        fold.absorb(step);
        fold
    }

    /// Takes the next step into the run.
    pub fn absorb(&mut self, step: &Step) {
        self.last = step.index;
        self.end = step.time;
        self.steps += 1;
        self.states = step.states;
        if let What::Segment(segment) = &step.what {
            let sent = &mut self.sent[segment.from];
            let segments = u64::from(segment.segments.max(1));
            sent.segments += segments;
            sent.bytes += u64::from(segment.len);
            if matches!(segment.meaning, Meaning::Retransmission { .. }) {
                sent.retransmitted += segments;
            }
            if segment.fate == Fate::Lost {
                sent.lost += segments;
            }
        }
    }

    /// Takes a run that follows this one.
    pub fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.end = next.end;
        self.steps += next.steps;
        self.states = next.states;
        for end in End::BOTH {
            let (sent, more) = (&mut self.sent[end], &next.sent[end]);
            sent.segments += more.segments;
            sent.bytes += more.bytes;
            sent.retransmitted += more.retransmitted;
            sent.lost += more.lost;
        }
    }
}

/// A step, or a run of steps of which only counts are kept.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A step in full.
    Step(&'a Step),
    /// A folded run.
    Fold(&'a Fold),
}
