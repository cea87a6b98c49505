//! The frame of a graph, and lines and points in it.

use super::axis::Axis;
use crate::svg::font::{self, Weight};
use crate::svg::markup::{N, Text};
use crate::svg::{Options, Picture};
use std::fmt::Write as _;

const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const BOTTOM: f64 = 40.0;
/// Height of what is between the axes.
const HEIGHT: f64 = 280.0;
const LEGEND_LINE: f64 = 18.0;

/// How a thing looks, in the plot and in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A line, with the classes of its stroke.
    Line(&'static str),
    /// Upright strokes.
    Strokes(&'static str),
    /// Discs, with the class of their fill.
    Discs(&'static str),
    /// Hollow squares, with the class of their stroke.
    Squares(&'static str),
    /// Crosses.
    Crosses(&'static str),
}

/// A graph under way.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    top: f64,
    width: f64,
    out: String,
    title: String,
}

impl Plot {
    /// An empty graph, with its heading, its legend and its axes.
    pub(super) fn new(
        options: &Options,
        title: String,
        legend: &[(Look, String)],
        x: Axis,
        y: Axis,
    ) -> Self {
        let width = options.pixels();
        let mut plot = Self {
            x,
            y,
            top: 0.0,
            width,
            out: String::new(),
            title,
        };
        let title = font::cut(&plot.title, 13.0, Weight::Bold, width - 32.0);
        let _ = write!(
            plot.out,
            "<text class=\"h2\" x=\"16\" y=\"25\">{}</text>",
            Text(&title)
        );
        let bottom = plot.legend(legend);
        plot.top = bottom + 34.0;
        plot.axes();
        plot
    }

    fn legend(&mut self, legend: &[(Look, String)]) -> f64 {
        let (mut x, mut y) = (16.0, 46.0);
        for (look, text) in legend {
            let used = 26.0 + font::width(text, 10.5, Weight::Normal) + 16.0;
            if x + used > self.width - 8.0 && x > 16.0 {
                x = 16.0;
                y += LEGEND_LINE;
            }
            self.sample(*look, (x, y - 4.0));
            let _ = write!(
                self.out,
                "<text class=\"sm fa\" x=\"{}\" y=\"{}\">{}</text>",
                N(x + 26.0),
                N(y),
                Text(text)
            );
            x += used;
        }
        y
    }

    fn sample(&mut self, look: Look, (x, y): (f64, f64)) {
        match look {
            Look::Line(class) => {
                let _ = write!(
                    self.out,
                    "<path class=\"a {class}\" d=\"M{} {}h20\"/>",
                    N(x),
                    N(y)
                );
            }
            Look::Strokes(class) => {
                let _ = write!(
                    self.out,
                    "<path class=\"a {class}\" d=\"M{} {}v10m6 -10v10m6 -10v10\"/>",
                    N(x + 4.0),
                    N(y - 5.0)
                );
            }
            Look::Discs(_) | Look::Squares(_) | Look::Crosses(_) => self.mark(look, (x + 10.0, y)),
        }
    }

    fn mark(&mut self, look: Look, (x, y): (f64, f64)) {
        let _ = match look {
            Look::Discs(class) => write!(
                self.out,
                "<circle class=\"f {class}\" cx=\"{}\" cy=\"{}\" r=\"2.6\"/>",
                N(x),
                N(y)
            ),
            Look::Squares(class) => write!(
                self.out,
                "<path class=\"thin {class}\" d=\"M{} {}h5v5h-5Z\"/>",
                N(x - 2.5),
                N(y - 2.5)
            ),
            Look::Crosses(class) => write!(
                self.out,
                "<path class=\"a {class}\" d=\"M{} {}l8 8m0 -8l-8 8\"/>",
                N(x - 4.0),
                N(y - 4.0)
            ),
            Look::Line(_) | Look::Strokes(_) => Ok(()),
        };
    }

    fn axes(&mut self) {
        let (left, right) = (LEFT, self.width - RIGHT);
        let bottom = self.top + HEIGHT;
        for (value, text) in std::mem::take(&mut self.y.ticks) {
            let y = self.at_y(value);
            let _ = write!(
                self.out,
                "<path class=\"thin rl\" d=\"M{} {y}H{}\"/><text class=\"sm fa e\" x=\"{}\" y=\"{}\">{text}</text>",
                N(left),
                N(right),
                N(left - 7.0),
                N(y + 4.0),
                y = N(y)
            );
        }
        for (value, text) in std::mem::take(&mut self.x.ticks) {
            let x = self.at_x(value);
            let _ = write!(
                self.out,
                "<path class=\"thin rl\" d=\"M{x} {}v5\"/><text class=\"sm fa m\" x=\"{x}\" y=\"{}\">{text}</text>",
                N(bottom),
                N(bottom + 18.0),
                x = N(x)
            );
        }
        let _ = write!(
            self.out,
            "<text class=\"sm fa e\" x=\"{}\" y=\"{}\">{}</text><text class=\"sm fa e\" x=\"{}\" y=\"{}\">time in {}</text>",
            N(left - 7.0),
            N(self.top - 12.0),
            self.y.unit,
            N(right),
            N(bottom + 33.0),
            self.x.unit
        );
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + (value / self.x.max).clamp(0.0, 1.0) * (self.width - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        self.top + HEIGHT * (1.0 - (value / self.y.max).clamp(0.0, 1.0))
    }

    /// A line in steps: each value holds until the next. Where it is above the plot it is left out.
    pub(super) fn steps(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        for (x, y) in points {
            match last {
                None => {
                    let _ = write!(path, "M{} {}", N(self.at_x(x)), N(self.at_y(y)));
                }
                Some((_, before)) if before > self.y.max && y > self.y.max => {
                    let _ = write!(path, "M{} {}", N(self.at_x(x)), N(self.at_y(y)));
                }
                Some((_, before)) if before > self.y.max => {
                    let _ = write!(
                        path,
                        "M{} {}V{}",
                        N(self.at_x(x)),
                        N(self.at_y(before)),
                        N(self.at_y(y))
                    );
                }
                Some((_, before)) if (before - y).abs() < f64::EPSILON => {
                    let _ = write!(path, "H{}", N(self.at_x(x)));
                }
                Some(_) => {
                    let _ = write!(path, "H{}V{}", N(self.at_x(x)), N(self.at_y(y)));
                }
            }
            last = Some((x, y));
        }
        self.path(class, &path);
    }

    /// Upright strokes from one value to another.
    pub(super) fn strokes(&mut self, class: &str, strokes: impl Iterator<Item = (f64, f64, f64)>) {
        let mut path = String::new();
        for (x, from, to) in strokes {
            // A stroke is seen even where it is shorter than a pixel.
            let (bottom, top) = (self.at_y(from), self.at_y(to));
            let top = top.min(bottom - 1.5);
            let _ = write!(path, "M{} {}V{}", N(self.at_x(x)), N(bottom), N(top));
        }
        self.path(class, &path);
    }

    /// Marks at points.
    pub(super) fn marks(&mut self, look: Look, points: impl Iterator<Item = (f64, f64)>) {
        for (x, y) in points {
            let at = (self.at_x(x), self.at_y(y));
            self.mark(look, at);
        }
    }

    fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            let _ = write!(self.out, "<path class=\"a {class}\" d=\"{path}\"/>");
        }
    }

    /// The graph, with a description for those who do not see it.
    pub(super) fn picture(self, description: String) -> Picture {
        Picture {
            width: self.width,
            height: self.top + HEIGHT + BOTTOM,
            body: self.out,
            title: self.title,
            description,
        }
    }
}
