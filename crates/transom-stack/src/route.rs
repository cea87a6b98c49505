//! Addresses of the host, routes, and the choice of a source address.

use core::net::{IpAddr, Ipv4Addr};

use transom_wire::Cidr;

/// Where packets for a prefix go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteTarget {
    /// To a router, which has to be on a link.
    Gateway(IpAddr),
    /// To the destination itself.
    OnLink,
    /// Nowhere: sending fails at once.
    Unreachable,
}

#[derive(Clone, Copy, Debug)]
struct Route {
    prefix: Cidr,
    target: RouteTarget,
}

/// The addresses and routes of one interface.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    addresses: Vec<Cidr>,
    /// Longest prefix first.
    routes: Vec<Route>,
}

impl Routes {
    pub(crate) fn add_address(&mut self, address: Cidr) {
        self.addresses
            .retain(|known| known.addr() != address.addr());
        self.addresses.push(address);
    }

    pub(crate) fn remove_address(&mut self, address: IpAddr) -> bool {
        let before = self.addresses.len();
        self.addresses.retain(|known| known.addr() != address);
        self.addresses.len() != before
    }

    pub(crate) fn addresses(&self) -> &[Cidr] {
        &self.addresses
    }

    pub(crate) fn add_route(&mut self, prefix: Cidr, target: RouteTarget) {
        self.remove_route(prefix);
        let at = self
            .routes
            .partition_point(|route| route.prefix.prefix_len() >= prefix.prefix_len());
        self.routes.insert(at, Route { prefix, target });
    }

    pub(crate) fn remove_route(&mut self, prefix: Cidr) -> bool {
        let before = self.routes.len();
        self.routes.retain(|route| route.prefix != prefix);
        self.routes.len() != before
    }

    pub(crate) fn has_route(&self, prefix: Cidr) -> bool {
        self.routes.iter().any(|route| route.prefix == prefix)
    }

    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.addr() == address)
    }

    /// The address to hand a packet for `destination` to: itself or a router. `None`: no route.
    ///
    /// The longest matching prefix wins; a configured route wins over the prefix of an address of the
    /// same length.
    pub(crate) fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        // RFC 4291 §2.5.6 (IP6-16): no router passes these on. With one link their zone is that link.
        if destination.is_ipv6() && is_link_local(destination) {
            let speaks = |address: &Cidr| address.addr().is_ipv6();
            let is_closed = self.routes.iter().any(|route| {
                route.target == RouteTarget::Unreachable && route.prefix.contains(destination)
            });
            return (self.addresses.iter().any(speaks) && !is_closed).then_some(destination);
        }
        let attached = self
            .addresses
            .iter()
            .filter(|address| address.contains(destination))
            .map(|address| address.prefix_len())
            .max();
        let route = self
            .routes
            .iter()
            .find(|route| route.prefix.contains(destination));
        match (route, attached) {
            (Some(route), Some(length)) if route.prefix.prefix_len() < length => Some(destination),
            (None, Some(_)) => Some(destination),
            (Some(route), _) => match route.target {
                RouteTarget::OnLink => Some(destination),
                RouteTarget::Gateway(gateway) => Some(gateway),
                RouteTarget::Unreachable => None,
            },
            (None, None) => None,
        }
    }

    /// The source address for packets to `destination` by way of `next_hop`.
    ///
    // RFC 9293 §3.9.1.1 MUST-44: an OPEN without a local address asks the IP layer for one.
    // RFC 6724 §5, the rules that apply to one interface: same address, scope, longest common prefix.
    pub(crate) fn source_for(&self, destination: IpAddr, next_hop: IpAddr) -> Option<IpAddr> {
        let candidates = || {
            self.addresses
                .iter()
                .filter(|address| address.addr().is_ipv4() == destination.is_ipv4())
        };
        if self.is_local(destination) {
            return Some(destination);
        }
        let same_scope =
            |address: &&&Cidr| is_link_local(address.addr()) == is_link_local(destination);
        let attached = candidates().find(|address| {
            (address.contains(destination) || address.contains(next_hop))
                && is_link_local(address.addr()) == is_link_local(destination)
        });
        attached
            .or_else(|| {
                candidates()
                    .filter(|address| same_scope(&address))
                    .max_by_key(|address| common_prefix(address.addr(), destination))
            })
            .or_else(|| candidates().next())
            .map(|address| address.addr())
    }

    /// Whether `address` is the broadcast address of an attached IPv4 network, or the limited one.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else {
            return false;
        };
        v4 == Ipv4Addr::BROADCAST
            || self.addresses.iter().any(|known| {
                let IpAddr::V4(own) = known.addr() else {
                    return false;
                };
                // RFC 3021: a /31 has no broadcast address.
                known.prefix_len() < 31
                    && known.contains(address)
                    && v4.to_bits()
                        | u32::MAX
                            .checked_shr(u32::from(known.prefix_len()))
                            .unwrap_or(0)
                        == v4.to_bits()
                    && v4 != own
            })
    }
}

pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6
            .segments()
            .first()
            .is_some_and(|first| first & 0xffc0 == 0xfe80),
    }
}

pub(crate) fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast()
}

fn common_prefix(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cidr(address: &str, prefix_len: u8) -> Cidr {
        Cidr::new(ip(address), prefix_len).unwrap()
    }

    #[test]
    fn req_ip4_19_longest_prefix_gateway_on_link_and_unreachable() {
        let mut routes = Routes::default();
        routes.add_address(cidr("10.0.0.1", 24));
        assert_eq!(routes.next_hop(ip("192.0.2.1")), None);
        routes.add_route(cidr("0.0.0.0", 0), RouteTarget::Gateway(ip("10.0.0.254")));
        routes.add_route(cidr("192.0.0.0", 8), RouteTarget::OnLink);
        routes.add_route(cidr("192.0.2.0", 24), RouteTarget::Unreachable);
        assert_eq!(routes.next_hop(ip("10.0.0.7")), Some(ip("10.0.0.7")));
        assert_eq!(routes.next_hop(ip("8.8.8.8")), Some(ip("10.0.0.254")));
        assert_eq!(routes.next_hop(ip("192.0.3.1")), Some(ip("192.0.3.1")));
        assert_eq!(routes.next_hop(ip("192.0.2.1")), None);
        assert_eq!(routes.next_hop(ip("2001:db8::1")), None);
    }

    #[test]
    fn req_ip4_17_and_must_44_source_depends_on_the_route() {
        let mut routes = Routes::default();
        routes.add_address(cidr("10.0.0.1", 24));
        routes.add_address(cidr("172.16.0.1", 16));
        routes.add_route(cidr("0.0.0.0", 0), RouteTarget::Gateway(ip("172.16.0.254")));
        let source = |to: &str| {
            let hop = routes.next_hop(ip(to)).unwrap();
            routes.source_for(ip(to), hop)
        };
        assert_eq!(source("10.0.0.9"), Some(ip("10.0.0.1")));
        assert_eq!(source("172.16.9.9"), Some(ip("172.16.0.1")));
        assert_eq!(source("8.8.8.8"), Some(ip("172.16.0.1")));
    }

    #[test]
    fn req_ip6_14_source_scope_follows_the_destination() {
        let mut routes = Routes::default();
        routes.add_address(cidr("fe80::1", 64));
        routes.add_address(cidr("2001:db8::1", 64));
        routes.add_route(cidr("::", 0), RouteTarget::Gateway(ip("fe80::2")));
        let hop = routes.next_hop(ip("2606::1")).unwrap();
        assert_eq!(
            routes.source_for(ip("2606::1"), hop),
            Some(ip("2001:db8::1"))
        );
        assert_eq!(
            routes.source_for(ip("fe80::9"), ip("fe80::9")),
            Some(ip("fe80::1"))
        );
    }

    #[test]
    fn broadcast_addresses_are_known() {
        let mut routes = Routes::default();
        routes.add_address(cidr("10.0.0.1", 24));
        routes.add_address(cidr("192.0.2.0", 31));
        assert!(routes.is_broadcast(ip("10.0.0.255")));
        assert!(routes.is_broadcast(ip("255.255.255.255")));
        assert!(!routes.is_broadcast(ip("10.0.0.254")));
        assert!(!routes.is_broadcast(ip("192.0.2.1")));
        assert!(!routes.is_broadcast(ip("ff02::1")));
    }
}
