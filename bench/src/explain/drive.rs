//! The analysis alone, without the command: records, tracker, verdicts.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use transom_flow::wire::Medium;
use transom_flow::{Connection, Frame, Limits, Severity, Tracker};

/// What an analysis found and took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Analysis {
    packets: u64,
    bytes: u64,
    connections: u64,
    problems: u64,
    words: u64,
    time: Duration,
}

impl Analysis {
    fn take(&mut self, connection: &Connection) {
        let verdict = connection.verdict();
        self.connections += 1;
        self.problems += u64::from(verdict.severity() == Severity::Problem);
        self.words += verdict.text().len() as u64;
    }
}

impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(
            f,
            "{:.2} s, {:.2} M packets/s, {:.2} GiB/s; {} packets, {} connections, {} problems, {} characters",
            seconds,
            self.packets as f64 / seconds / 1e6,
            self.bytes as f64 / seconds / f64::from(1 << 30),
            self.packets,
            self.connections,
            self.problems,
            self.words,
        )
    }
}

/// Analyses a capture that [`generate`](super::generate) made.
pub(crate) fn one_core(path: &Path) -> io::Result<Analysis> {
    let start = Instant::now();
    let mut analysis = Analysis::default();
    let mut tracker = Tracker::new(Limits::default());
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut have = 0;
    let mut at = 24;
    loop {
        let n = file.read(&mut buffer[have..])?;
        have += n;
        analysis.bytes += n as u64;
        while let Some(head) = buffer[at..have].first_chunk::<16>() {
            let word =
                |n: usize| u32::from_le_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]);
            let end = at + 16 + word(8) as usize;
            if end > have {
                break;
            }
            let time = Duration::new(u64::from(word(0)), word(4) * 1000);
            let frame = Frame::new(time, Medium::Ip, &buffer[at + 16 + 14..end]);
            analysis.packets += 1;
            let _ = tracker.frame(&frame);
            at = end;
        }
        for connection in tracker.take_closed() {
            analysis.take(&connection);
        }
        if n == 0 {
            break;
        }
        buffer.copy_within(at..have, 0);
        have -= at;
        at = 0;
    }
    tracker.finish();
    for connection in tracker.take_all() {
        analysis.take(&connection);
    }
    analysis.time = start.elapsed();
    Ok(analysis)
}
