//! UDP: RFC 768.

use crate::checksum::{Sum, pseudo_header};
use crate::error::{Layer, Malformed, Reason};
use crate::ip::Protocol;
use core::net::IpAddr;

/// Length in bytes of the header.
pub const HEADER_LEN: usize = 8;

/// A UDP datagram in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    /// Header and data, as long as the length field says.
    datagram: &'a [u8],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads a datagram at the front of `data`, the payload of the IP packet; bytes beyond its length are left out.
    ///
    /// # Errors
    /// [`Malformed`] if the header does not fit, or its length field is below 8 or beyond `data`.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        let Some(header) = data.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::new(Layer::Udp, Reason::Truncated, data.len()));
        };
        // UDP-1: length at least 8 and at most what IP brought; the rest does not count.
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        match data
            .get(..len)
            .and_then(|d| Some((d, d.get(HEADER_LEN..)?)))
        {
            Some((datagram, payload)) => Ok(Self {
                header,
                datagram,
                payload,
            }),
            None => Err(Malformed::new(Layer::Udp, Reason::TotalLength, 4)),
        }
    }

    /// Source port; 0 if no answer is wanted.
    #[inline]
    #[must_use]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[inline]
    #[must_use]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The checksum field; 0 if the sender computed none.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// The data.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is right for a datagram between these addresses.
    ///
    /// Without one (field 0) an IPv4 datagram is accepted and an IPv6 datagram is not.
    #[must_use]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        if self.checksum() == 0 {
            // UDP-2: over IPv4, 0 means that none was computed. RFC 8200 §8.1: over IPv6 there must be one.
            return dst.is_ipv4();
        }
        let Ok(len) = u32::try_from(self.datagram.len()) else {
            return false;
        };
        let mut sum = pseudo_header(src, dst, Protocol::UDP.raw(), len);
        sum.add_bytes(self.datagram);
        sum.is_valid()
    }
}

/// The field for a sum over pseudo-header, header and data.
///
/// UDP-2, RFC 768: a computed 0 is sent as 0xffff, because 0 stands for no checksum.
#[inline]
#[must_use]
pub const fn checksum_field(sum: Sum) -> u16 {
    match sum.finish() {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// A UDP header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = HEADER_LEN;

    /// Writes the header for `payload_len` bytes of data, with a checksum field of 0 (none); returns its length.
    ///
    /// Data that makes the datagram longer than 65535 bytes gets a length of 65535. Writes nothing and returns 0
    /// if `out` is too short.
    pub fn emit(&self, out: &mut [u8], payload_len: usize) -> usize {
        let Some((header, _)) = out.split_first_chunk_mut::<HEADER_LEN>() else {
            debug_assert!(false, "buffer shorter than a UDP header");
            return 0;
        };
        let len = u16::try_from(payload_len.saturating_add(HEADER_LEN)).unwrap_or(u16::MAX);
        let [s0, s1] = self.src_port.to_be_bytes();
        let [d0, d1] = self.dst_port.to_be_bytes();
        let [l0, l1] = len.to_be_bytes();
        *header = [s0, s1, d0, d1, l0, l1, 0, 0];
        HEADER_LEN
    }

    /// Writes the header with the checksum over it and `payload`; returns its length, or 0 if `out` is too short.
    pub fn emit_with_checksum(
        &self,
        out: &mut [u8],
        src: IpAddr,
        dst: IpAddr,
        payload: &[u8],
    ) -> usize {
        let written = self.emit(out, payload.len());
        if let Some(header) = out.first_chunk_mut::<HEADER_LEN>() {
            let len = u32::try_from(HEADER_LEN + payload.len()).unwrap_or(u32::MAX);
            let mut sum = pseudo_header(src, dst, Protocol::UDP.raw(), len);
            sum.add_bytes(header);
            sum.add_bytes(payload);
            [header[6], header[7]] = checksum_field(sum).to_be_bytes();
        }
        written
    }

    /// The header that a datagram carries.
    #[must_use]
    pub const fn from_view(view: &View<'_>) -> Self {
        Self {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
        }
    }
}
