//! What stands on which row: steps and folded runs, arrivals that need a row of their own because
//! something crossed the segment on its way, and pauses.

use super::layout::CHANNELS;
use super::{Options, Scale};
use crate::rows::{Row, rows};
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use transom_flow::wire::tcp::Flags;
use transom_flow::{
    Cause, Connection, End, EndState, Ends, Entry, Fate, Fold, Meaning, Segment, Step, What,
};

/// Rows between departure and arrival beyond which a path down the screen says less than one arrow.
const ROWS_MAX: usize = 16;
/// A pause is worth a row if it is this long, and this many times as long as usual.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_FACTOR: u32 = 10;
/// Rows that a whole connection has about, drawn to scale.
const SCALE_ROWS: u32 = 40;

/// A row of the drawing.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A step; a segment's arrow goes all the way across, if no path is given for it.
    Step {
        step: &'a Step,
        path: Option<Path>,
    },
    /// One or two segments arrive, having left on rows above. The states are those after it, where
    /// a step tells them.
    Arrival {
        time: Duration,
        paths: Ends<Option<Path>>,
        states: Option<Ends<EndState>>,
    },
    Fold(Fold),
    /// Nothing happens for a while.
    Pause(Duration),
    /// Nothing happens, and a row stands for it.
    Blank,
}

/// The way of a segment down the screen, on one of the channels of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) from: End,
    pub(super) frame: u64,
    pub(super) channel: usize,
}

/// The rows of a drawing.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// Time that a blank row stands for, when drawn to scale.
    pub(super) unit: Option<Duration>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(connection: &'a Connection, options: &Options) -> Self {
        let items = with_arrivals(rows(connection, options.fold));
        match options.scale {
            Scale::Compressed => Self {
                items: with_pauses(items),
                unit: None,
            },
            Scale::Linear => to_scale(items, connection.start()),
        }
    }
}

const fn segment_of<'a>(row: &Row<'a>) -> Option<(&'a Step, &'a Segment)> {
    match row {
        Row::Step(
            step @ Step {
                what: What::Segment(segment),
                ..
            },
        ) => Some((step, segment)),
        _ => None,
    }
}

const fn arrival_of(row: &Row<'_>) -> Option<u64> {
    match row {
        Row::Step(Step {
            what: What::State(change),
            ..
        }) => change.arrival_of,
        _ => None,
    }
}

const fn start_of(row: &Row<'_>) -> Duration {
    match row {
        Row::Step(step) => step.time,
        Row::Fold(fold) => fold.start,
    }
}

/// Where a segment arrives: on a row that says so, or before a row.
#[derive(Clone, Copy)]
enum Landing {
    On(usize),
    Before(usize, Duration),
}

impl Landing {
    const fn row(self) -> usize {
        match self {
            Self::On(row) | Self::Before(row, _) => row,
        }
    }
}

/// Whether two segments that crossed are worth more than two arrows: their crossing tells why both
/// ends think what they think.
fn is_telling(a: &Segment, b: &Segment) -> bool {
    let is_control = |s: &Segment| s.flags.intersects(Flags::SYN | Flags::FIN | Flags::RST);
    let is_speech = |s: &Segment| s.len > 0;
    is_control(a)
        || is_control(b)
        || is_speech(a) && is_speech(b) && (a.hint.is_some() || b.hint.is_some())
}

/// The rows on which segments leave that cross another, with where they arrive.
fn crossings(rows: &[Row<'_>]) -> HashMap<usize, Landing> {
    let announced: HashMap<u64, usize> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| Some((arrival_of(row)?, at)))
        .collect();
    let mut landings: HashMap<usize, Landing> = HashMap::new();
    let mut crossing: HashSet<usize> = HashSet::new();
    for (at, row) in rows.iter().enumerate() {
        let Some((_, segment)) = segment_of(row) else {
            continue;
        };
        let on = announced.get(&segment.frame).filter(|on| **on > at);
        let landing = match (on, segment.fate) {
            (Some(on), _) => Landing::On(*on),
            (None, Fate::Arrives(time)) => {
                let later = rows.iter().skip(at + 1).take(ROWS_MAX + 1);
                let before = later.take_while(|row| start_of(row) < time).count();
                Landing::Before(at + 1 + before, time)
            }
            _ => continue,
        };
        if landing.row() - at > ROWS_MAX {
            continue;
        }
        landings.insert(at, landing);
        let under_way = rows.iter().enumerate().skip(at + 1);
        for (other_at, other) in under_way.take(landing.row() - at - 1) {
            // An arrival that changes a state is worth its row in any case.
            let is_announced = matches!(landing, Landing::On(_));
            let crosses = segment_of(other).is_some_and(|(_, other)| {
                other.from != segment.from && (is_announced || is_telling(segment, other))
            });
            if crosses {
                crossing.extend([at, other_at]);
            }
        }
    }
    landings.retain(|at, _| crossing.contains(at));
    landings
}

