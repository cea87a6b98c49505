//! Which wires are compared.

use std::fmt;
use std::io;

use super::cell::Mode;
use crate::{has, number, option};

/// One wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Per cent.
    pub(super) loss: f64,
    /// Round trip without queues, milliseconds.
    pub(super) rtt: u64,
    /// Mbit/s.
    pub(super) rate: u64,
    /// Per cent.
    pub(super) reorder: f64,
    /// Bandwidth-delay products.
    pub(super) queue: f64,
    pub(super) ecn: bool,
}

/// The wire from which others differ.
const USUAL: Point = Point {
    loss: 0.0,
    rtt: 20,
    rate: 100,
    reorder: 0.0,
    queue: 1.0,
    ecn: false,
};

/// No queue is smaller: four full packets.
const LEAST_QUEUE: f64 = 6000.0;

impl Point {
    /// The direction of the data.
    pub(super) fn data(&self, seed: u64) -> String {
        let delay = self.rtt * 500;
        let product = self.rate as f64 * 1e6 / 8.0 * self.rtt as f64 * 1e-3;
        let queue = (product * self.queue).max(LEAST_QUEUE);
        let mut words = format!(
            "delay={delay}us,rate={}mbit,queue={},seed={seed}",
            self.rate, queue as u64
        );
        if self.loss > 0.0 {
            words.push_str(&format!(",loss={}%", self.loss));
        }
        if self.reorder > 0.0 {
            words.push_str(&format!(",reorder={}%", self.reorder));
        }
        if self.ecn {
            words.push_str(&format!(",ecn={}", (queue / 2.0) as u64));
        }
        words
    }

    /// The direction of the acknowledgements: delay, and nothing else.
    pub(super) fn acks(&self, seed: u64) -> String {
        format!("delay={}us,seed={seed}", self.rtt * 500)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loss,
            rtt,
            rate,
            reorder,
            queue,
            ecn,
        } = self;
        let ecn = if *ecn { "on" } else { "off" };
        write!(f, "{loss}% | {rtt} | {rate} | {reorder}% | {queue} | {ecn}")
    }
}

/// Leaves `sample` of the points, in their order, drawn by `seed`.
fn draw(points: &mut Vec<Point>, sample: u64, seed: u64) {
    let mut random = transom_sim::Random::new(seed);
    let mut wanted = sample;
    let mut left = points.len() as u64;
    points.retain(|_| {
        let is_drawn = random.below(left) < wanted;
        wanted -= u64::from(is_drawn);
        left -= 1;
        is_drawn
    });
}

/// The points of each mode.
pub(super) struct Grid {
    pub(super) points: Vec<(Mode, Vec<Point>)>,
}

impl Grid {
    /// The subset that takes a quarter of an hour, all (`--full`), some of all (`--sample`), or the product of the axes
    /// that were named.
    pub(super) fn from_options(arguments: &[String]) -> io::Result<Self> {
        const AXES: [&str; 6] = ["--loss", "--rtt", "--rate", "--reorder", "--queue", "--ecn"];
        let sample = number(arguments, "--sample", 0)?;
        let full = sample > 0 || has(arguments, "--full");
        let named = AXES.iter().any(|axis| option(arguments, axis).is_some());
        if !full && !named {
            return Ok(Self::usual());
        }
        let axis = |name: &str, all: &[f64], usual: f64| -> io::Result<Vec<f64>> {
            match option(arguments, name) {
                Some(list) => list
                    .split(',')
                    .map(|word| {
                        word.trim_end_matches('%')
                            .parse()
                            .map_err(|_| io::Error::other(format!("{name} {word}: not a number")))
                    })
                    .collect(),
                None if full => Ok(all.to_vec()),
                None => Ok(vec![usual]),
            }
        };
        let [losses, rtts, rates] = [
            axis("--loss", &[0.0, 0.1, 1.0, 3.0, 10.0], 0.0)?,
            axis("--rtt", &[1.0, 20.0, 50.0, 200.0], 20.0)?,
            axis("--rate", &[10.0, 100.0, 1000.0], 100.0)?,
        ];
        let [reorders, queues, marks] = [
            axis("--reorder", &[0.0, 1.0, 10.0], 0.0)?,
            axis("--queue", &[0.5, 1.0, 4.0], 1.0)?,
            axis("--ecn", &[0.0, 1.0], 0.0)?,
        ];
        let mut points = Vec::new();
        for &loss in &losses {
            for &rtt in &rtts {
                for &rate in &rates {
                    for &reorder in &reorders {
                        for &queue in &queues {
                            points.extend(marks.iter().map(|&ecn| Point {
                                loss,
                                rtt: rtt as u64,
                                rate: rate as u64,
                                reorder,
                                queue,
                                ecn: ecn > 0.0,
                            }));
                        }
                    }
                }
            }
        }
        if sample > 0 {
            draw(&mut points, sample, number(arguments, "--seed", 1)?);
        }
        let clean = points
            .iter()
            .filter(|point| point.loss == 0.0)
            .copied()
            .collect();
        Ok(Self {
            points: vec![
                (Mode::Send, points.clone()),
                (Mode::Receive, points),
                (Mode::Share, clean),
            ],
        })
    }

    /// One axis at a time, without and with loss.
    fn usual() -> Self {
        let mut send = vec![
            USUAL,
            Point { rtt: 1, ..USUAL },
            Point { rtt: 50, ..USUAL },
            Point { rtt: 200, ..USUAL },
            Point { rate: 10, ..USUAL },
            Point {
                rate: 1000,
                ..USUAL
            },
            Point {
                queue: 0.5,
                ..USUAL
            },
            Point {
                queue: 4.0,
                ..USUAL
            },
            Point { ecn: true, ..USUAL },
            Point {
                reorder: 1.0,
                ..USUAL
            },
            Point {
                reorder: 10.0,
                ..USUAL
            },
        ];
        send.extend([0.1, 1.0, 3.0, 10.0].map(|loss| Point { loss, ..USUAL }));
        let lossy = Point { loss: 1.0, ..USUAL };
        send.extend([
            Point { rtt: 1, ..lossy },
            Point { rtt: 50, ..lossy },
            Point { rtt: 200, ..lossy },
            Point { rate: 10, ..lossy },
            Point {
                rate: 1000,
                rtt: 1,
                ..lossy
            },
        ]);
        let receive = vec![
            USUAL,
            lossy,
            Point { rtt: 200, ..USUAL },
            Point {
                rate: 1000,
                ..USUAL
            },
            Point {
                rate: 1000,
                rtt: 50,
                ..USUAL
            },
        ];
        let share = vec![
            USUAL,
            Point {
                queue: 4.0,
                ..USUAL
            },
            Point { rtt: 50, ..USUAL },
        ];
        Self {
            points: vec![
                (Mode::Send, send),
                (Mode::Receive, receive),
                (Mode::Share, share),
            ],
        }
    }
}
