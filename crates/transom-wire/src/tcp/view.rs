//! Reading a TCP segment.

use super::{Flags, MIN_HEADER_LEN, OptionIter, Options, OptionsFault};
use crate::checksum;
use crate::error::{Layer, Malformed, Reason};
use crate::seq::Seq;
use core::net::IpAddr;

/// A TCP segment in a buffer: reads any bytes, and changes none.
#[derive(Clone, Copy, Debug)]
pub struct TcpView<'a> {
    header: &'a [u8; MIN_HEADER_LEN],
    segment: &'a [u8],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> TcpView<'a> {
    /// Reads a segment that fills `segment` exactly: the payload of the IP packet.
    ///
    /// # Errors
    /// [`Malformed`] if the header does not fit or its length field is below 5 words or beyond the segment.
    #[inline]
    pub fn new(segment: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, rest)) = segment.split_first_chunk::<MIN_HEADER_LEN>() else {
            return Err(Malformed::new(Layer::Tcp, Reason::Truncated, segment.len()));
        };
        let header_len = usize::from(header[12] >> 4) * 4;
        let Some((options, payload)) = header_len
            .checked_sub(MIN_HEADER_LEN)
            .and_then(|len| rest.split_at_checked(len))
        else {
            return Err(Malformed::new(Layer::Tcp, Reason::HeaderLength, 12));
        };
        Ok(Self {
            header,
            segment,
            options,
            payload,
        })
    }

    /// Reads a segment that may be cut short, as captures hold it: options and data are what is there.
    ///
    /// # Errors
    /// [`Malformed`] if the fixed header does not fit or its length field is below 5 words.
    pub fn lax(segment: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, rest)) = segment.split_first_chunk::<MIN_HEADER_LEN>() else {
            return Err(Malformed::new(Layer::Tcp, Reason::Truncated, segment.len()));
        };
        let Some(options_len) = (usize::from(header[12] >> 4) * 4).checked_sub(MIN_HEADER_LEN)
        else {
            return Err(Malformed::new(Layer::Tcp, Reason::HeaderLength, 12));
        };
        let (options, payload) = rest.split_at_checked(options_len).unwrap_or((rest, &[]));
        Ok(Self {
            header,
            segment,
            options,
            payload,
        })
    }

    /// Source port.
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

    /// SEG.SEQ.
    #[inline]
    #[must_use]
    pub const fn seq(&self) -> Seq {
        let h = self.header;
        Seq::new(u32::from_be_bytes([h[4], h[5], h[6], h[7]]))
    }

    /// SEG.ACK as it stands; it counts only with the ACK bit.
    #[inline]
    #[must_use]
    pub const fn ack(&self) -> Seq {
        let h = self.header;
        Seq::new(u32::from_be_bytes([h[8], h[9], h[10], h[11]]))
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> Flags {
        Flags::from_bits(u16::from_be_bytes([self.header[12], self.header[13]]))
    }

    /// The three reserved bits between data offset and control bits, which a sender sets to zero.
    #[inline]
    #[must_use]
    pub const fn reserved(&self) -> u8 {
        (self.header[12] >> 1) & 0b111
    }

    /// The window field, not scaled.
    #[inline]
    #[must_use]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    /// The checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[16], self.header[17]])
    }

    /// The urgent pointer as it stands; it counts only with the URG bit.
    #[inline]
    #[must_use]
    pub const fn urgent(&self) -> u16 {
        u16::from_be_bytes([self.header[18], self.header[19]])
    }

    /// Length in bytes of the header with its options.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.options.len()
    }

    /// The bytes of the options and their padding.
    #[inline]
    #[must_use]
    pub const fn options_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The options as values, and what was wrong if reading stopped early.
    #[inline]
    #[must_use]
    pub fn options(&self) -> (Options, Option<OptionsFault>) {
        Options::parse(self.options)
    }

    /// The options one by one.
    #[inline]
    #[must_use]
    pub const fn iter_options(&self) -> OptionIter<'a> {
        OptionIter::new(self.options)
    }

    /// The data.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// SEG.LEN: the data's length, SYN and FIN counted.
    #[inline]
    #[must_use]
    pub fn segment_len(&self) -> usize {
        self.payload.len()
            + usize::from(self.flags().contains(Flags::SYN))
            + usize::from(self.flags().contains(Flags::FIN))
    }

    /// Whether the checksum is right for a segment between these addresses.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self, src: IpAddr, dst: IpAddr) -> bool {
        // RFC 9293 §3.1 MUST-3: a receiver checks every segment.
        let Ok(len) = u32::try_from(self.segment.len()) else {
            return false;
        };
        let mut sum = checksum::pseudo_header(src, dst, 6, len);
        sum.add_bytes(self.segment);
        sum.is_valid()
    }
}
