//! Where on the page each moment stands.

use super::moments::{Item, Kind, Moment, Nanos, Story};
use super::{Placed, Sizes};
use crate::svg::Scale;
use transom_flow::{End, Ends};

/// How far an arrow falls at least, so that its direction in time is seen.
const FALL_MIN: f64 = 16.0;
/// How far a typical arrow falls.
const FALL: f64 = 30.0;
/// The longest piece of time drawn at its length; what would be longer is cut and marked.
const STRETCH_MAX: f64 = 90.0;
/// Height of a cut.
const CUT: f64 = 40.0;
/// Heights of a picture to scale.
const LINEAR_MIN: f64 = 480.0;
const LINEAR_MAX: f64 = 6000.0;

/// A piece of time that is not drawn at its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) y: f64,
    pub(super) height: f64,
    pub(super) time: Nanos,
}

/// The places of all items.
#[derive(Default)]
pub(super) struct Places {
    /// For each item: where it starts, and where it ends.
    pub(super) items: Vec<Placed>,
    pub(super) gaps: Vec<Gap>,
    pub(super) height: f64,
}

impl Places {
    pub(super) fn of(&self, item: usize) -> Placed {
        self.items.get(item).copied().unwrap_or_default()
    }
}

pub(super) fn places(story: &Story<'_>, sizes: &Sizes, scale: Scale) -> Places {
    match scale {
        Scale::Compressed => compressed(story, sizes),
        Scale::Linear => linear(story),
    }
}

/// What stood last at an end, and where.
#[derive(Clone, Copy, Debug)]
struct Last {
    y: f64,
    kind: Kind,
    is_dense: bool,
}

struct Column<'a> {
    sizes: &'a Sizes,
    y: f64,
    last: Ends<Option<Last>>,
}

impl Column<'_> {
    /// How much room this moment needs behind what stood at the same end before.
    fn room(&self, last: Last, kind: Kind, is_dense: bool) -> f64 {
        let below = if last.is_dense { 4.0 } else { self.sizes.below };
        let above = self.sizes.above;
        match (last.kind, kind) {
            (Kind::Send(_), Kind::Send(_)) if last.is_dense && is_dense => self.sizes.dense,
            (Kind::Send(_), Kind::Send(_)) => above + below + 4.0,
            (Kind::Send(_), Kind::Arrive(_)) => below.max(14.0) + 2.0,
            (Kind::Arrive(_), Kind::Send(_)) => above + 3.0,
            (Kind::Arrive(_), Kind::Arrive(_)) if is_dense => 10.0,
            (Kind::Arrive(_), Kind::Arrive(_)) => 28.0,
            (Kind::Band, _) => above + 4.0,
            _ => 20.0,
        }
    }

    fn least(&self, end: End, kind: Kind, is_dense: bool) -> f64 {
        self.last[end].map_or(0.0, |last| last.y + self.room(last, kind, is_dense))
    }
}

fn compressed(story: &Story<'_>, sizes: &Sizes) -> Places {
    let mut places = Places {
        items: vec![Placed::default(); story.items.len()],
        ..Places::default()
    };
    let scale = pixels_per_nano(story);
    let dense = dense(story);
    let mut column = Column {
        sizes,
        y: 0.0,
        last: Ends::default(),
    };
    let mut before: Option<Nanos> = None;
    for moment in &story.moments {
        let is_dense = dense.get(moment.item).copied().unwrap_or(false);
        let quiet = before.map_or(0, |before| moment.time.saturating_sub(before));
        #[expect(clippy::cast_precision_loss, reason = "a length on paper")]
        let stretch = quiet.max(0) as f64 * scale;
        let from = column.y;
        let mut y = if stretch > STRETCH_MAX {
            places.gaps.push(Gap {
                y: from + sizes.below,
                height: CUT,
                time: quiet,
            });
            from + sizes.below + CUT + sizes.above
        } else {
            from + stretch
        };
        before = Some(before.map_or(moment.until, |before| before.max(moment.until)));
        let Some(placed) = places.items.get_mut(moment.item) else {
            continue;
        };
        match moment.kind {
            Kind::Band => {
                let height = band_height(story, sizes, moment);
                for end in End::BOTH {
                    if let Some(last) = column.last[end] {
                        let below = if last.is_dense {
                            8.0
                        } else {
                            sizes.below + 4.0
                        };
                        y = y.max(last.y + below);
                    }
                }
                *placed = Placed {
                    start: y,
                    end: y + height,
                    is_dense: false,
                };
                y += height;
                for end in End::BOTH {
                    column.last[end] = Some(Last {
                        y,
                        kind: moment.kind,
                        is_dense: false,
                    });
                }
            }
            Kind::Lost => {
                y = y.max(placed.start + FALL_MIN);
                placed.end = y;
            }
            Kind::Send(end) | Kind::Change(end) => {
                y = y.max(column.least(end, moment.kind, is_dense));
                *placed = Placed {
                    start: y,
                    end: y,
                    is_dense,
                };
                column.last[end] = Some(Last {
                    y,
                    kind: moment.kind,
                    is_dense,
                });
            }
            Kind::Arrive(end) => {
                y = y.max(column.least(end, moment.kind, is_dense));
                match story.items.get(moment.item) {
                    Some(Item::Icmp(..)) => {
                        *placed = Placed {
                            start: y,
                            end: y + FALL_MIN / 2.0,
                            is_dense,
                        };
                        y += FALL_MIN / 2.0;
                    }
                    _ => {
                        y = y.max(placed.start + FALL_MIN);
                        placed.end = y;
                    }
                }
                column.last[end] = Some(Last {
                    y,
                    kind: moment.kind,
                    is_dense,
                });
            }
        }
        column.y = column.y.max(y);
    }
    level_lost(story, &mut places);
    let ends = places.items.iter().map(|placed| placed.end);
    places.height = ends.fold(column.y, f64::max);
    places
}

