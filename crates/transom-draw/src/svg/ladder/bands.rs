//! What goes across both lifelines: cuts of time, notes, folded runs.

use super::lines::arrow_head;
use super::moments::{Item, Story};
use super::place::{Gap, Places};
use super::shape::Area;
use super::words::{Line, Word};
use super::{Placed, Sizes};
use crate::svg::markup::{N, Text};
use std::fmt::Write as _;
use transom_flow::words::duration;
use transom_flow::{End, Fold};

/// The notes and runs that have room for their text.
pub(super) struct Bands {
    /// Items, and where each stands; in order, and none over another.
    told: Vec<(usize, Placed)>,
    /// Where the last one ends.
    pub(super) bottom: f64,
}

impl Bands {
    /// Finds room: always, but where time is to scale.
    pub(super) fn of(story: &Story<'_>, places: &Places, sizes: &Sizes) -> Self {
        let mut bands = Self {
            told: Vec::new(),
            bottom: f64::MIN,
        };
        for (at, item) in story.items.iter().enumerate() {
            let needed = match item {
                Item::Note(note, _) => sizes.note_height(&note.text),
                Item::Fold(fold) => sizes.fold_height(fold),
                _ => continue,
            };
            let mut placed = places.of(at);
            placed.end = placed.end.max(placed.start + needed);
            if placed.start >= bands.bottom {
                bands.bottom = placed.end + 2.0;
                bands.told.push((at, placed));
            }
        }
        bands
    }

    /// What they cover.
    pub(super) fn areas(&self, sizes: &Sizes) -> Vec<Area> {
        let across = (sizes.lines.client, sizes.lines.server);
        self.told
            .iter()
            .map(|(_, placed)| Area::turned((0.0, 0.0), 0.0, across, (placed.start, placed.end)))
            .collect()
    }

    /// Draws cuts of time, notes and folded runs.
    pub(super) fn draw(&self, out: &mut String, story: &Story<'_>, places: &Places, sizes: &Sizes) {
        for gap in &places.gaps {
            cut(out, gap, sizes);
        }
        for (at, placed) in &self.told {
            match story.items.get(*at) {
                Some(Item::Note(text, _)) => note(out, &text.text, *placed, sizes),
                Some(Item::Fold(run)) => fold(out, run, *placed, sizes),
                _ => {}
            }
        }
    }
}

/// A wave through both lifelines.
fn cut(out: &mut String, gap: &Gap, sizes: &Sizes) {
    let y = gap.y + gap.height / 2.0;
    for end in End::BOTH {
        let x = sizes.lines[end];
        for (class, width) in [("lg", 7), ("lf", 1)] {
            for dy in [-3.0, 3.0] {
                if class == "lg" && dy > 0.0 {
                    continue;
                }
                let dy = if class == "lg" { 0.0 } else { dy };
                let _ = write!(
                    out,
                    "<path class=\"cut {class}\" stroke-width=\"{width}\" d=\"M{} {}q5 -5 9 0t9 0\"/>",
                    N(x - 9.0),
                    N(y + dy)
                );
            }
        }
    }
}

fn note(out: &mut String, text: &str, placed: Placed, sizes: &Sizes) {
    let lines = sizes.note_lines(text);
    let left = sizes.lines.client + 26.0;
    let _ = write!(
        out,
        "<rect class=\"pn\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\"/>",
        N(left),
        N(placed.start),
        N(sizes.span() - 52.0),
        N(sizes.note_height(text))
    );
    let mut y = placed.start + 18.0;
    for line in lines {
        let _ = write!(
            out,
            "<text class=\"fa\" x=\"{}\" y=\"{}\">{}</text>",
            N(left + 10.0),
            N(y),
            Text(&line)
        );
        y += 16.0;
    }
}

/// What a folded run held in each direction.
fn folded(fold: &Fold, end: End) -> Line {
    let label = crate::text::label::folded(&fold.sent[end]);
    Line(vec![
        Word::bold("…", "fa"),
        Word::new(label, ""),
        Word::bold("…", "fa"),
    ])
}

fn fold(out: &mut String, fold: &Fold, placed: Placed, sizes: &Sizes) {
    let (left, right) = (sizes.lines.client + 18.0, sizes.lines.server - 18.0);
    let lasts = duration(fold.end.saturating_sub(fold.start));
    let _ = write!(
        out,
        "<g class=\"fold\"><title>{} steps in {lasts}</title><rect class=\"pn\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
        fold.steps,
        N(left),
        N(placed.start),
        N(right - left),
        N(placed.end - placed.start)
    );
    let mut y = placed.start + 18.0;
    for end in End::BOTH {
        if fold.sent[end].segments == 0 || y > placed.end {
            continue;
        }
        let line = folded(fold, end).fitted(right - left - 120.0);
        let half = line.width() / 2.0 + 12.0;
        let middle = left.midpoint(right);
        let (tail, head) = match end {
            End::Client => (left + 10.0, right - 10.0),
            End::Server => (right - 10.0, left + 10.0),
        };
        let side = (head - tail).signum();
        let _ = write!(
            out,
            "<path class=\"a l dash\" d=\"M{} {y}H{}M{} {y}H{}\"/>",
            N(tail),
            N(middle - side * half),
            N(middle + side * half),
            N(head - side * 6.0),
            y = N(y)
        );
        arrow_head(out, (head, y), (side, 0.0), "");
        let _ = write!(
            out,
            "<text class=\"m\" x=\"{}\" y=\"{}\">",
            N(middle),
            N(y + 4.0)
        );
        line.write(out);
        out.push_str("</text>");
        y += 22.0;
    }
    out.push_str("</g>");
}
