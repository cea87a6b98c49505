//! Loss, silence, and what is not TCP's matter.

cases! {
    mtu_black_hole: "still_open mtu_black_hole",
        ["the client sent 1,448 bytes 5 times in vain", "while segments up to 200 bytes arrive", "a filter drops it"], "
        open
        20 > PA len=200
        30 < A
        40 > A len=1448
        340 > A len=1448 seq=201
        940 > A len=1448 seq=201
        2140 > A len=1448 seq=201
        4540 > A len=1448 seq=201
    ";
    mtu_black_hole_found_by_probing: "still_open mtu_black_hole", [], "
        open
        20 > PA len=200
        30 < A
        40 > A len=1448
        340 > A len=1448 seq=201
        940 > A len=1448 seq=201
        2140 > A len=1448 seq=201
        4540 > A len=500 seq=201
        4550 < A ack=701
        4551 > A len=948 seq=701
        4561 < A
    ";
    icmp_says_too_big_and_is_not_heeded: "still_open mtu_black_hole", ["10.0.2.2 reported", "MTU 1400"], "
        open
        20 > PA len=200
        30 < A
        40 > A len=1448
        41 icmp client too-big=1400
        340 > A len=1448 seq=201
        341 icmp client too-big=1400
        940 > A len=1448 seq=201
        2140 > A len=1448 seq=201
    ";
    packet_too_big: "still_open packet_too_big retransmissions", ["the next link takes 1400 bytes"], "
        open
        20 > PA len=200
        30 < A
        40 > A len=1448
        41 icmp client too-big=1400
        41.1 > A len=1348 seq=201
        41.2 > A len=100 seq=1549
        52 < A
    ";
    peer_vanished: "still_open peer_vanished",
        ["The server fell silent: the client sent the same data again 4 times over 4.2 s"], "
        open
        20 > PA len=100
        30 < A
        100 > PA len=80
        400 > PA len=80 seq=101
        1000 > PA len=80 seq=101
        2200 > PA len=80 seq=101
        4600 > PA len=80 seq=101
    ";
    fin_unanswered: "half_open_close fin_unanswered", ["sent its FIN 4 times without an acknowledgement"], "
        open
        20 > PA len=100
        30 < A
        50 > FA
        350 > FA seq=101
        950 > FA seq=101
        2150 > FA seq=101
    ";
    fin_lost: "normal_close fin_lost", ["had to send its FIN twice"], "
        open
        20 > PA len=100
        30 < A
        50 > FA
        350 > FA seq=101
        360 < FA
        360.1 > A
    ";
    keep_alive_unanswered: "still_open keep_alive_unanswered",
        ["The server does not answer any more: the last 3 keep-alives"], "
        open
        20 > PA len=10
        30 < A
        7200020 > A seq=10
        7275020 > A seq=10
        7350020 > A seq=10
    ";
    lost: "still_open lost retransmissions", ["1 segment of the client was lost on the way"], "
        open
        20 > PA len=1000 lost
        320 > PA seq=1 len=1000
        330 < A
    ";
    spurious: "still_open spurious_retransmissions", ["sent 2 segments again that had arrived already"], "
        open
        20 > PA len=1000
        25 > PA len=1000
        30 < A
        340 > PA seq=1 len=1000
        341 > PA seq=1001 len=1000
        350 < A
    ";
    storm: "still_open retransmission_storm", ["sent 44 % of its segments again, 12 of 27"], "
        open
        20 > A len=100 x13 every=0.1
        320 > A len=100 seq=1
        330 < A ack=101
        620 > A len=100 seq=101
        630 < A ack=201
        920 > A len=100 seq=201
        930 < A ack=301
        1220 > A len=100 seq=301
        1230 < A ack=401
        1520 > A len=100 seq=401
        1530 < A ack=501
        1820 > A len=100 seq=501
        1830 < A ack=601
        2120 > A len=100 seq=601
        2130 < A ack=701
        2420 > A len=100 seq=701
        2430 < A ack=801
        2720 > A len=100 seq=801
        2730 < A ack=901
        3020 > A len=100 seq=901
        3030 < A ack=1001
        3320 > A len=100 seq=1001
        3330 < A ack=1101
        3620 > A len=100 seq=1101
        3630 < A ack=1301
    ";
    loss_limited: "still_open loss_limited retransmissions", ["Repairing losses held the client back"], "
        open
        20 > A len=1448 x50 every=0.1
        35 < A ack=1449
        36 < A ack=1449 sack=2897-4345
        37 < A ack=1449 sack=2897-5793
        38 < A ack=1449 sack=2897-7241
        39 > A seq=1449 len=1448
        440 > A seq=1449 len=1448
        1240 > A seq=1449 len=1448
        1260 < A
        1261 > A len=1448 x30 every=0.1
        1280 < A
    ";
    out_of_order: "still_open out_of_order", ["1 segment of the server was overtaken"], "
        open
        21 < A len=1000 seq=1001
        21.01 > A sack=1001-2001 ack=1
        21.02 < A len=1000 seq=1
        21.03 > A ack=2001
    ";
    hop_limit_changed: "still_open hop_limit_changed", ["with hop limits from 52 to 64"], "
        0 > S
        10 < SA ttl=64
        10.1 > A
        20 > PA len=10
        30 < PA ttl=52 len=10
        30.1 > A
    ";
    not_captured: "still_open not_captured", ["lacks segments of the server at one place"], "
        open
        20 < A len=1000
        30 < A len=1000 seq=5001
        30.1 > A ack=6001
    ";
    mid_stream: "normal_close mid_stream", ["starts after the handshake"], "
        0     > PA seq=1000 ack=500 len=20
        1     < A seq=500
        2     < FA seq=500
        3     > A ack=501
        4     > FA ack=501
        5     < A seq=501 ack=1021
    ";
    tls_alert: "normal_close tls_alert", ["the server sent the alert 40 (handshake failure)"], "
        open
        20 > PA len=200
        30 < PA hex=15030300020228
        30.1 < FA
        30.2 > FA
        40 < A
    ";
    an_ordinary_close_notify: "normal_close", [], "
        open
        20 > PA len=200
        30 < PA len=300
        30.1 > A
        40 < PA hex=15030300020100
        40.1 < FA
        40.2 > FA
        50 < A
    ";
    http_error: "still_open http_error", ["The answer was HTTP 503"], "
        open
        20 > PA 'GET / HTTP/1.1'
        30 < PA 'HTTP/1.1 503 Service Unavailable'
        30.1 > A
    ";
    icmp_error: "still_open icmp_error", ["host unreachable", "a hint only"], "
        open
        20 > PA len=10
        23 icmp client host-unreachable
        30 < A
    ";
    duplicate_packets: "still_open duplicate_packets", ["1 packet of the client is in the capture a further time"], "
        open
        20 > PA len=100
        20.05 > PA len=100 seq=1
        30 < A
    ";
    copies_behind_a_router: "still_open duplicate_packets", ["captured before and behind a router"], "
        open
        20 > PA len=100
        20.05 > PA len=100 seq=1 ttl=63
        30 < A
    ";
    time_reversed: "still_open time_reversed", ["1 frame of the server has an earlier time"], "
        open
        20 > PA len=100
        19.9 < A
    ";
    bufferbloat: "still_open bufferbloat", ["grew from 100 µs to", "a queue on the way to the client"], "
        open
        20 > PA len=10
        30 < A len=1448 x10 every=0.1
        41 > A
        50 < A len=1448 x10 every=0.1
        90 > A
        100 < A len=1448 x10 every=0.1
        200 > A
        210 < A len=1448 x10 every=0.1
        420 > A
        430 < A len=1448 x10 every=0.1
        740 > A
        750 < A len=1448 x10 every=0.1
        1060 > A
        1070 < A len=1448 x10 every=0.1
        1380 > A
        1390 < A len=1448 x10 every=0.1
        1700 > A
        1710 < A len=1448 x10 every=0.1
        2020 > A
        2030 < A len=1448 x10 every=0.1
        2340 > A
        2350 < A len=1448 x10 every=0.1
        2660 > A
    ";
}
