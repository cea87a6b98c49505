//! What tshark and `transom explain --json` say of the same capture, side by side.

use core::fmt;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// An address and a port, as text.
type Socket = (String, String);

/// What is compared of a connection, each over both directions. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    counts: BTreeMap<&'static str, u64>,
}

/// A connection as one of the two sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    ends: [Socket; 2],
    number: u64,
    figures: Figures,
    /// Why the two may differ.
    remarks: Vec<&'static str>,
}

/// A figure that is not the same.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The number of the connection, tshark's; ours, where tshark has none.
    pub(crate) stream: u64,
    /// What was compared; `connections`, if one of the two does not have it.
    pub(crate) what: &'static str,
    /// What Transom says.
    pub(crate) ours: Option<u64>,
    /// What tshark says.
    pub(crate) theirs: Option<u64>,
    /// What is special about the connection.
    pub(crate) remarks: Vec<&'static str>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let (ours, theirs) = (shown(self.ours), shown(self.theirs));
        write!(f, "stream {}: {} {ours}/{theirs}", self.stream, self.what)?;
        if self.remarks.is_empty() {
            return Ok(());
        }
        write!(f, "  ({})", self.remarks.join(", "))
    }
}

/// The comparison of one capture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// Connections that both have.
    pub(crate) connections: u64,
    /// Figures that were compared.
    pub(crate) figures: u64,
    /// Those that differ.
    pub(crate) differences: Vec<Difference>,
}

/// The figures, in the order in which they are printed.
pub(crate) const FIGURES: [&str; 9] = [
    "frames",
    "bytes",
    "resets",
    "retransmissions",
    "out_of_order",
    "duplicate_acks",
    "zero_windows",
    "keep_alives",
    "initial_rtt",
];

/// tshark's clock and ours may round differently.
const ROUNDING_NS: u64 = 2_000;

/// Compares what both say of a capture.
pub(crate) fn compare(transom: &Path, capture: &Path) -> Result<Comparison, String> {
    Ok(beside(of_transom(transom, capture)?, of_tshark(capture)?))
}

/// Compares two views of a capture; connections between the same sockets in their order.
pub(crate) fn beside(ours: Vec<Seen>, theirs: Vec<Seen>) -> Comparison {
    let mut comparison = Comparison::default();
    let mut rest: HashMap<[Socket; 2], Vec<Seen>> = HashMap::new();
    for seen in ours.into_iter().rev() {
        rest.entry(seen.ends.clone()).or_default().push(seen);
    }
    for their in theirs {
        let Some(our) = rest.get_mut(&their.ends).and_then(Vec::pop) else {
            comparison.differences.push(missing(&their, None, Some(1)));
            continue;
        };
        comparison.connections += 1;
        for what in FIGURES {
            let [a, b] = [&our, &their].map(|seen| seen.figures.counts.get(what).copied());
            comparison.figures += u64::from(a.is_some() || b.is_some());
            let slack = if what == "initial_rtt" {
                ROUNDING_NS
            } else {
                0
            };
            let is_same = match (a, b) {
                (Some(a), Some(b)) => a.abs_diff(b) <= slack,
                (a, b) => a == b,
            };
            if !is_same {
                comparison.differences.push(Difference {
                    stream: their.number,
                    what,
                    ours: a,
                    theirs: b,
                    remarks: our.remarks.clone(),
                });
            }
        }
    }
    for our in rest.into_values().flatten() {
        comparison.differences.push(missing(&our, Some(1), None));
    }
    comparison
}

fn missing(seen: &Seen, ours: Option<u64>, theirs: Option<u64>) -> Difference {
    Difference {
        stream: seen.number,
        what: "connections",
        ours,
        theirs,
        remarks: seen.remarks.clone(),
    }
}

fn run(command: &mut Command) -> Result<Output, String> {
    command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))
}

fn ends(a: Socket, b: Socket) -> [Socket; 2] {
    if a <= b { [a, b] } else { [b, a] }
}

