//! From frames to connections, each handed on as soon as it is over.

use std::collections::HashMap;
use std::time::Duration;

use transom_flow::capture::{Decapsulator, Record};
use transom_flow::filter::{Filter, Hits, Subject};
use transom_flow::{Connection, Limits, Tracker, Verdict};

use super::model::{Capture, Explained, Gathering, Keep};
use super::progress::Progress;
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

/// What takes connections as they end.
pub(crate) trait Sink {
    /// What is to be kept until the end.
    fn keep(&self) -> Keep;
    /// Points kept of each connection for graphs.
    fn series(&self) -> usize;
    /// Steps of each connection kept in full at its start, and as many at its end; `None` for the usual.
    fn steps(&self) -> Option<usize>;
    /// A connection that was asked for is over.
    fn take(&mut self, connection: &Connection, verdict: &Verdict) -> Result<(), Failure>;
}

/// Frames between two looks whether connections are over.
const STRIDE: u64 = 1024;

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
    let mut worker = Worker {
        tracker: Tracker::new(limits),
        decapsulator: Decapsulator::new(),
        gathering: Gathering::new(sink.keep()),
        hits: HashMap::new(),
        chosen,
        asks_frames: chosen.filter.is_some(),
        capture: Capture::default(),
        previous: None,
    };
    let mut progress = Progress::new();
    while let Some(record) = sources.next()? {
        worker.record(&record);
        let frames = worker.capture.frames;
        if frames.is_multiple_of(STRIDE) {
            for (addr, name) in sources.names() {
                worker.tracker.label(addr, &name);
            }
            worker.hand_over(sink)?;
            progress.frame(frames, || sources.progress());
        }
    }
    sources.finish()?;
    for (addr, name) in sources.names() {
        worker.tracker.label(addr, &name);
    }
    worker.tracker.finish();
    progress.done();
    worker.finish(&sources, sink)
}

struct Worker<'a> {
    tracker: Tracker,
    decapsulator: Decapsulator,
    gathering: Gathering,
    /// What the frames of connections that are not over leave open.
    hits: HashMap<u64, Hits>,
    chosen: &'a Chosen,
    asks_frames: bool,
    capture: Capture,
    previous: Option<Duration>,
}

impl Worker<'_> {
    fn record(&mut self, record: &Record<'_>) {
        let capture = &mut self.capture;
        capture.frames += 1;
        let time = record.time;
        let origin = *capture.first.get_or_insert(time);
        capture.last = capture.last.max(Some(time));
        let previous = self.previous.replace(time).unwrap_or(time);
        let Ok(frame) = self.decapsulator.frame(record) else {
            return;
        };
        let packet = frame.data;
        let Ok(tracked) = self.tracker.frame(&frame) else {
            return;
        };
        if !self.asks_frames {
            return;
        }
        let (Some(filter), Some(place)) = (&self.chosen.filter, self.tracker.place(&tracked))
        else {
            return;
        };
        let mut subject = Subject::default();
        subject.number = record.number;
        subject.time = time;
        subject.origin = origin;
        subject.previous = previous;
        subject.len = record.orig_len;
        subject.frame = record.data;
        subject.packet = packet;
        subject.place = Some(place);
        let hits = filter.frame(&subject);
        if !hits.is_never() {
            self.hits.entry(place.stream).or_default().add(hits);
        }
    }

    /// Passes on the connections that are over.
    fn hand_over(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        let over: Vec<Connection> = self.tracker.take_closed().collect();
        self.pass_on(over, sink)
    }

    fn pass_on(&mut self, over: Vec<Connection>, sink: &mut dyn Sink) -> Result<(), Failure> {
        for mut connection in over {
            // As Wireshark counts, so that its filters and ours speak of the same.
            connection.set_number(connection.number().saturating_sub(1));
            if !self.is_chosen(&connection) {
                self.gathering.pass_over();
                continue;
            }
            let verdict = connection.verdict();
            sink.take(&connection, &verdict)?;
            self.gathering.take(connection, &verdict);
        }
        Ok(())
    }

    fn is_chosen(&mut self, connection: &Connection) -> bool {
        let number = connection.number();
        let hits = self.hits.remove(&number).unwrap_or_default();
        let streams = &self.chosen.streams;
        let is_named = streams.is_empty() || streams.contains(&number);
        let filter = self.chosen.filter.as_ref();
        is_named && filter.is_none_or(|filter| filter.connection(hits, connection))
    }

    fn finish(mut self, sources: &Sources, sink: &mut dyn Sink) -> Result<Explained, Failure> {
        let over: Vec<Connection> = self.tracker.take_all().collect();
        self.pass_on(over, sink)?;
        self.capture.sources = sources.names_of_all();
        self.capture.format = sources.format();
        self.capture.bytes = sources.offset();
        self.capture.links = self.decapsulator.counters();
        self.capture.counters = *self.tracker.counters();
        self.capture.breaks = sources.breaks().to_vec();
        Ok(self.gathering.finish(self.capture, Vec::new()))
    }
}
