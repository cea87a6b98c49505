//! Writing captures that Wireshark and every libpcap tool open: the pcapng format
//! (draft-ietf-opsawg-pcapng), with nanoseconds, directions, comments, host names and TLS secrets.
//!
//! ```text
//! Section Header   who wrote it
//! Interface        name, link type, nanoseconds       (any number, anywhere)
//! Enhanced Packet  time, direction, bytes, comments   (any number)
//! Name Resolution  addresses and their names          (any number)
//! Decryption Secrets  TLS key log                     (any number, before the packets they open)
//! ```
//!
//! Invariants
//! - A block goes out in one write, complete; after a failed write nothing more is written, so what
//!   is on disk is readable up to the block that failed.
//! - Little-endian on every machine.

use crate::dissect::ip_in_ethernet;
use crate::words::count;
use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::net::IpAddr;
use transom_wire::ip::{Packet as IpPacket, Protocol};
use transom_wire::{Medium, checksum};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// "TLSK": lines of an NSS key log, as programs write with SSLKEYLOGFILE.
const TLS_KEY_LOG: u32 = 0x544c_534b;
const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;

/// Option codes; 1 and 0 are common to all blocks.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_OS: u16 = 3;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const EPB_FLAGS: u16 = 2;
}

/// Why a capture could not be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file, pipe or disk refused.
    Write {
        /// Packets that are complete in the capture.
        packets: u64,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write failed, and the capture ends there.
    Ended {
        /// Packets that are complete in the capture.
        packets: u64,
    },
    /// A packet or a name block is longer than the format can say.
    TooLong,
    /// An interface that was never described.
    UnknownInterface,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { packets, source } => {
                write!(
                    f,
                    "cannot write the capture after {}: {source}",
                    count(*packets, "packet")
                )
            }
            Self::Ended { packets } => {
                write!(
                    f,
                    "the capture ended after {}, when a write failed",
                    count(*packets, "packet")
                )
            }
            Self::TooLong => f.write_str("a block of the capture would be too long"),
            Self::UnknownInterface => {
                f.write_str("a packet names an interface that was not described")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Write { source, .. } => source.kind(),
            Error::Ended { .. } => io::ErrorKind::BrokenPipe,
            Error::TooLong | Error::UnknownInterface => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// An interface of the capture. Valid in the writer that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceId(u32);

/// Where packets were captured.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// Its name, as Wireshark shows it.
    pub name: &'a str,
    /// What it is, in words; may be empty.
    pub description: &'a str,
    /// What its frames start with.
    pub medium: Medium,
    /// Bytes kept of each frame at most; 0 for no limit.
    pub snaplen: u32,
    /// A comment on it; may be empty.
    pub comment: &'a str,
}

/// Which way a packet went, seen from the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Not known.
    #[default]
    Unknown,
    /// Received.
    In,
    /// Sent.
    Out,
}

/// What the transport checksum field of a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ChecksumField {
    /// What was, or will be, on the wire.
    #[default]
    AsOnWire,
    /// A partial sum that a device was still to complete: the true checksum is written instead.
    Partial,
}

/// A packet to write.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it was captured.
    pub interface: InterfaceId,
    /// When, since the start of 1970 UTC; nanoseconds count.
    pub time: Duration,
    /// The bytes captured.
    pub data: &'a [u8],
    /// Its length on the wire in bytes; at least that of `data` is written.
    pub original_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What the checksum field holds.
    pub checksum: ChecksumField,
    /// Comments to show with it.
    pub comments: &'a [&'a str],
}

impl<'a> Packet<'a> {
    /// A packet captured in full, with a checksum as on the wire and no comment.
    #[must_use]
    pub fn new(interface: InterfaceId, time: Duration, data: &'a [u8]) -> Self {
        Self {
            interface,
            time,
            data,
            original_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
            direction: Direction::Unknown,
            checksum: ChecksumField::AsOnWire,
            comments: &[],
        }
    }
}

