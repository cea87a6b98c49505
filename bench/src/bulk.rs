//! Bulk transfer of one connection, beside other stacks and beside what the device can carry.

use std::io;

use crate::comparison::{Figure, Row, Section, interleave};
use crate::part::{Options, Part};
use crate::peers;
use crate::trial::{Stack, Trial, Wire, Work};

const PART: Part = Part {
    heading: "# Bulk over TUN",
    command: "tun --write",
    about: "One connection at MTU 1500 with the Linux kernel at the other end; the ceiling is a TCP that only counts bytes and\n\
            acknowledges them. It has the kernel use neither SACK nor timestamps, which cost the kernel, too (its timer of loss probes is set anew for\n\
            each segment); with them is a row of its own. Each stack has the buffers with which it is fastest.",
};

const CEILING: &str = "null TCP (the ceiling)";
const CEILING_WITH_OPTIONS: &str = "null TCP with SACK and timestamps";
/// What user-mode networks for containers use.
const LARGE_MTU: usize = 65_520;
const SMOLTCP: &str = "smoltcp, its own device, 1 MiB";
/// Connections on which nothing happens, beside one.
const IDLE: usize = 10_000;
const ALONE: &str = "transom, alone";
const SMOLTCP_ALONE: &str = "smoltcp, alone";

/// The comparison.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    let options = Options::of(arguments)?;
    let programs = std::cell::LazyCell::new(|| Peers::find(&options));
    let mut sections = Vec::new();
    for (word, work) in [("receives", Work::Receive), ("sends", Work::Send)] {
        for (device, wire) in [
            ("with offload", Wire::TunOffload),
            ("without offload", Wire::Tun),
        ] {
            let title = format!("TUN {device}, MTU 1500, the stack {word}");
            if !options.wants(&title) {
                continue;
            }
            let mut stacks = vec![
                (CEILING.to_owned(), Ok(Stack::Null), wire),
                (
                    CEILING_WITH_OPTIONS.to_owned(),
                    Ok(Stack::NullOptions),
                    wire,
                ),
                ("transom".to_owned(), Ok(Stack::Transom), wire),
            ];
            if wire == Wire::TunOffload {
                let name = "smoltcp behind a device of ours with offload, 4 MiB";
                stacks.push((name.to_owned(), Ok(Stack::SmoltcpOurDevice(4 << 20)), wire));
            }
            // As shipped it knows no offload, and stands in both tables.
            stacks.push((SMOLTCP.to_owned(), Ok(Stack::Smoltcp(1 << 20)), Wire::Tun));
            if wire == Wire::Tun {
                stacks.extend(programs.stacks());
            }
            sections.push(Section {
                title,
                figures: vec![Figure("GB/s", 2)],
                rows: rows(&options, stacks, work),
                ceiling: Some(CEILING),
                peers: vec![SMOLTCP],
            });
        }
    }
    for (word, work) in [("receives", Work::Receive), ("sends", Work::Send)] {
        let title = format!("TUN with offload, MTU {LARGE_MTU}, the stack {word}");
        if !options.wants(&title) {
            continue;
        }
        let stacks = vec![
            (CEILING.to_owned(), Ok(Stack::Null), Wire::TunOffload),
            (
                CEILING_WITH_OPTIONS.to_owned(),
                Ok(Stack::NullOptions),
                Wire::TunOffload,
            ),
            ("transom".to_owned(), Ok(Stack::Transom), Wire::TunOffload),
        ];
        sections.push(Section {
            title,
            figures: vec![Figure("GB/s", 2)],
            rows: rows_at(&options, stacks, work, LARGE_MTU),
            ceiling: Some(CEILING),
            peers: Vec::new(),
        });
    }
    for (word, work) in [("receives", Work::Receive), ("sends", Work::Send)] {
        let title = format!("Beside 10,000 idle connections, the stack {word}");
        if options.wants(&title) {
            let figures = vec![Figure("GB/s", 2)];
            sections.push(beside_idle(&options, title, figures, work));
        }
    }
    options.finish(&PART, &sections)
}

/// A configuration of a table: the name of its row, the stack if there is one, and its wire.
pub(crate) type Configuration = (String, Result<Stack, String>, Wire);

/// Measures the configurations in turn.
pub(crate) fn rows(options: &Options, stacks: Vec<Configuration>, work: Work) -> Vec<Row> {
    rows_at(options, stacks, work, 1500)
}

fn rows_at(options: &Options, stacks: Vec<Configuration>, work: Work, mtu: usize) -> Vec<Row> {
    let trials = stacks.into_iter().map(|(name, stack, wire)| {
        let trial = stack.map(|stack| Trial {
            stack,
            wire,
            work,
            mtu,
            idle: 0,
        });
        (name, trial)
    });
    measure(options, trials)
}

/// Measures trials in turn, or says why there is none.
fn measure(
    options: &Options,
    trials: impl Iterator<Item = (String, Result<Trial, String>)>,
) -> Vec<Row> {
    interleave(
        options.rounds,
        &options.chosen(trials),
        |trial| match trial {
            Ok(trial) => trial.run(),
            Err(reason) => Err(io::Error::other(reason.clone())),
        },
    )
}

/// A stack alone, and beside connections on which nothing happens; each row is compared with its stack alone.
pub(crate) fn beside_idle(
    options: &Options,
    title: String,
    figures: Vec<Figure>,
    work: Work,
) -> Section {
    let smoltcp = Stack::SmoltcpOurDevice(1 << 20);
    let stacks = [
        (ALONE, Stack::Transom, Wire::TunOffload, 0),
        (
            "transom, 10,000 idle",
            Stack::Transom,
            Wire::TunOffload,
            IDLE,
        ),
        (SMOLTCP_ALONE, smoltcp.clone(), Wire::Tun, 0),
        ("smoltcp, 10,000 idle", smoltcp, Wire::Tun, IDLE),
    ];
    let trials = stacks.into_iter().map(|(name, stack, wire, idle)| {
        let trial = Trial {
            stack,
            wire,
            work,
            mtu: 1500,
            idle,
        };
        (name.to_owned(), Ok(trial))
    });
    Section {
        title,
        figures,
        rows: measure(options, trials),
        ceiling: None,
        peers: vec![ALONE, SMOLTCP_ALONE],
    }
}

/// The peers that are programs, built or not.
pub(crate) struct Peers(Vec<Configuration>);

impl Peers {
    /// Builds those that are wanted.
    pub(crate) fn find(options: &Options) -> Self {
        let wanted = peers::NAMES
            .into_iter()
            .filter(|name| options.wants_row(name));
        Self(
            wanted
                .map(|name| {
                    let built = peers::build(name).map(Stack::Program);
                    let stack = built.map_err(|error| error.to_string());
                    (name.to_owned(), stack, Wire::Tun)
                })
                .collect(),
        )
    }

    pub(crate) fn stacks(&self) -> impl Iterator<Item = Configuration> {
        self.0.iter().cloned()
    }
}
