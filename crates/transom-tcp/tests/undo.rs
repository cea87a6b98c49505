//! What was sent again in vain (RFC 3522, 5682, 2883): the congestion window as if nothing had
//! happened. A round trip of 10 ms, ten segments of 1000 octets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod harness;

use harness::bulk::{self, segments, sent};
use harness::dialogue::{E, Setup};
use harness::ms;
use transom_tcp::congestion::Algorithm;
use transom_tcp::{CongestionState, EcnUse};

const SACK: &str = "mss 1000,sackOK";
/// The value of our timestamp clock when the handshake ends.
const READY: u64 = 1_000_010;

fn sending(options: &str, octets: usize) -> E {
    bulk::sending(options, octets, |config| config.tail_loss_probe(false))
}

fn window(e: &E) -> (u64, u64) {
    (e.conn.info().cwnd, e.conn.info().ssthresh)
}

/// Ten segments are out, and the timer has expired.
fn timed_out(options: &str, octets: usize) -> (E, (u64, u64)) {
    let mut e = sending(options, octets);
    let before = window(&e);
    assert_eq!(sent(&mut e).len(), 10);
    e.wait(e.conn.info().rto);
    assert_eq!(sent(&mut e).len(), 1, "the first again");
    assert_eq!(e.conn.info().congestion_state, CongestionState::Loss);
    assert_eq!(e.conn.info().cwnd, u64::from(e.conn.info().eff_snd_mss));
    (e, before)
}

#[test]
fn req_undo_1_and_dsack_6_a_fast_retransmit_whose_copies_were_all_duplicates_is_taken_back() {
    let mut e = sending(SACK, 30_000);
    let before = window(&e);
    assert_eq!(sent(&mut e), segments(0..10));
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1 <sack 2001:7001>");
    assert_eq!(sent(&mut e)[..2], segments(0..2));
    assert!(window(&e).1 < before.1);
    // Both were late; the copies come after the episode has ended.
    let _ = e.lt(". 1:1 ack 10001");
    assert!(!e.conn.info().in_recovery);
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 10001 <sack 1:1001>");
    assert!(window(&e).1 < before.1, "one of two");
    assert_eq!(e.conn.info().counters.undone, 0);
    let _ = e.lt(". 1:1 ack 10001 <sack 1001:2001>");
    assert!(window(&e).0 >= before.0 && window(&e).1 == before.1);
    let counters = e.conn.info().counters;
    assert_eq!((counters.undone, counters.duplicates_reported), (1, 2));
}

#[test]
fn req_undo_1_a_duplicate_of_something_else_takes_nothing_back() {
    let mut e = sending(SACK, 30_000);
    e.skip();
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:5001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)));
    let reduced = e.conn.info().ssthresh;
    let _ = e.lt(". 1:1 ack 10001 <sack 3001:4001>");
    let _ = e.lt(". 1:1 ack 10001 <sack 4001:5001>");
    assert_eq!(e.conn.info().ssthresh, reduced);
    assert_eq!(e.conn.info().counters.undone, 0);
}

#[test]
fn req_dsack_6_the_reordering_window_grows_even_if_fast_retransmit_hid_the_reordering() {
    let mut e = sending(SACK, 40_000);
    e.skip();
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 1 <sack 1001:4001>");
    assert_eq!(sent(&mut e).first(), Some(&(1, 1001)));
    assert_eq!(e.conn.info().reordering, 0);
    let _ = e.lt(". 1:1 ack 10001");
    e.skip();
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 10001 <sack 1:1001>");
    assert_eq!(e.conn.info().reordering, 1);
    // Three segments above a hole are no proof from now on.
    e.skip();
    e.wait(ms(10));
    let una = 10_001;
    let _ = e.lt(&format!(
        ". 1:1 ack {una} <sack {}:{}>",
        una + 1000,
        una + 4000
    ));
    assert!(!e.conn.info().in_recovery);
}

