//! The sequence diagram of one connection: time, the client's state, the arrow, the server's state.

mod steps;
mod survey;

use self::survey::Survey;
use super::Options;
use super::cell::{cut, escaped, left, right, width, wrapped};
use super::layout::{Layout, STATE};
use super::paint::{Glyphs, Ink, Piece};
use super::plan::{Item, Path, Plan, doubtful};
use super::span::Span;
use core::time::Duration;
use std::collections::HashSet;
use transom_flow::words::duration;
use transom_flow::{Basis, Connection, End, EndState, Ends, Severity, Step};

/// Draws a connection: a title, the steps with both ends' states, and the verdict.
///
/// States stand where they change. Where some states were observed and others only inferred from
/// the packets, the inferred ones bear a `?`; a last line explains the marks. A segment that crossed
/// another on its way is drawn from the row on which it left to the row on which it arrives, where
/// that is known and tells something: openings, closes, resets, requests.
#[must_use]
pub fn diagram(connection: &Connection, options: &Options) -> String {
    let mut out = String::new();
    for line in diagram_lines(connection, options) {
        for piece in &line {
            piece.ink.write(&mut out, &piece.text, options);
        }
        out.push('\n');
    }
    out
}

/// The lines of a [`diagram`], for those who have colours of their own: what `options.color` says does
/// not matter here. All of it is safe to print.
#[must_use]
pub fn diagram_lines(connection: &Connection, options: &Options) -> Vec<Vec<Piece>> {
    let mut drawing = Drawing::new(connection, options);
    drawing.title();
    drawing.head();
    let plan = Plan::new(connection, options);
    for item in &plan.items {
        drawing.item(item);
    }
    drawing.verdict();
    drawing.legend(plan.unit);
    drawing.out
}

/// What a row tells besides its middle.
#[derive(Clone, Copy, Default)]
struct Row {
    frame: Option<u64>,
    time: Option<Duration>,
    states: Ends<EndState>,
    /// The states are told whether they changed or not.
    is_first: bool,
}

impl Row {
    const fn at(step: &Step) -> Self {
        Self {
            frame: None,
            time: Some(step.time),
            states: step.states,
            is_first: false,
        }
    }
}

struct Drawing<'a> {
    connection: &'a Connection,
    options: &'a Options,
    glyphs: Glyphs,
    layout: Layout,
    survey: Survey,
    out: Vec<Vec<Piece>>,
    /// The states that were drawn last.
    shown: Ends<EndState>,
    /// States that an end enters when what is under way to it arrives.
    awaited: Ends<Option<EndState>>,
    /// Segments under way.
    paths: Vec<Path>,
    doubtful: HashSet<u64>,
    window_max: Ends<u32>,
}

