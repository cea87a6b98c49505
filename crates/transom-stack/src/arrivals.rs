//! Segments that arrive: which connection, listener or rule they are for.

use bytes::Bytes;
use transom_tcp::listen::{self, Verdict};
use transom_tcp::{Connection, Event, Instant, Segment, State, TimeWaitReply, Transmit};
use transom_wire::tcp::Flags;
use transom_wire::{Seq, TxFrame};

use crate::demux::Entry;
use crate::discard::Discard;
use crate::egress::{self, Marks};
use crate::embryo::Admission;
use crate::endpoint::{self, Endpoints, Holder, IncomingSlot, Slot};
use crate::event::StackEvent;
use crate::handle::{ConnId, IncomingId, ListenerId};
use crate::memory;
use crate::observer::Dropped;
use crate::recorder::Metrics;
use crate::rest::Whole;
use crate::slab::SlabKey;
use crate::stack::Stack;
use crate::timers::Armed;
use crate::tuple::Tuple;

/// A segment on its way in.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) tuple: Tuple,
    /// That of the tuple in the demultiplexing table.
    pub(crate) hash: u32,
    pub(crate) segment: Segment,
    /// The start of the IP packet, for an ICMP error about it.
    pub(crate) quote: Bytes,
}

impl Arrival {
    pub(crate) fn dropped(&self, reason: impl Into<Discard>) -> Dropped {
        Dropped::between(self.tuple.local(), self.tuple.remote(), reason)
    }

    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.segment.flags.contains(flag)
    }
}

impl Stack {
    /// Hands a segment to whom it is for.
    // SYNF-7: established and embryonic connections come before listeners.
    pub(crate) fn segment_arrives(
        &mut self,
        now: Instant,
        arrival: &mut Arrival,
    ) -> Result<(), Dropped> {
        self.observer.counters.segments_in += 1;
        match self.endpoints.lookup_hashed(&arrival.tuple, arrival.hash) {
            Some(Entry::Connection(index)) => {
                match self.endpoints.tenants.connections.key_at(index) {
                    Some(key) => {
                        let tuple = &arrival.tuple;
                        self.endpoints.note_known(tuple, key, self.host.epoch);
                        let outcome = self.connection_hears(now, key, &mut arrival.segment);
                        outcome.map_err(|reason| arrival.dropped(reason))
                    }
                    None => Ok(()),
                }
            }
            Some(Entry::TimeWait(index)) => match self.endpoints.tenants.time_waits.key_at(index) {
                Some(key) => self.arrives_in_time_wait(now, key, arrival),
                None => Ok(()),
            },
            Some(Entry::Incoming(index)) => match self.endpoints.tenants.incomings.key_at(index) {
                Some(key) => self.arrives_at_incoming(now, key, arrival),
                None => Ok(()),
            },
            Some(Entry::Embryo(index)) => match self.endpoints.tenants.embryos.key_at(index) {
                Some(key) => self.arrives_at_embryo(now, key, arrival),
                None => Ok(()),
            },
            // Nobody here may answer for a connection that another stack of this host may have.
            None if !self.host.share.has(&arrival.tuple) => {
                Err(arrival.dropped(Discard::OtherShard))
            }
            None => self.arrives_at_listener(now, arrival, None),
        }
    }

    /// A segment for a connection.
    pub(crate) fn connection_hears(
        &mut self,
        now: Instant,
        key: SlabKey,
        segment: &mut Segment,
    ) -> Result<(), transom_tcp::Discard> {
        let Endpoints {
            tenants, resting, ..
        } = &mut self.endpoints;
        let Some(slot) = tenants.connections.get_mut(key) else {
            return Ok(());
        };
        slot.body.unfold(&mut resting.spares);
        let connection = &mut slot.body.wake().connection;
        let neighbours = &self.link.neighbours;
        let acked = neighbours
            .is_in_doubt(now)
            .then(|| connection.bytes_acked());
        let outcome = connection.take_segment(now, segment);
        if acked.is_some_and(|acked| connection.bytes_acked() > acked)
            && let Some(hop) = self.host.next_hop(slot.tuple.remote)
        {
            // ND-6: forward progress.
            self.link.neighbours.confirm(now, hop);
        }
        self.settle(now, key);
        if self.observer.recorder.is_some() {
            self.tell_metrics(now, key);
        }
        outcome
    }

