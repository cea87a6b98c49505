//! Loss recovery and congestion control as the peer sees them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod harness;

use harness::bulk;
use harness::dialogue::E;
use harness::{ms, secs};

fn sending(options: &str, octets: usize) -> E {
    bulk::sending(options, octets, |config| config)
}

/// The next segments must be these stretches of data, in this order.
#[track_caller]
fn data(e: &mut E, stretches: &[(u32, u32)]) {
    for &(from, to) in stretches {
        let line = e
            .next_line()
            .unwrap_or_else(|| panic!("{from}:{to} expected, nothing came"));
        assert!(
            line.contains(&format!(" {from}:{to} ")),
            "{from}:{to} expected, {line} came"
        );
    }
}

fn ten() -> Vec<(u32, u32)> {
    bulk::segments(0..10)
}

#[test]
fn req_cc_9_only_a_pure_repetition_is_a_duplicate() {
    let duplicates = ". 1:1 ack 1";
    // Each of the five negations, three times: no fast retransmit.
    for line in [
        "P. 1:11 ack 1",
        ". 1:1 ack 1 win 50000",
        ". 1:1 ack 1 win 61000",
    ] {
        let mut e = sending("mss 1000", 10_000);
        data(&mut e, &ten());
        for i in 0..3 {
            // The window differs each time, or there is payload.
            let line = match line.split_once("win ") {
                Some((head, win)) => format!("{head}win {}", win.parse::<u32>().unwrap() + i),
                None => line.to_owned(),
            };
            let _ = e.lt(&line);
        }
        e.drain();
        while let Some(line) = e.next_line() {
            assert!(
                !line.contains(" 1:1001 "),
                "{line} after negated duplicates"
            );
        }
    }
    // Nothing outstanding: nothing to repeat.
    let mut e = sending("mss 1000", 0);
    for _ in 0..5 {
        let _ = e.lt(duplicates);
    }
    e.silent();
    // An old acknowledgement is none either.
    let mut e = sending("mss 1000", 10_000);
    data(&mut e, &ten());
    let _ = e.lt(". 1:1 ack 1001");
    for _ in 0..3 {
        let _ = e.lt(duplicates);
    }
    e.silent();
}

#[test]
fn req_cc_10_the_third_duplicate_brings_the_first_segment_again() {
    let mut e = sending("mss 1000", 14_000);
    data(&mut e, &ten());
    let _ = e.lt(". 1:1 ack 1");
    data(&mut e, &[(10_001, 11_001)]);
    let _ = e.lt(". 1:1 ack 1");
    data(&mut e, &[(11_001, 12_001)]);
    e.silent();
    let _ = e.lt(". 1:1 ack 1");
    data(&mut e, &[(1, 1001)]);
    e.silent();
    let info = e.conn.info();
    assert_eq!((info.ssthresh, info.counters.timeouts), (5000, 0));
    assert!(info.in_recovery);
}

#[test]
fn req_nr_4_a_partial_acknowledgement_brings_the_next_hole() {
    let mut e = sending("mss 1000", 10_000);
    data(&mut e, &ten());
    for _ in 0..3 {
        let _ = e.lt(". 1:1 ack 1");
    }
    data(&mut e, &[(1, 1001)]);
    let _ = e.lt(". 1:1 ack 5001");
    data(&mut e, &[(5001, 6001)]);
    e.silent();
    let _ = e.lt(". 1:1 ack 10001");
    assert!(!e.conn.info().in_recovery);
    e.silent();
}

#[test]
fn req_s6675_3_sacked_data_brings_exactly_the_holes() {
    let mut e = sending("mss 1000,sackOK", 10_000);
    data(&mut e, &ten());
    let _ = e.lt(". 1:1 ack 1 <sack 1001:2001>");
    let _ = e.lt(". 1:1 ack 1 <sack 1001:2001 3001:4001>");
    e.silent();
    let _ = e.lt(". 1:1 ack 1 <sack 9001:10001 3001:4001 1001:2001>");
    data(&mut e, &[(1, 1001)]);
    let info = e.conn.info();
    assert_eq!(info.ssthresh, 5000);
    // 2001 has only two ranges above it: not lost yet.
    let _ = e.lt(". 1:1 ack 1 <sack 5001:9001 3001:4001 1001:2001>");
    data(&mut e, &[(2001, 3001), (4001, 5001)]);
    e.silent();
    let _ = e.lt(". 1:1 ack 10001");
    assert!(!e.conn.info().in_recovery);
    assert_eq!(e.conn.info().counters.retransmissions, 3);
}

#[test]
fn req_rto_13_with_little_outstanding_the_timeout_counts_from_when_it_was_sent() {
    let opened = |segments: usize| {
        bulk::sending("mss 1000", segments * 1000, |config| {
            config.rto_restart(true)
        })
    };
    // Two are left after the acknowledgement.
    let mut e = opened(3);
    let _ = bulk::sent(&mut e);
    e.wait(ms(50));
    let _ = e.lt(". 1:1 ack 1001");
    let rto = e.conn.info().rto;
    assert_eq!(e.next_deadline(), Some(rto - ms(50)));
    e.wait(rto - ms(50));
    data(&mut e, &[(1001, 2001)]);
    // The time of what is left has passed: all of it from now on.
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 2001");
    assert_eq!(e.next_deadline(), Some(e.conn.info().rto));
    // Four are left: duplicates would tell.
    let mut e = opened(5);
    let _ = bulk::sent(&mut e);
    e.wait(ms(50));
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(e.next_deadline(), Some(e.conn.info().rto));
}

