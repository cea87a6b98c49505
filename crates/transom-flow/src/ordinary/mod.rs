//! Connections on which nothing but the ordinary has happened, kept as a record of their segments.
//!
//! Most connections of most captures are opened, carry a few requests and answers in order, and are closed
//! by two FINs. Whether a connection is one of these follows from a few comparisons for each segment; and
//! if it is, all that a list of the worst connections says of it is that it was fine. So they are followed
//! at a fraction of the cost, and a whole [`Connection`](crate::Connection) is made of the record only when something else
//! happens on it, or when somebody wants to see it.
//!
//! Invariants
//! - What is made of a record equals what following its segments at once would have made.
//! - A connection that has a [`weight`](Ordinary::weight) here has no finding above
//!   [`Severity::Fine`](crate::Severity::Fine). Where a comparison here is stricter than that needs, it
//!   only costs time.

mod kept;
mod record;

use kept::Kept;
use record::Record;

use crate::application::FIRST_MAX;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::hint;
use crate::measure::nanos;
use crate::milestones::{Content, talk};
use crate::model::{End, Ends};
use crate::step::Fate;
use crate::summary::Weight;
use crate::tracker::Limits;
use crate::verdict::{opening, pace, quiet};
use core::ops::Range;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// Segments of an ordinary connection; what has more is no short one.
const RECORDS_MAX: usize = 48;
/// Memory that most records need.
const USUAL_RECORDS: usize = 24;
const USUAL_BYTES: usize = 1024;
/// Bytes kept of the start of a segment's data: more than a line that is shown.
const LINE_KEPT: usize = hint::LINE_MAX + 8;
/// A smaller window may be less than a full segment, which is remarked on.
const WINDOW_MIN: u32 = opening::ETHERNET_MSS_V4 as u32;

// The bounds of the findings, as times of records are held.
const FAR: u64 = nanos(opening::FAR);
const SLOW_ANSWER: u64 = nanos(quiet::SLOW_ANSWER);
const RESTART_PAUSE_MIN: u64 = nanos(talk::RESTART_PAUSE_MIN);
const RELEASED_MAX: u64 = nanos(talk::RELEASED_MAX);
const DELAYED_ACK: Range<u64> = nanos(talk::DELAYED_ACK_MIN)..nanos(talk::DELAYED_ACK_MAX);

/// How far the connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    SynSent,
    SynAnswered,
    Open,
    /// Both FINs are acknowledged.
    Over,
}

/// What is known of an end.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// The number that its next segment has.
    next: Seq,
    /// Its newest acknowledgement.
    ack: Seq,
    /// Data that it sent.
    bytes: u32,
    /// What its SYN offers: the largest segment, the window's shift, selective acknowledgement.
    mss: u16,
    shift: Option<u8>,
    sack_permitted: bool,
    hop_limit: u8,
    /// It sent its FIN.
    has_finished: bool,
    /// What its first bytes are shows in those that are kept.
    is_read: bool,
    /// When it last sent data.
    last_data: Option<u64>,
    /// A segment smaller than could be, sent while nothing was under way.
    small: Option<u64>,
    /// When such a segment was acknowledged late.
    held: Option<u64>,
}

impl Side {
    fn mss(&self) -> u32 {
        u32::from(self.mss)
    }
}

/// The record of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Ordinary {
    pub(crate) number: u64,
    client: SocketAddr,
    server: SocketAddr,
    pub(crate) hosts: Ends<Option<Arc<str>>>,
    /// When it closed, if nothing came since.
    pub(crate) closed_at: Option<Duration>,
    /// How far the capture went when it was let go.
    pub(crate) watched_until: Option<Duration>,
    /// The frame of the first segment.
    first_frame: u64,
    first_seq: Ends<Seq>,
    stage: Stage,
    first_closer: End,
    /// From SYN to SYN,ACK, and from there to the acknowledgement: the server's and the client's way.
    trips: Ends<u64>,
    newest: u64,
    sides: Ends<Side>,
    records: Kept<Record>,
    bytes: Kept<u8>,
    limits: Arc<Limits>,
}

