//! Frames on their way to a tracker, and what a filter says of those of each connection.

use std::collections::HashMap;
use std::time::Duration;

use transom_flow::capture::{Decapsulator, Record};
use transom_flow::filter::{Filter, Hits, Subject};
use transom_flow::parallel::Numbered;
use transom_flow::{Connection, Frame, Tracked, Tracker};

use super::gather::Over;
use super::model::Capture;

/// Counts and opens the records of captures.
pub(crate) struct Opener {
    decapsulator: Decapsulator,
    capture: Capture,
    previous: Option<Duration>,
}

/// An opened record.
pub(crate) struct Opened<'a> {
    /// Its IP packet.
    pub(crate) frame: Frame<'a>,
    /// When the first frame of all passed, and the one before this.
    origin: Duration,
    previous: Duration,
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self {
            decapsulator: Decapsulator::new(),
            capture: Capture::default(),
            previous: None,
        }
    }

    /// `None`, where a record holds no IP packet, which is counted.
    #[inline(always)]
    pub(crate) fn open<'a>(&'a mut self, record: &'a Record<'_>) -> Option<Opened<'a>> {
        let time = record.time;
        self.capture.frames += 1;
        let origin = *self.capture.first.get_or_insert(time);
        self.capture.last = self.capture.last.max(Some(time));
        let previous = self.previous.replace(time).unwrap_or(time);
        Some(Opened {
            frame: self.decapsulator.frame(record).ok()?,
            origin,
            previous,
        })
    }

    /// What is known of the captures so far, but for what the decapsulator counts.
    pub(crate) const fn capture(&self) -> &Capture {
        &self.capture
    }

    /// What is known of the captures at their end.
    pub(crate) fn into_capture(mut self) -> Capture {
        self.capture.links = self.decapsulator.counters();
        self.capture
    }
}

impl Opened<'_> {
    /// What a filter looks at, its place in a connection still to come.
    fn subject<'a>(&'a self, record: &'a Record<'_>) -> Subject<'a> {
        let mut subject = Subject::default();
        subject.number = record.number;
        subject.time = record.time;
        subject.origin = self.origin;
        subject.previous = self.previous;
        subject.len = record.orig_len;
        subject.frame = record.data;
        subject.packet = self.frame.data;
        subject
    }
}

/// What the frames of connections that are not over leave open of a filter, by the connections' numbers.
#[derive(Default)]
pub(crate) struct Sieve(HashMap<u64, Hits>);

impl Sieve {
    /// Notes what a frame leaves open.
    pub(crate) fn add(
        &mut self,
        filter: &Filter,
        tracker: &Tracker,
        tracked: &Tracked,
        opened: &Opened<'_>,
        record: &Record<'_>,
    ) {
        let number = tracked.connection;
        if !self.0.get(&number).is_some_and(Hits::is_always)
            && let Some(place) = tracker.place(tracked)
        {
            let mut subject = opened.subject(record);
            subject.place = Some(place);
            let hits = filter.frame(&subject);
            if !hits.is_never() {
                self.0.entry(number).or_default().add(hits);
            }
        }
    }

    /// What the frames of a connection left open so far.
    pub(crate) fn hits(&self, connection: &Connection) -> Hits {
        let hits = self.0.get(&connection.number());
        hits.copied().unwrap_or_default()
    }

    /// Judges a connection that is over.
    pub(crate) fn judge(&mut self, filter: Option<&Filter>, connection: Connection) -> Over {
        let number = connection.number();
        let hits = self.0.remove(&number).unwrap_or_default();
        let past = Box::new(connection).into();
        let mut over = Over::new(past, filter.map(|filter| (filter, hits)));
        over.set_number(number);
        over
    }
}

/// What every frame says of a filter that does not look at frames.
pub(crate) fn of_any_frame(filter: &Filter) -> Hits {
    filter.frame(&Subject::default())
}
