//! Arrows with their labels, and what goes across both lifelines.

use super::bands::Bands;
use super::labels::Labels;
use super::moments::{Flight, Item, Story};
use super::place::Places;
use super::words;
use super::{Placed, Sizes};
use crate::svg::markup::{N, Text};
use std::collections::HashMap;
use std::fmt::Write as _;
use transom_flow::{End, Ends, Meaning};

/// How much of its way a lost segment goes.
const LOST_AT: f64 = 0.66;

/// The line of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub(super) from: End,
    /// Heights at the client's lifeline and at the server's.
    pub(super) ys: Ends<f64>,
    /// Whether another line crosses it.
    pub(super) is_crossed: bool,
    pub(super) is_dense: bool,
}

impl Track {
    fn of(flight: &Flight<'_>, placed: Placed) -> Self {
        let from = flight.segment.from;
        let mut ys = Ends {
            client: placed.end,
            server: placed.end,
        };
        ys[from] = placed.start;
        Self {
            from,
            ys,
            is_crossed: false,
            is_dense: placed.is_dense,
        }
    }

    fn crosses(&self, other: &Self) -> bool {
        let client = self.ys.client - other.ys.client;
        let server = self.ys.server - other.ys.server;
        client * server < 0.0
    }

    /// Touches the same height as another line at least somewhere.
    fn top(&self) -> f64 {
        self.ys.client.min(self.ys.server)
    }

    fn bottom(&self) -> f64 {
        self.ys.client.max(self.ys.server)
    }
}

fn tracks(story: &Story<'_>, places: &Places) -> Vec<(usize, Track)> {
    let mut tracks: Vec<(usize, Track)> = story
        .flights()
        .map(|(at, flight)| (at, Track::of(flight, places.of(at))))
        .collect();
    let all: Vec<Track> = tracks.iter().map(|(_, track)| *track).collect();
    for (_, track) in &mut tracks {
        track.is_crossed = all.iter().any(|other| {
            other.bottom() >= track.top() && other.top() <= track.bottom() && track.crosses(other)
        });
    }
    tracks
}

/// A filled head at a point, in a direction of length one.
pub(super) fn arrow_head(out: &mut String, (x, y): (f64, f64), (dx, dy): (f64, f64), class: &str) {
    let (back, side) = (9.0, 4.0);
    let (bx, by) = (x - dx * back, y - dy * back);
    let _ = write!(
        out,
        "<path class=\"f {class}\" d=\"M{} {}L{} {}L{} {}Z\"/>",
        N(x),
        N(y),
        N(bx - dy * side),
        N(by + dx * side),
        N(bx + dy * side),
        N(by - dx * side)
    );
}

/// Draws all arrows, the bands over them, and the labels over those.
pub(super) fn arrows(
    out: &mut String,
    story: &Story<'_>,
    places: &Places,
    bands: &Bands,
    sizes: &Sizes,
) {
    let tracks = tracks(story, places);
    arcs(out, story, places, sizes);
    let mut labels = Labels::new(bands.areas(sizes), sizes);
    for (at, item) in story.items.iter().enumerate() {
        match item {
            Item::Icmp(_, icmp, _) => labels.icmp(out, icmp, places.of(at)),
            Item::Change(_, change, _) => {
                labels.change(&words::change(change), change.end, places.of(at).start)
            }
            _ => {}
        }
    }
    for (at, track) in &tracks {
        if let Some(Item::Flight(flight)) = story.items.get(*at) {
            line(out, flight, track, sizes);
            labels.segment(flight, track);
        }
    }
    // Over the lines, under the labels.
    bands.draw(out, story, places, sizes);
    out.push_str(&labels.out);
}

