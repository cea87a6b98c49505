//! The table of TCP: who owns which 4-tuple, who has a deadline, who owes something.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use transom_tcp::{Connection, Embryo, Event, Instant, Segment, State, TimeWait};
use transom_wire::Seq;

use crate::config::StackConfig;
use crate::cookie::Cookies;
use crate::demux::{Demux, Entry};
use crate::egress::Marks;
use crate::fastopen::FastOpens;
use crate::isn::Identities;
use crate::known::Known;
use crate::listener::Listeners;
use crate::memory::{self, Memory};
use crate::places::Places;
use crate::rest::{Body, Resting, Rests, Whole};
use crate::secret::{Key, Purpose};
use crate::slab::{Slab, SlabKey};
use crate::timers::{Armed, Owner, Timers};
use crate::tuple::Tuple;

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The application has its handle.
    Application,
    /// A listener: from the end of the handshake until it is taken.
    Listener(SlabKey),
    /// Nobody: it finishes by itself.
    Orphan,
}

/// A connection and what the stack knows about it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) tuple: Tuple,
    pub(crate) body: Body,
    pub(crate) holder: Holder,
    /// In the demultiplexing table.
    pub(crate) linked: bool,
    /// It has nothing left to do: CLOSED, or in TIME-WAIT.
    pub(crate) over: bool,
    /// In the queue of those that may owe something.
    pub(crate) owes: bool,
    /// In the queue of those that may be folded up.
    pub(crate) rests: Rests,
    /// Recurring events that wait in the stack's queue.
    pub(crate) queued: Queued,
    pub(crate) armed: Armed,
    /// The host's epoch when the path was looked at.
    pub(crate) epoch: u32,
    /// The path MTU that the connection was told then; it may have learnt of a smaller one since.
    pub(crate) told_mtu: u32,
    pub(crate) marks: Marks,
}

impl Slot {
    /// The connection, of this key, may owe something.
    pub(crate) fn owe(&mut self, key: SlabKey, owing: &mut VecDeque<SlabKey>) {
        if !core::mem::replace(&mut self.owes, true) {
            owing.push_back(key);
        }
    }

    /// The connection, of this key, waits for `deadline`.
    pub(crate) fn arm(&mut self, key: SlabKey, deadline: Instant, timers: &mut Timers) {
        timers.arm(&mut self.armed, deadline, Owner::Connection(key));
    }
}

/// A set of events that can recur.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued(u8);

impl Queued {
    fn bit(event: &Event) -> u8 {
        match event {
            Event::Readable => 1,
            Event::Writable => 2,
            Event::Urgent => 4,
            Event::RetransmittingExcessively => 8,
            Event::SoftError(_) => 16,
            _ => 0,
        }
    }

    /// False when an equal event is queued already.
    pub(crate) fn insert(&mut self, event: &Event) -> bool {
        let bit = Self::bit(event);
        let new = bit == 0 || self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    pub(crate) fn remove(&mut self, event: &Event) {
        self.0 &= !Self::bit(event);
    }
}

/// A tuple in TIME-WAIT that no application holds.
#[derive(Debug)]
pub(crate) struct TimeWaitSlot {
    pub(crate) tuple: Tuple,
    pub(crate) time_wait: TimeWait,
    pub(crate) armed: Armed,
}

/// A SYN that was answered (SYNF-1: small, and apart from connections).
#[derive(Debug)]
pub(crate) struct EmbryoSlot {
    pub(crate) tuple: Tuple,
    /// That of the tuple in the demultiplexing table.
    pub(crate) hash: u32,
    pub(crate) listener: SlabKey,
    pub(crate) embryo: Embryo,
    pub(crate) armed: Armed,
}

/// A SYN that waits for the application.
#[derive(Debug)]
pub(crate) struct IncomingSlot {
    pub(crate) tuple: Tuple,
    pub(crate) hash: u32,
    pub(crate) listener: SlabKey,
    pub(crate) syn: Segment,
    /// The start of the IP packet, for an ICMP error about it.
    pub(crate) quote: Bytes,
    /// Our initial sequence number must lie beyond this (the tuple was in TIME-WAIT).
    pub(crate) min_iss: Option<Seq>,
    pub(crate) deadline: Instant,
    pub(crate) armed: Armed,
    /// The application has seen it.
    pub(crate) taken: bool,
}

/// All tenants.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(crate) connections: Slab<Slot>,
    pub(crate) time_waits: Slab<TimeWaitSlot>,
    pub(crate) incomings: Slab<IncomingSlot>,
    pub(crate) embryos: Slab<EmbryoSlot>,
}

