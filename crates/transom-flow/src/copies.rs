//! Packets that were captured twice, and data that was sent again for nothing.
//!
//! A port mirror often copies a packet at its way in and at its way out, and a capture at two points
//! of the path holds each packet twice, with a hop limit that differs. Such a copy is no
//! retransmission: most senders give each packet an identification of its own (RFC 6864 §4), also when
//! they send the same data again; but some do not, so it also counts that a copy comes sooner than a
//! sender could know of a loss. Where packets have no identification (IPv6, or a zero), it must come
//! much sooner.

use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::lane::Lane;
use crate::meaning;
use crate::measure::{Meter, nanos};
use crate::model::End;
use crate::step::{Meaning, What};
use transom_wire::tcp::Flags;
use transom_wire::{Seq, SeqRange};

/// Segments back to which a copy is looked for.
const DEPTH: usize = 8;
/// Time in which a copy with the same identification and another hop limit comes.
const LOOP_MAX: u64 = 1_000_000_000;
/// Time in which a copy with the same identification comes, whatever the round trip; the second where
/// it is not known.
const COPY_MIN: u64 = 3_000_000;
const COPY_MAX: u64 = 100_000_000;
/// Time in which a copy without identification comes.
const UNIDENTIFIED_COPY_MAX: u64 = 1_000_000;
/// Different packets with one identification, after which identifications say nothing.
const CONSTANT_IDS: u8 = 2;
/// Bare acknowledgements remembered.
const MARKS: usize = 4;
/// Retransmissions of which it may still turn out that they were needless.
const DOUBTS_MAX: usize = 32;

/// A bare acknowledgement, so that its copy is known.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Identification, window and number.
    key: u64,
    frame: u64,
    hop_limit: u8,
    /// A reset that some attackers and scanners send has all else of the SYN before it.
    flags: Flags,
}

/// The identifications of one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    marks: [Mark; MARKS],
    next: u8,
    last_id: u16,
    constant: u8,
}

/// A retransmission that may turn out to be needless.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    range: SeqRange,
    /// Its TSval, 0 without.
    clock: u32,
    /// Its step.
    index: u64,
    /// No earlier copy has the same TSval.
    is_alone_in_tick: bool,
    /// An acknowledgement covered it, whose echo said nothing.
    is_covered: bool,
}

/// The packet that a copy repeats.
#[derive(Clone, Copy, Debug)]
struct Original {
    frame: u64,
    hop_limit: u8,
}

impl Identity {
    const fn says(&self, id: u16) -> bool {
        id != 0 && self.constant < CONSTANT_IDS
    }

    fn key(segment: &Dissected<'_>) -> u64 {
        let ack = segment.ack.map_or(0, Seq::raw);
        u64::from(segment.ip_id) << 48 | u64::from(segment.window) << 32 | u64::from(ack)
    }

    fn find(&self, segment: &Dissected<'_>) -> Option<Original> {
        let key = Self::key(segment);
        let is_same = |mark: &&Mark| mark.key == key && mark.flags == segment.flags;
        let mark = self.marks.iter().find(is_same)?;
        Some(Original {
            frame: mark.frame,
            hop_limit: mark.hop_limit,
        })
    }

    /// Remembers a packet that is no copy.
    pub(crate) fn remember(&mut self, segment: &Dissected<'_>, frame: u64) {
        if segment.ip_id == self.last_id {
            self.constant = self.constant.saturating_add(1);
        }
        self.last_id = segment.ip_id;
        if segment.len > 0 || segment.ip_id == 0 {
            return;
        }
        if let Some(mark) = self.marks.get_mut(usize::from(self.next)) {
            *mark = Mark {
                key: Self::key(segment),
                frame,
                hop_limit: segment.hop_limit,
                flags: segment.flags,
            };
        }
        self.next = (self.next + 1) % MARKS as u8;
    }
}

impl Lane {
    /// Whether a segment is seen at once to be no copy of another, as nearly all are: it goes beyond
    /// what passed, or is bare and not like the newest few.
    pub(crate) fn is_surely_original(&self, segment: &Dissected<'_>) -> bool {
        let range = meaning::range(segment);
        if range.is_empty() {
            !self.identity.says(segment.ip_id) || self.identity.find(segment).is_none()
        } else {
            !range.end.le(self.passed.highest())
        }
    }

    /// The packet that this segment is a copy of. `rtt` is the round trip of the path, within which a
    /// sender cannot know of a loss, if that is known; `quick` is the time within which a copy without
    /// identification comes.
    fn original_of(
        &self,
        segment: &Dissected<'_>,
        now: u64,
        rtt: Option<u64>,
        quick: u64,
    ) -> Option<Original> {
        let has_id = self.identity.says(segment.ip_id);
        let range = meaning::range(segment);
        if range.is_empty() {
            return self.identity.find(segment).filter(|_| has_id);
        }
        if !range.end.le(self.passed.highest()) {
            return None;
        }
        let clock = segment.options.timestamps.map_or(0, |clock| clock.val);
        let sent = self.newest().take(DEPTH).find(|sent| {
            let longest = if !has_id {
                quick
            } else if sent.hop_limit != segment.hop_limit {
                LOOP_MAX
            } else {
                rtt.map_or(COPY_MAX, |rtt| rtt.clamp(COPY_MIN, COPY_MAX))
            };
            sent.range == range
                && sent.clock == clock
                && (!has_id || sent.ip_id == segment.ip_id)
                && now.saturating_sub(sent.time) <= longest
        })?;
        Some(Original {
            frame: sent.frame,
            hop_limit: sent.hop_limit,
        })
    }
}

