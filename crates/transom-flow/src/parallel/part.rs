//! Frames on their way to a tracker.

use crate::capture::Chunk;
use crate::dissect::{Glance, dissect, glance};
use crate::follow::Seen;
use crate::past::Past;
use crate::table::{HashKey, Pair};
use crate::tracker::{Frame, Tracker};
use core::hint::black_box;
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use transom_wire::Medium;

/// Connections of which not all stay in the cache.
pub(super) const MANY: usize = 256;
/// Frames whose waits for memory overlap.
pub(super) const TOGETHER: usize = 32;

/// A frame; its bytes stand elsewhere.
struct Waiting {
    seen: Seen,
    medium: Medium,
    wire_len: u32,
    /// In which memory its bytes are: 0 for the copies, 1 for the first chunk.
    memory: u32,
    at: u32,
    len: u32,
}

/// Frames that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Frames {
    waiting: Vec<Waiting>,
    /// Memory that frames lie in.
    chunks: Vec<Chunk>,
    /// The bytes of frames that lie in no such memory.
    copies: Vec<u8>,
}

impl Frames {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a frame, and keeps the memory it lies in, if that may be kept.
    #[inline]
    pub(super) fn push(&mut self, frame: &Frame<'_>, number: u64, chunk: Option<&Chunk>) {
        let held = chunk.and_then(|chunk| Some((chunk, chunk.range_of(frame.data)?)));
        let (memory, at) = match held {
            Some((chunk, range)) => {
                if !self.chunks.last().is_some_and(|last| last.is(chunk)) {
                    self.chunks.push(chunk.clone());
                }
                (self.chunks.len(), range.start)
            }
            None => {
                let at = self.copies.len();
                self.copies.extend_from_slice(frame.data);
                (0, at)
            }
        };
        // None of these comes near that: a part and a frame are a few MiB.
        let [memory, at, len] =
            [memory, at, frame.data.len()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        self.waiting.push(Waiting {
            seen: Seen::of(frame, number),
            medium: frame.medium,
            wire_len: frame.wire_len,
            memory,
            at,
            len,
        });
    }

    /// Gives all frames to a tracker, and tells `begins` the frame of each connection that begins.
    pub(super) fn give(
        &mut self,
        tracker: &mut Tracker,
        slots: &mut Vec<u32>,
        mut begins: impl FnMut(u64),
    ) {
        let (chunks, copies) = (&self.chunks, &self.copies);
        for waiting in self.waiting.chunks(TOGETHER) {
            // Another core may have read the capture.
            let headers = waiting.iter().map(|one| one.warm(chunks, copies));
            black_box(headers.fold(0, u8::wrapping_add));
            slots.clear();
            if tracker.open() >= MANY {
                let pairs = waiting
                    .iter()
                    .map(|one| sockets(&one.frame(chunks, copies)));
                tracker.warm(pairs, slots);
            }
            let mut slots = slots.iter();
            for one in waiting {
                let before = tracker.counters().connections;
                if let Some(slot) = slots.next() {
                    tracker.look_first_in(*slot);
                }
                match &dissect(&one.frame(chunks, copies)) {
                    Ok(content) => {
                        tracker.content(one.seen, content);
                    }
                    Err(ignored) => tracker.ignore(*ignored),
                }
                if tracker.counters().connections > before {
                    begins(one.seen.frame);
                }
            }
        }
        self.waiting.clear();
        self.chunks.clear();
        self.copies.clear();
    }
}

impl Waiting {
    #[inline]
    fn bytes<'a>(&self, chunks: &'a [Chunk], copies: &'a [u8]) -> &'a [u8] {
        let (at, len) = (self.at as usize, self.len as usize);
        let memory = match (self.memory as usize).checked_sub(1) {
            Some(chunk) => chunks.get(chunk).map_or(&[][..], |chunk| &**chunk),
            None => copies,
        };
        let bytes = memory.get(at..).and_then(|from| from.get(..len));
        bytes.unwrap_or_default()
    }

    /// Reads something of its headers.
    #[inline]
    fn warm(&self, chunks: &[Chunk], copies: &[u8]) -> u8 {
        let bytes = self.bytes(chunks, copies);
        let at = |at: usize| bytes.get(at).map_or(0, |byte| *byte);
        at(0).wrapping_add(at(52))
    }

    #[inline]
    fn frame<'a>(&self, chunks: &'a [Chunk], copies: &'a [u8]) -> Frame<'a> {
        Frame {
            wire_len: self.wire_len,
            ..Frame::new(self.seen.time, self.medium, self.bytes(chunks, copies))
        }
    }
}

/// The sockets that a frame is about.
#[inline]
fn sockets(frame: &Frame<'_>) -> Pair {
    let glance = glance(frame).or_else(|| dissect(frame).ok().as_ref().map(Glance::of));
    match glance {
        Some(glance) => Pair::new(glance.src, glance.dst),
        // Of no connection.
        None => {
            let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            Pair::new(nowhere, nowhere)
        }
    }
}

/// The hash of the two sockets that a frame is about, the same for both directions and for ICMP errors.
#[inline]
pub(super) fn sockets_hash(glance: &Glance) -> u64 {
    Pair::new(glance.src, glance.dst).hash(HashKey::FIXED)
}

/// What one lane gets at a time.
#[derive(Default)]
pub(super) struct Part {
    pub(super) frames: Frames,
    pub(super) names: Vec<(IpAddr, Box<str>)>,
    /// Connections whose memory may be used again.
    pub(super) spent: Vec<Past>,
    /// The time at the end of the round, if it ends with this: the same for all lanes.
    pub(super) ends_at: Option<Duration>,
    /// Nothing will follow.
    pub(super) is_last: bool,
}

impl Part {
    /// Whether a lane has to do with it at once.
    pub(super) fn has_work(&self) -> bool {
        !self.frames.is_empty() || self.ends_at.is_some()
    }
}
