//! What is lost and what may be sent again (RFC 8985, or RFC 6675 on request; RFC 6582 and RFC 3042
//! without SACK), and whether that was a mistake (RFC 3522, RFC 5682).
//!
//! The conductor reports what was sent and what was acknowledged; this leaf tells whether a
//! recovery episode begins or ends, how many octets are in the network (`pipe`), and what to
//! resend next. How large the window is, is not its business: `cwnd` comes in as a value.
//!
//! Everything is a sequence range, with SYN and FIN counted as the RFC counts them.
//!
//! Invariants
//! - An episode begins at most once per window of data: not before SND.UNA has passed the place
//!   where SND.NXT stood when the last one began (RFC 6582 §3.2 `recover`, RFC 6675 §5.1).
//! - Nothing before SND.UNA or after SND.NXT is ever offered for resending.
//! - With nothing outstanding next to no heap memory is held.

mod calm;
mod episode;
mod frto;
mod mtu_probe;
mod probe;
mod prr;
mod rack;
mod report;
mod resend;
mod run;
mod scoreboard;
mod undo;

use alloc::boxed::Box;

use frto::Frto;
use probe::Probe;
use prr::Prr;
use rack::Rack;
pub use report::{
    AckInput, AckOutcome, MtuProbe, Retransmit, RetransmitCause, RoundTrip, SendLimits, Spurious,
    TimeoutOutcome,
};
use run::Covered;
use scoreboard::Scoreboard;
use transom_wire::{Seq, SeqRange};
use undo::Undo;

use crate::pack::{Either, In, Is, Like, Rare, packed, packed_choice};
use crate::time::Instant;

/// RFC 5681 §3.2, RFC 6675 §2: three duplicates are taken for loss.
pub const DUP_THRESH: u32 = 3;

/// Which episode is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Episode {
    None,
    /// Fast recovery.
    Recovery,
    /// Slow start after a timeout.
    Loss,
}

packed_choice!(Episode {
    None,
    Recovery,
    Loss,
});

/// Loss detection and resending for one connection.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Recovery {
    board: Scoreboard,
    sack: bool,
    dup_thresh: u32,
    episode: Episode,
    /// RFC 6582 `recover`, RFC 6675 `RecoveryPoint`: SND.NXT when the last episode began.
    recover: Seq,
    dup_acks: u32,
    /// New octets sent by limited transmit since the first duplicate; not part of FlightSize.
    limited_sent: u32,
    /// NewReno's inflation of cwnd (RFC 6582): may be negative after a partial acknowledgement.
    inflation: i64,
    /// How far duplicates may raise it before SND.UNA moves.
    inflation_limit: i64,
    /// The next retransmission goes out whatever pipe says.
    forced: bool,
    had_partial_ack: bool,
    /// RFC 6675 `HighRxt`: end of the highest octet sent again in this episode.
    high_rxt: Seq,
    /// RFC 6675 `RescueRxt` is set: the rescue retransmission of this episode was used.
    rescued: bool,
    /// SND.UNA at the last timeout.
    timeout_una: Option<Seq>,
    frto: Frto,
    /// What would show that the last episode was a mistake.
    undo: Option<Box<Undo>>,
    /// Set during fast recovery with SACK.
    prr: Option<Box<Prr>>,
    /// Set where loss is told by time.
    rack: Option<Rack>,
    probe: Probe,
    /// What was sent to find the path's MTU out.
    mtu_probe: Option<SeqRange>,
    /// Tails are probed.
    probes: bool,
    /// Some of what is outstanding was sent more than once, until SND.UNA is at `resent_end`.
    sent_again: bool,
    resent_end: Seq,
}

packed!(Recovery {
    board,
    high_rxt: Like,
    rack: Either,
    recover,
    sack: In<1>,
    dup_thresh: Is<3>,
    episode,
    dup_acks: Rare,
    limited_sent: Rare,
    inflation,
    inflation_limit,
    forced,
    had_partial_ack,
    rescued,
    timeout_una: Rare,
    frto,
    undo: Rare,
    probe,
    probes: Is<1>;
    prr,
    mtu_probe,
    sent_again,
    resent_end,
});

