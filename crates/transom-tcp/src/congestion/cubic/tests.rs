//! The integer implementation against the RFC's equations in floating point.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use proptest::prelude::*;

use super::super::initial_window;
use super::super::tests::{ack, at, loss, sent};
use super::*;

const MSS: u64 = 1000;

/// RFC 9438 figure 1 and 2, in segments and seconds.
struct Exact {
    w_max: f64,
    k: f64,
}

impl Exact {
    fn new(w_max: f64, cwnd_epoch: f64) -> Self {
        Self {
            w_max,
            k: ((w_max - cwnd_epoch).max(0.0) / 0.4).cbrt(),
        }
    }

    fn w(&self, t: f64) -> f64 {
        0.4 * (t - self.k).powi(3) + self.w_max
    }
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    (got - want).abs() <= tolerance * want.abs().max(1e-9)
}

/// A controller that was reduced from `cwnd` by fast retransmit at time 0.
fn reduced_from(cwnd: u64) -> Cubic {
    let mut cubic = Cubic::new(&Setup::new(MSS, initial_window(MSS), at(0)));
    cubic.window.cwnd = cwnd;
    cubic.on_loss(&loss(at(0), LossKind::FastRetransmit, cwnd, MSS));
    cubic.on_recovery_exit(at(0), cwnd);
    cubic
}

#[test]
fn req_cub_1_constants() {
    assert!(close(BETA.0 as f64 / BETA.1 as f64, 0.7, 1e-12));
    assert!(close(
        ALPHA.0 as f64 / ALPHA.1 as f64,
        3.0 * (1.0 - 0.7) / (1.0 + 0.7),
        1e-12
    ));
    assert!(close(1e9 / CUBE_MILLIS_PER_SEGMENT as f64, 0.4, 1e-12));
    assert!(close(
        FAST_CONVERGENCE.0 as f64 / FAST_CONVERGENCE.1 as f64,
        0.85,
        1e-12
    ));
}

#[test]
fn req_cub_2_the_curve_and_its_plateau_equal_the_equations() {
    for segments in [10_u64, 100, 1000, 10_000, 100_000] {
        for mss in [536, 1448, 8948] {
            let w_max = segments * mss;
            let epoch = w_max * 7 / 10;
            let exact = Exact::new(segments as f64, epoch as f64 / mss as f64);
            let k = time_to_plateau(w_max - epoch, mss);
            assert!(
                close(k.as_secs_f64(), exact.k, 1e-5),
                "K {k:?} for {segments}"
            );
            for tenths in 0..600 {
                let t = Duration::from_millis(tenths * 100);
                let want = exact.w(t.as_secs_f64()) * mss as f64;
                let got = w_cubic(t, k, w_max, mss) as f64;
                assert!(close(got, want, 0.002) || (got - want).abs() < mss as f64 / 10.0);
            }
        }
    }
}

#[test]
fn req_cub_3_the_target_stays_between_cwnd_and_one_and_a_half() {
    // Long after the plateau the curve is far above: one window of ACKs grows cwnd by half.
    let mut cubic = reduced_from(100_000);
    cubic.on_ack(&ack(at(1), 1));
    let cwnd = cubic.cwnd();
    for i in 0..70 {
        cubic.on_ack(&ack(at(60_000 + i), 1000));
    }
    let grown = cubic.cwnd() as f64 / cwnd as f64;
    assert!((1.35..=1.66).contains(&grown), "{grown}");
    // Below the curve's start nothing shrinks.
    let mut cubic = reduced_from(1_000_000);
    let mut last = cubic.cwnd();
    for i in 0..2000 {
        cubic.on_ack(&ack(at(i * 5), 5000));
        assert!(cubic.cwnd() >= last);
        last = cubic.cwnd();
    }
}

#[test]
fn req_cub_4_growth_follows_the_curve_through_both_regions() {
    // 1000 segments at a loss, RTT 100 ms, every octet acknowledged: cwnd ≈ W(t + RTT).
    let mut cubic = reduced_from(1_000_000);
    let exact = Exact::new(1000.0, 700.0);
    let mut rounds = 0;
    for round in 0..150_u64 {
        let window = cubic.cwnd();
        for part in 0..10 {
            let now = at(1 + round * 100 + part * 10);
            cubic.on_ack(&ack(now, window / 10));
            let t = (round * 100 + part * 10) as f64 / 1000.0;
            let want = exact.w(t) * MSS as f64;
            let got = cubic.cwnd() as f64;
            // The window follows the curve with a lag of about one round trip.
            assert!(close(got, want, 0.03), "t {t}: {got} for {want}");
            rounds += 1;
        }
    }
    assert_eq!(rounds, 1500);
    assert!(
        cubic.cwnd() > 1_000_000,
        "past the plateau after K = 9 s: convex"
    );
}

