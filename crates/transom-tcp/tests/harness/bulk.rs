//! Bulk data in segments of 1000 octets, and where each of them begins and ends.

use transom_tcp::Config;
use transom_tcp::congestion::Algorithm;

use super::dialogue::{E, Setup};

/// ESTABLISHED with Reno, timestamps as the peer's `options` have them, and an application that wrote `octets`.
pub fn sending(options: &str, octets: usize, change: impl FnOnce(Config) -> Config) -> E {
    let mut e = Setup::default()
        .config(|config| {
            change(
                config
                    .congestion(Algorithm::Reno)
                    .timestamps(options.contains("TS")),
            )
        })
        .peer(options)
        .established();
    e.write(octets);
    e
}

/// Takes what was sent: where each segment with data begins and ends.
pub fn sent(e: &mut E) -> Vec<(u32, u32)> {
    let mut stretches = Vec::new();
    while let Some(line) = e.next_line() {
        let numbers = line.split(' ').nth(1).unwrap();
        let (from, to) = numbers.split_once(':').unwrap();
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        if from != to {
            stretches.push((from, to));
        }
    }
    stretches
}

/// The segments of these numbers, from 0.
pub fn segments(numbers: core::ops::Range<u32>) -> Vec<(u32, u32)> {
    numbers.map(|i| (1 + i * 1000, 1001 + i * 1000)).collect()
}
