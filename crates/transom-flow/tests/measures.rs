//! Round trips, windows, points for graphs, packets captured twice, and what the first bytes say.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod scene;

use scene::{Scene, play, story};
use std::time::Duration;
use transom_flow::{Application, DataKind, End, Limits};

fn millis(ms: f64) -> Duration {
    Duration::from_nanos((ms * 1e6).round() as u64)
}

#[track_caller]
fn assert_story(script: &str, expected: &str) {
    let scene = play(script);
    let story = story(scene.connection());
    let meanings = |text: &str| -> Vec<String> {
        let lines = text.lines().skip(1);
        let meaning = |line: &str| line.split("  ").next().unwrap_or("").trim().to_owned();
        lines.map(meaning).collect()
    };
    let expected = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    assert_eq!(meanings(&story), expected.collect::<Vec<_>>(), "\n{story}");
}

#[test]
fn round_trips_are_told_for_each_side_of_the_capture_point() {
    let scene = play(
        "
        0     > S
        30    < SA
        32    > A
        40    > PA len=100
        75    < A
        80    < PA len=100
        84    > A
        ",
    );
    let connection = scene.connection();
    let handshake = connection.handshake_rtt();
    assert_eq!(handshake.server, Some(millis(30.0)));
    assert_eq!(handshake.client, Some(millis(2.0)));
    let measures = connection.measures();
    let (server, client) = (measures.server.path_rtt, measures.client.path_rtt);
    assert_eq!(
        (server.samples, server.min, server.max),
        (2, millis(30.0), millis(35.0))
    );
    assert_eq!(server.mean, millis(32.5));
    assert_eq!((client.samples, client.first), (2, Some(millis(2.0))));
    assert_eq!(client.max, millis(4.0));
}

#[test]
fn a_segment_sent_twice_gives_no_round_trip_unless_its_timestamp_is_echoed() {
    let handshake = "
        0     > S
        10    < SA
        10.1  > A ts=100/1
        ";
    let without = play(&format!(
        "{handshake}
        20    > PA len=100
        320   > PA len=100 seq=1
        330   < A"
    ));
    let rtt = without.connection().measures().server.path_rtt;
    assert_eq!(
        (rtt.samples, rtt.max),
        (1, millis(10.0)),
        "the handshake only"
    );
    let with = play(&format!(
        "{handshake}
        20    > PA len=100 ts=200/1
        320   > PA len=100 seq=1 ts=500/1
        333   < A ts=9/500"
    ));
    let rtt = with.connection().measures().server.path_rtt;
    assert_eq!((rtt.samples, rtt.max), (2, millis(13.0)));
}

#[test]
fn a_syn_sent_twice_leaves_open_which_was_answered() {
    let scene = play("0 > S\n 1000 > S seq=0\n 1010 < SA\n 1012 > A");
    let handshake = scene.connection().handshake_rtt();
    // Both carry the same timestamp in this scene.
    assert_eq!(handshake.client, Some(millis(2.0)));
    assert!(
        handshake.server.is_none_or(|rtt| rtt == millis(10.0)),
        "{handshake:?}"
    );
}

#[test]
fn windows_are_known_in_bytes_only_with_both_syns() {
    let whole = play("0 > S\n 1 < SA\n 2 > A win=100\n 3 > A win=50\n 4 > PA win=70 len=10");
    let client = whole.connection().measures().client;
    assert!(client.is_window_known);
    assert_eq!(client.window_scale, Some(7));
    assert_eq!(
        (client.window.min, client.window.max, client.window.last),
        (50 << 7, 100 << 7, 70 << 7)
    );
    let cut = play("0 > PA seq=1000 ack=500 len=20 win=99\n 1 < A seq=500");
    let client = cut.connection().measures().client;
    assert!(!client.is_window_known);
    assert_eq!((client.window.last, client.window_scale), (99, None));
}

#[test]
fn options_flight_throughput_and_hop_limits() {
    let scene = play(
        "
        0     > S
        10    < SA ttl=50
        10.1  > A
        20    > A len=1000 ttl=63
        20    > A len=1000
        20.1  > PA len=500
        30    < A ack=1001 ttl=51
        30.1  < A ttl=51
        120   > PA len=1000
        ",
    );
    let measures = scene.connection().measures();
    let client = &measures.client;
    assert_eq!(client.mss, Some(1460));
    assert!(client.sack_permitted && client.timestamps);
    assert_eq!(client.in_flight_max, 2500);
    assert_eq!(
        (client.first_data, client.last_data),
        (Some(millis(20.0)), Some(millis(120.0)))
    );
    assert_eq!(client.throughput(), Some(35_000.0));
    assert_eq!(client.hop_limit, Some((63, 64)));
    assert_eq!(measures.server.hop_limit, Some((50, 51)));
    assert_eq!(measures.server.throughput(), None);
}

