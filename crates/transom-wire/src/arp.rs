//! ARP for IPv4 over Ethernet: RFC 826.

use crate::error::{Layer, Malformed, Reason};
use crate::ethernet::MacAddr;
use core::net::Ipv4Addr;

/// Length in bytes of a message.
pub const LEN: usize = 28;

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

/// An ARP message in a buffer, of the only kind that is read: IPv4 over Ethernet.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8; LEN],
}

impl<'a> View<'a> {
    /// Reads a message at the front of `data`; what follows it is padding.
    ///
    /// # Errors
    /// [`Malformed`] below 28 bytes, or for other types or address lengths than Ethernet's and IPv4's.
    #[inline]
    pub fn new(data: &'a [u8]) -> Result<Self, Malformed> {
        let Some(bytes) = data.first_chunk::<LEN>() else {
            return Err(Malformed::new(Layer::Arp, Reason::Truncated, data.len()));
        };
        // ARP-1: hardware type 1 (Ethernet), protocol type 0x0800, lengths 6 and 4.
        let expected = [0, 1, 0x08, 0x00, 6, 4];
        match bytes
            .iter()
            .zip(expected)
            .position(|(byte, expected)| *byte != expected)
        {
            None => Ok(Self { bytes }),
            Some(at) => Err(Malformed::new(Layer::Arp, Reason::Unsupported, at)),
        }
    }

    /// What the message wants; none for the rare other operations.
    #[inline]
    #[must_use]
    pub const fn operation(&self) -> Option<Operation> {
        match u16::from_be_bytes([self.bytes[6], self.bytes[7]]) {
            1 => Some(Operation::Request),
            2 => Some(Operation::Reply),
            _ => None,
        }
    }

    /// Hardware address of the sender.
    #[inline]
    #[must_use]
    pub const fn sender_mac(&self) -> MacAddr {
        let b = self.bytes;
        MacAddr([b[8], b[9], b[10], b[11], b[12], b[13]])
    }

    /// IPv4 address of the sender; unspecified in a probe.
    #[inline]
    #[must_use]
    pub const fn sender_ip(&self) -> Ipv4Addr {
        let b = self.bytes;
        Ipv4Addr::new(b[14], b[15], b[16], b[17])
    }

    /// Hardware address of the target; zero in a request.
    #[inline]
    #[must_use]
    pub const fn target_mac(&self) -> MacAddr {
        let b = self.bytes;
        MacAddr([b[18], b[19], b[20], b[21], b[22], b[23]])
    }

    /// IPv4 address of the target.
    #[inline]
    #[must_use]
    pub const fn target_ip(&self) -> Ipv4Addr {
        let b = self.bytes;
        Ipv4Addr::new(b[24], b[25], b[26], b[27])
    }
}

/// An ARP message as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the message wants.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sender_mac: MacAddr,
    /// IPv4 address of the sender.
    pub sender_ip: Ipv4Addr,
    /// Hardware address of the target; zero in a request.
    pub target_mac: MacAddr,
    /// IPv4 address of the target.
    pub target_ip: Ipv4Addr,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = LEN;

    /// Writes the message and returns its length; writes nothing and returns 0 if `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let Some((bytes, _)) = out.split_first_chunk_mut::<LEN>() else {
            debug_assert!(false, "buffer shorter than an ARP message");
            return 0;
        };
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let [s0, s1, s2, s3, s4, s5] = self.sender_mac.0;
        let [t0, t1, t2, t3, t4, t5] = self.target_mac.0;
        let [a0, a1, a2, a3] = self.sender_ip.octets();
        let [b0, b1, b2, b3] = self.target_ip.octets();
        *bytes = [
            0, 1, 0x08, 0x00, 6, 4, 0, operation, s0, s1, s2, s3, s4, s5, a0, a1, a2, a3, t0, t1,
            t2, t3, t4, t5, b0, b1, b2, b3,
        ];
        LEN
    }

    /// The message that a view shows; none for an operation other than request and reply.
    #[must_use]
    pub fn from_view(view: &View<'_>) -> Option<Self> {
        Some(Self {
            operation: view.operation()?,
            sender_mac: view.sender_mac(),
            sender_ip: view.sender_ip(),
            target_mac: view.target_mac(),
            target_ip: view.target_ip(),
        })
    }
}
