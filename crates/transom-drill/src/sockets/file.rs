//! What a file descriptor stands for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use transom_stack::tcp::{CloseReason, Config, PathError, State};
use transom_stack::{ConnId, ListenerId};

use super::names::{SO_ZEROCOPY, SOL_SOCKET};
use super::{Errno, Fd};

/// An open file.
#[derive(Debug)]
pub(crate) struct File {
    /// `O_NONBLOCK`.
    pub(crate) nonblocking: bool,
    /// What it is.
    pub(crate) kind: Kind,
}

/// The kinds of files.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A TCP socket.
    Tcp(Box<Tcp>),
    /// An epoll instance.
    Epoll(Epoll),
    /// An end of a pipe: its number, and whether it is the one to write to.
    Pipe { number: usize, writes: bool },
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Neither listening nor connected.
    Unconnected,
    /// Waits for connections.
    Listening(ListenerId),
    /// `connect` was called and has not returned success.
    Connecting(ConnId),
    /// Connected, or was.
    Connected(ConnId),
}

/// A TCP socket.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    /// IPv6 socket.
    pub(crate) v6: bool,
    pub(crate) stage: Stage,
    /// Where it was bound to, or is.
    pub(crate) local: Option<SocketAddr>,
    /// What the connection starts with, or has.
    pub(crate) config: Config,
    pub(crate) options: Options,
    /// An error not told yet (`sk_err`).
    pub(crate) error: Option<Errno>,
    /// `SHUT_RD` was asked for.
    pub(crate) read_shut: bool,
    /// `SHUT_WR` was asked for.
    pub(crate) write_shut: bool,
    /// The peer's FIN has come.
    pub(crate) finished: bool,
    /// The state that the connection left last.
    pub(crate) left: State,
    /// A write found no room: whoever waits is told when there is (`SOCK_NOSPACE`).
    pub(crate) no_space: bool,
}

/// Options that the engine does not know, or knows by another name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    pub(crate) linger: Option<Duration>,
    pub(crate) keep_alive: bool,
    pub(crate) keep: transom_stack::tcp::KeepAlive,
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) receive_low_water: usize,
    pub(crate) send_buffer: Option<i64>,
    pub(crate) receive_buffer: Option<i64>,
    pub(crate) cork: bool,
    pub(crate) inline_urgent: bool,
    pub(crate) tos: u8,
    pub(crate) ttl: Option<u8>,
    pub(crate) tell_unread: bool,
    pub(crate) fast_open: super::fastopen::FastOpenOptions,
    /// Options that are kept and given back, and have no effect that a packet shows.
    pub(crate) kept: BTreeMap<(i64, i64), i64>,
}

impl Tcp {
    pub(crate) fn new(v6: bool, config: Config) -> Self {
        Self {
            v6,
            stage: Stage::Unconnected,
            local: None,
            config,
            options: Options {
                receive_low_water: 1,
                ..Options::default()
            },
            error: None,
            read_shut: false,
            write_shut: false,
            finished: false,
            left: State::Closed,
            no_space: false,
        }
    }

    /// The connection.
    pub(crate) fn connection(&self) -> Option<ConnId> {
        match self.stage {
            Stage::Connecting(id) | Stage::Connected(id) => Some(id),
            Stage::Unconnected | Stage::Listening(_) => None,
        }
    }

    /// The error, told once.
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }
}

impl Options {
    /// `SO_ZEROCOPY` is on.
    pub(crate) fn zerocopy(&self) -> bool {
        let kept = self.kept.get(&(SOL_SOCKET, SO_ZEROCOPY));
        kept.is_some_and(|on| *on != 0)
    }
}

/// The error number of a connection's end; none for an orderly one.
pub(crate) fn errno_of(reason: CloseReason) -> Option<Errno> {
    match reason {
        CloseReason::Normal => None,
        CloseReason::Refused => Some(Errno::ECONNREFUSED),
        CloseReason::ResetByPeer => Some(Errno::ECONNRESET),
        CloseReason::Unreachable(error) => Some(errno_of_path(error)),
        CloseReason::TimedOut | CloseReason::UserTimeout | CloseReason::KeepAliveTimedOut => {
            Some(Errno::ETIMEDOUT)
        }
        _ => Some(Errno::ECONNABORTED),
    }
}

/// The error number of what the network reported, as Linux converts ICMP errors.
pub(crate) fn errno_of_path(error: PathError) -> Errno {
    match error {
        PathError::NetworkUnreachable => Errno::ENETUNREACH,
        PathError::ProtocolUnreachable => Errno::ENOPROTOOPT,
        PathError::PortUnreachable => Errno::ECONNREFUSED,
        PathError::ParameterProblem => Errno::EPROTO,
        _ => Errno::EHOSTUNREACH,
    }
}

/// An epoll instance: who is watched.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    pub(crate) watched: BTreeMap<Fd, Watch>,
    /// Whose turn it is, in the order in which they became ready.
    pub(crate) ready: Vec<Fd>,
}

/// What is watched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Events and flags; no events after a one-shot has fired.
    pub(crate) events: i64,
    pub(crate) data: u64,
}
