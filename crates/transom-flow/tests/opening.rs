//! How connections open, or fail to: states of both ends and the verdict, from packets alone.
//!
//! Each line of an account: direction, control bits, meaning; then the client's and the server's state.

mod scene;

use scene::assert_account;

#[test]
fn both_open_at_once() {
    assert_account(
        "
        0     > S
        0.5   < S
        0.6   > SA seq=0
        1.1   < SA seq=0
        5     > PA len=10
        6     < A
        ",
        "
                                                    CLOSED        CLOSED
        > SYN syn                                   SYN-SENT      CLOSED
        < SYN syn                                   SYN-RECEIVED  SYN-SENT
        > SYN,ACK syn_ack                           SYN-RECEIVED  SYN-SENT
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        server ESTABLISHED by frame 3               ESTABLISHED   ESTABLISHED
        > PSH,ACK data 10                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, simultaneous_open
        Still open at the end: neither end has closed. A simultaneous open: both ends sent SYN,
        and one connection came of it (RFC 9293 §3.5, Figure 7).
        ",
    );
}

#[test]
fn data_in_the_syn_is_taken_and_answered_before_the_handshake_is_complete() {
    assert_account(
        "
        0     > S len=100 tfo=0102030405060708
        1     < SA
        1.1   < PA len=200
        1.2   > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn 100                               SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        < PSH,ACK data 200                          ESTABLISHED   SYN-RECEIVED
        > ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, fast_open
        Still open at the end: neither end has closed.
        ",
    );
}

#[test]
fn refused() {
    assert_account(
        "
        0     > S
        1     < RA
        ",
        "
                                                    CLOSED        CLOSED
        > SYN syn                                   SYN-SENT      CLOSED
        < RST,ACK reset                             CLOSED        CLOSED
        refused: refused
        Refused: nothing listens at 93.184.216.34:80, so the reset that came back acknowledges
        the SYN, and the client's connect fails at once (RFC 9293 §3.10.7.1).
        ",
    );
}

#[test]
fn reset_by_the_server_in_the_handshake() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A lost
        2     < RA
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack lost                    ESTABLISHED   SYN-RECEIVED
        < RST,ACK reset                             CLOSED        CLOSED
        server_reset: reset_by_server, reset_in_handshake, lost
        Reset by the server after 2.0 ms, during the handshake, in SYN-RECEIVED. The attempt is
        over: probably the listener was closed, its queue is full and set to reset, or a firewall
        cut in (RFC 9293 §3.5.3). 1 segment of the client was lost on the way.
        ",
    );
}

#[test]
fn reset_by_the_client_in_syn_received_leads_the_server_back_to_listen() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > R seq=1
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > RST reset                                 CLOSED        LISTEN
        client_reset: reset_by_client, half_open_scan
        Reset by the client after 1.1 ms, during the handshake, in ESTABLISHED. It answers the
        SYN,ACK, so the client did not want the connection after all: probably a port scan or
        health check that only asks whether the port is open, or a connect that was given up (RFC
        9293 §3.5.3).
        ",
    );
}

#[test]
fn an_unanswered_syn() {
    assert_account(
        "
        0     > S
        1000  > S seq=0
        3000  > S seq=0
        7000  > S seq=0
        ",
        "
                                                    CLOSED        ?
        > SYN syn                                   SYN-SENT      ?
        > SYN retransmission timeout of 1           SYN-SENT      ?
        > SYN retransmission timeout of 1           SYN-SENT      ?
        > SYN retransmission timeout of 1           SYN-SENT      ?
        unanswered: unanswered
        No answer: the client sent its SYN 4 times over 7.0 s and nothing came back. Either no
        host is there, or a filter drops the segments (RFC 9293 §3.8.3).
        ",
    );
}

#[test]
fn unreachable_by_icmp() {
    assert_account(
        "
        0     > S
        3     icmp client host-unreachable
        ",
        "
                                                    CLOSED        ?
        > SYN syn                                   SYN-SENT      ?
        icmp to client: host unreachable            CLOSED        ?
        unreachable: unreachable
        Unreachable: 10.0.2.2 reported \"host unreachable\", so the client gave up its attempt (RFC
        1122 §4.2.3.9, RFC 5461).
        ",
    );
}

#[test]
fn an_icmp_error_that_the_client_does_not_heed() {
    assert_account(
        "
        0     > S
        3     icmp client no-route
        1000  > S seq=0
        1009  < SA
        1010  > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      LISTEN
        icmp to client: no route to host            SYN-SENT      LISTEN
        > SYN retransmission timeout of 1           SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        still_open: still_open, syn_answered_late, icmp_error
        Still open at the end: no data has passed and neither end has closed. The SYN had to be
        sent twice: the answer came 1.0 s after the first (RFC 6298 §2). 10.0.2.2 reported \"no
        route to host\", which TCP takes for a hint only and tries on (RFC 9293 §3.9.2.2, RFC
        5927 §5.2).
        ",
    );
}

#[test]
fn syn_ack_lost_and_sent_again() {
    assert_account(
        "
        0     > S
        1     < SA lost
        1000  > S seq=0
        1001  < SA seq=0
        1001.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack lost                      SYN-SENT      SYN-RECEIVED
        > SYN retransmission timeout of 1           SYN-SENT      SYN-RECEIVED
        < SYN,ACK retransmission unknown of 2       ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        still_open: still_open, syn_answered_late, lost
        Still open at the end: no data has passed and neither end has closed. The SYN was sent
        twice and the SYN,ACK twice: the first answer did not reach the client in time (RFC 6298
        §2). 1 segment of the server was lost on the way.
        ",
    );
}

#[test]
fn the_last_ack_of_the_handshake_is_lost() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A lost
        1001  < SA seq=0
        1001.1 > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack lost                    ESTABLISHED   SYN-RECEIVED
        < SYN,ACK retransmission timeout of 2       ESTABLISHED   SYN-RECEIVED
        > ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, handshake_ack_lost, lost
        Still open at the end: no data has passed and neither end has closed. The acknowledgement
        that ends the handshake did not reach the server, which sent its SYN,ACK once more (RFC
        9293 §3.5). 1 segment of the client was lost on the way.
        ",
    );
}

#[test]
fn a_reset_without_ack_does_not_refuse() {
    assert_account(
        "
        0     > S
        1     < R
        1000  > S seq=0
        1001  < R
        ",
        "
                                                    CLOSED        CLOSED
        > SYN syn                                   SYN-SENT      CLOSED
        < RST reset                                 SYN-SENT      CLOSED
        > SYN retransmission timeout of 1           SYN-SENT      CLOSED
        < RST reset_again                           SYN-SENT      CLOSED
        unanswered: reset_without_ack
        Answered in vain: the reset that came back does not acknowledge the SYN, so the client
        had to ignore it and sent its SYN twice (RFC 9293 §3.10.7.3). To refuse, a reset must
        carry ACK (§3.10.7.1).
        ",
    );
}

#[test]
fn the_server_opens_a_connection_that_the_client_never_acknowledges() {
    assert_account(
        "
        0     > S
        1     < SA
        1001  < SA seq=0
        3001  < SA seq=0
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        < SYN,ACK retransmission timeout of 2       ESTABLISHED   SYN-RECEIVED
        < SYN,ACK retransmission timeout of 2       ESTABLISHED   SYN-RECEIVED
        still_open: opening
        The handshake is not done: the server answered 3 times with SYN,ACK, but the
        acknowledgement was not seen (RFC 9293 §3.5).
        ",
    );
}
