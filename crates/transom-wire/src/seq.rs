//! Sequence numbers: arithmetic modulo 2^32 (RFC 9293 §3.4).
//!
//! Invariants
//! - [`Seq`] has no `Ord`: "less" on a circle depends on the reference, so a sort or a `max` over
//!   many numbers would be meaningless. Comparisons are methods, named as in the RFC's prose.
//! - A comparison is meaningful for numbers less than 2^31 apart.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A TCP sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Seq(u32);

impl Seq {
    /// Wraps a number as it stands in the header.
    #[inline]
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The number as it stands in the header.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Signed distance from `other` to `self`: positive if `self` is later.
    #[inline]
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i32 {
        // RFC 9293 §3.4: all arithmetic on sequence numbers is modulo 2^32; the difference, read
        // as a signed number, tells which of two is later.
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Bytes from `earlier` up to `self`, going forward; wraps if `earlier` is in fact later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` comes before `other`.
    #[inline]
    #[must_use]
    pub const fn lt(self, other: Self) -> bool {
        self.offset_from(other) < 0
    }

    /// Whether `self` comes before `other` or equals it.
    #[inline]
    #[must_use]
    pub const fn le(self, other: Self) -> bool {
        self.offset_from(other) <= 0
    }

    /// Whether `self` comes after `other`.
    #[inline]
    #[must_use]
    pub const fn gt(self, other: Self) -> bool {
        self.offset_from(other) > 0
    }

    /// Whether `self` comes after `other` or equals it.
    #[inline]
    #[must_use]
    pub const fn ge(self, other: Self) -> bool {
        self.offset_from(other) >= 0
    }

    /// The earlier of two.
    #[inline]
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if other.lt(self) { other } else { self }
    }

    /// The later of two.
    #[inline]
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if other.gt(self) { other } else { self }
    }

    /// Whether `start ≤ self < start + len`. Holds for every `len`, also above 2^31.
    #[inline]
    #[must_use]
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.since(start) < len
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    #[inline]
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for Seq {
    #[inline]
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl Sub<u32> for Seq {
    type Output = Self;
    #[inline]
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl SubAssign<u32> for Seq {
    #[inline]
    fn sub_assign(&mut self, bytes: u32) {
        *self = *self - bytes;
    }
}

impl From<u32> for Seq {
    fn from(raw: u32) -> Self {
        Self(raw)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seq({})", self.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A half-open range of sequence space: `start` is in it, `end` is not.
///
/// A range spans less than 2^31 bytes. One whose end comes before its start counts as empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqRange {
    /// First sequence number inside.
    pub start: Seq,
    /// First sequence number after it.
    pub end: Seq,
}

impl SeqRange {
    /// The range from `start` up to `end`.
    #[inline]
    #[must_use]
    pub const fn new(start: Seq, end: Seq) -> Self {
        Self { start, end }
    }

    /// The range of `len` bytes that begins at `start`.
    #[inline]
    #[must_use]
    pub fn from_len(start: Seq, len: u32) -> Self {
        Self {
            start,
            end: start + len,
        }
    }

    /// Number of sequence numbers inside; 0 when the end comes before the start.
    #[inline]
    #[must_use]
    pub const fn len(self) -> u32 {
        if self.is_empty() {
            0
        } else {
            self.end.since(self.start)
        }
    }

    /// Whether nothing is inside.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end.le(self.start)
    }

    /// Whether `seq` is inside.
    #[inline]
    #[must_use]
    pub const fn contains(self, seq: Seq) -> bool {
        seq.in_window(self.start, self.len())
    }

    /// Whether every number of `other` is inside; true of an empty `other`.
    #[inline]
    #[must_use]
    pub const fn contains_range(self, other: Self) -> bool {
        other.is_empty()
            || (!self.is_empty() && self.start.le(other.start) && other.end.le(self.end))
    }

    /// Whether the two share at least one number.
    #[inline]
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && self.start.lt(other.end)
            && other.start.lt(self.end)
    }

    /// What the two share, if anything.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Option<Self> {
        if self.overlaps(other) {
            Some(Self {
                start: self.start.max(other.start),
                end: self.end.min(other.end),
            })
        } else {
            None
        }
    }
}

impl fmt::Debug for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.start, self.end)
    }
}
