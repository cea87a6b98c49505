//! The lifelines: each end's state as a bar with its name, the window it offers, and the time.

use super::Sizes;
use super::moments::{Item, Nanos, Story, since};
use super::place::Places;
use crate::svg::font::{self, Weight};
use crate::svg::markup::{N, Text};
use crate::svg::palette::state_class;
use std::fmt::Write as _;
use transom_flow::wire::tcp::Flags;
use transom_flow::words::duration;
use transom_flow::{Basis, Connection, End, EndState, Ends};

/// Least distance of two names.
const NAME: f64 = 14.0;
/// The same in a burst, where all arrows find the same state.
const CROWD: f64 = 40.0;
/// Least distance of two times.
const TIME: f64 = 12.5;
/// How far above the first arrow the lifelines start.
pub(super) const LEAD: f64 = 26.0;

/// A state from some place on.
#[derive(Clone, Copy, Debug)]
struct Mark {
    y: f64,
    state: EndState,
}

/// Whether sending such a segment leaves its sender's state as it was.
fn is_answer(flags: Flags) -> bool {
    let is_first = flags.contains(Flags::SYN) && !flags.contains(Flags::ACK);
    !is_first && !flags.intersects(Flags::FIN | Flags::RST)
}

/// When and where segments arrive at each end.
struct Arrivals(Ends<Vec<(Nanos, f64)>>);

impl Arrivals {
    fn of(story: &Story<'_>, places: &Places) -> Self {
        let mut arrivals = Ends::<Vec<(Nanos, f64)>>::default();
        for (at, flight) in story.flights().filter(|(_, flight)| !flight.is_lost) {
            arrivals[flight.segment.from.other()].push((flight.arrives, places.of(at).end));
        }
        for end in End::BOTH {
            arrivals[end].sort_by_key(|(time, _)| *time);
        }
        Self(arrivals)
    }

    /// Where the last one before this time stands.
    fn before(&self, end: End, time: Nanos) -> Option<f64> {
        let arrivals = &self.0[end];
        let count = arrivals.partition_point(|(arrival, _)| *arrival <= time);
        arrivals.get(count.checked_sub(1)?).map(|(_, y)| *y)
    }
}

/// The states of both ends, down the page.
pub(super) struct Lanes {
    marks: Ends<Vec<Mark>>,
    pub(super) any_observed: bool,
    pub(super) any_inferred: bool,
    /// The widest window of each end.
    pub(super) windows: Ends<u32>,
}

impl Lanes {
    pub(super) fn of(connection: &Connection, story: &Story<'_>, places: &Places) -> Self {
        let mut lanes = Self {
            marks: Ends::default(),
            any_observed: false,
            any_inferred: false,
            windows: Ends::default(),
        };
        lanes.put(
            connection.initial_states(),
            Ends {
                client: -LEAD,
                server: -LEAD,
            },
        );
        let arrivals = Arrivals::of(story, places);
        for (at, item) in story.items.iter().enumerate() {
            let placed = places.of(at);
            match item {
                Item::Flight(flight) => {
                    let from = flight.segment.from;
                    let mut ys = Ends {
                        client: placed.start,
                        server: placed.start,
                    };
                    if is_answer(flight.segment.flags) {
                        // Such a segment changes nothing at its sender: what came in before did.
                        ys[from] = arrivals.before(from, flight.sent).unwrap_or(placed.start);
                    }
                    ys[from.other()] = placed.end;
                    lanes.put(flight.step.states, ys);
                    if !flight.segment.flags.contains(Flags::RST) {
                        let widest = &mut lanes.windows[from];
                        *widest = (*widest).max(flight.segment.window);
                    }
                }
                Item::Icmp(step, ..) | Item::Change(step, ..) => {
                    lanes.put(
                        step.states,
                        Ends {
                            client: placed.end,
                            server: placed.end,
                        },
                    );
                }
                Item::Arrived(step, flight) => {
                    let y = places.of(*flight).end;
                    lanes.put(
                        step.states,
                        Ends {
                            client: y,
                            server: y,
                        },
                    );
                }
                Item::Fold(fold) => {
                    lanes.put(
                        fold.states,
                        Ends {
                            client: placed.end,
                            server: placed.end,
                        },
                    );
                }
                Item::Note(..) => {}
            }
        }
        lanes
    }

