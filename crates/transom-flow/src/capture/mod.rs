//! Captures in: files, pipes and frames of any link type to the innermost IP packets.
//!
//! A [`Reader`] takes the bytes of a capture (pcap in all its variants, pcapng, either of them
//! gzipped) and gives [`Record`]s; a [`Decapsulator`] takes the link header, tags, tunnels and
//! fragments off a record and gives a [`Frame`](crate::Frame) for the
//! [`Tracker`](crate::Tracker). [`copy()`] writes a capture again with comments added to packets.
//!
//! ```
//! use transom_flow::capture::{Decapsulator, Error, Reader};
//! use transom_flow::{Limits, Tracker};
//!
//! # fn follow(file: &[u8]) -> Result<(), Error> {
//! let mut reader = Reader::new(file)?;
//! let mut decapsulator = Decapsulator::default();
//! let mut tracker = Tracker::new(Limits::default());
//! while let Some(record) = reader.next()? {
//!     if let Ok(frame) = decapsulator.frame(&record) {
//!         let _not_tcp = tracker.frame(&frame);
//!     }
//! }
//! // The file may have been cut short in the middle of a packet.
//! reader.finish()
//! # }
//! # let empty = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
//! # assert!(follow(&empty).is_ok());
//! ```
//!
//! # What holds for any bytes
//!
//! - Nothing panics and nothing hangs; each step passes bytes or ends.
//! - Memory is bounded: a packet is at most [`MAX_PACKET_LEN`] bytes, a longer block of another kind
//!   is passed over as it streams by, and tables (interfaces, names, fragments) have limits.
//! - What was read before a break has been given; the break is named with its offset ([`Error`]).
//! - A payload is copied once, from the reader into a buffer; records borrow that buffer, and who wants to
//!   keep it for a while shares it ([`Chunk`]).
//!
//! # Where what is
//!
//! `source`: bytes, gzip, offsets, in `chunk`s; `pcap`, `blocks`, `framing`: the two formats; `reader`: records;
//! `link`, `wireless`, `tunnel`, `fragments`: what is taken off; `decapsulator`: in which order; `checksum`.

mod blocks;
mod checksum;
mod chunk;
mod copy;
mod decapsulator;
mod error;
mod fragments;
mod framing;
mod link;
mod link_type;
mod pcap;
mod reader;
mod record;
mod source;
mod tunnel;
mod wireless;

pub use chunk::Chunk;
pub use copy::{Copied, CopyError, copy};
pub use decapsulator::{Counters, Decapsulator};
pub use error::Error;
pub use link_type::LinkType;
pub use reader::{Interface, Reader, Secrets};
pub use record::Record;

use core::fmt;

/// The longest packet that is read, in bytes; a record that claims more is taken for damage.
///
/// Wireshark and libpcap stop at 256 KiB for networks; this leaves room for larger super-packets.
pub const MAX_PACKET_LEN: usize = 16 << 20;

/// How a capture is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// pcap with times in microseconds.
    PcapMicros,
    /// pcap with times in nanoseconds.
    PcapNanos,
    /// pcap as patched into libpcap by Alexey Kuznetzov, with a longer header on each packet.
    PcapModified,
    /// pcapng.
    Pcapng,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PcapMicros => "pcap",
            Self::PcapNanos => "nanosecond pcap",
            Self::PcapModified => "modified pcap",
            Self::Pcapng => "pcapng",
        })
    }
}
