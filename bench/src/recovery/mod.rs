//! Loss recovery and congestion control: our stack and the kernel's over the same bad wires, in turn.
//!
//! The wire is the one of `transom link`, between TAP devices of two network namespaces. The sender at the near end is
//! the kernel or our stack behind a packet socket on the same interface; the far end is always the kernel.

mod cell;
mod grid;
mod report;
mod sender;
mod smol;

use std::fs::File;
use std::io;
use std::time::Instant;

use self::cell::{Cell, Measured, Mode};
use self::grid::{Grid, Point};
use self::report::Line;
use crate::{complain, has, number, option, sys};

const HELP: &str = "\
bench recovery [OPTIONS]    our stack and the kernel's over the same bad wires, in turn

without axes: one axis at a time, a quarter of an hour
  --loss 0,1 --reorder 0,1  per cent             --rtt 20      milliseconds
  --rate 100                Mbit/s               --queue 0.5,1 bandwidth-delay products
  --ecn 0,1                 marks from half of the queue on
  --full                    all values of the axes that are not named (1,080 wires: hours)
  --sample N                N wires of those, drawn by the seed
  --mode send|receive|share only one way, or two flows at once
  --stacks A,B,…            transom[-reno|-cubic|-bbr][-unpaced], an algorithm of the kernel, perhaps with -paced,
                            or smoltcp[-reno|-cubic], which only sends (transom,cubic)
  --rounds N  --ms N        how often, and how long each flow
  --flows N   --seed N      short flows of each size; what the wires and the sample are drawn from
  --capture PREFIX          the packets of the near end
  --lock FILE               is held during each flow, so that others who measure can take turns
  --write                   the tables into bench/RESULTS.md
";

/// The comparison, by the options that [`HELP`] lists.
pub(crate) fn part(arguments: &[String]) -> io::Result<()> {
    if has(arguments, "--help") || has(arguments, "-h") {
        report::print(HELP);
        return Ok(());
    }
    let grid = Grid::from_options(arguments)?;
    let plan = Plan {
        rounds: number(arguments, "--rounds", 3)?,
        milliseconds: number(arguments, "--ms", 0)?,
        flows: number(arguments, "--flows", 4)?,
        seed: number(arguments, "--seed", 1)?,
        stacks: option(arguments, "--stacks")
            .unwrap_or_else(|| "transom,cubic".to_owned())
            .split(',')
            .map(str::to_owned)
            .collect(),
        capture: option(arguments, "--capture"),
        lock: option(arguments, "--lock").map(File::create).transpose()?,
    };
    sys::go_first();
    let start = Instant::now();
    let (mut text, mut failures) = (String::new(), Vec::new());
    for (mode, points) in grid.points {
        if option(arguments, "--mode").is_some_and(|only| only != mode_name(mode)) {
            continue;
        }
        let mut lines = Vec::new();
        for point in points {
            let Some(line) = plan.measure(mode, point, &mut failures)? else {
                continue;
            };
            complain(&line.progress());
            lines.push(line);
        }
        text.push_str(&report::table(mode, &lines));
    }
    text.push_str(&report::failed(&failures));
    let text = report::whole(&text, arguments, &plan.stacks, plan.rounds, start.elapsed())?;
    report::print(&text);
    if has(arguments, "--write") {
        report::write(&text, arguments)?;
    }
    Ok(())
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Send => "send",
        Mode::Receive => "receive",
        Mode::Share => "share",
    }
}

/// Processes that [`part`] starts.
pub(crate) fn inner(arguments: &[String]) -> io::Result<()> {
    match arguments {
        [what, cell] if what == "recovery-cell" => cell::inside(cell),
        [what, role, cell] if what == "recovery-node" => sender::node(role, cell),
        _ => Err(io::Error::other("internal: wrong arguments")),
    }
}

/// How a point is measured.
struct Plan {
    rounds: u64,
    /// Of the long flow; 0: as the round trip needs.
    milliseconds: u64,
    flows: u64,
    seed: u64,
    stacks: Vec<String>,
    capture: Option<String>,
    lock: Option<File>,
}

impl Plan {
    /// All stacks in turn, several rounds; each round has its own seed, the same for all. A round in which one of them could
    /// not be measured is left out and told; nothing comes back when all were.
    fn measure(
        &self,
        mode: Mode,
        point: Point,
        failures: &mut Vec<String>,
    ) -> io::Result<Option<Line>> {
        let mut samples: Vec<Vec<Measured>> = vec![Vec::new(); self.stacks.len()];
        for round in 0..self.rounds {
            match self.round(mode, &point, round)? {
                Ok(measured) => {
                    for (samples, measured) in samples.iter_mut().zip(measured) {
                        samples.push(measured);
                    }
                }
                Err(failure) => {
                    complain(&failure);
                    failures.push(failure);
                }
            }
        }
        let is_measured = samples.iter().all(|samples| !samples.is_empty());
        Ok(is_measured.then(|| Line::new(mode, point, samples)))
    }

    /// Each stack once, or which of them could not be measured and why.
    fn round(
        &self,
        mode: Mode,
        point: &Point,
        round: u64,
    ) -> io::Result<Result<Vec<Measured>, String>> {
        let mut all = Vec::new();
        for stack in &self.stacks {
            let run = || cell::run(&self.cell(mode, point, stack, round));
            let measured = match &self.lock {
                Some(lock) => sys::take_turns(lock, run)?,
                None => run(),
            };
            let name = format!("{} {point}: {stack}", mode_name(mode));
            let measured = match measured {
                Ok(measured) => measured,
                Err(error) => return Ok(Err(format!("{name}, round {}: {error}", round + 1))),
            };
            complain(&format!(
                "{name} {:.2} Mbit/s, {:.2}% again, {}",
                measured.goodput * 8e-6,
                measured.retransmitted * 100.0,
                measured.words
            ));
            all.push(measured);
        }
        Ok(Ok(all))
    }

    fn cell(&self, mode: Mode, point: &Point, stack: &str, round: u64) -> Cell {
        let seed = self.seed + 2 * round;
        let usual = match point.rtt {
            // Two flows need a while to find their shares.
            _ if mode == Mode::Share => 12_000,
            100.. => 6000,
            50.. => 4000,
            _ => 3000,
        };
        let milliseconds = if self.milliseconds > 0 {
            self.milliseconds
        } else {
            usual
        };
        Cell {
            stack: stack.to_owned(),
            mode,
            data: point.data(seed),
            acks: point.acks(seed + 1),
            ecn: point.ecn,
            milliseconds,
            flows: if mode == Mode::Send {
                usize::try_from(self.flows).unwrap_or(0)
            } else {
                0
            },
            capture: self
                .capture
                .as_ref()
                .map(|path| format!("{path}-{stack}-{round}.pcap")),
        }
    }
}
