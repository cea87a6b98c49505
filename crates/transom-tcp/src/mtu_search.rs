//! The search for what the path carries, with data of our own (packetization layer path MTU discovery, RFC 4821).
//!
//! Now and then one segment is larger than the path is known to carry. When it arrives, all become so; when it alone is
//! lost, the path carries less, and what it carried goes out again in segments of the usual size. No router has to say
//! anything, and nothing waits for the outcome.

use alloc::boxed::Box;
use core::time::Duration;

use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

use crate::config::{MtuProbing, Path};
use crate::env::Env;
use crate::pack::packed;
use crate::recovery::{AckOutcome, DUP_THRESH, MtuProbe};
use crate::segment::TransmitKind;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::transmit::Plan;

/// Octets between what is known to arrive and what is known not to that end a search.
const CLOSE_ENOUGH: usize = 16;
/// Segments of congestion window that a search needs, as Linux: one lost segment must not hold the others up.
const LEAST_WINDOW: u64 = 11;
/// RFC 4821 §7.3: how long before larger packets are tried again.
const RAISE_TIMER: Duration = Duration::from_secs(600);
/// After an attempt that told nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// A search. Its lower end, `search_low`, is the MTU in force.
#[derive(Debug)]
pub(crate) struct MtuSearch {
    /// `search_high`: the largest packet that may still arrive.
    high: usize,
    /// Something was lost below the link's MTU, so that the middle is tried next.
    narrowed: bool,
    /// The packet under way.
    trying: usize,
    not_before: Instant,
}

packed!(MtuSearch {
    high,
    narrowed,
    trying,
    not_before,
});

impl MtuSearch {
    /// Between the MTU in force and `high`.
    pub(crate) const fn new(high: usize, now: Instant) -> Self {
        Self {
            high,
            narrowed: false,
            trying: 0,
            not_before: now,
        }
    }

    /// The largest packet worth trying.
    pub(crate) const fn limit(&mut self, high: usize) {
        self.high = high;
        self.narrowed = false;
    }

    /// What to try next, in octets of IP packet.
    fn next(&mut self, low: usize, link: usize, now: Instant) -> Option<usize> {
        if now < self.not_before {
            return None;
        }
        if self.high < low + CLOSE_ENOUGH {
            if low + CLOSE_ENOUGH > link {
                return None;
            }
            // RFC 4821 §7.3, PMTU-5: the path may have changed.
            self.limit(link);
            self.not_before = now + RAISE_TIMER;
            return None;
        }
        // RFC 4821 §7.3 PMTU-8: the link's own size first, for most paths carry it; then halving.
        Some(if self.narrowed {
            low + (self.high - low) / 2
        } else {
            self.high
        })
    }

    fn lost(&mut self) {
        let below = self.trying.saturating_sub(1);
        // A router may have said what it takes.
        self.narrowed = self.high >= below;
        self.high = self.high.min(below);
    }
}

/// The search that a new connection begins with.
pub(crate) fn from_the_start(env: &Env, now: Instant) -> Option<Box<MtuSearch>> {
    let is_wanted = env.config.mtu_probing == MtuProbing::Always;
    is_wanted.then(|| Box::new(MtuSearch::new(env.path.link_mtu, now)))
}

impl Tcb {
    /// A segment that is larger than the path is known to carry, if one is due and there is enough behind it to notice
    /// its loss.
    pub(crate) fn larger_segment(&mut self, env: &mut Env, now: Instant) -> Option<Plan> {
        let is_calm = !self.recovery.is_recovering()
            && !self.recovery.has_lost()
            && !self.recovery.has_mtu_probe();
        if !is_calm || !self.negotiated.sack || !env.config.rack {
            return None;
        }
        let options = self.options_for(env, now, false);
        let mss = self.segment_size(env, now, false);
        let search = self.mtu_search.as_mut()?;
        let mtu = search.next(env.path.mtu, env.path.link_mtu, now)?;
        let larger = Path { mtu, ..env.path };
        let options_len = u16::try_from(options.emitted_len()).unwrap_or(40);
        let len = self
            .negotiated
            .eff_snd_mss(&env.config, &larger, options_len);
        if len <= mss {
            // The peer takes no more than it gets.
            search.high = env.path.mtu;
            search.not_before = now + RAISE_TIMER;
            return None;
        }
        // RFC 4821 §7.4: enough must follow for the peer to report the loss.
        let mss = u32::from(mss);
        let needed = u32::from(len) + (DUP_THRESH + 1) * mss;
        let room = self.congestion.cwnd().saturating_sub(self.recovery.pipe());
        let is_enough = self.snd.unsent() >= needed
            && self.snd.usable() >= needed
            && self.congestion.cwnd() >= LEAST_WINDOW * u64::from(mss)
            && room >= u64::from(needed);
        if !is_enough {
            return None;
        }
        search.trying = mtu;
        let start = self.snd.nxt;
        let range = SeqRange {
            start,
            end: start + u32::from(len),
        };
        let flags = Flags::ACK | self.ecn.take_cwr();
        self.sent_new(env, now, range, u32::from(len), len);
        self.recovery.watch_mtu_probe(range);
        Some(Plan {
            flags,
            len: u32::from(len),
            ..Plan::bare(start, TransmitKind::Data, len)
        })
    }

    /// SMSS from now on, which was `mss`, with what became of a larger segment: the controller is told of a loss in segments of
    /// this size.
    pub(crate) fn size_after(
        &mut self,
        env: &mut Env,
        now: Instant,
        outcome: &AckOutcome,
        mss: u16,
    ) -> u16 {
        let Some(fate) = outcome.mtu_probe else {
            return mss;
        };
        self.larger_segment_fate(env, now, fate);
        self.mss(env)
    }

    /// What became of it.
    fn larger_segment_fate(&mut self, env: &mut Env, now: Instant, fate: MtuProbe) {
        let Some(search) = &mut self.mtu_search else {
            return;
        };
        match fate {
            MtuProbe::Arrived => {
                let mtu = search.trying;
                self.follow_path_mtu(env, now, mtu);
            }
            MtuProbe::Lost => search.lost(),
            MtuProbe::Unknown => search.not_before = now + PAUSE,
        }
    }

    /// A router says what it takes while something larger than the path is known to carry is under way. True when that
    /// is what it was about.
    // RFC 4821 §7.5, §8: it narrows the search; that the segment is lost will show.
    pub(crate) fn narrow_search(&mut self, env: &Env, mtu: usize) -> bool {
        let is_under_way = self.recovery.has_mtu_probe();
        match &mut self.mtu_search {
            Some(search) if is_under_way && mtu >= env.path.mtu && mtu < search.trying => {
                search.high = mtu;
                true
            }
            _ => false,
        }
    }

    /// The path is known to carry less than the link: whether it carries more is searched for.
    pub(crate) fn search_mtu(&mut self, env: &Env, now: Instant, high: usize) {
        if env.config.mtu_probing == MtuProbing::Off {
            return;
        }
        match &mut self.mtu_search {
            Some(search) => search.limit(high),
            None => self.mtu_search = Some(Box::new(MtuSearch::new(high, now))),
        }
    }
}