#[test]
fn data_that_reaches_the_end_of_the_window() {
    assert_story(
        "
        0     > S
        1     < SA
        1.1   > A
        1.5   < A win=16
        2     > A len=1024
        2.1   > PA len=1024
        3     < A win=16
        ",
        "
        > SYN syn
        < SYN,ACK syn_ack
        > ACK handshake_ack
        < ACK ack
        > ACK data 1024
        > PSH,ACK data 1024 fills
        < ACK ack
        ",
    );
}

#[test]
fn a_port_mirror_makes_copies_and_no_retransmissions() {
    let script = "
        0      > S id=1
        0.02   > S seq=0 id=1
        1      < SA id=900
        1.02   < SA seq=0 id=900
        1.1    > A id=2
        1.12   > A id=2
        2      > A len=1000 id=3
        2.01   > PA len=1000 id=4
        2.03   > A len=1000 seq=1 id=3
        2.04   > PA len=1000 seq=1001 id=4
        3      < A id=901
        3.02   < A id=901
        ";
    assert_story(
        script,
        "
        > SYN syn
        > SYN duplicate of 1
        < SYN,ACK syn_ack
        < SYN,ACK duplicate of 3
        > ACK handshake_ack
        > ACK duplicate of 5
        > ACK data 1000
        > PSH,ACK data 1000
        > ACK duplicate 1000 of 7
        > PSH,ACK duplicate 1000 of 8
        < ACK ack
        < ACK duplicate of 11
        ",
    );
    let scene = play(script);
    let totals = scene.connection().totals();
    assert_eq!(
        (
            totals.client.duplicate_frames,
            totals.server.duplicate_frames
        ),
        (4, 2)
    );
    assert_eq!(
        (totals.client.retransmitted, totals.server.duplicate_acks),
        (0, 0)
    );
    assert_eq!((totals.client.segments, totals.client.frames), (4, 8));
    assert_eq!(totals.client.hop_changed_frames, 0);
}

#[test]
fn a_capture_before_and_behind_a_router_has_copies_with_other_hop_limits() {
    let scene = play(
        "
        0      > S id=1 ttl=64
        0.1    > S seq=0 id=1 ttl=63
        1      < SA
        1.1    > A
        2      > PA len=10 id=3 ttl=64
        2.1    > PA len=10 seq=1 id=3 ttl=63
        ",
    );
    let totals = scene.connection().totals();
    assert_eq!(totals.client.hop_changed_frames, 2);
    assert_eq!(totals.client.retransmitted, 0);
}

#[test]
fn a_reset_with_the_identification_and_number_of_the_syn_is_no_copy_of_it() {
    // As scanners send them; the window is the SYN's, too.
    let scene = play(
        "
        0      > S id=1 win=8192
        0.3    > R seq=0 id=1 win=8192
        ",
    );
    let totals = scene.connection().totals().client;
    assert_eq!((totals.resets, totals.duplicate_frames), (1, 0));
}

#[test]
fn without_identification_only_a_copy_too_quick_for_any_sender_counts_as_one() {
    let script = |at: f64| {
        format!("0 > S\n 10 < SA\n 10.1 > A\n 20 > PA len=100\n {at} > PA len=100 seq=1\n")
    };
    let quick = play(&script(20.05));
    assert_eq!(quick.connection().totals().client.duplicate_frames, 1);
    let slow = play(&script(40.0));
    let totals = slow.connection().totals().client;
    assert_eq!((totals.duplicate_frames, totals.retransmitted), (0, 1));
}

#[test]
fn the_same_identification_in_different_packets_says_nothing() {
    let scene = play(
        "
        0     > S id=7
        10    < SA
        10.1  > A id=7
        20    > PA len=100 id=7
        220   > PA len=100 seq=1 id=7
        ",
    );
    let totals = scene.connection().totals().client;
    assert_eq!((totals.duplicate_frames, totals.retransmitted), (0, 1));
}

#[test]
fn an_acknowledgement_captured_before_the_data_makes_that_no_retransmission() {
    let scene = play(
        "
        0      > S
        1      < SA
        1.1    > A
        2      > PA len=1000
        2.1    < A ack=2001
        2.11   > PA len=2000
        2.2    < A ack=3001
        ",
    );
    let totals = scene.connection().totals().client;
    assert_eq!((totals.retransmitted, totals.bytes), (0, 3000));
}

