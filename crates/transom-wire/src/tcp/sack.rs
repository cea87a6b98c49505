//! The blocks of a SACK option.

use crate::seq::SeqRange;
use core::fmt;

/// Up to four SACK blocks, held inline, in the order in which they stand in the option.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks {
    blocks: [SeqRange; Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// The most blocks that fit the option space: 8·4 + 2 ≤ 40 bytes (RFC 2018 §3).
    pub const MAX: usize = 4;
    /// No blocks.
    pub const EMPTY: Self = Self {
        blocks: [SeqRange {
            start: crate::Seq::new(0),
            end: crate::Seq::new(0),
        }; Self::MAX],
        len: 0,
    };

    /// Adds a block; false, and nothing added, when four are there.
    pub fn push(&mut self, block: SeqRange) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = block;
        self.len += 1;
        true
    }

    /// The blocks as a slice.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[SeqRange] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The blocks in order.
    #[inline]
    pub fn iter(&self) -> core::iter::Copied<core::slice::Iter<'_, SeqRange>> {
        self.as_slice().iter().copied()
    }

    /// Number of blocks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'a> IntoIterator for &'a SackBlocks {
    type Item = SeqRange;
    type IntoIter = core::iter::Copied<core::slice::Iter<'a, SeqRange>>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<SeqRange> for SackBlocks {
    /// Takes the first four; the rest do not fit and are left out.
    fn from_iter<I: IntoIterator<Item = SeqRange>>(ranges: I) -> Self {
        let mut blocks = Self::EMPTY;
        for range in ranges {
            if !blocks.push(range) {
                break;
            }
        }
        blocks
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SackBlocks {}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}
