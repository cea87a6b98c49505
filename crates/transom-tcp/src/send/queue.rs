//! Bytes from the application, from SND.UNA on, until the peer acknowledges them.
//!
//! ```text
//!        chunks (Bytes, shared with frames in flight)          tail (room for small writes)
//!   ├──────────────┼───────┼──────────────────────────────┼─────────┤
//!  SND.UNA                                                          end
//! ```
//!
//! The queue knows nothing of loss or of what was sent. Payload is never copied on its way out:
//! a slice shares memory with the chunk that it comes from, and so does its retransmission.
//!
//! Invariants
//! - `end() - una() == len()`.
//! - An empty queue holds little heap memory: what small writes need again at once, or none.
//! - Reading on from where the last slice ended finds its chunk in constant time.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use transom_wire::{Payload, Seq};

use crate::pack::{ACKED, Expected, Like, packed};

/// Writes of up to this many octets are copied together, even when they are given as [`Bytes`]:
/// a chunk of its own would cost more than the copy.
const COPY_UP_TO: usize = 256;
/// Least memory set aside for small writes.
const LEAST_TAIL: usize = 1024;
/// Room for so many chunks is kept when all is acknowledged.
const KEPT_CHUNKS: usize = 4;
/// Most memory set aside for small writes that may not come.
const LARGEST_TAIL: usize = 64 * 1024;

/// A run of bytes, and where in the stream it begins.
#[derive(Debug)]
struct Chunk {
    /// Octets from the stream's first octet; never wraps.
    offset: u64,
    data: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64)
    }
}

/// What the application wrote and the peer has not acknowledged.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// Sequence number of the first octet held.
    una: Seq,
    /// The same place, counted from the stream's start.
    una_offset: u64,
    /// In order, without gaps.
    chunks: VecDeque<Chunk>,
    /// Octets after the last chunk, not yet shared with anyone, with room for more.
    tail: BytesMut,
    len: usize,
    /// Index of the chunk where the last slice ended: the likely start of the next.
    cursor: u32,
    /// The tail lies in more memory than the least that is set aside for one.
    is_large: bool,
    /// Where the last write ended.
    push_end: Seq,
}

packed!(SendQueue {
    una: Like,
    una_offset: Expected<ACKED>,
    push_end: Like;
    chunks,
    tail,
    len,
    cursor,
    is_large,
});

impl SendQueue {
    /// An empty queue whose first octet will have the number `una`.
    pub fn new(una: Seq) -> Self {
        Self {
            una,
            push_end: una,
            ..Self::default()
        }
    }

    /// Octets held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sequence number of the first octet held.
    pub const fn una(&self) -> Seq {
        self.una
    }

    /// Sequence number after the last octet held.
    pub fn end(&self) -> Seq {
        self.una + low_bits(self.len as u64)
    }

    /// Sequence number after the last octet of the last write: a segment that ends here carries
    /// PSH (RFC 9293 §3.9.1.2 MUST-61).
    pub const fn push_end(&self) -> Seq {
        self.push_end
    }

    /// Appends a write without copying it, unless it is so small that copying is cheaper.
    pub fn push(&mut self, data: Bytes) {
        if data.len() <= COPY_UP_TO {
            return self.push_slice(&data);
        }
        self.share_tail();
        self.append_chunk(data);
        self.push_end = self.end();
    }

    /// Appends a write by copying it; small writes end up in one piece of memory.
    pub fn push_slice(&mut self, mut data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let mut room = self.tail.capacity().saturating_sub(self.tail.len());
        if room < data.len() && self.tail.is_empty() && self.tail.try_reclaim(data.len()) {
            // No frame shares what was acknowledged, so that its memory serves again.
            room = self.tail.capacity();
        }
        let (now, rest) = data.split_at(room.min(data.len()));
        self.tail.extend_from_slice(now);
        self.len += now.len();
        data = rest;
        if !data.is_empty() {
            self.share_tail();
            // Grows with what is waiting: one small request costs little, a stream of one-octet
            // writes does not allocate often.
            let wanted = self.len.clamp(LEAST_TAIL, LARGEST_TAIL).max(data.len());
            self.tail = BytesMut::with_capacity(wanted);
            self.is_large = wanted > LEAST_TAIL;
            self.tail.extend_from_slice(data);
            self.len += data.len();
        }
        self.push_end = self.end();
    }

