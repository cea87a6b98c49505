//! Real programs under `transom run`, each compared with a plain run of the same program.
//!
//! Every test makes a host of its own ([`host`]): a network with servers behind a link, a process
//! table and mounts that end with the test. A test then runs one program plainly and under
//! `transom run` as every kind of user over every kind of device ([`ways`]), and compares what the
//! program printed, how it ended and what the server saw. Every capture that is written on the way
//! is read by tshark ([`capture`]).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is how a test fails"
)]

mod capture;
mod closing;
mod ended;
mod host;
mod leg_b;
mod names;
mod ordinary;
mod programs;
mod refused;
mod server;
mod terminal;
mod traces;
mod vain;
mod ways;
mod web;