#[test]
fn req_cub_5_a_small_window_grows_as_reno_would() {
    // 10 segments, RTT 10 ms: K = 1.96 s, far slower than Reno's estimate.
    let mut cubic = reduced_from(10_000);
    let start = cubic.cwnd();
    assert_eq!(start, 7000);
    let mut w_est = start as f64;
    for i in 0..50 {
        let acked = cubic.cwnd();
        let alpha = if w_est < 10_000.0 { 9.0 / 17.0 } else { 1.0 };
        w_est += alpha * MSS as f64 * acked as f64 / cubic.cwnd() as f64;
        let srtt = Some(Duration::from_millis(10));
        cubic.on_ack(&AckInfo {
            srtt,
            ..ack(at(i * 10), acked)
        });
        assert!(close(cubic.w_est().unwrap() as f64, w_est, 0.001));
        assert!(cubic.cwnd() >= cubic.w_est().unwrap());
    }
    assert!(
        close(cubic.cwnd() as f64, w_est, 0.02),
        "{} for {w_est}",
        cubic.cwnd()
    );
}

#[test]
fn req_cub_6_alpha_becomes_one_when_the_old_window_is_reached() {
    let mut cubic = reduced_from(10_000);
    let srtt = Some(Duration::from_millis(1));
    let step = |cubic: &mut Cubic| {
        let before = cubic.w_est().unwrap_or(7000);
        let acked = cubic.cwnd();
        cubic.on_ack(&AckInfo {
            srtt,
            ..ack(at(1), acked)
        });
        cubic.w_est().unwrap() - before
    };
    let slow = step(&mut cubic);
    assert!((528..=530).contains(&slow), "{slow}");
    while cubic.w_est().unwrap() < 10_000 {
        step(&mut cubic);
    }
    let fast = step(&mut cubic);
    assert!((999..=1001).contains(&fast), "{fast}");
}

#[test]
fn req_cub_7_and_lx_16_a_loss_reduces_by_beta_of_flight_size() {
    let mut cubic = Cubic::new(&Setup::new(MSS, 100_000, at(0)));
    cubic.on_loss(&loss(at(1), LossKind::FastRetransmit, 60_000, MSS));
    assert_eq!((cubic.ssthresh(), cubic.cwnd()), (42_000, 42_000));
    assert_eq!(cubic.cwnd_prior, 100_000);
    cubic.on_recovery_exit(at(2), 0);
    assert_eq!(cubic.cwnd(), 42_000, "goes on from ssthresh");
    cubic.on_loss(&loss(at(3), LossKind::FastRetransmit, 1000, MSS));
    assert_eq!((cubic.ssthresh(), cubic.cwnd()), (2000, 2000));
    cubic.on_recovery_exit(at(4), 0);
    cubic.on_loss(&loss(at(5), LossKind::Ecn, 1000, MSS));
    assert_eq!(
        (cubic.ssthresh(), cubic.cwnd()),
        (2000, 1000),
        "a mark may go to one segment"
    );
}

#[test]
fn req_cub_7_a_window_that_was_used_is_reduced_as_a_whole() {
    let mut cubic = Cubic::new(&Setup::new(MSS, 100_000, at(0)));
    let used = |kind, flight_size| LossInfo {
        is_cwnd_limited: true,
        ..loss(at(1), kind, flight_size, MSS)
    };
    cubic.on_loss(&used(LossKind::FastRetransmit, 95_000));
    assert_eq!((cubic.ssthresh(), cubic.cwnd()), (70_000, 70_000));
    cubic.on_recovery_exit(at(2), 0);
    cubic.on_loss(&used(LossKind::Timeout { first: true }, 50_000));
    assert_eq!(cubic.ssthresh(), 35_000, "not by a timeout");
}

#[test]
fn req_cub_8_fast_convergence_gives_room() {
    let mut cubic = reduced_from(100_000);
    assert_eq!(cubic.w_max(), 100_000);
    // Lost again below the old maximum: W_max = cwnd·(1 + β)/2.
    cubic.on_loss(&loss(at(10), LossKind::FastRetransmit, 70_000, MSS));
    assert_eq!(cubic.w_max(), 59_500);
    cubic.on_recovery_exit(at(11), 49_000);
    // Lost above it: W_max = cwnd.
    cubic.window.cwnd = 80_000;
    cubic.on_loss(&loss(at(20), LossKind::FastRetransmit, 80_000, MSS));
    assert_eq!(cubic.w_max(), 80_000);
}

