//! The scoreboard: counters against a recount, marks against a map of octets.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;

const ISNS: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn range(start: Seq, from: u32, to: u32) -> SeqRange {
    SeqRange {
        start: start + from,
        end: start + to,
    }
}

fn recount(board: &Scoreboard) -> Counters {
    let mut counters = Counters::default();
    for run in board.runs() {
        counters.add(run);
    }
    counters
}

fn check(board: &Scoreboard) {
    assert_eq!(board.counters(), recount(board), "INV-10");
    let mut at = board.una();
    let mut sacked = false;
    for run in board.runs() {
        assert_eq!(run.start, at, "no gaps");
        assert!(run.start.lt(run.end), "no empty runs");
        assert!(
            !(sacked && run.sacked),
            "neighbouring SACKed runs are merged"
        );
        sacked = run.sacked;
        at = run.end;
    }
    assert_eq!(at, board.end());
    let high = board
        .runs()
        .filter(|run| run.sacked)
        .last()
        .map(|run| run.end);
    assert_eq!(board.highest_sacked(), high);
}

#[test]
fn a_super_segment_is_one_run_and_leaves_nothing_behind() {
    let mut board = Scoreboard::new(Seq::new(u32::MAX - 10));
    let start = board.una();
    board.append(start + 65_160, at(0));
    board.append(start + 130_320, at(0));
    assert_eq!(board.runs().count(), 1, "sent at one instant");
    board.append(start + 140_000, at(1));
    assert_eq!(board.runs().count(), 2);
    let covered = board.ack_to(start + 100_000);
    assert_eq!((covered.octets, covered.delivered), (100_000, 100_000));
    assert_eq!(covered.sent_once.map(|mark| mark.sent), Some(at(0)));
    check(&board);
    let _ = board.ack_to(start + 140_000);
    assert!(board.is_empty());
    assert!(board.runs.capacity() <= KEPT_RUNS);
}

#[test]
fn a_growing_sack_block_moves_one_border() {
    let mut board = Scoreboard::new(Seq::new(5));
    let start = board.una();
    board.append(start + 60_000, at(0));
    for to in 2..40 {
        let covered = board.sack(range(start, 1000, to * 1000));
        assert_eq!(covered.delivered, 1000);
        assert_eq!(board.runs().count(), 3, "before, SACKed, after");
        check(&board);
    }
    let covered = board.ack_to(start + 39_000);
    assert_eq!((covered.octets, covered.delivered), (39_000, 1000));
    check(&board);
}

#[test]
fn req_s6675_1_is_lost_by_three_ranges_or_by_more_than_two_segments_of_octets() {
    for isn in ISNS {
        let start = Seq::new(isn);
        // Three discontiguous ranges of one octet.
        let mut board = Scoreboard::new(start);
        board.append(start + 10_000, at(0));
        let _ = board.sack(range(start, 5000, 5001));
        let _ = board.sack(range(start, 7000, 7001));
        assert_eq!(board.loss_edge(3, 1000), None);
        let _ = board.sack(range(start, 9000, 9001));
        assert_eq!(board.loss_edge(3, 1000), Some(start + 5000));
        // Exactly two segments of octets are not enough, one octet more is.
        let mut board = Scoreboard::new(start);
        board.append(start + 10_000, at(0));
        let _ = board.sack(range(start, 4000, 6000));
        assert_eq!(board.loss_edge(3, 1000), None);
        let _ = board.sack(range(start, 6000, 6001));
        assert_eq!(board.loss_edge(3, 1000), Some(start + 4000));
        assert_eq!(board.lose_before(start + 4000), 4000);
        assert_eq!(board.loss_edge(3, 1000), None, "told once");
        // Octets above the second range count for what lies below both.
        let _ = board.sack(range(start, 8000, 9000));
        assert_eq!(
            board.loss_edge(3, 1000),
            None,
            "6001..8000 has only 1000 octets above it"
        );
        check(&board);
    }
}

