//! The estimator against the RFC's equations.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(time: Duration) -> Instant {
    Instant::from_origin(time)
}

fn plain() -> RttEstimator {
    RttEstimator::new(RttConfig {
        min_rto: ms(1),
        ..RttConfig::rfc6298()
    })
}

#[test]
fn req_rto_1_the_initial_timeout_is_one_second_and_doubles() {
    let mut rtt = RttEstimator::new(RttConfig::default());
    let mut timeouts = Vec::new();
    for _ in 0..8 {
        timeouts.push(rtt.rto().as_secs());
        rtt.backoff();
    }
    assert_eq!(timeouts, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn req_rto_2_and_cve_23_the_first_measurement() {
    let mut rtt = plain();
    rtt.on_sample(at(ms(0)), ms(100), true);
    assert_eq!(rtt.srtt(), Some(ms(100)));
    assert_eq!(rtt.rttvar(), ms(50));
    assert_eq!(rtt.rto(), ms(300));
}

#[test]
fn req_rto_3_further_measurements_use_the_old_srtt_for_the_variation() {
    let mut rtt = plain();
    rtt.on_sample(at(ms(0)), ms(100), true);
    rtt.on_sample(at(ms(0)), ms(180), true);
    // RTTVAR = 3/4·50 + 1/4·|100 − 180| = 57.5; SRTT = 7/8·100 + 1/8·180 = 110.
    assert_eq!(rtt.rttvar(), Duration::from_micros(57_500));
    assert_eq!(rtt.srtt(), Some(ms(110)));
    assert_eq!(rtt.rto(), ms(340));
    rtt.on_sample(at(ms(0)), ms(30), true);
    // RTTVAR = 3/4·57.5 + 1/4·80 = 63.125; SRTT = 7/8·110 + 1/8·30 = 100.
    assert_eq!(rtt.rttvar(), Duration::from_micros(63_125));
    assert_eq!(rtt.srtt(), Some(ms(100)));
}

#[test]
fn req_rto_4_the_minimum_is_200_ms_by_default_and_one_second_by_the_rfc() {
    let mut linux = RttEstimator::new(RttConfig::default());
    let mut strict = RttEstimator::new(RttConfig::rfc6298());
    for _ in 0..50 {
        linux.on_sample(at(ms(0)), ms(1), true);
        strict.on_sample(at(ms(0)), ms(1), true);
    }
    assert_eq!(linux.rto(), ms(201), "srtt + max(4·rttvar, 200 ms)");
    assert_eq!(strict.rto(), ms(1000));
}

#[test]
fn req_rto_5_the_maximum_is_at_least_60_s() {
    let mut rtt = RttEstimator::new(RttConfig::default());
    rtt.on_sample(at(ms(0)), ms(50_000), true);
    assert_eq!(rtt.rto(), ms(60_000));
    for _ in 0..100 {
        rtt.backoff();
    }
    assert_eq!(rtt.rto(), ms(60_000));
}

#[test]
fn req_rto_9_after_a_syn_timeout_data_starts_with_three_seconds() {
    let mut rtt = RttEstimator::new(RttConfig::default());
    rtt.backoff();
    rtt.on_syn_timeout();
    assert_eq!(rtt.rto(), ms(3000));
    rtt.on_sample(at(ms(0)), ms(100), true);
    assert_eq!(rtt.rto(), ms(300), "a measurement replaces it");
}

#[test]
fn req_rto_10_backoff_is_kept_until_there_is_a_measurement() {
    let mut rtt = plain();
    rtt.on_sample(at(ms(0)), ms(100), true);
    rtt.backoff();
    rtt.backoff();
    assert_eq!((rtt.rto(), rtt.backoff_count()), (ms(1200), 2));
    assert_eq!(rtt.base_rto(), ms(300));
    rtt.on_sample(at(ms(0)), ms(100), true);
    assert_eq!(rtt.backoff_count(), 0);
    assert!(rtt.rto() < ms(300));
    rtt.backoff();
    rtt.reset_backoff();
    assert_eq!(rtt.backoff_count(), 0, "Linux takes it back on any advance");
}

/// A flight of `samples` measurements.
fn round(rtt: &mut RttEstimator, samples: u32, measured: Duration) {
    for n in 1..=samples {
        rtt.on_sample(at(ms(0)), measured, n == samples);
    }
}

#[test]
fn req_ts_10_as_linux_the_greatest_variation_of_a_round_trip_counts_for_all_of_it() {
    let mut rtt = RttEstimator::new(RttConfig::default());
    for _ in 0..10 {
        round(&mut rtt, 100, ms(200));
    }
    assert_eq!(rtt.rto(), ms(400), "nothing varies");
    // A queue fills within a round trip: the timeout is never behind.
    for n in 0..100 {
        let measured = ms(200 + 8 * n);
        rtt.on_sample(at(ms(0)), measured, n == 99);
        assert!(rtt.rto() > measured, "{measured:?}: {:?}", rtt.rto());
    }
    let filled = rtt.rto();
    // It stays full: what varied is forgotten by a quarter a round trip, not within one.
    round(&mut rtt, 100, ms(992));
    let (srtt, next) = (rtt.srtt().unwrap(), rtt.rto());
    assert!(
        srtt > ms(991) && next > srtt + ms(200),
        "{filled:?} {next:?}"
    );
    for _ in 0..20 {
        round(&mut rtt, 100, ms(992));
    }
    assert!(rtt.rto() < ms(1193), "{:?}", rtt.rto());
}

#[test]
fn req_rack_2_the_minimum_ages_out_of_its_window() {
    let mut rtt = plain();
    let minute = Duration::from_secs(60);
    rtt.on_sample(at(ms(0)), ms(10), true);
    for i in 1..=4 {
        rtt.on_sample(at(minute * i), ms(50), true);
        assert_eq!(rtt.min_rtt(), Some(ms(10)), "minute {i}");
    }
    for i in 5..=12 {
        rtt.on_sample(at(minute * i), ms(50), true);
    }
    assert_eq!(rtt.min_rtt(), Some(ms(50)));
    rtt.on_sample(at(minute * 13), ms(9), true);
    assert_eq!(rtt.min_rtt(), Some(ms(9)));
    rtt.forget();
    assert_eq!((rtt.min_rtt(), rtt.srtt()), (None, None));
    assert_eq!(rtt.rto(), ms(1000));
}

#[test]
fn a_contradictory_configuration_does_not_panic() {
    let mut rtt = RttEstimator::new(RttConfig::new(ms(0), ms(500), ms(100)));
    assert_eq!(rtt.rto(), ms(500));
    rtt.on_sample(at(ms(0)), Duration::MAX, true);
    rtt.on_sample(at(ms(0)), Duration::ZERO, true);
    assert_eq!(rtt.rto(), ms(500));
}

proptest! {
    #[test]
    fn the_timeout_stays_within_bounds_and_follows_the_equations(
        samples in proptest::collection::vec(1_u64..5_000_000, 1..100),
        backoffs in 0_u32..40,
    ) {
        let mut rtt = RttEstimator::new(RttConfig::default());
        let (mut srtt, mut rttvar) = (0.0_f64, 0.0_f64);
        for (i, &micros) in samples.iter().enumerate() {
            rtt.on_sample(at(ms(i as u64)), Duration::from_micros(micros), true);
            let r = micros as f64 * 1e-6;
            if i == 0 {
                (srtt, rttvar) = (r, r / 2.0);
            } else {
                rttvar = 0.75 * rttvar + 0.25 * (srtt - r).abs();
                srtt = 0.875 * srtt + 0.125 * r;
            }
        }
        prop_assert!((rtt.srtt().unwrap().as_secs_f64() - srtt).abs() < 1e-6);
        prop_assert!((rtt.rttvar().as_secs_f64() - rttvar).abs() < 1e-6);
        let rto = (srtt + (4.0 * rttvar).max(0.2)).clamp(0.2, 60.0);
        prop_assert!((rtt.rto().as_secs_f64() - rto).abs() < 1e-5);
        prop_assert_eq!(
            rtt.min_rtt().unwrap(),
            Duration::from_micros(*samples.iter().min().unwrap())
        );
        let mut last = rtt.rto();
        for _ in 0..backoffs {
            rtt.backoff();
            prop_assert!(rtt.rto() >= last && rtt.rto() <= ms(60_000));
            last = rtt.rto();
        }
    }
}
