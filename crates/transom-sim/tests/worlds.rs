//! Random worlds: whatever the network does, the octets arrive as they were sent, and everything ends.
//!
//! A failing seed is printed with its world; `TRANSOM_SEED=n cargo test -p transom-sim --test worlds` plays it alone.
//! `TRANSOM_SEEDS=n` sets how many are played. Many more: `cargo run --release -p transom-sim --example worlds`.

#![expect(clippy::panic, reason = "a failure ends the test")]

use transom_drill::worlds::Scenario;

fn play(seed: u64) {
    let scenario = Scenario::new(seed);
    if let Err(violation) = scenario.play() {
        panic!("{scenario}  {violation}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_worlds_keep_their_promises() {
    if let Some(seed) = number("TRANSOM_SEED") {
        return play(seed);
    }
    for seed in 0..number("TRANSOM_SEEDS").unwrap_or(400) {
        play(seed);
    }
}

/// Worlds in which something was wrong once.
#[test]
fn worlds_that_failed_once_do_not_again() {
    for seed in [
        // A pacing rate near nothing held everything back until the connection timed out.
        6379, 40, 31009,
        // Called gentle, though an outage and losses in a row used up an orphan's retries.
        30519,
        // A handshake was forgotten in the moment in which its SYN-ACK went again, as a retransmitted SYN had come.
        60513, 68650,
        // Called gentle, though two outages and a loss used up the retries of a SYN-ACK, and its client had nothing to say.
        130158,
        // Both had filled the other's window and had lost something: neither heard the other's acknowledgements.
        278760,
        // The acknowledgement of a larger segment told of a loss as well: the window was cut as if segments were small, and was less
        // than one of them from then on.
        40030390, 40031826,
    ] {
        play(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        let (one, two) = (Scenario::new(seed), Scenario::new(seed));
        assert_eq!(one.to_string(), two.to_string());
        assert_eq!(one.play(), two.play());
    }
}

/// The checks can fail: what arrives is compared with what was sent, and an end that does not come is missed.
#[test]
fn a_world_whose_sender_stops_early_is_noticed() {
    let noticed = (0..200)
        .filter(|seed| Scenario::new(*seed).stop_short().play().is_err())
        .count();
    assert!(noticed > 100, "{noticed} of 200");
}
