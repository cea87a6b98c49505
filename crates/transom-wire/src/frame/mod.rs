//! What passes between a stack and a device: frames, and who computes checksums and cuts segments.

mod headers;
mod payload;
mod segment;

pub use headers::HeaderBuf;
pub use payload::Payload;
pub use segment::{Pieces, Segments, segment};

use crate::checksum::Sum;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Medium {
    /// Bare IP packets (TUN).
    Ip,
    /// Ethernet frames (TAP, veth, packet sockets).
    Ethernet,
}

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// What it carries.
    pub medium: Medium,
    /// Largest IP packet in bytes, link header not counted.
    pub mtu: usize,
    /// Whether it fills the checksum of the transport header.
    pub tx_checksum: bool,
    /// Largest IP packet in bytes that it accepts to cut into segments; at most `mtu`: it cuts none.
    pub max_gso: usize,
    /// How many frames are worth asking for at once.
    pub rx_batch: usize,
}

impl Capabilities {
    /// A device for bare IP packets that offers no help.
    #[must_use]
    pub const fn ip(mtu: usize) -> Self {
        Self {
            medium: Medium::Ip,
            mtu,
            tx_checksum: false,
            max_gso: 0,
            rx_batch: 64,
        }
    }

    /// An Ethernet device that offers no help.
    #[must_use]
    pub const fn ethernet(mtu: usize) -> Self {
        Self {
            medium: Medium::Ethernet,
            mtu,
            tx_checksum: false,
            max_gso: 0,
            rx_batch: 64,
        }
    }

    /// Whether packets larger than the MTU may be handed down with [`TxOffload::Segment`].
    #[must_use]
    pub const fn has_gso(&self) -> bool {
        self.max_gso > self.mtu
    }
}

/// What is known about the transport checksum of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RxChecksum {
    /// Nothing: the stack must check it.
    #[default]
    Unverified,
    /// The device vouches for it, or the frame came from the local kernel with a checksum still to be filled.
    Valid,
}

/// A received frame.
#[derive(Clone, Debug, Default)]
pub struct RxFrame {
    /// The bytes, from the link header (or the IP header on [`Medium::Ip`]).
    pub data: Bytes,
    /// What is known about the transport checksum.
    pub checksum: RxChecksum,
    /// Payload bytes of each segment that was merged into this one; 0 for a single segment.
    pub gso_size: u16,
}

impl From<Bytes> for RxFrame {
    fn from(data: Bytes) -> Self {
        Self {
            data,
            checksum: RxChecksum::Unverified,
            gso_size: 0,
        }
    }
}

/// What is left for the device to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TxOffload {
    /// Nothing.
    #[default]
    None,
    /// Fill the checksum. The field holds the folded sum of the pseudo-header.
    Checksum {
        /// Where the sum begins: offset in bytes from the start of the frame.
        start: u16,
        /// Where the field is: offset in bytes from `start`.
        offset: u16,
    },
    /// Cut TCP data into segments, and fill the checksum of each.
    Segment {
        /// IPv6, not IPv4.
        ipv6: bool,
        /// Data bytes of each segment but the last.
        gso_size: u16,
        /// Length in bytes of all headers: link, IP and TCP.
        header_len: u16,
        /// Where the sum begins: offset in bytes of the TCP header from the start of the frame.
        checksum_start: u16,
        /// Where the field is: offset in bytes from `checksum_start`.
        checksum_offset: u16,
    },
}

/// A frame to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxFrame {
    /// Link, IP and transport headers.
    pub headers: HeaderBuf,
    /// What follows them.
    pub payload: Payload,
    /// What is left for the device to do.
    pub offload: TxOffload,
}

impl TxFrame {
    /// Length in bytes of headers and payload.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.headers.len() + self.payload.len()
    }

    /// Whether there are no bytes at all.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does in software what [`TxOffload::Checksum`] leaves to the device, and clears the request; true also if
    /// nothing was requested.
    ///
    /// False, and nothing changed, if the request is to cut segments (that is for [`segment()`]) or names a field
    /// outside the headers.
    pub fn fill_checksum(&mut self) -> bool {
        self.fill_checksum_by(|data| {
            let mut sum = Sum::ZERO;
            sum.add_bytes(data);
            sum
        })
    }

    /// The same by a function that adds up a piece of data.
    pub fn fill_checksum_by(&mut self, sum: impl Fn(&[u8]) -> Sum) -> bool {
        let (start, offset) = match self.offload {
            TxOffload::None => return true,
            TxOffload::Checksum { start, offset } => (usize::from(start), usize::from(offset)),
            TxOffload::Segment { .. } => return false,
        };
        let mut data = Sum::ZERO;
        for chunk in self.payload.chunks() {
            data.combine(sum(chunk));
        }
        self.fill_checksum_with(start, offset, data)
    }

    /// The same for data that adds up to `data`. False, and nothing changed, if the field lies outside the headers.
    fn fill_checksum_with(&mut self, start: usize, offset: usize, data: Sum) -> bool {
        let Some(covered) = self.headers.get(start..) else {
            return false;
        };
        // The field holds the pseudo-header's part, and is covered with it.
        let mut sum = Sum::ZERO;
        sum.add_bytes(covered);
        sum.combine(data);
        // 0 means "no checksum" in UDP and equals 0xffff in all others.
        let checksum = match sum.finish() {
            0 => 0xffff,
            checksum => checksum,
        };
        let at = start + offset;
        let Some(field) = self.headers.get_mut(at..at + 2) else {
            return false;
        };
        field.copy_from_slice(&u16::to_be_bytes(checksum));
        self.offload = TxOffload::None;
        true
    }

    /// Appends zeros up to `len` bytes, at most [`MIN_FRAME_LEN`](crate::ethernet::MIN_FRAME_LEN): the padding of a
    /// short Ethernet frame. Call it when the checksums are filled; a frame still to be cut is left alone.
    pub fn pad_to(&mut self, len: usize) {
        // LNK-4: padding is zeros, never what memory held before (CVE-2003-0001).
        static ZEROS: [u8; crate::ethernet::MIN_FRAME_LEN] = [0; crate::ethernet::MIN_FRAME_LEN];
        if matches!(self.offload, TxOffload::Segment { .. }) {
            return;
        }
        let missing = len.min(ZEROS.len()).saturating_sub(self.len());
        if let Some(zeros) = ZEROS.get(..missing) {
            self.payload.push(Bytes::from_static(zeros));
        }
    }

    /// The bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&self.headers);
        for chunk in self.payload.chunks() {
            out.extend_from_slice(chunk);
        }
        out
    }
}
