//! What the application is told, in the order in which it happened.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;

use crate::pack::packed_choice;
use crate::state::State;

/// Something that the application may want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The state changed. Each change is reported once, in order.
    State {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
    },
    /// The three-way handshake is complete.
    Connected,
    /// Data can be read, or more than before.
    Readable,
    /// There is room in the send buffer again after `send` took less than it was given.
    Writable,
    /// The peer sent FIN: after the data still unread comes the end of the stream.
    PeerFinished,
    /// Urgent data lies ahead, or further ahead than was known (RFC 9293 MUST-32).
    Urgent,
    /// R1 was reached: the same data was sent again several times (RFC 9293 SHLD-9, MUST-20).
    RetransmittingExcessively,
    /// The network reported a problem that may pass (RFC 9293 MUST-47).
    SoftError(PathError),
    /// The connection has ended.
    Closed(CloseReason),
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both sides finished, or the application closed before anything was sent.
    Normal,
    /// A reset answered our SYN.
    Refused,
    /// The peer sent a reset.
    ResetByPeer,
    /// The application aborted, or closed with data unread; we sent the reset.
    Aborted,
    /// Too many retransmissions went unanswered (R2).
    TimedOut,
    /// Data stayed unacknowledged for longer than the application's user timeout.
    UserTimeout,
    /// Every keep-alive probe went unanswered.
    KeepAliveTimedOut,
    /// The network said that the peer cannot be reached.
    Unreachable(PathError),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("connection closed"),
            Self::Refused => f.write_str("connection refused"),
            Self::ResetByPeer => f.write_str("connection reset by peer"),
            Self::Aborted => f.write_str("connection aborted"),
            Self::TimedOut => f.write_str("connection timed out"),
            Self::UserTimeout => f.write_str("user timeout expired"),
            Self::KeepAliveTimedOut => f.write_str("keep-alive probes went unanswered"),
            Self::Unreachable(error) => write!(f, "peer unreachable: {error}"),
        }
    }
}

impl core::error::Error for CloseReason {}

/// A problem that the network reported about one of our segments, whatever the IP version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PathError {
    /// ICMPv4 3/0, ICMPv6 1/0: no route.
    NetworkUnreachable,
    /// ICMPv4 3/1, ICMPv6 1/3: the last router cannot reach the host.
    HostUnreachable,
    /// ICMPv4 3/2: the host knows no TCP.
    ProtocolUnreachable,
    /// ICMPv4 3/3, ICMPv6 1/4: nothing listens.
    PortUnreachable,
    /// ICMPv4 3/9, 3/10, 3/13, ICMPv6 1/1: a filter forbids it.
    Prohibited,
    /// ICMPv4 11, ICMPv6 3: hop limit or reassembly time exceeded.
    TimeExceeded,
    /// ICMPv4 12, ICMPv6 4: a header field was not understood.
    ParameterProblem,
    /// The own host has no way to send to the peer.
    NoRoute,
}

packed_choice!(PathError {
    NetworkUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    Prohibited,
    TimeExceeded,
    ParameterProblem,
    NoRoute,
});

impl PathError {
    /// Whether RFC 1122 §4.2.3.9 calls the error hard. Even a hard one ends a connection only
    /// before the handshake is complete (RFC 5927 §5.2).
    pub const fn is_hard(self) -> bool {
        matches!(
            self,
            Self::ProtocolUnreachable | Self::PortUnreachable | Self::Prohibited
        )
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkUnreachable => "network unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::ProtocolUnreachable => "protocol unreachable",
            Self::PortUnreachable => "port unreachable",
            Self::Prohibited => "administratively prohibited",
            Self::TimeExceeded => "time exceeded in transit",
            Self::ParameterProblem => "parameter problem",
            Self::NoRoute => "no route to host",
        })
    }
}

/// Events not yet polled.
///
/// Bounded whatever the peer does: events that can recur are bits (or the latest value), and the
/// queue holds state changes and their companions, of which a connection has a handful.
#[derive(Debug, Default)]
pub(crate) struct Events {
    #[expect(
        clippy::box_collection,
        reason = "nearly always absent, and a quarter of the size"
    )]
    rare: Option<Box<VecDeque<Event>>>,
    soft_error: Option<PathError>,
    readable: bool,
    writable: bool,
    urgent: bool,
    retransmitting: bool,
}

impl Events {
    pub(crate) const fn is_empty(&self) -> bool {
        let Self {
            rare,
            soft_error,
            readable,
            writable,
            urgent,
            retransmitting,
        } = self;
        let recurring = *readable || *writable || *urgent || *retransmitting;
        rare.is_none() && soft_error.is_none() && !recurring
    }

    pub(crate) fn push(&mut self, event: Event) {
        match event {
            Event::Readable => self.readable = true,
            Event::Writable => self.writable = true,
            Event::Urgent => self.urgent = true,
            Event::RetransmittingExcessively => self.retransmitting = true,
            Event::SoftError(error) => self.soft_error = Some(error),
            Event::State { .. } | Event::Connected | Event::PeerFinished | Event::Closed(_) => {
                self.rare.get_or_insert_default().push_back(event);
            }
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        if let Some(rare) = &mut self.rare {
            let event = rare.pop_front();
            if rare.is_empty() {
                // An idle connection holds no memory for events.
                self.rare = None;
            }
            return event;
        }
        if core::mem::take(&mut self.urgent) {
            return Some(Event::Urgent);
        }
        if core::mem::take(&mut self.readable) {
            return Some(Event::Readable);
        }
        if core::mem::take(&mut self.writable) {
            return Some(Event::Writable);
        }
        if core::mem::take(&mut self.retransmitting) {
            return Some(Event::RetransmittingExcessively);
        }
        self.soft_error.take().map(Event::SoftError)
    }
}
