//! The state × event matrix: every state × every combination of control bits × text × sequence
//! positions × acknowledgement positions × timestamps × receive window × IP version, each cell
//! compared with an oracle that was written from RFC 9293 §3.10.7, RFC 5961, RFC 6191 and RFC 7323.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod calls;
mod cells;
mod deviations;
mod fixture;
mod oracle;
mod timeouts;
mod variants;
