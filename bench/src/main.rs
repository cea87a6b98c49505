//! Side-by-side benchmarks: `cargo run --release -p bench -- all`.
//!
//! - `all`: every part of `bench/RESULTS.md`, one after the other; a part that fails does not end it
//! - `tun`, `memory`, `latency`, `rate`, `cores`, `af-xdp`: a part each. Configurations take turns in rounds; `--rounds N` (5),
//!   `--section TEXT` only tables with that in their title, `--only TEXT` only rows with that in their name,
//!   `--write` into `bench/RESULTS.md` and `bench/plots`, where what was not measured stays.
//!   `valgrind --tool=callgrind bench memory --rounds 1 --only transom --mib 16` counts instructions
//! - `explain [--rounds N]`: `transom explain` beside tshark, tcptrace and tcpdump on captures made for it; writes its
//!   part of `bench/RESULTS.md`. Build the command first: `cargo build --release -p transom-cli`.
//!   `explain make short|bulk FILE` makes a capture, `explain drive FILE [--cores N]` analyses one without the command
//! - `recovery`: our stack beside the kernel's over bad wires; `recovery --help` lists its options
//! - `run`: `transom run` beside a plain run, pasta, slirp4netns and a null relay; `run --help` lists its options
//! - `scale [--rounds N] [--count N] [--only stack|sockets|fairness]`: a million connections: bytes of each, and what
//!   their number does to the cost of a packet, of a timer, and of what others do; needs no root
//!
//! Other user-space stacks are built from their published packages when they are needed (`bench/peers`), and lwIP against
//! Debian's library (`apt-get install liblwip-dev`, and a C compiler); one that cannot be
//! built or does not run says so in its row. Needs root (network namespaces, TUN), and two processors.
#![expect(
    clippy::indexing_slicing,
    reason = "a benchmark on frames of its own making may end by a panic"
)]

mod bulk;
mod comparison;
mod cores;
mod explain;
mod in_memory;
mod in_memory_rate;
mod kernel;
mod kernel_server;
mod latency;
mod memory;
mod net;
mod null;
mod null_device;
mod ours;
mod part;
mod peers;
mod plot;
mod rate;
mod recovery;
mod run;
mod scale;
mod smol;
mod smol_memory;
mod sys;
mod table;
mod trial;

use std::io;
use std::process::ExitCode;

/// Measures what its arguments say.
type Command = fn(&[String]) -> io::Result<()>;

/// What can be measured.
const PARTS: &[(&str, Command)] = &[
    ("tun", bulk::part),
    ("memory", memory::part),
    ("latency", latency::part),
    ("rate", rate::part),
    ("cores", cores::part),
    ("af-xdp", cores::af_xdp),
    ("explain", explain::part),
    ("recovery", recovery::part),
    ("run", run::part),
    ("scale", scale::part),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["all", ..] => all(&arguments),
        ["recovery-cell" | "recovery-node", ..] => recovery::inner(&arguments),
        ["run-cell" | "run-server" | "run-client" | "run-null", ..] => run::inner(&arguments),
        ["trial", trial] => trial::inside(trial),
        ["node", trial] => trial::node(trial),
        [name, ..] => match PARTS.iter().find(|part| part.0 == *name) {
            Some((_, measure)) => {
                sys::go_first();
                measure(&arguments)
            }
            None => Err(usage()),
        },
        [] => Err(usage()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> io::Error {
    let names: Vec<&str> = PARTS.iter().map(|part| part.0).collect();
    io::Error::other(format!(
        "usage: bench all|{} [--rounds N] [--section TEXT] [--only TEXT] [--write]",
        names.join("|")
    ))
}

/// Every part, into the file of results; the error names those that failed.
fn all(arguments: &[String]) -> io::Result<()> {
    sys::go_first();
    let mut failed = Vec::new();
    for (name, measure) in PARTS {
        complain(&format!("measuring: {name}"));
        let mut words = arguments.to_vec();
        words[0] = (*name).to_owned();
        words.push("--write".to_owned());
        if let Err(error) = measure(&words) {
            complain(&format!("{name}: {error}"));
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "could not be measured: {}",
        failed.join(", ")
    )))
}

#[expect(
    clippy::print_stderr,
    reason = "progress and errors of a command-line program"
)]
fn complain(text: &str) {
    eprintln!("bench: {text}");
}

#[expect(clippy::print_stdout, reason = "results of a command-line program")]
fn show(text: &str) {
    println!("{text}");
}

fn option(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

/// A number that is an option's value.
fn number(arguments: &[String], name: &str, default: u64) -> io::Result<u64> {
    option(arguments, name).map_or(Ok(default), |word| {
        word.parse()
            .map_err(|_| io::Error::other(format!("{name} {word}: not a number")))
    })
}

/// Whether an option that has no value is there.
fn has(arguments: &[String], name: &str) -> bool {
    arguments.iter().any(|argument| argument == name)
}
