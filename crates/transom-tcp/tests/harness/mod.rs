//! What the tests of this crate share.
//!
//! Whenever a connection rests, the harness folds it up and unfolds it ([`fold`]), so that every test here is also one of
//! that.
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

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use transom_tcp::{Connection, Dormant, Instant};

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

/// Folds a connection that rests, and unfolds it: it must be what it was, which is looked at the first thousand times. Then the same
/// again in memory in which others were before, where it stays.
pub fn fold(connection: &mut Connection) {
    thread_local! {
        static FOLDED: Cell<u32> = const { Cell::new(0) };
        static PLACES: Cell<Option<(Connection, Dormant)>> = const { Cell::new(None) };
    }
    let Some(dormant) = connection.to_dormant() else {
        assert!(!connection.is_at_rest());
        return;
    };
    let mut before = std::mem::replace(connection, dormant.wake());
    assert_eq!(dormant.state(), before.state());
    assert_eq!(dormant.poll_timeout(), before.poll_timeout());
    assert!(connection.is_at_rest());
    let folded = FOLDED.get();
    FOLDED.set(folded + 1);
    let is_looked_at = folded < 1000;
    if is_looked_at {
        assert_eq!(format!("{connection:?}"), format!("{before:?}"));
    }
    let places = PLACES.take();
    let (mut place, mut form) = places.unwrap_or_else(|| (dormant.wake(), dormant));
    assert!(before.rest_in(&mut form));
    form.wake_in(&mut place);
    if is_looked_at {
        assert_eq!(format!("{place:?}"), format!("{connection:?}"));
    }
    *connection = place;
    PLACES.set(Some((before, form)));
}
