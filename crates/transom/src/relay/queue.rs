//! Data on its way through a relay.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};

use bytes::{Buf, Bytes};

use super::blocks::{BLOCK, Blocks, MOST};

/// Data that was read from one end and not yet taken by the other: pieces in order, not copied.
///
/// It holds at most [`LIMIT`](Self::LIMIT) bytes. That is the whole memory of a relay: when it is
/// full the one end is not read any more, its receive window closes, and its peer waits.
#[derive(Debug, Default)]
pub struct RelayQueue {
    chunks: VecDeque<Bytes>,
    len: usize,
    /// How much room the next read is given; grows while reads fill it.
    read_size: usize,
}

impl RelayQueue {
    /// Most bytes held.
    pub const LIMIT: usize = 512 << 10;
    const READ_MIN: usize = BLOCK;
    const READ_MAX: usize = MOST * BLOCK;
    /// Most pieces given to one vectored write.
    pub(crate) const SLICES: usize = 64;

    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Bytes held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that may still be added.
    #[must_use]
    pub const fn room(&self) -> usize {
        Self::LIMIT.saturating_sub(self.len)
    }

    /// Adds a piece at the end; an empty one leaves no trace.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.len -= chunk.len();
        if self.chunks.is_empty() && self.chunks.capacity() > Self::SLICES {
            // A relay that is idle now does not keep the room of its busy times.
            self.chunks = VecDeque::new();
        }
        Some(chunk)
    }

    /// Puts back what is left of a piece that was taken.
    pub fn unpop(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            self.len += rest.len();
            self.chunks.push_front(rest);
        }
    }

    /// The first piece, if nothing is behind it.
    pub(crate) fn only(&self) -> Option<&Bytes> {
        self.chunks.front().filter(|_| self.chunks.len() == 1)
    }

    /// The first pieces, for a vectored write.
    pub fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        out.extend(
            self.chunks
                .iter()
                .take(Self::SLICES)
                .map(|chunk| IoSlice::new(chunk)),
        );
    }

    /// Removes the first `count` bytes.
    pub fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(mut chunk) = self.pop() else { return };
            if chunk.len() > count {
                chunk.advance(count);
                self.unpop(chunk);
                return;
            }
            count -= chunk.len();
        }
    }

    /// Reads into memory that the queue provides, piece after piece, and appends what was read.
    ///
    /// Reads get more room as long as they fill it, so a busy direction is read in large steps
    /// while an idle one holds no memory.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_with<E>(
        &mut self,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let size = self.read_size.clamp(Self::READ_MIN, Self::READ_MAX);
        let limit = size.min(self.room());
        let mut blocks = Blocks::new(limit);
        let used = blocks.used();
        let count = read(blocks.slices().get_mut(..used).unwrap_or_default())?;
        if count >= limit {
            self.read_size = (size * 2).min(Self::READ_MAX);
        } else if count < size / 8 {
            self.read_size = size / 2;
        }
        for chunk in blocks.take(count) {
            self.push(chunk);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_as_they_went_in_however_they_are_taken() {
        let mut queue = RelayQueue::new();
        queue.push(Bytes::from_static(b"abc"));
        queue.push(Bytes::new());
        queue.push(Bytes::from_static(b"defg"));
        assert_eq!(queue.len(), 7);
        queue.advance(4);
        assert_eq!(queue.pop().unwrap(), &b"efg"[..]);
        assert!(queue.is_empty());
        assert!(queue.pop().is_none());
    }

    #[test]
    fn reads_grow_while_they_fill_their_room_and_never_pass_the_limit() {
        let mut queue = RelayQueue::new();
        let mut largest = 0;
        while queue.room() > 0 {
            let count = queue
                .read_with(|slices| {
                    slices.iter_mut().for_each(|slice| slice.fill(7));
                    Ok::<_, ()>(slices.iter().map(|slice| slice.len()).sum())
                })
                .unwrap();
            largest = largest.max(count);
            assert!(count > 0);
        }
        assert_eq!(queue.len(), RelayQueue::LIMIT);
        assert!(largest > RelayQueue::READ_MIN);
    }

    #[test]
    fn an_idle_direction_holds_no_memory() {
        let mut queue = RelayQueue::new();
        assert_eq!(queue.read_with(|_| Err::<usize, _>(())), Err(()));
        assert!(queue.is_empty());
        assert_eq!(queue.chunks.capacity(), 0);
    }
}