impl Recovery {
    /// Nothing outstanding; the next octet to be sent has the number `iss`.
    ///
    /// `sack`: both ends permitted SACK. See [`Self::set_sack`] for when that is known later.
    pub const fn new(iss: Seq, sack: bool, dup_thresh: u32) -> Self {
        Self {
            board: Scoreboard::new(iss),
            sack,
            dup_thresh,
            episode: Episode::None,
            // RFC 6582 §3.2 step 1 NR-1: recover starts at the initial send sequence number.
            recover: iss,
            dup_acks: 0,
            limited_sent: 0,
            inflation: 0,
            inflation_limit: 0,
            forced: false,
            had_partial_ack: false,
            high_rxt: iss,
            rescued: false,
            timeout_una: None,
            frto: Frto::Off,
            undo: None,
            prr: None,
            rack: None,
            probe: Probe::NONE,
            mtu_probe: None,
            probes: true,
            sent_again: false,
            resent_end: Seq::new(0),
        }
    }

    /// Says whether both ends permitted SACK, once the handshake has settled it.
    pub const fn set_sack(&mut self, sack: bool) {
        self.sack = sack;
    }

    /// Octets in the network: what new and repeated data is weighed against cwnd with.
    ///
    /// With SACK this is `pipe` of RFC 6675 §4. Without SACK it is FlightSize less NewReno's
    /// inflation, which comes to the same as RFC 6582's inflated window.
    pub fn pipe(&self) -> u64 {
        self.board.pipe().saturating_add_signed(-self.inflation)
    }

    /// FlightSize of RFC 5681 §2 for setting ssthresh: octets sent and not cumulatively
    /// acknowledged, without what limited transmit added (RFC 5681 §3.2 step 2).
    pub fn flight_size(&self) -> u64 {
        self.board
            .outstanding()
            .saturating_sub(u64::from(self.limited_sent))
    }

    /// Octets sent and not cumulatively acknowledged.
    pub fn outstanding(&self) -> u64 {
        self.board.outstanding()
    }

    /// Octets reported by SACK blocks.
    pub const fn sacked(&self) -> u64 {
        self.board.counters().sacked
    }

    /// Octets believed lost, sent again or not.
    pub const fn lost(&self) -> u64 {
        self.board.counters().lost
    }

    /// Octets sent again and not yet acknowledged.
    pub const fn resent_in_flight(&self) -> u64 {
        self.board.counters().resent
    }

    /// Duplicate acknowledgements in a row.
    pub const fn dup_acks(&self) -> u32 {
        self.dup_acks
    }

    /// Whether fast recovery is under way.
    pub const fn is_in_recovery(&self) -> bool {
        matches!(self.episode, Episode::Recovery)
    }

    /// Whether the episode that a timeout began is under way.
    pub const fn is_in_loss(&self) -> bool {
        matches!(self.episode, Episode::Loss)
    }

    /// Whether an episode of either kind is under way.
    pub const fn is_recovering(&self) -> bool {
        self.is_in_recovery() || self.is_in_loss()
    }

    /// Whether an older timestamp echo would say anything: about what was sent more than once, or about an episode.
    #[inline]
    pub const fn wants_echo(&self) -> bool {
        self.undo.is_some() || self.sent_again
    }

    /// Where SND.UNA has to arrive for the episode to end.
    pub const fn recovery_point(&self) -> Option<Seq> {
        match self.episode {
            Episode::None => None,
            Episode::Recovery | Episode::Loss => Some(self.recover),
        }
    }

    /// End of the highest octet sent again in this episode (RFC 6675 `HighRxt`, plus one).
    pub const fn high_rxt(&self) -> Seq {
        self.high_rxt
    }

