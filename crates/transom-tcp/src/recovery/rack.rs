//! RACK: loss told by time (RFC 8985 §6).
//!
//! What was sent well before something that has arrived, and has not arrived itself, is lost. "Well
//! before" is a round trip plus a reordering window, which is nothing at first and grows with the
//! evidence that the path reorders.

use core::time::Duration;

use transom_wire::Seq;

use super::run::Covered;
use super::{AckInput, AckOutcome, Episode, Recovery};
use crate::pack::{Ever, In, Is, Like, Rare, packed};
use crate::time::Instant;

/// Recoveries without a D-SACK after which the window is small again (RFC 8985 §6.2 step 4).
const REO_WND_PERSIST: u8 = 16;

/// A segment's place in the order of sending: by time, then by its end (RFC 8985 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) sent: Instant,
    pub(super) end: Seq,
}

packed!(Mark {
    sent: Like,
    end: Like,
});

impl Mark {
    /// RACK-4 `RACK_sent_after`.
    pub(super) fn is_after(self, other: Self) -> bool {
        self.sent > other.sent || (self.sent == other.sent && self.end.gt(other.end))
    }

    /// The one that was sent later.
    pub(super) fn newest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.is_after(a) { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// The round trip as the estimator knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoundTrip {
    /// Its least value of late.
    pub min: Option<Duration>,
    /// Its smoothed value.
    pub smoothed: Option<Duration>,
}

/// RFC 8985 §5.3, per connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: of all segments that arrived, the one sent last.
    newest: Mark,
    /// `RACK.rtt` in nanoseconds.
    rtt: u64,
    /// Something has arrived.
    is_known: bool,
    /// `RACK.fack`: end of the highest segment that arrived.
    fack: Seq,
    /// Reordering was seen: something arrived behind what was sent after it, by so many segments at
    /// most. 0: not seen.
    degree: u8,
    reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    /// SND.NXT when a D-SACK last widened the window.
    dsack_round: Option<Seq>,
}

packed!(Rack {
    is_known: Ever,
    newest,
    rtt: In<4>,
    fack: Like,
    degree: Rare,
    reo_wnd_mult: Is<1>,
    reo_wnd_persist: Rare,
    dsack_round: Rare,
});

impl Rack {
    pub(super) const fn new(una: Seq) -> Self {
        Self {
            newest: Mark {
                sent: Instant::ORIGIN,
                end: una,
            },
            rtt: 0,
            is_known: false,
            fack: una,
            degree: 0,
            reo_wnd_mult: 1,
            reo_wnd_persist: 0,
            dsack_round: None,
        }
    }

    /// RFC 8985 §6.2 steps 2 and 3.
    fn on_delivered(&mut self, arrived: &Covered, input: &AckInput<'_>) {
        // RACK-5: something never sent twice arrives behind what was sent after it.
        if let Some(end) = arrived.lowest_once.filter(|end| end.lt(self.fack)) {
            let segments = self.fack.since(end).div_ceil(input.mss.max(1)) + 1;
            let segments = u8::try_from(segments).unwrap_or(u8::MAX);
            self.degree = self.degree.max(segments);
        }
        if let Some(high) = arrived.highest {
            self.fack = self.fack.max(high);
        }
        // RACK-3: of something sent twice, the copy that arrived may be the first.
        let resent = arrived.resent.filter(|mark| {
            let is_older = input.echoed.is_some_and(|echoed| echoed < mark.sent);
            let rtt = input.now.duration_since(mark.sent);
            !is_older && input.round_trip.min.is_none_or(|min| rtt >= min)
        });
        let Some(newest) = Mark::newest(arrived.sent_once, resent) else {
            return;
        };
        let rtt = input.now.duration_since(newest.sent).as_nanos();
        self.rtt = u64::try_from(rtt).unwrap_or(u64::MAX);
        // RACK-4.
        let is_first = !core::mem::replace(&mut self.is_known, true);
        if is_first || newest.is_after(self.newest) {
            self.newest = newest;
        }
    }

    /// Something was sent again that had only been overtaken: it counts as seen, though the copy
    /// hides by how much.
    pub(super) const fn on_reordering(&mut self) {
        if self.degree == 0 {
            self.degree = 1;
        }
    }

