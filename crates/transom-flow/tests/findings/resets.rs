//! Resets, and why they were sent.

cases! {
    forged_by_a_nearer_device: "reset_by_server reset_forged",
        ["with a hop limit of 61, while the server's other segments arrive with 52"], "
        0 > S
        10 < SA ttl=52
        10.1 > A
        20 > PA 'GET /forbidden HTTP/1.1'
        22 < R ttl=61
    ";
    forged_and_overtaken_by_the_true_answer: "reset_by_server reset_forged",
        ["the server itself knew nothing of it and sent 1 segment more"], "
        open
        20 > PA 'GET /forbidden HTTP/1.1'
        22 < R
        30 < PA 'HTTP/1.1 200 OK' ack=24
        30.1 > R seq=24
    ";
    given_up: "reset_by_client retransmissions_given_up",
        ["had sent the same data again 4 times over 9.0 s without an acknowledgement, and gave up"], "
        open
        20 > PA len=100
        30 < A
        40 > PA len=100
        340 > PA len=100 seq=101
        940 > PA len=100 seq=101
        2140 > PA len=100 seq=101
        4540 > PA len=100 seq=101
        9340 > RA
    ";
    forgotten_in_fin_wait_2: "reset_by_client fin_wait_2_hanging",
        ["The client had waited in FIN-WAIT-2 for 2 min", "the server closed too late"], "
        open
        20 > PA len=100
        30 < A
        50 > FA
        60 < A
        120060 < FA
        120060.1 > R
    ";
    data_after_close: "reset_by_server reset_data_after_close",
        ["The client sent 500 B after the server had closed for good"], "
        open
        20 > PA len=100
        30 < FA
        30.1 > A
        40 > PA len=500
        50 < R
    ";
    half_open_after_a_crash: "reset_by_server half_open",
        ["the server did not answer 2 retransmissions, and then no longer knew the connection"], "
        open
        20 > PA len=100
        30 < A
        1000 > PA len=50
        1300 > PA len=50 seq=101
        1900 > PA len=50 seq=101
        1910 < R
    ";
    half_open_found_by_a_new_syn: "reset_by_client half_open",
        ["the client had lost it, probably by a crash or restart"], "
        open
        20 > PA len=100
        30 < A
        4000 > S seq=90000
        4010 < A ack=101
        4010.1 > R seq=101
    ";
    after_idle: "reset_by_server reset_after_idle", ["idle for 6 min 40 s"], "
        open
        20 > PA len=100
        30 < A
        40 < PA len=100
        40.1 > A
        400040 > PA len=100
        400050 < R
    ";
    of_a_connection_that_is_not_known: "reset_by_server reset_unknown_connection",
        ["answers a segment of the client and carries no ACK"], "
        open
        20 > PA len=100
        30 < PA len=100
        30.1 > A
        2000 > PA len=100
        2010 < R
    ";
    unread_data: "reset_by_server reset_unread_data",
        ["without reading the last 1.4 KiB that the client had sent"], "
        open
        20 > PA len=100
        30 < PA len=300
        30.1 > A
        31 > PA len=1448
        41 < A
        50 < RA
    ";
    a_scan: "reset_by_client half_open_scan", ["only asks whether the port is open"], "
        0 > S
        10 < SA
        10.1 > R
    ";
    by_the_client_itself: "reset_by_client reset_in_handshake",
        ["It ended its own attempt, and no answer was seen"], "
        0 > S
        0.3 > R seq=1
    ";
    in_the_handshake: "reset_by_server reset_in_handshake", ["its queue is full and set to reset"], "
        0 > S
        10 < SA
        20 < RA
    ";
    aborted: "reset_by_client reset_aborted",
        ["SO_LINGER of 0", "all data seen had been acknowledged"], "
        open
        20 > PA len=100
        30 < PA len=300
        30.1 > A
        40 > RA
    ";
    aborted_with_data_under_way: "reset_by_client reset_aborted", ["what was under way is lost"], "
        open
        20 > PA len=100
        30 < PA len=300
        30.1 > A
        40 > PA len=500
        41 > RA
    ";
    lost_and_sent_again: "reset_by_server reset_aborted reset_repeated lost retransmissions",
        ["each was answered with a reset again (3 in all) until one arrived"], "
        open
        20 < RA lost
        30 > PA len=10
        40 < R lost
        303 > PA len=10 seq=1
        313 < R
    ";
    after_both_have_closed: "normal_close reset_after_close", ["changes nothing"], "
        open
        20 > PA len=100
        30 < PA len=300
        30.1 > A
        40 > FA
        50 < FA
        50.1 > A
        50.2 > R
    ";
    without_effect: "still_open reset_without_effect", ["question it with a challenge ACK"], "
        open
        20 > PA len=10
        30 < A
        40 < R seq=500
        40.1 > A
        50 > PA len=10
        60 < A
    ";
}
