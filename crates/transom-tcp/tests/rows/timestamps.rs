//! RFC 7323: timestamps and PAWS; round-trip times.

use transom_tcp::{Config, Discard, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

/// The clock of the fixture stands at 1 000 000 ms when the SYN is sent.
const T: u32 = 1_000_000;

/// E(ESTABLISHED) with timestamps: the peer's SYN-ACK said 100.
fn established() -> E {
    let on = |c: Config| c.timestamps(true);
    let mut e = Setup::default().config(on).syn_sent();
    e.wait(ms(10));
    e.lt(&format!(
        "S. 0:0 ack 1 <mss 1000,sackOK,TS val 100 ecr {T}>"
    ))
    .unwrap();
    e.gt(&format!(". 1:1 ack 1 <TS val {} ecr 100>", T + 10));
    e.silent();
    e.events();
    e
}

/// A line of the peer's with a timestamp.
fn with(line: &str, val: u32) -> String {
    format!("{line} <TS val {val} ecr {T}>")
}

#[test]
fn req_ts_2_and_ts_14_every_segment_carries_a_timestamp() {
    let mut e = established();
    e.write(1500);
    // RFC 7323: 12 octets less of payload.
    e.gt(&format!(". 1:989 ack 1 <TS val {} ecr 100>", T + 10));
    e.gt(&format!("P. 989:1501 ack 1 <TS val {} ecr 100>", T + 10));
    e.lt(&with("P. 1:11 ack 1501", 120)).unwrap();
    e.wait(ms(100));
    e.gt(&format!(". 1501:1501 ack 11 <TS val {} ecr 120>", T + 50));
    e.conn.abort(e.now);
    e.gt(&format!("R. 1501:1501 ack 11 <TS val {} ecr 120>", T + 110));
}

#[test]
fn req_ts_3_and_lx_11_a_segment_without_a_timestamp_is_dropped() {
    let mut e = established();
    assert_eq!(e.lt("P. 1:11 ack 1"), Err(Discard::TimestampMissing));
    e.silent();
    e.is(State::Established);
    e.lt("R 1:1").unwrap();
    e.is(State::Closed);
}

#[test]
fn req_ts_4_without_agreement_timestamps_are_ignored() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1 <TS val 7 ecr 0>").unwrap();
    e.wait(ms(100));
    e.gt(". 1:1 ack 11 <nots>");
    e.lt("P. 11:21 ack 1 <TS val 3 ecr 0>").unwrap();
    e.read(20);
}

#[test]
fn req_ts_6_and_ts_8_only_the_segment_at_the_edge_sets_the_echo() {
    let mut e = established();
    // Beyond a gap: the last in-sequence timestamp is echoed.
    e.lt(&with("P. 11:21 ack 1", 130)).unwrap();
    e.gt(&format!(". 1:1 ack 1 <TS val {} ecr 100>", T + 10));
    // The segment that fills the gap is.
    e.lt(&with("P. 1:11 ack 1", 125)).unwrap();
    e.gt(&format!(". 1:1 ack 21 <TS val {} ecr 125>", T + 10));
}

#[test]
fn req_ts_7_a_delayed_acknowledgement_echoes_the_earliest_segment() {
    let mut e = established();
    e.lt(&with("P. 1:11 ack 1", 110)).unwrap();
    e.lt(&with("P. 11:21 ack 1", 111)).unwrap();
    e.wait(ms(40));
    e.gt(&format!(". 1:1 ack 21 <TS val {} ecr 110>", T + 50));
}

#[test]
fn req_ts_9_only_progress_measures() {
    let mut e = established();
    e.write(2000);
    let before = e.conn.info().srtt;
    e.wait(ms(5));
    e.lt(&format!(". 1:1 ack 1 <TS val 101 ecr {}>", T + 10))
        .unwrap();
    assert_eq!(e.conn.info().srtt, before);
    e.lt(&format!(". 1:1 ack 989 <TS val 101 ecr {}>", T + 10))
        .unwrap();
    assert!(e.conn.info().srtt < before);
}

#[test]
fn req_ts_11_and_ts_12_the_clock_ticks_in_milliseconds_from_an_offset_of_its_own() {
    let mut e = established();
    e.wait(ms(1));
    e.write(1);
    e.gt(&format!("P. 1:2 ack 1 <TS val {} ecr 100>", T + 11));
    e.wait(secs(5));
    let later = e.next_line().unwrap();
    assert!(later.contains("TS val"), "{later}");
}

#[test]
fn req_ts_13_timestamps_are_compared_on_a_circle() {
    let on = |c: Config| c.timestamps(true);
    let mut e = Setup::default().config(on).syn_sent();
    let near = u32::MAX - 3;
    e.lt(&format!("S. 0:0 ack 1 <mss 1000,TS val {near} ecr {T}>"))
        .unwrap();
    e.skip();
    e.lt(&with("P. 1:11 ack 1", 5)).unwrap();
    assert_eq!(
        e.lt(&with("P. 11:21 ack 1", near)),
        Err(Discard::PawsRejected)
    );
}

#[test]
fn req_ts_15_an_echo_from_the_future_is_no_measurement() {
    let mut e = established();
    e.write(10);
    e.skip();
    e.wait(secs(2));
    e.skip();
    let before = e.conn.info().srtt;
    // Resent, so only the echo could measure.
    for ecr in [0, T + 500_000_000, T - 900_000] {
        e.lt(&format!(". 1:1 ack 6 <TS val 101 ecr {ecr}>")).ok();
    }
    assert_eq!(e.conn.info().srtt, before);
}

