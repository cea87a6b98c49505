//! One packet of a capture.

use super::blocks::{Options, Order, option};
use super::{Chunk, LinkType};
use crate::pcapng::Direction;
use core::time::Duration;
use std::borrow::Cow;

/// A packet of a capture.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Number of the frame, from 1; the same as Wireshark's.
    pub number: u64,
    /// When it was captured, since the start of 1970 UTC; zero if the capture does not say.
    pub time: Duration,
    /// What its bytes start with.
    pub link: LinkType,
    /// The section of a pcapng file it is in, from 0.
    pub section: u32,
    /// Where it was captured: a number within the section, see
    /// [`Reader::interface`](super::Reader::interface).
    pub interface: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
    /// Its length on the wire in bytes; at least that of `data`.
    pub orig_len: u32,
    /// Bytes of each frame that were to be kept at most; 0 if there was no limit, or it is not known.
    pub snaplen: u32,
    /// Which way it went, seen from the interface.
    pub direction: Direction,
    pub(super) options: Options<'a>,
    pub(super) chunk: Option<&'a Chunk>,
}

impl<'a> Record<'a> {
    /// A packet captured in full, of which nothing more is known.
    #[must_use]
    pub fn new(number: u64, time: Duration, link: LinkType, data: &'a [u8]) -> Self {
        Self {
            number,
            time,
            link,
            section: 0,
            interface: 0,
            data,
            orig_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
            snaplen: 0,
            direction: Direction::Unknown,
            options: Options::new(&[], Order::Little),
            chunk: None,
        }
    }

    /// Whether less was captured than was on the wire.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        usize::try_from(self.orig_len).is_ok_and(|len| len > self.data.len())
    }

    /// The memory that its bytes lie in, for those who want to keep them for a moment; none where there is little
    /// in it, so that a copy is better.
    #[must_use]
    pub const fn chunk(&self) -> Option<&'a Chunk> {
        self.chunk
    }

    /// The comments on it; what is not UTF-8 is replaced.
    pub fn comments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.options
            .filter(|(code, _)| *code == option::COMMENT)
            .map(|(_, text)| String::from_utf8_lossy(text))
    }
}