/// What Transom says.
pub(crate) fn of_transom(transom: &Path, capture: &Path) -> Result<Vec<Seen>, String> {
    let mut command = Command::new(transom);
    command.args(["explain", "--json", "--brief"]).arg(capture);
    let output = run(&mut command)?;
    // A capture that nobody can read holds no connections.
    if output.stdout.is_empty() {
        return Ok(Vec::new());
    }
    let report: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let connections = report["connections"].as_array();
    let mut seen: Vec<Seen> = connections
        .into_iter()
        .flatten()
        .map(our_connection)
        .collect();
    seen.sort_by_key(|seen| seen.number);
    Ok(seen)
}

fn our_connection(connection: &Value) -> Seen {
    let [client, server] = ["client", "server"].map(|end| {
        let socket = &connection[end];
        let address = socket["address"].as_str().unwrap_or_default();
        (address.to_owned(), socket["port"].to_string())
    });
    let sum = |field: &str| {
        ["client", "server"]
            .iter()
            .filter_map(|end| connection["sent"][end][field].as_u64())
            .sum::<u64>()
    };
    let mut counts = BTreeMap::from([
        ("frames", sum("frames")),
        ("bytes", sum("bytes")),
        ("resets", sum("resets")),
        ("retransmissions", sum("retransmitted")),
        ("out_of_order", sum("out_of_order")),
        ("duplicate_acks", sum("duplicate_acks")),
        ("zero_windows", sum("zero_windows")),
        ("keep_alives", sum("keep_alives")),
    ]);
    // From the capture point to the server and back, and to the client and back: the whole way. The time
    // that the handshake took also has the waits for what was lost in it.
    let parts =
        ["client", "server"].map(|end| connection["measures"][end]["handshake_rtt_ns"].as_u64());
    if let [Some(client), Some(server)] = parts {
        counts.insert("initial_rtt", client + server);
    }
    let remarks = [
        (sum("duplicate_frames") > 0, "frames captured twice"),
        (connection["one_sided"] == true, "one direction captured"),
        (sum("time_reversals") > 0, "time goes backwards"),
        (sum("gaps") > 0, "segments not captured"),
        (sum("truncated") > 0, "frames cut short"),
    ];
    let remarks = remarks.into_iter().filter(|(holds, _)| *holds);
    Seen {
        ends: ends(client, server),
        number: connection["number"].as_u64().unwrap_or_default(),
        figures: Figures { counts },
        remarks: remarks.map(|(_, remark)| remark).collect(),
    }
}

/// The fields that tshark is asked for, one frame a line.
const FIELDS: [&str; 22] = [
    "tcp.stream",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "tcp.len",
    "tcp.seq_raw",
    "tcp.flags.syn",
    "tcp.flags.reset",
    "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission",
    "tcp.analysis.spurious_retransmission",
    "tcp.analysis.out_of_order",
    "tcp.analysis.duplicate_ack",
    "tcp.analysis.zero_window",
    "tcp.analysis.keep_alive",
    "tcp.analysis.initial_rtt",
    "icmp.type",
    "icmpv6.type",
    "frame.protocols",
];

/// Sequence numbers that one end sent: from its first, each range once.
#[derive(Debug, Default)]
struct Sent {
    first: Option<u32>,
    ranges: Vec<(i64, i64)>,
}

impl Sent {
    fn add(&mut self, seq: u32, len: u32) {
        let first = *self.first.get_or_insert(seq);
        let start = i64::from(seq.wrapping_sub(first).cast_signed());
        self.ranges.push((start, start + i64::from(len)));
    }

    /// Bytes that were sent, each counted once.
    fn distinct(mut self) -> u64 {
        self.ranges.sort_unstable();
        let (mut total, mut end) = (0, i64::MIN);
        for (from, to) in self.ranges {
            total += (to - from.max(end)).max(0);
            end = end.max(to);
        }
        total.unsigned_abs()
    }
}

