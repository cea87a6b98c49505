//! Where the records of a capture begin and end: what reading and copying share.

use super::blocks::{BYTE_ORDER_MAGIC, FRAME_LEN, Order, kind};
use super::pcap::{self, PacketHeader, Pcap};
use super::source::Source;
use super::{Error, MAX_PACKET_LEN};
use std::io::{self, Read};

/// A packet with its header and options.
const BLOCK_MAX: usize = MAX_PACKET_LEN + (1 << 20);

/// What the first bytes of a capture tell.
pub(super) enum Start {
    /// Not enough of them yet.
    TooShort,
    /// The header of a pcap file, which is consumed.
    Pcap(Pcap),
    /// The first block of a pcapng file, which is not.
    Pcapng,
}

/// Reads the start of a capture, unpacking if it is gzipped.
pub(super) fn start<R: Read>(source: &mut Source<R>) -> Result<Start, Error> {
    loop {
        if !ensure(source, 4)? {
            return Ok(Start::TooShort);
        }
        let Some(magic) = source.bytes().first_chunk::<4>().copied() else {
            return Ok(Start::TooShort);
        };
        if source.unpack() {
            continue;
        }
        if u32::from_le_bytes(magic) == kind::SECTION_HEADER {
            return Ok(Start::Pcapng);
        }
        if pcap::format(magic).is_none() {
            return Err(Error::not_a_capture(guess(source.bytes())));
        }
        if !ensure(source, pcap::HEADER_LEN)? {
            return Ok(Start::TooShort);
        }
        return match source.take(pcap::HEADER_LEN).first_chunk() {
            Some(header) => Pcap::new(header).map(Start::Pcap),
            None => Ok(Start::TooShort),
        };
    }
}

/// What to say of an input that ended before its start was whole.
pub(super) fn too_short<R: Read>(source: &Source<R>) -> Error {
    match source.read_end() {
        0 if source.is_gzip_cut() => Error::not_a_capture("the packed file lacks its end"),
        0 => Error::not_a_capture("the file is empty"),
        n => Error::not_a_capture(format!("{} are too few", crate::words::count(n, "byte"))),
    }
}

/// Whether an input ended at the end of a record; the last one that was begun is `at`.
pub(super) fn end<R: Read>(source: &Source<R>, at: u64) -> Result<(), Error> {
    let end = source.read_end();
    if !source.bytes().is_empty() || source.skipping() > 0 {
        Err(Error::Truncated {
            offset: at,
            present: end.saturating_sub(at),
        })
    } else if source.is_gzip_cut() {
        Err(Error::Truncated {
            offset: end,
            present: 0,
        })
    } else {
        Ok(())
    }
}

/// Brings the next packet of a pcap file into the buffer; none if it is not whole yet.
#[inline]
pub(super) fn next_packet<R: Read>(
    source: &mut Source<R>,
    pcap: &Pcap,
) -> Result<Option<PacketHeader>, Error> {
    let header_len = pcap.packet_header_len();
    if !ensure(source, header_len)? {
        return Ok(None);
    }
    let Some(header) = source.bytes().first_chunk() else {
        return Ok(None);
    };
    let header = pcap.packet(header, source.offset())?;
    Ok(ensure(source, header_len + header.len)?.then_some(header))
}

pub(super) fn ensure<R: Read>(source: &mut Source<R>, want: usize) -> Result<bool, Error> {
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

/// Whether blocks of this kind hold packets.
pub(super) const fn is_packet(kind: u32) -> bool {
    matches!(
        kind,
        kind::ENHANCED_PACKET | kind::PACKET | kind::SIMPLE_PACKET
    )
}

/// Whether Wireshark (4.0) gives a block of this kind a frame number: packets, custom blocks, journal
/// entries, and system calls.
#[inline]
pub(super) const fn counts_as_frame(kind: u32) -> bool {
    is_packet(kind) || matches!(kind, 0xbad | 0x4000_0bad | 9 | 0x204 | 0x216 | 0x221)
}

/// A block at the front of the source.
pub(super) struct Block {
    pub(super) kind: u32,
    /// Its length in bytes.
    pub(super) claimed: u32,
    /// The same if it is in the buffer: none for a long one that holds no packet.
    pub(super) whole: Option<usize>,
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
        if is_packet(kind) || matches!(kind, kind::SECTION_HEADER | kind::INTERFACE_DESCRIPTION) {
            return Err(Error::broken(
                offset,
                format!("a block of type {kind:#x} that claims {claimed} bytes"),
            ));
        }
        return Ok(Some(Block {
            kind,
            claimed,
            whole: None,
        }));
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
        claimed,
        whole: Some(len),
    }))
}

/// Where the parts of a packet block are, from the start of its body.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) data_at: usize,
    pub(super) len: usize,
    pub(super) orig_len: u32,
    pub(super) options_at: usize,
}

/// Where the parts of a packet block are; none if they do not fit. `first_snaplen` is that of the section's
/// first interface, to which simple packets belong.
#[inline]
pub(super) fn layout(kind: u32, body: &[u8], order: Order, first_snaplen: u32) -> Option<Layout> {
    let is_simple = kind == kind::SIMPLE_PACKET;
    let data_at = if is_simple { 4 } else { 20 };
    let room = body.len().checked_sub(data_at)?;
    let (claimed, orig_len) = if is_simple {
        let orig_len = order.u32(body, 0);
        let limit = if first_snaplen == 0 {
            u32::MAX
        } else {
            first_snaplen
        };
        // Its length is not told: all that fits.
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        (orig_len.min(limit).min(room), orig_len)
    } else {
        (order.u32(body, 12), order.u32(body, 16))
    };
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    if len > room.min(MAX_PACKET_LEN) {
        return None;
    }
    Some(Layout {
        data_at,
        len,
        orig_len: orig_len.max(claimed),
        options_at: if is_simple {
            body.len()
        } else {
            data_at + len.next_multiple_of(4)
        },
    })
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
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    match known {
        Some((_, what)) => what,
        None if bytes.len() >= 4 && bytes.iter().take(64).all(is_text) => "it looks like text",
        None => "the first bytes are not those of one",
    }
}
