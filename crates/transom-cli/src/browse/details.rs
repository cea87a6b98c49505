//! What is known of one connection, in words and numbers; and of the captures as such.

use std::time::Duration;

use transom_draw::text::{Ink, Options, Piece, cut, escaped, width, wrapped};
use transom_flow::verdict::CATALOGUE;
use transom_flow::words::{bytes, count, duration, thousands};
use transom_flow::{Connection, End, Finding, Limit, Measures, Rtt, Severity, Totals};

use super::pager::line;
use crate::cmd::explain::model::Explained;
use crate::cmd::explain::output;

/// Columns beyond which lines are hard to follow.
const WIDEST: usize = 100;
/// Columns of the names of numbers, and of each end's.
const NAME: usize = 18;
const VALUE: usize = 26;

/// Lines as they grow.
struct Page<'a> {
    lines: Vec<Vec<Piece>>,
    width: usize,
    options: &'a Options,
}

impl<'a> Page<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            lines: Vec::new(),
            width: options.width.clamp(Options::MIN_WIDTH, WIDEST),
            options,
        }
    }

    /// Text from outside, or of ours, as this terminal can show it.
    fn safe(&self, text: &str) -> String {
        if self.options.unicode {
            return escaped(text, false).into_owned();
        }
        let ours = text.replace('§', "section ").replace('µ', "u");
        let ours = ours.replace('→', "->").replace(['–', '—'], "-");
        escaped(&ours.replace('…', ".."), true).into_owned()
    }

    fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    fn title(&mut self, text: &str) {
        let text = self.safe(text);
        for text in wrapped(&text, self.width) {
            self.lines.push(line(text, Ink::Title));
        }
    }

    /// Words behind a lead of so many columns, which the first line bears.
    fn paragraph(&mut self, lead: &str, text: &str, ink: Ink) {
        let indent = width(lead);
        let text = self.safe(text);
        let texts = wrapped(&text, self.width.saturating_sub(indent + 1).max(8));
        for (at, text) in texts.into_iter().enumerate() {
            let lead = if at == 0 {
                lead.to_owned()
            } else {
                " ".repeat(indent)
            };
            self.lines
                .push(vec![Piece::new(lead, Ink::Faint), Piece::new(text, ink)]);
        }
    }

    /// A finding: what it says, the frames that show it, and what to do.
    fn finding(&mut self, finding: &Finding) {
        let (mark, ink) = match finding.severity {
            Severity::Problem => ("! ", Ink::Bad),
            Severity::Note => ("* ", Ink::Plain),
            Severity::Fine => ("  ", Ink::Plain),
        };
        self.paragraph(mark, &finding.text, ink);
        let frames = frames(&finding.frames);
        let severity = finding.severity.id();
        self.paragraph(
            "    ",
            &format!("{} ({severity}){frames}", finding.id),
            Ink::Faint,
        );
        let Some(known) = CATALOGUE.iter().find(|known| known.id == finding.id) else {
            return;
        };
        if !known.advice.is_empty() {
            self.paragraph("    To do: ", known.advice, Ink::Plain);
        }
        if !known.rfc.is_empty() {
            self.paragraph("    Read:  ", known.rfc, Ink::Faint);
        }
    }

    /// A number with a name, of both ends.
    fn both(&mut self, name: &str, client: &str, server: &str) {
        let is_narrow = self.width < NAME + 2 * VALUE;
        let value = if is_narrow {
            self.width.saturating_sub(NAME + 2) / 2
        } else {
            VALUE
        };
        let (client, server) = (self.safe(client), self.safe(server));
        let room = value.saturating_sub(1);
        if width(&client) > room || width(&server) > room {
            // Below each other, rather than cut.
            for (name, value) in [(name, client), ("", server)] {
                self.one(name, &value);
            }
            return;
        }
        let pad = |text: &str, columns: usize| {
            format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
        };
        let text = format!("{}{server}", pad(&client, value));
        self.lines.push(vec![
            Piece::new(pad(&format!("  {name}"), NAME), Ink::Faint),
            Piece::new(text.trim_end(), Ink::Plain),
        ]);
    }

    fn one(&mut self, name: &str, value: &str) {
        let name = cut(name, NAME.saturating_sub(3), "");
        let lead = format!(
            "  {name}{}",
            " ".repeat(NAME.saturating_sub(2 + width(&name)))
        );
        self.paragraph(&lead, value, Ink::Plain);
    }
}

/// The frames that show something, the first few.
fn frames(frames: &[u64]) -> String {
    const MOST: usize = 8;
    if frames.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = frames.iter().take(MOST).map(u64::to_string).collect();
    let more = match frames.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let word = if frames.len() == 1 { "frame" } else { "frames" };
    format!(", {word} {}{more}", shown.join(", "))
}

