//! What transfers show: waiting, windows, pace.

cases! {
    zero_window: "still_open zero_window", ["closed its receive window once for 697 ms", "probed it twice"], "
        open
        20 > PA len=1000
        30 < A win=0
        230 > A seq=1000
        240 < A win=0
        640 > A seq=1001 len=1
        641 < A ack=1001 win=0
        727 < A ack=1001
        727.1 > A seq=1001 len=1
        727.2 > PA seq=1002 len=999
        737 < A
    ";
    silly_windows: "still_open small_window", ["offered less than a segment (down to 256 B)", "4 segments cut"], "
        open
        20 > A len=1448
        30 < A win=2
        31 > A len=256
        331 < A win=2
        332 > A len=256
        632 < A win=2
        633 > A len=256
        933 < A win=2
        934 > A len=256
        1234 < A
    ";
    nagle_and_delayed_acks: "still_open nagle_delayed_ack",
        ["3 of the client's small writes waited for a delayed acknowledgement, 120 ms in all"], "
        open
        100 > PA len=50
        150 < A
        150.1 > PA len=60
        160 < PA len=20
        160.1 > A
        300 > PA len=50
        350 < A
        350.1 > PA len=60
        360 < PA len=20
        360.1 > A
        500 > PA len=50
        550 < A
        550.1 > PA len=60
        560 < PA len=20
        560.1 > A
    ";
    slow_answer: "still_open slow_answer", ["took 3.0 s to answer, of which the network needs 10 ms"], "
        open
        20 > PA 'GET /report HTTP/1.1'
        30 < A
        3020 < PA 'HTTP/1.1 200 OK'
        3020.1 > A
    ";
    request_unanswered: "normal_close request_unanswered",
        ["acknowledged the last request and did not answer it in 30 s"], "
        open
        20 > PA 'GET /report HTTP/1.1'
        30 < A
        30020 > FA
        30030 < FA
        30030.1 > A
    ";
    one_way_silence: "still_open one_way_silence",
        ["the server sent no more data for the last 20 s", "its application is silent"], "
        open
        20 talk 30 40 160 160
        1250 > PA len=160 x200 every=100
        21151 < A
    ";
    slow_start_after_idle: "still_open slow_start_after_idle",
        ["After a pause of 3.0 s the server began anew with slow start"], "
        open
        20 > PA 'GET /stream HTTP/1.1'
        30 < A len=1448 x30 every=0.01
        40 > A
        3030 < A len=1448 x10 every=0.01
        3040 > A
        3050 < A len=1448 x20 every=0.01
        3060 > A
    ";
    a_pause_without_slow_start: "still_open", [], "
        open
        20 > PA 'GET /stream HTTP/1.1'
        30 < A len=1448 x30 every=0.01
        40 > A
        3030 < A len=1448 x30 every=0.01
        3040 > A
        3050 < A len=1448 x20 every=0.01
        3060 > A
    ";
    keep_alive: "still_open keep_alive", ["sent 1 keep-alive while idle"], "
        open
        20 > PA len=10
        30 < A
        7200020 > A seq=10
        7200030 < A
        7200040 > PA len=10
        7200050 < A
    ";
    keep_alive_only: "still_open keep_alive_only", ["Kept alive for nothing: the client sent 4 keep-alives"], "
        open
        20 > PA len=10
        30 < A
        60020 > A seq=10
        60030 < A
        120020 > A seq=10
        120030 < A
        180020 > A seq=10
        180030 < A
        240020 > A seq=10
        240030 < A
    ";
    never_used: "normal_close never_used", ["probably a health check"], "
        open
        20 > FA
        30 < FA
        30.1 > A
    ";
    receiver_limited: "still_open receiver_limited", ["The receive window of the client, 8.0 KiB at most"], "
        0 > S
        10 < SA
        10.1 > A win=64
        20 > PA len=10 win=64
        30 < A len=1448 x5 every=0.01
        130 > A win=64
        131 < A len=1448 x5 every=0.01
        231 > A win=64
        232 < A len=1448 x5 every=0.01
        332 > A win=64
        333 < A len=1448 x5 every=0.01
        433 > A win=64
        434 < A len=1448 x5 every=0.01
        534 > A win=64
        535 < A len=1448 x5 every=0.01
        635 > A win=64
        636 < A len=1448 x5 every=0.01
        736 > A win=64
        737 < A len=1448 x5 every=0.01
        837 > A win=64
        838 < A len=1448 x5 every=0.01
        938 > A win=64
        939 < A len=1448 x5 every=0.01
        1039 > A win=64
        1040 < A len=1448 x5 every=0.01
        1140 > A win=64
        1141 < A len=1448 x5 every=0.01
        1241 > A win=64
        1242 < A len=1448 x5 every=0.01
        1342 > A win=64
        1343 < A len=1448 x5 every=0.01
        1443 > A win=64
        1444 < A len=1448 x5 every=0.01
        1544 > A win=64
    ";
    sender_limited: "still_open sender_limited", ["its application sets the pace"], "
        open
        20 > PA len=1000 x120 every=50
        6030 < A
    ";
}