#[test]
fn req_s6675_2_pipe_counts_what_is_not_lost_and_what_was_sent_again() {
    let start = Seq::new(u32::MAX - 3000);
    let mut board = Scoreboard::new(start);
    board.append(start + 10_000, at(0));
    assert_eq!(board.pipe(), 10_000);
    let _ = board.sack(range(start, 6000, 9000));
    assert_eq!(board.pipe(), 7000, "SACKed octets have left");
    board.lose_before(start + 6000);
    assert_eq!(board.pipe(), 1000, "lost octets have left too");
    board.resend(range(start, 0, 2000), at(1));
    assert_eq!(board.pipe(), 3000, "what was sent again is back");
    board.resend(range(start, 9000, 10_000), at(1));
    assert_eq!(
        board.pipe(),
        4000,
        "sent again although not lost: counted twice"
    );
    let _ = board.sack(range(start, 1000, 2000));
    assert_eq!(board.pipe(), 3000);
    let _ = board.ack_to(start + 2000);
    assert_eq!(board.pipe(), 2000);
    check(&board);
}

#[test]
fn what_is_due_comes_once_in_order_and_joined_across_runs() {
    let start = Seq::new(u32::MAX);
    let mut board = Scoreboard::new(start);
    for i in 1..=10 {
        board.append(start + i * 1000, at(u64::from(i)));
    }
    let _ = board.sack(range(start, 4000, 5000));
    let _ = board.sack(range(start, 7000, 10_000));
    board.lose_before(start + 7000);
    assert_eq!(board.next_due(1000), Some(range(start, 0, 1000)));
    assert_eq!(
        board.next_due(1 << 20),
        Some(range(start, 0, 4000)),
        "four runs in one piece"
    );
    board.resend(range(start, 0, 2500), at(20));
    assert_eq!(board.next_due(1000), Some(range(start, 2500, 3500)));
    board.resend(range(start, 2500, 4000), at(20));
    assert_eq!(board.next_due(9000), Some(range(start, 5000, 7000)));
    board.resend(range(start, 5000, 7000), at(20));
    assert_eq!(board.next_due(9000), None);
    assert_eq!(board.counters().due, 0);
    check(&board);
    board.lose_all();
    assert_eq!(
        board.next_due(9000),
        Some(range(start, 0, 4000)),
        "all over again"
    );
    check(&board);
}

fn times(covered: &Covered) -> (Option<Instant>, Option<Instant>) {
    let sent = |mark: Mark| mark.sent;
    (covered.sent_once.map(sent), covered.resent.map(sent))
}

#[test]
fn only_what_was_sent_once_measures_time() {
    let start = Seq::new(0);
    let mut board = Scoreboard::new(start);
    board.append(start + 1000, at(10));
    board.append(start + 2000, at(20));
    board.resend(range(start, 0, 1000), at(30));
    let covered = board.ack_to(start + 1000);
    assert_eq!(times(&covered), (None, Some(at(30))));
    let covered = board.sack(range(start, 1500, 2000));
    assert_eq!(times(&covered), (Some(at(20)), None));
    let covered = board.ack_to(start + 2000);
    assert_eq!((covered.octets, covered.delivered), (1000, 500));
}

#[test]
fn req_sec_sack_2_and_cve_13_alternating_one_octet_blocks_do_not_grow_the_scoreboard() {
    let start = Seq::new(1 << 31);
    let mut board = Scoreboard::new(start);
    board.append(start + 1_000_000, at(0));
    for i in 0..100_000 {
        let covered = board.sack(range(start, 1 + 2 * i, 2 + 2 * i));
        assert!(covered.delivered <= 1);
    }
    assert!(board.runs().count() <= MAX_RUNS + 1);
    check(&board);
    // What can be taken without cutting a run is still taken.
    let before = board.counters().sacked;
    let _ = board.sack(range(start, 1, 1000));
    assert!(board.counters().sacked > before);
    // Sending goes on, and joins the last run.
    let runs = board.runs().count();
    for i in 0..1000 {
        board.append(start + 1_000_000 + i * 100, at(u64::from(i)));
    }
    assert!(board.runs().count() <= runs + 1);
    // Everything can be sent again, segment by segment, within the bound.
    board.lose_all();
    let mut time = 2000;
    while let Some(due) = board.next_due(100) {
        board.resend(due, at(time));
        time += 1;
    }
    assert!(board.runs().count() <= 2 * MAX_RUNS);
    check(&board);
    let _ = board.ack_to(board.end());
    assert_eq!(board.runs.capacity(), 0);
}

