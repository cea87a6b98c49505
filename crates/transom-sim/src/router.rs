//! A router: it passes bare IP packets on, and says when one is too big.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::Host;
use crate::ip::{checksum, fill_checksum, version};

/// What a router does with a packet that is larger than the way on and may not be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooBig {
    /// It tells the sender by ICMP (RFC 1191, RFC 8201).
    #[default]
    Announce,
    /// It drops it without a word: a black hole.
    Silent,
}

/// What a router did, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterCounters {
    /// Passed on.
    pub forwarded: u64,
    /// Larger than the way on.
    pub too_big: u64,
    /// ICMP messages about these.
    pub announced: u64,
    /// Without a way on.
    pub no_route: u64,
    /// Whose time to live was over.
    pub expired: u64,
    /// Not whole IP packets.
    pub malformed: u64,
    /// Dropped because the router held as many as it may.
    pub overflow: u64,
}

struct Port {
    mtu: usize,
    too_big: TooBig,
}

/// A host of a [`World`](crate::World) that forwards bare IP packets by longest prefix.
///
/// Its ports are its links, in the order in which they were connected. Queues and rates are those of the
/// links that leave it; the router itself takes no time.
pub struct Router {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    routes: Vec<(IpAddr, u8, usize)>,
    ports: Vec<Port>,
    outgoing: VecDeque<Vec<u8>>,
    counters: RouterCounters,
}

impl Router {
    /// Packets that it holds between two moments at which the world takes them.
    const MAX_HELD: usize = 1 << 16;
    /// What ICMPv6 quotes must leave the message within the least MTU (RFC 4443 §2.4).
    const QUOTE_V6: usize = 1280 - 48;
    /// IPv4: more than the eight octets that are needed, less than the least MTU.
    const QUOTE_V4: usize = 548;

    /// A router without routes. It speaks from these addresses.
    #[must_use]
    pub fn new(v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self {
            v4,
            v6,
            routes: Vec::new(),
            ports: Vec::new(),
            outgoing: VecDeque::new(),
            counters: RouterCounters::default(),
        }
    }

    /// Sends what fits the prefix to a port; the longest prefix wins.
    pub fn add_route(&mut self, network: IpAddr, prefix_len: u8, port: usize) {
        self.routes.push((network, prefix_len, port));
        self.routes
            .sort_by_key(|(_, prefix_len, _)| std::cmp::Reverse(*prefix_len));
    }

