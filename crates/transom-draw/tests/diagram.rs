//! Drawings of whole connections, compared with what they should look like.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::{flush_left, play};
use transom_draw::text::{Options, Scale, diagram};

/// Plays a script and compares its drawing; the indentation of the expected text does not count.
#[track_caller]
fn assert_drawn(options: Options, script: &str, expected: &str) {
    let scene = play(script);
    let drawn = diagram(scene.connection(), &options);
    assert_eq!(drawn.trim_end(), flush_left(expected), "\n{drawn}\n");
}

/// As [`assert_drawn`], but for the rows alone, without the sentences below them.
#[track_caller]
fn assert_rows(options: Options, script: &str, expected: &str) {
    let scene = play(script);
    let drawn = diagram(scene.connection(), &options);
    let verdict = scene.connection().verdict().ending.text;
    let start: String = verdict.chars().take(8).collect();
    let (rows, _) = drawn.split_once(&format!("\n {start}")).unwrap();
    assert_eq!(rows, flush_left(expected), "\n{drawn}\n");
}

#[test]
fn the_capture_of_a_browser_closed_late_by_its_server() {
    assert_drawn(
        Options::default(),
        "
        0     process client curl 4242
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
        #1  10.0.2.100:43210 → 93.184.216.34:80  curl[4242]
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           9.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
           9.100 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
           9.300 ms                ──── PSH,ACK 22 B GET /http.txt HT… ─▶
          18.000 ms                ◀─── ACK ─────────────────────────────
          20.000 ms                ◀─── PSH,ACK  15 B  HTTP/1.1 200 OK ──
         220.000 ms                ──── ACK ────────────────────────────▶
                                   ┊          4.8 s of silence          ┊
        5020.000 ms  CLOSE-WAIT    ◀─── FIN,ACK ─────────────────────────  FIN-WAIT-1
        5020.100 ms                ──── ACK ────────────────────────────▶  FIN-WAIT-2
                                   ┊          4.1 s of silence          ┊
        9100.000 ms  LAST-ACK      ──── FIN,ACK ────────────────────────▶  TIME-WAIT
        9109.000 ms  CLOSED        ◀─── ACK ─────────────────────────────
         A normal close: the server finished first and sent FIN; curl acknowledged it
         and sent its own FIN 4.1 s later, having waited in CLOSE-WAIT for its
         application to close; the server's end stays in TIME-WAIT (60 s on Linux), as
         the active closer must (RFC 9293 §3.6.1).
         States are inferred from the packets.
        ",
    );
}

#[test]
fn a_lost_reset_is_drawn_as_lost() {
    assert_drawn(
        Options::default(),
        "
        0     > S
        1     < SA
        1.1   > A
        2     < RA lost
        3     > PA len=1448
        4     < R lost
        203   > PA len=1448 seq=1
        204   < R
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           1.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
           1.100 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
           2.000 ms                      ✕─── RST,ACK  lost ─────────────  CLOSED
           3.000 ms                ──── PSH,ACK  1.4 KiB ───────────────▶
           4.000 ms                      ✕─── RST  lost  again ──────────
         203.000 ms                ──── PSH,ACK  1.4 KiB  again, RTO ───▶
         204.000 ms  CLOSED        ◀─── RST  again ──────────────────────
         Reset by the server after 2.0 ms, in the middle of the conversation, in
         ESTABLISHED.
         Its application aborted: probably it closed with SO_LINGER of 0, or with data
         unread, as some programs and load balancers do instead of FIN; what was under
         way is lost (RFC 9293 §3.10.5).
         The reset was lost: the client did not learn of it and sent 2 segments more;
         each was answered with a reset again (3 in all) until one arrived (RFC 9293
         §3.5.2).
         2 segments of the server were lost on the way.
         The client sent 1 of 4 segments again, after a timeout (RFC 6298, RFC 5681).
         States are inferred from the packets.
        ",
    );
}