    fn arrives_in_time_wait(
        &mut self,
        now: Instant,
        key: SlabKey,
        arrival: &Arrival,
    ) -> Result<(), Dropped> {
        let Some(slot) = self.endpoints.tenants.time_waits.get_mut(key) else {
            return Ok(());
        };
        match slot.time_wait.handle_segment(now, &arrival.segment) {
            TimeWaitReply::Drop(reason) => Err(arrival.dropped(reason)),
            TimeWaitReply::Ack(reason, transmit) => {
                self.send_without_connection(now, &arrival.tuple, transmit);
                Err(arrival.dropped(reason))
            }
            TimeWaitReply::Reopen { min_iss } => {
                // Without a listener that would take it the old incarnation keeps its peace.
                let listener = self.endpoints.listeners.find(arrival.tuple.local());
                match listener.map(|listener| self.admission(listener)) {
                    None => return Err(arrival.dropped(transom_tcp::Discard::TimeWaitOldSyn)),
                    Some(Admission::Queue) => {}
                    Some(_) => return Err(arrival.dropped(Discard::BacklogFull)),
                }
                self.end_time_wait(now, key);
                self.arrives_at_listener(now, arrival, Some(min_iss))
            }
        }
    }

    /// A segment for a tuple whose first SYN waits for the application.
    fn arrives_at_incoming(
        &mut self,
        now: Instant,
        key: SlabKey,
        arrival: &Arrival,
    ) -> Result<(), Dropped> {
        let Some(slot) = self.endpoints.tenants.incomings.get(key) else {
            return Ok(());
        };
        // The peer gives up: its reset takes the number after its SYN, or the SYN's own.
        let syn = slot.syn.seq;
        let gives_up = arrival.has(Flags::RST)
            && (arrival.segment.seq == syn || arrival.segment.seq == syn + 1);
        if gives_up {
            self.drop_incoming(now, key);
            return Err(arrival.dropped(transom_tcp::Discard::ResetWithoutConnection));
        }
        // EV-L-8: a SYN again makes no second child.
        Err(arrival.dropped(Discard::IncomingPending))
    }

    fn arrives_at_listener(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        min_iss: Option<Seq>,
    ) -> Result<(), Dropped> {
        let Some(listener) = self.endpoints.listeners.find(arrival.tuple.local()) else {
            return self.arrives_closed(now, arrival);
        };
        match listen::verdict(&arrival.segment) {
            Verdict::Drop(reason) => Err(arrival.dropped(reason)),
            Verdict::Reset(_, _) if self.is_cookie_awaited(now, listener, arrival) => {
                self.cookie_arrives(now, listener, arrival)
            }
            Verdict::Reset(reason, transmit) => {
                self.send_reset(now, &arrival.tuple, transmit);
                Err(arrival.dropped(reason))
            }
            Verdict::Open => {
                let manual = self
                    .endpoints
                    .listeners
                    .get(listener)
                    .is_some_and(|l| l.manual);
                if manual {
                    self.open_later(now, listener, arrival, min_iss)
                } else {
                    self.open_now(now, listener, arrival, min_iss)
                }
            }
        }
    }

    // RFC 9293 §3.10.7.1: a segment for no connection.
    fn arrives_closed(&mut self, now: Instant, arrival: &Arrival) -> Result<(), Dropped> {
        let transmit = transom_tcp::closed::reply(&arrival.segment)
            .map_err(|reason| arrival.dropped(reason))?;
        if !self.config.black_hole {
            self.send_reset(now, &arrival.tuple, transmit);
        }
        Err(arrival.dropped(Discard::TcpNoConnection))
    }

