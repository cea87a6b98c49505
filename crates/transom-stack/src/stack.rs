//! The public face of a stack.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use transom_tcp::{Instant, State};
use transom_wire::{Capabilities, Cidr, TxFrame};

use crate::acquire::Acquire;
use crate::config::StackConfig;
use crate::counters::Counters;
use crate::demux::Entry;
use crate::endpoint::Endpoints;
use crate::event::StackEvent;
use crate::fragment::Reassembler;
use crate::handle::{ConnId, ListenerId};
use crate::host::Host;
use crate::link::Link;
use crate::listener::ListenOn;
use crate::observer::Observer;
use crate::recorder::Recorder;
use crate::route::RouteTarget;
use crate::router::Routers;
use crate::secret::{Key, Purpose};
use crate::timers::{Owner, earlier};
use crate::udp::UdpSockets;

/// How many deadlines are worked off in one call, so that a storm of them cannot hold up frames.
const TIMEOUTS_AT_ONCE: usize = 1024;

/// Many connections on one host, behind one device.
///
/// A stack does nothing by itself: it has no clock, no thread and no device. Its methods are of four kinds.
///
/// - *From the network*: [`handle_frame`](Self::handle_frame), [`handle_timeout`](Self::handle_timeout). They
///   never transmit; what is owed in answer is remembered.
/// - *Calls* of the application: `tcp_…`, `incoming_…`, `udp_…`, `echo_…`.
/// - *Outputs*: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
/// - *Getters*.
///
/// After any of the first two kinds, drain `poll_transmit` and `poll_event` until they give `None`, then ask
/// `poll_timeout` when to come back. Time must not run backwards. While anything is owed `poll_timeout` says
/// "now", so a caller who forgets to drain loses time and nothing else.
///
/// ```
/// use transom_stack::tcp::{Instant, State};
/// use transom_stack::wire::Capabilities;
/// use transom_stack::{ConnectOptions, Stack, StackConfig};
///
/// let now = Instant::ORIGIN;
/// let mut stack = Stack::new(StackConfig::default(), Capabilities::ip(1500), [7; 32], now);
/// stack.add_address("10.0.0.1/24".parse()?);
/// let id = stack.tcp_connect(now, ConnectOptions::new("10.0.0.2:80".parse()?))?;
/// let syn = stack.poll_transmit(now).ok_or("a SYN is owed")?;
/// assert_eq!(syn.len(), 20 + 40);
/// assert!(stack.poll_transmit(now).is_none());
/// assert_eq!(stack.tcp_state(id), Some(State::SynSent));
/// assert!(stack.poll_timeout(now).is_some(), "the SYN will be sent again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There is no loopback interface: a connection to an own address has no route.
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: StackConfig,
    pub(crate) host: Host,
    pub(crate) link: Link,
    pub(crate) acquire: Acquire,
    pub(crate) routers: Routers,
    /// When a report of our groups is due.
    pub(crate) report_due: Option<Instant>,
    pub(crate) reassembler: Reassembler,
    pub(crate) endpoints: Endpoints,
    pub(crate) udp: UdpSockets,
    pub(crate) events: VecDeque<StackEvent>,
    /// Echo requests among the events, which are bounded by count.
    pub(crate) queued_echoes: usize,
    pub(crate) observer: Observer,
}

impl Stack {
    /// A stack without addresses. Everything unpredictable in it is derived from `secret`, which has to come from a
    /// good source of randomness and must not be used twice.
    #[must_use]
    pub fn new(
        config: StackConfig,
        capabilities: Capabilities,
        secret: [u8; 32],
        now: Instant,
    ) -> Self {
        let tables = Key::derive(&secret, Purpose::Demux);
        let mut stack = Self {
            host: Host::new(&config, capabilities, &secret),
            link: Link::new(&config, capabilities, tables, now),
            acquire: Acquire::default(),
            routers: Routers::default(),
            report_due: None,
            reassembler: Reassembler::new(config.max_fragment_bytes, tables),
            endpoints: Endpoints::new(&config, &secret),
            udp: UdpSockets::new(&config, tables),
            events: VecDeque::new(),
            queued_echoes: 0,
            observer: Observer::new(),
            config,
        };
        stack.seek_routers(now);
        stack
    }