    /// RFC 8985 §6.2 step 4: RACK-7.
    fn on_dsack(&mut self, una: Seq, nxt: Seq, dsack: bool, recovery_ends: bool) {
        if self.dsack_round.is_some_and(|round| una.ge(round)) {
            self.dsack_round = None;
        }
        if dsack && self.dsack_round.is_none() {
            self.dsack_round = Some(nxt);
            self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
            self.reo_wnd_persist = REO_WND_PERSIST;
        } else if recovery_ends {
            self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
            if self.reo_wnd_persist == 0 {
                self.reo_wnd_mult = 1;
            }
        }
    }

    /// A D-SACK has widened the window in a round trip that has not ended.
    pub(super) const fn awaits_round(&self) -> bool {
        self.dsack_round.is_some()
    }

    const fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt)
    }

    /// RACK-6. `is_certain`: a recovery is under way, or three segments were SACKed.
    fn reo_wnd(&self, is_certain: bool, round_trip: &RoundTrip) -> Duration {
        if self.degree == 0 && is_certain {
            return Duration::ZERO;
        }
        let min = round_trip.min.unwrap_or_else(|| self.rtt());
        let window = (min / 4).saturating_mul(u32::from(self.reo_wnd_mult));
        window.min(round_trip.smoothed.unwrap_or_else(|| self.rtt()))
    }
}

impl Recovery {
    /// Tells loss by time (RFC 8985) instead of by counting (RFC 6675). To be called when the
    /// handshake has settled that both ends permit SACK (RACK-14); without SACK it does nothing.
    pub fn use_rack(&mut self) {
        if self.sack {
            self.rack = Some(Rack::new(self.board.una()));
        }
    }

    /// By how many segments the path was seen to reorder at most; 0 when it was not, or without RACK.
    pub fn reordering(&self) -> u8 {
        self.rack.as_ref().map_or(0, |rack| rack.degree)
    }

    /// Whether loss is told by time.
    pub const fn is_rack(&self) -> bool {
        self.rack.is_some()
    }

    /// What arrived, as RACK sees it.
    pub(super) fn rack_delivered(
        &mut self,
        arrived: &Covered,
        input: &AckInput<'_>,
        outcome: &AckOutcome,
    ) {
        let (una, nxt) = (self.board.una(), self.board.end());
        let Some(rack) = &mut self.rack else {
            return;
        };
        rack.on_delivered(arrived, input);
        // The probe's own duplicate says nothing about reordering.
        let dsack = outcome.dsack && !outcome.probe_was_needless;
        let ends = self.episode != Episode::None && una.ge(self.recover);
        rack.on_dsack(una, nxt, dsack, ends);
    }

    /// Whether the first of what is outstanding, none of which was sent twice, was sent before what has arrived.
    #[inline]
    pub(super) fn is_overtaken(&self) -> bool {
        let (Some(rack), Some(run)) = (&self.rack, self.board.front()) else {
            return false;
        };
        rack.newest.is_after(Mark {
            sent: run.sent,
            end: run.end,
        })
    }

    /// RFC 8985 §6.2 step 5: holds for lost what was sent a round trip and the reordering window
    /// before what arrived. RACK-8.
    pub(super) fn rack_detect(
        &mut self,
        now: Instant,
        round_trip: &RoundTrip,
        mss: u32,
        outcome: &mut AckOutcome,
    ) {
        let Some(wait) = self.rack_wait(round_trip, mss) else {
            return;
        };
        let Some(newest) = self
            .rack
            .filter(|rack| rack.is_known)
            .map(|rack| rack.newest)
        else {
            return;
        };
        let (lost, waiting) = self
            .board
            .lose_sent_before(newest, |sent| sent + wait <= now);
        outcome.newly_lost += lost;
        outcome.reorder_deadline = waiting.map(|sent| sent + wait);
    }

    /// How long a segment has, from when it was sent: `RACK.rtt` and the reordering window.
    pub(super) fn rack_wait(&self, round_trip: &RoundTrip, mss: u32) -> Option<Duration> {
        let rack = self.rack.as_ref()?;
        let enough = u64::from(self.dup_thresh.saturating_sub(1)) * u64::from(mss);
        let is_certain = self.episode != Episode::None
            || self.dup_acks >= self.dup_thresh
            || self.board.counters().sacked > enough;
        let rtt = match rack.is_known {
            true => rack.rtt(),
            false => round_trip.smoothed?,
        };
        Some(rtt + rack.reo_wnd(is_certain, round_trip))
    }

