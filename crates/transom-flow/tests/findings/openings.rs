//! What openings show.

cases! {
    simultaneous_open: "still_open simultaneous_open", ["one connection came of it"], "
        0 > S
        5 < S
        6 > SA seq=0
        11 < SA seq=0
        20 > PA len=10
        30 < A
    ";
    answered_late: "still_open syn_answered_late", ["sent twice: the answer came 1.0 s after the first"], "
        0 > S
        1000 > S seq=0
        1010 < SA
        1010.1 > A
        1020 > PA len=10
        1030 < A
    ";
    backlog_overflow: "still_open backlog_overflow",
        ["although the client had acknowledged it", "accepts too slowly"], "
        open
        1020 < SA seq=0
        1020.1 > A
        3040 < SA seq=0
        3040.1 > A
    ";
    backlog_overflow_with_data_in_vain: "still_open backlog_overflow", ["once more although"], "
        open
        20 > PA len=100
        320 > PA seq=1 len=100
        920 > PA seq=1 len=100
        1020 < SA seq=0 ack=1
        1020.1 > A
        1030 < A
    ";
    handshake_ack_lost: "still_open handshake_ack_lost", ["did not reach the server"], "
        open
        1020 < SA seq=0
        1020.1 > A
        1030 > PA len=10
        1040 < A
    ";
    port_reused_too_soon: "still_open port_reused_too_soon",
        ["The client used a port again whose old connection the server still holds"], "
        0 > S
        10 < A seq=777777 ack=99999
        10.1 > R seq=99999
        1000 > S seq=0
        1010 < SA seq=0 ack=1
        1010.1 > A ack=1
        1020 > PA len=10 ack=1
        1030 < A seq=1
    ";
    time_wait_reuse: "still_open time_wait_reuse", ["until 2.0 s before, whose TIME-WAIT still lasted"], "
        open
        20 > PA len=10
        30 < FA
        30.1 > FA
        40 < A
        100 again
        2040 > S
        2050 < SA
        2050.1 > A
        2060 > PA len=10
        2070 < A
    ";
    port_reuse: "still_open port_reuse", ["until 500 ms before"], "
        open
        20 > PA len=10
        30 < RA
        100 again
        530 > S
        540 < SA
        540.1 > A
        550 > PA len=10
        560 < A
    ";
    fast_open: "still_open fast_open", ["the SYN brought 100 B of data, and the server took it"], "
        0 > S len=100
        10 < SA
        10.1 > A
    ";
    fast_open_refused: "still_open fast_open_refused retransmissions", ["acknowledged the SYN alone"], "
        0 > S len=100
        10 < SA ack=1
        10.1 > PA seq=1 len=100
        20 < A
    ";
    ecn: "still_open ecn_negotiated", ["agreed on ECN"], "
        0 > SEW
        10 < SAE
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    congestion_marked: "still_open congestion_experienced", ["2 segments told of it"], "
        0 > SEW
        10 < SAE
        10.1 > A
        20 > PA len=10
        30 < AE
        31 > PA len=10
        41 < AE
        42 > PAW len=10
        52 < A
    ";
    accurate_ecn: "still_open accurate_ecn_negotiated", ["each mark is counted"], "
        0 > SEWa
        10 < SAW
        10.1 > AW
        20 > PAaE len=10
        30 < AaE
    ";
    accurate_ecn_says_that_the_syn_came_marked: "still_open accurate_ecn_negotiated", ["accurate ECN"], "
        0 > SEWa
        10 < SAEW
        10.1 > AW
        20 > PAaE len=10
        30 < AaE
    ";
    accurate_ecn_asked_for_and_classic_agreed: "still_open ecn_negotiated", ["agreed on ECN"], "
        0 > SEWa
        10 < SAE
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    accurate_ecn_reflected_is_none: "still_open", [], "
        0 > SEWa
        10 < SAEWa
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    congestion_counted: "still_open congestion_experienced", ["3 marked packets told of"], "
        0 > SEWa
        10 < SAW
        10.1 > AW
        20 > PAaE len=10
        30 < AaW
        31 > PAaE len=10
        41 < A
        42 > PAaE len=10
        52 < A
    ";
    ecn_asked_for_and_not_agreed: "still_open", [], "
        0 > SEW
        10 < SA
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    window_scale_stripped: "still_open window_scale_stripped", ["no window can be more than 64 KiB"], "
        0 > S
        10 < SA nows
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    sack_stripped: "still_open sack_stripped", ["each loss costs more time"], "
        0 > S
        10 < SA nosack
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    an_old_server_without_any_options_is_not_called_stripped: "still_open", [], "
        0 > S
        10 < SA noopt mss=1460
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    mss_clamped: "still_open mss_clamped", ["The server's SYN offers segments of 1380 bytes"], "
        0 > S
        10 < SA mss=1380
        10.1 > A
        20 > PA len=10
        30 < A
    ";
    far_away: "still_open high_rtt", ["took 300 ms, 280 ms of it between the capture point and the server"], "
        0 > S
        280 < SA
        300 > A
        310 > PA len=10
        590 < A
    ";
}
