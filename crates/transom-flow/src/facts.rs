//! The state of an end as a function of what is known to have happened there.
//!
//! A packet in flight changes the receiver's state when it arrives, which a capture does not show.
//! So each fact ("this end has the other's FIN") is first taken to hold when the segment is seen,
//! and is taken back when a later segment of that end contradicts it (it acknowledges less, or
//! sends again what it would know to be acknowledged). The states of the steps between are then
//! derived anew.
//!
//! Invariants
//! - A state is never stored here; it follows from the facts and RFC 9293 §3.3.2, Figure 5.

use transom_tcp::State;

/// Since which step a fact holds.
pub(crate) type Since = Option<u64>;

/// How the end came to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Nothing tells yet.
    #[default]
    Unknown,
    /// It sent a SYN of its own accord.
    Active,
    /// It listened.
    Passive,
    /// It had no such connection and nobody listening.
    Absent,
    /// The capture starts after the handshake.
    Earlier,
}

/// What is known to have happened at one end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) opening: Opening,
    /// It sent its SYN.
    pub(crate) syn_sent: Since,
    /// It has the other's SYN.
    pub(crate) syn_received: Since,
    /// It has the acknowledgement of its SYN.
    pub(crate) syn_acked: Since,
    /// It sent its FIN.
    pub(crate) fin_sent: Since,
    /// It has the other's FIN and all data before it.
    pub(crate) fin_received: Since,
    /// It has acknowledged the other's FIN, so the fact above cannot be taken back.
    pub(crate) fin_received_sure: bool,
    /// It has the acknowledgement of its FIN.
    pub(crate) fin_acked: Since,
    /// It gave the connection up: sent a RST, accepted one, or was told by ICMP.
    pub(crate) ended: Since,
    /// What ended it came from outside.
    pub(crate) ended_by_other: bool,
}

impl Facts {
    /// Whether the end is in ESTABLISHED in each step from now on, as long as nothing more is learnt of it.
    pub(crate) fn is_open_for_good(&self) -> bool {
        matches!(self.opening, Opening::Active | Opening::Passive)
            && self.syn_sent.is_some()
            && self.syn_received.is_some()
            && self.syn_acked.is_some()
            && self.fin_sent.is_none()
            && self.fin_received.is_none()
            && self.ended.is_none()
    }

    /// The state after step `at`; before the first step for `None`.
    pub(crate) fn state(&self, at: Option<u64>) -> Option<State> {
        let holds = |since: Since| matches!((since, at), (Some(since), Some(at)) if since <= at);
        // Nearly all segments pass while the connection is open.
        let is_open = self.ended.is_none()
            && self.fin_sent.is_none()
            && self.fin_received.is_none()
            && holds(self.syn_acked)
            && holds(self.syn_received)
            && (self.opening == Opening::Passive
                || self.opening == Opening::Active && holds(self.syn_sent));
        if is_open {
            return Some(State::Established);
        }
        if holds(self.ended) {
            // RFC 9293 §3.10.7.4: a reset in SYN-RECEIVED sends a passive opener back to LISTEN.
            let back = self.ended_by_other
                && self.opening == Opening::Passive
                && !holds(self.syn_acked)
                && !holds(self.fin_sent);
            return Some(if back { State::Listen } else { State::Closed });
        }
        match self.opening {
            Opening::Unknown => return None,
            Opening::Absent => return Some(State::Closed),
            Opening::Passive if !holds(self.syn_received) => return Some(State::Listen),
            Opening::Active if !holds(self.syn_sent) => return Some(State::Closed),
            Opening::Active if !holds(self.syn_received) => return Some(State::SynSent),
            Opening::Passive | Opening::Active if !holds(self.syn_acked) => {
                let closed = holds(self.fin_sent);
                return Some(if closed {
                    State::FinWait1
                } else {
                    State::SynReceived
                });
            }
            Opening::Passive | Opening::Active | Opening::Earlier => {}
        }
        let sent = holds(self.fin_sent);
        let acked = holds(self.fin_acked);
        let received = holds(self.fin_received);
        // Both facts may be learnt from one segment: a FIN that acknowledges the other's answers it.
        let answered = match (self.fin_received, self.fin_sent) {
            (Some(received), Some(sent)) => received <= sent,
            _ => false,
        };
        Some(match (sent, acked, received) {
            (false, _, false) => State::Established,
            (false, _, true) => State::CloseWait,
            (true, false, false) => State::FinWait1,
            (true, true, false) => State::FinWait2,
            (true, false, true) if answered => State::LastAck,
            (true, false, true) => State::Closing,
            (true, true, true) if answered => State::Closed,
            (true, true, true) => State::TimeWait,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_follows_from_facts() {
        let active = Facts {
            opening: Opening::Active,
            syn_sent: Some(0),
            ..Facts::default()
        };
        let open = Facts {
            syn_received: Some(1),
            syn_acked: Some(1),
            ..active
        };
        let passive = Facts {
            opening: Opening::Passive,
            syn_received: Some(0),
            ..Facts::default()
        };
        let closing = Facts {
            fin_sent: Some(3),
            ..open
        };
        let answering = Facts {
            fin_received: Some(2),
            fin_sent: Some(3),
            ..open
        };
        let cases: [(Facts, Option<u64>, Option<State>); 14] = [
            (Facts::default(), Some(9), None),
            (active, None, Some(State::Closed)),
            (passive, None, Some(State::Listen)),
            (active, Some(0), Some(State::SynSent)),
            (passive, Some(0), Some(State::SynReceived)),
            (
                Facts {
                    syn_acked: None,
                    ..open
                },
                Some(1),
                Some(State::SynReceived),
            ),
            (open, Some(1), Some(State::Established)),
            (closing, Some(3), Some(State::FinWait1)),
            (
                Facts {
                    fin_acked: Some(4),
                    ..closing
                },
                Some(4),
                Some(State::FinWait2),
            ),
            (
                Facts {
                    fin_received: Some(4),
                    ..closing
                },
                Some(4),
                Some(State::Closing),
            ),
            (answering, Some(2), Some(State::CloseWait)),
            (answering, Some(3), Some(State::LastAck)),
            (
                Facts {
                    fin_acked: Some(4),
                    ..answering
                },
                Some(4),
                Some(State::Closed),
            ),
            (
                Facts {
                    fin_acked: Some(4),
                    fin_received: Some(5),
                    ..closing
                },
                Some(5),
                Some(State::TimeWait),
            ),
        ];
        for (facts, at, state) in cases {
            assert_eq!(facts.state(at), state, "{facts:?} at {at:?}");
        }
    }

    #[test]
    fn a_reset_in_syn_received_leads_back_to_listen_only_for_a_passive_opener() {
        let passive = Facts {
            opening: Opening::Passive,
            syn_received: Some(0),
            ended: Some(1),
            ended_by_other: true,
            ..Facts::default()
        };
        assert_eq!(passive.state(Some(1)), Some(State::Listen));
        let active = Facts {
            opening: Opening::Active,
            syn_sent: Some(0),
            ..passive
        };
        assert_eq!(active.state(Some(1)), Some(State::Closed));
        assert_eq!(
            Facts {
                syn_acked: Some(0),
                ..passive
            }
            .state(Some(1)),
            Some(State::Closed)
        );
    }
}