impl Tenants {
    fn tuple(&self, entry: Entry) -> Option<&Tuple> {
        match entry {
            Entry::Connection(index) => self.connections.at(index).map(|slot| &slot.tuple),
            Entry::TimeWait(index) => self.time_waits.at(index).map(|slot| &slot.tuple),
            Entry::Incoming(index) => self.incomings.at(index).map(|slot| &slot.tuple),
            Entry::Embryo(index) => self.embryos.at(index).map(|slot| &slot.tuple),
        }
    }

    fn is_armed(&self, at: Instant, owner: Owner) -> bool {
        let armed = match owner {
            Owner::Connection(key) => self.connections.get(key).map(|slot| slot.armed),
            Owner::TimeWait(key) => self.time_waits.get(key).map(|slot| slot.armed),
            Owner::Incoming(key) => self.incomings.get(key).map(|slot| slot.armed),
            Owner::Embryo(key) => self.embryos.get(key).map(|slot| slot.armed),
        };
        armed.is_some_and(|armed| armed.is(at))
    }
}

/// Everything about TCP that is more than one connection.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pub(crate) demux: Demux,
    pub(crate) known: Known,
    pub(crate) tenants: Tenants,
    pub(crate) listeners: Listeners,
    pub(crate) timers: Timers,
    /// Connections that may owe a segment; each at most once (`Slot::owes`).
    pub(crate) owing: VecDeque<SlabKey>,
    /// Those that are passed over for the moment.
    held: Vec<SlabKey>,
    pub(crate) resting: Resting,
    pub(crate) places: Places,
    pub(crate) identities: Identities,
    pub(crate) cookies: Cookies,
    pub(crate) fast_opens: FastOpens,
    /// TIME-WAIT in the order entered; may hold stale keys.
    time_wait_order: VecDeque<SlabKey>,
    max_time_wait: usize,
    pub(crate) orphans: usize,
    /// Connections that are not over.
    pub(crate) unfinished: usize,
    pub(crate) memory: Memory,
}

impl Endpoints {
    pub(crate) fn new(config: &StackConfig, secret: &[u8; 32]) -> Self {
        let key = Key::derive(secret, Purpose::Demux);
        Self {
            demux: Demux::new(key),
            known: Known::new(),
            tenants: Tenants {
                connections: Slab::new(),
                time_waits: Slab::new(),
                incomings: Slab::new(),
                embryos: Slab::new(),
            },
            listeners: Listeners::new(key),
            timers: Timers::default(),
            owing: VecDeque::new(),
            held: Vec::new(),
            resting: Resting::new(config.unfolded_idle),
            places: Places::default(),
            identities: Identities::new(secret),
            cookies: Cookies::new(secret),
            fast_opens: FastOpens::new(config, secret, key),
            time_wait_order: VecDeque::new(),
            max_time_wait: config.max_time_wait,
            orphans: 0,
            unfinished: 0,
            memory: Memory::new(config.max_out_of_order_bytes, config.max_send_bytes),
        }
    }

    pub(crate) fn lookup(&self, tuple: &Tuple) -> Option<Entry> {
        self.lookup_hashed(tuple, self.demux.hash(tuple))
    }

    /// As [`lookup`](Self::lookup), for who has the tuple's hash.
    pub(crate) fn lookup_hashed(&self, tuple: &Tuple, hash: u32) -> Option<Entry> {
        self.demux
            .find(hash, |entry| self.tenants.tuple(entry) == Some(tuple))
    }

    /// Adds a connection under a tuple, of this hash, that is free.
    pub(crate) fn add_connection(
        &mut self,
        (tuple, hash): (Tuple, u32),
        connection: Box<Connection>,
        holder: Holder,
        epoch: u32,
        marks: Marks,
    ) -> Option<SlabKey> {
        let over = is_over(connection.state());
        let key = self.tenants.connections.insert(Slot {
            tuple,
            told_mtu: octets(connection.path_mtu()),
            body: Body::Whole(Whole::new(connection)),
            holder,
            linked: true,
            over,
            owes: false,
            rests: Rests::No,
            queued: Queued::default(),
            armed: Armed::no(),
            epoch,
            marks,
        })?;
        self.unfinished += usize::from(!over);
        self.demux.insert(hash, Entry::Connection(key.index));
        Some(key)
    }

    /// A connection has come to its end.
    pub(crate) fn finish_connection(&mut self, key: SlabKey) {
        if let Some(slot) = self.tenants.connections.get_mut(key)
            && !slot.over
        {
            slot.over = true;
            self.unfinished -= 1;
        }
    }

