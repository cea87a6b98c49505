//! Graphs over time, from the series of points that a connection keeps (`Limits::series`).

mod axis;
mod curves;
mod plot;

pub use curves::{Curve, Unit, curves};

use super::Options;
use axis::{Axis, Quantity};
use core::time::Duration;
use plot::{Look, Plot};
use transom_flow::words::{bytes, count, duration};
use transom_flow::{AckPoint, Connection, DataKind, DataPoint, End, Track};

/// Fewer points than these say nothing over time.
const POINTS_MIN: usize = 6;
/// Columns of the throughput.
const BINS: u32 = 80;

/// `client → server`.
fn way(from: End) -> String {
    format!("{from} → {}", from.other())
}

/// Times as seconds since the connection's start.
#[derive(Clone, Copy)]
struct Clock(Duration);

impl Clock {
    fn of(connection: &Connection) -> Self {
        Self(connection.start())
    }

    fn at(self, time: Duration) -> f64 {
        time.saturating_sub(self.0).as_secs_f64()
    }
}

/// The last time in a direction.
fn last_time(clock: Clock, track: &Track) -> f64 {
    let times = [
        track.data.last().map(|point| point.time),
        track.acks.last().map(|point| point.time),
        track.rtt.last().map(|point| point.time),
        track.in_flight.last().map(|point| point.time),
    ];
    times
        .into_iter()
        .flatten()
        .map(|time| clock.at(time))
        .fold(0.0, f64::max)
}

fn time_axis(max: f64, options: &Options) -> Axis {
    // A tick every hundred pixels or so.
    Axis::new(
        Quantity::Time,
        max.max(1e-6),
        options.width.clamp(300, 4096) / 110,
        false,
    )
}

#[expect(clippy::cast_precision_loss, reason = "a place on paper")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// Draws sequence numbers over time, in the manner of Stevens and of tcptrace: each segment that
/// `from` sent as an upright stroke over its numbers, the other end's acknowledgements as a line
/// below, and the edge of its window as a line above. Retransmissions, SACK blocks and losses are
/// marked.
///
/// `None` if the connection keeps no series, or nothing was sent that way.
#[must_use]
pub fn sequence_graph(connection: &Connection, from: End, options: &Options) -> Option<String> {
    let track = connection.series()?.track(from);
    let highest = track.data.iter().map(end_of).max()?;
    if !has_data(connection, from) {
        return None;
    }
    let clock = Clock::of(connection);
    let edge = track
        .acks
        .iter()
        .map(|ack| ack.window_edge)
        .max()
        .unwrap_or(0);
    // A window far above the data would press it to the bottom.
    let max = if edge <= highest.saturating_mul(2) {
        edge.max(highest)
    } else {
        highest + highest / 8
    };
    let is = |kind: DataKind| move |point: &&DataPoint| point.kind == kind && !point.is_lost;
    let of = |kind: DataKind| {
        track
            .data
            .iter()
            .filter(is(kind))
            .map(|point| (clock.at(point.time), float(point.seq), float(end_of(point))))
    };
    let kinds = [
        (Look::Strokes("l"), DataKind::New, "data"),
        (
            Look::Strokes("la thick"),
            DataKind::Retransmission,
            "sent again",
        ),
        (Look::Strokes("s-cg"), DataKind::OutOfOrder, "out of order"),
        (Look::Strokes("lf"), DataKind::Probe, "probe"),
    ];
    let lost = || track.data.iter().filter(|point| point.is_lost);
    let sack = || {
        track.acks.iter().flat_map(|ack| {
            above(ack).map(|(start, end)| (clock.at(ack.time), float(start), float(end)))
        })
    };
    let mut legend: Vec<(Look, String)> = kinds
        .iter()
        .filter(|(_, kind, _)| of(*kind).next().is_some())
        .map(|(look, _, name)| (*look, (*name).to_owned()))
        .collect();
    if lost().next().is_some() {
        legend.push((Look::Crosses("lb"), "lost".into()));
    }
    if !track.acks.is_empty() {
        legend.push((Look::Line("lk"), "acknowledged".into()));
        let is_far = if edge > max {
            " (above, where it is not drawn)"
        } else {
            ""
        };
        legend.push((Look::Line("lr dash"), format!("edge of the window{is_far}")));
    }
    if sack().next().is_some() {
        legend.push((Look::Strokes("s-tw"), "selectively acknowledged".into()));
    }
    let title = format!("Sequence numbers, {}", way(from));
    let mut plot = Plot::new(
        options,
        title,
        &legend,
        time_axis(last_time(clock, track), options),
        Axis::new(Quantity::Bytes, float(max), 5, true),
    );
    plot.steps(
        "lr dash",
        track
            .acks
            .iter()
            .map(|ack| (clock.at(ack.time), float(ack.window_edge))),
    );
    plot.steps(
        "lk",
        track
            .acks
            .iter()
            .map(|ack| (clock.at(ack.time), float(ack.ack))),
    );
    plot.strokes("s-tw", sack());
    for (look, kind, _) in kinds {
        if let Look::Strokes(class) = look {
            plot.strokes(class, of(kind));
        }
    }
    plot.strokes(
        "lb dot",
        lost().map(|point| (clock.at(point.time), float(point.seq), float(end_of(point)))),
    );
    plot.marks(
        Look::Crosses("lb"),
        lost().map(|point| {
            (
                clock.at(point.time),
                float(point.seq.midpoint(end_of(point))),
            )
        }),
    );
    let again = of(DataKind::Retransmission).count();
    let description = format!(
        "{} up to number {highest}, {} sent again.",
        count(track.data.len() as u64, "segment"),
        count(again as u64, "segment")
    );
    Some(plot.picture(description).svg(options))
}

