//! ICMPv6: RFC 4443. Neighbour Discovery is in [`ndp`](crate::ndp).

use crate::checksum::pseudo_header;
use crate::error::{Layer, Malformed, Reason};
use crate::icmp::{self, Parts, Raw, halves, joined};
use crate::ip::Protocol;
use crate::ip::ipv6::{Chain, HEADER_LEN as IPV6_HEADER_LEN, MIN_MTU};
use core::net::Ipv6Addr;

/// Length in bytes of the part that every message handled here has.
pub const HEADER_LEN: usize = icmp::HEADER_LEN;

/// Message types.
pub mod kind {
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;
}

/// Codes of destination unreachable.
pub mod unreachable {
    /// No route to the destination.
    pub const NO_ROUTE: u8 = 0;
    /// Communication is administratively prohibited.
    pub const PROHIBITED: u8 = 1;
    /// Beyond the scope of the source address.
    pub const BEYOND_SCOPE: u8 = 2;
    /// Address unreachable.
    pub const ADDRESS: u8 = 3;
    /// Port unreachable.
    pub const PORT: u8 = 4;
}

/// Codes of parameter problem.
pub mod parameter_problem {
    /// Erroneous header field.
    pub const FIELD: u8 = 0;
    /// Unrecognised next header.
    pub const NEXT_HEADER: u8 = 1;
    /// Unrecognised IPv6 option.
    pub const OPTION: u8 = 2;
    /// The first fragment does not hold the whole header chain (RFC 7112).
    pub const INCOMPLETE_CHAIN: u8 = 3;
}

/// An ICMPv6 message in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(Raw<'a>);

impl<'a> View<'a> {
    /// Reads a message that fills `data`, the payload of the IPv6 packet.
    ///
    /// # Errors
    /// [`Malformed`] below 8 bytes.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        Raw::new(data, Layer::Icmpv6).map(Self)
    }

    /// The type.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.0.kind()
    }

    /// The code.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.0.code()
    }

    /// The second four bytes of the header.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> [u8; 4] {
        self.0.rest()
    }

    /// What follows the first 8 bytes.
    #[inline]
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.0.body()
    }

    /// Whether the checksum is right for a message between these addresses.
    #[must_use]
    pub fn verify_checksum(&self, src: Ipv6Addr, dst: Ipv6Addr) -> bool {
        let Ok(len) = u32::try_from(self.0.whole().len()) else {
            return false;
        };
        let mut sum = pseudo_header(src.into(), dst.into(), Protocol::ICMPV6.raw(), len);
        sum.add_bytes(self.0.whole());
        sum.is_valid()
    }

    /// Whether this is an error message (type below 128), about which no error may be sent.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.kind() < 128
    }

    /// The message as a value. Neighbour Discovery comes out as [`Message::Other`].
    #[must_use]
    pub const fn message(&self) -> Message<'a> {
        let (kind, code, rest, body) = (self.kind(), self.code(), self.rest(), self.body());
        let (high, low) = halves(rest);
        let word = u32::from_be_bytes(rest);
        match (kind, code) {
            (kind::ECHO_REQUEST, 0) => Message::EchoRequest {
                id: high,
                seq: low,
                data: body,
            },
            (kind::ECHO_REPLY, 0) => Message::EchoReply {
                id: high,
                seq: low,
                data: body,
            },
            (kind::DESTINATION_UNREACHABLE, _) => {
                Message::DestinationUnreachable { code, quote: body }
            }
            // RFC 4443 §3.2: the code is ignored by the receiver.
            (kind::PACKET_TOO_BIG, _) => Message::PacketTooBig {
                mtu: word,
                quote: body,
            },
            (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quote: body },
            (kind::PARAMETER_PROBLEM, _) => Message::ParameterProblem {
                code,
                pointer: word,
                quote: body,
            },
            _ => Message::Other {
                kind,
                code,
                rest,
                body,
            },
        }
    }
}

/// An ICMPv6 message as a value. `quote` is the start of the packet that the message is about; read it with
/// [`Quoted`](crate::quote::Quoted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Echo request.
    EchoRequest {
        /// Identifier.
        id: u16,
        /// Sequence number.
        seq: u16,
        /// Data to be returned.
        data: &'a [u8],
    },
    /// Echo reply.
    EchoReply {
        /// Identifier of the request.
        id: u16,
        /// Sequence number of the request.
        seq: u16,
        /// Data of the request.
        data: &'a [u8],
    },
    /// Destination unreachable.
    DestinationUnreachable {
        /// See [`mod@unreachable`].
        code: u8,
        /// Start of the packet that was not delivered.
        quote: &'a [u8],
    },
    /// Packet too big.
    PacketTooBig {
        /// MTU in bytes of the next hop.
        mtu: u32,
        /// Start of the packet that did not fit.
        quote: &'a [u8],
    },
    /// Time exceeded.
    TimeExceeded {
        /// 0 in transit, 1 while fragments were reassembled.
        code: u8,
        /// Start of the packet that was too old.
        quote: &'a [u8],
    },
    /// Parameter problem.
    ParameterProblem {
        /// See [`parameter_problem`].
        code: u8,
        /// Offset in bytes of the fault in the quoted packet.
        pointer: u32,
        /// Start of the packet at fault.
        quote: &'a [u8],
    },
    /// Anything else.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The second four bytes of the header.
        rest: [u8; 4],
        /// What follows.
        body: &'a [u8],
    },
}

