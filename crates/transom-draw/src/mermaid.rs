//! A connection as text that [Mermaid](https://mermaid.js.org) draws: for wikis, issues and reviews.
//!
//! The diagram is a `sequenceDiagram`: an arrow for each segment, a cross where one is lost, a dashed
//! line where it is sent again, and a note where an end changes its state. It is bounded: Mermaid
//! refuses texts above 50,000 characters, so steps in the middle are left out where it must be, and
//! a note says how many.
//!
//! Characters that mean something to Mermaid or to HTML are written as its entities (`#59;`).

use crate::rows::{Row, rows};
use crate::text::{cell, label};
use core::time::Duration;
use std::fmt::Write as _;
use transom_flow::words::{bytes, thousands};
use transom_flow::{
    Basis, Connection, End, EndState, Ends, Fate, Fold, Meaning, Segment, Step, What,
};

/// What Mermaid takes at most is 50,000 characters.
const MAX_CHARS: usize = 48_000;
/// Characters of one label at most, before they are escaped.
const LABEL: usize = 110;
/// Columns of a line in a note.
const NOTE: usize = 76;
/// Lines of one note at most.
const NOTE_LINES: usize = 8;

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Steps drawn at most; those in the middle are left out first. Default 160.
    pub steps: usize,
    /// Whether runs of bulk data are drawn as counts. Default true.
    pub fold: bool,
    /// Whether the verdict stands below. Default true.
    pub verdict: bool,
}

impl Options {
    /// At most so many steps.
    #[must_use]
    pub const fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Bulk data as counts, or every segment.
    #[must_use]
    pub const fn fold(mut self, fold: bool) -> Self {
        self.fold = fold;
        self
    }

    /// With the verdict, or not.
    #[must_use]
    pub const fn verdict(mut self, verdict: bool) -> Self {
        self.verdict = verdict;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 160,
            fold: true,
            verdict: true,
        }
    }
}

/// Draws the sequence diagram of a connection.
#[must_use]
pub fn diagram(connection: &Connection, options: &Options) -> String {
    let rows = rows(connection, options.fold);
    let mut steps = options.steps.max(2).min(rows.len());
    loop {
        let text = Drawing::of(connection, &rows, steps, options);
        if text.len() <= MAX_CHARS || steps <= 2 {
            return text;
        }
        steps = (steps * 3 / 4).max(2);
    }
}

struct Drawing<'a> {
    connection: &'a Connection,
    out: String,
    shown: Ends<EndState>,
    is_mixed: bool,
}

