//! What stands in front of a link's transmitter, and when it leaves.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bandwidth::{Cursor, Place};
use crate::codel::Codel;
use crate::police::time_of;
use crate::{Aqm, Impairment, Marking, Packet, Queue};

/// How much waits, the packet on the transmitter included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub bytes: u64,
}

/// How long packets waited before their first bit left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waits {
    /// Packets that left.
    pub packets: u64,
    /// The sum of their waits.
    pub total: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The most octets that the queue held, the packet on the transmitter included.
    pub deepest: u64,
}

impl Waits {
    /// The mean wait.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos() / u128::from(self.packets.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn add(&mut self, wait: Duration) {
        self.packets += 1;
        self.total = self.total.saturating_add(wait);
        self.longest = self.longest.max(wait);
    }
}

/// How fast the transmitter is.
#[derive(Clone, Debug)]
enum Pace {
    Unlimited,
    Rate(u64),
    Recorded(Cursor),
}

impl Pace {
    fn of(impairment: &Impairment) -> Self {
        match (&impairment.bandwidth, impairment.rate) {
            (Some(bandwidth), _) => Self::Recorded(Cursor::new(bandwidth.clone())),
            (None, Some(rate)) => Self::Rate(rate),
            (None, None) => Self::Unlimited,
        }
    }
}

/// What became of a packet that was offered to the queue.
pub(crate) enum Offered<P> {
    /// Its last bit leaves then.
    Departs(Duration, P),
    /// That is decided when it leaves.
    Waits,
    /// There was no room.
    Full,
}

/// A packet that left the queue.
pub(crate) enum Released<P> {
    /// Its last bit leaves then.
    Departs(Duration, P),
    /// CoDel dropped it.
    Dropped,
}

struct Standing<P> {
    since: Duration,
    packet: P,
}

/// The transmitter and its queue.
///
/// Where nothing that comes later can change what becomes of a packet, its departure is computed when it is
/// pushed. CoDel and the thinning of acknowledgements need packets that really stand there.
pub(crate) struct Transmitter<P> {
    pace: Pace,
    slot: Option<Duration>,
    limit: Queue,
    marking: Marking,
    codel: Option<Codel>,
    thins: bool,
    /// Packets whose departure is known: (end of transmission, octets).
    departing: VecDeque<(Duration, u64)>,
    departing_bytes: u64,
    /// When the transmitter falls idle.
    idle_from: Duration,
    standing: VecDeque<Standing<P>>,
    standing_bytes: u64,
    largest: u64,
    waits: Waits,
    pub(crate) marked: u64,
    pub(crate) thinned: u64,
}

impl<P: Packet> Transmitter<P> {
    /// Packets that are looked through for an older acknowledgement.
    const LOOK_BACK: usize = 256;

    pub(crate) fn new(impairment: &Impairment) -> Self {
        let mut transmitter = Self {
            pace: Pace::Unlimited,
            slot: None,
            limit: Queue::DEFAULT,
            marking: Marking::None,
            codel: None,
            thins: false,
            departing: VecDeque::new(),
            departing_bytes: 0,
            idle_from: Duration::ZERO,
            standing: VecDeque::new(),
            standing_bytes: 0,
            largest: 0,
            waits: Waits::default(),
            marked: 0,
            thinned: 0,
        };
        transmitter.set(impairment);
        transmitter
    }

    /// Other rules from now on; what stands there stays.
    pub(crate) fn set(&mut self, impairment: &Impairment) {
        let impairment = &impairment.clone().resolve(impairment.delay * 2);
        self.pace = Pace::of(impairment);
        self.slot = impairment.slot.filter(|slot| !slot.is_zero());
        self.limit = impairment.queue.unwrap_or(Queue::DEFAULT);
        self.marking = impairment.ecn;
        self.codel = match impairment.aqm {
            Aqm::DropTail => None,
            Aqm::Codel { target, interval } => Some(Codel::new(target, interval)),
        };
        self.thins = impairment.thin;
    }

    pub(crate) fn waits(&self) -> Waits {
        self.waits
    }

    /// Packets that stand, without those whose departure is known.
    pub(crate) fn standing(&self) -> usize {
        self.standing.len()
    }

    pub(crate) fn standing_bytes(&self) -> u64 {
        self.standing_bytes
    }

    pub(crate) fn backlog(&mut self, now: Duration) -> Backlog {
        while let Some(&(end, bytes)) = self.departing.front()
            && end <= now
        {
            self.departing.pop_front();
            self.departing_bytes -= bytes;
        }
        Backlog {
            packets: (self.departing.len() + self.standing.len()) as u64,
            bytes: self.departing_bytes + self.standing_bytes,
        }
    }

