//! Connections as JSON, for programs and agents.
//!
//! Field names and the identifiers among the values are stable: new ones may be added, old ones keep
//! their meaning while `version` is the same. What is not known is left out, never `null`.
//!
//! ```text
//! format       "transom.connections"
//! version      1
//! connections  [
//!   number          in the order of first segments, from 1
//!   client, server  { address, port, host, process: { name, pid } }
//!   roles_known     false if no SYN told who is the client
//!   start           time of the first segment in seconds, as text with nine decimals
//!   duration_ns     from the first segment to the last
//!   handshake_ns    from the SYN to the acknowledgement that ends the handshake
//!   state           one for all, as in the table
//!   states          of both ends now { client, server }: { state, basis: "observed" | "inferred" }
//!   closed          whether neither end holds the connection any more
//!   closed_by       "client_fin", "server_fin", "both_fin", "client_reset", "server_reset", "refused",
//!                   "unanswered", "unreachable", "client_vanished", "server_vanished", "still_open"
//!   sent            by each end { client, server }: { bytes, segments, frames, retransmitted,
//!                   retransmitted_bytes, out_of_order, duplicate_acks, zero_windows, window_probes,
//!                   keep_alives, resets, lost, gaps }
//!   verdict         { severity: "fine" | "note" | "problem", text, ending, findings }, where ending and
//!                   each finding are { id, severity, text, frames }
//!   initial_states  before the first step
//!   steps           [ each has kind, time_ns (since start) and states (after it)
//!     kind "segment": frame, from, flags, seq, ack (both relative), len, window, segments (in a
//!                   super-packet), options { mss, window_scale, sack_permitted, timestamps },
//!                   meaning, cause ("timeout", "fast_retransmit", "tail_loss_probe",
//!                   "already_acknowledged", "unknown") and original_frame (of a retransmission), repeats (of a
//!                   duplicate ACK), fate ("lost" | "arrives"), arrives_ns, hint
//!     kind "icmp":  frame, reporter, to, error
//!     kind "state": end, from_state, to_state, arrival_of (frame)
//!     kind "note":  text
//!     kind "fold":  end_ns, steps, folded { client, server }: { segments, bytes, retransmitted, lost }
//!   ]
//! ]
//! ```

use core::time::Duration;
use serde::Serialize;
use transom_flow::wire::tcp::Options;
use transom_flow::{
    Basis, End, EndState, Endpoint, Ends, Entry, Fate, Finding, Fold, FoldedTotals, Meaning,
    Segment, State, Step, Totals, What,
};

/// All connections.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    format: &'static str,
    version: u32,
    connections: Vec<Connection<'a>>,
}

/// One connection.
#[derive(Debug, Serialize)]
pub struct Connection<'a> {
    number: u64,
    client: Socket<'a>,
    server: Socket<'a>,
    roles_known: bool,
    start: String,
    duration_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    states: Pair<Known>,
    closed: bool,
    closed_by: &'static str,
    sent: Pair<Sent>,
    verdict: Verdict,
    initial_states: Pair<Known>,
    steps: Vec<StepView<'a>>,
}

#[derive(Debug, Serialize)]
struct Socket<'a> {
    address: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process<'a>>,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    name: &'a str,
    pid: u32,
}

#[derive(Debug, Serialize)]
struct Pair<T> {
    client: T,
    server: T,
}

impl<T> Pair<T> {
    fn of<U: Copy>(ends: &Ends<U>, view: impl Fn(U) -> T) -> Self {
        Self {
            client: view(ends.client),
            server: view(ends.server),
        }
    }
}

#[derive(Debug, Serialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Sent {
    bytes: u64,
    segments: u64,
    frames: u64,
    retransmitted: u64,
    retransmitted_bytes: u64,
    out_of_order: u64,
    duplicate_acks: u64,
    zero_windows: u64,
    window_probes: u64,
    keep_alives: u64,
    resets: u64,
    lost: u64,
    gaps: u64,
}

#[derive(Debug, Serialize)]
struct Verdict {
    severity: &'static str,
    text: String,
    ending: Remark,
    findings: Vec<Remark>,
}

#[derive(Debug, Serialize)]
struct Remark {
    id: &'static str,
    severity: &'static str,
    text: String,
    frames: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct StepView<'a> {
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
}

#[derive(Debug, Serialize)]
struct Folded {
    segments: u64,
    bytes: u64,
    retransmitted: u64,
    lost: u64,
}

/// All of these connections.
#[must_use]
pub fn report<'a>(connections: &[&'a transom_flow::Connection]) -> Report<'a> {
    Report {
        format: "transom.connections",
        version: 1,
        connections: connections
            .iter()
            .map(|connection| self::connection(connection))
            .collect(),
    }
}

/// One connection, to be put into a larger document.
#[must_use]
pub fn connection(connection: &transom_flow::Connection) -> Connection<'_> {
    let start = connection.start();
    let verdict = connection.verdict();
    Connection {
        number: connection.number(),
        client: socket(connection.endpoint(End::Client)),
        server: socket(connection.endpoint(End::Server)),
        roles_known: connection.are_roles_known(),
        start: format!("{}.{:09}", start.as_secs(), start.subsec_nanos()),
        duration_ns: nanos(connection.duration()),
        handshake_ns: connection
            .handshake()
            .map(|handshake| nanos(handshake.duration())),
        state: connection.summary_state().state.map(State::name),
        states: Pair::of(&connection.states(), known),
        closed: connection.is_closed(),
        closed_by: connection.closed_by().id(),
        sent: Pair::of(connection.totals(), sent),
        verdict: Verdict {
            severity: verdict.severity().id(),
            text: verdict.text(),
            ending: remark(&verdict.ending),
            findings: verdict.findings.iter().map(remark).collect(),
        },
        initial_states: Pair::of(&connection.initial_states(), known),
        steps: connection
            .entries()
            .map(|entry| step(entry, start))
            .collect(),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn socket(endpoint: &Endpoint) -> Socket<'_> {
    Socket {
        address: endpoint.addr.ip().to_string(),
        port: endpoint.addr.port(),
        host: endpoint.host.as_deref(),
        process: endpoint.process.as_ref().map(|process| Process {
            name: &process.name,
            pid: process.pid,
        }),
    }
}

fn known(state: EndState) -> Known {
    let basis = match state.basis {
        Basis::Observed => "observed",
        Basis::Inferred => "inferred",
    };
    Known {
        state: state.state.map(State::name),
        basis: state.state.map(|_| basis),
    }
}

fn sent(totals: Totals) -> Sent {
    Sent {
        bytes: totals.bytes,
        segments: totals.segments,
        frames: totals.frames,
        retransmitted: totals.retransmitted,
        retransmitted_bytes: totals.retransmitted_bytes,
        out_of_order: totals.out_of_order,
        duplicate_acks: totals.duplicate_acks,
        zero_windows: totals.zero_windows,
        window_probes: totals.window_probes,
        keep_alives: totals.keep_alives,
        resets: totals.resets,
        lost: totals.lost,
        gaps: totals.gaps,
    }
}

fn remark(finding: &Finding) -> Remark {
    Remark {
        id: finding.id,
        severity: finding.severity.id(),
        text: finding.text.clone(),
        frames: finding.frames.clone(),
    }
}

fn step(entry: Entry<'_>, start: Duration) -> StepView<'_> {
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

const fn options(options: &Options) -> OptionsView {
    OptionsView {
        mss: options.mss,
        window_scale: options.window_scale,
        sack_permitted: options.sack_permitted,
        timestamps: options.timestamps.is_some(),
    }
}
