//! One connection: its ends, totals, states and verdict.

use super::application::{ApplicationView, application};
use super::measures::{MeasuresView, measures};
use super::step::{self, StepView};
use super::{Detail, nanos, seconds};
use serde::Serialize;
use transom_flow::{Basis, End, EndState, Endpoint, Ends, Finding, State, Totals};

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
    one_sided: bool,
    conn_state: &'static str,
    history: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<ApplicationView<'a>>,
    sent: Pair<Sent>,
    measures: Pair<MeasuresView>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_states: Option<Pair<Known>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepView<'a>>>,
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
pub(super) struct Pair<T> {
    pub(super) client: T,
    pub(super) server: T,
}

impl<T> Pair<T> {
    pub(super) fn of<U: Copy>(ends: &Ends<U>, view: impl Fn(U) -> T) -> Self {
        Self {
            client: view(ends.client),
            server: view(ends.server),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Sent {
    bytes: u64,
    extent: u64,
    ip_bytes: u64,
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
    truncated: u64,
    duplicate_frames: u64,
    hop_changed_frames: u64,
    time_reversals: u64,
}

#[derive(Debug, Serialize)]
struct Verdict {
    severity: &'static str,
    text: String,
    ending: Remark,
    findings: Vec<Remark>,
}

#[derive(Debug, Serialize)]
pub(super) struct Remark {
    id: &'static str,
    severity: &'static str,
    text: String,
    frames: Vec<u64>,
}

impl Connection<'_> {
    /// With another number, where connections are counted differently.
    #[must_use]
    pub const fn numbered(mut self, number: u64) -> Self {
        self.number = number;
        self
    }
}

/// One connection, to be put into a larger document.
#[must_use]
pub fn connection(connection: &transom_flow::Connection) -> Connection<'_> {
    detailed(connection, Detail::Steps)
}

/// One connection, with its steps or without.
#[must_use]
pub fn detailed(connection: &transom_flow::Connection, detail: Detail) -> Connection<'_> {
    let start = connection.start();
    let verdict = connection.verdict();
    let has_steps = detail == Detail::Steps;
    Connection {
        number: connection.number(),
        client: socket(connection.endpoint(End::Client)),
        server: socket(connection.endpoint(End::Server)),
        roles_known: connection.are_roles_known(),
        start: seconds(start),
        duration_ns: nanos(connection.duration()),
        handshake_ns: connection
            .handshake()
            .map(|handshake| nanos(handshake.duration())),
        state: connection.summary_state().state.map(State::name),
        states: Pair::of(&connection.states(), known),
        closed: connection.is_closed(),
        closed_by: connection.closed_by().id(),
        one_sided: connection.is_one_sided(),
        conn_state: connection.conn_state(),
        history: connection.history(),
        application: connection.application().map(application),
        sent: Pair::of(connection.totals(), sent),
        measures: measures(connection),
        verdict: Verdict {
            severity: verdict.severity().id(),
            text: verdict.text(),
            ending: remark(&verdict.ending),
            findings: verdict.findings.iter().map(remark).collect(),
        },
        initial_states: has_steps.then(|| Pair::of(&connection.initial_states(), known)),
        steps: has_steps.then(|| {
            connection
                .entries()
                .map(|entry| step::step(entry, start))
                .collect()
        }),
    }
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

pub(super) fn known(state: EndState) -> Known {
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
        extent: totals.extent,
        ip_bytes: totals.ip_bytes,
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
        truncated: totals.truncated,
        duplicate_frames: totals.duplicate_frames,
        hop_changed_frames: totals.hop_changed_frames,
        time_reversals: totals.time_reversals,
    }
}

pub(super) fn remark(finding: &Finding) -> Remark {
    Remark {
        id: finding.id,
        severity: finding.severity.id(),
        text: finding.text.clone(),
        frames: finding.frames.clone(),
    }
}
