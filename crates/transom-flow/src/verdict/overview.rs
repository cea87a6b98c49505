//! What many connections show together: ports that run out, servers that refuse, scans, mirrors.
//!
//! Fed with each connection once it is over, in the order of their starts or nearly so. Bounded: of the
//! pairs of hosts and of the servers the first few thousand are followed each.

use super::Finding;
use crate::connection::Connection;
use crate::model::{ClosedBy, End};
use crate::ordinary::Ordinary;
use crate::past::Past;
use crate::words::{count, thousands};
use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Pairs, and servers, that are followed at most.
const PAIRS_MAX: usize = 4096;
/// TIME-WAIT on Linux: for this long a port of an active closer is not free.
const TIME_WAIT: u64 = 60;
/// The ports that Linux gives to connections: 32,768 to 60,999.
const EPHEMERAL: u32 = 28_232;
/// From this share of them in one TIME-WAIT on, they run out.
const EXHAUSTED: u32 = EPHEMERAL / 10 * 9;
/// The fewest connections with the same fate that make a pattern.
const MANY: u64 = 10;
const FLOOD: u64 = 100;
/// Ports tried on one host that make a scan.
const SCAN_PORTS: usize = 20;

/// A client's host and a server's socket.
type Pair = (IpAddr, SocketAddr);

/// Connections between a client's host and a server's socket, by second.
#[derive(Clone, Debug)]
struct Ports {
    /// How many began in each of the last seconds; the index is the second modulo the length.
    begun: Box<[u32; TIME_WAIT as usize]>,
    newest: u64,
    in_window: u32,
    most: u32,
    reused: u64,
}

/// What became of the connections to one server's socket.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    connections: u64,
    refused: u64,
    unanswered: u64,
    answered: u64,
    half_open: u64,
    overflows: u64,
}

/// What was tried from one host on another.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// Ports that refused or did not answer.
    ports: Vec<u16>,
}

/// What is asked of one connection.
#[derive(Clone, Copy, Debug)]
struct Outline {
    client: SocketAddr,
    server: SocketAddr,
    start: Duration,
    closed_by: ClosedBy,
    has_syn: bool,
    /// The handshake was done.
    is_answered: bool,
    /// It was not, though the server answered.
    is_half_open: bool,
    has_late_syn_ack: bool,
    is_reused_soon: bool,
    is_one_sided: bool,
    frames: u64,
    copied: u64,
    truncated: u64,
    reversals: u64,
}

impl Outline {
    fn of(connection: &Connection) -> Self {
        let m = &connection.milestones;
        let rare = m.rare.as_deref();
        let previous = rare.and_then(|rare| rare.previous);
        let [client, server] = End::BOTH.map(|end| connection.endpoints[end].addr);
        let [sent, answered] = [&connection.totals.client, &connection.totals.server];
        Self {
            client,
            server,
            start: connection.start,
            closed_by: connection.closed_by(),
            has_syn: m.first_syn.is_some(),
            is_answered: m.handshake.is_some(),
            is_half_open: m.syn_ack.is_some() && m.handshake.is_none(),
            has_late_syn_ack: rare.is_some_and(|rare| rare.late_syn_acks > 0),
            is_reused_soon: previous.is_some_and(|p| p.ago < Duration::from_secs(TIME_WAIT)),
            is_one_sided: super::only_heard(connection).is_some(),
            frames: sent.frames + answered.frames,
            copied: sent.duplicate_frames + answered.duplicate_frames,
            truncated: sent.truncated + answered.truncated,
            reversals: sent.time_reversals + answered.time_reversals,
        }
    }

    /// Of one that was opened and closed as usual.
    fn of_ordinary(record: &Ordinary) -> Self {
        Self {
            client: record.addr(End::Client),
            server: record.addr(End::Server),
            start: record.start(),
            closed_by: ClosedBy::Fin(record.first_closer()),
            has_syn: true,
            is_answered: true,
            is_half_open: false,
            has_late_syn_ack: false,
            is_reused_soon: false,
            is_one_sided: false,
            frames: record.frames(),
            copied: 0,
            truncated: 0,
            reversals: 0,
        }
    }
}

