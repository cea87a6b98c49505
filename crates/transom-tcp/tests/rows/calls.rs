//! The calls of the application, in every state.

use transom_tcp::{CloseError, CloseReason, Config, Event, Linger, RecvError, SendError, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs, stream};

#[test]
fn req_ev_u_1_and_ev_u_3_calls_in_syn_sent() {
    let mut e = Setup::default().syn_sent();
    e.write(10);
    e.silent();
    assert_eq!(
        (e.conn.send_queue(), e.conn.recv(e.now, 10)),
        (10, Ok(None))
    );
    e.conn.close(e.now);
    e.silent();
    e.closed(CloseReason::Normal);
    let mut e = Setup::default().syn_sent();
    e.conn.abort(e.now);
    e.silent();
    e.closed(CloseReason::Aborted);
    assert_eq!(
        e.conn.send(e.now, stream(0, 1)),
        Err(SendError::Closed(CloseReason::Aborted))
    );
    assert_eq!(
        e.conn.recv(e.now, 1),
        Err(RecvError::Closed(CloseReason::Aborted))
    );
    let closed = Err(CloseError::Closed(CloseReason::Aborted));
    assert_eq!(e.conn.shutdown_write(e.now), closed);
}

#[test]
fn req_ev_u_4_close_in_syn_received() {
    let mut e = Setup::default().syn_received();
    e.conn.shutdown_write(e.now).unwrap();
    e.gt("F. 1:1 ack 1");
    e.is(State::FinWait1);
    e.lt(". 1:1 ack 2").unwrap();
    e.is(State::FinWait2);
    // With data queued, after ESTABLISHED.
    let mut e = Setup::default().syn_received();
    e.write(10);
    e.conn.shutdown_write(e.now).unwrap();
    e.silent();
    e.is(State::SynReceived);
    e.lt(". 1:1 ack 1").unwrap();
    e.gt("FP. 1:11 ack 1");
    e.is(State::FinWait1);
    let mut e = Setup::default().syn_received();
    e.conn.abort(e.now);
    e.gt("R. 1:1 ack 1");
    e.silent();
}

#[test]
fn req_ev_u_5_calls_in_established() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.write(10);
    // The acknowledgement rides along.
    e.gt("P. 1:11 ack 11");
    e.read(10);
    assert_eq!(e.conn.recv(e.now, 10), Ok(None));
    e.write(20_000);
    e.conn.shutdown_write(e.now).unwrap();
    // At once, although the FIN has to wait for the data.
    e.is(State::FinWait1);
}

#[test]
fn req_ev_u_6_and_ev_u_7_and_ev_u_9_and_ev_u_10_and_ev_u_11_and_ev_da_3_calls_after_our_close() {
    let states = [
        State::FinWait1,
        State::FinWait2,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ];
    for state in states {
        let mut e = E::state(state);
        assert_eq!(
            e.conn.send(e.now, stream(0, 1)),
            Err(SendError::Finished),
            "{state}"
        );
        // There is never a second FIN.
        assert_eq!(
            e.conn.shutdown_write(e.now),
            Err(CloseError::AlreadyClosing)
        );
        e.silent();
        let end = match state {
            State::FinWait1 | State::FinWait2 => None,
            _ => Some(bytes::Bytes::new()),
        };
        assert_eq!(e.conn.recv(e.now, 10), Ok(end), "{state}");
    }
}

#[test]
fn req_ev_u_8_and_ev_hc_2_calls_in_close_wait() {
    let mut e = E::established();
    e.lt("FP. 1:11 ack 1").unwrap();
    e.skip();
    e.is(State::CloseWait);
    // Data on hand, then the end.
    e.read(10);
    assert_eq!(e.conn.recv(e.now, 10), Ok(Some(bytes::Bytes::new())));
    // Half-close: sending works on.
    let mut sent = 0;
    while sent < 1_000_000 {
        e.write(10_000);
        e.skip();
        sent += 10_000;
        let snxt = e.snxt();
        e.lt(&format!(". 12:12 ack {snxt}")).unwrap();
    }
    e.conn.shutdown_write(e.now).unwrap();
    e.is(State::LastAck);
    e.skip();
    let snxt = e.snxt();
    assert_eq!(snxt, 1_000_002);
    e.lt(&format!(". 12:12 ack {snxt}")).unwrap();
    e.closed(CloseReason::Normal);
    e.silent();
}

#[test]
fn req_ev_u_12_and_ev_u_13_and_ev_x_20_abort_sends_one_reset_where_the_peer_must_know() {
    for state in [
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
    ] {
        let mut e = E::state(state);
        let (snxt, rnxt) = (e.snxt(), e.rnxt());
        e.conn.abort(e.now);
        e.gt(&format!("R. {snxt}:{snxt} ack {rnxt}"));
        e.silent();
        e.closed(CloseReason::Aborted);
        e.conn.abort(e.now);
        e.silent();
    }
    for state in [State::Closing, State::LastAck, State::TimeWait] {
        let mut e = E::state(state);
        e.conn.abort(e.now);
        e.silent();
        e.closed(CloseReason::Aborted);
    }
}

#[test]
fn req_ev_u_12_after_a_window_taken_back_the_reset_lies_inside_it() {
    let mut e = E::established();
    e.write(5000);
    e.skip();
    e.lt(". 1:1 ack 1 win 2000").unwrap();
    e.skip();
    e.conn.abort(e.now);
    e.gt("R. 2001:2001 ack 1");
}

