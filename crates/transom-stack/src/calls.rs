//! The calls of TCP applications (RFC 9293 §3.10.1–6).

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use transom_tcp::{Connection, ConnectionInfo, FastOpenUse, Instant, State};
use transom_wire::Seq;

use crate::demux::Entry;
use crate::egress::Marks;
use crate::endpoint::Holder;
use crate::error::{ConnectError, ListenError, RecvError, SendError, ShutdownError, StaleHandle};
use crate::handle::{ConnId, ListenerId};
use crate::listener::{ListenOn, ListenOptions};
use crate::ports::Use;
use crate::rest::ConnectionRef;
use crate::stack::Stack;
use crate::tuple::Tuple;

/// How to open a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The local socket. An unspecified address (or none) is chosen by the route, port 0 (or none) among the
    /// ephemeral ones.
    pub local: Option<SocketAddr>,
    /// The remote socket.
    pub remote: SocketAddr,
    /// The choices for the connection; default those of the stack.
    pub config: Option<Arc<transom_tcp::Config>>,
    /// Data in the SYN (RFC 7413); default what [`Config::fast_open`](transom_tcp::Config::fast_open) says, which is off.
    pub fast_open: Option<FastOpenUse>,
    /// With `fast_open`: hold the SYN back until something is written, if it may carry data, which it may not without a
    /// cookie. Default false.
    pub wait_for_data: bool,
}

impl ConnectOptions {
    /// To `remote`, with the defaults.
    #[must_use]
    pub const fn new(remote: SocketAddr) -> Self {
        Self {
            local: None,
            remote,
            config: None,
            fast_open: None,
            wait_for_data: false,
        }
    }

    /// Sets [`ConnectOptions::local`].
    #[must_use]
    pub const fn local(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// Sets [`ConnectOptions::fast_open`]: **the server may get the data of the SYN twice**, see [`FastOpenUse`].
    #[must_use]
    pub const fn fast_open(mut self, fast_open: FastOpenUse) -> Self {
        self.fast_open = Some(fast_open);
        self
    }

    /// Sets [`ConnectOptions::wait_for_data`].
    #[must_use]
    pub const fn wait_for_data(mut self, wait_for_data: bool) -> Self {
        self.wait_for_data = wait_for_data;
        self
    }

    /// Sets [`ConnectOptions::config`].
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<transom_tcp::Config>>) -> Self {
        self.config = Some(config.into());
        self
    }
}

