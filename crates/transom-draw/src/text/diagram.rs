//! The sequence diagram of one connection: time, the client's state, the arrow, the server's state.

use super::Options;
use super::arrow::{Line, arrow};
use super::cell::{cut, escaped, left, pad, right, wrapped};
use super::label;
use super::paint::{Glyphs, Ink};
use crate::rows::{Row, rows};
use core::time::Duration;
use std::collections::HashMap;
use transom_flow::{
    Basis, Connection, End, EndState, Ends, Entry, Fate, Fold, Meaning, Segment, Severity, State,
    StateChange, Step, What,
};

/// Columns of the time, right-aligned: `9999.999 ms`.
const TIME: usize = 11;
/// Columns of a state: `SYN-RECEIVED`, and the mark of an inferred one.
const STATE: usize = 13;

/// Draws a connection: a title, the steps with both ends' states, and the verdict.
///
/// States stand where they change. Where some states were observed and others only inferred from
/// the packets, the inferred ones bear a `?`; a last line explains the marks.
#[must_use]
pub fn diagram(connection: &Connection, options: &Options) -> String {
    let mut drawing = Drawing::new(connection, options);
    drawing.title();
    drawing.head();
    let rows = rows(connection, options.fold);
    for row in &rows {
        match row {
            Row::Step(step) => drawing.step(step),
            Row::Fold(fold) => drawing.fold(fold),
        }
    }
    drawing.verdict();
    drawing.out
}

struct Drawing<'a> {
    connection: &'a Connection,
    options: &'a Options,
    glyphs: Glyphs,
    out: String,
    /// Columns of the arrow.
    span: usize,
    /// The states that were drawn last.
    shown: Ends<EndState>,
    /// Whether states of both kinds occur, so that the inferred ones need a mark.
    is_mixed: bool,
    any_observed: bool,
    /// Segments that arrive in a row of their own are named there.
    flags: HashMap<u64, String>,
}

impl<'a> Drawing<'a> {
    fn new(connection: &'a Connection, options: &'a Options) -> Self {
        let (mut observed, mut inferred) = (false, false);
        let mut look = |states: Ends<EndState>| {
            for end in End::BOTH {
                match (states[end].state, states[end].basis) {
                    (None, _) => {}
                    (_, Basis::Observed) => observed = true,
                    (_, Basis::Inferred) => inferred = true,
                }
            }
        };
        look(connection.initial_states());
        let mut awaited = HashMap::new();
        for entry in connection.entries() {
            match entry {
                Entry::Step(step) => {
                    look(step.states);
                    if let What::State(StateChange {
                        arrival_of: Some(frame),
                        ..
                    }) = step.what
                    {
                        awaited.insert(frame, String::new());
                    }
                }
                Entry::Fold(fold) => look(fold.states),
            }
        }
        for entry in connection.entries() {
            if let Entry::Step(Step {
                what: What::Segment(segment),
                ..
            }) = entry
                && let Some(name) = awaited.get_mut(&segment.frame)
            {
                *name = label::short(segment);
            }
        }
        Self {
            connection,
            options,
            glyphs: Glyphs::of(options),
            out: String::new(),
            span: options.columns() - (TIME + 2 + STATE + 1 + 2 + STATE),
            shown: Ends::default(),
            is_mixed: observed && inferred,
            any_observed: observed,
            flags: awaited,
        }
    }

    fn title(&mut self) {
        let (client, server) = (
            self.connection.endpoint(End::Client),
            self.connection.endpoint(End::Server),
        );
        let mut title = format!(
            "#{}  {} {} {}",
            self.connection.number(),
            client.addr,
            self.glyphs.to,
            server.addr
        );
        let ascii = !self.options.unicode;
        if let Some(host) = &server.host {
            title.push_str(&format!(" ({})", escaped(host, ascii)));
        }
        for endpoint in [client, server] {
            if let Some(process) = &endpoint.process {
                title.push_str(&format!(
                    "  {}[{}]",
                    escaped(&process.name, ascii),
                    process.pid
                ));
            }
        }
        let title = cut(&title, self.options.columns(), self.glyphs.more).into_owned();
        self.line(&[(&title, Ink::Title)]);
    }

