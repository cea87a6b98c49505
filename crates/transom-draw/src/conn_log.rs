//! Connections as lines of a Zeek `conn.log` in its tab-separated form, for the many programs that
//! read it.
//!
//! A file is [`header`], a [`line()`] for each connection, and [`footer`]. The columns are those that
//! Zeek writes by default, in its order, and last the community id, which Zeek adds by policy.
//!
//! Where Zeek's rules differ from the rest of Transom's views, Zeek's are followed here:
//! - `duration` ends with the FIN or RST that closes the second direction, and is unset, as the
//!   bytes are, for a connection of one packet
//! - `orig_bytes` and `resp_bytes` are told by sequence numbers, so that they hold what the capture
//!   lacks; `missed_bytes` says how much that was
//! - packets and IP bytes are counted as captured: a super-packet is one
//! - `local_orig` and `local_resp` are true for addresses that the Internet does not route
//!
//! `uid` is of the addresses, the ports and the start: the same capture gives the same ones.

mod id;
mod local;

use crate::calendar::Utc;
use core::fmt::Write;
use core::time::Duration;
use transom_flow::{Application, Connection, End};

/// Names and types of the columns.
const COLUMNS: [(&str, &str); 23] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
    ("ip_proto", "count"),
    ("community_id", "string"),
];

/// What stands for a value that is not there, and for a text without characters.
const UNSET: &str = "-";
const EMPTY: &str = "(empty)";
/// TCP, as `ip_proto`.
const TCP: &str = "6";

/// The lines above the connections. `opened` is the time of writing, since the Unix epoch.
#[must_use]
pub fn header(opened: Duration) -> String {
    let mut header = String::from("#separator \\x09\n");
    let mut line = |name: &str, value: &str| {
        header.push_str(&format!("#{name}\t{value}\n"));
    };
    line("set_separator", ",");
    line("empty_field", EMPTY);
    line("unset_field", UNSET);
    line("path", "conn");
    line("open", &stamp(opened));
    line("fields", &COLUMNS.map(|(name, _)| name).join("\t"));
    line("types", &COLUMNS.map(|(_, kind)| kind).join("\t"));
    header
}

/// The line below the connections. `closed` is the time of writing, since the Unix epoch.
#[must_use]
pub fn footer(closed: Duration) -> String {
    format!("#close\t{}\n", stamp(closed))
}

/// The line of a connection. The times of its frames must count from the Unix epoch.
#[must_use]
pub fn line(connection: &Connection) -> String {
    let mut row = Row::default();
    let (client, server) = (
        connection.endpoint(End::Client).addr,
        connection.endpoint(End::Server).addr,
    );
    let totals = connection.totals();
    row.time(connection.start());
    row.text(&id::uid(client, server, connection.start().as_nanos()));
    for address in [client, server] {
        row.plain(&address.ip());
        row.plain(&address.port());
    }
    row.plain(&"tcp");
    match connection.application().and_then(service) {
        Some(service) => row.text(service),
        None => row.unset(),
    }
    let duration = connection.duration_until_closed();
    if duration.is_zero() {
        row.unset();
        row.unset();
        row.unset();
    } else {
        row.time(duration);
        for end in End::BOTH {
            // Of an end that was never heard, Zeek does not tell what the other acknowledged.
            let is_heard = totals[end].frames > 0;
            row.plain(&if is_heard { totals[end].extent } else { 0 });
        }
    }
    row.text(connection.conn_state());
    row.bool(local::is_local(client.ip()));
    row.bool(local::is_local(server.ip()));
    row.plain(&missed(connection));
    match connection.history() {
        "" => row.unset(),
        history => row.text(history),
    }
    for end in End::BOTH {
        row.plain(&totals[end].frames);
        row.plain(&totals[end].ip_bytes);
    }
    row.unset();
    row.plain(&TCP);
    row.text(&id::community_id(client, server, 0));
    row.end()
}

/// Bytes of both directions that were not captured. Only an acknowledgement tells that they were not
/// lost, so none are missed where one direction is all there is.
fn missed(connection: &Connection) -> u64 {
    let totals = connection.totals();
    if End::BOTH.iter().any(|end| totals[*end].frames == 0) {
        return 0;
    }
    let missed = |end: End| totals[end].extent.saturating_sub(totals[end].bytes);
    missed(End::Client).saturating_add(missed(End::Server))
}

/// Zeek's name of a protocol that it has an analyser for.
const fn service(application: &Application) -> Option<&'static str> {
    match application {
        Application::Http { .. } => Some("http"),
        Application::Tls { .. } => Some("ssl"),
        Application::Ssh { .. } => Some("ssh"),
        Application::Dns { .. } => Some("dns"),
        _ => None,
    }
}

/// A line under construction.
#[derive(Default)]
struct Row {
    line: String,
}

impl Row {
    /// A value that needs no escapes.
    fn plain(&mut self, value: &dyn core::fmt::Display) {
        if !self.line.is_empty() {
            self.line.push('\t');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{value}");
    }

    fn unset(&mut self) {
        self.plain(&UNSET);
    }

    fn bool(&mut self, value: bool) {
        self.plain(&if value { "T" } else { "F" });
    }

    /// Seconds with six decimals, cut off.
    fn time(&mut self, time: Duration) {
        self.plain(&format_args!(
            "{}.{:06}",
            time.as_secs(),
            time.subsec_micros()
        ));
    }

    fn text(&mut self, text: &str) {
        self.plain(&escaped(text));
    }

    fn end(mut self) -> String {
        self.line.push('\n');
        self.line
    }
}

/// A text as Zeek writes it: what is not printable ASCII, the backslash and the separators of
/// columns and sets in hexadecimal; and no text that could be taken for an absent or empty one.
fn escaped(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.into();
    }
    let is_reserved = text == UNSET || text == EMPTY;
    let mut safe = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = (b' '..=b'~').contains(&byte) && byte != b'\\';
        if is_plain && !(at == 0 && is_reserved) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("\\x{byte:02x}"));
        }
    }
    safe
}

/// `2026-05-23-18-02-04`, in UTC.
fn stamp(time: Duration) -> String {
    let Utc {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Utc::of(time);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_never_look_absent() {
        assert_eq!(escaped("http"), "http");
        assert_eq!(escaped("a\tb\\c\u{e9}\n"), "a\\x09b\\x5cc\\xc3\\xa9\\x0a");
        assert_eq!(escaped(""), "(empty)");
        assert_eq!(escaped("-"), "\\x2d");
        assert_eq!(escaped("(empty)"), "\\x28empty)");
        assert_eq!(escaped("--"), "--");
    }

    #[test]
    fn stamps_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01-00-00-00"),
            (951_782_399, "2000-02-28-23-59-59"),
            (951_782_400, "2000-02-29-00-00-00"),
            (951_868_800, "2000-03-01-00-00-00"),
            (1_767_225_599, "2025-12-31-23-59-59"),
            (1_400_868_124, "2014-05-23-18-02-04"),
            (4_107_542_400, "2100-03-01-00-00-00"),
        ] {
            assert_eq!(stamp(Duration::from_secs(seconds)), text);
        }
    }
}
