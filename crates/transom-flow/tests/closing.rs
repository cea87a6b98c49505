//! How connections close: states of both ends and the verdict, from packets alone.
//!
//! Each line of an account: direction, control bits, meaning; then the client's and the server's state.

mod scene;

use scene::assert_account;

#[test]
fn handshake_and_get_with_server_side_active_close_and_late_passive_close() {
    assert_account(
        "
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA 'GET /http.txt HTTP/1.1'
        18    < A
        20    < PA 'HTTP/1.1 200 OK'
        220   > A
        5020  < FA
        5020.1 > A
        9100  > FA
        9109  < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 22                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        < PSH,ACK data 15                           ESTABLISHED   ESTABLISHED
        > ACK ack                                   ESTABLISHED   ESTABLISHED
        < FIN,ACK fin                               CLOSE-WAIT    FIN-WAIT-1
        > ACK ack                                   CLOSE-WAIT    FIN-WAIT-2
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT
        < ACK ack                                   CLOSED        TIME-WAIT
        server_fin: normal_close
        A normal close: the server finished first and sent FIN; the client acknowledged it and
        sent its own FIN 4.1 s later, having waited in CLOSE-WAIT for its application to close;
        the server's end stays in TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293
        §3.6.1).
        ",
    );
}

#[test]
fn fin_and_ack_in_one_segment() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        5     > FA
        6     < FA
        6.1   > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > FIN,ACK fin                               FIN-WAIT-1    CLOSE-WAIT
        < FIN,ACK fin                               TIME-WAIT     LAST-ACK
        > ACK ack                                   TIME-WAIT     CLOSED
        client_fin: normal_close, never_used
        A normal close: the client finished first and sent FIN; the server answered with ACK and
        its own FIN in one segment 1.0 ms later; the client's end stays in TIME-WAIT (60 s on
        Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn ack_first_and_fin_later() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        5     > FA
        6     < A
        3000  < FA
        3000.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > FIN,ACK fin                               FIN-WAIT-1    CLOSE-WAIT
        < ACK ack                                   FIN-WAIT-2    CLOSE-WAIT
        < FIN,ACK fin                               TIME-WAIT     LAST-ACK
        > ACK ack                                   TIME-WAIT     CLOSED
        client_fin: normal_close, never_used
        A normal close: the client finished first and sent FIN; the server acknowledged it and
        sent its own FIN 3.0 s later, having waited in CLOSE-WAIT for its application to close;
        the client's end stays in TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293
        §3.6.1).
        ",
    );
}

#[test]
fn half_close_with_data_still_flowing() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=100
        2.1   > FA
        3     < A
        10    < PA len=1000
        10.1  > A
        500   < PA len=1000
        500.1 > A
        600   < FA
        600.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 100                          ESTABLISHED   ESTABLISHED
        > FIN,ACK fin                               FIN-WAIT-1    CLOSE-WAIT
        < ACK ack                                   FIN-WAIT-2    CLOSE-WAIT
        < PSH,ACK data 1000                         FIN-WAIT-2    CLOSE-WAIT
        > ACK ack                                   FIN-WAIT-2    CLOSE-WAIT
        < PSH,ACK data 1000                         FIN-WAIT-2    CLOSE-WAIT
        > ACK ack                                   FIN-WAIT-2    CLOSE-WAIT
        < FIN,ACK fin                               TIME-WAIT     LAST-ACK
        > ACK ack                                   TIME-WAIT     CLOSED
        client_fin: half_close
        A half-close: the client finished first and sent FIN, but went on receiving: the server
        sent 2.0 KiB more before its own FIN 598 ms later (RFC 9293 §3.6); the client's end
        stays in TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn both_close_at_once() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        5     > FA
        5.5   < FA ack=1
        5.6   > A
        6     < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > FIN,ACK fin                               FIN-WAIT-1    ESTABLISHED
        < FIN,ACK fin                               CLOSING       FIN-WAIT-1
        server CLOSING by frame 4                   CLOSING       CLOSING
        > ACK ack                                   CLOSING       TIME-WAIT
        < ACK ack                                   TIME-WAIT     TIME-WAIT
        both_fin: simultaneous_close, never_used
        A simultaneous close: both ends sent FIN before either saw the other's, so both are
        active closers and go through CLOSING to TIME-WAIT (RFC 9293 §3.6, Figure 13).
        ",
    );
}

