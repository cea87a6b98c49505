//! Loss recovery as a dialogue: what was sent, what came back, what is resent.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail"
)]

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;
use transom_wire::tcp::SackBlocks;

use super::*;

const MSS: u32 = 1000;
const ISNS: [u32; 5] = [0, (1 << 31) - 1, 1 << 31, u32::MAX - 1500, u32::MAX];

/// A sender of segments of 1000 octets, numbered by offset from the first octet of data.
struct Sender {
    recovery: Recovery,
    start: Seq,
    nxt: Seq,
    now: Instant,
    cwnd: u64,
}

impl Sender {
    /// The handshake is over: the SYN took number `isn`.
    fn new(isn: u32, sack: bool) -> Self {
        let iss = Seq::new(isn);
        let now = Instant::from_origin(Duration::from_secs(1));
        let mut recovery = Recovery::new(iss, sack, DUP_THRESH);
        recovery.on_sent(
            SeqRange {
                start: iss,
                end: iss + 1,
            },
            now,
            false,
        );
        let mut sender = Self {
            recovery,
            start: iss + 1,
            nxt: iss + 1,
            now,
            cwnd: 1 << 20,
        };
        let _ = sender.ack(0);
        sender
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(1);
    }

    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            self.tick();
            let range = SeqRange {
                start: self.nxt,
                end: self.nxt + MSS,
            };
            self.recovery.on_sent(range, self.now, false);
            self.nxt += MSS;
        }
    }

    fn input<'a>(&self, ack: u32, sack: &'a SackBlocks, is_duplicate: bool) -> AckInput<'a> {
        AckInput {
            now: self.now,
            ack: self.start + ack,
            sack,
            is_duplicate,
            mss: MSS,
            echoed: None,
            round_trip: RoundTrip::default(),
        }
    }

    fn ack(&mut self, ack: u32) -> AckOutcome {
        self.tick();
        let input = self.input(ack, &SackBlocks::EMPTY, false);
        both(&mut self.recovery, &input)
    }

    fn duplicate(&mut self, ack: u32) -> AckOutcome {
        self.tick();
        let input = self.input(ack, &SackBlocks::EMPTY, true);
        both(&mut self.recovery, &input)
    }

    fn sack(&mut self, ack: u32, blocks: &[(u32, u32)]) -> AckOutcome {
        self.tick();
        let blocks: SackBlocks = blocks
            .iter()
            .map(|&(from, to)| self.range(from, to))
            .collect();
        let input = self.input(ack, &blocks, true);
        both(&mut self.recovery, &input)
    }

    fn range(&self, from: u32, to: u32) -> SeqRange {
        SeqRange {
            start: self.start + from,
            end: self.start + to,
        }
    }

    fn limits(&self) -> SendLimits {
        let snd_wnd_end = self.start + (1 << 30);
        SendLimits {
            mss: MSS,
            limit: MSS as usize,
            cwnd: self.cwnd,
            snd_wnd_end,
        }
    }

    fn offsets(&self, retransmit: Option<Retransmit>) -> Option<(u32, u32, RetransmitCause)> {
        retransmit.map(|r| {
            (
                r.range.start.since(self.start),
                r.range.end.since(self.start),
                r.cause,
            )
        })
    }

    /// Resends what the rules demand now.
    fn resend(&mut self) -> Option<(u32, u32, RetransmitCause)> {
        let limits = self.limits();
        let retransmit = self.recovery.next_retransmit(&limits)?;
        self.recovery.on_sent(retransmit.range, self.now, true);
        self.offsets(Some(retransmit))
    }

    /// Resends what may be resent when there is no new data.
    fn speculate(&mut self) -> Option<(u32, u32, RetransmitCause)> {
        let limits = self.limits();
        let retransmit = self.recovery.next_speculative(&limits)?;
        self.recovery.on_sent(retransmit.range, self.now, true);
        self.offsets(Some(retransmit))
    }
}

/// What [`Recovery::on_ack`] gives. Where it takes the shorter way, the longer leads to the same.
fn both(recovery: &mut Recovery, input: &AckInput<'_>) -> AckOutcome {
    if !recovery.is_calm(input) && !recovery.is_empty_ack(input) {
        return recovery.on_ack(input);
    }
    let mut other = recovery.clone();
    let expected = other.on_any_ack(input);
    let outcome = recovery.on_ack(input);
    assert_eq!(outcome, expected);
    assert_eq!(format!("{recovery:?}"), format!("{other:?}"));
    outcome
}

use RetransmitCause::{FastRetransmit, Mtu, Rescue, Sack, Timeout};

#[test]
fn req_cc_10_three_duplicates_and_not_two_start_fast_retransmit() {
    for isn in ISNS {
        let mut sender = Sender::new(isn, false);
        sender.send(10);
        assert!(!sender.duplicate(0).entered_recovery);
        assert!(!sender.duplicate(0).entered_recovery);
        assert_eq!(sender.resend(), None);
        assert!(sender.duplicate(0).entered_recovery);
        assert_eq!(sender.resend(), Some((0, 1000, FastRetransmit)));
        assert_eq!(
            sender.resend(),
            None,
            "only the first segment is known to be lost"
        );
        assert!(!sender.duplicate(0).entered_recovery, "one episode");
    }
}

