//! What routers advertise (RFC 4861 §6.3), for hosts that are told to listen: where the way out is, what is on the link, how
//! large its packets are. Addresses are not made from it: those are given (`Stack::try_address`).

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use transom_tcp::Instant;
use transom_wire::ethernet::MacAddr;
use transom_wire::ndp::{self, PrefixInformation, RouterAdvertisement};
use transom_wire::{Cidr, Medium};

use crate::discard::Discard;
use crate::ingress::Ingress;
use crate::observer::Dropped;
use crate::pmtu;
use crate::route::{self, RouteTarget};
use crate::stack::Stack;
use crate::timers::earlier;

// RFC 4861 §10.
const MAX_RTR_SOLICITATIONS: u8 = 3;
const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const MAX_RTR_SOLICITATION_DELAY_MS: u32 = 1000;
/// All routers of the link.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Routers and prefixes that are remembered; a forger could name any number.
const MAX_ROUTERS: usize = 8;
const MAX_PREFIXES: usize = 16;
/// A lifetime that means for ever.
const FOR_EVER: u32 = u32::MAX;

/// What was learnt from routers.
#[derive(Debug, Default)]
pub(crate) struct Routers {
    /// Solicitations still to be sent, and when the next one is.
    solicit: Option<(u8, Instant)>,
    /// Default routers in the order learnt, and until when.
    routers: Vec<(Ipv6Addr, Instant)>,
    /// Prefixes on the link, and until when.
    prefixes: Vec<(Cidr, Option<Instant>)>,
    /// Whether the default route is one of ours.
    has_default: bool,
}

impl Routers {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let solicit = self.solicit.map(|(_, due)| due);
        let routers = self.routers.iter().map(|(_, until)| *until).min();
        let prefixes = self.prefixes.iter().filter_map(|(_, until)| *until).min();
        earlier(solicit, earlier(routers, prefixes))
    }
}

impl Stack {
    /// Asks for routers, if the stack is to listen to them.
    // RFC 4861 §6.3.7 (ND-9).
    pub(crate) fn seek_routers(&mut self, now: Instant) {
        if self.config.router_discovery && self.link.capabilities.medium == Medium::Ethernet {
            let delay = self.host.random.below(MAX_RTR_SOLICITATION_DELAY_MS + 1);
            let due = now + Duration::from_millis(delay.into());
            self.routers.solicit = Some((MAX_RTR_SOLICITATIONS, due));
        }
    }

    pub(crate) fn router_timeouts(&mut self, now: Instant) {
        if let Some((left, due)) = self.routers.solicit
            && due <= now
        {
            self.solicit_routers(now);
            let next = (left - 1, now + RTR_SOLICITATION_INTERVAL);
            self.routers.solicit = (left > 1).then_some(next);
        }
        let routers = self.routers.routers.len();
        self.routers.routers.retain(|(_, until)| *until > now);
        if self.routers.routers.len() != routers {
            self.choose_router();
        }
        while let Some(at) = self
            .routers
            .prefixes
            .iter()
            .position(|(_, until)| until.is_some_and(|until| until <= now))
        {
            let (prefix, _) = self.routers.prefixes.swap_remove(at);
            self.remove_route(prefix);
        }
    }

    fn solicit_routers(&mut self, now: Instant) {
        let own = |address: &Cidr| match address.addr() {
            IpAddr::V6(v6) if route::is_link_local(v6.into()) => Some(v6),
            _ => None,
        };
        let source = self.addresses().iter().find_map(own);
        // RFC 4861 §4.1: without an address there is no link address to tell.
        let message = ndp::Message::RouterSolicitation {
            source_link: source.map(|_| MacAddr(self.link.mac)),
        };
        let from = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
        if let Err(reason) = self.send_ndp(now, from, ALL_ROUTERS, None, &message) {
            self.observer.discard(now, reason);
        }
    }

    /// A router says what the link is like.
    // RFC 4861 §6.3.4 (ND-9).
    pub(crate) fn router_advertised(
        &mut self,
        now: Instant,
        ingress: &Ingress,
        advertisement: &RouterAdvertisement,
    ) -> Result<(), Dropped> {
        if !self.config.router_discovery {
            return Err(Discard::NdpNotOurs.into());
        }
        // RFC 4861 §6.1.2: only a link-local address tells one router from another.
        let router = match ingress.src {
            IpAddr::V6(src) if route::is_link_local(src.into()) => src,
            _ => return Err(Discard::NdpInvalid.into()),
        };
        if let Some(mac) = advertisement.source_link
            && mac.is_unicast()
        {
            let released = self
                .link
                .neighbours
                .heard(now, router.into(), mac.octets(), true);
            self.release(now, released);
        }
        self.learn_router(now, router, advertisement.router_lifetime);
        if advertisement.hop_limit != 0 {
            self.host.hop_limit_v6 = advertisement.hop_limit;
        }
        if let Some(mtu) = advertisement.mtu.and_then(|mtu| usize::try_from(mtu).ok())
            && (pmtu::IPV6_FLOOR..=self.link.capabilities.mtu).contains(&mtu)
        {
            self.host.link_mtu_v6 = Some(mtu);
            self.host.path_changed();
        }
        for prefix in &advertisement.prefixes {
            self.learn_prefix(now, prefix);
        }
        Ok(())
    }

    fn learn_router(&mut self, now: Instant, router: Ipv6Addr, lifetime: u16) {
        let known = &mut self.routers.routers;
        let until = now + Duration::from_secs(lifetime.into());
        if lifetime == 0 {
            // It routes no longer, or never did.
            known.retain(|(known, _)| *known != router);
        } else if let Some(entry) = known.iter_mut().find(|(known, _)| *known == router) {
            entry.1 = until;
        } else if known.len() < MAX_ROUTERS {
            known.push((router, until));
        }
        if lifetime > 0 {
            self.routers.solicit = None;
        }
        self.choose_router();
    }

    /// Makes the first router the way out, unless another was configured.
    fn choose_router(&mut self) {
        let Ok(everything) = Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0) else {
            return;
        };
        if core::mem::take(&mut self.routers.has_default) {
            self.remove_route(everything);
        }
        if let Some((router, _)) = self.routers.routers.first().copied()
            && !self.host.routes.has_route(everything)
        {
            self.routers.has_default = true;
            self.add_route(everything, RouteTarget::Gateway(router.into()));
        }
    }

    fn learn_prefix(&mut self, now: Instant, prefix: &PrefixInformation) {
        let address = IpAddr::V6(prefix.prefix);
        let Ok(network) = Cidr::new(address, prefix.prefix_len).map(|cidr| cidr.network()) else {
            return;
        };
        if !prefix.on_link || route::is_link_local(address) {
            return;
        }
        let lifetime = prefix.valid_lifetime;
        let until = now + Duration::from_secs(lifetime.into());
        let until = (lifetime != FOR_EVER).then_some(until);
        let known = &mut self.routers.prefixes;
        let at = known.iter().position(|(known, _)| *known == network);
        match at {
            Some(at) if lifetime == 0 => {
                known.swap_remove(at);
                self.remove_route(network);
            }
            Some(at) => {
                if let Some(entry) = known.get_mut(at) {
                    entry.1 = until;
                }
            }
            None if lifetime > 0
                && known.len() < MAX_PREFIXES
                && !self.host.routes.has_route(network) =>
            {
                known.push((network, until));
                self.add_route(network, RouteTarget::OnLink);
            }
            None => {}
        }
    }
}
