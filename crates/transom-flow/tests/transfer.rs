//! Loss, windows, probes and resets between handshake and close.
//!
//! Each line of an account: direction, control bits, meaning; then the client's and the server's state.

mod scene;

use scene::assert_account;

#[test]
fn reset_by_the_client_in_mid_stream() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=100
        3     < A len=1000
        3.1   > RA
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 100                          ESTABLISHED   ESTABLISHED
        < ACK data 1000                             ESTABLISHED   ESTABLISHED
        > RST,ACK reset                             CLOSED        CLOSED
        client_reset: reset_by_client, reset_unread_data
        Reset by the client after 3.1 ms, in the middle of the conversation, in ESTABLISHED.
        Probably its application closed without reading the last 1000 B that the server had sent,
        or aborted because of them; a close with unread data must reset (RFC 9293 §3.6.1, RFC
        2525 §2.17).
        ",
    );
}

#[test]
fn a_lost_reset_is_sent_again_for_each_further_segment() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     < RA lost
        3     > PA len=10
        4     < R lost
        203   > PA len=10 seq=1
        204   < R
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        < RST,ACK reset lost                        ESTABLISHED   CLOSED
        > PSH,ACK data 10                           ESTABLISHED   CLOSED
        < RST reset_again lost                      ESTABLISHED   CLOSED
        > PSH,ACK retransmission 10 timeout of 5    ESTABLISHED   CLOSED
        < RST reset_again                           CLOSED        CLOSED
        server_reset: reset_by_server, reset_aborted, reset_repeated, lost, retransmissions
        Reset by the server after 2.0 ms, in the middle of the conversation, in ESTABLISHED. Its
        application aborted: probably it closed with SO_LINGER of 0, or with data unread, as some
        programs and load balancers do instead of FIN; what was under way is lost (RFC 9293
        §3.10.5). The reset was lost: the client did not learn of it and sent 2 segments more;
        each was answered with a reset again (3 in all) until one arrived (RFC 9293 §3.5.2).
        ",
    );
}

#[test]
fn zero_window_and_probe() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=1000
        3     < A win=0
        203   > A seq=1000
        204   < A win=0
        604   > A seq=1001 len=1
        605   < A ack=1001 win=0
        700   < A ack=1001
        700.1 > A seq=1001 len=1
        700.2 > PA seq=1002 len=999
        701   < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 1000                         ESTABLISHED   ESTABLISHED
        < ACK zero_window                           ESTABLISHED   ESTABLISHED
        > ACK window_probe                          ESTABLISHED   ESTABLISHED
        < ACK window_probe_ack                      ESTABLISHED   ESTABLISHED
        > ACK window_probe 1                        ESTABLISHED   ESTABLISHED
        < ACK window_probe_ack                      ESTABLISHED   ESTABLISHED
        < ACK window_update                         ESTABLISHED   ESTABLISHED
        > ACK data 1                                ESTABLISHED   ESTABLISHED
        > PSH,ACK data 999                          ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, zero_window
        Still open at the end: neither end has closed. The server closed its receive window once
        for 697 ms in all: its application did not read fast enough (RFC 9293 §3.8.6.1). The
        client probed it twice.
        ",
    );
}

#[test]
fn a_lost_segment_and_its_fast_retransmission() {
    assert_account(
        "
        0     > S
        10    < SA
        10.1  > A
        11    > A len=1000
        11.1  > A len=1000 lost
        11.2  > A len=1000
        11.3  > A len=1000
        11.4  > PA len=1000
        21    < A ack=1001
        21.2  < A ack=1001 sack=2001-3001
        21.3  < A ack=1001 sack=2001-4001
        21.4  < A ack=1001 sack=2001-5001
        21.5  > A seq=1001 len=1000
        31.5  < A ack=5001
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > ACK data 1000                             ESTABLISHED   ESTABLISHED
        > ACK data 1000 lost                        ESTABLISHED   ESTABLISHED
        > ACK data 1000                             ESTABLISHED   ESTABLISHED
        > ACK data 1000                             ESTABLISHED   ESTABLISHED
        > PSH,ACK data 1000                         ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        < ACK duplicate_ack 1                       ESTABLISHED   ESTABLISHED
        < ACK duplicate_ack 2                       ESTABLISHED   ESTABLISHED
        < ACK duplicate_ack 3                       ESTABLISHED   ESTABLISHED
        > ACK retransmission 1000 fast_retransmit of 5ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, lost, retransmissions
        Still open at the end: neither end has closed. 1 segment of the client was lost on the
        way. The client sent 1 of 8 segments again (RFC 6298, RFC 5681).
        ",
    );
}

#[test]
fn retransmission_by_timeout_and_a_needless_one() {
    assert_account(
        "
        0     > S
        10    < SA
        10.1  > A
        11    > PA len=1000 lost
        311   > PA seq=1 len=1000
        321   < A
        322   > PA seq=1 len=1000
        332   < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 1000 lost                    ESTABLISHED   ESTABLISHED
        > PSH,ACK retransmission 1000 timeout of 4  ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        > PSH,ACK retransmission 1000 already_acknowledged of 4 needlessESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, lost, retransmissions, spurious_retransmissions
        Still open at the end: neither end has closed. 1 segment of the client was lost on the
        way. The client sent 1 of 5 segments again, after a timeout (RFC 6298, RFC 5681).
        ",
    );
}

