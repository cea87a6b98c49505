//! What stands at arrows and lifelines, placed so that no label overlaps another.

use super::lines::{Track, arrow_head};
use super::moments::Flight;
use super::shape::Area;
use super::words::{self, Line, Word};
use super::{Placed, Sizes};
use crate::svg::markup::N;
use std::fmt::Write as _;
use transom_flow::wire::tcp::Flags;
use transom_flow::words::bytes;
use transom_flow::{End, Ends, IcmpError, Segment};

/// Where labels start, from the lifeline: behind the arcs to what is sent again.
const INDENT: f64 = 30.0;
/// Baselines above and below a line.
const ABOVE: f64 = -5.0;
const BELOW: f64 = 12.5;

/// Labels, each where it overlaps no other.
pub(super) struct Labels<'a> {
    sizes: &'a Sizes,
    taken: Vec<Area>,
    /// The window that was told last, in words.
    windows: Ends<Option<String>>,
    pub(super) out: String,
}

/// One way to place a label.
struct Try {
    above: Line,
    below: Line,
    is_centered: bool,
}

impl<'a> Labels<'a> {
    /// With what is covered already.
    pub(super) fn new(taken: Vec<Area>, sizes: &'a Sizes) -> Self {
        Self {
            sizes,
            taken,
            windows: Ends::default(),
            out: String::new(),
        }
    }

    pub(super) fn segment(&mut self, flight: &Flight<'_>, track: &Track) {
        let sizes = self.sizes;
        let origin = (sizes.lines.client, track.ys.client);
        let (dx, dy) = (sizes.span(), track.ys.server - track.ys.client);
        let (length, angle) = (dx.hypot(dy), dy.atan2(dx));
        let tells_window = self.tells_window(flight.segment);
        let above = words::above(flight.segment);
        let below = words::below(flight.segment, tells_window);
        let whole = length - 2.0 * INDENT;
        let half = length / 2.0 - INDENT - 8.0;
        let is_aside = track.is_crossed || track.is_dense || flight.is_lost;
        let room = if track.is_crossed { half } else { whole };
        let mut tries = Vec::new();
        let mut line = above.clone().fitted(room);
        if track.is_dense || track.is_crossed {
            let mut joined = above;
            joined.0.extend(below.0);
            line = joined.fitted(room);
        } else {
            tries.push(Try {
                above: line.clone(),
                below: below.fitted(room),
                is_centered: !is_aside,
            });
            tries.push(Try {
                above: line.clone(),
                below: Line::default(),
                is_centered: !is_aside,
            });
            line = line.fitted(half);
        }
        while !line.is_empty() {
            let shorter = line.shorter();
            tries.push(Try {
                above: std::mem::replace(&mut line, shorter),
                below: Line::default(),
                is_centered: false,
            });
        }
        for attempt in tries {
            if self.place(&attempt, track.from, (origin, angle, length)) {
                return;
            }
        }
    }

    /// Whether the window differs from the one told before.
    fn tells_window(&mut self, segment: &Segment) -> bool {
        if segment.flags.contains(Flags::RST) {
            return false;
        }
        let told = Some(bytes(u64::from(segment.window)));
        let is_news = self.windows[segment.from] != told;
        self.windows[segment.from] = told;
        is_news
    }

    /// Writes a label unless it overlaps another.
    fn place(
        &mut self,
        attempt: &Try,
        from: End,
        (origin, angle, length): ((f64, f64), f64, f64),
    ) -> bool {
        let extent = |line: &Line| {
            let width = line.width();
            let left = match from {
                _ if attempt.is_centered => (length - width) / 2.0,
                End::Client => INDENT,
                End::Server => length - INDENT - width,
            };
            (left, left + width)
        };
        let mut areas = Vec::new();
        if !attempt.above.is_empty() {
            areas.push(Area::turned(
                origin,
                angle,
                extent(&attempt.above),
                (-16.0, -1.5),
            ));
        }
        if !attempt.below.is_empty() {
            areas.push(Area::turned(
                origin,
                angle,
                extent(&attempt.below),
                (2.5, 15.0),
            ));
        }
        let is_free = areas
            .iter()
            .all(|area| self.taken.iter().all(|other| !area.overlaps(other)));
        if !is_free {
            return false;
        }
        self.taken.extend(areas);
        let _ = write!(
            self.out,
            "<g transform=\"translate({} {}) rotate({:.2})\">",
            N(origin.0),
            N(origin.1),
            angle.to_degrees()
        );
        let (x, class) = match from {
            _ if attempt.is_centered => (length / 2.0, "halo m"),
            End::Client => (INDENT, "halo"),
            End::Server => (length - INDENT, "halo e"),
        };
        for (line, y) in [(&attempt.above, ABOVE), (&attempt.below, BELOW)] {
            if line.is_empty() {
                continue;
            }
            write_text(&mut self.out, line, (x, y), class);
        }
        self.out.push_str("</g>");
        true
    }

