//! Medians, ratios and the table.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use super::cell::{Measured, Mode};
use super::grid::Point;
use crate::table::{self, median};
use crate::{has, option};

/// Below this share of the kernel's goodput a cell falls short.
const ENOUGH: f64 = 0.9;

/// The kernel may send again so much less than we, of what is sent.
const MORE_AGAIN: f64 = 0.01;

/// The first lines of the parts of the results.
const USUAL: &str = "# Recovery and congestion, beside the kernel";
const SAMPLE: &str = "# Recovery over a sample of the whole grid";
const SMOLTCP: &str = "# Recovery and congestion, with smoltcp";

/// All samples of one point, by stack; the first stack is ours.
pub(super) struct Line {
    mode: Mode,
    point: Point,
    samples: Vec<Vec<Measured>>,
}

impl Line {
    pub(super) fn new(mode: Mode, point: Point, samples: Vec<Vec<Measured>>) -> Self {
        Self {
            mode,
            point,
            samples,
        }
    }

    fn of(&self, stack: usize, value: impl Fn(&Measured) -> f64) -> f64 {
        median(self.samples.get(stack).into_iter().flatten().map(value))
    }

    fn flows(&self, stack: usize, value: impl Fn(&Measured) -> &[f64]) -> f64 {
        let samples = self.samples.get(stack).into_iter().flatten();
        median(samples.flat_map(|sample| value(sample).to_vec()))
    }

    /// Our share of what the kernel reaches, or for two flows the part that the kernel's flow is left with.
    fn ratio(&self) -> f64 {
        match self.mode {
            Mode::Share => self.of(0, |sample| sample.goodput / sample.beside),
            _ => self.of(0, |sample| sample.goodput) / self.of(1, |sample| sample.goodput),
        }
    }

    pub(super) fn progress(&self) -> String {
        format!("{} → {:.2}", self.point, self.ratio())
    }

    fn row(&self) -> String {
        let both = |value: &dyn Fn(usize) -> f64, factor: f64, digits: usize| {
            let words: Vec<String> = (0..self.samples.len())
                .map(|stack| match value(stack) * factor {
                    value if value.is_nan() => "–".to_owned(),
                    value => format!("{value:.digits$}"),
                })
                .collect();
            words.join(" / ")
        };
        let goodput = both(&|stack| self.of(stack, |sample| sample.goodput), 8e-6, 1);
        let ratio = self.ratio();
        let weak = if self.mode != Mode::Share && ratio < ENOUGH {
            " ▼"
        } else {
            ""
        };
        let mut row = format!("| {} | {goodput} | {ratio:.2}{weak} |", self.point);
        let _ = match self.mode {
            Mode::Send => write!(
                row,
                " {} | {} | {} | {} | {} |",
                both(
                    &|stack| self.of(stack, |sample| sample.retransmitted),
                    100.0,
                    2
                ),
                both(&|stack| self.of(stack, |sample| sample.spurious), 100.0, 2),
                both(&|stack| self.of(stack, |sample| sample.wait), 1000.0, 1),
                both(
                    &|stack| self.flows(stack, |sample| &sample.short),
                    1000.0,
                    0
                ),
                both(
                    &|stack| self.flows(stack, |sample| &sample.medium),
                    1000.0,
                    0
                ),
            ),
            Mode::Receive => Ok(()),
            Mode::Share => write!(
                row,
                " {} | {} |",
                both(&|stack| self.of(stack, |sample| sample.beside), 8e-6, 1),
                both(
                    &|stack| self.of(stack, |sample| sample.goodput / sample.beside),
                    1.0,
                    2
                ),
            ),
        };
        row.push('\n');
        row
    }
}

/// The lines of one mode.
pub(super) fn table(mode: Mode, lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let (title, more) = match mode {
        Mode::Send => (
            "We send, the kernel receives",
            " sent again, % | received twice, % | wait in the queue, ms | 10 kB, ms | 100 kB, ms |",
        ),
        Mode::Receive => ("The kernel sends, we receive", ""),
        Mode::Share => (
            "Two flows: ours, or the kernel's, beside one of the kernel",
            " the flow beside, Mbit/s | first to second |",
        ),
    };
    let head = format!(
        "| loss | RTT, ms | Mbit/s | reordered | queue, BDP | ECN | Mbit/s | ratio |{more}\n"
    );
    let columns = head.matches('|').count() - 1;
    let mut text = format!("\n## {title}\n\n{head}|{}\n", "---|".repeat(columns));
    for line in lines {
        text.push_str(&line.row());
    }
    if mode != Mode::Share {
        let ratios = || lines.iter().map(Line::ratio);
        let weak = ratios().filter(|ratio| *ratio < ENOUGH).count();
        let _ = write!(
            text,
            "\nMedian of the ratios: {:.2}. Cells below {ENOUGH} (▼): {weak} of {}.\n",
            median(ratios()),
            lines.len()
        );
    }
    if mode == Mode::Send {
        let again = |line: &Line, stack| line.of(stack, |sample| sample.retransmitted);
        let more = |line: &&Line| again(line, 0) > again(line, 1) + MORE_AGAIN;
        let _ = writeln!(
            text,
            "Cells where ours sends more than a point more again than the kernel: {}.",
            lines.iter().filter(more).count()
        );
    }
    text
}

/// The rounds that are missing, and why.
pub(super) fn failed(failures: &[String]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let lines = failures.iter().map(|failure| format!("- {failure}\n"));
    format!(
        "\n## Rounds that could not be measured\n\n{}",
        lines.collect::<String>()
    )
}

/// The heading, what it was measured on, and the tables.
pub(super) fn whole(
    tables: &str,
    arguments: &[String],
    stacks: &[String],
    rounds: u64,
    took: Duration,
) -> io::Result<String> {
    Ok(format!(
        "{}\n\nMade by `cargo run --release -p bench -- {}`. Each pair of figures is {}; they take turns over the same\n\
         wire (`transom link`, same seeds), {rounds} rounds, a fresh wire and fresh network namespaces each time; medians. Loss, reordering,\n\
         rate and queue are those of the data's direction, its acknowledgements are only delayed; the ends run at nice -20, the wire at -15. Linux {}; took {} s; load of the\n\
         machine at the end: {}.\n{tables}",
        heading(arguments),
        arguments.join(" "),
        stacks.join(" / "),
        table::kernel()?,
        took.as_secs(),
        table::load()?,
    ))
}

/// Under which heading the results of these options stand.
fn heading(arguments: &[String]) -> &'static str {
    if has(arguments, "--sample") {
        SAMPLE
    } else if option(arguments, "--stacks").is_some_and(|stacks| stacks.contains("smoltcp")) {
        SMOLTCP
    } else {
        USUAL
    }
}

#[expect(clippy::print_stdout, reason = "results of a command-line program")]
pub(super) fn print(text: &str) {
    println!("{text}");
}

/// Under this heading people explain the figures.
const WHY: &str = "\n## Why cells fall short";

/// Replaces this part of the results, but for what people have written about it.
pub(super) fn write(text: &str, arguments: &[String]) -> io::Result<()> {
    let path = table::results();
    let old = std::fs::read_to_string(&path)?;
    let (_, own, _) = table::parts(&old, heading(arguments));
    let why = own.find(WHY).and_then(|at| own.get(at..)).unwrap_or("");
    table::replace(&path, heading(arguments), &format!("{text}{why}"))
}