#[test]
fn both_legs_of_a_run() {
    assert_drawn(
        Options::default(),
        "
        -0.1  process client curl 4242
        0     > S
        0.01  note leg B: connecting to 93.184.216.34:80 through the host
        11.1  note leg B: connected after 11.09 ms, mss 1460, rtt 11.0 ms, congestion control cubic
        11.15 state server LISTEN SYN-RECEIVED
        11.2  < SA
        11.26 > A
        11.26 state server SYN-RECEIVED ESTABLISHED
        11.3  sample client ESTABLISHED
        11.4  > PA 'GET / HTTP/1.1'
        36    > FA
        36    state server ESTABLISHED CLOSE-WAIT
        36.05 < A
        48    state server CLOSE-WAIT LAST-ACK
        48    < FA
        48.1  > A
        48.1  state server LAST-ACK CLOSED
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80  curl[4242]
               time  client                                                server
                     CLOSED?                                               LISTEN
           0.000 ms  SYN-SENT?     ──── SYN  mss 1460 sack ts ws 7 ─────▶
           0.010 ms                · leg B: connecting to 93.184.216.34:80 through the
                                     host
          11.100 ms                · leg B: connected after 11.09 ms, mss 1460, rtt 11.0
                                     ms, congestion control cubic
          11.200 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──  SYN-RECEIVED
          11.260 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
          11.400 ms                ──── PSH,ACK  14 B  GET / HTTP/1.1 ──▶
          36.000 ms  FIN-WAIT-1?   ──── FIN,ACK ────────────────────────▶  CLOSE-WAIT
          36.050 ms  FIN-WAIT-2?   ◀─── ACK ─────────────────────────────
          48.000 ms  TIME-WAIT?    ◀─── FIN,ACK ─────────────────────────  LAST-ACK
          48.100 ms                ──── ACK ────────────────────────────▶  CLOSED
         A normal close: curl finished first and sent FIN; the server acknowledged it
         and sent its own FIN 12 ms later; curl's end stays in TIME-WAIT (60 s on
         Linux), as the active closer must (RFC 9293 §3.6.1).
         ? inferred from the packets; states without it were read from the TCP itself.
        ",
    );
}

#[test]
fn segments_that_cross_get_a_row_for_their_arrival() {
    assert_drawn(
        Options::default(),
        "
        0     > S arrives=10
        0     < S arrives=10
        10    > SA seq=0 arrives=20
        10    < SA seq=0 arrives=20
        30    > PA len=5 arrives=40
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                CLOSED
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ──╮
           0.000 ms                   ╭─── SYN mss 1460 sack ts ws 7 ┼───  SYN-SENT
          10.000 ms                ◀──╯                              ╰──▶  SYN-RECEIVED
          10.000 ms  SYN-RECEIVED  ──── SYN,ACK mss 1460 sack ts w… ─╮
          10.000 ms                   ╭─── SYN,ACK mss 1460 sack ts… ┼───
          20.000 ms  ESTABLISHED   ◀──╯                              ╰──▶  ESTABLISHED
          30.000 ms                ──── PSH,ACK  5 B ───────────────────▶
         Still open at the end: neither end has closed.
         A simultaneous open: both ends sent SYN, and one connection came of it (RFC
         9293 §3.5, Figure 7).
         States are inferred from the packets.
        ",
    );
}

#[test]
fn an_unknown_state_is_a_question_mark_and_icmp_an_arrow() {
    assert_drawn(
        Options::default(),
        "
        0     > S
        1000  > S seq=0
        1003  icmp client host-unreachable
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                ?
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶
                                   ┊          1.0 s of silence          ┊
        1000.000 ms                ──── SYN  again, RTO ────────────────▶
        1003.000 ms  CLOSED        ◀─── ICMP host unreachable ───────────
         Unreachable: 10.0.2.2 reported \"host unreachable\", so the client gave up its
         attempt (RFC 1122 §4.2.3.9, RFC 5461).
         States are inferred from the packets.
        ",
    );
}

#[test]
fn ascii_only() {
    assert_drawn(
        Options::default().ascii(true),
        "
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA 'HTTP/1.1 200 状態 µ'
        10    < A lost
        11    < PA len=1000
        11.95 > FA
        12    < FA lost
        212   < FA seq=1001
        ",
        "
        #1  10.0.2.100:43210 -> 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ---- SYN  mss 1460 sack ts ws 7 ----->  SYN-RECEIVED
           9.000 ms  ESTABLISHED   <--- SYN,ACK  mss 1460 sack ts ws 7 --
           9.100 ms                ---- ACK ---------------------------->  ESTABLISHED
           9.300 ms                ---- PSH,ACK 22 B HTTP/1.1 200 \\u.. ->
          10.000 ms                      x--- ACK  lost -----------------
          11.000 ms                <--- PSH,ACK  1000 B -----------------
          11.950 ms  FIN-WAIT-1    ---- FIN,ACK ------------------------>  CLOSE-WAIT
          12.000 ms                      x--- FIN,ACK  lost -------------  LAST-ACK
         212.000 ms  TIME-WAIT     <--- FIN,ACK  again, RTO -------------
         A normal close: the client finished first and sent FIN; the server answered
         with ACK and its own FIN in one segment 50 us later; the acknowledgement of the
         server's FIN was not seen.
         The server had to send its FIN twice, because it or its acknowledgement was
         lost (RFC 9293 section 3.6).
         2 segments of the server were lost on the way.
         States are inferred from the packets.
        ",
    );
}