/// Whether an end sent enough data for a graph: a lone SYN and FIN make none.
fn has_data(connection: &Connection, from: End) -> bool {
    let points = connection
        .series()
        .map_or(0, |series| series.track(from).data.len());
    connection.totals()[from].bytes > 0 && points >= POINTS_MIN
}

/// The first number after a segment.
fn end_of(point: &DataPoint) -> u64 {
    point.seq.saturating_add(u64::from(point.len))
}

/// SACK blocks above the acknowledged number: what arrived there, not what arrived twice.
fn above(ack: &AckPoint) -> impl Iterator<Item = (u64, u64)> + '_ {
    ack.sack()
        .iter()
        .copied()
        .filter(|(start, end)| *start >= ack.ack && end > start)
}

/// Draws round trips over time: between the capture point and each end.
///
/// `None` if the connection keeps no series, or no round trip was seen.
#[must_use]
pub fn rtt_graph(connection: &Connection, options: &Options) -> Option<String> {
    let series = connection.series()?;
    let clock = Clock::of(connection);
    let sides = [
        (End::Server, Look::Discs("rx")),
        (End::Client, Look::Squares("la")),
    ];
    let of = |end: End| {
        series
            .track(end.other())
            .rtt
            .iter()
            .map(|point| (clock.at(point.time), point.value.as_secs_f64()))
    };
    let samples: usize = sides.iter().map(|(end, _)| of(*end).count()).sum();
    if samples < POINTS_MIN {
        return None;
    }
    let longest = sides
        .iter()
        .flat_map(|(end, _)| of(*end))
        .map(|(_, rtt)| rtt)
        .reduce(f64::max)?;
    let last = sides
        .iter()
        .flat_map(|(end, _)| of(*end))
        .map(|(time, _)| time)
        .fold(0.0, f64::max);
    let legend: Vec<(Look, String)> = sides
        .iter()
        .filter(|(end, _)| of(*end).next().is_some())
        .map(|(end, look)| (*look, format!("capture point – {end} – capture point")))
        .collect();
    let title = "Round-trip time".to_owned();
    let mut plot = Plot::new(
        options,
        title,
        &legend,
        time_axis(last, options),
        Axis::new(Quantity::Time, longest, 5, true),
    );
    for (end, look) in sides {
        plot.marks(look, of(end));
    }
    let description = format!(
        "The longest is {}.",
        duration(Duration::from_secs_f64(longest.clamp(0.0, 1e9)))
    );
    Some(plot.picture(description).svg(options))
}

