//! Connections a second: connect, one byte there and back, close.

use std::io;

use crate::bulk::{Configuration, Peers, rows};
use crate::comparison::{Figure, Section};
use crate::latency::named;
use crate::part::{Options, Part};
use crate::trial::{Stack, Wire, Work};

const PART: Part = Part {
    heading: "# Connection rate",
    command: "rate --write",
    about: "Connections a second: connect, one byte there and back, close, by so many threads at a time; the client closes first. Client\n\
            and server each have one processor. Where smoltcp connects it resets a connection in place of TIME-WAIT, in which it\n\
            would keep the socket.",
};

const KERNEL: &str = "kernel to kernel over veth";
const SMOLTCP: &str = "smoltcp, 64 sockets";
/// Of a socket of smoltcp.
const BUFFER: usize = 65_536;

/// The comparison.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    let programs = Peers::find(&options);
    let mut sections = Vec::new();
    for at_once in [1, 8] {
        let title = format!("The kernel connects, {at_once} at a time");
        if options.wants(&title) {
            let mut stacks = vec![
                named(KERNEL, Stack::Kernel, Wire::Veth),
                named("transom over TUN", Stack::Transom, Wire::TunOffload),
                named("transom over veth", Stack::Transom, Wire::Veth),
                named(SMOLTCP, Stack::SmoltcpOurDevice(BUFFER), Wire::Tun),
            ];
            stacks.extend(programs.stacks());
            sections.push(section(&options, title, stacks, Work::Accept(at_once)));
        }
        let title = format!("The stack connects, {at_once} at a time");
        if options.wants(&title) {
            let stacks = vec![
                named(KERNEL, Stack::Kernel, Wire::Veth),
                named("transom over TUN", Stack::Transom, Wire::TunOffload),
                named("transom over veth", Stack::Transom, Wire::Veth),
                named(SMOLTCP, Stack::SmoltcpOurDevice(BUFFER), Wire::Tun),
            ];
            sections.push(section(&options, title, stacks, Work::Connect(at_once)));
        }
    }
    options.finish(&PART, &sections)
}

fn section(options: &Options, title: String, stacks: Vec<Configuration>, work: Work) -> Section {
    Section {
        title,
        figures: vec![Figure("connections/s", 0)],
        rows: rows(options, stacks, work),
        ceiling: None,
        peers: vec![KERNEL, SMOLTCP],
    }
}