/// All that is known of a connection. `first` is the time of the captures' first frame.
pub(super) fn details(
    connection: &Connection,
    first: Option<Duration>,
    options: &Options,
) -> Vec<Vec<Piece>> {
    let mut page = Page::new(options);
    let ends = End::BOTH.map(|end| connection.endpoint(end));
    let [client, server] = ends;
    page.title(&format!(
        "#{}  {} → {}",
        connection.number(),
        client.label(),
        server.label()
    ));
    page.blank();
    let verdict = connection.verdict();
    for finding in std::iter::once(&verdict.ending).chain(&verdict.findings) {
        page.finding(finding);
    }
    page.blank();
    if let Some(application) = connection.application() {
        page.one("application", &application.to_string());
    }
    times(&mut page, connection, first);
    page.one(
        "as Zeek says",
        &format!("{} {}", connection.conn_state(), connection.history()),
    );
    page.blank();
    page.both("", "client", "server");
    page.both(
        "address",
        &client.addr.to_string(),
        &server.addr.to_string(),
    );
    if ends.iter().any(|end| end.process.is_some()) {
        let [client, server] = ends.map(|end| {
            let process = end.process.as_ref();
            process.map_or_else(|| "-".to_owned(), ToString::to_string)
        });
        page.both("program", &client, &server);
    }
    let states = connection.states();
    let [client, server] = End::BOTH.map(|end| match states[end].state {
        Some(state) => format!("{state} ({})", basis(states[end].basis)),
        None => "?".to_owned(),
    });
    page.both("state", &client, &server);
    counts(&mut page, connection);
    measures(&mut page, connection);
    page.lines
}

const fn basis(basis: transom_flow::Basis) -> &'static str {
    match basis {
        transom_flow::Basis::Observed => "observed",
        transom_flow::Basis::Inferred => "inferred",
    }
}

fn times(page: &mut Page<'_>, connection: &Connection, first: Option<Duration>) {
    let after = first.map(|first| connection.start().saturating_sub(first));
    let start = after.map_or_else(String::new, |after| {
        format!(", from {} after the first frame", duration(after))
    });
    let took = duration(connection.duration());
    page.one("time", &format!("{took}{start}"));
    if let Some(handshake) = connection.handshake() {
        let rtt = connection.handshake_rtt();
        let side = |end: End| {
            rtt[end].map_or_else(String::new, |rtt| {
                format!(", {} on the {end}'s side", duration(rtt))
            })
        };
        page.one(
            "handshake",
            &format!(
                "{}{}{}",
                duration(handshake.duration()),
                side(End::Client),
                side(End::Server)
            ),
        );
    }
}

/// A row of a count: left out where both ends have none and it is no use to say so.
type Row = (&'static str, fn(&Totals) -> u64, bool);

fn counts(page: &mut Page<'_>, connection: &Connection) {
    let totals = connection.totals();
    page.both(
        "sent",
        &bytes(totals.client.bytes),
        &bytes(totals.server.bytes),
    );
    let rows: [Row; 14] = [
        ("segments", |t| t.segments, true),
        ("frames", |t| t.frames, true),
        ("sent again", |t| t.retransmitted, true),
        ("out of order", |t| t.out_of_order, false),
        ("duplicate ACKs", |t| t.duplicate_acks, false),
        ("zero windows", |t| t.zero_windows, false),
        ("window probes", |t| t.window_probes, false),
        ("keep-alives", |t| t.keep_alives, false),
        ("resets", |t| t.resets, false),
        ("lost", |t| t.lost, false),
        ("gaps", |t| t.gaps, false),
        ("cut short", |t| t.truncated, false),
        ("captured twice", |t| t.duplicate_frames, false),
        ("time went back", |t| t.time_reversals, false),
    ];
    for (name, of, is_always) in rows {
        let (client, server) = (of(&totals.client), of(&totals.server));
        if is_always || client + server > 0 {
            page.both(name, &thousands(client), &thousands(server));
        }
    }
}

fn measures(page: &mut Page<'_>, connection: &Connection) {
    let measures = connection.measures();
    let mut row = |name: &str, of: &dyn Fn(&Measures) -> Option<String>| {
        let (client, server) = (of(&measures.client), of(&measures.server));
        if client.is_some() || server.is_some() {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            page.both(name, &or_none(client), &or_none(server));
        }
    };
    row("MSS offered", &|m| m.mss.map(|mss| mss.to_string()));
    row("options", &|m| {
        let scale = m.window_scale.map(|scale| format!("scale {scale}"));
        let sack = m.sack_permitted.then(|| "SACK".to_owned());
        let timestamps = m.timestamps.then(|| "timestamps".to_owned());
        let all: Vec<String> = [scale, sack, timestamps].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    });
    row("window", &|m| {
        let window = m.window;
        (window.max > 0).then(|| {
            let unit = if m.is_window_known { "" } else { " ?" };
            format!(
                "{} – {}{unit}",
                bytes(u64::from(window.min)),
                bytes(u64::from(window.max))
            )
        })
    });
    row("in flight", &|m| {
        (m.in_flight_max > 0).then(|| format!("{} at most", bytes(m.in_flight_max)))
    });
    row("hop limit", &|m| {
        m.hop_limit.map(|(low, high)| match low == high {
            true => low.to_string(),
            false => format!("{low} – {high}"),
        })
    });
    row("RTT to it", &|m| rtt(&m.path_rtt));
    row("RTT mean", &|m| {
        (m.path_rtt.samples > 1).then(|| {
            format!(
                "{} ({})",
                duration(m.path_rtt.mean),
                count(m.path_rtt.samples, "sample")
            )
        })
    });
    row("throughput", &|m| m.throughput().map(rate));
    row("needless", &|m| {
        (m.needless > 0).then(|| format!("{} sent again for nothing", thousands(m.needless)))
    });
    row("held back by", &|m| limit(m));
}

fn rtt(rtt: &Rtt) -> Option<String> {
    match rtt.samples {
        0 => None,
        1 => Some(duration(rtt.min)),
        _ => Some(format!("{} – {}", duration(rtt.min), duration(rtt.max))),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and three digits are shown"
)]
fn rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second as u64))
}

