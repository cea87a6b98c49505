//! The headers of pcap files.

use super::blocks::Order;
use super::{Error, Format, LinkType, MAX_PACKET_LEN};
use core::time::Duration;

/// Length in bytes of the header of the file.
pub(super) const HEADER_LEN: usize = 24;

/// A packet longer than this is taken for damage, unless the header's snap length allows it.
const USUAL_MAX: u32 = 1 << 20;

/// What the header of the file says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    pub(super) format: Format,
    pub(super) order: Order,
    pub(super) link: LinkType,
    pub(super) snaplen: u32,
    /// Bytes of check sequence that frames end with, if that is known.
    pub(super) fcs_len: Option<u8>,
    /// Old files have the two lengths of a packet the other way round.
    are_lengths_swapped: bool,
    max_len: u32,
}

/// What the header of a packet says.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketHeader {
    pub(super) time: Duration,
    pub(super) len: usize,
    pub(super) orig_len: u32,
}

/// The format and byte order that the first four bytes of a file tell.
pub(super) const fn format(magic: [u8; 4]) -> Option<(Format, Order)> {
    const fn known(magic: u32) -> Option<Format> {
        match magic {
            0xa1b2_c3d4 => Some(Format::PcapMicros),
            0xa1b2_3c4d => Some(Format::PcapNanos),
            0xa1b2_cd34 => Some(Format::PcapModified),
            _ => None,
        }
    }
    match (
        known(u32::from_le_bytes(magic)),
        known(u32::from_be_bytes(magic)),
    ) {
        (Some(format), _) => Some((format, Order::Little)),
        (_, Some(format)) => Some((format, Order::Big)),
        _ => None,
    }
}

impl Pcap {
    /// Reads the header of a file.
    pub(super) fn new(header: &[u8; HEADER_LEN]) -> Result<Self, Error> {
        let &[m0, m1, m2, m3, ..] = header;
        let Some((format, order)) = format([m0, m1, m2, m3]) else {
            return Err(Error::not_a_capture("no magic number that is known"));
        };
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        let is_known = matches!((major, minor), (2, _) | (543, 0));
        if !is_known {
            return Err(Error::not_a_capture(format!(
                "pcap version {major}.{minor}, which nobody has defined"
            )));
        }
        let snaplen = order.u32(header, 16);
        let network = order.u32(header, 20);
        #[expect(clippy::cast_possible_truncation, reason = "the low half of the field")]
        let link = LinkType(network as u16);
        Ok(Self {
            format,
            order,
            link,
            snaplen,
            // Bit 26 says that the top four bits count the check sequence in 16-bit words.
            fcs_len: (network & 0x0400_0000 != 0).then_some((network >> 28 << 1) as u8 & 0x1e),
            // pcap 2.3 came with the change; 543.0 is a system that never made it.
            are_lengths_swapped: major == 543 || minor < 3,
            max_len: snaplen.clamp(
                USUAL_MAX,
                u32::try_from(MAX_PACKET_LEN).unwrap_or(USUAL_MAX),
            ),
        })
    }

    /// Length in bytes of the header of each packet.
    pub(super) const fn packet_header_len(&self) -> usize {
        match self.format {
            Format::PcapModified => 24,
            _ => 16,
        }
    }

    /// Nanoseconds in the unit of the second half of a time.
    const fn fraction(&self) -> u32 {
        match self.format {
            Format::PcapNanos => 1,
            _ => 1_000,
        }
    }

    /// Reads the header of a packet; the bytes beyond 16 are of no interest.
    #[inline]
    pub(super) fn packet(&self, header: &[u8; 16], offset: u64) -> Result<PacketHeader, Error> {
        let order = self.order;
        let (seconds, fraction) = (order.u32(header, 0), order.u32(header, 4));
        let (mut len, mut orig_len) = (order.u32(header, 8), order.u32(header, 12));
        if self.are_lengths_swapped {
            core::mem::swap(&mut len, &mut orig_len);
        }
        if len > self.max_len {
            return Err(Error::broken(
                offset,
                format!("a packet that claims {len} bytes"),
            ));
        }
        // A fraction of a second and more, as some broken writers leave it, carries over.
        let time = Duration::from_secs(u64::from(seconds))
            + Duration::from_nanos(u64::from(fraction) * u64::from(self.fraction()));
        Ok(PacketHeader {
            time,
            len: usize::try_from(len).unwrap_or(usize::MAX),
            orig_len: orig_len.max(len),
        })
    }
}
