//! Memory that a capture was read into.

use core::fmt;
use core::ops::{Deref, Range};
use std::sync::Arc;

/// A piece of a capture as it was read, shared by those who look at the records in it.
///
/// Whoever keeps it keeps the bytes of the records in it, without a copy; the reader then reads on into other
/// memory. So it should be let go soon.
#[derive(Clone)]
pub struct Chunk(Arc<[u8]>);

impl Chunk {
    /// Of so many zeros.
    pub(super) fn new(len: usize) -> Self {
        Self(core::iter::repeat_n(0, len).collect())
    }

    /// The bytes, to be written over, if nobody else looks at them.
    pub(super) fn own(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0)
    }

    /// Where in it these bytes lie; `None` if they lie elsewhere.
    pub(crate) fn range_of(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let at = bytes.as_ptr().addr().checked_sub(self.0.as_ptr().addr())?;
        let end = at.checked_add(bytes.len())?;
        (end <= self.0.len()).then_some(at..end)
    }

    /// Whether both are the same memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Chunk {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}
