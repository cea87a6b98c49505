//! Frames and truths in, connections out; in bounded memory.

use crate::connection::Connection;
use crate::dissect::{Content, Dissected, Ignored, Quoted, dissect};
use crate::filter::Place;
use crate::follow::Seen;
use crate::milestones::Before;
use crate::model::End;
use crate::ordinary::Ordinary;
use crate::past::{Followed, Past};
use crate::step::Fate;
use crate::table::{Pair, Table};
use crate::truth::{Truth, TruthEvent};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
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
    /// Closed connections followed at once for segments that come late; beyond that the one that closed
    /// first is let go. Default 8,192.
    pub lingering: usize,
    /// Connections kept after they were let go; beyond that the oldest is forgotten. Default 16,384.
    pub closed: usize,
    /// Host names kept for connections to come. Default 16,384.
    pub names: usize,
    /// How long a closed connection is followed for segments that come late. Default 4 minutes
    /// (2 MSL, RFC 9293 §3.4.2).
    pub linger: Duration,
    /// Points kept of each connection and direction for graphs; 0 keeps none. Default 0.
    pub series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_steps: 64,
            last_steps: 64,
            open: 65_536,
            lingering: 8_192,
            closed: 16_384,
            names: 16_384,
            linger: Duration::from_secs(240),
            series: 0,
        }
    }
}

/// What is known about the TCP checksum of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It was not checked, or not all that it covers was captured.
    #[default]
    Unknown,
    /// It is right.
    Right,
    /// The sending host left it to its network card: nothing is wrong.
    Offloaded,
    /// It is wrong: the segment was damaged, and its receiver drops it.
    Wrong,
}

/// A frame as captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its number in the capture, from 1; `None` to count the frames as they are given.
    pub number: Option<u64>,
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
    /// Bytes that there were on the wire, padding of the link included; 0 if all are in `data`. It counts
    /// where the IP header states no length.
    pub wire_len: u32,
    /// What is known about its TCP checksum.
    pub checksum: Checksum,
}

impl<'a> Frame<'a> {
    /// A frame of one segment, of which nothing more is known.
    #[must_use]
    pub const fn new(time: Duration, medium: Medium, data: &'a [u8]) -> Self {
        Self {
            number: None,
            time,
            medium,
            data,
            gso_size: 0,
            fate: Fate::Unknown,
            wire_len: 0,
            checksum: Checksum::Unknown,
        }
    }

    /// The same with these bytes.
    #[must_use]
    pub const fn with_data<'b>(&self, data: &'b [u8]) -> Frame<'b> {
        Frame {
            number: self.number,
            time: self.time,
            medium: self.medium,
            data,
            gso_size: self.gso_size,
            fate: self.fate,
            wire_len: self.wire_len,
            checksum: self.checksum,
        }
    }
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tracked {
    /// Its number in the capture, from 1; the steps refer to it.
    pub frame: u64,
    /// Number of its connection, from 1; 0 for an ICMP error about a connection that is not followed.
    pub connection: u64,
    pub(crate) slot: u32,
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

impl Counters {
    /// Counts a frame that is not followed.
    pub(crate) const fn ignore(&mut self, ignored: Ignored) {
        match ignored {
            Ignored::NotIp => self.not_ip += 1,
            Ignored::NotTcp => self.not_tcp += 1,
            Ignored::Fragment => self.fragments += 1,
            Ignored::Malformed(_) => self.malformed += 1,
        }
    }

    /// Adds what another tracker has seen.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.segments += other.segments;
        self.icmp += other.icmp;
        self.not_ip += other.not_ip;
        self.not_tcp += other.not_tcp;
        self.fragments += other.fragments;
        self.malformed += other.malformed;
        self.icmp_unknown += other.icmp_unknown;
        self.connections += other.connections;
        self.evicted += other.evicted;
        self.forgotten += other.forgotten;
        self.unmatched_truths += other.unmatched_truths;
    }
}

/// Truths that wait for the first frame of their connection.
const EARLY_TRUTHS_MAX: usize = 1024;

