//! Every finding there is: what it means, what to do about it, and where the RFCs speak of it.
//!
//! One table, and as long as there are findings.

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

const fn capture(severity: Severity, id: &'static str, words: [&'static str; 3]) -> Known {
    known(Kind::Capture, severity, id, words)
}

const fn remark(severity: Severity, id: &'static str, words: [&'static str; 3]) -> Known {
    known(Kind::Remark, severity, id, words)
}

/// Every kind of finding: first how a connection ends, then what else may be said of it, the most
/// explanatory first, then what a whole capture shows.
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
        "closed_by_reset",
        [
            "One end finished with FIN, the other answered with a reset when all data had been acknowledged: nothing was lost.",
            "Nothing, unless it is counted as an error somewhere: browsers and load balancers close so.",
            "RFC 9293 §3.6.1",
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
            "The client reset the connection, or somebody in its name; another finding says probably why.",
            "See the finding beside it.",
            "RFC 9293 §3.5.2, §3.5.3",
        ],
    ),
    ending(
        Problem,
        "reset_by_server",
        [
            "The server reset the connection, or somebody in its name; another finding says probably why.",
            "See the finding beside it.",
            "RFC 9293 §3.5.2, §3.5.3",
        ],
    ),
    ending(
        Problem,
        "close_wait_stuck",
        [
            "One end acknowledged the other's FIN long ago and has not closed its direction: CLOSE-WAIT is never left.",
            "The application at that end leaks the socket: it must close after it has read the end of the data.",
            "RFC 9293 §3.6",
        ],
    ),
    ending(
        Problem,
        "gave_up",
        [
            "A TCP dropped the connection without a segment that says so, as it says itself.",
            "Look at what it was waiting for: the last segments are without an answer.",
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
        "one_direction",
        [
            "Only one direction was captured: an asymmetric route, a mirror of one direction, or a filter.",
            "Capture at one of the ends, or mirror both directions; times and losses of the other direction are unknown.",
            "",
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
        "reset_forged",
        [
            "The reset did not come from the end that it names: its hop limit differs, or the end goes on sending.",
            "Look for a firewall, an intrusion prevention system or a censor on the way.",
            "RFC 9293 §3.10.7, RFC 3360",
        ],
    ),
    remark(
        Problem,
        "retransmissions_given_up",
        [
            "An end reset the connection because its data remained unacknowledged, however often it was sent.",
            "The other end, or the way to it, was gone: look there for the time of the first retransmission.",
            "RFC 9293 §3.8.3",
        ],
    ),
    remark(
        Problem,
        "fin_wait_2_hanging",
        [
            "The end that closed first waited in FIN-WAIT-2 for so long that its system forgot the connection; the late FIN or data was reset.",
            "The other application should close soon after it reads the end of the data.",
            "RFC 9293 §3.6",
        ],
    ),
    remark(
        Problem,
        "reset_data_after_close",
        [
            "Data came for an end that had closed both directions: it was reset, and the data is lost.",
            "One side closed while the other was still sending: let the protocol say who closes last, or shut down only the sending half.",
            "RFC 9293 §3.6.1",
        ],
    ),
    remark(
        Problem,
        "half_open",
        [
            "One end had lost the connection, by a crash or restart, and the other did not know.",
            "Keep-alives, or a heartbeat of the application, find dead peers sooner.",
            "RFC 9293 §3.5.1",
        ],
    ),
    remark(
        Problem,
        "reset_after_idle",
        [
            "The reset came after a long pause: a device on the way, or the other end, had given the idle connection up.",
            "Send keep-alives more often than the shortest idle timeout on the way, or close idle connections in time.",
            "RFC 9293 §3.8.4, RFC 5382 REQ-5",
        ],
    ),
    remark(
        Problem,
        "reset_unknown_connection",
        [
            "The reset answers a segment, as a TCP does that does not know the connection.",
            "Was the process or the host restarted? Does a load balancer move connections between hosts?",
            "RFC 9293 §3.5.2",
        ],
    ),
    remark(
        Problem,
        "reset_unread_data",
        [
            "The application probably closed, or ended, without reading all that the other end had sent.",
            "Let the application read to the end before it closes; look for a crash, or a limit on the size of requests.",
            "RFC 9293 §3.6.1, RFC 2525 §2.17",
        ],
    ),
    remark(
        Note,
        "half_open_scan",
        [
            "The client reset the connection as soon as the SYN,ACK came: it only asked whether the port is open.",
            "Nothing, if it is your health check; otherwise somebody scans.",
            "RFC 9293 §3.5.3",
        ],
    ),
    remark(
        Problem,
        "reset_in_handshake",
        [
            "The connection was reset before the handshake was done.",
            "Look at the server's listener: its backlog, its settings for overflow, and firewalls before it.",
            "RFC 9293 §3.5.3",
        ],
    ),
    remark(
        Note,
        "reset_aborted",
        [
            "The application aborted the connection on purpose, or its system did.",
            "SO_LINGER of 0, a killed request, a time limit: look at the application that sent the reset.",
            "RFC 9293 §3.10.5",
        ],
    ),
    remark(
        Note,
        "reset_repeated",
        [
            "A reset had to be sent again, because it was lost or the other end went on sending.",
            "",
            "RFC 9293 §3.5.2",
        ],
    ),
    remark(
        Note,
        "reset_after_close",
        [
            "A reset came after both ends had finished, and changes nothing.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
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
        "mtu_black_hole",
        [
            "Large segments never arrive and small ones do: a link takes less than the path claims, and says nothing.",
            "Let ICMP \"packet too big\" through, clamp the MSS at the tunnel, or lower the MTU; Linux: net.ipv4.tcp_mtu_probing=1.",
            "RFC 2923 §2.1, RFC 4821",
        ],
    ),
    remark(
        Problem,
        "peer_vanished",
        [
            "An end fell silent: data was sent again and again without an answer.",
            "Was the host switched off, the cable pulled, a firewall changed? Capture on its side.",
            "RFC 9293 §3.8.3",
        ],
    ),
    remark(
        Problem,
        "fin_unanswered",
        [
            "A FIN was sent again and again and never acknowledged.",
            "As for peer_vanished; the closing end keeps the connection in FIN-WAIT-1 or LAST-ACK until it gives up.",
            "RFC 9293 §3.6",
        ],
    ),
    remark(
        Problem,
        "keep_alive_unanswered",
        [
            "Keep-alives remain without an answer: nobody is there any more.",
            "",
            "RFC 9293 §3.8.4",
        ],
    ),
    remark(
        Problem,
        "backlog_overflow",
        [
            "The server's accept queue is probably full: it repeats its SYN,ACK although the client has acknowledged it.",
            "Let the application accept faster, raise its backlog and net.core.somaxconn (nstat TcpExtListenOverflows counts it).",
            "RFC 9293 §3.5",
        ],
    ),
    remark(
        Problem,
        "port_reused_too_soon",
        [
            "The client used a port again whose old connection the server still holds: the attempt needs a reset and a second SYN.",
            "Open fewer connections (keep and reuse them), or widen the range of ports.",
            "RFC 9293 §3.5.1",
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
        "tls_alert",
        [
            "A TLS alert ended the conversation: not a matter of TCP.",
            "The alert names what was wrong: certificate, name, version, cipher.",
            "RFC 8446 §6.2",
        ],
    ),
    remark(
        Problem,
        "request_unanswered",
        [
            "The last request arrived and was not answered before the end: the application, not the network.",
            "Look at the server application: its log, its threads, what it waits for.",
            "",
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
        Problem,
        "small_window",
        [
            "Silly windows: the receiver offers crumbs, and the sender fills each with a tiny segment.",
            "Let the application read larger pieces, and give it a larger receive buffer.",
            "RFC 9293 §3.8.6.2",
        ],
    ),
    remark(
        Problem,
        "retransmission_storm",
        [
            "A large part of all segments had to be sent again.",
            "Look for a bad link, a full queue, a wrong duplex, a rate limiter; measure loss on the way.",
            "RFC 6298, RFC 5681",
        ],
    ),
    remark(
        Note,
        "duplicate_packets",
        [
            "The capture holds packets twice: a port mirror, or a capture before and behind a router.",
            "Mirror one direction of each port only, or take the copies out (editcap -d).",
            "",
        ],
    ),
    remark(
        Problem,
        "nagle_delayed_ack",
        [
            "Small writes waited for delayed acknowledgements: 40 ms and more are lost each time.",
            "Write a message in one piece (writev, a buffer), or set TCP_NODELAY.",
            "RFC 9293 §3.7.4, §3.8.6.3",
        ],
    ),
    remark(
        Note,
        "bufferbloat",
        [
            "The round trip grew many times over while data was under way: a queue that is too long.",
            "Active queue management (fq_codel, CAKE) at the bottleneck, or a rate limit just below it.",
            "RFC 8290, RFC 7567",
        ],
    ),
    remark(
        Note,
        "receiver_limited",
        [
            "The receive window held a long transfer back for most of its time.",
            "A larger receive buffer, or an application that reads faster; is window scaling in use?",
            "RFC 9293 §3.8.6, RFC 7323 §2",
        ],
    ),
    remark(
        Note,
        "loss_limited",
        [
            "Repairing losses held a long transfer back for most of its time.",
            "Look for the place of the loss: a full queue, a bad link, a policer.",
            "RFC 5681, RFC 6675",
        ],
    ),
    remark(
        Note,
        "slow_answer",
        [
            "The answer took long and the network did not: the time went into the application.",
            "Look at the server application, its database, its back ends.",
            "",
        ],
    ),
    remark(
        Note,
        "one_way_silence",
        [
            "In a conversation both ways, one application stopped sending while its TCP still acknowledges.",
            "Look at the application at that end, or at the source of its data.",
            "",
        ],
    ),
    remark(
        Note,
        "high_rtt",
        [
            "The round trip is long already in the handshake; the text says on which side of the capture point.",
            "Fewer round trips (keep connections, pipeline), or a server nearby.",
            "",
        ],
    ),
    remark(
        Note,
        "window_scale_stripped",
        [
            "The SYN offered window scaling and the SYN,ACK does not take it: windows stay below 64 KiB.",
            "Compare captures of both ends: if the SYN arrives without the option, a device on the way takes it out.",
            "RFC 7323 §2.2",
        ],
    ),
    remark(
        Note,
        "sack_stripped",
        [
            "The SYN offered selective acknowledgement and the SYN,ACK does not take it: losses cost more.",
            "Compare captures of both ends, as for window_scale_stripped.",
            "RFC 2018 §2",
        ],
    ),
    remark(
        Note,
        "slow_start_after_idle",
        [
            "After a pause the sender began anew with a small window, though much had been under way before.",
            "Linux: net.ipv4.tcp_slow_start_after_idle=0, where the path is known to bear it.",
            "RFC 5681 §4.1",
        ],
    ),
    remark(
        Note,
        "time_wait_reuse",
        [
            "The same two sockets were used again while TIME-WAIT lasted, which is allowed when the new numbers are higher.",
            "",
            "RFC 6191 §2, RFC 9293 §3.6.1",
        ],
    ),
    remark(
        Note,
        "port_reuse",
        [
            "The same two sockets had a connection a moment before.",
            "Many of these: keep connections open and reuse them.",
            "RFC 6056",
        ],
    ),
    remark(
        Note,
        "http_error",
        [
            "The server answered with an HTTP error: the application's matter, TCP has delivered it.",
            "Read the log of the server.",
            "RFC 9110 §15",
        ],
    ),
    remark(
        Note,
        "packet_too_big",
        [
            "A router said that packets are too big, and the sender made them smaller.",
            "",
            "RFC 1191, RFC 8201",
        ],
    ),
    remark(
        Note,
        "icmp_error",
        [
            "A router or host reported an error which did not end the connection.",
            "",
            "RFC 9293 §3.9.2.2, RFC 5927 §5.2",
        ],
    ),
    remark(
        Note,
        "keep_alive_only",
        [
            "The connection is kept alive and carries nothing.",
            "Close what is not needed, if there are many.",
            "RFC 9293 §3.8.4",
        ],
    ),
    remark(
        Note,
        "handshake_ack_lost",
        [
            "The acknowledgement that ends the handshake did not reach the server, which repeated its SYN,ACK.",
            "",
            "RFC 9293 §3.5",
        ],
    ),
    remark(
        Note,
        "fast_open_refused",
        [
            "The SYN brought data which the server did not take: it was sent again.",
            "The cookie was not valid, or the server or a middlebox does not know TCP Fast Open.",
            "RFC 7413 §4.2.2",
        ],
    ),
    remark(
        Note,
        "fin_lost",
        [
            "A FIN had to be sent again, because it or its acknowledgement was lost.",
            "",
            "RFC 9293 §3.6",
        ],
    ),
    remark(
        Note,
        "congestion_experienced",
        [
            "Routers marked congestion, and the sender was told.",
            "",
            "RFC 3168 §6.1.3, RFC 9768 §3.2.2",
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
        [
            "Segments were sent again.",
            "A few are ordinary; see which end sent them, and after what.",
            "RFC 6298, RFC 5681",
        ],
    ),
    remark(
        Note,
        "spurious_retransmissions",
        [
            "Segments were sent again that had arrived already.",
            "Varying round trips, lost acknowledgements, or a timer that is too quick.",
            "RFC 2883, RFC 3522",
        ],
    ),
    remark(
        Note,
        "out_of_order",
        [
            "Segments were overtaken by later ones on their way.",
            "Several paths or queues carry one connection; harmless unless there are many.",
            "",
        ],
    ),
    remark(
        Note,
        "hop_limit_changed",
        [
            "Segments of one end came over ways of different length, or from several machines.",
            "",
            "",
        ],
    ),
    remark(
        Note,
        "time_reversed",
        [
            "Frames of the capture have times that go backwards.",
            "Sort the capture (reordercap), or capture on one queue.",
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
        [
            "The capture starts after the handshake.",
            "Start the capture before the connection, to know its options and window scale.",
            "",
        ],
    ),
    remark(
        Fine,
        "sender_limited",
        [
            "The sending application had nothing more to send for most of the time.",
            "",
            "",
        ],
    ),
    remark(
        Fine,
        "never_used",
        [
            "The connection was opened and closed without a byte of data.",
            "",
            "",
        ],
    ),
    remark(
        Fine,
        "mss_clamped",
        [
            "One end's SYN offers smaller segments than Ethernet takes: a tunnel, PPPoE, or a firewall that clamps.",
            "",
            "RFC 9293 §3.7.1",
        ],
    ),
    remark(
        Fine,
        "fast_open",
        [
            "The SYN brought data, and the server took it.",
            "",
            "RFC 7413",
        ],
    ),
    remark(
        Fine,
        "ecn_negotiated",
        [
            "Both ends agreed on explicit congestion notification.",
            "",
            "RFC 3168 §6.1.1",
        ],
    ),
    remark(
        Fine,
        "accurate_ecn_negotiated",
        [
            "Both ends agreed on accurate explicit congestion notification, which counts marks.",
            "",
            "RFC 9768 §3.1",
        ],
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
    capture(
        Problem,
        "port_exhaustion",
        [
            "One client opened nearly as many connections to one server within a TIME-WAIT as it has ports: connects fail or wait.",
            "Keep connections open and reuse them; more addresses, or a wider net.ipv4.ip_local_port_range.",
            "RFC 9293 §3.6.1, RFC 6056",
        ],
    ),
    capture(
        Problem,
        "syn_flood",
        [
            "Many SYNs were answered and never acknowledged: an attack, or answers that do not reach the clients.",
            "SYN cookies (net.ipv4.tcp_syncookies=1), and a filter upstream.",
            "RFC 4987",
        ],
    ),
    capture(
        Problem,
        "port_scan",
        [
            "One host tried many ports of another that refused or did not answer.",
            "Your own scanner, or somebody who looks for services.",
            "",
        ],
    ),
    capture(
        Problem,
        "many_refused",
        [
            "A server refused most attempts.",
            "Start the service; see whether it crashed at the time of the first refusal.",
            "RFC 9293 §3.10.7.1",
        ],
    ),
    capture(
        Problem,
        "server_overloaded",
        [
            "A server answered some attempts and left many without an answer, or let them wait for its accept queue.",
            "Let the application accept faster, raise its backlog and net.core.somaxconn.",
            "RFC 9293 §3.5",
        ],
    ),
    capture(
        Problem,
        "server_silent",
        [
            "A server answered none of many attempts.",
            "Is it up, is it filtered, is this the way back?",
            "RFC 9293 §3.8.3",
        ],
    ),
    capture(
        Note,
        "rapid_reuse",
        [
            "Ports were used again for the same server within a TIME-WAIT.",
            "Keep connections open and reuse them.",
            "RFC 6191, RFC 6056",
        ],
    ),
    capture(
        Note,
        "one_direction_captured",
        [
            "Of most connections only one direction was captured: asymmetric routing, half a mirror, or a filter.",
            "Capture at one end, or mirror both directions.",
            "",
        ],
    ),
    capture(
        Note,
        "mirror_duplicates",
        [
            "Many packets were captured twice.",
            "Mirror one direction of each port only, or take the copies out (editcap -d).",
            "",
        ],
    ),
    capture(
        Note,
        "frames_cut",
        [
            "The snap length of the capture cut frames.",
            "tcpdump -s 0, if contents matter.",
            "",
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

/// The catalogue as a page in Markdown, as `docs/FINDINGS.md` has it.
#[must_use]
pub fn document() -> String {
    let mut page = String::from(
        "# What Transom finds\n\nMade from `transom_flow::verdict::CATALOGUE`; a test compares them.\n\n\
         Each connection has one ending and any number of remarks, the most explanatory first; a capture \
         has findings of its own. Identifiers are stable. *fine* is as it should be, *note* is worth \
         knowing, *problem* went wrong. What a sentence marks with \"probably\" is a conclusion, the rest was \
         seen in the frames that are named beside it. Each finding has a capture in \
         `crates/transom-flow/tests/findings` that produces it.\n",
    );
    for (kind, title) in [
        (Kind::Ending, "How a connection ended, or where it stands"),
        (Kind::Remark, "What else may be said of a connection"),
        (Kind::Capture, "What many connections show together"),
    ] {
        page.push_str(&format!(
            "\n## {title}\n\n| finding | severity | what it means | what to do | read on |\n|---|---|---|---|---|\n"
        ));
        for known in CATALOGUE.iter().filter(|known| known.kind == kind) {
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                known.id,
                known.severity.id(),
                known.means,
                known.advice,
                known.rfc,
            ));
        }
    }
    page
}
