//! Rates are octets per second, volumes octets.

use core::time::Duration;

/// The rate of `octets` in `time`.
pub(crate) fn per_second(octets: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos().max(1);
    u64::try_from(u128::from(octets) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// What `rate` carries in `time`.
pub(crate) fn volume(rate: u64, time: Duration) -> u64 {
    let octets = u128::from(rate) * time.as_nanos() / 1_000_000_000;
    u64::try_from(octets).unwrap_or(u64::MAX)
}