#[test]
fn a_narrow_screen() {
    assert_drawn(
        Options::new(60),
        "
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA 'GET /a/very/long/path HTTP/1.1'
        18    < PA len=10
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
            time  client                                      server
                  CLOSED                                      LISTEN
          0.0 ms  ──── SYN  mss 1460 sack ts ws 7 ─────────────────▶
                  SYN-SENT                              SYN-RECEIVED
          9.0 ms  ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──────────────
                  ESTABLISHED
          9.1 ms  ──── ACK ────────────────────────────────────────▶
                                                         ESTABLISHED
          9.3 ms  ──── PSH,ACK 30 B GET /a/very/long/path HTTP/1… ─▶
         18.0 ms  ◀─── PSH,ACK  10 B ───────────────────────────────
         Still open at the end: neither end has closed.
         States are inferred from the packets.
        ",
    );
}

#[test]
fn characters_of_two_columns() {
    assert_drawn(
        Options::default(),
        "
        0     > S
        9     < SA
        9.1   > A
        9.2   > PA '状態'
        9.3   > PA 'GET /状態確認状態確認 HTTP/1.1'
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           9.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
           9.100 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
           9.200 ms                ──── PSH,ACK  6 B ───────────────────▶
           9.300 ms                ──── PSH,ACK 38 B GET /状態確認状… ──▶
         Still open at the end: neither end has closed.
         States are inferred from the packets.
        ",
    );
}

#[test]
fn a_wide_screen() {
    assert_drawn(
        Options::new(110),
        "
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA 'GET /a/long/path/that/does/not/fit/eighty HTTP/1.1'
        18    < RA
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                                              server
                     CLOSED                                                                              LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ───────────────────────────────────▶  SYN-RECEIVED
           9.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ────────────────────────────────
           9.100 ms                ──── ACK ──────────────────────────────────────────────────────────▶  ESTABLISHED
           9.300 ms                ──── PSH,ACK 50 B GET /a/long/path/that/does/not/fit/eighty HTTP… ─▶
          18.000 ms  CLOSED        ◀─── RST,ACK ───────────────────────────────────────────────────────  CLOSED
         Reset by the server after 18 ms, in the middle of the conversation, in ESTABLISHED.
         Probably its application closed without reading the last 50 B that the client had sent, or aborted because of
         them; a close with unread data must reset (RFC 9293 §3.6.1, RFC 2525 §2.17).
         States are inferred from the packets.
        ",
    );
}

