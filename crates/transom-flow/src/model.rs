//! The vocabulary of "what happened on a connection": ends, states and how they are known.

use core::fmt;
use core::ops::{Index, IndexMut};
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;
use transom_tcp::State;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The end that sent the first SYN.
    Client,
    /// The end that the first SYN was sent to.
    Server,
}

impl End {
    /// Both ends, client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The opposite end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A value for each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> Index<End> for Ends<T> {
    type Output = T;
    fn index(&self, end: End) -> &T {
        match end {
            End::Client => &self.client,
            End::Server => &self.server,
        }
    }
}

impl<T> IndexMut<End> for Ends<T> {
    fn index_mut(&mut self, end: End) -> &mut T {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }
}

/// How a state is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Basis {
    /// Read from the TCP itself: our own control block, or the kernel's through `sock_diag`.
    Observed,
    /// Concluded from the packets.
    #[default]
    Inferred,
}

/// The state of one end at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EndState {
    /// The state; `None` while nothing that was seen tells it, such as the state of a server that
    /// never answered.
    pub state: Option<State>,
    /// How the state is known.
    pub basis: Basis,
}

impl EndState {
    /// A state read from the TCP itself.
    #[must_use]
    pub const fn observed(state: State) -> Self {
        Self {
            state: Some(state),
            basis: Basis::Observed,
        }
    }

    /// A state concluded from the packets, if they allow a conclusion.
    #[must_use]
    pub const fn inferred(state: Option<State>) -> Self {
        Self {
            state,
            basis: Basis::Inferred,
        }
    }

    /// Whether the state is one of these; never, while it is unknown.
    #[must_use]
    pub fn is_any(self, states: &[State]) -> bool {
        self.state.is_some_and(|state| states.contains(&state))
    }
}

/// The program that owns an end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its name, as in `/proc/PID/comm`.
    pub name: Arc<str>,
    /// Its process id.
    pub pid: u32,
}

impl fmt::Display for Process {
    /// `curl[4242]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.name, self.pid)
    }
}

/// Address, name and program of one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address and port.
    pub addr: SocketAddr,
    /// The host's name, when a label gave one.
    pub host: Option<Arc<str>>,
    /// The program, when known.
    pub process: Option<Process>,
}

impl Endpoint {
    pub(crate) const fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            host: None,
            process: None,
        }
    }

    /// Name, or address, with the port: `example.com:80`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}:{}", self.addr.port()),
            None => self.addr.to_string(),
        }
    }
}

/// What one end sent, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Segments, each part of a super-packet counted when its size is known.
    pub segments: u64,
    /// Frames as captured; a super-packet is one.
    pub frames: u64,
    /// Bytes of data, each sequence number counted once.
    pub bytes: u64,
    /// Bytes of data by sequence numbers, up to the highest sent or acknowledged: more than `bytes`
    /// where segments were not captured.
    pub extent: u64,
    /// Bytes of IP packets, by the lengths in their headers.
    pub ip_bytes: u64,
    /// Segments that were sent again, in whole or in part.
    pub retransmitted: u64,
    /// Bytes of data sent again.
    pub retransmitted_bytes: u64,
    /// Segments that filled a gap without being sent again.
    pub out_of_order: u64,
    /// Duplicate acknowledgements.
    pub duplicate_acks: u64,
    /// Segments with a window of zero, resets left out.
    pub zero_windows: u64,
    /// Probes of the other end's zero window.
    pub window_probes: u64,
    /// Keep-alive probes.
    pub keep_alives: u64,
    /// Resets.
    pub resets: u64,
    /// Segments that a simulated link or a fault dropped.
    pub lost: u64,
    /// Times at which the capture lacked segments before one that it holds.
    pub gaps: u64,
    /// Frames of which the capture holds less than was on the wire.
    pub truncated: u64,
    /// Frames that the capture holds a further time: a port mirror saw the packet twice, or the
    /// network delivered it twice. They count nowhere else but in `frames` and `ip_bytes`.
    pub duplicate_frames: u64,
    /// Of these, frames with another hop limit: seen before and behind a router, or looping.
    pub hop_changed_frames: u64,
    /// Frames that were captured behind one with a later time.
    pub time_reversals: u64,
}

/// When the three segments of the handshake were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The first SYN.
    pub syn: Duration,
    /// The first SYN,ACK (in a simultaneous open: the second SYN).
    pub syn_ack: Duration,
    /// The client's acknowledgement.
    pub ack: Duration,
}

impl Handshake {
    /// From the first SYN to the acknowledgement that ends the handshake.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.ack.saturating_sub(self.syn)
    }
}

/// Who ended the connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// This end sent the first FIN: the active closer.
    Fin(End),
    /// Both ends sent FIN before they saw the other's.
    BothFin,
    /// This end reset the connection.
    Reset(End),
    /// The SYN was answered with a reset.
    Refused,
    /// No SYN was ever answered.
    Unanswered,
    /// An ICMP error ended the attempt.
    Unreachable,
    /// One or both ends still hold the connection.
    StillOpen,
    /// A TCP gave up or was aborted without a segment that says so.
    Vanished(End),
}

impl ClosedBy {
    /// A stable identifier, such as `client_fin` or `still_open`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Fin(End::Client) => "client_fin",
            Self::Fin(End::Server) => "server_fin",
            Self::BothFin => "both_fin",
            Self::Reset(End::Client) => "client_reset",
            Self::Reset(End::Server) => "server_reset",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Unreachable => "unreachable",
            Self::StillOpen => "still_open",
            Self::Vanished(End::Client) => "client_vanished",
            Self::Vanished(End::Server) => "server_vanished",
        }
    }
}

impl fmt::Display for ClosedBy {
    /// As in the table: `client (FIN)`, `refused`, `-` while open.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fin(end) => write!(f, "{end} (FIN)"),
            Self::BothFin => f.write_str("both (FIN)"),
            Self::Reset(end) => write!(f, "{end} (RST)"),
            Self::Refused => f.write_str("refused"),
            Self::Unanswered => f.write_str("unanswered"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::StillOpen => f.write_str("-"),
            Self::Vanished(end) => write!(f, "{end} (gave up)"),
        }
    }
}