impl Connection {
    /// Takes a segment that is a copy of one before; tells whether it was one.
    pub(crate) fn take_copy(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) -> bool {
        let (own, peer) = (&self.lanes[from], &self.lanes[from.other()]);
        if own.is_surely_original(segment) {
            self.lanes[from].identity.remember(segment, seen.frame);
            return false;
        }
        // Where the other end reports a loss, data that comes again was sent again.
        let is_loss_reported = peer.duplicate_acks > 0 || peer.sacked_above;
        let meters = &self.survey.meters;
        let (mean, min) = [&meters.client, &meters.server]
            .map(Meter::mean_and_min)
            .into_iter()
            .flatten()
            .fold((0, 0), |(a, b), (mean, min)| {
                (u64::saturating_add(a, mean), u64::saturating_add(b, min))
            });
        let quick = match mean {
            _ if is_loss_reported => 0,
            0 => UNIDENTIFIED_COPY_MAX,
            rtt => UNIDENTIFIED_COPY_MAX.min(rtt / 2),
        };
        let rtt = (min > 0).then_some(min);
        // In a simultaneous open the first SYN,ACK has the number of the SYN, and is no copy of it.
        let is_first_syn_ack = segment.flags.contains(Flags::SYN)
            && segment.ack.is_some()
            && self.milestones.syn_acks[from] == 0;
        let original = own.original_of(segment, nanos(seen.time), rtt, quick);
        let Some(original) = original.filter(|_| !is_first_syn_ack) else {
            self.lanes[from].identity.remember(segment, seen.frame);
            return false;
        };
        let totals = &mut self.totals[from];
        totals.frames += 1;
        totals.ip_bytes += u64::from(segment.ip_len);
        totals.duplicate_frames += 1;
        totals.hop_changed_frames += u64::from(original.hop_limit != segment.hop_limit);
        let meaning = Meaning::Duplicate {
            original: original.frame,
        };
        let what = What::Segment(self.described(from, segment, seen, meaning));
        self.push_step(seen.time, what);
        self.last_frame = self.last_frame.max(seen.time);
        true
    }

    /// Remembers a retransmission of an end, in case it turns out to be needless.
    pub(crate) fn doubt(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        index: u64,
        is_needless: bool,
    ) {
        if is_needless {
            self.survey.meters[from].found_needless();
            return;
        }
        let range = meaning::range(segment);
        let clock = segment.options.timestamps.map_or(0, |clock| clock.val);
        let own = &mut self.lanes[from];
        // The newest is this segment itself.
        let copies = own.newest().skip(1).take(DEPTH);
        let is_alone_in_tick = !copies
            .into_iter()
            .any(|sent| sent.clock == clock && sent.range.overlaps(range));
        let doubts = &mut own.doubts;
        if doubts.len() >= DOUBTS_MAX {
            doubts.pop_front();
        }
        doubts.push_back(Doubt {
            range,
            clock,
            index,
            is_alone_in_tick,
            is_covered: false,
        });
    }

    /// An acknowledgement may show that a retransmission of the other end was needless.
    pub(crate) fn resolve_doubts(&mut self, from: End, segment: &Dissected<'_>) {
        let sender = from.other();
        let Some(ack) = segment.ack else { return };
        if self.lanes[sender].doubts.is_empty() || segment.flags.contains(Flags::SYN) {
            return;
        }
        let twice = duplicate_report(segment, ack);
        let echo = segment.options.timestamps.map(|clock| clock.ecr);
        let mut needless = [None; 4];
        let mut found = needless.iter_mut();
        let doubts = &mut self.lanes[sender].doubts;
        doubts.retain_mut(|doubt| {
            // RFC 3522 §3.2: the first acknowledgement of what was sent again tells by its echo
            // which of the two arrived.
            let is_first_cover = !doubt.is_covered && doubt.range.end.le(ack);
            doubt.is_covered |= is_first_cover;
            let age = echo
                .filter(|_| is_first_cover && doubt.clock != 0)
                .map(|echo| echo.wrapping_sub(doubt.clock).cast_signed());
            match age {
                None => true,
                // The same tick of the clock: both may be meant.
                Some(0) if !doubt.is_alone_in_tick => true,
                Some(0..) => false,
                Some(_) => found.next().is_none_or(|place| {
                    *place = Some(doubt.index);
                    false
                }),
            }
        });
        if let Some(twice) = twice
            && let Some(at) = doubts.iter().rposition(|d| twice.overlaps(d.range))
            && let Some(place) = found.next()
        {
            *place = doubts.remove(at).map(|doubt| doubt.index);
        }
        for index in needless.into_iter().flatten() {
            self.survey.meters[sender].found_needless();
            if let Some(step) = self.steps.get_mut(index)
                && let What::Segment(segment) = &mut step.what
            {
                segment.needless = true;
            }
        }
    }
}

/// What an acknowledgement reports to have arrived twice (RFC 2883 §4): its first block, if that lies
/// below the acknowledgement or within the second block.
fn duplicate_report(segment: &Dissected<'_>, ack: Seq) -> Option<SeqRange> {
    let [first, rest @ ..] = segment.options.sack.as_slice() else {
        return None;
    };
    let is_below = first.end.le(ack);
    let is_within = rest
        .first()
        .is_some_and(|second| second.contains_range(*first));
    (is_below || is_within).then_some(*first)
}