#[test]
fn req_ev_x_21_a_segment_after_abort_is_answered_with_a_reset_each_time() {
    let mut e = E::established();
    e.conn.abort(e.now);
    e.skip();
    for _ in 0..3 {
        assert_eq!(
            e.lt("P. 1:11 ack 1"),
            Err(transom_tcp::Discard::ConnectionClosed)
        );
        e.gt("R 1:1");
    }
    e.lt("R 1:1").ok();
    e.silent();
}

#[test]
fn req_ev_x_22_every_change_of_state_is_told_once_in_order() {
    let mut e = Setup::default().syn_sent();
    e.lt("S. 0:0 ack 1 <mss 1000>").unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    e.skip();
    e.lt(". 1:1 ack 2").unwrap();
    e.lt("F. 1:1 ack 2").unwrap();
    e.wait(secs(60));
    let path: Vec<(State, State)> = e
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::State { from, to } => Some((from, to)),
            _ => None,
        })
        .collect();
    let states = [
        State::Closed,
        State::SynSent,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::TimeWait,
        State::Closed,
    ];
    let expected: Vec<_> = states.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(path, expected);
}

#[test]
fn req_ev_x_17_and_shld_3_and_may_1_close_with_unread_data_resets() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.conn.close(e.now);
    e.gt("R. 1:1 ack 11");
    e.silent();
    e.closed(CloseReason::Aborted);
}

#[test]
fn req_ev_x_18_linger() {
    let mut e = Setup::default()
        .config(|c| c.linger(Linger::Reset))
        .established();
    e.conn.close(e.now);
    e.gt("R. 1:1 ack 1");
    let limit = |c: Config| c.linger(Linger::Limit(secs(3)));
    let mut e = Setup::default().config(limit).established();
    e.write(10);
    e.conn.close(e.now);
    e.wait(ms(2900));
    e.skip();
    e.is(State::FinWait1);
    e.wait(ms(200));
    e.gt("R. 12:12 ack 1");
    e.closed(CloseReason::Aborted);
    // In time: an orderly end.
    let mut e = Setup::default().config(limit).established();
    e.write(10);
    e.conn.close(e.now);
    e.skip();
    e.lt(". 1:1 ack 12").unwrap();
    e.wait(secs(10));
    e.is(State::FinWait2);
    e.silent();
}

#[test]
fn req_must_12_the_end_of_the_stream_is_not_a_reset() {
    let mut orderly = E::established();
    orderly.lt("FP. 1:11 ack 1").unwrap();
    orderly.read(10);
    assert_eq!(
        orderly.conn.recv(orderly.now, 10),
        Ok(Some(bytes::Bytes::new()))
    );
    let mut aborted = E::established();
    aborted.lt("P. 1:11 ack 1").unwrap();
    aborted.lt("R 11:11").unwrap();
    // What was acknowledged is still there; after it, the truth.
    let now = aborted.now;
    assert_eq!(aborted.conn.recv(now, 100), Ok(Some(stream(0, 10))));
    assert_eq!(
        aborted.conn.recv(now, 100),
        Err(RecvError::Closed(CloseReason::ResetByPeer))
    );
    let reason = CloseReason::ResetByPeer;
    assert!(aborted.events().contains(&Event::Closed(reason)));
}

#[test]
fn writable_is_told_after_a_full_buffer_has_room() {
    let mut e = Setup::default()
        .config(|c| c.send_buffer(10_000))
        .established();
    assert_eq!(e.conn.send(e.now, stream(0, 15_000)), Ok(10_000));
    assert_eq!(e.conn.send(e.now, stream(0, 1)), Ok(0));
    assert!(!e.conn.is_writable());
    e.skip();
    e.events();
    e.lt(". 1:1 ack 2001").unwrap();
    assert!(!e.events().contains(&Event::Writable));
    e.lt(". 1:1 ack 3001").unwrap();
    assert!(e.events().contains(&Event::Writable));
}

#[test]
fn peek_leaves_what_it_shows() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    let mut out = [0; 4];
    assert_eq!(e.conn.peek(&mut out), Ok(Some(4)));
    assert_eq!(out, stream(0, 4).as_ref());
    assert_eq!(e.conn.recv_into(e.now, &mut out), Ok(Some(4)));
    assert_eq!(e.conn.recv_queue(), 6);
    assert_eq!(e.conn.recv(e.now, 100), Ok(Some(stream(4, 6))));
    assert_eq!(e.conn.peek(&mut out), Ok(None));
}

#[test]
fn an_idle_connection_is_small() {
    // With the congestion controller and what paces it, which are on the heap, about 1.4 KiB.
    let size = size_of::<transom_tcp::Connection>();
    assert!(size <= 1152, "{size}");
    // Folded up, after it has carried data.
    let mut e = E::established();
    for turn in 0..20 {
        e.write(500);
        e.skip();
        let end = 1 + 500 * (turn + 1);
        e.lt(&format!(
            "P. {}:{} ack {end}",
            1 + 100 * turn,
            101 + 100 * turn
        ))
        .unwrap();
        e.read(100);
        e.wait(ms(700));
        e.events();
        e.skip();
    }
    let dormant = e.conn.to_dormant().expect("it rests");
    assert!(dormant.memory() <= 288, "{}", dormant.memory());
}
