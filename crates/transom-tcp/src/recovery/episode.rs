//! Where an episode begins and ends (RFC 6675 §5; RFC 6582 §3.2 without SACK).

use transom_wire::{Seq, SeqRange};

use alloc::boxed::Box;

use super::frto::Frto;
use super::prr::Prr;
use super::{AckInput, AckOutcome, Episode, Recovery};

impl Recovery {
    /// Keeps `recover` near SND.UNA, so that it does not seem to lie ahead after 2^31 octets
    /// without loss.
    pub(super) fn drag_recover(&mut self) {
        const FAR: u32 = 1 << 30;
        let una = self.board.una();
        if self.episode == Episode::None && una.since(self.recover) > FAR {
            self.recover = una - FAR;
        }
    }

    pub(super) fn check_reneging(&mut self, outcome: &mut AckOutcome) {
        // RFC 2018 §8, SACK-9: an acknowledgement that stops where SACKed data begins means that
        // the receiver no longer has it. It was kept, and is sent again.
        if self.board.front().is_some_and(|run| run.sacked) {
            outcome.reneged = true;
            self.board.forget_sacked();
            if self.episode != Episode::None {
                outcome.newly_lost += self.board.lose_before(self.recover);
            }
        }
    }

    /// What the acknowledgement means for the episode under way.
    pub(super) fn continue_episode(
        &mut self,
        input: &AckInput<'_>,
        advanced: bool,
        outcome: &mut AckOutcome,
    ) {
        if self.episode == Episode::None {
            return;
        }
        if self.board.una().ge(self.recover) {
            // RFC 6675 §5 (A), RFC 6582 §3.2 step 3: a full acknowledgement.
            self.end_episode(outcome);
            return;
        }
        if self.episode != Episode::Recovery {
            return;
        }
        outcome.partial_ack = advanced;
        if self.sack {
            return;
        }
        let mss = i64::from(input.mss);
        if advanced {
            // RFC 6582 §3.2 step 3 NR-4: the next segment is lost too; deflate by what was
            // acknowledged, and give one segment back if that was at least one.
            let acked = i64::from(outcome.newly_acked);
            self.inflation -= acked;
            if acked >= mss {
                self.inflation += mss;
            }
            self.limit_inflation();
            outcome.newly_lost += self.lose_first(input.mss);
            self.forced = true;
            outcome.restart_rto = !self.had_partial_ack;
            self.had_partial_ack = true;
        } else if input.is_duplicate {
            // RFC 5681 §3.2 step 4 NR-3: each further duplicate says that one segment left.
            // SEC-ACK-6: no more than was in flight when SND.UNA last moved; what was sent since is
            // answered a round trip later. Forged duplicates thus gain one window at most.
            self.inflation = (self.inflation + mss).min(self.inflation_limit);
        }
    }

    pub(super) fn end_episode(&mut self, outcome: &mut AckOutcome) {
        self.episode = Episode::None;
        self.inflation = 0;
        self.prr = None;
        self.forced = false;
        self.dup_acks = 0;
        self.timeout_una = None;
        self.frto = Frto::Off;
        outcome.exited_recovery = true;
    }

    /// Starts fast recovery if the evidence suffices.
    pub(super) fn begin_episode(&mut self, mss: u32, outcome: &mut AckOutcome) {
        if self.episode != Episode::None || self.board.is_empty() {
            return;
        }
        if self.is_mtu_probe_alone(outcome) {
            return;
        }
        let una = self.board.una();
        let enough_duplicates = self.dup_acks >= self.dup_thresh;
        let begins = if self.rack.is_some() {
            // RFC 8985 §6.2 step 5: whatever is found lost.
            outcome.newly_lost > 0
        } else if self.sack {
            // RFC 6675 §5 S6675-3: enough duplicates, or IsLost(HighACK + 1); §5.1: not before
            // the last episode's point is passed.
            (enough_duplicates || una.lt(self.board.lost_edge())) && una.ge(self.recover)
        } else {
            // RFC 6582 §3.2 step 2 NR-1: only if the acknowledgement covers more than `recover`.
            enough_duplicates && una.gt(self.recover)
        };
        if !begins {
            return;
        }
        if self.rack.is_none() {
            outcome.newly_lost += self.lose_first(mss);
        }
        outcome.entered_recovery = true;
        self.episode = Episode::Recovery;
        // TLP-7.
        self.reset_probe();
        self.arm_undo();
        self.recover = self.board.end();
        self.had_partial_ack = false;
        self.start_resending(una);
        if self.sack {
            // RFC 9937 §6.1 PRR-1: what was in flight before this acknowledgement, without what
            // had been SACKed before.
            let in_flight = self
                .board
                .outstanding()
                .saturating_sub(self.board.counters().sacked);
            let arrived = u64::from(outcome.newly_sacked) + u64::from(outcome.newly_acked);
            self.prr = Some(Box::new(Prr::new(in_flight.saturating_add(arrived))));
        } else {
            // RFC 6582 §3.2 step 2 NR-2: cwnd = ssthresh + 3·SMSS for the segments that left.
            self.inflation = i64::from(self.dup_thresh) * i64::from(mss);
            self.limit_inflation();
        }
    }

    /// Every octet outstanding now may cause a duplicate.
    fn limit_inflation(&mut self) {
        let outstanding = i64::try_from(self.board.outstanding()).unwrap_or(i64::MAX);
        self.inflation_limit = self.inflation.saturating_add(outstanding);
    }

    /// Holds the first segment for lost; gives the octets newly so.
    pub(super) fn lose_first(&mut self, mss: u32) -> u64 {
        let before = self.board.counters().lost;
        let una = self.board.una();
        self.board.lose(SeqRange {
            start: una,
            end: (una + mss).min(self.board.end()),
        });
        self.board.counters().lost.saturating_sub(before)
    }

    pub(super) const fn start_resending(&mut self, una: Seq) {
        self.forced = true;
        self.high_rxt = una;
        self.rescued = false;
    }
}
