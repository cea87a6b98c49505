//! What happens when at which end: the moments that the picture shows, in order of time.

use crate::rows::{Row, rows};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use transom_flow::{
    Connection, End, Ends, Entry, Fate, Fold, IcmpError, Meaning, Note, Segment, StateChange, Step,
    What,
};

/// Nanoseconds since the connection's start; may be before it for what was sent before it was seen.
pub(super) type Nanos = i64;

/// A segment on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight<'a> {
    pub(super) segment: &'a Segment,
    pub(super) step: &'a Step,
    pub(super) sent: Nanos,
    /// When it arrives, or would have.
    pub(super) arrives: Nanos,
    /// When it passed the capture point.
    pub(super) seen: Nanos,
    /// Where that was: 0 at its sender, 1 at its receiver.
    pub(super) seen_at: f64,
    pub(super) is_lost: bool,
}

/// One thing to draw.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    Flight(Flight<'a>),
    Icmp(&'a Step, &'a IcmpError, Nanos),
    Change(&'a Step, &'a StateChange, Nanos),
    /// A change of state when this item arrives.
    Arrived(&'a Step, usize),
    Note(&'a Note, Nanos),
    Fold(Fold),
}

/// What a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A segment leaves this end.
    Send(End),
    /// A segment arrives at this end.
    Arrive(End),
    /// A lost segment is lost.
    Lost,
    /// An end changes its state by itself.
    Change(End),
    /// Something across both lifelines.
    Band,
}

/// One moment of one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time: Nanos,
    /// When it is over: later than `time` for a folded run.
    pub(super) until: Nanos,
    pub(super) item: usize,
    pub(super) kind: Kind,
}

/// Everything to draw, and when.
pub(super) struct Story<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// In order of time.
    pub(super) moments: Vec<Moment>,
    /// How long a segment is typically on its way; zero where that is not known.
    pub(super) way: Nanos,
}

/// Time since the start of the connection.
pub(super) fn since(connection: &Connection, time: Duration) -> Nanos {
    let nanos = time.saturating_sub(connection.start()).as_nanos();
    Nanos::try_from(nanos)
        .unwrap_or(Nanos::MAX / 4)
        .min(Nanos::MAX / 4)
}

impl<'a> Story<'a> {
    pub(super) fn of(connection: &'a Connection, unfold: bool) -> Self {
        let ways = ways(connection);
        let mut items = Vec::new();
        for row in rows(connection, !unfold) {
            items.push(match row {
                Row::Fold(fold) => Item::Fold(fold),
                Row::Step(step) => match item(connection, step, ways) {
                    Some(item) => item,
                    None => continue,
                },
            });
        }
        join_arrivals(&mut items);
        let mut story = Self {
            moments: Vec::new(),
            way: 0,
            items,
        };
        story.way = story.typical_way();
        story.moments = story.in_order(connection);
        story
    }

    pub(super) fn flights(&self) -> impl Iterator<Item = (usize, &Flight<'a>)> {
        self.items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| match item {
                Item::Flight(flight) => Some((at, flight)),
                _ => None,
            })
    }

    fn typical_way(&self) -> Nanos {
        let mut ways: Vec<Nanos> = self
            .flights()
            .filter(|(_, flight)| !flight.is_lost && flight.arrives > flight.sent)
            .map(|(_, flight)| flight.arrives - flight.sent)
            .collect();
        ways.sort_unstable();
        ways.get(ways.len() / 2).copied().unwrap_or(0)
    }

    fn in_order(&self, connection: &Connection) -> Vec<Moment> {
        let mut moments = Vec::with_capacity(self.items.len() * 2);
        let mut arrived = Nanos::MIN;
        for (at, item) in self.items.iter().enumerate() {
            let mut push = |time: Nanos, until: Nanos, kind: Kind| {
                moments.push(Moment {
                    time,
                    until: until.max(time),
                    item: at,
                    kind,
                });
            };
            match item {
                Item::Flight(flight) => {
                    let from = flight.segment.from;
                    push(flight.sent, flight.sent, Kind::Send(from));
                    if flight.is_lost {
                        let lost = flight.sent.saturating_add(self.way);
                        push(lost, lost, Kind::Lost);
                    } else {
                        push(flight.arrives, flight.arrives, Kind::Arrive(from.other()));
                        arrived = arrived.max(flight.arrives);
                    }
                }
                Item::Icmp(_, icmp, time) => push(*time, *time, Kind::Arrive(icmp.to)),
                Item::Change(_, change, time) => push(*time, *time, Kind::Change(change.end)),
                Item::Arrived(..) => {}
                Item::Note(_, time) => {
                    // No line goes through its words, where nothing else happens meanwhile.
                    let next = self.items.get(at + 1).and_then(starts);
                    let is_free = arrived.saturating_sub(*time) <= self.way
                        && next.is_none_or(|next| next >= arrived);
                    let time = if is_free { arrived.max(*time) } else { *time };
                    push(time, time, Kind::Band);
                }
                Item::Fold(fold) => {
                    let (start, end) = (since(connection, fold.start), since(connection, fold.end));
                    // What was under way arrives before the run is drawn.
                    push(start.max(arrived.min(end)), end, Kind::Band);
                }
            }
        }
        // A stable sort: what happens at one moment stays in the order of the capture, a segment
        // leaves before it arrives.
        moments.sort_by_key(|moment| moment.time);
        moments
    }
}

