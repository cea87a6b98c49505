//! RACK-TLP (RFC 8985) as the peer sees it: a round trip of 10 ms, ten segments of 1000 octets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod harness;

use std::time::Duration;

use harness::bulk::{self, segments, sent};
use harness::dialogue::{E, Setup};
use harness::{ms, us};
use transom_tcp::congestion::Algorithm;

const SACK: &str = "mss 1000,sackOK";

fn sending(options: &str, octets: usize) -> E {
    bulk::sending(options, octets, |config| config)
}

/// Ten segments are out, and a round trip has passed.
fn flight(octets: usize) -> E {
    let mut e = sending(SACK, octets);
    assert_eq!(sent(&mut e), segments(0..10));
    e.wait(ms(10));
    e
}

#[test]
fn req_rack_8_and_rack_9_a_lone_hole_waits_for_the_reordering_window() {
    let mut e = flight(10_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:2001>");
    e.silent();
    assert!(!e.conn.info().in_recovery);
    // A quarter of the least round trip.
    assert_eq!(e.next_deadline(), Some(us(2500)));
    e.wait(us(2499));
    e.silent();
    e.wait(us(1));
    assert_eq!(sent(&mut e), segments(0..1));
    let info = e.conn.info();
    assert!(info.in_recovery);
    assert_eq!((info.counters.timeouts, info.ssthresh), (0, 5000));
}

#[test]
fn req_rack_6_without_reordering_three_segments_or_a_recovery_need_no_window() {
    let mut e = flight(10_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:3001>");
    e.silent();
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    assert_eq!(sent(&mut e), segments(0..1), "three are enough");
    // In recovery the next hole is sure at once.
    let _ = e.lt(". 1:1 ack 1 <sack 5001:10001 1001:4001>");
    assert_eq!(sent(&mut e), segments(4..5));
}

#[test]
fn req_rack_5_and_rack_6_and_lx_20_where_segments_arrived_out_of_order_there_is_always_a_window() {
    let mut e = flight(20_000);
    // The first segment was overtaken: it arrives, never sent twice, below what arrived before.
    let _ = e.lt(". 1:1 ack 1 <sack 1001:3001>");
    let _ = e.lt(". 1:1 ack 3001");
    assert_eq!(e.conn.info().counters.retransmissions, 0);
    let _ = e.lt(". 1:1 ack 10001");
    let next = sent(&mut e);
    assert_eq!(next.first(), Some(&(10_001, 11_001)));
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 10001 <sack 11001:15001>");
    e.silent();
    assert_eq!(e.next_deadline(), Some(us(2500)), "even for four segments");
    e.wait(us(2500));
    assert_eq!(sent(&mut e), segments(10..11));
}

/// By how many segments the window grows in eight round trips of congestion avoidance, in each of which the first and
/// the fourth segment come behind the next two, on a path on which a segment came behind so many before.
fn grown_where(overtaken_by: i64) -> u64 {
    let mut e = flight(200_000);
    // Three would be enough for a retransmission where no reordering was seen.
    for end in [3001, 4001 + 1000 * overtaken_by] {
        let una = e.una();
        let _ = e.lt(&format!(". 1:1 ack {una} <sack {}:{end}>", una + 1000));
        let _ = e.lt(&format!(". 1:1 ack {end}"));
    }
    e.skip();
    assert_eq!(e.conn.info().counters.retransmissions, 0);
    // Slow start ends with a loss.
    let una = e.una();
    let _ = e.lt(&format!(
        ". 1:1 ack {una} <sack {}:{}>",
        una + 1000,
        una + 3000
    ));
    e.wait(us(2500));
    e.skip();
    let _ = e.lt(&format!(". 1:1 ack {}", e.snxt()));
    e.skip();
    let before = e.conn.info().cwnd;
    for _ in 0..8 {
        e.wait(ms(10));
        let nxt = e.snxt();
        for _ in 0..2 {
            let una = e.una();
            let _ = e.lt(&format!(
                ". 1:1 ack {una} <sack {}:{}>",
                una + 1000,
                una + 3000
            ));
            let _ = e.lt(&format!(". 1:1 ack {}", una + 3000));
        }
        let _ = e.lt(&format!(". 1:1 ack {nxt}"));
        e.skip();
    }
    assert_eq!(e.conn.info().counters.retransmissions, 1);
    (e.conn.info().cwnd - before) / 1000
}

#[test]
fn where_much_arrives_out_of_order_what_is_only_sacked_lets_the_window_grow_too() {
    // RFC 5681 §3.1: a segment a round trip; of six or more segments four were only SACKed.
    assert_eq!(grown_where(4), 8);
    assert_eq!(grown_where(2), 5);
}

#[test]
fn req_rack_7_duplicates_reported_widen_the_window_once_a_round() {
    let mut e = flight(40_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)));
    // It was late, not lost: the copy is reported as a duplicate, twice within the round.
    let _ = e.lt(". 1:1 ack 4001");
    let _ = e.lt(". 1:1 ack 4001 <sack 1:1001>");
    let _ = e.lt(". 1:1 ack 4001 <sack 1:1001>");
    let _ = e.lt(". 1:1 ack 10001");
    e.skip();
    e.wait(ms(10));
    let una = u32::try_from(e.snxt()).unwrap();
    let _ = e.lt(&format!(". 1:1 ack {una}"));
    let first = sent(&mut e)[0].0;
    e.wait(ms(10));
    let _ = e.lt(&format!(
        ". 1:1 ack {first} <sack {}:{}>",
        first + 1000,
        first + 2000
    ));
    assert_eq!(e.next_deadline(), Some(ms(5)), "two quarters");
}

