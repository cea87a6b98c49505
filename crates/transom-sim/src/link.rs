//! One direction of a wire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use crate::ip::{self, PureAck};
use crate::loss::LossProcess;
use crate::police::Bucket;
use crate::queue::{Backlog, Offered, Released, Transmitter, Waits};
use crate::{Impairment, Random};

/// What a [`Link`] can carry.
pub trait Packet: Clone {
    /// Bytes, as they count for the rate, the queue and the MTU.
    fn size(&self) -> usize;

    /// Flips one bit; `bit` is below `8 * size()`, bit 0 is the lowest of the first byte.
    fn flip_bit(&mut self, bit: usize);

    /// Marks the packet as having met congestion, where its sender understands that; says whether it
    /// is marked. [`ip::mark_congestion`] does it for octets of IP.
    fn mark_congestion(&mut self) -> bool {
        false
    }

    /// What the packet says if it is an acknowledgement and nothing else;
    /// [`ip::pure_ack`] reads octets of IP.
    fn pure_ack(&self) -> Option<PureAck> {
        None
    }
}

/// Octets are taken for a bare IP packet where they look like a whole one.
impl Packet for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }

    fn flip_bit(&mut self, bit: usize) {
        if let Some(byte) = self.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }

    fn mark_congestion(&mut self) -> bool {
        ip::mark_congestion(self)
    }

    fn pure_ack(&self) -> Option<PureAck> {
        ip::pure_ack(self)
    }
}

/// Why a link dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropCause {
    /// [`Impairment::loss`] took it.
    Loss,
    /// The queue in front of the rate limit was full.
    QueueFull,
    /// It was larger than [`Impairment::mtu`].
    TooBig,
    /// The link's [`Filter`] refused it.
    Filtered,
    /// It exceeded [`Impairment::police`].
    Policed,
    /// It came in an [`Impairment::outage`].
    Outage,
    /// The link holds as much as it may hold at all ([`Link::MAX_PACKETS`], [`Link::MAX_BYTES`]).
    Overflow,
}

impl fmt::Display for DropCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "lost",
            Self::QueueFull => "queue full",
            Self::TooBig => "larger than the link's MTU",
            Self::Filtered => "filtered",
            Self::Policed => "above the policed rate",
            Self::Outage => "link down",
            Self::Overflow => "link overflow",
        })
    }
}

/// How a packet that is not dropped goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When it arrives.
    pub arrives: Duration,
    /// The bit that was flipped.
    pub corrupted: Option<usize>,
    /// It was held back for others to overtake.
    pub reordered: bool,
    /// When its copy arrives, if it has one. The copy is of the packet before corruption.
    pub duplicate: Option<Duration>,
}

/// What becomes of a packet, as far as it is known when it is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Carried(Passage),
    /// It waits in a queue that decides when the packet leaves ([`Impairment::aqm`],
    /// [`Impairment::thin`]).
    Queued,
    /// It does not.
    Dropped(DropCause),
}

/// What happened on a link so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounters {
    /// Pushed.
    pub pushed: u64,
    /// Popped, copies included.
    pub delivered: u64,
    /// The octets of these.
    pub delivered_bytes: u64,
    /// Dropped by [`Impairment::loss`].
    pub lost: u64,
    /// Dropped because the queue was full.
    pub queue_full: u64,
    /// Dropped because of [`Impairment::mtu`].
    pub too_big: u64,
    /// Dropped by the [`Filter`].
    pub filtered: u64,
    /// Dropped because of the link's own bounds.
    pub overflow: u64,
    /// Dropped by [`Impairment::police`].
    pub policed: u64,
    /// Dropped in an [`Impairment::outage`].
    pub outage: u64,
    /// Dropped by [`Impairment::aqm`].
    pub aqm: u64,
    /// Acknowledgements taken out by [`Impairment::thin`].
    pub thinned: u64,
    /// Marked, not dropped.
    pub marked: u64,
    /// Held back.
    pub reordered: u64,
    /// Copied.
    pub duplicated: u64,
    /// Changed by one bit.
    pub corrupted: u64,
}

/// Decides about single packets: `false` drops. Called with the time and the packet, once for each
/// push and in order; it may count.
pub type Filter<P> = Box<dyn FnMut(Duration, &P) -> bool + Send>;

