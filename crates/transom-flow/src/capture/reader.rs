//! A capture's bytes to records.

use super::blocks::{self, BYTE_ORDER_MAGIC, Clock, FRAME_LEN, Options, Order, kind, option};
use super::pcap::{self, Pcap};
use super::source::Source;
use super::{Error, Format, LinkType, MAX_PACKET_LEN, Record};
use crate::pcapng::Direction;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::IpAddr;

/// Interfaces of one section.
const INTERFACES_MAX: usize = 65_536;
/// Names that wait to be fetched.
const NAMES_MAX: usize = 16_384;
/// Bytes of secrets that wait to be fetched.
const SECRETS_MAX: usize = 4 << 20;
/// A packet with its header and options.
const BLOCK_MAX: usize = MAX_PACKET_LEN + (1 << 20);

/// Where packets of a pcapng section were captured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name on the capturing host; may be empty.
    pub name: String,
    /// What it is, in words; may be empty.
    pub description: String,
    /// What its frames start with.
    pub link: LinkType,
    /// Bytes kept of each frame at most; 0 for no limit.
    pub snaplen: u32,
    /// Bytes of check sequence that frames end with, if that is known.
    pub fcs_len: Option<u8>,
    pub(super) clock: Clock,
}

/// Keys that were embedded in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secrets {
    /// Their format: 0x544c534b for the lines that programs write with SSLKEYLOGFILE.
    pub kind: u32,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What is being read.
#[derive(Debug)]
enum State {
    /// Not enough bytes yet to tell.
    Start,
    Pcap(Pcap, Interface),
    Pcapng(Section),
    /// A break was named.
    Ended,
}

/// The section of a pcapng file.
#[derive(Debug)]
struct Section {
    /// From 0; none before the first header.
    number: Option<u32>,
    order: Order,
    interfaces: Vec<Interface>,
}

/// Reads a capture.
///
/// [`next`](Self::next) gives packets until there are no more. It may be asked again later: a file
/// that has grown is read on. [`finish`](Self::finish) says whether the end is a clean one.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    state: State,
    format: Option<Format>,
    packets: u64,
    /// Where the record that is being read begins.
    at: u64,
    names: VecDeque<(IpAddr, String)>,
    secrets: VecDeque<Secrets>,
    secrets_len: usize,
    /// Blocks that were passed over.
    passed_over: u64,
}

impl<R: Read> Reader<R> {
    /// Starts to read. Bytes are asked for in large pieces, so that `input` needs no buffer.
    ///
    /// An input that is still empty is none of the errors: it may grow.
    ///
    /// # Errors
    /// [`Error::NotACapture`] or [`Error::Io`].
    pub fn new(input: R) -> Result<Self, Error> {
        let mut reader = Self {
            source: Source::new(input),
            state: State::Start,
            format: None,
            packets: 0,
            at: 0,
            names: VecDeque::new(),
            secrets: VecDeque::new(),
            secrets_len: 0,
            passed_over: 0,
        };
        reader.start()?;
        Ok(reader)
    }

