//! One connection on the page.

use super::badge;
use crate::svg::markup::Text;
use crate::svg::{self, Options};
use std::fmt::Write as _;
use transom_flow::words::{bytes, duration, thousands};
use transom_flow::{Connection, End, Ends, Finding, Measures, Rtt, Totals};

/// Frames of a finding that are named at most.
const FRAMES: usize = 12;

/// Writes a connection; `is_open` if its pictures are to be seen at once.
pub(super) fn section(out: &mut String, connection: &Connection, id: &str, is_open: bool) {
    let verdict = connection.verdict();
    let open = if is_open { " open=\"\"" } else { "" };
    let label = |end: End| connection.endpoint(end).label();
    let _ = write!(
        out,
        "<details class=\"connection\" id=\"{id}\"{open}><summary>"
    );
    badge(out, verdict.severity());
    let _ = write!(
        out,
        " <b>#{}</b> <span class=\"ends\">{} → {}</span> <span class=\"closed\">{}</span></summary>",
        connection.number(),
        Text(&label(End::Client)),
        Text(&label(End::Server)),
        Text(&connection.closed_by().to_string())
    );
    if let Some(application) = connection.application() {
        let _ = write!(
            out,
            "<p class=\"application\">{}</p>",
            Text(&application.to_string())
        );
    }
    findings(
        out,
        std::iter::once(&verdict.ending).chain(&verdict.findings),
    );
    diagram(out, connection);
    graphs(out, connection);
    numbers(out, connection);
    out.push_str("</details>");
}

/// Writes findings, with the frames that show them.
pub(super) fn findings<'a>(out: &mut String, findings: impl Iterator<Item = &'a Finding>) {
    out.push_str("<ul class=\"findings\">");
    for finding in findings {
        out.push_str("<li>");
        badge(out, finding.severity);
        let _ = write!(out, "<span>{}", Text(&finding.text));
        if !finding.frames.is_empty() {
            let frames: Vec<String> = finding
                .frames
                .iter()
                .take(FRAMES)
                .map(u64::to_string)
                .collect();
            let noun = if finding.frames.len() == 1 {
                "frame"
            } else {
                "frames"
            };
            let more = if finding.frames.len() > FRAMES {
                ", …"
            } else {
                ""
            };
            let _ = write!(
                out,
                " <span class=\"frames\">{noun} {}{more}</span>",
                frames.join(", ")
            );
        }
        let _ = write!(out, " <code>{}</code></span></li>", Text(finding.id));
    }
    out.push_str("</ul>");
}

/// The diagram; a second one with every segment, where some are folded.
fn diagram(out: &mut String, connection: &Connection) {
    let options = Options::default().embedded();
    let folded = crate::rows::rows(connection, true).len();
    let whole = crate::rows::rows(connection, false).len();
    out.push_str("<figure class=\"ladder\">");
    if folded == whole {
        out.push_str(&svg::diagram(connection, &options));
    } else {
        let _ = write!(
            out,
            "<button type=\"button\" class=\"unfold\" aria-pressed=\"false\">Show all {whole} steps</button><div class=\"folded\">{}</div><div class=\"whole\" hidden=\"\">{}</div>",
            svg::diagram(connection, &options),
            svg::diagram(connection, &options.clone().unfold(true))
        );
    }
    out.push_str("</figure>");
}

/// The graphs that there are points for.
fn graphs(out: &mut String, connection: &Connection) {
    let options = Options::default().width(720).embedded();
    let both = |graph: fn(&Connection, End, &Options) -> Option<String>| {
        End::BOTH.map(|end| graph(connection, end, &options))
    };
    let [client, server] = both(svg::sequence_graph);
    let [client_window, server_window] = both(svg::window_graph);
    let graphs = [
        client,
        server,
        client_window,
        server_window,
        svg::rtt_graph(connection, &options),
        svg::throughput_graph(connection, &options),
    ];
    let graphs: Vec<String> = graphs.into_iter().flatten().collect();
    if graphs.is_empty() {
        return;
    }
    out.push_str("<div class=\"graphs\">");
    for graph in graphs {
        let _ = write!(out, "<figure>{graph}</figure>");
    }
    out.push_str("</div>");
}

