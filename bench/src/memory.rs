//! Two stacks of a kind back to back in one thread, at equal work.

use std::io;
use std::time::{Duration, Instant};

use crate::comparison::{Figure, Section, interleave};
use crate::part::{Options, Part};
use crate::{in_memory, in_memory_rate, number, option, smol_memory, sys};

/// How much, in which pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// IP MTU in bytes.
    pub(crate) mtu: usize,
    /// Whether TCP checksums are computed and verified in software.
    pub(crate) checksums: bool,
    /// Socket buffer, bytes.
    pub(crate) buffer: usize,
    /// Bytes to carry.
    pub(crate) bytes: usize,
}

/// How many connections, each of which carries a byte there and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connections {
    /// Open at a time.
    pub(crate) at_once: usize,
    pub(crate) count: u64,
}

impl Connections {
    /// Whether there are more to come after so many.
    ///
    /// # Errors
    /// They take so long that they may never come.
    pub(crate) fn goes_on(&self, started: Instant, done: u64) -> io::Result<bool> {
        if started.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{done} connections only")));
        }
        Ok(done < self.count)
    }
}

/// What was carried, and how long it took.
pub(crate) struct Transfer {
    pub(crate) bytes: usize,
    pub(crate) elapsed: Duration,
}

type Run = fn(Load) -> io::Result<Transfer>;

const PART: Part = Part {
    heading: "# In memory",
    command: "memory --write",
    about: "Two stacks of a kind back to back in one thread, at equal work; the application copies 64 KiB in and out each time.\n\
            Packets exist complete between the stacks, with their checksums where it says so; buffers are of 1 MiB.\n\
            Connections: one byte there and back, and who connected closes; 600,000 use 440,000 pairs of ports, so that some meet another\n\
            in TIME-WAIT (smoltcp resets the connection in place of TIME-WAIT, in which it would keep the socket).",
};

const SMOLTCP: &str = "smoltcp";
/// Of a round, where nothing else is said.
const CONNECTIONS: u64 = 600_000;
/// For all of them; longer is as good as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The comparison.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    sys::own_session();
    sys::go_first();
    let mib = option(arguments, "--mib").and_then(|n| n.parse().ok());
    let loads = [
        (
            "MTU 1500, checksums in software",
            Load {
                mtu: 1500,
                checksums: true,
                buffer: 1 << 20,
                bytes: 2 << 30,
            },
        ),
        (
            "frames of 64 KiB, checksums in software",
            Load {
                mtu: 65_535,
                checksums: true,
                buffer: 1 << 20,
                bytes: 4 << 30,
            },
        ),
        (
            "frames of 64 KiB, no checksums",
            Load {
                mtu: 65_535,
                checksums: false,
                buffer: 1 << 20,
                bytes: 8 << 30,
            },
        ),
    ];
    let stacks: [(&str, Run); 4] = [
        ("transom", in_memory::run),
        ("transom, buffers of 256 KiB", |load| {
            let buffer = 256 << 10;
            in_memory::run(Load { buffer, ..load })
        }),
        (SMOLTCP, smol_memory::bulk),
        // Faster with long frames: both of its buffers stay in the second-level cache.
        ("smoltcp, buffers of 256 KiB", |load| {
            let buffer = 256 << 10;
            smol_memory::bulk(Load { buffer, ..load })
        }),
    ];
    let mut sections = Vec::new();
    for (title, mut load) in loads {
        let title = format!("In memory: {title}");
        if !options.wants(&title) {
            continue;
        }
        load.bytes = mib.map_or(load.bytes, |mib: usize| mib << 20);
        let rows = interleave(options.rounds, &options.chosen(stacks), |run| {
            let transfer = run(load)?;
            if transfer.bytes < load.bytes {
                return Err(io::Error::other("the transfer stopped early"));
            }
            Ok(vec![
                transfer.bytes as f64 / transfer.elapsed.as_secs_f64() / 1e9,
            ])
        });
        sections.push(Section {
            title,
            figures: vec![Figure("GB/s", 2)],
            rows,
            ceiling: None,
            peers: vec![SMOLTCP],
        });
    }
    for at_once in [1, 8, 100] {
        let title = format!("In memory: connect, request, answer, close: {at_once} at a time");
        if options.wants(&title) {
            let count = number(arguments, "--connections", CONNECTIONS)?;
            sections.push(connections(&options, title, at_once, count));
        }
    }
    options.finish(&PART, &sections)
}

/// Connections a second of both ends together, which are in one thread.
fn connections(options: &Options, title: String, at_once: usize, count: u64) -> Section {
    type Run = fn(Connections) -> io::Result<Duration>;
    let stacks: [(&str, Run); 2] = [
        ("transom", in_memory_rate::run),
        (SMOLTCP, smol_memory::connections),
    ];
    let load = Connections { at_once, count };
    let rows = interleave(options.rounds, &options.chosen(stacks), |run| {
        Ok(vec![load.count as f64 / run(load)?.as_secs_f64()])
    });
    Section {
        title,
        figures: vec![Figure("connections/s", 0)],
        rows,
        ceiling: None,
        peers: vec![SMOLTCP],
    }
}
