//! The addresses of a run: the stack's, the script's, and what the options say about the link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use transom_stack::wire::Cidr;
use transom_stack::{RouteTarget, Stack};

use crate::packets::Conversation;
use crate::script::{IpVersion, Options};
use crate::sockets::names::{AF_INET, AF_INET6};

/// Both ends of a run.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) domain: i64,
    pub(super) mtu: usize,
    /// Where `bind` with `...` binds to.
    pub(super) bind: SocketAddr,
    /// Where `connect` with `...` connects to.
    pub(super) connect: SocketAddr,
    /// Packets going in that are longer were cut to this by their sender.
    mss: Option<u16>,
    strict_segments: bool,
    tick: Duration,
    echo_scaled: bool,
}

impl Host {
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let version = options.ip_version.unwrap_or_default();
        let v6 = version == IpVersion::V6;
        let usual: (IpAddr, IpAddr) = if v6 {
            (
                Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            )
        } else {
            (
                Ipv4Addr::new(192, 168, 0, 1).into(),
                Ipv4Addr::new(192, 0, 2, 1).into(),
            )
        };
        let local = options.local_ip.map_or(usual.0, |network| network.address);
        let remote = options.remote_ip.map_or(usual.1, |network| network.address);
        for (name, address) in [("local_ip", local), ("remote_ip", remote)] {
            if address.to_canonical().is_ipv4() == v6 {
                return Err(format!("--{name}={address} is of another version of IP"));
            }
        }
        let mtu = usize::from(options.mtu.unwrap_or(1500));
        if mtu < if v6 { 1280 } else { 68 } {
            return Err(format!("--mtu={mtu}: no link may carry so little"));
        }
        Ok(Self {
            domain: if version == IpVersion::V4 {
                AF_INET
            } else {
                AF_INET6
            },
            mtu,
            bind: SocketAddr::new(local.to_canonical(), options.bind_port.unwrap_or(8080)),
            connect: SocketAddr::new(remote.to_canonical(), options.connect_port.unwrap_or(8080)),
            mss: options.mss,
            strict_segments: options.strict_segments.unwrap_or(false),
            tick: options.timestamp_tick.unwrap_or(Duration::ZERO),
            echo_scaled: options.timestamp_echo_scaled.unwrap_or(false),
        })
    }

    /// Gives the stack its address and a route to everywhere.
    pub(super) fn configure(&self, stack: &mut Stack) {
        let len = if self.bind.is_ipv4() { 32 } else { 128 };
        if let Ok(address) = Cidr::new(self.bind.ip(), len) {
            stack.add_address(address);
        }
        for anywhere in ["0.0.0.0/0", "::/0"] {
            if let Ok(anywhere) = anywhere.parse() {
                stack.add_route(anywhere, RouteTarget::OnLink);
            }
        }
    }

    /// The script's end of a connection to a listening socket.
    pub(super) fn peer(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.connect.ip(), port)
    }

    /// The address at which a socket bound to `address` is reached.
    pub(super) fn reached_at(&self, address: SocketAddr) -> SocketAddr {
        if address.ip().is_unspecified() {
            SocketAddr::new(self.bind.ip(), address.port())
        } else {
            address
        }
    }

    pub(super) fn conversation(&self, local: SocketAddr, remote: SocketAddr) -> Conversation {
        Conversation::new(local, remote)
            .timestamps(self.tick, self.echo_scaled)
            .strict_segments(self.strict_segments)
    }

    /// The size of the segments that a packet of `len` octets going in was merged from; 0 for a single one.
    pub(super) fn cut(&self, len: usize) -> u16 {
        self.mss
            .filter(|mss| len > usize::from(*mss) + 120)
            .unwrap_or(0)
    }
}
