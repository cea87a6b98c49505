//! A capture's bytes to records.

use super::blocks::{self, Clock, Options, Order, kind, option};
use super::framing::{self, Layout, Start};
use super::pcap::Pcap;
use super::source::Source;
use super::{Error, Format, LinkType, Record};
use crate::pcapng::Direction;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::Read;
use std::net::IpAddr;

/// Interfaces of one section.
const INTERFACES_MAX: usize = 65_536;
/// Names that wait to be fetched.
const NAMES_MAX: usize = 16_384;
/// Bytes of secrets that wait to be fetched.
const SECRETS_MAX: usize = 4 << 20;
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
    /// What is known of the newest packet, while its bytes are there.
    newest: Option<Newest>,
}

/// A packet whose bytes were taken last.
#[derive(Clone, Copy, Debug)]
struct Newest {
    time: Duration,
    link: LinkType,
    section: u32,
    interface: u32,
    orig_len: u32,
    snaplen: u32,
    /// How many bytes were taken for it, and where in these its own are.
    taken: usize,
    at: usize,
    len: usize,
    /// Where its options are, and in which order their bytes.
    options: Option<(usize, Order)>,
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
            newest: None,
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
        self.advance()?;
        Ok(self.record())
    }

    /// Goes on to the next packet, which [`record`](Self::record) then gives; whether there is one. For those who
    /// hand the record on: it is large to be moved.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn advance(&mut self) -> Result<bool, Error> {
        self.newest = None;
        if matches!(self.state, State::Start) {
            self.start()?;
        }
        match self.state {
            State::Start | State::Ended => Ok(false),
            State::Pcap(..) => self.next_pcap(),
            State::Pcapng(_) => self.next_pcapng(),
        }
    }

    /// The packet to which the reader has gone on, if there was one.
    #[inline(always)]
    pub fn record(&self) -> Option<Record<'_>> {
        let newest = self.newest.as_ref()?;
        let taken = self.source.taken(newest.taken);
        let data = taken.get(newest.at..newest.at + newest.len);
        let options = newest.options.map_or_else(
            || Options::new(&[], Order::Little),
            |(at, order)| Options::new(body(taken).get(at..).unwrap_or_default(), order),
        );
        Some(Record {
            number: self.packets,
            time: newest.time,
            link: newest.link,
            section: newest.section,
            interface: newest.interface,
            data: data.unwrap_or_default(),
            orig_len: newest.orig_len,
            snaplen: newest.snaplen,
            direction: match newest.options {
                Some((_, order)) if !options.is_empty() => direction(options, order),
                _ => Direction::Unknown,
            },
            options,
            chunk: self.source.chunk(),
        })
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
        match self.state {
            State::Ended => Ok(()),
            State::Start => Err(framing::too_short(&self.source)),
            State::Pcap(..) | State::Pcapng(_) => framing::end(&self.source, self.at),
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        match framing::start(&mut self.source) {
            Ok(Start::TooShort) => {}
            Ok(Start::Pcapng) => {
                self.format = Some(Format::Pcapng);
                self.state = State::Pcapng(Section {
                    number: None,
                    order: Order::Little,
                    interfaces: Vec::new(),
                });
            }
            Ok(Start::Pcap(pcap)) => {
                self.format = Some(pcap.format);
                let interface = Interface {
                    name: String::new(),
                    description: String::new(),
                    link: pcap.link,
                    snaplen: pcap.snaplen,
                    fcs_len: pcap.fcs_len,
                    clock: Clock::MICROS,
                };
                self.state = State::Pcap(pcap, interface);
            }
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// Ends reading, unless it was the system that failed and it may be tried again.
    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        if !matches!(error, Error::Io { .. }) {
            self.state = State::Ended;
        }
        error
    }

    #[inline]
    fn next_pcap(&mut self) -> Result<bool, Error> {
        let State::Pcap(pcap, _) = &self.state else {
            return Ok(false);
        };
        self.at = self.source.offset();
        let header = match framing::next_packet(&mut self.source, pcap) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.fail(error)),
        };
        self.packets += 1;
        let at = pcap.packet_header_len();
        let taken = at + header.len;
        self.source.take(taken);
        self.newest = Some(Newest {
            time: header.time,
            link: pcap.link,
            section: 0,
            interface: 0,
            orig_len: header.orig_len,
            snaplen: pcap.snaplen,
            taken,
            at,
            len: header.len,
            options: None,
        });
        Ok(true)
    }

    fn next_pcapng(&mut self) -> Result<bool, Error> {
        let (taken, order, found) = loop {
            let State::Pcapng(section) = &mut self.state else {
                return Ok(false);
            };
            // What is passed over is a record that has begun.
            if self.source.skipping() > 0 && !framing::ensure(&mut self.source, 1)? {
                return Ok(false);
            }
            self.at = self.source.offset();
            let block = match framing::next_block(&mut self.source, &mut section.order) {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(false),
                Err(error) => return Err(self.fail(error)),
            };
            self.packets += u64::from(framing::counts_as_frame(block.kind));
            let Some(len) = block.whole else {
                self.passed_over += 1;
                self.source.skip(u64::from(block.claimed));
                continue;
            };
            let result = if framing::is_packet(block.kind) {
                let body = body(self.source.take(len));
                match section.packet(block.kind, body) {
                    Ok(found) => break (len, section.order, found),
                    Err(what) => Err(what),
                }
            } else {
                self.other(block.kind, len)
            };
            if let Err(what) = result {
                let error = Error::broken(self.at, what);
                return Err(self.fail(error));
            }
        };
        let layout = found.layout;
        self.newest = Some(Newest {
            time: found.clock.time(found.count),
            link: found.link,
            section: found.section,
            interface: found.interface,
            orig_len: layout.orig_len,
            snaplen: found.snaplen,
            taken,
            at: BLOCK_HEAD_LEN + layout.data_at,
            len: layout.len,
            options: Some((layout.options_at, order)),
        });
        Ok(true)
    }

    /// Takes in a block that is no packet.
    fn other(&mut self, kind: u32, len: usize) -> Result<(), String> {
        let State::Pcapng(section) = &mut self.state else {
            return Ok(());
        };
        let order = section.order;
        let body = body(self.source.take(len));
        match kind {
            kind::SECTION_HEADER => {
                section.number = Some(section.number.map_or(0, |n| n.saturating_add(1)));
                section.interfaces.clear();
            }
            kind::INTERFACE_DESCRIPTION if section.interfaces.len() >= INTERFACES_MAX => {
                return Err("more than 65,536 interfaces are described".into());
            }
            kind::INTERFACE_DESCRIPTION => {
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
                let kind = order.u32(body, 0);
                self.secrets.push_back(Secrets { kind, data });
                while self.secrets_len > SECRETS_MAX
                    && let Some(oldest) = self.secrets.pop_front()
                {
                    self.secrets_len -= oldest.data.len();
                }
            }
            _ => self.passed_over += 1,
        }
        Ok(())
    }
}

