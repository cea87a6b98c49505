//! Medians, spreads and the results file.

use crate::explain::compare::HEADING;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::Command;

/// Samples of one configuration, in GB/s.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<f64>,
}

impl Row {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    fn spread(&self) -> (f64, f64) {
        let smallest = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        (smallest, self.samples.iter().copied().fold(0.0, f64::max))
    }
}

/// One comparison: what it is, and its rows; ratios are given against the rows named.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// Name of the row that is the limit, if the comparison has one.
    pub(crate) ceiling: Option<&'static str>,
    /// Name of the peer to compare with.
    pub(crate) peer: &'static str,
}

impl Section {
    pub(crate) fn markdown(&self) -> String {
        let of = |name: &str| {
            self.rows
                .iter()
                .find(|row| row.name == name)
                .map(Row::median)
        };
        let (ceiling, peer) = (self.ceiling.and_then(of), of(self.peer));
        let mut out = format!("## {}\n\n| | GB/s, median | lowest … highest |", self.title);
        if ceiling.is_some() {
            out.push_str(" of the ceiling |");
        }
        let _ = write!(out, " × {} |\n|---|---|---|---|", self.peer);
        out.push_str(if ceiling.is_some() { "---|\n" } else { "\n" });
        for row in &self.rows {
            let (lowest, highest) = row.spread();
            let median = row.median();
            let _ = write!(
                out,
                "| {} | {median:.2} | {lowest:.2} … {highest:.2} |",
                row.name
            );
            if let Some(ceiling) = ceiling {
                let _ = write!(out, " {:.0}% |", 100.0 * median / ceiling);
            }
            let _ = writeln!(out, " {:.2} |", median / peer.unwrap_or(f64::NAN));
        }
        out
    }
}

/// Writes all sections to `bench/RESULTS.md`, with what they were measured on.
pub(crate) fn write(path: &Path, rounds: usize, sections: &[Section]) -> io::Result<()> {
    let kernel = Command::new("uname").arg("-r").output()?.stdout;
    let kernel = String::from_utf8_lossy(&kernel);
    let cores = std::thread::available_parallelism()?;
    let mut text = format!(
        "# Results\n\nMade by `cargo run --release -p bench -- all`. Configurations alternate A B C … A B C …, {rounds} rounds, a fresh\n\
         process and a fresh network namespace each time; medians. Linux {} on {cores} cores; read ratios, not single figures: such\n\
         machines are noisy.\n",
        kernel.trim()
    );
    for section in sections {
        text.push('\n');
        text.push_str(&section.markdown());
    }
    // The results of `explain` stay.
    if let Ok(old) = std::fs::read_to_string(path)
        && let Some(at) = old.find(HEADING)
        && let Some(rest) = old.get(at..)
    {
        text.push('\n');
        text.push_str(rest);
    }
    std::fs::write(path, text)
}
