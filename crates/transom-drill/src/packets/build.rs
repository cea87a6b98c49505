//! Packets of a script as octets.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use transom_stack::wire::checksum::{checksum, pseudo_header};
use transom_stack::wire::ip::{ipv4, ipv6};
use transom_stack::wire::tcp::Flags;
use transom_stack::wire::{Ecn, Protocol, udp};

use super::numbers::{Numbers, Space};
use super::{Conversation, names, options};
use crate::script::{Body, EcnMark, Icmp, IcmpQuote, IpFields, Packet, Tcp, TcpOption, TcpOptions};

/// A packet of a script that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unbuildable {
    /// It has outer headers (gre, mpls, psp), which the stack does not take.
    Encapsulated,
    /// It echoes a timestamp that the stack never sent.
    UnknownEcho(u32),
    /// No ICMP type of this version of IP has the name.
    IcmpType(String),
    /// The ICMP type has no code of the name.
    IcmpCode(String),
    /// It would be longer than IP allows.
    TooLong,
}

impl fmt::Display for Unbuildable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encapsulated => f.write_str("packets in gre, mpls, psp or IP are not supported"),
            Self::UnknownEcho(ecr) => write!(
                f,
                "the packet echoes the timestamp {ecr}, which no packet before it had; \
                 --tcp_ts_ecr_scaled counts from the first"
            ),
            Self::IcmpType(name) => write!(f, "`{name}` is no ICMP type of this version of IP"),
            Self::IcmpCode(name) => write!(f, "`{name}` is no code of this ICMP type"),
            Self::TooLong => f.write_str("the packet is longer than 65535 octets"),
        }
    }
}

impl std::error::Error for Unbuildable {}

impl Conversation {
    /// The IP packet that a packet of the script is, from the script's end to the stack. A SYN tells which sequence
    /// numbers the script's end uses.
    ///
    /// Data is zeros.
    ///
    /// # Errors
    /// When there is no such packet, or it depends on something that the stack has not sent.
    pub fn build(&mut self, packet: &Packet) -> Result<Vec<u8>, Unbuildable> {
        if !packet.encapsulation.is_empty() {
            return Err(Unbuildable::Encapsulated);
        }
        let mut source = self.remote;
        let mut destination = self.local;
        if let Some(ports) = packet.ports {
            source.set_port(ports.source);
            destination.set_port(ports.destination);
        }
        let addresses = (source.ip(), destination.ip());
        let (protocol, payload) = match &packet.body {
            Body::Tcp(tcp) => {
                let segment = self.segment(tcp, source, destination)?;
                (Protocol::TCP, segment)
            }
            Body::Udp(datagram) => {
                let data = vec![0; datagram.len.into()];
                let header = udp::Header {
                    src_port: source.port(),
                    dst_port: destination.port(),
                };
                let mut out = vec![0; udp::HEADER_LEN];
                header.emit_with_checksum(&mut out, addresses.0, addresses.1, &data);
                out.extend_from_slice(&data);
                (Protocol::UDP, out)
            }
            Body::Icmp(icmp) => {
                let message = self.message(icmp, addresses)?;
                let protocol = if source.is_ipv4() {
                    Protocol::ICMP
                } else {
                    Protocol::ICMPV6
                };
                (protocol, message)
            }
        };
        ip_packet(addresses, protocol, &packet.ip, &payload).ok_or(Unbuildable::TooLong)
    }

