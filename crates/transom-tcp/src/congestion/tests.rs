//! Rules that hold for every controller.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use proptest::prelude::*;

use super::*;

/// An instant, in milliseconds.
pub(super) fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

/// An acknowledgement of `bytes` by a sender that the window limits.
pub(super) fn ack(now: Instant, bytes: u64) -> AckInfo {
    AckInfo {
        now,
        bytes_acked: bytes,
        bytes_in_flight_before: bytes,
        bytes_in_flight: 0,
        rtt: None,
        srtt: Some(Duration::from_millis(100)),
        min_rtt: None,
        is_cwnd_limited: true,
        app_limited: false,
        round_end: false,
        in_recovery: false,
        reorders: false,
    }
}

pub(super) fn loss(now: Instant, kind: LossKind, flight_size: u64, mss: u64) -> LossInfo {
    LossInfo {
        now,
        kind,
        flight_size,
        in_flight: 0,
        is_cwnd_limited: false,
        mss,
    }
}

pub(super) fn sent(now: Instant, bytes: u64, in_flight_before: u64) -> SentInfo {
    SentInfo {
        now,
        bytes,
        in_flight_before,
        is_app_limited: false,
    }
}

fn both(mss: u64) -> [Box<dyn Controller>; 2] {
    [Algorithm::Reno, Algorithm::Cubic]
        .map(|kind| kind.build(&Setup::new(mss, initial_window(mss), at(0))))
}

#[test]
fn req_cc_1_the_initial_window_of_rfc_6928() {
    for (mss, window) in [
        (536, 5360),
        (1460, 14_600),
        (8960, 17_920),
        (48, 480),
        (1220, 12_200),
    ] {
        assert_eq!(initial_window(mss), window);
        for controller in both(mss) {
            assert_eq!(controller.cwnd(), window);
        }
    }
}

#[test]
fn req_cc_2_a_handshake_with_a_timeout_starts_with_one_segment() {
    for kind in [Algorithm::Reno, Algorithm::Cubic] {
        let controller = kind.build(&Setup::new(1460, 1460, at(0)));
        assert_eq!((controller.name(), controller.cwnd()), (kind.name(), 1460));
    }
}

#[test]
fn req_cc_3_one_segment_after_a_timeout_and_the_restart_window_after_idling() {
    for mut controller in both(1000) {
        let rto = Duration::from_millis(300);
        for i in 0..20 {
            controller.on_ack(&ack(at(i), 10_000));
        }
        let cwnd = controller.cwnd();
        assert_eq!(cwnd, 210_000);
        controller.on_idle_restart(at(1000), rto * 2, rto);
        assert_eq!(
            controller.cwnd(),
            cwnd / 4,
            "halved for each timeout of silence"
        );
        controller.on_idle_restart(at(90_000), rto * 300, rto);
        assert_eq!(controller.cwnd(), 10_000, "down to min(IW, cwnd)");
        controller.on_loss(&loss(
            at(0),
            LossKind::Timeout { first: true },
            10_000,
            1000,
        ));
        assert_eq!(controller.cwnd(), 1000, "the loss window");
        controller.on_idle_restart(at(99_000), rto * 300, rto);
        assert_eq!(controller.cwnd(), 1000, "never up");
    }
}

#[test]
fn req_cwv_1_ssthresh_remembers_three_quarters_of_an_idle_window() {
    for mut controller in both(1000) {
        let rto = Duration::from_millis(300);
        controller.on_loss(&loss(at(0), LossKind::FastRetransmit, 40_000, 1000));
        controller.on_recovery_exit(at(1), 40_000);
        let cwnd = controller.cwnd();
        controller.on_idle_restart(at(1000), rto, rto);
        assert!(controller.ssthresh() >= cwnd / 4 * 3);
        assert!(controller.in_slow_start());
    }
}

#[test]
fn req_cc_4_ssthresh_starts_arbitrarily_high() {
    for controller in both(1460) {
        assert!(controller.ssthresh() > u64::from(u32::MAX));
        assert!(controller.in_slow_start());
    }
}

