//! Samples of several configurations that took turns, and the table that they make.

use std::fmt::Write as _;
use std::io;

use crate::complain;
use crate::table::median;

/// One configuration, and its figures in each round; none for a round that failed.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    samples: Vec<Option<Vec<f64>>>,
    /// What went wrong last.
    failure: Option<String>,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            samples: Vec::new(),
            failure: None,
        }
    }

    /// Measures once more. What fails is noted, and in the next round tried again unless it never worked.
    pub(crate) fn measure(&mut self, run: impl FnOnce() -> io::Result<Vec<f64>>) {
        if self.failure.is_some() && self.samples.iter().all(Option::is_none) {
            self.samples.push(None);
            return;
        }
        match run() {
            Ok(figures) => {
                let words: Vec<String> = figures.iter().map(|n| format!("{n:.3}")).collect();
                complain(&format!("{}: {}", self.name, words.join(", ")));
                self.samples.push(Some(figures));
            }
            Err(error) => {
                complain(&format!("{}: {error}", self.name));
                self.failure = Some(error.to_string());
                self.samples.push(None);
            }
        }
    }

    fn figures(&self, at: usize) -> impl Iterator<Item = f64> {
        let samples = self.samples.iter().flatten();
        samples.filter_map(move |sample| sample.get(at).copied())
    }

    /// The median, the least and the greatest of the first figure; none if it never worked.
    pub(crate) fn middle(&self) -> Option<Spread> {
        Spread::of(self.figures(0).collect())
    }

    /// The first figure as a multiple of another row's, round by round.
    fn relative_to(&self, other: &Self) -> Option<Spread> {
        let first = |sample: &Option<Vec<f64>>| sample.as_ref()?.first().copied();
        let pairs = self.samples.iter().zip(&other.samples);
        Spread::of(
            pairs
                .filter_map(|(own, other)| Some(first(own)? / first(other)?))
                .collect(),
        )
    }

    /// How often it failed, if it did.
    fn trouble(&self) -> Option<String> {
        let failed = self
            .samples
            .iter()
            .filter(|sample| sample.is_none())
            .count();
        let text = self.failure.as_ref()?;
        Some(format!(
            "{text} ({failed} of {} rounds)",
            self.samples.len()
        ))
    }
}

/// Lets all configurations take turns; in each round in the same order.
pub(crate) fn interleave<C>(
    rounds: usize,
    configurations: &[(Row, C)],
    run: impl Fn(&C) -> io::Result<Vec<f64>>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = configurations.iter().map(|(row, _)| row.clone()).collect();
    for _ in 0..rounds {
        for (row, (_, configuration)) in rows.iter_mut().zip(configurations) {
            row.measure(|| run(configuration));
        }
    }
    rows
}

/// What values lie between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    fn of(values: Vec<f64>) -> Option<Self> {
        let median = median(values.iter().copied());
        median.is_finite().then(|| Self {
            median,
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// `1.31 (1.20 … 1.44)`, times a factor.
    fn words(&self, factor: f64, digits: usize, unit: &str) -> String {
        let [a, b, c] = [self.median, self.least, self.greatest].map(|n| n * factor);
        format!("{a:.digits$}{unit} ({b:.digits$} … {c:.digits$})")
    }
}

/// A figure of a sample: what it is called, and its digits after the point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure(pub(crate) &'static str, pub(crate) usize);

/// One comparison: what it is, and its rows; ratios are given to the rows named.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// The first is what ratios are of, and what is drawn.
    pub(crate) figures: Vec<Figure>,
    pub(crate) rows: Vec<Row>,
    /// Name of the row that is the limit, if the comparison has one.
    pub(crate) ceiling: Option<&'static str>,
    /// Names of the rows to compare with.
    pub(crate) peers: Vec<&'static str>,
}

impl Section {
    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The table, with what did not work below it.
    pub(crate) fn markdown(&self) -> String {
        let ceiling = self.ceiling.and_then(|name| self.row(name));
        let peers: Vec<&Row> = self
            .peers
            .iter()
            .filter_map(|name| self.row(name))
            .collect();
        let mut heads = vec![String::new()];
        for (at, figure) in self.figures.iter().enumerate() {
            heads.push(figure.0.to_owned());
            if at == 0 {
                heads.push("lowest … highest".to_owned());
            }
        }
        heads.extend(ceiling.map(|_| "of the ceiling".to_owned()));
        heads.extend(peers.iter().map(|peer| format!("× {}", peer.name)));
        let mut out = format!("| {} |\n", heads.join(" | "));
        out.push_str(&format!("{}|\n", "|---".repeat(heads.len())));
        for row in &self.rows {
            let mut cells = vec![row.name.clone()];
            let Some(middle) = row.middle() else {
                let trouble = row.failure.clone().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "| {} | {trouble} |{}",
                    row.name,
                    " |".repeat(heads.len() - 2)
                );
                continue;
            };
            for (at, Figure(_, digits)) in self.figures.iter().enumerate() {
                cells.push(format!("{:.digits$}", median(row.figures(at))));
                if at == 0 {
                    cells.push(format!(
                        "{:.digits$} … {:.digits$}",
                        middle.least, middle.greatest
                    ));
                }
            }
            let ratio = |to: &Row, factor, digits, unit| {
                let spread = row.relative_to(to);
                spread.map_or_else(String::new, |spread| spread.words(factor, digits, unit))
            };
            cells.extend(ceiling.map(|ceiling| ratio(ceiling, 100.0, 0, "%")));
            cells.extend(peers.iter().map(|peer| ratio(peer, 1.0, 2, "")));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        let troubled = self.rows.iter().filter(|row| row.middle().is_some());
        for (row, trouble) in troubled.filter_map(|row| Some((row, row.trouble()?))) {
            let _ = writeln!(out, "\n{}: {trouble}.", row.name);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let mut rows = vec![Row::new("ours"), Row::new("theirs"), Row::new("broken")];
        for (ours, theirs) in [(2.0, 1.0), (3.0, 2.0), (8.0, 2.0)] {
            rows[0].measure(|| Ok(vec![ours]));
            rows[1].measure(|| Ok(vec![theirs]));
            rows[2].measure(|| Err(io::Error::other("did not start")));
        }
        Section {
            title: "t".to_owned(),
            figures: vec![Figure("GB/s", 1)],
            rows,
            ceiling: None,
            peers: vec!["theirs"],
        }
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        let text = section().markdown();
        // Of the rounds 2, 1.5 and 4; the ratio of the medians would be 1.5.
        assert!(
            text.contains("| ours | 3.0 | 2.0 … 8.0 | 2.00 (1.50 … 4.00) |"),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_run_stands_in_the_table() {
        let text = section().markdown();
        assert!(text.contains("| broken | did not start | | |"), "{text}");
    }
}
