//! One view over IPv4 and IPv6.

use super::{Ecn, Fragment, Protocol, ipv4, ipv6};
use crate::error::{Layer, Malformed, Reason};
use core::net::IpAddr;

/// A received IP packet of either version, checked as a host must check it.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// IPv4.
    V4(ipv4::View<'a>),
    /// IPv6 with its extension headers walked.
    V6(ipv6::View<'a>, ipv6::Chain<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a packet at the front of `data` and checks all that a host must: lengths, the IPv4 header checksum
    /// and options, the IPv6 extension headers, fragment fields. Bytes beyond the packet are left out.
    ///
    /// # Errors
    /// [`Malformed`] naming the first fault.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        // LNK-1: the first nibble selects the version.
        match data.first().map(|first| first >> 4) {
            Some(4) => {
                let view = ipv4::View::new(data)?;
                view.check()?;
                Ok(Self::V4(view))
            }
            Some(6) => {
                let view = ipv6::View::new(data)?;
                Ok(Self::V6(
                    view,
                    ipv6::walk(view.next_header(), view.payload())?,
                ))
            }
            Some(_) => Err(Malformed::new(Layer::Ip, Reason::Version, 0)),
            None => Err(Malformed::new(Layer::Ip, Reason::Truncated, 0)),
        }
    }

    /// Reads a packet as a capture may hold it: cut short, with a header checksum or length not yet filled.
    ///
    /// # Errors
    /// [`Malformed`] if not even the headers are there.
    pub fn lax(data: &'a [u8]) -> Result<Self, Malformed> {
        match data.first().map(|first| first >> 4) {
            Some(4) => Ok(Self::V4(ipv4::View::lax(data)?)),
            Some(6) => {
                let view = ipv6::View::lax(data)?;
                Ok(Self::V6(
                    view,
                    ipv6::walk_lax(view.next_header(), view.payload())?,
                ))
            }
            Some(_) => Err(Malformed::new(Layer::Ip, Reason::Version, 0)),
            None => Err(Malformed::new(Layer::Ip, Reason::Truncated, 0)),
        }
    }

    /// Source address.
    #[inline]
    #[must_use]
    pub fn src(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.src().into(),
            Self::V6(view, _) => view.src().into(),
        }
    }

    /// Destination address.
    #[inline]
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        match self {
            Self::V4(view) => view.dst().into(),
            Self::V6(view, _) => view.dst().into(),
        }
    }

    /// The protocol of [`payload`](Self::payload), IPv6 extension headers passed over.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::V4(view) => view.protocol(),
            Self::V6(_, chain) => chain.protocol,
        }
    }

    /// Time to live or hop limit.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        match self {
            Self::V4(view) => view.ttl(),
            Self::V6(view, _) => view.hop_limit(),
        }
    }

    /// The ECN field.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        match self {
            Self::V4(view) => view.ecn(),
            Self::V6(view, _) => view.ecn(),
        }
    }

    /// Differentiated services code point, six bits.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        match self {
            Self::V4(view) => view.dscp(),
            Self::V6(view, _) => view.dscp(),
        }
    }

    /// Length in bytes of all IP headers: IPv4 with options, IPv6 with extension headers.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self {
            Self::V4(view) => view.header_len(),
            Self::V6(_, chain) => ipv6::HEADER_LEN + chain.len,
        }
    }

    /// What follows the IP headers, without link padding.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        match self {
            Self::V4(view) => view.payload(),
            Self::V6(_, chain) => chain.payload,
        }
    }

    /// What the packet says about being a fragment; none if it is whole.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        match self {
            Self::V4(view) => view.fragment(),
            Self::V6(_, chain) => chain.fragment,
        }
    }

    /// Whether the packet is IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        matches!(self, Self::V6(..))
    }
}
