//! Octets received: in order for the application, and out of order until the gap closes.
//!
//! ```text
//!        readable (front, rest)                  out of order (entries, merged into ranges)
//!   ├───────────────────────────┤  gap   ├─────────────┤   gap   ├───────┤
//!  next octet read           RCV.NXT     └ SACK block ┘          └ SACK block ┘
//! ```
//!
//! Payload is kept as slices of the frames it came in. A small payload would pin a large frame, so
//! below [`COPY_BELOW`] octets it is copied out wherever more than one could pile up.
//!
//! Invariants
//! - The octets received first win: later overlapping content never replaces them.
//! - A segment at RCV.NXT is always taken, whatever the limits say, so a gap can always close.
//! - Out-of-order memory, counted at its real cost, stays within the limit; what does not fit is
//!   the farthest from RCV.NXT.
//! - An empty queue holds no heap memory.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use transom_wire::tcp::SackBlocks;
use transom_wire::{Seq, SeqRange};

use super::out_of_order::{MAX_RANGES, OutOfOrder, PIECE_OVERHEAD, RECENT};

use crate::pack::{Expected, OUT_OF_ORDER_LIMIT, RECEIVED, Rare, packed};

/// Payloads shorter than this are copied out of their frame when they have to wait in a queue of
/// others. A frame is at least 1.5 KiB of memory in practice, so at most a third is wasted.
const COPY_BELOW: usize = 512;
/// Memory set aside when small in-order payloads are gathered.
const GATHER: usize = 2048;

/// What became of a segment's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Inserted {
    /// Octets by which RCV.NXT moved.
    pub advanced: u32,
    /// The payload closed (part of) a gap: octets that had waited became readable too, or a gap
    /// remains behind it. Acknowledge at once (RFC 5681 §4.2).
    pub filled_gap: bool,
    /// The payload lies beyond a gap. Acknowledge at once (RFC 5681 §4.2).
    pub out_of_order: bool,
    /// The first contiguous part that had been received before (RFC 2883).
    pub duplicate: Option<SeqRange>,
    /// Not kept, wholly or partly: the out-of-order limit is reached.
    pub dropped_for_memory: bool,
}

/// What was received and the application has not read.
#[derive(Debug)]
pub struct RecvQueue {
    rcv_nxt: Seq,
    /// RCV.NXT, counted from the stream's first octet.
    nxt_offset: u64,
    /// The first readable piece: the common case of one piece needs no allocation.
    front: Bytes,
    /// Readable pieces after `front`.
    rest: VecDeque<Bytes>,
    /// Readable octets after `rest`, gathered from small payloads.
    gathered: BytesMut,
    readable: usize,
    out_of_order: Option<Box<OutOfOrder>>,
    /// Most memory for pieces beyond a gap.
    out_of_order_limit: usize,
    /// A duplicate that no acknowledgement has reported yet.
    duplicate: Option<SeqRange>,
}

packed!(RecvQueue {
    rcv_nxt,
    nxt_offset: Expected<RECEIVED>,
    out_of_order_limit: Expected<OUT_OF_ORDER_LIMIT>,
    duplicate: Rare;
    front,
    rest,
    gathered,
    readable,
    out_of_order,
});

impl RecvQueue {
    /// An empty queue that waits for `rcv_nxt`.
    ///
    /// `out_of_order_limit`: most memory, in octets at real cost, for data beyond a gap. Twice the
    /// receive buffer leaves room for the overhead of full-sized segments.
    pub fn new(rcv_nxt: Seq, out_of_order_limit: usize) -> Self {
        Self {
            rcv_nxt,
            nxt_offset: 0,
            front: Bytes::new(),
            rest: VecDeque::new(),
            gathered: BytesMut::new(),
            readable: 0,
            out_of_order: None,
            out_of_order_limit,
            duplicate: None,
        }
    }

    /// The next sequence number expected.
    pub const fn rcv_nxt(&self) -> Seq {
        self.rcv_nxt
    }

    /// Octets that can be read now.
    pub const fn readable(&self) -> usize {
        self.readable
    }

    /// Whether there may be a block to report: something waits for a gap to close, or came twice.
    #[inline]
    pub(crate) const fn has_blocks(&self) -> bool {
        self.out_of_order.is_some() || self.duplicate.is_some()
    }