/// Connections whose memory waits to be used again.
const SPENT_MAX: usize = 1024;

/// Follows connections.
///
/// Feed it with [`frame`](Self::frame) and [`truth`](Self::truth) in the order of time, name hosts
/// with [`label`](Self::label), and call [`finish`](Self::finish) once nothing more will come.
/// [`connections`](Self::connections) may be asked at any time. Whoever reads a long capture takes
/// the connections that are over out of it now and then, with [`take_closed`](Self::take_closed).
///
/// Memory is bounded by [`Limits`]; what is left out is counted in [`Counters`].
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    counters: Counters,
    followed: Table,
    /// Connections that closed: when, slot and number; oldest first.
    lingering: VecDeque<Lingering>,
    /// Connections that were let go and are kept.
    closed: VecDeque<Followed>,
    names: HashMap<IpAddr, Arc<str>>,
    name_order: VecDeque<IpAddr>,
    early: VecDeque<Truth>,
    /// The time of the newest frame.
    newest: Duration,
    /// Before this no connection has to be let go for its age.
    let_go_at: Duration,
    /// Memory of connections that nobody wants any more, to be used again.
    #[expect(clippy::vec_box, reason = "they keep their places in memory")]
    spent: Vec<Box<Connection>>,
    /// The same of records.
    #[expect(clippy::vec_box, reason = "they keep their places in memory")]
    spent_records: Vec<Box<Ordinary>>,
    /// Ordinary connections are only recorded, and made whole with these limits.
    records: Option<Arc<Limits>>,
}

