//! Which accurate-ECN option goes with a segment (RFC 9768 §3.2.3.3).

use core::time::Duration;

use transom_wire::tcp::{self, AccEcn, AccEcnOrder};
use transom_wire::{Seq, SeqRange};

use super::accurate::{Accurate, Counters};
use crate::config::AccEcnOption;
use crate::time::Instant;

/// A counter that has changed is repeated so often in a round trip (ACC-20).
const BEACONS: u32 = 3;
/// SACK blocks that come before the option (ACC-15).
const SACK_FIRST: usize = 2;
/// The same data so often again, after acknowledgements with the option: the next goes without.
const SUSPICIOUS: u8 = 2;
/// That so often: they do not arrive.
const MAX_SUSPICIONS: u8 = 5;

/// Whether what carries our options gets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Traversal {
    /// Nobody knows.
    Untried,
    /// The first data that carried one ends here.
    Tried(SeqRange),
    /// Yes.
    Works,
    /// No.
    Blocked,
}

/// What was sent of the counters.
#[derive(Debug)]
pub(super) struct Options {
    policy: AccEcnOption,
    traversal: Traversal,
    /// The first acknowledgement of the handshake owes one.
    handshake: bool,
    /// The counters in the latest option.
    reported: Counters,
    /// It was the first with these counters, and may have been lost: the next segment has them too.
    repeats: bool,
    /// When it was sent.
    reported_at: Option<Instant>,
    /// The time, as of the last output.
    now: Instant,
    /// How often the same data came again, and where it begins.
    repeated: u8,
    repeated_at: Seq,
    /// TSval of the latest segment with the option, and of the latest without.
    stamps: (Option<u32>, Option<u32>),
    /// How often that was suspicious.
    suspicions: u8,
}

/// Fields that a counter's change makes necessary: E0B, CEB, E1B.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Changed {
    e0b: bool,
    ceb: bool,
    e1b: bool,
}

impl Changed {
    fn between(old: Counters, new: Counters) -> Self {
        Self {
            e0b: old.e0b != new.e0b,
            ceb: old.ceb != new.ceb,
            e1b: old.e1b != new.e1b,
        }
    }

    const fn any(self) -> bool {
        self.e0b || self.ceb || self.e1b
    }

    /// Fields of an option of this order that contains all of them.
    const fn fields(self, order: AccEcnOrder) -> usize {
        let (first, last) = match order {
            AccEcnOrder::Zero => (self.e0b, self.e1b),
            AccEcnOrder::One => (self.e1b, self.e0b),
        };
        match (first, self.ceb, last) {
            (_, _, true) => 3,
            (_, true, false) => 2,
            (true, false, false) => 1,
            (false, false, false) => 0,
        }
    }
}

impl Options {
    pub(super) fn new(policy: AccEcnOption, is_client: bool) -> Self {
        Self {
            policy,
            traversal: Traversal::Untried,
            handshake: is_client,
            reported: Counters::START,
            repeats: false,
            reported_at: None,
            now: Instant::ORIGIN,
            repeated: 0,
            repeated_at: Seq::default(),
            stamps: (None, None),
            suspicions: 0,
        }
    }

    fn is_beacon_due(&self, now: Instant, srtt: Option<Duration>) -> bool {
        self.reported_at
            .is_none_or(|at| now.duration_since(at) >= srtt.unwrap_or_default() / BEACONS)
    }
}

impl Accurate {
    /// The option of a SYN-ACK: the counters at their start.
    pub(crate) fn syn_ack_option(policy: AccEcnOption) -> Option<AccEcn> {
        (policy != AccEcnOption::Never).then(|| all_fields(AccEcnOrder::One, 3, Counters::START))
    }

