//! Two connections exchange data over a path that does what paths do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod harness;

use harness::pair::{Pair, Passage};
use harness::{ms, secs};
use transom_tcp::{CloseReason, Config, State};

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