    fn head(&mut self) {
        let time = right("time", TIME);
        let client = left("client", STATE + 1 + self.span + 2);
        self.line(&[
            (&time, Ink::Faint),
            ("  ", Ink::Plain),
            (&client, Ink::Faint),
            ("server", Ink::Faint),
        ]);
        let initial = self.connection.initial_states();
        self.row(None, initial, "", Ink::Plain);
    }

    /// Appends a line of pieces, without blanks at its end.
    fn line(&mut self, pieces: &[(&str, Ink)]) {
        let is_blank = |(text, _): &(&str, Ink)| text.trim_end().is_empty();
        let kept = pieces
            .iter()
            .rposition(|piece| !is_blank(piece))
            .map_or(0, |last| last + 1);
        for (at, (text, ink)) in pieces.iter().take(kept).enumerate() {
            let text = if at + 1 == kept {
                text.trim_end()
            } else {
                text
            };
            ink.write(&mut self.out, text, self.options);
        }
        self.out.push('\n');
    }

    fn state(&self, state: EndState) -> (String, Ink) {
        match state.state {
            None => ("?".into(), Ink::Faint),
            Some(name) if self.is_mixed && state.basis == Basis::Inferred => {
                (format!("{name}?"), Ink::Faint)
            }
            Some(name) => (name.to_string(), Ink::Plain),
        }
    }

    /// Draws a row: the time, the states that changed, and between them what is given.
    fn row(&mut self, time: Option<Duration>, states: Ends<EndState>, middle: &str, ink: Ink) {
        let time = time.map(|time| self.time(time)).unwrap_or_default();
        let mut drawn: [(String, Ink); 2] =
            [(String::new(), Ink::Plain), (String::new(), Ink::Plain)];
        for (end, cell) in End::BOTH.into_iter().zip(&mut drawn) {
            let is_news =
                self.shown[end].state != states[end].state || middle.is_empty() && time.is_empty();
            if is_news {
                *cell = self.state(states[end]);
                self.shown[end] = states[end];
            }
        }
        let [(client, client_ink), (server, server_ink)] = drawn;
        let mut middle = middle.to_owned();
        pad(&mut middle, self.span);
        self.line(&[
            (&right(&time, TIME), Ink::Faint),
            ("  ", Ink::Plain),
            (&left(&client, STATE + 1), client_ink),
            (&middle, ink),
            ("  ", Ink::Plain),
            (&server, server_ink),
        ]);
    }