#[test]
fn req_cc_5_slow_start_counts_octets_so_dividing_acks_gains_nothing() {
    for mut controller in both(1000) {
        for _ in 0..1000 {
            controller.on_ack(&ack(at(1), 10));
        }
        assert_eq!(controller.cwnd(), 20_000, "as one ACK of 10 000 octets");
        controller.on_ack(&ack(at(2), 20_000));
        assert_eq!(
            controller.cwnd(),
            40_000,
            "a stretched ACK counts in full, as in Linux"
        );
    }
    // RFC 3465 §2.2: at most L segments per ACK, when asked for.
    let mut reno = Reno::new(&Setup::new(1000, 10_000, at(0))).with_abc_limit(2);
    reno.on_ack(&ack(at(1), 20_000));
    assert_eq!(reno.cwnd(), 12_000);
    // RFC 3465 §2.3: L = 1 after a timeout.
    for mut controller in both(1000) {
        controller.on_loss(&loss(
            at(0),
            LossKind::Timeout { first: true },
            40_000,
            1000,
        ));
        controller.on_ack(&ack(at(3), 9000));
        assert_eq!(controller.cwnd(), 2000);
    }
}

#[test]
fn req_cc_7_ssthresh_follows_flight_size_and_not_cwnd() {
    for mut controller in both(1000) {
        controller.on_ack(&ack(at(1), 90_000));
        assert_eq!(controller.cwnd(), 100_000);
        controller.on_loss(&loss(at(2), LossKind::FastRetransmit, 20_000, 1000));
        let share = if controller.name() == "reno" {
            10_000
        } else {
            14_000
        };
        assert_eq!((controller.ssthresh(), controller.cwnd()), (share, share));
        controller.on_recovery_exit(at(3), 20_000);
        controller.on_loss(&loss(at(4), LossKind::FastRetransmit, 1000, 1000));
        assert_eq!(controller.ssthresh(), 2000, "two segments at least");
    }
}

#[test]
fn req_cc_8_a_repeated_timeout_leaves_ssthresh_alone() {
    for mut controller in both(1000) {
        controller.on_loss(&loss(
            at(1),
            LossKind::Timeout { first: true },
            40_000,
            1000,
        ));
        let ssthresh = controller.ssthresh();
        assert_eq!(
            ssthresh,
            if controller.name() == "reno" {
                20_000
            } else {
                28_000
            }
        );
        controller.on_loss(&loss(at(2), LossKind::Timeout { first: false }, 1000, 1000));
        assert_eq!((controller.cwnd(), controller.ssthresh()), (1000, ssthresh));
    }
}

#[test]
fn req_cc_12_two_losses_reduce_twice() {
    for mut controller in both(1000) {
        controller.on_loss(&loss(at(1), LossKind::FastRetransmit, 100_000, 1000));
        let once = controller.ssthresh();
        controller.on_recovery_exit(at(2), once);
        controller.on_loss(&loss(at(2), LossKind::FastRetransmit, once, 1000));
        assert!(controller.ssthresh() < once);
    }
}

#[test]
fn req_cc_13_a_window_that_is_not_used_does_not_grow() {
    for mut controller in both(1000) {
        for i in 0..100 {
            controller.on_ack(&AckInfo {
                is_cwnd_limited: false,
                ..ack(at(i * 100), 1000)
            });
        }
        assert_eq!(controller.cwnd(), 10_000);
        // In congestion avoidance neither.
        controller.on_loss(&loss(at(10_000), LossKind::FastRetransmit, 10_000, 1000));
        controller.on_recovery_exit(at(10_001), 10_000);
        let cwnd = controller.cwnd();
        for i in 0..1000 {
            let now = at(20_000 + i * 100);
            controller.on_ack(&AckInfo {
                is_cwnd_limited: false,
                ..ack(now, 1000)
            });
        }
        assert_eq!(controller.cwnd(), cwnd);
    }
}

#[test]
fn the_window_stands_still_in_fast_recovery() {
    for mut controller in both(1000) {
        controller.on_loss(&loss(at(1), LossKind::FastRetransmit, 20_000, 1000));
        let cwnd = controller.cwnd();
        controller.on_ack(&AckInfo {
            in_recovery: true,
            ..ack(at(2), 5000)
        });
        controller.on_ack(&ack(at(2), 5000));
        assert_eq!(controller.cwnd(), cwnd);
        controller.set_recovery_cwnd(3000);
        assert_eq!(controller.cwnd(), 3000);
        controller.on_recovery_exit(at(3), 20_000);
        assert_eq!(controller.cwnd(), cwnd, "back at ssthresh");
    }
}

#[test]
fn a_spurious_episode_is_taken_back() {
    for mut controller in both(1000) {
        controller.on_ack(&ack(at(1), 90_000));
        let before = (controller.cwnd(), controller.ssthresh());
        controller.on_loss(&loss(
            at(2),
            LossKind::Timeout { first: true },
            100_000,
            1000,
        ));
        controller.on_loss(&loss(
            at(3),
            LossKind::Timeout { first: false },
            100_000,
            1000,
        ));
        controller.on_spurious();
        assert_eq!((controller.cwnd(), controller.ssthresh()), before);
        controller.on_spurious();
        assert_eq!((controller.cwnd(), controller.ssthresh()), before, "once");
    }
}

