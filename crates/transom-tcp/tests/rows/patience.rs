//! Silence: keep-alive, soft errors, timers, and a peer that never answers.

use transom_tcp::{CloseReason, Config, Event, KeepAlive, PathError, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

/// Ten seconds of silence, then a probe each second, three in all.
fn alive() -> KeepAlive {
    KeepAlive {
        idle: secs(10),
        interval: secs(1),
        probes: 3,
    }
}

fn with_keep_alive() -> Setup {
    Setup::default().config(|c: Config| c.keep_alive(Some(alive())))
}

#[test]
fn req_must_25_and_ka_1_without_being_asked_nothing_is_probed() {
    let mut e = E::established();
    e.wait(secs(24 * 3600));
    e.silent();
    e.is(State::Established);
    assert_eq!(e.conn.poll_timeout(), None);
}

#[test]
fn req_must_28_and_lx_21_the_default_interval_is_two_hours() {
    let config = |c: Config| c.keep_alive(Some(KeepAlive::default()));
    let mut e = Setup::default().config(config).established();
    e.wait(secs(7199));
    e.silent();
    e.wait(secs(1));
    e.gt(". 0:0 ack 1");
    for _ in 1..9 {
        e.wait(secs(75));
        e.gt(". 0:0 ack 1");
    }
    e.wait(secs(75));
    e.gt("R. 1:1 ack 1");
    e.closed(CloseReason::KeepAliveTimedOut);
}

#[test]
fn req_must_27_and_ka_2_and_shld_12_and_may_5_a_probe_has_no_data() {
    let mut e = with_keep_alive().established();
    e.wait(secs(10));
    e.gt(". 0:0 ack 1");
    e.silent();
}

#[test]
fn req_must_24_keep_alive_is_switched_at_any_time() {
    let mut e = E::established();
    e.conn.set_keep_alive(e.now, Some(alive()));
    e.wait(secs(10));
    e.gt(". 0:0 ack 1");
    e.conn.set_keep_alive(e.now, None);
    e.wait(secs(3600));
    e.silent();
    e.is(State::Established);
}

#[test]
fn req_must_26_only_silence_is_probed() {
    let mut e = with_keep_alive().established();
    e.wait(secs(9));
    e.lt("P. 1:11 ack 1").unwrap();
    e.wait(ms(50));
    e.skip();
    e.wait(secs(9));
    e.silent();
    e.wait(secs(1));
    e.gt(". 0:0 ack 11");
    // Nor while data is outstanding.
    let mut e = with_keep_alive().established();
    e.wait(secs(9));
    e.write(10);
    e.skip();
    e.wait(secs(15));
    while let Some(line) = e.next_line() {
        assert!(line.starts_with("P. 1:11"), "{line}");
    }
}

#[test]
fn req_must_29_and_ka_3_one_lost_probe_is_not_death() {
    let mut e = with_keep_alive().established();
    for _ in 0..5 {
        e.wait(secs(10));
        e.gt(". 0:0 ack 1");
        e.wait(secs(1));
        e.gt(". 0:0 ack 1");
        e.lt(". 1:1 ack 1").unwrap();
    }
    e.is(State::Established);
}

#[test]
fn req_ka_4_and_ev_o_5_every_probe_unanswered() {
    let mut e = with_keep_alive().established();
    e.wait(secs(10));
    for _ in 0..3 {
        e.gt(". 0:0 ack 1");
        e.wait(secs(1));
    }
    e.gt("R. 1:1 ack 1");
    e.silent();
    e.closed(CloseReason::KeepAliveTimedOut);
}

#[test]
fn req_ka_5_where_probes_are_sent() {
    for (state, probes) in [
        (State::Established, true),
        (State::CloseWait, true),
        (State::FinWait2, true),
        (State::TimeWait, false),
    ] {
        let mut e = with_keep_alive().state(state);
        e.wait(ms(10_500));
        assert_eq!(e.next().is_some(), probes, "{state}");
    }
    let mut e = with_keep_alive().syn_sent();
    e.wait(ms(500));
    e.silent();
}

#[test]
fn req_ka_6_a_reset_in_answer_ends_it() {
    let mut e = with_keep_alive().established();
    e.wait(secs(10));
    e.gt(". 0:0 ack 1");
    e.lt("R 1:1").unwrap();
    e.closed(CloseReason::ResetByPeer);
}

#[test]
fn req_must_47_and_must_56_and_shld_25_and_icmpa_2_soft_errors_are_told_and_change_nothing() {
    let errors = [
        PathError::NetworkUnreachable,
        PathError::HostUnreachable,
        PathError::TimeExceeded,
        PathError::ParameterProblem,
    ];
    for error in errors {
        for mut e in [Setup::default().syn_sent(), Setup::default().syn_received()] {
            e.events();
            let state = e.conn.state();
            e.conn.handle_path_error(e.now, error, e.iss).unwrap();
            assert_eq!(e.events(), [Event::SoftError(error)]);
            e.is(state);
            e.silent();
        }
    }
    // Hard ones too, once the handshake is complete.
    for error in [PathError::PortUnreachable, PathError::ProtocolUnreachable] {
        let mut e = E::established();
        e.write(10);
        e.skip();
        e.conn.handle_path_error(e.now, error, e.iss + 1).unwrap();
        assert_eq!(e.events(), [Event::SoftError(error)]);
        e.is(State::Established);
    }
}

#[test]
fn req_shld_26_and_icmpa_7_a_hard_error_ends_what_is_not_established() {
    for mut e in [Setup::default().syn_sent(), Setup::default().syn_received()] {
        let error = PathError::PortUnreachable;
        e.conn.handle_path_error(e.now, error, e.iss).unwrap();
        e.closed(CloseReason::Unreachable(error));
        e.silent();
    }
}

#[test]
fn req_shld_20_reports_can_be_switched_off() {
    let mut e = Setup::default()
        .config(|c| c.report_soft_errors(false))
        .established();
    e.write(10);
    e.skip();
    e.conn
        .handle_path_error(e.now, PathError::TimeExceeded, e.iss + 1)
        .unwrap();
    assert_eq!(e.events(), []);
}

#[test]
fn req_icmpa_3_a_soft_error_explains_why_connecting_failed() {
    let mut e = Setup::default().syn_sent();
    e.conn
        .handle_path_error(e.now, PathError::HostUnreachable, e.iss)
        .unwrap();
    e.wait(secs(1));
    e.gt("S 0:0");
    e.is(State::SynSent);
    // RFC 5461: once more, then the network is believed.
    e.wait(secs(2));
    e.closed(CloseReason::Unreachable(PathError::HostUnreachable));
}

#[test]
fn req_ev_o_6_the_delayed_acknowledgement_is_sent_once() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.wait(secs(10));
    e.gt(". 1:1 ack 11");
    e.silent();
}

