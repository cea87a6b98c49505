//! UDP sockets (RFC 768): tables, queues and calls.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use bytes::Bytes;
use transom_tcp::{Instant, PathError};
use transom_wire::Ecn;

use crate::config::StackConfig;
use crate::discard::Discard;
use crate::error::{BindError, DatagramError};
use crate::event::{StackEvent, Unreachable};
use crate::handle::UdpId;
use crate::ports::Use;
use crate::secret::{Key, Map};
use crate::slab::{Slab, SlabKey};
use crate::stack::Stack;

/// Errors held for one socket; the oldest goes first.
const MAX_ERRORS: usize = 16;
/// What a held datagram takes beside its bytes.
const OVERHEAD: usize = 256;

/// What a UDP socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UdpOn {
    /// One address and port. An unspecified address means every address of its family; port 0 a free one.
    Address(SocketAddr),
    /// Every address and port for which there is no socket of its own.
    Everything,
}

/// A datagram received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where it was sent to.
    pub local: SocketAddr,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The data.
    pub payload: Bytes,
    /// TTL or hop limit on arrival.
    pub hop_limit: u8,
    /// The ECN field.
    pub ecn: Ecn,
    /// The differentiated-services code point.
    pub dscp: u8,
    /// The start of the IP packet, for an ICMP error about it.
    pub quote: Bytes,
}

/// How to send a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DatagramOptions {
    /// The source; default that of the socket, and an address chosen by the route.
    pub from: Option<SocketAddr>,
    /// TTL or hop limit; default that of the stack.
    pub hop_limit: Option<u8>,
    /// The ECN field.
    pub ecn: Ecn,
    /// The differentiated-services code point.
    pub dscp: u8,
    /// Do not fragment: a datagram larger than the path's MTU is refused.
    pub dont_fragment: bool,
}

impl DatagramOptions {
    /// Sends from `source`.
    #[must_use]
    pub fn from(source: SocketAddr) -> Self {
        Self {
            from: Some(source),
            ..Self::default()
        }
    }
}

/// An ICMP error about a datagram that the socket sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpError {
    /// The source of the datagram.
    pub local: SocketAddr,
    /// Its destination.
    pub peer: SocketAddr,
    /// What the network reported.
    pub error: PathError,
}

#[derive(Debug)]
struct UdpSocket {
    on: UdpOn,
    queue: VecDeque<Datagram>,
    bytes: usize,
    capacity: usize,
    errors: VecDeque<UdpError>,
    readable_announced: bool,
    error_announced: bool,
}

/// All UDP sockets of a stack.
#[derive(Debug)]
pub(crate) struct UdpSockets {
    all: Slab<UdpSocket>,
    bound: Map<SocketAddr, SlabKey>,
    everything: Option<SlabKey>,
    buffer: usize,
}

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn any_of(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(
        if address.is_ipv4() { ANY_V4 } else { ANY_V6 },
        address.port(),
    )
}

impl UdpSockets {
    pub(crate) fn new(config: &StackConfig, key: Key) -> Self {
        Self {
            all: Slab::new(),
            bound: Map::with_hasher(key),
            everything: None,
            buffer: config.udp_receive_buffer,
        }
    }

    /// The socket for datagrams to `local`. One for everything gets unicast only.
    pub(crate) fn find(&self, local: SocketAddr, unicast: bool) -> Option<UdpId> {
        self.bound
            .get(&local)
            .or_else(|| self.bound.get(&any_of(local)))
            .copied()
            .or_else(|| self.everything.filter(|_| unicast))
            .map(UdpId)
    }

    fn is_bound(&self, local: SocketAddr) -> bool {
        self.bound.contains_key(&local) || self.bound.contains_key(&any_of(local))
    }

    /// Queues a datagram. `Ok(true)`: the application has to be told.
    pub(crate) fn deliver(&mut self, id: UdpId, datagram: Datagram) -> Result<bool, Discard> {
        let socket = self.all.get_mut(id.0).ok_or(Discard::UdpNoSocket)?;
        let bytes = datagram.payload.len() + OVERHEAD;
        // UDP-6: bounded; the newest is dropped, as everywhere.
        if socket.bytes + bytes > socket.capacity {
            return Err(Discard::UdpQueueFull);
        }
        socket.bytes += bytes;
        socket.queue.push_back(datagram);
        Ok(!core::mem::replace(&mut socket.readable_announced, true))
    }

    /// Notes an error. True: the application has to be told.
    pub(crate) fn report(&mut self, id: UdpId, error: UdpError) -> bool {
        let Some(socket) = self.all.get_mut(id.0) else {
            return false;
        };
        if socket.errors.len() >= MAX_ERRORS {
            socket.errors.pop_front();
        }
        socket.errors.push_back(error);
        !core::mem::replace(&mut socket.error_announced, true)
    }

    pub(crate) fn unannounce_readable(&mut self, id: UdpId) -> bool {
        let socket = self.all.get_mut(id.0);
        socket.is_some_and(|socket| core::mem::replace(&mut socket.readable_announced, false))
    }

    pub(crate) fn unannounce_error(&mut self, id: UdpId) -> bool {
        let socket = self.all.get_mut(id.0);
        socket.is_some_and(|socket| core::mem::replace(&mut socket.error_announced, false))
    }
}

