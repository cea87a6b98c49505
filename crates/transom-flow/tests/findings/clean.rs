//! Clean conversations of each sort: one ending, one sentence, nothing else.

cases! {
    a_request_and_its_answer: "normal_close", ["A normal close: the client finished first"], "
        open
        20 > PA 'GET / HTTP/1.1'
        30 < A
        40 < PA 'HTTP/1.1 200 OK'
        40.1 > A
        50 > FA
        60 < FA
        60.1 > A
    ";
    a_request_with_several_answers_and_think_time: "normal_close", [], "
        open
        20 talk 4 900 300 1200
        20000 > PA len=100
        20030 < PA len=100
        20030.1 > A
        20050 < FA
        20060 > FA
        20070 < A
    ";
    a_download: "normal_close", [], "
        open
        20 > PA 'GET /big HTTP/1.1'
        30 < A
        31 < A len=1448 x10 every=0.1
        32.1 > A
        42 < A len=1448 x20 every=0.1
        44.1 > A
        54 < A len=1448 x20 every=0.1
        56.1 > A
        70 > FA
        80 < FA
        80.1 > A
    ";
    an_upload_by_a_client_that_only_sends: "normal_close", [], "
        open
        20 > PA len=800
        31 < A
        5020 > PA len=800
        5031 < A
        10020 > PA len=700
        10031 < A
        10040 > FA
        10050 < FA
        10050.1 > A
    ";
    small_writes_each_answered_at_once: "normal_close", [], "
        open
        20 talk 40 40 20 30
        1900 > FA
        1910 < FA
        1910.1 > A
    ";
    a_slow_application_that_acknowledges_late_is_no_nagle: "normal_close", [], "
        open
        100 > PA len=50
        150 < A
        160 < PA len=20
        160.1 > A
        300 > PA len=50
        350 < A
        360 < PA len=20
        360.1 > A
        400 > FA
        410 < FA
        410.1 > A
    ";
    a_hop_limit_that_is_one_off: "normal_close", [], "
        open
        20 > PA len=100
        30 < PA len=100 ttl=63
        30.1 > A
        50 > FA
        60 < FA ttl=63
        60.1 > A
    ";
    an_answer_to_a_request_in_two_parts: "normal_close", [], "
        open
        20 > A len=1448
        20.1 > PA len=300
        30 < A
        60 < PA len=500
        60.1 > A
        70 > FA
        80 < FA
        80.1 > A
    ";
    a_window_that_shrinks_and_stays_open: "normal_close", [], "
        open
        20 > A len=1448 x4 every=0.1
        30 < A win=40
        31 > A len=1448 x2 every=0.1
        41 < A win=500
        50 > FA
        60 < FA
        60.1 > A
    ";
    a_reset_in_the_middle_of_the_first_answer_is_not_called_idle_nor_forged:
        "reset_by_server reset_aborted", ["after 40 ms, in the middle of the conversation, in ESTABLISHED"], "
        open
        20 > PA len=100
        30 < PA len=400
        30.1 > A
        40 < RA
    ";
    a_conversation_in_which_the_last_word_needs_no_answer: "still_open", [], "
        open
        20 > PA len=30
        30 < PA len=30
        30.1 > A
        100 > PA len=19
        110 < A
        30000 end
    ";
    lines_that_a_server_says_of_its_own_accord_are_no_slow_answers: "still_open", [], "
        open
        20 > PA len=30
        30 < PA len=30
        30.1 > A
        9000 < PA len=30
        9000.1 > A
    ";
    a_simultaneous_close_as_bsd_answers_it: "simultaneous_close", [], "
        open
        20 > PA len=10
        30 < A
        40 > FA
        41 < FA ack=11
        42 > FA seq=11 ack=2
        51 < A
    ";
    a_late_acknowledgement_by_a_waiting_application_is_no_bufferbloat: "still_open", [], "
        open
        20 < PA len=1000 x101 every=0.01
        22 > A
        3000 < PA len=1000
        6000 > PA len=10
        6001 < PA len=1000
        9000 > PA len=10
        9001 < PA len=1000
        12000 > PA len=10
        12001 < PA len=1000
        15000 > PA len=10
        15001 < PA len=1000
        18000 > PA len=10
        18001 < PA len=1000
        21000 > PA len=10
        21001 < PA len=1000
        24000 > PA len=10
        24001 < PA len=1000
        27000 > PA len=10
        27001 < PA len=1000
        30000 > PA len=10
        30001 < PA len=1000
    ";
    a_syn_ack_that_strays_in_later: "still_open", [], "
        open
        20 > PA len=10
        30 < PA len=10
        30.1 > A
        3000 < SA seq=0 ack=1
        3000.1 > A
    ";
}