#[test]
fn req_cub_9_and_lx_16_idle_and_limited_times_do_not_count() {
    let busy = |cubic: &mut Cubic, from: u64| {
        for i in 0..20 {
            let window = cubic.cwnd();
            cubic.on_sent(&sent(at(from + i * 100), window, window));
            cubic.on_ack(&ack(at(from + i * 100), window));
        }
    };
    let mut steady = reduced_from(1_000_000);
    busy(&mut steady, 0);
    busy(&mut steady, 2000);
    // Ten seconds without sending in the middle.
    let mut idle = reduced_from(1_000_000);
    busy(&mut idle, 0);
    let before = idle.cwnd();
    idle.on_sent(&sent(at(12_000), 1000, 0));
    idle.on_ack(&ack(at(12_000), 1000));
    assert!(close(idle.cwnd() as f64, before as f64, 0.001), "no jump");
    busy(&mut idle, 12_000);
    assert!(close(idle.cwnd() as f64, steady.cwnd() as f64, 0.01));
    // Ten seconds limited by the application in the middle.
    let mut limited = reduced_from(1_000_000);
    busy(&mut limited, 0);
    for i in 0..100 {
        let info = ack(at(1900 + i * 100), 1000);
        limited.on_ack(&AckInfo {
            is_cwnd_limited: false,
            app_limited: true,
            ..info
        });
    }
    assert_eq!(limited.cwnd(), before);
    busy(&mut limited, 11_900);
    assert!(close(limited.cwnd() as f64, steady.cwnd() as f64, 0.01));
}

#[test]
fn req_cub_10_after_a_timeout_the_next_plateau_is_where_avoidance_begins() {
    let mut cubic = Cubic::new(&Setup::new(MSS, 100_000, at(0)));
    cubic.on_loss(&loss(
        at(1),
        LossKind::Timeout { first: true },
        100_000,
        MSS,
    ));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (1000, 70_000));
    let mut now = 2;
    while cubic.in_slow_start() {
        cubic.on_ack(&ack(at(now), cubic.cwnd()));
        now += 100;
    }
    cubic.on_recovery_exit(at(now), 0);
    cubic.on_ack(&ack(at(now), 1));
    assert_eq!(cubic.k(), Some(Duration::ZERO));
    assert_eq!(cubic.w_max(), 70_000);
    let w_est = cubic.w_est().unwrap();
    assert!((70_000..70_100).contains(&w_est));
}

#[test]
fn req_cub_11_slow_start_ends_at_ssthresh_and_the_rest_counts_for_the_curve() {
    let mut cubic = Cubic::new(&Setup::new(MSS, 10_000, at(0)));
    assert!(cubic.in_slow_start());
    cubic.on_loss(&loss(at(1), LossKind::Timeout { first: true }, 20_000, MSS));
    cubic.on_recovery_exit(at(2), 0);
    cubic.on_ack(&ack(at(3), 100_000));
    assert_eq!(cubic.ssthresh(), 14_000);
    assert!(!cubic.in_slow_start());
    assert!(cubic.cwnd() >= 14_000 && cubic.cwnd() < 29_000);
}

#[test]
fn req_cub_13_a_spurious_loss_restores_every_variable() {
    let mut cubic = reduced_from(100_000);
    for i in 0..10 {
        cubic.on_ack(&ack(at(i * 100), 70_000));
    }
    let before = (
        cubic.cwnd(),
        cubic.ssthresh(),
        cubic.cwnd_prior,
        cubic.w_max,
        cubic.epoch,
    );
    cubic.on_loss(&loss(at(1000), LossKind::FastRetransmit, 70_000, MSS));
    cubic.on_spurious();
    let after = (
        cubic.cwnd(),
        cubic.ssthresh(),
        cubic.cwnd_prior,
        cubic.w_max,
        cubic.epoch,
    );
    assert_eq!(after, before);
    // Not when the window has grown past it meanwhile.
    cubic.on_loss(&loss(at(1000), LossKind::FastRetransmit, 70_000, MSS));
    cubic.set_recovery_cwnd(500_000);
    cubic.on_spurious();
    assert_eq!(cubic.cwnd(), 500_000);
}

#[test]
fn cube_roots_of_cubes_and_their_neighbours() {
    for root in [0_u64, 1, 2, 3, 1000, 1 << 20, (1 << 42) - 1] {
        let cube = u128::from(root).pow(3);
        assert_eq!(cube_root(cube), root);
        if root > 0 {
            assert_eq!(cube_root(cube - 1), root - 1);
            assert_eq!(cube_root(cube + 1), root);
        }
    }
}

