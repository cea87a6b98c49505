//! Several connections on one queue and on two, and AF_XDP beside other devices.

use std::io;
use std::thread;

use crate::bulk::{Configuration, rows};
use crate::comparison::{Figure, Row, Section, interleave};
use crate::latency::named;
use crate::memory::Load;
use crate::part::{Options, Part};
use crate::trial::{Stack, Wire, Work};
use crate::{in_memory, kernel};

const PART: Part = Part {
    heading: "# Cores",
    command: "cores --write",
    about: "Both ends may use all processors: where there are two, the kernel at the other end takes part of both, and what is added up in\n\
            memory says more of how the stack scales. A queue has a stack, a driver and a thread.",
};

const XDP: Part = Part {
    heading: "# AF_XDP",
    command: "af-xdp --write",
    about: "One connection over a veth pair at MTU 1500, the kernel at the other end. AF_XDP has no segmentation offload, and copies here. The ceiling\n\
            loses frames when more than its rings hold is under way, and does not recover as a TCP does: one may pass it.",
};

const KERNEL: &str = "kernel to kernel over veth";
const ONE: &str = "transom over TUN, one queue";
const AF_XDP: &str = "transom over AF_XDP";
const XDP_CEILING: &str = "null TCP over AF_XDP (the ceiling)";
const PACKET: &str = "transom over a packet socket, with offload";
const PACKET_CEILING: &str = "null TCP over a packet socket, with offload";
const ONE_PAIR: &str = "one pair of stacks, one thread";

/// Queues.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    let mut sections = Vec::new();
    for word in ["receives", "sends"] {
        for connections in [1, 2, 4, 8] {
            let title = format!("Bulk, connections: {connections}, the stack {word}");
            if options.wants(&title) {
                let work = match word {
                    "receives" => Work::ReceiveMany(connections),
                    _ => Work::SendMany(connections),
                };
                sections.push(section(&options, title, Figure("GB/s", 2), work));
            }
        }
    }
    let title = "Connection rate, 8 at a time, on all processors".to_owned();
    if options.wants(&title) {
        let figure = Figure("connections/s", 0);
        sections.push(section(&options, title, figure, Work::AcceptMany(8)));
    }
    let title = "In memory: independent pairs, MTU 1500, checksums in software".to_owned();
    if options.wants(&title) {
        sections.push(pairs(&options, title));
    }
    options.finish(&PART, &sections)
}

fn section(options: &Options, title: String, figure: Figure, work: Work) -> Section {
    let two = Stack::TransomQueues(2);
    let stacks = vec![
        named(KERNEL, Stack::Kernel, Wire::Veth),
        named(ONE, Stack::TransomQueues(1), Wire::TunOffload),
        named(
            "transom over TUN, two queues",
            two.clone(),
            Wire::TunOffload,
        ),
        named("transom over packet sockets, two queues", two, Wire::Veth),
    ];
    Section {
        title,
        figures: vec![figure],
        rows: rows(options, stacks, work),
        ceiling: None,
        peers: vec![KERNEL, ONE],
    }
}

/// Pairs of stacks that share nothing, a thread each: what the processors themselves allow.
fn pairs(options: &Options, title: String) -> Section {
    let configurations = [
        (Row::new(ONE_PAIR), 1),
        (Row::new("two pairs, a thread each, together"), 2),
    ];
    let load = Load {
        mtu: 1500,
        checksums: true,
        buffer: 1 << 20,
        bytes: 1 << 30,
    };
    let rows = interleave(options.rounds, &configurations, |&count| {
        let run = move |at| {
            crate::sys::pin(at);
            in_memory::run(load)
        };
        let threads: Vec<_> = (0..count)
            .map(|at| thread::spawn(move || run(at)))
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            let transfer = kernel::join(thread)?;
            sum += transfer.bytes as f64 / transfer.elapsed.as_secs_f64() / 1e9;
        }
        Ok(vec![sum])
    });
    Section {
        title,
        figures: vec![Figure("GB/s", 2)],
        rows,
        ceiling: None,
        peers: vec![ONE_PAIR],
    }
}

/// AF_XDP.
pub(crate) fn af_xdp(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    let mut sections = Vec::new();
    for (word, work) in [("receives", Work::Receive), ("sends", Work::Send)] {
        let title = format!("AF_XDP on veth, MTU 1500, the stack {word}");
        if !options.wants(&title) {
            continue;
        }
        let stacks: Vec<Configuration> = vec![
            named(XDP_CEILING, Stack::Null, Wire::AfXdp),
            named(AF_XDP, Stack::Transom, Wire::AfXdp),
            named(PACKET_CEILING, Stack::Null, Wire::Veth),
            named(PACKET, Stack::Transom, Wire::Veth),
            named(
                "transom over TUN without offload",
                Stack::Transom,
                Wire::Tun,
            ),
        ];
        sections.push(Section {
            title,
            figures: vec![Figure("GB/s", 2)],
            rows: rows(&options, stacks, work),
            ceiling: Some(XDP_CEILING),
            peers: vec![PACKET_CEILING],
        });
    }
    options.finish(&XDP, &sections)
}
