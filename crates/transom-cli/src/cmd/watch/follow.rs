//! From frames to events: a connection is opened, something goes wrong, it is over.

use std::collections::HashMap;
use std::time::Duration;

use transom_device::{Heard, Start};
use transom_flow::capture::{LinkType, Record};
use transom_flow::filter::Filter;
use transom_flow::{Connection, Limits, Severity, Tracked, Tracker};

use crate::cmd::explain::gather::Over;
use crate::cmd::explain::model::Capture;
use crate::cmd::explain::sieve::{Opener, Sieve};

/// How long after its end a connection is followed for segments that come late.
const LINGER: Duration = Duration::from_secs(10);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The handshake is done, or data passes of a connection whose start was not seen.
    Opened,
    /// Something went wrong, and the connection goes on.
    Trouble,
    /// Neither end holds it any more.
    Over,
}

impl Event {
    /// A stable identifier.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Trouble => "trouble",
            Self::Over => "over",
        }
    }
}

/// What was told of a connection.
#[derive(Debug, Default)]
struct Told {
    opened: bool,
    over: bool,
    /// The gravest finding that was told.
    finding: Option<&'static str>,
    /// Frames since its findings were last looked at.
    unlooked: u32,
}

/// Frames of a connection between two looks at its findings while it goes on.
const LOOK_EVERY: u32 = 64;

/// Follows what is heard.
pub(super) struct Follower {
    opener: Opener,
    tracker: Tracker,
    filter: Option<Filter>,
    sieve: Sieve,
    told: HashMap<u64, Told>,
    /// Bytes on the wire.
    bytes: u64,
}

impl Follower {
    pub(super) fn new(filter: Option<Filter>) -> Self {
        let mut limits = Limits::default();
        limits.linger = LINGER;
        Self {
            opener: Opener::new(),
            tracker: Tracker::new(limits),
            filter,
            sieve: Sieve::default(),
            told: HashMap::new(),
            bytes: 0,
        }
    }

    /// Takes a frame that was heard; tells its connection, if the frame is an event of it that is asked for.
    pub(super) fn heard(&mut self, heard: &Heard<'_>) -> Option<(Event, &Connection)> {
        self.bytes += heard.original_len as u64;
        let link = match heard.start {
            Start::Ethernet => LinkType::ETHERNET,
            Start::Ip => LinkType::RAW,
            // Counted as a link that is not known.
            _ => LinkType(u16::MAX),
        };
        let number = self.opener.capture().frames + 1;
        let mut record = Record::new(number, heard.time, link, heard.data);
        record.orig_len = u32::try_from(heard.original_len).unwrap_or(u32::MAX);
        record.snaplen = u32::try_from(heard.data.len()).unwrap_or(u32::MAX);
        self.record(&record)
    }

    /// Takes a frame of a capture, as [`heard`](Self::heard).
    pub(super) fn record(&mut self, record: &Record<'_>) -> Option<(Event, &Connection)> {
        let opened = self.opener.open(record)?;
        let tracked = self.tracker.frame(&opened.frame).ok()?;
        if let Some(filter) = &self.filter {
            self.sieve
                .add(filter, &self.tracker, &tracked, &opened, record);
        }
        self.event(&tracked)
    }

    fn event(&mut self, tracked: &Tracked) -> Option<(Event, &Connection)> {
        let connection = self.tracker.followed(tracked)?;
        let told = self.told.entry(tracked.connection).or_default();
        let passes = || {
            let filter = self.filter.as_ref();
            filter.is_none_or(|filter| filter.connection(self.sieve.hits(connection), connection))
        };
        let event = if connection.is_closed() {
            if told.over || !passes() {
                return None;
            }
            told.over = true;
            Event::Over
        } else if !told.opened && is_open(connection) {
            if !passes() {
                return None;
            }
            told.opened = true;
            Event::Opened
        } else {
            told.unlooked += 1;
            if told.unlooked < LOOK_EVERY {
                return None;
            }
            told.unlooked = 0;
            let finding = gravest(connection)?;
            if told.finding == Some(finding) || !passes() {
                return None;
            }
            told.finding = Some(finding);
            Event::Trouble
        };
        Some((event, connection))
    }

    /// Connections that are over for good, in the order in which they were let go.
    pub(super) fn take_over(&mut self, now: Duration) -> Vec<Over> {
        self.tracker.pass_time(now);
        let over: Vec<Connection> = self.tracker.take_closed().collect();
        self.judge(over)
    }

    /// Nothing more will be heard.
    pub(super) fn finish(&mut self, now: Duration) -> Vec<Over> {
        self.tracker.pass_time(now);
        self.tracker.finish();
        let left: Vec<Connection> = self.tracker.take_all().collect();
        self.judge(left)
    }

    fn judge(&mut self, over: Vec<Connection>) -> Vec<Over> {
        let judge = |connection: Connection| {
            self.told.remove(&connection.number());
            self.sieve.judge(self.filter.as_ref(), connection)
        };
        over.into_iter().map(judge).collect()
    }

    /// What is known of all that was heard.
    pub(super) fn into_capture(self) -> Capture {
        let mut capture = self.opener.into_capture();
        capture.bytes = self.bytes;
        capture.counters = *self.tracker.counters();
        capture
    }
}

/// Whether there is a connection, rather than an attempt.
fn is_open(connection: &Connection) -> bool {
    connection.handshake().is_some()
        || (!connection.are_roles_known()
            && connection.totals().client.bytes + connection.totals().server.bytes > 0)
}

/// The gravest thing that went wrong so far.
fn gravest(connection: &Connection) -> Option<&'static str> {
    let verdict = connection.verdict();
    let findings = verdict.findings.iter().chain([&verdict.ending]);
    findings
        .filter(|finding| finding.severity == Severity::Problem)
        .map(|finding| finding.id)
        .next()
}
