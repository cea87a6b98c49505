//! The data of a frame.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

use crate::checksum::Sum;

/// Data of a frame: shared pieces in order, not copied. The first two are held inline.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    second: Bytes,
    /// None, too, where there was never a third: nothing to be looked through then.
    more: Option<VecDeque<Bytes>>,
    len: usize,
}

impl Payload {
    /// No data.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: Bytes::new(),
            second: Bytes::new(),
            more: None,
            len: 0,
        }
    }

    /// Appends a piece; an empty one leaves no trace.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else if self.second.is_empty() {
            self.second = chunk;
        } else {
            self.more.get_or_insert_default().push_back(chunk);
        }
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no data.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order, none of them empty.
    #[inline]
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> + Clone {
        [&self.first, &self.second]
            .into_iter()
            .chain(self.more.iter().flatten())
            .filter(|chunk| !chunk.is_empty())
    }

    /// The bytes from `start` up to `end`, sharing memory; what lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let mut part = Self::new();
        let mut at = 0;
        for chunk in self.chunks() {
            let from = start.saturating_sub(at).min(chunk.len());
            let to = end.saturating_sub(at).min(chunk.len());
            if from < to {
                part.push(chunk.slice(from..to));
            }
            at += chunk.len();
            if at >= end {
                break;
            }
        }
        part
    }

    /// Cuts off the first `n` bytes and returns them, sharing memory; all of them if there are fewer.
    pub fn split_to(&mut self, n: usize) -> Self {
        let mut head = Self::new();
        while head.len < n && !self.first.is_empty() {
            let want = n - head.len;
            let chunk = if self.first.len() <= want {
                let next = self.next_piece();
                let second = core::mem::replace(&mut self.second, next);
                core::mem::replace(&mut self.first, second)
            } else {
                self.first.split_to(want)
            };
            self.len -= chunk.len();
            head.push(chunk);
        }
        head
    }

    /// Cuts off as many bytes as `out` is long and has them copied there piece by piece, by a function that also adds
    /// them up, such as [`checksum::copy`](crate::checksum::copy). Returns the sum.
    pub fn move_to(
        &mut self,
        mut out: &mut [u8],
        mut copy: impl FnMut(&mut [u8], &[u8]) -> Sum,
    ) -> Sum {
        let mut sum = Sum::ZERO;
        while !out.is_empty() && !self.first.is_empty() {
            let len = out.len().min(self.first.len());
            let (now, later) = out.split_at_mut(len);
            let (piece, _) = self.first.split_at(len);
            sum.combine(copy(now, piece));
            out = later;
            self.len -= len;
            self.first.advance(len);
            if self.first.is_empty() {
                let next = self.next_piece();
                self.first = core::mem::replace(&mut self.second, next);
            }
        }
        sum
    }

    /// Takes the third piece away.
    fn next_piece(&mut self) -> Bytes {
        let next = self.more.as_mut().and_then(VecDeque::pop_front);
        next.unwrap_or_default()
    }

    /// Copies as much as fits into `out` and returns the number of bytes copied.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        for chunk in self.chunks() {
            let Some(room) = out.get_mut(at..) else { break };
            let n = room.len().min(chunk.len());
            if let (Some(to), Some(from)) = (room.get_mut(..n), chunk.get(..n)) {
                to.copy_from_slice(from);
            }
            at += n;
        }
        at
    }

    /// The bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        for chunk in self.chunks() {
            out.extend_from_slice(chunk);
        }
        out
    }
}

impl From<Bytes> for Payload {
    #[inline]
    fn from(chunk: Bytes) -> Self {
        let len = chunk.len();
        Self {
            first: chunk,
            len,
            ..Self::new()
        }
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut payload = Self::new();
        for chunk in chunks {
            payload.push(chunk);
        }
        payload
    }
}

impl PartialEq for Payload {
    /// Equal bytes, however they are cut.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .chunks()
                .flat_map(|c| c.iter())
                .eq(other.chunks().flat_map(|c| c.iter()))
    }
}

impl Eq for Payload {}
