//! TIME-WAIT: RFC 9293 §3.6.1, RFC 6191, RFC 1337; in the connection and in its small form.

use transom_tcp::{
    CloseReason, Config, Connection, Discard, Identity, Path, State, TimeWait, TimeWaitReply,
};

use crate::harness::dialogue::{E, Setup};
use crate::harness::notation::show;
use crate::harness::{ms, secs};

/// The small form, without timestamps.
fn small() -> (TimeWait, E) {
    compact(E::state(State::TimeWait))
}

/// The small form with timestamps: the peer's last was 120.
fn with_timestamps() -> (TimeWait, E) {
    let on = |c: Config| c.timestamps(true);
    let mut e = Setup::default().config(on).syn_sent();
    e.lt("S. 0:0 ack 1 <mss 1000,TS val 100 ecr 1000000>")
        .unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    e.lt("F. 1:1 ack 2 <TS val 120 ecr 1000000>").unwrap();
    e.skip();
    compact(e)
}

fn compact(mut e: E) -> (TimeWait, E) {
    e.silent();
    let spare = E::established();
    let conn = std::mem::replace(&mut e.conn, spare.conn);
    let Ok(time_wait) = conn.into_time_wait() else {
        panic!("not in TIME-WAIT")
    };
    (time_wait, e)
}

fn answer(time_wait: &mut TimeWait, e: &E, line: &str) -> Result<String, Discard> {
    let segment = e.segment(line);
    match time_wait.handle_segment(e.now, &segment) {
        TimeWaitReply::Drop(discard) => Err(discard),
        TimeWaitReply::Ack(_, transmit) => Ok(show(&transmit, e.iss, e.irs)),
        TimeWaitReply::Reopen { min_iss } => {
            Ok(format!("reopen beyond {}", min_iss.offset_from(e.iss)))
        }
    }
}

const REOPEN: &str = "reopen beyond 65539";

#[test]
fn req_must_13_and_tw_14_and_ev_o_3_and_lx_5_and_cve_27_time_wait_lasts_and_ends() {
    let mut e = E::state(State::TimeWait);
    e.wait(secs(60) - ms(1));
    e.is(State::TimeWait);
    e.lt("F. 1:1 ack 2").unwrap_err();
    e.gt(". 2:2 ack 2");
    // The repeated FIN started it again.
    e.wait(secs(60) - ms(1));
    e.is(State::TimeWait);
    e.wait(ms(1));
    e.closed(CloseReason::Normal);
    e.lt(". 2:2 ack 2").unwrap_err();
    e.gt("R 2:2");
    let four_minutes = |c: Config| c.time_wait(secs(240));
    let mut e = Setup::default().config(four_minutes).state(State::TimeWait);
    e.wait(secs(239));
    e.is(State::TimeWait);
    e.wait(secs(1));
    e.is(State::Closed);
}

#[test]
fn the_small_form_keeps_the_deadline_and_waits_for_the_reader() {
    let mut e = E::state(State::FinWait2);
    e.lt("FP. 1:11 ack 2").unwrap();
    e.skip();
    e.wait(secs(1));
    let Err(conn) = e.conn.into_time_wait() else {
        panic!("there is data to read")
    };
    e.conn = conn;
    e.read(10);
    let now = e.now;
    let (time_wait, _) = compact(e);
    assert_eq!(time_wait.deadline() - now, secs(59));
    assert!(size_of::<TimeWait>() <= 128, "{}", size_of::<TimeWait>());
}

#[test]
fn req_tw_1_and_paws_7_a_newer_timestamp_reopens() {
    let (mut time_wait, e) = with_timestamps();
    let line = "S 500000000:500000000 <mss 1000,TS val 121 ecr 0>";
    assert_eq!(answer(&mut time_wait, &e, line).unwrap(), REOPEN);
    // Even with an older sequence number.
    let line = "S -500:-500 <mss 1000,TS val 121 ecr 0>";
    assert_eq!(answer(&mut time_wait, &e, line).unwrap(), REOPEN);
}

