//! One byte there and back: how long it takes.

use std::io;

use crate::bulk::{Configuration, Peers, beside_idle, rows};
use crate::comparison::{Figure, Section};
use crate::part::{Options, Part};
use crate::trial::{Stack, Wire, Work};

const PART: Part = Part {
    heading: "# Latency",
    command: "latency --write",
    about: "One byte from a blocking socket of the kernel to an echo server behind the device and back, 10,000 times; MTU 1500, client\n\
            and server each on a processor of its own. Less is better.",
};

const KERNEL: &str = "kernel to kernel over veth";
const SPINNING: &str = "smoltcp, its loop without sleep";
const SLEEPING: &str = "smoltcp";
/// Large enough for any byte.
const BUFFER: usize = 65_536;

/// The comparison.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    let mut sections = Vec::new();
    let title = "Ping-pong over TUN";
    if options.wants(title) {
        let programs = Peers::find(&options);
        let mut stacks = vec![
            named(KERNEL, Stack::Kernel, Wire::Veth),
            named("transom", Stack::Transom, Wire::TunOffload),
            named("transom, without offload", Stack::Transom, Wire::Tun),
            named(
                "transom, busy polling",
                Stack::TransomBusy,
                Wire::TunOffload,
            ),
            named(SLEEPING, Stack::SmoltcpOurDevice(BUFFER), Wire::Tun),
            named(SPINNING, Stack::SmoltcpSpinning(BUFFER), Wire::Tun),
        ];
        stacks.extend(programs.stacks());
        sections.push(section(&options, title, stacks, vec![KERNEL, SPINNING]));
    }
    let title = "Ping-pong over veth";
    if options.wants(title) {
        let stacks = vec![
            named(KERNEL, Stack::Kernel, Wire::Veth),
            named("transom behind a packet socket", Stack::Transom, Wire::Veth),
            named(
                "transom behind a packet socket, busy polling",
                Stack::TransomBusy,
                Wire::Veth,
            ),
        ];
        sections.push(section(&options, title, stacks, vec![KERNEL]));
    }
    let title = "Ping-pong over TUN beside 10,000 idle connections";
    if options.wants(title) {
        let title = title.to_owned();
        sections.push(beside_idle(&options, title, figures(), Work::PingPong));
    }
    options.finish(&PART, &sections)
}

fn figures() -> Vec<Figure> {
    vec![
        Figure("median, µs", 1),
        Figure("99 %, µs", 1),
        Figure("99.9 %, µs", 0),
    ]
}

/// A row of the table.
pub(crate) fn named(name: &str, stack: Stack, wire: Wire) -> Configuration {
    (name.to_owned(), Ok(stack), wire)
}

fn section(
    options: &Options,
    title: &str,
    stacks: Vec<Configuration>,
    peers: Vec<&'static str>,
) -> Section {
    Section {
        title: title.to_owned(),
        figures: figures(),
        rows: rows(options, stacks, Work::PingPong),
        ceiling: None,
        peers,
    }
}
