//! The sequence diagram: two lifelines, arrows between them, and what each end is in.
//!
//! - `moments`: what happens when at which end
//! - `place`: where on the page
//! - `words`: what stands at an arrow
//! - `lines`: arrows; `labels`: what stands at them; `shape`: whether that overlaps
//! - `bands`: notes and folded runs
//! - `lanes`: states and windows at the lifelines
//! - `frame`: heading, caption and legend

mod bands;
mod frame;
mod labels;
mod lanes;
mod lines;
mod moments;
mod place;
pub(crate) mod shape;
mod words;

pub(crate) use frame::mark;

use super::font::{self, Weight};
use super::{Options, Picture};
use crate::text::cell;
use transom_flow::{Connection, End, Ends, Fold};

/// Where an item starts and ends on the page, from the top of the lifelines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placed {
    start: f64,
    end: f64,
    /// Whether its label has one line only.
    is_dense: bool,
}

/// Lengths that everything else follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    width: f64,
    /// The lifelines.
    lines: Ends<f64>,
    /// Room above an arrow for its label, and below.
    above: f64,
    below: f64,
    /// Distance of arrows whose labels have one line.
    dense: f64,
}

impl Sizes {
    /// Room for the longest state's name.
    const STATE: f64 = 102.0;
    /// Room for a window's bar, outside of the lifeline.
    const WINDOW: f64 = 28.0;
    /// Half of a lifeline's width.
    const HALF: f64 = 4.5;
    /// Room for a time.
    const TIME: f64 = 82.0;
    const MARGIN: f64 = 16.0;

    fn new(options: &Options) -> Self {
        let width = options.pixels();
        let outside = Self::STATE + Self::WINDOW + Self::HALF + 10.0;
        Self {
            width,
            lines: Ends {
                client: Self::MARGIN + Self::TIME + outside,
                server: width - Self::MARGIN - outside,
            },
            above: 17.0,
            below: 15.0,
            dense: 18.0,
        }
    }

    /// Between the lifelines.
    fn span(&self) -> f64 {
        self.lines.server - self.lines.client
    }

    /// Away from the other end.
    fn outwards(end: End) -> f64 {
        match end {
            End::Client => -1.0,
            End::Server => 1.0,
        }
    }

    fn note_room(&self) -> f64 {
        self.span() - 72.0
    }

    fn note_lines(&self, text: &str) -> Vec<String> {
        let mut lines = font::wrapped(
            &cell::escaped(text, false),
            12.0,
            Weight::Normal,
            self.note_room(),
        );
        if lines.len() > NOTE_LINES {
            lines.truncate(NOTE_LINES);
            lines.push("…".into());
        }
        lines
    }

    #[expect(clippy::cast_precision_loss, reason = "a few lines")]
    fn note_height(&self, text: &str) -> f64 {
        self.note_lines(text).len() as f64 * 16.0 + 12.0
    }

    fn fold_height(&self, fold: &Fold) -> f64 {
        let ways = End::BOTH
            .iter()
            .filter(|end| fold.sent[**end].segments > 0)
            .count()
            .max(1);
        #[expect(clippy::cast_precision_loss, reason = "one or two")]
        let ways = ways as f64;
        ways * 22.0 + 14.0
    }
}

/// Lines of a note at most.
const NOTE_LINES: usize = 12;

pub(super) fn draw(connection: &Connection, options: &Options) -> Picture {
    let sizes = Sizes::new(options);
    let story = moments::Story::of(connection, options.unfold);
    let places = place::places(&story, &sizes, options.scale);
    let mut body = String::new();
    let top = frame::head(&mut body, connection, &sizes, options);
    body.push_str(&format!(
        "<g transform=\"translate(0 {})\">",
        super::markup::N(top)
    ));
    let lanes = lanes::Lanes::of(connection, &story, &places);
    let bands = bands::Bands::of(&story, &places, &sizes);
    let height = places.height.max(bands.bottom).max(lanes.bottom()) + 24.0;
    lanes.bars(&mut body, &sizes, height);
    lines::arrows(&mut body, &story, &places, &bands, &sizes);
    lanes.names(&mut body, &story, &places, &sizes, height);
    lanes::windows(&mut body, &story, &places, &sizes, lanes.windows);
    lanes::times(&mut body, connection, &story, &places);
    body.push_str("</g>");
    let verdict = connection.verdict();
    let shown = (!options.embedded).then_some(&verdict);
    let bottom = frame::foot(&mut body, shown, &lanes, &sizes, top + height + 14.0);
    Picture {
        width: sizes.width,
        height: bottom,
        body,
        title: frame::title(connection, options),
        description: verdict.text(),
    }
}