/// Writes a capture, block by block, to anything that takes bytes.
///
/// Give it a `BufWriter` where each block need not reach the disk at once, and call
/// [`finish`](Self::finish) at the end: only then are all errors known.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    mediums: Vec<(Medium, u32)>,
    packets: u64,
    has_failed: bool,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Starts a capture; `application` is the name and version of the program that writes it.
    ///
    /// # Errors
    /// [`Error::Write`] if the first bytes cannot be written.
    pub fn new(out: W, application: &str) -> Result<Self, Error> {
        let mut writer = Self {
            out,
            mediums: Vec::new(),
            packets: 0,
            has_failed: false,
            block: Vec::new(),
        };
        writer.begin(SECTION_HEADER);
        writer.u32(BYTE_ORDER_MAGIC);
        writer.block.extend([1, 0, 0, 0]); // version 1.0
        writer.block.extend([0xff; 8]); // section length not known
        writer.text(option::SHB_OS, std::env::consts::OS);
        writer.text(option::SHB_USERAPPL, application);
        writer.end_options();
        writer.end()?;
        Ok(writer)
    }

    /// Describes an interface; its packets may follow.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`].
    pub fn interface(&mut self, interface: &Interface<'_>) -> Result<InterfaceId, Error> {
        self.begin(INTERFACE_DESCRIPTION);
        let link_type = match interface.medium {
            Medium::Ip => LINKTYPE_RAW,
            Medium::Ethernet => LINKTYPE_ETHERNET,
        };
        self.block.extend(link_type.to_le_bytes());
        self.block.extend([0, 0]);
        self.u32(interface.snaplen);
        self.text(option::IF_NAME, interface.name);
        self.text(option::IF_DESCRIPTION, interface.description);
        self.text(option::COMMENT, interface.comment);
        self.option(option::IF_TSRESOL, &[9]); // 10^-9 s
        self.end_options();
        self.end()?;
        let id = InterfaceId(u32::try_from(self.mediums.len()).map_err(|_| Error::TooLong)?);
        self.mediums.push((interface.medium, interface.snaplen));
        Ok(id)
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`]; [`Error::UnknownInterface`] for one of another writer;
    /// [`Error::TooLong`] for data beyond 2^32 bytes. The last two write nothing.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let index = usize::try_from(packet.interface.0).map_err(|_| Error::UnknownInterface)?;
        let Some(&(medium, snaplen)) = self.mediums.get(index) else {
            return Err(Error::UnknownInterface);
        };
        let len = u32::try_from(packet.data.len()).map_err(|_| Error::TooLong)?;
        let kept = if snaplen == 0 { len } else { len.min(snaplen) };
        let nanos = u64::try_from(packet.time.as_nanos()).unwrap_or(u64::MAX);
        self.begin(ENHANCED_PACKET);
        self.u32(packet.interface.0);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
        let (high, low) = ((nanos >> 32) as u32, nanos as u32);
        self.u32(high);
        self.u32(low);
        self.u32(kept);
        self.u32(packet.original_len.max(len));
        let start = self.block.len();
        self.block.extend(packet.data);
        if packet.checksum == ChecksumField::Partial
            && let Some(frame) = self.block.get_mut(start..)
        {
            // Over the whole packet, before it is cut to the snap length.
            complete_checksum(medium, frame);
        }
        self.block
            .truncate(start.saturating_add(usize::try_from(kept).unwrap_or(usize::MAX)));
        self.pad();
        let flags: u32 = match packet.direction {
            Direction::Unknown => 0,
            Direction::In => 0b01,
            Direction::Out => 0b10,
        };
        if flags != 0 {
            self.option(option::EPB_FLAGS, &flags.to_le_bytes());
        }
        for comment in packet.comments {
            self.text(option::COMMENT, comment);
        }
        self.end_options();
        self.end()?;
        self.packets += 1;
        Ok(())
    }

    /// Writes names of hosts.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`].
    pub fn names(&mut self, names: &[(IpAddr, &str)]) -> Result<(), Error> {
        self.begin(NAME_RESOLUTION);
        for (addr, name) in names {
            let name: String = name.chars().filter(|c| *c != '\0').collect();
            let (kind, mut value) = match addr {
                IpAddr::V4(addr) => (1, addr.octets().to_vec()),
                IpAddr::V6(addr) => (2, addr.octets().to_vec()),
            };
            value.extend(name.as_bytes());
            value.push(0);
            self.option(kind, &value);
        }
        self.end_options();
        self.end()
    }

    /// Embeds TLS secrets, in the format of SSLKEYLOGFILE, for the packets that follow.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`]; [`Error::TooLong`] beyond 2^32 bytes.
    pub fn tls_secrets(&mut self, key_log: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(key_log.len()).map_err(|_| Error::TooLong)?;
        self.begin(DECRYPTION_SECRETS);
        self.u32(TLS_KEY_LOG);
        self.u32(len);
        self.block.extend(key_log);
        self.pad();
        self.end()
    }

    /// Packets written so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Passes on what a buffer below still holds.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.attempt(|out, _| out.flush())
    }

    /// Ends the capture and gives back what it was written to.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Ended`]: the capture is cut short.
    pub fn finish(mut self) -> Result<W, Error> {
        self.flush()?;
        Ok(self.out)
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut W, &[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let packets = self.packets;
        if self.has_failed {
            return Err(Error::Ended { packets });
        }
        write(&mut self.out, &self.block).map_err(|source| {
            self.has_failed = true;
            Error::Write { packets, source }
        })
    }

    /// Starts a block; its length is filled in by [`end`](Self::end).
    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0);
    }

    /// Completes the block and writes it.
    fn end(&mut self) -> Result<(), Error> {
        let len = u32::try_from(self.block.len() + 4).map_err(|_| Error::TooLong)?;
        self.u32(len);
        if let Some(field) = self.block.get_mut(4..8) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.attempt(|out, block| out.write_all(block))
    }

    fn u32(&mut self, value: u32) {
        self.block.extend(value.to_le_bytes());
    }

    fn pad(&mut self) {
        let len = self.block.len().next_multiple_of(4);
        self.block.resize(len, 0);
    }

    /// Appends an option, or a record of the same form; what is too long for its length field is cut.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.block.extend(code.to_le_bytes());
        self.block.extend(len.to_le_bytes());
        self.block.extend(value);
        self.pad();
    }

    /// Appends an option of text, unless it is empty.
    fn text(&mut self, code: u16, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if let Some(text) = text.get(..end).filter(|text| !text.is_empty()) {
            self.option(code, text.as_bytes());
        }
    }

    fn end_options(&mut self) {
        self.option(option::END, &[]);
    }
}

