//! Frames and truths in, connections out; in bounded memory.

use crate::connection::Connection;
use crate::dissect::{Content, Dissected, Ignored, Quoted, dissect};
use crate::follow::Seen;
use crate::model::End;
use crate::step::Fate;
use crate::truth::{Truth, TruthEvent};
use core::time::Duration;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use transom_wire::Medium;
use transom_wire::tcp::Flags;

/// What a tracker may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Steps of each connection kept in full from its start. Default 64.
    pub first_steps: usize,
    /// Steps of each connection kept in full up to its end. Default 64.
    pub last_steps: usize,
    /// Connections followed at once; beyond that the longest followed one is let go. Default 65,536.
    pub open: usize,
    /// Connections kept after their end; beyond that the oldest is forgotten. Default 16,384.
    pub closed: usize,
    /// Host names kept for connections to come. Default 16,384.
    pub names: usize,
    /// How long a closed connection is followed for segments that come late. Default 4 minutes
    /// (2 MSL, RFC 9293 §3.4.2).
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_steps: 64,
            last_steps: 64,
            open: 65_536,
            closed: 16_384,
            names: 16_384,
            linger: Duration::from_secs(240),
        }
    }
}

/// A frame as captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it passed, since an origin of the caller's choice.
    pub time: Duration,
    /// What the bytes start with.
    pub medium: Medium,
    /// The bytes.
    pub data: &'a [u8],
    /// Data bytes of each segment of a super-packet; 0 if it is one segment, or unknown.
    pub gso_size: u16,
    /// Whether it arrives, if that is known.
    pub fate: Fate,
}

impl<'a> Frame<'a> {
    /// A frame of one segment, of which nothing more is known.
    #[must_use]
    pub const fn new(time: Duration, medium: Medium, data: &'a [u8]) -> Self {
        Self {
            time,
            medium,
            data,
            gso_size: 0,
            fate: Fate::Unknown,
        }
    }
}

/// What a tracker has seen, followed, and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames given.
    pub frames: u64,
    /// Frames that carried TCP of a connection.
    pub segments: u64,
    /// ICMP errors about a connection.
    pub icmp: u64,
    /// Frames that were not IP.
    pub not_ip: u64,
    /// Frames that were neither TCP nor an ICMP error about TCP.
    pub not_tcp: u64,
    /// Fragments, which are not followed.
    pub fragments: u64,
    /// Frames whose headers cannot be read.
    pub malformed: u64,
    /// ICMP errors about connections that are not followed.
    pub icmp_unknown: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections let go while open, because too many were.
    pub evicted: u64,
    /// Connections forgotten after their end, because too many were kept.
    pub forgotten: u64,
    /// Truths about connections of which no frame came in time.
    pub unmatched_truths: u64,
}

/// The two sockets of a connection, in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair(SocketAddr, SocketAddr);

impl Pair {
    fn new(a: SocketAddr, b: SocketAddr) -> Self {
        if a <= b { Self(a, b) } else { Self(b, a) }
    }
}

/// Truths that wait for the first frame of their connection.
const EARLY_TRUTHS_MAX: usize = 1024;

