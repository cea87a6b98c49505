//! Initial sequence numbers (RFC 6528) and timestamp offsets, per 4-tuple.

use transom_tcp::Instant;
use transom_wire::Seq;

use crate::secret::{Key, Purpose};
use crate::tuple::Tuple;

/// Makes the numbers with which a connection starts.
#[derive(Debug)]
pub(crate) struct Identities {
    sequence: Key,
    timestamp: Key,
}

impl Identities {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            sequence: Key::derive(secret, Purpose::InitialSequence),
            timestamp: Key::derive(secret, Purpose::TimestampOffset),
        }
    }

    /// The initial sequence number of a connection that opens now.
    ///
    /// RFC 6528 §3: ISN = M + F(4-tuple, key), M a clock of 4 µs; the same tuple gets larger numbers
    /// as time passes, another tuple tells nothing.
    pub(crate) fn initial_sequence(&self, tuple: &Tuple, now: Instant) -> Seq {
        let ticks = now.since_origin().as_nanos() / 4_000;
        let mac = tuple.with_bytes(|bytes| self.sequence.mac(bytes));
        Seq::new((ticks as u32).wrapping_add(mac as u32))
    }

    /// What a connection adds to its timestamp clock. The same for every incarnation of a tuple, so that
    /// timestamps go on rising across a reuse (RFC 6191), and unrelated between tuples.
    pub(crate) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        tuple.with_bytes(|bytes| self.timestamp.mac(bytes)) as u32
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::HashSet;

    use super::*;

    fn tuple(port: u16) -> Tuple {
        Tuple::new(
            format!("10.0.0.1:{port}").parse().unwrap(),
            "10.0.0.2:80".parse().unwrap(),
        )
    }

    fn at(micros: u64) -> Instant {
        Instant::from_origin(Duration::from_micros(micros))
    }

    #[test]
    fn req_isn_1_clock_ticks_every_four_microseconds_and_tuples_are_unrelated() {
        let ids = Identities::new(&[9; 32]);
        let first = ids.initial_sequence(&tuple(1000), at(0));
        assert_eq!(ids.initial_sequence(&tuple(1000), at(4)).since(first), 1);
        assert_eq!(
            ids.initial_sequence(&tuple(1000), at(1_000_000))
                .since(first),
            250_000
        );
        let all: HashSet<u32> = (1..=10_000)
            .map(|port| ids.initial_sequence(&tuple(port), at(0)).raw())
            .collect();
        // 10^4 of 2^32: a dozen collisions are expected at most.
        assert!(all.len() > 9_980);
        let other = Identities::new(&[8; 32]);
        assert_ne!(other.initial_sequence(&tuple(1000), at(0)), first);
    }

    #[test]
    fn req_isn_2_same_tuple_later_gets_a_larger_number() {
        let ids = Identities::new(&[9; 32]);
        let mut last = ids.initial_sequence(&tuple(7), at(0));
        for second in 1..100 {
            let next = ids.initial_sequence(&tuple(7), at(second * 1_000_000));
            assert!(next.gt(last));
            last = next;
        }
    }

    #[test]
    fn req_sec_isn_1_low_and_high_bits_are_spread() {
        let ids = Identities::new(&[1; 32]);
        let ones: u32 = (1..=4096)
            .map(|port| ids.initial_sequence(&tuple(port), at(0)).raw().count_ones())
            .sum();
        let mean = f64::from(ones) / 4096.0;
        assert!((15.5..16.5).contains(&mean), "mean {mean}");
    }

    /// Pearson's statistic of how evenly values fall into 16 bins; 15 degrees of freedom.
    fn chi_square(values: impl Iterator<Item = u32>) -> f64 {
        let mut bins = [0_u32; 16];
        for value in values {
            bins[value as usize % 16] += 1;
        }
        let expected = f64::from(bins.iter().sum::<u32>()) / 16.0;
        let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
        bins.iter().map(square).sum()
    }

    #[test]
    fn req_must_9_and_cve_06_and_cve_28_numbers_minus_the_clock_look_random() {
        let (ids, other) = (Identities::new(&[1; 32]), Identities::new(&[2; 32]));
        let ports = || 1..=10_000_u16;
        let isn = |port| ids.initial_sequence(&tuple(port), at(0)).raw();
        // 44.3 is exceeded by one random sequence in ten thousand.
        for shift in [0, 8, 16, 28] {
            let even = chi_square(ports().map(|port| isn(port) >> shift));
            assert!(even < 44.3, "bits from {shift}: {even}");
        }
        // What is known of one tuple says nothing of the next.
        let step = chi_square(ports().map(|port| isn(port + 1).wrapping_sub(isn(port)) >> 28));
        assert!(step < 44.3, "differences: {step}");
        // Nor does what is known under another secret.
        let apart = |port| isn(port) ^ other.initial_sequence(&tuple(port), at(0)).raw();
        let secrets = chi_square(ports().map(|port| apart(port) >> 28));
        assert!(secrets < 44.3, "between secrets: {secrets}");
        // The test can tell: multiples of four fail it.
        assert!(chi_square(ports().map(|port| u32::from(port) * 4)) > 44.3);
    }

    #[test]
    fn req_sec_ts_1_offsets_differ_between_tuples_and_stay_for_one() {
        let ids = Identities::new(&[1; 32]);
        assert_eq!(
            ids.timestamp_offset(&tuple(1)),
            ids.timestamp_offset(&tuple(1))
        );
        assert_ne!(
            ids.timestamp_offset(&tuple(1)),
            ids.timestamp_offset(&tuple(2))
        );
    }
}