#[test]
fn what_was_sent_again_is_forgotten_as_soon_as_it_is_acknowledged() {
    for isn in ISNS {
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        let _ = sender.sack(0, &[(1000, 4000)]);
        assert!(sender.resend().is_some());
        assert!(sender.recovery.sent_again);
        let _ = sender.ack(4000);
        assert!(!sender.recovery.sent_again && !sender.recovery.is_empty());
    }
}

#[test]
fn a_duplicate_is_what_the_conductor_calls_one() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    for _ in 0..9 {
        assert!(
            !sender.ack(0).entered_recovery,
            "window update or data segment"
        );
    }
    assert_eq!(sender.recovery.dup_acks(), 0);
}

#[test]
fn req_nr_1_recover_starts_at_the_initial_sequence_number() {
    for isn in ISNS {
        let mut sender = Sender::new(isn, false);
        assert_eq!(sender.recovery.recover, Seq::new(isn));
        // The very first data segment may be repaired by duplicates.
        sender.send(5);
        for _ in 0..3 {
            let _ = sender.duplicate(0);
        }
        assert!(sender.recovery.is_in_recovery());
        assert_eq!(sender.recovery.recovery_point(), Some(sender.nxt));
        // All acknowledged: duplicates at exactly `recover` do not start another episode …
        assert!(sender.ack(5000).exited_recovery);
        sender.send(5);
        for _ in 0..5 {
            assert!(!sender.duplicate(5000).entered_recovery);
        }
        // … but one octet later they do.
        let _ = sender.ack(6000);
        for _ in 0..2 {
            let _ = sender.duplicate(6000);
        }
        assert!(sender.duplicate(6000).entered_recovery);
    }
}

#[test]
fn recover_does_not_run_ahead_after_two_gigabytes_without_loss() {
    let mut sender = Sender::new(77, false);
    for _ in 0..40 {
        let range = SeqRange {
            start: sender.nxt,
            end: sender.nxt + (1 << 27),
        };
        sender.recovery.on_sent(range, sender.now, false);
        sender.nxt = range.end;
        let _ = sender.ack(sender.nxt.since(sender.start));
    }
    let una = sender.nxt.since(sender.start);
    sender.send(5);
    for _ in 0..2 {
        let _ = sender.duplicate(una);
    }
    assert!(sender.duplicate(una).entered_recovery);
}

#[test]
fn req_nr_2_entry_adds_three_segments_to_the_window() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    for _ in 0..3 {
        let _ = sender.duplicate(0);
    }
    assert_eq!(
        sender.recovery.flight_size(),
        10_000,
        "of which ssthresh is half"
    );
    assert_eq!(sender.recovery.window_inflation(), 3000);
    let _ = sender.resend();
    // New data may go while FlightSize < ssthresh + 3·SMSS, that is pipe < cwnd.
    assert_eq!(sender.recovery.pipe(), 10_000 - 3000);
}

#[test]
fn req_nr_3_each_further_duplicate_opens_the_window_by_one_segment() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    for _ in 0..3 {
        let _ = sender.duplicate(0);
    }
    let _ = sender.resend();
    for extra in 1..=6 {
        let _ = sender.duplicate(0);
        assert_eq!(sender.recovery.window_inflation(), 3000 + extra * 1000);
    }
    assert_eq!(
        sender.recovery.pipe(),
        1000,
        "one segment, the resent one, is in the network"
    );
}

#[test]
fn req_nr_4_a_partial_ack_resends_the_next_and_deflates() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    for _ in 0..8 {
        let _ = sender.duplicate(0);
    }
    let _ = sender.resend();
    assert_eq!(sender.recovery.window_inflation(), 8000);
    let first = sender.ack(4000);
    assert!(first.partial_ack && !first.exited_recovery);
    assert!(
        first.restart_rto,
        "the first partial ACK restarts the timer"
    );
    assert_eq!(sender.recovery.window_inflation(), 8000 - 4000 + 1000);
    sender.cwnd = 0;
    assert_eq!(
        sender.resend(),
        Some((4000, 5000, FastRetransmit)),
        "at once, whatever cwnd"
    );
    let second = sender.ack(4500);
    assert!(
        second.partial_ack && !second.restart_rto,
        "later ones do not"
    );
    assert_eq!(
        sender.recovery.window_inflation(),
        5000 - 500,
        "less than a segment: no refund"
    );
}

#[test]
fn req_nr_5_a_full_ack_ends_the_episode_and_the_inflation() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    for _ in 0..5 {
        let _ = sender.duplicate(0);
    }
    let _ = sender.resend();
    sender.send(2);
    let full = sender.ack(10_000);
    assert!(full.exited_recovery && !full.partial_ack && full.restart_rto);
    assert!(!sender.recovery.is_in_recovery());
    assert_eq!(sender.recovery.window_inflation(), 0);
    assert_eq!(
        (sender.recovery.flight_size(), sender.recovery.pipe()),
        (2000, 2000)
    );
    assert_eq!(sender.resend(), None);
}