/// Writes the true checksum of a TCP segment or UDP datagram into its frame. A frame that holds no
/// whole packet of either stays as it is.
pub fn complete_checksum(medium: Medium, frame: &mut [u8]) {
    let ip_at = match medium {
        Medium::Ip => Some(0),
        Medium::Ethernet => ip_in_ethernet(frame),
    };
    let Some(ip_at) = ip_at else { return };
    let Some(packet) = frame.get(ip_at..) else {
        return;
    };
    let Ok(ip) = IpPacket::lax(packet) else {
        return;
    };
    if ip.fragment().is_some_and(|fragment| !fragment.is_atomic()) {
        return;
    }
    let field = match ip.protocol() {
        Protocol::TCP => 16,
        Protocol::UDP => 6,
        _ => return,
    };
    let Ok(len) = u32::try_from(ip.payload().len()) else {
        return;
    };
    let mut sum = checksum::pseudo_header(ip.src(), ip.dst(), ip.protocol().raw(), len);
    let is_udp = ip.protocol() == Protocol::UDP;
    let payload_at = ip_at + ip.header_len();
    let payload_end = payload_at + ip.payload().len();
    let Some(payload) = frame.get_mut(payload_at..payload_end) else {
        return;
    };
    let Some(bytes) = payload.get_mut(field..field + 2) else {
        return;
    };
    bytes.fill(0);
    sum.add_bytes(payload);
    let value = match sum.finish() {
        // RFC 768: a computed 0 is sent as all ones, since 0 means "no checksum".
        0 if is_udp => 0xffff,
        value => value,
    };
    if let Some(bytes) = payload.get_mut(field..field + 2) {
        bytes.copy_from_slice(&value.to_be_bytes());
    }
}