    fn segment(
        &mut self,
        tcp: &Tcp,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Vec<u8>, Unbuildable> {
        let syn = tcp.flags.contains(Flags::SYN);
        if syn {
            self.numbers.inbound_syn(tcp.start);
        }
        let space = Space::of(syn);
        let list = match &tcp.options {
            TcpOptions::Any => Vec::new(),
            TcpOptions::Exact(list) => list
                .iter()
                .map(|option| self.live_option(option, tcp, space))
                .collect::<Result<_, _>>()?,
        };
        if syn {
            let mss = list.iter().find_map(|option| match option {
                TcpOption::Mss(mss) => Some(*mss),
                _ => None,
            });
            self.mss = mss.unwrap_or(self.mss);
        }
        // A segment with ACK that gives no number acknowledges the number before the first octet.
        let ack = tcp
            .ack
            .or_else(|| tcp.flags.contains(Flags::ACK).then_some(0))
            .map(|ack| self.numbers.local_to_live(ack, space));
        let header = Header {
            ports: (source.port(), destination.port()),
            seq: self.numbers.remote_to_live(tcp.start, space),
            ack: ack.unwrap_or(0),
            flags: tcp.flags,
            window: tcp.window.unwrap_or(0),
            urgent: tcp.urgent.unwrap_or(0),
        };
        let mut out = header.octets(&options::encode(&list));
        out.resize(out.len() + usize::from(tcp.len), 0);
        fill(&mut out, 16, (source.ip(), destination.ip()), Protocol::TCP);
        Ok(out)
    }

    fn live_option(
        &self,
        option: &TcpOption,
        tcp: &Tcp,
        space: Space,
    ) -> Result<TcpOption, Unbuildable> {
        Ok(match option {
            TcpOption::Sack(blocks) => {
                let live = |number| self.numbers.local_to_live(number, space);
                let blocks = blocks.iter().map(|&(start, end)| (live(start), live(end)));
                TcpOption::Sack(blocks.collect())
            }
            &TcpOption::Timestamps { val, ecr } if tcp.flags.contains(Flags::ACK) => {
                TcpOption::Timestamps {
                    val,
                    ecr: self.live_echo(ecr)?,
                }
            }
            other => other.clone(),
        })
    }

    fn live_echo(&self, ecr: u32) -> Result<u32, Unbuildable> {
        let timestamps = self.numbers.timestamps();
        let scaled = || {
            self.echo_scaled
                .then(|| timestamps.live_by_distance(ecr))
                .flatten()
        };
        // Where the stack never sent one, the script means the number itself.
        let plain = || timestamps.is_empty().then_some(ecr);
        timestamps
            .live(ecr)
            .or_else(scaled)
            .or_else(plain)
            .ok_or(Unbuildable::UnknownEcho(ecr))
    }

    fn message(&self, icmp: &Icmp, addresses: (IpAddr, IpAddr)) -> Result<Vec<u8>, Unbuildable> {
        let is_v6 = addresses.0.is_ipv6();
        let kind = names::kind_number(is_v6, &icmp.kind)
            .ok_or_else(|| Unbuildable::IcmpType(icmp.kind.clone()))?;
        let code = match &icmp.code {
            None => 0,
            Some(name) => names::code_number(is_v6, kind, name)
                .ok_or_else(|| Unbuildable::IcmpCode(name.clone()))?,
        };
        let rest = match (icmp.mtu, icmp.id) {
            (Some(mtu), _) => mtu.to_be_bytes(),
            (None, Some(id)) => {
                let [a, b] = id.to_be_bytes();
                [a, b, 0, 0]
            }
            (None, None) => [0; 4],
        };
        let mut out = vec![kind, code, 0, 0];
        out.extend_from_slice(&rest);
        if icmp.id.is_none() {
            out.extend_from_slice(&self.quoted(icmp.quote)?);
        }
        if is_v6 {
            fill(&mut out, 2, addresses, Protocol::ICMPV6);
        } else {
            let sum = checksum(&out).to_be_bytes();
            set(&mut out, 2, sum);
        }
        Ok(out)
    }

    /// The IP header and the first eight octets of a packet that the stack sent.
    fn quoted(&self, quote: Option<IcmpQuote>) -> Result<Vec<u8>, Unbuildable> {
        let ports = [self.local.port(), self.remote.port()];
        let ports = ports.into_iter().flat_map(u16::to_be_bytes);
        let (protocol, start, len) = match quote {
            None => (Protocol::TCP, self.sequence(0), 20),
            Some(IcmpQuote::Tcp { start, len, .. }) => {
                (Protocol::TCP, self.sequence(start), 20 + usize::from(len))
            }
            Some(IcmpQuote::Udp(len)) => {
                let [a, b] = len.saturating_add(8).to_be_bytes();
                (Protocol::UDP, [a, b, 0, 0], 8 + usize::from(len))
            }
            Some(IcmpQuote::Raw(len)) => (Protocol(255), [0; 4], usize::from(len)),
        };
        let addresses = (self.local.ip(), self.remote.ip());
        let transport: Vec<u8> = ports.chain(start).collect();
        let mut whole = transport;
        whole.resize(len.max(8), 0);
        let mut packet = ip_packet(addresses, protocol, &IpFields::default(), &whole)
            .ok_or(Unbuildable::TooLong)?;
        let header = packet.len() - whole.len();
        packet.truncate(header + 8);
        Ok(packet)
    }

    /// A sequence number of the stack in an ICMP quote, always counted from its SYN.
    fn sequence(&self, number: u32) -> [u8; 4] {
        Numbers::local_to_live(&self.numbers, number, Space::Relative).to_be_bytes()
    }
}

/// The fields of a TCP header that have fixed places.
pub(super) struct Header {
    pub(super) ports: (u16, u16),
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urgent: u16,
}

impl Header {
    /// The header with options that fill whole words, its checksum left zero.
    fn octets(&self, options: &[u8]) -> Vec<u8> {
        let words = u16::try_from((20 + options.len()) / 4).unwrap_or(15);
        let mut out = Vec::with_capacity(20 + options.len());
        out.extend_from_slice(&self.ports.0.to_be_bytes());
        out.extend_from_slice(&self.ports.1.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&(words << 12 | self.flags.bits()).to_be_bytes());
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.urgent.to_be_bytes());
        out.extend_from_slice(options);
        out
    }
}