    /// Changes the MTU of a port, and what happens to what is larger. Without it a port takes all sizes.
    pub fn set_mtu(&mut self, port: usize, mtu: usize, too_big: TooBig) {
        while self.ports.len() <= port {
            self.ports.push(Port {
                mtu: usize::MAX,
                too_big: TooBig::Announce,
            });
        }
        if let Some(port) = self.ports.get_mut(port) {
            *port = Port { mtu, too_big };
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    fn port_of(&self, packet: &[u8]) -> Option<usize> {
        let to: IpAddr = match version(packet)? {
            4 => <[u8; 4]>::try_from(packet.get(16..20)?).ok()?.into(),
            _ => <[u8; 16]>::try_from(packet.get(24..40)?).ok()?.into(),
        };
        self.routes
            .iter()
            .find(|(network, prefix_len, _)| fits(to, *network, *prefix_len))
            .map(|(_, _, port)| *port)
    }

    /// Everything that a router does with a packet, up to the queue.
    fn forward(&mut self, mut packet: Vec<u8>) {
        let Some(ip) = version(&packet) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(port) = self.port_of(&packet) else {
            self.counters.no_route += 1;
            return;
        };
        let hops = if ip == 4 { 8 } else { 7 };
        if packet[hops] <= 1 {
            self.counters.expired += 1;
            return;
        }
        if let Some(Port { mtu, too_big }) = self.ports.get(port)
            && packet.len() > *mtu
        {
            let (mtu, too_big) = (*mtu, *too_big);
            self.counters.too_big += 1;
            if too_big == TooBig::Announce {
                self.announce(&packet, mtu);
            }
            return;
        }
        packet[hops] -= 1;
        if ip == 4 {
            fill_checksum(&mut packet);
        }
        self.counters.forwarded += 1;
        self.send(packet);
    }

    fn send(&mut self, packet: Vec<u8>) {
        if self.outgoing.len() >= Self::MAX_HELD {
            self.counters.overflow += 1;
            return;
        }
        self.outgoing.push_back(packet);
    }

    /// Tells the sender that its packet was too big.
    fn announce(&mut self, packet: &[u8], mtu: usize) {
        let mtu = u32::try_from(mtu).unwrap_or(u32::MAX);
        let message = match version(packet) {
            // RFC 792: nothing is said about ICMP errors; RFC 1191: only what may not be cut is too big.
            Some(4) if packet[9] == 1 => None,
            Some(4) => Some(self.message_v4(packet, mtu)),
            Some(_) if packet[6] == 58 => None,
            Some(_) => Some(self.message_v6(packet, mtu)),
            None => None,
        };
        if let Some(message) = message {
            self.counters.announced += 1;
            self.send(message);
        }
    }

    fn message_v4(&self, packet: &[u8], mtu: u32) -> Vec<u8> {
        let quoted = &packet[..packet.len().min(Self::QUOTE_V4)];
        let length = u16::try_from(28 + quoted.len()).unwrap_or(u16::MAX);
        let mut message = vec![0x45, 0];
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 0, 64, 1, 0, 0]);
        message.extend_from_slice(&self.v4.octets());
        message.extend_from_slice(&packet[12..16]);
        fill_checksum(&mut message);
        // Destination unreachable, fragmentation needed; the next hop's MTU is in the last two octets.
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
        let mut icmp = vec![3, 4, 0, 0, 0, 0, mtu[0], mtu[1]];
        icmp.extend_from_slice(quoted);
        let sum = checksum([&*icmp]);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        message.extend_from_slice(&icmp);
        message
    }

    fn message_v6(&self, packet: &[u8], mtu: u32) -> Vec<u8> {
        let quoted = &packet[..packet.len().min(Self::QUOTE_V6)];
        let length = u16::try_from(8 + quoted.len()).unwrap_or(u16::MAX);
        let mut icmp = vec![2, 0, 0, 0];
        icmp.extend_from_slice(&mtu.to_be_bytes());
        icmp.extend_from_slice(quoted);
        let source = self.v6.octets();
        let length_bytes = length.to_be_bytes();
        let pseudo = [0, 0, length_bytes[0], length_bytes[1], 0, 0, 0, 58];
        let sum = checksum([&source[..], &packet[8..24], &pseudo, &icmp]);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut message = vec![0x60, 0, 0, 0];
        message.extend_from_slice(&length_bytes);
        message.extend_from_slice(&[58, 64]);
        message.extend_from_slice(&source);
        message.extend_from_slice(&packet[8..24]);
        message.extend_from_slice(&icmp);
        message
    }
}

/// Whether an address lies in a network.
fn fits(address: IpAddr, network: IpAddr, prefix_len: u8) -> bool {
    let same = |one: u128, two: u128, bits: u32| {
        let shift = bits.saturating_sub(u32::from(prefix_len));
        shift >= bits || one >> shift == two >> shift
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(two)) => {
            same(u128::from(one.to_bits()), u128::from(two.to_bits()), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(two)) => same(one.to_bits(), two.to_bits(), 128),
        _ => false,
    }
}

impl Host for Router {
    fn handle_frame(&mut self, _now: Duration, frame: Vec<u8>) {
        self.forward(frame);
    }

