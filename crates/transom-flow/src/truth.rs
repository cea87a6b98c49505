//! What is known from the TCPs themselves: it overrides what the packets tell.

use crate::connection::{Connection, Look};
use crate::milestones::Vanished;
use crate::model::{Basis, End, EndState, Process};
use crate::step::{Note, StateChange, What};
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;
use transom_tcp::State;
use transom_wire::tcp::Flags;

/// Within this time a change of state and a segment count as one event.
pub(crate) const SAME_MOMENT: Duration = Duration::from_millis(1);

/// Something known about a connection that no packet carries.
#[derive(Clone, Debug)]
pub struct Truth {
    /// When, on the clock of the frames.
    pub time: Duration,
    /// The address of the end that is spoken of.
    pub local: SocketAddr,
    /// The address of the other end.
    pub peer: SocketAddr,
    /// What is known.
    pub event: TruthEvent,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TruthEvent {
    /// The end at `local` changed its state at exactly this time. Once an end has told one change,
    /// it must tell all: its states are no longer inferred.
    State {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
    },
    /// A look at the end at `local` found it in this state. Between looks its states are inferred.
    Sample(State),
    /// The end at `local` belongs to this program.
    Process(Process),
    /// A remark to show at this time, such as what happened on the other leg of a relay.
    Note(Arc<str>),
}

impl Connection {
    /// Takes something known from outside.
    pub(crate) fn truth(&mut self, time: Duration, local: SocketAddr, event: TruthEvent) {
        self.is_steady = false;
        self.deliver_until(time);
        let end = self.end_of(local);
        match event {
            TruthEvent::State { from, to } => self.state_changed(end, time, from, to),
            TruthEvent::Sample(state) => self.state_seen(end, time, state),
            TruthEvent::Process(process) => self.set_process(end, process),
            TruthEvent::Note(text) => {
                self.push_step(
                    time,
                    What::Note(Note {
                        text: (&*text).into(),
                    }),
                );
            }
        }
    }

    fn state_changed(&mut self, end: End, time: Duration, from: State, to: State) {
        if self.truth[end].is_none() {
            self.begin_truth(end, from, to);
        }
        self.truth[end] = Some(to);
        if to == State::Closed && self.milestones.heard[end] > 0 {
            self.milestones.vanished[end].get_or_insert(Vanished { time, from });
        }
        let arrived = self.last_arrival[end]
            .filter(|(at, _)| *at == time)
            .map(|(_, frame)| frame);
        if is_caused_by_arrival(from, to) && self.restate_newest(end, time, (from, to), arrived) {
            return;
        }
        let change = StateChange {
            end,
            from: Some(from),
            to,
            arrival_of: arrived,
        };
        self.push_step(time, What::State(change));
    }

    /// The first change that an end tells also tells its state before.
    fn begin_truth(&mut self, end: End, from: State, to: State) {
        if !matches!(from, State::Closed | State::Listen) {
            return;
        }
        // A stack makes the connection when the SYN arrives; until then there was the listener.
        let is_accept = to == State::SynReceived;
        let initial = if is_accept { State::Listen } else { from };
        self.initial_truth[end] = Some(initial);
        for step in self.steps.newest_first_mut() {
            step.states[end] = EndState::observed(initial);
        }
    }

    /// Puts a state into the row of the newest step, if that is the segment whose arrival caused it.
    fn restate_newest(
        &mut self,
        end: End,
        time: Duration,
        (from, to): (State, State),
        arrived: Option<u64>,
    ) -> bool {
        let Some(newest) = self.steps.newest_first_mut().next() else {
            return false;
        };
        let What::Segment(segment) = &newest.what else {
            return false;
        };
        // Only a reset takes an open connection to CLOSED; otherwise it is a call or a timer.
        let is_possible =
            to != State::Closed || from == State::LastAck || segment.flags.contains(Flags::RST);
        let is_cause = segment.from != end
            && is_possible
            && match arrived {
                Some(frame) => segment.frame == frame,
                None => {
                    segment.fate == crate::step::Fate::Unknown
                        && time.saturating_sub(newest.time) <= SAME_MOMENT
                }
            };
        if is_cause {
            newest.states[end] = EndState::observed(to);
        }
        is_cause
    }

    /// A look found the end in this state.
    fn state_seen(&mut self, end: End, time: Duration, state: State) {
        if self.truth[end].is_some() {
            return;
        }
        let now = self.states()[end];
        let inferred = self.inferred_at(end, self.steps.next_index());
        if now.state == Some(state) {
            // The rows since the state was entered are confirmed.
            let before_look = |time_of: Duration| time_of <= time;
            for step in self.steps.newest_first_mut() {
                if step.states[end].state != Some(state) {
                    break;
                }
                if before_look(step.time) {
                    step.states[end].basis = Basis::Observed;
                }
            }
            self.looks[end] = Some(Look { state, inferred });
            return;
        }
        // The packets may be a moment ahead of the socket, or the look older than the newest row.
        let is_late = self
            .steps
            .newest_first_mut()
            .take_while(|step| step.time.saturating_add(SAME_MOMENT) >= time)
            .any(|step| step.states[end].state != Some(state));
        if is_late {
            return;
        }
        self.looks[end] = Some(Look { state, inferred });
        let change = StateChange {
            end,
            from: now.state,
            to: state,
            arrival_of: None,
        };
        self.push_step(time, What::State(change));
    }
}

/// Whether a change comes from a segment's arrival, not from a call or a timer (RFC 9293 Figure 5).
const fn is_caused_by_arrival(from: State, to: State) -> bool {
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
        SynSent, TimeWait,
    };
    matches!(
        (from, to),
        (Closed | Listen | SynSent, SynReceived)
            | (SynSent | SynReceived, Established)
            | (SynReceived | Established, CloseWait)
            | (FinWait1, FinWait2 | Closing | TimeWait)
            | (FinWait2 | Closing, TimeWait)
            | (LastAck | SynSent, Closed)
            | (
                SynReceived | Established | FinWait1 | FinWait2 | CloseWait | Closing,
                Closed
            )
    )
}