impl<'a> Drawing<'a> {
    fn of(connection: &'a Connection, rows: &[Row<'_>], steps: usize, options: &Options) -> String {
        let mut drawing = Self {
            connection,
            out: String::from("sequenceDiagram\n"),
            shown: Ends::default(),
            is_mixed: is_mixed(connection, rows),
        };
        drawing.participants();
        let left_out = rows.len().saturating_sub(steps);
        let head = steps.div_ceil(2);
        for (at, row) in rows.iter().enumerate() {
            if left_out > 0 && at == head {
                drawing.over_both(&format!(
                    "… {} steps left out …",
                    thousands(left_out as u64)
                ));
            }
            if left_out > 0 && (head..head + left_out).contains(&at) {
                continue;
            }
            match row {
                Row::Step(step) => drawing.step(step),
                Row::Fold(fold) => drawing.fold(fold),
            }
        }
        if options.verdict {
            drawing.over_both(&connection.verdict().text());
        }
        drawing.out
    }

    fn line(&mut self, line: &str) {
        self.out.push_str("    ");
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn participants(&mut self) {
        for end in End::BOTH {
            let endpoint = self.connection.endpoint(end);
            let mut name = end.name().to_owned();
            if let Some(process) = &endpoint.process {
                let _ = write!(name, " {}", text(&process.to_string(), LABEL));
            }
            if let Some(host) = &endpoint.host {
                let _ = write!(name, " {}", text(host, LABEL));
            }
            let line = format!(
                "participant {} as {name}<br/>{}",
                id(end),
                text(&endpoint.addr.to_string(), LABEL)
            );
            self.line(&line);
        }
        self.states(self.connection.initial_states());
    }

    /// Notes for the states that are news.
    fn states(&mut self, states: Ends<EndState>) {
        for end in End::BOTH {
            if self.shown[end].state == states[end].state {
                continue;
            }
            self.shown[end] = states[end];
            let Some(state) = states[end].state else {
                continue;
            };
            let mark = if self.is_mixed && states[end].basis == Basis::Inferred {
                "?"
            } else {
                ""
            };
            let side = if end == End::Client {
                "left of C"
            } else {
                "right of S"
            };
            self.line(&format!("Note {side}: {state}{mark}"));
        }
    }

    fn over_both(&mut self, words: &str) {
        let words = cell::escaped(words, false);
        let mut lines = cell::wrapped(&words, NOTE);
        if lines.len() > NOTE_LINES {
            lines.truncate(NOTE_LINES);
            lines.push("…".into());
        }
        let lines: Vec<String> = lines.iter().map(|line| text(line, NOTE)).collect();
        // The blank word in front keeps Mermaid from taking a first word of ours for its own.
        self.line(&format!("Note over C,S: · {}", lines.join("<br/>")));
    }

    fn time(&self, time: Duration) -> String {
        let since = time.saturating_sub(self.connection.start());
        if since < Duration::from_secs(10) {
            format!("{:.3} ms", since.as_secs_f64() * 1e3)
        } else {
            format!("{:.3} s", since.as_secs_f64())
        }
    }

    fn step(&mut self, step: &Step) {
        match &step.what {
            What::Segment(segment) => self.segment(step, segment),
            What::Icmp(icmp) => {
                let told = format!(
                    "{} ICMP to the {}, from {}: {}",
                    self.time(step.time),
                    icmp.to,
                    icmp.reporter,
                    icmp.kind
                );
                self.over_both(&told);
            }
            What::Note(note) => self.over_both(&format!("{} {}", self.time(step.time), note.text)),
            _ => {}
        }
        self.states(step.states);
    }

    fn segment(&mut self, step: &Step, segment: &Segment) {
        let is_again = matches!(segment.meaning, Meaning::Retransmission { .. });
        let arrow = match segment.fate {
            Fate::Lost => "-x",
            _ if is_again => "-->>",
            _ => "->>",
        };
        let mut words = vec![label::flags(segment.flags)];
        if segment.len > 0 {
            words.push(bytes(u64::from(segment.len)));
        }
        if segment.fate == Fate::Lost {
            words.push("lost".into());
        }
        words.extend(label::remark(segment));
        if !is_again {
            words.extend(
                segment
                    .options
                    .as_deref()
                    .map(label::syn_options)
                    .filter(|words| !words.is_empty()),
            );
            words.extend(segment.hint.as_ref().map(|hint| hint.to_string()));
        }
        let words = format!("{} {}", self.time(step.time), words.join(" "));
        self.arrow(segment.from, arrow, &words);
    }

    fn arrow(&mut self, from: End, arrow: &str, words: &str) {
        let words = text(words, LABEL);
        self.line(&format!("{}{arrow}{}: {words}", id(from), id(from.other())));
    }

    fn fold(&mut self, fold: &Fold) {
        for end in End::BOTH {
            if fold.sent[end].segments > 0 {
                let words = format!(
                    "{} … {} …",
                    self.time(fold.start),
                    label::folded(&fold.sent[end])
                );
                self.arrow(end, "-->>", &words);
            }
        }
        self.states(fold.states);
    }
}

fn is_mixed(connection: &Connection, rows: &[Row<'_>]) -> bool {
    let states = rows.iter().map(|row| match row {
        Row::Step(step) => step.states,
        Row::Fold(fold) => fold.states,
    });
    let (mut observed, mut inferred) = (false, false);
    for states in states.chain([connection.initial_states()]) {
        for end in End::BOTH {
            if states[end].state.is_some() {
                observed |= states[end].basis == Basis::Observed;
                inferred |= states[end].basis == Basis::Inferred;
            }
        }
    }
    observed && inferred
}

const fn id(end: End) -> char {
    match end {
        End::Client => 'C',
        End::Server => 'S',
    }
}

/// Text from anywhere as Mermaid takes it: cut, and with entities for what it could take for its own.
fn text(words: &str, columns: usize) -> String {
    let safe = cell::escaped(words, false);
    let safe = cell::cut(&safe, columns, "…");
    // Mermaid looks for styles in the whole text, by these words and a colon.
    let is_styled = safe.contains("style") || safe.contains("classDef");
    let mut text = String::with_capacity(safe.len());
    for c in safe.chars() {
        let is_plain = match c {
            ':' => !is_styled,
            ' ' | '.' | ',' | '-' | '/' | '(' | ')' | '[' | ']' | '_' | '=' | '?' | '!' => true,
            c => c.is_alphanumeric() || !c.is_ascii(),
        };
        if is_plain {
            text.push(c);
        } else {
            let _ = write!(text, "#{};", u32::from(c));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_mermaid_is_an_entity() {
        assert_eq!(text("a:b;c#d%%<br>", 80), "a:b#59;c#35;d#37;#37;#60;br#62;");
        assert_eq!(text("style a:b", 80), "style a#58;b");
        assert_eq!(text("line\nbreak", 80), "line#92;nbreak");
        assert_eq!(text("状態 ok", 80), "状態 ok");
    }
}