/// A lost segment falls as the one before it does, so that segments sent together stay side by side.
fn level_lost(story: &Story<'_>, places: &mut Places) {
    let mut last: Ends<Option<(Nanos, f64)>> = Ends::default();
    let mut falls: Vec<(usize, f64)> = Vec::new();
    for (at, flight) in story.flights() {
        let from = flight.segment.from;
        if !flight.is_lost {
            let placed = places.of(at);
            last[from] = Some((flight.sent, placed.end - placed.start));
        } else if let Some((sent, fall)) = last[from]
            && flight.sent.saturating_sub(sent) <= story.way
        {
            falls.push((at, fall));
        }
    }
    for (at, fall) in falls {
        if let Some(placed) = places.items.get_mut(at) {
            placed.end = placed.start + fall;
        }
    }
}

/// How long a nanosecond is, so that a typical arrow falls a pleasant way.
fn pixels_per_nano(story: &Story<'_>) -> f64 {
    let typical = if story.way > 0 {
        story.way
    } else {
        let mut steps: Vec<Nanos> = story
            .moments
            .windows(2)
            .filter_map(|pair| match pair {
                [one, next] => Some(next.time.saturating_sub(one.until)),
                _ => None,
            })
            .filter(|time| *time > 0)
            .collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(1)
    };
    #[expect(clippy::cast_precision_loss, reason = "a length on paper")]
    let typical = typical.max(1) as f64;
    FALL / typical
}

/// Which segments stand close to their neighbours: bulk sent in bursts, with labels of one line.
fn dense(story: &Story<'_>) -> Vec<bool> {
    let mut dense = vec![false; story.items.len()];
    // Where the way is not known, what a burst takes on a fast link.
    let near = if story.way > 0 {
        story.way / 2
    } else {
        200_000
    };
    let mut last: Ends<Option<(usize, Nanos)>> = Ends::default();
    for (at, flight) in story.flights() {
        let from = flight.segment.from;
        let is_plain = flight.segment.hint.is_none() && flight.segment.meaning.is_bulk();
        if !is_plain {
            last[from] = None;
            continue;
        }
        if let Some((before, sent)) = last[from]
            && flight.sent.saturating_sub(sent) <= near
        {
            for at in [before, at] {
                if let Some(dense) = dense.get_mut(at) {
                    *dense = true;
                }
            }
        }
        last[from] = Some((at, flight.sent));
    }
    dense
}

fn band_height(story: &Story<'_>, sizes: &Sizes, moment: &Moment) -> f64 {
    match story.items.get(moment.item) {
        Some(Item::Note(note, _)) => sizes.note_height(&note.text),
        Some(Item::Fold(fold)) => sizes.fold_height(fold),
        _ => 0.0,
    }
}

fn linear(story: &Story<'_>) -> Places {
    let first = story.moments.first().map_or(0, |moment| moment.time);
    let last = story
        .moments
        .iter()
        .map(|moment| moment.until)
        .max()
        .unwrap_or(first);
    #[expect(clippy::cast_precision_loss, reason = "a length on paper")]
    let (span, count) = (
        last.saturating_sub(first).max(1) as f64,
        story.moments.len() as f64,
    );
    let height = (count * 18.0).clamp(LINEAR_MIN, LINEAR_MAX);
    #[expect(clippy::cast_precision_loss, reason = "a length on paper")]
    let y = |time: Nanos| time.saturating_sub(first) as f64 / span * height;
    let mut places = Places {
        items: vec![
            Placed {
                is_dense: true,
                ..Placed::default()
            };
            story.items.len()
        ],
        gaps: Vec::new(),
        height,
    };
    for moment in &story.moments {
        let Some(placed) = places.items.get_mut(moment.item) else {
            continue;
        };
        match moment.kind {
            Kind::Send(_) | Kind::Change(_) => {
                placed.start = y(moment.time);
                placed.end = placed.start;
            }
            Kind::Band => {
                placed.start = y(moment.time);
                placed.end = y(moment.until);
            }
            Kind::Arrive(_) | Kind::Lost => {
                placed.end = y(moment.time);
                if matches!(story.items.get(moment.item), Some(Item::Icmp(..))) {
                    placed.start = placed.end;
                }
            }
        }
    }
    places
}