#[test]
fn req_rack_1_and_rack_10_a_lost_retransmission_is_repaired_without_a_timeout() {
    let mut e = flight(30_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)), "first copy again");
    // New data goes out a little later than the retransmission …
    e.wait(ms(1));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:10001>");
    let after = sent(&mut e);
    assert_eq!(after.first(), Some(&(10_001, 11_001)));
    // … and arrives, so that the retransmission must be lost.
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:11001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)));
    assert_eq!(e.conn.info().counters.timeouts, 0);
}

#[test]
fn req_rack_13_with_prr_a_lost_retransmission_reduces_no_further() {
    let mut e = flight(30_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    e.skip();
    let ssthresh = e.conn.info().ssthresh;
    e.wait(ms(1));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:10001>");
    e.skip();
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:11001>");
    assert_eq!(e.conn.info().counters.retransmissions, 2);
    assert_eq!(e.conn.info().ssthresh, ssthresh);
}

#[test]
fn req_prr_11_and_prr_14_recovery_shrinks_to_ssthresh_in_proportion_and_goes_on_from_there() {
    let mut e = flight(40_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)));
    assert_eq!(e.conn.info().ssthresh, 5000);
    // Seven of ten are still to arrive, one by one: about every second lets one go.
    let mut out = 1;
    for end in 5..=10 {
        let _ = e.lt(&format!(". 1:1 ack 1 <sack 1001:{end}001>"));
        out += sent(&mut e).len();
    }
    assert!((4..=6).contains(&out), "{out}");
    e.wait(ms(10));
    let recovery_point = 10_001;
    let _ = e.lt(&format!(". 1:1 ack {recovery_point}"));
    assert!(!e.conn.info().in_recovery);
    // The acknowledgement that ends it counts as growth already.
    let cwnd = e.conn.info().cwnd;
    assert!((5000..=6000).contains(&cwnd), "{cwnd}");
}

#[test]
fn req_rack_11_after_a_timeout_what_was_sent_just_now_is_not_held_for_lost() {
    let mut e = sending(SACK, 1000);
    // The probe of the lone segment, and then the timeout.
    e.wait(ms(210));
    assert_eq!(sent(&mut e).len(), 2);
    e.wait(ms(209));
    e.write(1000);
    assert_eq!(sent(&mut e), segments(1..2));
    e.wait(ms(1));
    assert_eq!(sent(&mut e), segments(0..1));
    let info = e.conn.info();
    assert_eq!(info.counters.timeouts, 1);
    assert_eq!(info.pipe, 2000, "the new one is still in flight");
}