#[test]
fn req_nr_6_no_fast_retransmit_after_a_timeout_until_recover_is_passed() {
    let mut sender = Sender::new(u32::MAX - 4000, false);
    sender.send(8);
    assert!(
        sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS)
            .first
    );
    assert_eq!(sender.resend(), Some((0, 1000, Timeout)));
    for _ in 0..7 {
        assert!(!sender.duplicate(0).entered_recovery);
    }
    let _ = sender.ack(1000);
    for _ in 0..7 {
        assert!(!sender.duplicate(1000).entered_recovery);
    }
    assert!(sender.ack(8000).exited_recovery);
    sender.send(8);
    for _ in 0..7 {
        assert!(
            !sender.duplicate(8000).entered_recovery,
            "duplicates of resent data"
        );
    }
    let _ = sender.ack(9000);
    for _ in 0..2 {
        let _ = sender.duplicate(9000);
    }
    assert!(sender.duplicate(9000).entered_recovery);
}

#[test]
fn req_lt_1_the_first_two_duplicates_release_one_new_segment_each() {
    let mut sender = Sender::new(0, false);
    sender.send(4);
    assert_eq!(sender.recovery.limited_transmit_allowance(MSS), 0);
    assert_eq!(sender.duplicate(0).limited_transmit, 1);
    assert_eq!(sender.recovery.limited_transmit_allowance(MSS), 1000);
    sender.send(1);
    assert_eq!(sender.duplicate(0).limited_transmit, 2);
    sender.send(1);
    assert_eq!(sender.recovery.outstanding(), 6000);
    assert_eq!(
        sender.recovery.flight_size(),
        4000,
        "not part of FlightSize"
    );
    assert_eq!(sender.duplicate(0).limited_transmit, 0);
    assert_eq!(sender.recovery.flight_size(), 4000);
    // With SACK, only an ACK with new information releases anything, and does so through pipe.
    let mut sender = Sender::new(0, true);
    sender.send(4);
    let _ = sender.duplicate(0);
    assert_eq!(
        (sender.recovery.pipe(), sender.recovery.dup_acks()),
        (4000, 0)
    );
    let _ = sender.sack(0, &[(1000, 2000)]);
    assert_eq!(sender.recovery.limited_transmit_allowance(MSS), 0);
    assert_eq!(
        (sender.recovery.pipe(), sender.recovery.dup_acks()),
        (3000, 1)
    );
    let _ = sender.sack(0, &[(1000, 2000)]);
    assert_eq!(
        (sender.recovery.pipe(), sender.recovery.dup_acks()),
        (3000, 1)
    );
}

#[test]
fn req_s6675_3_entry_by_duplicates_or_by_is_lost() {
    for isn in ISNS {
        // Three duplicates that report one octet each.
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        assert!(!sender.sack(0, &[(1000, 1001)]).entered_recovery);
        assert!(!sender.sack(0, &[(1000, 1002)]).entered_recovery);
        assert!(sender.sack(0, &[(1000, 1003)]).entered_recovery);
        assert_eq!(sender.recovery.recovery_point(), Some(sender.nxt));
        assert_eq!(sender.recovery.flight_size(), 10_000);
        assert_eq!(
            sender.resend(),
            Some((0, 1000, Sack)),
            "the first segment first"
        );
        // One duplicate that reports more than two segments.
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        assert!(!sender.sack(0, &[(1000, 3000)]).entered_recovery);
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        assert!(sender.sack(0, &[(1000, 3001)]).entered_recovery);
        sender.cwnd = 0;
        assert_eq!(
            sender.resend(),
            Some((0, 1000, Sack)),
            "not held back by pipe"
        );
        assert_eq!(sender.resend(), None, "the second is");
    }
}

#[test]
fn req_s6675_4_next_seg_rules_in_their_order() {
    let mut sender = Sender::new(u32::MAX - 5000, true);
    sender.send(12);
    // Held: 2, 4, 7, 8, 9 (counting segments from 0); lost by IsLost: 0, 1, 3, 5, 6.
    let entry = sender.sack(0, &[(7000, 10_000), (4000, 5000), (2000, 3000)]);
    assert!(entry.entered_recovery);
    assert_eq!(entry.newly_lost, 5000);
    // Rule 1: lost and not yet sent again, lowest first.
    assert_eq!(sender.resend(), Some((0, 1000, Sack)));
    assert_eq!(sender.resend(), Some((1000, 2000, Sack)));
    assert_eq!(sender.resend(), Some((3000, 4000, Sack)));
    assert_eq!(sender.resend(), Some((5000, 6000, Sack)));
    assert_eq!(sender.resend(), Some((6000, 7000, Sack)));
    assert_eq!(sender.resend(), None);
    // Rule 2 is new data, which is the conductor's. Rule 3: nothing between HighRxt and the
    // highest SACKed octet. Rule 4: the rescue, once.
    assert_eq!(sender.speculate(), Some((11_000, 12_000, Rescue)));
    assert_eq!(
        sender.recovery.high_rxt(),
        sender.start + 7000,
        "HighRxt does not move"
    );
    assert_eq!(sender.speculate(), None);
}

#[test]
fn req_s6675_4_rule_3_sends_what_is_not_lost_yet_below_the_highest_sacked() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    assert!(sender.sack(0, &[(1000, 4000)]).entered_recovery);
    assert_eq!(sender.resend(), Some((0, 1000, Sack)));
    // 4000..5000 has one segment above it: not lost, but below the highest SACKed octet.
    let _ = sender.sack(0, &[(5000, 6000), (1000, 4000)]);
    assert_eq!(sender.resend(), None);
    let before = sender.recovery.pipe();
    assert_eq!(sender.speculate(), Some((4000, 5000, Sack)));
    assert_eq!(
        sender.recovery.pipe(),
        before + 1000,
        "not lost and sent again: counted twice"
    );
    assert_eq!(sender.speculate(), Some((9000, 10_000, Rescue)));
    assert_eq!(sender.speculate(), None);
    // A new episode has its own rescue.
    assert!(sender.ack(10_000).exited_recovery);
    sender.send(5);
    assert!(sender.sack(10_000, &[(11_000, 14_000)]).entered_recovery);
    let _ = sender.resend();
    assert_eq!(sender.speculate(), Some((14_000, 15_000, Rescue)));
}