    /// The next packet; none where the input ends for now, at the end of a record or within one.
    ///
    /// # Errors
    /// [`Error::Broken`] or [`Error::Io`]; [`Error::NotACapture`] if the first bytes came only now.
    /// After a break there is nothing more; after an error of the system reading goes on.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows the reader's buffer"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        if matches!(self.state, State::Start) {
            self.start()?;
        }
        match self.state {
            State::Start | State::Ended => Ok(None),
            State::Pcap(..) => self.next_pcap(),
            State::Pcapng(_) => self.next_pcapng(),
        }
    }

    /// Offset of the next byte to be read: how far it has got in the file, or in what it unpacks to.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// How the capture is laid out; none until enough bytes have come.
    #[must_use]
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether the file is gzipped.
    #[must_use]
    pub const fn is_gzip(&self) -> bool {
        self.source.is_gzip()
    }

    /// Frames so far, counted as Wireshark does.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Blocks of pcapng so far that hold neither packets, interfaces, names nor secrets.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// An interface of the present section.
    #[must_use]
    pub fn interface(&self, number: u32) -> Option<&Interface> {
        match &self.state {
            State::Pcap(_, interface) => Some(interface),
            State::Pcapng(section) => section.interfaces.get(usize::try_from(number).ok()?),
            State::Start | State::Ended => None,
        }
    }

    /// Names of hosts that the capture has told since the last call; beyond 16,384 the oldest are
    /// forgotten.
    pub fn names(&mut self) -> impl Iterator<Item = (IpAddr, String)> {
        self.names.drain(..)
    }

    /// Secrets that the capture has told since the last call; beyond 4 MiB the oldest are forgotten.
    pub fn secrets(&mut self) -> impl Iterator<Item = Secrets> {
        self.secrets_len = 0;
        self.secrets.drain(..)
    }

    /// Says whether the capture ended at the end of a record, once nothing more will come.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::NotACapture`] if there was less than the start of one. An error
    /// that [`next`](Self::next) gave is not given again.
    pub fn finish(&self) -> Result<(), Error> {
        let end = self.source.read_end();
        let is_within = !self.source.bytes().is_empty() || self.source.skipping() > 0;
        match self.state {
            State::Ended => Ok(()),
            State::Start if end == 0 => Err(Error::not_a_capture("the file is empty")),
            State::Start => Err(Error::not_a_capture(format!(
                "{} are too few",
                crate::words::count(end, "byte")
            ))),
            State::Pcap(..) | State::Pcapng(_) if is_within => Err(Error::Truncated {
                offset: self.at,
                present: end - self.at,
            }),
            State::Pcap(..) | State::Pcapng(_) if self.source.is_gzip_cut() => {
                Err(Error::Truncated {
                    offset: end,
                    present: 0,
                })
            }
            State::Pcap(..) | State::Pcapng(_) => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        loop {
            let is_there = ensure(&mut self.source, 4)?;
            let Some(magic) = self.source.bytes().first_chunk::<4>().copied() else {
                debug_assert!(!is_there, "four bytes are a chunk of four bytes");
                return Ok(());
            };
            if self.source.unpack() {
                continue;
            }
            if u32::from_le_bytes(magic) == kind::SECTION_HEADER {
                self.format = Some(Format::Pcapng);
                self.state = State::Pcapng(Section {
                    number: None,
                    order: Order::Little,
                    interfaces: Vec::new(),
                });
                return Ok(());
            }
            let Some((format, _)) = pcap::format(magic) else {
                self.state = State::Ended;
                return Err(Error::not_a_capture(guess(self.source.bytes())));
            };
            if !ensure(&mut self.source, pcap::HEADER_LEN)? {
                return Ok(());
            }
            let Some(header) = self.source.take(pcap::HEADER_LEN).first_chunk() else {
                return Ok(());
            };
            let pcap = Pcap::new(header).inspect_err(|_| self.state = State::Ended)?;
            self.at = self.source.offset();
            self.format = Some(format);
            let interface = Interface {
                name: String::new(),
                description: String::new(),
                link: pcap.link,
                snaplen: pcap.snaplen,
                fcs_len: pcap.fcs_len,
                clock: Clock::MICROS,
            };
            self.state = State::Pcap(pcap, interface);
            return Ok(());
        }
    }

    #[inline]
    fn next_pcap(&mut self) -> Result<Option<Record<'_>>, Error> {
        let State::Pcap(pcap, _) = &self.state else {
            return Ok(None);
        };
        self.at = self.source.offset();
        let header_len = pcap.packet_header_len();
        if !ensure(&mut self.source, header_len)? {
            return Ok(None);
        }
        let Some(header) = self.source.bytes().first_chunk() else {
            return Ok(None);
        };
        let header = match pcap.packet(header, self.at) {
            Ok(header) => header,
            Err(error) => {
                self.state = State::Ended;
                return Err(error);
            }
        };
        if !ensure(&mut self.source, header_len + header.len)? {
            return Ok(None);
        }
        self.packets += 1;
        let block = self.source.take(header_len + header.len);
        Ok(Some(Record {
            number: self.packets,
            time: header.time,
            link: pcap.link,
            section: 0,
            interface: 0,
            data: block.get(header_len..).unwrap_or_default(),
            orig_len: header.orig_len,
            snaplen: pcap.snaplen,
            direction: Direction::Unknown,
            options: Options::new(&[], Order::Little),
        }))
    }

    fn next_pcapng(&mut self) -> Result<Option<Record<'_>>, Error> {
        let State::Pcapng(section) = &mut self.state else {
            return Ok(None);
        };
        let found = loop {
            self.at = self.source.offset();
            let block = match next_block(&mut self.source, &mut section.order) {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(None),
                Err(error) => break Err(error),
            };
            let Some(len) = block.len else {
                self.passed_over += 1;
                continue;
            };
            let order = section.order;
            let bytes = self.source.take(len);
            let body = bytes.get(8..len - 4).unwrap_or_default();
            match block.kind {
                kind::ENHANCED_PACKET | kind::PACKET | kind::SIMPLE_PACKET => {
                    let fields = packet(block.kind, body, section, self.at);
                    break fields.map(|fields| (fields, len, order));
                }
                kind::SECTION_HEADER => {
                    section.number = Some(section.number.map_or(0, |n| n.saturating_add(1)));
                    section.interfaces.clear();
                }
                kind::INTERFACE_DESCRIPTION => {
                    if section.interfaces.len() >= INTERFACES_MAX {
                        break Err(Error::broken(
                            self.at,
                            "more than 65,536 interfaces are described",
                        ));
                    }
                    section.interfaces.push(blocks::interface(body, order));
                }
                kind::NAME_RESOLUTION => {
                    self.names.extend(blocks::names(body, order));
                    let excess = self.names.len().saturating_sub(NAMES_MAX);
                    self.names.drain(..excess);
                }
                kind::DECRYPTION_SECRETS => {
                    let len = usize::try_from(order.u32(body, 4)).unwrap_or(usize::MAX);
                    let data = body.get(8..).unwrap_or_default();
                    let data = data.get(..len).unwrap_or(data).to_vec();
                    self.secrets_len += data.len();
                    self.secrets.push_back(Secrets {
                        kind: order.u32(body, 0),
                        data,
                    });
                    while self.secrets_len > SECRETS_MAX
                        && let Some(oldest) = self.secrets.pop_front()
                    {
                        self.secrets_len -= oldest.data.len();
                    }
                }
                kind => {
                    self.passed_over += 1;
                    self.packets += u64::from(counts_as_frame(kind));
                }
            }
        };
        let (fields, len, order) = match found {
            Ok(found) => found,
            Err(error) => {
                self.state = State::Ended;
                return Err(error);
            }
        };
        self.packets += 1;
        let State::Pcapng(section) = &self.state else {
            return Ok(None);
        };
        let bytes = self.source.taken(len);
        let at = |range: core::ops::Range<usize>| bytes.get(range).unwrap_or_default();
        let options = Options::new(at(fields.options_at..len - 4), order);
        Ok(Some(Record {
            number: self.packets,
            time: fields.clock.time(fields.count),
            link: fields.link,
            section: section.number.unwrap_or(0),
            interface: fields.interface,
            data: at(fields.data_at..fields.data_at + fields.len),
            orig_len: fields.orig_len,
            snaplen: fields.snaplen,
            direction: if options.is_empty() {
                Direction::Unknown
            } else {
                direction(options, order)
            },
            options,
        }))
    }
}

