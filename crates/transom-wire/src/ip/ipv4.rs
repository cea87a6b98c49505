//! IPv4: RFC 791.

use super::{Ecn, Fragment, MAX_PACKET_LEN, Protocol, traffic_class};
use crate::checksum::{Sum, checksum};
use crate::error::{Layer, Malformed, Reason};
use core::net::Ipv4Addr;

/// Length in bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;

const MORE_FRAGMENTS: u16 = 0x2000;
const DONT_FRAGMENT: u16 = 0x4000;

const fn malformed(reason: Reason, at: usize) -> Malformed {
    Malformed::new(Layer::Ipv4, reason, at)
}

/// An IPv4 packet in a buffer: reads any bytes, and changes none.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; MIN_HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads a packet at the front of `data`; bytes beyond its total length are left out.
    ///
    /// Only the layout is checked; [`check`](Self::check) does the rest that a host must check.
    ///
    /// # Errors
    /// [`Malformed`] if version, header length or total length are impossible, or the packet is cut short.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        let view = Self::lax(data)?;
        // LNK-2, IP4-1: what follows the total length is padding of the link; a packet shorter than it
        // says is dropped.
        let total_len = usize::from(view.total_len());
        let Some(payload_len) = total_len.checked_sub(view.header_len()) else {
            return Err(malformed(Reason::TotalLength, 2));
        };
        if data.len() < total_len {
            return Err(malformed(Reason::Truncated, data.len()));
        }
        let payload = view.payload.get(..payload_len).unwrap_or_default();
        Ok(Self { payload, ..view })
    }

    /// Reads a packet whose total length may be wrong: cut by a capture's snap length, or 0 because a device was
    /// still to fill it. The payload is what is there, at most the total length unless that is 0.
    ///
    /// # Errors
    /// [`Malformed`] if version or header length are impossible, or the header is cut short.
    #[inline]
    pub fn lax(data: &'a [u8]) -> Result<Self, Malformed> {
        let Some((header, rest)) = data.split_first_chunk::<MIN_HEADER_LEN>() else {
            return Err(malformed(Reason::Truncated, data.len()));
        };
        if header[0] >> 4 != 4 {
            return Err(malformed(Reason::Version, 0));
        }
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let Some((options, payload)) = header_len
            .checked_sub(MIN_HEADER_LEN)
            .and_then(|len| rest.split_at_checked(len))
        else {
            return Err(malformed(Reason::HeaderLength, 0));
        };
        let view = Self {
            header,
            options,
            payload,
        };
        let payload = match usize::from(view.total_len()).checked_sub(header_len) {
            Some(claimed) => payload.get(..claimed).unwrap_or(payload),
            None => payload,
        };
        Ok(Self { payload, ..view })
    }

    /// Checks what a host must check beyond the layout: header checksum, options, fragment fields.
    ///
    /// # Errors
    /// [`Malformed`] naming the first fault.
    #[inline]
    pub fn check(&self) -> Result<(), Malformed> {
        // IP4-1, RFC 1122 §3.2.1.2: a bad header checksum means silent discard.
        if !self.verify_checksum() {
            return Err(malformed(Reason::Checksum, 10));
        }
        if !self.options.is_empty() {
            self.check_options()?;
        }
        if self.fragment_field() & !DONT_FRAGMENT != 0 {
            self.check_fragment()?;
        }
        Ok(())
    }

    fn check_options(&self) -> Result<(), Malformed> {
        for option in self.iter_options() {
            let option = option?;
            // IP4-4, RFC 7126 §4.3: source routes are dropped, never followed or reflected.
            if matches!(option.kind, Ipv4Option::LSRR | Ipv4Option::SSRR) {
                return Err(malformed(Reason::SourceRoute, option.at));
            }
        }
        Ok(())
    }

    fn check_fragment(&self) -> Result<(), Malformed> {
        let Some(fragment) = self.fragment() else {
            return Ok(());
        };
        // IP4-9: all but the last fragment are cut at multiples of 8, and none ends beyond 65535.
        if fragment.more && !self.payload.len().is_multiple_of(8) {
            return Err(malformed(Reason::FragmentLength, 2));
        }
        if usize::from(fragment.offset) + self.payload.len() + self.header_len() > MAX_PACKET_LEN {
            return Err(malformed(Reason::FragmentOverflow, 6));
        }
        // IP4-13, RFC 1858 and RFC 3128: a first fragment without the whole TCP header, or one that would
        // overwrite it from offset 8, is an attack on filters.
        if self.protocol() == Protocol::TCP {
            let tiny = fragment.is_first() && self.payload.len() < crate::tcp::MIN_HEADER_LEN;
            if tiny || fragment.offset == 8 {
                return Err(malformed(Reason::TinyFragment, 6));
            }
        }
        Ok(())
    }

    /// Length in bytes of the header with its options.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.options.len()
    }

    /// The total-length field in bytes.
    #[inline]
    #[must_use]
    pub const fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Differentiated services code point, six bits.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.header[1] >> 2
    }

    /// The ECN field.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.header[1])
    }

    /// Identification.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    const fn fragment_field(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Whether DF is set.
    #[inline]
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.fragment_field() & DONT_FRAGMENT != 0
    }

    /// What the packet says about being a fragment; none if it is whole.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        let field = self.fragment_field();
        let (offset, more) = ((field & 0x1fff) * 8, field & MORE_FRAGMENTS != 0);
        (offset != 0 || more).then_some(Fragment {
            id: u32::from(self.id()),
            offset,
            more,
        })
    }

    /// Time to live.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The protocol of the payload.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        Protocol(self.header[9])
    }

    /// The header checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[10], self.header[11]])
    }

    /// Source address.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// Destination address.
    #[inline]
    #[must_use]
    pub const fn dst(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// The bytes of the options and their padding.
    #[inline]
    #[must_use]
    pub const fn options_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The options one by one.
    #[inline]
    #[must_use]
    pub const fn iter_options(&self) -> Ipv4OptionIter<'a> {
        Ipv4OptionIter {
            bytes: self.options,
            at: 0,
            done: false,
        }
    }

    /// What follows the header.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the header checksum is right.
    #[inline]
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        let (words, _) = self.header.as_chunks::<4>();
        let words = words
            .iter()
            .map(|word| u64::from(u32::from_ne_bytes(*word)));
        let fixed = words.sum();
        if self.options.is_empty() {
            return Sum::is_native_valid(fixed);
        }
        let mut sum = Sum::of_native(fixed, MIN_HEADER_LEN);
        sum.add_bytes(self.options);
        sum.is_valid()
    }
}