#[test]
fn req_s6675_5_resending_waits_for_room_of_one_segment() {
    let mut sender = Sender::new(0, true);
    sender.send(20);
    assert!(sender.sack(0, &[(10_000, 20_000)]).entered_recovery);
    assert_eq!(sender.recovery.pipe(), 0);
    sender.cwnd = 4500;
    let mut resent = 0;
    while sender.resend().is_some() {
        resent += 1;
    }
    assert_eq!((resent, sender.recovery.pipe()), (4, 4000));
    assert_eq!(sender.speculate(), None);
    let _ = sender.ack(2000);
    assert_eq!(sender.recovery.pipe(), 2000);
    assert!(sender.resend().is_some() && sender.resend().is_some());
    assert_eq!(sender.resend(), None);
}

#[test]
fn a_super_segment_is_resent_in_one_piece_as_far_as_the_window_allows() {
    let mut sender = Sender::new(1 << 31, true);
    sender.send(100);
    assert!(sender.sack(0, &[(70_000, 100_000)]).entered_recovery);
    let mut limits = SendLimits {
        limit: 65_536,
        cwnd: 40_500,
        ..sender.limits()
    };
    let first = sender.recovery.next_retransmit(&limits).unwrap();
    assert_eq!(
        first.range,
        sender.range(0, 40_000),
        "whole segments within cwnd − pipe"
    );
    sender.recovery.on_sent(first.range, sender.now, true);
    limits.cwnd = 1 << 20;
    let second = sender.recovery.next_retransmit(&limits).unwrap();
    assert_eq!(second.range, sender.range(40_000, 70_000));
    limits.limit = 300;
    let cut = sender.recovery.next_retransmit(&limits).unwrap();
    assert_eq!(
        cut.range,
        sender.range(40_000, 40_300),
        "a limit below one segment is kept"
    );
}

#[test]
fn req_s6675_6_the_episode_ends_when_the_recovery_point_is_acknowledged() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    assert!(sender.sack(0, &[(1000, 4000)]).entered_recovery);
    let _ = sender.resend();
    sender.send(3);
    let partial = sender.ack(9999);
    assert!(partial.partial_ack && partial.restart_rto && !partial.exited_recovery);
    let full = sender.ack(10_000);
    assert!(full.exited_recovery && !full.partial_ack && !full.entered_recovery);
    assert_eq!(sender.recovery.recovery_point(), None);
    assert_eq!(sender.recovery.pipe(), 3000);
}

/// Pacing may keep back what is to be sent again; if all of it arrives meanwhile, it was only late.
#[test]
fn req_undo_1_what_arrives_before_anything_was_sent_again_was_late() {
    for isn in ISNS {
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        assert!(sender.sack(0, &[(1000, 4000)]).entered_recovery);
        let partial = sender.sack(4000, &[(5000, 8000)]);
        assert_eq!(partial.spurious, None, "the fifth may be lost");
        assert_eq!(sender.ack(10_000).spurious, Some(Spurious::Originals));
        // Once something was sent again, this proves nothing.
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        assert!(sender.sack(0, &[(1000, 4000)]).entered_recovery);
        let _ = sender.resend();
        assert_eq!(sender.ack(10_000).spurious, None);
    }
}

#[test]
fn req_s6675_7_a_duplicate_is_new_sack_information_even_if_the_window_changed() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    for end in [1200, 1400, 1600] {
        let blocks: SackBlocks = [sender.range(1000, end)].into_iter().collect();
        let input = sender.input(0, &blocks, false);
        let entered = sender.recovery.on_ack(&input).entered_recovery;
        assert_eq!(entered, end == 1600);
    }
    // The same block again says nothing new.
    let mut sender = Sender::new(0, true);
    sender.send(10);
    for _ in 0..9 {
        assert!(!sender.sack(0, &[(1000, 1400)]).entered_recovery);
    }
}

#[test]
fn req_s6675_8_a_timeout_in_recovery_starts_over_without_a_second_reduction() {
    let mut sender = Sender::new(0, true);
    sender.send(12);
    assert!(sender.sack(0, &[(8000, 11_000)]).entered_recovery);
    sender.cwnd = 0;
    // Only the first segment could be resent, and it is still on its way when the timer expires
    // for it: that was a lost retransmission, a second indication (CC-12). Had nothing been
    // resent, the episode's one reduction stands.
    let mut other = Sender::new(0, true);
    other.send(12);
    assert!(other.sack(0, &[(8000, 11_000)]).entered_recovery);
    assert!(
        !other
            .recovery
            .on_timeout(other.now, RoundTrip::default(), MSS)
            .first
    );
    let _ = sender.resend();
    assert!(
        sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS)
            .first
    );
    assert_eq!(sender.recovery.high_rxt(), sender.start, "HighRxt is reset");
    assert_eq!(sender.recovery.pipe(), 0);
    sender.cwnd = 1000;
    assert_eq!(sender.resend(), Some((0, 1000, Timeout)));
    assert_eq!(sender.resend(), None);
    // What was sent before the timeout cannot start fast recovery.
    for end in [5000, 6000, 7000] {
        assert!(!sender.sack(0, &[(4000, end)]).entered_recovery);
    }
    assert!(sender.ack(12_000).exited_recovery);
}

