//! The rows of the requirement tables, as packet dialogues: one test a row, the row's id in its
//! name. `E` is the fixture, `lt` a segment in, `gt` a segment that must come out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod accecn;
mod accecn_counters;
mod acks_in;
mod buffers;
mod calls;
mod closing;
mod ecn;
mod mtu_search;
mod opening;
mod pacing;
mod patience;
mod rest;
mod sending;
mod sequence;
mod text;
mod time_wait;
mod timestamps;
mod wrap;

use transom_tcp::State;

/// The synchronized states before TIME-WAIT.
const SYNCHRONIZED: [State; 6] = [
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
];