/// A connection that closed, and is followed for segments that come late.
#[derive(Clone, Copy, Debug)]
struct Lingering {
    since: Duration,
    slot: u32,
    number: u64,
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
            followed: Table::new(),
            lingering: VecDeque::new(),
            closed: VecDeque::new(),
            names: HashMap::new(),
            name_order: VecDeque::new(),
            early: VecDeque::new(),
            newest: Duration::ZERO,
            let_go_at: Duration::ZERO,
            spent: Vec::new(),
            spent_records: Vec::new(),
            records: None,
        }
    }

    /// A tracker that keeps only a record of ordinary connections, for those who take them out when they
    /// are over and do not ask for them before.
    pub(crate) fn recording(limits: Limits) -> Self {
        Self {
            records: Some(Arc::new(limits)),
            ..Self::new(limits)
        }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the next frame and tells where it belongs.
    ///
    /// # Errors
    /// [`Ignored`] if it belongs to no TCP connection; it is counted and has its number all the same.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<Tracked, Ignored> {
        let seen = Seen {
            time: frame.time,
            frame: frame.number.unwrap_or(self.counters.frames + 1),
            gso_size: frame.gso_size,
            fate: frame.fate,
        };
        // By reference: a segment is large to be moved.
        match &dissect(frame) {
            Ok(content) => Ok(self.content(seen, content)),
            Err(ignored) => {
                self.counters.frames += 1;
                self.pass_time(frame.time);
                self.counters.ignore(*ignored);
                Err(*ignored)
            }
        }
    }

    /// The same with what the frame holds.
    pub(crate) fn content(&mut self, seen: Seen, content: &Content<'_>) -> Tracked {
        self.counters.frames += 1;
        self.pass_time(seen.time);
        let (connection, slot) = match content {
            Content::Tcp(segment) => self.segment(seen, segment),
            Content::Icmp(quoted) => self.icmp(seen.time, seen.frame, quoted),
        };
        Tracked {
            frame: seen.frame,
            connection,
            slot,
        }
    }

    /// The connection of the frame that was given last, if it is followed.
    #[must_use]
    pub fn followed(&self, tracked: &Tracked) -> Option<&Connection> {
        self.followed
            .whole(tracked.slot)
            .filter(|connection| connection.number == tracked.connection)
    }

    /// What a filter may ask of the frame that was given last, besides its bytes: where it belongs,
    /// and what it is for. `None` if it belongs to no connection that is followed.
    #[must_use]
    pub fn place(&self, tracked: &Tracked) -> Option<Place> {
        let connection = self.followed(tracked)?;
        let mut place = Place::new(tracked.connection.saturating_sub(1));
        if let Some(segment) = connection.steps.recent(tracked.frame) {
            place.meaning = Some(segment.meaning);
            place.relative_seq = Some(segment.relative_seq);
            place.relative_ack = segment.relative_ack;
            place.window = Some(segment.window);
            place.fills_window = segment.fills_window;
        }
        Some(place)
    }

    /// Takes something known from outside. A truth about a connection that has no frame yet waits
    /// for the first one.
    pub fn truth(&mut self, truth: Truth) {
        let pair = Pair::new(truth.local, truth.peer);
        let found = self.followed.find(&pair);
        let Some((slot, connection)) = found.and_then(|slot| Some((slot, self.whole(slot)?)))
        else {
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
        connection.truth(truth.time, truth.local, truth.event);
        self.linger_if_closed(slot, truth.time);
    }

    /// Names a host, for its connections so far and to come.
    pub fn label(&mut self, addr: IpAddr, name: &str) {
        let name: Arc<str> = name.into();
        for connection in self.followed.iter_mut().chain(&mut self.closed) {
            for end in End::BOTH {
                if connection.addr(end).ip() == addr {
                    connection.name(end, &name);
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
        for connection in self.followed.iter_mut() {
            connection.finish(self.newest);
        }
        self.counters.unmatched_truths += self.early.len() as u64;
        self.early.clear();
    }

    /// The connections that are kept, in the order of their first frames.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        let kept = self.closed.iter().chain(self.followed.iter());
        let mut all: Vec<&Connection> = kept.filter_map(Followed::whole).collect();
        all.sort_unstable_by_key(|connection| connection.number);
        all.into_iter()
    }

    /// Whether [`take_closed`](Self::take_closed) has any.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Lets the connections go that closed long enough before `now`, as a frame at that time does.
    pub fn pass_time(&mut self, now: Duration) {
        self.newest = self.newest.max(now);
        self.let_go(now);
    }

    /// Takes out the connections that are over, in the order in which they were let go: those that closed
    /// longer than [`Limits::linger`] ago, that made room for others, or whose sockets were used anew.
    ///
    /// To lose none, call it before more than [`Limits::closed`] have gathered.
    pub fn take_closed(&mut self) -> impl Iterator<Item = Connection> {
        self.closed.drain(..).map(|over| *over.into_whole())
    }

    /// The same as far as they are known.
    pub(crate) fn take_past(&mut self) -> impl Iterator<Item = Past> {
        self.closed.drain(..).map(Past::from)
    }

    /// Keeps the memory of a connection for one that begins later.
    pub(crate) fn recycle(&mut self, spent: Past) {
        if let Some(record) = spent.record
            && self.spent_records.len() < SPENT_MAX
        {
            self.spent_records.push(record);
        }
        if let Some(connection) = spent.whole.into_inner()
            && self.spent.len() < SPENT_MAX
        {
            self.spent.push(connection);
        }
    }

    /// Takes out all connections, in the order of their first frames; after [`finish`](Self::finish) that
    /// is what is left.
    pub fn take_all(&mut self) -> impl Iterator<Item = Connection> {
        let all = self.take_all_past();
        all.map(|past| *past.into_connection())
    }

    /// The same as far as they are known.
    pub(crate) fn take_all_past(&mut self) -> impl Iterator<Item = Past> {
        self.lingering.clear();
        let mut all: Vec<Followed> = self.closed.drain(..).collect();
        all.extend(self.followed.drain());
        all.sort_unstable_by_key(Followed::number);
        all.into_iter().map(Past::from)
    }

    /// The connection followed between two sockets, whichever is the client.
    #[must_use]
    pub fn connection(&self, a: SocketAddr, b: SocketAddr) -> Option<&Connection> {
        self.followed.whole(self.followed.find(&Pair::new(a, b))?)
    }

    /// Gives a segment to its connection, and returns its number and slot.
    fn segment(&mut self, seen: Seen, segment: &Dissected<'_>) -> (u64, u32) {
        self.counters.segments += 1;
        let pair = Pair::new(segment.src, segment.dst);
        let mut current = self.find(&pair, seen.time);
        if let Some(slot) = current {
            let is_known = match self.followed.get_mut(slot) {
                Some(Followed::Ordinary(ordinary)) => {
                    if ordinary.take(seen, segment) {
                        let number = ordinary.number;
                        if ordinary.is_over() {
                            self.linger_if_closed(slot, seen.time);
                        }
                        return (number, slot);
                    }
                    let whole = self.whole(slot);
                    whole.is_some_and(|connection| !connection.is_reopened_by(segment))
                }
                Some(Followed::Whole(connection)) => !connection.is_reopened_by(segment),
                None => false,
            };
            current = current.filter(|_| is_known);
        }
        let Some(slot) = current.or_else(|| self.begin(seen, segment, pair)) else {
            return (0, u32::MAX);
        };
        let number = match self.followed.get_mut(slot) {
            // One that began with this segment has it.
            Some(Followed::Ordinary(ordinary)) => ordinary.number,
            Some(Followed::Whole(connection)) => {
                connection.segment(seen, segment);
                connection.number
            }
            None => 0,
        };
        self.linger_if_closed(slot, seen.time);
        (number, slot)
    }

    /// The connection in a slot, made whole if there is only a record of it.
    fn whole(&mut self, slot: u32) -> Option<&mut Connection> {
        let followed = self.followed.get_mut(slot)?;
        if let Followed::Ordinary(ordinary) = followed {
            let spent = self.spent.pop();
            let mut connection = spent.unwrap_or_else(crate::past::blank);
            ordinary.follow(&mut connection);
            let made = Followed::Whole(connection);
            if let Followed::Ordinary(record) = core::mem::replace(followed, made)
                && self.spent_records.len() < SPENT_MAX
            {
                self.spent_records.push(record);
            }
        }
        match self.followed.get_mut(slot)? {
            Followed::Whole(connection) => Some(connection),
            Followed::Ordinary(_) => None,
        }
    }

    /// Starts to follow a connection.
    fn begin(&mut self, seen: Seen, segment: &Dissected<'_>, pair: Pair) -> Option<u32> {
        let previous = self.followed.find(&pair);
        let before = previous
            .and_then(|slot| self.whole(slot))
            .map(|connection| Before::of(connection));
        if let Some(previous) = previous {
            self.close(previous);
        }
        self.make_room();
        self.counters.connections += 1;
        let number = self.counters.connections;
        let is_alone = before.is_none() && self.early.is_empty();
        let records = self.records.as_ref().filter(|_| is_alone);
        let mut followed = if let Some(limits) = records
            && Ordinary::may_begin(seen, segment)
        {
            let spent = self.spent_records.pop();
            let mut record = spent.unwrap_or_else(|| Box::new(Ordinary::new(limits)));
            record.begin(number, seen, segment);
            Followed::Ordinary(record)
        } else {
            Followed::Whole(self.begin_whole(number, seen.time, segment, before))
        };
        if !self.names.is_empty() {
            for end in End::BOTH {
                if let Some(name) = self.names.get(&followed.addr(end).ip()) {
                    followed.name(end, name);
                }
            }
        }
        if !self.early.is_empty()
            && let Followed::Whole(connection) = &mut followed
        {
            let (mine, others): (VecDeque<Truth>, _) = core::mem::take(&mut self.early)
                .into_iter()
                .partition(|truth: &Truth| Pair::new(truth.local, truth.peer) == pair);
            self.early = others;
            for truth in mine {
                connection.truth(truth.time, truth.local, truth.event);
            }
        }
        self.followed.insert(pair, followed)
    }

    /// A connection that has all that is to be known of it.
    fn begin_whole(
        &mut self,
        number: u64,
        time: Duration,
        segment: &Dissected<'_>,
        before: Option<Before>,
    ) -> Box<Connection> {
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
        let mut connection = match self.spent.pop() {
            Some(mut spent) => {
                spent.renew(number, client, server, time, &self.limits);
                spent
            }
            None => Box::new(Connection::new(number, client, server, time, &self.limits)),
        };
        connection.are_roles_known = is_syn;
        if let Some(before) = &before {
            connection.note_before(before);
        }
        connection
    }

    /// Lets connections go until there is room for one more: closed ones first.
    fn make_room(&mut self) {
        let open = self.limits.open.max(1);
        while self.followed.len() >= open
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.let_one_go(oldest);
        }
        while self.followed.len() >= open
            && let Some(longest) = self.followed.longest()
        {
            self.counters.evicted += 1;
            self.close(longest);
        }
    }

    /// Gives an ICMP error to the connection that it is about, and returns its number and slot.
    fn icmp(&mut self, time: Duration, frame: u64, quoted: &Quoted) -> (u64, u32) {
        let pair = Pair::new(quoted.src, quoted.dst);
        let found = self.find(&pair, time);
        match found.and_then(|slot| Some((slot, self.whole(slot)?))) {
            Some((slot, connection)) => {
                connection.icmp(time, frame, quoted);
                let number = connection.number;
                self.counters.icmp += 1;
                self.linger_if_closed(slot, time);
                (number, slot)
            }
            None => {
                self.counters.icmp_unknown += 1;
                (0, u32::MAX)
            }
        }
    }

    /// The slot of the connection between two sockets, unless it closed longer ago than it is followed:
    /// that one is let go.
    fn find(&mut self, pair: &Pair, now: Duration) -> Option<u32> {
        let slot = self.followed.find_next(pair)?;
        let closed_at = self.followed.get(slot)?.closed_at();
        if closed_at.is_some_and(|at| now.saturating_sub(at) > self.limits.linger) {
            self.close(slot);
            return None;
        }
        Some(slot)
    }

    /// A connection that closed just now is followed for a while for what comes late.
    fn linger_if_closed(&mut self, slot: u32, since: Duration) {
        let Some(connection) = self.followed.get_mut(slot) else {
            return;
        };
        let was_closed = connection.closed_at().is_some();
        if !connection.is_closed_after_newest() {
            if was_closed {
                connection.set_closed_at(None);
            }
            return;
        }
        connection.set_closed_at(Some(since));
        if was_closed {
            return;
        }
        let number = connection.number();
        self.let_go_at = self.let_go_at.min(since.saturating_add(self.limits.linger));
        self.lingering.push_back(Lingering {
            since,
            slot,
            number,
        });
        if self.lingering.len() > self.limits.lingering
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.let_one_go(oldest);
        }
    }

    /// Stops following connections that closed long enough ago.
    fn let_go(&mut self, now: Duration) {
        // Asked with each frame.
        if now < self.let_go_at {
            return;
        }
        while let Some(oldest) = self.lingering.front().copied()
            && now.saturating_sub(oldest.since) > self.limits.linger
        {
            self.lingering.pop_front();
            self.let_one_go(oldest);
        }
        let next = self.lingering.front();
        self.let_go_at = next.map_or(Duration::MAX, |oldest| {
            oldest.since.saturating_add(self.limits.linger)
        });
    }

    /// Stops following a connection, unless it is open again.
    fn let_one_go(&mut self, closed: Lingering) {
        let connection = self.followed.get(closed.slot);
        if connection.is_some_and(|c| c.number() == closed.number && c.is_closed()) {
            self.close(closed.slot);
        }
    }

    /// Keeps a connection as past.
    fn close(&mut self, slot: u32) {
        let Some(mut connection) = self.followed.remove(slot) else {
            return;
        };
        connection.finish(self.newest);
        self.closed.push_back(connection);
        if self.closed.len() > self.limits.closed {
            self.closed.pop_front();
            self.counters.forgotten += 1;
        }
    }
}