/// The line of a segment, with its head, or with a cross where it is lost.
fn line(out: &mut String, flight: &Flight<'_>, track: &Track, sizes: &Sizes) {
    let from = track.from;
    let side = -Sizes::outwards(from);
    let start = (sizes.lines[from] + side * Sizes::HALF, track.ys[from]);
    let end = (
        sizes.lines[from.other()] - side * Sizes::HALF,
        track.ys[from.other()],
    );
    let (dx, dy) = (end.0 - start.0, end.1 - start.1);
    let length = dx.hypot(dy).max(1.0);
    let way = (dx / length, dy / length);
    let (text_ink, ink) = words::inks(flight.segment);
    let shape = match flight.segment.meaning {
        _ if flight.is_lost => " dash",
        Meaning::Reset | Meaning::ResetAgain => " thick",
        Meaning::Retransmission { .. } => " dash",
        _ => "",
    };
    let stop = if flight.is_lost {
        (start.0 + dx * LOST_AT, start.1 + dy * LOST_AT)
    } else {
        (end.0 - way.0 * 7.0, end.1 - way.1 * 7.0)
    };
    let _ = write!(
        out,
        "<g class=\"seg\"><title>{}</title><path class=\"a {ink}{shape}\" d=\"M{} {}L{} {}\"/>",
        Text(&tooltip(flight)),
        N(start.0),
        N(start.1),
        N(stop.0),
        N(stop.1)
    );
    if flight.is_lost {
        let _ = write!(
            out,
            "<path class=\"thick {ink}\" d=\"M{} {}l11 11m0 -11l-11 11\"/>",
            N(stop.0 + side * 6.0 - 5.5),
            N(stop.1 - 5.5)
        );
    } else {
        arrow_head(out, end, way, text_ink);
    }
    out.push_str("</g>");
}

fn tooltip(flight: &Flight<'_>) -> String {
    let mut text = words::above(flight.segment).plain();
    text.push_str("  ");
    text.push_str(&words::below(flight.segment, true).plain());
    text
}

/// Arcs along the sender's lifeline, from a segment to the same data sent again.
fn arcs(out: &mut String, story: &Story<'_>, places: &Places, sizes: &Sizes) {
    let by_frame: HashMap<u64, usize> = story
        .flights()
        .map(|(at, flight)| (flight.segment.frame, at))
        .collect();
    let mut lanes: Ends<[f64; 3]> = Ends {
        client: [f64::MIN; 3],
        server: [f64::MIN; 3],
    };
    for (at, flight) in story.flights() {
        let Meaning::Retransmission {
            original: Some(original),
            ..
        } = flight.segment.meaning
        else {
            continue;
        };
        let Some(first) = by_frame.get(&original) else {
            continue;
        };
        let (top, bottom) = (places.of(*first).start, places.of(at).start);
        let from = flight.segment.from;
        let free = lanes[from].iter().position(|taken| *taken < top);
        let lane = free.unwrap_or(lanes[from].len() - 1);
        if let Some(taken) = lanes[from].get_mut(lane) {
            *taken = bottom;
        }
        let side = -Sizes::outwards(from);
        #[expect(clippy::cast_precision_loss, reason = "three lanes")]
        let bulge = 9.0 + 6.0 * lane as f64;
        let x = sizes.lines[from] + side * (Sizes::HALF + 1.0);
        let bend = (bottom - top).min(12.0);
        let tip = x + side * bulge;
        let _ = write!(
            out,
            "<path class=\"thin la\" d=\"M{x} {top}Q{tip} {top} {tip} {a}V{b}Q{tip} {bottom} {y} {bottom}\"/>",
            x = N(x),
            top = N(top),
            tip = N(tip),
            a = N(top + bend),
            b = N(bottom - bend),
            y = N(x + side * 4.0),
            bottom = N(bottom),
        );
        arrow_head_small(out, (x + side, bottom), -side);
    }
}

fn arrow_head_small(out: &mut String, (x, y): (f64, f64), side: f64) {
    let _ = write!(
        out,
        "<path class=\"f ag\" d=\"M{} {}l{} -3v6Z\"/>",
        N(x),
        N(y),
        N(-side * 5.0)
    );
}
