//! Fuzz targets: each is a function of any bytes that panics when something is wrong.
//!
//! The same functions are called by libFuzzer (`fuzz/`, which is a workspace of its own), by the runner of this crate
//! (`cargo run --profile fuzz -p transom-fuzz -- TARGET`), which needs no tool and no nightly compiler, and by
//! `cargo test`, which replays `fuzz/corpus`: the inputs that once found something, and a small set that reaches far.
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | [`wire`] | bytes to every parser | within bounds; what was read, written and read again is the same |
//! | [`connection`] | segments, calls and time for one connection | invariants 1, 2, 4 to 9, 12 of the requirement list |
//! | [`stack`] | frames, calls and time for one host, or a network between two | the same, and 3, 8, 11 |
//! | [`script`] | a packet script | parsed in bounds; its packets built, read and printed |
//! | [`capture`] | a capture file | reader, decapsulator, tracker, verdicts, copy |

#![forbid(unsafe_code)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a target panics to tell what it found"
)]

pub mod capture;
pub mod connection;
mod input;
pub mod mutate;
pub mod script;
pub mod stack;
pub mod wire;

pub use input::Input;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs one input; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs to begin with, made by the target itself.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input worth trying, in bytes.
    pub max_len: usize,
}

/// Every target.
pub const TARGETS: [Target; 5] = [
    Target {
        name: "wire",
        run: wire::run,
        seeds: wire::seeds,
        max_len: 400,
    },
    Target {
        name: "connection",
        run: connection::run,
        seeds: connection::seeds,
        max_len: 400,
    },
    Target {
        name: "stack",
        run: stack::run,
        seeds: stack::seeds,
        max_len: 600,
    },
    Target {
        name: "script",
        run: script::run,
        seeds: script::seeds,
        max_len: 600,
    },
    Target {
        name: "capture",
        run: capture::run,
        seeds: capture::seeds,
        max_len: 2000,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
