//! What passes between a stack and a device: frames, and who computes checksums and cuts segments.

use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::{Deref, DerefMut};

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

/// Headers of one frame (link, IP, transport), held inline.
#[derive(Clone, Copy)]
pub struct HeaderBuf {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl HeaderBuf {
    /// Room in bytes: more than Ethernet with a tag (18), IPv6 (40) and the longest TCP header (60) need.
    pub const CAPACITY: usize = 128;

    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
        }
    }

    /// A buffer of `len` zero bytes, or none if `len` is above [`CAPACITY`](Self::CAPACITY).
    #[must_use]
    pub fn zeroed(len: usize) -> Option<Self> {
        let len = u8::try_from(len)
            .ok()
            .filter(|len| usize::from(*len) <= Self::CAPACITY)?;
        Some(Self {
            bytes: [0; Self::CAPACITY],
            len,
        })
    }

    /// Appends bytes; false, and nothing changed, if they do not fit.
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        match self.grow(bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    /// Appends `len` bytes and lends them for writing (zeros, unless cut off earlier by
    /// [`truncate`](Self::truncate)); none if they do not fit.
    pub fn grow(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = usize::from(self.len);
        let end = start.checked_add(len)?;
        let room = self.bytes.get_mut(start..end)?;
        self.len = u8::try_from(end).ok()?;
        Some(room)
    }

    /// Keeps the first `len` bytes; without effect if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        if let Ok(len) = u8::try_from(len) {
            self.len = self.len.min(len);
        }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes, to be changed.
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(..usize::from(self.len))
            .unwrap_or_default()
    }
}

impl Default for HeaderBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for HeaderBuf {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for HeaderBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl AsRef<[u8]> for HeaderBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for HeaderBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for HeaderBuf {}

impl fmt::Debug for HeaderBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderBuf({} bytes)", self.len)
    }
}

/// Data of a frame: shared pieces in order, not copied. The first two are held inline.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    second: Bytes,
    more: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// No data.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: Bytes::new(),
            second: Bytes::new(),
            more: Vec::new(),
            len: 0,
        }
    }

    /// Appends a piece; an empty one leaves no trace.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else if self.second.is_empty() {
            self.second = chunk;
        } else {
            self.more.push(chunk);
        }
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no data.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order, none of them empty.
    #[inline]
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> + Clone {
        [&self.first, &self.second]
            .into_iter()
            .chain(&self.more)
            .filter(|chunk| !chunk.is_empty())
    }

    /// The bytes from `start` up to `end`, sharing memory; what lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let mut part = Self::new();
        let mut at = 0;
        for chunk in self.chunks() {
            let from = start.saturating_sub(at).min(chunk.len());
            let to = end.saturating_sub(at).min(chunk.len());
            if from < to {
                part.push(chunk.slice(from..to));
            }
            at += chunk.len();
            if at >= end {
                break;
            }
        }
        part
    }

    /// Copies as much as fits into `out` and returns the number of bytes copied.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        for chunk in self.chunks() {
            let Some(room) = out.get_mut(at..) else { break };
            let n = room.len().min(chunk.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), chunk.get(..n)) {
                to.copy_from_slice(from);
            }
            at += n;
        }
        at
    }

    /// The bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
        out
    }
}

impl From<Bytes> for Payload {
    fn from(chunk: Bytes) -> Self {
        let mut payload = Self::new();
        payload.push(chunk);
        payload
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut payload = Self::new();
        for chunk in chunks {
            payload.push(chunk);
        }
        payload
    }
}

impl PartialEq for Payload {
    /// Equal bytes, however they are cut.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .chunks()
                .flat_map(|c| c.iter())
                .eq(other.chunks().flat_map(|c| c.iter()))
    }
}

impl Eq for Payload {}

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
