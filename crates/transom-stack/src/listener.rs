//! Who waits for connections, and on what.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use transom_tcp::Instant;

use crate::endpoint::SharedConfig;
use crate::error::ListenError;
use crate::fastopen::{FastOpenListen, Limit};
use crate::secret::{Key, Map};
use crate::slab::{Slab, SlabKey};

/// What a listener is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenOn {
    /// One address and port. An unspecified address means every address of its family.
    Address(SocketAddr),
    /// One port of every address, IPv4 and IPv6.
    AnyAddress(u16),
    /// Every address and port for which there is no listener of its own.
    Everything,
}

/// How to listen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// On what.
    pub on: ListenOn,
    /// As in `listen(2)` on Linux: how many finished connections may wait to be taken (one more, in fact), and how
    /// many handshakes may be under way. Default 4096.
    pub backlog: usize,
    /// The choices for the connections; default those of the stack.
    pub config: Option<transom_tcp::Config>,
    /// Withhold the SYN-ACK until the application has decided about each SYN. Default false.
    pub manual: bool,
    /// Take data of SYNs before the handshake is complete (TCP Fast Open, RFC 7413). Default none.
    pub fast_open: Option<FastOpenListen>,
}

impl ListenOptions {
    /// Listens on `on` with the defaults.
    #[must_use]
    pub const fn new(on: ListenOn) -> Self {
        Self {
            on,
            backlog: 4096,
            config: None,
            manual: false,
            fast_open: None,
        }
    }

    /// Sets [`ListenOptions::backlog`].
    #[must_use]
    pub const fn backlog(mut self, backlog: usize) -> Self {
        self.backlog = backlog;
        self
    }

    /// Sets [`ListenOptions::config`].
    #[must_use]
    pub fn config(mut self, config: transom_tcp::Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Sets [`ListenOptions::manual`].
    #[must_use]
    pub const fn manual(mut self, manual: bool) -> Self {
        self.manual = manual;
        self
    }

    /// Sets [`ListenOptions::fast_open`].
    #[must_use]
    pub const fn fast_open(mut self, fast_open: FastOpenListen) -> Self {
        self.fast_open = Some(fast_open);
        self
    }
}

/// A listener.
#[derive(Debug)]
pub(crate) struct Listener {
    on: ListenOn,
    pub(crate) backlog: usize,
    pub(crate) config: SharedConfig,
    pub(crate) manual: bool,
    /// Handshakes under way.
    pub(crate) embryos: usize,
    /// Connections that wait to be taken.
    pub(crate) ready: VecDeque<SlabKey>,
    /// SYNs that the application has not looked at.
    pub(crate) incoming: VecDeque<SlabKey>,
    /// When a SYN was last answered with a cookie.
    pub(crate) overflowed: Option<Instant>,
    /// An event that something waits is queued.
    pub(crate) announced: bool,
    /// How data of SYNs is taken.
    pub(crate) fast_open: Option<Box<FastOpenListen>>,
    pub(crate) fast_open_limit: Limit,
}

impl Listener {
    /// Whether a connection that completes its handshake has to wait.
    // Linux sk_acceptq_is_full: one more than the backlog is let in.
    pub(crate) fn is_full(&self) -> bool {
        self.ready.len() > self.backlog
    }

    /// Whether another handshake has no place in the queue.
    pub(crate) fn is_queue_full(&self) -> bool {
        self.embryos > self.backlog
    }
}

/// All listeners of a stack.
#[derive(Debug)]
pub(crate) struct Listeners {
    all: Slab<Listener>,
    bound: Map<(IpAddr, u16), SlabKey>,
    everything: Option<SlabKey>,
}

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl Listeners {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            all: Slab::new(),
            bound: Map::with_hasher(key),
            everything: None,
        }
    }

    fn places(on: ListenOn) -> Vec<(IpAddr, u16)> {
        match on {
            ListenOn::Address(address) => vec![(address.ip(), address.port())],
            ListenOn::AnyAddress(port) => vec![(ANY_V4, port), (ANY_V6, port)],
            ListenOn::Everything => Vec::new(),
        }
    }

    /// Adds a listener.
    // RFC 9293 §3.10.1, MUST-41: a second passive OPEN on the same place is an error and changes nothing.
    pub(crate) fn add(
        &mut self,
        options: &ListenOptions,
        config: SharedConfig,
    ) -> Result<SlabKey, ListenError> {
        let places = Self::places(options.on);
        let taken = match options.on {
            ListenOn::Everything => self.everything.is_some(),
            _ => places.iter().any(|place| self.bound.contains_key(place)),
        };
        if taken {
            return Err(ListenError::AddressInUse);
        }
        let key = self
            .all
            .insert(Listener {
                on: options.on,
                backlog: options.backlog,
                config,
                manual: options.manual,
                embryos: 0,
                ready: VecDeque::new(),
                incoming: VecDeque::new(),
                overflowed: None,
                announced: false,
                fast_open: options.fast_open.map(Box::new),
                fast_open_limit: Limit::default(),
            })
            .ok_or(ListenError::AddressInUse)?;
        if options.on == ListenOn::Everything {
            self.everything = Some(key);
        }
        for place in places {
            self.bound.insert(place, key);
        }
        Ok(key)
    }

    pub(crate) fn remove(&mut self, key: SlabKey) -> Option<Listener> {
        let listener = self.all.remove(key)?;
        if self.everything == Some(key) {
            self.everything = None;
        }
        for place in Self::places(listener.on) {
            self.bound.remove(&place);
        }
        Some(listener)
    }

    pub(crate) fn get(&self, key: SlabKey) -> Option<&Listener> {
        self.all.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: SlabKey) -> Option<&mut Listener> {
        self.all.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlabKey, ListenOn)> {
        self.all.iter().map(|(key, listener)| (key, listener.on))
    }

    /// The listener for a SYN to `address`: the one bound there, else the one for every address, else the one
    /// for everything.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<SlabKey> {
        let any = if address.is_ipv4() { ANY_V4 } else { ANY_V6 };
        self.bound
            .get(&(address.ip(), address.port()))
            .or_else(|| self.bound.get(&(any, address.port())))
            .copied()
            .or(self.everything)
    }

    /// Whether a port is bound, on this address or on all: not to be used as an ephemeral one.
    pub(crate) fn is_bound(&self, address: SocketAddr) -> bool {
        let any = if address.is_ipv4() { ANY_V4 } else { ANY_V6 };
        self.bound.contains_key(&(address.ip(), address.port()))
            || self.bound.contains_key(&(any, address.port()))
    }
}