#[test]
fn runs_too_long_for_a_new_segment_size_become_due() {
    let start = Seq::new(0);
    let mut board = Scoreboard::new(start);
    board.append(start + 1448, at(0));
    board.append(start + 1548, at(1));
    board.append(start + 4548, at(2));
    board.lose_longer_than(1000);
    assert_eq!(board.next_due(9000), Some(range(start, 0, 1448)));
    board.resend(range(start, 0, 1448), at(3));
    assert_eq!(board.next_due(9000), Some(range(start, 1548, 4548)));
    check(&board);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32, u64),
    Ack(u32),
    Sack(u32, u32),
    Lose(u32, u32),
    Edge,
    LoseAll,
    Mtu(u32),
    Forget,
    Resend(u32),
    Speculate(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u32..60, 0_u64..2).prop_map(|(len, dt)| Step::Append(len, dt)),
        3 => (0_u32..40).prop_map(Step::Ack),
        8 => (0_u32..200, 1_u32..60).prop_map(|(from, len)| Step::Sack(from, len)),
        1 => (0_u32..200, 1_u32..60).prop_map(|(from, len)| Step::Lose(from, len)),
        4 => Just(Step::Edge),
        1 => Just(Step::LoseAll),
        1 => (1_u32..50).prop_map(Step::Mtu),
        1 => Just(Step::Forget),
        6 => (1_u32..60).prop_map(Step::Resend),
        2 => (1_u32..20).prop_map(Step::Speculate),
    ]
}

/// One octet of the model.
#[derive(Clone, Copy, Debug, Default)]
struct Octet {
    sacked: bool,
    lost: bool,
    resent: bool,
    transmissions: u32,
}

/// RFC 6675 §4 `IsLost`, octet by octet, for segments of 10 octets.
fn is_lost(octets: &[Octet], at: usize) -> bool {
    let above = &octets[at..];
    let sacked = above.iter().filter(|octet| octet.sacked).count();
    let ranges = above
        .windows(2)
        .filter(|pair| !pair[0].sacked && pair[1].sacked)
        .count();
    ranges >= 3 || sacked > 20
}