    /// Lets go of what lies before `ack`; gives the number of octets freed.
    ///
    /// An acknowledgement of more than is held (a FIN's number, or nonsense) frees what is there.
    pub fn ack_to(&mut self, ack: Seq) -> usize {
        if ack.le(self.una) {
            return 0;
        }
        let freed = (ack.since(self.una) as usize).min(self.len);
        self.una += low_bits(freed as u64);
        self.una_offset = self.una_offset.saturating_add(freed as u64);
        self.len -= freed;
        if self.len == 0 {
            self.release();
            return freed;
        }
        while let Some(front) = self.chunks.front_mut() {
            if front.end() > self.una_offset {
                let skip = self.una_offset.saturating_sub(front.offset);
                if skip > 0 {
                    front
                        .data
                        .advance(usize::try_from(skip).unwrap_or(usize::MAX));
                    front.offset = self.una_offset;
                }
                return freed;
            }
            self.chunks.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
        // Everything left is in the tail.
        let tail_start = self.end_offset().saturating_sub(self.tail.len() as u64);
        let skip = self.una_offset.saturating_sub(tail_start);
        self.tail.advance(
            usize::try_from(skip)
                .unwrap_or(usize::MAX)
                .min(self.tail.len()),
        );
        freed
    }

    /// Octets held from `start` on; none when that lies outside what is held.
    #[inline]
    pub(crate) fn held_from(&self, start: Seq) -> u32 {
        let skip = start.since(self.una);
        if start.lt(self.una) || skip as usize >= self.len {
            return 0;
        }
        u32::try_from(self.len - skip as usize).unwrap_or(u32::MAX)
    }

    /// Up to `len` octets from `start` on, sharing memory with the queue.
    ///
    /// Shorter when less is held; empty when `start` lies outside what is held.
    pub fn slice(&mut self, start: Seq, len: usize) -> Payload {
        let skip = start.since(self.una) as usize;
        if start.lt(self.una) || skip >= self.len {
            return Payload::new();
        }
        let mut wanted = len.min(self.len - skip);
        let mut offset = self.una_offset.saturating_add(skip as u64);
        if offset.saturating_add(wanted as u64) > self.chunks_end() {
            self.share_tail();
        }
        let mut index = self.find(offset);
        if let Some(chunk) = self.chunks.get(index)
            && let Some(end) = offset.checked_add(wanted as u64)
            && end <= chunk.end()
            && let Ok(from) = usize::try_from(offset.saturating_sub(chunk.offset))
        {
            // All of it lies in one chunk, as it does nearly always where the device cuts nothing.
            self.cursor =
                u32::try_from(index + usize::from(end == chunk.end())).unwrap_or(u32::MAX);
            return chunk.data.slice(from..from + wanted).into();
        }
        let mut payload = Payload::new();
        while wanted > 0 {
            let Some(chunk) = self.chunks.get(index) else {
                break;
            };
            let from = usize::try_from(offset.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
            let available = chunk.data.len().saturating_sub(from);
            let take = wanted.min(available);
            payload.push(chunk.data.slice(from..from + take));
            wanted -= take;
            offset = offset.saturating_add(take as u64);
            if take < available {
                break;
            }
            index += 1;
        }
        self.cursor = u32::try_from(index).unwrap_or(u32::MAX);
        payload
    }

    /// Holds no octets.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.len == 0
    }

    /// Throws everything away; the numbers stay.
    pub fn clear(&mut self) {
        self.len = 0;
        self.push_end = self.una;
        self.chunks = VecDeque::new();
        self.tail = BytesMut::new();
        self.cursor = 0;
        self.is_large = false;
    }

    /// Stream offset after the last octet.
    const fn end_offset(&self) -> u64 {
        self.una_offset.saturating_add(self.len as u64)
    }

    /// Stream offset after the last octet that is in a chunk.
    fn chunks_end(&self) -> u64 {
        self.end_offset().saturating_sub(self.tail.len() as u64)
    }

    /// Index of the chunk that holds `offset`.
    fn find(&self, offset: u64) -> usize {
        let holds = |chunk: &Chunk| chunk.offset <= offset && offset < chunk.end();
        let likely = self.cursor as usize;
        if self.chunks.get(likely).is_some_and(holds) {
            return likely;
        }
        self.chunks.partition_point(|chunk| chunk.end() <= offset)
    }

    /// Turns what is in the tail into a chunk; the room behind it stays usable.
    fn share_tail(&mut self) {
        if !self.tail.is_empty() {
            let offset = self.chunks_end();
            let data = self.tail.split().freeze();
            self.add_chunk(Chunk { offset, data });
        }
    }

    fn append_chunk(&mut self, data: Bytes) {
        let offset = self.end_offset();
        self.len += data.len();
        self.add_chunk(Chunk { offset, data });
    }

    fn add_chunk(&mut self, chunk: Chunk) {
        if self.chunks.capacity() == 0 {
            // Many a connection never has more than one, and keeps this room.
            self.chunks.reserve_exact(1);
        }
        self.chunks.push_back(chunk);
    }

    /// Everything is acknowledged. Who sends small messages, one after the other, needs the same memory for each.
    fn release(&mut self) {
        if self.chunks.capacity() > KEPT_CHUNKS {
            self.chunks = VecDeque::new();
        } else {
            self.chunks.clear();
        }
        if core::mem::take(&mut self.is_large) {
            self.tail = BytesMut::new();
        } else {
            self.tail.clear();
        }
        self.cursor = 0;
    }
}

/// A stream offset as a distance in sequence space, which is modulo 2^32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "sequence space is modulo 2^32"
)]
const fn low_bits(offset: u64) -> u32 {
    offset as u32
}

#[cfg(test)]
mod tests;