    /// Puts a packet at the end of the queue.
    pub(crate) fn offer(&mut self, now: Duration, mut packet: P) -> Offered<P> {
        let stands = self.codel.is_some() || self.thins || !self.standing.is_empty();
        let is_wire = matches!(self.pace, Pace::Unlimited) && self.slot.is_none();
        if is_wire && !stands {
            return Offered::Departs(now, packet);
        }
        let size = packet.size() as u64;
        self.largest = self.largest.max(size);
        if self.thins {
            self.thin(&packet);
        }
        let backlog = self.backlog(now);
        if backlog.packets > 0 && self.reaches(self.limit, backlog, size, now) {
            return Offered::Full;
        }
        let above = match self.marking {
            Marking::Above(threshold) => self.reaches(threshold, backlog, size, now),
            Marking::None | Marking::Instead => false,
        };
        if above && packet.mark_congestion() {
            self.marked += 1;
        }
        self.waits.deepest = self.waits.deepest.max(backlog.bytes + size);
        if stands {
            self.standing_bytes += size;
            self.standing.push_back(Standing { since: now, packet });
            return Offered::Waits;
        }
        let start = self.start(now);
        let (end, place) = self.finish(start, size);
        self.depart(now, start, end, place, size);
        Offered::Departs(end, packet)
    }

    /// Whether a packet of this size comes on top of as much as `queue` says.
    fn reaches(&self, queue: Queue, backlog: Backlog, size: u64, now: Duration) -> bool {
        match queue {
            Queue::Bytes(bytes) => backlog.bytes + size > bytes,
            Queue::Packets(packets) => backlog.packets >= packets,
            Queue::Time(time) => self.wait(now) > time,
            // Resolved when the rules were set.
            Queue::Bdp(_) => false,
        }
    }

    /// How long a packet that comes now would wait, if nothing were dropped before it.
    fn wait(&self, now: Duration) -> Duration {
        let busy = self.idle_from.saturating_sub(now);
        let rate = match &self.pace {
            Pace::Unlimited => return busy,
            Pace::Rate(rate) => *rate,
            Pace::Recorded(cursor) => cursor.mean_rate(),
        };
        busy.saturating_add(time_of(self.standing_bytes, rate))
    }

    /// Takes out an acknowledgement that the new one makes needless.
    fn thin(&mut self, packet: &P) {
        let Some(newer) = packet.pure_ack() else {
            return;
        };
        let found = self
            .standing
            .iter()
            .rev()
            .take(Self::LOOK_BACK)
            .position(|older| {
                older
                    .packet
                    .pure_ack()
                    .is_some_and(|older| newer.supersedes(&older))
            });
        if let Some(from_the_end) = found
            && let Some(older) = self.standing.remove(self.standing.len() - 1 - from_the_end)
        {
            self.standing_bytes -= older.packet.size() as u64;
            self.thinned += 1;
        }
    }

    /// When the packet that stands first leaves the queue.
    pub(crate) fn next(&self) -> Option<Duration> {
        let first = self.standing.front()?;
        Some(self.leaves(first).0)
    }

    /// When a packet leaves the queue, when its last bit is out, and the place in the recording after it.
    fn leaves(&self, first: &Standing<P>) -> (Duration, Duration, Option<Place>) {
        let start = self.start(first.since);
        let (end, place) = self.finish(start, first.packet.size() as u64);
        // In a recording a packet stands until its opportunity comes.
        let leaves = if place.is_some() { end } else { start };
        (leaves, end, place)
    }

    /// Takes the first packet whose turn has come by `now`.
    pub(crate) fn release(&mut self, now: Duration) -> Option<Released<P>> {
        let (leaves, end, place) = self.leaves(self.standing.front()?);
        if leaves > now {
            return None;
        }
        let Standing { since, mut packet } = self.standing.pop_front()?;
        let size = packet.size() as u64;
        self.standing_bytes -= size;
        let sojourn = leaves.saturating_sub(since);
        if let Some(codel) = &mut self.codel
            && codel.takes(leaves, sojourn, self.standing_bytes, self.largest)
        {
            if self.marking != Marking::Instead || !packet.mark_congestion() {
                return Some(Released::Dropped);
            }
            self.marked += 1;
        }
        self.depart(since, leaves, end, place, size);
        Some(Released::Departs(end, packet))
    }

    fn depart(
        &mut self,
        since: Duration,
        start: Duration,
        end: Duration,
        place: Option<Place>,
        size: u64,
    ) {
        self.waits.add(start.saturating_sub(since));
        self.idle_from = end;
        self.departing.push_back((end, size));
        self.departing_bytes += size;
        if let (Pace::Recorded(cursor), Some(place)) = (&mut self.pace, place) {
            cursor.take(place);
        }
    }

    /// When the transmitter can take a packet that came at `since`.
    fn start(&self, since: Duration) -> Duration {
        let opens = match self.slot {
            Some(slot) => {
                let slots = since.as_nanos().div_ceil(slot.as_nanos());
                let nanos = slots.saturating_mul(slot.as_nanos());
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
            None => since,
        };
        opens.max(self.idle_from)
    }

    fn finish(&self, start: Duration, size: u64) -> (Duration, Option<Place>) {
        match &self.pace {
            Pace::Unlimited => (start, None),
            Pace::Rate(rate) => (start.saturating_add(time_of(size, *rate)), None),
            Pace::Recorded(cursor) => {
                let (end, place) = cursor.finish(start, size);
                (end, Some(place))
            }
        }
    }
}
