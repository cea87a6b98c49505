//! Frames and truths in, connections out; in bounded memory.

mod life;

pub use crate::frame::{Checksum, Counters, Frame, Limits, Tracked};

use crate::connection::Connection;
use crate::dissect::{Content, Dissected, Ignored, dissect};
use crate::filter::Place;
use crate::follow::Seen;
use crate::model::End;
use crate::ordinary::Ordinary;
use crate::past::{Followed, Past, blank};
use crate::table::{Pair, Table};
use crate::truth::{Truth, TruthEvent};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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
        let number = frame.number.unwrap_or(self.counters.frames + 1);
        let seen = Seen::of(frame, number);
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

    /// Connections that are followed.
    pub(crate) fn open(&self) -> usize {
        self.followed.len()
    }

    /// Reads what following the next frames will need: see [`Table::warm`].
    pub(crate) fn warm(&self, pairs: impl Iterator<Item = Pair>, slots: &mut Vec<u32>) {
        self.followed.warm(pairs, slots);
    }

    /// The next frame is probably of the connection in this slot.
    pub(crate) const fn look_first_in(&mut self, slot: u32) {
        self.followed.look_first_in(slot);
    }

    /// Counts a frame that turned out to belong to no connection.
    pub(crate) const fn ignore(&mut self, ignored: Ignored) {
        self.counters.ignore(ignored);
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
        let mut current = self.find(&segment.src, &segment.dst, seen.time);
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
        let Some(slot) = current.or_else(|| self.begin(seen, segment)) else {
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
            let mut connection = self.spent.pop().unwrap_or_else(blank);
            ordinary.follow(&mut connection);
            let made = Followed::Whole(connection);
            let record = core::mem::replace(followed, made);
            self.recycle(record.into());
        }
        match self.followed.get_mut(slot)? {
            Followed::Whole(connection) => Some(connection),
            Followed::Ordinary(_) => None,
        }
    }
}