#[test]
fn req_cc_8_repeated_timeouts_of_the_same_data_are_not_first() {
    for sack in [false, true] {
        let mut sender = Sender::new(0, sack);
        sender.send(5);
        assert!(
            sender
                .recovery
                .on_timeout(sender.now, RoundTrip::default(), MSS)
                .first
        );
        let _ = sender.resend();
        assert!(
            !sender
                .recovery
                .on_timeout(sender.now, RoundTrip::default(), MSS)
                .first
        );
        let _ = sender.resend();
        assert!(
            !sender
                .recovery
                .on_timeout(sender.now, RoundTrip::default(), MSS)
                .first
        );
        let _ = sender.resend();
        // Progress, and then other data times out.
        assert!(!sender.ack(1000).exited_recovery);
        assert!(
            sender
                .recovery
                .on_timeout(sender.now, RoundTrip::default(), MSS)
                .first
        );
    }
}

#[test]
fn req_cc_12_losses_in_successive_windows_are_two_episodes() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    assert!(sender.sack(0, &[(1000, 10_000)]).entered_recovery);
    let _ = sender.resend();
    sender.send(6);
    // 10 000..11 000, sent during recovery, is lost as well: the old episode ends, a new begins.
    let both = sender.sack(10_000, &[(11_000, 16_000)]);
    assert!(both.exited_recovery && both.entered_recovery);
    assert_eq!(sender.resend(), Some((10_000, 11_000, Sack)));
    assert_eq!(sender.recovery.recovery_point(), Some(sender.nxt));
}

#[test]
fn req_rto_6_karn_only_what_was_sent_once_is_measured() {
    for sack in [false, true] {
        let mut sender = Sender::new(0, sack);
        sender.send(3);
        let sent = sender.now;
        let _ = sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS);
        sender.now += Duration::from_secs(1);
        assert_eq!(sender.resend(), Some((0, 1000, Timeout)));
        let outcome = sender.ack(1000);
        assert_eq!(outcome.rtt_sample, None, "ambiguous");
        // Lost by the timeout, but never resent: sent once, so it can be measured …
        assert_eq!(sender.ack(3000).rtt_sample, Some(sent));
        // … except together with something sent twice, which may have held it up.
        sender.send(2);
        let _ = sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS);
        let _ = sender.resend();
        assert_eq!(sender.ack(5000).rtt_sample, None);
    }
    // A SACK block measures what it reports, even next to a resent segment.
    let mut sender = Sender::new(0, true);
    sender.send(5);
    let sent = sender.now;
    assert_eq!(sender.sack(0, &[(4000, 5000)]).rtt_sample, Some(sent));
    assert_eq!(sender.sack(0, &[(4000, 5000)]).rtt_sample, None, "once");
    let _ = sender
        .recovery
        .on_timeout(sender.now, RoundTrip::default(), MSS);
    let _ = sender.resend();
    assert_eq!(
        sender.ack(5000).rtt_sample,
        None,
        "4000.. was measured by SACK"
    );
}

#[test]
fn req_rto_7_every_ack_of_new_data_measures() {
    let mut sender = Sender::new(0, false);
    for i in 1..=10 {
        sender.send(2);
        let sent = sender.now;
        assert_eq!(
            sender.ack(i * 2000).rtt_sample,
            Some(sent),
            "the newest octet covered"
        );
    }
    let _ = sender.ack(20_000);
    sender.send(1);
    assert_eq!(
        sender.duplicate(20_000).rtt_sample,
        None,
        "TS-9: only an advance measures"
    );
    assert_eq!(
        sender.recovery.oldest_sent(),
        Some(sender.now - Duration::from_millis(1))
    );
}

#[test]
fn req_prr_1_and_prr_2_the_account_begins_with_what_was_in_flight() {
    let mut sender = Sender::new(u32::MAX - 3000, true);
    sender.send(20);
    assert_eq!(
        sender
            .recovery
            .recovery_cwnd(&AckOutcome::default(), 10_000, MSS),
        None
    );
    let _ = sender.sack(0, &[(1000, 2000)]);
    let entry = sender.sack(0, &[(1000, 4000)]);
    assert!(entry.entered_recovery);
    // RecoverFS = 20 000 − 1000 SACKed before. Nothing was sent yet: 2000·10 000/19 000, rounded
    // up, on top of the 16 000 in flight.
    assert_eq!(sender.recovery.pipe(), 16_000);
    assert_eq!(
        sender.recovery.recovery_cwnd(&entry, 10_000, MSS),
        Some(17_053)
    );
    let repeated = sender.sack(0, &[(1000, 4000)]);
    assert_eq!(
        sender.recovery.recovery_cwnd(&repeated, 10_000, MSS),
        None,
        "nothing delivered"
    );
    assert!(sender.ack(20_000).exited_recovery);
    assert_eq!(sender.recovery.recovery_cwnd(&entry, 10_000, MSS), None);
}

