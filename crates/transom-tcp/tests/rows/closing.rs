//! Closing: FIN in every order, and what happens when it gets lost.

use transom_tcp::{CloseReason, Discard, Event, RecvError, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

#[test]
fn req_ev_sc_1_simultaneous_close() {
    let mut e = E::state(State::FinWait1);
    e.lt("F. 1:1 ack 1").unwrap();
    e.is(State::Closing);
    e.gt(". 2:2 ack 2");
    e.lt(". 2:2 ack 2").unwrap();
    e.is(State::TimeWait);
    e.silent();
}

#[test]
fn req_ev_sc_2_fins_that_cross_after_one_acknowledgement() {
    let mut e = E::established();
    e.write(10);
    e.conn.shutdown_write(e.now).unwrap();
    e.gt("P. 1:11 ack 1");
    e.gt("F. 11:11 ack 1");
    e.lt("F. 1:1 ack 11").unwrap();
    e.is(State::Closing);
    e.gt(". 12:12 ack 2");
    e.lt(". 2:2 ack 12").unwrap();
    e.is(State::TimeWait);
}

#[test]
fn req_ev_sc_3_simultaneous_close_with_data_outstanding() {
    let mut e = E::established();
    e.write(3000);
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    e.lt("FP. 1:501 ack 1").unwrap();
    e.is(State::Closing);
    e.gt(". 3002:3002 ack 502");
    e.lt(". 502:502 ack 2001").unwrap();
    e.is(State::Closing);
    e.lt(". 502:502 ack 3002").unwrap();
    e.is(State::TimeWait);
    e.read(500);
}

#[test]
fn req_ev_hc_1_half_close_by_us() {
    let mut e = E::state(State::FinWait2);
    for n in 0..1000 {
        e.lt(&format!("P. {}:{} ack 2", 1 + n * 1000, 1001 + n * 1000))
            .unwrap();
        e.skip();
        e.read(1000);
    }
    e.lt("F. 1000001:1000001 ack 2").unwrap();
    e.is(State::TimeWait);
}

#[test]
fn req_ev_x_7_the_fin_is_sent_again_with_the_data_before_it() {
    let mut e = E::established();
    e.write(10);
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    e.lt(". 1:1 ack 6").unwrap();
    e.is(State::FinWait1);
    e.wait(secs(1));
    let line = e.next_line().unwrap();
    assert!(line.starts_with("FP. 6:11 ack 1"), "{line}");
}

#[test]
fn req_ev_x_8_a_fin_that_acknowledges_ours() {
    let mut e = E::state(State::FinWait1);
    e.lt("F. 1:1 ack 2").unwrap();
    e.is(State::TimeWait);
    e.gt(". 2:2 ack 2");
    let changes: Vec<Event> = e.events();
    assert!(changes.contains(&Event::State {
        from: State::FinWait1,
        to: State::FinWait2
    }));
    assert!(changes.contains(&Event::State {
        from: State::FinWait2,
        to: State::TimeWait
    }));
}

#[test]
fn req_ev_x_9_and_ev_o_8_and_lx_6_and_sec_fw2_1_fin_wait_2_is_limited_only_without_a_reader() {
    let mut e = E::state(State::FinWait2);
    e.wait(secs(100_000));
    e.is(State::FinWait2);
    e.silent();
    e.conn.close(e.now);
    e.wait(secs(59));
    e.is(State::FinWait2);
    e.wait(secs(1));
    e.closed(CloseReason::Normal);
    e.silent();
    e.lt("P. 1:11 ack 2").unwrap_err();
    e.gt("R 2:2");
}

#[test]
fn req_ev_x_10_and_ev_x_11_and_ev_o_2_and_rto_12_and_cve_22_the_fin_is_sent_again_in_each_state() {
    for (state, line) in [
        (State::FinWait1, "F. 1:1 ack 1"),
        (State::Closing, "F. 1:1 ack 2"),
        (State::LastAck, "F. 1:1 ack 2"),
    ] {
        let mut e = E::state(state);
        for _ in 0..15 {
            let deadline = e.next_deadline().unwrap();
            e.wait(deadline);
            e.gt(line);
            e.silent();
            e.is(state);
        }
        // R2.
        e.wait(secs(100));
        e.closed(CloseReason::TimedOut);
    }
    // An orphan is given up sooner.
    let mut e = E::state(State::CloseWait);
    e.conn.close(e.now);
    let mut times = 0;
    while e.conn.state() != State::Closed {
        e.wait(ms(100));
        while e.next().is_some() {
            times += 1;
        }
    }
    assert_eq!(times, 1 + 8);
}

#[test]
fn req_rto_12_a_bare_acknowledgement_is_never_repeated() {
    let mut e = E::established();
    e.lt("F. 1:1 ack 1").unwrap();
    e.gt(". 1:1 ack 2");
    e.wait(secs(1000));
    e.silent();
}

#[test]
fn req_ev_x_12_and_cve_22_last_ack_stays_when_only_data_is_acknowledged() {
    let mut e = E::state(State::CloseWait);
    e.write(10);
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    e.is(State::LastAck);
    e.lt(". 2:2 ack 11").unwrap();
    e.is(State::LastAck);
    e.lt(". 2:2 ack 12").unwrap();
    e.is(State::Closed);
}

#[test]
fn req_ev_x_13_a_closed_window_at_close_is_probed() {
    for state in [State::Established, State::CloseWait] {
        let mut e = E::state(state);
        let rnxt = e.rnxt();
        e.lt(&format!(". {rnxt}:{rnxt} ack 1 win 0")).unwrap();
        e.write(10);
        e.conn.shutdown_write(e.now).unwrap();
        e.silent();
        e.wait(ms(300));
        e.gt(&format!(". 1:2 ack {rnxt}"));
        e.lt(&format!(". {rnxt}:{rnxt} ack 2 win 100")).unwrap();
        e.gt(&format!("FP. 2:11 ack {rnxt}"));
    }
}

#[test]
fn req_ev_x_14_a_fin_alone_waits_for_window_and_is_sent_as_a_probe() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    e.silent();
    e.is(State::FinWait1);
    e.wait(ms(300));
    e.gt("F. 1:1 ack 1");
    // Taken in although there was no window.
    e.lt(". 1:1 ack 2 win 0").unwrap();
    e.is(State::FinWait2);
    // Not taken: it goes out when the window opens.
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    e.wait(ms(300));
    e.gt("F. 1:1 ack 1");
    e.lt(". 1:1 ack 1 win 100").unwrap();
    e.gt("F. 1:1 ack 1");
    e.silent();
}