#[test]
fn a_fin_is_lost_and_sent_again() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > FA lost
        202   > FA seq=1
        203   < FA
        203.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > FIN,ACK fin lost                          FIN-WAIT-1    ESTABLISHED
        > FIN,ACK retransmission timeout of 4       FIN-WAIT-1    CLOSE-WAIT
        < FIN,ACK fin                               TIME-WAIT     LAST-ACK
        > ACK ack                                   TIME-WAIT     CLOSED
        client_fin: normal_close, fin_lost, lost, never_used
        A normal close: the client finished first and sent FIN; the server answered with ACK and
        its own FIN in one segment 201 ms later; the client's end stays in TIME-WAIT (60 s on
        Linux), as the active closer must (RFC 9293 §3.6.1). The client had to send its FIN
        twice, because it or its acknowledgement was lost (RFC 9293 §3.6). 1 segment of the
        client was lost on the way.
        ",
    );
}

#[test]
fn the_last_ack_is_lost() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > FA
        3     < FA
        3.1   > A lost
        203   < FA seq=1
        203.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > FIN,ACK fin                               FIN-WAIT-1    CLOSE-WAIT
        < FIN,ACK fin                               TIME-WAIT     LAST-ACK
        > ACK ack lost                              TIME-WAIT     LAST-ACK
        < FIN,ACK retransmission timeout of 5       TIME-WAIT     LAST-ACK
        > ACK ack                                   TIME-WAIT     CLOSED
        client_fin: normal_close, fin_lost, lost, never_used
        A normal close: the client finished first and sent FIN; the server answered with ACK and
        its own FIN in one segment 1.0 ms later; the client's end stays in TIME-WAIT (60 s on
        Linux), as the active closer must (RFC 9293 §3.6.1). The server had to send its FIN
        twice, because it or its acknowledgement was lost (RFC 9293 §3.6). 1 segment of the
        client was lost on the way.
        ",
    );
}

#[test]
fn closed_at_once_by_the_server() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        1.2   < FA
        1.3   > A
        1.4   > FA
        2.4   < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        < FIN,ACK fin                               CLOSE-WAIT    FIN-WAIT-1
        > ACK ack                                   CLOSE-WAIT    FIN-WAIT-2
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT
        < ACK ack                                   CLOSED        TIME-WAIT
        server_fin: closed_at_once
        Closed at once: the server accepted the connection and sent FIN without a byte of data;
        the client acknowledged it and sent its own FIN 200 µs later; the server's end stays in
        TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn close_in_syn_received() {
    assert_account(
        "
        0     > S
        1     < SA
        1.05  < FA
        1.1   > A ack=1
        2     > A ack=2
        3     > FA
        4     < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        < FIN,ACK fin                               ESTABLISHED   FIN-WAIT-1
        > ACK handshake_ack                         ESTABLISHED   FIN-WAIT-1
        > ACK ack                                   CLOSE-WAIT    FIN-WAIT-2
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT
        < ACK ack                                   CLOSED        TIME-WAIT
        server_fin: closed_at_once
        Closed at once: the server accepted the connection and sent FIN without a byte of data;
        the client acknowledged it and sent its own FIN 1.9 ms later; the server's end stays in
        TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}

#[test]
fn data_after_the_other_end_closed_is_answered_with_reset() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=10
        3     < FA
        3.1   > A
        4     > PA len=10
        5     < R
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 10                           ESTABLISHED   ESTABLISHED
        < FIN,ACK fin                               CLOSE-WAIT    FIN-WAIT-1
        > ACK ack                                   CLOSE-WAIT    FIN-WAIT-2
        > PSH,ACK data 10                           CLOSE-WAIT    FIN-WAIT-2
        < RST reset                                 CLOSED        CLOSED
        server_reset: reset_by_server, reset_data_after_close
        Reset by the server after 5.0 ms, after its own FIN, in FIN-WAIT-2. The client sent 10 B
        after the server had closed for good: nobody would have read it, so it is lost (RFC 9293
        §3.6.1).
        ",
    );
}

#[test]
fn a_fin_that_crosses_an_acknowledgement_still_leads_through_close_wait() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        10    < PA len=100
        10.1  < FA
        10.15 > A ack=101
        11    > FA
        11.1  < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        < PSH,ACK data 100                          ESTABLISHED   ESTABLISHED
        < FIN,ACK fin                               ESTABLISHED   FIN-WAIT-1
        > ACK ack                                   ESTABLISHED   FIN-WAIT-1
        client CLOSE-WAIT by frame 5                CLOSE-WAIT    FIN-WAIT-1
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT
        < ACK ack                                   CLOSED        TIME-WAIT
        server_fin: normal_close
        A normal close: the server finished first and sent FIN; the client answered with ACK and
        its own FIN in one segment 900 µs later; the server's end stays in TIME-WAIT (60 s on
        Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
}
