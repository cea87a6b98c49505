//! Two connections exchange data over a path that does what paths do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod harness;

use harness::dialogue::Setup;
use harness::pair::{Pair, Passage};
use harness::{ms, secs};
use transom_tcp::{CloseReason, Config, MtuProbing, State};

#[test]
fn both_directions_arrive_and_both_ends_close() {
    for max_payload in [0, 64_000] {
        let mut pair = Pair::new(Config::default());
        for (side, octets) in [(0, 300_000), (1, 1_000_000)] {
            pair.sides[side].to_write = octets;
            pair.sides[side].max_payload = max_payload;
        }
        pair.run(secs(10));
        assert_eq!(
            (pair.sides[0].read, pair.sides[1].read),
            (1_000_000, 300_000)
        );
        for side in &mut pair.sides {
            assert!(side.saw_end);
            let retransmissions = side.conn().info().counters.retransmissions;
            assert_eq!(retransmissions, 0, "nothing was lost");
        }
    }
}

#[test]
fn a_connection_without_data_opens_and_closes() {
    let mut pair = Pair::new(Config::default());
    let took = pair.run(secs(1));
    assert!(took < ms(100), "took {took:?}");
    assert!(pair.sides.iter().all(|side| side.saw_end));
}

#[test]
fn a_lossy_path_delivers_everything() {
    for seed in 0..40_u64 {
        let mut pair = Pair::new(Config::default());
        for side in 0..2 {
            pair.sides[side].to_write = 200_000;
            pair.sides[side].max_payload = if seed % 2 == 0 { 0 } else { 20_000 };
            let mut random = seed * 2 + side as u64 + 1;
            pair.fate(side, move |_, _| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                match random % 100 {
                    0..8 => Passage::Lost,
                    8..14 => Passage::Late(ms(random % 50)),
                    14..18 => Passage::Twice,
                    _ => Passage::Arrives,
                }
            });
        }
        pair.run(secs(600));
        let read = (pair.sides[0].read, pair.sides[1].read);
        assert_eq!(read, (200_000, 200_000), "seed {seed}: {}", pair.status());
    }
}

#[test]
fn the_first_to_close_waits_in_time_wait() {
    let mut pair = Pair::new(Config::default());
    pair.run(secs(1));
    let states: Vec<State> = pair
        .sides
        .iter()
        .map(|side| side.conn.as_ref().unwrap().state())
        .collect();
    assert!(states.contains(&State::TimeWait), "{states:?}");
    for side in &mut pair.sides {
        if side.conn().state() == State::Closed {
            assert_eq!(side.conn().closed(), Some(CloseReason::Normal));
        }
    }
}

#[test]
fn req_sec_seq_1_and_cve_17_the_initial_numbers_make_no_difference() {
    const EDGES: [u32; 6] = [0, u32::MAX, 1 << 31, (1 << 31) - 1, u32::MAX - 60_000, 77];
    for rack in [true, false] {
        let mut first = None;
        for (client, server) in EDGES.into_iter().flat_map(|a| EDGES.map(|b| (a, b))) {
            let mut pair = Pair::new(Config::default().rack(rack)).numbers(client, server);
            for side in 0..2 {
                pair.sides[side].to_write = 200_000;
                // Holes and disorder on the way, so that SACK and recovery count across the edge too.
                pair.fate(side, |count, _| match count % 23 {
                    7 | 8 => Passage::Lost,
                    13 => Passage::Late(ms(15)),
                    19 => Passage::Twice,
                    _ => Passage::Arrives,
                });
            }
            let took = pair.run(secs(600));
            let read = (pair.sides[0].read, pair.sides[1].read);
            assert_eq!(read, (200_000, 200_000), "{client} {server}");
            let sent = (pair.sides[0].sent, pair.sides[1].sent);
            let first = *first.get_or_insert((took, sent));
            assert_eq!((took, sent), first, "{client} {server}: another course");
        }
    }
}