    /// Octets that wait for a gap to close.
    pub fn out_of_order_bytes(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |ooo| ooo.octets)
    }

    /// What waits for a gap to close, at its real cost.
    pub fn out_of_order_memory(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |ooo| ooo.memory())
    }

    /// Number of ranges that wait for a gap to close.
    pub fn out_of_order_ranges(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |ooo| ooo.ranges.len())
    }

    /// The highest sequence number received, plus one: equal to RCV.NXT when there is no gap.
    pub fn highest(&self) -> Seq {
        let end = self
            .out_of_order
            .as_ref()
            .and_then(|ooo| ooo.ranges.last_key_value());
        end.map_or(self.rcv_nxt, |(_, &end)| self.seq_at(end))
    }

    /// Memory held for this queue, in octets, at its real cost.
    pub fn memory_used(&self) -> usize {
        let spare = self.gathered.capacity().saturating_sub(self.gathered.len());
        self.readable
            .saturating_add(spare)
            .saturating_add(self.rest.capacity().saturating_mul(size_of::<Bytes>()))
            .saturating_add(self.out_of_order_memory())
    }

    /// Changes the limit of memory for data beyond a gap; what is held stays.
    pub const fn set_out_of_order_limit(&mut self, limit: usize) {
        self.out_of_order_limit = limit;
    }

    /// Takes the payload of an acceptable segment, cut to the window on the right.
    ///
    /// Octets before RCV.NXT are cut off and reported as a duplicate. `seq` must lie within 2^31
    /// of RCV.NXT, which the window check guarantees.
    pub fn insert(&mut self, seq: Seq, mut payload: Bytes) -> Inserted {
        let mut inserted = Inserted::default();
        let mut seq = seq;
        if seq.lt(self.rcv_nxt) {
            let old = (self.rcv_nxt.since(seq) as usize).min(payload.len());
            payload.advance(old);
            let range = SeqRange {
                start: seq,
                end: seq + low_bits(old as u64),
            };
            if !range.is_empty() {
                // RFC 2883 §4.1: the part already covered by the acknowledgement number.
                inserted.duplicate = Some(range);
                self.duplicate = Some(range);
            }
            seq = self.rcv_nxt;
        }
        if payload.is_empty() {
            return inserted;
        }
        if seq == self.rcv_nxt {
            self.insert_in_order(payload, &mut inserted);
        } else {
            let start = self
                .nxt_offset
                .saturating_add(u64::from(seq.since(self.rcv_nxt)));
            self.insert_beyond_gap(start, &payload, &mut inserted);
        }
        inserted
    }

    /// Up to `max` octets, the next in order, without copying; `None` when none can be read.
    ///
    /// Gives one piece at a time: fewer than `max` octets does not mean that no more are there.
    pub fn pop(&mut self, max: usize) -> Option<Bytes> {
        if max == 0 || self.readable == 0 {
            return None;
        }
        self.load_front();
        let piece = if max >= self.front.len() {
            core::mem::take(&mut self.front)
        } else {
            self.front.split_to(max)
        };
        self.readable = self.readable.saturating_sub(piece.len());
        self.load_front();
        Some(piece)
    }

    /// Copies the next octets into `out` and removes them; gives their number.
    pub fn pop_into(&mut self, out: &mut [u8]) -> usize {
        let copied = self.peek_into(out);
        let mut left = copied;
        while left > 0 {
            let Some(piece) = self.pop(left) else { break };
            left = left.saturating_sub(piece.len());
        }
        copied
    }

    /// Copies the next octets into `out` and leaves them; gives their number.
    pub fn peek_into(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        let pieces = core::iter::once(&self.front[..])
            .chain(self.rest.iter().map(|piece| &piece[..]))
            .chain(core::iter::once(&self.gathered[..]));
        for piece in pieces {
            let room = out.get_mut(filled..).unwrap_or_default();
            let take = room.len().min(piece.len());
            room.split_at_mut(take)
                .0
                .copy_from_slice(piece.split_at(take).0);
            filled += take;
        }
        filled
    }

    /// Throws away what could be read (the application will not read any more).
    pub fn clear_readable(&mut self) -> usize {
        let cleared = self.readable;
        self.front = Bytes::new();
        self.rest = VecDeque::new();
        self.gathered = BytesMut::new();
        self.readable = 0;
        cleared
    }

    /// Holds neither octets nor memory for them.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.readable == 0
            && self.front.is_empty()
            && self.rest.capacity() == 0
            && self.gathered.capacity() == 0
            && self.out_of_order.is_none()
    }

    /// Throws away what waits for a gap to close.
    pub fn clear_out_of_order(&mut self) {
        self.out_of_order = None;
        self.duplicate = None;
    }

    /// Notes that a segment wholly before RCV.NXT arrived, for the next acknowledgement to report.
    pub const fn note_duplicate(&mut self, range: SeqRange) {
        self.duplicate = Some(range);
    }

    /// The blocks for the next acknowledgement: a pending duplicate first (RFC 2883), then the
    /// range that changed last, then those before it (RFC 2018 §4).
    ///
    /// `max`: how many fit the segment's option space.
    pub fn sack_blocks(&self, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let max = max.min(SackBlocks::MAX);
        if let Some(duplicate) = self.duplicate
            && max > 0
        {
            blocks.push(duplicate);
        }
        let Some(ooo) = self.out_of_order.as_deref() else {
            return blocks;
        };
        let mut told = [None; SackBlocks::MAX];
        // RFC 2883 §4.2: a duplicate inside a waiting range is followed by that range.
        let container = self
            .duplicate
            .filter(|duplicate| duplicate.start.ge(self.rcv_nxt));
        let container = container.map(|duplicate| self.offset_of(duplicate.start));
        // RFC 2018 §4: first the block that holds the segment that triggered this ACK, then the
        // most recently reported ones; as many as fit, so spare room goes to the oldest.
        let newest = container.into_iter().chain(ooo.recent.iter().copied());
        let newest = newest.filter_map(|point| ooo.range_at(point));
        let others = ooo
            .ranges
            .iter()
            .map(|(&start, &end)| (start, end))
            .take(RECENT + max);
        for range in newest.chain(others) {
            if blocks.len() >= max {
                break;
            }
            if told.contains(&Some(range)) {
                continue;
            }
            if let Some(slot) = told.get_mut(blocks.len()) {
                *slot = Some(range);
            }
            blocks.push(SeqRange {
                start: self.seq_at(range.0),
                end: self.seq_at(range.1),
            });
        }
        blocks
    }

    /// Takes the pending duplicate: the acknowledgement that reports it was sent.
    ///
    /// RFC 2883 §4: each duplicate is reported once.
    pub const fn take_duplicate(&mut self) -> Option<SeqRange> {
        self.duplicate.take()
    }

    fn insert_in_order(&mut self, payload: Bytes, inserted: &mut Inserted) {
        let start = self.nxt_offset;
        let end = start.saturating_add(payload.len() as u64);
        let Some(mut ooo) = self.out_of_order.take() else {
            self.advance(payload, inserted);
            return;
        };
        inserted.filled_gap = true;
        // Take what is new in the payload, and what waited, in order.
        let mut at = start;
        while at < end
            && let Some((range_start, range_end)) = ooo.range_from(at)
            && range_start < end
        {
            let fresh = range_start.saturating_sub(at);
            self.advance(piece_of(&payload, at - start, fresh), inserted);
            let overlap_end = range_end.min(end);
            let (from, to) = (self.seq_at(range_start), self.seq_at(overlap_end));
            self.note_overlap(
                SeqRange {
                    start: from,
                    end: to,
                },
                inserted,
            );
            self.take_range(&mut ooo, range_start, inserted);
            at = range_end;
        }
        if at < end {
            self.advance(piece_of(&payload, at - start, end - at), inserted);
        }
        if let Some((range_start, _)) = ooo.range_at(self.nxt_offset) {
            self.take_range(&mut ooo, range_start, inserted);
        }
        if !ooo.pieces.is_empty() {
            self.out_of_order = Some(ooo);
        }
    }

    /// Makes the range that begins at `start` (where RCV.NXT now is) readable.
    fn take_range(&mut self, ooo: &mut OutOfOrder, start: u64, inserted: &mut Inserted) {
        let Some(end) = ooo.ranges.remove(&start) else {
            return;
        };
        while let Some(entry) = ooo.pieces.first_entry()
            && *entry.key() < end
        {
            let piece = entry.remove();
            ooo.octets = ooo.octets.saturating_sub(piece.len());
            self.advance(piece, inserted);
        }
    }

    fn insert_beyond_gap(&mut self, start: u64, payload: &Bytes, inserted: &mut Inserted) {
        inserted.out_of_order = true;
        let end = start.saturating_add(payload.len() as u64);
        let mut ooo = self.out_of_order.take().unwrap_or_default();
        let mut at = start;
        let mut stored = false;
        while at < end {
            let next = ooo
                .range_from(at)
                .filter(|&(range_start, _)| range_start < end);
            let fresh_end = next.map_or(end, |(range_start, _)| range_start.max(at));
            if fresh_end > at {
                let piece = piece_of(payload, at - start, fresh_end - at);
                if !self.store(&mut ooo, at, piece) {
                    inserted.dropped_for_memory = true;
                    break;
                }
                stored = true;
            }
            let Some((range_start, range_end)) = next else {
                break;
            };
            let (from, to) = (range_start.max(at), range_end.min(end));
            let range = SeqRange {
                start: self.seq_at(from),
                end: self.seq_at(to),
            };
            self.note_overlap(range, inserted);
            at = range_end;
        }
        if stored || ooo.range_at(start).is_some() {
            ooo.touch(start);
        }
        if !ooo.pieces.is_empty() {
            self.out_of_order = Some(ooo);
        }
    }

    /// Keeps a piece if the limits allow it, at the cost of those farther away.
    fn store(&self, ooo: &mut OutOfOrder, start: u64, piece: Bytes) -> bool {
        let cost = piece.len().saturating_add(PIECE_OVERHEAD);
        while ooo.memory().saturating_add(cost) > self.out_of_order_limit
            || ooo.ranges.len() >= MAX_RANGES
        {
            // The farthest goes first: it is the last that the application could use.
            match ooo.last_start() {
                Some(last) if last > start => ooo.drop_last(),
                _ => return false,
            }
        }
        let piece = if piece.len() < COPY_BELOW {
            Bytes::copy_from_slice(&piece)
        } else {
            piece
        };
        ooo.octets = ooo.octets.saturating_add(piece.len());
        ooo.cover(start, start.saturating_add(piece.len() as u64));
        ooo.pieces.insert(start, piece);
        true
    }

    /// Reports the first contiguous overlap of a segment (RFC 2883 §4: only that).
    fn note_overlap(&mut self, range: SeqRange, inserted: &mut Inserted) {
        if inserted.duplicate.is_none() && !range.is_empty() {
            inserted.duplicate = Some(range);
            self.duplicate = Some(range);
        }
    }

    /// Appends the octets at RCV.NXT to what can be read.
    fn advance(&mut self, piece: Bytes, inserted: &mut Inserted) {
        let len = piece.len();
        if len == 0 {
            return;
        }
        let moved = low_bits(len as u64);
        self.rcv_nxt += moved;
        self.nxt_offset = self.nxt_offset.saturating_add(len as u64);
        inserted.advanced = inserted.advanced.saturating_add(moved);
        if self.readable == 0 {
            self.front = piece;
        } else if len < COPY_BELOW {
            self.gather(&piece);
        } else {
            if !self.gathered.is_empty() {
                self.rest
                    .push_back(core::mem::take(&mut self.gathered).freeze());
            }
            self.rest.push_back(piece);
        }
        self.readable = self.readable.saturating_add(len);
    }

    /// Copies a small payload behind those before it, so that none pins a frame.
    fn gather(&mut self, piece: &[u8]) {
        let room = self.gathered.capacity().saturating_sub(self.gathered.len());
        if room < piece.len() {
            if !self.gathered.is_empty() {
                self.rest
                    .push_back(core::mem::take(&mut self.gathered).freeze());
            }
            self.gathered = BytesMut::with_capacity(GATHER);
        }
        self.gathered.extend_from_slice(piece);
    }

    /// Keeps the first readable octets in `front`, and no memory that holds nothing.
    fn load_front(&mut self) {
        if self.front.is_empty() {
            if let Some(piece) = self.rest.pop_front() {
                self.front = piece;
            } else if self.gathered.capacity() > 0 {
                self.front = core::mem::take(&mut self.gathered).freeze();
            }
        }
        if self.readable == 0 && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }

    fn seq_at(&self, offset: u64) -> Seq {
        self.rcv_nxt + low_bits(offset.wrapping_sub(self.nxt_offset))
    }

    const fn offset_of(&self, seq: Seq) -> u64 {
        self.nxt_offset
            .saturating_add(seq.since(self.rcv_nxt) as u64)
    }
}

/// `len` octets of `payload` from `from` on.
fn piece_of(payload: &Bytes, from: u64, len: u64) -> Bytes {
    let from = usize::try_from(from)
        .unwrap_or(usize::MAX)
        .min(payload.len());
    let len = usize::try_from(len)
        .unwrap_or(usize::MAX)
        .min(payload.len() - from);
    payload.slice(from..from + len)
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
