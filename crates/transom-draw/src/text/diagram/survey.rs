//! What is looked up before the drawing starts.

use super::super::label;
use std::collections::HashMap;
use transom_flow::{Basis, Connection, End, EndState, Ends, Entry, What};

/// What a connection's drawing has to know beforehand.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) any_observed: bool,
    pub(super) any_inferred: bool,
    pub(super) last_frame: u64,
    /// Segments that arrive in a row of their own are named there.
    pub(super) flags: HashMap<u64, String>,
}

impl Survey {
    pub(super) fn of(connection: &Connection) -> Self {
        let mut survey = Self::default();
        survey.look(connection.initial_states());
        for entry in connection.entries() {
            match entry {
                Entry::Step(step) => {
                    survey.look(step.states);
                    if let What::State(change) = &step.what
                        && let Some(frame) = change.arrival_of
                    {
                        survey.flags.insert(frame, String::new());
                    }
                }
                Entry::Fold(fold) => survey.look(fold.states),
            }
        }
        for entry in connection.entries() {
            let Entry::Step(step) = entry else { continue };
            match &step.what {
                What::Segment(segment) => {
                    survey.last_frame = survey.last_frame.max(segment.frame);
                    if let Some(name) = survey.flags.get_mut(&segment.frame) {
                        *name = label::short(segment);
                    }
                }
                What::Icmp(icmp) => survey.last_frame = survey.last_frame.max(icmp.frame),
                _ => {}
            }
        }
        survey
    }

    fn look(&mut self, states: Ends<EndState>) {
        for end in End::BOTH {
            match (states[end].state, states[end].basis) {
                (None, _) => {}
                (_, Basis::Observed) => self.any_observed = true,
                (_, Basis::Inferred) => self.any_inferred = true,
            }
        }
    }

    /// Whether states of both kinds occur, so that the inferred ones need a mark.
    pub(super) const fn is_mixed(&self) -> bool {
        self.any_observed && self.any_inferred
    }
}