/// Draws what `from` had in flight, and the window that the other end offered.
///
/// `None` if the connection keeps no series, or nothing was sent that way.
#[must_use]
pub fn window_graph(connection: &Connection, from: End, options: &Options) -> Option<String> {
    let track = connection.series()?.track(from);
    if !has_data(connection, from) {
        return None;
    }
    let clock = Clock::of(connection);
    let window = || {
        track.acks.iter().map(|ack| {
            (
                clock.at(ack.time),
                float(ack.window_edge.saturating_sub(ack.ack)),
            )
        })
    };
    let widest = window().map(|(_, window)| window).fold(0.0, f64::max);
    let flight = in_flight(clock, track);
    let most = flight.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
    // A window far above what is in flight would press it to the bottom.
    let is_near = widest <= most * 6.0;
    let max = if is_near {
        widest.max(most)
    } else {
        most * 1.25
    };
    let mut legend = vec![(Look::Line("l"), "in flight".to_owned())];
    if !track.acks.is_empty() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of bytes"
        )]
        let widest = bytes(widest as u64);
        let is_far = if is_near {
            String::new()
        } else {
            format!(" (up to {widest}, above, where it is not drawn)")
        };
        legend.push((
            Look::Line("lr dash"),
            format!("window of the {}{is_far}", from.other()),
        ));
    }
    let title = format!("In flight and window, {}", way(from));
    let mut plot = Plot::new(
        options,
        title,
        &legend,
        time_axis(last_time(clock, track), options),
        Axis::new(Quantity::Bytes, max, 5, true),
    );
    plot.steps("lr dash", window());
    plot.steps("l", flight.into_iter());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of bytes"
    )]
    let description = format!("At most {} in flight.", bytes(most as u64));
    Some(plot.picture(description).svg(options))
}

/// What was sent and not acknowledged yet, at every point that changes it.
fn in_flight(clock: Clock, track: &Track) -> Vec<(f64, f64)> {
    let mut changes: Vec<(Duration, u64, u64)> = track
        .data
        .iter()
        .map(|point| (point.time, end_of(point), 0))
        .chain(track.acks.iter().map(|ack| (ack.time, 0, ack.ack)))
        .collect();
    changes.sort_by_key(|(time, ..)| *time);
    let (mut highest, mut acknowledged) = (0, 0);
    let mut flight = Vec::with_capacity(changes.len());
    for (time, end, ack) in changes {
        highest = highest.max(end);
        // The numbers of what is not seen, before a capture starts, are not in flight.
        acknowledged = if acknowledged == 0 {
            ack
        } else {
            ack.max(acknowledged)
        };
        if acknowledged > 0 {
            flight.push((clock.at(time), float(highest.saturating_sub(acknowledged))));
        }
    }
    flight
}

/// Draws how many bytes of new data a second passed, in each direction.
///
/// `None` if the connection keeps no series, or less than two segments of data passed.
#[must_use]
pub fn throughput_graph(connection: &Connection, options: &Options) -> Option<String> {
    let series = connection.series()?;
    let clock = Clock::of(connection);
    let last = End::BOTH
        .iter()
        .filter_map(|end| series.track(*end).data.last())
        .map(|point| clock.at(point.time))
        .fold(0.0, f64::max);
    if last <= 0.0 {
        return None;
    }
    let width = last / f64::from(BINS);
    let sides = [(End::Client, "l"), (End::Server, "lr dash")];
    let rates: Vec<(End, &str, Vec<f64>)> = sides
        .iter()
        .map(|(end, class)| (*end, *class, rates(clock, &series.track(*end).data, width)))
        .filter(|(end, ..)| has_data(connection, *end))
        .collect();
    let most = rates
        .iter()
        .flat_map(|(_, _, rates)| rates)
        .copied()
        .reduce(f64::max)?;
    let legend: Vec<(Look, String)> = rates
        .iter()
        .map(|(end, class, _)| (Look::Line(class), way(*end)))
        .collect();
    let title = "Throughput of new data".to_owned();
    let mut plot = Plot::new(
        options,
        title,
        &legend,
        time_axis(last, options),
        Axis::new(Quantity::Rate, most, 5, true),
    );
    for (_, class, rates) in &rates {
        let points = rates
            .iter()
            .chain(rates.last())
            .enumerate()
            .map(|(at, rate)| (float(at as u64) * width, *rate));
        plot.steps(class, points);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of bytes"
    )]
    let description = format!("At most {} a second.", bytes(most as u64));
    Some(plot.picture(description).svg(options))
}

/// New numbers a second in each column. The highest number so far is what counts, so that points
/// which the series left out are counted with the next one.
fn rates(clock: Clock, data: &[DataPoint], width: f64) -> Vec<f64> {
    let mut rates = vec![0.0; BINS as usize];
    let mut highest = 0;
    for point in data {
        // The SYN is a number, but no data.
        let end = end_of(point);
        let new = if point.seq == 0 {
            end.saturating_sub(1)
        } else {
            end.saturating_sub(highest)
        };
        let is_first = highest == 0 && point.seq > 1;
        highest = highest.max(end);
        if is_first {
            // The capture starts in the middle: what came before is not of this time.
            continue;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a column"
        )]
        let column = ((clock.at(point.time) / width) as usize).min(rates.len() - 1);
        if let Some(rate) = rates.get_mut(column) {
            *rate += float(new) / width;
        }
    }
    rates
}