    fn poll_transmit(&mut self, _now: Duration) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        // The world takes what is owed after every frame.
        None
    }

    fn handle_timeout(&mut self, _now: Duration) {}

    fn egress(&self, frame: &[u8]) -> Option<usize> {
        // Where the way is not known any more the frame goes nowhere.
        Some(self.port_of(frame).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::be16;

    fn v4(length: u16, to: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; usize::from(length)];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[8] = 64;
        packet[9] = 6;
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet[16..20].copy_from_slice(&to);
        fill_checksum(&mut packet);
        packet
    }

    fn router() -> Router {
        let mut router = Router::new([10, 9, 9, 9].into(), Ipv6Addr::LOCALHOST);
        router.add_route([10, 0, 0, 0].into(), 8, 0);
        router.add_route([10, 1, 0, 0].into(), 16, 1);
        router.add_route(Ipv6Addr::UNSPECIFIED.into(), 0, 0);
        router
    }

    #[test]
    fn the_longest_prefix_wins_and_a_hop_is_counted() {
        let mut router = router();
        router.handle_frame(Duration::ZERO, v4(100, [10, 1, 2, 3]));
        router.handle_frame(Duration::ZERO, v4(100, [10, 2, 2, 3]));
        router.handle_frame(Duration::ZERO, v4(100, [11, 2, 2, 3]));
        let first = router.poll_transmit(Duration::ZERO).unwrap_or_default();
        assert_eq!((router.egress(&first), first[8]), (Some(1), 63));
        assert_eq!(checksum([&first[..20]]), 0);
        let second = router.poll_transmit(Duration::ZERO).unwrap_or_default();
        assert_eq!(router.egress(&second), Some(0));
        assert_eq!(router.poll_transmit(Duration::ZERO), None);
        let counters = router.counters();
        assert_eq!((counters.forwarded, counters.no_route), (2, 1));
    }

    #[test]
    fn a_packet_at_its_last_hop_expires() {
        let mut router = router();
        let mut packet = v4(100, [10, 1, 2, 3]);
        packet[8] = 1;
        router.handle_frame(Duration::ZERO, packet);
        assert_eq!(router.poll_transmit(Duration::ZERO), None);
        assert_eq!(router.counters().expired, 1);
    }

    #[test]
    fn too_big_is_announced_or_not() {
        let mut router = router();
        router.set_mtu(1, 1400, TooBig::Announce);
        router.handle_frame(Duration::ZERO, v4(1500, [10, 1, 2, 3]));
        let message = router.poll_transmit(Duration::ZERO).unwrap_or_default();
        assert_eq!(message[16..20], [10, 0, 0, 1]);
        assert_eq!(message[20..22], [3, 4]);
        assert_eq!(be16(&message, 26), Some(1400));
        assert_eq!(checksum([&message[..20]]), 0);
        assert_eq!(checksum([&message[20..]]), 0);
        assert_eq!(version(&message), Some(4));
        router.set_mtu(1, 1400, TooBig::Silent);
        router.handle_frame(Duration::ZERO, v4(1500, [10, 1, 2, 3]));
        router.handle_frame(Duration::ZERO, v4(1400, [10, 1, 2, 3]));
        assert!(router.poll_transmit(Duration::ZERO).is_some());
        assert_eq!(router.poll_transmit(Duration::ZERO), None);
        assert_eq!(
            (router.counters().too_big, router.counters().announced),
            (2, 1)
        );
    }

    #[test]
    fn ipv6_says_too_big_with_a_right_checksum() {
        let mut router = router();
        router.set_mtu(0, 1280, TooBig::Announce);
        let mut packet = vec![0; 1500];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&1460_u16.to_be_bytes());
        packet[6] = 6;
        packet[7] = 64;
        packet[23] = 7;
        packet[39] = 8;
        router.handle_frame(Duration::ZERO, packet);
        let message = router.poll_transmit(Duration::ZERO).unwrap_or_default();
        assert_eq!((version(&message), message.len()), (Some(6), 1280));
        assert_eq!((message[39], message[40], message[46]), (7, 2, 5));
        let length = u16::try_from(message.len() - 40).unwrap_or(0).to_be_bytes();
        let pseudo = [0, 0, length[0], length[1], 0, 0, 0, 58];
        assert_eq!(checksum([&message[8..40], &pseudo, &message[40..]]), 0);
    }
}
