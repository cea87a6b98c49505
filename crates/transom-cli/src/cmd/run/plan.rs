//! What the program's network will look like: decided from the arguments and the host, before
//! anything is made. No system call is made here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::route::RouteType;

use super::host::Host;
use super::prefix::Prefix;
use crate::args::{DeviceChoice, RunArgs};

/// The name under which the host's own loopback services are known inside.
pub(crate) const HOST_NAME: &str = "host.transom.internal";

/// The interface that the program sees.
pub(crate) const INTERFACE: &str = "transom0";
/// Our end of the veth pair.
pub(crate) const PEER_INTERFACE: &str = "transom1";
/// Hardware address of the program's end of the veth pair (locally administered).
pub(crate) const INTERFACE_MAC: [u8; 6] = [0x02, 0x74, 0x72, 0x61, 0x6e, 0x00];
/// Hardware address of our end of the veth pair (locally administered).
pub(crate) const PEER_MAC: [u8; 6] = [0x02, 0x74, 0x72, 0x61, 0x6e, 0x01];

/// The addresses of one family inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The program's own address.
    pub(crate) program: IpAddr,
    /// The next hop, which stands for the host's loopback.
    pub(crate) gateway: IpAddr,
    /// Where DNS queries go.
    pub(crate) dns: IpAddr,
    /// Length of the prefix that the three share.
    pub(crate) prefix_len: u8,
}

impl Addresses {
    fn v4(network: Ipv4Addr) -> Self {
        let host = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(network.to_bits() | number));
        Self {
            program: host(100),
            gateway: host(2),
            dns: host(3),
            prefix_len: 24,
        }
    }

    fn v6(network: Ipv6Addr) -> Self {
        let host = |number: u128| IpAddr::V6(Ipv6Addr::from_bits(network.to_bits() | number));
        Self {
            program: host(0x100),
            gateway: host(2),
            dns: host(3),
            prefix_len: 64,
        }
    }

    /// Whether an address lies in the network of the inside.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        let len = if address.is_ipv4() { 32 } else { 128 };
        self.network().overlaps(&Prefix { address, len })
    }

    /// The prefix that the three share.
    pub(crate) fn network(&self) -> Prefix {
        Prefix {
            address: self.program,
            len: self.prefix_len,
        }
    }
}

/// A route inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it leads.
    pub(crate) destination: Prefix,
    /// Unicast routes go to our gateway; the others refuse as the host's do.
    pub(crate) kind: RouteType,
}

/// Everything that the sandbox needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// IPv4 inside.
    pub(crate) v4: Addresses,
    /// IPv6 inside, if the host has any.
    pub(crate) v6: Option<Addresses>,
    /// Routes besides those to the two networks above.
    pub(crate) routes: Vec<Route>,
    /// MTU of the program's device, bytes.
    pub(crate) mtu: u32,
    /// Which devices may be tried.
    pub(crate) device: DeviceChoice,
    /// What /etc/resolv.conf will say; None leaves it alone.
    pub(crate) resolv_conf: Option<String>,
    /// What /etc/hosts will say.
    pub(crate) hosts: String,
}

/// The MTU where the host itself reaches nothing but its loopback: Ethernet's, because that is
/// what programs meet elsewhere, and 65536 would hide every segment boundary.
const DEFAULT_MTU: u32 = 1500;

/// What both a TUN device and a veth pair take.
const LARGEST_MTU: u32 = 65521;

/// Networks for the inside, in order; the first that no host route (other than a default) covers.
const NETWORKS_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 0, 2, 0),
    Ipv4Addr::new(172, 31, 254, 0),
    Ipv4Addr::new(192, 168, 254, 0),
    // RFC 2544: set aside for measuring inside a laboratory.
    Ipv4Addr::new(198, 18, 254, 0),
];

/// Inside network where the host has only unique local IPv6 addresses (or none).
const NETWORK_V6_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfd74, 0x7261, 0x6e73, 0, 0, 0, 0, 0);
/// Inside network where the host has a global IPv6 address. With a source address from the
/// documentation range, which nobody uses, RFC 6724's rules sort a name's addresses as on the
/// host; a unique local source would sort every IPv6 address behind IPv4.
const NETWORK_V6_GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7261, 0x6e73, 0, 0, 0, 0);

impl Plan {
    /// Decides.
    pub(crate) fn new(args: &RunArgs, host: &Host) -> Self {
        let v4 = Addresses::v4(free_network(host));
        let v6 = host.has_ipv6().then(|| {
            Addresses::v6(if host.has_global_ipv6() {
                NETWORK_V6_GLOBAL
            } else {
                NETWORK_V6_LOCAL
            })
        });
        let mut routes: Vec<Route> = Vec::new();
        for route in &host.routes {
            let inside = if route.destination.address.is_ipv4() {
                Some(v4)
            } else {
                v6
            };
            let mirrored = Route {
                destination: route.destination,
                kind: route.kind,
            };
            let known = routes
                .iter()
                .any(|other| other.destination == mirrored.destination);
            let ours = inside.is_none_or(|inside| inside.network() == mirrored.destination);
            if !known && !ours {
                routes.push(mirrored);
            }
        }
        // RFC 8200 §5: a link that carries IPv6 takes 1280 bytes at least.
        let smallest = if v6.is_some() { 1280 } else { 576 };
        Self {
            v4,
            v6,
            routes,
            mtu: args
                .mtu
                .or(host.mtu)
                .unwrap_or(DEFAULT_MTU)
                .clamp(smallest, LARGEST_MTU),
            device: args.device,
            resolv_conf: host
                .resolv_conf
                .as_ref()
                .ok()
                .map(|text| resolv_conf(text, v4.dns)),
            hosts: hosts(&host.hosts, &v4, v6.as_ref()),
        }
    }

    /// The addresses inside, each family that is there.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Addresses> {
        std::iter::once(&self.v4).chain(&self.v6)
    }
}

fn free_network(host: &Host) -> Ipv4Addr {
    let taken = |network: Ipv4Addr| {
        let network = Prefix {
            address: IpAddr::V4(network),
            len: 24,
        };
        let routed = host
            .routes
            .iter()
            .any(|route| !route.destination.is_default() && route.destination.overlaps(&network));
        let named = host.nameservers().iter().any(|server| {
            network.overlaps(&Prefix {
                address: server.ip(),
                len: 32,
            })
        });
        routed || named
    };
    let [first, others @ ..] = NETWORKS_V4;
    if taken(first) {
        others.into_iter().find(|&n| !taken(n)).unwrap_or(first)
    } else {
        first
    }
}

/// The host's file with our server in place of its own; search and option lines stay.
fn resolv_conf(text: &str, dns: IpAddr) -> String {
    let others = text
        .lines()
        .filter(|line| line.split_whitespace().next() != Some("nameserver"));
    let mut out: String = others.map(|line| format!("{line}\n")).collect();
    out.push_str(&format!("nameserver {dns}\n"));
    out
}

/// The host's file with the name of the host added.
fn hosts(text: &str, v4: &Addresses, v6: Option<&Addresses>) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    for addresses in std::iter::once(v4).chain(v6) {
        out.push_str(&format!("{}\t{HOST_NAME}\n", addresses.gateway));
    }
    out
}
