//! The eleven states of RFC 9293 §3.3.2 and the transitions between them, as data.
//!
//! `State` is derived from the control block, never stored. Every change goes through
//! [`Env::enter`](crate::env), which looks the pair up in [`TRANSITIONS`]; a test prints the
//! table as a matrix and as a DOT graph and keeps both as snapshots.

use core::fmt;

/// A connection's state, with the names of RFC 9293 §3.3.2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// No connection at all.
    Closed,
    /// Waiting for a connection request from any peer (held by the stack's listener).
    Listen,
    /// A SYN was sent and its answer is awaited.
    SynSent,
    /// A SYN was received and answered; the acknowledgement of ours is awaited.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// Our FIN was sent, or is queued behind data; its acknowledgement is awaited.
    FinWait1,
    /// Our FIN was acknowledged; the peer's is awaited.
    FinWait2,
    /// The peer's FIN has come; the application has not closed yet.
    CloseWait,
    /// Both sides have sent FIN at once; the acknowledgement of ours is awaited.
    Closing,
    /// The peer closed first; the acknowledgement of our FIN is awaited.
    LastAck,
    /// Both FINs are acknowledged; old segments are given time to die (2 MSL).
    TimeWait,
}

impl State {
    /// Every state, in the order of RFC 9293 §3.3.2's description.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The name in RFC spelling, such as `FIN-WAIT-1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Both SYNs have been exchanged and acknowledged (RFC 9293 §3.5.2, group 3).
    pub const fn is_synchronized(self) -> bool {
        !matches!(
            self,
            Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived
        )
    }

    /// The peer's FIN has been received and is in order.
    pub const fn has_peer_finished(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }

    /// The application may still queue data to be sent.
    pub const fn may_send(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait
        )
    }

    /// Whether the table of transitions holds `self → next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.iter().any(|t| t.from == self && t.to == next)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One arrow of the state diagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The state left.
    pub from: State,
    /// What happened, in the words of RFC 9293 Figure 5.
    pub cause: &'static str,
    /// The state entered.
    pub to: State,
}

const fn arrow(from: State, cause: &'static str, to: State) -> Transition {
    Transition { from, cause, to }
}

/// RFC 9293 Figure 5, completed by the prose of §3.10 (resets, aborts, time-outs).
pub const TRANSITIONS: [Transition; 30] = {
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
        SynSent, TimeWait,
    };
    [
        arrow(Closed, "passive OPEN", Listen),
        arrow(Closed, "active OPEN / snd SYN", SynSent),
        arrow(Listen, "CLOSE", Closed),
        arrow(Listen, "rcv SYN / snd SYN,ACK", SynReceived),
        arrow(SynSent, "rcv SYN / snd SYN,ACK", SynReceived),
        arrow(SynSent, "rcv SYN,ACK / snd ACK", Established),
        arrow(SynSent, "CLOSE, rcv RST, ABORT or time-out", Closed),
        arrow(SynReceived, "rcv ACK of SYN", Established),
        arrow(SynReceived, "CLOSE / snd FIN", FinWait1),
        // Figure 5 returns a passive connection to LISTEN; here the listener never left it, so
        // the embryonic connection is simply deleted.
        arrow(SynReceived, "rcv RST, ABORT or time-out", Closed),
        arrow(Established, "CLOSE / snd FIN", FinWait1),
        arrow(Established, "rcv FIN / snd ACK", CloseWait),
        arrow(Established, "rcv RST, ABORT or time-out", Closed),
        arrow(FinWait1, "rcv ACK of FIN", FinWait2),
        arrow(FinWait1, "rcv FIN / snd ACK", Closing),
        arrow(FinWait1, "rcv FIN and ACK of FIN / snd ACK", TimeWait),
        arrow(FinWait1, "rcv RST, ABORT or time-out", Closed),
        arrow(FinWait2, "rcv FIN / snd ACK", TimeWait),
        arrow(FinWait2, "rcv RST, ABORT or time-out", Closed),
        arrow(CloseWait, "CLOSE / snd FIN", LastAck),
        arrow(CloseWait, "rcv RST, ABORT or time-out", Closed),
        arrow(Closing, "rcv ACK of FIN", TimeWait),
        arrow(Closing, "rcv RST, ABORT or time-out", Closed),
        arrow(LastAck, "rcv ACK of FIN", Closed),
        arrow(LastAck, "rcv RST, ABORT or time-out", Closed),
        arrow(TimeWait, "2 MSL have passed", Closed),
        arrow(TimeWait, "ABORT", Closed),
        // RFC 9293 §3.6.1 MAY-2: a new SYN reopens the pair of sockets.
        arrow(TimeWait, "rcv acceptable SYN / snd SYN,ACK", SynReceived),
        arrow(Listen, "ABORT", Closed),
        arrow(Closed, "rcv SYN at a listener / snd SYN,ACK", SynReceived),
    ]
};

#[cfg(test)]
mod tests;
