//! The steps of a connection.

use super::connection::{Known, Pair, known};
use super::nanos;
use crate::text::label;
use core::time::Duration;
use serde::Serialize;
use transom_flow::wire::tcp::Options;
use transom_flow::{Entry, Fate, Fold, FoldedTotals, Meaning, Segment, State, Step, What};

#[derive(Debug, Serialize)]
pub(super) struct StepView<'a> {
    time_ns: u64,
    #[serde(flatten)]
    what: WhatView<'a>,
    states: Pair<Known>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WhatView<'a> {
    Segment(Box<SegmentView<'a>>),
    Icmp {
        frame: u64,
        reporter: String,
        to: &'static str,
        error: String,
    },
    State {
        end: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        from_state: Option<&'static str>,
        to_state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        arrival_of: Option<u64>,
    },
    Note {
        text: &'a str,
    },
    Fold {
        end_ns: u64,
        steps: u64,
        folded: Pair<Folded>,
    },
}

#[derive(Debug, Serialize)]
struct SegmentView<'a> {
    frame: u64,
    from: &'static str,
    flags: String,
    seq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<u32>,
    len: u32,
    window: u32,
    segments: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sack: Vec<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<OptionsView>,
    meaning: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_frame: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrives_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct OptionsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    mss: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamps: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fast_open: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Folded {
    segments: u64,
    bytes: u64,
    retransmitted: u64,
    lost: u64,
}

pub(super) fn step(entry: Entry<'_>, start: Duration) -> StepView<'_> {
    let since = |time: Duration| nanos(time.saturating_sub(start));
    match entry {
        Entry::Step(step) => StepView {
            time_ns: since(step.time),
            what: what(step, start),
            states: Pair::of(&step.states, known),
        },
        Entry::Fold(fold) => StepView {
            time_ns: since(fold.start),
            what: folded(fold, since(fold.end)),
            states: Pair::of(&fold.states, known),
        },
    }
}

fn folded(fold: &Fold, end_ns: u64) -> WhatView<'static> {
    let view = |sent: FoldedTotals| Folded {
        segments: sent.segments,
        bytes: sent.bytes,
        retransmitted: sent.retransmitted,
        lost: sent.lost,
    };
    WhatView::Fold {
        end_ns,
        steps: fold.steps,
        folded: Pair::of(&fold.sent, view),
    }
}

fn what(step: &Step, start: Duration) -> WhatView<'_> {
    match &step.what {
        What::Segment(segment) => WhatView::Segment(Box::new(self::segment(segment, start))),
        What::Icmp(icmp) => WhatView::Icmp {
            frame: icmp.frame,
            reporter: icmp.reporter.to_string(),
            to: icmp.to.name(),
            error: icmp.kind.to_string(),
        },
        What::State(change) => WhatView::State {
            end: change.end.name(),
            from_state: change.from.map(State::name),
            to_state: change.to.name(),
            arrival_of: change.arrival_of,
        },
        What::Note(note) => WhatView::Note { text: &note.text },
        _ => WhatView::Note { text: "" },
    }
}

fn segment(segment: &Segment, start: Duration) -> SegmentView<'_> {
    let (cause, original_frame) = match segment.meaning {
        Meaning::Retransmission { cause, original } => (Some(cause.id()), original),
        _ => (None, None),
    };
    let repeats = match segment.meaning {
        Meaning::DuplicateAck(repeats) => Some(repeats),
        _ => None,
    };
    let (fate, arrives) = match segment.fate {
        Fate::Unknown => (None, None),
        Fate::Lost => (Some("lost"), None),
        Fate::Arrives(time) => (Some("arrives"), Some(time)),
    };
    SegmentView {
        frame: segment.frame,
        from: segment.from.name(),
        flags: segment.flags.to_string(),
        seq: segment.relative_seq,
        ack: segment.relative_ack,
        len: segment.len,
        window: segment.window,
        segments: segment.segments,
        sack: segment.relative_sack().collect(),
        options: segment.options.as_deref().map(options),
        meaning: segment.meaning.id(),
        cause,
        original_frame,
        repeats,
        fate,
        arrives_ns: arrives.map(|time| nanos(time.saturating_sub(start))),
        hint: segment.hint.as_deref(),
    }
}

fn options(options: &Options) -> OptionsView {
    OptionsView {
        mss: options.mss,
        window_scale: options.window_scale,
        sack_permitted: options.sack_permitted,
        timestamps: options.timestamps.is_some(),
        fast_open: label::fast_open(options),
    }
}
