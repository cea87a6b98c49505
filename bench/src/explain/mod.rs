//! Explaining captures: Transom beside tshark, tcptrace and tcpdump.

mod compare;
mod drive;
mod generate;
mod template;

use std::io;
use std::path::Path;

use crate::option;

/// The comparison (`[--rounds N [--count N] [--mib N]]`), or one part of it alone: `make short|bulk FILE [--count N] [--mib N]`, `drive FILE`.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let number = |name: &str, default: u64| {
        option(arguments, name)
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["explain", "make", "short", file, ..] => {
            report(&format!(
                "{:?}",
                generate::short(Path::new(file), number("--count", 100_000))?
            ));
        }
        ["explain", "make", "bulk", file, ..] => {
            report(&format!(
                "{:?}",
                generate::bulk(Path::new(file), number("--mib", 2048) << 20)?
            ));
        }
        ["explain", "drive", file, ..] => {
            let depth = match option(arguments, "--depth").as_deref() {
                Some("read") => drive::Depth::Read,
                Some("unwrap") => drive::Depth::Unwrap,
                _ => drive::Depth::Full,
            };
            let cores = usize::try_from(number("--cores", 0)).unwrap_or(0);
            report(&drive::analyse(Path::new(file), cores, depth)?.to_string());
        }
        ["explain"] | ["explain", "--rounds", ..] => {
            let rounds = usize::try_from(number("--rounds", 5)).unwrap_or(5);
            let (connections, mib) = (number("--count", 100_000), number("--mib", 2048));
            let text = compare::compare(rounds, connections, mib)?;
            report(&text);
            compare::write(&text)?;
        }
        _ => {
            return Err(io::Error::other(
                "usage: bench explain [make short|bulk FILE | drive FILE]",
            ));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results of a command-line program")]
fn report(text: &str) {
    println!("{text}");
}
