//! What became of a relayed connection.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

/// One of the two peers of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first argument of [`relay()`](crate::relay()).
    Client,
    /// The second.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirectionEnd {
    /// The sender's FIN came, everything before it was passed on, and so was the FIN.
    Finished,
    /// The sender reset the connection, or its connection failed.
    SenderFailed,
    /// The receiver reset the connection, or its connection failed; what was on the way is lost.
    ReceiverFailed,
}

/// One direction of a relay, when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectionOutcome {
    /// Bytes passed on to the receiver's connection.
    pub bytes: u64,
    /// How it ended.
    pub end: DirectionEnd,
}

/// Why a relay ended otherwise than by a FIN from both sides.
#[derive(Debug)]
#[non_exhaustive]
pub struct RelayFailure {
    /// Whose connection failed. The other one was reset in answer.
    pub side: Side,
    /// What happened: `ConnectionReset` when the peer sent a reset.
    pub error: io::Error,
}

impl RelayFailure {
    /// Whether it was a reset by the peer, and not a timeout or an unreachable host.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        // EPIPE is what Linux stores when the reset comes after the peer's FIN.
        matches!(
            self.error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected
        )
    }
}

/// What became of a relayed connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct RelayOutcome {
    /// From client to server.
    pub to_server: DirectionOutcome,
    /// From server to client.
    pub to_client: DirectionOutcome,
    /// Who ended its direction first, by FIN or by reset.
    pub closed_first: Side,
    /// Set when it ended by a reset or a failure: whose, and which.
    pub failure: Option<RelayFailure>,
}

impl RelayOutcome {
    /// Whether both sides finished in order.
    #[must_use]
    pub const fn is_orderly(&self) -> bool {
        self.failure.is_none()
    }
}

/// Bytes passed on so far; may be read while the relay runs.
#[derive(Debug, Default)]
pub struct RelayCounters {
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl RelayCounters {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        }
    }

    /// Bytes passed on from client to server.
    #[must_use]
    pub fn to_server(&self) -> u64 {
        self.to_server.load(Ordering::Relaxed)
    }

    /// Bytes passed on from server to client.
    #[must_use]
    pub fn to_client(&self) -> u64 {
        self.to_client.load(Ordering::Relaxed)
    }

    /// The counter of what `sender` sends.
    pub(crate) const fn from(&self, sender: Side) -> &AtomicU64 {
        match sender {
            Side::Client => &self.to_server,
            Side::Server => &self.to_client,
        }
    }
}