#[test]
fn a_tail_loss_probe() {
    assert_account(
        "
        0     > S
        10    < SA
        10.1  > A
        11    > PA len=1000
        11.1  > PA len=500 lost
        21    < A ack=1001
        41    > PA seq=1001 len=500
        51    < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 1000                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 500 lost                     ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        > PSH,ACK retransmission 500 tail_loss_probe of 5ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, lost, retransmissions
        Still open at the end: neither end has closed. 1 segment of the client was lost on the
        way. The client sent 1 of 5 segments again (RFC 6298, RFC 5681).
        ",
    );
}

#[test]
fn data_out_of_order() {
    assert_account(
        "
        0     > S
        10    < SA
        10.1  > A
        11    < A len=1000 seq=1001
        11.01 > A sack=1001-2001 ack=1
        11.02 < A len=1000 seq=1
        11.03 > A ack=2001
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        < ACK data_after_gap 1000                   ESTABLISHED   ESTABLISHED
        > ACK duplicate_ack 1                       ESTABLISHED   ESTABLISHED
        < ACK out_of_order 1000                     ESTABLISHED   ESTABLISHED
        > ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, out_of_order
        Still open at the end: neither end has closed. 1 segment of the server was overtaken by
        later ones.
        ",
    );
}

#[test]
fn data_lost_before_the_capture_point() {
    assert_account(
        "
        0     > S
        10    < SA
        10.1  > A
        11    < A len=1000 seq=1001
        11.01 > A sack=1001-2001 ack=1
        230   < A len=1000 seq=1
        230.1 > A ack=2001
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        < ACK data_after_gap 1000                   ESTABLISHED   ESTABLISHED
        > ACK duplicate_ack 1                       ESTABLISHED   ESTABLISHED
        < ACK retransmission 1000 timeout           ESTABLISHED   ESTABLISHED
        > ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, retransmissions
        Still open at the end: neither end has closed. The server sent 1 of 3 segments again,
        after a timeout (RFC 6298, RFC 5681).
        ",
    );
}

#[test]
fn keep_alive() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=10
        3     < A
        7203  > A seq=10
        7204  < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 10                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        > ACK keep_alive                            ESTABLISHED   ESTABLISHED
        < ACK keep_alive_ack                        ESTABLISHED   ESTABLISHED
        still_open: still_open, keep_alive
        Still open at the end: neither end has closed.
        ",
    );
}

#[test]
fn a_forged_reset_is_questioned() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=10
        3     < A
        10    < R seq=500
        10.1  > A
        20    > PA len=10
        21    < A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 10                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        < RST reset                                 ESTABLISHED   ESTABLISHED
        > ACK challenge_ack                         ESTABLISHED   ESTABLISHED
        > PSH,ACK data 10                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        still_open: still_open, reset_without_effect
        Still open at the end: neither end has closed. A reset that claims to come from the
        server did not end the connection: its sequence number is not the one expected, so the
        client had to question it with a challenge ACK and go on (RFC 5961 §3.2). It may be
        forged.
        ",
    );
}

#[test]
fn still_open_and_idle() {
    assert_account(
        "
        0     > S
        1     < SA
        1.1   > A
        ",
        "
                                                    CLOSED        LISTEN
        > SYN syn                                   SYN-SENT      SYN-RECEIVED
        < SYN,ACK syn_ack                           ESTABLISHED   SYN-RECEIVED
        > ACK handshake_ack                         ESTABLISHED   ESTABLISHED
        still_open: still_open
        Still open at the end: no data has passed and neither end has closed.
        ",
    );
}

#[test]
fn a_capture_that_starts_in_mid_stream() {
    assert_account(
        "
        0     > PA seq=1000 ack=500 len=20
        1     < A seq=500
        2     < FA seq=500
        3     > A ack=501
        4     > FA ack=501
        5     < A seq=501 ack=1021
        ",
        "
                                                    ESTABLISHED   ESTABLISHED
        > PSH,ACK data 20                           ESTABLISHED   ESTABLISHED
        < ACK ack                                   ESTABLISHED   ESTABLISHED
        < FIN,ACK fin                               CLOSE-WAIT    FIN-WAIT-1
        > ACK ack                                   CLOSE-WAIT    FIN-WAIT-2
        > FIN,ACK fin                               LAST-ACK      TIME-WAIT
        < ACK ack                                   CLOSED        TIME-WAIT
        server_fin: normal_close, mid_stream
        A normal close: the server finished first and sent FIN; the client acknowledged it and
        sent its own FIN 2.0 ms later; the server's end stays in TIME-WAIT (60 s on Linux), as
        the active closer must (RFC 9293 §3.6.1). The capture starts after the handshake: which
        end is the client is a guess from the ports.
        ",
    );
}
