//! What each end sent, counted: data that passed, data that must have passed, and packets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod scene;

use scene::play;
use std::time::Duration;

#[test]
fn data_that_was_not_captured_counts_by_its_sequence_numbers() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        2     < A len=1000
        3     < A len=1000 seq=2001
        4     > A ack=3001
        5     > PA len=10
        6     > A ack=5001
        ",
    );
    let totals = scene.connection().totals();
    assert_eq!(
        (totals.server.bytes, totals.server.extent),
        (2000, 5000),
        "1,000 bytes missing in the middle, 2,000 at the end"
    );
    assert_eq!((totals.client.bytes, totals.client.extent), (10, 10));
}

#[test]
fn a_fin_tells_how_much_was_sent_before_it() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        2     < FA seq=2903
        3     > A ack=2904
        4     < FA seq=2903
        5     > FA ack=2904
        6     < A
        ",
    );
    let totals = scene.connection().totals();
    assert_eq!((totals.server.bytes, totals.server.extent), (0, 2902));
    assert_eq!((totals.client.bytes, totals.client.extent), (0, 0));
}

#[test]
fn packets_count_with_their_headers() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        2     > PA len=100
        ",
    );
    let connection = scene.connection();
    let totals = connection.totals();
    let wire: usize = scene.frames.iter().map(|(_, frame)| frame.len()).sum();
    assert_eq!(totals.client.ip_bytes + totals.server.ip_bytes, wire as u64);
    assert!(totals.server.ip_bytes >= 40, "{totals:?}");
}

#[test]
fn the_last_acknowledgement_does_not_prolong_a_connection() {
    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        10    > FA
        20    < FA
        90    > A
        ",
    );
    let connection = scene.connection();
    assert_eq!(connection.duration(), Duration::from_millis(90));
    assert_eq!(
        connection.duration_until_closed(),
        Duration::from_millis(20)
    );

    let scene = play(
        "
        0     > S
        1     < SA
        1.1   > A
        10    > FA
        20    < A
        ",
    );
    assert_eq!(
        scene.connection().duration_until_closed(),
        Duration::from_millis(20),
        "one direction is open"
    );
}
