//! Why a call could not do what was asked.

use core::fmt;

use crate::event::CloseReason;

/// Why `send` took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The sending side was shut down before (EPIPE).
    Finished,
    /// The connection has ended.
    Closed(CloseReason),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the sending side is shut down"),
            Self::Closed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

/// Why `recv` gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The connection ended before the peer's FIN, and everything received has been read.
    Closed(CloseReason),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Closed(reason) = self;
        reason.fmt(f)
    }
}

impl core::error::Error for RecvError {}

/// Why `shutdown` or `close` could not be carried out (RFC 9293 §3.10.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CloseError {
    /// It was asked for before; there is never a second FIN.
    AlreadyClosing,
    /// The connection has ended.
    Closed(CloseReason),
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyClosing => f.write_str("connection already closing"),
            Self::Closed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for CloseError {}
