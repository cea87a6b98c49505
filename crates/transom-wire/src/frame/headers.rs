//! The headers of a frame.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// Headers of one frame (link, IP, transport), held inline.
#[derive(Clone, Copy)]
pub struct HeaderBuf {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl HeaderBuf {
    /// Room in bytes: more than Ethernet with a tag (18), IPv6 (40) and the longest TCP header (60) need.
    pub const CAPACITY: usize = 128;

    /// An empty buffer.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
        }
    }

    /// A buffer of `len` zero bytes, or none if `len` is above [`CAPACITY`](Self::CAPACITY).
    #[must_use]
    pub fn zeroed(len: usize) -> Option<Self> {
        let len = u8::try_from(len)
            .ok()
            .filter(|len| usize::from(*len) <= Self::CAPACITY)?;
        Some(Self {
            bytes: [0; Self::CAPACITY],
            len,
        })
    }

    /// Appends bytes; false, and nothing changed, if they do not fit.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        match self.grow(bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    /// Appends `len` bytes and lends them for writing (zeros, unless cut off earlier by
    /// [`truncate`](Self::truncate)); none if they do not fit.
    #[inline]
    pub fn grow(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = usize::from(self.len);
        let end = start.checked_add(len)?;
        let room = self.bytes.get_mut(start..end)?;
        self.len = u8::try_from(end).ok()?;
        Some(room)
    }

    /// Keeps the first `len` bytes; without effect if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        if let Ok(len) = u8::try_from(len) {
            self.len = self.len.min(len);
        }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes, to be changed.
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(..usize::from(self.len))
            .unwrap_or_default()
    }
}

impl Default for HeaderBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for HeaderBuf {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for HeaderBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl AsRef<[u8]> for HeaderBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for HeaderBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for HeaderBuf {}

impl fmt::Debug for HeaderBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderBuf({} bytes)", self.len)
    }
}