    /// NewReno's addition to cwnd during fast recovery, in octets (RFC 6582 §3.2).
    pub const fn window_inflation(&self) -> i64 {
        self.inflation
    }

    /// When the oldest outstanding octet was last sent.
    pub fn oldest_sent(&self) -> Option<Instant> {
        self.board.front().map(|run| run.sent)
    }

    /// Octets that wait to be sent again.
    pub const fn due(&self) -> u64 {
        self.board.counters().due
    }

    /// Whether something waits to be sent again.
    pub const fn has_lost(&self) -> bool {
        self.board.counters().due > 0
    }

    /// Nothing is outstanding, and nothing is kept that is not written down.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.board.is_at_rest() && self.prr.is_none() && self.mtu_probe.is_none()
    }

    /// Whether nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.board.is_empty()
    }

    /// Octets by which new data may exceed cwnd now (RFC 3042): one SMSS for each of the first two
    /// duplicate acknowledgements. With SACK, `pipe` has shrunk instead and this is 0.
    pub const fn limited_transmit_allowance(&self, mss: u32) -> u64 {
        self.limited_segs() as u64 * mss as u64
    }

    /// `range` was sent, SYN and FIN included. New data begins where the last ended.
    #[inline]
    pub fn on_sent(&mut self, range: SeqRange, now: Instant, retransmission: bool) {
        self.board.restart(range.start);
        if let Some(prr) = &mut self.prr {
            prr.on_sent(range.len());
        }
        let end = self.board.end();
        let old = SeqRange {
            start: range.start,
            end: range.end.min(end),
        };
        if !old.is_empty() {
            let is_rescue = self.is_in_recovery()
                && self
                    .board
                    .highest_sacked()
                    .is_some_and(|high| range.start.ge(high));
            self.board.resend(old, now);
            self.resent_end = match self.sent_again {
                true => self.resent_end.max(old.end),
                false => old.end,
            };
            self.sent_again = true;
            self.note_resent(old, now);
            self.forced = false;
            if is_rescue {
                // RFC 6675 §4 NextSeg rule 4: RescueRxt is set, HighRxt is not.
                self.rescued = true;
            } else {
                self.high_rxt = self.high_rxt.max(old.end);
            }
        }
        if range.end.gt(end) {
            self.board.append(range.end, now);
            self.frto_sent_new();
            if !retransmission && self.dup_acks > 0 && self.episode == Episode::None {
                self.limited_sent = self.limited_sent.saturating_add(range.end.since(end));
            }
        }
    }

    /// An acceptable acknowledgement arrived.
    #[inline]
    pub fn on_ack(&mut self, input: &AckInput<'_>) -> AckOutcome {
        if self.is_calm(input) {
            self.on_calm_ack(input)
        } else if self.is_empty_ack(input) {
            AckOutcome::default()
        } else {
            self.on_any_ack(input)
        }
    }

    /// SND.UNA has moved to `ack`.
    fn advance(&mut self, ack: Seq) {
        self.high_rxt = self.high_rxt.max(ack);
        self.dup_acks = 0;
        self.limited_sent = 0;
        self.drag_recover();
    }

    /// Nothing that is outstanding was sent more than once. What is left is what a connection at rest comes back with.
    fn forget_sent_again(&mut self) {
        self.sent_again = false;
        self.resent_end = Seq::default();
    }

    fn on_any_ack(&mut self, input: &AckInput<'_>) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        let advanced = input.ack.gt(self.board.una()) && input.ack.le(self.board.end());
        let mut acked = Covered::default();
        if advanced {
            acked = self.board.ack_to(input.ack);
            if self.sent_again && self.resent_end.le(input.ack) {
                self.forget_sent_again();
            }
            acked.delivered -= self.told_by_duplicates(acked.delivered, input.mss);
            self.advance(input.ack);
        }
        let sacked = if self.sack {
            self.read_blocks(input, &mut outcome)
        } else {
            Covered::default()
        };
        outcome.newly_acked = acked.octets;
        outcome.newly_sacked = sacked.delivered;
        outcome.delivered = acked.delivered.saturating_add(sacked.delivered);
        // RFC 6298 §3 RTO-6 (Karn): a cumulative acknowledgement that covers anything sent twice
        // may have been held up by it, so it measures nothing. A SACK block measures for itself.
        let cumulative = acked.sent_once.filter(|_| acked.resent.is_none());
        outcome.rtt_sample = cumulative
            .map(|mark| mark.sent)
            .max(sacked.sent_once.map(|mark| mark.sent));
        outcome.resent_at = acked.resent.map(|mark| mark.sent);
        outcome.newest_sent = acked.newest_sent().max(sacked.newest_sent());
        if outcome.rtt_sample.is_some() {
            self.on_measured();
        }
        self.count_duplicate(input, advanced, sacked.delivered > 0);
        if advanced {
            self.check_reneging(&mut outcome);
        }
        self.probe_acked(input, &mut outcome);
        self.mtu_probe_arrived(&mut outcome);
        let mut arrived = acked;
        arrived.join(&sacked);
        self.rack_delivered(&arrived, input, &outcome);
        let originals = self.frto_acked(input, advanced, &arrived);
        self.detect_spurious(input, advanced, originals, &mut outcome);
        if self.rack.is_some() {
            self.rack_detect(input.now, &input.round_trip, input.mss, &mut outcome);
        } else if self.sack
            && let Some(edge) = self.board.loss_edge(self.dup_thresh, input.mss)
        {
            outcome.newly_lost += self.board.lose_before(edge);
        }
        outcome.restart_rto = advanced;
        self.continue_episode(input, advanced, &mut outcome);
        self.begin_episode(input.mss, &mut outcome);
        outcome.limited_transmit = self.limited_segs();
        self.tell_found(&mut outcome);
        outcome
    }

    /// What was found lost since the last time.
    fn tell_found(&mut self, outcome: &mut AckOutcome) {
        let found = self.board.take_found();
        (outcome.newest_lost, outcome.lost_ranges) = (found.newest(), found.ranges);
    }

    /// The retransmission timer expired: everything not SACKed counts as lost; with RACK, the first
    /// segment and what was sent long enough ago.
    pub fn on_timeout(&mut self, now: Instant, round_trip: RoundTrip, mss: u32) -> TimeoutOutcome {
        // RFC 2018 §8, SACK-10: if the oldest octet is SACKed yet not acknowledged, the receiver
        // has reneged and no SACK information can be trusted. Otherwise it is kept, as RFC 6675
        // §5.1 allows, and only what is missing is sent again.
        let reneged = self.board.front().is_some_and(|run| run.sacked);
        if reneged {
            self.board.forget_sacked();
        }
        let resent = self.board.front().is_some_and(|run| run.resent);
        let una = self.board.una();
        let first = match self.episode {
            Episode::None => true,
            // RFC 5681 §4.3 CC-12: a lost retransmission is a second indication of congestion;
            // otherwise this episode has reduced the window already (RFC 6675 §5.1).
            Episode::Recovery => resent,
            // RFC 5681 §3.1 CC-8: not again while the same data times out.
            Episode::Loss => self.timeout_una != Some(una),
        };
        self.forget_mtu_probe();
        // What this episode sends again is counted from its beginning, be that a fast retransmit.
        if self.episode == Episode::None {
            self.arm_undo();
        }
        self.undo_timed_out();
        self.start_frto(self.episode != Episode::Loss && !reneged);
        self.episode = Episode::Loss;
        match self.rack_wait(&round_trip, mss).filter(|_| !reneged) {
            // RFC 8985 §6.3 RACK-11: what was sent just now may still arrive.
            Some(wait) => self.board.lose_first_and(mss, |sent| sent + wait <= now),
            None => self.board.lose_all(),
        }
        // TLP-7.
        self.reset_probe();
        // RFC 6582 §3.2 step 4, RFC 6675 §5.1: no fast retransmit for what was sent before this.
        self.recover = self.board.end();
        self.timeout_una = Some(una);
        self.start_resending(una);
        self.dup_acks = 0;
        self.limited_sent = 0;
        self.inflation = 0;
        self.prr = None;
        TimeoutOutcome {
            first,
            reneged,
            newest_lost: self.board.take_found().newest(),
        }
    }

    /// The path carries only segments of `new_mss` now: what was sent in longer ones goes out
    /// again, without this being a sign of congestion (RFC 1191 §6.4).
    pub fn on_mtu_decrease(&mut self, new_mss: u32) {
        self.board.lose_longer_than(new_mss);
        self.forced = true;
    }

    /// What was sent with the SYN was not taken: it goes out again, without this being a sign of congestion (RFC 7413
    /// §4.2.2).
    pub fn on_refused(&mut self) {
        self.board.lose_all();
        self.forced = true;
    }

    /// Forgets everything (the connection is over).
    pub fn clear(&mut self) {
        self.board.clear();
        self.forget_sent_again();
        self.episode = Episode::None;
        self.forced = false;
        self.inflation = 0;
        self.prr = None;
        self.frto = Frto::Off;
        self.undo = None;
        self.reset_probe();
        self.forget_mtu_probe();
        self.dup_acks = 0;
        self.limited_sent = 0;
    }

    /// Octets of those just acknowledged whose arrival the duplicates before had told already: a
    /// segment each, where there is no SACK. They let new data out then, and do not do so twice.
    fn told_by_duplicates(&self, delivered: u32, mss: u32) -> u32 {
        if self.sack || self.episode != Episode::None {
            return 0;
        }
        let told = self.dup_acks.saturating_mul(mss);
        told.min(delivered.saturating_sub(mss))
    }

    const fn limited_segs(&self) -> u32 {
        // RFC 3042 §2 LT-1: one new segment on each of the first two duplicates.
        if self.sack || !matches!(self.episode, Episode::None) || self.dup_acks >= self.dup_thresh {
            0
        } else {
            self.dup_acks
        }
    }

    fn read_blocks(&mut self, input: &AckInput<'_>, outcome: &mut AckOutcome) -> Covered {
        let mut sum = Covered::default();
        let blocks = input.sack;
        let mut rest = blocks.iter();
        if let Some(first) = blocks.iter().next()
            && is_duplicate_report(first, blocks.iter().nth(1), input.ack)
        {
            // RFC 2883 §4, DSACK-5: a report of a duplicate marks nothing.
            outcome.dsack = true;
            rest.next();
        }
        for block in rest {
            // RFC 2018 §5, SACK-11: only what is outstanding can have been received, and the
            // octet at SND.UNA cannot, else it would be acknowledged.
            let sound = block.start.lt(block.end)
                && block.start.gt(self.board.una())
                && block.end.le(self.board.end());
            if sound {
                sum.join(&self.board.sack(block));
            }
        }
        sum
    }

    fn count_duplicate(&mut self, input: &AckInput<'_>, advanced: bool, new_sack: bool) {
        // RFC 6675 §2 S6675-7: with SACK a duplicate is an acknowledgement that reports octets not
        // SACKed before, whatever the window; without, it is RFC 5681's.
        let duplicate = if self.sack {
            new_sack
        } else {
            input.is_duplicate
        };
        if duplicate && !advanced && !self.board.is_empty() {
            self.dup_acks = self.dup_acks.saturating_add(1);
        }
    }
}

/// Whether the first block reports a duplicate (RFC 2883 §4): it lies below the acknowledgement
/// number, or inside the second block.
fn is_duplicate_report(first: SeqRange, second: Option<SeqRange>, ack: Seq) -> bool {
    !first.is_empty()
        && (first.end.le(ack) || second.is_some_and(|second| second.contains_range(first)))
}

#[cfg(test)]
mod tests;
