//! Medians, spreads and the results file.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first line of this part of the results.
const HEADING: &str = "# Results";

/// The median of what is finite; of nothing it is no number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Samples of one configuration, in GB/s.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        median(self.samples.iter().copied())
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
pub(crate) fn write(rounds: usize, sections: &[Section]) -> io::Result<()> {
    let cores = std::thread::available_parallelism()?;
    let mut text = format!(
        "{HEADING}\n\nMade by `cargo run --release -p bench -- all`. Configurations alternate A B C … A B C …, {rounds} rounds, a fresh\n\
         process and a fresh network namespace each time; medians. Linux {} on {cores} cores; read ratios, not single figures: such\n\
         machines are noisy.\n",
        kernel()?
    );
    for section in sections {
        text.push('\n');
        text.push_str(&section.markdown());
    }
    replace(&results(), HEADING, &text)
}

/// The file of all results.
pub(crate) fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md")
}

/// Release of the kernel.
pub(crate) fn kernel() -> io::Result<String> {
    let output = Command::new("uname").arg("-r").output()?.stdout;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// The three means of the machine's load.
pub(crate) fn load() -> io::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let means: Vec<&str> = load.split_whitespace().take(3).collect();
    Ok(means.join(" "))
}

/// Puts a part of the results in place of the former one; other parts stay.
pub(crate) fn replace(path: &Path, heading: &str, text: &str) -> io::Result<()> {
    let old = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let (before, _, after) = parts(&old, heading);
    let gap = if before.trim().is_empty() { "" } else { "\n\n" };
    let (before, text) = (before.trim_end(), text.trim_end());
    std::fs::write(path, format!("{before}{gap}{text}\n{after}"))
}

/// What stands before the part of the results under this heading, the part, and what follows it: the next part
/// begins with the next heading of the same rank.
pub(crate) fn parts<'a>(all: &'a str, heading: &str) -> (&'a str, &'a str, &'a str) {
    let (before, rest) = all.split_at(all.find(heading).unwrap_or(all.len()));
    let (own, after) = rest.split_at(rest.find("\n# ").unwrap_or(rest.len()));
    (before, own, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parts_of_the_results_stay() {
        let heading = "# Mine, and more";
        let old = format!("# Results\na\n{heading}\nold\n## Why\nw\n# Other\nb\n");
        let (before, own, after) = parts(&old, heading);
        assert_eq!((before, after), ("# Results\na\n", "\n# Other\nb\n"));
        assert!(own.starts_with(heading) && own.ends_with("w"));
        assert_eq!(parts("x", heading), ("x", "", ""));
    }
}
