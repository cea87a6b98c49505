//! Live packets as packets of a script.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use transom_stack::wire::ip::Packet as IpPacket;
use transom_stack::wire::tcp::{Flags, TcpView};
use transom_stack::wire::{Ecn, Malformed, Protocol, icmpv4, icmpv6, udp};

use super::conversation::quote;
use super::numbers::Space;
use super::{Conversation, Way, names, options};
use crate::script::{
    Body, EcnMark, Icmp, IcmpQuote, IpFields, Packet, Place, Tcp, TcpOption, TcpOptions, Udp,
};

/// A live packet that no script can write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// A header is broken, or the IP header's checksum is wrong.
    Malformed(Malformed),
    /// The checksum of the segment, datagram or message is wrong.
    Checksum,
    /// Reserved bits of the TCP header are set.
    Reserved(u8),
    /// It goes between other addresses or ports.
    Elsewhere,
    /// It is a fragment.
    Fragment,
    /// It carries neither TCP nor UDP nor ICMP.
    Protocol(u8),
    /// Its data is not all zeros: the octet at this offset is not.
    Payload(usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(fault) => write!(f, "a broken packet: {fault}"),
            Self::Checksum => f.write_str("a packet with a wrong checksum"),
            Self::Reserved(bits) => write!(f, "a segment with reserved bits {bits:#x}"),
            Self::Elsewhere => f.write_str("a packet of another connection"),
            Self::Fragment => f.write_str("a fragment"),
            Self::Protocol(number) => write!(f, "a packet of protocol {number}"),
            Self::Payload(at) => write!(f, "a packet whose data is not zero at octet {at}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<Malformed> for Unreadable {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

/// A TCP segment out of its packet, live numbers untouched.
pub(super) struct Live<'a> {
    pub(super) view: TcpView<'a>,
    pub(super) header_len: usize,
}

impl<'a> Live<'a> {
    /// The TCP segment of a packet; none for another protocol.
    pub(super) fn new(packet: &'a [u8]) -> Result<Option<Self>, Unreadable> {
        let ip = IpPacket::new(packet)?;
        if ip.protocol() != Protocol::TCP {
            return Ok(None);
        }
        let view = TcpView::new(ip.payload())?;
        Ok(Some(Self {
            view,
            header_len: ip.header_len() + view.header_len(),
        }))
    }
}

/// See [`Conversation::read`].
pub(super) fn read(
    conversation: &Conversation,
    packet: &[u8],
) -> Result<(Way, Packet), Unreadable> {
    let ip = IpPacket::new(packet)?;
    if ip.fragment().is_some_and(|fragment| !fragment.is_atomic()) {
        return Err(Unreadable::Fragment);
    }
    let (way, body) = match ip.protocol() {
        Protocol::TCP => {
            let view = TcpView::new(ip.payload())?;
            if !view.verify_checksum(ip.src(), ip.dst()) {
                return Err(Unreadable::Checksum);
            }
            if view.reserved() != 0 {
                return Err(Unreadable::Reserved(view.reserved()));
            }
            zeros(view.payload())?;
            let way = way(conversation, &ip, (view.src_port(), view.dst_port()))?;
            (way, Body::Tcp(segment(conversation, way, &view)))
        }
        Protocol::UDP => {
            let view = udp::View::new(ip.payload())?;
            if !view.verify_checksum(ip.src(), ip.dst()) {
                return Err(Unreadable::Checksum);
            }
            zeros(view.payload())?;
            let way = way(conversation, &ip, (view.src_port(), view.dst_port()))?;
            let len = u16::try_from(view.payload().len()).unwrap_or(u16::MAX);
            (way, Body::Udp(Udp { len }))
        }
        Protocol::ICMP | Protocol::ICMPV6 => {
            let way = if ip.src() == conversation.local.ip() {
                Way::Out
            } else if ip.dst() == conversation.local.ip() {
                Way::In
            } else {
                return Err(Unreadable::Elsewhere);
            };
            (way, Body::Icmp(message(conversation, &ip)?))
        }
        other => return Err(Unreadable::Protocol(other.raw())),
    };
    let packet = Packet {
        place: Place::START,
        encapsulation: Vec::new(),
        ip: IpFields::default(),
        ports: None,
        body,
    };
    Ok((way, packet))
}

fn zeros(payload: &[u8]) -> Result<(), Unreadable> {
    match payload.iter().position(|&octet| octet != 0) {
        None => Ok(()),
        Some(at) => Err(Unreadable::Payload(at)),
    }
}

fn way(
    conversation: &Conversation,
    ip: &IpPacket<'_>,
    (source, destination): (u16, u16),
) -> Result<Way, Unreadable> {
    let ends = (
        SocketAddr::new(ip.src(), source),
        SocketAddr::new(ip.dst(), destination),
    );
    if ends == (conversation.local, conversation.remote) {
        Ok(Way::Out)
    } else if ends == (conversation.remote, conversation.local) {
        Ok(Way::In)
    } else {
        Err(Unreadable::Elsewhere)
    }
}

/// The fields of a live IP header, all of them.
pub(super) fn ip_fields(packet: &[u8]) -> Result<IpFields, Unreadable> {
    let ip = IpPacket::new(packet)?;
    Ok(IpFields {
        ecn: Some(match ip.ecn() {
            Ecn::NotEct => EcnMark::NotEct,
            Ecn::Ect0 => EcnMark::Ect0,
            Ecn::Ect1 => EcnMark::Ect1,
            Ecn::Ce => EcnMark::Ce,
        }),
        tos: Some(ip.dscp() << 2 | ip.ecn().bits()),
        flow_label: match &ip {
            IpPacket::V4(_) => None,
            IpPacket::V6(view, _) => Some(view.flow_label()),
        },
        ttl: Some(ip.ttl()),
    })
}

fn segment(conversation: &Conversation, way: Way, view: &TcpView<'_>) -> Tcp {
    let numbers = &conversation.numbers;
    let flags = view.flags();
    let space = Space::of(flags.contains(Flags::SYN));
    let own = |number| match way {
        Way::Out => numbers.local_to_script(number, space),
        Way::In => numbers.remote_to_script(number, space),
    };
    let other = |number| match way {
        Way::Out => numbers.remote_to_script(number, space),
        Way::In => numbers.local_to_script(number, space),
    };
    let start = own(view.seq().raw());
    let len = u16::try_from(view.payload().len()).unwrap_or(u16::MAX);
    let list = options::decode(view.options_bytes())
        .into_iter()
        .map(|option| match option {
            TcpOption::Sack(blocks) => {
                let blocks = blocks
                    .iter()
                    .map(|&(start, end)| (other(start), other(end)));
                TcpOption::Sack(blocks.collect())
            }
            TcpOption::Timestamps { val, ecr } => {
                let script = |value| numbers.timestamps().script(value, conversation.tick());
                match way {
                    Way::Out => TcpOption::Timestamps {
                        val: script(val),
                        ecr,
                    },
                    Way::In if flags.contains(Flags::ACK) => TcpOption::Timestamps {
                        val,
                        ecr: script(ecr),
                    },
                    Way::In => TcpOption::Timestamps { val, ecr },
                }
            }
            option => option,
        })
        .collect();
    let raw_ack = view.ack().raw();
    Tcp {
        flags,
        ace: false,
        start,
        end: start.wrapping_add(len.into()),
        len,
        ack: if flags.contains(Flags::ACK) {
            Some(other(raw_ack))
        } else {
            (raw_ack != 0).then_some(raw_ack)
        },
        window: Some(view.window()),
        urgent: (view.urgent() != 0 || flags.contains(Flags::URG)).then_some(view.urgent()),
        options: TcpOptions::Exact(list),
    }
}

fn message(conversation: &Conversation, ip: &IpPacket<'_>) -> Result<Icmp, Unreadable> {
    let (kind, code, rest) = match (ip.src(), ip.dst()) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let view = icmpv6::View::new(ip.payload())?;
            if !view.verify_checksum(src, dst) {
                return Err(Unreadable::Checksum);
            }
            (view.kind(), view.code(), rest(ip.payload()))
        }
        _ => {
            let view = icmpv4::View::new(ip.payload())?;
            if !view.verify_checksum() {
                return Err(Unreadable::Checksum);
            }
            (view.kind(), view.code(), rest(ip.payload()))
        }
    };
    let is_v6 = ip.is_ipv6();
    let is_echo = if is_v6 {
        matches!(kind, icmpv6::kind::ECHO_REQUEST | icmpv6::kind::ECHO_REPLY)
    } else {
        matches!(kind, icmpv4::kind::ECHO_REQUEST | icmpv4::kind::ECHO_REPLY)
    };
    let [a, b, _, _] = rest;
    let number = u32::from_be_bytes(rest);
    let quote = quote(ip).map(|quote| {
        let header = if is_v6 { 40 } else { 20 };
        let len = quote.total_len().saturating_sub(header);
        let octets = |header: usize| u16::try_from(len.saturating_sub(header)).unwrap_or(0);
        match (quote.protocol(), quote.tcp_seq()) {
            (Protocol::TCP, Some(seq)) => {
                let numbers = &conversation.numbers;
                let start = numbers.local_to_script(seq.raw(), Space::Relative);
                let len = octets(20);
                IcmpQuote::Tcp {
                    start,
                    end: start.wrapping_add(len.into()),
                    len,
                }
            }
            (Protocol::UDP, _) => IcmpQuote::Udp(octets(8)),
            _ => IcmpQuote::Raw(octets(0)),
        }
    });
    Ok(Icmp {
        kind: names::kind_name(is_v6, kind),
        code: names::code_name(is_v6, kind, code),
        mtu: (!is_echo && number != 0).then_some(number),
        id: is_echo.then(|| u16::from_be_bytes([a, b])),
        quote,
    })
}

/// The second four octets of an ICMP header.
fn rest(message: &[u8]) -> [u8; 4] {
    message
        .get(4..8)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or_default()
}