    /// Frees the tuple of a connection that has ended; the connection itself stays for who holds it.
    pub(crate) fn unlink_connection(&mut self, key: SlabKey) {
        if let Some(slot) = self.tenants.connections.get_mut(key)
            && slot.linked
        {
            slot.linked = false;
            let hash = self.demux.hash(&slot.tuple);
            self.demux.remove(hash, Entry::Connection(key.index));
        }
    }

    pub(crate) fn remove_connection(&mut self, key: SlabKey) -> Option<Slot> {
        self.unlink_connection(key);
        self.finish_connection(key);
        let slot = self.tenants.connections.remove(key)?;
        self.memory.release(slot.body.shares());
        Some(slot)
    }

    /// Puts a connection in the queue of those that may owe something.
    pub(crate) fn owe(&mut self, key: SlabKey) {
        if let Some(slot) = self.tenants.connections.get_mut(key) {
            slot.owe(key, &mut self.owing);
        }
    }

    /// Empties the queue of those that may owe something, until [`release`](Self::release) or until they are entered anew.
    pub(crate) fn hold(&mut self) {
        for key in self.owing.drain(..) {
            if let Some(slot) = self.tenants.connections.get_mut(key) {
                slot.owes = false;
                if self.held.last() != Some(&key) {
                    self.held.push(key);
                }
            }
        }
    }

    /// Enters again those that were held.
    pub(crate) fn release(&mut self) {
        let mut held = core::mem::take(&mut self.held);
        for key in held.drain(..) {
            self.owe(key);
        }
        // Its memory serves the next time.
        self.held = held;
    }

    pub(crate) fn arm_connection(&mut self, key: SlabKey, deadline: Instant) {
        if let Some(slot) = self.tenants.connections.get_mut(key) {
            slot.arm(key, deadline, &mut self.timers);
        }
    }

    /// Adds a tuple in TIME-WAIT. Returns how many older ones had to go for it.
    // TW-12: the table is bounded, and the oldest entry goes first.
    pub(crate) fn add_time_wait(&mut self, tuple: Tuple, time_wait: TimeWait) -> u64 {
        if self.max_time_wait == 0 {
            return 1;
        }
        let mut overflows = 0;
        while self.tenants.time_waits.len() >= self.max_time_wait {
            let Some(oldest) = self.time_wait_order.pop_front() else {
                break;
            };
            overflows += u64::from(self.remove_time_wait(oldest));
        }
        let deadline = time_wait.deadline();
        let slot = TimeWaitSlot {
            tuple,
            time_wait,
            armed: Armed::no(),
        };
        let Some(key) = self.tenants.time_waits.insert(slot) else {
            return overflows;
        };
        let hash = self.demux.hash(&tuple);
        self.demux.insert(hash, Entry::TimeWait(key.index));
        if let Some(slot) = self.tenants.time_waits.get_mut(key) {
            self.timers
                .arm(&mut slot.armed, deadline, Owner::TimeWait(key));
        }
        // Entries leave by their deadlines in nearly the order they came; drop the traces of those gone.
        while let Some(front) = self.time_wait_order.front()
            && self.tenants.time_waits.get(*front).is_none()
        {
            self.time_wait_order.pop_front();
        }
        if self.time_wait_order.len() > 64 + 2 * self.max_time_wait {
            let slab = &self.tenants.time_waits;
            self.time_wait_order.retain(|key| slab.get(*key).is_some());
        }
        self.time_wait_order.push_back(key);
        overflows
    }

    pub(crate) fn remove_time_wait(&mut self, key: SlabKey) -> bool {
        let Some(slot) = self.tenants.time_waits.get(key) else {
            return false;
        };
        let hash = self.demux.hash(&slot.tuple);
        self.demux.remove(hash, Entry::TimeWait(key.index));
        self.tenants.time_waits.remove(key).is_some()
    }

    /// Whether an active OPEN may take over a tuple in TIME-WAIT: the least initial sequence number, if so.
    // TW-11, as Linux: only with timestamps, and not within the first second.
    pub(crate) fn reusable(&self, now: Instant, entry: Entry) -> Option<Seq> {
        match entry {
            Entry::TimeWait(index) => self.tenants.time_waits.at(index)?.time_wait.reuse(now),
            Entry::Connection(_) | Entry::Incoming(_) | Entry::Embryo(_) => None,
        }
    }

