//! What stands at an arrow.

use crate::svg::font::{self, Weight};
use crate::svg::markup::Text;
use crate::text::cell;
use crate::text::label;
use std::fmt::Write as _;
use transom_flow::words::{bytes, thousands};
use transom_flow::{Fate, Meaning, Segment, State, StateChange};

/// Between two words of a label.
const BLANK: f64 = 7.0;

/// A word of a label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Classes of the style sheet.
    pub(super) class: &'static str,
    pub(super) weight: Weight,
    pub(super) size: f64,
    /// Whether a part of it still says something.
    pub(super) may_be_cut: bool,
}

impl Word {
    pub(super) fn new(text: impl Into<String>, class: &'static str) -> Self {
        Self {
            text: cell::escaped(&text.into(), false).into_owned(),
            class,
            weight: Weight::Normal,
            size: 12.0,
            may_be_cut: false,
        }
    }

    pub(super) fn bold(text: impl Into<String>, class: &'static str) -> Self {
        Self {
            weight: Weight::Bold,
            ..Self::new(text, class)
        }
    }

    /// Text from outside, of any length.
    pub(super) fn foreign(text: impl Into<String>, class: &'static str) -> Self {
        Self {
            may_be_cut: true,
            ..Self::new(text, class)
        }
    }

    pub(super) fn small(text: impl Into<String>, class: &'static str) -> Self {
        Self {
            size: 10.5,
            ..Self::new(text, class)
        }
    }

    fn width(&self) -> f64 {
        font::width(&self.text, self.size, self.weight)
    }
}

/// Words on one line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line(pub(super) Vec<Word>);

impl Line {
    pub(super) fn width(&self) -> f64 {
        let words: f64 = self.0.iter().map(Word::width).sum();
        let blanks = self.0.len().saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "a few words")]
        let blanks = blanks as f64 * BLANK;
        words + blanks
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops words from the end until the line fits; text from outside is cut rather than dropped.
    pub(super) fn fitted(mut self, room: f64) -> Self {
        while self.width() > room {
            let Some(last) = self.0.pop() else { break };
            let left = room - self.width() - if self.0.is_empty() { 0.0 } else { BLANK };
            let text = font::cut(&last.text, last.size, last.weight, left);
            if last.may_be_cut && text.chars().count() > 6 {
                self.0.push(Word { text, ..last });
                break;
            }
        }
        self
    }

    /// Without its last word.
    pub(super) fn shorter(&self) -> Self {
        let kept = self.0.len().saturating_sub(1);
        Self(self.0.iter().take(kept).cloned().collect())
    }

    /// The `tspan`s.
    pub(super) fn write(&self, out: &mut String) {
        for (at, word) in self.0.iter().enumerate() {
            out.push_str("<tspan");
            let bold = if word.weight == Weight::Bold { "b" } else { "" };
            let small = if word.size < 12.0 { "sm" } else { "" };
            let classes: Vec<&str> = [bold, small, word.class]
                .into_iter()
                .filter(|class| !class.is_empty())
                .collect();
            if !classes.is_empty() {
                let _ = write!(out, " class=\"{}\"", classes.join(" "));
            }
            if at > 0 {
                out.push_str(" dx=\"7\"");
            }
            let _ = write!(out, ">{}</tspan>", Text(&word.text));
        }
    }

    /// In plain text.
    pub(super) fn plain(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|word| word.text.as_str()).collect();
        words.join("  ")
    }
}

/// The colour of a segment's text, and of its line.
pub(super) fn inks(segment: &Segment) -> (&'static str, &'static str) {
    match segment.meaning {
        _ if segment.fate == Fate::Lost => ("bd", "lb"),
        Meaning::Reset | Meaning::ResetAgain => ("bd", "lb"),
        Meaning::Retransmission { .. } => ("ag", "la"),
        _ => ("", "l"),
    }
}

/// The line above the arrow: control bits, length, what the segment is for, its options, its data.
pub(super) fn above(segment: &Segment) -> Line {
    let (ink, _) = inks(segment);
    let mut words = vec![Word::bold(label::flags(segment.flags), ink)];
    if segment.len > 0 {
        let mut size = bytes(u64::from(segment.len));
        if segment.segments > 1 {
            size = format!("{size} in {}", thousands(u64::from(segment.segments)));
        }
        words.push(Word::new(size, ""));
    }
    if segment.fate == Fate::Lost {
        words.push(Word::bold("lost", "bd"));
    }
    if let Some(remark) = label::remark(segment) {
        let class = match segment.meaning {
            Meaning::Retransmission { .. } => "ag",
            Meaning::ZeroWindow | Meaning::ResetAgain | Meaning::ChallengeAck => "bd",
            _ => "rx",
        };
        words.push(Word::new(remark, class));
    }
    let is_repeat = matches!(segment.meaning, Meaning::Retransmission { .. });
    if let Some(options) = segment.options.as_deref().filter(|_| !is_repeat) {
        let options = label::syn_options(options);
        if !options.is_empty() {
            words.push(Word::new(options, "fa"));
        }
    }
    if let Some(hint) = segment.hint.as_ref().filter(|_| !is_repeat) {
        words.push(Word::foreign(hint.as_ref(), "i ok"));
    }
    Line(words)
}

/// The line below the arrow: sequence range, acknowledgement, SACK blocks, the window where it is
/// news, and the frame.
pub(super) fn below(segment: &Segment, tells_window: bool) -> Line {
    let mut words = Vec::new();
    let blocks: Vec<String> = segment
        .relative_sack()
        .map(|(start, end)| {
            let last = u64::from(end).saturating_sub(1);
            format!("{}–{}", thousands(u64::from(start)), thousands(last))
        })
        .collect();
    if !blocks.is_empty() {
        words.push(Word::small(format!("SACK {}", blocks.join(", ")), "rx"));
    }
    let len = segment.sequence_len();
    if len > 0 {
        let first = segment.relative_seq;
        let range = if len == 1 {
            format!("seq {}", thousands(u64::from(first)))
        } else {
            // The last number used, as people count.
            let last = u64::from(first) + u64::from(len) - 1;
            format!("seq {}–{}", thousands(u64::from(first)), thousands(last))
        };
        words.push(Word::small(range, "fa"));
    }
    if let Some(ack) = segment.relative_ack {
        words.push(Word::small(
            format!("ack {}", thousands(u64::from(ack))),
            "fa",
        ));
    }
    if tells_window {
        words.push(Word::small(
            format!("win {}", bytes(u64::from(segment.window))),
            "fa",
        ));
    }
    words.push(Word::small(format!("#{}", segment.frame), "fa"));
    Line(words)
}

/// Why an end changed its state without sending.
pub(super) fn change(change: &StateChange) -> String {
    match (change.from, change.to) {
        _ if change.arrival_of.is_some() => "a segment arrives".into(),
        (Some(State::TimeWait), State::Closed) => "TIME-WAIT is over".into(),
        (Some(State::SynSent), State::Closed) => "gives up".into(),
        (_, State::FinWait1 | State::LastAck) => "application closes".into(),
        (_, State::SynSent) => "application connects".into(),
        (_, State::Closed) => "connection gone".into(),
        _ => format!("now in {}", change.to),
    }
}
