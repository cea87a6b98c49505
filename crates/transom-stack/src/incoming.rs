//! SYNs that wait for the application to decide, the SYN-ACK withheld.

use core::net::SocketAddr;
use std::sync::Arc;

use transom_tcp::Instant;

use crate::discard::Discard;
use crate::endpoint::Holder;
use crate::error::IncomingError;
use crate::event::Unreachable;
use crate::handle::{ConnId, IncomingId, ListenerId};
use crate::stack::Stack;

/// A SYN that waits for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// Its handle.
    pub id: IncomingId,
    /// The socket that is being connected to.
    pub local: SocketAddr,
    /// Who connects.
    pub peer: SocketAddr,
    /// What the SYN says.
    pub syn: SynInfo,
}

/// What a SYN says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SynInfo {
    /// When it was received.
    pub received: Instant,
    /// The maximum segment size option.
    pub mss: Option<u16>,
    /// The window scale option.
    pub window_scale: Option<u8>,
    /// Whether selective acknowledgement is offered.
    pub sack_permitted: bool,
    /// Whether timestamps are offered.
    pub timestamps: bool,
    /// The window, not scaled.
    pub window: u16,
}

impl Stack {
    /// The next SYN of a manual listener that the application has not seen.
    pub fn tcp_incoming(&mut self, id: ListenerId) -> Option<Incoming> {
        let key = self
            .endpoints
            .listeners
            .get_mut(id.0)?
            .incoming
            .pop_front()?;
        let slot = self.endpoints.tenants.incomings.get_mut(key)?;
        slot.taken = true;
        let options = &slot.syn.options;
        Some(Incoming {
            id: IncomingId(key),
            local: slot.tuple.local(),
            peer: slot.tuple.remote(),
            syn: SynInfo {
                received: slot.syn.received,
                mss: options.mss,
                window_scale: options.window_scale,
                sack_permitted: options.sack_permitted,
                timestamps: options.timestamps.is_some(),
                window: slot.syn.window,
            },
        })
    }

    /// Accepts: the SYN-ACK goes out now. `config` defaults to that of the listener.
    ///
    /// # Errors
    /// See [`IncomingError`].
    pub fn incoming_accept(
        &mut self,
        now: Instant,
        id: IncomingId,
        config: Option<transom_tcp::Config>,
    ) -> Result<ConnId, IncomingError> {
        let slot = self
            .endpoints
            .remove_incoming(id.0)
            .ok_or(IncomingError::Gone)?;
        let config = match config {
            Some(config) => Arc::new(config),
            None => match self.endpoints.listeners.get(slot.listener) {
                Some(listener) => listener.config.clone(),
                None => self.config.tcp.clone(),
            },
        };
        let holder = Holder::Application;
        self.open_passive(
            now,
            (slot.tuple, slot.hash),
            &slot.syn,
            config,
            holder,
            slot.min_iss,
        )
        .map(ConnId)
        .map_err(|reason| match reason {
            Discard::ConnectionLimit => IncomingError::ConnectionLimit,
            _ => IncomingError::Gone,
        })
    }

    /// Refuses: the peer gets a reset, as from a host where nothing listens.
    pub fn incoming_refuse(&mut self, now: Instant, id: IncomingId) {
        let Some(slot) = self.endpoints.remove_incoming(id.0) else {
            return;
        };
        if let Ok(reset) = transom_tcp::closed::reply(&slot.syn) {
            self.observer.counters.resets_out += 1;
            self.send_without_connection(now, &slot.tuple, reset);
        }
    }

    /// Refuses with an ICMP error, as a router would that cannot reach the destination.
    pub fn incoming_unreachable(&mut self, now: Instant, id: IncomingId, reason: Unreachable) {
        let Some(slot) = self.endpoints.remove_incoming(id.0) else {
            return;
        };
        let (from, to) = (slot.tuple.local, slot.tuple.remote);
        self.send_unreachable(now, from, to, reason, &slot.quote);
    }

    /// Forgets the SYN: the peer gets no answer. If it sends the SYN again, that is a new one.
    pub fn incoming_ignore(&mut self, id: IncomingId) {
        self.endpoints.remove_incoming(id.0);
    }
}
