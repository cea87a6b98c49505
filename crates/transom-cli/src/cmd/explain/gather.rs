//! From frames to connections, each handed on as soon as it is over.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use transom_flow::capture::Record;
use transom_flow::filter::{Filter, Hits};
use transom_flow::parallel::{Crew, Numbered};
use transom_flow::{Connection, Counters, Limits, Past, Tracker, Weight};

use super::model::{Explained, Gathering, Keep};
use super::progress::Progress;
use super::sieve::{Opened, Opener, Sieve, of_any_frame};
use super::source::Sources;
use crate::failure::Failure;

/// Which connections are asked for.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Those of which a frame fits.
    pub(crate) filter: Option<Filter>,
    /// Those with these numbers, from 0; all, where there is none.
    pub(crate) streams: Vec<u64>,
}

/// A connection that is over.
#[derive(Debug)]
pub(crate) struct Over {
    /// What happened on it; its number counts from 0, as Wireshark's.
    pub(crate) past: Past,
    /// Its place in a list.
    pub(crate) weight: Weight,
    /// Whether the filter lets it pass, as far as that is known without its frames.
    passes: bool,
}

impl Over {
    pub(crate) fn new(past: Past, filter: Option<(&Filter, Hits)>) -> Self {
        Self {
            passes: filter.is_none_or(|(filter, hits)| {
                let connection = past.connection();
                filter.judged(hits, connection, &connection.verdict())
            }),
            weight: past.weight(),
            past,
        }
    }
}

impl Over {
    /// Whether the filter lets it pass.
    pub(crate) const fn passes(&self) -> bool {
        self.passes
    }
}

impl Numbered for Over {
    /// Takes a number from 1, and counts from 0, so that Wireshark's filters and ours speak of the same.
    fn set_number(&mut self, number: u64) {
        let number = number.saturating_sub(1);
        self.past.set_number(number);
        self.weight.set_number(number);
    }
}

/// What takes connections as they end.
pub(crate) trait Sink {
    /// What is to be kept until the end.
    fn keep(&self) -> Keep;
    /// Points kept of each connection for graphs.
    fn series(&self) -> usize;
    /// Steps of each connection kept in full at its start, and as many at its end; `None` for the usual.
    fn steps(&self) -> Option<usize>;
    /// A connection that was asked for is over.
    fn take(&mut self, over: &Over) -> Result<(), Failure>;
    /// Told now and then how many frames were read, and how many bytes of how many.
    fn progress(&mut self, _frames: u64, _read: (u64, Option<u64>)) -> Watched {
        Watched::Not
    }
}

/// Whether a sink follows how far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It does not: the work tells it on stderr.
    Not,
    /// It does.
    GoOn,
    /// It does, and wants no more: the captures end here.
    Stop,
}

/// Frames between two looks whether connections are over.
const STRIDE: u64 = 1024;
/// More threads than this have nothing to do: one thread can read no faster.
const WORKERS_MAX: usize = 4;

/// Reads all captures.
pub(crate) fn gather(
    mut sources: Sources,
    chosen: &Chosen,
    sink: &mut dyn Sink,
) -> Result<Explained, Failure> {
    let mut limits = Limits::default();
    limits.series = sink.series();
    if let Some(steps) = sink.steps() {
        limits.first_steps = steps;
        limits.last_steps = steps;
    }
    let mut reading = Reading {
        opener: Opener::new(),
        follower: Follower::new(limits, chosen.filter.as_ref()),
        gathering: Gathering::new(sink.keep()),
        streams: &chosen.streams,
        over: Vec::new(),
    };
    let mut progress = Progress::new();
    while sources.advance()? {
        // Made here, as it is large to be moved.
        if let Some(record) = sources.record() {
            reading.record(&record);
        }
        let frames = reading.opener.capture().frames;
        if frames.is_multiple_of(STRIDE) {
            for (addr, name) in sources.names() {
                reading.follower.label(addr, &name);
            }
            reading.hand_over(sink)?;
            match sink.progress(frames, sources.progress()) {
                Watched::Not => progress.frame(frames, || sources.progress()),
                Watched::GoOn => {}
                Watched::Stop => break,
            }
        }
    }
    sources.finish()?;
    for (addr, name) in sources.names() {
        reading.follower.label(addr, &name);
    }
    let counters = reading.follower.finish(reading.opener.capture().last);
    reading.hand_over(sink)?;
    progress.done();
    Ok(reading.finish(&sources, counters))
}