#[test]
fn req_eif_1_and_undo_1_a_gap_that_an_older_segment_closed_was_no_loss() {
    let options = format!("mss 1000,sackOK,TS val 1 ecr {}", READY - 10);
    let mut e = sending(&options, 30_000);
    let before = window(&e);
    let first = sent(&mut e);
    let (second, fourth) = (first[0].1, first[2].1);
    e.wait(ms(10));
    let _ = e.lt(&format!(
        ". 1:1 ack 1 <TS val 2 ecr {READY},sack {second}:{fourth}>"
    ));
    e.skip();
    e.wait(ms(3));
    assert_eq!(
        sent(&mut e).first(),
        Some(&first[0]),
        "after the reordering window"
    );
    assert!(e.conn.info().in_recovery && window(&e).1 < before.1);
    // The original: its timestamp is the one of the first sending.
    e.wait(ms(4));
    let _ = e.lt(&format!(". 1:1 ack {fourth} <TS val 3 ecr {READY}>"));
    assert!(!e.conn.info().in_recovery, "the copy is not waited for");
    assert!(window(&e).0 >= before.0 && window(&e).1 == before.1);
    assert_eq!((e.conn.info().lost, e.conn.info().reordering), (0, 1));
}

#[test]
fn req_eif_1_what_the_copy_brought_about_stays() {
    let options = format!("mss 1000,sackOK,TS val 1 ecr {}", READY - 10);
    let mut e = sending(&options, 30_000);
    let first = sent(&mut e);
    e.wait(ms(10));
    let _ = e.lt(&format!(
        ". 1:1 ack 1 <TS val 2 ecr {READY},sack {}:{}>",
        first[0].1, first[3].1
    ));
    assert_eq!(sent(&mut e).first(), Some(&first[0]));
    let reduced = e.conn.info().ssthresh;
    e.wait(ms(10));
    let copy = READY + 10;
    let _ = e.lt(&format!(". 1:1 ack {} <TS val 3 ecr {copy}>", first[9].1));
    assert!(!e.conn.info().in_recovery);
    assert_eq!(e.conn.info().ssthresh, reduced);
    assert_eq!(e.conn.info().counters.undone, 0);
}

#[test]
fn req_eif_3_a_timeout_that_an_old_acknowledgement_refutes_sends_nothing_else_again() {
    let options = format!("mss 1000,TS val 1 ecr {}", READY - 10);
    let (mut e, before) = timed_out(&options, 30_000);
    let flight = e.conn.info().snd_nxt;
    e.wait(ms(1));
    // The answer to the original, a whole timeout late.
    let _ = e.lt(&format!(". 1:1 ack 989 <TS val 2 ecr {READY}>"));
    let info = e.conn.info();
    assert_eq!((info.counters.undone, info.lost), (1, 0));
    assert_eq!(info.congestion_state, CongestionState::Open);
    assert!(info.cwnd >= before.0 && info.ssthresh == before.1);
    // New data only.
    let next = sent(&mut e);
    assert!(!next.is_empty());
    assert!(e.conn.info().snd_nxt.gt(flight));
    assert_eq!(e.conn.info().counters.retransmissions, 1);
}

#[test]
fn req_eif_3_not_when_a_router_reports_congestion_at_the_same_time() {
    let mut e = Setup::default()
        .config(|config| config.congestion(Algorithm::Reno).ecn(EcnUse::Request))
        .syn_sent_with("SEW 0:0");
    e.wait(ms(10));
    let at = READY - 10;
    let _ = e.lt(&format!("SE. 0:0 ack 1 <mss 1000,TS val 1 ecr {at}>"));
    e.skip();
    e.write(30_000);
    let ssthresh = e.conn.info().ssthresh;
    assert!(e.conn.info().ecn);
    e.skip();
    e.wait(e.conn.info().rto);
    e.skip();
    e.wait(ms(1));
    let _ = e.lt(&format!("E. 1:1 ack 989 <TS val 2 ecr {READY}>"));
    assert!(e.conn.info().ssthresh < ssthresh);
}