    /// An ICMP error, from somewhere on the way.
    pub(super) fn icmp(&mut self, out: &mut String, icmp: &IcmpError, placed: Placed) {
        let to = icmp.to;
        let side = Sizes::outwards(to);
        let end = (self.sizes.lines[to] - side * Sizes::HALF, placed.end);
        let start = (
            self.sizes.lines[to] - side * self.sizes.span() * 0.55,
            placed.start,
        );
        let (dx, dy) = (end.0 - start.0, end.1 - start.1);
        let length = dx.hypot(dy).max(1.0);
        let way = (dx / length, dy / length);
        let _ = write!(
            out,
            "<circle class=\"f bd\" cx=\"{}\" cy=\"{}\" r=\"4\"/><path class=\"a lb dot\" d=\"M{} {}L{} {}\"/>",
            N(start.0),
            N(start.1),
            N(start.0),
            N(start.1),
            N(end.0 - way.0 * 7.0),
            N(end.1 - way.1 * 7.0)
        );
        arrow_head(out, end, way, "bd");
        let line = Line(vec![
            Word::bold("ICMP", "bd"),
            Word::new(icmp.kind.to_string(), "bd"),
            Word::small(format!("from {}", icmp.reporter), "fa"),
            Word::small(format!("#{}", icmp.frame), "fa"),
        ])
        .fitted(self.sizes.span() - 2.0 * INDENT);
        let width = line.width();
        let (x, class) = match to {
            End::Client => (self.sizes.lines.client + INDENT, "halo"),
            End::Server => (self.sizes.lines.server - INDENT, "halo e"),
        };
        let left = if to == End::Client { x } else { x - width };
        let area = Area::turned(
            (0.0, 0.0),
            0.0,
            (left, left + width),
            (placed.start - 16.0, placed.start),
        );
        self.text(&line, (x, placed.start - 5.0), class, area);
    }

    /// Words at a lifeline.
    pub(super) fn change(&mut self, text: &str, end: End, y: f64) {
        let line = Line(vec![Word::new(text, "i fa")]).fitted(self.sizes.span() / 2.0 - INDENT);
        let width = line.width();
        let side = Sizes::outwards(end);
        let x = self.sizes.lines[end] - side * 16.0;
        let (class, left) = match end {
            End::Client => ("halo", x),
            End::Server => ("halo e", x - width),
        };
        let _ = write!(
            self.out,
            "<circle class=\"f fa\" cx=\"{}\" cy=\"{}\" r=\"2.5\"/>",
            N(self.sizes.lines[end] - side * 10.0),
            N(y)
        );
        let area = Area::turned((0.0, 0.0), 0.0, (left, left + width), (y - 8.0, y + 7.0));
        self.text(&line, (x, y + 4.0), class, area);
    }

    fn text(&mut self, line: &Line, (x, y): (f64, f64), class: &str, area: Area) {
        if self.taken.iter().any(|other| area.overlaps(other)) {
            return;
        }
        self.taken.push(area);
        write_text(&mut self.out, line, (x, y), class);
    }
}

fn write_text(out: &mut String, line: &Line, (x, y): (f64, f64), class: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{}\" y=\"{}\">",
        N(x),
        N(y)
    );
    line.write(out);
    out.push_str("</text>");
}
