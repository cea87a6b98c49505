//! ICMP for IPv4: RFC 792, RFC 1122 §3.2.2, RFC 1191.

use crate::checksum::{Sum, checksum};
use crate::error::{Layer, Malformed};
use crate::icmp::{self, Parts, Raw, halves, joined};
use crate::ip::ipv4::MIN_HEADER_LEN;
use core::net::Ipv4Addr;

/// Length in bytes of the part that every message has.
pub const HEADER_LEN: usize = icmp::HEADER_LEN;

/// Longest error message in bytes, IP header included (RFC 1812 §4.3.2.3).
pub const MAX_ERROR_LEN: usize = 576;

/// Message types.
pub mod kind {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Source quench, deprecated by RFC 6633.
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Codes of destination unreachable.
pub mod unreachable {
    /// Network unreachable.
    pub const NET: u8 = 0;
    /// Host unreachable.
    pub const HOST: u8 = 1;
    /// Protocol unreachable.
    pub const PROTOCOL: u8 = 2;
    /// Port unreachable.
    pub const PORT: u8 = 3;
    /// Fragmentation needed and DF set; carries the next hop's MTU.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Source route failed.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// Communication with the network is administratively prohibited.
    pub const NET_PROHIBITED: u8 = 9;
    /// Communication with the host is administratively prohibited.
    pub const HOST_PROHIBITED: u8 = 10;
    /// Communication is administratively prohibited (RFC 1812).
    pub const PROHIBITED: u8 = 13;
}

/// An ICMP message in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(Raw<'a>);

impl<'a> View<'a> {
    /// Reads a message that fills `data`, the payload of the IP packet.
    ///
    /// # Errors
    /// [`Malformed`] below 8 bytes.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        Raw::new(data, Layer::Icmpv4).map(Self)
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

    /// The checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.0.checksum()
    }

    /// Whether the checksum is right.
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        let mut sum = Sum::ZERO;
        sum.add_bytes(self.0.whole());
        sum.is_valid()
    }

    /// What follows the first 8 bytes.
    #[inline]
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.0.body()
    }

    /// Whether this is an error message, about which no error may be sent (RFC 1122 §3.2.2).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(
            self.kind(),
            kind::DESTINATION_UNREACHABLE
                | kind::SOURCE_QUENCH
                | kind::REDIRECT
                | kind::TIME_EXCEEDED
                | kind::PARAMETER_PROBLEM
        )
    }

    /// The message as a value.
    #[must_use]
    pub fn message(&self) -> Message<'a> {
        let (kind, code, rest, body) = (self.kind(), self.code(), self.0.rest(), self.body());
        let (high, low) = halves(rest);
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
            (kind::DESTINATION_UNREACHABLE, _) => Message::DestinationUnreachable {
                code,
                next_hop_mtu: low,
                quote: body,
            },
            (kind::SOURCE_QUENCH, _) => Message::SourceQuench { quote: body },
            (kind::REDIRECT, _) => Message::Redirect {
                code,
                gateway: rest.into(),
                quote: body,
            },
            (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quote: body },
            (kind::PARAMETER_PROBLEM, _) => Message::ParameterProblem {
                code,
                pointer: rest[0],
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

/// An ICMP message as a value. `quote` is the start of the packet that the message is about; read it with
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
        /// MTU in bytes of the next hop, with code 4; 0 from routers older than RFC 1191.
        next_hop_mtu: u16,
        /// Start of the packet that was not delivered.
        quote: &'a [u8],
    },
    /// Source quench: to be ignored (RFC 6633).
    SourceQuench {
        /// Start of the packet that met congestion.
        quote: &'a [u8],
    },
    /// Redirect.
    Redirect {
        /// 0 for the network, 1 for the host.
        code: u8,
        /// The better first hop.
        gateway: Ipv4Addr,
        /// Start of the packet that took the detour.
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
        /// 0: `pointer` names the byte.
        code: u8,
        /// Offset in bytes of the fault in the quoted packet.
        pointer: u8,
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
            Self::DestinationUnreachable {
                code,
                next_hop_mtu,
                quote,
            } => (
                kind::DESTINATION_UNREACHABLE,
                code,
                joined(0, next_hop_mtu),
                quote,
            ),
            Self::SourceQuench { quote } => (kind::SOURCE_QUENCH, 0, [0; 4], quote),
            Self::Redirect {
                code,
                gateway,
                quote,
            } => (kind::REDIRECT, code, gateway.octets(), quote),
            Self::TimeExceeded { code, quote } => (kind::TIME_EXCEEDED, code, [0; 4], quote),
            Self::ParameterProblem {
                code,
                pointer,
                quote,
            } => (kind::PARAMETER_PROBLEM, code, [pointer, 0, 0, 0], quote),
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
    pub fn emit(&self, out: &mut [u8]) -> usize {
        self.parts().emit(out, checksum)
    }
}

/// As much of a packet as an error message about it quotes.
///
/// `packet` begins with the IPv4 header; link padding is left out.
#[must_use]
pub fn quote(packet: &[u8]) -> &[u8] {
    let length = match packet.get(2..4) {
        Some(&[a, b]) => Some(usize::from(u16::from_be_bytes([a, b]))),
        _ => None,
    };
    // IC4-4, RFC 1122 §3.2.2: the IP header and at least 8 bytes. RFC 1812 §4.3.2.3: as much as fits 576 bytes.
    icmp::quote(packet, length, MAX_ERROR_LEN, MIN_HEADER_LEN)
}
