//! Handshakes of listeners (RFC 4987): a bounded queue of small embryos, SYN cookies when it is full.

use std::sync::Arc;

use transom_tcp::{Connection, Embryo, EmbryoReply, Identity, Instant, Offer, State};
use transom_wire::Seq;
use transom_wire::tcp::Flags;

use crate::arrivals::Arrival;
use crate::cookie::{self, Cookies};
use crate::discard::Discard;
use crate::egress::Marks;
use crate::endpoint::{EmbryoSlot, Holder, SharedConfig};
use crate::event::StackEvent;
use crate::fastopen::Judgement;
use crate::handle::ListenerId;
use crate::observer::Dropped;
use crate::slab::SlabKey;
use crate::stack::Stack;
use crate::timers::Armed;
use crate::tuple::Tuple;

/// What a listener does with another SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is room in the queue.
    Queue,
    /// It is answered with a SYN cookie.
    Cookie,
    /// It is dropped.
    Full,
}

impl Stack {
    // SYNF-2, LX-19: as Linux, cookies stand in for the queue of handshakes, never for that of connections.
    pub(crate) fn admission(&self, listener: SlabKey) -> Admission {
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return Admission::Full;
        };
        if found.manual {
            return Admission::Queue;
        }
        // SEC-ACCEPT-1: an application that takes no connections gets no more.
        if found.is_full() {
            return Admission::Full;
        }
        let tenants = &self.endpoints.tenants;
        let embryos = tenants.embryos.len();
        let is_room = embryos < self.config.max_embryos
            && embryos + tenants.connections.len() < self.config.max_connections;
        if is_room && !found.is_queue_full() {
            Admission::Queue
        } else if self.config.syn_cookies {
            Admission::Cookie
        } else {
            Admission::Full
        }
    }

    /// A SYN for an automatic listener is answered.
    pub(crate) fn open_now(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
        min_iss: Option<Seq>,
    ) -> Result<(), Dropped> {
        let tuple = arrival.tuple;
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return Ok(());
        };
        let config = found.config.clone();
        if self.endpoints.tenants.connections.len() >= self.config.max_connections {
            return Err(arrival.dropped(Discard::ConnectionLimit));
        }
        match self.admission(listener) {
            Admission::Queue => {}
            Admission::Cookie => return self.answer_with_cookie(now, listener, &config, arrival),
            // EV-L-8: dropped, not reset; the peer sends it again.
            Admission::Full => return Err(arrival.dropped(Discard::BacklogFull)),
        }
        let identity = self.endpoints.new_identity(&tuple, now, min_iss);
        let cookie = match self.judge_fast_open(now, listener, arrival) {
            Judgement::Open(renewed) => {
                return self.open_fast(now, listener, arrival, config, (identity, renewed));
            }
            Judgement::Ordinary(cookie) => cookie,
        };
        let mut embryo = Embryo::new(&config, identity, &arrival.segment, now)
            .map_err(|reason| arrival.dropped(reason))?;
        let mut syn_ack = embryo.syn_ack(&config, &self.host.path(tuple.remote), now);
        syn_ack.options.fast_open = cookie;
        let slot = EmbryoSlot {
            tuple,
            hash: arrival.hash,
            listener,
            embryo,
            armed: Armed::no(),
        };
        if self.endpoints.add_embryo(slot).is_none() {
            return Err(arrival.dropped(Discard::BacklogFull));
        }
        self.observer.counters.passive_opens += 1;
        self.embryo_state(now, &tuple, State::Listen, State::SynReceived);
        self.send_without_connection(now, &tuple, syn_ack);
        Ok(())
    }

    /// Nothing is kept of the SYN; its SYN-ACK remembers it.
    // SYNF-2, SYNF-9: one SYN-ACK for a SYN, and no timer sends it again.
    fn answer_with_cookie(
        &mut self,
        now: Instant,
        listener: SlabKey,
        config: &SharedConfig,
        arrival: &Arrival,
    ) -> Result<(), Dropped> {
        let (tuple, syn) = (&arrival.tuple, &arrival.segment);
        let offer = Offer::of(syn).memorable(config);
        let endpoints = &mut self.endpoints;
        let cookie = endpoints.cookies.sequence(tuple, syn.seq, offer, now);
        let Some(cookie) = cookie else {
            return Err(arrival.dropped(Discard::BacklogFull));
        };
        let identity = Identity::new(cookie, endpoints.identities.timestamp_offset(tuple));
        let embryo = Embryo::new(config, identity, syn, now)
            .map_err(|reason| arrival.dropped(reason))?
            .offering(offer);
        if let Some(found) = endpoints.listeners.get_mut(listener) {
            found.overflowed = Some(now);
        }
        let path = self.host.path(tuple.remote);
        let syn_ack = embryo.cookie(config, &path, Cookies::clock(offer, now));
        self.observer.counters.syn_cookies_out += 1;
        self.send_without_connection(now, tuple, syn_ack);
        Ok(())
    }

    /// Whether a segment for a listener may acknowledge a cookie.
    // SYNF-6: only while one can be under way. SYNF-7: what has a connection or an embryo never comes here.
    pub(crate) fn is_cookie_awaited(
        &self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
    ) -> bool {
        arrival.has(Flags::ACK)
            && !arrival.has(Flags::SYN)
            && self
                .endpoints
                .listeners
                .get(listener)
                .and_then(|found| found.overflowed)
                .is_some_and(|last| now.duration_since(last) <= cookie::LIFETIME)
    }

    /// A segment that may acknowledge a cookie.
    pub(crate) fn cookie_arrives(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
    ) -> Result<(), Dropped> {
        let (tuple, segment) = (&arrival.tuple, &arrival.segment);
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return Ok(());
        };
        let (config, is_full) = (found.config.clone(), found.is_full());
        let ts_offset = self.endpoints.identities.timestamp_offset(tuple);
        let offer = self
            .endpoints
            .cookies
            .check(tuple, segment, ts_offset, now)
            .filter(|offer| is_wanted(*offer, &config));
        let Some(offer) = offer else {
            // SYNF-6, SEC-COOKIE-1: a reset, of which only so many are sent.
            let reset = transom_tcp::closed::reply(segment);
            let reset = reset.map_err(|reason| arrival.dropped(reason))?;
            self.send_reset(now, tuple, reset);
            return Err(arrival.dropped(Discard::SynCookieInvalid));
        };
        let mut embryo = Embryo::recall(&config, offer, ts_offset, segment);
        if is_full {
            self.keep_waiting(now, listener, (*tuple, arrival.hash), embryo);
            return Err(arrival.dropped(Discard::AcceptQueueFull));
        }
        if self.endpoints.tenants.connections.len() >= self.config.max_connections {
            return Err(arrival.dropped(Discard::ConnectionLimit));
        }
        let path = self.host.path(tuple.remote);
        let places = &mut self.endpoints.places;
        let place = |connection| places.put(connection);
        match embryo.handle_segment(&config, path, now, segment, place) {
            EmbryoReply::Complete(connection, outcome) => {
                self.embryo_state(now, tuple, State::Listen, State::SynReceived);
                self.observer.counters.passive_opens += 1;
                self.observer.counters.syn_cookies_in += 1;
                self.handshake_complete(now, listener, arrival, connection, outcome)
            }
            EmbryoReply::Drop(reason) | EmbryoReply::Send(reason, _) => {
                Err(arrival.dropped(reason))
            }
            EmbryoReply::Reset(reason, reset) => {
                self.send_without_connection(now, tuple, *reset);
                Err(arrival.dropped(reason))
            }
            EmbryoReply::Over(_) => Ok(()),
        }
    }

    /// A cookie has come back, and there is no room for the connection: its peer has shown that it exists, so it is
    /// remembered after all. Otherwise a peer that waits for us to speak first would wait for ever.
    // SYNF-8: the SYN-ACK is sent again, and so will the acknowledgement be.
    fn keep_waiting(
        &mut self,
        now: Instant,
        listener: SlabKey,
        (tuple, hash): (Tuple, u32),
        embryo: Embryo,
    ) {
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return;
        };
        // Beside the queue of those who have shown nothing, as many again.
        let is_room = found.embryos <= found.backlog.saturating_mul(2)
            && self.endpoints.tenants.embryos.len() < self.config.max_embryos;
        let slot = EmbryoSlot {
            tuple,
            hash,
            listener,
            embryo,
            armed: Armed::no(),
        };
        if is_room && self.endpoints.add_embryo(slot).is_some() {
            self.observer.counters.passive_opens += 1;
            self.embryo_state(now, &tuple, State::Listen, State::SynReceived);
        }
    }

    /// A segment for a tuple whose SYN was answered.
    pub(crate) fn arrives_at_embryo(
        &mut self,
        now: Instant,
        key: SlabKey,
        arrival: &Arrival,
    ) -> Result<(), Dropped> {
        let Some(slot) = self.endpoints.tenants.embryos.get_mut(key) else {
            return Ok(());
        };
        let listener = slot.listener;
        let Some(found) = self.endpoints.listeners.get(listener) else {
            return Ok(());
        };
        if arrival.has(Flags::ACK) && !arrival.has(Flags::RST) && found.is_full() {
            // SYNF-8, as Linux: the handshake stays incomplete; the SYN-ACK is sent again, and so will the ACK be.
            return Err(arrival.dropped(Discard::AcceptQueueFull));
        }
        let path = self.host.path(arrival.tuple.remote);
        let places = &mut self.endpoints.places;
        let place = |connection| places.put(connection);
        let (config, segment) = (&found.config, &arrival.segment);
        match slot
            .embryo
            .handle_segment(config, path, now, segment, place)
        {
            EmbryoReply::Drop(reason) => Err(arrival.dropped(reason)),
            EmbryoReply::Send(reason, transmit) => {
                self.send_without_connection(now, &arrival.tuple, *transmit);
                Err(arrival.dropped(reason))
            }
            EmbryoReply::Reset(reason, reset) => {
                self.end_embryo(now, key);
                self.send_without_connection(now, &arrival.tuple, *reset);
                Err(arrival.dropped(reason))
            }
            EmbryoReply::Over(_) => {
                self.end_embryo(now, key);
                Ok(())
            }
            EmbryoReply::Complete(connection, outcome) => {
                if self.endpoints.tenants.connections.len() >= self.config.max_connections {
                    return Err(arrival.dropped(Discard::ConnectionLimit));
                }
                self.endpoints.remove_embryo(key);
                self.handshake_complete(now, listener, arrival, connection, outcome)
            }
        }
    }

    /// A connection of a listener may be taken now.
    pub(crate) fn handshake_complete(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
        connection: Box<Connection>,
        outcome: Result<(), transom_tcp::Discard>,
    ) -> Result<(), Dropped> {
        let (tuple, epoch) = (arrival.tuple, self.host.epoch);
        let marks = Marks::of(&self.host, &tuple);
        let holder = Holder::Listener(listener);
        let key = self
            .endpoints
            .add_connection((tuple, arrival.hash), connection, holder, epoch, marks)
            .ok_or_else(|| arrival.dropped(Discard::ConnectionLimit))?;
        self.endpoints.note_known(&tuple, key, epoch);
        self.settle(now, key);
        self.tell_metrics(now, key);
        if let Some(found) = self.endpoints.listeners.get_mut(listener) {
            found.ready.push_back(key);
            if !core::mem::replace(&mut found.announced, true) {
                self.events
                    .push_back(StackEvent::Acceptable(ListenerId(listener)));
            }
        }
        outcome.map_err(|reason| arrival.dropped(reason))
    }

    /// The SYN-ACK was not answered in time.
    pub(crate) fn embryo_timeout(&mut self, now: Instant, at: Instant, key: SlabKey) {
        let Some(slot) = self.endpoints.tenants.embryos.get_mut(key) else {
            return;
        };
        if !slot.armed.is(at) {
            return;
        }
        slot.armed = Armed::no();
        if slot.embryo.deadline() > now {
            self.endpoints.arm_embryo(key);
            return;
        }
        let tuple = slot.tuple;
        let Some(found) = self.endpoints.listeners.get(slot.listener) else {
            self.end_embryo(now, key);
            return;
        };
        let config = &found.config;
        if !slot.embryo.handle_timeout(config, now) {
            self.end_embryo(now, key);
            return;
        }
        let path = self.host.path(tuple.remote);
        let syn_ack = slot.embryo.syn_ack(config, &path, now);
        if let Some(recorder) = &mut self.observer.recorder {
            recorder.timer(now, tuple.local(), tuple.remote());
        }
        self.endpoints.arm_embryo(key);
        self.send_without_connection(now, &tuple, syn_ack);
    }

    /// The embryos of a listener that is closed.
    // EV-X-1: RFC 9293 §3.10.4.
    pub(crate) fn reset_embryos(
        &mut self,
        now: Instant,
        listener: SlabKey,
        config: &Arc<transom_tcp::Config>,
    ) {
        let embryos = &self.endpoints.tenants.embryos;
        for key in embryos.keys_where(|slot| slot.listener == listener) {
            let Some(slot) = self.end_embryo(now, key) else {
                continue;
            };
            let path = self.host.path(slot.tuple.remote);
            if let Some(reset) = slot.embryo.reset(config.clone(), path, now) {
                self.send_without_connection(now, &slot.tuple, reset);
            }
        }
    }

    pub(crate) fn end_embryo(&mut self, now: Instant, key: SlabKey) -> Option<EmbryoSlot> {
        let slot = self.endpoints.remove_embryo(key)?;
        self.embryo_state(now, &slot.tuple, State::SynReceived, State::Closed);
        Some(slot)
    }

    fn embryo_state(&mut self, now: Instant, tuple: &Tuple, from: State, to: State) {
        self.observer.state(now, tuple, from, to);
    }
}

/// Whether a listener would have agreed to what a cookie says.
fn is_wanted(offer: Offer, config: &transom_tcp::Config) -> bool {
    config.timestamps || !offer.timestamps
}