#[test]
fn req_ev_o_10_a_late_caller_gets_one_action_for_each_timer() {
    let mut e = with_keep_alive().established();
    e.write(10);
    e.lt("P. 1:11 ack 1").unwrap();
    e.skip();
    // A day in one jump.
    e.now += secs(24 * 3600);
    e.conn.handle_timeout(e.now);
    e.gt("P. 1:11 ack 11");
    e.silent();
    assert!(
        e.next_deadline().unwrap() > ms(0),
        "no deadline lies in the past"
    );
}

#[test]
fn a_forgotten_drain_loses_no_output() {
    let mut e = E::established();
    e.lt_unanswered("P. 1:1001 ack 1");
    e.lt_unanswered("P. 1001:2001 ack 1");
    // Owed output makes the deadline lie in the past until it is taken.
    assert!(e.conn.poll_timeout().unwrap() <= e.now);
    e.conn.handle_timeout(e.now);
    assert!(e.conn.poll_timeout().unwrap() <= e.now);
    e.gt(". 1:1 ack 2001");
    e.silent();
    assert_eq!(e.conn.poll_timeout(), None);
}

#[test]
fn req_rto_8_and_cve_23_the_timer_follows_the_oldest_outstanding_data() {
    let mut e = E::established();
    let rto = e.conn.info().rto;
    e.write(1000);
    // 5.1: started with the data; not started again by more of it.
    e.wait(rto / 2);
    e.write(1000);
    assert_eq!(e.next_deadline(), Some(rto - rto / 2));
    // 5.3: started again by progress.
    e.lt(". 1:1 ack 1001").unwrap();
    let again = e.next_deadline().unwrap();
    assert!(again > rto / 2, "{again:?}");
    e.skip();
    // 5.4 to 5.6: the oldest is sent again, the time-out doubles.
    e.wait(again);
    e.gt("P. 1001:2001 ack 1");
    assert!(e.next_deadline().unwrap() >= again * 2 - ms(1));
    // 5.2: stopped when everything is acknowledged.
    e.lt(". 1:1 ack 2001").unwrap();
    assert_eq!(e.next_deadline(), None);
}

#[test]
fn req_must_18_and_must_19_repeated_timeouts_double_up_to_the_limit() {
    let mut e = E::established();
    e.write(1000);
    e.skip();
    let mut interval = e.next_deadline().unwrap();
    for _ in 0..12 {
        e.wait(interval);
        e.gt("P. 1:1001 ack 1");
        e.silent();
        interval = (interval * 2).min(secs(60));
        assert_eq!(e.next_deadline(), Some(interval));
        // RFC 5681: one segment after a time-out.
        assert_eq!(e.conn.info().cwnd, 1000);
    }
    assert_eq!(interval, secs(60));
}

#[test]
fn req_rto_11_repeated_timeouts_keep_the_estimate() {
    let mut e = E::established();
    let before = e.conn.info();
    e.write(1000);
    e.wait(secs(30));
    e.skip();
    let after = e.conn.info();
    assert!(after.backoff >= 5);
    assert_eq!((after.srtt, after.rttvar), (before.srtt, before.rttvar));
}

#[test]
fn req_lx_1_and_lx_2_and_lx_3_and_lx_7_the_defaults_are_what_they_are_said_to_be() {
    let config = Config::default();
    assert_eq!(config.rto_min, ms(200));
    assert_eq!(config.rto_max, secs(60));
    assert_eq!(config.rto_initial, secs(1));
    let mut e = E::established();
    e.write(100_000);
    assert_eq!(e.snxt(), 1 + 10 * 1000);
    // A round trip of 10 ms still means 200 ms of patience.
    let rto = e.conn.info().rto;
    assert!(rto >= ms(200) && rto <= ms(250), "{rto:?}");
}

#[test]
fn req_cve_30_time_that_goes_backwards_does_no_harm() {
    let mut e = E::established();
    e.write(1000);
    e.wait(secs(1));
    e.skip();
    e.now = crate::harness::start();
    e.lt(". 1:1 ack 501").unwrap();
    e.conn.handle_timeout(e.now);
    e.write(500);
    e.lt("P. 1:11 ack 1001").unwrap();
    e.wait(secs(3));
    e.skip();
    e.read(10);
    e.is(State::Established);
}
