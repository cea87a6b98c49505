//! Two stacks of a kind back to back in one thread, at equal work.

use std::io;
use std::time::Duration;

use crate::table::{Row, Section};
use crate::{ours, smol};

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

/// The comparison in memory; the application copies 64 KiB in and out each time.
pub(crate) fn compare(rounds: usize, only: &str, mib: Option<usize>) -> io::Result<Vec<Section>> {
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
            "frames of 64 KiB, no checksums",
            Load {
                mtu: 65_535,
                checksums: false,
                buffer: 1 << 20,
                bytes: 8 << 30,
            },
        ),
    ];
    let stacks: [(&str, Run); 2] = [("transom", ours::in_memory), ("smoltcp", smol::in_memory)];
    let mut sections = Vec::new();
    for (title, mut load) in loads {
        load.bytes = mib.map_or(load.bytes, |mib| mib << 20);
        let chosen = || stacks.iter().filter(|stack| stack.0.contains(only));
        let mut rows: Vec<Row> = chosen()
            .map(|stack| Row {
                name: stack.0.to_owned(),
                samples: Vec::new(),
            })
            .collect();
        for _ in 0..rounds {
            for (row, (name, run)) in rows.iter_mut().zip(chosen()) {
                let transfer = run(load)?;
                if transfer.bytes < load.bytes {
                    return Err(io::Error::other(format!(
                        "{name}: the transfer stopped early"
                    )));
                }
                row.samples
                    .push(transfer.bytes as f64 / transfer.elapsed.as_secs_f64() / 1e9);
            }
        }
        sections.push(Section {
            title: format!("In memory: {title}"),
            rows,
            ceiling: None,
            peer: "smoltcp",
        });
    }
    Ok(sections)
}