    /// Notes where the states change. States follow each other as the connection tells them, even
    /// where their places on the page would not.
    fn put(&mut self, states: Ends<EndState>, ys: Ends<f64>) {
        for end in End::BOTH {
            let state = states[end];
            match (state.state, state.basis) {
                (None, _) => {}
                (_, Basis::Observed) => self.any_observed = true,
                (_, Basis::Inferred) => self.any_inferred = true,
            }
            let marks = &mut self.marks[end];
            let last = marks.last().copied();
            if last.is_none_or(|last| last.state != state) {
                let y = last.map_or(ys[end], |last| ys[end].max(last.y));
                marks.push(Mark { y, state });
            }
        }
    }

    /// Whether both observed and inferred states occur.
    pub(super) const fn are_mixed(&self) -> bool {
        self.any_observed && self.any_inferred
    }

    /// Draws the bars: solid where a state was observed, broken where it was inferred.
    pub(super) fn bars(&self, out: &mut String, sizes: &Sizes, height: f64) {
        for end in End::BOTH {
            let x = N(sizes.lines[end]);
            let marks = &self.marks[end];
            for (at, mark) in marks.iter().enumerate() {
                let until = marks.get(at + 1).map_or(height, |next| next.y);
                if until - mark.y < 0.05 {
                    continue;
                }
                let (top, bottom) = (N(mark.y), N(until));
                let Some(state) = mark.state.state else {
                    let _ = write!(out, "<path class=\"a rl dot\" d=\"M{x} {top}V{bottom}\"/>");
                    continue;
                };
                let class = state_class(state);
                let broken = if mark.state.basis == Basis::Inferred {
                    " inf"
                } else {
                    ""
                };
                let _ = write!(
                    out,
                    "<path class=\"bar {class}{broken}\" d=\"M{x} {top}V{bottom}\"/>"
                );
            }
        }
    }

    /// Writes the states' names: in bold where they change, faint beside every other arrow.
    pub(super) fn names(
        &self,
        out: &mut String,
        story: &Story<'_>,
        places: &Places,
        sizes: &Sizes,
        height: f64,
    ) {
        for end in End::BOTH {
            let mut taken: Vec<f64> = Vec::new();
            for (mark, y) in self.news(end) {
                taken.push(y);
                self.name(out, end, mark.state, (y, mark.y), true, sizes);
            }
            for (y, state, is_dense) in self.at_arrows(end, story, places) {
                let apart = if is_dense { CROWD } else { NAME };
                let is_free = taken.iter().all(|other| (other - y).abs() >= apart);
                if is_free && y < height {
                    taken.push(y);
                    self.name(out, end, state, (y, y), false, sizes);
                }
            }
        }
    }

    /// The states that an end enters, and where their names stand.
    fn news(&self, end: End) -> Vec<(Mark, f64)> {
        let marks = &self.marks[end];
        let mut news: Vec<(Mark, f64)> = Vec::new();
        for (at, mark) in marks.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| marks.get(at));
            let is_same = before.is_some_and(|before| before.state.state == mark.state.state);
            let is_over = marks.get(at + 1).is_some_and(|next| next.y - mark.y < 0.05);
            if !is_same && !is_over {
                let y = news
                    .last()
                    .map_or(mark.y, |(_, last)| mark.y.max(last + NAME));
                news.push((*mark, y));
            }
        }
        news
    }

    /// Where the last name stands.
    pub(super) fn bottom(&self) -> f64 {
        let lasts = End::BOTH.map(|end| self.news(end).last().map_or(0.0, |(_, y)| *y));
        lasts.into_iter().fold(0.0, f64::max)
    }

    /// The state of an end at each arrow that starts or ends there.
    fn at_arrows(
        &self,
        end: End,
        story: &Story<'_>,
        places: &Places,
    ) -> Vec<(f64, EndState, bool)> {
        let marks = &self.marks[end];
        let state_at = |y: f64| {
            marks
                .iter()
                .rev()
                .find(|mark| mark.y <= y + 0.05)
                .map(|mark| mark.state)
        };
        story
            .flights()
            .filter(|(_, flight)| flight.segment.from == end || !flight.is_lost)
            .filter_map(|(at, flight)| {
                let placed = places.of(at);
                let y = if flight.segment.from == end {
                    placed.start
                } else {
                    placed.end
                };
                Some((y, state_at(y)?, placed.is_dense))
            })
            .collect()
    }

    fn name(
        &self,
        out: &mut String,
        end: End,
        state: EndState,
        (y, at): (f64, f64),
        is_new: bool,
        sizes: &Sizes,
    ) {
        let mut name = state
            .state
            .map_or_else(|| "?".to_owned(), |state| state.to_string());
        let is_inferred = state.basis == Basis::Inferred;
        if self.are_mixed() && is_inferred && state.state.is_some() {
            name.push('?');
        }
        let mut classes = vec![if is_new { "b" } else { "xs fa" }];
        if is_inferred {
            classes.push("i");
        }
        if end == End::Client {
            classes.push("e");
        }
        let side = Sizes::outwards(end);
        let x = sizes.lines[end] + side * (Sizes::HALF + Sizes::WINDOW + 8.0);
        let _ = write!(
            out,
            "<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>",
            classes.join(" "),
            N(x),
            N(y + 4.0),
            Text(&name)
        );
        if is_new {
            let line = sizes.lines[end];
            let _ = write!(
                out,
                "<path class=\"thin l\" d=\"M{} {}H{}L{} {}\"/>",
                N(line - side * Sizes::HALF),
                N(at),
                N(line + side * (Sizes::HALF + 3.0)),
                N(x - side * 4.0),
                N(y)
            );
        }
    }
}