#[test]
fn req_paws_1_an_older_timestamp_is_rejected_and_acknowledged() {
    let mut e = established();
    e.lt(&with("P. 1:11 ack 1", 200)).unwrap();
    e.skip();
    assert_eq!(
        e.lt(&with("P. 11:21 ack 1", 199)),
        Err(Discard::PawsRejected)
    );
    e.gt(&format!(". 1:1 ack 11 <TS val {} ecr 200>", T + 10));
    assert_eq!(e.rnxt(), 11);
}

#[test]
fn req_paws_2_a_reset_is_not_rejected_for_its_timestamp() {
    let mut e = established();
    e.lt(&with("R. 1:1 ack 1", 5)).unwrap();
    e.is(State::Closed);
}

#[test]
fn req_paws_3_paws_comes_before_the_window() {
    let mut e = established();
    assert_eq!(
        e.lt(&with("P. 900000:900010 ack 1", 5)),
        Err(Discard::PawsRejected)
    );
    e.skip();
    e.wait(secs(1));
    assert_eq!(e.lt(&with("S 1:1", 5)), Err(Discard::PawsRejected));
}

#[test]
fn req_paws_4_after_24_days_any_timestamp_is_believed() {
    let mut e = established();
    e.wait(secs(24 * 24 * 3600));
    e.lt(&with("P. 1:11 ack 1", 5)).unwrap();
    e.wait(ms(40));
    let line = e.next_line().unwrap();
    assert!(line.contains("ecr 5"), "{line}");
}

#[test]
fn req_paws_5_bare_acknowledgements_and_fins_are_checked() {
    let mut e = established();
    e.write(10);
    assert_eq!(e.lt(&with(". 1:1 ack 11", 5)), Err(Discard::PawsRejected));
    assert_eq!(e.una(), 1);
    assert_eq!(e.lt(&with("F. 1:1 ack 1", 5)), Err(Discard::PawsRejected));
    e.is(State::Established);
}

#[test]
fn req_paws_6_a_rejected_segment_does_not_set_the_echo() {
    let mut e = established();
    // Outside the window; an unacceptable acknowledgement: neither poisons TS.Recent.
    e.lt(&with("P. 900000:900010 ack 1", 1 << 30)).unwrap_err();
    e.lt(&with("P. 1:11 ack 900000", 1 << 30)).unwrap_err();
    e.skip();
    e.lt(&with("P. 1:11 ack 1", 101)).unwrap();
    assert_eq!(e.rnxt(), 11);
}

#[test]
fn req_rto_6_and_must_18_a_resend_measures_only_by_its_timestamp() {
    let mut e = E::established();
    let before = e.conn.info().srtt;
    e.write(10);
    e.wait(ms(500));
    e.skip();
    e.lt(". 1:1 ack 11").unwrap();
    assert_eq!(e.conn.info().srtt, before, "ambiguous");
    // The echo of the first: it may be slow, or stale because only its acknowledgement was lost.
    let mut e = established();
    let before = e.conn.info().srtt;
    e.write(10);
    e.wait(ms(300));
    e.skip();
    e.lt(&format!(". 1:1 ack 11 <TS val 101 ecr {}>", T + 10))
        .unwrap();
    assert_eq!(e.conn.info().srtt, before, "ambiguous still");
    // The echo of the resend: 90 ms.
    let mut e = established();
    e.write(10);
    e.wait(ms(300));
    e.skip();
    e.lt(&format!(". 1:1 ack 11 <TS val 101 ecr {}>", T + 220))
        .unwrap();
    assert!(e.conn.info().srtt > Some(ms(10)), "the resend arrived");
}

#[test]
fn req_rto_10_and_cve_23_backoff_lasts_until_something_new_is_measured() {
    let mut e = E::established();
    e.write(10);
    e.wait(ms(1000));
    let backed_off = e.conn.info().backoff;
    assert!(backed_off >= 2);
    e.lt(". 1:1 ack 11").unwrap();
    assert_eq!(
        e.conn.info().backoff,
        backed_off,
        "resent data measures nothing"
    );
    e.write(10);
    e.skip();
    e.lt(". 1:1 ack 21").unwrap();
    assert_eq!(e.conn.info().backoff, 0);
}

#[test]
fn syn_sent_does_not_believe_an_echo_of_what_it_never_sent() {
    let on = |c: Config| c.timestamps(true);
    let fresh = || Setup::default().config(on).syn_sent();
    // Our SYN said 1000000; a second passes and it is repeated.
    for (echo, believed) in [
        (999_999, false),
        (1_000_000, true),
        (1_001_000, true),
        (1_001_001, false),
        // No echo at all: the peer sends none in its SYN-ACK.
        (0, true),
    ] {
        let mut e = fresh();
        e.wait(secs(1));
        e.gt("S 0:0");
        let outcome = e.lt(&format!("S. 0:0 ack 1 <mss 1000,TS val 100 ecr {echo}>"));
        assert_eq!(outcome.is_ok(), believed, "{echo}");
        if !believed {
            assert_eq!(outcome, Err(Discard::SynSentUnacceptableAck));
            e.gt("R 1:1");
            e.is(State::SynSent);
        }
    }
}