#[test]
fn req_ev_x_14_a_fin_does_not_ride_beyond_the_window() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 10").unwrap();
    e.write(10);
    e.skip();
    e.lt(". 1:1 ack 11 win 10").unwrap();
    // The data fills the window; there is no room for the FIN's own number.
    let data = crate::harness::stream(10, 10);
    e.conn.send(e.now, data).unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    e.gt("P. 11:21 ack 1");
    e.silent();
    e.lt(". 1:1 ack 21 win 1").unwrap();
    e.gt("F. 21:21 ack 1");
    e.silent();
}

#[test]
fn req_ev_x_15_and_nag_3_the_fin_rides_on_the_last_data_and_is_not_delayed() {
    let mut e = E::established();
    e.write(10);
    e.gt("P. 1:11 ack 1");
    // Held by Nagle's algorithm until the FIN comes.
    e.write(10);
    e.silent();
    e.conn.shutdown_write(e.now).unwrap();
    e.gt("FP. 11:21 ack 1");
    e.silent();
}

#[test]
fn req_ev_x_16_the_fins_number_never_changes() {
    let mut e = Setup::default().config(|c| c.nodelay(true)).established();
    e.write(10);
    e.write(10);
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    for _ in 0..5 {
        let deadline = e.next_deadline().unwrap();
        e.wait(deadline);
        e.gt("FP. 1:21 ack 1");
    }
    e.lt(". 1:1 ack 22").unwrap();
    e.is(State::FinWait2);
}

