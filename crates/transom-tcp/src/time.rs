//! A point in time, as the caller counts it.
//!
//! The engine reads no clock (invariant 1). The caller chooses an origin and passes every instant
//! in, so the same engine runs in real time, in virtual time and over the times of a capture file.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// Nanoseconds since an origin of the caller's choosing; spans 584 years.
///
/// Arithmetic saturates: an instant before the origin is the origin, and an overflow is the far
/// end. Nothing that a peer sends can make it panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Self = Self(0);
    /// Later than every instant that arithmetic can give a meaning to.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The instant `elapsed` after the origin.
    pub fn from_origin(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// Time passed since the origin.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The same in nanoseconds.
    #[inline]
    pub(crate) const fn since_origin_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is in fact later.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time passed since `earlier`, or `None` when `earlier` is later.
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// Nanoseconds since `earlier`; none when `earlier` is in fact later.
    #[inline]
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many nanoseconds later.
    #[inline]
    pub(crate) const fn after_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// `self + duration`, or `None` when that cannot be represented.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
    }

    /// Whole milliseconds since the origin, modulo 2^32: the tick of the timestamp option.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the timestamp clock wraps by design"
    )]
    pub(crate) const fn ticks(self) -> u32 {
        (self.0 / 1_000_000) as u32
    }
}

/// A duration in nanoseconds, saturated.
#[inline]
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(duration.subsec_nanos() as u64)
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.since_origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::ORIGIN - second, Instant::ORIGIN);
        assert_eq!(Instant::NEVER + second, Instant::NEVER);
        assert_eq!(
            Instant::ORIGIN.duration_since(Instant::ORIGIN + second),
            Duration::ZERO
        );
        assert_eq!(
            Instant::ORIGIN.checked_duration_since(Instant::ORIGIN + second),
            None
        );
        assert_eq!((Instant::ORIGIN + second) - Instant::ORIGIN, second);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        let most = Duration::from_nanos(u64::MAX);
        assert_eq!(nanos(most), u64::MAX);
        assert_eq!(
            nanos(most - Duration::from_nanos(1)),
            u64::MAX - 1,
            "only just"
        );
    }

    #[test]
    fn ticks_are_milliseconds_modulo_2_32() {
        let wrapped = Duration::from_millis((1 << 32) + 7);
        assert_eq!(Instant::from_origin(wrapped).ticks(), 7);
    }
}
