//! Rates are octets per second, volumes octets.

use core::time::Duration;

use crate::time::nanos;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The rate of `octets` in `time`.
pub(crate) fn per_second(octets: u64, time: Duration) -> u64 {
    per_second_in(octets, nanos(time))
}

/// The rate of `octets` in a time in nanoseconds.
#[inline]
pub(crate) fn per_second_in(octets: u64, nanos: u64) -> u64 {
    scaled(octets, NANOS_PER_SECOND.into(), nanos.max(1).into())
}

/// What `rate` carries in `time`.
pub(crate) fn volume(rate: u64, time: Duration) -> u64 {
    scaled(rate, time.as_nanos(), NANOS_PER_SECOND.into())
}

/// `number · factor / divisor`, at most what fits.
#[inline]
fn scaled(number: u64, factor: u128, divisor: u128) -> u64 {
    // Nearly always all of it fits into 64 bits, whose division is several times as fast.
    if let (Ok(factor), Ok(divisor)) = (u64::try_from(factor), u64::try_from(divisor))
        && let Some(product) = number.checked_mul(factor)
    {
        return product / divisor;
    }
    let product = u128::from(number).saturating_mul(factor);
    u64::try_from(product / divisor).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_64_bits_and_what_does_not_gives_the_same() {
        let second = Duration::from_secs(1);
        assert_eq!(per_second(3000, Duration::from_millis(2)), 1_500_000);
        assert_eq!(per_second(1 << 60, second), 1 << 60);
        assert_eq!(per_second(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(volume(1_500_000, Duration::from_millis(2)), 3000);
        assert_eq!(volume(1 << 60, second), 1 << 60);
        assert_eq!(volume(u64::MAX, Duration::MAX), u64::MAX);
    }
}
