//! Ways to run a program: plainly, by `transom run`, behind pasta, slirp4netns, and a relay that does as little as
//! a kernel lets it get away with.
//!
//! The program and the server are the same each time, and use the kernel's sockets. The server is behind a veth pair, in
//! a network namespace of its own.

mod cell;
mod client;
mod null;
mod report;
mod server;
mod usage;

use std::io;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use self::report::Samples;
use crate::{complain, has, number, option};

const HELP: &str = "\
bench run [OPTIONS]     a program run plainly, by transom run, behind pasta and slirp4netns, and a null relay

  --rounds N            how often everything is run, in turn (5)
  --only TEXT           only ways whose name contains one of these, with commas between
  --what A,B,…          only these: send, receive, ping, rate-1, rate-8, hold, start
  --transom PATH,PATH   the command, or several of its versions, which take turns
  --keep FILE           samples are kept there, and those of earlier runs belong to the result
  --write               the tables into bench/RESULTS.md
";

/// The server's address, the next hop towards everything else, and the host's own.
const SERVER: &str = "10.8.0.2";
const GATEWAY: &str = "10.8.0.3";
const HOST: &str = "10.8.0.1";

/// Bytes given to one write or read of a bulk transfer.
const BLOCK: usize = 256 << 10;

/// How a program is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Null,
    /// `transom run`, as root or as an ordinary user.
    Transom {
        as_root: bool,
    },
    /// With this MTU.
    Pasta(u32),
    Slirp(u32),
}

/// A way to run it, as it is called in the tables, and the command of its version.
#[derive(Clone, Debug)]
struct Manner {
    name: String,
    kind: Kind,
    command: String,
}

const PLAIN: &str = "a plain run";
const CEILING: &str = "null relay (the ceiling)";
const OURS: &str = "transom run, root (TUN)";
const USER: &str = "transom run, a user (veth)";
const PASTA: &str = "pasta, MTU 65520";
const PASTA_SMALL: &str = "pasta, MTU 1500";
const SLIRP: &str = "slirp4netns, MTU 65520";
const SLIRP_SMALL: &str = "slirp4netns, MTU 1500";

fn manners(arguments: &[String]) -> io::Result<Vec<Manner>> {
    let beside = std::env::current_exe()?.with_file_name("transom");
    let beside = beside.to_string_lossy().into_owned();
    let commands = option(arguments, "--transom").unwrap_or(beside);
    let commands: Vec<&str> = commands.split(',').collect();
    for command in &commands {
        if !Path::new(command).exists() {
            return Err(io::Error::other(format!(
                "{command} is not there; build it with: cargo build --release -p transom-cli"
            )));
        }
    }
    let mut all = Vec::new();
    for (name, kind) in [
        (PLAIN, Kind::Plain),
        (CEILING, Kind::Null),
        (OURS, Kind::Transom { as_root: true }),
        (USER, Kind::Transom { as_root: false }),
        (PASTA_SMALL, Kind::Pasta(1500)),
        (PASTA, Kind::Pasta(65520)),
        (SLIRP_SMALL, Kind::Slirp(1500)),
        (SLIRP, Kind::Slirp(65520)),
    ] {
        let versions = match kind {
            Kind::Transom { .. } => commands.as_slice(),
            _ => &[""],
        };
        for command in versions {
            let name = if versions.len() > 1 {
                format!("{name}, {command}")
            } else {
                name.to_owned()
            };
            all.push(Manner {
                name,
                kind: kind.clone(),
                command: (*command).to_owned(),
            });
        }
    }
    if let Some(only) = option(arguments, "--only") {
        all.retain(|manner| only.split(',').any(|part| manner.name.contains(part)));
    }
    Ok(all)
}

/// What is measured, in this order: what a relay remembers of many connections comes last.
const WHAT: &str = "start,hold,ping,send,receive,rate-1,rate-8";

/// The comparison, by the options that [`HELP`] lists.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    if has(arguments, "--help") || has(arguments, "-h") {
        report::print(HELP);
        return Ok(());
    }
    let rounds = number(arguments, "--rounds", 5)?;
    let manners = manners(arguments)?;
    let what = option(arguments, "--what").unwrap_or_else(|| WHAT.to_owned());
    let keep = option(arguments, "--keep");
    let mut samples = Samples::load(keep.as_deref())?;
    let started = Instant::now();
    for round in 0..rounds {
        for manner in &manners {
            let measured = cell::run(manner, &what)
                .map_err(|error| io::Error::other(format!("{}: {error}", manner.name)))?;
            complain(&format!(
                "{round}: {}: {}",
                manner.name,
                report::words(&measured)
            ));
            samples.add(&manner.name, &measured);
        }
    }
    samples.store(keep.as_deref())?;
    let names: Vec<&str> = manners.iter().map(|manner| manner.name.as_str()).collect();
    let text = report::whole(&samples, &names, arguments, started.elapsed())?;
    report::print(&text);
    if has(arguments, "--write") {
        report::write(&text)?;
    }
    Ok(())
}

/// Processes that [`part`] starts.
pub(crate) fn inner(arguments: &[String]) -> io::Result<()> {
    match arguments.split_first() {
        Some((what, [manner, command, measurements])) if what == "run-cell" => {
            cell::inside(manner, command, measurements)
        }
        Some((what, [])) if what == "run-server" => server::serve(),
        Some((what, measurements)) if what == "run-client" => client::measure(measurements),
        Some((what, [program])) if what == "run-null" => null::serve(program),
        _ => Err(io::Error::other("internal: wrong arguments")),
    }
}

/// What all networks of the comparison have in common; a network that does not know a setting, or whose owner we are
/// not, keeps its own.
fn settings() {
    for (name, value) in [
        // Where the machine's default is a paced algorithm the pacing would be measured. Everybody may use Reno, and a
        // network's own default may be CUBIC where the machine allows it to all.
        ("tcp_congestion_control", "reno"),
        ("tcp_congestion_control", "cubic"),
        ("ip_local_port_range", "1024 65535"),
        ("tcp_tw_reuse", "1"),
        ("tcp_max_tw_buckets", "200000"),
        ("tcp_max_syn_backlog", "65535"),
    ] {
        drop(std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value));
    }
    drop(std::fs::write("/proc/sys/net/core/somaxconn", "65535"));
}
