//! The analysis alone, without the command: records, packets, connections, verdicts.

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use transom_flow::capture::{Decapsulator, Reader};
use transom_flow::parallel::{Crew, Numbered};
use transom_flow::{Limits, Past, Severity, Tracker, Weight};

/// What an analysis found and took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Analysis {
    packets: u64,
    bytes: u64,
    connections: u64,
    problems: u64,
    time: Duration,
}

/// What is kept of a connection.
struct Brief {
    weight: Weight,
    past: Past,
}

impl Numbered for Brief {
    fn set_number(&mut self, number: u64) {
        self.weight.set_number(number);
        self.past.set_number(number);
    }
}

impl From<Past> for Brief {
    fn from(past: Past) -> Self {
        Self {
            weight: past.weight(),
            past,
        }
    }
}

impl Analysis {
    fn take(&mut self, over: &Brief) {
        self.connections = self.connections.max(over.past.number());
        self.problems += u64::from(over.weight.severity() == Severity::Problem);
    }
}

impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(
            f,
            "{:.2} s, {:.2} M packets/s, {:.2} GiB/s; {} packets, {} connections, {} problems",
            seconds,
            self.packets as f64 / seconds / 1e6,
            self.bytes as f64 / seconds / f64::from(1 << 30),
            self.packets,
            self.connections,
            self.problems,
        )
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Records only.
    Read,
    /// Records and the packets in them.
    Unwrap,
    /// All.
    Full,
}

/// Analyses a capture on so many cores; 0 does it with a [`Tracker`] alone.
pub(crate) fn analyse(path: &Path, cores: usize, depth: Depth) -> io::Result<Analysis> {
    let start = Instant::now();
    let mut analysis = Analysis::default();
    let mut unwrapped = 0;
    let mut over: Vec<Brief> = Vec::new();
    let mut reader = Reader::new(File::open(path)?).map_err(io::Error::other)?;
    let mut decapsulator = Decapsulator::new();
    let mut tracker = (cores == 0).then(Tracker::default);
    let mut crew = (cores > 0).then(|| Crew::new(Limits::default(), cores, Brief::from));
    while let Some(record) = reader.next().map_err(io::Error::other)? {
        analysis.packets += 1;
        if depth == Depth::Read {
            continue;
        }
        let Ok(frame) = decapsulator.frame(&record) else {
            continue;
        };
        if depth == Depth::Unwrap {
            unwrapped += frame.data.len();
            continue;
        }
        // What is no TCP is counted.
        if let Some(tracker) = &mut tracker {
            let _ = tracker.frame(&frame);
            if tracker.has_closed() {
                for over in tracker.take_closed() {
                    analysis.take(&Past::from(Box::new(over)).into());
                }
            }
        } else if let Some(crew) = &mut crew {
            let _ = crew.frame_in(&frame, record.chunk());
            // As often as the command does.
            if analysis.packets.is_multiple_of(1024) {
                over.extend(crew.take());
                for over in over.drain(..) {
                    analysis.take(&over);
                    crew.recycle(over.past);
                }
            }
        }
    }
    black_box(unwrapped);
    analysis.bytes = reader.offset();
    if let Some(mut tracker) = tracker {
        tracker.finish();
        for over in tracker.take_all() {
            analysis.take(&Past::from(Box::new(over)).into());
        }
    }
    if let Some(mut crew) = crew {
        crew.finish();
        for over in crew.take() {
            analysis.take(&over);
        }
    }
    analysis.time = start.elapsed();
    Ok(analysis)
}