#[test]
fn a_sender_that_repeats_its_identification_still_retransmits() {
    let scene = play(
        "
        0      > S id=1
        10     < SA
        10.1   > A id=2
        20     > PA len=1000 id=3
        330    > PA len=1000 seq=1 id=3
        ",
    );
    let totals = scene.connection().totals().client;
    assert_eq!((totals.retransmitted, totals.duplicate_frames), (1, 0));
}

#[test]
fn needless_retransmissions_are_shown_by_dsack_and_by_echoes() {
    let by_dsack = play(
        "
        0     > S
        10    < SA
        10.1  > A
        20    > PA len=1000
        230   > PA len=1000 seq=1
        231   < A ack=1001
        240   < A ack=1001 sack=1-1001
        ",
    );
    assert!(story(by_dsack.connection()).contains("timeout of 4 needless"));
    assert_eq!(by_dsack.connection().measures().client.needless, 1);
    let script = |echo: u32| {
        format!(
            "0 > S\n 10 < SA\n 10.1 > A ts=5/1\n 20 > PA len=1000 ts=20/1
             230 > PA len=1000 seq=1 ts=230/1\n 231 < A ack=1001 ts=9/{echo}\n"
        )
    };
    let of_the_first = play(&script(20));
    assert_eq!(of_the_first.connection().measures().client.needless, 1);
    let of_the_second = play(&script(230));
    assert_eq!(of_the_second.connection().measures().client.needless, 0);
}

#[test]
fn one_direction_only_truncation_and_a_clock_that_goes_back() {
    let one = play("0 > S\n 1 > A ack=1\n 2 > PA len=10 ack=1\n 1.5 > PA len=10 ack=500");
    let connection = one.connection();
    assert!(connection.is_one_sided());
    assert_eq!(connection.totals().client.time_reversals, 1);
    let both = play("0 > S\n 1 < SA\n 2 > A");
    assert!(!both.connection().is_one_sided());
}

#[test]
fn what_limits_a_sender_is_told_in_time() {
    // Three requests, each when the answer is there: nothing but the application waits.
    let mut script = String::from("0 > S\n 10 < SA\n 10.1 > A\n");
    for n in 0..3 {
        let at = 100 + n * 500;
        script.push_str(&format!("{at} > PA len=100\n{} < PA len=900\n", at + 40));
    }
    let scene = play(&script);
    let client = scene.connection().measures().client;
    assert_eq!(client.limited.application, millis(1000.0));
    assert_eq!(client.limited.total(), millis(1000.0));
    // A window of zero for half a second.
    let scene = play(
        "
        0     > S
        10    < SA
        10.1  > A
        20    > A len=1460
        30    < A win=0
        530   < A win=500
        530.1 > A len=1460
        540   < A
        ",
    );
    let client = scene.connection().measures().client;
    assert_eq!(client.limited.receiver_window, millis(500.1));
    assert_eq!(client.limit(), Some(transom_flow::Limit::ReceiverWindow));
}

#[test]
fn points_for_graphs_are_kept_when_asked_for_and_are_bounded() {
    let none = play("0 > S\n 1 < SA\n 2 > A");
    assert!(none.connection().series().is_none());
    let mut limits = Limits::default();
    limits.series = 32;
    let mut scene = Scene::new(limits);
    scene.play("0 > S\n 10 < SA\n 10.1 > A");
    for n in 0..200 {
        let at = 20.0 + f64::from(n) * 10.0;
        scene.play(&format!("{at} > PA len=1000"));
        if n == 50 {
            scene.play(&format!("{} > PA len=1000 seq=1", at + 0.5));
        }
        scene.play(&format!("{} < A", at + 1.0));
    }
    scene.tracker.finish();
    let connection = scene.connection();
    let track = connection.series().unwrap().track(End::Client);
    for len in [
        track.data.len(),
        track.acks.len(),
        track.rtt.len(),
        track.in_flight.len(),
    ] {
        assert!((16..=32).contains(&len), "{len}");
    }
    assert!(
        track
            .data
            .windows(2)
            .all(|pair| pair[0].time <= pair[1].time)
    );
    let again: Vec<_> = track
        .data
        .iter()
        .filter(|point| point.kind == DataKind::Retransmission)
        .collect();
    assert_eq!(again.len(), 1, "the remarkable point is kept");
    assert_eq!((again[0].seq, again[0].len), (1, 1000));
    let last = track.acks.last().unwrap();
    assert!(last.ack > 180_000 && last.window_edge == last.ack + (64_240 << 7));
    // Evenly: no two neighbours are further apart than a few steps.
    let widest = track
        .acks
        .windows(2)
        .map(|pair| pair[1].time - pair[0].time)
        .max();
    assert!(widest.unwrap() <= millis(200.0), "{widest:?}");
}

