//! The state machine on a path of constant rate, segment by segment, and its answers to loss.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::delivery::Delivery;

const MSS: u64 = 1000;
/// 1.25 MB/s and 40 ms: 50 segments.
const RATE: u64 = 1_250_000;
const RTT: Duration = Duration::from_millis(40);

/// One flow with always something to send, and a queue without end.
struct World {
    now: Instant,
    bbr: Bbr,
    delivery: Delivery,
    /// When it is acknowledged, and when it was sent.
    wire: VecDeque<(Instant, Instant)>,
    free_at: Instant,
    next_send: Instant,
    visited: Vec<State>,
}

impl World {
    fn new() -> Self {
        let now = Instant::from_origin(Duration::from_secs(1));
        let mut bbr = Bbr::new(&Setup::new(MSS, 10 * MSS, now));
        bbr.on_handshake(now, RTT);
        Self {
            now,
            bbr,
            delivery: Delivery::default(),
            wire: VecDeque::new(),
            free_at: now,
            next_send: now,
            visited: Vec::new(),
        }
    }

    fn pipe(&self) -> u64 {
        self.wire.len() as u64 * MSS
    }

    fn time(rate: u64) -> Duration {
        Duration::from_nanos(MSS * 1_000_000_000 / rate)
    }

    fn step(&mut self) {
        let may_send = self.pipe() + MSS <= self.bbr.cwnd();
        let ack_at = self.wire.front().map(|&(at, _)| at);
        if may_send && ack_at.is_none_or(|at| self.next_send <= at) {
            self.now = self.now.max(self.next_send);
            let before = self.pipe();
            self.free_at = self.free_at.max(self.now) + Self::time(RATE);
            self.wire.push_back((self.free_at + RTT, self.now));
            self.delivery.on_sent(self.now, before, before + MSS);
            self.next_send = self.now + Self::time(self.bbr.pacing_rate().unwrap());
            return;
        }
        let is_cwnd_limited = !may_send;
        let (at, sent) = self.wire.pop_front().unwrap();
        self.now = self.now.max(at);
        let rtt = self.now.duration_since(sent);
        let sample = self
            .delivery
            .on_delivered(self.now, MSS, Some(sent), Some(RTT), Some(rtt));
        self.bbr.on_delivery(&DeliveryInfo {
            now: self.now,
            sample,
            newly_acked: MSS,
            newly_lost: 0,
            in_flight: self.pipe(),
            ce_packets: 0,
            rtt: Some(rtt),
            is_cwnd_limited,
            is_app_limited: false,
            in_recovery: self.bbr.in_recovery,
        });
        if self.visited.last() != Some(&self.bbr.state) {
            self.visited.push(self.bbr.state);
        }
    }

    fn until(&mut self, state: State) {
        for _ in 0..100_000 {
            if self.bbr.state == state {
                return;
            }
            self.step();
        }
        panic!("never {state:?}: {:?}", self.visited);
    }
}

#[test]
fn req_bbr_1_gains() {
    let table = [
        (State::Startup, 277, 200),
        (State::Drain, 50, 200),
        (State::ProbeBwDown, 90, 200),
        (State::ProbeBwCruise, 100, 200),
        (State::ProbeBwRefill, 100, 200),
        (State::ProbeBwUp, 125, 225),
        (State::ProbeRtt, 100, 50),
    ];
    for (state, pacing, cwnd) in table {
        assert_eq!((state.pacing_gain(), state.cwnd_gain()), (pacing, cwnd));
    }
}

#[test]
fn req_bbr_17_the_first_rate_is_2_77_windows_a_round_trip() {
    let world = World::new();
    assert_eq!(world.bbr.pacing_rate(), Some(277 * 10_000 * 25 / 100));
}

#[test]
fn req_bbr_5_and_bbr_6_and_bbr_8_a_plateau_ends_startup_and_drain_empties_the_queue() {
    let mut world = World::new();
    world.until(State::Drain);
    assert!(world.bbr.full_bw_reached && world.bbr.full_bw_now);
    assert_eq!(world.bbr.full_bw_count, 3);
    let max_bw = world.bbr.max_bw();
    assert!(max_bw.abs_diff(RATE) < RATE / 50, "{max_bw}");
    assert!(
        (4..20).contains(&world.bbr.round_count),
        "{}",
        world.bbr.round_count
    );
    assert!(world.pipe() > world.bbr.inflight(100), "a queue");
    // DOWN is left with the acknowledgement that ends Drain: nothing is queued.
    world.until(State::ProbeBwCruise);
    assert!(world.pipe() <= world.bbr.inflight(100));
}