/// One direction of a wire, in time that the caller gives.
///
/// A packet passes these in order: MTU, filter, outage, loss, policer, queue and rate, duplication,
/// corruption, delay with jitter, reordering. Order of arrival is order of sending, except for packets chosen
/// by [`Impairment::reorder`].
///
/// Times given to `push`, `next` and `pop` should not go back; a step back is harmless.
pub struct Link<P = Vec<u8>> {
    impairment: Impairment,
    loss: LossProcess,
    jitter: Random,
    reorder: Random,
    duplicate: Random,
    corrupt: Random,
    filter: Option<Filter<P>>,
    bucket: Option<Bucket>,
    transmitter: Transmitter<P>,
    /// Packets still to be held back of the present run.
    held_run: u32,
    /// Arrival of the latest packet that was not reordered.
    latest_in_order: Duration,
    in_flight: BinaryHeap<Reverse<InFlight<P>>>,
    in_flight_bytes: usize,
    /// Breaks ties among arrivals: first pushed, first popped.
    next_number: u64,
    counters: LinkCounters,
}

struct InFlight<P> {
    arrives: Duration,
    number: u64,
    packet: P,
}

impl<P> PartialEq for InFlight<P> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<P> Eq for InFlight<P> {}

impl<P> PartialOrd for InFlight<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for InFlight<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrives, self.number).cmp(&(other.arrives, other.number))
    }
}

impl<P: Packet> Link<P> {
    /// Most packets that a link holds.
    pub const MAX_PACKETS: usize = 1 << 18;
    /// Most bytes that a link holds (one packet may exceed it by its own size).
    pub const MAX_BYTES: usize = 256 << 20;

    /// A link at time zero with nothing on it.
    #[must_use]
    pub fn new(impairment: Impairment) -> Self {
        let seed = impairment.seed;
        Self {
            loss: LossProcess::new(impairment.loss.clone(), Random::stream(seed, 1)),
            jitter: Random::stream(seed, 2),
            reorder: Random::stream(seed, 3),
            duplicate: Random::stream(seed, 4),
            corrupt: Random::stream(seed, 5),
            bucket: impairment.police.map(Bucket::new),
            transmitter: Transmitter::new(&impairment),
            impairment,
            filter: None,
            held_run: 0,
            latest_in_order: Duration::ZERO,
            in_flight: BinaryHeap::new(),
            in_flight_bytes: 0,
            next_number: 0,
            counters: LinkCounters::default(),
        }
    }

    /// What the link does.
    #[must_use]
    pub fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> LinkCounters {
        LinkCounters {
            marked: self.transmitter.marked,
            thinned: self.transmitter.thinned,
            ..self.counters
        }
    }

    /// What waits for the transmitter, and is on it, at `now`.
    pub fn backlog(&mut self, now: Duration) -> Backlog {
        self.advance(now);
        self.transmitter.backlog(now)
    }

