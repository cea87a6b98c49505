//! What is known of the captures once they were read: the model that every output draws.

use std::time::Duration;

use transom_flow::capture::{self, Format};
use transom_flow::{Connection, Counters, Finding, Overview, Past, Severity, Summary, Weight};

use super::gather::Over;
use super::source::Break;

/// What may be kept of the connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Lines of the list.
    pub(crate) listed: usize,
    /// Connections in full.
    pub(crate) whole: usize,
}

/// What is known of the captures.
#[derive(Debug)]
pub(crate) struct Explained {
    /// How many connections there are.
    pub(crate) counts: Counts,
    /// The list, the worst first.
    pub(crate) listed: Vec<Summary>,
    /// The worst connections in full, the worst first.
    pub(crate) whole: Vec<Connection>,
    /// The captures as such.
    pub(crate) capture: Capture,
    /// What many connections show together.
    pub(crate) overview: Vec<Finding>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All.
    pub(crate) connections: u64,
    /// Those that were asked for.
    pub(crate) chosen: u64,
    /// Those that were asked for, and where something went wrong.
    pub(crate) problems: u64,
    /// Those that were asked for, and of which something is worth knowing.
    pub(crate) notes: u64,
    /// Times that segments are missing from the captures.
    pub(crate) gaps: u64,
}

/// The captures as such.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    /// Their names.
    pub(crate) sources: Vec<String>,
    /// How they are laid out.
    pub(crate) format: Option<Format>,
    /// Bytes that were read, unpacked.
    pub(crate) bytes: u64,
    /// Frames.
    pub(crate) frames: u64,
    /// The earliest frame's time.
    pub(crate) first: Option<Duration>,
    /// The latest frame's time.
    pub(crate) last: Option<Duration>,
    /// What was taken off frames, and what was left out there.
    pub(crate) links: capture::Counters,
    /// What the tracker counted.
    pub(crate) counters: Counters,
    /// Where captures could not be read on.
    pub(crate) breaks: Vec<Break>,
}

/// Takes connections as they end, and keeps the worst.
#[derive(Debug)]
pub(crate) struct Gathering {
    counts: Counts,
    overview: Overview,
    listed: Worst<Summary>,
    whole: Worst<Connection>,
}

impl Gathering {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            counts: Counts::default(),
            overview: Overview::new(),
            listed: Worst::new(keep.listed),
            whole: Worst::new(keep.whole),
        }
    }

    /// Counts a connection that was not asked for.
    pub(crate) fn pass_over(&mut self) {
        self.counts.connections += 1;
    }

    /// Takes a connection, and counts it only if it was not asked for.
    pub(crate) fn take_judged(&mut self, over: Over) {
        if over.passes() {
            self.take(over);
        } else {
            self.pass_over();
        }
    }

    /// Takes a connection that was asked for, and gives it back if it is not kept.
    pub(crate) fn take(&mut self, over: Over) -> Option<Past> {
        self.counts.connections += 1;
        self.counts.chosen += 1;
        match over.weight.severity() {
            Severity::Problem => self.counts.problems += 1,
            Severity::Note => self.counts.notes += 1,
            Severity::Fine => {}
        }
        self.overview.add_past(&over.past);
        self.counts.gaps += over.past.gaps();
        let weight = over.weight;
        if self.listed.wants(&weight) {
            self.listed
                .push(weight, Summary::from(over.past.connection()));
        }
        if self.whole.wants(&weight) {
            self.whole.push(weight, *over.past.into_connection());
            return None;
        }
        Some(over.past)
    }

    /// Everything, in order.
    pub(crate) fn finish(self, capture: Capture) -> Explained {
        Explained {
            counts: self.counts,
            listed: self.listed.finish(),
            whole: self.whole.finish(),
            capture,
            overview: self.overview.findings(),
        }
    }
}

/// The so many heaviest of any number of things.
#[derive(Debug)]
struct Worst<T> {
    most: usize,
    kept: Vec<(Weight, T)>,
    /// Lighter ones need not be kept.
    bar: Option<Weight>,
}

impl<T> Worst<T> {
    const fn new(most: usize) -> Self {
        Self {
            most,
            kept: Vec::new(),
            bar: None,
        }
    }

    fn wants(&self, weight: &Weight) -> bool {
        self.most > 0 && self.bar.is_none_or(|bar| *weight > bar)
    }

    fn push(&mut self, weight: Weight, thing: T) {
        self.kept.push((weight, thing));
        // Sorted now and then rather than each time.
        if self.kept.len() >= self.most.saturating_mul(2).max(64) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.kept.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.kept.truncate(self.most);
        if self.kept.len() == self.most {
            self.bar = self.kept.last().map(|(weight, _)| *weight);
        }
    }

    fn finish(mut self) -> Vec<T> {
        self.shrink();
        self.kept.into_iter().map(|(_, thing)| thing).collect()
    }
}