impl<'a> Drawing<'a> {
    fn new(connection: &'a Connection, options: &'a Options) -> Self {
        let survey = Survey::of(connection);
        let measures = connection.measures();
        Self {
            connection,
            options,
            glyphs: Glyphs::of(options),
            layout: Layout::new(options, survey.last_frame),
            survey,
            out: Vec::new(),
            shown: Ends::default(),
            awaited: Ends::default(),
            paths: Vec::new(),
            doubtful: doubtful(connection),
            window_max: Ends {
                client: measures.client.window.max,
                server: measures.server.window.max,
            },
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
        let layout = self.layout;
        let mut lead = String::new();
        if layout.frame > 0 {
            let name = if layout.is_narrow { "#" } else { "frame" };
            lead = format!("{}  ", right(name, layout.frame));
        }
        lead.push_str(&right("time", layout.time));
        let client = if layout.is_narrow {
            left("client", layout.span.saturating_sub("server".len()))
        } else {
            left("client", STATE + 1 + layout.span + 2)
        };
        self.line(&[
            (&lead, Ink::Faint),
            ("  ", Ink::Plain),
            (&client, Ink::Faint),
            ("server", Ink::Faint),
        ]);
        let row = Row {
            states: self.connection.initial_states(),
            is_first: true,
            ..Row::default()
        };
        self.row(row, "", Ink::Plain);
    }

    /// Appends a line of pieces, without blanks at its end.
    fn line(&mut self, pieces: &[(&str, Ink)]) {
        let is_blank = |(text, _): &(&str, Ink)| text.trim_end().is_empty();
        let kept = pieces
            .iter()
            .rposition(|piece| !is_blank(piece))
            .map_or(0, |last| last + 1);
        let pieces = pieces.iter().take(kept).enumerate().map(|(at, piece)| {
            let (text, ink) = *piece;
            let text = if at + 1 == kept {
                text.trim_end()
            } else {
                text
            };
            Piece::new(text, ink)
        });
        self.out.push(pieces.collect());
    }

    fn state(&self, state: EndState) -> (String, Ink) {
        match state.state {
            None => ("?".into(), Ink::Faint),
            Some(name) if self.survey.is_mixed() && state.basis == Basis::Inferred => {
                (format!("{name}?"), Ink::Faint)
            }
            Some(name) => (name.to_string(), Ink::Plain),
        }
    }

    /// The states that a row tells: those that changed.
    fn news(&mut self, row: &Row) -> Ends<(String, Ink)> {
        let mut news = Ends {
            client: (String::new(), Ink::Plain),
            server: (String::new(), Ink::Plain),
        };
        for end in End::BOTH {
            let state = row.states[end];
            let is_awaited = self.awaited[end].is_some_and(|awaited| awaited.state == state.state);
            if row.is_first || self.shown[end].state != state.state && !is_awaited {
                news[end] = self.state(state);
                self.shown[end] = state;
            }
        }
        news
    }

    /// Draws a row: the frame, the time, the states that changed, and between them what is given.
    fn row(&mut self, row: Row, middle: &str, ink: Ink) {
        let layout = self.layout;
        let Ends { client, server } = self.news(&row);
        let lead = self.lead(row.frame, row.time);
        if !layout.is_narrow {
            let middle = left(middle, layout.span);
            return self.line(&[
                (&lead, Ink::Faint),
                (&left(&client.0, STATE + 1), client.1),
                (&middle, ink),
                ("  ", Ink::Plain),
                (&server.0, server.1),
            ]);
        }
        if !middle.is_empty() {
            self.line(&[(&lead, Ink::Faint), (middle, ink)]);
        }
        if !(client.0.is_empty() && server.0.is_empty()) {
            let indent = " ".repeat(layout.indent());
            let room = layout.span.saturating_sub(width(&client.0));
            self.line(&[
                (&indent, Ink::Plain),
                (&client.0, client.1),
                (&right(&server.0, room), server.1),
            ]);
        }
    }

    /// Frame and time, with the blanks behind them.
    fn lead(&self, frame: Option<u64>, time: Option<Duration>) -> String {
        let mut lead = String::new();
        if self.layout.frame > 0 {
            let frame = frame.map(|frame| frame.to_string()).unwrap_or_default();
            lead = format!("{}  ", right(&frame, self.layout.frame));
        }
        let time = time.map(|time| {
            self.layout
                .clock(time.saturating_sub(self.connection.start()))
        });
        lead.push_str(&right(&time.unwrap_or_default(), self.layout.time));
        lead.push_str("  ");
        lead
    }

    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Step { step, path } => self.step(step, *path),
            Item::Arrival {
                time,
                paths,
                states,
            } => self.arrival(*time, *paths, *states),
            Item::Fold(fold) => self.fold(fold),
            Item::Pause(time) => {
                let text = self.plain(&format!("{} of silence", duration(*time)));
                self.pause(&text);
            }
            Item::Blank => self.pause(""),
        }
    }

    fn pause(&mut self, text: &str) {
        let mut span = self.span();
        span.pause(text, &self.glyphs);
        self.quiet_row(&span);
    }

    /// A row that tells no states.
    fn quiet_row(&mut self, span: &Span) {
        let indent = " ".repeat(self.layout.indent());
        self.line(&[(&indent, Ink::Plain), (&span.text(), Ink::Faint)]);
    }

    /// An empty row, with what is under way passing through.
    fn span(&self) -> Span {
        let mut span = Span::new(self.layout.span);
        self.pass(&mut span);
        span
    }

    fn pass(&self, span: &mut Span) {
        for column in self.columns() {
            span.pass(column, &self.glyphs);
        }
    }

    /// The columns in which segments are under way.
    fn columns(&self) -> Vec<usize> {
        self.paths.iter().map(|path| self.column(*path)).collect()
    }

    fn column(&self, path: Path) -> usize {
        self.layout.channel(path.from == End::Client, path.channel)
    }

    fn verdict(&mut self) {
        let verdict = self.connection.verdict();
        let findings = std::iter::once(&verdict.ending).chain(&verdict.findings);
        for finding in findings {
            let ink = match finding.severity {
                Severity::Problem => Ink::Bad,
                Severity::Fine | Severity::Note => Ink::Plain,
            };
            let text = escaped(&finding.text, false);
            self.paragraph(&self.plain(&text), ink);
        }
    }

    fn paragraph(&mut self, text: &str, ink: Ink) {
        for line in wrapped(text, self.options.columns() - 1) {
            let line = format!(" {line}");
            self.line(&[(&line, ink)]);
        }
    }

    fn legend(&mut self, unit: Option<Duration>) {
        if !self.options.legend {
            return;
        }
        let mut legend = String::from(match (self.survey.is_mixed(), self.survey.any_observed) {
            (true, _) => {
                "? inferred from the packets; states without it were read from the TCP itself."
            }
            (false, true) => "States were read from the TCPs themselves.",
            (false, false) => "States are inferred from the packets.",
        });
        if let Some(unit) = unit {
            legend.push_str(&format!(" An empty row is {}.", duration(unit)));
        }
        self.paragraph(&self.plain(&legend), Ink::Faint);
    }

    /// Our own sentences, in ASCII if need be.
    fn plain(&self, text: &str) -> String {
        if self.options.unicode {
            return text.to_owned();
        }
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
}