impl Ordinary {
    /// An empty record.
    pub(crate) fn new(limits: &Arc<Limits>) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            number: 0,
            client: nowhere,
            server: nowhere,
            hosts: Ends::default(),
            closed_at: None,
            watched_until: None,
            first_frame: 0,
            first_seq: Ends::default(),
            stage: Stage::SynSent,
            first_closer: End::Client,
            trips: Ends::default(),
            newest: 0,
            sides: Ends::default(),
            records: Kept::new(USUAL_RECORDS, Record::BLANK),
            bytes: Kept::new(USUAL_BYTES, 0),
            limits: Arc::clone(limits),
        }
    }

    /// Whether a connection that begins with this segment may be ordinary.
    pub(crate) fn may_begin(seen: Seen, segment: &Dissected<'_>) -> bool {
        segment.flags == Flags::SYN
            && segment.len == 0
            && segment.window > 0
            && is_usual_syn(segment)
            && is_plainly_captured(seen, segment)
            && seen.time < Duration::from_nanos(u64::MAX)
    }

    /// Becomes the record of another connection, and keeps its memory.
    pub(crate) fn begin(&mut self, number: u64, seen: Seen, segment: &Dissected<'_>) {
        self.number = number;
        self.client = segment.src;
        self.server = segment.dst;
        self.hosts = Ends::default();
        self.closed_at = None;
        self.watched_until = None;
        self.first_frame = seen.frame;
        self.stage = Stage::SynSent;
        self.trips = Ends::default();
        self.newest = nanos(seen.time);
        self.sides = Ends::default();
        self.records.clear();
        self.bytes.clear();
        self.note_syn(End::Client, segment);
        self.record(End::Client, seen, segment);
    }

    /// Reads something of each part that [`take`](Self::take) needs.
    pub(crate) fn read(&self) -> u64 {
        let of = |side: &Side| u64::from(side.next.raw()).wrapping_add(side.last_data.unwrap_or(0));
        let parts = [
            u64::from(self.client.port()),
            u64::from(self.closed_at.is_some()),
            self.newest,
            self.first_frame,
            self.trips.client,
            of(&self.sides.client),
            of(&self.sides.server),
            // Where the next segment is recorded.
            self.records.ahead(0).map_or(0, Record::read),
            self.bytes.ahead(0).map_or(0, |byte| u64::from(*byte)),
            self.bytes.ahead(64).map_or(0, |byte| u64::from(*byte)),
        ];
        parts.into_iter().fold(0, u64::wrapping_add)
    }

    /// The client's and the server's.
    pub(crate) const fn sockets(&self) -> (&SocketAddr, &SocketAddr) {
        (&self.client, &self.server)
    }

    pub(crate) const fn addr(&self, end: End) -> SocketAddr {
        match end {
            End::Client => self.client,
            End::Server => self.server,
        }
    }

    /// Whether neither end holds the connection any more, TIME-WAIT aside.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Time of the first segment.
    pub(crate) fn start(&self) -> Duration {
        let first = self.records.first();
        Duration::from_nanos(first.map_or(0, |record| record.nanos))
    }

    /// Frames so far.
    pub(crate) fn frames(&self) -> u64 {
        self.records.len() as u64
    }

    /// The end that sent the first FIN.
    pub(crate) const fn first_closer(&self) -> End {
        self.first_closer
    }

    /// Its place in a list, if it is as ordinary as can be; otherwise the whole connection has to be asked.
    pub(crate) fn weight(&self) -> Option<Weight> {
        let (client, server) = (&self.sides.client, &self.sides.server);
        let bytes = u64::from(client.bytes) + u64::from(server.bytes);
        // A request that had no answer, and perhaps should have had one.
        let is_unanswered = client.last_data > server.last_data
            && client
                .last_data
                .is_some_and(|asked| self.newest - asked >= SLOW_ANSWER);
        (self.is_over() && !is_unanswered).then(|| Weight::fine(self.number, bytes))
    }

    /// Takes the next segment, if it is one that an ordinary connection has there. If not, nothing has
    /// changed.
    pub(crate) fn take(&mut self, seen: Seen, segment: &Dissected<'_>) -> bool {
        let now = nanos(seen.time);
        let is_next = now >= self.newest
            && seen.frame > self.first_frame
            && seen.frame - self.first_frame < u64::from(u32::MAX)
            && segment.ip_len - segment.len < u32::from(u16::MAX)
            && self.records.len() < RECORDS_MAX
            && segment.window > 0
            && is_plainly_captured(seen, segment);
        if !is_next {
            return false;
        }
        let from = if segment.src == self.client {
            End::Client
        } else {
            End::Server
        };
        let is_taken = match self.stage {
            Stage::SynSent => self.take_syn_ack(from, now, segment),
            Stage::SynAnswered => self.take_handshake_ack(from, now, segment),
            Stage::Open => self.take_open(from, now, segment),
            Stage::Over => false,
        };
        if is_taken {
            self.newest = now;
            self.record(from, seen, segment);
        }
        is_taken
    }

    fn note_syn(&mut self, from: End, segment: &Dissected<'_>) {
        self.first_seq[from] = segment.seq;
        let side = &mut self.sides[from];
        side.next = segment.seq + 1;
        side.mss = segment.options.mss.unwrap_or(0);
        side.shift = segment.options.window_scale;
        side.sack_permitted = segment.options.sack_permitted;
        side.hop_limit = segment.hop_limit;
    }

    fn take_syn_ack(&mut self, from: End, now: u64, segment: &Dissected<'_>) -> bool {
        let asked = &self.sides.client;
        // An option that is offered and not taken is remarked on.
        let is_fit = from == End::Server
            && segment.flags == Flags::SYN | Flags::ACK
            && segment.len == 0
            && segment.ack == Some(asked.next)
            && is_usual_syn(segment)
            && segment.options.window_scale.is_some() == asked.shift.is_some()
            && segment.options.sack_permitted == asked.sack_permitted;
        if is_fit {
            self.trips.server = now - self.newest;
            self.sides.server.ack = asked.next;
            self.note_syn(End::Server, segment);
            self.stage = Stage::SynAnswered;
        }
        is_fit
    }

    fn take_handshake_ack(&mut self, from: End, now: u64, segment: &Dissected<'_>) -> bool {
        let trip = now - self.newest;
        let is_fit = from == End::Client
            && segment.flags == Flags::ACK
            && segment.len == 0
            && segment.seq == self.sides.client.next
            && segment.ack == Some(self.sides.server.next)
            && self.is_usual(End::Client, segment)
            && self.trips.server + trip < FAR;
        if is_fit {
            self.trips.client = trip;
            self.sides.client.ack = self.sides.server.next;
            self.stage = Stage::Open;
        }
        is_fit
    }

    /// Hop limit, options and window of a segment that is no SYN.
    fn is_usual(&self, from: End, segment: &Dissected<'_>) -> bool {
        let own = &self.sides[from];
        segment.has_clock_at_most
            && segment.hop_limit == own.hop_limit
            && self.window(own, segment.window) >= WINDOW_MIN
    }

    fn window(&self, own: &Side, window: u16) -> u32 {
        u32::from(window) << own.shift.unwrap_or(0).min(14)
    }

    fn take_open(&mut self, from: End, now: u64, segment: &Dissected<'_>) -> bool {
        let (own, peer) = (&self.sides[from], &self.sides[from.other()]);
        let Some(ack) = segment.ack else { return false };
        let is_fin = segment.flags.contains(Flags::FIN);
        let known = Flags::ACK | Flags::PSH | Flags::FIN;
        let is_fit = segment.seq == own.next
            && (segment.flags | known) == known
            && own.ack.le(ack)
            && ack.le(peer.next)
            && self.is_usual(from, segment)
            && !(own.has_finished && (segment.len > 0 || is_fin))
            // Data after the other end's FIN is a half-close, and FINs may cross.
            && !(peer.has_finished && segment.len > 0)
            && !(peer.has_finished && is_fin && ack != peer.next)
            // A bare acknowledgement of nothing new is a duplicate, an update of the window, or a probe.
            && (segment.len > 0 || is_fin || ack != own.ack);
        if !is_fit || (segment.len > 0 && !self.is_usual_data(from, now, segment)) {
            return false;
        }
        self.note_answer(from, now, ack, segment.len == 0 && !is_fin);
        if segment.len > 0 {
            self.note_data(from, now, segment);
        }
        if is_fin {
            if !self.sides[from.other()].has_finished {
                self.first_closer = from;
            }
            let own = &mut self.sides[from];
            own.next += 1;
            own.has_finished = true;
        }
        let (client, server) = (&self.sides.client, &self.sides.server);
        if client.has_finished
            && server.has_finished
            && client.ack == server.next
            && server.ack == client.next
        {
            self.stage = Stage::Over;
        }
        true
    }

    /// Whether data is of a kind, and comes at a time, that nobody remarks on.
    fn is_usual_data(&self, from: End, now: u64, segment: &Dissected<'_>) -> bool {
        let (own, peer) = (&self.sides[from], &self.sides[from.other()]);
        // A hello is read whole.
        let is_long_hello = own.bytes == 0 && segment.data.len() > FIRST_MAX;
        let is_remarked = is_long_hello || Content::of(segment.data).is_some();
        let since = |time: Option<u64>| time.map_or(0, |time| now - time);
        let is_idle = own.next == peer.ack;
        let is_small = segment.len < peer.mss();
        let was_held = own.held.is_some_and(|at| now - at <= RELEASED_MAX);
        !is_remarked
            && u64::from(own.bytes + segment.len) < pace::TRANSFER_MIN
            && since(peer.last_data) < SLOW_ANSWER
            && !(is_idle
                && since(own.last_data) >= RESTART_PAUSE_MIN
                && own.bytes >= talk::RESTART_SEGMENTS_MIN * peer.mss())
            && !(was_held && is_small && is_idle)
    }

    fn note_answer(&mut self, from: End, now: u64, ack: Seq, is_bare: bool) {
        let trip = self.trips[from];
        self.sides[from].ack = ack;
        let peer = &mut self.sides[from.other()];
        if let Some(small) = peer.small.take_if(|_| ack == peer.next) {
            let delay = (now - small).checked_sub(trip);
            let is_late = delay.is_some_and(|late| DELAYED_ACK.contains(&late));
            if is_bare && is_late {
                peer.held = Some(now);
            }
        }
    }

    fn note_data(&mut self, from: End, now: u64, segment: &Dissected<'_>) {
        let peer = &self.sides[from.other()];
        let (peer_ack, peer_mss) = (peer.ack, peer.mss());
        let own = &mut self.sides[from];
        let is_idle = own.next == peer_ack;
        own.small = (segment.len < peer_mss && is_idle).then_some(now);
        own.held = None;
        own.last_data = Some(now);
        own.next += segment.len;
    }
}

/// Whether the frame is one segment of which nothing was cut off, and whose fate is not known.
fn is_plainly_captured(seen: Seen, segment: &Dissected<'_>) -> bool {
    seen.gso_size == 0 && seen.fate == Fate::Unknown && segment.captured == segment.len
}

/// Whether a SYN asks for segments as large as Ethernet takes, and has nothing that is rare.
fn is_usual_syn(segment: &Dissected<'_>) -> bool {
    let least = if segment.src.is_ipv6() {
        opening::ETHERNET_MSS_V6
    } else {
        opening::ETHERNET_MSS_V4
    };
    let is_large = segment.options.mss.is_some_and(|mss| mss >= least);
    is_large && segment.options.sack.is_empty() && segment.options.fast_open.is_none()
}
