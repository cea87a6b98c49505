//! BBR on paths that are hard for a window that loss halves.

use transom_tcp::Config;
use transom_tcp::congestion::Algorithm;

use crate::harness::bottleneck::{Link, Outcome, transfer};
use crate::harness::ms;

/// 100 Mbit/s in octets per second.
const RATE: u64 = 12_500_000;

fn run(algorithm: Algorithm, octets: u64, gso: usize, queue: usize, loss: u64) -> Outcome {
    let config = Config::default().congestion(algorithm).recv_buffer(6 << 20);
    let links = [
        Link::new(RATE, queue, ms(20), loss, 3),
        Link::new(RATE, 10_000_000, ms(20), 0, 4),
    ];
    transfer(&config, octets, gso, links)
}

fn rate(octets: u64, outcome: &Outcome) -> f64 {
    octets as f64 * 8e-6 / outcome.took.as_secs_f64()
}

#[test]
fn one_per_cent_of_random_loss_costs_bbr_little_and_cubic_nearly_everything() {
    // Nearly every round has a loss then, and each lowers the short-term bound to what was delivered,
    // until the next probe lifts it: the draft's rules leave 75 to 81 Mbit/s.
    let octets = 50_000_000;
    for gso in [0, 64_000] {
        for queue in [250_000, 500_000, 2_000_000] {
            let bbr = rate(octets, &run(Algorithm::Bbr, octets, gso, queue, 100));
            assert!(bbr > 70.0, "gso {gso} queue {queue}: {bbr} Mbit/s");
        }
    }
    let octets = 5_000_000;
    let cubic = rate(octets, &run(Algorithm::Cubic, octets, 0, 500_000, 100));
    assert!(cubic < 10.0, "{cubic} Mbit/s");
}

#[test]
fn without_loss_the_link_is_full_and_its_queue_is_not() {
    let octets = 50_000_000;
    for gso in [0, 64_000] {
        for queue in [250_000, 500_000, 2_000_000] {
            let outcome = run(Algorithm::Bbr, octets, gso, queue, 0);
            let name = format!("gso {gso} queue {queue}");
            // The start, and headers, take the rest.
            assert!(
                rate(octets, &outcome) > 88.0,
                "{name}: {}",
                rate(octets, &outcome)
            );
            assert!(outcome.srtt < ms(46), "{name}: {:?}", outcome.srtt);
            assert_eq!(outcome.counters.timeouts, 0, "{name}");
            let share = f64::from(outcome.counters.retransmissions) * 1448.0 / octets as f64;
            assert!(share < 0.02, "{name}: {share} sent again");
        }
    }
}