#[test]
fn req_tw_2_an_equal_timestamp_needs_a_later_number() {
    let (mut time_wait, e) = with_timestamps();
    let line = |seq| format!("S {seq}:{seq} <mss 1000,TS val 120 ecr 0>");
    assert_eq!(answer(&mut time_wait, &e, &line(2)).unwrap(), REOPEN);
    assert_eq!(
        answer(&mut time_wait, &e, &line(1)),
        Err(Discard::TimeWaitOldSyn)
    );
}

#[test]
fn req_tw_3_timestamps_before_and_none_now() {
    let (mut time_wait, e) = with_timestamps();
    assert_eq!(
        answer(&mut time_wait, &e, "S 2:2 <mss 1000>").unwrap(),
        REOPEN
    );
}

#[test]
fn req_tw_4_and_lx_12_and_cve_27_an_old_syn_is_dropped_silently() {
    let (mut time_wait, e) = with_timestamps();
    for line in ["S 1:1 <mss 1000>", "S 900:900 <mss 1000,TS val 119 ecr 0>"] {
        assert_eq!(
            answer(&mut time_wait, &e, line),
            Err(Discard::TimeWaitOldSyn)
        );
    }
}

#[test]
fn req_tw_5_no_timestamps_before_and_some_now() {
    let (mut time_wait, e) = small();
    let line = "S -900:-900 <mss 1000,TS val 1 ecr 0>";
    assert_eq!(answer(&mut time_wait, &e, line).unwrap(), REOPEN);
}

#[test]
fn req_tw_6_without_timestamps_the_number_decides() {
    let (mut time_wait, e) = small();
    assert_eq!(
        answer(&mut time_wait, &e, "S 2:2 <mss 1000>").unwrap(),
        REOPEN
    );
    let old = answer(&mut time_wait, &e, "S 1:1 <mss 1000>");
    assert_eq!(old, Err(Discard::TimeWaitOldSyn));
}

#[test]
fn req_tw_7_and_may_2_and_shld_4_the_new_iss_lies_beyond_everything_old() {
    let (time_wait, e) = small();
    assert_eq!(time_wait.min_iss().offset_from(e.iss), 2 + 65_537);
}

#[test]
fn req_tw_9_and_ev_t_19_a_repeated_fin_starts_again_and_old_data_does_not() {
    let (mut time_wait, mut e) = small();
    let begin = time_wait.deadline();
    e.wait(ms(700));
    assert_eq!(
        answer(&mut time_wait, &e, "P. 0:1 ack 2").unwrap(),
        ". 2:2 ack 2 win 65535"
    );
    assert_eq!(time_wait.deadline(), begin);
    // A bare old acknowledgement neither.
    assert_eq!(
        answer(&mut time_wait, &e, ". 2:2 ack 2"),
        Err(Discard::TimeWaitOldSegment)
    );
    assert_eq!(time_wait.deadline(), begin);
    assert_eq!(
        answer(&mut time_wait, &e, "F. 1:1 ack 2").unwrap(),
        ". 2:2 ack 2 win 65535"
    );
    assert_eq!(time_wait.deadline() - begin, ms(700));
}

#[test]
fn req_tw_10_and_lx_13_a_reset_does_not_end_time_wait() {
    let (mut time_wait, e) = small();
    for line in ["R 2:2", "R. 2:2 ack 2", "R 900:900"] {
        assert_eq!(
            answer(&mut time_wait, &e, line),
            Err(Discard::ResetInTimeWait)
        );
    }
    let mut e = E::state(State::TimeWait);
    assert_eq!(e.lt("R 2:2"), Err(Discard::ResetInTimeWait));
    e.is(State::TimeWait);
    e.silent();
}