proptest! {
    #[test]
    fn req_inv_10_counters_and_marks_equal_a_map_of_octets(
        isn in prop_oneof![proptest::sample::select(ISNS.to_vec()), any::<u32>()],
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut board = Scoreboard::new(Seq::new(isn));
        let mut model: Vec<Octet> = vec![];
        let mut now = 0;
        let mut forgot = false;
        for step in steps {
            let una = board.una();
            let len = model.len() as u32;
            match step {
                Step::Append(more, dt) => {
                    now += dt;
                    board.append(board.end() + more, at(now));
                    let fresh = Octet { transmissions: 1, ..Octet::default() };
                    model.extend(vec![fresh; more as usize]);
                }
                Step::Ack(octets) => {
                    let octets = octets.min(len);
                    let covered = board.ack_to(una + octets);
                    let gone: Vec<_> = model.drain(..octets as usize).collect();
                    prop_assert_eq!(covered.octets, octets);
                    let fresh: Vec<_> = gone.iter().filter(|octet| !octet.sacked).collect();
                    prop_assert_eq!(covered.delivered as usize, fresh.len());
                    let resent = fresh.iter().any(|o| o.transmissions > 1);
                    let once = fresh.iter().any(|o| o.transmissions == 1);
                    // Merged SACKed runs remember only that some of them was sent again: after
                    // reneging a measurement may be missed, never wrongly taken.
                    prop_assert!(covered.resent.is_some() == resent || (forgot && !resent));
                    prop_assert!(covered.sent_once.is_some() == once || (forgot && once));
                }
                Step::Sack(from, more) => {
                    let (from, to) = (from.min(len), (from + more).min(len));
                    if from < to {
                        let covered = board.sack(range(una, from, to));
                        let block = &mut model[from as usize..to as usize];
                        let fresh = block.iter().filter(|octet| !octet.sacked).count();
                        prop_assert_eq!(covered.delivered as usize, fresh);
                        block.iter_mut().for_each(|octet| octet.sacked = true);
                    }
                }
                Step::Lose(from, more) => {
                    let (from, to) = (from.min(len), (from + more).min(len));
                    board.lose(range(una, from, to));
                    for octet in &mut model[from as usize..to as usize] {
                        octet.lost |= !octet.sacked;
                    }
                }
                Step::Edge => {
                    if let Some(edge) = board.loss_edge(3, 10) {
                        let before = board.lost_edge();
                        board.lose_before(edge);
                        for i in before.since(una)..edge.since(una) {
                            model[i as usize].lost |= !model[i as usize].sacked;
                        }
                    }
                    for i in 0..model.len() {
                        if !model[i].sacked && is_lost(&model, i) {
                            prop_assert!(model[i].lost, "octet {} is lost by the RFC", i);
                        }
                    }
                }
                Step::LoseAll => {
                    board.lose_all();
                    for octet in model.iter_mut().filter(|octet| !octet.sacked) {
                        octet.lost = true;
                        octet.resent = false;
                    }
                }
                Step::Mtu(mss) => {
                    let long: Vec<_> =
                        board.runs().filter(|r| !r.sacked && r.len() > mss).copied().collect();
                    board.lose_longer_than(mss);
                    for run in long {
                        for i in run.start.since(una)..run.end.since(una) {
                            model[i as usize].lost = true;
                            model[i as usize].resent = false;
                        }
                    }
                }
                Step::Forget => {
                    board.forget_sacked();
                    for octet in model.iter_mut().filter(|octet| octet.sacked) {
                        *octet = Octet { transmissions: octet.transmissions, ..Octet::default() };
                    }
                    forgot = true;
                }
                Step::Resend(limit) => {
                    let due = |o: &Octet| o.lost && !o.resent && !o.sacked;
                    let from = model.iter().position(due);
                    let got = board.next_due(limit);
                    prop_assert_eq!(got.map(|r| r.start.since(una) as usize), from);
                    if let (Some(got), Some(from)) = (got, from) {
                        let end = (from..model.len()).find(|&i| !due(&model[i]));
                        let end = end.unwrap_or(model.len()).min(from + limit as usize);
                        prop_assert_eq!(got.end.since(una) as usize, end);
                        now += 1;
                        board.resend(got, at(now));
                        for octet in &mut model[from..end] {
                            octet.resent = true;
                            octet.transmissions += 1;
                        }
                    }
                }
                Step::Speculate(limit) => {
                    let free = |o: &Octet| !o.sacked && !o.resent;
                    let got = board.next_unsacked(una, limit);
                    prop_assert_eq!(
                        got.map(|r| r.start.since(una) as usize),
                        model.iter().position(free)
                    );
                    if let Some(got) = got {
                        board.resend(got, at(now));
                        for i in got.start.since(una)..got.end.since(una) {
                            prop_assert!(free(&model[i as usize]));
                            model[i as usize].resent = true;
                            model[i as usize].transmissions += 1;
                        }
                    }
                }
            }
            check(&board);
            let count = |f: &dyn Fn(&Octet) -> bool| model.iter().filter(|o| f(o)).count() as u64;
            prop_assert_eq!(board.counters(), Counters {
                sacked: count(&|o| o.sacked),
                lost: count(&|o| o.lost && !o.sacked),
                resent: count(&|o| o.resent && !o.sacked),
                due: count(&|o| o.lost && !o.resent && !o.sacked),
            });
            prop_assert_eq!(board.outstanding(), model.len() as u64);
        }
    }
}

#[test]
fn req_rack_15_only_what_was_sent_before_is_looked_at() {
    let mut board = Scoreboard::new(Seq::new(0));
    for i in 0..1500_u32 {
        board.append(Seq::new((i + 1) * 1000), at(u64::from(i)));
    }
    // The 20th segment has arrived.
    let _ = board.sack(SeqRange {
        start: Seq::new(19_000),
        end: Seq::new(20_000),
    });
    let newest = Mark {
        sent: at(19),
        end: Seq::new(20_000),
    };
    let asked = core::cell::Cell::new(0);
    let (lost, waiting) = board.lose_sent_before(newest, |sent| {
        asked.set(asked.get() + 1);
        sent < at(10)
    });
    assert_eq!(asked.get(), 19, "those before it, of 1500");
    assert_eq!((lost, waiting), (10_000, Some(at(18))));
}
