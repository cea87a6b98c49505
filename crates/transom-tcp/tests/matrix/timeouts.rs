//! Timeouts × states (RFC 9293 §3.10.8).

use std::collections::BTreeSet;
use std::time::Duration;

use transom_tcp::{CloseReason, State};

use crate::fixture::{Fixture, Stage, Variant};
use crate::harness::secs;
use crate::oracle::{Model, Out, Signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timeout {
    /// The first retransmission timeout: 30 s in the fixtures.
    Retransmission,
    /// So long that every retransmission went unanswered.
    GivingUp,
    User,
    /// 2 MSL.
    TimeWait,
}

const TIMEOUTS: [Timeout; 4] = [
    Timeout::Retransmission,
    Timeout::GivingUp,
    Timeout::User,
    Timeout::TimeWait,
];

impl Timeout {
    /// How long the cell waits.
    fn wait(self) -> Duration {
        match self {
            Self::Retransmission | Self::User => secs(31),
            // 15 retransmissions, at most 60 s apart.
            Self::GivingUp => secs(30 * 60),
            Self::TimeWait => secs(61),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Expected {
    /// The first segment.
    first: Option<Out>,
    signals: Vec<Signal>,
    state: State,
}

/// The front of the retransmission queue.
fn front(model: &Model) -> Option<Out> {
    let ack = Out {
        syn: false,
        fin: false,
        rst: false,
        seq: model.una,
        ack: Some(model.rnxt),
        ecr: model.recent,
    };
    match model.state {
        State::SynSent => Some(Out {
            syn: true,
            ack: None,
            ecr: None,
            ..ack
        }),
        State::SynReceived => Some(Out { syn: true, ..ack }),
        _ => (model.una < model.nxt).then(|| Out {
            // The 200 octets and the FIN after them fit one segment.
            fin: model.fin.is_some(),
            ..ack
        }),
    }
}

fn expected(timeout: Timeout, model: &Model) -> Expected {
    let state = model.state;
    let waits = front(model);
    let end = |reason| vec![Signal::State(state, State::Closed), Signal::Closed(reason)];
    let unchanged = Expected {
        first: None,
        signals: Vec::new(),
        state,
    };
    if state == State::TimeWait {
        return match timeout {
            Timeout::Retransmission | Timeout::User => unchanged,
            Timeout::TimeWait | Timeout::GivingUp => Expected {
                signals: end(CloseReason::Normal),
                state: State::Closed,
                ..unchanged
            },
        };
    }
    if waits.is_none() || state == State::Closed {
        return unchanged;
    }
    match timeout {
        Timeout::Retransmission | Timeout::TimeWait => Expected {
            first: waits,
            ..unchanged
        },
        Timeout::GivingUp => Expected {
            first: waits,
            signals: end(CloseReason::TimedOut),
            state: State::Closed,
        },
        // EV-O-1: the RFC deletes in silence; in a synchronized state the peer is told.
        Timeout::User => Expected {
            first: state.is_synchronized().then_some(Out {
                syn: false,
                fin: false,
                rst: true,
                seq: model.nxt,
                ack: Some(model.rnxt),
                ecr: None,
            }),
            signals: end(CloseReason::UserTimeout),
            state: State::Closed,
        },
    }
}

/// EV-O-1, EV-O-2, EV-O-3: each timeout in each state.
#[test]
fn every_timeout_in_every_state() {
    let mut cells = 0;
    let mut differences = BTreeSet::new();
    for fixture in Fixture::ALL {
        if matches!(
            fixture,
            Fixture::NoConnection | Fixture::Listen | Fixture::TimeWaitSmall
        ) {
            continue;
        }
        for variant in Variant::all(fixture) {
            for timeout in TIMEOUTS {
                cells += 1;
                let mut stage = Stage::build(fixture, variant);
                let expected = expected(timeout, &stage.model.clone());
                if timeout == Timeout::User {
                    let now = stage.now;
                    let patience = Some(secs(10));
                    stage.connection().set_user_timeout(now, patience);
                }
                let (out, mut signals) = stage.outputs_within(timeout.wait());
                // SHLD-9's warning is not a change.
                signals.retain(|signal| *signal != Signal::Retransmitting);
                let seen = Expected {
                    first: out.first().copied(),
                    signals,
                    state: stage.connection().state(),
                };
                if seen != expected {
                    differences.insert(format!(
                        "{fixture:?} {variant:?} {timeout:?}:\n  expected {expected:?}\n  saw      {seen:?}"
                    ));
                }
            }
        }
    }
    let report: Vec<String> = differences.into_iter().take(20).collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
    assert_eq!(cells, 176);
}