#[test]
fn req_bbr_9_and_bbr_10_and_bbr_11_the_cycle_of_probes() {
    let mut world = World::new();
    world.until(State::ProbeBwUp);
    let up = world.now;
    world.until(State::ProbeBwDown);
    world.until(State::ProbeBwUp);
    assert_eq!(
        world.visited,
        [
            State::Startup,
            State::Drain,
            State::ProbeBwCruise,
            State::ProbeBwRefill,
            State::ProbeBwUp,
            State::ProbeBwDown,
            State::ProbeBwCruise,
            State::ProbeBwRefill,
            State::ProbeBwUp,
        ]
    );
    // 50 segments fit: at most as many rounds pass, and at most three seconds and a little.
    let cycle = world.now.duration_since(up);
    assert!(cycle < Duration::from_millis(3500), "{cycle:?}");
    assert!(cycle > Duration::from_millis(1000), "{cycle:?}");
}

#[test]
fn req_bbr_19_probe_rtt_after_five_seconds_without_a_shorter_round_trip() {
    let mut world = World::new();
    world.until(State::ProbeRtt);
    let entered = world.now;
    let since = entered.duration_since(world.bbr.cycle_stamp);
    assert!(since < Duration::from_secs(5));
    while world.bbr.state == State::ProbeRtt {
        world.step();
        assert!(world.bbr.limits_delivery() || world.bbr.state != State::ProbeRtt);
    }
    let held = world.now.duration_since(entered);
    assert!(held > Duration::from_millis(200), "{held:?}");
    assert!(held < Duration::from_millis(400), "{held:?}");
    assert_eq!(world.bbr.state, State::ProbeBwCruise);
    let max_bw = world.bbr.max_bw();
    assert!(max_bw > RATE * 9 / 10, "{max_bw}");
}

#[test]
fn req_bbr_20_a_timeout_leaves_one_segment_and_its_end_restores_the_window() {
    let mut world = World::new();
    world.until(State::ProbeBwCruise);
    let before = world.bbr.cwnd();
    world.bbr.on_loss(&LossInfo {
        now: world.now,
        kind: LossKind::Timeout { first: true },
        flight_size: before,
        in_flight: 3 * MSS,
        is_cwnd_limited: true,
        mss: MSS,
    });
    assert_eq!(world.bbr.cwnd(), 4 * MSS);
    world.bbr.on_recovery_exit(world.now, 0);
    assert_eq!(world.bbr.cwnd(), before);
}

#[test]
fn req_bbr_12_and_bbr_20_too_much_loss_ends_a_probe_and_undo_begins_it_anew() {
    let mut world = World::new();
    world.until(State::ProbeBwUp);
    let cwnd = world.bbr.cwnd();
    let fast = LossInfo {
        now: world.now,
        kind: LossKind::FastRetransmit,
        flight_size: cwnd,
        in_flight: cwnd,
        is_cwnd_limited: true,
        mss: MSS,
    };
    world.bbr.on_loss(&fast);
    let sample = RateSample {
        delivery_rate: None,
        delivered: 0,
        prior_delivered: 0,
        is_app_limited: false,
        tx_in_flight: 60 * MSS,
        lost: 3 * MSS,
        total_delivered: 0,
    };
    let lost = |octets| LostInfo {
        now: world.now,
        newly_lost: octets,
        ranges: 1,
        sample: RateSample {
            lost: octets,
            ..sample
        },
    };
    let (little, much) = (lost(MSS), lost(3 * MSS));
    world.bbr.on_lost(&little);
    assert_eq!(world.bbr.state, State::ProbeBwUp, "1.7 % is tolerated");
    world.bbr.on_lost(&much);
    assert_eq!(world.bbr.state, State::ProbeBwDown);
    assert!(world.bbr.inflight_longterm < 60 * MSS);
    assert!(world.bbr.prev_probe_too_high);
    world.bbr.on_spurious();
    assert_eq!(world.bbr.state, State::ProbeBwRefill);
    assert_eq!(world.bbr.inflight_longterm, INFINITY);
    assert!(world.bbr.cwnd() >= cwnd);
}

#[test]
fn req_bbr_21_a_mark_is_answered_as_loss() {
    let mut world = World::new();
    let mark = |world: &World| LossInfo {
        now: world.now,
        kind: LossKind::Ecn,
        flight_size: world.pipe(),
        in_flight: world.pipe(),
        is_cwnd_limited: true,
        mss: MSS,
    };
    for _ in 0..200 {
        world.step();
    }
    assert_eq!(world.bbr.state, State::Startup);
    let info = mark(&world);
    world.bbr.on_loss(&info);
    assert_eq!(world.bbr.state, State::Drain);
    assert!(world.bbr.inflight_longterm < INFINITY);
}
