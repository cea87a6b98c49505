//! What HyStart++ (RFC 9406) is worth: slow start that does not overflow the queue.

use transom_tcp::Config;
use transom_tcp::congestion::Algorithm;

use crate::harness::bottleneck::{Link, transfer};
use crate::harness::ms;

const OCTETS: u64 = 20_000_000;
/// 100 Mbit/s in octets per second.
const RATE: u64 = 12_500_000;

/// Packets dropped and mean Mbit/s, over paths of 100 Mbit/s and 20 to 74 ms with a queue of
/// `queue` times what the path holds. Where in a doubling the path is full differs between them.
fn sum(algorithm: Algorithm, gso: usize, queue: u64, hystart: bool) -> (u32, f64) {
    let (mut dropped, mut mean) = (0, 0.0);
    for delay in (10..40).step_by(3) {
        let config = Config::default()
            .congestion(algorithm)
            .hystart(hystart)
            .recv_buffer(6 << 20);
        let forth = (queue * 25_000 * delay) as usize;
        let links = [
            Link::new(RATE, forth, ms(delay), 0, 3),
            Link::new(RATE, 10_000_000, ms(delay), 0, 4),
        ];
        let outcome = transfer(&config, OCTETS, gso, links);
        dropped += outcome.dropped;
        mean += OCTETS as f64 * 8e-7 / outcome.took.as_secs_f64();
    }
    (dropped, mean)
}

#[test]
fn req_hs_6_and_cub_11_slow_start_ends_before_the_queue_overflows() {
    // The delay tells a round trip late, when the window has doubled once more: on a queue of one
    // path's worth that is too late on some paths.
    for (queue, most) in [(1, 0.8), (2, 0.5)] {
        for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
            for gso in [0, 64_000] {
                let name = format!("{} {gso} {queue}", algorithm.name());
                let [with, without] = [true, false].map(|on| sum(algorithm, gso, queue, on));
                let share = f64::from(with.0) / f64::from(without.0);
                assert!(share < most, "{name}: {with:?} with, {without:?} without");
                assert!(with.1 > 0.99 * without.1, "{name}: {with:?} {without:?}");
            }
        }
    }
}
