//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, since the start of 1970 UTC; zero on a host whose clock shows an earlier time.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
