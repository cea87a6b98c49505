//! How large the receive window may become: dynamic right-sizing (Fisk and Feng 2001, and as Linux does it).
//!
//! What an application reads in a round trip is what its peer sent in the round trip before. A window of twice that does
//! not hold a peer up that doubles its rate, as one in slow start does.

use core::time::Duration;

use transom_wire::Seq;

use crate::pack::{Either, In, packed};
use crate::time::Instant;

/// Round trip assumed as long as nothing was measured.
const UNKNOWN_ROUND: Duration = Duration::from_millis(100);
/// Segments to spare, as Linux.
const SPARE_SEGMENTS: u64 = 16;

/// What is measured to choose the window.
#[derive(Debug)]
pub(crate) struct RightSizing {
    /// The round trip as a receiver sees it, which may never have had data of its own to measure with.
    rtt: Option<Duration>,
    /// The timestamp echo that was measured last: one sample each.
    last_echo: u32,
    /// The edge that was offered at `window_since`.
    window_end: Seq,
    window_since: Instant,
    /// When this round began, and what was read in it.
    round_since: Instant,
    copied: u32,
    /// The most that was read in a round.
    most_copied: u32,
}

packed!(RightSizing {
    rtt: Either,
    last_echo: In<4>,
    window_end,
    window_since,
    round_since,
    copied: In<3>,
    most_copied: In<3>,
});

impl RightSizing {
    /// Nothing measured. `edge`: RCV.NXT + RCV.WND.
    pub(crate) const fn new(edge: Seq, now: Instant) -> Self {
        Self {
            rtt: None,
            last_echo: 0,
            window_end: edge,
            window_since: now,
            round_since: now,
            copied: 0,
            most_copied: 0,
        }
    }

    /// A full segment echoes a timestamp of ours that is `age` old.
    // DRS-1: it came a round trip after our acknowledgement, or later if the peer had nothing to send; so short
    // measurements count at once, long ones little.
    pub(crate) fn on_echo(&mut self, echo: u32, age: Duration) {
        if echo == 0 || echo == self.last_echo {
            return;
        }
        self.last_echo = echo;
        self.rtt = Some(match self.rtt {
            Some(rtt) if age > rtt => rtt + (age - rtt) / 8,
            _ => age,
        });
    }

    /// RCV.NXT has moved; `edge` is what is offered now.
    // DRS-1: without timestamps a round trip takes no longer than a whole window.
    pub(crate) fn on_advance(&mut self, rcv_nxt: Seq, edge: Seq, now: Instant) {
        if rcv_nxt.lt(self.window_end) {
            return;
        }
        let took = now.duration_since(self.window_since);
        self.rtt = Some(self.rtt.map_or(took, |rtt| rtt.min(took)));
        self.window_end = edge;
        self.window_since = now;
    }

    /// The application has read. The window that its pace deserves, at the end of each round in which it read more than
    /// in any before (DRS-2).
    pub(crate) fn on_read(
        &mut self,
        len: u32,
        srtt: Option<Duration>,
        mss: u32,
        now: Instant,
    ) -> Option<u64> {
        self.copied = self.copied.saturating_add(len);
        let round = self.rtt.or(srtt).unwrap_or(UNKNOWN_ROUND);
        if now.duration_since(self.round_since) < round {
            return None;
        }
        let (copied, before) = (u64::from(self.copied), u64::from(self.most_copied));
        self.round_since = now;
        self.copied = 0;
        if copied <= before {
            return None;
        }
        self.most_copied = u32::try_from(copied).unwrap_or(u32::MAX);
        let window = 2 * copied + SPARE_SEGMENTS * u64::from(mss);
        // By how much the rate has grown it may grow again, twice before the window is heard of.
        let growth = window
            .saturating_mul(copied - before)
            .checked_div(before)
            .map_or(0, |growth| growth.saturating_mul(2));
        Some(window.saturating_add(growth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn sizing() -> (RightSizing, Instant) {
        let now = Instant::from_origin(Duration::ZERO);
        (RightSizing::new(Seq::new(1000), now), now)
    }

    #[test]
    fn req_drs_1_the_round_trip_comes_from_echoes() {
        let (mut sizing, now) = sizing();
        sizing.on_echo(7, ms(40));
        // The same echo again is the next segment of a burst.
        sizing.on_echo(7, ms(2));
        sizing.on_echo(0, ms(2));
        assert_eq!(sizing.rtt, Some(ms(40)));
        // The peer had nothing to send for a while.
        sizing.on_echo(8, ms(840));
        assert_eq!(sizing.rtt, Some(ms(140)));
        sizing.on_echo(9, ms(30));
        assert_eq!(sizing.rtt, Some(ms(30)));
        assert_eq!(sizing.on_read(1, None, 1000, now + ms(29)), None);
        assert!(sizing.on_read(1, None, 1000, now + ms(30)).is_some());
    }

    #[test]
    fn req_drs_1_without_timestamps_a_window_takes_a_round_trip() {
        let (mut sizing, now) = sizing();
        sizing.on_advance(Seq::new(999), Seq::new(1999), now + ms(30));
        assert_eq!(sizing.rtt, None);
        sizing.on_advance(Seq::new(1000), Seq::new(2000), now + ms(50));
        assert_eq!(sizing.rtt, Some(ms(50)));
        sizing.on_advance(Seq::new(2000), Seq::new(3000), now + ms(70));
        assert_eq!(sizing.rtt, Some(ms(20)));
        sizing.on_advance(Seq::new(3000), Seq::new(4000), now + ms(170));
        assert_eq!(sizing.rtt, Some(ms(20)));
    }

    #[test]
    fn req_drs_2_the_window_is_twice_what_was_read_and_more_where_the_pace_grows() {
        let (mut sizing, now) = sizing();
        sizing.on_echo(1, ms(10));
        assert_eq!(sizing.on_read(6_000, None, 1000, now + ms(5)), None);
        let first = sizing.on_read(4_000, None, 1000, now + ms(10));
        assert_eq!(first, Some(2 * 10_000 + 16_000));
        // The same pace again asks for nothing.
        assert_eq!(sizing.on_read(10_000, None, 1000, now + ms(20)), None);
        // Half as much again: half as much again, twice.
        let second = sizing.on_read(15_000, None, 1000, now + ms(30));
        assert_eq!(second, Some(46_000 + 46_000));
    }
}