impl Stack {
    /// Active OPEN.
    ///
    /// # Errors
    /// See [`ConnectError`]. Nothing is sent then.
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        options: ConnectOptions,
    ) -> Result<ConnId, ConnectError> {
        let ConnectOptions {
            local,
            remote,
            config,
            fast_open,
            wait_for_data,
        } = options;
        // RFC 9293 §3.9.1.1 MUST-46: an OPEN to an address that no host has is an error.
        if remote.port() == 0 || !self.host.is_plain_unicast(remote.ip()) {
            return Err(ConnectError::InvalidRemote);
        }
        if self.endpoints.tenants.connections.len() >= self.config.max_connections {
            return Err(ConnectError::ConnectionLimit);
        }
        let source = self.connect_source(local, remote.ip())?;
        let wished_port = local.map_or(0, |local| local.port());
        let (tuple, hash, min_iss) = self.connect_tuple(now, source, wished_port, remote)?;
        let path = self.host.path(remote.ip());
        let identity = self.endpoints.new_identity(&tuple, now, min_iss);
        let config = config.unwrap_or_else(|| self.config.tcp.clone());
        let pair = (tuple.local, tuple.remote);
        let wanted = (fast_open.unwrap_or(config.fast_open), wait_for_data);
        let fast_open = self.fast_open_syn(now, wanted, config.max_segment, pair, &path);
        let connection = Connection::connect(config, path, identity, now);
        let mut connection = self.endpoints.places.put(connection);
        if let Some(syn) = fast_open {
            connection.use_fast_open(syn);
        }
        let marks = Marks::of(&self.host, &tuple);
        let key = self
            .endpoints
            .add_connection(
                (tuple, hash),
                connection,
                Holder::Application,
                self.host.epoch,
                marks,
            )
            .ok_or(ConnectError::ConnectionLimit)?;
        self.observer.counters.active_opens += 1;
        self.settle(now, key);
        Ok(ConnId(key))
    }

    /// The local address of a connection to be.
    // RFC 9293 §3.9.1.1 MUST-43: one may be given; MUST-44: otherwise the IP layer is asked.
    fn connect_source(
        &self,
        local: Option<SocketAddr>,
        remote: IpAddr,
    ) -> Result<IpAddr, ConnectError> {
        let next_hop = self.host.next_hop(remote).ok_or(ConnectError::NoRoute)?;
        if self.host.routes.is_local(remote) {
            return Err(ConnectError::NoRoute);
        }
        match local.map(|local| local.ip()) {
            Some(ip) if ip.is_ipv4() != remote.is_ipv4() => Err(ConnectError::InvalidLocal),
            Some(ip) if !ip.is_unspecified() => {
                if self.host.may_send_from(ip) {
                    Ok(ip)
                } else {
                    Err(ConnectError::InvalidLocal)
                }
            }
            _ => self
                .host
                .routes
                .source_for(remote, next_hop)
                .ok_or(ConnectError::NoSourceAddress),
        }
    }

    /// The tuple of a connection to be, its hash, and the least initial sequence number when it was in TIME-WAIT.
    fn connect_tuple(
        &mut self,
        now: Instant,
        source: IpAddr,
        port: u16,
        remote: SocketAddr,
    ) -> Result<(Tuple, u32, Option<Seq>), ConnectError> {
        let tuple = |port| Tuple::new(SocketAddr::new(source, port), remote);
        if port != 0 {
            let tuple = tuple(port);
            if !self.host.share.has(&tuple) {
                return Err(ConnectError::OtherShard);
            }
            let hash = self.endpoints.demux.hash(&tuple);
            return Ok((tuple, hash, self.take_tuple(now, &tuple, hash)?));
        }
        let Self {
            endpoints, host, ..
        } = self;
        let (ports, random, share) = (&mut host.ports, &mut host.random, &host.share);
        // Of the port that was looked at last, which nearly always is the one.
        let mut looked = (0, 0);
        let port = ports
            .choose(source, remote, random, |port| {
                let tuple = tuple(port);
                if !share.has(&tuple) {
                    return Use::Taken;
                }
                let hash = endpoints.demux.hash(&tuple);
                looked = (port, hash);
                match endpoints.lookup_hashed(&tuple, hash) {
                    None if endpoints.listeners.is_bound(tuple.local()) => Use::Taken,
                    None => Use::Free,
                    Some(entry) if endpoints.reusable(now, entry).is_some() => Use::Reusable,
                    Some(_) => Use::Taken,
                }
            })
            .ok_or(ConnectError::PortsExhausted)?;
        let tuple = tuple(port);
        let hash = match looked {
            (last, hash) if last == port => hash,
            _ => self.endpoints.demux.hash(&tuple),
        };
        Ok((tuple, hash, self.take_tuple(now, &tuple, hash)?))
    }

    /// Makes sure that a tuple is free, ending a TIME-WAIT that may be ended.
    fn take_tuple(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        hash: u32,
    ) -> Result<Option<Seq>, ConnectError> {
        match self.endpoints.lookup_hashed(tuple, hash) {
            None => Ok(None),
            Some(entry @ Entry::TimeWait(index)) => {
                let min_iss = self
                    .endpoints
                    .reusable(now, entry)
                    .ok_or(ConnectError::AddressInUse)?;
                if let Some(key) = self.endpoints.tenants.time_waits.key_at(index) {
                    self.end_time_wait(now, key);
                }
                Ok(Some(min_iss))
            }
            Some(_) => Err(ConnectError::AddressInUse),
        }
    }

    /// Passive OPEN.
    ///
    /// # Errors
    /// See [`ListenError`]. Nothing that exists is affected (RFC 9293 MUST-41).
    pub fn tcp_listen(&mut self, options: ListenOptions) -> Result<ListenerId, ListenError> {
        match options.on {
            ListenOn::Address(address) => {
                let ip = address.ip();
                if !ip.is_unspecified() && !self.host.may_send_from(ip) {
                    return Err(ListenError::InvalidLocal);
                }
                if address.port() == 0 {
                    return Err(ListenError::InvalidPort);
                }
            }
            ListenOn::AnyAddress(0) => return Err(ListenError::InvalidPort),
            ListenOn::AnyAddress(_) | ListenOn::Everything => {}
        }
        let config = match &options.config {
            Some(config) => Arc::new(config.clone()),
            None => self.config.tcp.clone(),
        };
        self.endpoints
            .listeners
            .add(&options, config)
            .map(ListenerId)
    }

    /// CLOSE of a listener: handshakes under way and connections not yet taken are reset, SYNs not yet decided on
    /// are dropped.
    // RFC 9293 §3.10.4, LISTEN STATE (EV-U-2).
    pub fn tcp_close_listener(&mut self, now: Instant, id: ListenerId) {
        let Some(listener) = self.endpoints.listeners.remove(id.0) else {
            return;
        };
        // All connections of a listener wait at it to be taken.
        for key in listener.ready {
            if let Some(slot) = self.endpoints.tenants.connections.get_mut(key) {
                slot.body.wake().connection.abort(now);
                slot.holder = Holder::Orphan;
                self.endpoints.orphans += 1;
            }
            self.settle(now, key);
        }
        self.reset_embryos(now, id.0, &listener.config);
        let waiting = self
            .endpoints
            .tenants
            .incomings
            .keys_where(|slot| slot.listener == id.0);
        for key in waiting {
            self.drop_incoming(now, key);
        }
    }

    /// A connection of an automatic listener whose handshake is complete. It may have ended meanwhile.
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<ConnId> {
        let listener = self.endpoints.listeners.get_mut(id.0)?;
        let key = listener.ready.pop_front()?;
        if let Some(slot) = self.endpoints.tenants.connections.get_mut(key) {
            slot.holder = Holder::Application;
        }
        Some(ConnId(key))
    }

    /// Connections of a listener that [`tcp_accept`](Self::tcp_accept) would give; `None` when the handle is stale.
    #[must_use]
    pub fn tcp_ready(&self, id: ListenerId) -> Option<usize> {
        Some(self.endpoints.listeners.get(id.0)?.ready.len())
    }

    /// Changes how many connections may wait at a listener ([`ListenOptions::backlog`]). False when the handle is
    /// stale.
    pub fn tcp_set_backlog(&mut self, id: ListenerId, backlog: usize) -> bool {
        let listener = self.endpoints.listeners.get_mut(id.0);
        listener.is_some_and(|listener| {
            listener.backlog = backlog;
            true
        })
    }

    /// Changes the choices for the connections to come of a listener. False when the handle is stale.
    pub fn tcp_set_listener_config(&mut self, id: ListenerId, config: transom_tcp::Config) -> bool {
        let listener = self.endpoints.listeners.get_mut(id.0);
        listener.is_some_and(|listener| {
            listener.config = Arc::new(config);
            true
        })
    }

    /// Queues data for sending; returns how many bytes were taken, 0 when the buffer is full.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn tcp_send(&mut self, now: Instant, id: ConnId, data: Bytes) -> Result<usize, SendError> {
        let taken = self
            .connection(id)
            .ok_or(SendError::StaleHandle)?
            .send(now, data)?;
        self.settle(now, id.0);
        Ok(taken)
    }

    /// As [`tcp_send`](Self::tcp_send), with one copy.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn tcp_send_slice(
        &mut self,
        now: Instant,
        id: ConnId,
        data: &[u8],
    ) -> Result<usize, SendError> {
        let taken = self
            .connection(id)
            .ok_or(SendError::StaleHandle)?
            .send_slice(now, data)?;
        self.settle(now, id.0);
        Ok(taken)
    }

    /// Takes up to `max` bytes received, without a copy: `None` would block, an empty slice is the end of the stream.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn tcp_recv(
        &mut self,
        now: Instant,
        id: ConnId,
        max: usize,
    ) -> Result<Option<Bytes>, RecvError> {
        let connection = self.connection(id).ok_or(RecvError::StaleHandle)?;
        let data = connection.recv(now, max);
        // Neither "nothing there" nor the end of the stream makes anything due.
        let any = matches!(&data, Ok(Some(data)) if !data.is_empty());
        if !any {
            // Who only asks does not keep a connection unfolded.
            self.endpoints.rest(id.0);
        } else if is_read_up(now, connection) {
            self.settle(now, id.0);
        }
        Ok(data?)
    }

    /// As [`tcp_recv`](Self::tcp_recv), with one copy: `Some(0)` is the end of the stream.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn tcp_recv_into(
        &mut self,
        now: Instant,
        id: ConnId,
        out: &mut [u8],
    ) -> Result<Option<usize>, RecvError> {
        let connection = self.connection(id).ok_or(RecvError::StaleHandle)?;
        let taken = connection.recv_into(now, out);
        let any = matches!(taken, Ok(Some(1..)));
        if !any {
            self.endpoints.rest(id.0);
        } else if is_read_up(now, connection) {
            self.settle(now, id.0);
        }
        Ok(taken?)
    }

    /// As [`tcp_recv_into`](Self::tcp_recv_into), and leaves the data in the queue.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn tcp_peek(&self, id: ConnId, out: &mut [u8]) -> Result<Option<usize>, RecvError> {
        let slot = self
            .endpoints
            .tenants
            .connections
            .get(id.0)
            .ok_or(RecvError::StaleHandle)?;
        Ok(slot.body.look().peek(out)?)
    }

    /// CLOSE of the sending side: FIN after the data that is queued.
    ///
    /// # Errors
    /// See [`ShutdownError`].
    pub fn tcp_shutdown_write(&mut self, now: Instant, id: ConnId) -> Result<(), ShutdownError> {
        self.connection(id)
            .ok_or(ShutdownError::StaleHandle)?
            .shutdown_write(now)?;
        self.settle(now, id.0);
        Ok(())
    }

    /// The application reads no more; what comes is acknowledged and thrown away.
    pub fn tcp_shutdown_read(&mut self, now: Instant, id: ConnId) {
        if let Some(connection) = self.connection(id) {
            connection.shutdown_read(now);
            self.settle(now, id.0);
        }
    }

    /// CLOSE of both sides. With data unread, or data that comes later, the peer gets a reset.
    pub fn tcp_close(&mut self, now: Instant, id: ConnId) {
        if let Some(connection) = self.connection(id) {
            connection.close(now);
            self.settle(now, id.0);
        }
    }

    /// ABORT: a reset, and all queues are flushed.
    pub fn tcp_abort(&mut self, now: Instant, id: ConnId) {
        if let Some(connection) = self.connection(id) {
            connection.abort(now);
            self.settle(now, id.0);
        }
    }

    /// The application lets go of the handle. A connection that was not closed is closed now, and finishes by itself.
    // SEC-ZWP-2, SEC-FW2-1: those left behind are limited in number here, and in time by the connection.
    pub fn tcp_release(&mut self, now: Instant, id: ConnId) {
        let crowded = self.endpoints.orphans >= self.config.max_orphans;
        let Some(slot) = self.endpoints.tenants.connections.get_mut(id.0) else {
            return;
        };
        if slot.holder != Holder::Application {
            return;
        }
        slot.holder = Holder::Orphan;
        self.endpoints.orphans += 1;
        let connection = &mut slot.body.wake().connection;
        connection.close(now);
        if crowded && connection.closed().is_none() {
            connection.abort(now);
            self.observer.counters.orphan_overflows += 1;
        }
        self.settle(now, id.0);
    }

    /// The TTL or hop limit of a connection's segments; `None` when the handle is stale.
    #[must_use]
    pub fn tcp_hop_limit(&self, id: ConnId) -> Option<u8> {
        let slot = self.endpoints.tenants.connections.get(id.0)?;
        let default = self.host.hop_limit(slot.tuple.remote);
        Some(slot.marks.hop_limit.unwrap_or(default))
    }

    /// Sets the TTL or hop limit of the segments to come. False when the handle is stale.
    // RFC 9293 §3.9.2 MUST-49: it can be chosen; 0 would never leave the host.
    pub fn tcp_set_hop_limit(&mut self, id: ConnId, hop_limit: u8) -> bool {
        let slot = self.endpoints.tenants.connections.get_mut(id.0);
        slot.is_some_and(|slot| {
            slot.marks.hop_limit = Some(hop_limit.max(1));
            true
        })
    }

    /// A snapshot of a connection.
    ///
    /// # Errors
    /// The handle is stale.
    pub fn tcp_info(&self, id: ConnId) -> Result<ConnectionInfo, StaleHandle> {
        let slot = self.endpoints.tenants.connections.get(id.0);
        slot.map(|slot| slot.body.look().info())
            .ok_or(StaleHandle::Gone)
    }

    /// The state of a connection; `None` when the handle is stale.
    #[must_use]
    pub fn tcp_state(&self, id: ConnId) -> Option<State> {
        let slot = self.endpoints.tenants.connections.get(id.0)?;
        Some(slot.body.state())
    }

    /// Local and remote socket of a connection; `None` when the handle is stale.
    #[must_use]
    pub fn tcp_addresses(&self, id: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        let slot = self.endpoints.tenants.connections.get(id.0)?;
        Some((slot.tuple.local(), slot.tuple.remote()))
    }

    /// A connection to look at; `None` when the handle is stale.
    #[must_use]
    pub fn tcp_connection(&self, id: ConnId) -> Option<ConnectionRef<'_>> {
        let slot = self.endpoints.tenants.connections.get(id.0)?;
        Some(slot.body.look())
    }

    /// Calls a method of the connection itself, for options and for what has no call of its own here.
    pub fn tcp_with<R>(
        &mut self,
        now: Instant,
        id: ConnId,
        f: impl FnOnce(&mut Connection) -> R,
    ) -> Option<R> {
        let result = f(self.connection(id)?);
        self.settle(now, id.0);
        Some(result)
    }

    /// Asks for [`Event::Writable`](transom_tcp::Event::Writable) once there is room for writing, as a send that found
    /// none does.
    pub fn tcp_want_writable(&mut self, id: ConnId) {
        if let Some(connection) = self.connection(id) {
            connection.want_writable();
            self.endpoints.rest(id.0);
        }
    }

    fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        let slot = self.endpoints.tenants.connections.get_mut(id.0)?;
        Some(&mut *slot.body.wake().connection)
    }
}

/// After a read: the connection has something to send, or may rest. A part of what is there changes nothing else.
fn is_read_up(now: Instant, connection: &Connection) -> bool {
    connection.recv_queue() == 0 || connection.poll_timeout().is_some_and(|at| at <= now)
}
