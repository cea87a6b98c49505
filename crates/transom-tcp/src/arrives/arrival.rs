//! What is left of a segment on its way through the steps.

use bytes::{Buf, Bytes};
use transom_wire::Seq;
use transom_wire::tcp::Flags;

use crate::segment::Segment;

/// A segment on its way through the steps, cut to what is acceptable.
pub(crate) struct Arrival<'a> {
    /// As it came; its data is taken out of it in the seventh step.
    pub(crate) segment: &'a mut Segment,
    /// Where the payload begins.
    pub(crate) seq: Seq,
    /// Octets of the segment's data before it, cut off.
    skip: u32,
    /// Octets of payload.
    len: u32,
    /// The FIN is (still) part of the segment.
    pub(crate) fin: bool,
    /// The payload, or part of it, did not fit the window.
    pub(crate) cut_right: bool,
}

impl<'a> Arrival<'a> {
    #[inline]
    pub(crate) fn new(segment: &'a mut Segment) -> Self {
        Self {
            seq: segment.seq + u32::from(segment.has(Flags::SYN)),
            skip: 0,
            len: segment.payload_len(),
            fin: segment.has(Flags::FIN),
            cut_right: false,
            segment,
        }
    }

    /// Octets of payload.
    #[inline]
    pub(crate) fn payload_len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(super) fn payload_end(&self) -> Seq {
        self.seq + self.len
    }

    /// Cuts off what lies before `start`.
    #[inline]
    pub(super) fn trim_left(&mut self, start: Seq) {
        if start.gt(self.seq) {
            let skip = start.since(self.seq).min(self.len);
            self.skip += skip;
            self.len -= skip;
            self.seq = start;
        }
    }

    /// Cuts off what lies at or beyond `end`, the FIN with it.
    #[inline]
    pub(crate) fn trim_right(&mut self, end: Seq) {
        if self.payload_end().gt(end) {
            let keep = if end.gt(self.seq) {
                end.since(self.seq)
            } else {
                0
            };
            self.len = self.len.min(keep);
            self.fin = false;
            self.cut_right = true;
        }
    }

    /// Cuts off all of the payload, and the FIN with it.
    pub(super) fn cut_payload(&mut self) {
        self.len = 0;
        self.fin = false;
        self.cut_right = true;
    }

    /// Takes the payload, which ends where the rest begins.
    pub(crate) fn take_payload(&mut self) -> Bytes {
        let mut payload = core::mem::take(&mut self.segment.payload);
        let (skip, len) = (self.skip as usize, self.len as usize);
        if skip > 0 {
            payload.advance(skip.min(payload.len()));
        }
        // Nothing is cut from nearly any segment, and cutting costs a look at how the memory is shared.
        if len < payload.len() {
            payload.truncate(len);
        }
        self.seq += self.len;
        (self.skip, self.len) = (0, 0);
        payload
    }
}