#[test]
fn req_inv_4_what_is_in_flight_fits_both_windows() {
    for (seed, recv_buffer) in (1..20_u64).flat_map(|seed| [(seed, 20_000), (seed, 1 << 20)]) {
        let server = Config::default().recv_buffer(recv_buffer);
        let mut pair = Pair::with(Config::default(), server);
        pair.sides[0].to_write = 1_000_000;
        let mut random = seed;
        pair.fate(0, move |_, _| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(50) {
                Passage::Lost
            } else {
                Passage::Arrives
            }
        });
        let mut before = pair.sides[0].conn().info();
        let mut grew = 0;
        while before.state != State::TimeWait && before.state != State::Closed {
            pair.run_until(pair.now + ms(1));
            // A reader that is slower than the path, now and then.
            pair.sides[1].reads = !(pair.now.since_origin().as_millis() / 40).is_multiple_of(3);
            let info = pair.sides[0].conn().info();
            let mss = u64::from(info.eff_snd_mss);
            let in_flight = info.snd_nxt.since(info.snd_una);
            // One octet for a probe, or the FIN.
            assert!(in_flight <= info.snd_wnd + 1, "seed {seed}: {info:?}");
            let has_sent_new = info.snd_nxt.gt(before.snd_nxt);
            if has_sent_new && !info.in_recovery && !before.in_recovery {
                // Limited transmit adds two segments (RFC 3042).
                let allowed = info.cwnd.max(before.cwnd) + 2 * mss;
                assert!(info.pipe <= allowed, "seed {seed}: {info:?}");
                grew += 1;
            }
            before = info;
        }
        assert!(grew > 5, "seed {seed}: sent in {grew} steps only");
        pair.sides[1].reads = true;
        pair.run_until(pair.now + secs(1));
        assert_eq!(pair.sides[1].read, 1_000_000);
    }
}

#[test]
fn req_sec_zwp_3_a_window_of_one_octet_costs_little_and_can_be_given_up() {
    let mut e = Setup::default()
        .config(|config| config.send_buffer(100_000))
        .peer("mss 1460")
        .established();
    e.lt(". 1:1 ack 1 win 1").ok();
    e.write(100_000);
    let mut sent = 0;
    let begin = e.now;
    while e.now < begin + secs(60) {
        while let Some(segment) = e.next() {
            // RFC 9293 §3.8.6.2.1: one octet at a time, and not faster than the override allows.
            assert!(segment.payload.len() <= 1);
            sent += 1;
            let taken = e.una() + i64::try_from(segment.payload.len()).unwrap();
            e.lt_unanswered(&format!(". 1:1 ack {taken} win 1"));
        }
        let wait = e.next_deadline().unwrap_or_else(|| ms(100));
        e.wait(wait.max(ms(1)));
    }
    assert!(sent <= 60 * 10, "{sent} segments in a minute");
    // The application sees that there is hardly any progress, and what it holds for that; it need not bear it.
    let info = e.conn.info();
    assert!(info.counters.bytes_acked <= 600 && info.send_queue > 99_000);
    e.conn.abort(e.now);
    assert_eq!(e.conn.send_queue(), 0);
    assert_eq!(e.conn.closed(), Some(CloseReason::Aborted));
}

#[test]
fn req_pmtu_10_a_path_that_swallows_large_packets_is_found_out() {
    for detects in [true, false] {
        let config = Config::default().mtu_probing(if detects {
            MtuProbing::BlackHole
        } else {
            MtuProbing::Off
        });
        let mut pair = Pair::new(config);
        pair.sides[0].to_write = 300_000;
        // Whatever is larger than a tunnel in the way takes is lost without a word.
        pair.fate(0, |_, sent| {
            if sent.payload.len() > 1100 {
                Passage::Lost
            } else {
                Passage::Arrives
            }
        });
        pair.run_until(pair.now + secs(30));
        let info = pair.sides[0].conn().info();
        if detects {
            assert_eq!(pair.sides[1].read, 300_000);
            assert_eq!(pair.sides[0].conn().path_mtu(), 1024);
            assert!(info.counters.timeouts <= 4);
        } else {
            assert_eq!(pair.sides[1].read, 0);
            assert_eq!(pair.sides[0].conn().path_mtu(), 1500);
        }
    }
    // Small segments that are lost say nothing about large ones, nor does a path that is dead for a moment.
    let mut pair = Pair::new(Config::default().mtu_probing(MtuProbing::BlackHole));
    pair.sides[0].to_write = 500;
    pair.fate(0, |count, sent| {
        if !sent.payload.is_empty() && count < 12 {
            Passage::Lost
        } else {
            Passage::Arrives
        }
    });
    pair.run_until(pair.now + secs(200));
    assert_eq!(pair.sides[1].read, 500);
    assert_eq!(pair.sides[0].conn().path_mtu(), 1500);
}