/// A count by its name.
type Count = (&'static str, fn(&Totals) -> u64);

const COUNTS: [Count; 12] = [
    ("frames", |totals| totals.frames),
    ("segments", |totals| totals.segments),
    ("segments sent again", |totals| totals.retransmitted),
    ("out of order", |totals| totals.out_of_order),
    ("duplicate ACKs", |totals| totals.duplicate_acks),
    ("windows of zero", |totals| totals.zero_windows),
    ("window probes", |totals| totals.window_probes),
    ("keep-alives", |totals| totals.keep_alives),
    ("resets", |totals| totals.resets),
    ("lost on the way", |totals| totals.lost),
    ("gaps in the capture", |totals| totals.gaps),
    ("bytes sent again", |totals| totals.retransmitted_bytes),
];

/// Both ends' numbers.
fn numbers(out: &mut String, connection: &Connection) {
    let totals = connection.totals();
    out.push_str("<table class=\"numbers\"><thead><tr><th></th><th scope=\"col\" class=\"n\">client</th><th scope=\"col\" class=\"n\">server</th></tr></thead><tbody>");
    let mut row = |name: &str, client: String, server: String| {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            Text(name),
            Text(&client),
            Text(&server)
        );
    };
    row(
        "data",
        bytes(totals.client.bytes),
        bytes(totals.server.bytes),
    );
    for (at, (name, count)) in COUNTS.iter().enumerate() {
        let (client, server) = (count(&totals.client), count(&totals.server));
        if at < 3 || client > 0 || server > 0 {
            row(name, thousands(client), thousands(server));
        }
    }
    for (name, measured) in measured(connection) {
        row(name, measured.client, measured.server);
    }
    out.push_str("</tbody></table>");
    let mut facts = vec![format!("Lasted {}.", duration(connection.duration()))];
    if let Some(handshake) = connection.handshake() {
        facts.push(format!("Handshake {}.", duration(handshake.duration())));
    }
    facts.push(format!(
        "Zeek: {} {}.",
        connection.conn_state(),
        connection.history()
    ));
    let _ = write!(out, "<p class=\"facts\">{}</p>", Text(&facts.join(" ")));
}

/// A measure by its name; `None` where it is not known.
type Measure = (&'static str, fn(&Measures) -> Option<String>);

/// What was measured of each end; rows of which nothing is known are left out.
fn measured(connection: &Connection) -> Vec<(&'static str, Ends<String>)> {
    let measures = connection.measures();
    let rows: [Measure; 8] = [
        ("round trip to it: least", |of| {
            round_trip(&of.path_rtt, of.path_rtt.min)
        }),
        ("round trip to it: mean", |of| {
            round_trip(&of.path_rtt, of.path_rtt.mean)
        }),
        ("round trip to it: most", |of| {
            round_trip(&of.path_rtt, of.path_rtt.max)
        }),
        ("MSS offered", |of| of.mss.map(|mss| mss.to_string())),
        ("window offered at most", |of| {
            (of.window.max > 0).then(|| bytes(u64::from(of.window.max)))
        }),
        ("in flight at most", |of| {
            (of.in_flight_max > 0).then(|| bytes(of.in_flight_max))
        }),
        ("throughput", |of| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate of bytes, two digits of which are shown"
            )]
            of.throughput()
                .map(|rate| format!("{}/s", bytes(rate as u64)))
        }),
        ("sending was held back by", |of| {
            of.limit().map(|limit| limit.to_string())
        }),
    ];
    let mut known = Vec::new();
    for (name, measure) in rows {
        let (client, server) = (measure(&measures.client), measure(&measures.server));
        if client.is_some() || server.is_some() {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".into());
            known.push((
                name,
                Ends {
                    client: or_none(client),
                    server: or_none(server),
                },
            ));
        }
    }
    known
}

fn round_trip(rtt: &Rtt, time: core::time::Duration) -> Option<String> {
    (rtt.samples > 0).then(|| duration(time))
}