#[test]
fn req_rack_12_and_cve_27_what_is_lost_is_sent_again_as_the_window_allows() {
    let mut e = flight(10_000);
    let _ = e.lt(". 1:1 ack 1 <sack 9001:10001>");
    e.wait(us(2500));
    // Nine are lost; nothing but the first goes at once.
    let again = sent(&mut e);
    assert!(again.len() <= 2, "{again:?}");
    assert_eq!(again.first(), Some(&(1, 1001)));
    assert!(e.conn.info().pipe <= 2000);
}

#[test]
fn req_rack_14_without_sack_duplicates_are_counted_and_no_tail_is_probed() {
    let mut e = sending("mss 1000", 20_000);
    e.skip();
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1");
    let _ = e.lt(". 1:1 ack 1");
    assert!(!e.conn.info().in_recovery);
    let _ = e.lt(". 1:1 ack 1");
    assert!(e.conn.info().in_recovery);
    let mut e = sending("mss 1000", 3000);
    e.skip();
    assert_eq!(e.next_deadline(), Some(ms(210)), "the timeout, no probe");
}

#[test]
fn req_tlp_1_and_tlp_2_and_tlp_4_and_tlp_5_the_last_segment_again_after_two_round_trips() {
    let mut e = sending(SACK, 3000);
    assert_eq!(sent(&mut e), segments(0..3));
    assert_eq!(e.next_deadline(), Some(ms(22)));
    // Counted from the last new data.
    e.wait(ms(5));
    e.write(1000);
    assert_eq!(sent(&mut e), segments(3..4));
    assert_eq!(e.next_deadline(), Some(ms(22)));
    e.wait(ms(22));
    assert_eq!(sent(&mut e), segments(3..4));
    assert_eq!(e.next_deadline(), Some(ms(210)), "then the timeout");
    e.wait(ms(210));
    assert_eq!(sent(&mut e), segments(0..1));
    assert_eq!(e.conn.info().counters.timeouts, 1);
}

#[test]
fn req_tlp_2_a_lone_segment_waits_for_a_delayed_acknowledgement_but_not_past_the_timeout() {
    let mut e = sending(SACK, 1000);
    e.skip();
    // 2·10 ms + 200 ms would be later than the timeout of 210 ms.
    assert_eq!(e.next_deadline(), Some(ms(210)));
    e.wait(ms(210));
    assert_eq!(sent(&mut e), segments(0..1));
    assert_eq!(e.conn.info().counters.timeouts, 0, "as a probe");
}

#[test]
fn req_tlp_1_sacked_data_or_a_recovery_leave_only_the_timeout() {
    let mut e = flight(10_000);
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    e.skip();
    // In recovery: the timeout of the oldest, counted from its latest copy.
    assert!(e.conn.info().in_recovery);
    assert_eq!(e.next_deadline(), Some(ms(210)));
}

#[test]
fn req_tlp_4_new_data_is_the_better_probe_even_beyond_the_congestion_window() {
    let mut e = sending(SACK, 20_000);
    assert_eq!(sent(&mut e), segments(0..10));
    e.wait(ms(22));
    assert_eq!(sent(&mut e), segments(10..11));
    // Acknowledged, it ends the probing without a reduction (TLP-6).
    e.wait(ms(10));
    let before = e.conn.info().ssthresh;
    let _ = e.lt(". 1:1 ack 11001");
    assert_eq!(e.conn.info().ssthresh, before);
}

#[test]
fn req_tlp_4_where_the_peers_window_is_full_the_last_segment_goes_again() {
    let mut e = Setup::default()
        .config(|config| config.congestion(Algorithm::Reno).timestamps(false))
        .peer(SACK)
        .established();
    let _ = e.lt(". 1:1 ack 1 win 5000");
    e.write(20_000);
    assert_eq!(sent(&mut e), segments(0..5));
    e.wait(ms(22));
    assert_eq!(sent(&mut e), segments(4..5));
}

