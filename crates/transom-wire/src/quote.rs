//! The packet that an ICMP error quotes.
//!
//! Invariants
//! - The quote comes from the network and may end anywhere: nothing beyond its end is read, and no checksum or
//!   length in it is trusted (IC4-7, ICMPA-8).

use crate::error::Malformed;
use crate::ip::{Packet, Protocol};
use crate::seq::Seq;
use core::net::IpAddr;

/// What is left of a packet that an ICMP error quotes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a> {
    packet: Packet<'a>,
}

impl<'a> Quoted<'a> {
    /// Reads the quote of an error message.
    ///
    /// # Errors
    /// [`Malformed`] if the quote ends within the IP header, its options or extension headers.
    pub fn new(quote: &'a [u8]) -> Result<Self, Malformed> {
        Packet::lax(quote).map(|packet| Self { packet })
    }

    /// Source address: ours, if the quoted packet is.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        self.packet.src()
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        self.packet.dst()
    }

    /// The protocol, IPv6 extension headers passed over.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.packet.protocol()
    }

    /// Length in bytes of the whole packet as its header claims, IP header included.
    #[must_use]
    pub const fn total_len(&self) -> usize {
        match &self.packet {
            Packet::V4(view) => view.total_len() as usize,
            Packet::V6(view, _) => crate::ip::ipv6::HEADER_LEN + view.payload_len() as usize,
        }
    }

    /// What is quoted of the transport header and data; empty in a fragment that is not the first, which has no
    /// transport header.
    #[must_use]
    pub fn transport(&self) -> &'a [u8] {
        match self.packet.fragment() {
            Some(fragment) if !fragment.is_first() => &[],
            _ => self.packet.payload(),
        }
    }

    /// Source and destination port of TCP or UDP, if quoted.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        if !matches!(self.protocol(), Protocol::TCP | Protocol::UDP) {
            return None;
        }
        let &[s0, s1, d0, d1] = self.transport().first_chunk::<4>()?;
        Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
    }

    /// SEG.SEQ of TCP, if quoted; it is within the 8 bytes that every error quotes.
    #[must_use]
    pub fn tcp_seq(&self) -> Option<Seq> {
        if self.protocol() != Protocol::TCP {
            return None;
        }
        let &[_, _, _, _, a, b, c, d] = self.transport().first_chunk::<8>()?;
        Some(Seq::new(u32::from_be_bytes([a, b, c, d])))
    }

    /// Identifier and sequence number of an echo request, if quoted.
    #[must_use]
    pub fn echo(&self) -> Option<(u16, u16)> {
        let request = match self.protocol() {
            Protocol::ICMP => crate::icmpv4::kind::ECHO_REQUEST,
            Protocol::ICMPV6 => crate::icmpv6::kind::ECHO_REQUEST,
            _ => return None,
        };
        let &[kind, _, _, _, i0, i1, s0, s1] = self.transport().first_chunk::<8>()?;
        (kind == request).then_some((u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1])))
    }
}