/// Follows connections.
///
/// Feed it with [`frame`](Self::frame) and [`truth`](Self::truth) in the order of time, name hosts
/// with [`label`](Self::label), and call [`finish`](Self::finish) once nothing more will come.
/// [`connections`](Self::connections) may be asked at any time.
///
/// Memory is bounded by [`Limits`]; what is left out is counted in [`Counters`].
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    counters: Counters,
    /// The connection followed between two sockets, by its number.
    open: HashMap<Pair, u64>,
    followed: BTreeMap<u64, Connection>,
    /// Connections that closed, with the time, oldest first.
    lingering: VecDeque<(Duration, u64)>,
    closed: VecDeque<Connection>,
    names: HashMap<IpAddr, Arc<str>>,
    name_order: VecDeque<IpAddr>,
    early: VecDeque<Truth>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: Counters::default(),
            open: HashMap::new(),
            followed: BTreeMap::new(),
            lingering: VecDeque::new(),
            closed: VecDeque::new(),
            names: HashMap::new(),
            name_order: VecDeque::new(),
            early: VecDeque::new(),
        }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the next frame and returns its number, counted from 1; the steps refer to it.
    ///
    /// # Errors
    /// [`Ignored`] if it belongs to no TCP connection; it is counted and has its number all the same.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<u64, Ignored> {
        self.counters.frames += 1;
        let number = self.counters.frames;
        self.let_go(frame.time);
        let content = dissect(frame.medium, frame.data).inspect_err(|ignored| {
            let counters = &mut self.counters;
            match ignored {
                Ignored::NotIp => counters.not_ip += 1,
                Ignored::NotTcp => counters.not_tcp += 1,
                Ignored::Fragment => counters.fragments += 1,
                Ignored::Malformed(_) => counters.malformed += 1,
            }
        })?;
        match content {
            Content::Tcp(segment) => {
                let seen = Seen {
                    time: frame.time,
                    frame: number,
                    gso_size: frame.gso_size,
                    fate: frame.fate,
                };
                self.segment(seen, &segment);
            }
            Content::Icmp(quoted) => self.icmp(frame.time, number, &quoted),
        }
        Ok(number)
    }

    /// Takes something known from outside. A truth about a connection that has no frame yet waits
    /// for the first one.
    pub fn truth(&mut self, truth: Truth) {
        let pair = Pair::new(truth.local, truth.peer);
        let Some(connection) = self.open.get(&pair).and_then(|n| self.followed.get_mut(n)) else {
            if self.early.len() >= EARLY_TRUTHS_MAX {
                self.early.pop_front();
                self.counters.unmatched_truths += 1;
            }
            self.early.push_back(truth);
            return;
        };
        // A new attempt between the same sockets starts with its truth, before its first frame.
        let starts_anew = matches!(
            truth.event,
            TruthEvent::State {
                from: transom_tcp::State::Closed,
                to: transom_tcp::State::SynSent
            }
        ) && connection.is_closed();
        if starts_anew {
            self.early.push_back(truth);
            return;
        }
        let was_closed = connection.is_closed();
        let number = connection.number;
        connection.truth(truth.time, truth.local, truth.event);
        if !was_closed && connection.is_closed() {
            self.lingering.push_back((truth.time, number));
        }
    }

    /// Names a host, for its connections so far and to come.
    pub fn label(&mut self, addr: IpAddr, name: &str) {
        let name: Arc<str> = name.into();
        for connection in self.followed.values_mut().chain(&mut self.closed) {
            for end in End::BOTH {
                let endpoint = connection.endpoint(end);
                if endpoint.addr.ip() == addr && endpoint.host.is_none() {
                    connection.set_host(end, &name);
                }
            }
        }
        if self.names.insert(addr, name).is_none() {
            self.name_order.push_back(addr);
            if self.name_order.len() > self.limits.names
                && let Some(oldest) = self.name_order.pop_front()
            {
                self.names.remove(&oldest);
            }
        }
    }

    /// Nothing more will come: segments still on their way arrive, and what is open stays open.
    pub fn finish(&mut self) {
        for connection in self.followed.values_mut() {
            connection.deliver_until(Duration::MAX);
            connection.is_finished = true;
        }
        self.counters.unmatched_truths += self.early.len() as u64;
        self.early.clear();
    }

    /// The connections that are kept, in the order of their first frames.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        let mut all: Vec<&Connection> = self.closed.iter().chain(self.followed.values()).collect();
        all.sort_by_key(|connection| connection.number);
        all.into_iter()
    }

    /// The connection followed between two sockets, whichever is the client.
    #[must_use]
    pub fn connection(&self, a: SocketAddr, b: SocketAddr) -> Option<&Connection> {
        self.followed.get(self.open.get(&Pair::new(a, b))?)
    }

    fn segment(&mut self, seen: Seen, segment: &Dissected<'_>) {
        self.counters.segments += 1;
        let pair = Pair::new(segment.src, segment.dst);
        let current = self.open.get(&pair).copied();
        let reopened = current
            .and_then(|number| self.followed.get(&number))
            .is_some_and(|connection| connection.is_reopened_by(segment));
        let number = match current {
            Some(number) if !reopened => number,
            _ => self.begin(seen.time, segment, pair),
        };
        let Some(connection) = self.followed.get_mut(&number) else {
            return;
        };
        let was_closed = connection.is_closed() && connection.step_count() > 0;
        connection.segment(seen, segment);
        if !was_closed && connection.is_closed() {
            self.lingering.push_back((seen.time, number));
        }
    }

    /// Starts to follow a connection.
    fn begin(&mut self, time: Duration, segment: &Dissected<'_>, pair: Pair) -> u64 {
        if let Some(previous) = self.open.remove(&pair) {
            self.close(previous);
        }
        if self.followed.len() >= self.limits.open.max(1)
            && let Some((&longest, _)) = self.followed.first_key_value()
        {
            self.counters.evicted += 1;
            self.close(longest);
        }
        self.counters.connections += 1;
        let number = self.counters.connections;
        let is_syn = segment.flags.contains(Flags::SYN);
        // A SYN,ACK comes from the server; without a SYN the lower port is more likely the server's.
        let is_from_client = match (is_syn, segment.ack) {
            (true, ack) => ack.is_none(),
            (false, _) => segment.src.port() >= segment.dst.port(),
        };
        let (client, server) = if is_from_client {
            (segment.src, segment.dst)
        } else {
            (segment.dst, segment.src)
        };
        let mut connection = Connection::new(number, client, server, time, &self.limits);
        connection.are_roles_known = is_syn;
        for end in End::BOTH {
            if let Some(name) = self.names.get(&connection.endpoint(end).addr.ip()) {
                connection.set_host(end, name);
            }
        }
        let (mine, others) = core::mem::take(&mut self.early)
            .into_iter()
            .partition(|truth: &Truth| Pair::new(truth.local, truth.peer) == pair);
        self.early = others;
        let mine: VecDeque<Truth> = mine;
        for truth in mine {
            connection.truth(truth.time, truth.local, truth.event);
        }
        self.open.insert(pair, number);
        self.followed.insert(number, connection);
        number
    }

    fn icmp(&mut self, time: Duration, frame: u64, quoted: &Quoted) {
        let pair = Pair::new(quoted.src, quoted.dst);
        match self
            .open
            .get(&pair)
            .and_then(|number| self.followed.get_mut(number))
        {
            Some(connection) => {
                self.counters.icmp += 1;
                connection.icmp(time, frame, quoted);
            }
            None => self.counters.icmp_unknown += 1,
        }
    }

    /// Stops following connections that closed long enough ago.
    fn let_go(&mut self, now: Duration) {
        while let Some((closed, number)) = self.lingering.front().copied()
            && now.saturating_sub(closed) > self.limits.linger
        {
            self.lingering.pop_front();
            if self
                .followed
                .get(&number)
                .is_some_and(Connection::is_closed)
            {
                self.close(number);
            }
        }
    }

    /// Keeps a connection as past.
    fn close(&mut self, number: u64) {
        let Some(mut connection) = self.followed.remove(&number) else {
            return;
        };
        connection.deliver_until(Duration::MAX);
        connection.is_finished = true;
        let [client, server] = End::BOTH.map(|end| connection.endpoint(end).addr);
        let pair = Pair::new(client, server);
        if self.open.get(&pair) == Some(&number) {
            self.open.remove(&pair);
        }
        self.closed.push_back(connection);
        if self.closed.len() > self.limits.closed {
            self.closed.pop_front();
            self.counters.forgotten += 1;
        }
    }
}