    /// Makes the connection for a SYN.
    pub(crate) fn open_passive(
        &mut self,
        now: Instant,
        (tuple, hash): (Tuple, u32),
        syn: &Segment,
        config: endpoint::SharedConfig,
        holder: Holder,
        min_iss: Option<Seq>,
    ) -> Result<SlabKey, Discard> {
        if self.endpoints.tenants.connections.len() >= self.config.max_connections {
            return Err(Discard::ConnectionLimit);
        }
        let path = self.host.path(tuple.remote);
        let identity = self.endpoints.new_identity(&tuple, now, min_iss);
        let connection = Box::new(Connection::accept(config, path, identity, syn, now)?);
        let marks = Marks::of(&self.host, &tuple);
        let key = self
            .endpoints
            .add_connection((tuple, hash), connection, holder, self.host.epoch, marks)
            .ok_or(Discard::ConnectionLimit)?;
        self.observer.counters.passive_opens += 1;
        self.settle(now, key);
        Ok(key)
    }

    /// A SYN for a manual listener waits for the application.
    fn open_later(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
        min_iss: Option<Seq>,
    ) -> Result<(), Dropped> {
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return Ok(());
        };
        let full = found.incoming.len() > found.backlog
            || self.endpoints.tenants.incomings.len() >= self.config.max_incoming;
        if full {
            return Err(arrival.dropped(Discard::IncomingLimit));
        }
        let slot = IncomingSlot {
            tuple: arrival.tuple,
            hash: arrival.hash,
            listener,
            // SEC-SYNF-2: neither the data of a SYN nor the frame that it came in is kept.
            syn: Segment {
                payload: Bytes::new(),
                ..arrival.segment.clone()
            },
            quote: Bytes::copy_from_slice(&arrival.quote),
            min_iss,
            deadline: now + self.config.incoming_timeout,
            armed: Armed::no(),
            taken: false,
        };
        let Some(key) = self.endpoints.add_incoming(slot) else {
            return Err(arrival.dropped(Discard::IncomingLimit));
        };
        if let Some(found) = self.endpoints.listeners.get_mut(listener) {
            found.incoming.push_back(key);
            if !core::mem::replace(&mut found.announced, true) {
                self.events
                    .push_back(StackEvent::Incoming(ListenerId(listener)));
            }
        }
        Ok(())
    }

    /// Removes a SYN that nobody needs to decide on any more, and says so if somebody was about to.
    pub(crate) fn drop_incoming(&mut self, _now: Instant, key: SlabKey) {
        if let Some(slot) = self.endpoints.remove_incoming(key)
            && slot.taken
        {
            self.events
                .push_back(StackEvent::IncomingGone(IncomingId(key)));
        }
    }

    /// Sends a reset that belongs to no connection, unless there were too many.
    // EV-C-5, SEC-ACK-1.
    pub(crate) fn send_reset(&mut self, now: Instant, tuple: &Tuple, transmit: Transmit) {
        let allowed = {
            let host = &mut self.host;
            host.reset_limit.allow(tuple.remote, now, &mut host.random)
        };
        if !allowed {
            let dropped =
                Dropped::between(tuple.local(), tuple.remote(), Discard::ResetRateLimited);
            self.observer.discard(now, dropped);
            return;
        }
        self.observer.counters.resets_out += 1;
        self.send_without_connection(now, tuple, transmit);
    }

    /// Sends a segment that belongs to no connection.
    pub(crate) fn send_without_connection(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        transmit: Transmit,
    ) {
        let marks = Marks::of(&self.host, tuple);
        let mut frame = TxFrame::default();
        let filled = egress::fill_tcp(&mut frame, &self.host, &self.link, tuple, marks, &transmit);
        frame.payload = transmit.payload;
        self.observer.counters.segments_out += 1;
        let sent = match filled {
            Some(()) => self.send_frame(now, frame, tuple.remote),
            None => Err(Discard::TooLarge),
        };
        if let Err(reason) = sent {
            self.observer
                .discard(now, Dropped::between(tuple.local(), tuple.remote(), reason));
        }
    }

    /// After anything happened to a connection: pass its events on, let it send, arm its timer.
    pub(crate) fn settle(&mut self, now: Instant, key: SlabKey) {
        self.settle_one(now, key);
        let memory = &self.endpoints.memory;
        if memory.out_of_order.is_exceeded() || memory.unsent.is_exceeded() {
            self.relieve(now);
        }
    }

    fn settle_one(&mut self, now: Instant, key: SlabKey) {
        let slot = self.endpoints.tenants.connections.get(key);
        if slot.is_some_and(Slot::has_news) {
            self.collect_events(now, key);
            self.fast_open_news(now, key);
        }
        let Endpoints {
            tenants,
            memory,
            owing,
            timers,
            ..
        } = &mut self.endpoints;
        let Some(slot) = tenants.connections.get_mut(key) else {
            return;
        };
        slot.owe(key, owing);
        let Whole {
            connection, shares, ..
        } = slot.body.wake();
        memory.look(key, connection, shares);
        connection.set_memory_pressure(memory.is_tight());
        // What is due now is due because something is owed, and sending comes first.
        if let Some(deadline) = connection.poll_timeout()
            && deadline > now
        {
            slot.arm(key, deadline, timers);
        }
    }

    /// Connections hold too much together: those who have been in the way the longest give it back.
    fn relieve(&mut self, now: Instant) {
        // SEC-OOO-2: what lies beyond the oldest gaps is forgotten; the peers send it again.
        while self.endpoints.memory.out_of_order.is_exceeded() {
            let Endpoints {
                tenants, memory, ..
            } = &mut self.endpoints;
            let slots = &mut tenants.connections;
            let current = memory::is_current(slots, |slot: &Slot| slot.body.shares().out_of_order);
            let Some(key) = memory.out_of_order.pop(current) else {
                break;
            };
            if let Some(whole) = slots.get_mut(key).and_then(|slot| slot.body.whole_mut()) {
                whole.connection.forget_out_of_order();
                memory.look(key, &whole.connection, &mut whole.shares);
                self.observer.counters.out_of_order_overflows += 1;
            }
        }
        // SEC-ZWP-1: whose peer has kept its window closed the longest is reset.
        while self.endpoints.memory.unsent.is_exceeded() {
            let Endpoints {
                tenants, memory, ..
            } = &mut self.endpoints;
            let slots = &mut tenants.connections;
            let current = memory::is_current(slots, |slot: &Slot| slot.body.shares().unsent);
            let Some(key) = memory.unsent.pop(current) else {
                break;
            };
            if let Some(slot) = slots.get_mut(key) {
                slot.body.wake().connection.abort(now);
                self.observer.counters.send_overflows += 1;
                self.settle_one(now, key);
            }
        }
    }

    /// Passes the events of a connection on.
    pub(crate) fn collect_events(&mut self, now: Instant, key: SlabKey) {
        loop {
            let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
                return;
            };
            let whole = slot.body.whole_mut();
            let Some(connection) = whole.map(|whole| &mut whole.connection) else {
                return;
            };
            let Some(event) = connection.poll_event() else {
                return;
            };
            let is_last = !connection.has_events();
            if slot.holder == Holder::Application && slot.queued.insert(&event) {
                self.events.push_back(StackEvent::Tcp(ConnId(key), event));
            }
            match event {
                Event::State { from, to } => {
                    self.observer.state(now, &slot.tuple, from, to);
                    self.state_entered(key, to);
                }
                Event::Connected | Event::Closed(_) => self.fast_open_over(now, key, &event),
                _ => {}
            }
            if is_last {
                return;
            }
        }
    }

    fn state_entered(&mut self, key: SlabKey, state: State) {
        if endpoint::is_over(state) {
            self.endpoints.finish_connection(key);
        }
        if state == State::Closed {
            // The tuple is free at once; the connection stays for what it owes and for who holds it.
            self.endpoints.unlink_connection(key);
        }
    }

    /// Tells a recorder that wants to know about congestion window and round-trip time.
    pub(crate) fn tell_metrics(&mut self, now: Instant, key: SlabKey) {
        let Some(recorder) = &mut self.observer.recorder else {
            return;
        };
        if !recorder.wants_metrics() {
            return;
        }
        let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
            return;
        };
        let Some(whole) = slot.body.whole_mut() else {
            return;
        };
        let info = whole.connection.info();
        let metrics = Metrics {
            cwnd: info.cwnd,
            ssthresh: info.ssthresh,
            srtt: info.srtt,
            rto: info.rto,
        };
        if whole.told.as_deref() != Some(&metrics) {
            recorder.metrics(now, slot.tuple.local(), slot.tuple.remote(), metrics);
            whole.told = Some(Box::new(metrics));
        }
    }
}