fn with_arrivals(rows: Vec<Row<'_>>) -> Vec<Item<'_>> {
    let landings = crossings(&rows);
    let mut items = Vec::with_capacity(rows.len());
    let mut under_way: Vec<(Path, Landing)> = Vec::new();
    let count = rows.len();
    for (at, row) in rows.into_iter().enumerate() {
        land_before(at, &mut under_way, &mut items);
        let landing = landings.get(&at).copied();
        let path = segment_of(&row).zip(landing).and_then(|((_, s), landing)| {
            let is_taken = |channel: usize| {
                under_way
                    .iter()
                    .any(|(path, _)| path.from == s.from && path.channel == channel)
            };
            let channel = (0..CHANNELS).find(|channel| !is_taken(*channel))?;
            let path = Path {
                from: s.from,
                frame: s.frame,
                channel,
            };
            under_way.push((path, landing));
            Some(path)
        });
        let landed = arrival_of(&row).and_then(|frame| {
            let place = under_way.iter().position(|(path, _)| path.frame == frame)?;
            Some(under_way.remove(place).0)
        });
        match (row, landed) {
            (Row::Step(step), Some(path)) => {
                arrive(&mut items, step.time, path, Some(step.states));
            }
            (Row::Step(step), None) => items.push(Item::Step { step, path }),
            (Row::Fold(fold), _) => items.push(Item::Fold(fold)),
        }
    }
    land_before(count, &mut under_way, &mut items);
    items
}

/// Lets everything arrive that does so before a row.
fn land_before(row: usize, under_way: &mut Vec<(Path, Landing)>, items: &mut Vec<Item<'_>>) {
    let mut due: Vec<(Duration, Path)> = Vec::new();
    under_way.retain(|(path, landing)| match landing {
        Landing::Before(before, time) if *before <= row => {
            due.push((*time, *path));
            false
        }
        _ => true,
    });
    due.sort_by_key(|(time, path)| (*time, path.frame));
    for (time, path) in due {
        arrive(items, time, path, None);
    }
}

/// Adds an arrival, on the row of another if both happen at once.
fn arrive(items: &mut Vec<Item<'_>>, time: Duration, path: Path, states: Option<Ends<EndState>>) {
    if let Some(Item::Arrival {
        time: other,
        paths,
        states: known,
    }) = items.last_mut()
        && *other == time
        && paths[path.from].is_none()
    {
        paths[path.from] = Some(path);
        *known = states.or(*known);
        return;
    }
    let mut paths = Ends::default();
    paths[path.from] = Some(path);
    items.push(Item::Arrival {
        time,
        paths,
        states,
    });
}

/// When an item starts and ends.
const fn times(item: &Item<'_>) -> Option<(Duration, Duration)> {
    match item {
        Item::Step { step, .. } => Some((step.time, step.time)),
        Item::Arrival { time, .. } => Some((*time, *time)),
        Item::Fold(fold) => Some((fold.start, fold.end)),
        Item::Pause(_) | Item::Blank => None,
    }
}

/// The time between each item and the one before it.
fn gaps(items: &[Item<'_>]) -> Vec<Duration> {
    let mut last: Option<Duration> = None;
    items
        .iter()
        .map(|item| {
            let Some((start, end)) = times(item) else {
                return Duration::ZERO;
            };
            let gap = last.map_or(Duration::ZERO, |last| start.saturating_sub(last));
            last = Some(last.map_or(end, |last| last.max(end)));
            gap
        })
        .collect()
}

fn with_pauses(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let gaps = gaps(&items);
    let mut sorted = gaps.clone();
    sorted.sort_unstable();
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let least = PAUSE_MIN.max(usual.saturating_mul(PAUSE_FACTOR));
    let mut spaced = Vec::with_capacity(items.len());
    for (item, gap) in items.into_iter().zip(gaps) {
        if gap >= least {
            spaced.push(Item::Pause(gap));
        }
        spaced.push(item);
    }
    spaced
}

fn to_scale(items: Vec<Item<'_>>, start: Duration) -> Plan<'_> {
    let end = items
        .iter()
        .filter_map(times)
        .map(|(_, end)| end)
        .max()
        .unwrap_or(start);
    let unit = end.saturating_sub(start) / SCALE_ROWS;
    if unit.is_zero() {
        return Plan { items, unit: None };
    }
    let gaps = gaps(&items);
    let mut spaced = Vec::with_capacity(items.len());
    // What is not yet worth a row is carried on, so that the sum is right.
    let mut owed = Duration::ZERO;
    for (item, gap) in items.into_iter().zip(gaps) {
        owed = owed.saturating_add(gap);
        while owed > unit {
            owed = owed.saturating_sub(unit);
            spaced.push(Item::Blank);
        }
        owed = owed.saturating_sub(unit.min(gap));
        spaced.push(item);
    }
    Plan {
        items: spaced,
        unit: Some(unit),
    }
}

/// Frames that were captured, and sent again before they were acknowledged: they seem to have been
/// lost behind the capture point, or their acknowledgement was.
pub(super) fn doubtful(connection: &Connection) -> HashSet<u64> {
    let mut frames = HashSet::new();
    let mut last_reset: Ends<Option<u64>> = Ends::default();
    for entry in connection.entries() {
        let Entry::Step(step) = entry else { continue };
        let What::Segment(segment) = &step.what else {
            continue;
        };
        if segment.flags.contains(Flags::RST) {
            last_reset[segment.from] = Some(segment.frame);
        }
        let Some(original) = again(segment) else {
            continue;
        };
        // What was answered with a reset had arrived; it is the reset that seems to be lost.
        let is_answered = last_reset[segment.from.other()].is_some_and(|reset| reset > original);
        if !is_answered {
            frames.insert(original);
        }
    }
    frames
}

/// The frame that a segment repeats because nothing was heard of it.
fn again(segment: &Segment) -> Option<u64> {
    match segment.meaning {
        // A SYN that nobody answers tells nothing about the way.
        Meaning::Retransmission { .. }
            if segment.flags.contains(Flags::SYN) && segment.ack.is_none() =>
        {
            None
        }
        Meaning::Retransmission {
            cause: Cause::Timeout | Cause::FastRetransmit | Cause::TailLossProbe,
            original,
        } => original,
        _ => None,
    }
}
