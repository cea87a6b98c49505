//! Every finding there is: what it means, what to do about it, and where the RFCs speak of it.

use super::Severity;
use super::Severity::{Fine, Note, Problem};

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// How a connection ended, or where it stands: each connection has exactly one of these.
    Ending,
    /// What else may be said of a connection.
    Remark,
    /// What many connections show together.
    Capture,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The stable identifier, as in [`Finding::id`](super::Finding::id).
    pub id: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// How much a reader should care.
    pub severity: Severity,
    /// What it means, in one line.
    pub means: &'static str,
    /// What to do about it; empty where nothing is to be done.
    pub advice: &'static str,
    /// Where to read on; empty where no RFC speaks of it.
    pub rfc: &'static str,
}

const fn known(
    kind: Kind,
    severity: Severity,
    id: &'static str,
    [means, advice, rfc]: [&'static str; 3],
) -> Known {
    Known {
        id,
        kind,
        severity,
        means,
        advice,
        rfc,
    }
}

const fn ending(severity: Severity, id: &'static str, words: [&'static str; 3]) -> Known {
    known(Kind::Ending, severity, id, words)
}

const fn remark(severity: Severity, id: &'static str, words: [&'static str; 3]) -> Known {
    known(Kind::Remark, severity, id, words)
}

/// Every kind of finding: first how a connection ends, then what else may be said of it, the most
/// explanatory first.
pub const CATALOGUE: &[Known] = &[
    ending(
        Fine,
        "normal_close",
        [
            "Both ends sent FIN and had it acknowledged; the text names who was first, the active closer.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Fine,
        "half_close",
        [
            "One end sent FIN and went on receiving data until the other had finished, too.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Fine,
        "closed_at_once",
        [
            "The server accepted the connection and closed it without a byte of data.",
            "If it was meant to serve: look into its log (access rules, connection limits, TLS expected).",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Fine,
        "closed",
        [
            "One end's FIN was seen, and neither end holds the connection any more.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Note,
        "simultaneous_close",
        [
            "Both ends sent FIN before either saw the other's.",
            "",
            "RFC 9293 §3.6, Figure 13",
        ],
    ),
    ending(
        Problem,
        "refused",
        [
            "The SYN was answered with a reset that acknowledges it: nothing listens at the port, or a firewall rejects.",
            "Is the service running, on this address and port (ss -ltn)? Does a firewall reject with a reset?",
            "RFC 9293 §3.10.7.1",
        ],
    ),
    ending(
        Problem,
        "unanswered",
        [
            "No SYN was answered: filtered, no such host, or the answers take another way.",
            "Look for a filter that drops (security group, firewall), then for the route back; capture at the server.",
            "RFC 9293 §3.8.3",
        ],
    ),
    ending(
        Problem,
        "reset_without_ack",
        [
            "The SYN was answered with a reset without ACK, which the client has to ignore: it times out instead of failing at once.",
            "Mend whatever sends the reset (often a user-space stack or a filter): it must carry ACK and acknowledge the SYN.",
            "RFC 9293 §3.10.7.1, §3.10.7.3",
        ],
    ),
    ending(
        Problem,
        "unreachable",
        [
            "An ICMP error ended the attempt to connect.",
            "The host that reported it is named: its route, its neighbour or its filter is to be mended.",
            "RFC 1122 §4.2.3.9, RFC 5461",
        ],
    ),
    ending(
        Problem,
        "reset_by_client",
        [
            "The client reset the connection; another finding says at which stage and probably why.",
            "",
            "RFC 9293 §3.5.2, §3.5.3",
        ],
    ),
    ending(
        Problem,
        "reset_by_server",
        [
            "The server reset the connection, or somebody in its name; another finding says probably why.",
            "",
            "RFC 9293 §3.5.2, §3.5.3",
        ],
    ),
    ending(
        Problem,
        "gave_up",
        [
            "A TCP dropped the connection without a segment that says so, as it says itself.",
            "",
            "RFC 9293 §3.8.3",
        ],
    ),
    ending(
        Note,
        "half_open_close",
        [
            "One end has sent FIN, the other has not closed its direction yet.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Note,
        "opening",
        [
            "The handshake has begun and is not done.",
            "",
            "RFC 9293 §3.5",
        ],
    ),
    ending(Fine, "still_open", ["Neither end has closed.", "", ""]),
    remark(
        Problem,
        "reset_without_effect",
        [
            "A reset whose sequence number did not fit: it was questioned with a challenge ACK and the connection went on.",
            "Look for a device on the way that resets connections, or for somebody who guesses.",
            "RFC 5961 §3.2",
        ],
    ),
    remark(
        Problem,
        "syn_answered_late",
        [
            "The SYN, or the answer to it, had to be sent again before the handshake went on.",
            "Loss on the way, or a server whose queue of half-open connections is full.",
            "RFC 6298 §2",
        ],
    ),
    remark(
        Problem,
        "zero_window",
        [
            "An end closed its receive window: its application does not read as fast as the data comes.",
            "The application at that end is the bottleneck, not the network.",
            "RFC 9293 §3.8.6.1",
        ],
    ),
    remark(
        Note,
        "simultaneous_open",
        [
            "Both ends sent SYN, and one connection came of it.",
            "",
            "RFC 9293 §3.5, Figure 7",
        ],
    ),
    remark(
        Note,
        "lost",
        [
            "Segments were dropped by a simulated link or a fault.",
            "",
            "",
        ],
    ),
    remark(
        Note,
        "retransmissions",
        ["Segments were sent again.", "", "RFC 6298, RFC 5681"],
    ),
    remark(
        Note,
        "out_of_order",
        [
            "Segments were overtaken by later ones on their way.",
            "",
            "",
        ],
    ),
    remark(
        Note,
        "not_captured",
        [
            "The capture lacks segments that must have passed.",
            "Capture with a larger buffer (tcpdump -B), or at one end only.",
            "",
        ],
    ),
    remark(
        Note,
        "mid_stream",
        ["The capture starts after the handshake.", "", ""],
    ),
    remark(
        Fine,
        "keep_alive",
        [
            "An end asked whether the other is still there.",
            "",
            "RFC 9293 §3.8.4",
        ],
    ),
];

/// The place of a kind of finding in the catalogue, and what is known of it.
pub(super) fn look_up(id: &str) -> Option<(usize, &'static Known)> {
    CATALOGUE
        .iter()
        .enumerate()
        .find(|(_, known)| known.id == id)
}
