//! What went wrong, as the `io::Error` that tokio's sockets give for the same thing.
//!
//! The kind is the kernel's; the message says what happened.

use std::io::{self, ErrorKind};

use transom_stack::tcp::{CloseReason, PathError};
use transom_stack::{
    BindError, ConnectError, DatagramError, IncomingError, ListenError, RecvError, SendError,
    ShutdownError,
};

pub(crate) const fn path_error_kind(error: PathError) -> ErrorKind {
    match error {
        PathError::NetworkUnreachable | PathError::NoRoute => ErrorKind::NetworkUnreachable,
        PathError::PortUnreachable => ErrorKind::ConnectionRefused,
        // EACCES, EHOSTUNREACH, ENOPROTOOPT and EPROTO in the kernel: to an application they all
        // say that packets do not get to that host.
        _ => ErrorKind::HostUnreachable,
    }
}

pub(crate) const fn close_reason_kind(reason: CloseReason) -> ErrorKind {
    match reason {
        CloseReason::Normal => ErrorKind::NotConnected,
        CloseReason::Refused => ErrorKind::ConnectionRefused,
        CloseReason::ResetByPeer => ErrorKind::ConnectionReset,
        CloseReason::TimedOut | CloseReason::UserTimeout | CloseReason::KeepAliveTimedOut => {
            ErrorKind::TimedOut
        }
        CloseReason::Unreachable(error) => path_error_kind(error),
        // `Aborted`, and whatever reason may be added: the connection was torn down on this side.
        _ => ErrorKind::ConnectionAborted,
    }
}

pub(crate) fn from_close_reason(reason: CloseReason) -> io::Error {
    io::Error::new(close_reason_kind(reason), reason)
}

pub(crate) fn from_path_error(error: PathError) -> io::Error {
    io::Error::new(path_error_kind(error), error.to_string())
}

pub(crate) fn from_recv_error(error: RecvError) -> io::Error {
    match error {
        RecvError::Closed(reason) => from_close_reason(reason),
        other => io::Error::new(ErrorKind::NotConnected, other),
    }
}

pub(crate) fn from_send_error(error: SendError) -> io::Error {
    match error {
        // To write after the end is EPIPE, however orderly the end was.
        SendError::Finished | SendError::Closed(CloseReason::Normal | CloseReason::Aborted) => {
            io::Error::new(ErrorKind::BrokenPipe, error)
        }
        SendError::Closed(reason) => from_close_reason(reason),
        other => io::Error::new(ErrorKind::BrokenPipe, other),
    }
}

/// `shutdown` of what is shut down already is no error, as `AsyncWrite` wants it.
pub(crate) fn from_shutdown_error(error: ShutdownError) -> io::Result<()> {
    match error {
        ShutdownError::AlreadyClosing | ShutdownError::Closed(CloseReason::Normal) => Ok(()),
        ShutdownError::Closed(reason) => Err(from_close_reason(reason)),
        other => Err(io::Error::new(ErrorKind::NotConnected, other)),
    }
}

pub(crate) fn from_connect_error(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::InvalidRemote => ErrorKind::InvalidInput,
        ConnectError::NoRoute => ErrorKind::NetworkUnreachable,
        ConnectError::AddressInUse => ErrorKind::AddrInUse,
        ConnectError::ConnectionLimit => ErrorKind::OutOfMemory,
        // `InvalidLocal`, `NoSourceAddress`, `PortsExhausted`.
        _ => ErrorKind::AddrNotAvailable,
    };
    io::Error::new(kind, error)
}

/// Whether another stack of the host may open the connection that one could not.
pub(crate) fn is_for_another_shard(error: &io::Error) -> bool {
    let connect = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        connect,
        Some(
            ConnectError::OtherShard | ConnectError::PortsExhausted | ConnectError::ConnectionLimit
        )
    )
}

pub(crate) fn from_listen_error(error: ListenError) -> io::Error {
    let kind = match error {
        ListenError::AddressInUse => ErrorKind::AddrInUse,
        _ => ErrorKind::AddrNotAvailable,
    };
    io::Error::new(kind, error)
}

pub(crate) fn from_incoming_error(error: IncomingError) -> io::Error {
    let kind = match error {
        IncomingError::ConnectionLimit => ErrorKind::OutOfMemory,
        _ => ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}

pub(crate) fn from_bind_error(error: BindError) -> io::Error {
    let kind = match error {
        BindError::AddressInUse | BindError::PortsExhausted => ErrorKind::AddrInUse,
        _ => ErrorKind::AddrNotAvailable,
    };
    io::Error::new(kind, error)
}

pub(crate) fn from_datagram_error(error: DatagramError) -> io::Error {
    let kind = match error {
        DatagramError::Closed => ErrorKind::NotConnected,
        DatagramError::InvalidLocal => ErrorKind::AddrNotAvailable,
        DatagramError::NoRoute => ErrorKind::NetworkUnreachable,
        DatagramError::WouldBlock => ErrorKind::WouldBlock,
        // `InvalidRemote`, `TooLarge`.
        _ => ErrorKind::InvalidInput,
    };
    io::Error::new(kind, error)
}

/// The device below the stack has failed or was taken away; no packet will pass any more.
pub(crate) fn device_gone(kind: ErrorKind) -> io::Error {
    io::Error::new(
        ErrorKind::NetworkDown,
        format!("the device of this stack is gone: {kind}"),
    )
}

pub(crate) fn would_block() -> io::Error {
    ErrorKind::WouldBlock.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_the_kind_that_the_kernel_gives_it() {
        let kinds = [
            (CloseReason::Refused, ErrorKind::ConnectionRefused),
            (CloseReason::ResetByPeer, ErrorKind::ConnectionReset),
            (CloseReason::TimedOut, ErrorKind::TimedOut),
            (
                CloseReason::Unreachable(PathError::HostUnreachable),
                ErrorKind::HostUnreachable,
            ),
            (
                CloseReason::Unreachable(PathError::NoRoute),
                ErrorKind::NetworkUnreachable,
            ),
        ];
        for (reason, kind) in kinds {
            let error = from_recv_error(RecvError::Closed(reason));
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), reason.to_string());
        }
        assert_eq!(
            from_send_error(SendError::Finished).kind(),
            ErrorKind::BrokenPipe
        );
    }
}
