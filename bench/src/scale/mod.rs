//! Many connections: bytes of each, and what their number does to the cost of a packet, a timer, and of what others do.
//!
//! `bench scale [--rounds N] [--count N] [--write]`. Everything is measured in a process of its own, for its memory.

mod peer;
mod sockets;
mod stack;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::process::{Command, Stdio};

use crate::{complain, has, number, option, show, table};

/// Name and value of what was measured.
type Figures = BTreeMap<String, f64>;

const HEADING: &str = "# Scale";
/// What there is to be measured, and how it is called.
const KINDS: [(&str, &str); 3] = [
    ("stack", "The stack without sockets"),
    ("sockets", "Handles of the library (tokio)"),
    (
        "fairness",
        "10,000 connections that all send, over one link",
    ),
];

pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let count =
        usize::try_from(number(arguments, "--count", 1_000_000)?).map_err(io::Error::other)?;
    if let Some(kind) = option(arguments, "--inner") {
        return inner(&kind, count);
    }
    let rounds = number(arguments, "--rounds", 3)?;
    let only = option(arguments, "--only").unwrap_or_default();
    let mut text = String::new();
    for (kind, title) in KINDS {
        if !kind.contains(&only) {
            continue;
        }
        let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            for (name, value) in child(kind, count)? {
                complain(&format!("{kind}: {name}: {value:.1}"));
                samples.entry(name).or_default().push(value);
            }
        }
        write!(text, "## {title}\n\n{}", markdown(&samples)).map_err(io::Error::other)?;
    }
    show(&text);
    if has(arguments, "--write") {
        let about = format!(
            "{HEADING}\n\nMade by `cargo run --release -p bench -- scale`. {count} connections, each with a peer of its own \
             that sends a request of 100 bytes and is answered with 1000 before it is idle (with handles: neither). The \
             peers are packets made by hand, whose memory is there before. Bytes are resident memory of the process, less \
             what it had before the first connection. \"In use\": after each connection had some requests more. A packet \
             is a request to a random connection: taken in, read, and what is owed for it made; \"of 32\": so many arrive \
             together, as a device hands them over. Medians of {rounds} rounds, \
             a process each. Linux {} on 2 cores; load of the machine at the end: {}.\n\n{text}",
            table::kernel()?,
            table::load()?,
        );
        table::replace(&table::results(), HEADING, &about)?;
    }
    Ok(())
}

fn markdown(samples: &BTreeMap<String, Vec<f64>>) -> String {
    let mut text =
        String::from("| | median | lowest … highest | at all ÷ at 1000 |\n|---|---|---|---|\n");
    let median = |name: &str| {
        let values = samples.get(name)?;
        Some(table::median(values.iter().copied()))
    };
    for (name, values) in samples {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let middle = median(name).unwrap_or(f64::NAN);
        let few = name
            .strip_suffix("at all")
            .map(|start| format!("{start}at 1000"));
        let ratio = few
            .and_then(|few| median(&few))
            .map(|few| format!("{:.2}", middle / few));
        let digits = if middle < 10.0 { 3 } else { 0 };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {name} | {middle:.digits$} | {least:.digits$} … {most:.digits$} | {} |",
            ratio.unwrap_or_default()
        );
    }
    text.push('\n');
    text
}

/// Measures in a process of its own.
fn child(kind: &str, count: usize) -> io::Result<Figures> {
    let output = Command::new(std::env::current_exe()?)
        .args(["scale", "--inner", kind, "--count", &count.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| io::Error::other(format!("{kind} failed (see above)")))
}

fn inner(kind: &str, count: usize) -> io::Result<()> {
    let figures = match kind {
        "stack" => stack::measure(count)?,
        "sockets" => sockets::measure(count)?,
        "fairness" => stack::fairness(10_000.min(count))?,
        _ => return Err(io::Error::other("no such measurement")),
    };
    show(&serde_json::to_string(&figures).map_err(io::Error::other)?);
    Ok(())
}