/// What held an end back most, and for how much of the time.
fn limit(measures: &Measures) -> Option<String> {
    let limit = measures.limit()?;
    let limited = &measures.limited;
    let time = match limit {
        Limit::Application => limited.application,
        Limit::ReceiverWindow => limited.receiver_window,
        Limit::Loss => limited.loss,
        _ => limited.network,
    };
    let percent = time.as_nanos() * 100 / limited.total().as_nanos().max(1);
    Some(format!("{limit} {percent}%"))
}

/// What is known of the captures as such.
pub(super) fn capture(explained: &Explained, options: &Options) -> Vec<Vec<Piece>> {
    let mut page = Page::new(options);
    page.title("The captures");
    page.blank();
    page.paragraph("", &output::text::tally(&explained.counts), Ink::Plain);
    for sentence in output::capture::sentences(explained) {
        page.paragraph("", &sentence, Ink::Plain);
    }
    if !explained.overview.is_empty() {
        page.blank();
        page.title("What many connections show together");
        page.blank();
        for finding in &explained.overview {
            page.finding(finding);
        }
    }
    page.lines
}

/// What the keys do.
pub(super) fn help(options: &Options) -> Vec<Vec<Piece>> {
    let mut page = Page::new(options);
    for (title, keys) in HELP {
        page.title(title);
        for (key, what) in *keys {
            let lead = format!("  {key}{}", " ".repeat(16_usize.saturating_sub(width(key))));
            page.paragraph(&lead, what, Ink::Plain);
        }
        page.blank();
    }
    page.lines
}

type Keys = &'static [(&'static str, &'static str)];

const HELP: &[(&str, Keys)] = &[
    (
        "Everywhere",
        &[
            ("j k, arrows", "a line down, up"),
            ("d u", "half a screen down, up"),
            ("Space b, PgDn", "a screen down, up"),
            ("g G, Home End", "to the start, to the end"),
            ("/ n N", "search; next, the one before"),
            ("f", "filter connections, as -f does; empty for all"),
            ("o", "the captures as such"),
            ("?", "this page"),
            ("q", "back; from the list: leave"),
            ("Q, Ctrl-C", "leave at once"),
            ("Ctrl-Z", "stop; fg goes on"),
            ("Ctrl-L", "draw the screen anew"),
        ],
    ),
    (
        "List (! something went wrong, * worth knowing)",
        &[
            ("Enter l", "the connection's diagram"),
            ("Tab", "its details"),
            ("s", "sort by something else"),
            ("r", "the other way round"),
        ],
    ),
    (
        "Diagram and details",
        &[
            ("Tab", "the one or the other"),
            ("h l", "back to the list; on to the details"),
            ("J K, ] [", "the next connection, the one before"),
            ("z", "unfold runs of data, and fold them"),
            ("s", "sequence numbers"),
            ("w", "windows"),
            ("t", "time to scale"),
            ("< >", "sideways"),
        ],
    ),
];