/// Looks at all connections of a capture together.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    connections: u64,
    ports: HashMap<Pair, Ports>,
    served: HashMap<SocketAddr, Served>,
    tried: HashMap<(IpAddr, IpAddr), Tried>,
    copied: u64,
    frames: u64,
    one_sided: u64,
    truncated: u64,
    reversals: u64,
}

impl Overview {
    /// An overview of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a connection into account.
    pub fn add(&mut self, connection: &Connection) {
        self.add_outline(&Outline::of(connection));
    }

    /// The same of one that is over, which need not be made whole for it.
    pub fn add_past(&mut self, past: &Past) {
        match past.ordinary().filter(|record| record.is_over()) {
            Some(record) => self.add_outline(&Outline::of_ordinary(record)),
            None => self.add(past.connection()),
        }
    }

    fn add_outline(&mut self, outline: &Outline) {
        self.connections += 1;
        if outline.has_syn {
            self.add_ports(outline);
            self.add_served(outline);
        }
        self.frames += outline.frames;
        self.copied += outline.copied;
        self.truncated += outline.truncated;
        self.reversals += outline.reversals;
        self.one_sided += u64::from(outline.is_one_sided);
    }

    fn add_ports(&mut self, outline: &Outline) {
        let is_full = self.ports.len() >= PAIRS_MAX;
        let pair = (outline.client.ip(), outline.server);
        if is_full && !self.ports.contains_key(&pair) {
            return;
        }
        let ports = self.ports.entry(pair).or_insert_with(Ports::new);
        ports.begin(outline.start.as_secs());
        ports.reused += u64::from(outline.is_reused_soon);
    }

    fn add_served(&mut self, outline: &Outline) {
        let Outline { client, server, .. } = *outline;
        let closed_by = outline.closed_by;
        let failed = matches!(closed_by, ClosedBy::Refused | ClosedBy::Unanswered);
        if failed {
            let hosts = (client.ip(), server.ip());
            if self.tried.len() < PAIRS_MAX || self.tried.contains_key(&hosts) {
                let ports = &mut self.tried.entry(hosts).or_default().ports;
                if ports.len() < 1024 && !ports.contains(&server.port()) {
                    ports.push(server.port());
                }
            }
        }
        if self.served.len() >= PAIRS_MAX && !self.served.contains_key(&server) {
            return;
        }
        let served = self.served.entry(server).or_default();
        served.connections += 1;
        served.refused += u64::from(closed_by == ClosedBy::Refused);
        served.unanswered += u64::from(closed_by == ClosedBy::Unanswered);
        served.answered += u64::from(outline.is_answered);
        served.half_open += u64::from(outline.is_half_open);
        served.overflows += u64::from(outline.has_late_syn_ack);
    }

    /// What there is to say, the gravest first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut pairs: Vec<_> = self.ports.iter().collect();
        pairs.sort_unstable_by_key(|(pair, _)| **pair);
        for (pair, ports) in pairs {
            found.extend(ports.finding(*pair));
        }
        let mut tried: Vec<_> = self.tried.iter().collect();
        tried.sort_unstable_by_key(|(hosts, _)| **hosts);
        for ((from, to), tried) in tried {
            found.extend(tried.finding(*from, *to));
        }
        let mut served: Vec<_> = self.served.iter().collect();
        served.sort_unstable_by_key(|(server, _)| **server);
        for (server, served) in served {
            found.extend(served.finding(*server));
        }
        found.extend(self.mirrored());
        found.extend(self.half_captured());
        found.extend(self.cut());
        found.sort_by_key(Finding::rank);
        found
    }

    fn mirrored(&self) -> Option<Finding> {
        // Every packet twice is half of all frames; single copies are told of each connection.
        if self.copied < MANY || self.copied * 10 < self.frames {
            return None;
        }
        let text = format!(
            "{} of {} are copies of others: the capture was taken from a mirror of several ports, or at \
             two points of the way. Copies are left out of all counts.",
            thousands(self.copied),
            count(self.frames, "frame"),
        );
        Some(Finding::new("mirror_duplicates", Vec::new(), text))
    }

    fn half_captured(&self) -> Option<Finding> {
        if self.one_sided < 2 || self.one_sided * 2 < self.connections {
            return None;
        }
        let text = format!(
            "Of {} of {} only one direction was captured: the way back is another one (asymmetric \
             routing), or one direction of the port is mirrored, or a filter left it out.",
            thousands(self.one_sided),
            count(self.connections, "connection"),
        );
        Some(Finding::new("one_direction_captured", Vec::new(), text))
    }

    fn cut(&self) -> Option<Finding> {
        if self.truncated == 0 {
            return None;
        }
        let text = format!(
            "The capture's snap length cut {} of {}: lengths come from the headers, contents are partly \
             unknown.",
            thousands(self.truncated),
            count(self.frames, "frame"),
        );
        Some(Finding::new("frames_cut", Vec::new(), text))
    }
}

