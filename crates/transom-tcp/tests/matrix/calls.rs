//! The calls of the application × states (RFC 9293 §3.10.2 to §3.10.6).
//!
//! OPEN (§3.10.1) makes the connection here, so there is none to call it on again; that a second
//! one for the same pair of sockets fails is the stack's to answer, and tested there.

use std::collections::BTreeSet;

use transom_tcp::{CloseError, CloseReason, RecvError, SendError, State};

use crate::fixture::{Fixture, Stage, Variant};
use crate::harness::stream;
use crate::oracle::{Model, Out, Signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Send,
    Receive,
    /// CLOSE of the sending side alone.
    ShutdownWrite,
    /// CLOSE, after which nobody reads.
    Close,
    Abort,
    Status,
}

const CALLS: [Call; 6] = [
    Call::Send,
    Call::Receive,
    Call::ShutdownWrite,
    Call::Close,
    Call::Abort,
    Call::Status,
];

/// A whole segment, so that Nagle's algorithm has no say: less the timestamps, if any.
const WRITE: usize = 1000;

/// What the call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Ok,
    /// RECEIVE: so many octets; 0 is the end of the stream.
    Octets(usize),
    /// RECEIVE would wait.
    Waits,
    Closing,
    /// "error: connection does not exist", or why it no longer does.
    Gone,
    State(State),
}

#[derive(Debug, PartialEq, Eq)]
struct Expected {
    answer: Answer,
    out: Vec<Out>,
    signals: Vec<Signal>,
    state: State,
}

fn expected(call: Call, model: &Model, variant: Variant) -> Expected {
    let state = model.state;
    let mut expected = Expected {
        answer: Answer::Ok,
        out: Vec::new(),
        signals: Vec::new(),
        state,
    };
    match call {
        Call::Send => send(&mut expected, model),
        Call::Receive => receive(&mut expected, model, variant),
        Call::ShutdownWrite => finish(&mut expected, model),
        Call::Close => close(&mut expected, model, variant),
        Call::Abort => abort(&mut expected, model),
        Call::Status => expected.answer = Answer::State(state),
    }
    expected
}

fn ack(model: &Model) -> Out {
    Out {
        syn: false,
        fin: false,
        rst: false,
        seq: model.nxt,
        ack: Some(model.rnxt),
        ecr: model.recent,
    }
}

impl Expected {
    fn enter(&mut self, state: State) {
        self.signals.push(Signal::State(self.state, state));
        self.state = state;
    }

    fn end(&mut self, reason: CloseReason) {
        self.enter(State::Closed);
        self.signals.push(Signal::Closed(reason));
    }
}

/// §3.10.2.
fn send(expected: &mut Expected, model: &Model) {
    match model.state {
        State::Closed => expected.answer = Answer::Gone,
        // "Queue the data for transmission after entering ESTABLISHED."
        State::SynSent | State::SynReceived => {}
        // "Segmentize the buffer and send it with a piggybacked acknowledgment": with timestamps
        // it takes two segments, and Nagle's algorithm keeps the second.
        State::Established | State::CloseWait => expected.out.push(ack(model)),
        _ => expected.answer = Answer::Closing,
    }
}

/// §3.10.3.
fn receive(expected: &mut Expected, model: &Model, variant: Variant) {
    let unread = model.rnxt - model.consumed;
    let fin = i64::from(model.state.has_peer_finished());
    let octets = usize::try_from(unread - fin).unwrap_or(0);
    expected.answer = match model.state {
        State::Closed => Answer::Gone,
        State::SynSent | State::SynReceived => Answer::Waits,
        _ if variant.full => Answer::Octets(octets),
        State::Established | State::FinWait1 | State::FinWait2 => Answer::Waits,
        // "If there is no text … return 'error: connection closing'": the end of the stream.
        _ => Answer::Octets(0),
    };
    // §3.8.6: the window opens, and the peer waits for it; after its FIN nothing more comes.
    if variant.full && fin == 0 {
        expected.out.push(ack(model));
    }
}

/// §3.10.4.
fn finish(expected: &mut Expected, model: &Model) {
    let next = match model.state {
        State::Closed => {
            expected.answer = Answer::Gone;
            return;
        }
        State::SynSent => {
            expected.end(CloseReason::Normal);
            return;
        }
        State::SynReceived | State::Established => State::FinWait1,
        State::CloseWait => State::LastAck,
        // "and never a second FIN"
        _ => {
            expected.answer = Answer::Closing;
            return;
        }
    };
    expected.out.push(Out {
        fin: true,
        ..ack(model)
    });
    expected.enter(next);
}

/// §3.10.4, and §3.6.1 SHLD-3: with text unread the peer gets a reset instead of the FIN.
fn close(expected: &mut Expected, model: &Model, variant: Variant) {
    let resets = matches!(
        model.state,
        State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
    );
    if variant.full && resets {
        expected.out.push(reset(model));
        expected.end(CloseReason::Aborted);
        return;
    }
    finish(expected, model);
    // A program may close what is closing or gone.
    expected.answer = Answer::Ok;
}

/// §3.10.5.
fn abort(expected: &mut Expected, model: &Model) {
    match model.state {
        State::Closed => return,
        // "<SEQ=SND.NXT><CTL=RST>", with ACK as deployed (EV-U-12).
        State::SynReceived
        | State::Established
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait => expected.out.push(reset(model)),
        _ => {}
    }
    expected.end(CloseReason::Aborted);
}

fn reset(model: &Model) -> Out {
    Out {
        rst: true,
        ecr: None,
        ..ack(model)
    }
}

fn perform(stage: &mut Stage, call: Call) -> Answer {
    let now = stage.now;
    let connection = stage.connection();
    match call {
        Call::Send => match connection.send(now, stream(2300, WRITE)) {
            Ok(taken) => {
                assert_eq!(taken, WRITE);
                Answer::Ok
            }
            Err(SendError::Finished) => Answer::Closing,
            Err(_) => Answer::Gone,
        },
        Call::Receive => match connection.recv(now, usize::MAX) {
            Ok(Some(data)) => {
                // The text in a full buffer comes in two pieces when the FIN came apart.
                let more = connection.recv(now, usize::MAX).unwrap();
                Answer::Octets(data.len() + more.map_or(0, |more| more.len()))
            }
            Ok(None) => Answer::Waits,
            Err(RecvError::Closed(_)) => Answer::Gone,
            Err(other) => panic!("{other}"),
        },
        Call::ShutdownWrite => match connection.shutdown_write(now) {
            Ok(()) => Answer::Ok,
            Err(CloseError::AlreadyClosing) => Answer::Closing,
            Err(_) => Answer::Gone,
        },
        Call::Close => {
            connection.close(now);
            Answer::Ok
        }
        Call::Abort => {
            connection.abort(now);
            Answer::Ok
        }
        Call::Status => Answer::State(connection.info().state),
    }
}

/// EV-U-1 to EV-U-12: each call in each state.
#[test]
fn every_call_in_every_state() {
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
            for call in CALLS {
                cells += 1;
                let mut stage = Stage::build(fixture, variant);
                let expected = expected(call, &stage.model.clone(), variant);
                let answer = perform(&mut stage, call);
                let (out, signals) = stage.outputs();
                let seen = Expected {
                    answer,
                    out,
                    signals,
                    state: stage.connection().state(),
                };
                if seen != expected {
                    differences.insert(format!(
                        "{fixture:?} {variant:?} {call:?}:\n  expected {expected:?}\n  saw      {seen:?}"
                    ));
                }
            }
        }
    }
    let report: Vec<String> = differences.into_iter().take(20).collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
    assert_eq!(cells, 264);
}