#[test]
fn an_episode_that_is_over_is_taken_back_until_the_next_begins() {
    for mut controller in both(1000) {
        controller.on_ack(&ack(at(1), 90_000));
        let before = (controller.cwnd(), controller.ssthresh());
        let fast = |now| loss(at(now), LossKind::FastRetransmit, 100_000, 1000);
        controller.on_loss(&fast(2));
        controller.on_recovery_exit(at(3), 50_000);
        assert!(controller.cwnd() < before.0);
        controller.on_spurious();
        assert_eq!((controller.cwnd(), controller.ssthresh()), before);
        // A second one is what is taken back then, not the first.
        controller.on_loss(&fast(4));
        controller.on_recovery_exit(at(5), 50_000);
        let between = controller.cwnd();
        controller.on_loss(&fast(6));
        controller.on_recovery_exit(at(7), 50_000);
        controller.on_spurious();
        assert_eq!(controller.cwnd(), between);
        // Nor is an old one after a pause.
        controller.on_loss(&fast(8));
        controller.on_recovery_exit(at(9), 50_000);
        let (idle, rto) = (Duration::from_secs(9), Duration::from_secs(1));
        controller.on_idle_restart(at(9009), idle, rto);
        let restarted = controller.cwnd();
        controller.on_spurious();
        assert_eq!(controller.cwnd(), restarted);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ack(u64, bool),
    Fast(u64),
    Timeout(u64, bool),
    Ecn(u64),
    Exit(u64),
    Idle(u64),
    Spurious,
    Mss(u64),
    Recovery(u64),
    Sent(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![0_u64..100_000, 0_u64..u64::from(u32::MAX)];
    prop_oneof![
        20 => (bytes(), any::<bool>()).prop_map(|(bytes, limited)| Step::Ack(bytes, limited)),
        2 => bytes().prop_map(Step::Fast),
        1 => (bytes(), any::<bool>()).prop_map(|(flight, first)| Step::Timeout(flight, first)),
        1 => bytes().prop_map(Step::Ecn),
        3 => bytes().prop_map(Step::Exit),
        1 => (0_u64..1 << 40).prop_map(Step::Idle),
        1 => Just(Step::Spurious),
        1 => (0_u64..66_000).prop_map(Step::Mss),
        1 => bytes().prop_map(Step::Recovery),
        2 => bytes().prop_map(Step::Sent),
    ]
}

proptest! {
    #[test]
    fn req_cc_14_floors_hold_and_nothing_overflows(
        mss in 1_u64..66_000,
        steps in proptest::collection::vec((step(), 0_u64..4_000_000), 1..200),
    ) {
        for mut controller in both(mss) {
            let mut now = at(0);
            let mut mss = mss;
            for (step, dt) in &steps {
                now += Duration::from_millis(*dt);
                match *step {
                    Step::Ack(bytes, is_cwnd_limited) => {
                        controller.on_ack(&AckInfo { is_cwnd_limited, ..ack(now, bytes) });
                    }
                    Step::Fast(flight) => {
                        controller.on_loss(&loss(now, LossKind::FastRetransmit, flight, mss));
                    }
                    Step::Timeout(flight, first) => {
                        controller.on_loss(&loss(now, LossKind::Timeout { first }, flight, mss));
                    }
                    Step::Ecn(flight) => {
                        controller.on_loss(&loss(now, LossKind::Ecn, flight, mss));
                    }
                    Step::Exit(flight) => controller.on_recovery_exit(now, flight),
                    Step::Idle(millis) => {
                        let idle = Duration::from_millis(millis);
                        controller.on_idle_restart(now, idle, Duration::from_millis(millis % 999));
                    }
                    Step::Spurious => controller.on_spurious(),
                    Step::Mss(new) => {
                        mss = new.max(1);
                        controller.on_mss_change(new);
                    }
                    Step::Recovery(cwnd) => controller.set_recovery_cwnd(cwnd),
                    Step::Sent(in_flight) => controller.on_sent(&sent(now, mss, in_flight)),
                }
                prop_assert!(controller.cwnd() >= mss, "cwnd {}", controller.cwnd());
                prop_assert!(controller.cwnd() <= MAX_CWND);
                prop_assert!(controller.ssthresh() >= 2 * mss);
            }
        }
    }
}

/// Ten acknowledgements of 1000 octets, the last of which ends the round.
fn slow_start_round(controller: &mut dyn Controller, millis: u64) {
    for n in 1..=10 {
        controller.on_ack(&AckInfo {
            rtt: Some(Duration::from_millis(millis)),
            round_end: n == 10,
            ..ack(at(n), 1000)
        });
    }
}

#[test]
fn req_hs_3_and_hs_5_growth_is_a_quarter_while_the_round_trip_is_longer() {
    for mut controller in both(1000) {
        slow_start_round(&mut *controller, 20);
        assert_eq!(controller.cwnd(), 20_000);
        // The eighth measurement says so: two acknowledgements count a quarter.
        slow_start_round(&mut *controller, 30);
        assert_eq!(controller.cwnd(), 28_500);
        slow_start_round(&mut *controller, 30);
        assert_eq!(controller.cwnd(), 31_000);
        assert!(controller.in_slow_start());
        // Less than at first: eight count a quarter, the eighth ends it.
        slow_start_round(&mut *controller, 20);
        assert_eq!(controller.cwnd(), 35_000);
    }
}

#[test]
fn req_hs_6_after_five_slower_rounds_ssthresh_is_the_window() {
    for mut controller in both(1000) {
        slow_start_round(&mut *controller, 20);
        for _ in 0..5 {
            assert!(controller.in_slow_start());
            slow_start_round(&mut *controller, 30);
        }
        assert!(!controller.in_slow_start());
        assert_eq!(controller.ssthresh(), 38_500);
        assert_eq!(controller.cwnd(), 38_500);
    }
}

#[test]
fn req_hs_7_loss_in_the_slower_phase_is_answered_as_ever() {
    for mut controller in both(1000) {
        slow_start_round(&mut *controller, 20);
        slow_start_round(&mut *controller, 30);
        controller.on_loss(&loss(at(50), LossKind::FastRetransmit, 28_500, 1000));
        let share = if controller.name() == "reno" { 5 } else { 7 };
        assert_eq!(controller.ssthresh(), 28_500 * share / 10);
        assert_eq!(controller.cwnd(), controller.ssthresh());
    }
}

#[test]
fn req_hs_8_only_the_first_slow_start_listens_to_the_delay() {
    for mut controller in both(1000) {
        controller.on_loss(&loss(
            at(0),
            LossKind::Timeout { first: true },
            4_000_000,
            1000,
        ));
        controller.on_recovery_exit(at(1), 0);
        for millis in [20, 30, 40, 50, 60, 70, 80, 90] {
            let before = controller.cwnd();
            slow_start_round(&mut *controller, millis);
            assert_eq!(controller.cwnd(), before + 10_000, "{millis} ms");
        }
    }
}

#[test]
fn without_hystart_the_delay_means_nothing() {
    for kind in [Algorithm::Reno, Algorithm::Cubic] {
        let mut setup = Setup::new(1000, 10_000, at(0));
        setup.hystart = false;
        let mut controller = kind.build(&setup);
        for millis in [20, 30, 40, 50, 60, 70, 80, 90] {
            let before = controller.cwnd();
            slow_start_round(&mut *controller, millis);
            assert_eq!(controller.cwnd(), before + 10_000, "{millis} ms");
        }
    }
}

#[test]
fn req_abe_1_a_mark_costs_less_than_loss_where_that_is_wanted() {
    for (kind, of_loss, of_mark) in [(Algorithm::Reno, 50, 80), (Algorithm::Cubic, 70, 85)] {
        for (abe, why, left) in [
            (false, LossKind::Ecn, of_loss),
            (true, LossKind::Ecn, of_mark),
            (true, LossKind::FastRetransmit, of_loss),
            (true, LossKind::Timeout { first: true }, of_loss),
        ] {
            let mut setup = Setup::new(1000, 100_000, at(0));
            setup.abe = abe;
            let mut controller = kind.build(&setup);
            controller.on_loss(&loss(at(1), why, 100_000, 1000));
            assert_eq!(controller.ssthresh(), left * 1000, "{kind:?} {abe} {why:?}");
        }
        // Never below two segments.
        let mut setup = Setup::new(1000, 2000, at(0));
        setup.abe = true;
        let mut controller = kind.build(&setup);
        controller.on_loss(&loss(at(1), LossKind::Ecn, 2000, 1000));
        assert_eq!(controller.ssthresh(), 2000);
    }
}
