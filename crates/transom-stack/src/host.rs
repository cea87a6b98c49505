//! What the layers of one host share: addresses, paths, identifications, limits.

use core::net::IpAddr;

use transom_tcp::Path;
use transom_wire::{Capabilities, Medium};

use crate::config::StackConfig;
use crate::ip_id::Identifications;
use crate::pmtu::PathMtus;
use crate::ports::Ports;
use crate::rate::Limiter;
use crate::route::{self, Routes};
use crate::secret::{Key, Purpose, Random};
use crate::shard::Share;
use crate::tuple::Tuple;

/// The IP layer's memory.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) capabilities: Capabilities,
    pub(crate) any_address: bool,
    hop_limit: u8,
    /// As routers say.
    pub(crate) hop_limit_v6: u8,
    /// The largest IPv6 packet of the link, as routers say.
    pub(crate) link_mtu_v6: Option<usize>,
    pub(crate) routes: Routes,
    pub(crate) path_mtus: PathMtus,
    pub(crate) ids: Identifications,
    pub(crate) random: Random,
    pub(crate) ports: Ports,
    /// Which connections are ours.
    pub(crate) share: Share,
    pub(crate) icmp_limit: Limiter,
    pub(crate) reset_limit: Limiter,
    /// Moves whenever a path may have changed, so that connections look at theirs again.
    pub(crate) epoch: u32,
    flow_labels: Key,
}

impl Host {
    pub(crate) fn new(config: &StackConfig, capabilities: Capabilities, secret: &[u8; 32]) -> Self {
        let tables = Key::derive(secret, Purpose::Demux);
        Self {
            capabilities,
            any_address: config.any_address,
            hop_limit: config.hop_limit.max(1),
            hop_limit_v6: config.hop_limit.max(1),
            link_mtu_v6: None,
            routes: Routes::default(),
            path_mtus: PathMtus::new(config.max_path_mtus, tables),
            ids: Identifications::new(secret),
            random: Random::new(secret),
            ports: Ports::new(secret, config.ephemeral_ports.clone()),
            share: Share::default(),
            icmp_limit: Limiter::new(secret, config.icmp_limit, config.icmp_limit_each),
            reset_limit: Limiter::new(secret, config.reset_limit, config.reset_limit_each),
            epoch: 0,
            flow_labels: Key::derive(secret, Purpose::FlowLabel),
        }
    }

    /// Where a packet goes next. A host that accepts every address on a device without a link layer sends
    /// whatever it has no route for straight out: the device is the only way.
    pub(crate) fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        self.routes.next_hop(destination).or_else(|| {
            let straight = self.any_address && self.capabilities.medium == Medium::Ip;
            straight.then_some(destination)
        })
    }

    /// The path to `destination` as a connection sees it.
    pub(crate) fn path(&self, destination: IpAddr) -> Path {
        let link_mtu = self.link_mtu(destination);
        Path {
            mtu: self.path_mtu(destination),
            link_mtu,
            ip_header_len: if destination.is_ipv4() { 20 } else { 40 },
        }
    }

    pub(crate) fn path_mtu(&self, destination: IpAddr) -> usize {
        let link_mtu = self.link_mtu(destination);
        self.path_mtus
            .get(destination)
            .map_or(link_mtu, |mtu| mtu.min(link_mtu))
    }

    fn link_mtu(&self, destination: IpAddr) -> usize {
        let mtu = self.capabilities.mtu;
        match self.link_mtu_v6 {
            Some(advertised) if destination.is_ipv6() => mtu.min(advertised),
            _ => mtu,
        }
    }

    /// TTL or hop limit of what nobody chose another for.
    pub(crate) const fn hop_limit(&self, destination: IpAddr) -> u8 {
        match destination {
            IpAddr::V4(_) => self.hop_limit,
            IpAddr::V6(_) => self.hop_limit_v6,
        }
    }

    pub(crate) fn path_changed(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whether `address` may stand as the source of what we send.
    pub(crate) fn may_send_from(&self, address: IpAddr) -> bool {
        self.routes.is_local(address) || (self.any_address && self.is_plain_unicast(address))
    }

    /// Whether a unicast packet to `address` is for us.
    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        self.may_send_from(address)
    }

    /// Unicast, and neither unspecified nor loopback nor reserved.
    pub(crate) fn is_plain_unicast(&self, address: IpAddr) -> bool {
        let special = match address {
            // IP4-2: 0/8 and 240/4 are no hosts.
            IpAddr::V4(v4) => v4
                .octets()
                .first()
                .is_some_and(|first| *first == 0 || *first >= 240),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
        };
        !special
            && !address.is_unspecified()
            && !address.is_loopback()
            && !route::is_multicast(address)
            && !self.routes.is_broadcast(address)
    }

    /// The IPv6 flow label of a connection.
    // RFC 6437 §3 (IP6-11): uniform, unpredictable, constant for a flow.
    pub(crate) fn flow_label(&self, tuple: &Tuple) -> u32 {
        if tuple.local.is_ipv4() {
            return 0;
        }
        (tuple.hash(&self.flow_labels) & 0xf_ffff) as u32
    }
}
