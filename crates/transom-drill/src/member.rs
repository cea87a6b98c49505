//! Hosts and routers in one world.

use std::time::Duration;

use transom_sim::{Host, Router};

/// A member of a simulated network: a host of the kind `H`, or a router.
pub enum Member<H> {
    /// A host.
    Host(Box<H>),
    /// A router.
    Router(Box<Router>),
}

impl<H> Member<H> {
    /// The host, if it is one.
    #[must_use]
    pub fn host(&self) -> Option<&H> {
        match self {
            Self::Host(host) => Some(host),
            Self::Router(_) => None,
        }
    }

    /// The host, if it is one.
    pub fn host_mut(&mut self) -> Option<&mut H> {
        match self {
            Self::Host(host) => Some(host),
            Self::Router(_) => None,
        }
    }

    /// The router, if it is one.
    pub fn router_mut(&mut self) -> Option<&mut Router> {
        match self {
            Self::Router(router) => Some(router),
            Self::Host(_) => None,
        }
    }
}

impl<H: Host> Host for Member<H> {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        match self {
            Self::Host(host) => host.handle_frame(now, frame),
            Self::Router(router) => router.handle_frame(now, frame),
        }
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        match self {
            Self::Host(host) => host.poll_transmit(now),
            Self::Router(router) => router.poll_transmit(now),
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        match self {
            Self::Host(host) => host.poll_timeout(),
            Self::Router(router) => router.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Duration) {
        match self {
            Self::Host(host) => host.handle_timeout(now),
            Self::Router(router) => router.handle_timeout(now),
        }
    }

    fn egress(&self, frame: &[u8]) -> Option<usize> {
        match self {
            Self::Host(host) => host.egress(frame),
            Self::Router(router) => router.egress(frame),
        }
    }
}