impl Stack {
    /// Makes a UDP socket.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn udp_bind(&mut self, on: UdpOn) -> Result<UdpId, BindError> {
        let on = match on {
            UdpOn::Address(address) => UdpOn::Address(self.udp_place(address)?),
            UdpOn::Everything if self.udp.everything.is_some() => {
                return Err(BindError::AddressInUse);
            }
            UdpOn::Everything => on,
        };
        let many = if on == UdpOn::Everything { 4 } else { 1 };
        let key = self
            .udp
            .all
            .insert(UdpSocket {
                on,
                queue: VecDeque::new(),
                bytes: 0,
                capacity: self.udp.buffer * many,
                errors: VecDeque::new(),
                readable_announced: false,
                error_announced: false,
            })
            .ok_or(BindError::AddressInUse)?;
        match on {
            UdpOn::Address(address) => {
                self.udp.bound.insert(address, key);
            }
            UdpOn::Everything => self.udp.everything = Some(key),
        }
        Ok(UdpId(key))
    }

    fn udp_place(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.host.may_send_from(ip) {
            return Err(BindError::InvalidLocal);
        }
        if address.port() != 0 {
            return if self.udp.bound.contains_key(&address) {
                Err(BindError::AddressInUse)
            } else {
                Ok(address)
            };
        }
        let (udp, host) = (&self.udp, &mut self.host);
        let port = host
            .ports
            .choose(ip, SocketAddr::new(ip, 0), &mut host.random, |port| {
                if udp.is_bound(SocketAddr::new(ip, port)) {
                    Use::Taken
                } else {
                    Use::Free
                }
            })
            .ok_or(BindError::PortsExhausted)?;
        Ok(SocketAddr::new(ip, port))
    }

    /// What a socket is bound to.
    #[must_use]
    pub fn udp_local(&self, id: UdpId) -> Option<UdpOn> {
        self.udp.all.get(id.0).map(|socket| socket.on)
    }

    /// The next datagram received, left in its place.
    #[must_use]
    pub fn udp_peek(&self, id: UdpId) -> Option<&Datagram> {
        self.udp.all.get(id.0)?.queue.front()
    }

    /// The next datagram received, if there is one.
    pub fn udp_recv(&mut self, id: UdpId) -> Option<Datagram> {
        let socket = self.udp.all.get_mut(id.0)?;
        let datagram = socket.queue.pop_front()?;
        socket.bytes -= datagram.payload.len() + OVERHEAD;
        if socket.queue.is_empty() && socket.queue.capacity() > 64 {
            socket.queue = VecDeque::new();
        }
        Some(datagram)
    }

    /// The oldest ICMP error about a datagram that the socket sent, if there is one.
    pub fn udp_take_error(&mut self, id: UdpId) -> Option<UdpError> {
        self.udp.all.get_mut(id.0)?.errors.pop_front()
    }

    /// Closes a socket; what it holds is lost.
    pub fn udp_close(&mut self, id: UdpId) {
        let Some(socket) = self.udp.all.remove(id.0) else {
            return;
        };
        match socket.on {
            UdpOn::Address(address) => {
                self.udp.bound.remove(&address);
            }
            UdpOn::Everything => self.udp.everything = None,
        }
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// See [`DatagramError`].
    pub fn udp_send(
        &mut self,
        now: Instant,
        id: UdpId,
        to: SocketAddr,
        payload: Bytes,
        options: DatagramOptions,
    ) -> Result<(), DatagramError> {
        let on = self.udp_local(id).ok_or(DatagramError::Closed)?;
        if to.ip().is_unspecified() || to.port() == 0 {
            return Err(DatagramError::InvalidRemote);
        }
        let from = self.udp_source(on, to, options.from)?;
        self.send_datagram(now, from, to, payload, options)
    }

    fn udp_source(
        &self,
        on: UdpOn,
        to: SocketAddr,
        wished: Option<SocketAddr>,
    ) -> Result<SocketAddr, DatagramError> {
        let bound = match on {
            UdpOn::Address(address) => Some(address),
            UdpOn::Everything => None,
        };
        let base = wished.or(bound).ok_or(DatagramError::InvalidLocal)?;
        let port = match (base.port(), bound) {
            (0, Some(bound)) => bound.port(),
            (0, None) => return Err(DatagramError::InvalidLocal),
            (port, _) => port,
        };
        let fixed = [Some(base), bound]
            .into_iter()
            .flatten()
            .map(|address| address.ip())
            .find(|ip| !ip.is_unspecified());
        let ip = match fixed {
            Some(ip) => ip,
            None => {
                let hop = self.host.next_hop(to.ip()).ok_or(DatagramError::NoRoute)?;
                self.host
                    .routes
                    .source_for(to.ip(), hop)
                    .ok_or(DatagramError::InvalidLocal)?
            }
        };
        if ip.is_ipv4() != to.is_ipv4() || !self.host.may_send_from(ip) {
            return Err(DatagramError::InvalidLocal);
        }
        Ok(SocketAddr::new(ip, port))
    }

    /// Tells the sender of a datagram that it cannot be delivered, by an ICMP error from the address it was sent to.
    pub fn udp_unreachable(&mut self, now: Instant, datagram: &Datagram, reason: Unreachable) {
        let (from, to) = (datagram.local.ip(), datagram.peer.ip());
        self.send_unreachable(now, from, to, reason, &datagram.quote);
    }

    /// Queues an event for a socket.
    pub(crate) fn udp_announce(&mut self, event: StackEvent) {
        self.events.push_back(event);
    }
}
