//! What the TCPs themselves say overrides what the packets tell, and is marked as observed (`*`).

mod scene;

use scene::{assert_account, play};
use transom_flow::{Basis, ClosedBy, End, State};

#[test]
fn our_own_end_is_observed_and_the_program_is_looked_at() {
    assert_account(
        "
        -0.1  process client curl 4242
        0     > S
        0.01  note leg B: connecting
        11.1  note leg B: connected
        11.15 state server LISTEN SYN-RECEIVED
        11.2  < SA
        11.26 > A
        11.26 state server SYN-RECEIVED ESTABLISHED
        11.3  sample client ESTABLISHED
        36    > FA
        36    state server ESTABLISHED CLOSE-WAIT
        36.05 < A
        48    state server CLOSE-WAIT LAST-ACK
        48    < FA
        48.1  > A
        48.1  state server LAST-ACK CLOSED
        50    sample client TIME-WAIT
        ",
        "
                                                    CLOSED        LISTEN*
        > SYN syn                                   SYN-SENT      LISTEN*
        note leg B: connecting                      SYN-SENT      LISTEN*
        note leg B: connected                       SYN-SENT      LISTEN*
        < SYN,ACK syn_ack                           ESTABLISHED*  SYN-RECEIVED*
        > ACK handshake_ack                         ESTABLISHED*  ESTABLISHED*
        > FIN,ACK fin                               FIN-WAIT-1    CLOSE-WAIT*
        < ACK ack                                   FIN-WAIT-2    CLOSE-WAIT*
        < FIN,ACK fin                               TIME-WAIT*    LAST-ACK*
        > ACK ack                                   TIME-WAIT*    CLOSED*
        client_fin: normal_close, never_used
        A normal close: curl finished first and sent FIN; the server acknowledged it and sent its
        own FIN 12 ms later; curl's end stays in TIME-WAIT (60 s on Linux), as the active closer
        must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn both_ends_observed_with_times_of_arrival() {
    assert_account(
        "
        0     state client CLOSED SYN-SENT
        0     > S arrives=10
        10    state server LISTEN SYN-RECEIVED
        10    < SA arrives=20
        20    state client SYN-SENT ESTABLISHED
        20    > A arrives=30
        30    state server SYN-RECEIVED ESTABLISHED
        30    state client ESTABLISHED FIN-WAIT-1
        30    > FA arrives=40
        30    state server ESTABLISHED FIN-WAIT-1
        30    < FA arrives=40 ack=1
        40    state client FIN-WAIT-1 CLOSING
        40    > A arrives=50
        40    state server FIN-WAIT-1 CLOSING
        40    < A arrives=50
        50    state client CLOSING TIME-WAIT
        50    state server CLOSING TIME-WAIT
        60050 state client TIME-WAIT CLOSED
        60050 state server TIME-WAIT CLOSED
        ",
        "
                                                    CLOSED*       LISTEN*
        > SYN syn                                   SYN-SENT*     SYN-RECEIVED*
        < SYN,ACK syn_ack                           ESTABLISHED*  SYN-RECEIVED*
        > ACK handshake_ack                         ESTABLISHED*  ESTABLISHED*
        > FIN,ACK fin                               FIN-WAIT-1*   ESTABLISHED*
        < FIN,ACK fin                               CLOSING*      FIN-WAIT-1*
        > ACK ack                                   CLOSING*      FIN-WAIT-1*
        < ACK ack                                   TIME-WAIT*    CLOSING*
        server TIME-WAIT by frame 6                 TIME-WAIT*    TIME-WAIT*
        client CLOSED                               CLOSED*       TIME-WAIT*
        server CLOSED                               CLOSED*       CLOSED*
        both_fin: simultaneous_close, never_used
        A simultaneous close: both ends sent FIN before either saw the other's, so both are
        active closers and go through CLOSING to TIME-WAIT (RFC 9293 §3.6, Figure 13).
        ",
    );
}

#[test]
fn without_truth_known_arrivals_place_the_changes() {
    assert_account(
        "
        0     > S arrives=10
        0     < S arrives=10
        10    > SA seq=0 arrives=20
        10    < SA seq=0 arrives=20
        20    > PA len=5 arrives=30
        ",
        "
                                                    CLOSED        CLOSED
        > SYN syn                                   SYN-SENT      CLOSED
        < SYN syn                                   SYN-SENT      SYN-SENT
        server SYN-RECEIVED by frame 1              SYN-SENT      SYN-RECEIVED
        > SYN,ACK syn_ack                           SYN-RECEIVED  SYN-RECEIVED
        < SYN,ACK syn_ack                           SYN-RECEIVED  SYN-RECEIVED
        server ESTABLISHED by frame 3               SYN-RECEIVED  ESTABLISHED
        > PSH,ACK data 5                            ESTABLISHED   ESTABLISHED
        still_open: still_open, simultaneous_open
        Still open at the end: neither end has closed. A simultaneous open: both ends sent SYN,
        and one connection came of it (RFC 9293 §3.5, Figure 7).
        ",
    );
}

#[test]
fn a_look_that_contradicts_the_packets_is_shown_as_a_change() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        500   sample client CLOSE-WAIT
        600   > PA len=5
        ",
    );
    let state = scene.connection().states()[End::Client];
    assert_eq!(
        (state.state, state.basis),
        (Some(State::CloseWait), Basis::Observed)
    );
    assert_eq!(scene.connection().step_count(), 5);
}

