//! `--annotate`: a copy of the capture with what we found as comments on its packets.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use transom_flow::capture::{CopyError, copy};
use transom_flow::words::count;
use transom_flow::{Connection, Entry, Finding, Verdict, What};

use super::whole::Whole;
use crate::failure::Failure;
use crate::terminal;

/// Comments kept; beyond that what is found later goes without.
const COMMENTS_MAX: usize = 1 << 20;
/// Frames of one finding that are marked.
const FRAMES_MAX: usize = 16;

/// Comments for packets, by the number of the frame.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    comments: HashMap<u64, Vec<String>>,
    kept: usize,
    left_out: u64,
}

impl Annotations {
    /// Notes what is said of a connection: in full on the first frame that shows it, by name on the others.
    pub(super) fn add(&mut self, connection: &Connection, verdict: &Verdict) {
        let stream = connection.number();
        for finding in std::iter::once(&verdict.ending).chain(&verdict.findings) {
            self.finding(stream, connection, finding);
        }
    }

    fn finding(&mut self, stream: u64, connection: &Connection, finding: &Finding) {
        let id = finding.id;
        let mut frames = finding.frames.iter().copied().take(FRAMES_MAX);
        // What no frame shows by itself is said where the connection ends.
        let Some(first) = frames.next().or_else(|| last_frame(connection)) else {
            return;
        };
        self.push(
            first,
            format!("transom: tcp.stream {stream}: {id}: {}", finding.text),
        );
        for frame in frames.filter(|frame| *frame != first) {
            let comment = format!("transom: tcp.stream {stream}: {id}, see frame {first}");
            self.push(frame, comment);
        }
    }

    fn push(&mut self, frame: u64, comment: String) {
        if self.kept >= COMMENTS_MAX {
            self.left_out += 1;
            return;
        }
        self.kept += 1;
        self.comments.entry(frame).or_default().push(comment);
    }

    /// Writes the copy. A capture that breaks off is copied up to the break.
    pub(super) fn write(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        let input = File::open(from).map_err(|error| {
            Failure::new(format!("cannot read {} again: {error}", from.display()))
        })?;
        let mut file = Whole::create(to)?;
        match copy(input, file.out(), &self.comments) {
            // That it breaks off was told already.
            Ok(_) | Err(CopyError::Read(_)) => {}
            Err(CopyError::Write(error)) => return Err(file.refused(&error)),
            Err(error) => {
                return Err(Failure::new(format!(
                    "cannot copy {}: {error}",
                    from.display()
                )));
            }
        }
        file.finish()?;
        if self.left_out > 0 {
            let left_out = count(self.left_out, "comment");
            terminal::remark(&format!("{} has no room for {left_out} more", to.display()));
        }
        Ok(())
    }
}

/// The frame of the last segment.
fn last_frame(connection: &Connection) -> Option<u64> {
    let frames = connection.entries().filter_map(|entry| match entry {
        Entry::Step(step) => match &step.what {
            What::Segment(segment) => Some(segment.frame),
            What::Icmp(icmp) => Some(icmp.frame),
            _ => None,
        },
        Entry::Fold(_) => None,
    });
    frames.last()
}
