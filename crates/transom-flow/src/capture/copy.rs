//! A capture again, with comments added to packets.

use super::blocks::{BYTE_ORDER_MAGIC, Options, Order, kind, option};
use super::framing::{self, Start};
use super::pcap::Pcap;
use super::source::Source;
use super::{Error, Format};
use core::fmt;
use std::collections::HashMap;
use std::io::{self, Read, Write};

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Frames, counted as the reader counts them.
    pub packets: u64,
    /// Frames that were given comments.
    pub commented: u64,
}

/// Why a copy is not complete.
#[derive(Debug)]
#[non_exhaustive]
pub enum CopyError {
    /// The capture cannot be read on; what came before is in the copy, which is a capture for itself.
    Read(Error),
    /// The copy cannot be written.
    Write(io::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => write!(f, "cannot write the copy: {error}"),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => error.source(),
            Self::Write(error) => Some(error),
        }
    }
}

impl From<Error> for CopyError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

/// Copies a capture to pcapng, with comments added to the frames whose numbers (from 1, as
/// [`Record::number`](super::Record::number) tells them) they are filed under.
///
/// A pcapng file keeps all its blocks, options and comments, and its byte order; a comment comes behind
/// those that are there. Only the length of a section, where one is stated, becomes "not stated", and a
/// simple packet block, which has no room for comments, becomes an enhanced one if it gets any. A pcap
/// file becomes a section with one interface and the same link type, lengths and times. Comments are cut
/// to 65,535 bytes.
///
/// # Errors
/// [`CopyError`]. What could be read is in the copy.
pub fn copy<R: Read, W: Write>(
    input: R,
    out: W,
    comments: &HashMap<u64, Vec<String>>,
) -> Result<Copied, CopyError> {
    let mut copy = Copy {
        source: Source::new(input),
        out,
        comments,
        copied: Copied::default(),
        block: Vec::new(),
    };
    let result = match framing::start(&mut copy.source) {
        Ok(Start::Pcap(pcap)) => copy.pcap(&pcap),
        Ok(Start::Pcapng) => copy.pcapng(),
        Ok(Start::TooShort) => Err(framing::too_short(&copy.source).into()),
        Err(error) => Err(error.into()),
    };
    // What was read is to be there, whatever came then.
    let flushed = copy.out.flush().map_err(CopyError::Write);
    result.and(flushed).map(|()| copy.copied)
}

/// A copy under way.
struct Copy<'a, R, W> {
    source: Source<R>,
    out: W,
    comments: &'a HashMap<u64, Vec<String>>,
    copied: Copied,
    /// The block that is being built.
    block: Vec<u8>,
}

impl<R: Read, W: Write> Copy<'_, R, W> {
    fn pcapng(&mut self) -> Result<(), CopyError> {
        let mut order = Order::Little;
        let mut first_snaplen = None;
        loop {
            let at = self.source.offset();
            let Some(block) = framing::next_block(&mut self.source, &mut order)? else {
                return self.end(at);
            };
            self.copied.packets += u64::from(framing::counts_as_frame(block.kind));
            let Some(len) = block.whole else {
                self.stream(at, u64::from(block.claimed))?;
                continue;
            };
            let Self {
                source,
                comments,
                copied,
                block: built,
                ..
            } = self;
            let bytes = source.take(len);
            let body = bytes.get(8..len.saturating_sub(4)).unwrap_or_default();
            match block.kind {
                kind::SECTION_HEADER => first_snaplen = None,
                kind::INTERFACE_DESCRIPTION if first_snaplen.is_none() => {
                    first_snaplen = Some(order.u32(body, 4));
                }
                _ => {}
            }
            let added = comments
                .get(&copied.packets)
                .filter(|comments| framing::is_packet(block.kind) && !comments.is_empty());
            let parts = added.and_then(|added| {
                let parts = Parts::of(block.kind, body, order, first_snaplen.unwrap_or(0));
                parts.zip(Some(added))
            });
            let is_changed = if let Some((parts, added)) = parts {
                copied.commented += 1;
                parts.write(built, order, added);
                true
            } else {
                block.kind == kind::SECTION_HEADER && section_header(built, bytes)
            };
            let written = if is_changed { built } else { bytes };
            self.out.write_all(written).map_err(CopyError::Write)?;
        }
    }

    /// Says whether the input ended at the end of a record.
    fn end(&self, at: u64) -> Result<(), CopyError> {
        framing::end(&self.source, at).map_err(CopyError::Read)
    }

    /// Copies a block that is too long for the buffer.
    fn stream(&mut self, at: u64, len: u64) -> Result<(), CopyError> {
        let mut left = len;
        while left > 0 {
            if !framing::ensure(&mut self.source, 1)? {
                return Err(CopyError::Read(Error::Truncated {
                    offset: at,
                    present: len - left,
                }));
            }
            let there = self.source.bytes().len();
            let piece = usize::try_from(left).map_or(there, |left| left.min(there));
            let bytes = self.source.take(piece);
            self.out.write_all(bytes).map_err(CopyError::Write)?;
            left -= piece as u64;
        }
        Ok(())
    }

    fn pcap(&mut self, pcap: &Pcap) -> Result<(), CopyError> {
        let order = Order::Little;
        let block = &mut self.block;
        begin(block, order, kind::SECTION_HEADER);
        block.extend(BYTE_ORDER_MAGIC.to_le_bytes());
        block.extend([1, 0, 0, 0]);
        block.extend([0xff; 8]);
        let application = concat!("Transom ", env!("CARGO_PKG_VERSION"));
        push_option(block, order, option::SHB_USERAPPL, application.as_bytes());
        push_option(block, order, option::END, &[]);
        end(block, order);
        self.out.write_all(block).map_err(CopyError::Write)?;
        begin(block, order, kind::INTERFACE_DESCRIPTION);
        block.extend(pcap.link.raw().to_le_bytes());
        block.extend([0, 0]);
        block.extend(pcap.snaplen.to_le_bytes());
        let digits = if pcap.format == Format::PcapNanos {
            9
        } else {
            6
        };
        push_option(block, order, option::IF_TSRESOL, &[digits]);
        if let Some(len) = pcap.fcs_len {
            push_option(block, order, option::IF_FCSLEN, &[len]);
        }
        push_option(block, order, option::END, &[]);
        end(block, order);
        self.out.write_all(block).map_err(CopyError::Write)?;
        let header_len = pcap.packet_header_len();
        loop {
            let at = self.source.offset();
            let Some(header) = framing::next_packet(&mut self.source, pcap)? else {
                return self.end(at);
            };
            self.copied.packets += 1;
            let bytes = self.source.take(header_len + header.len);
            let data = bytes.get(header_len..).unwrap_or_default();
            let count = if digits == 9 {
                header.time.as_nanos()
            } else {
                header.time.as_micros()
            };
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let [high, low] = [count >> 32, count & 0xffff_ffff];
            let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
            let len = word(data.len() as u64);
            let parts = Parts {
                kind: kind::ENHANCED_PACKET,
                head: head([0, word(high), word(low), len, header.orig_len], order),
                data,
                options: &[],
            };
            let added = self
                .comments
                .get(&self.copied.packets)
                .map_or(&[][..], Vec::as_slice);
            self.copied.commented += u64::from(!added.is_empty());
            parts.write(&mut self.block, order, added);
            self.out.write_all(&self.block).map_err(CopyError::Write)?;
        }
    }
}

