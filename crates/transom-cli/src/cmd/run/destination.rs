//! Where an address that the program uses lies in the host's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::host::DNS_PORT;
use super::plan::Addresses;

/// Translates addresses between the inside and the host's network.
#[derive(Debug, Clone)]
pub(crate) struct Destinations {
    inside: Vec<Addresses>,
    nameserver: SocketAddr,
}

impl Destinations {
    /// For these addresses inside, with the host's first name server.
    pub(crate) fn new(inside: Vec<Addresses>, nameserver: SocketAddr) -> Self {
        Self { inside, nameserver }
    }

    /// Where the host finds what the program means by `address`; None where nothing is.
    pub(crate) fn outside(&self, address: SocketAddr) -> Option<SocketAddr> {
        let ip = address.ip();
        let Some(inside) = self.inside.iter().find(|inside| inside.covers(ip)) else {
            return Some(address);
        };
        if ip == inside.gateway {
            let loopback: IpAddr = match ip {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            return Some(SocketAddr::new(loopback, address.port()));
        }
        if ip == inside.dns && address.port() == DNS_PORT {
            return Some(self.nameserver);
        }
        None
    }

    /// Whether this is the address that DNS queries go to.
    pub(crate) fn is_dns(&self, address: SocketAddr) -> bool {
        address.port() == DNS_PORT && self.inside.iter().any(|inside| inside.dns == address.ip())
    }

    /// The program's own address in the family of `like`, if it has one.
    pub(crate) fn program(&self, like: IpAddr) -> Option<IpAddr> {
        let inside = self
            .inside
            .iter()
            .find(|inside| inside.program.is_ipv4() == like.is_ipv4());
        inside.map(|inside| inside.program)
    }

    /// The addresses inside.
    pub(crate) fn inside(&self) -> &[Addresses] {
        &self.inside
    }

    /// How the program should see `address`, which is in the host's network: the loopback is
    /// the gateway to it.
    pub(crate) fn inwards(&self, address: SocketAddr) -> SocketAddr {
        let ip = address.ip().to_canonical();
        if !ip.is_loopback() {
            return SocketAddr::new(ip, address.port());
        }
        let gateway = self
            .inside
            .iter()
            .find(|inside| inside.gateway.is_ipv4() == ip.is_ipv4())
            .map_or(ip, |inside| inside.gateway);
        SocketAddr::new(gateway, address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations() -> Destinations {
        let inside = Addresses {
            program: "10.0.2.100".parse().unwrap(),
            gateway: "10.0.2.2".parse().unwrap(),
            dns: "10.0.2.3".parse().unwrap(),
            prefix_len: 24,
        };
        Destinations::new(vec![inside], "192.0.2.53:53".parse().unwrap())
    }

    #[test]
    fn the_gateway_is_the_hosts_loopback_and_the_world_is_itself() {
        let destinations = destinations();
        let outside = |text: &str| {
            destinations
                .outside(text.parse().unwrap())
                .map(|address| address.to_string())
        };
        assert_eq!(outside("10.0.2.2:80").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(outside("10.0.2.3:53").as_deref(), Some("192.0.2.53:53"));
        assert_eq!(outside("10.0.2.3:80"), None);
        assert_eq!(outside("10.0.2.77:80"), None);
        assert_eq!(
            outside("198.51.100.7:443").as_deref(),
            Some("198.51.100.7:443")
        );
    }

    #[test]
    fn a_client_on_the_hosts_loopback_comes_from_the_gateway() {
        let seen = destinations().inwards("127.0.0.1:5000".parse().unwrap());
        assert_eq!(seen, "10.0.2.2:5000".parse().unwrap());
        let seen = destinations().inwards("[::ffff:192.0.2.9]:5000".parse().unwrap());
        assert_eq!(seen, "192.0.2.9:5000".parse().unwrap());
    }
}