    pub(crate) fn add_incoming(&mut self, slot: IncomingSlot) -> Option<SlabKey> {
        let (hash, deadline) = (slot.hash, slot.deadline);
        let key = self.tenants.incomings.insert(slot)?;
        self.demux.insert(hash, Entry::Incoming(key.index));
        if let Some(slot) = self.tenants.incomings.get_mut(key) {
            self.timers
                .arm(&mut slot.armed, deadline, Owner::Incoming(key));
        }
        Some(key)
    }

    pub(crate) fn remove_incoming(&mut self, key: SlabKey) -> Option<IncomingSlot> {
        let hash = self.tenants.incomings.get(key)?.hash;
        self.demux.remove(hash, Entry::Incoming(key.index));
        let slot = self.tenants.incomings.remove(key)?;
        if let Some(listener) = self.listeners.get_mut(slot.listener) {
            listener.incoming.retain(|waiting| *waiting != key);
        }
        Some(slot)
    }

    pub(crate) fn add_embryo(&mut self, slot: EmbryoSlot) -> Option<SlabKey> {
        let (hash, listener) = (slot.hash, slot.listener);
        let key = self.tenants.embryos.insert(slot)?;
        self.demux.insert(hash, Entry::Embryo(key.index));
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.embryos += 1;
        }
        self.arm_embryo(key);
        Some(key)
    }

    pub(crate) fn arm_embryo(&mut self, key: SlabKey) {
        if let Some(slot) = self.tenants.embryos.get_mut(key) {
            let deadline = slot.embryo.deadline();
            self.timers
                .arm(&mut slot.armed, deadline, Owner::Embryo(key));
        }
    }

    pub(crate) fn remove_embryo(&mut self, key: SlabKey) -> Option<EmbryoSlot> {
        let hash = self.tenants.embryos.get(key)?.hash;
        self.demux.remove(hash, Entry::Embryo(key.index));
        let slot = self.tenants.embryos.remove(key)?;
        if let Some(listener) = self.listeners.get_mut(slot.listener) {
            listener.embryos = listener.embryos.saturating_sub(1);
        }
        Some(slot)
    }

    pub(crate) fn new_identity(
        &self,
        tuple: &Tuple,
        now: Instant,
        min_iss: Option<Seq>,
    ) -> transom_tcp::Identity {
        let mut iss = self.identities.initial_sequence(tuple, now);
        // TW-7, RFC 1122 §4.2.2.13: larger than any number that the old connection used; the distance is
        // that of Linux.
        if let Some(min) = min_iss
            && !iss.gt(min)
        {
            iss = min + (65_535 + 2);
        }
        transom_tcp::Identity::new(iss, self.identities.timestamp_offset(tuple))
    }

    /// Keeps the heap of deadlines, and the queues of those in the way, in proportion to those who are in them.
    pub(crate) fn compact(&mut self) {
        let Self {
            timers,
            tenants,
            memory,
            ..
        } = self;
        let owners = tenants.connections.len()
            + tenants.time_waits.len()
            + tenants.incomings.len()
            + tenants.embryos.len();
        timers.compact(owners, |at, owner| tenants.is_armed(at, owner));
        let slots = &tenants.connections;
        let count = slots.len();
        let gaps = memory::is_current(slots, |slot: &Slot| slot.body.shares().out_of_order);
        memory.out_of_order.compact(count, gaps);
        let stalls = memory::is_current(slots, |slot: &Slot| slot.body.shares().unsent);
        memory.unsent.compact(count, stalls);
    }

    /// Makes the first deadline one that somebody has.
    pub(crate) fn trim_timers(&mut self) {
        let Self {
            timers, tenants, ..
        } = self;
        timers.trim(|at, owner| tenants.is_armed(at, owner));
    }
}

/// Whether a connection in this state has nothing left to do.
pub(crate) const fn is_over(state: State) -> bool {
    matches!(state, State::TimeWait | State::Closed)
}

/// A packet size; none is larger than 2^32.
pub(crate) fn octets(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Shared by connections that use the stack's choices.
pub(crate) type SharedConfig = Arc<transom_tcp::Config>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_synf_1_an_embryo_is_small() {
        // With its deadline and its place in the table it stays below 256 bytes; a connection takes above 1,000.
        assert!(
            size_of::<EmbryoSlot>() <= 160,
            "{}",
            size_of::<EmbryoSlot>()
        );
        assert!(size_of::<crate::demux::Place>() == 8);
    }

    #[test]
    fn the_slot_of_a_connection_is_two_cache_lines() {
        assert!(size_of::<Option<Slot>>() <= 120, "{}", size_of::<Slot>());
    }
}
