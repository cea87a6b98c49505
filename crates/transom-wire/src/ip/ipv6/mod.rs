//! IPv6: RFC 8200.

mod extension;

pub use extension::{Chain, FragmentHeader, MAX_CHAIN_LEN, MAX_HEADERS, walk, walk_lax};

use super::{Ecn, Protocol, traffic_class};
use crate::error::{Layer, Malformed, Reason};
use core::net::Ipv6Addr;

/// Length in bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// The least MTU that every IPv6 link has, in bytes.
pub const MIN_MTU: usize = 1280;

const fn malformed(reason: Reason, at: usize) -> Malformed {
    Malformed::new(Layer::Ipv6, reason, at)
}

/// An IPv6 packet in a buffer: reads any bytes, and changes none.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads a packet at the front of `data`; bytes beyond its payload length are left out.
    ///
    /// # Errors
    /// [`Malformed`] if the version is wrong, the packet is cut short, or it is a jumbogram (payload length 0
    /// with a payload).
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, rest)) = data.split_first_chunk::<HEADER_LEN>() else {
            return Err(malformed(Reason::Truncated, data.len()));
        };
        if header[0] >> 4 != 6 {
            return Err(malformed(Reason::Version, 0));
        }
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        // IP6-1: payload length 0 with a next header is a jumbogram (RFC 2675), which we do not take.
        if len == 0 && header[6] == Protocol::HOP_BY_HOP.raw() {
            return Err(malformed(Reason::TotalLength, 4));
        }
        let Some(payload) = rest.get(..len) else {
            return Err(malformed(Reason::Truncated, data.len()));
        };
        Ok(Self { header, payload })
    }

    /// Reads a packet whose payload length may be wrong: cut by a capture's snap length, or 0 because a device
    /// was still to fill it.
    ///
    /// # Errors
    /// [`Malformed`] if the version is wrong or the fixed header is cut short.
    pub fn lax(data: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, rest)) = data.split_first_chunk::<HEADER_LEN>() else {
            return Err(malformed(Reason::Truncated, data.len()));
        };
        if header[0] >> 4 != 6 {
            return Err(malformed(Reason::Version, 0));
        }
        let payload = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
            0 => rest,
            len => rest.get(..len).unwrap_or(rest),
        };
        Ok(Self { header, payload })
    }

    /// The payload-length field in bytes: everything after the fixed header.
    #[inline]
    #[must_use]
    pub const fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The traffic-class byte.
    const fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// Differentiated services code point, six bits.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// The ECN field.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.traffic_class())
    }

    /// Flow label, 20 bits.
    #[inline]
    #[must_use]
    pub const fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }

    /// What follows the fixed header: an extension header or the upper layer.
    #[inline]
    #[must_use]
    pub const fn next_header(&self) -> Protocol {
        Protocol(self.header[6])
    }

    /// Hop limit.
    #[inline]
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Source address.
    #[inline]
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        self.header
            .as_slice()
            .get(8..)
            .and_then(<[u8]>::first_chunk::<16>)
            .map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }

    /// Destination address.
    #[inline]
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        self.header
            .last_chunk::<16>()
            .map_or(Ipv6Addr::UNSPECIFIED, |octets| (*octets).into())
    }

    /// What follows the fixed header.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An IPv6 fixed header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// What follows the header.
    pub next_header: Protocol,
    /// Hop limit.
    pub hop_limit: u8,
    /// Differentiated services code point; the low six bits count.
    pub dscp: u8,
    /// The ECN field.
    pub ecn: Ecn,
    /// Flow label; the low 20 bits count.
    pub flow_label: u32,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = HEADER_LEN;

    /// A header with hop limit 64.
    #[must_use]
    pub const fn new(src: Ipv6Addr, dst: Ipv6Addr, next_header: Protocol) -> Self {
        Self {
            src,
            dst,
            next_header,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: 0,
        }
    }

    /// Writes the header for a payload of `payload_len` bytes (extension headers included); returns its length.
    ///
    /// A payload above 65535 bytes gets a length of 65535. Writes nothing and returns 0 if `out` is shorter
    /// than [`LEN`](Self::LEN).
    pub fn emit(&self, out: &mut [u8], payload_len: usize) -> usize {
        let Some((fixed, _)) = out.split_first_chunk_mut::<HEADER_LEN>() else {
            debug_assert!(false, "buffer shorter than an IPv6 header");
            return 0;
        };
        let class = u32::from(traffic_class(self.dscp, self.ecn));
        let word = 6 << 28 | class << 20 | self.flow_label & 0x000f_ffff;
        let len = u16::try_from(payload_len).unwrap_or(u16::MAX);
        let (start, addresses) = fixed.split_at_mut(8);
        let (src, dst) = addresses.split_at_mut(16);
        if let Some((first, rest)) = start.split_first_chunk_mut::<4>() {
            *first = word.to_be_bytes();
            let [l0, l1] = len.to_be_bytes();
            rest.copy_from_slice(&[l0, l1, self.next_header.raw(), self.hop_limit]);
        }
        src.copy_from_slice(&self.src.octets());
        dst.copy_from_slice(&self.dst.octets());
        HEADER_LEN
    }

    /// The fixed header that a packet carries.
    #[must_use]
    pub fn from_view(view: &View<'_>) -> Self {
        Self {
            src: view.src(),
            dst: view.dst(),
            next_header: view.next_header(),
            hop_limit: view.hop_limit(),
            dscp: view.dscp(),
            ecn: view.ecn(),
            flow_label: view.flow_label(),
        }
    }
}
