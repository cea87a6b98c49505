//! Ethernet II: the 14-byte header, and 802.1Q tags.

use crate::error::{Layer, Malformed, Reason};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Length in bytes of the header.
pub const HEADER_LEN: usize = 14;
/// Length in bytes of the shortest frame without its check sequence; shorter ones are padded with zeros.
pub const MIN_FRAME_LEN: usize = 60;

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The zero address, which stands for "not known" in ARP.
    pub const ZERO: Self = Self([0; 6]);

    /// The bytes in order of transmission.
    #[inline]
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether this is the address of all stations.
    #[inline]
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether this is a group address; broadcast is one too.
    #[inline]
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether this can be the address of one station: no group, not zero.
    #[inline]
    #[must_use]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The group address that carries an IPv4 multicast group (RFC 1112 §6.4).
    #[must_use]
    pub const fn for_ipv4_multicast(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that carries an IPv6 multicast group (RFC 2464 §7).
    #[must_use]
    pub const fn for_ipv6_multicast(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an Ethernet frame carries. Below 0x0600 the field is a length (IEEE 802.3), not a type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// 802.1Q tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::ARP => f.write_str("ARP"),
            Self::VLAN => f.write_str("802.1Q"),
            Self::IPV6 => f.write_str("IPv6"),
            Self(raw) => write!(f, "EtherType({raw:#06x})"),
        }
    }
}

/// An Ethernet frame in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads a frame that fills `data`.
    ///
    /// # Errors
    /// [`Malformed`] below 14 bytes.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        match data.split_first_chunk::<HEADER_LEN>() {
            Some((header, payload)) => Ok(Self { header, payload }),
            None => Err(Malformed::new(
                Layer::Ethernet,
                Reason::Truncated,
                data.len(),
            )),
        }
    }

    /// Destination.
    #[inline]
    #[must_use]
    pub const fn dst(&self) -> MacAddr {
        let &[a, b, c, d, e, f, ..] = self.header;
        MacAddr([a, b, c, d, e, f])
    }

    /// Source.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> MacAddr {
        let &[_, _, _, _, _, _, a, b, c, d, e, f, ..] = self.header;
        MacAddr([a, b, c, d, e, f])
    }

    /// What the frame carries; [`EtherType::VLAN`] if it is tagged.
    #[inline]
    #[must_use]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.header[12], self.header[13]]))
    }

    /// What follows the header, link padding included.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The 802.1Q tag, if the frame has one and it is whole.
    #[must_use]
    pub fn vlan(&self) -> Option<Vlan<'a>> {
        if self.ether_type() != EtherType::VLAN {
            return None;
        }
        let (&[t0, t1, e0, e1], payload) = self.payload.split_first_chunk::<4>()?;
        Some(Vlan {
            tag: u16::from_be_bytes([t0, t1]),
            ether_type: EtherType(u16::from_be_bytes([e0, e1])),
            payload,
        })
    }
}

/// An 802.1Q tag and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan<'a> {
    /// Priority (3 bits), drop eligibility (1 bit), VLAN identifier (12 bits).
    pub tag: u16,
    /// What the frame carries behind the tag.
    pub ether_type: EtherType,
    /// What follows the tag.
    pub payload: &'a [u8],
}

impl Vlan<'_> {
    /// The VLAN identifier.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.tag & 0x0fff
    }
}

/// An Ethernet header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Destination.
    pub dst: MacAddr,
    /// Source.
    pub src: MacAddr,
    /// What the frame carries.
    pub ether_type: EtherType,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = HEADER_LEN;

    /// Writes the header and returns its length; writes nothing and returns 0 if `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let Some((header, _)) = out.split_first_chunk_mut::<HEADER_LEN>() else {
            debug_assert!(false, "buffer shorter than an Ethernet header");
            return 0;
        };
        let [d0, d1, d2, d3, d4, d5] = self.dst.0;
        let [s0, s1, s2, s3, s4, s5] = self.src.0;
        let [t0, t1] = self.ether_type.0.to_be_bytes();
        *header = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
        HEADER_LEN
    }

    /// The header that a frame carries.
    #[must_use]
    pub const fn from_view(view: &View<'_>) -> Self {
        Self {
            dst: view.dst(),
            src: view.src(),
            ether_type: view.ether_type(),
        }
    }
}