#[test]
fn req_tw_11_an_active_open_may_take_over_after_a_second_with_timestamps() {
    let (time_wait, e) = with_timestamps();
    assert_eq!(time_wait.reuse(e.now + ms(900)), None);
    assert_eq!(time_wait.reuse(e.now + ms(1100)), Some(time_wait.min_iss()));
    let (time_wait, e) = small();
    assert_eq!(time_wait.reuse(e.now + secs(50)), None);
}

#[test]
fn req_tw_13_acknowledgements_carry_timestamp_and_window() {
    let (mut time_wait, e) = with_timestamps();
    let line = answer(&mut time_wait, &e, "F. 1:1 ack 2 <TS val 121 ecr 1000000>").unwrap();
    assert_eq!(line, ". 2:2 ack 2 win 65535 <TS val 1000000 ecr 120>");
}

#[test]
fn req_ev_t_1_and_ev_t_3_out_of_window_in_time_wait_is_challenged_at_a_limited_rate() {
    let (mut time_wait, mut e) = small();
    let line = "P. 900000:900010 ack 2";
    assert!(answer(&mut time_wait, &e, line).is_ok());
    assert_eq!(
        answer(&mut time_wait, &e, line),
        Err(Discard::TimeWaitOldSegment)
    );
    e.wait(ms(500));
    assert!(answer(&mut time_wait, &e, line).is_ok());
    let mut e = E::state(State::TimeWait);
    e.lt(line).unwrap_err();
    e.challenge();
}

#[test]
fn req_ev_t_12_in_time_wait_an_acknowledgement_of_what_was_never_sent_is_answered() {
    let (mut time_wait, e) = small();
    let plain = answer(&mut time_wait, &e, ". 2:2 ack 2");
    assert_eq!(plain, Err(Discard::TimeWaitOldSegment));
    let answered = answer(&mut time_wait, &e, ". 2:2 ack 3").unwrap();
    assert!(answered.starts_with(". 2:2 ack 2"), "{answered}");
    // At a limited rate: it may be forged.
    let again = answer(&mut time_wait, &e, ". 2:2 ack 3");
    assert_eq!(again, Err(Discard::TimeWaitOldSegment));
}

#[test]
fn req_tw_8_a_reopened_connection_inherits_nothing() {
    let (mut time_wait, e) = with_timestamps();
    // The old connection had timestamps; the new SYN offers SACK and scaling instead.
    let syn = e.segment("S 500:500 <mss 700,sackOK,wscale 3>");
    let TimeWaitReply::Reopen { min_iss } = time_wait.handle_segment(e.now, &syn) else {
        panic!("not reopened")
    };
    let identity = Identity::new(min_iss + 1, 9);
    let path = Path::new(1500, 20);
    let conn = Connection::accept(Config::default(), path, identity, &syn, e.now).unwrap();
    let info = conn.info();
    assert_eq!(
        (info.timestamps, info.sack, info.peer_mss),
        (false, true, 700)
    );
    assert_eq!(info.srtt, None);
    assert!(info.iss.gt(time_wait.min_iss()));
}

#[test]
fn req_ts_3_a_fin_without_timestamps_does_not_prolong_time_wait() {
    let (mut time_wait, mut e) = with_timestamps();
    let deadline = time_wait.deadline();
    e.now += secs(1);
    let forged = answer(&mut time_wait, &e, "F. 1:1 ack 2");
    assert_eq!(forged, Err(Discard::TimestampMissing));
    assert_eq!(time_wait.deadline(), deadline);
}

#[test]
fn req_ev_t_8_and_ev_t_9_the_small_form_checks_the_ack_as_the_connection_does() {
    let (mut time_wait, e) = small();
    let bare_text = answer(&mut time_wait, &e, "P 2:12");
    assert_eq!(bare_text, Err(Discard::AckMissing));
    let too_old = answer(&mut time_wait, &e, ". 2:2 ack -60000");
    assert!(too_old.is_ok(), "{too_old:?}");
}