fn set(out: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(field) = out.get_mut(at..at + 2) {
        field.copy_from_slice(&value);
    }
}

/// Fills the checksum at an offset over the octets and the pseudo-header.
pub(super) fn fill(out: &mut [u8], at: usize, (src, dst): (IpAddr, IpAddr), protocol: Protocol) {
    set(out, at, [0, 0]);
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let mut sum = pseudo_header(src, dst, protocol.raw(), len);
    sum.add_bytes(out);
    set(out, at, sum.finish().to_be_bytes());
}

/// The payload in an IP packet, or nothing if it is too long for one.
pub(super) fn ip_packet(
    addresses: (IpAddr, IpAddr),
    protocol: Protocol,
    fields: &IpFields,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let tos = fields.tos.unwrap_or(0);
    let ecn = match fields.ecn {
        None => Ecn::from_bits(tos),
        Some(EcnMark::NotEct) => Ecn::NotEct,
        Some(EcnMark::Ect1) => Ecn::Ect1,
        Some(EcnMark::Ect0 | EcnMark::Ect01) => Ecn::Ect0,
        Some(EcnMark::Ce) => Ecn::Ce,
    };
    let mut out;
    match addresses {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = ipv4::Header::new(src, dst, protocol);
            header.ttl = fields.ttl.unwrap_or(header.ttl);
            header.dscp = tos >> 2;
            header.ecn = ecn;
            out = vec![0; ipv4::MIN_HEADER_LEN];
            header.emit(&mut out, payload.len());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = ipv6::Header::new(src, dst, protocol);
            header.hop_limit = fields.ttl.unwrap_or(header.hop_limit);
            header.dscp = tos >> 2;
            header.ecn = ecn;
            header.flow_label = fields.flow_label.unwrap_or(0);
            out = vec![0; ipv6::HEADER_LEN];
            header.emit(&mut out, payload.len());
        }
        _ => return None,
    }
    out.extend_from_slice(payload);
    (out.len() <= transom_stack::wire::ip::MAX_PACKET_LEN).then_some(out)
}