    /// How long packets waited for the transmitter so far.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.transmitter.waits()
    }

    /// Packets on the way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_flight.len() + self.transmitter.standing()
    }

    /// Whether nothing is on the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets or removes the rule about single packets ("drop the first SYN-ACK").
    pub fn set_filter(&mut self, filter: Option<Filter<P>>) {
        self.filter = filter;
    }

    /// Changes what the link does from the next packet on. What is on the way stays. The sequence
    /// of chance starts again from the new seed.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        let fresh = Self::new(impairment);
        self.transmitter.set(&fresh.impairment);
        self.bucket = fresh.bucket;
        self.held_run = 0;
        self.impairment = fresh.impairment;
        self.loss = fresh.loss;
        self.jitter = fresh.jitter;
        self.reorder = fresh.reorder;
        self.duplicate = fresh.duplicate;
        self.corrupt = fresh.corrupt;
    }

    /// Sends a packet at `now`, and tells what becomes of it.
    pub fn push(&mut self, now: Duration, packet: P) -> Fate {
        self.counters.pushed += 1;
        self.advance(now);
        if let Err(cause) = self.admit(now, &packet) {
            return self.drop_for(cause);
        }
        let fate = match self.transmitter.offer(now, packet) {
            Offered::Departs(departs, packet) => Fate::Carried(self.carry(departs, packet)),
            Offered::Waits => Fate::Queued,
            Offered::Full => return self.drop_for(DropCause::QueueFull),
        };
        self.advance(now);
        fate
    }

    /// When something happens next: a packet arrives, or leaves a queue that decides then. `now` if it is
    /// due already, `None` if nothing is on the way.
    #[must_use]
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let arrives = self.in_flight.peek().map(|Reverse(first)| first.arrives);
        let next = [arrives, self.transmitter.next()]
            .into_iter()
            .flatten()
            .min();
        next.map(|next| next.max(now))
    }

    /// Takes a packet that has arrived by `now`.
    pub fn pop(&mut self, now: Duration) -> Option<P> {
        self.advance(now);
        if self.in_flight.peek()?.0.arrives > now {
            return None;
        }
        let Reverse(first) = self.in_flight.pop()?;
        let size = first.packet.size();
        self.in_flight_bytes -= size;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += size as u64;
        Some(first.packet)
    }

    /// Sends on what has left a queue by `now`.
    fn advance(&mut self, now: Duration) {
        while let Some(released) = self.transmitter.release(now) {
            match released {
                Released::Departs(departs, packet) => {
                    self.carry(departs, packet);
                }
                Released::Dropped => self.counters.aqm += 1,
            }
        }
    }

    /// Everything that may drop a packet before the queue.
    fn admit(&mut self, now: Duration, packet: &P) -> Result<(), DropCause> {
        let size = packet.size();
        // The loss rule counts every packet, also those dropped for another reason: "the n-th"
        // then means the n-th that was sent.
        let lost = self.loss.takes_next();
        if self.impairment.mtu.is_some_and(|mtu| size > mtu) {
            return Err(DropCause::TooBig);
        }
        if let Some(filter) = &mut self.filter
            && !filter(now, packet)
        {
            return Err(DropCause::Filtered);
        }
        if self
            .impairment
            .outage
            .is_some_and(|outage| outage.covers(now))
        {
            return Err(DropCause::Outage);
        }
        if lost {
            return Err(DropCause::Loss);
        }
        // A packet and its copy.
        let bytes = self.in_flight_bytes as u64 + self.transmitter.standing_bytes();
        if self.len() + 2 > Self::MAX_PACKETS || bytes > Self::MAX_BYTES as u64 {
            return Err(DropCause::Overflow);
        }
        if let Some(bucket) = &mut self.bucket
            && !bucket.lets_pass(now, size as u64)
        {
            return Err(DropCause::Policed);
        }
        Ok(())
    }

    /// Everything that may happen to a packet that is not dropped.
    fn carry(&mut self, departs: Duration, mut packet: P) -> Passage {
        let reordered = self.is_held_back();
        let arrives = self.arrival(departs, reordered);
        let copy = self
            .impairment
            .duplicate
            .draw(&mut self.duplicate)
            .then(|| packet.clone());

        let bits = packet.size() as u64 * 8;
        let corrupted = (self.impairment.corrupt.draw(&mut self.corrupt) && bits > 0)
            .then(|| self.corrupt.below(bits) as usize);
        if let Some(bit) = corrupted {
            packet.flip_bit(bit);
            self.counters.corrupted += 1;
        }

        self.put(arrives, packet);
        let duplicate = copy.is_some().then_some(arrives);
        if let Some(copy) = copy {
            self.put(arrives, copy);
            self.counters.duplicated += 1;
        }
        self.counters.reordered += u64::from(reordered);
        Passage {
            arrives,
            corrupted,
            reordered,
            duplicate,
        }
    }

    /// Whether this packet is one of those that are overtaken.
    fn is_held_back(&mut self) -> bool {
        if self.held_run > 0 {
            self.held_run -= 1;
            return true;
        }
        let begins = self.impairment.reorder.draw(&mut self.reorder);
        if begins {
            self.held_run = self.impairment.reorder_run.saturating_sub(1);
        }
        begins
    }

    /// Departure plus delay, jitter and holding back.
    fn arrival(&mut self, departs: Duration, reordered: bool) -> Duration {
        let mut arrives = departs.saturating_add(self.impairment.delay);
        let jitter = u64::try_from(self.impairment.jitter.as_nanos()).unwrap_or(u64::MAX);
        if jitter > 0 {
            let drawn = self
                .jitter
                .below(jitter.saturating_mul(2).saturating_add(1));
            let shifted = arrives.saturating_add(Duration::from_nanos(drawn));
            arrives = shifted.saturating_sub(self.impairment.jitter).max(departs);
        }
        if reordered {
            return arrives.saturating_add(self.impairment.held_back());
        }
        self.latest_in_order = self.latest_in_order.max(arrives);
        self.latest_in_order
    }

    fn put(&mut self, arrives: Duration, packet: P) {
        self.in_flight_bytes += packet.size();
        let number = self.next_number;
        self.next_number += 1;
        self.in_flight.push(Reverse(InFlight {
            arrives,
            number,
            packet,
        }));
    }

    fn drop_for(&mut self, cause: DropCause) -> Fate {
        let counters = &mut self.counters;
        let counter = match cause {
            DropCause::Loss => &mut counters.lost,
            DropCause::QueueFull => &mut counters.queue_full,
            DropCause::TooBig => &mut counters.too_big,
            DropCause::Filtered => &mut counters.filtered,
            DropCause::Policed => &mut counters.policed,
            DropCause::Outage => &mut counters.outage,
            DropCause::Overflow => &mut counters.overflow,
        };
        *counter += 1;
        Fate::Dropped(cause)
    }
}

impl<P> fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("impairment", &self.impairment)
            .field("in_flight", &self.in_flight.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