/// One IPv4 option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// The type byte: copy flag, class and number.
    pub kind: u8,
    /// The bytes after type and length.
    pub data: &'a [u8],
    /// Offset in bytes of the type byte from the start of the IPv4 header.
    pub at: usize,
}

impl Ipv4Option<'_> {
    /// End of options.
    pub const END: u8 = 0;
    /// No operation.
    pub const NOP: u8 = 1;
    /// Record route.
    pub const RECORD_ROUTE: u8 = 7;
    /// Timestamp.
    pub const TIMESTAMP: u8 = 68;
    /// Loose source and record route.
    pub const LSRR: u8 = 131;
    /// Strict source and record route.
    pub const SSRR: u8 = 137;
    /// Router alert.
    pub const ROUTER_ALERT: u8 = 148;
}

/// Walks the options of an IPv4 header; NOPs are passed over, the end and a fault end it.
#[derive(Clone, Debug)]
pub struct Ipv4OptionIter<'a> {
    bytes: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Iterator for Ipv4OptionIter<'a> {
    type Item = Result<Ipv4Option<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        // At most 40 bytes, and every step passes at least one of them.
        let (kind, rest) = loop {
            let (&kind, rest) = self.bytes.get(self.at..)?.split_first()?;
            match kind {
                Ipv4Option::END => return None,
                Ipv4Option::NOP => self.at += 1,
                _ => break (kind, rest),
            }
        };
        let at = MIN_HEADER_LEN + self.at;
        if let Some((&len, data)) = rest.split_first()
            && let Some(data) = usize::from(len)
                .checked_sub(2)
                .and_then(|len| data.get(..len))
        {
            self.at += usize::from(len);
            return Some(Ok(Ipv4Option { kind, data, at }));
        }
        self.done = true;
        Some(Err(malformed(Reason::OptionLength, at)))
    }
}

/// An IPv4 header without options, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// The protocol of the payload.
    pub protocol: Protocol,
    /// Time to live.
    pub ttl: u8,
    /// Differentiated services code point; the low six bits count.
    pub dscp: u8,
    /// The ECN field.
    pub ecn: Ecn,
    /// Identification.
    pub id: u16,
    /// Whether routers may not cut the packet.
    pub dont_fragment: bool,
    /// Whether more fragments follow.
    pub more_fragments: bool,
    /// Offset of this fragment's data in bytes; written rounded down to a multiple of 8.
    pub fragment_offset: u16,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = MIN_HEADER_LEN;

    /// A whole packet with TTL 64 and DF set.
    #[must_use]
    pub const fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol) -> Self {
        Self {
            src,
            dst,
            protocol,
            ttl: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        }
    }

    /// Writes the header, checksum included, for a payload of `payload_len` bytes; returns its length.
    ///
    /// A packet that would be longer than 65535 bytes gets a total length of 65535. Writes nothing and
    /// returns 0 if `out` is shorter than [`LEN`](Self::LEN).
    pub fn emit(&self, out: &mut [u8], payload_len: usize) -> usize {
        let Some((fixed, _)) = out.split_first_chunk_mut::<MIN_HEADER_LEN>() else {
            debug_assert!(false, "buffer shorter than an IPv4 header");
            return 0;
        };
        let total_len =
            u16::try_from(payload_len.saturating_add(MIN_HEADER_LEN)).unwrap_or(u16::MAX);
        let mut fragment = self.fragment_offset / 8;
        if self.more_fragments {
            fragment |= MORE_FRAGMENTS;
        }
        if self.dont_fragment {
            fragment |= DONT_FRAGMENT;
        }
        let [l0, l1] = total_len.to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = fragment.to_be_bytes();
        let [s0, s1, s2, s3] = self.src.octets();
        let [d0, d1, d2, d3] = self.dst.octets();
        let class = traffic_class(self.dscp, self.ecn);
        let protocol = self.protocol.raw();
        *fixed = [
            0x45, class, l0, l1, i0, i1, f0, f1, self.ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1,
            d2, d3,
        ];
        [fixed[10], fixed[11]] = checksum(fixed).to_be_bytes();
        MIN_HEADER_LEN
    }

    /// The header that a packet carries, without its options.
    #[must_use]
    pub fn from_view(view: &View<'_>) -> Self {
        let fragment = view.fragment();
        Self {
            src: view.src(),
            dst: view.dst(),
            protocol: view.protocol(),
            ttl: view.ttl(),
            dscp: view.dscp(),
            ecn: view.ecn(),
            id: view.id(),
            dont_fragment: view.dont_fragment(),
            more_fragments: fragment.is_some_and(|fragment| fragment.more),
            fragment_offset: fragment.map_or(0, |fragment| fragment.offset),
        }
    }
}