#[test]
fn req_rto_8_and_cc_3_the_timer_restarts_and_doubles_and_one_segment_goes() {
    let mut e = sending("mss 1000", 3000);
    data(&mut e, &[(1, 1001), (1001, 2001), (2001, 3001)]);
    let rto = e.conn.info().rto;
    e.wait(rto / 2);
    let _ = e.lt(". 1:1 ack 1001");
    // 5.3: restarted by the acknowledgement of new data, so nothing happens half an RTO later.
    let rto = e.conn.info().rto;
    assert_eq!(e.next_deadline(), Some(rto));
    e.wait(rto - ms(1));
    e.silent();
    e.wait(ms(1));
    data(&mut e, &[(1001, 2001)]);
    e.silent();
    assert_eq!(e.conn.info().cwnd, 1000);
    assert_eq!(e.conn.info().rto, rto * 2);
    e.wait(rto * 2);
    data(&mut e, &[(1001, 2001)]);
    // 5.2: stopped when everything is acknowledged.
    let _ = e.lt(". 1:1 ack 3001");
    assert_eq!(e.next_deadline(), None);
}

#[test]
fn req_rto_6_and_rto_10_a_stale_echo_measures_nothing_and_the_backoff_stays() {
    // The segment arrived, its acknowledgement was lost. The repetition is outside the peer's
    // window, so the peer's echo is still that of the first: not a round trip of a whole second.
    let ten_ms = 1_000_010_u64;
    let mut e = sending(&format!("mss 1000,TS val 1 ecr {}", ten_ms - 10), 1000);
    let rto = e.conn.info().rto;
    data(&mut e, &[(1, 989), (989, 1001)]);
    e.wait(rto);
    data(&mut e, &[(1, 989)]);
    e.wait(ms(10));
    let _ = e.lt(&format!(". 1:1 ack 989 <TS val 2 ecr {ten_ms}>"));
    let info = e.conn.info();
    assert_eq!((info.srtt, info.rto), (Some(ms(10)), rto * 2));
    // EIF-1: the timeout was needless, so that the second is not taken for lost with the first.
    assert_eq!(info.counters.undone, 1);
    e.silent();
    e.wait(rto * 2);
    // An echo of a repetition is a measurement, and ends the backoff.
    data(&mut e, &[(989, 1001)]);
    e.wait(ms(10));
    let echo = ten_ms + 10 + 3 * rto.as_millis() as u64;
    let _ = e.lt(&format!(". 1:1 ack 1001 <TS val 3 ecr {echo}>"));
    let info = e.conn.info();
    assert!(info.rto <= rto, "{:?}", info.rto);
    assert_eq!(info.srtt, Some(ms(10)));
}

#[test]
fn req_rto_12_a_pure_ack_is_never_repeated() {
    let mut e = E::established();
    let _ = e.lt("P. 1:101 ack 1");
    e.wait(ms(100));
    e.gt(". 1:1 ack 101");
    e.wait(secs(60));
    e.silent();
}

#[test]
fn req_sack_9_and_sec_sack_5_a_reneging_peer_gets_everything_by_timeout() {
    let mut e = sending("mss 1000,sackOK", 6000);
    data(&mut e, &ten()[..6]);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:6001>");
    data(&mut e, &[(1, 1001)]);
    // The peer loses all of it again and acknowledges nothing but the first segment.
    let _ = e.lt(". 1:1 ack 1001");
    let mut repeated = std::collections::BTreeSet::new();
    for _ in 0..40 {
        e.wait(secs(1));
        let mut top = 1001;
        while let Some(line) = e.next_line() {
            let start = line
                .split([' ', ':'])
                .nth(1)
                .unwrap()
                .parse::<u32>()
                .unwrap();
            assert!(start >= 1001);
            repeated.insert(start);
            top = top.max(start + 1000);
        }
        let _ = e.lt(&format!(". 1:1 ack {top}"));
        if top == 6001 {
            break;
        }
    }
    assert_eq!(
        repeated.into_iter().collect::<Vec<_>>(),
        [1001, 2001, 3001, 4001, 5001]
    );
    assert_eq!(e.conn.info().send_queue, 0);
}

#[test]
fn req_cc_11_never_more_outstanding_than_both_windows_allow() {
    for (window, octets) in [(60_000, 200_000), (4500, 200_000)] {
        let mut e = sending("mss 1000", octets);
        let (mut una, mut max) = (1_u32, 0_u32);
        for _ in 0..60 {
            let cwnd = e.conn.info().cwnd;
            let mut nxt = una;
            while let Some(line) = e.next_line() {
                let end = line
                    .split([' ', ':'])
                    .nth(2)
                    .unwrap()
                    .parse::<u32>()
                    .unwrap();
                nxt = nxt.max(end);
            }
            let grew = nxt > max;
            max = max.max(nxt);
            let out = max - una;
            assert!(u64::from(out) <= cwnd, "{out} octets exceed cwnd {cwnd}");
            // A peer that takes back window cannot call back what is under way already.
            let allowed = if una == 1 { 60_000 } else { window };
            assert!(
                !grew || out <= allowed,
                "{out} octets exceed the peer's window"
            );
            if max == una {
                break;
            }
            una = una.max(max.min(una + 2000));
            let _ = e.lt(&format!(". 1:1 ack {una} win {window}"));
        }
        assert!(una > 60_000);
    }
}