    /// Who is told what happens; `None` for nobody.
    pub fn set_recorder(&mut self, recorder: Option<Box<dyn Recorder + Send>>) {
        self.observer.recorder = recorder;
    }

    /// Gives the host an address. Its prefix is on the link.
    pub fn add_address(&mut self, address: Cidr) {
        self.host.routes.add_address(address);
        self.host.path_changed();
    }

    /// Takes an address away. Connections that use it go on doing so (RFC 9293 MUST-45). False when it was not there.
    pub fn remove_address(&mut self, address: IpAddr) -> bool {
        self.host.path_changed();
        self.host.routes.remove_address(address)
    }

    /// The addresses, in the order in which they were added.
    #[must_use]
    pub fn addresses(&self) -> &[Cidr] {
        self.host.routes.addresses()
    }

    /// Adds a route, or replaces the one for the same prefix.
    pub fn add_route(&mut self, prefix: Cidr, target: RouteTarget) {
        self.host.routes.add_route(prefix, target);
        self.host.path_changed();
    }

    /// Takes a route away. False when it was not there.
    pub fn remove_route(&mut self, prefix: Cidr) -> bool {
        self.host.path_changed();
        self.host.routes.remove_route(prefix)
    }

    /// The device's MTU changed (LNK-11). Units: bytes of IP packet.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.host.capabilities.mtu = mtu;
        self.link.set_mtu(mtu);
        self.host.path_changed();
    }

    /// The largest IP packet that the path to `destination` is known to carry, in bytes.
    // UDP-7: for who sends datagrams that must not be cut (`DatagramOptions::dont_fragment`).
    #[must_use]
    pub fn path_mtu(&self, destination: IpAddr) -> usize {
        self.host.path_mtu(destination)
    }

    /// What the device can do.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.host.capabilities
    }

    /// What was counted since the stack was made.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.observer.counters
    }

    /// The next frame for the device.
    ///
    /// Answers of the stack itself and the segments of connections take turns, and so do connections: one frame a turn.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<TxFrame> {
        let own_first = self.link.its_turn();
        if !self.may_owe() {
            self.endpoints.trim_timers();
            return None;
        }
        let mut frame = TxFrame::default();
        let any = (own_first && self.link.pop_into(&mut frame))
            || self.poll_connections(now, &mut frame)
            || self.link.pop_into(&mut frame);
        if !any {
            self.endpoints.trim_timers();
            return None;
        }
        self.observer.frame_out(now, &frame);
        Some(frame)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) may have a frame; if not, it has none.
    #[inline]
    #[must_use]
    pub fn may_owe(&self) -> bool {
        !self.endpoints.owing.is_empty() || !self.link.is_empty()
    }

    /// Sets aside what connections owe, until [`release_owed`](Self::release_owed): for who knows that applications are about to act on
    /// what has arrived, so that their answers take the acknowledgements along. A connection on which somebody acts
    /// meanwhile may send, replies of others than connections do, and what is set aside counts for nothing in
    /// [`may_owe`](Self::may_owe) and [`poll_timeout`](Self::poll_timeout). The caller has to come back soon.
    pub fn hold_owed(&mut self) {
        self.endpoints.hold();
    }

    /// Ends what [`hold_owed`](Self::hold_owed) has begun.
    pub fn release_owed(&mut self) {
        self.endpoints.release();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), or drain, at the latest: `now` while anything is owed.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.may_owe() {
            return Some(now);
        }
        earlier(self.endpoints.timers.next(), self.rare_deadline())
    }

    /// The first deadline of what is no connection. Asked for with each packet, and most often none: written out, it is a
    /// test for each.
    fn rare_deadline(&self) -> Option<Instant> {
        let mut next = self.link.next_timeout();
        next = earlier(next, self.reassembler.next_timeout());
        next = earlier(next, self.host.path_mtus.next_expiry());
        next = earlier(next, self.acquire.next_timeout());
        next = earlier(next, self.routers.next_timeout());
        earlier(next, self.report_due)
    }

    /// Acts on every deadline that has passed (a bounded number at once; `poll_timeout` then says "now").
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMEOUTS_AT_ONCE {
            let Some((at, owner)) = self.endpoints.timers.pop_due(now) else {
                break;
            };
            match owner {
                Owner::Connection(key) => self.connection_timeout(now, at, key),
                Owner::TimeWait(key) => self.time_wait_timeout(now, at, key),
                Owner::Incoming(key) => self.incoming_timeout(now, at, key),
                Owner::Embryo(key) => self.embryo_timeout(now, at, key),
            }
        }
        self.endpoints.compact();
        if self.rare_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.neighbour_timeouts(now);
        self.acquire_timeouts(now);
        self.router_timeouts(now);
        self.group_timeouts(now);
        self.fragment_timeouts(now);
        if self.host.path_mtus.expire(now) {
            self.host.path_changed();
        }
    }

    /// What to tell the application.
    pub fn poll_event(&mut self) -> Option<StackEvent> {
        while let Some(event) = self.events.pop_front() {
            match &event {
                StackEvent::Tcp(id, inner) => {
                    match self.endpoints.tenants.connections.get_mut(id.0) {
                        Some(slot) => slot.queued.remove(inner),
                        None => continue,
                    }
                }
                StackEvent::Acceptable(id) | StackEvent::Incoming(id) => {
                    match self.endpoints.listeners.get_mut(id.0) {
                        Some(listener) => listener.announced = false,
                        None => continue,
                    }
                }
                StackEvent::UdpReadable(id) => {
                    if !self.udp.unannounce_readable(*id) {
                        continue;
                    }
                }
                StackEvent::UdpError(id) => {
                    if !self.udp.unannounce_error(*id) {
                        continue;
                    }
                }
                StackEvent::EchoRequest(_) => self.queued_echoes -= 1,
                StackEvent::IncomingGone(_)
                | StackEvent::AddressReady(_)
                | StackEvent::AddressConflict(_) => {}
            }
            return Some(event);
        }
        None
    }

    /// Every connection with its sockets and state, as `ss` lists them. Those in TIME-WAIT that no application holds, and
    /// those of listeners in SYN-RECEIVED, come without a handle.
    pub fn connections(
        &self,
    ) -> impl Iterator<Item = (Option<ConnId>, SocketAddr, SocketAddr, State)> {
        let tenants = &self.endpoints.tenants;
        let full = tenants.connections.iter().map(|(key, slot)| {
            let state = slot.body.state();
            (
                Some(ConnId(key)),
                slot.tuple.local(),
                slot.tuple.remote(),
                state,
            )
        });
        let waiting = tenants.time_waits.iter().map(|(_, slot)| {
            (
                None,
                slot.tuple.local(),
                slot.tuple.remote(),
                State::TimeWait,
            )
        });
        let embryos = tenants.embryos.iter().map(|(_, slot)| {
            let (local, remote) = (slot.tuple.local(), slot.tuple.remote());
            (None, local, remote, State::SynReceived)
        });
        full.chain(waiting).chain(embryos)
    }

    /// How many connections have something left to do, handshakes of listeners included: neither CLOSED nor in TIME-WAIT.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.endpoints.unfinished + self.endpoints.tenants.embryos.len()
    }

    /// Every listener and what it is bound to.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, ListenOn)> {
        self.endpoints
            .listeners
            .iter()
            .map(|(key, on)| (ListenerId(key), on))
    }

    /// Whether the tuple of two sockets is in use, TIME-WAIT included.
    #[must_use]
    pub fn is_connected(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let tuple = crate::tuple::Tuple::new(local, remote);
        self.endpoints
            .lookup(&tuple)
            .is_some_and(|entry| !matches!(entry, Entry::Incoming(_)))
    }
}