/// The parts of a packet block that has options.
struct Parts<'a> {
    kind: u32,
    head: [u8; 20],
    data: &'a [u8],
    /// As they are, the end mark included.
    options: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Those of any packet block; none if it is broken.
    fn of(kind: u32, body: &'a [u8], order: Order, first_snaplen: u32) -> Option<Self> {
        let layout = framing::layout(kind, body, order, first_snaplen)?;
        let data = body.get(layout.data_at..layout.data_at + layout.len)?;
        let (kind, head) = if kind == kind::SIMPLE_PACKET {
            let len = u32::try_from(layout.len).ok()?;
            (
                kind::ENHANCED_PACKET,
                head([0, 0, 0, len, layout.orig_len], order),
            )
        } else {
            (kind, *body.first_chunk()?)
        };
        Some(Self {
            kind,
            head,
            data,
            options: body.get(layout.options_at..).unwrap_or_default(),
        })
    }

    /// Builds the block with comments behind its options.
    fn write(&self, block: &mut Vec<u8>, order: Order, comments: &[String]) {
        begin(block, order, self.kind);
        block.extend(self.head);
        block.extend(self.data);
        pad(block);
        let mut options = Options::new(self.options, order);
        options.by_ref().for_each(drop);
        let known = self.options.len() - options.rest().len();
        block.extend(self.options.get(..known).unwrap_or_default());
        for comment in comments {
            push_option(block, order, option::COMMENT, cut(comment).as_bytes());
        }
        if known > 0 || !comments.is_empty() {
            push_option(block, order, option::END, &[]);
        }
        end(block, order);
    }
}

/// Five fields in front of a packet: interface, the halves of its time, both lengths.
fn head(fields: [u32; 5], order: Order) -> [u8; 20] {
    let mut head = [0; 20];
    for (bytes, field) in head.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
        *bytes = order.bytes_of_u32(field);
    }
    head
}

/// Builds a section header that states no length, since that of the copy differs; whether it did state one.
fn section_header(block: &mut Vec<u8>, bytes: &[u8]) -> bool {
    const LENGTH: core::ops::Range<usize> = 16..24;
    block.clear();
    block.extend(bytes);
    // In a shorter one the field would be something else.
    match block.get_mut(LENGTH) {
        Some(field) if bytes.len() >= 28 => {
            field.fill(0xff);
            true
        }
        _ => false,
    }
}

/// As much of a comment as an option holds, up to the end of a character.
fn cut(comment: &str) -> &str {
    let mut end = comment.len().min(usize::from(u16::MAX));
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    comment.get(..end).unwrap_or_default()
}

fn begin(block: &mut Vec<u8>, order: Order, kind: u32) {
    block.clear();
    block.extend(order.bytes_of_u32(kind));
    block.extend([0; 4]);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

fn push_option(block: &mut Vec<u8>, order: Order, code: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    block.extend(order.bytes_of_u16(code));
    block.extend(order.bytes_of_u16(len));
    block.extend(value.get(..usize::from(len)).unwrap_or(value));
    pad(block);
}

/// Fills in both lengths.
fn end(block: &mut Vec<u8>, order: Order) {
    let len = u32::try_from(block.len() + 4).unwrap_or(u32::MAX);
    let len = order.bytes_of_u32(len);
    block.extend(len);
    if let Some(field) = block.get_mut(4..8) {
        field.copy_from_slice(&len);
    }
}