impl Message<'_> {
    /// Length in bytes of the message.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.parts().len()
    }

    /// Never: a message has at least 8 bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    const fn parts(&self) -> Parts<'_> {
        let (kind, code, rest, body) = match *self {
            Self::EchoRequest { id, seq, data } => (kind::ECHO_REQUEST, 0, joined(id, seq), data),
            Self::EchoReply { id, seq, data } => (kind::ECHO_REPLY, 0, joined(id, seq), data),
            Self::DestinationUnreachable { code, quote } => {
                (kind::DESTINATION_UNREACHABLE, code, [0; 4], quote)
            }
            Self::PacketTooBig { mtu, quote } => {
                (kind::PACKET_TOO_BIG, 0, mtu.to_be_bytes(), quote)
            }
            Self::TimeExceeded { code, quote } => (kind::TIME_EXCEEDED, code, [0; 4], quote),
            Self::ParameterProblem {
                code,
                pointer,
                quote,
            } => (kind::PARAMETER_PROBLEM, code, pointer.to_be_bytes(), quote),
            Self::Other {
                kind,
                code,
                rest,
                body,
            } => (kind, code, rest, body),
        };
        Parts::new(kind, code, rest, body)
    }

    /// Writes the message, checksum included, and returns its length; writes nothing and returns 0 if `out` is
    /// shorter than [`len`](Self::len).
    pub fn emit(&self, out: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) -> usize {
        self.parts()
            .emit(out, |message| checksum(message, src, dst))
    }
}

/// Fills the checksum of a whole message whose checksum field is zero.
pub fn fill_checksum(message: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) {
    icmp::fill_checksum(message, |message| checksum(message, src, dst));
}

fn checksum(message: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> u16 {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut sum = pseudo_header(src.into(), dst.into(), Protocol::ICMPV6.raw(), len);
    sum.add_bytes(message);
    sum.finish()
}

/// As much of a packet as an error message about it quotes: what fits 1280 bytes (RFC 4443 §2.4 c).
///
/// `packet` begins with the IPv6 header; link padding is left out.
#[must_use]
pub fn quote(packet: &[u8]) -> &[u8] {
    let length = match packet.get(4..6) {
        Some(&[a, b]) => Some(IPV6_HEADER_LEN + usize::from(u16::from_be_bytes([a, b]))),
        _ => None,
    };
    icmp::quote(packet, length, MIN_MTU, IPV6_HEADER_LEN)
}

/// The parameter problem that a host owes the sender of a packet it could not process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// See [`parameter_problem`].
    pub code: u8,
    /// Offset in bytes of the fault in the packet.
    pub pointer: u32,
    /// Whether it is owed for a packet to a multicast address too (RFC 4443 §2.4 e).
    pub even_if_multicast: bool,
}

impl Report {
    /// The report owed for a fault in an IPv6 packet; none if it is to be discarded silently.
    #[must_use]
    pub fn for_fault(fault: Malformed) -> Option<Self> {
        if fault.layer != Layer::Ipv6Extension {
            return None;
        }
        let (code, even_if_multicast) = match fault.reason {
            // IP6-3: action bits 10 report always, 11 only to unicast destinations.
            Reason::OptionReport => (parameter_problem::OPTION, true),
            Reason::OptionReportUnicast => (parameter_problem::OPTION, false),
            Reason::HopByHopNotFirst => (parameter_problem::NEXT_HEADER, false),
            Reason::HeaderChainSplit => (parameter_problem::INCOMPLETE_CHAIN, false),
            Reason::Routing | Reason::FragmentLength | Reason::FragmentOverflow => {
                (parameter_problem::FIELD, false)
            }
            _ => return None,
        };
        Some(Self {
            code,
            pointer: u32::try_from(fault.at).ok()?,
            even_if_multicast,
        })
    }

    /// The report owed for an upper layer that nobody handles (IP6-4); none if the sender said that nothing
    /// follows.
    #[must_use]
    pub fn for_unknown_protocol(chain: &Chain<'_>) -> Option<Self> {
        if chain.protocol == Protocol::NO_NEXT_HEADER {
            return None;
        }
        Some(Self {
            code: parameter_problem::NEXT_HEADER,
            pointer: u32::try_from(chain.next_header_at).ok()?,
            even_if_multicast: false,
        })
    }
}