#[test]
fn req_prr_4_in_flight_is_what_was_sent_and_neither_arrived_nor_was_lost() {
    let mut sender = Sender::new(u32::MAX - 3000, true);
    sender.recovery.use_rack();
    sender.send(20);
    assert_eq!(sender.recovery.pipe(), 20_000);
    // Three segments arrived, the two before them are lost.
    let _ = sender.sack(0, &[(2000, 5000)]);
    assert_eq!(
        (sender.recovery.sacked(), sender.recovery.lost()),
        (3000, 2000)
    );
    assert_eq!(sender.recovery.pipe(), 15_000);
    // One is sent again.
    assert!(sender.resend().is_some());
    assert_eq!(sender.recovery.pipe(), 16_000);
}

#[test]
fn req_sack_9_a_peer_that_reneges_gets_everything_again() {
    let mut sender = Sender::new(u32::MAX - 2000, true);
    sender.send(6);
    let _ = sender.sack(0, &[(1000, 3000)]);
    assert_eq!(sender.recovery.sacked(), 2000);
    // The acknowledgement stops where SACKed data begins: the peer has thrown it away.
    let outcome = sender.ack(1000);
    assert!(outcome.reneged);
    assert_eq!(sender.recovery.sacked(), 0);
    assert_eq!(sender.recovery.pipe(), 5000);
    assert!(
        sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS)
            .first
    );
    let mut resent = Vec::new();
    while let Some((from, to, cause)) = sender.resend() {
        assert_eq!(cause, Timeout);
        resent.push((from, to));
    }
    assert_eq!(
        resent,
        [
            (1000, 2000),
            (2000, 3000),
            (3000, 4000),
            (4000, 5000),
            (5000, 6000)
        ]
    );
}

#[test]
fn req_sack_10_a_timeout_keeps_sack_marks_unless_the_oldest_octet_is_marked() {
    let mut sender = Sender::new(0, true);
    sender.send(6);
    let _ = sender.sack(0, &[(1000, 3000)]);
    assert!(
        !sender
            .recovery
            .on_timeout(sender.now, RoundTrip::default(), MSS)
            .reneged
    );
    let mut resent = Vec::new();
    while let Some((from, ..)) = sender.resend() {
        resent.push(from);
    }
    assert_eq!(resent, [0, 3000, 4000, 5000]);
    // The peer reneges while the timeout's episode lasts: what it had is due at once.
    let outcome = sender.ack(1000);
    assert!(outcome.reneged);
    assert_eq!(sender.resend(), Some((1000, 2000, Timeout)));
    assert_eq!(sender.resend(), Some((2000, 3000, Timeout)));
    assert_eq!(sender.resend(), None);
}

#[test]
fn req_sack_11_and_sec_sack_4_unsound_blocks_change_nothing() {
    for isn in ISNS {
        let mut sender = Sender::new(isn, true);
        sender.send(10);
        let _ = sender.ack(2000);
        let far = 1 << 31;
        for block in [
            (5000, 5000),
            (6000, 5000),
            (2000, 3000),
            (9000, 10_001),
            (10_000, 11_000),
            (0, far),
            (5000, 5000_u32.wrapping_add(far)),
            (1000, 4000),
            (u32::MAX, 5000),
        ] {
            let outcome = sender.sack(2000, &[(3000, 3000), block]);
            assert_eq!(
                (outcome.newly_sacked, outcome.delivered),
                (0, 0),
                "{block:?}"
            );
            assert_eq!(sender.recovery.sacked(), 0);
        }
        assert_eq!(sender.sack(2000, &[(9999, 10_000)]).newly_sacked, 1);
    }
}

#[test]
fn sack_blocks_are_ignored_unless_negotiated() {
    let mut sender = Sender::new(0, false);
    sender.send(10);
    assert_eq!(sender.sack(0, &[(1000, 9000)]).newly_sacked, 0);
    assert_eq!(sender.recovery.pipe(), 10_000);
    sender.recovery.set_sack(true);
    assert_eq!(sender.sack(0, &[(1000, 9000)]).newly_sacked, 8000);
}

#[test]
fn req_dsack_5_a_duplicate_report_marks_nothing() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    let _ = sender.ack(2000);
    let below = sender.sack(2000, &[(0, 1000), (5000, 6000)]);
    assert!(below.dsack);
    assert_eq!(below.newly_sacked, 1000);
    let inside = sender.sack(2000, &[(5200, 5400), (5000, 7000)]);
    assert!(inside.dsack);
    assert_eq!(inside.newly_sacked, 1000);
    assert!(!sender.sack(2000, &[(8000, 8500), (5000, 7000)]).dsack);
}

#[test]
fn req_sack_13_new_data_may_follow_sacked_data() {
    let mut sender = Sender::new(0, true);
    sender.send(4);
    let _ = sender.sack(0, &[(1000, 3000)]);
    let before = sender.recovery.pipe();
    sender.send(1);
    assert_eq!(sender.recovery.pipe(), before + 1000);
    assert_eq!(sender.recovery.outstanding(), 5000);
    assert!(
        sender
            .sack(0, &[(4000, 5000), (1000, 3000)])
            .entered_recovery
    );
}

