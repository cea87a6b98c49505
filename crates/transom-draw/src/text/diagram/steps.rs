//! The rows of steps: segments on their way, ICMP errors, changes of state, notes, and folds of many.

use super::super::cell::{cut, escaped, left, wrapped};
use super::super::label::{self, Label, Telling};
use super::super::paint::Ink;
use super::super::plan::Path;
use super::super::span::{Arrow, Head, Span};
use super::{Drawing, Row};
use core::time::Duration;
use transom_flow::wire::tcp::Flags;
use transom_flow::{
    End, EndState, Ends, Fate, Fold, IcmpError, Meaning, Segment, State, StateChange, Step, What,
};

impl Drawing<'_> {
    pub(super) fn step(&mut self, step: &Step, path: Option<Path>) {
        match &step.what {
            What::Segment(segment) => self.segment(step, segment, path),
            What::Icmp(icmp) => self.icmp(step, icmp),
            What::State(change) => {
                let text = self.change(change);
                self.remark(Row::at(step), &text);
            }
            What::Note(note) => self.note(step, &note.text),
            _ => self.row(Row::at(step), "", Ink::Plain),
        }
    }

    /// A row with a few words instead of an arrow.
    fn remark(&mut self, row: Row, text: &str) {
        let text = format!("{} {text}", self.glyphs.dot);
        let text = cut(&text, self.layout.span, self.glyphs.more);
        let mut span = Span::new(self.layout.span);
        span.write(0, &text);
        self.pass(&mut span);
        self.row(row, &span.text(), Ink::Faint);
    }

    fn icmp(&mut self, step: &Step, icmp: &IcmpError) {
        let label = Label::words(format!("ICMP {}", icmp.kind));
        let arrow = Arrow {
            label: &label,
            to_right: icmp.to == End::Server,
            head: Head::Arrives,
            is_dashed: false,
        };
        let row = Row {
            frame: Some(icmp.frame),
            ..Row::at(step)
        };
        self.across(row, &arrow, Ink::Bad);
    }

    /// A row with an arrow all the way.
    fn across(&mut self, row: Row, arrow: &Arrow<'_>, ink: Ink) {
        let mut span = Span::new(self.layout.span);
        let under_way = self.columns();
        span.arrow(arrow, 0..self.layout.span, &under_way, &self.glyphs);
        self.row(row, &span.text(), ink);
    }

    fn segment(&mut self, step: &Step, segment: &Segment, path: Option<Path>) {
        let to_right = segment.from == End::Client;
        let is_doubtful = segment.fate == Fate::Unknown && self.doubtful.contains(&segment.frame);
        let label = label::label(
            segment,
            &Telling {
                options: self.options,
                glyphs: &self.glyphs,
                has_frames: self.layout.frame > 0,
                is_doubtful,
                window_max: self.window_max[segment.from],
            },
        );
        let head = match (segment.fate, path) {
            (Fate::Lost, _) => Head::Lost,
            (_, Some(_)) => Head::Turns,
            _ if is_doubtful => Head::Doubtful,
            _ => Head::Arrives,
        };
        let arrow = Arrow {
            label: &label,
            to_right,
            head,
            is_dashed: false,
        };
        let row = Row {
            frame: Some(segment.frame),
            ..Row::at(step)
        };
        let ink = ink(segment, is_doubtful);
        let Some(path) = path else {
            return self.across(row, &arrow, ink);
        };
        let column = self.column(path);
        let mut span = Span::new(self.layout.span);
        let columns = if to_right {
            0..column + 1
        } else {
            column..self.layout.span
        };
        let under_way = self.columns();
        span.arrow(&arrow, columns, &under_way, &self.glyphs);
        self.paths.push(path);
        let receiver = segment.from.other();
        let after = step.states[receiver];
        if after.state != self.shown[receiver].state {
            self.awaited[receiver] = Some(after);
        }
        self.row(row, &span.text(), ink);
    }

    pub(super) fn arrival(
        &mut self,
        time: Duration,
        paths: Ends<Option<Path>>,
        states: Option<Ends<EndState>>,
    ) {
        let landed = [paths.client, paths.server].into_iter().flatten();
        self.paths
            .retain(|path| ![paths.client, paths.server].contains(&Some(*path)));
        let mut after = states.unwrap_or(self.shown);
        let mut span = Span::new(self.layout.span);
        for path in landed {
            let to = path.from.other();
            if let Some(state) = self.awaited[to].take()
                && states.is_none()
            {
                after[to] = state;
            }
            span.land(self.column(path), path.from == End::Client, &self.glyphs);
        }
        self.pass(&mut span);
        let row = Row {
            time: Some(time),
            states: after,
            ..Row::default()
        };
        self.row(row, &span.text(), Ink::Plain);
    }

    /// Why an end changed its state without sending.
    fn change(&self, change: &StateChange) -> String {
        let flags = &self.survey.flags;
        if let Some(flags) = change.arrival_of.and_then(|frame| flags.get(&frame)) {
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
        let columns = self
            .options
            .columns()
            .saturating_sub(self.layout.indent() + 2);
        for (at, line) in wrapped(&text, columns).iter().enumerate() {
            let (dot, time) = match at {
                0 => (self.glyphs.dot, Some(step.time)),
                _ => (' ', None),
            };
            let lead = left(&self.lead(None, time), self.layout.indent());
            let text = format!("{dot} {line}");
            self.line(&[(&lead, Ink::Faint), (&text, Ink::Faint)]);
        }
    }

    pub(super) fn fold(&mut self, fold: &Fold) {
        let mut time = Some(fold.start);
        for end in End::BOTH {
            if fold.sent[end].segments == 0 {
                continue;
            }
            let label = Label::words(label::folded_run(&fold.sent[end], &self.glyphs));
            let arrow = Arrow {
                label: &label,
                to_right: end == End::Client,
                head: Head::Arrives,
                is_dashed: true,
            };
            let row = match time.take() {
                Some(start) => Row {
                    time: Some(start),
                    states: fold.states,
                    ..Row::default()
                },
                None => Row {
                    time: Some(fold.end),
                    states: self.shown,
                    ..Row::default()
                },
            };
            self.across(row, &arrow, Ink::Plain);
        }
        if time.is_some() {
            let row = Row {
                time,
                states: fold.states,
                ..Row::default()
            };
            self.remark(row, &format!("{} steps", fold.steps));
        }
    }
}

const fn ink(segment: &Segment, is_doubtful: bool) -> Ink {
    match (segment.fate, segment.meaning) {
        (Fate::Lost, _) | (_, Meaning::Reset | Meaning::ResetAgain) => Ink::Bad,
        (_, Meaning::Retransmission { .. }) => Ink::Again,
        _ if is_doubtful => Ink::Bad,
        _ if segment.flags.intersects(Flags::SYN) || segment.flags.intersects(Flags::FIN) => {
            Ink::Control
        }
        _ => Ink::Plain,
    }
}