#[test]
fn colour_is_drawn_only_when_asked_for() {
    assert_drawn(
        Options::default().color(true),
        "
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA len=100 lost
        300   > PA len=100 seq=1
        310   < RA
        ",
        "
        \x1b[1m#1  10.0.2.100:43210 → 93.184.216.34:80\x1b[0m
        \x1b[2m       time\x1b[0m  \x1b[2mclient                                                \x1b[0m\x1b[2mserver\x1b[0m
                     CLOSED                                                LISTEN
        \x1b[2m   0.000 ms  \x1b[0mSYN-SENT      \x1b[36m──── SYN  mss 1460 sack ts ws 7 ─────▶\x1b[0m  SYN-RECEIVED
        \x1b[2m   9.000 ms  \x1b[0mESTABLISHED   \x1b[36m◀─── SYN,ACK  mss 1460 sack ts ws 7 ──\x1b[0m
        \x1b[2m   9.100 ms  \x1b[0m              ──── ACK ────────────────────────────▶  ESTABLISHED
        \x1b[2m   9.300 ms  \x1b[0m              \x1b[1;35m──── PSH,ACK  100 B  lost ─────✕\x1b[0m
                                   \x1b[2m┊         291 ms of silence          ┊\x1b[0m
        \x1b[2m 300.000 ms  \x1b[0m              \x1b[33m──── PSH,ACK  100 B  again, RTO ─────▶\x1b[0m
        \x1b[2m 310.000 ms  \x1b[0mCLOSED        \x1b[1;35m◀─── RST,ACK ─────────────────────────\x1b[0m  CLOSED
        \x1b[1;35m Reset by the server after 310 ms, in the middle of the conversation, in\x1b[0m
        \x1b[1;35m ESTABLISHED.\x1b[0m
        \x1b[1;35m Probably its application closed without reading the last 100 B that the client\x1b[0m
        \x1b[1;35m had sent, or aborted because of them; a close with unread data must reset (RFC\x1b[0m
        \x1b[1;35m 9293 §3.6.1, RFC 2525 §2.17).\x1b[0m
         1 segment of the client was lost on the way.
         The client sent 1 of 4 segments again, after a timeout (RFC 6298, RFC 5681).
        \x1b[2m States are inferred from the packets.\x1b[0m
        ",
    );
}

#[test]
fn bulk_data_is_folded_unless_every_step_is_wanted() {
    let mut script = String::from("0 > S\n1 < SA\n1.1 > A\n2 > PA 'GET /big HTTP/1.1'\n");
    let mut tenths = 30;
    let mut next = || {
        tenths += 1;
        f64::from(tenths - 1) / 10.0
    };
    for round in 0..200 {
        script.push_str(&format!("{} < A len=1448\n", next()));
        if round % 2 == 1 {
            script.push_str(&format!("{} > A\n", next()));
        }
    }
    script.push_str("33 < FA\n34 > FA\n35 < A");
    assert_drawn(
        Options::default().legend(false),
        &script,
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           1.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
           1.100 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
           2.000 ms                ──── PSH,ACK 17 B GET /big HTTP/1.1 ─▶
           3.000 ms                ◀─── ACK  1.4 KiB ────────────────────
           3.100 ms                ◀─── ACK  1.4 KiB ────────────────────
           3.200 ms                ──── ACK ────────────────────────────▶
           3.300 ms                ┄┄┄┄ … 98 segments … ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶
          32.700 ms                ◀┄┄┄ … 197 segments, 279 KiB … ┄┄┄┄┄┄┄
          32.800 ms                ◀─── ACK  1.4 KiB ────────────────────
          32.900 ms                ──── ACK ────────────────────────────▶
          33.000 ms  CLOSE-WAIT    ◀─── FIN,ACK ─────────────────────────  FIN-WAIT-1
          34.000 ms  LAST-ACK      ──── FIN,ACK ────────────────────────▶  TIME-WAIT
          35.000 ms  CLOSED        ◀─── ACK ─────────────────────────────
         A normal close: the server finished first and sent FIN; the client answered
         with ACK and its own FIN in one segment 1.0 ms later; the server's end stays in
         TIME-WAIT (60 s on Linux), as the active closer must (RFC 9293 §3.6.1).
        ",
    );
    let scene = play("0 > S\n1 < SA\n1.1 > A\n2 > PA 'GET / HTTP/1.1'");
    let rows = |fold| {
        diagram(scene.connection(), &Options::default().fold(fold))
            .lines()
            .count()
    };
    assert_eq!(
        rows(true),
        rows(false),
        "short runs are drawn in full either way"
    );
    let long = play(&script);
    let drawn = diagram(long.connection(), &Options::default().fold(false));
    assert!(drawn.lines().count() > 120, "{drawn}");
}

/// A file is sent; a segment in the middle and one at the end get lost behind the capture point.
const LOSSES: &str = "
    0     > S
    9     < SA
    9.1   > A
    9.3   > PA 'GET / HTTP/1.1'
    20    < A len=1448
    20.1  < A len=1448
    20.2  < A len=1448
    20.3  < A len=1448
    20.4  < A len=1448
    21    > A ack=1449
    21.1  > A ack=1449 sack=2897-4345
    21.2  > A ack=1449 sack=2897-5793
    21.3  > A ack=1449 sack=2897-7241
    30    < A len=1448 seq=1449
    31    > A ack=7241 win=300
    40    < PA len=100
    240   < PA len=100 seq=7241
    249   > A win=0
";

#[test]
fn frames_numbers_windows_and_losses_that_must_have_been() {
    assert_rows(
        Options::new(110).frames(true).sequence(true).windows(true),
        LOSSES,
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
        frame         time  client                                                                       server
                            CLOSED                                                                       LISTEN
            1     0.000 ms  SYN-SENT      ──── SYN  seq 0–1  mss 1460 sack ts ws 7 ───────────────────▶  SYN-RECEIVED
            2     9.000 ms  ESTABLISHED   ◀─── SYN,ACK  seq 0–1  mss 1460 sack ts ws 7 ────────────────
            3     9.100 ms                ──── ACK  ack 1  █████ 7.8 MiB ─────────────────────────────▶  ESTABLISHED
            4     9.300 ms                ──── PSH,ACK seq 1–15 14 B █████ 7.8 MiB GET / HTTP/1.1 ────▶
            5    20.000 ms                ◀─── ACK  seq 1–1449  1.4 KiB  █████ 7.8 MiB ────────────────
            6    20.100 ms                      ✕?── ACK seq 1449–2897 1.4 KiB lost? █████ 7.8 MiB ────
            7    20.200 ms                ◀─── ACK  seq 2897–4345  1.4 KiB  █████ 7.8 MiB ─────────────
            8    20.300 ms                ◀─── ACK  seq 4345–5793  1.4 KiB  █████ 7.8 MiB ─────────────
            9    20.400 ms                ◀─── ACK  seq 5793–7241  1.4 KiB  █████ 7.8 MiB ─────────────
           10    21.000 ms                ──── ACK  ack 1449  █████ 7.8 MiB ──────────────────────────▶
           11    21.100 ms                ──── ACK ack 1449 duplicate 1 sack 2897–4345 █████ 7.8 MiB ─▶
           12    21.200 ms                ──── ACK ack 1449 duplicate 2 sack 2897–5793 █████ 7.8 MiB ─▶
           13    21.300 ms                ──── ACK ack 1449 duplicate 3 sack 2897–7241 █████ 7.8 MiB ─▶
           14    30.000 ms                ◀─── ACK again #6, fast seq 1449–2897 1.4 KiB █████ 7.8 M… ──
           15    31.000 ms                ──── ACK  ack 7241  █░░░░ 38 KiB ───────────────────────────▶
           16    40.000 ms                      ✕?── PSH,ACK seq 7241–7341 100 B lost? █████ 7.8 MiB ──
           17   240.000 ms                ◀─── PSH,ACK again #16, RTO seq 7241–7341 100 B █████ 7.8… ──
           18   249.000 ms                ──── ACK  ack 7341  window 0  ░░░░░ 0 B ────────────────────▶
        ",
    );
}

#[test]
fn the_same_on_a_narrow_screen() {
    assert_rows(
        Options::new(40).frames(true),
        LOSSES,
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
         #      time  client              server
                      CLOSED              LISTEN
         1    0.0 ms  ─ SYN mss 1460 sack ts… ─▶
                      SYN-SENT      SYN-RECEIVED
         2    9.0 ms  ◀ SYN,ACK mss 1460 sac… ──
                      ESTABLISHED
         3    9.1 ms  ─ ACK ───────────────────▶
                                     ESTABLISHED
         4    9.3 ms  ─ PSH,ACK 14 B GET / H… ─▶
         5   20.0 ms  ◀ ACK  1.4 KiB ───────────
         6   20.1 ms      ✕? ACK lost? 1.4 K… ──
         7   20.2 ms  ◀ ACK  1.4 KiB ───────────
         8   20.3 ms  ◀ ACK  1.4 KiB ───────────
         9   20.4 ms  ◀ ACK  1.4 KiB ───────────
        10   21.0 ms  ─ ACK ───────────────────▶
        11   21.1 ms  ─ ACK duplicate 1 sack… ─▶
        12   21.2 ms  ─ ACK duplicate 2 sack… ─▶
        13   21.3 ms  ─ ACK duplicate 3 sack… ─▶
        14   30.0 ms  ◀ ACK again #6, fast 1… ──
        15   31.0 ms  ─ ACK ───────────────────▶
        16   40.0 ms      ✕? PSH,ACK lost? 1… ──
        17  240.0 ms  ◀ PSH,ACK again #16, R… ──
        18  249.0 ms  ─ ACK  window 0 ─────────▶
        ",
    );
}

#[test]
fn crossed_fins_go_down_to_where_they_arrive() {
    assert_rows(
        Options::default(),
        "
        0     > S
        9     < SA
        9.1   > A
        100   > FA
        100.5 < FA ack=1
        110   > A
        110.4 < A
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           9.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
           9.100 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
         100.000 ms  FIN-WAIT-1    ──── FIN,ACK ─────────────────────╮
         100.500 ms  CLOSING       ◀─── FIN,ACK ─────────────────────┼───  FIN-WAIT-1
         100.500 ms                                                  ╰──▶  CLOSING
         110.000 ms                ──── ACK ────────────────────────────▶  TIME-WAIT
         110.400 ms  TIME-WAIT     ◀─── ACK ─────────────────────────────
        ",
    );
}

#[test]
fn crossed_acknowledgements_of_fins_arrive_on_rows_of_their_own() {
    assert_rows(
        Options::default(),
        "
        0     > S arrives=4
        9     < SA arrives=13
        14    > A arrives=18
        100   > FA arrives=110
        100   < FA ack=1 arrives=110
        110   > A arrives=120
        110   < A arrives=120
        130   note over
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
           9.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
          14.000 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
         100.000 ms  FIN-WAIT-1    ──── FIN,ACK ─────────────────────╮
         100.000 ms                   ╭─── FIN,ACK ──────────────────┼───  FIN-WAIT-1
         110.000 ms                ◀──╯                              ╰──▶  CLOSING
         110.000 ms  CLOSING       ──── ACK ─────────────────────────╮
         110.000 ms                   ╭─── ACK ──────────────────────┼───
         120.000 ms  TIME-WAIT     ◀──╯                              ╰──▶  TIME-WAIT
         130.000 ms                · over
        ",
    );
}

#[test]
fn crossed_segments_in_ascii_on_a_narrow_screen() {
    assert_rows(
        Options::new(40).ascii(true),
        "
        0     > S arrives=10
        0     < S arrives=12
        10    < SA seq=0 arrives=20
        12    > SA seq=0 arrives=22
        ",
        "
        #1  10.0.2.100:43210 -> 93.184.216.34:80
            time  client                  server
                  CLOSED                  CLOSED
          0.0 ms  - SYN mss 1460 sack ts.. -+
                  SYN-SENT
          0.0 ms     + SYN mss 1460 sack .. +---
                                        SYN-SENT
         10.0 ms     |                      +-->
         10.0 ms     |  + SYN,ACK mss 1460 .. --
                                    SYN-RECEIVED
         12.0 ms  <--+  |
         12.0 ms  - SYN,ACK mss 1460 sac.. -+
                  SYN-RECEIVED
         20.0 ms  <-----+                   |
                  ESTABLISHED
         22.0 ms                            +-->
                                     ESTABLISHED
        ",
    );
}

#[test]
fn time_to_scale() {
    assert_rows(
        Options::default().scale(Scale::Linear),
        "
        0     > S arrives=10
        10    < SA arrives=20
        20    > A arrives=30
        320   > FA arrives=330
        400   < FA arrives=410
        ",
        "
        #1  10.0.2.100:43210 → 93.184.216.34:80
               time  client                                                server
                     CLOSED                                                LISTEN
           0.000 ms  SYN-SENT      ──── SYN  mss 1460 sack ts ws 7 ─────▶  SYN-RECEIVED
          10.000 ms  ESTABLISHED   ◀─── SYN,ACK  mss 1460 sack ts ws 7 ──
          20.000 ms                ──── ACK ────────────────────────────▶  ESTABLISHED
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
         320.000 ms  FIN-WAIT-1    ──── FIN,ACK ────────────────────────▶  CLOSE-WAIT
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
                                   ┊                                    ┊
         400.000 ms  TIME-WAIT     ◀─── FIN,ACK ─────────────────────────  LAST-ACK
        ",
    );
}

#[test]
fn text_from_outside_cannot_harm_the_screen() {
    let mut scene = scene::Scene::new(transom_flow::Limits::default());
    let evil = "a\u{1b}[2J\u{202e}b\u{9b}31m\u{7}\u{200b}\u{3164}";
    scene.tracker.label(scene::SERVER.0.into(), evil);
    scene.play("0 > S\n1 < SA\n1.1 > A");
    scene.play(&format!("1 process client {} 7", evil.replace(' ', "")));
    scene.play(&format!("2 > PA 'GET /{evil} HTTP/1.1'\n3 note {evil}"));
    for options in [
        Options::new(120),
        Options::new(120).ascii(true),
        Options::new(40),
    ] {
        let drawn = diagram(scene.connection(), &options);
        let harmful = |c: char| c != '\n' && (c.is_control() || evil.contains(c) && !c.is_ascii());
        assert!(!drawn.contains(harmful), "{drawn:?}");
        assert!(drawn.contains("\\u{1b}[2J"), "{drawn}");
    }
}