#[test]
fn a_look_older_than_the_newest_packets_changes_nothing() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        500   > FA
        500.1 sample client ESTABLISHED
        ",
    );
    let state = scene.connection().states()[End::Client];
    assert_eq!(
        (state.state, state.basis),
        (Some(State::FinWait1), Basis::Inferred)
    );
    assert_eq!(scene.connection().step_count(), 4);
}

#[test]
fn an_end_that_gives_up_without_a_segment_is_told() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        1.1   state server SYN-RECEIVED ESTABLISHED
        10    < PA len=100
        210   < PA len=100 seq=1
        610   < PA len=100 seq=1
        1410  state server ESTABLISHED CLOSED
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED*
        < PSH,ACK data 100                          ESTABLISHED   ESTABLISHED*
        < PSH,ACK retransmission 100 timeout of 4   ESTABLISHED   ESTABLISHED*
        < PSH,ACK retransmission 100 timeout of 4   ESTABLISHED   ESTABLISHED*
        server CLOSED                               ESTABLISHED   CLOSED*
        server_vanished: gave_up
        The server gave up in ESTABLISHED after 2 retransmissions that nobody answered: its TCP
        dropped the connection without a segment that says so (RFC 9293 §3.8.3).
        ",
    );
}

#[test]
fn an_attempt_that_is_given_up_is_unanswered() {
    let scene = play(
        "
        0     state client CLOSED SYN-SENT
        0     > S
        1000  > S seq=0
        3000  state client SYN-SENT CLOSED
        ",
    );
    let connection = scene.connection();
    assert_eq!(connection.closed_by(), ClosedBy::Unanswered);
    assert!(connection.is_closed());
    assert!(
        connection
            .verdict()
            .ending
            .text
            .starts_with("No answer: the client sent its SYN twice")
    );
}

#[test]
fn a_close_that_waits_for_its_fin_has_a_row_of_its_own() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        1.1   state server SYN-RECEIVED ESTABLISHED
        10    < PA len=100
        20    state server ESTABLISHED FIN-WAIT-1
        40    > A
        41    < FA
        42    > FA
        42    state server FIN-WAIT-1 TIME-WAIT
        42.1  < A
        60042 state server TIME-WAIT CLOSED
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED*
        < PSH,ACK data 100                          ESTABLISHED   ESTABLISHED*
        server FIN-WAIT-1                           ESTABLISHED   FIN-WAIT-1*
        > ACK ack                                   ESTABLISHED   FIN-WAIT-1*
        < FIN,ACK fin                               CLOSE-WAIT    FIN-WAIT-1*
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT*
        < ACK ack                                   CLOSED        TIME-WAIT*
        server CLOSED                               CLOSED        CLOSED*
        server_fin: normal_close
        A normal close: the server finished first and sent FIN; the client answered with ACK and
        its own FIN in one segment 1.0 ms later; the server's end stayed in TIME-WAIT for 60 s,
        as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn an_abort_is_told_with_the_state_before_it() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        1.1   state server SYN-RECEIVED ESTABLISHED
        10    < PA len=100
        20    state server ESTABLISHED CLOSED
        20    < RA
        ",
    );
    let ending = scene.connection().verdict().ending.text;
    let expected =
        "Reset by the server after 20 ms, in the middle of the conversation, in ESTABLISHED.";
    assert!(ending.starts_with(expected), "{ending}");
}

#[test]
fn an_abort_right_after_data_came_belongs_to_the_reset() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        1.1   state server SYN-RECEIVED ESTABLISHED
        10    > PA len=100
        10.1  state server ESTABLISHED CLOSED
        10.1  < RA
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED*
        > PSH,ACK data 100                          ESTABLISHED   ESTABLISHED*
        < RST,ACK reset                             CLOSED        CLOSED*
        server_reset: reset_by_server, reset_unread_data
        Reset by the server after 10 ms, in the middle of the conversation, in ESTABLISHED.
        Probably its application closed without reading the last 100 B that the client had sent,
        or aborted because of them; a close with unread data must reset (RFC 9293 §3.6.1, RFC
        2525 §2.17).
        ",
    );
}
