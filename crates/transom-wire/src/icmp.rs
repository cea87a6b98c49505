//! What the messages of ICMP for IPv4 (RFC 792) and of ICMPv6 (RFC 4443) have in common: the first 8 bytes, the
//! numbers of an echo, and how a packet is quoted.

use crate::error::{Layer, Malformed, Reason};

/// Length in bytes of the part that every message has.
pub(crate) const HEADER_LEN: usize = 8;

/// A message in a buffer, its header and its body apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    header: &'a [u8; HEADER_LEN],
    whole: &'a [u8],
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Reads a message of protocol `layer` that fills `data`.
    #[inline]
    pub(crate) fn new(data: &'a [u8], layer: Layer) -> Result<Self, Malformed> {
        match data.split_first_chunk::<HEADER_LEN>() {
            Some((header, body)) => Ok(Self {
                header,
                whole: data,
                body,
            }),
            None => Err(Malformed::new(layer, Reason::Truncated, data.len())),
        }
    }

    #[inline]
    pub(crate) const fn kind(&self) -> u8 {
        self.header[0]
    }

    #[inline]
    pub(crate) const fn code(&self) -> u8 {
        self.header[1]
    }

    #[inline]
    pub(crate) const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The second four bytes of the header.
    #[inline]
    pub(crate) const fn rest(&self) -> [u8; 4] {
        let &[_, _, _, _, a, b, c, d] = self.header;
        [a, b, c, d]
    }

    #[inline]
    pub(crate) const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Header and body.
    #[inline]
    pub(crate) const fn whole(&self) -> &'a [u8] {
        self.whole
    }
}

/// A message to be written.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// The second four bytes of the header.
    pub(crate) rest: [u8; 4],
    pub(crate) body: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(crate) const fn new(kind: u8, code: u8, rest: [u8; 4], body: &'a [u8]) -> Self {
        Self {
            kind,
            code,
            rest,
            body,
        }
    }

    /// Header and body in bytes.
    pub(crate) const fn len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Writes the message and returns its length: the checksum is what `checksum` makes of the message with a
    /// checksum field of zero. Writes nothing and returns 0 if `out` is shorter than [`len`](Self::len).
    pub(crate) fn emit(&self, out: &mut [u8], checksum: impl FnOnce(&[u8]) -> u16) -> usize {
        let Some(out) = out.get_mut(..self.len()) else {
            debug_assert!(false, "buffer shorter than len()");
            return 0;
        };
        if let Some((header, body)) = out.split_first_chunk_mut::<HEADER_LEN>() {
            let [a, b, c, d] = self.rest;
            *header = [self.kind, self.code, 0, 0, a, b, c, d];
            body.copy_from_slice(self.body);
        }
        fill_checksum(out, checksum);
        out.len()
    }
}

/// Fills the checksum of a whole message whose checksum field is zero.
pub(crate) fn fill_checksum(message: &mut [u8], checksum: impl FnOnce(&[u8]) -> u16) {
    let checksum = checksum(message).to_be_bytes();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum);
    }
}

/// The second four bytes of a header as two numbers: identifier and sequence number of an echo.
pub(crate) const fn halves([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// The reverse of [`halves`].
pub(crate) const fn joined(high: u16, low: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    [a, b, c, d]
}

/// As much of a packet as a message quotes of it.
///
/// `length` is the packet's own length if its header says one: what follows is link padding and left out.
/// `max_message` is the longest error message, with an IP header of `ip_header_len`.
pub(crate) fn quote(
    packet: &[u8],
    length: Option<usize>,
    max_message: usize,
    ip_header_len: usize,
) -> &[u8] {
    let packet = length
        .and_then(|length| packet.get(..length))
        .unwrap_or(packet);
    packet
        .get(..max_message - ip_header_len - HEADER_LEN)
        .unwrap_or(packet)
}
