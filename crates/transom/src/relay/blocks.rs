//! Memory to read into.
//!
//! A kernel's socket is read into blocks of a fixed size that come back when the last slice of them is
//! dropped; the last one returned is the next one used, so it is still in the cache, and the allocator does
//! not fetch and return pages all the time. Little data is copied out: it must not hold a block while it
//! waits.

use std::io::IoSliceMut;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Size of a block.
pub(super) const BLOCK: usize = 64 << 10;

/// Data below this is copied out. Data therefore holds at most four times its own size.
const COPY_BELOW: usize = BLOCK / 4;

/// Most blocks for one read.
pub(super) const MOST: usize = 4;

/// Blocks that wait for use beyond this number are freed.
const MAX_SPARE: usize = 64;

type Block = Box<[u8]>;

/// Those of all relays: most relays are idle at any time.
static SPARE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

fn spare() -> std::sync::MutexGuard<'static, Vec<Block>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks for one read; what is not used is empty.
pub(super) struct Blocks {
    blocks: [Block; MOST],
    /// Bytes of them that may be used.
    limit: usize,
}

impl Blocks {
    /// For at most so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(MOST * BLOCK);
        let mut blocks = <[Block; MOST]>::default();
        let used = limit.div_ceil(BLOCK);
        {
            let mut spare = spare();
            // The last one returned comes first.
            for block in blocks.iter_mut().take(used) {
                match spare.pop() {
                    Some(returned) => *block = returned,
                    None => break,
                }
            }
        }
        for block in blocks.iter_mut().take(used) {
            if block.is_empty() {
                *block = vec![0; BLOCK].into_boxed_slice();
            }
        }
        Self { blocks, limit }
    }

    /// How many blocks are used.
    pub(super) const fn used(&self) -> usize {
        self.limit.div_ceil(BLOCK)
    }

    /// The memory: the slices that are used, and empty ones behind them.
    pub(super) fn slices(&mut self) -> [IoSliceMut<'_>; MOST] {
        let mut left = self.limit;
        self.blocks.each_mut().map(|block| {
            let len = left.min(BLOCK);
            left -= len;
            IoSliceMut::new(block.get_mut(..len).unwrap_or_default())
        })
    }

    /// The first so many bytes, in order.
    pub(super) fn take(&mut self, count: usize) -> impl Iterator<Item = Bytes> + '_ {
        let mut left = count.min(self.limit);
        self.blocks.iter_mut().filter_map(move |block| {
            let len = left.min(BLOCK);
            left -= len;
            match len {
                0 => None,
                1..COPY_BELOW => block.get(..len).map(Bytes::copy_from_slice),
                _ => Some(Bytes::from_owner(Lent {
                    block: std::mem::take(block),
                    len,
                })),
            }
        })
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for block in self.blocks.iter_mut().rev() {
            if !block.is_empty() {
                give_back(std::mem::take(block));
            }
        }
    }
}

fn give_back(block: Block) {
    let mut spare = spare();
    if spare.len() < MAX_SPARE {
        spare.push(block);
    }
}

/// A block with data in it.
struct Lent {
    block: Block,
    len: usize,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.block.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(limit: usize, count: usize) -> Vec<Bytes> {
        let mut blocks = Blocks::new(limit);
        let mut number = 0_u32;
        for slice in &mut blocks.slices() {
            for byte in slice.iter_mut() {
                *byte = number as u8;
                number = number.wrapping_mul(31).wrapping_add(7);
            }
        }
        blocks.take(count).collect()
    }

    #[test]
    fn data_comes_in_order_whatever_its_length() {
        for count in [1, COPY_BELOW, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 5] {
            let whole = read(3 * BLOCK - 5, 3 * BLOCK - 5).concat();
            let pieces = read(3 * BLOCK - 5, count);
            assert_eq!(pieces.concat(), whole[..count]);
            assert!(pieces.len() <= count.div_ceil(BLOCK));
        }
    }

    #[test]
    fn no_more_is_given_than_was_asked_for() {
        let mut blocks = Blocks::new(BLOCK + 10);
        let lens: Vec<_> = blocks.slices().iter().map(|slice| slice.len()).collect();
        assert_eq!(lens, [BLOCK, 10, 0, 0]);
        assert_eq!(blocks.used(), 2);
    }

    #[test]
    fn spare_blocks_are_bounded() {
        let data: Vec<_> = (0..2 * MAX_SPARE).map(|_| read(BLOCK, BLOCK)).collect();
        drop(data);
        assert!(spare().len() <= MAX_SPARE);
    }
}
