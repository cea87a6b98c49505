//! The list of connections.

use super::{badge, severity};
use crate::svg::markup::Text;
use core::time::Duration;
use std::fmt::Write as _;
use transom_flow::words::{bytes_narrow, duration, thousands};
use transom_flow::{Connection, End, Severity, Summary};

/// A connection in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// The client, with its port.
    pub client: String,
    /// The server, with its port.
    pub server: String,
    /// When its first segment passed, since the origin of the capture's clock.
    pub start: Duration,
    /// From the first segment to the last.
    pub duration: Duration,
    /// Its state, in a word.
    pub state: String,
    /// Who closed it, in a few words.
    pub closed_by: String,
    /// Bytes that the client sent.
    pub sent: u64,
    /// Bytes that the server sent.
    pub received: u64,
    /// Segments that were sent again, by both.
    pub retransmitted: u64,
    /// How much a reader should care.
    pub severity: Severity,
    /// What happened, in a sentence; may be empty.
    pub sentence: String,
    /// Where the page draws it.
    pub(super) id: Option<String>,
}

impl Line {
    /// A connection between these ends; everything else is set afterwards.
    #[must_use]
    pub fn new(number: u64, client: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            number,
            client: client.into(),
            server: server.into(),
            start: Duration::ZERO,
            duration: Duration::ZERO,
            state: String::new(),
            closed_by: String::new(),
            sent: 0,
            received: 0,
            retransmitted: 0,
            severity: Severity::Fine,
            sentence: String::new(),
            id: None,
        }
    }
}

impl From<&Connection> for Line {
    fn from(connection: &Connection) -> Self {
        let label = |end: End| connection.endpoint(end).label();
        let totals = connection.totals();
        let verdict = connection.verdict();
        let worst = verdict
            .findings
            .iter()
            .chain([&verdict.ending])
            .max_by_key(|finding| finding.severity);
        let state = connection.summary_state().state;
        Self {
            start: connection.start(),
            duration: connection.duration(),
            state: state.map_or_else(|| "?".into(), |state| state.to_string()),
            closed_by: connection.closed_by().to_string(),
            sent: totals.client.bytes,
            received: totals.server.bytes,
            retransmitted: totals.client.retransmitted + totals.server.retransmitted,
            severity: verdict.severity(),
            sentence: worst.map_or_else(String::new, |finding| finding.text.clone()),
            ..Self::new(connection.number(), label(End::Client), label(End::Server))
        }
    }
}

impl From<&Summary> for Line {
    fn from(summary: &Summary) -> Self {
        let label = |end: End| summary.endpoints[end].label();
        let state = summary.state.state;
        let sentence = summary.sentence.as_deref();
        Self {
            start: summary.start,
            duration: summary.duration,
            state: state.map_or_else(|| "?".into(), |state| state.to_string()),
            closed_by: summary.closed_by.to_string(),
            sent: summary.bytes.client,
            received: summary.bytes.server,
            retransmitted: summary.retransmitted.client + summary.retransmitted.server,
            severity: summary.severity(),
            sentence: sentence.map_or_else(|| summary.headline.replace('_', " "), str::to_owned),
            ..Self::new(summary.number, label(End::Client), label(End::Server))
        }
    }
}

/// Columns: what stands above, and whether it is a number.
const COLUMNS: [(&str, bool); 10] = [
    ("", true),
    ("#", true),
    ("client", false),
    ("server", false),
    ("state", false),
    ("time", true),
    ("sent", true),
    ("received", true),
    ("again", true),
    ("what happened", false),
];

/// Writes the list, with a filter above it.
pub(super) fn list(out: &mut String, lines: &[Line]) {
    let count = |of: Severity| lines.iter().filter(|line| line.severity == of).count();
    out.push_str("<section id=\"list\" aria-label=\"Connections\"><div class=\"bar\">");
    let _ = write!(
        out,
        "<span class=\"counts\">{} connections",
        thousands(lines.len() as u64)
    );
    for of in [Severity::Problem, Severity::Note, Severity::Fine] {
        out.push_str("<span>");
        badge(out, of);
        let _ = write!(
            out,
            " {} {}</span>",
            thousands(count(of) as u64),
            severity(of).0
        );
    }
    out.push_str(
        "</span><label>Filter <input id=\"filter\" type=\"search\" placeholder=\"words, all of them\" autocomplete=\"off\"/></label>\
         <output id=\"shown\"></output></div><div class=\"scroll\"><table><thead><tr>",
    );
    for (at, (name, is_number)) in COLUMNS.iter().enumerate() {
        let class = if *is_number { " class=\"n\"" } else { "" };
        let name = if name.is_empty() { "!" } else { name };
        let label = if at == 0 {
            " aria-label=\"severity\""
        } else {
            ""
        };
        let _ = write!(
            out,
            "<th{class} scope=\"col\"><button type=\"button\"{label}>{name}</button></th>"
        );
    }
    out.push_str("</tr></thead><tbody>");
    for line in lines {
        row(out, line);
    }
    out.push_str("</tbody></table></div></section>");
}

fn row(out: &mut String, line: &Line) {
    let (word, _) = severity(line.severity);
    let rank = match line.severity {
        Severity::Fine => 2,
        Severity::Note => 1,
        Severity::Problem => 0,
    };
    let _ = write!(
        out,
        "<tr class=\"{word}\" tabindex=\"-1\"><td class=\"n\" data-v=\"{rank}\">"
    );
    badge(out, line.severity);
    let _ = write!(out, "</td><td class=\"n\" data-v=\"{}\">", line.number);
    match &line.id {
        Some(id) => {
            let _ = write!(out, "<a href=\"#{id}\">{}</a>", line.number);
        }
        None => {
            let _ = write!(out, "{}", line.number);
        }
    }
    let _ = write!(
        out,
        "</td><td>{}</td><td>{}</td><td>{}</td>",
        Text(&line.client),
        Text(&line.server),
        Text(&line.state)
    );
    let numbers = [
        (line.duration.as_nanos(), duration(line.duration)),
        (u128::from(line.sent), bytes_narrow(line.sent)),
        (u128::from(line.received), bytes_narrow(line.received)),
        (
            u128::from(line.retransmitted),
            thousands(line.retransmitted),
        ),
    ];
    for (value, text) in numbers {
        let _ = write!(out, "<td class=\"n\" data-v=\"{value}\">{text}</td>");
    }
    let _ = write!(
        out,
        "<td class=\"s\"><span>{}</span></td></tr>",
        Text(&line.sentence)
    );
}