#[test]
fn sequence_numbers_of_points_do_not_wrap_and_blocks_are_kept() {
    let mut limits = Limits::default();
    limits.series = 100;
    let mut scene = Scene::new(limits);
    scene.play(
        "
        0     > S
        10    < SA
        10.1  > A
        20    > A len=1000
        20.1  > A len=1000
        30    < A ack=1 sack=1001-2001
        ",
    );
    let connection = scene.connection();
    let track = connection.series().unwrap().track(End::Client);
    let seqs: Vec<u64> = track.data.iter().map(|point| point.seq).collect();
    assert_eq!(seqs, [0, 1, 1001]);
    assert_eq!(track.acks.last().unwrap().sack(), [(1001, 2001)]);
}

fn application(script: &str) -> Option<Application> {
    play(script).connection().application().cloned()
}

const OPEN: &str = "0 > S\n 1 < SA\n 2 > A\n";

#[test]
fn http_is_read_across_segments_and_retransmissions() {
    let read = application(&format!(
        "{OPEN}
        3 > A 'GET /index'
        4 > A 'x /index' seq=3
        5 > PA '.html HTTP/1.1' seq=11
        6 < PA 'HTTP/1.1 404 Not Found'"
    ));
    // No line end yet: the request waits for more of it.
    assert_eq!(read, None);
    let line = |text: &str| text.replace("CRLF", "\r\n");
    let mut scene = Scene::new(Limits::default());
    scene.play(OPEN);
    scene.data(3.0, End::Client, &line("GET /ind"));
    scene.data(4.0, End::Client, &line("ex.html HTTP/1.1CRLFHost: a"));
    scene.data(5.0, End::Server, &line("HTTP/1.1 404 Not FoundCRLF"));
    let connection = scene.connection();
    assert_eq!(
        connection.application(),
        Some(&Application::Http {
            request: "GET /index.html HTTP/1.1".into(),
            status: Some("HTTP/1.1 404 Not Found".into()),
        })
    );
    assert_eq!(
        connection.application().unwrap().to_string(),
        "GET /index.html HTTP/1.1 → HTTP/1.1 404 Not Found"
    );
}

#[test]
fn ssh_banners_and_greetings() {
    let mut scene = Scene::new(Limits::default());
    scene.play(OPEN);
    scene.data(3.0, End::Server, "SSH-2.0-OpenSSH_9.2p1\r\n");
    scene.data(4.0, End::Client, "SSH-2.0-Go\r\n");
    let expected = Application::Ssh {
        client: Some("SSH-2.0-Go".into()),
        server: Some("SSH-2.0-OpenSSH_9.2p1".into()),
    };
    assert_eq!(scene.connection().application(), Some(&expected));
    let mut scene = Scene::new(Limits::default());
    scene.play(OPEN);
    scene.data(3.0, End::Server, "220 mail.example ESMTP\r\n");
    scene.data(4.0, End::Client, "EHLO me\r\n");
    let banner = "220 mail.example ESMTP".into();
    assert_eq!(
        scene.connection().application(),
        Some(&Application::Other { banner })
    );
}

/// A handshake record with one message.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut extension = kind.to_be_bytes().to_vec();
    extension.extend((content.len() as u16).to_be_bytes());
    extension.extend(content);
    extension
}

fn client_hello(padding: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let mut extensions = extension(21, &vec![0; padding]);
    extensions.extend(extension(0, b"\x00\x0e\x00\x00\x0bexample.com"));
    extensions.extend(extension(16, b"\x00\x0c\x02h2\x08http/1.1"));
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(1, &body)
}

fn server_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([8; 32]);
    body.extend([0, 0x13, 1, 0]);
    let extensions = extension(43, &[3, 4]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(2, &body)
}

#[test]
fn tls_names_server_protocol_and_version_also_of_a_hello_in_pieces() {
    for (padding, piece) in [(0, 4000), (0, 7), (1500, 1460)] {
        let mut scene = Scene::new(Limits::default());
        scene.play(OPEN);
        let hello = client_hello(padding);
        for (n, piece) in hello.chunks(piece).enumerate() {
            scene.bytes(3.0 + n as f64 * 0.001, End::Client, piece);
        }
        scene.bytes(9.0, End::Server, &server_hello());
        let application = scene.connection().application().unwrap();
        assert_eq!(application.to_string(), "TLS 1.3 example.com (h2)");
    }
}

#[test]
fn any_cut_of_a_hello_is_read_without_a_panic() {
    let hello = client_hello(3);
    for cut in 0..hello.len() {
        let mut scene = Scene::new(Limits::default());
        scene.play(OPEN);
        scene.bytes(3.0, End::Client, &hello[..cut]);
        let _ = scene.connection().application();
    }
}
