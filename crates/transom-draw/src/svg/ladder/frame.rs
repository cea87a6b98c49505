//! What stands around the diagram: the heading, who the ends are, the verdict, and the legend.

use super::Sizes;
use super::lanes::{LEAD, Lanes};
use crate::svg::Options;
use crate::svg::font::{self, Weight};
use crate::svg::markup::{N, Text};
use crate::text::cell;
use std::fmt::Write as _;
use transom_flow::words::{bytes, duration};
use transom_flow::{ClosedBy, Connection, End, Endpoint, Finding, Severity, Verdict};

/// Height of the boxes that name the ends.
const BOX: f64 = 46.0;
/// Sentences of the verdict at most.
const FINDINGS: usize = 12;

/// The heading in plain text.
pub(super) fn title(connection: &Connection, options: &Options) -> String {
    options.title.clone().unwrap_or_else(|| {
        let label = |end: End| connection.endpoint(end).label();
        format!(
            "#{} {} → {}",
            connection.number(),
            label(End::Client),
            label(End::Server)
        )
    })
}

/// One line about the whole.
fn facts(connection: &Connection) -> String {
    let totals = connection.totals();
    let mut facts = vec![
        duration(connection.duration()),
        format!("{} sent", bytes(totals.client.bytes)),
        format!("{} received", bytes(totals.server.bytes)),
    ];
    match connection.closed_by() {
        ClosedBy::StillOpen => facts.push("still open".into()),
        by @ (ClosedBy::Refused | ClosedBy::Unanswered | ClosedBy::Unreachable) => {
            facts.push(by.to_string())
        }
        by => facts.push(format!("closed by {by}")),
    }
    facts.join("  ·  ")
}

/// Draws the heading and the boxes; returns where the first arrow may stand.
pub(super) fn head(
    out: &mut String,
    connection: &Connection,
    sizes: &Sizes,
    options: &Options,
) -> f64 {
    let facts = facts(connection);
    let facts_width = font::width(&facts, 12.0, Weight::Normal);
    let room = sizes.width - 2.0 * Sizes::MARGIN;
    let heading = match &options.title {
        Some(title) => title.clone(),
        None if options.embedded => String::new(),
        None => format!("Connection #{}", connection.number()),
    };
    let heading = cell::escaped(&heading, false).into_owned();
    let heading = font::cut(&heading, 15.0, Weight::Bold, room);
    let is_long = font::width(&heading, 15.0, Weight::Bold) + facts_width + 24.0 > room;
    let (x, class, y) = if is_long {
        (Sizes::MARGIN, "fa", 50.0)
    } else {
        (sizes.width - Sizes::MARGIN, "fa e", 30.0)
    };
    let _ = write!(
        out,
        "<text class=\"h1\" x=\"{}\" y=\"30\">{}</text><text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
        N(Sizes::MARGIN),
        Text(&heading),
        N(x),
        N(y),
        Text(&facts)
    );
    let top = y + 14.0;
    for end in End::BOTH {
        participant(out, connection, end, sizes, top);
    }
    top + BOX + LEAD + 8.0
}

fn participant(out: &mut String, connection: &Connection, end: End, sizes: &Sizes, top: f64) {
    let endpoint = connection.endpoint(end);
    let line = sizes.lines[end];
    // The box reaches from the margin to a little beyond the lifeline.
    let outer = match end {
        End::Client => Sizes::MARGIN,
        End::Server => sizes.width - Sizes::MARGIN,
    };
    let (name, addr) = names(endpoint, end, connection.are_roles_known());
    let text = font::width(&name, 13.0, Weight::Bold).max(font::width(&addr, 12.0, Weight::Normal));
    // The box covers the lifeline, and leaves room for the other.
    let most = (sizes.width - 3.0 * Sizes::MARGIN) / 2.0;
    let width = (text + 24.0).clamp((line - outer).abs() + 24.0, most);
    let left = if end == End::Client {
        outer
    } else {
        outer - width
    };
    let _ = write!(
        out,
        "<rect class=\"pn\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\"/>",
        N(left),
        N(top),
        N(width),
        N(BOX)
    );
    let room = width - 24.0;
    let name = font::cut_middle(&name, 13.0, Weight::Bold, room);
    let addr = font::cut_middle(&addr, 12.0, Weight::Normal, room);
    let (x, class) = match end {
        End::Client => (left + 12.0, ""),
        End::Server => (left + width - 12.0, " e"),
    };
    let _ = write!(
        out,
        "<text class=\"h2{class}\" x=\"{x}\" y=\"{first}\">{}</text><text class=\"fa{class}\" x=\"{x}\" y=\"{second}\">{}</text>",
        Text(&name),
        Text(&addr),
        x = N(x),
        first = N(top + 19.0),
        second = N(top + 37.0),
    );
    let _ = write!(
        out,
        "<path class=\"thin rl\" d=\"M{x} {top}V{bottom}\"/>",
        x = N(line),
        top = N(top + BOX),
        bottom = N(top + BOX + 8.0)
    );
}

