//! What is written: one thing on standard output, and files beside it.

mod annotations;
pub(crate) mod capture;
mod files;
pub(crate) mod text;
mod whole;

use std::io::{self, BufWriter, Stdout, Write};

use transom_draw::json::{Detail, Stream};
use transom_draw::text::Options;
use transom_draw::{conn_log, mermaid};
use transom_flow::Connection;

use self::annotations::Annotations;
pub(crate) use self::text::report;
use super::args::{DrawChoice, ExplainArgs};
use super::gather::{Over, Sink};
use super::model::{Explained, Keep};
use crate::calendar::now;
use crate::failure::Failure;
use crate::terminal;

/// Connections drawn without being asked for.
const DRAWN: usize = 10;
/// As many connections are drawn whatever they are.
const DRAWN_ANYWAY: usize = 3;
/// Points of each connection and direction kept for graphs.
const SERIES: usize = 4096;
/// Steps kept at each end of a connection that is to be drawn unfolded.
const UNFOLDED: usize = 16_384;

/// What goes to standard output.
enum Printed {
    /// A report for people, at the end.
    Text,
    /// Diagrams in Mermaid's language, at the end.
    Mermaid,
    /// A document that grows; none once its reader went away.
    Json(Option<Stream<BufWriter<Stdout>>>, Detail),
    /// Lines that grow; none once their reader went away.
    ConnLog(Option<BufWriter<Stdout>>),
}

/// Everything that is written.
pub(super) struct Outputs<'a> {
    args: &'a ExplainArgs,
    options: Options,
    printed: Printed,
    annotations: Option<Annotations>,
}

impl<'a> Outputs<'a> {
    /// Looks whether what was asked for can be written, before any work is done.
    pub(super) fn open(args: &'a ExplainArgs) -> Result<Self, Failure> {
        let options = terminal::options(Some(&io::stdout()), args.color)
            .fold(!args.unfold)
            .frames(true);
        let options = if args.ascii {
            options.ascii(true)
        } else {
            options
        };
        files::check(args)?;
        let out = || BufWriter::with_capacity(1 << 16, io::stdout());
        let printed = if args.json {
            let detail = if args.brief {
                Detail::Summary
            } else {
                Detail::Steps
            };
            Printed::Json(still_read(Stream::start(out()))?, detail)
        } else if args.conn_log {
            let mut out = out();
            let header = conn_log::header(now());
            let written = out.write_all(header.as_bytes());
            Printed::ConnLog(still_read(written)?.map(|()| out))
        } else if args.mermaid {
            Printed::Mermaid
        } else {
            Printed::Text
        };
        Ok(Self {
            args,
            options,
            printed,
            annotations: args.annotate.is_some().then(Annotations::default),
        })
    }

    /// The connections to draw, of those that were kept in full.
    fn drawn<'e>(&self, explained: &'e Explained) -> Vec<&'e Connection> {
        let most = self.keep().whole;
        let all = explained.whole.iter();
        let is_few = explained.counts.chosen <= DRAWN_ANYWAY as u64;
        let is_named = !self.args.stream.is_empty();
        match self.args.diagram {
            DrawChoice::None => Vec::new(),
            DrawChoice::All => all.take(most).collect(),
            DrawChoice::Auto if is_few || is_named => all.take(most).collect(),
            DrawChoice::Auto => all
                .enumerate()
                .filter(|(at, connection)| {
                    let severity = connection.verdict().severity();
                    *at < DRAWN_ANYWAY || severity == transom_flow::Severity::Problem
                })
                .map(|(_, connection)| connection)
                .collect(),
        }
    }

    /// Writes what could not be written before the end.
    pub(super) fn finish(mut self, explained: &Explained) -> Result<(), Failure> {
        let drawn = self.drawn(explained);
        match &mut self.printed {
            Printed::Text => {
                let text = report(explained, &drawn, &self.options);
                terminal::print(&text)?;
            }
            Printed::Mermaid => {
                let options = mermaid::Options::default().fold(!self.args.unfold);
                for connection in &drawn {
                    terminal::print(&mermaid::diagram(connection, &options))?;
                }
            }
            Printed::Json(stream, _) => {
                if let Some(stream) = stream.take() {
                    let source = explained.capture.sources.join(", ");
                    let capture = capture::json(explained, &source);
                    still_read(stream.finish(Some(&capture)))?;
                }
            }
            Printed::ConnLog(out) => {
                if let Some(mut out) = out.take() {
                    let footer = conn_log::footer(now());
                    let written = out.write_all(footer.as_bytes());
                    still_read(written.and_then(|()| out.flush()))?;
                }
            }
        }
        if !matches!(self.printed, Printed::Text) {
            for broken in &explained.capture.breaks {
                terminal::remark(&format!("{}: {}", broken.source, broken.what));
            }
        }
        files::write(self.args, explained, &drawn, self.annotations.as_ref())
    }
}

impl Sink for Outputs<'_> {
    fn keep(&self) -> Keep {
        let limit = self.args.limit;
        let whole = match self.args.diagram {
            DrawChoice::None => 0,
            DrawChoice::All => limit,
            DrawChoice::Auto if !self.args.stream.is_empty() => limit,
            DrawChoice::Auto => DRAWN.min(limit),
        };
        Keep {
            listed: limit,
            whole,
        }
    }

    fn series(&self) -> usize {
        if self.args.svg.is_some() || self.args.html.is_some() {
            SERIES
        } else {
            0
        }
    }

    fn steps(&self) -> Option<usize> {
        self.args.unfold.then_some(UNFOLDED)
    }

    fn take(&mut self, over: &Over) -> Result<(), Failure> {
        if let Some(annotations) = &mut self.annotations {
            annotations.add(over.past.connection(), &over.past.connection().verdict());
        }
        match &mut self.printed {
            Printed::Json(stream, detail) => {
                if let Some(open) = stream
                    && still_read(open.connection(over.past.connection(), *detail))?.is_none()
                {
                    *stream = None;
                }
            }
            Printed::ConnLog(out) => {
                if let Some(open) = out
                    && still_read(
                        open.write_all(conn_log::line(over.past.connection()).as_bytes()),
                    )?
                    .is_none()
                {
                    *out = None;
                }
            }
            Printed::Text | Printed::Mermaid => {}
        }
        Ok(())
    }
}

/// Nothing, where the reader of standard output went away: it has seen what it wanted.
fn still_read<T>(result: io::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(Failure::doing("write to standard output", error)),
    }
}
