//! Events as they come: a line each, for people or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use transom_draw::json::{self, Detail};
use transom_draw::text::{Options, visible};
use transom_flow::words::{bytes, duration};
use transom_flow::{Connection, End, Severity};

use super::follow::Event;
use crate::cmd::explain::gather::Over;
use crate::failure::Failure;

/// Writes events to standard output.
pub(super) struct Teller {
    json: bool,
    options: Options,
    /// Time of the first event told, which the others count from.
    origin: Option<Duration>,
    /// The reader of standard output went away.
    is_unheard: bool,
}

/// An event as JSON.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    /// Seconds since 1970, as text with nine decimals.
    time: String,
    connection: json::Connection<'a>,
}

impl Teller {
    pub(super) const fn new(json: bool, options: Options) -> Self {
        Self {
            json,
            options,
            origin: None,
            is_unheard: false,
        }
    }

    /// Whether nobody reads any more.
    pub(super) const fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// Says what is going on, where people look.
    pub(super) fn start(&mut self, what: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.write(&format!("{what}; Ctrl-C ends it.\n"))
    }

    /// Tells an event.
    pub(super) fn event(
        &mut self,
        event: Event,
        connection: &Connection,
        time: Duration,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(event.id(), connection, time, 1);
        }
        let origin = *self.origin.get_or_insert(time);
        let since = time.saturating_sub(origin).as_secs_f64();
        let label = |end| visible(&connection.endpoint(end).label(), &self.options);
        let line = format!(
            "{since:>10.3} s  #{} {} {} {}  {}\n",
            connection.number().saturating_sub(1),
            label(End::Client),
            if self.options.unicode { "→" } else { "->" },
            label(End::Server),
            visible(&said(event, connection), &self.options),
        );
        self.write(&line)
    }

    /// Tells, as JSON, of a connection that is still open when the watch ends.
    pub(super) fn last(&mut self, over: &Over) -> Result<(), Failure> {
        let connection = over.past.connection();
        if self.json && !connection.is_closed() {
            let time = connection.start() + connection.duration();
            return self.json("open_at_end", connection, time, 0);
        }
        Ok(())
    }

    /// `base`: what the numbers of connections count from here.
    fn json(
        &mut self,
        event: &'static str,
        connection: &Connection,
        time: Duration,
        base: u64,
    ) -> Result<(), Failure> {
        let number = connection.number().saturating_sub(base);
        let line = Line {
            event,
            time: format!("{}.{:09}", time.as_secs(), time.subsec_nanos()),
            connection: json::detailed(connection, Detail::Summary).numbered(number),
        };
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Failure::doing("write an event as JSON", error))?;
        text.push('\n');
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_unheard = true;
                Ok(())
            }
            Err(error) => Err(Failure::doing("write to standard output", error)),
        }
    }
}

/// What is said of an event.
fn said(event: Event, connection: &Connection) -> String {
    let verdict = connection.verdict();
    match event {
        Event::Opened => match connection.handshake() {
            Some(handshake) => format!("open after {}", duration(handshake.duration())),
            None => "goes on; its start was not seen".into(),
        },
        Event::Trouble => verdict
            .findings
            .iter()
            .find(|finding| finding.severity == Severity::Problem)
            .map_or(verdict.ending.text, |finding| finding.text.clone()),
        Event::Over if verdict.severity() == Severity::Problem => verdict.text(),
        Event::Over => {
            let totals = connection.totals();
            format!(
                "over after {}, closed by {}; {} sent, {} received",
                duration(connection.duration()),
                connection.closed_by(),
                bytes(totals.client.bytes),
                bytes(totals.server.bytes)
            )
        }
    }
}