    /// Adds the option to those of the next segment, where it is due and fits. `data`: the segment has some that was never
    /// sent.
    pub(crate) fn add_option(
        &self,
        options: &mut tcp::Options,
        data: bool,
        now: Instant,
        srtt: Option<Duration>,
    ) {
        let state = &self.option;
        let new = self.received;
        let changed = Changed::between(state.reported, new);
        let ever = Changed::between(Counters::START, new);
        // ACC-13: the first acknowledgement and the first data, which find out whether it gets through.
        let is_trial = state.handshake || (data && state.traversal == Traversal::Untried);
        let is_due = match state.policy {
            AccEcnOption::Never => false,
            AccEcnOption::Always => self.sender.sees_options(),
            AccEcnOption::Needed => {
                is_trial
                    || changed.any()
                    || state.repeats
                    || (ever.any() && state.is_beacon_due(now, srtt))
            }
        };
        let is_suspicious = state.repeated >= SUSPICIOUS;
        if !is_due || is_suspicious || state.traversal == Traversal::Blocked {
            return;
        }
        // "A field for every byte counter that has changed at some time", the shorter option first.
        let zero = (AccEcnOrder::Zero, ever.fields(AccEcnOrder::Zero));
        let one = (AccEcnOrder::One, ever.fields(AccEcnOrder::One));
        let wanted: &[(AccEcnOrder, usize)] = match state.policy {
            AccEcnOption::Always => &[(AccEcnOrder::One, 3)],
            _ if is_trial => &[(AccEcnOrder::One, 3), (AccEcnOrder::Zero, 3)],
            _ if one.1 < zero.1 => &[one, zero],
            _ => &[zero, one],
        };
        let blocks = options.sack;
        // ACC-15: blocks beyond the second make room; the first two do not.
        for keep in (blocks.len().min(SACK_FIRST)..=blocks.len()).rev() {
            options.sack = blocks.iter().take(keep).collect();
            for &(order, most) in wanted {
                // What has changed since the last option is never left out.
                let least = changed.fields(order).max(1);
                for fields in (least..=most).rev() {
                    options.accecn = Some(all_fields(order, fields, new));
                    if options.emitted_sack_blocks() == keep && fits(options) {
                        return;
                    }
                }
            }
        }
        options.sack = blocks;
        options.accecn = None;
    }

    /// A segment goes out. `range`: its data, if it was never sent before.
    pub(crate) fn on_sent(&mut self, options: &tcp::Options, range: Option<SeqRange>) {
        self.option.handshake = false;
        let stamp = options.timestamps.map(|timestamps| timestamps.val);
        if options.accecn.is_none() {
            self.option.stamps.1 = stamp;
            return;
        }
        self.option.stamps.0 = stamp;
        let before = core::mem::replace(&mut self.option.reported, self.received);
        self.option.repeats = Changed::between(before, self.received).any();
        self.option.reported_at = Some(self.option.now);
        if let Some(range) = range
            && self.option.traversal == Traversal::Untried
        {
            self.option.traversal = Traversal::Tried(range);
        }
    }

    /// The time of what is sent next.
    pub(crate) const fn set_now(&mut self, now: Instant) {
        self.option.now = now;
    }

    /// The timer sends this again: what carried the first option has not arrived.
    // RFC 9768 §3.2.3.2.2: "SHOULD fall back to no AccECN Option on the retransmission".
    pub(crate) fn on_timeout(&mut self, una: Seq) {
        if let Traversal::Tried(range) = self.option.traversal
            && una.lt(range.end)
        {
            self.option.traversal = Traversal::Blocked;
        }
    }

    /// Data up to `una` has arrived; `sacked`: so has some beyond.
    pub(crate) fn on_delivered(&mut self, una: Seq, sacked: bool) {
        if let Traversal::Tried(range) = self.option.traversal {
            // Where every segment has one, any that arrives shows it.
            let all = self.option.policy == AccEcnOption::Always;
            if una.ge(range.end) || (sacked && all) {
                self.option.traversal = Traversal::Works;
            }
        }
    }

    /// The peer echoes a timestamp of ours; one that went with the option alone has arrived, and so has the option.
    pub(crate) fn on_echo(&mut self, ecr: u32) {
        let (with, without) = self.option.stamps;
        if with == Some(ecr) && without != with && self.option.traversal != Traversal::Blocked {
            self.option.traversal = Traversal::Works;
        }
    }

    /// Data has come: for the first time, or wholly `again` from here on, although it was acknowledged.
    // §3.2.3.2.2: "detecting whether the acknowledged data always reappears".
    pub(crate) fn on_data(&mut self, again: Option<Seq>) {
        let state = &mut self.option;
        let Some(start) = again else {
            state.repeated = 0;
            return;
        };
        if core::mem::replace(&mut state.repeated_at, start) != start {
            state.repeated = 0;
        }
        if state.traversal == Traversal::Works || state.reported_at.is_none() {
            return;
        }
        state.repeated = state.repeated.saturating_add(1);
        if state.repeated == SUSPICIOUS {
            // Acknowledgements are lost without our doing, too.
            state.suspicions += 1;
            if state.suspicions >= MAX_SUSPICIONS {
                state.traversal = Traversal::Blocked;
            }
        }
    }
}

/// Whether everything is written.
fn fits(options: &tcp::Options) -> bool {
    options.emitted_len() <= tcp::MAX_OPTIONS_LEN
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "counters are sent modulo 2^24"
)]
fn all_fields(order: AccEcnOrder, fields: usize, counters: Counters) -> AccEcn {
    AccEcn::new(
        order,
        fields,
        counters.e0b as u32,
        counters.ceb as u32,
        counters.e1b as u32,
    )
}
