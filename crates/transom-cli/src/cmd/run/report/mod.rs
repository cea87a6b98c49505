//! The report at the end of a run.

mod json;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use transom_draw::text::{Options, diagram, table};
use transom_flow::{Connection, Severity};

use super::observe::Collected;
use super::plan::Addresses;
use crate::args::{DiagramChoice, RunArgs};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Where the report goes.
pub(crate) enum Destination {
    /// Nowhere.
    Nowhere,
    /// Our stderr.
    Stderr,
    /// Our stdout, or a file.
    File(File),
}

/// What the report says of the run as a whole.
pub(crate) struct Facts<'a> {
    /// What was run.
    pub(crate) command: &'a [OsString],
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// How long it took.
    pub(crate) duration: Duration,
    /// "tun" or "veth".
    pub(crate) device: &'a str,
    /// MTU of the program's device, bytes.
    pub(crate) mtu: u32,
    /// The addresses inside.
    pub(crate) inside: &'a [Addresses],
}

/// What the report looks like.
pub(crate) struct Report {
    destination: Destination,
    json: bool,
    diagram: DiagramChoice,
    options: Options,
}

/// Connections drawn without being asked for.
const DRAWN: usize = 3;
/// Connections drawn because something went wrong with them.
const DRAWN_PROBLEMS: usize = 10;

impl Report {
    /// Opens the destination, before the program runs.
    pub(crate) fn open(args: &RunArgs) -> Result<Self, Failure> {
        let destination = match &args.report {
            _ if args.quiet => Destination::Nowhere,
            None => Destination::Stderr,
            Some(path) => Destination::File(open_file(path)?),
        };
        let stderr = io::stderr();
        let stream = matches!(destination, Destination::Stderr).then_some(&stderr);
        let options = terminal::options(stream, args.color);
        Ok(Self {
            destination,
            json: args.json,
            diagram: args.diagram,
            options,
        })
    }

    /// Writes it. Fails only where a file was asked for: a closed stderr reads no error either.
    pub(crate) fn write(self, collected: &Collected, facts: &Facts<'_>) -> Result<(), Failure> {
        let mut text = if self.json {
            json::run(collected, facts)
        } else {
            self.as_text(collected)
        };
        let spoken = matches!(self.destination, Destination::Stderr) && !self.json;
        let mut aside = String::new();
        // What went wrong is said even to those who want no report.
        let notices = if matches!(self.destination, Destination::Nowhere) {
            &[][..]
        } else {
            collected.notices.as_slice()
        };
        for notice in notices.iter().chain(&collected.capture_error) {
            let to = if spoken { &mut text } else { &mut aside };
            to.push_str(&format!("transom: {notice}\n"));
        }
        let _ = io::stderr().write_all(aside.as_bytes());
        match self.destination {
            Destination::Nowhere => Ok(()),
            Destination::Stderr => {
                let _ = io::stderr().write_all(text.as_bytes());
                Ok(())
            }
            Destination::File(mut file) => file
                .write_all(text.as_bytes())
                .map_err(|error| Failure::doing("write the report", error)),
        }
    }

    fn as_text(&self, collected: &Collected) -> String {
        let connections: Vec<_> = collected.tracker.connections().collect();
        if connections.is_empty() {
            return "\nNo TCP connection was made.\n".to_owned();
        }
        let mut out = String::from("\n");
        out.push_str(&table(&connections, &self.options));
        for connection in self.drawn(&connections) {
            out.push('\n');
            out.push_str(&diagram(connection, &self.options));
        }
        out
    }

    fn drawn<'a>(&self, connections: &[&'a Connection]) -> Vec<&'a Connection> {
        match self.diagram {
            DiagramChoice::None => Vec::new(),
            DiagramChoice::All => connections.to_vec(),
            DiagramChoice::Auto => {
                let mut problems = 0;
                let mut at = 0;
                let mut drawn = connections.to_vec();
                drawn.retain(|connection| {
                    at += 1;
                    if at <= DRAWN {
                        return true;
                    }
                    let wrong = connection.verdict().severity() == Severity::Problem;
                    problems += usize::from(wrong);
                    wrong && problems <= DRAWN_PROBLEMS
                });
                drawn
            }
        }
    }
}

fn open_file(path: &Path) -> Result<File, Failure> {
    if path == Path::new("-") {
        use std::os::fd::AsFd;
        return io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(|error| Failure::doing("write the report to stdout", error));
    }
    File::create(path).map_err(|error| {
        Failure::new(format!(
            "cannot write the report to {}: {error}; choose another with --report FILE",
            path.display()
        ))
    })
}