/// What a packet block says.
struct Found {
    section: u32,
    interface: u32,
    link: LinkType,
    snaplen: u32,
    clock: Clock,
    count: u64,
    layout: Layout,
}

impl Section {
    #[inline]
    fn packet(&self, kind: u32, body: &[u8]) -> Result<Found, String> {
        let order = self.order;
        let (number, count) = match kind {
            kind::SIMPLE_PACKET => (0, 0),
            kind::PACKET => (u32::from(order.u16(body, 0)), self.count(body)),
            _ => (order.u32(body, 0), self.count(body)),
        };
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(interface) = self.interfaces.get(index) else {
            return Err(undescribed(number));
        };
        let Some(layout) = framing::layout(kind, body, order, interface.snaplen) else {
            return Err(misfit(order.u32(body, 12), body.len()));
        };
        Ok(Found {
            section: self.number.unwrap_or(0),
            interface: number,
            link: interface.link,
            snaplen: interface.snaplen,
            clock: interface.clock,
            count,
            layout,
        })
    }

    fn count(&self, body: &[u8]) -> u64 {
        let half = |at| u64::from(self.order.u32(body, at));
        (half(4) << 32) | half(8)
    }
}

#[cold]
fn undescribed(number: u32) -> String {
    format!("a packet of interface {number}, which is not described")
}

#[cold]
fn misfit(len: u32, room: usize) -> String {
    if room < 20 {
        return "a packet block without its header".into();
    }
    format!(
        "a packet that claims {len} bytes in a block with room for {}",
        room - 20
    )
}

/// Type and length in front of what a block holds.
const BLOCK_HEAD_LEN: usize = 8;

/// What a block holds between its lengths.
#[inline]
fn body(block: &[u8]) -> &[u8] {
    block
        .get(BLOCK_HEAD_LEN..block.len().saturating_sub(4))
        .unwrap_or_default()
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
