//! One socket as `ss` writes it: cells in columns, and what stands behind them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::holders::Holders;
use super::info;
use super::names::Names;
use super::number::push_timer;
use super::states;
use crate::kernel::inet_diag::{Family, KernelState, Protocol, Socket};

/// How many columns there are before what stands behind: protocol, state, both queues, local address
/// and port, peer address and port.
pub(crate) const CELLS: usize = 8;

/// What to show of each socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) numeric: bool,
    pub(crate) resolve: bool,
    pub(crate) timers: bool,
    pub(crate) extended: bool,
    pub(crate) memory: bool,
    pub(crate) info: bool,
    pub(crate) tos: bool,
    pub(crate) cgroup: bool,
}

/// A socket's text.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// One for each column; those of columns that are not shown are empty.
    pub(crate) cells: [String; CELLS],
    /// Processes, timer, details.
    pub(crate) behind: String,
    /// Memory and TCP's numbers, which stand on a line of their own.
    pub(crate) second: String,
    /// What it means, in words.
    pub(crate) words: String,
}

impl Line {
    /// Empties it, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.cells.iter_mut().for_each(String::clear);
        self.behind.clear();
        self.second.clear();
        self.words.clear();
    }

    /// Fills the first cells, and gives those of the addresses and ports. `queues`: bytes received and not
    /// read, and sent and not acknowledged.
    pub(super) fn begin(
        &mut self,
        protocol: &str,
        state: KernelState,
        queues: [u32; 2],
    ) -> [&mut String; 4] {
        let [netid, name, received, sent, addresses @ ..] = &mut self.cells;
        netid.push_str(protocol);
        name.push_str(states::name(state));
        for (cell, queue) in [received, sent].into_iter().zip(queues) {
            let _ = write!(cell, "{queue}");
        }
        addresses.each_mut()
    }
}

/// Writes lines.
pub(crate) struct Writer<'a> {
    pub(crate) wish: Wish,
    pub(crate) names: &'a Names,
    /// Only with `-p`.
    pub(crate) holders: Option<&'a Holders>,
}

impl Writer<'_> {
    /// Fills a line, which is empty.
    pub(crate) fn write(&self, socket: &Socket<'_>, line: &mut Line) {
        let queues = [socket.recv_queue, socket.send_queue];
        let [local, local_port, peer, peer_port] =
            line.begin(protocol_name(socket.protocol), socket.state, queues);
        let identity = &socket.identity;
        let v6_only = socket.attributes.v6_only() == Some(true);
        self.address(local, identity.local.ip(), v6_only);
        if identity.interface != 0 {
            local.push('%');
            self.names.push_device(identity.interface, local);
        }
        self.port(local_port, socket.protocol, identity.local);
        self.address(peer, identity.peer.ip(), v6_only);
        self.port(peer_port, socket.protocol, identity.peer);
        self.behind(socket, &mut line.behind);
        self.second(socket, &mut line.second);
    }

    fn address(&self, to: &mut String, address: IpAddr, v6_only: bool) {
        if self.wish.resolve
            && !address.is_unspecified()
            && let Some(name) = self.names.host(address)
        {
            to.push_str(&name);
            return;
        }
        let _ = match address {
            IpAddr::V4(address) => write!(to, "{address}"),
            // A socket that takes both families.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) if !v6_only => write!(to, "*"),
            IpAddr::V6(address) => write!(to, "[{address}]"),
        };
    }

    fn port(&self, to: &mut String, protocol: Protocol, address: SocketAddr) {
        let port = address.port();
        if port == 0 {
            to.push('*');
            return;
        }
        let service = if self.wish.numeric {
            None
        } else {
            self.names.service(protocol, port)
        };
        match service {
            Some(name) => to.push_str(name),
            None => {
                let _ = write!(to, "{port}");
            }
        }
    }

    fn behind(&self, socket: &Socket<'_>, to: &mut String) {
        if let Some(holders) = self.holders {
            holders.push(socket.inode, to);
        }
        if self.wish.timers && socket.timer != 0 {
            const NAMES: [&str; 6] = ["off", "on", "keepalive", "timewait", "persist", "unknown"];
            let name = NAMES.get(usize::from(socket.timer)).unwrap_or(&"unknown");
            let _ = write!(to, " timer:({name},");
            push_timer(to, socket.expires);
            let _ = write!(to, ",{})", socket.retransmits);
        }
        if self.wish.extended {
            self.details(socket, to);
        }
        if self.wish.tos {
            let attributes = &socket.attributes;
            let tos = attributes.tos().map(u32::from);
            let class = attributes.traffic_class().map(u32::from);
            for (name, value) in [
                ("tos", tos),
                ("tclass", class),
                ("class_id", attributes.class_id()),
            ] {
                let _ = match value {
                    None => Ok(()),
                    Some(0) => write!(to, " {name}:0"),
                    Some(value) => write!(to, " {name}:{value:#x}"),
                };
            }
        }
        if self.wish.cgroup {
            self.cgroup(socket, to);
        }
    }

    fn details(&self, socket: &Socket<'_>, to: &mut String) {
        if socket.uid != 0 {
            let _ = write!(to, " uid:{}", socket.uid);
        }
        let _ = write!(to, " ino:{} sk:{:x}", socket.inode, socket.identity.cookie);
        let attributes = &socket.attributes;
        if let Some(mark @ 1..) = attributes.mark() {
            let _ = write!(to, " fwmark:{mark:#x}");
        }
        self.cgroup(socket, to);
        if socket.family == Family::V6
            && let Some(only) = attributes.v6_only()
        {
            let _ = write!(to, " v6only:{}", u8::from(only));
        }
        if let Some(shut) = attributes.shutdown() {
            let receives = if shut & 1 == 0 { '<' } else { '-' };
            let sends = if shut & 2 == 0 { '>' } else { '-' };
            let _ = write!(to, " {receives}-{sends}");
        }
    }

    fn cgroup(&self, socket: &Socket<'_>, to: &mut String) {
        let Some(number) = socket.attributes.cgroup() else {
            return;
        };
        let _ = match self.names.cgroup(number) {
            Some(path) => write!(to, " cgroup:{path}"),
            None => write!(to, " cgroup:unreachable:{number:x}"),
        };
    }

    fn second(&self, socket: &Socket<'_>, to: &mut String) {
        if self.wish.memory
            && let Some(bytes) = socket.attributes.memory()
        {
            const NAMES: [&str; 9] = ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"];
            let mut before = " skmem:(";
            for (name, value) in NAMES.into_iter().zip(bytes.chunks_exact(4)) {
                let value = value.first_chunk().copied().unwrap_or_default();
                let _ = write!(to, "{before}{name}{}", u32::from_ne_bytes(value));
                before = ",";
            }
            to.push(')');
        }
        if self.wish.info && socket.protocol == Protocol::Tcp {
            let style = info::Style {
                exact: self.wish.numeric,
                options: self.wish.timers,
            };
            info::push(to, socket.state, &socket.attributes, style);
        }
    }
}

/// In the first column.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
