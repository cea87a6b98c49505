//! What the tests of this crate share.
//!
//! - [`notation`]: a segment as one line of text, such as `P. 1:11 ack 1 win 1000 <mss 1460>`.
//! - [`bottleneck`]: two connections and a path with a rate, a queue, loss and reordering.
//! - [`bulk`]: bulk data in a dialogue, by segments.
//! - [`dialogue`]: one connection and the test as its peer. A fixture puts the connection into a
//!   state, then each line of the test is a segment in (`lt`, the `<` of packet scripts), a segment
//!   that must come out (`gt`, `>`), silence, or time passing.
//! - [`pair`]: two connections, a path with delay and loss between them, and virtual time.
//!
//! Sequence numbers are relative: our SYN is 0 and our first octet 1, and so are the peer's. The
//! real initial numbers are chosen near 2^32 so that every test crosses the wrap.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of the harness"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail"
)]
#![allow(missing_docs, reason = "documented where the name does not say it")]

pub mod bottleneck;
pub mod bulk;
pub mod dialogue;
pub mod notation;
pub mod pair;

use std::time::Duration;

use bytes::Bytes;
use transom_tcp::Instant;

pub fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The instant at which every test begins.
pub fn start() -> Instant {
    Instant::from_origin(secs(1000))
}

/// The octets `[from, from + len)` of the stream that tests send: every position has its value.
pub fn stream(from: u64, len: usize) -> Bytes {
    (from..from + len as u64)
        .map(octet)
        .collect::<Vec<_>>()
        .into()
}

/// The octet at a position of that stream. 251 is prime, so no power of two hides a shift.
pub fn octet(position: u64) -> u8 {
    (position % 251) as u8
}
