//! Why a call could not do what was asked.

use core::fmt;

use transom_tcp::CloseReason;

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident => $text:literal,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
            #[non_exhaustive]
            pub enum $name { $($(#[doc = $vdoc])+ $variant,)+ }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(match self { $(Self::$variant => $text,)+ })
                }
            }

            impl core::error::Error for $name {}
        )+
    };
}

errors! {
    /// Why a connection could not be opened.
    ConnectError {
        /// The remote address is unspecified, broadcast or multicast (RFC 9293 MUST-46), or its port is 0.
        InvalidRemote => "the remote address cannot be connected to",
        /// The local address is not one of ours, or of another family than the remote one.
        InvalidLocal => "the local address is not one of this host",
        /// No route leads to the remote address.
        NoRoute => "no route to host",
        /// We have no address of the family to connect from.
        NoSourceAddress => "no local address to connect from",
        /// A connection between these two sockets exists.
        AddressInUse => "a connection between these addresses exists",
        /// Every local port is in use towards this remote socket (EADDRNOTAVAIL).
        PortsExhausted => "no local port is free towards this address",
        /// No room for another connection.
        ConnectionLimit => "too many connections",
        /// This stack is one of several, and a connection between these sockets belongs to another, see
        /// [`Stack::set_shard`](crate::Stack::set_shard).
        OtherShard => "another stack of this host has the connections between these addresses",
    }
    /// Why a listener could not be made.
    ListenError {
        /// Somebody listens there (RFC 9293 §3.9.1.1).
        AddressInUse => "address in use",
        /// The address is not one of ours.
        InvalidLocal => "the address is not one of this host",
        /// Port 0.
        InvalidPort => "port 0 cannot be listened on",
    }
    /// Why an incoming connection could not be decided upon.
    IncomingError {
        /// It is gone: decided before, expired, or the peer gave up.
        Gone => "the connection attempt is gone",
        /// No room for another connection.
        ConnectionLimit => "too many connections",
    }
    /// Why a UDP socket could not be made.
    BindError {
        /// Somebody is bound there.
        AddressInUse => "address in use",
        /// The address is not one of ours.
        InvalidLocal => "the address is not one of this host",
        /// No port is free.
        PortsExhausted => "no port is free",
    }
    /// Why a datagram, or an echo reply, was not sent.
    DatagramError {
        /// The handle is stale.
        Closed => "the socket is closed",
        /// The destination is unspecified or has port 0.
        InvalidRemote => "the destination is invalid",
        /// The source is not one of ours, of another family, or not known.
        InvalidLocal => "the source address is invalid",
        /// No route leads there.
        NoRoute => "no route to host",
        /// Larger than UDP or the path can carry.
        TooLarge => "the datagram is too large",
        /// Too much waits for the device.
        WouldBlock => "the output queue is full",
    }
    /// The handle is stale: what it named is gone.
    StaleHandle {
        /// It is gone.
        Gone => "the handle is stale",
    }
}

/// Why `tcp_send` took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The sending side was shut down before (EPIPE).
    Finished,
    /// The connection has ended.
    Closed(CloseReason),
    /// The handle is stale.
    StaleHandle,
}

/// Why `tcp_recv` gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The connection ended before the peer's FIN, and everything received has been read.
    Closed(CloseReason),
    /// The handle is stale.
    StaleHandle,
}

/// Why `tcp_shutdown_write` did nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ShutdownError {
    /// It was asked for before; there is never a second FIN.
    AlreadyClosing,
    /// The connection has ended.
    Closed(CloseReason),
    /// The handle is stale.
    StaleHandle,
}

impl From<transom_tcp::SendError> for SendError {
    fn from(error: transom_tcp::SendError) -> Self {
        match error {
            transom_tcp::SendError::Closed(reason) => Self::Closed(reason),
            _ => Self::Finished,
        }
    }
}

impl From<transom_tcp::RecvError> for RecvError {
    fn from(error: transom_tcp::RecvError) -> Self {
        match error {
            transom_tcp::RecvError::Closed(reason) => Self::Closed(reason),
            _ => Self::StaleHandle,
        }
    }
}

impl From<transom_tcp::CloseError> for ShutdownError {
    fn from(error: transom_tcp::CloseError) -> Self {
        match error {
            transom_tcp::CloseError::Closed(reason) => Self::Closed(reason),
            _ => Self::AlreadyClosing,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the sending side is shut down"),
            Self::Closed(reason) => reason.fmt(f),
            Self::StaleHandle => StaleHandle::Gone.fmt(f),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => reason.fmt(f),
            Self::StaleHandle => StaleHandle::Gone.fmt(f),
        }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyClosing => f.write_str("the sending side is shut down"),
            Self::Closed(reason) => reason.fmt(f),
            Self::StaleHandle => StaleHandle::Gone.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}
impl core::error::Error for RecvError {}
impl core::error::Error for ShutdownError {}