#[test]
fn the_peers_window_bounds_what_is_resent() {
    let mut sender = Sender::new(0, true);
    sender.send(10);
    assert!(sender.sack(0, &[(6000, 10_000)]).entered_recovery);
    let closed = SendLimits {
        snd_wnd_end: sender.start,
        ..sender.limits()
    };
    assert_eq!(sender.recovery.next_retransmit(&closed), None);
    let crumb = SendLimits {
        snd_wnd_end: sender.start + 10,
        ..sender.limits()
    };
    let first = sender.recovery.next_retransmit(&crumb).unwrap();
    assert_eq!(
        first.range,
        sender.range(0, 1000),
        "the oldest segment is not cut"
    );
    sender.recovery.on_sent(first.range, sender.now, true);
    let half = SendLimits {
        snd_wnd_end: sender.start + 1500,
        ..sender.limits()
    };
    let second = sender.recovery.next_retransmit(&half).unwrap();
    assert_eq!(second.range, sender.range(1000, 1500));
}

#[test]
fn a_smaller_path_mtu_resends_without_an_episode() {
    let mut sender = Sender::new(0, true);
    sender.send(3);
    sender.recovery.on_mtu_decrease(500);
    assert!(sender.recovery.has_lost());
    let limits = SendLimits {
        mss: 500,
        limit: 500,
        ..sender.limits()
    };
    let mut resent = Vec::new();
    while let Some(retransmit) = sender.recovery.next_retransmit(&limits) {
        assert_eq!(retransmit.cause, Mtu);
        sender.recovery.on_sent(retransmit.range, sender.now, true);
        resent.push(retransmit.range.start.since(sender.start));
    }
    assert_eq!(resent, [0, 500, 1000, 1500, 2000, 2500]);
    assert!(!sender.recovery.is_in_recovery() && !sender.recovery.has_lost());
}

#[test]
fn syn_and_fin_take_part() {
    let iss = Seq::new(u32::MAX);
    let mut recovery = Recovery::new(iss, false, DUP_THRESH);
    let now = Instant::from_origin(Duration::from_secs(1));
    recovery.on_sent(
        SeqRange {
            start: iss,
            end: iss + 1,
        },
        now,
        false,
    );
    assert!(
        recovery
            .on_timeout(
                Instant::from_origin(Duration::from_secs(2)),
                RoundTrip::default(),
                MSS
            )
            .first
    );
    let limits = SendLimits {
        mss: MSS,
        limit: 1 << 16,
        cwnd: 1000,
        snd_wnd_end: iss + 1,
    };
    let syn = recovery.next_retransmit(&limits).unwrap();
    assert_eq!(
        syn.range,
        SeqRange {
            start: iss,
            end: iss + 1
        }
    );
    recovery.on_sent(syn.range, now, true);
    let ack = AckInput {
        now,
        ack: iss + 1,
        sack: &SackBlocks::EMPTY,
        is_duplicate: false,
        mss: MSS,
        echoed: None,
        round_trip: RoundTrip::default(),
    };
    let outcome = recovery.on_ack(&ack);
    assert!(outcome.exited_recovery && outcome.rtt_sample.is_none());
    assert!(recovery.is_empty());
    // Data and FIN in one range.
    recovery.on_sent(
        SeqRange {
            start: iss + 1,
            end: iss + 102,
        },
        now,
        false,
    );
    let ack = AckInput {
        ack: iss + 102,
        ..ack
    };
    assert_eq!(recovery.on_ack(&ack).newly_acked, 101);
    assert!(recovery.is_empty());
    recovery.clear();
    assert_eq!((recovery.pipe(), recovery.flight_size()), (0, 0));
}

/// What the peer holds, octet ranges kept the plain way, one flag a segment.
struct Receiver {
    held: Vec<bool>,
}

impl Receiver {
    fn ack(&self) -> u32 {
        let nxt = self
            .held
            .iter()
            .position(|&held| !held)
            .unwrap_or(self.held.len());
        nxt as u32 * MSS
    }

    fn blocks(&self, newest: usize) -> Vec<(u32, u32)> {
        let mut blocks = Vec::new();
        let mut at = (self.ack() / MSS) as usize;
        while at < self.held.len() {
            let end = (at..self.held.len())
                .find(|&i| !self.held[i])
                .unwrap_or(self.held.len());
            if end > at {
                let block = (at as u32 * MSS, end as u32 * MSS);
                if (at..end).contains(&newest) {
                    blocks.insert(0, block);
                } else {
                    blocks.push(block);
                }
            }
            at = end.max(at + 1);
        }
        blocks.truncate(3);
        blocks
    }
}