fn ensure<R: Read>(source: &mut Source<R>, want: usize) -> Result<bool, Error> {
    source.ensure(want).map_err(|error| io_error(source, error))
}

#[cold]
fn io_error<R: Read>(source: &Source<R>, error: io::Error) -> Error {
    let offset = source.read_end();
    // What the unpacker says of damaged bytes.
    if source.is_gzip()
        && matches!(
            error.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        )
    {
        return Error::broken(offset, format!("what follows cannot be unpacked: {error}"));
    }
    Error::Io {
        offset,
        source: error,
    }
}

/// Whether Wireshark gives a block of this kind a frame number.
const fn counts_as_frame(_kind: u32) -> bool {
    false
}

/// A block at the front of the source.
pub(super) struct Block {
    pub(super) kind: u32,
    /// Its length in bytes; none if it was too long to be read, and is passed over.
    pub(super) len: Option<usize>,
}

/// Brings the next block into the buffer; none if it is not whole yet.
#[inline]
pub(super) fn next_block<R: Read>(
    source: &mut Source<R>,
    order: &mut Order,
) -> Result<Option<Block>, Error> {
    if !ensure(source, FRAME_LEN)? {
        return Ok(None);
    }
    let offset = source.offset();
    let Some(head) = source.bytes().first_chunk::<FRAME_LEN>() else {
        return Ok(None);
    };
    let kind = order.u32(head, 0);
    if kind == kind::SECTION_HEADER {
        *order = if Order::Little.u32(head, 8) == BYTE_ORDER_MAGIC {
            Order::Little
        } else if Order::Big.u32(head, 8) == BYTE_ORDER_MAGIC {
            Order::Big
        } else {
            return Err(Error::broken(
                offset,
                "a section header without the byte-order magic",
            ));
        };
    }
    let claimed = order.u32(head, 4);
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    if len < FRAME_LEN || !len.is_multiple_of(4) {
        return Err(Error::broken(
            offset,
            format!("a block that claims {claimed} bytes"),
        ));
    }
    if len > BLOCK_MAX {
        let must_be_read = matches!(
            kind,
            kind::SECTION_HEADER
                | kind::INTERFACE_DESCRIPTION
                | kind::PACKET
                | kind::SIMPLE_PACKET
                | kind::ENHANCED_PACKET
        );
        if must_be_read {
            return Err(Error::broken(
                offset,
                format!("a block of type {kind:#x} that claims {claimed} bytes"),
            ));
        }
        source.skip(u64::from(claimed));
        return Ok(Some(Block { kind, len: None }));
    }
    if !ensure(source, len)? {
        return Ok(None);
    }
    let behind = order.u32(source.bytes(), len - 4);
    if behind != claimed {
        return Err(Error::broken(
            offset,
            format!("a block that claims {claimed} bytes in front and {behind} behind"),
        ));
    }
    Ok(Some(Block {
        kind,
        len: Some(len),
    }))
}