#[test]
fn req_frto_1_and_frto_2_and_frto_3_after_a_timeout_new_data_shows_that_nothing_was_lost() {
    // Without SACK and without timestamps there is nothing else to tell by.
    let (mut e, before) = timed_out("mss 1000", 30_000);
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(10..12), "new data, nothing again");
    let _ = e.lt(". 1:1 ack 2001");
    let info = e.conn.info();
    assert_eq!((info.counters.undone, info.lost), (1, 0));
    assert!(info.cwnd >= before.0 && info.ssthresh == before.1);
    assert_eq!(info.counters.retransmissions, 1);
}

#[test]
fn req_frto_2_the_acknowledgement_of_everything_proves_nothing() {
    let (mut e, before) = timed_out("mss 1000", 30_000);
    let _ = e.lt(". 1:1 ack 10001");
    assert_eq!(e.conn.info().counters.undone, 0);
    assert_eq!(e.conn.info().ssthresh, 5000);
    assert!(
        e.conn.info().cwnd < before.0,
        "slow start up to the threshold"
    );
    assert_eq!(sent(&mut e).first(), Some(&(10_001, 11_001)));
}

#[test]
fn req_frto_2_a_duplicate_comes_first_and_the_rest_goes_again() {
    let (mut e, _) = timed_out("mss 1000", 30_000);
    let _ = e.lt(". 1:1 ack 1");
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(1..3), "slow start over what is lost");
}

#[test]
fn req_frto_3_a_duplicate_for_the_new_data_means_loss_and_slow_start() {
    let (mut e, _) = timed_out("mss 1000", 30_000);
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(10..12));
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(e.conn.info().counters.undone, 0);
    assert!(e.conn.info().cwnd <= 3000);
    assert_eq!(sent(&mut e), segments(1..2));
    e.wait(ms(10));
    let _ = e.lt(". 1:1 ack 2001");
    assert_eq!(sent(&mut e), segments(2..3), "one segment more");
}

#[test]
fn req_frto_4_with_sack_an_original_that_arrives_is_proof_enough() {
    let (mut e, before) = timed_out(SACK, 30_000);
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(10..12));
    // Beyond a gap: never sent again, and sent before the timeout.
    let _ = e.lt(". 1:1 ack 1001 <sack 2001:3001>");
    let info = e.conn.info();
    assert_eq!(info.counters.undone, 1);
    assert!(info.cwnd >= before.0 && info.ssthresh == before.1);
}

#[test]
fn req_frto_4_data_sent_after_the_timeout_is_no_proof() {
    let (mut e, _) = timed_out(SACK, 30_000);
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(10..12));
    let _ = e.lt(". 1:1 ack 1001 <sack 10001:11001>");
    assert_eq!(e.conn.info().counters.undone, 0);
    assert_eq!(
        sent(&mut e).first(),
        Some(&(1001, 2001)),
        "they are lost indeed"
    );
}

#[test]
fn req_frto_5_where_nothing_new_may_be_sent_the_rest_goes_again() {
    // No data.
    let (mut e, _) = timed_out(SACK, 10_000);
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(1..3));
    // No window.
    let (mut e, _) = timed_out(SACK, 30_000);
    let _ = e.lt(". 1:1 ack 1001 win 9000");
    assert_eq!(sent(&mut e), segments(1..3));
}

#[test]
fn req_frto_1_a_second_timeout_in_the_same_episode_is_taken_at_its_word() {
    let (mut e, _) = timed_out(SACK, 30_000);
    e.wait(e.conn.info().rto);
    assert_eq!(sent(&mut e), segments(0..1));
    let _ = e.lt(". 1:1 ack 1001");
    assert_eq!(sent(&mut e), segments(1..3), "nothing new");
}
