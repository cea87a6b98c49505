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

/// Events that wait without an allocation: two changes of state, and what they mean.
const FIRST: usize = 3;

/// Events that can recur, each of which is told once however often it happened; the order in which they are told.
const RECURRING: [Event; 4] = [
    Event::Urgent,
    Event::Readable,
    Event::Writable,
    Event::RetransmittingExcessively,
];
// Whose bits `push` knows.
const _: () = assert!(matches!(
    RECURRING,
    [
        Event::Urgent,
        Event::Readable,
        Event::Writable,
        Event::RetransmittingExcessively
    ]
));

/// Events not yet polled.
///
/// Bounded whatever the peer does: events that can recur are bits (or the latest value), and the
/// queue holds state changes and their companions, of which a connection has a handful.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The first of the queue: what one segment brings about, without an allocation.
    first: [Option<Event>; FIRST],
    /// What follows them.
    #[expect(
        clippy::box_collection,
        reason = "nearly always absent, and a quarter of the size"
    )]
    rest: Option<Box<VecDeque<Event>>>,
    soft_error: Option<PathError>,
    /// A bit for each of [`RECURRING`].
    recurring: u8,
}

impl Events {
    pub(crate) const fn is_empty(&self) -> bool {
        let Self {
            first: [first, ..],
            rest: _,
            soft_error,
            recurring,
        } = self;
        first.is_none() && soft_error.is_none() && *recurring == 0
    }

    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        match event {
            // The bits of `RECURRING`.
            Event::Urgent => self.recurring |= 1,
            Event::Readable => self.recurring |= 1 << 1,
            Event::Writable => self.recurring |= 1 << 2,
            Event::RetransmittingExcessively => self.recurring |= 1 << 3,
            Event::SoftError(error) => self.soft_error = Some(error),
            Event::State { .. } | Event::Connected | Event::PeerFinished | Event::Closed(_) => {
                self.queue(event);
            }
        }
    }

    fn queue(&mut self, event: Event) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(event),
            // `take_first` fills the places from the rest: while there is one, none is free.
            None => self.rest.get_or_insert_default().push_back(event),
        }
    }

    /// The first of the queue, whose place the others move up to.
    fn take_first(&mut self) -> Option<Event> {
        let [first, second, third] = &mut self.first;
        let event = first.take()?;
        *first = second.take();
        *second = third.take();
        if let Some(rest) = &mut self.rest {
            *third = rest.pop_front();
            if rest.is_empty() {
                // An idle connection holds no memory for events.
                self.rest = None;
            }
        }
        Some(event)
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        if self.first.first().is_some_and(Option::is_some) {
            return self.take_first();
        }
        if self.recurring != 0 {
            let at = self.recurring.trailing_zeros();
            self.recurring &= self.recurring - 1;
            return RECURRING.get(at as usize).copied();
        }
        self.soft_error.take().map(Event::SoftError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_state_come_in_order_however_many_and_before_what_recurs() {
        let changes = [
            Event::State {
                from: State::SynSent,
                to: State::Established,
            },
            Event::Connected,
            Event::PeerFinished,
            Event::State {
                from: State::Established,
                to: State::CloseWait,
            },
            Event::Closed(CloseReason::Normal),
        ];
        let mut events = Events::default();
        for _ in 0..2 {
            events.push(Event::Writable);
            events.push(Event::Readable);
            events.push(Event::Readable);
            for (at, change) in changes.into_iter().enumerate() {
                events.push(change);
                if at == 2 {
                    assert_eq!(events.poll(), Some(changes[0]), "one is taken meanwhile");
                }
            }
            for change in &changes[1..] {
                assert!(!events.is_empty());
                assert_eq!(events.poll(), Some(*change));
            }
            assert_eq!(events.poll(), Some(Event::Readable));
            assert_eq!(events.poll(), Some(Event::Writable));
            assert_eq!(events.poll(), None);
            assert!(events.is_empty());
        }
    }
}
