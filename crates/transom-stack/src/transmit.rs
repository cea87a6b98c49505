//! Which connection sends next.

use transom_tcp::{Instant, State};
use transom_wire::TxFrame;

use crate::egress;
use crate::endpoint::{Endpoints, Holder, Slot, octets};
use crate::host::Host;
use crate::link::Waiting;
use crate::slab::SlabKey;
use crate::stack::Stack;

/// The longest TCP header.
const MAX_TCP_HEADER: usize = 60;

impl Stack {
    /// The next segment of the connections that owe one: first come, first served, one segment a turn. Fills the frame,
    /// which is empty; false when there is none.
    pub(crate) fn poll_connections(&mut self, now: Instant, frame: &mut TxFrame) -> bool {
        while let Some(key) = self.endpoints.owing.pop_front() {
            let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
                continue;
            };
            if slot.epoch != self.host.epoch {
                refresh_path(&mut self.host, slot, now);
            }
            let limit = max_payload(&self.host.capabilities, slot.tuple.local.is_ipv4());
            // One that is folded up owes nothing.
            let Some(whole) = slot.body.whole_mut() else {
                slot.owes = false;
                continue;
            };
            let connection = &mut whole.connection;
            let transmit = connection.poll_transmit(now, limit);
            let (remote, marks) = (slot.tuple.remote, slot.marks);
            // It is not moved, for its size.
            let filled = transmit.as_ref().and_then(|segment| {
                egress::fill_tcp(frame, &self.host, &self.link, &slot.tuple, marks, segment)
            });
            if connection.may_owe() {
                self.endpoints.owing.push_back(key);
            } else {
                slot.owes = false;
                self.drained(now, key);
            }
            let Some(segment) = transmit else {
                continue;
            };
            frame.payload = segment.payload;
            self.observer.counters.segments_out += 1;
            if filled.is_none() {
                *frame = TxFrame::default();
                self.observer.discard(now, crate::Discard::TooLarge);
                continue;
            }
            let hop = match self.hop_for(remote) {
                Ok(hop) => hop,
                Err(reason) => {
                    *frame = TxFrame::default();
                    self.observer.discard(now, reason);
                    continue;
                }
            };
            match self.link.resolve(now, frame, hop) {
                Ok(()) => return true,
                Err(Waiting { solicit, dropped }) => {
                    self.neighbour_awaited(now, solicit, dropped);
                    if self.link.pop_into(frame) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// A connection owes nothing more for now: arm its timer, or let it go.
    fn drained(&mut self, now: Instant, key: SlabKey) {
        let slot = self.endpoints.tenants.connections.get(key);
        if slot.is_some_and(Slot::has_news) {
            self.collect_events(now, key);
        }
        let Endpoints {
            tenants, memory, ..
        } = &mut self.endpoints;
        let Some(slot) = tenants.connections.get_mut(key) else {
            return;
        };
        let Some(whole) = slot.body.whole_mut() else {
            return;
        };
        let connection = &whole.connection;
        // Whether the peer's window holds it up is known only now.
        memory.look(key, connection, &mut whole.shares);
        let closed = connection.closed().is_some();
        let held = slot.holder == Holder::Application || matches!(slot.holder, Holder::Listener(_));
        if closed && !held {
            self.forget_connection(key);
            return;
        }
        if connection.state() == State::TimeWait && !held {
            self.shrink_to_time_wait(now, key);
            return;
        }
        if let Some(deadline) = connection.poll_timeout() {
            self.endpoints.arm_connection(key, deadline.max(now));
        }
        self.endpoints.rest(key);
    }

    /// Removes a connection that nobody holds.
    pub(crate) fn forget_connection(&mut self, key: SlabKey) {
        let Some(slot) = self.endpoints.remove_connection(key) else {
            return;
        };
        match slot.holder {
            Holder::Orphan => self.endpoints.orphans = self.endpoints.orphans.saturating_sub(1),
            Holder::Listener(listener) => {
                if let Some(listener) = self.endpoints.listeners.get_mut(listener) {
                    listener.ready.retain(|waiting| *waiting != key);
                }
            }
            Holder::Application => {}
        }
        self.endpoints.places.keep(slot.body);
    }

    /// Puts the small form of TIME-WAIT in place of a connection that nobody holds.
    fn shrink_to_time_wait(&mut self, now: Instant, key: SlabKey) {
        let slot = self.endpoints.tenants.connections.get(key);
        let Some(whole) = slot.and_then(|slot| slot.body.whole()) else {
            return;
        };
        let connection = &whole.connection;
        let Some(time_wait) = connection.to_time_wait() else {
            // It still owes something: it stays as it is, and is looked at again when its timer comes up.
            if let Some(deadline) = connection.poll_timeout() {
                self.endpoints.arm_connection(key, deadline.max(now));
            }
            return;
        };
        let Some(slot) = self.endpoints.remove_connection(key) else {
            return;
        };
        if slot.holder == Holder::Orphan {
            self.endpoints.orphans = self.endpoints.orphans.saturating_sub(1);
        }
        let overflows = self.endpoints.add_time_wait(slot.tuple, time_wait);
        self.observer.counters.time_wait_overflows += overflows;
        self.endpoints.places.keep(slot.body);
    }
}

/// Brings a connection and the memory of paths to agree.
fn refresh_path(host: &mut Host, slot: &mut Slot, now: Instant) {
    let connection = &mut slot.body.wake().connection;
    let (learnt, told) = (connection.path_mtu(), slot.told_mtu as usize);
    if learnt < told {
        host.path_mtus.lower(slot.tuple.remote, learnt, now);
    } else if learnt > told {
        host.path_mtus.raise(slot.tuple.remote, learnt);
    }
    connection.set_path_mtu(now, host.path_mtu(slot.tuple.remote));
    // Less, where it searches upwards itself.
    slot.told_mtu = octets(connection.path_mtu());
    slot.epoch = host.epoch;
}

/// The most payload of one segment handed to the device: what it can cut, or 0 when it cuts nothing.
fn max_payload(capabilities: &transom_wire::Capabilities, ipv4: bool) -> usize {
    if !capabilities.has_gso() {
        return 0;
    }
    let ip_header = if ipv4 { 20 } else { 40 };
    let packet = capabilities.max_gso.min(transom_wire::ip::MAX_PACKET_LEN);
    packet.saturating_sub(ip_header + MAX_TCP_HEADER)
}
