//! The state machine by example.

use super::*;

#[test]
fn the_name() {
    let bbr = Bbr::new(&Setup::new(1000, 10_000, Instant::ORIGIN));
    assert_eq!((bbr.name(), bbr.cwnd()), ("bbr", 10_000));
}
