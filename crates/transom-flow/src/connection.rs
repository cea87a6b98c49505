//! One connection: what is kept, and what may be asked.

use crate::application::Reading;
use crate::facts::Facts;
use crate::follow::Crossed;
use crate::lane::Lane;
use crate::meaning::Owed;
use crate::measure::Survey;
use crate::milestones::Milestones;
use crate::model::{Basis, ClosedBy, End, EndState, Endpoint, Ends, Handshake, Process, Totals};
use crate::step::{Entry, Step, What};
use crate::steps::Steps;
use crate::tracker::Limits;
use crate::verdict::{self, Verdict};
use crate::zeek::Log;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use transom_tcp::State;
use transom_wire::tcp::Flags;
use transom_wire::{Seq, SeqRange};

/// A segment on its way whose time of arrival is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) time: Duration,
    pub(crate) from: End,
    pub(crate) frame: u64,
    pub(crate) index: u64,
    pub(crate) flags: Flags,
    pub(crate) range: SeqRange,
    pub(crate) ack: Option<Seq>,
    pub(crate) owed: Owed,
}

/// A look at the kernel's socket, and what the packets said at that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) state: State,
    pub(crate) inferred: Option<State>,
}

/// One TCP connection, from the first segment that was seen to the last.
///
/// Getters only; a [`Tracker`](crate::Tracker) feeds it.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) number: u64,
    pub(crate) endpoints: Ends<Endpoint>,
    pub(crate) are_roles_known: bool,
    pub(crate) is_finished: bool,
    /// When it closed, if it is closed after its last step.
    pub(crate) closed_at: Option<Duration>,
    pub(crate) start: Duration,
    pub(crate) last_frame: Duration,
    /// How far the capture went when the connection was let go.
    pub(crate) watched_until: Duration,
    pub(crate) lanes: Ends<Lane>,
    pub(crate) facts: Ends<Facts>,
    pub(crate) last_syn_index: Ends<Option<u64>>,
    pub(crate) owed: Ends<Owed>,
    pub(crate) truth: Ends<Option<State>>,
    pub(crate) initial_truth: Ends<Option<State>>,
    pub(crate) looks: Ends<Option<Look>>,
    pub(crate) last_arrival: Ends<Option<(Duration, u64)>>,
    pub(crate) in_flight: VecDeque<Arrival>,
    pub(crate) crossed: Option<Crossed>,
    pub(crate) steps: Steps,
    pub(crate) totals: Ends<Totals>,
    pub(crate) milestones: Milestones,
    pub(crate) survey: Survey,
    pub(crate) log: Log,
    pub(crate) reading: Reading,
    /// Segments may go the short way.
    pub(crate) is_steady: bool,
    first_steps: usize,
    last_steps: usize,
}

impl Connection {
    pub(crate) fn new(
        number: u64,
        client: SocketAddr,
        server: SocketAddr,
        start: Duration,
        limits: &Limits,
    ) -> Self {
        Self {
            number,
            endpoints: Ends {
                client: Endpoint::new(client),
                server: Endpoint::new(server),
            },
            are_roles_known: true,
            is_finished: false,
            closed_at: None,
            start,
            last_frame: start,
            watched_until: start,
            lanes: Ends::default(),
            facts: Ends::default(),
            last_syn_index: Ends::default(),
            owed: Ends::default(),
            truth: Ends::default(),
            initial_truth: Ends::default(),
            looks: Ends::default(),
            last_arrival: Ends::default(),
            in_flight: VecDeque::new(),
            crossed: None,
            steps: Steps::default(),
            totals: Ends::default(),
            milestones: Milestones::default(),
            survey: Survey::new(limits.series),
            log: Log::default(),
            reading: Reading::default(),
            is_steady: false,
            first_steps: limits.first_steps,
            last_steps: limits.last_steps,
        }
    }

    /// Becomes another connection, which has seen nothing, and keeps the memory of its steps.
    pub(crate) fn renew(
        &mut self,
        number: u64,
        client: SocketAddr,
        server: SocketAddr,
        start: Duration,
        limits: &Limits,
    ) {
        let mut steps = core::mem::take(&mut self.steps);
        steps.clear();
        *self = Self::new(number, client, server, start, limits);
        self.steps = steps;
    }

    /// Number of the connection in the order of first segments, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Gives it another number, for those who count in another way.
    pub const fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    /// Address, name and program of an end.
    #[must_use]
    pub fn endpoint(&self, end: End) -> &Endpoint {
        &self.endpoints[end]
    }

    /// Whether a SYN told who is the client. Otherwise the end with the higher port counts as client.
    #[must_use]
    pub const fn are_roles_known(&self) -> bool {
        self.are_roles_known
    }

    /// Whether no more is to come: the capture ended, or the connection is gone for good.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Time of the first segment.
    #[must_use]
    pub const fn start(&self) -> Duration {
        self.start
    }