/// What a packet block says; places count from the start of the block.
struct Fields {
    interface: u32,
    link: LinkType,
    snaplen: u32,
    clock: Clock,
    count: u64,
    data_at: usize,
    len: usize,
    orig_len: u32,
    options_at: usize,
}

#[inline]
fn packet(kind: u32, body: &[u8], section: &Section, offset: u64) -> Result<Fields, Error> {
    let order = section.order;
    let word = |at| order.u32(body, at);
    let is_simple = kind == kind::SIMPLE_PACKET;
    let header_len = if is_simple { 4 } else { 20 };
    if body.len() < header_len {
        return Err(Error::broken(offset, "a packet block without its header"));
    }
    let number = match kind {
        kind::PACKET => u32::from(order.u16(body, 0)),
        kind::SIMPLE_PACKET => 0,
        _ => word(0),
    };
    let interface = usize::try_from(number)
        .ok()
        .and_then(|n| section.interfaces.get(n));
    let Some(interface) = interface else {
        return Err(Error::broken(
            offset,
            format!("a packet of interface {number}, which is not described"),
        ));
    };
    let room = body.len() - header_len;
    let (count, len, orig_len) = if is_simple {
        let orig_len = word(0);
        let limit = if interface.snaplen == 0 {
            orig_len
        } else {
            orig_len.min(interface.snaplen)
        };
        // Its length is not told: all that fits.
        (
            0,
            limit.min(u32::try_from(room).unwrap_or(u32::MAX)),
            orig_len,
        )
    } else {
        (
            u64::from(word(4)) << 32 | u64::from(word(8)),
            word(12),
            word(16),
        )
    };
    let captured = usize::try_from(len).unwrap_or(usize::MAX);
    if captured > room.min(MAX_PACKET_LEN) {
        return Err(Error::broken(
            offset,
            format!("a packet that claims {len} bytes in a block with {room}"),
        ));
    }
    let data_at = 8 + header_len;
    Ok(Fields {
        interface: number,
        link: interface.link,
        snaplen: interface.snaplen,
        clock: interface.clock,
        count,
        data_at,
        len: captured,
        orig_len: orig_len.max(len),
        options_at: if is_simple {
            data_at + room
        } else {
            data_at + captured.next_multiple_of(4)
        },
    })
}

fn direction(options: Options<'_>, order: Order) -> Direction {
    let flags = options
        .into_iter()
        .find(|(code, _)| *code == option::PACKET_FLAGS);
    match flags.map(|(_, value)| order.u32(value, 0) & 0b11) {
        Some(0b01) => Direction::In,
        Some(0b10) => Direction::Out,
        _ => Direction::Unknown,
    }
}

/// What bytes that are no capture look like.
fn guess(bytes: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 10] = [
        (b"\xfd7zXZ\0", "it is compressed with xz; unpack it first"),
        (
            b"\x28\xb5\x2f\xfd",
            "it is compressed with zstd; unpack it first",
        ),
        (
            b"\x04\x22\x4d\x18",
            "it is compressed with lz4; unpack it first",
        ),
        (b"BZh", "it is compressed with bzip2; unpack it first"),
        (b"PK\x03\x04", "it is a zip archive; unpack it first"),
        (b"\x1f\x8b", "it is gzipped twice; unpack it first"),
        (
            b"snoop\0\0\0",
            "it is a snoop capture; convert it with editcap",
        ),
        (b"btsnoop\0", "it is a capture of Bluetooth"),
        (b"\x7fELF", "it is a program"),
        (b"#!", "it is a script"),
    ];
    let known = KNOWN.iter().find(|(start, _)| bytes.starts_with(start));
    known.map_or("the first bytes are not those of one", |(_, what)| what)
}