/// What tshark says.
pub(crate) fn of_tshark(capture: &Path) -> Result<Vec<Seen>, String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-Y", "tcp", "-T", "fields"]);
    command.args(["-E", "separator=|", "-E", "occurrence=l"]);
    command.args(["-o", "tcp.desegment_tcp_streams:false"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = run(command.arg("-r").arg(capture))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut streams: BTreeMap<u64, (Seen, HashMap<Socket, Sent>)> = BTreeMap::new();
    for line in text.lines() {
        let values: HashMap<&str, &str> = FIELDS.into_iter().zip(line.split('|')).collect();
        let value = |field: &str| values.get(field).copied().unwrap_or_default();
        // A packet that an ICMP error quotes is not a frame of the connection.
        let is_quoted = !(value("icmp.type").is_empty() && value("icmpv6.type").is_empty());
        let Ok(number) = value("tcp.stream").parse::<u64>() else {
            continue;
        };
        if is_quoted {
            continue;
        }
        // In a tunnel both are there; the inner one counts.
        let protocols = value("frame.protocols").rsplit(':');
        let is_v6 = protocols
            .into_iter()
            .find(|name| matches!(*name, "ip" | "ipv6"))
            == Some("ipv6");
        let socket = |v4, v6, port| {
            let address = if is_v6 { value(v6) } else { value(v4) };
            (address.to_owned(), value(port).to_owned())
        };
        let source = socket("ip.src", "ipv6.src", "tcp.srcport");
        let target = socket("ip.dst", "ipv6.dst", "tcp.dstport");
        let (seen, sent) = streams.entry(number).or_insert_with(|| {
            let counts = FIGURES.into_iter().filter(|what| *what != "initial_rtt");
            let seen = Seen {
                ends: ends(source.clone(), target),
                number,
                figures: Figures {
                    counts: counts.map(|what| (what, 0)).collect(),
                },
                remarks: Vec::new(),
            };
            (seen, HashMap::new())
        });
        count_frame(&mut seen.figures.counts, value);
        let numbers = (
            value("tcp.seq_raw").parse(),
            value("tcp.len").parse::<u32>(),
        );
        if let (Ok(seq), Ok(len)) = numbers
            && value("tcp.analysis.keep_alive").is_empty()
            && len > 0
        {
            let is_syn = is_set(value("tcp.flags.syn"));
            let seq: u32 = seq;
            sent.entry(source)
                .or_default()
                .add(seq.wrapping_add(u32::from(is_syn)), len);
        }
    }
    let finish = |(mut seen, sent): (Seen, HashMap<Socket, Sent>)| {
        let bytes = sent.into_values().map(Sent::distinct).sum();
        seen.figures.counts.insert("bytes", bytes);
        seen
    };
    Ok(streams.into_values().map(finish).collect())
}

/// tshark writes flags as 0 and 1, or False and True.
fn is_set(value: &str) -> bool {
    matches!(value, "1" | "True")
}

fn count_frame<'a>(counts: &mut BTreeMap<&'static str, u64>, value: impl Fn(&str) -> &'a str) {
    let analysis = |kind: &str| !value(&format!("tcp.analysis.{kind}")).is_empty();
    let repeats = [
        "retransmission",
        "fast_retransmission",
        "spurious_retransmission",
    ];
    let counted = [
        ("frames", true),
        ("resets", is_set(value("tcp.flags.reset"))),
        ("retransmissions", repeats.into_iter().any(analysis)),
        ("out_of_order", analysis("out_of_order")),
        ("duplicate_acks", analysis("duplicate_ack")),
        ("zero_windows", analysis("zero_window")),
        ("keep_alives", analysis("keep_alive")),
    ];
    for (what, holds) in counted {
        *counts.entry(what).or_default() += u64::from(holds);
    }
    // The same in each frame of the connection.
    if let Ok(seconds) = value("tcp.analysis.initial_rtt").parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "round trips are short and positive"
        )]
        counts.insert("initial_rtt", (seconds * 1e9).round() as u64);
    }
}