#[test]
fn req_ev_t_2_and_ev_t_6_a_reset_at_rcv_nxt_in_each_state() {
    for (state, reason) in [
        (State::Established, CloseReason::ResetByPeer),
        (State::FinWait1, CloseReason::ResetByPeer),
        (State::FinWait2, CloseReason::ResetByPeer),
        (State::CloseWait, CloseReason::ResetByPeer),
        (State::Closing, CloseReason::Normal),
        (State::LastAck, CloseReason::Normal),
    ] {
        let mut e = E::state(state);
        let rnxt = e.rnxt();
        e.lt(&format!("R. {rnxt}:{rnxt} ack 1")).unwrap();
        e.silent();
        e.closed(reason);
        assert_eq!(e.conn.poll_timeout(), None, "nothing is left behind");
    }
    // The same with a receive window of zero, where the peer has not finished.
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        let mut e = Setup::default()
            .config(|c| c.recv_buffer(2000))
            .state(state);
        e.lt("P. 1:1001 ack 1").unwrap();
        e.lt("P. 1001:2001 ack 1").unwrap();
        e.skip();
        assert_eq!(e.rwnd(), 0, "{state}");
        let beyond = e.lt("R. 2002:2002 ack 1");
        assert_eq!(beyond, Err(Discard::ResetOutOfWindow), "{state}");
        e.is(state);
        e.lt("R. 2001:2001 ack 1").unwrap();
        e.silent();
        e.closed(CloseReason::ResetByPeer);
    }
}

#[test]
fn req_shld_2_a_reset_with_data() {
    let mut e = E::established();
    e.lt("R. 1:21 ack 1").unwrap();
    e.is(State::Closed);
    assert_eq!(e.conn.recv_queue(), 0);
}

#[test]
fn req_ev_t_16_a_second_fin_beyond_the_first_has_a_name_and_an_answer() {
    for state in [State::CloseWait, State::Closing, State::LastAck] {
        let mut e = E::state(state);
        assert_eq!(e.lt("F. 2:2 ack 1"), Err(Discard::DataAfterFin));
        e.challenge();
        e.is(state);
    }
}

#[test]
fn req_ev_x_20_an_abort_with_data_and_fin_unsent_tells_the_peer() {
    for states in [
        ["F. 1:1 ack 1 win 1000", "CLOSE-WAIT", "LAST-ACK"],
        ["F. 1:1 ack 1 win 1000", "FIN-WAIT-1", "CLOSING"],
    ] {
        let mut e = E::established();
        let [fin, first, second] = states;
        // The peer's window takes 1000 of the 3000 octets.
        e.lt(". 1:1 ack 1 win 1000").unwrap();
        e.write(3000);
        e.skip();
        if first == "CLOSE-WAIT" {
            e.lt(fin).unwrap();
        }
        e.conn.shutdown_write(e.now).unwrap();
        if first == "FIN-WAIT-1" {
            e.lt(fin).unwrap();
        }
        e.skip();
        assert_eq!(e.conn.state().name(), second);
        e.conn.abort(e.now);
        e.gt("R. 1001:1001 ack 2");
        e.silent();
    }
}

#[test]
fn req_must_12_an_abort_with_data_unread_is_no_orderly_end() {
    let mut e = E::established();
    e.lt("FP. 1:11 ack 1").unwrap();
    e.skip();
    e.conn.abort(e.now);
    let read = e.conn.recv(e.now, 100);
    assert_eq!(read, Err(RecvError::Closed(CloseReason::Aborted)));
}

#[test]
fn a_fin_before_data_that_was_received_is_answered_and_has_a_name() {
    let mut e = E::established();
    e.lt("P. 101:201 ack 1").unwrap();
    e.skip();
    assert_eq!(e.lt("F. 1:1 ack 1"), Err(Discard::DataAfterFin));
    e.challenge();
    e.is(State::Established);
}

#[test]
fn a_second_fin_at_another_place_is_answered_and_has_a_name() {
    let mut e = E::established();
    e.lt("F. 101:101 ack 1").unwrap();
    e.skip();
    assert_eq!(e.lt("F. 51:51 ack 1"), Err(Discard::DataAfterFin));
    e.challenge();
    e.lt("P. 1:101 ack 1").unwrap();
    e.gt(". 1:1 ack 102");
    e.is(State::CloseWait);
}

#[test]
fn a_reset_before_the_handshake_is_complete_lies_beyond_our_syn_whatever_the_window() {
    let mut e = Setup::default().passive(|syn| syn.window = 0);
    e.gt("S. 0:0 ack 1");
    e.conn.abort(e.now);
    e.gt("R. 1:1 ack 1");
}