    /// From the first segment to the last.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.last_frame.saturating_sub(self.start)
    }

    /// From the first segment to the FIN or RST that closed the second direction; to the last
    /// segment where one direction was left open. Acknowledgements at the very end do not count.
    #[must_use]
    pub fn duration_until_closed(&self) -> Duration {
        let closed = |end: End| {
            let fin = self.milestones.fins[end].map(|fin| fin.time);
            let reset = self.milestones.resets[end].map(|reset| reset.time);
            match (fin, reset) {
                (Some(fin), Some(reset)) => Some(fin.min(reset)),
                (fin, reset) => fin.or(reset),
            }
        };
        closed(End::Client).zip(closed(End::Server)).map_or_else(
            || self.duration(),
            |(a, b)| a.max(b).saturating_sub(self.start),
        )
    }

    /// Until when nothing more came: the capture may go on after the last segment.
    pub(crate) fn quiet_until(&self) -> Duration {
        self.last_frame.max(self.watched_until)
    }

    /// What each end sent.
    #[must_use]
    pub const fn totals(&self) -> &Ends<Totals> {
        &self.totals
    }

    /// When the handshake was done, if it was seen.
    #[must_use]
    pub const fn handshake(&self) -> Option<Handshake> {
        self.milestones.handshake
    }

    /// The states before the first step.
    #[must_use]
    pub fn initial_states(&self) -> Ends<EndState> {
        let state = |end: End| match self.initial_truth[end] {
            Some(state) => EndState::observed(state),
            None => EndState::inferred(self.facts[end].state(None)),
        };
        Ends {
            client: state(End::Client),
            server: state(End::Server),
        }
    }

    /// The states now.
    #[must_use]
    pub fn states(&self) -> Ends<EndState> {
        self.states_at(self.steps.next_index())
    }

    /// Whether an end has forgotten the connection, or keeps nothing but TIME-WAIT.
    pub(crate) fn has_left(&self, end: End) -> bool {
        self.has_left_in(end, self.states()[end])
    }

    /// The same for an end in this state.
    fn has_left_in(&self, end: End, state: EndState) -> bool {
        match state.state {
            None | Some(State::Closed | State::TimeWait) => true,
            Some(State::Listen) => self.milestones.heard[end] > 0 || self.truth[end].is_some(),
            Some(_) => false,
        }
    }

    /// Whether neither end holds the connection any more, TIME-WAIT aside.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let states = self.states();
        End::BOTH
            .into_iter()
            .all(|end| self.has_left_in(end, states[end]))
    }

    /// The same, by the states of the newest step: after a segment these are the states now.
    pub(crate) fn is_closed_after_newest(&self) -> bool {
        let Some(newest) = self.steps.newest() else {
            return self.is_closed();
        };
        End::BOTH
            .into_iter()
            .all(|end| self.has_left_in(end, newest.states[end]))
    }

    /// One state for a table: `CLOSED` when neither end holds the connection (TIME-WAIT aside), else
    /// that of the client, or the server's where the client has none.
    #[must_use]
    pub fn summary_state(&self) -> EndState {
        let states = self.states();
        if self.is_closed() {
            let is_observed = states.client.basis == Basis::Observed;
            let basis = if is_observed {
                Basis::Observed
            } else {
                Basis::Inferred
            };
            return EndState {
                state: Some(State::Closed),
                basis,
            };
        }
        let has_client = states
            .client
            .state
            .is_some_and(|state| state != State::Closed);
        if has_client {
            states.client
        } else {
            states.server
        }
    }

    /// Who ended it.
    #[must_use]
    pub fn closed_by(&self) -> ClosedBy {
        verdict::closed_by(self)
    }

    /// What happened, in words.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict::verdict(self)
    }

    /// The steps in order; runs in the middle of long connections are folded.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.steps.entries()
    }

    /// Steps so far, folded ones counted.
    #[must_use]
    pub const fn step_count(&self) -> u64 {
        self.steps.next_index()
    }

    /// Whether only one end's segments were captured, although they answer the other's: an
    /// asymmetric route, or a filter.
    #[must_use]
    pub fn is_one_sided(&self) -> bool {
        let heard = self.milestones.heard;
        let answers = |end: End| heard[end.other()] == 0 && self.lanes[end].last_ack.is_some();
        answers(End::Client) || answers(End::Server)
    }

    /// Nothing more will come of it: segments still on their way arrive. The capture went on until then.
    pub(crate) fn finish(&mut self, watched_until: Duration) {
        self.watched_until = watched_until;
        self.deliver_until(Duration::MAX);
        self.is_finished = true;
    }

    /// Which end has this address.
    pub(crate) fn end_of(&self, addr: SocketAddr) -> End {
        if self.endpoints.client.addr == addr {
            End::Client
        } else {
            End::Server
        }
    }

    pub(crate) fn set_host(&mut self, end: End, host: &Arc<str>) {
        self.endpoints[end].host = Some(Arc::clone(host));
    }

    pub(crate) fn set_process(&mut self, end: End, process: Process) {
        self.endpoints[end].process = Some(process);
    }

    /// The state that the packets tell, after step `at`.
    pub(crate) fn inferred_at(&self, end: End, at: u64) -> Option<State> {
        self.facts[end].state(Some(at))
    }

    /// The states after step `at`, which is the newest.
    pub(crate) fn states_at(&self, at: u64) -> Ends<EndState> {
        let state = |end: End| {
            if let Some(state) = self.truth[end] {
                return EndState::observed(state);
            }
            let inferred = self.inferred_at(end, at);
            match self.looks[end] {
                Some(look) if look.inferred == inferred => EndState::observed(look.state),
                _ => EndState::inferred(inferred),
            }
        };
        Ends {
            client: state(End::Client),
            server: state(End::Server),
        }
    }

    /// Derives an end's states anew, from step `from` on.
    pub(crate) fn restate(&mut self, end: End, from: u64) {
        let facts = self.facts[end];
        self.steps.restate(end, from, |index| {
            EndState::inferred(facts.state(Some(index)))
        });
    }

    /// Adds a step with the states as they are now.
    #[inline]
    pub(crate) fn push_step(&mut self, time: Duration, what: What) {
        let index = self.steps.next_index();
        self.push(Step {
            index,
            time,
            what,
            states: self.states_at(index),
        });
    }

    /// Adds a step.
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step, self.first_steps, self.last_steps);
    }
}
