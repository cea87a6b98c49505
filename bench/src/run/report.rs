//! Samples and their tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use super::cell::Measured;
use super::client::HELD;
use super::{CEILING, OURS, PASTA, PLAIN, USER};
use crate::table::{self, median};

const HEADING: &str = "# Running programs";
/// Under this heading people explain the figures.
const WHY: &str = "\n## What the figures say";

/// Of each way, what was measured by name, once a round.
#[derive(Default)]
pub(super) struct Samples(BTreeMap<String, BTreeMap<String, Vec<f64>>>);

impl Samples {
    /// Those of earlier runs, if they were kept.
    pub(super) fn load(path: Option<&str>) -> io::Result<Self> {
        let text = match path.map(std::fs::read_to_string) {
            None => return Ok(Self::default()),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Some(text) => text?,
        };
        Ok(Self(serde_json::from_str(&text)?))
    }

    pub(super) fn store(&self, path: Option<&str>) -> io::Result<()> {
        path.map_or(Ok(()), |path| {
            std::fs::write(path, serde_json::to_string(&self.0)?)
        })
    }

    pub(super) fn add(&mut self, manner: &str, measured: &Measured) {
        let of = self.0.entry(manner.to_owned()).or_default();
        for (name, value) in measured {
            of.entry(name.clone()).or_default().push(*value);
        }
    }

    fn of(&self, manner: &str, name: &str) -> &[f64] {
        let samples = self.0.get(manner).and_then(|of| of.get(name));
        samples.map_or(&[], Vec::as_slice)
    }

    fn median(&self, manner: &str, name: &str) -> f64 {
        median(self.of(manner, name).iter().copied())
    }

    fn rounds(&self) -> usize {
        let lengths = self.0.values().flat_map(|of| of.values().map(Vec::len));
        lengths.max().unwrap_or(0)
    }
}

/// What is shown of one measurement.
struct Table {
    title: &'static str,
    /// Its name among the samples, the unit, and how many digits behind the point.
    columns: &'static [(&'static str, &'static str, usize)],
    /// Ratios are given to these, of the first column.
    against: &'static [&'static str],
}

const TABLES: &[Table] = &[
    Table {
        title: "The program sends",
        columns: &[("send", "GB/s", 2), ("send-processor", "CPU s/GB", 2)],
        against: &[CEILING, PASTA],
    },
    Table {
        title: "The program receives",
        columns: &[("receive", "GB/s", 2), ("receive-processor", "CPU s/GB", 2)],
        against: &[CEILING, PASTA],
    },
    Table {
        title: "Ping-pong of one byte",
        columns: &[("ping-p50", "p50, µs", 0), ("ping-p99", "p99, µs", 0)],
        against: &[PLAIN, PASTA],
    },
    Table {
        title: "Connect, request, answer, close: one at a time",
        columns: &[("rate-1", "a second", 0)],
        against: &[PLAIN, PASTA],
    },
    Table {
        title: "Connect, request, answer, close: eight at a time",
        columns: &[("rate-8", "a second", 0)],
        against: &[PLAIN, PASTA],
    },
    Table {
        title: "Starting a program that does nothing, on top of a plain start",
        columns: &[("start", "ms", 1)],
        against: &[PASTA],
    },
    Table {
        title: "Memory of the relay with 1,000 connections open",
        columns: &[("hold", "MiB", 1)],
        against: &[PASTA],
    },
];

impl Table {
    fn markdown(&self, samples: &Samples, manners: &[&str]) -> String {
        let Some(&(key, ..)) = self.columns.first() else {
            return String::new();
        };
        let rows: Vec<&str> = manners
            .iter()
            .copied()
            .filter(|manner| !samples.of(manner, key).is_empty())
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let against: Vec<&str> = self
            .against
            .iter()
            .copied()
            .filter(|other| rows.contains(other))
            .collect();
        let mut text = format!("\n## {}\n\n| |", self.title);
        for (_, unit, _) in self.columns {
            let _ = write!(text, " {unit}, median | lowest … highest |");
        }
        for other in &against {
            let _ = write!(text, " × {other} |");
        }
        let _ = writeln!(
            text,
            "\n|---|{}",
            "---|".repeat(2 * self.columns.len() + against.len())
        );
        for manner in rows {
            let _ = write!(text, "| {manner} |");
            for &(name, _, digits) in self.columns {
                let of = samples.of(manner, name);
                let least = of.iter().copied().fold(f64::INFINITY, f64::min);
                let most = of.iter().copied().fold(0.0, f64::max);
                let middle = samples.median(manner, name);
                let _ = write!(
                    text,
                    " {middle:.digits$} | {least:.digits$} … {most:.digits$} |"
                );
            }
            for other in &against {
                let ratio = samples.median(manner, key) / samples.median(other, key);
                let _ = write!(text, " {ratio:.2} |");
            }
            text.push('\n');
        }
        text
    }
}

/// The heading, what it was measured on, and the tables.
pub(super) fn whole(
    samples: &Samples,
    manners: &[&str],
    arguments: &[String],
    took: Duration,
) -> io::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let mut text = format!(
        "{HEADING}\n\nMade by `cargo run --release -p bench -- {}`. The ways to run it take turns A B C … A B C …, {} rounds, fresh\n\
         processes and network namespaces each time; medians. The program and the server are plain ones, with a veth pair between; nothing\n\
         is bound to a processor. \"{OURS}\" and \"{USER}\" are the command in its default\n\
         configuration, at MTU 1500. CPU time is that of all processes together: program, relay and server. Memory is that of the relay alone,\n\
         after {HELD} connections have carried a byte each way. Linux {} on {cores} cores; took {} s; load of the machine at the\n\
         end: {}. Read ratios, not single figures.\n",
        arguments.join(" "),
        samples.rounds(),
        table::kernel()?,
        took.as_secs(),
        table::load()?,
    );
    for table in TABLES {
        text.push_str(&table.markdown(samples, manners));
    }
    Ok(text)
}

/// One way's figures in a line.
pub(super) fn words(measured: &Measured) -> String {
    let words: Vec<String> = measured
        .iter()
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    words.join(", ")
}

#[expect(clippy::print_stdout, reason = "results of a command-line program")]
pub(super) fn print(text: &str) {
    println!("{text}");
}

/// Replaces this part of the results, but for what people have written about it.
pub(super) fn write(text: &str) -> io::Result<()> {
    let path = table::results();
    let old = std::fs::read_to_string(&path)?;
    let (_, own, _) = table::parts(&old, HEADING);
    let why = own.find(WHY).and_then(|at| own.get(at..)).unwrap_or("");
    table::replace(&path, HEADING, &format!("{text}{why}"))
}
