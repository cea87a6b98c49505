//! Curves of values that somebody else measured, in the same frame as the other graphs.

use super::axis::{Axis, Quantity};
use super::plot::{Look, Plot};
use super::time_axis;
use crate::svg::Options;

/// What a curve counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Bytes a second.
    Rate,
}

/// Values over time, each of which holds until the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it is, for the legend.
    pub name: String,
    /// Seconds since the start, and values.
    pub points: Vec<(f64, f64)>,
}

/// The strokes of curves, in their order; then they repeat.
const STROKES: [&str; 6] = ["l", "la", "lb", "lr dash", "lf", "lk"];

/// Draws curves over time in one graph. `None` if there is nothing to draw.
#[must_use]
pub fn curves(title: &str, unit: Unit, curves: &[Curve], options: &Options) -> Option<String> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let last = points().map(|(time, _)| *time).reduce(f64::max)?;
    let most = points().map(|(_, value)| *value).fold(0.0, f64::max);
    let quantity = match unit {
        Unit::Bytes => Quantity::Bytes,
        Unit::Seconds => Quantity::Time,
        Unit::Rate => Quantity::Rate,
    };
    let strokes = || STROKES.iter().copied().cycle();
    let legend: Vec<(Look, String)> = curves
        .iter()
        .zip(strokes())
        .map(|(curve, stroke)| (Look::Line(stroke), curve.name.clone()))
        .collect();
    let mut plot = Plot::new(
        options,
        title.to_owned(),
        &legend,
        time_axis(last, options),
        Axis::new(quantity, most, 5, true),
    );
    for (curve, stroke) in curves.iter().zip(strokes()) {
        plot.steps(stroke, curve.points.iter().copied());
    }
    let names: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
    Some(
        plot.picture(format!("Over time: {}.", names.join(", ")))
            .svg(options),
    )
}
