//! RFC 5681's numbers.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use super::super::tests::{ack, at, loss};
use super::*;

const MSS: u64 = 1000;

#[test]
fn req_cc_6_congestion_avoidance_adds_one_segment_per_window() {
    let mut reno = Reno::new(&Setup::new(MSS, 10_000, at(0)));
    reno.on_loss(&loss(at(0), LossKind::FastRetransmit, 20_000, MSS));
    reno.on_recovery_exit(at(1), 20_000);
    assert_eq!((reno.cwnd(), reno.ssthresh()), (10_000, 10_000));
    for window in [11_000, 12_000, 13_000] {
        let now = reno.cwnd();
        for octets in [1000, now - 1500, 499] {
            reno.on_ack(&ack(at(2), octets));
        }
        assert_eq!(reno.cwnd(), now, "one octet short of a window");
        reno.on_ack(&ack(at(2), 1));
        assert_eq!(reno.cwnd(), window);
    }
    reno.on_ack(&ack(at(3), 1_000_000));
    assert_eq!(reno.cwnd(), 14_000, "one ACK, one segment");
}

#[test]
fn what_slow_start_leaves_over_counts_for_congestion_avoidance() {
    let mut reno = Reno::new(&Setup::new(MSS, 10_000, at(0)));
    reno.on_loss(&loss(at(0), LossKind::Timeout { first: true }, 20_000, MSS));
    reno.on_recovery_exit(at(1), 0);
    assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 10_000));
    reno.on_ack(&ack(at(2), 9000));
    assert_eq!(reno.cwnd(), 10_000);
    reno.on_ack(&ack(at(2), 9999));
    assert_eq!(reno.cwnd(), 10_000);
    reno.on_ack(&ack(at(2), 1));
    assert_eq!(reno.cwnd(), 11_000);
}

#[test]
fn req_nr_5_the_window_at_the_end_of_fast_recovery() {
    for (flight_size, cwnd) in [
        (0, 2000),
        (1500, 2500),
        (8999, 9999),
        (9500, 10_000),
        (40_000, 10_000),
    ] {
        let mut reno = Reno::new(&Setup::new(MSS, 10_000, at(0)));
        reno.on_loss(&loss(at(0), LossKind::FastRetransmit, 20_000, MSS));
        reno.on_recovery_exit(at(1), flight_size);
        assert_eq!(
            reno.cwnd(),
            cwnd,
            "min(ssthresh, max(FlightSize, SMSS) + SMSS)"
        );
        assert_eq!(reno.ssthresh(), 10_000);
    }
}

#[test]
fn the_end_of_a_timeouts_episode_leaves_the_window_where_slow_start_brought_it() {
    let mut reno = Reno::new(&Setup::new(MSS, 10_000, at(0)));
    reno.on_loss(&loss(at(0), LossKind::Timeout { first: true }, 20_000, MSS));
    reno.on_ack(&ack(at(2), 1000));
    reno.on_ack(&ack(at(2), 2000));
    assert_eq!(reno.cwnd(), 3000, "one segment per ACK");
    reno.on_recovery_exit(at(3), 0);
    assert_eq!(reno.cwnd(), 3000);
    reno.on_ack(&ack(at(4), 3000));
    assert_eq!(reno.cwnd(), 6000, "afterwards every octet counts again");
}