/// When an item starts, unless that is told by another.
fn starts(item: &Item<'_>) -> Option<Nanos> {
    match item {
        Item::Flight(flight) => Some(flight.sent),
        Item::Icmp(_, _, time) | Item::Change(_, _, time) | Item::Note(_, time) => Some(*time),
        Item::Arrived(..) | Item::Fold(_) => None,
    }
}

fn item<'a>(connection: &Connection, step: &'a Step, ways: Ends<Nanos>) -> Option<Item<'a>> {
    let seen = since(connection, step.time);
    Some(match &step.what {
        What::Segment(segment) => Item::Flight(flight(connection, step, segment, seen, ways)),
        What::Icmp(icmp) => Item::Icmp(step, icmp, seen),
        What::State(change) => Item::Change(step, change, seen),
        What::Note(note) => Item::Note(note, seen),
        _ => return None,
    })
}

fn flight<'a>(
    connection: &Connection,
    step: &'a Step,
    segment: &'a Segment,
    seen: Nanos,
    ways: Ends<Nanos>,
) -> Flight<'a> {
    let (before, behind) = (ways[segment.from], ways[segment.from.other()]);
    let way = before.saturating_add(behind);
    let (sent, arrives, seen_at) = match segment.fate {
        Fate::Arrives(time) => (seen, since(connection, time).max(seen), 0.0),
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = if way > 0 {
                before as f64 / way as f64
            } else {
                0.0
            };
            (
                seen.saturating_sub(before),
                seen.saturating_add(behind),
                share,
            )
        }
    };
    Flight {
        segment,
        step,
        sent,
        arrives,
        seen,
        seen_at,
        is_lost: segment.fate == Fate::Lost,
    }
}

/// A change of state at the arrival of a segment that is drawn is drawn there.
fn join_arrivals(items: &mut [Item<'_>]) {
    let drawn: HashMap<u64, usize> = items
        .iter()
        .enumerate()
        .filter_map(|(at, item)| match item {
            Item::Flight(flight) if !flight.is_lost => Some((flight.segment.frame, at)),
            _ => None,
        })
        .collect();
    for item in items {
        if let Item::Change(step, change, _) = item
            && let Some(flight) = change.arrival_of.and_then(|frame| drawn.get(&frame))
        {
            *item = Item::Arrived(step, *flight);
        }
    }
}

/// Half of the shortest time in which each end answered: the way from the capture point to it.
/// Nothing where arrivals are known, or nothing was answered.
fn ways(connection: &Connection) -> Ends<Nanos> {
    let mut waiting: Ends<VecDeque<(u32, Duration)>> = Ends::default();
    let mut shortest: Ends<Option<Duration>> = Ends::default();
    for entry in connection.entries() {
        let Entry::Step(step) = entry else {
            waiting = Ends::default();
            continue;
        };
        let What::Segment(segment) = &step.what else {
            continue;
        };
        if matches!(segment.fate, Fate::Arrives(_)) {
            return Ends::default();
        }
        let from = segment.from;
        if let Some(ack) = segment.relative_ack {
            // Samples of this end: what was sent to it before.
            let sent = &mut waiting[from];
            let mut latest = None;
            while let Some((end, time)) = sent.front().copied()
                && end <= ack
            {
                latest = Some(time);
                sent.pop_front();
            }
            if let Some(time) = latest {
                let sample = step.time.saturating_sub(time);
                shortest[from] = Some(shortest[from].map_or(sample, |least| least.min(sample)));
            }
        }
        let to = from.other();
        if matches!(segment.meaning, Meaning::Retransmission { .. }) {
            // Karn's rule: which of the two is acknowledged cannot be told.
            waiting[to].clear();
        } else if segment.sequence_len() > 0 {
            let end = segment.relative_seq.saturating_add(segment.sequence_len());
            waiting[to].push_back((end, step.time));
        }
    }
    let half = |time: Option<Duration>| {
        time.and_then(|time| Nanos::try_from(time.as_nanos() / 2).ok())
            .unwrap_or(0)
    };
    Ends {
        client: half(shortest.client),
        server: half(shortest.server),
    }
}
