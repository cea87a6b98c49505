//! How connections end, or where they stand.

cases! {
    half_close: "half_close", ["sent 2.0 KiB more before its own FIN 555 ms later"], "
        open
        20 > PA len=100
        20.1 > FA
        30 < A
        31 < PA len=1000
        31.1 > A
        500 < PA len=1000
        500.1 > A
        575.1 < FA
        575.2 > A
    ";
    closed_at_once: "closed_at_once", ["without a byte of data"], "
        open
        11 < FA
        11.1 > FA
        21 < A
    ";
    closed: "closed", ["neither end holds the connection any more"], "
        open
        15 state client ESTABLISHED FIN-WAIT-1
        15 > FA
        16 state server ESTABLISHED CLOSED
        17 state client FIN-WAIT-1 CLOSED
    ";
    simultaneous_close: "simultaneous_close", ["both ends sent FIN before either saw the other's"], "
        open
        20 > PA len=10
        30 < A
        40 > FA
        41 < FA ack=11
        42 > A
        51 < A
    ";
    closed_by_reset: "closed_by_reset", ["nothing was lost"], "
        open
        20 > PA 'GET / HTTP/1.1'
        30 < PA 'HTTP/1.1 200 OK'
        30.1 > A
        31 < FA
        31.1 > A
        4000 > RA
    ";
    refused: "refused", ["nothing listens at 93.184.216.34:80"], "
        0 > S
        10 < RA
    ";
    unanswered: "unanswered", ["sent its SYN 4 times over 7.0 s"], "
        0 > S
        1000 > S seq=0
        3000 > S seq=0
        7000 > S seq=0
    ";
    answered_by_something_else: "unanswered", ["what came back does not acknowledge it"], "
        0 > S
        10 < A seq=777777 ack=99999
    ";
    reset_without_ack: "reset_without_ack", ["had to ignore it and sent its SYN 3 times"], "
        0 > S
        1 < R
        1000 > S seq=0
        1001 < R
        3000 > S seq=0
        3001 < R
    ";
    unreachable: "unreachable", ["10.0.2.2 reported \"administratively prohibited\""], "
        0 > S
        3 icmp client prohibited
    ";
    close_wait_never_left: "close_wait_stuck",
        ["the server's end has been in CLOSE-WAIT for 2 h", "has not closed the connection"], "
        open
        20 > PA 'GET / HTTP/1.1'
        30 < PA 'HTTP/1.1 200 OK'
        30.1 > A
        50 > FA
        60 < A
        7200050 end
    ";
    a_short_half_close_is_no_leak: "half_open_close", ["has not closed its direction"], "
        open
        20 > PA len=100
        30 < A
        50 > FA
        60 < A
        9000 end
    ";
    a_half_close_with_data_flowing_is_no_leak: "half_open_close", ["sent since"], "
        open
        20 > PA len=100
        30 < A
        50 > FA
        60 < A
        40000 < PA len=100
        40000.1 > A
        80000 < PA len=100
        80000.1 > A
    ";
    gave_up: "gave_up lost", ["The client gave up in ESTABLISHED after 3 retransmissions"], "
        open
        20 > PA len=100 lost
        220 > PA len=100 seq=1 lost
        620 > PA len=100 seq=1 lost
        1420 > PA len=100 seq=1 lost
        3020 state client ESTABLISHED CLOSED
    ";
    one_direction: "one_direction",
        ["only segments of the client were captured", "its acknowledgements cover 1.0 KiB"], "
        0 > S
        10.1 > A ack=1
        20 > PA ack=1 'GET / HTTP/1.1'
        40 > A ack=1025
        50 > FA ack=1025
        60 > A ack=1026
    ";
    the_other_direction: "one_direction", ["only segments of the server were captured"], "
        10 < SA ack=1
        30 < A ack=201
        31 < PA len=1000 ack=201
        60 < FA ack=202
    ";
    opening: "opening", ["the server answered 3 times with SYN,ACK"], "
        0 > S
        1 < SA
        1001 < SA seq=0
        3001 < SA seq=0
    ";
    still_open: "still_open", ["neither end has closed"], "
        open
        20 > PA len=100
        30 < A
    ";
}
