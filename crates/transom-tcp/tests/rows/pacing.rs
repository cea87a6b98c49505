//! Pacing (C.21): bursts of a millisecond, at the rates of Linux, by a timer among the others.
//!
//! An initial window goes at once after a pause, so that what is paced here follows a first segment.

use std::time::Duration;

use transom_tcp::TransmitKind;

use crate::harness::dialogue::{E, Setup};
use crate::harness::ms;

/// A connection with a round trip of 100 ms and segments of 1000 octets, its first window ahead.
fn paced() -> E {
    let mut e = Setup::default()
        .config(|config| config.pacing(true).nodelay(true))
        .syn_sent();
    e.wait(ms(100));
    e.lt("S. 0:0 ack 1 <mss 1000,sackOK>").unwrap();
    e.skip();
    e
}

/// The same with all but the last segment of the first window acknowledged, and much more to send.
fn acknowledged() -> E {
    let mut e = paced();
    e.write(40_000);
    burst(&mut e);
    e.wait(ms(100));
    e.lt_unanswered(". 1:1 ack 9001");
    e
}

/// Octets sent now.
fn burst(e: &mut E) -> usize {
    let mut octets = 0;
    while let Some(transmit) = e.next() {
        octets += transmit.payload.len();
    }
    octets
}

#[test]
fn req_pace_3_the_first_window_goes_at_once() {
    let mut e = paced();
    e.write(20_000);
    assert_eq!(burst(&mut e), 10_000);
    e.wait(ms(90));
    e.silent();
}

#[test]
fn req_pace_1_then_twice_the_window_a_round_trip_two_segments_at_once() {
    let mut e = acknowledged();
    // 19 segments in 100 ms, twice as fast: 380 octets a millisecond.
    assert_eq!(e.conn.info().cwnd, 19_000);
    assert_eq!(e.conn.info().pacing_rate, Some(380_000));
    for n in 1..=9 {
        assert_eq!(burst(&mut e), 2000, "burst {n}");
        if n < 9 {
            let wait = e.next_deadline().unwrap();
            assert_eq!(wait.as_micros(), 2_000_000_000 / 380_000);
            e.wait(wait - ms(1));
            e.silent();
            e.wait(ms(1));
        }
    }
    e.wait(ms(6));
    e.silent();
}

#[test]
fn the_first_window_doubles_though_what_follows_it_is_paced() {
    let mut e = paced();
    e.write(40_000);
    assert_eq!(burst(&mut e), 10_000);
    e.wait(ms(100));
    for segments in 2..=10 {
        e.lt_unanswered(&format!(". 1:1 ack {}", segments * 1000 + 1));
        // The next round trip begins while more than half of the window is still to be acknowledged.
        if segments >= 4 {
            burst(&mut e);
        }
    }
    assert_eq!(e.conn.info().cwnd, 20_000);
}

#[test]
fn req_pace_3_without_a_round_trip_the_first_window_goes_at_once() {
    // Karn: a SYN that was sent twice measured nothing.
    let mut e = Setup::default()
        .config(|config| config.pacing(true).timestamps(false))
        .syn_sent();
    e.wait(Duration::from_secs(1));
    e.skip();
    e.lt("S. 0:0 ack 1 <mss 1000>").unwrap();
    e.skip();
    assert_eq!(e.conn.info().srtt, None);
    assert_eq!(e.conn.info().pacing_rate, None);
    e.write(10_000);
    assert_eq!(burst(&mut e), 10_000);
}

#[test]
fn req_prr_12_what_a_recovery_leaves_room_for_is_paced() {
    let mut e = paced();
    e.write(11_000);
    assert_eq!(burst(&mut e), 10_000);
    e.wait(ms(100));
    e.lt(". 1:1 ack 1 <sack 1001:4001>").unwrap();
    assert!(e.conn.info().in_recovery);
    e.skip();
    e.wait(ms(100));
    e.skip();
    // All but the segment that was new in the recovery.
    e.lt(". 1:1 ack 10001").unwrap();
    let info = e.conn.info();
    assert!(!info.in_recovery && info.pipe == 1000, "{info:?}");
    assert!(info.cwnd >= 5000, "room for a burst");
    e.write(10_000);
    let first = burst(&mut e);
    assert!((1000..=3000).contains(&first), "{first}");
}

#[test]
fn req_pace_2_a_burst_with_offload_is_one_super_segment() {
    let mut e = paced();
    e.max_payload = 60_000;
    e.write(40_000);
    burst(&mut e);
    e.wait(ms(100));
    e.lt_unanswered(". 1:1 ack 9001");
    // 19 segments in 100 ms, twice as fast: less than two segments a millisecond.
    assert_eq!(e.next().unwrap().payload.len(), 2000);
    e.silent();
}

#[test]
fn req_pace_4_retransmissions_wait_and_acknowledgements_do_not() {
    let mut e = paced();
    e.write(20_000);
    burst(&mut e);
    e.wait(ms(100));
    e.lt_unanswered(". 1:1 ack 1 <sack 6001:10001>");
    // What was lost is sent again two segments at a time.
    let first = e.next().unwrap();
    assert!(matches!(first.kind, TransmitKind::Retransmit(_)));
    let sent = first.payload.len() + burst(&mut e);
    assert!((1..=2000).contains(&sent), "{sent}");
    // The peer's data is acknowledged meanwhile.
    e.lt(". 1:1001 ack 1 <sack 6001:10001>").unwrap();
    e.lt("P. 1001:2001 ack 1 <sack 6001:10001>").unwrap();
    let ack = e.next().expect("an acknowledgement");
    assert!(ack.payload.is_empty());
    e.silent();
}

#[test]
fn req_pace_5_the_deadline_is_among_the_timers_and_off_means_none() {
    let mut e = acknowledged();
    burst(&mut e);
    let wait = e.next_deadline().unwrap();
    assert_eq!(wait.as_micros(), 2_000_000_000 / 380_000);
    let mut plain = E::established();
    assert_eq!(plain.conn.info().pacing_rate, None);
    plain.write(10_000);
    assert_eq!(burst(&mut plain), 10_000);
}