impl Ports {
    fn new() -> Self {
        Self {
            begun: Box::new([0; TIME_WAIT as usize]),
            newest: 0,
            in_window: 0,
            most: 0,
            reused: 0,
        }
    }

    /// A connection began in this second.
    fn begin(&mut self, second: u64) {
        if second > self.newest {
            let passed = (second - self.newest).min(TIME_WAIT);
            for ago in 0..passed {
                if let Some(slot) = self.slot(second - ago) {
                    self.in_window -= core::mem::take(slot).min(self.in_window);
                }
            }
            self.newest = second;
        }
        // Connections come nearly in the order of their starts; one that is older than the window
        // changes nothing any more.
        if self.newest - second.min(self.newest) >= TIME_WAIT {
            return;
        }
        if let Some(slot) = self.slot(second) {
            *slot += 1;
        }
        self.in_window += 1;
        self.most = self.most.max(self.in_window);
    }

    fn slot(&mut self, second: u64) -> Option<&mut u32> {
        let at = usize::try_from(second % TIME_WAIT).ok()?;
        self.begun.get_mut(at)
    }

    fn finding(&self, (client, server): Pair) -> Option<Finding> {
        if self.most >= EXHAUSTED {
            let text = format!(
                "Ports run out: {client} opened {} connections to {server} within {TIME_WAIT} s, and a \
                 port that closed first stays taken for as long; Linux has {} for each destination \
                 (RFC 9293 §3.6.1, RFC 6056).",
                thousands(u64::from(self.most)),
                thousands(u64::from(EPHEMERAL)),
            );
            return Some(Finding::new("port_exhaustion", Vec::new(), text));
        }
        if self.reused < 2 {
            return None;
        }
        let text = format!(
            "{client} used ports for {server} again within {TIME_WAIT} s {} times: it opens connections \
             quickly, or from few ports.",
            thousands(self.reused),
        );
        Some(Finding::new("rapid_reuse", Vec::new(), text))
    }
}

impl Tried {
    fn finding(&self, from: IpAddr, to: IpAddr) -> Option<Finding> {
        (self.ports.len() >= SCAN_PORTS).then(|| {
            let text = format!(
                "A port scan, probably: {from} tried {} ports of {to} that refused or did not answer.",
                thousands(self.ports.len() as u64),
            );
            Finding::new("port_scan", Vec::new(), text)
        })
    }
}

impl Served {
    fn finding(&self, server: SocketAddr) -> Option<Finding> {
        let all = count(self.connections, "attempt");
        let lacks_most = |failed: u64| failed * 2 >= self.connections;
        if self.half_open >= FLOOD && lacks_most(self.half_open) {
            let text = format!(
                "A SYN flood, probably: {} of {all} on {server} were answered and never acknowledged \
                 (RFC 4987).",
                thousands(self.half_open),
            );
            return Some(Finding::new("syn_flood", Vec::new(), text));
        }
        if self.refused >= MANY && lacks_most(self.refused) {
            let text = format!(
                "{server} refused {} of {all}: nothing listens there, or it stopped.",
                thousands(self.refused),
            );
            return Some(Finding::new("many_refused", Vec::new(), text));
        }
        if self.overflows >= 2 || self.unanswered >= MANY && self.answered > 0 {
            let text = format!(
                "{server} is overloaded, probably: of {all} {} were not answered and {} had to wait for \
                 the accept queue, while others went through.",
                thousands(self.unanswered),
                thousands(self.overflows),
            );
            return Some(Finding::new("server_overloaded", Vec::new(), text));
        }
        if self.unanswered >= MANY {
            let text = format!(
                "{server} answered none of {all}: it is down, filtered, or its answers take another way."
            );
            return Some(Finding::new("server_silent", Vec::new(), text));
        }
        None
    }
}