/// Draws the window that each segment offers, as a bar beside the lifeline of its sender.
pub(super) fn windows(
    out: &mut String,
    story: &Story<'_>,
    places: &Places,
    sizes: &Sizes,
    widest: Ends<u32>,
) {
    let mut last: Ends<Option<(f64, u32)>> = Ends::default();
    for (at, flight) in story.flights() {
        let (from, window) = (flight.segment.from, flight.segment.window);
        if flight.segment.flags.contains(Flags::RST) {
            continue;
        }
        let y = places.of(at).start;
        let is_crowded =
            last[from].is_some_and(|(above, other)| (y - above).abs() < 6.0 && other == window);
        if is_crowded {
            continue;
        }
        last[from] = Some((y, window));
        let side = Sizes::outwards(from);
        let x = sizes.lines[from] + side * (Sizes::HALF + 3.0);
        if window == 0 {
            let _ = write!(
                out,
                "<path class=\"a lb\" d=\"M{} {}l6 6m0 -6l-6 6\"/>",
                N(x + side * 4.0 - 3.0),
                N(y + 3.0)
            );
            continue;
        }
        let share = f64::from(window) / f64::from(widest[from].max(1));
        let length = (share * (Sizes::WINDOW - 3.0)).max(1.0);
        let _ = write!(
            out,
            "<path class=\"win lr\" d=\"M{} {}h{}\"/>",
            N(x),
            N(y + 4.5),
            N(side * length)
        );
    }
}

/// Writes when things were seen, at the left margin.
pub(super) fn times(out: &mut String, connection: &Connection, story: &Story<'_>, places: &Places) {
    let mut times: Vec<(f64, Nanos)> = Vec::new();
    for (at, item) in story.items.iter().enumerate() {
        let placed = places.of(at);
        match item {
            Item::Flight(flight) => {
                let y = placed.start + (placed.end - placed.start) * flight.seen_at;
                times.push((y, flight.seen));
            }
            Item::Icmp(_, _, time) | Item::Change(_, _, time) => times.push((placed.end, *time)),
            Item::Note(_, time) => times.push((placed.start + 12.0, *time)),
            Item::Fold(fold) => {
                times.push((placed.start + 12.0, since(connection, fold.start)));
                if placed.end - placed.start > 40.0 {
                    times.push((placed.end - 12.0, since(connection, fold.end)));
                }
            }
            Item::Arrived(..) => {}
        }
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut taken: Vec<f64> = Vec::new();
    let mut last: Option<String> = None;
    for (y, time) in times {
        let text = clock(time);
        let above = taken.last().copied().unwrap_or(f64::MIN);
        let is_repeat = last.as_ref() == Some(&text) && y - above < 3.0 * TIME;
        // A time stands beside its arrow, or a little below it, or not at all.
        if is_repeat || y - above < TIME / 2.0 {
            continue;
        }
        let y = y.max(above + TIME);
        margin(out, "sm fa e", y, &text);
        taken.push(y);
        last = Some(text);
    }
    for gap in &places.gaps {
        let y = gap.y + gap.height / 2.0;
        if taken.iter().all(|other| (other - y).abs() >= TIME) {
            let time = std::time::Duration::from_nanos(u64::try_from(gap.time).unwrap_or(0));
            let text = format!("{} later", duration(time));
            let text = font::cut(&text, 10.5, Weight::Normal, Sizes::TIME - 6.0);
            margin(out, "sm i fa e", y, &text);
            taken.push(y);
        }
    }
}

fn margin(out: &mut String, class: &str, y: f64, text: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
        N(Sizes::MARGIN + Sizes::TIME - 6.0),
        N(y + 4.0),
        Text(text)
    );
}

/// As in the text's first column: milliseconds, seconds where that is too long.
fn clock(time: Nanos) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three decimals are shown")]
    let seconds = time as f64 / 1e9;
    if seconds < 10.0 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        format!("{seconds:.3} s")
    }
}
