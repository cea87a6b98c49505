//! Which sockets are wanted, in the language of `ss`.
//!
//! [`parse`] reads it, [`bytecode`] puts it into the form in which the kernel takes it, and
//! [`Filter::matches`] answers for sockets that the kernel of this host does not know.

mod bytecode;
mod lexer;
mod parse;

use std::net::{IpAddr, SocketAddr};

pub(crate) use self::parse::{Names, wanted};
use crate::kernel::inet_diag::Family;

/// A condition on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either.
    Or(Box<Self>, Box<Self>),
    /// Not that.
    Not(Box<Self>),
    /// The address (and port) of one side.
    Host(Side, Host),
    /// The port of one side.
    Port(Side, Comparison, u16),
    /// Bound to the device of this number.
    Device(u32),
    /// The firewall mark under a mask.
    Mark { value: u32, mask: u32 },
    /// In this cgroup or below it, by its number.
    Cgroup(u64),
    /// The kernel chose the source port, from between these two.
    Autobound(u16, u16),
}

/// Which end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `src`, `sport`: ours.
    Source,
    /// `dst`, `dport`: the other.
    Destination,
}

/// How to compare ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An address condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    /// Only this family; an IPv4 rule takes IPv4 connections of IPv6 sockets as well.
    pub(crate) family: Option<Family>,
    /// Only addresses with this prefix of so many bits.
    pub(crate) network: Option<(IpAddr, u8)>,
    /// Only this port.
    pub(crate) port: Option<u16>,
}

/// What a socket shows to a filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) device: u32,
}

impl Filter {
    /// Whether a socket that this host's kernel does not know is wanted. What such a socket does
    /// not have (a mark, a cgroup) it does not have.
    pub(crate) fn matches(&self, shown: &Shown) -> bool {
        match self {
            Self::And(one, other) => one.matches(shown) && other.matches(shown),
            Self::Or(one, other) => one.matches(shown) || other.matches(shown),
            Self::Not(inner) => !inner.matches(shown),
            Self::Host(side, host) => host.matches(shown.side(*side)),
            Self::Port(side, comparison, port) => comparison.holds(shown.side(*side).port(), *port),
            Self::Device(index) => shown.device == *index,
            Self::Mark { value, .. } => *value == 0,
            Self::Cgroup(_) | Self::Autobound(..) => false,
        }
    }
}

impl Shown {
    fn side(&self, side: Side) -> SocketAddr {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }
}

impl Comparison {
    fn holds(self, left: u16, right: u16) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Host {
    fn matches(&self, address: SocketAddr) -> bool {
        if self.port.is_some_and(|port| port != address.port()) {
            return false;
        }
        // An IPv4 rule takes mapped addresses, too; an IPv6 rule takes them as they are.
        let ip = match self.family {
            Some(Family::V4) => address.ip().to_canonical(),
            _ => address.ip(),
        };
        self.family.is_none_or(|family| family == Family::of(ip))
            && self
                .network
                .is_none_or(|(network, bits)| shares_prefix(ip, network, bits))
    }
}

fn shares_prefix(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |differing: u128, width: u8| {
        bits == 0 || differing.checked_shr(u32::from(width.saturating_sub(bits))) == Some(0)
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            same(u128::from(address.to_bits() ^ network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            same(address.to_bits() ^ network.to_bits(), 128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(family: Option<Family>, network: Option<(&str, u8)>, port: Option<u16>) -> Host {
        Host {
            family,
            network: network.map(|(address, bits)| (address.parse().unwrap(), bits)),
            port,
        }
    }

    #[test]
    fn an_ipv4_rule_takes_mapped_addresses_and_an_ipv6_rule_does_not_take_ipv4() {
        let mapped = "[::ffff:10.1.2.3]:80".parse().unwrap();
        let plain = "10.1.2.3:80".parse().unwrap();
        let v4 = host(Some(Family::V4), Some(("10.0.0.0", 8)), None);
        assert!(v4.matches(mapped) && v4.matches(plain));
        let v6 = host(Some(Family::V6), Some(("::", 0)), None);
        assert!(v6.matches(mapped) && !v6.matches(plain));
        assert!(!host(Some(Family::V4), Some(("10.0.0.0", 8)), Some(81)).matches(plain));
        assert!(host(None, None, Some(80)).matches(plain));
    }

    #[test]
    fn prefixes_of_every_length_are_compared() {
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.0".parse().unwrap());
        assert!(shares_prefix(one, other, 31) && !shares_prefix(one, other, 32));
        let (one, other) = ("8000::".parse().unwrap(), "::".parse().unwrap());
        assert!(shares_prefix(one, other, 0) && !shares_prefix(one, other, 1));
    }
}
