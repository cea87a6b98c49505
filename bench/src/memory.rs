//! Two stacks of a kind back to back in one thread, at equal work.

use std::io;
use std::time::Duration;

use crate::comparison::{Figure, Row, Section, interleave};
use crate::part::{Options, Part};
use crate::{in_memory, option, smol, sys};

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
            Packets exist complete between the stacks, with their checksums where it says so; buffers are of 1 MiB.",
};

const SMOLTCP: &str = "smoltcp";

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
        (SMOLTCP, smol::in_memory),
        // Faster with long frames: both of its buffers stay in the second-level cache.
        ("smoltcp, buffers of 256 KiB", |load| {
            let buffer = 256 << 10;
            smol::in_memory(Load { buffer, ..load })
        }),
    ];
    let mut sections = Vec::new();
    for (title, mut load) in loads {
        let title = format!("In memory: {title}");
        if !options.wants(&title) {
            continue;
        }
        load.bytes = mib.map_or(load.bytes, |mib: usize| mib << 20);
        let chosen: Vec<(Row, Run)> = stacks
            .into_iter()
            .filter(|(name, _)| options.wants_row(name))
            .map(|(name, run)| (Row::new(name), run))
            .collect();
        let rows = interleave(options.rounds, &chosen, |run| {
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
    options.finish(&PART, &sections)
}