#[test]
fn req_tlp_3_a_second_probe_needs_a_new_measurement() {
    let mut e = sending(SACK, 3000);
    e.skip();
    e.wait(ms(22));
    assert_eq!(sent(&mut e), segments(2..3));
    // New data while the probe is open: no second probe.
    e.write(1000);
    e.skip();
    assert_eq!(e.next_deadline(), Some(ms(210)));
    // All acknowledged, the probe's original measured nothing: still none.
    let _ = e.lt(". 1:1 ack 3001");
    assert!(e.next_deadline().unwrap() > ms(100));
    let _ = e.lt(". 1:1 ack 4001");
    e.write(2000);
    e.skip();
    assert!(e.next_deadline().unwrap() < ms(30), "measured again");
}

/// The tail of three segments was probed by sending the last again.
fn probed() -> E {
    let mut e = sending(SACK, 3000);
    e.skip();
    e.wait(ms(22));
    assert_eq!(sent(&mut e), segments(2..3));
    e.wait(ms(5));
    e
}

#[test]
fn req_tlp_6_a_duplicate_reported_for_the_probe_means_that_nothing_was_lost() {
    let mut e = probed();
    let before = (e.conn.info().cwnd, e.conn.info().ssthresh);
    let _ = e.lt(". 1:1 ack 3001");
    let _ = e.lt(". 1:1 ack 3001 <sack 2001:3001>");
    e.write(1000);
    e.skip();
    let _ = e.lt(". 1:1 ack 4001");
    assert_eq!(e.conn.info().ssthresh, before.1);
    assert!(e.conn.info().cwnd >= before.0);
}

#[test]
fn req_tlp_6_a_bare_duplicate_means_the_same_of_a_peer_that_reports_none() {
    let mut e = probed();
    let before = e.conn.info().ssthresh;
    let _ = e.lt(". 1:1 ack 3001");
    let _ = e.lt(". 1:1 ack 3001");
    e.write(1000);
    e.skip();
    let _ = e.lt(". 1:1 ack 4001");
    assert_eq!(e.conn.info().ssthresh, before);
}

#[test]
fn req_tlp_6_a_probe_that_repaired_a_loss_reduces_the_window_once() {
    let mut e = probed();
    let before = e.conn.info().cwnd;
    // The first two had been acknowledged by the probe's own acknowledgement: one was lost.
    let _ = e.lt(". 1:1 ack 3001");
    e.write(1000);
    e.skip();
    let _ = e.lt(". 1:1 ack 4001");
    let info = e.conn.info();
    assert!(!info.in_recovery);
    assert!(
        info.ssthresh < before && info.cwnd <= before / 2 + 1000,
        "{} {}",
        info.ssthresh,
        info.cwnd
    );
    let ssthresh = info.ssthresh;
    e.write(1000);
    e.skip();
    let _ = e.lt(". 1:1 ack 5001");
    assert_eq!(e.conn.info().ssthresh, ssthresh);
}

#[test]
fn req_tlp_7_a_timeout_forgets_the_probe() {
    let mut e = probed();
    e.wait(ms(210));
    assert_eq!(e.conn.info().counters.timeouts, 1);
    e.skip();
    let ssthresh = e.conn.info().ssthresh;
    let _ = e.lt(". 1:1 ack 3001");
    e.write(1000);
    e.skip();
    let _ = e.lt(". 1:1 ack 4001");
    assert_eq!(e.conn.info().ssthresh, ssthresh);
}

#[test]
fn req_tlp_8_and_ev_o_7_one_deadline_at_a_time_behind_what_is_outstanding() {
    // Nothing else runs in this fixture, so that the next deadline is the only one.
    let mut e = flight(10_000);
    let deadline = |e: &E| e.next_deadline().unwrap();
    assert_eq!(deadline(&e), ms(12), "the probe");
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(deadline(&e), ms(22), "the probe, later");
    let _ = e.lt(". 1:1 ack 1001 <sack 2001:3001>");
    assert_eq!(deadline(&e), us(2500), "reordering instead");
    let _ = e.lt(". 1:1 ack 3001");
    assert_eq!(deadline(&e), ms(22), "what was overtaken has arrived");
    let _ = e.lt(". 1:1 ack 3001 win 0");
    let _ = e.lt(". 1:1 ack 10001 win 0");
    e.write(1000);
    e.skip();
    assert_eq!(deadline(&e), e.conn.info().rto, "the closed window");
    let _: Duration = deadline(&e);
}
