//! Side-by-side benchmarks: `cargo run --release -p bench -- all`.
//!
//! - `all [--rounds N]`: every comparison; writes `bench/RESULTS.md`
//! - `tun [--rounds N] [--only NAME]`, `memory [--rounds N] [--only NAME] [--mib N]`: one comparison, printed;
//!   `valgrind --tool=callgrind bench memory --rounds 1 --only transom --mib 16` counts instructions
//!
//! - `explain [--rounds N]`: `transom explain` beside tshark, tcptrace and tcpdump on captures made for it; writes its
//!   part of `bench/RESULTS.md`. Build the command first: `cargo build --release -p transom-cli`.
//!   `explain make short|bulk FILE` makes a capture, `explain drive FILE [--cores N]` analyses one without the command
//!
//! - `recovery`: our stack beside the kernel's over bad wires; `recovery --help` lists its options
//!
//! - `run`: `transom run` beside a plain run, pasta, slirp4netns and a null relay; `run --help` lists its options
//!
//! Needs root (network namespaces, TUN).
#![expect(
    clippy::indexing_slicing,
    reason = "a benchmark on frames of its own making may end by a panic"
)]

mod explain;
mod kernel;
mod memory;
mod net;
mod null;
mod ours;
mod recovery;
mod run;
mod smol;
mod sys;
mod table;

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use kernel::Way;
use net::Roles;
use table::{Row, Section};

const NULL_OFFLOAD: &str = "null TCP (the ceiling), with offload";
const NULL_PLAIN: &str = "null TCP (the ceiling), without offload";
const PEER: &str = "smoltcp, its own device, 1 MiB";

/// The stacks that can stand behind the TUN device: name, kind, virtio headers or not, socket buffer.
const STACKS: &[(&str, &str, bool, usize)] = &[
    (NULL_OFFLOAD, "null", true, 0),
    ("transom, with offload", "transom", true, 0),
    (
        "smoltcp behind our device, 4 MiB, with offload",
        "smoltcp-vnet",
        true,
        4 << 20,
    ),
    (NULL_PLAIN, "null", false, 0),
    ("transom, without offload", "transom", false, 0),
    (PEER, "smoltcp", false, 1 << 20),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = option(&arguments, "--rounds")
        .and_then(|n| n.parse().ok())
        .unwrap_or(5);
    let only = option(&arguments, "--only").unwrap_or_default();
    let mib = option(&arguments, "--mib").and_then(|n| n.parse().ok());
    let result = match arguments.first().map(String::as_str) {
        Some("all") => all(rounds),
        Some("tun") => tun(rounds, &only).map(|sections| show(&sections)),
        Some("memory") => memory::compare(rounds, &only, mib).map(|sections| show(&sections)),
        Some("explain") => explain::part(&arguments),
        Some("recovery") => recovery::part(&arguments),
        Some("recovery-cell" | "recovery-node") => recovery::inner(&arguments),
        Some("run") => run::part(&arguments),
        Some("run-cell" | "run-server" | "run-client" | "run-null") => run::inner(&arguments),
        Some("pair") => pair(&arguments),
        Some("node") => node(&arguments),
        _ => Err(io::Error::other(
            "usage: bench all|tun|memory|explain|recovery|run [--rounds N] [--only NAME]",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "progress and errors of a command-line program"
)]
fn complain(text: &str) {
    eprintln!("bench: {text}");
}

#[expect(clippy::print_stdout, reason = "results of a command-line program")]
fn show(sections: &[Section]) {
    for section in sections {
        println!("{}", section.markdown());
    }
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

fn all(rounds: usize) -> io::Result<()> {
    let mut sections = tun(rounds, "")?;
    sections.extend(memory::compare(rounds, "", None)?);
    show(&sections);
    table::write(rounds, &sections)
}

/// Every stack, both ways, one connection, MTU 1500, the kernel at the other end.
fn tun(rounds: usize, only: &str) -> io::Result<Vec<Section>> {
    let mut sections = Vec::new();
    for (way, word) in [("receives", "receives"), ("sends", "sends")] {
        let chosen = || STACKS.iter().filter(|stack| stack.0.contains(only));
        let mut rows: Vec<Row> = chosen()
            .map(|stack| Row {
                name: stack.0.to_owned(),
                samples: Vec::new(),
            })
            .collect();
        for round in 0..rounds {
            for (row, &(name, kind, vnet, buffer)) in rows.iter_mut().zip(chosen()) {
                let rate = in_child(kind, vnet, buffer, way)
                    .map_err(|error| io::Error::other(format!("{name}, {word}: {error}")))?;
                complain(&format!("round {round}: {name} {word} {rate:.3} GB/s"));
                row.samples.push(rate);
            }
        }
        for (device, ceiling) in [
            ("with offload", NULL_OFFLOAD),
            ("without offload", NULL_PLAIN),
        ] {
            // The peer as shipped stands in both, for the comparison.
            let belongs = |row: &&Row| row.name.ends_with(device) || row.name == PEER;
            sections.push(Section {
                title: format!("TUN {device}, MTU 1500, one connection, the stack {word}"),
                rows: rows.iter().filter(belongs).cloned().collect(),
                ceiling: Some(ceiling),
                peer: PEER,
            });
        }
    }
    Ok(sections)
}

/// Runs one measurement in a process and a network namespace of its own.
fn in_child(kind: &str, vnet: bool, buffer: usize, way: &str) -> io::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args([
            "pair",
            kind,
            way,
            if vnet { "vnet" } else { "plain" },
            &buffer.to_string(),
        ])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| io::Error::other("the measurement failed (see above)"))
}

fn words(arguments: &[String]) -> io::Result<(&str, &str, &str, usize)> {
    match arguments {
        [_, kind, way, vnet, buffer] => {
            Ok((kind, way, vnet, buffer.parse().map_err(io::Error::other)?))
        }
        _ => Err(io::Error::other("internal: wrong arguments")),
    }
}

/// In a namespace of its own: the stack as a child process, the kernel's end here.
fn pair(arguments: &[String]) -> io::Result<()> {
    let (_, way, _, _) = words(arguments)?;
    let way = if way == "receives" {
        Way::Receives
    } else {
        Way::Sends
    };
    sys::own_network()?;
    net::ip(&["link", "set", "lo", "up"])?;
    // The machine's default may be a paced algorithm, which measures the pacing.
    drop(std::fs::write(
        "/proc/sys/net/ipv4/tcp_congestion_control",
        "cubic",
    ));
    let mut child = Command::new(std::env::current_exe()?)
        .arg("node")
        .args(&arguments[1..])
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = (|| {
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() != "ready" {
            return Err(io::Error::other("the stack did not start"));
        }
        sys::pin(0);
        kernel::bulk(way, Duration::from_millis(800), Duration::from_secs(2))
    })();
    child.kill()?;
    child.wait()?;
    print_rate(measured?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the parent reads this line")]
fn print_rate(rate: f64) {
    println!("{rate}");
}

/// The stack under test, until the parent ends it.
fn node(arguments: &[String]) -> io::Result<()> {
    let (kind, _, vnet, buffer) = words(arguments)?;
    sys::die_with_parent();
    sys::pin(1);
    let roles = Roles {
        device: "tun0".to_owned(),
        vnet: vnet == "vnet",
        mtu: 1500,
        buffer,
    };
    match kind {
        "null" => null::serve(&roles),
        "smoltcp" => smol::serve_stock(&roles),
        "smoltcp-vnet" => smol::serve_vnet(&roles),
        "transom" => ours::serve(&roles),
        other => Err(io::Error::other(format!("unknown stack {other}"))),
    }
}