    /// Time since the connection's start, in milliseconds, or in seconds where that is too long.
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
                let text = format!("ICMP {}", icmp.kind);
                let drawn = arrow(
                    &text,
                    icmp.to == End::Server,
                    Line::Whole,
                    self.span,
                    &self.glyphs,
                );
                self.row(Some(step.time), step.states, &drawn, Ink::Bad);
            }
            What::State(change) => {
                let text = self.change(change);
                let drawn = format!("{} {text}", self.glyphs.dot);
                let drawn = cut(&drawn, self.span, self.glyphs.more).into_owned();
                self.row(Some(step.time), step.states, &drawn, Ink::Faint);
            }
            What::Note(note) => self.note(step, &note.text),
            _ => self.row(Some(step.time), step.states, "", Ink::Plain),
        }
    }

    fn segment(&mut self, step: &Step, segment: &Segment) {
        let line = if segment.fate == Fate::Lost {
            Line::Lost
        } else {
            Line::Whole
        };
        let ink = match segment.meaning {
            _ if segment.fate == Fate::Lost => Ink::Bad,
            Meaning::Reset | Meaning::ResetAgain => Ink::Bad,
            Meaning::Retransmission { .. } => Ink::Again,
            _ => Ink::Plain,
        };
        let label = label::label(segment, self.options);
        let drawn = arrow(
            &label,
            segment.from == End::Client,
            line,
            self.span,
            &self.glyphs,
        );
        self.row(Some(step.time), step.states, &drawn, ink);
    }

    /// Why an end changed its state without sending.
    fn change(&self, change: &StateChange) -> String {
        if let Some(flags) = change.arrival_of.and_then(|frame| self.flags.get(&frame)) {
            let flags = if flags.is_empty() { "a segment" } else { flags };
            return format!("{flags} arrives");
        }
        let what = match (change.from, change.to) {
            (Some(State::TimeWait), State::Closed) => "TIME-WAIT is over",
            (Some(State::SynSent), State::Closed) => "gives up",
            (_, State::FinWait1 | State::LastAck) => "application closes",
            (_, State::SynSent) => "application connects",
            (_, State::Closed) => "connection gone",
            _ => return format!("the {} is in {}", change.end, change.to),
        };
        format!("{}: {what}", change.end)
    }

    fn note(&mut self, step: &Step, text: &str) {
        let text = escaped(text, !self.options.unicode);
        let indent = 2;
        let columns = self.span + 2 + STATE - indent;
        for (at, line) in wrapped(&text, columns).iter().enumerate() {
            let lead = if at == 0 { self.glyphs.dot } else { ' ' };
            let time = if at == 0 {
                self.time(step.time)
            } else {
                String::new()
            };
            let time = right(&time, TIME);
            let blank = " ".repeat(2 + STATE + 1);
            let text = format!("{lead} {line}");
            self.line(&[
                (&time, Ink::Faint),
                (&blank, Ink::Plain),
                (&text, Ink::Faint),
            ]);
        }
    }

    fn fold(&mut self, fold: &Fold) {
        let mut time = Some(fold.start);
        for end in End::BOTH {
            if fold.sent[end].segments == 0 {
                continue;
            }
            let label = label::folded(&fold.sent[end]);
            let drawn = arrow(
                &label,
                end == End::Client,
                Line::Dashed,
                self.span,
                &self.glyphs,
            );
            let states = if time.is_some() {
                fold.states
            } else {
                self.shown
            };
            match time.take() {
                Some(start) => self.row(Some(start), states, &drawn, Ink::Plain),
                None => self.row(Some(fold.end), states, &drawn, Ink::Plain),
            }
        }
        if time.is_some() {
            let text = format!("{} {} steps", self.glyphs.more, fold.steps);
            self.row(time, fold.states, &text, Ink::Faint);
        }
    }

    fn verdict(&mut self) {
        let verdict = self.connection.verdict();
        let columns = self.options.columns() - 1;
        let findings = std::iter::once(&verdict.ending).chain(&verdict.findings);
        for finding in findings {
            let ink = match finding.severity {
                Severity::Problem => Ink::Bad,
                Severity::Fine | Severity::Note => Ink::Plain,
            };
            let text = escaped(&finding.text, false);
            let text = if self.options.unicode {
                text.into_owned()
            } else {
                plain(&text)
            };
            for line in wrapped(&text, columns) {
                let line = format!(" {line}");
                self.line(&[(&line, ink)]);
            }
        }
        if !self.options.legend {
            return;
        }
        let legend = match (self.is_mixed, self.any_observed) {
            (true, _) => {
                "? inferred from the packets; states without it were read from the TCP itself."
            }
            (false, true) => "States were read from the TCPs themselves.",
            (false, false) => "States are inferred from the packets.",
        };
        for line in wrapped(legend, columns) {
            let line = format!(" {line}");
            self.line(&[(&line, Ink::Faint)]);
        }
    }
}

/// Our own sentences in ASCII.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '§' => plain.push_str("section "),
            'µ' => plain.push('u'),
            c if c.is_ascii() => plain.push(c),
            c => plain.extend(c.escape_default()),
        }
    }
    plain
}