    /// The reordering timer expired: what was waited for is lost (RFC 8985 §6.3, RACK-9).
    pub fn on_reorder_timeout(
        &mut self,
        now: Instant,
        round_trip: RoundTrip,
        mss: u32,
    ) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        self.rack_detect(now, &round_trip, mss, &mut outcome);
        self.begin_episode(mss, &mut outcome);
        self.tell_found(&mut outcome);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use transom_wire::tcp::SackBlocks;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn mark(sent: u64, end: u32) -> Mark {
        Mark {
            sent: at(sent),
            end: Seq::new(end),
        }
    }

    fn input(now: u64, echoed: Option<u64>) -> AckInput<'static> {
        AckInput {
            now: at(now),
            ack: Seq::new(0),
            sack: &SackBlocks::EMPTY,
            is_duplicate: false,
            mss: 1000,
            echoed: echoed.map(at),
            round_trip: RoundTrip {
                min: Some(Duration::from_millis(10)),
                smoothed: Some(Duration::from_millis(12)),
            },
        }
    }

    fn resent(sent: u64, end: u32) -> Covered {
        Covered {
            resent: Some(mark(sent, end)),
            highest: Some(Seq::new(end)),
            ..Covered::default()
        }
    }

    #[test]
    fn req_rack_3_a_copy_that_cannot_be_the_one_that_arrived_counts_for_nothing() {
        let mut rack = Rack::new(Seq::new(0));
        // Too soon for the copy sent at 100, by the least round trip …
        rack.on_delivered(&resent(100, 1000), &input(105, None));
        assert!(!rack.is_known);
        // … or by the timestamp, which echoes something older.
        rack.on_delivered(&resent(100, 1000), &input(120, Some(99)));
        assert!(!rack.is_known);
        rack.on_delivered(&resent(100, 1000), &input(120, Some(100)));
        assert_eq!(
            (rack.newest, rack.rtt()),
            (mark(100, 1000), Duration::from_millis(20))
        );
    }

    #[test]
    fn req_rack_4_the_newest_sent_counts_and_of_two_sent_together_the_higher() {
        let mut rack = Rack::new(Seq::new(0));
        let once = |sent, end| Covered {
            sent_once: Some(mark(sent, end)),
            ..Covered::default()
        };
        rack.on_delivered(&once(5, 3000), &input(15, None));
        rack.on_delivered(&once(4, 9000), &input(16, None));
        assert_eq!(rack.newest, mark(5, 3000), "sent earlier");
        rack.on_delivered(&once(5, 4000), &input(17, None));
        assert_eq!(rack.newest, mark(5, 4000));
        rack.on_delivered(&once(5, 3500), &input(18, None));
        assert_eq!(rack.newest, mark(5, 4000));
        // Also across the wrap of sequence numbers.
        assert!(mark(5, 100).is_after(mark(5, u32::MAX - 100)));
    }

    #[test]
    fn req_rack_7_sixteen_recoveries_without_a_duplicate_make_the_window_small_again() {
        let mut rack = Rack::new(Seq::new(0));
        rack.on_dsack(Seq::new(10), Seq::new(100), true, false);
        rack.on_dsack(Seq::new(20), Seq::new(120), true, false);
        assert_eq!(rack.reo_wnd_mult, 2, "once a round");
        rack.on_dsack(Seq::new(100), Seq::new(200), true, false);
        assert_eq!(rack.reo_wnd_mult, 3);
        for _ in 0..15 {
            rack.on_dsack(Seq::new(300), Seq::new(300), false, true);
        }
        assert_eq!(rack.reo_wnd_mult, 3);
        rack.on_dsack(Seq::new(300), Seq::new(300), false, true);
        assert_eq!(rack.reo_wnd_mult, 1);
    }

    #[test]
    fn req_rack_6_the_window_is_never_longer_than_the_smoothed_round_trip() {
        let mut rack = Rack::new(Seq::new(0));
        let round_trip = input(0, None).round_trip;
        assert_eq!(
            rack.reo_wnd(false, &round_trip),
            Duration::from_micros(2500)
        );
        assert_eq!(rack.reo_wnd(true, &round_trip), Duration::ZERO);
        rack.degree = 1;
        assert_eq!(rack.reo_wnd(true, &round_trip), Duration::from_micros(2500));
        rack.reo_wnd_mult = 200;
        assert_eq!(rack.reo_wnd(true, &round_trip), Duration::from_millis(12));
    }
}