/// The two lines of a box: what the end is, and where.
fn names(endpoint: &Endpoint, end: End, are_roles_known: bool) -> (String, String) {
    let mut name = if are_roles_known {
        end.name().to_owned()
    } else {
        format!("{} (by its port)", end.name())
    };
    if let Some(process) = &endpoint.process {
        name = format!("{name}  ·  {process}");
    }
    if let Some(host) = &endpoint.host {
        name = format!("{name}  ·  {host}");
    }
    (
        cell::escaped(&name, false).into_owned(),
        endpoint.addr.to_string(),
    )
}

/// Draws the verdict and the legend from `y` on; returns where the picture ends.
pub(super) fn foot(
    out: &mut String,
    verdict: Option<&Verdict>,
    lanes: &Lanes,
    sizes: &Sizes,
    y: f64,
) -> f64 {
    let mut y = y + 8.0;
    let left = Sizes::MARGIN;
    let room = sizes.width - 2.0 * Sizes::MARGIN;
    let findings: Vec<&Finding> = verdict
        .into_iter()
        .flat_map(|verdict| std::iter::once(&verdict.ending).chain(&verdict.findings))
        .collect();
    for finding in findings.iter().take(FINDINGS) {
        let lines = font::wrapped(
            &cell::escaped(&finding.text, false),
            12.0,
            Weight::Normal,
            room - 30.0,
        );
        mark(out, finding.severity, (left + 6.0, y + 8.0));
        for line in lines {
            let _ = write!(
                out,
                "<text x=\"{}\" y=\"{}\">{}</text>",
                N(left + 22.0),
                N(y + 12.0),
                Text(&line)
            );
            y += 17.0;
        }
        y += 4.0;
    }
    if findings.len() > FINDINGS {
        let more = format!("… and {} findings more", findings.len() - FINDINGS);
        let _ = write!(
            out,
            "<text class=\"fa\" x=\"{}\" y=\"{}\">{more}</text>",
            N(left + 22.0),
            N(y + 12.0)
        );
        y += 21.0;
    }
    legend(out, lanes, sizes, y + 4.0)
}

/// A severity by its shape: a disc, a triangle, a diamond with a cross.
pub(crate) fn mark(out: &mut String, severity: Severity, (x, y): (f64, f64)) {
    let (class, path) = match severity {
        Severity::Fine => ("f ok", "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0"),
        Severity::Note => ("f ag", "m0 -5.5l6 10.5h-12Z"),
        Severity::Problem => ("f bd", "m0 -6.5l6.5 6.5l-6.5 6.5l-6.5 -6.5Z"),
    };
    let _ = write!(
        out,
        "<path class=\"{class}\" d=\"M{} {}{path}\"/>",
        N(x),
        N(y)
    );
}

fn legend(out: &mut String, lanes: &Lanes, sizes: &Sizes, y: f64) -> f64 {
    let mut words: Vec<String> = Vec::new();
    words.push(match (lanes.any_observed, lanes.any_inferred) {
        (true, true) => "Bars: states; solid where read from the TCP itself, broken and with ? where inferred from the packets.",
        (true, false) => "Bars: states, read from the TCPs themselves.",
        _ => "Bars: states, inferred from the packets.",
    }.into());
    let windows = lanes.windows;
    if windows.client > 0 || windows.server > 0 {
        words.push(format!(
            "Short bars beside them: the window offered, up to {} (client) and {} (server).",
            bytes(u64::from(windows.client)),
            bytes(u64::from(windows.server))
        ));
    }
    let mut y = y;
    for line in font::wrapped(
        &words.join(" "),
        10.5,
        Weight::Normal,
        sizes.width - 2.0 * Sizes::MARGIN,
    ) {
        let _ = write!(
            out,
            "<text class=\"sm fa\" x=\"{}\" y=\"{}\">{}</text>",
            N(Sizes::MARGIN),
            N(y + 10.0),
            Text(&line)
        );
        y += 15.0;
    }
    y + 12.0
}
