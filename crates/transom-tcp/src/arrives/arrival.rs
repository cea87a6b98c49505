//! What is left of a segment on its way through the steps.

use bytes::{Buf, Bytes};
use transom_wire::Seq;
use transom_wire::tcp::Flags;

use crate::recv::window::octets;
use crate::segment::Segment;

/// A segment on its way through the steps, cut to what is acceptable.
pub(crate) struct Arrival<'a> {
    pub(crate) segment: &'a Segment,
    /// Where the payload begins.
    pub(crate) seq: Seq,
    pub(crate) payload: Bytes,
    /// The FIN is (still) part of the segment.
    pub(crate) fin: bool,
    /// The payload, or part of it, did not fit the window.
    pub(crate) cut_right: bool,
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(segment: &'a Segment) -> Self {
        Self {
            segment,
            seq: segment.seq + u32::from(segment.has(Flags::SYN)),
            payload: segment.payload.clone(),
            fin: segment.has(Flags::FIN),
            cut_right: false,
        }
    }

    pub(super) fn payload_end(&self) -> Seq {
        self.seq + octets(self.payload.len())
    }

    /// Cuts off what lies before `start`.
    pub(super) fn trim_left(&mut self, start: Seq) {
        if start.gt(self.seq) {
            let skip = (start.since(self.seq) as usize).min(self.payload.len());
            self.payload.advance(skip);
            self.seq = start;
        }
    }

    /// Cuts off what lies at or beyond `end`, the FIN with it.
    pub(crate) fn trim_right(&mut self, end: Seq) {
        if self.payload_end().gt(end) {
            let keep = if end.gt(self.seq) {
                end.since(self.seq) as usize
            } else {
                0
            };
            self.payload.truncate(keep);
            self.fin = false;
            self.cut_right = true;
        }
    }
}