/// Follows connections: with several threads, unless each frame has to be looked at by the filter, too.
enum Follower<'a> {
    Crew(Box<Crew<Over>>),
    Filtering(Box<Filtering<'a>>),
}

/// One tracker, and what the filter says of frames.
struct Filtering<'a> {
    tracker: Tracker,
    filter: &'a Filter,
    sieve: Sieve,
    over: Vec<Over>,
}

impl<'a> Follower<'a> {
    fn new(limits: Limits, filter: Option<&'a Filter>) -> Self {
        if let Some(filter) = filter
            && filter.needs_frames()
        {
            return Self::Filtering(Box::new(Filtering {
                tracker: Tracker::new(limits),
                filter,
                sieve: Sieve::default(),
                over: Vec::new(),
            }));
        }
        let filter = filter.map(|filter| (Arc::new(filter.clone()), of_any_frame(filter)));
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let crew = Crew::new(limits, workers.min(WORKERS_MAX), move |past| {
            let filter = filter.as_ref().map(|(filter, hits)| (&**filter, *hits));
            Over::new(past, filter)
        });
        Self::Crew(Box::new(crew))
    }

    fn label(&mut self, addr: std::net::IpAddr, name: &str) {
        match self {
            Self::Crew(crew) => crew.label(addr, name),
            Self::Filtering(filtering) => filtering.tracker.label(addr, name),
        }
    }

    /// The captures end, the latest frame of all having passed then.
    fn finish(&mut self, last: Option<Duration>) -> Counters {
        match self {
            Self::Crew(crew) => {
                crew.finish();
                crew.counters()
            }
            Self::Filtering(filtering) => {
                if let Some(last) = last {
                    filtering.tracker.pass_time(last);
                }
                filtering.tracker.finish();
                let left: Vec<Connection> = filtering.tracker.take_all().collect();
                filtering.judge(left);
                *filtering.tracker.counters()
            }
        }
    }
}

impl Filtering<'_> {
    /// Follows a frame, and notes what it leaves open.
    fn frame(&mut self, opened: &Opened<'_>, record: &Record<'_>) {
        // What belongs to no connection was counted.
        let Ok(tracked) = self.tracker.frame(&opened.frame) else {
            return;
        };
        self.sieve
            .add(self.filter, &self.tracker, &tracked, opened, record);
        if self.tracker.has_closed() {
            let over: Vec<Connection> = self.tracker.take_closed().collect();
            self.judge(over);
        }
    }

    fn judge(&mut self, over: Vec<Connection>) {
        for connection in over {
            self.over
                .push(self.sieve.judge(Some(self.filter), connection));
        }
    }
}

/// The work on one set of captures.
struct Reading<'a> {
    opener: Opener,
    follower: Follower<'a>,
    gathering: Gathering,
    streams: &'a [u64],
    /// What is being passed on.
    over: Vec<Over>,
}

impl Reading<'_> {
    #[inline(always)]
    fn record(&mut self, record: &Record<'_>) {
        let Some(opened) = self.opener.open(record) else {
            return;
        };
        match &mut self.follower {
            Follower::Crew(crew) => {
                let _ = crew.frame_in(&opened.frame, record.chunk());
            }
            Follower::Filtering(filtering) => filtering.frame(&opened, record),
        }
    }

    /// Passes on the connections that are over.
    fn hand_over(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        match &mut self.follower {
            Follower::Crew(crew) => {
                self.over.extend(crew.take());
                for over in self.over.drain(..) {
                    if let Some(spent) = pass_on(over, self.streams, &mut self.gathering, sink)? {
                        crew.recycle(spent);
                    }
                }
            }
            Follower::Filtering(filtering) => {
                for over in filtering.over.drain(..) {
                    pass_on(over, self.streams, &mut self.gathering, sink)?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, sources: &Sources, counters: Counters) -> Explained {
        let mut capture = self.opener.into_capture();
        capture.sources = sources.names_of_all();
        capture.format = sources.format();
        capture.bytes = sources.offset();
        capture.counters = counters;
        capture.breaks = sources.breaks().to_vec();
        self.gathering.finish(capture)
    }
}

/// Passes a connection on, and returns it if nobody keeps it.
fn pass_on(
    over: Over,
    streams: &[u64],
    gathering: &mut Gathering,
    sink: &mut dyn Sink,
) -> Result<Option<Past>, Failure> {
    let is_named = streams.is_empty() || streams.contains(&over.past.number());
    if !(over.passes && is_named) {
        gathering.pass_over();
        return Ok(Some(over.past));
    }
    sink.take(&over)?;
    Ok(gathering.take(over))
}