proptest! {
    #[test]
    fn req_cub_15_the_cube_root_is_accurate_and_nothing_overflows(
        below in 1_u64..1 << 31,
        mss in 1_u64..65_536,
        origin in 0_u64..1 << 31,
        millis in 0_u64..3_600_000,
        k_millis in 0_u64..3_600_000,
    ) {
        let k = time_to_plateau(below, mss);
        let want = (below as f64 / mss as f64 / 0.4).cbrt();
        prop_assert!(close(k.as_secs_f64(), want, 0.002));
        let (t, k) = (Duration::from_millis(millis), Duration::from_millis(k_millis));
        let seconds = (millis as f64 - k_millis as f64) / 1000.0;
        // Times beyond the range of the cube are far outside every real window.
        if seconds.abs() < 2000.0 {
            let want = (0.4 * mss as f64 * seconds.powi(3) + origin as f64).max(0.0);
            let got = w_cubic(t, k, origin, mss) as f64;
            prop_assert!((got - want).abs() <= 0.002 * want + 2.0, "{} for {}", got, want);
        } else {
            let _ = w_cubic(t, k, origin, mss);
        }
    }

    #[test]
    fn an_hour_of_any_acknowledgements_stays_within_bounds(
        acks in proptest::collection::vec((0_u64..60_000, 1_u64..1 << 31, any::<bool>()), 1..100),
        w_max in 10_u64..1 << 31,
    ) {
        let mut cubic = reduced_from(w_max);
        let mut now = 0;
        for (dt, bytes, is_cwnd_limited) in acks {
            now += dt;
            let before = cubic.cwnd();
            cubic.on_ack(&AckInfo { is_cwnd_limited, ..ack(at(now), bytes) });
            prop_assert!(cubic.cwnd() >= before);
            prop_assert!(is_cwnd_limited || cubic.cwnd() == before);
        }
    }
}

#[test]
fn req_cub_12_slow_start_that_ends_without_loss_begins_at_the_plateau() {
    let (mut cubic, mut now) = searching(10_000);
    let cwnd = cubic.cwnd();
    assert_eq!(cubic.cwnd_prior, cwnd);
    round(&mut cubic, &mut now, 30);
    assert_eq!(cubic.k(), Some(Duration::ZERO));
    assert_eq!(cubic.w_max(), cwnd);
}

/// A round of ten acknowledgements that take so many milliseconds; the clock moves on by one with each.
fn round(cubic: &mut Cubic, now: &mut u64, millis: u64) {
    for n in 1..=10 {
        *now += 1;
        cubic.on_ack(&AckInfo {
            rtt: Some(Duration::from_millis(millis)),
            round_end: n == 10,
            ..ack(at(*now), 1000)
        });
    }
}

/// A flow with this initial window whose slow start has just ended because the round trip grew, and its clock in milliseconds.
fn searching(initial_window: u64) -> (Cubic, u64) {
    let mut cubic = Cubic::new(&Setup::new(MSS, initial_window, at(0)));
    let mut now = 0;
    for rtt in [20, 30, 30, 30, 30, 30] {
        round(&mut cubic, &mut now, rtt);
    }
    assert!(!cubic.in_slow_start());
    (cubic, now)
}

/// Acknowledges a window, and gives by how many thousandths it grew.
fn grown_in_a_round(cubic: &mut Cubic, now: u64, reorders: bool) -> u64 {
    let before = cubic.cwnd();
    for n in 1..=100 {
        cubic.on_ack(&AckInfo {
            reorders,
            ..ack(at(now + n / 5), before / 100)
        });
    }
    (cubic.cwnd() - before) * 1000 / before
}

#[test]
fn the_window_grows_by_a_twentieth_a_round_trip_until_the_first_congestion_event() {
    let (mut cubic, mut now) = searching(100_000);
    for round in 0..5 {
        now += 20;
        let grown = grown_in_a_round(&mut cubic, now, false);
        assert!((48..=53).contains(&grown), "round {round}: {grown}");
    }
    let size = cubic.cwnd();
    cubic.on_loss(&loss(at(now), LossKind::FastRetransmit, size, MSS));
    // Taken back, it was none.
    cubic.on_spurious();
    assert_eq!(cubic.cwnd(), size);
    now += 20;
    let grown = grown_in_a_round(&mut cubic, now, false);
    assert!((48..=53).contains(&grown), "{grown}");
    let size = cubic.cwnd();
    cubic.on_loss(&loss(at(now), LossKind::FastRetransmit, size, MSS));
    cubic.on_recovery_exit(at(now), cubic.ssthresh());
    let grown = grown_in_a_round(&mut cubic, now + 20, false);
    assert!(grown < 30, "{grown}");
    assert_eq!(cubic.w_max(), size);
}

#[test]
fn where_the_path_reorders_the_window_keeps_to_the_curve() {
    let (mut cubic, mut now) = searching(100_000);
    for _ in 0..5 {
        now += 20;
        let grown = grown_in_a_round(&mut cubic, now, true);
        assert!(grown < 20, "{grown}");
    }
}