proptest! {
    /// Whatever is lost on the way there and back, everything arrives, and nothing is offered
    /// that is not outstanding.
    #[test]
    fn any_pattern_of_loss_is_repaired(
        isn in prop_oneof![proptest::sample::select(ISNS.to_vec()), any::<u32>()],
        sack in any::<bool>(),
        segments in 1_u32..60,
        cwnd_segs in 1_u64..12,
        lost in proptest::collection::vec(any::<bool>(), 120),
        acks_lost in proptest::collection::vec(any::<bool>(), 120),
    ) {
        let mut sender = Sender::new(isn, sack);
        let mut receiver = Receiver { held: [false].repeat(segments as usize) };
        let (mut losses, mut ack_losses) = (lost.iter(), acks_lost.iter());
        let mut timeouts = 0;
        while receiver.ack() < segments * MSS || !sender.recovery.is_empty() {
            sender.tick();
            // Fill the window, as the conductor does.
            sender.cwnd = if sender.recovery.is_in_loss() { 2000 } else { cwnd_segs * 1000 };
            let mut wire = Vec::new();
            loop {
                let left = segments * MSS - sender.nxt.since(sender.start);
                let allowance = sender.recovery.limited_transmit_allowance(MSS);
                let room = sender.recovery.pipe() + u64::from(MSS) <= sender.cwnd + allowance;
                if let Some((from, to, _)) = sender.resend() {
                    prop_assert!(from < to && to - from <= MSS);
                    prop_assert!(to <= sender.nxt.since(sender.start));
                    wire.push(from / MSS);
                } else if left > 0 && room {
                    wire.push(sender.nxt.since(sender.start) / MSS);
                    sender.send(1);
                } else if let Some((from, to, _)) = sender.speculate() {
                    prop_assert!(from < to && to <= sender.nxt.since(sender.start));
                    wire.push(from / MSS);
                } else {
                    break;
                }
            }
            if wire.is_empty() {
                timeouts += 1;
                prop_assert!(timeouts < 400, "no progress");
                let _ = sender.recovery.on_timeout(sender.now, RoundTrip::default(), MSS);
                prop_assert!(sender.recovery.has_lost());
                continue;
            }
            // Each segment that arrives is answered; losses stop after the vectors end.
            for segment in wire {
                if losses.next() == Some(&true) {
                    continue;
                }
                let una = sender.recovery.board.una().since(sender.start);
                receiver.held[segment as usize] = true;
                let ack = receiver.ack();
                if ack_losses.next() == Some(&true) {
                    continue;
                }
                let outcome = if sack {
                    sender.sack(ack, &receiver.blocks(segment as usize))
                } else if ack == una && !sender.recovery.is_empty() {
                    sender.duplicate(ack)
                } else {
                    sender.ack(ack)
                };
                prop_assert!(!outcome.reneged);
                prop_assert_eq!(outcome.newly_acked, ack.saturating_sub(una));
            }
        }
        prop_assert_eq!(sender.recovery.pipe(), 0);
        prop_assert!(sender.recovery.is_empty());
    }

    /// With RACK, whatever was seen before: an acknowledgement that takes the shorter way changes what the longer would.
    #[test]
    fn the_short_way_is_the_long_way(
        isn in prop_oneof![proptest::sample::select(ISNS.to_vec()), any::<u32>()],
        steps in proptest::collection::vec((0_u32..12, 0_u32..12, 0_u8..16), 1..200),
    ) {
        let mut sender = Sender::new(isn, true);
        sender.recovery.use_rack();
        let (mut calm, mut empty) = (0, 0);
        for (segments, ahead, action) in steps {
            let una = sender.recovery.board.una().since(sender.start);
            let outstanding = u32::try_from(sender.recovery.outstanding()).unwrap();
            let ack = una + (segments * 700).min(outstanding);
            match action {
                0..5 => sender.send(1 + segments / 3),
                5 => { let _ = sender.resend(); }
                6 => { let _ = sender.speculate(); }
                7 if segments == 0 && outstanding > 0 => {
                    let _ = sender.recovery.on_timeout(sender.now, RoundTrip::default(), MSS);
                }
                8 if segments < 4 => {
                    let _ = sender.sack(una, &[(una + ahead * 1000, una + (ahead + 1) * 1000)]);
                }
                9 => sender.recovery.on_probe_sent(segments < 6),
                _ => {
                    let input = sender.input(ack, &SackBlocks::EMPTY, false);
                    calm += u32::from(sender.recovery.is_calm(&input));
                    empty += u32::from(sender.recovery.is_empty_ack(&input));
                    let _ = sender.ack(ack);
                }
            }
        }
        prop_assume!(calm > 0 || empty > 0);
    }

    /// Any acknowledgement whatever: no panic, counters within bounds.
    #[test]
    fn hostile_acknowledgements_are_harmless(
        isn in any::<u32>(),
        sack in any::<bool>(),
        steps in proptest::collection::vec(
            (0_u32..20_000, proptest::collection::vec((0_u32..20_000, any::<u16>()), 0..4), 0_u8..8),
            1..200,
        ),
    ) {
        let mut sender = Sender::new(isn, sack);
        for (ack, blocks, action) in steps {
            match action {
                0 => sender.send(3),
                1 => { let _ = sender.resend(); }
                2 => { let _ = sender.speculate(); }
                3 if !sender.recovery.is_empty() => { let _ = sender.recovery.on_timeout(sender.now, RoundTrip::default(), MSS); }
                4 => sender.recovery.on_mtu_decrease(700),
                _ => {
                    let blocks: Vec<_> =
                        blocks.iter().map(|&(from, len)| (from, from + u32::from(len))).collect();
                    let outcome = sender.sack(ack, &blocks);
                    prop_assert!(outcome.delivered <= outcome.newly_acked + outcome.newly_sacked);
                }
            }
            let recovery = &sender.recovery;
            prop_assert!(!sack || recovery.pipe() <= 2 * recovery.outstanding());
            prop_assert!(recovery.sacked() + recovery.lost() <= recovery.outstanding());
            prop_assert!(recovery.flight_size() <= recovery.outstanding());
            prop_assert_eq!(recovery.outstanding(), u64::from(
                sender.nxt.since(recovery.board.una())
            ));
        }
    }
}
