//! What the host's network looks like, read once before anything is set up.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType,
};

use super::netlink::Netlink;
use super::prefix::Prefix;

/// One entry of the host's main routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostRoute {
    /// Where it leads.
    pub(crate) destination: Prefix,
    /// Unicast, or one of the kinds that refuse.
    pub(crate) kind: RouteType,
    /// Through which interface, if one is named.
    interface: Option<u32>,
    /// A path MTU given with the route, in bytes.
    mtu: Option<u32>,
    /// Lower is preferred.
    metric: u32,
}

/// The host's network as a program started plainly would see it.
#[derive(Debug)]
pub(crate) struct Host {
    /// The main routing table, both families.
    pub(crate) routes: Vec<HostRoute>,
    /// Every address of every interface.
    pub(crate) addresses: Vec<IpAddr>,
    /// The MTU towards the world, in bytes; None when the host has only its loopback.
    pub(crate) mtu: Option<u32>,
    /// /etc/resolv.conf, or why it cannot be read.
    pub(crate) resolv_conf: Result<String, String>,
    /// /etc/hosts; empty if there is none.
    pub(crate) hosts: String,
}

impl Host {
    /// Reads everything.
    pub(crate) fn read() -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            // A kernel without this family answers with an error; it then has no routes in it.
            let table = netlink.routes(family).unwrap_or_default();
            routes.extend(table.iter().filter_map(host_route));
        }
        let addresses = netlink
            .addresses()?
            .into_iter()
            .filter_map(|message| {
                let mut local = None;
                for attribute in message.attributes {
                    match attribute {
                        AddressAttribute::Local(address) => local = Some(address),
                        AddressAttribute::Address(address) => local = local.or(Some(address)),
                        _ => {}
                    }
                }
                local
            })
            .collect();
        let mtu = world_mtu(&mut netlink, &routes)?;
        Ok(Self {
            routes,
            addresses,
            mtu,
            resolv_conf: fs::read_to_string(RESOLV_CONF).map_err(|error| error.to_string()),
            hosts: fs::read_to_string(HOSTS).unwrap_or_default(),
        })
    }

    /// Whether IPv6 is there at all (then lo has ::1).
    pub(crate) fn has_ipv6(&self) -> bool {
        self.addresses.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST))
    }

    /// Whether an interface has a global unicast IPv6 address (2000::/3).
    pub(crate) fn has_global_ipv6(&self) -> bool {
        self.addresses.iter().any(|address| match address {
            IpAddr::V6(address) => address.segments()[0] & 0xe000 == 0x2000,
            IpAddr::V4(_) => false,
        })
    }

    /// The name servers of /etc/resolv.conf, in order; the resolver's own default if it names none.
    pub(crate) fn nameservers(&self) -> Vec<SocketAddr> {
        let text = self.resolv_conf.as_deref().unwrap_or_default();
        let mut servers: Vec<_> = text
            .lines()
            .filter_map(nameserver)
            .take(MAX_NAMESERVERS)
            .collect();
        if servers.is_empty() {
            servers.push(SocketAddr::from(([127, 0, 0, 1], DNS_PORT)));
        }
        servers
    }
}

/// Where the resolver's configuration is.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where names are looked up first.
pub(crate) const HOSTS: &str = "/etc/hosts";
/// The port of DNS.
pub(crate) const DNS_PORT: u16 = 53;
/// As many as glibc's resolver uses (MAXNS).
const MAX_NAMESERVERS: usize = 3;

fn nameserver(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("nameserver") {
        return None;
    }
    let word = words.next()?;
    if let Some((address, scope)) = word.split_once('%') {
        let scope = scope
            .parse()
            .ok()
            .or_else(|| nix::net::if_::if_nametoindex(scope).ok())?;
        let address = address.parse().ok()?;
        return Some(SocketAddr::V6(SocketAddrV6::new(
            address, DNS_PORT, 0, scope,
        )));
    }
    Some(SocketAddr::new(word.parse().ok()?, DNS_PORT))
}

/// Reads one route, if it is one that a program's packets could take.
fn host_route(message: &RouteMessage) -> Option<HostRoute> {
    if message.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let kind = message.header.kind;
    if !matches!(
        kind,
        RouteType::Unicast | RouteType::Unreachable | RouteType::Prohibit | RouteType::BlackHole
    ) {
        return None;
    }
    let mut route = HostRoute {
        destination: match message.header.address_family {
            AddressFamily::Inet => Prefix::ALL_V4,
            AddressFamily::Inet6 => Prefix::ALL_V6,
            _ => return None,
        },
        kind,
        interface: None,
        mtu: None,
        metric: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                route.destination.address = IpAddr::V4(*address);
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                route.destination.address = IpAddr::V6(*address);
            }
            RouteAttribute::Oif(index) => route.interface = Some(*index),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::MultiPath(hops) => {
                route.interface = hops.first().map(|hop| hop.interface_index);
            }
            RouteAttribute::Metrics(metrics) => {
                route.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    route.destination.len = message.header.destination_prefix_length;
    // Link-local and multicast destinations have no meaning behind a gateway.
    let first = match route.destination.address {
        IpAddr::V4(address) => return (!address.is_multicast()).then_some(route),
        IpAddr::V6(address) => address.segments()[0],
    };
    let carried = first & 0xffc0 != 0xfe80 && first & 0xff00 != 0xff00;
    (carried || route.destination.is_default()).then_some(route)
}

/// The MTU of the best default route, or of the best other route when there is no default.
fn world_mtu(netlink: &mut Netlink, routes: &[HostRoute]) -> io::Result<Option<u32>> {
    let mut candidates: Vec<_> = routes
        .iter()
        .filter(|route| route.kind == RouteType::Unicast)
        .collect();
    candidates.sort_by_key(|route| {
        (
            !route.destination.is_default(),
            route.destination.address.is_ipv6(),
            route.metric,
        )
    });
    for route in candidates {
        let Some(index) = route.interface else {
            continue;
        };
        if let Some(mtu) = netlink.mtu(index)? {
            return Ok(Some(route.mtu.map_or(mtu, |limit| limit.min(mtu))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(resolv_conf: &str) -> Host {
        Host {
            routes: Vec::new(),
            addresses: Vec::new(),
            mtu: None,
            resolv_conf: Ok(resolv_conf.to_owned()),
            hosts: String::new(),
        }
    }

    #[test]
    fn nameservers_come_in_order_and_at_most_three() {
        let host = host(
            "search a.b\nnameserver 192.0.2.1\n#nameserver 9.9.9.9\nnameserver ::1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n",
        );
        let expected: Vec<SocketAddr> = ["192.0.2.1:53", "[::1]:53", "192.0.2.2:53"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(host.nameservers(), expected);
    }

    #[test]
    fn without_a_nameserver_the_resolver_asks_the_loopback() {
        assert_eq!(
            host("options ndots:2\n").nameservers(),
            ["127.0.0.1:53".parse().unwrap()]
        );
    }
}
