//! What congestion control is worth: transfers through a bottleneck in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod bbr;
#[path = "../harness/mod.rs"]
mod harness;
mod hystart;
