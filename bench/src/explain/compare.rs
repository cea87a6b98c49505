//! Transom beside tshark, tcptrace and tcpdump on the same captures.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::generate::{self, Made};
use crate::table::{self, median};
use crate::{complain, sys};

/// The heading under which the results stand in the file of all results.
const HEADING: &str = "# Explaining captures";

/// A program and its arguments; `{}` is the capture, `{copy}` a file to write.
struct Tool {
    name: &'static str,
    line: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "transom explain, one core",
        line: &["taskset", "-c", "1", "{transom}", "explain", "{}"],
    },
    Tool {
        name: "transom explain, all cores",
        line: &["{transom}", "explain", "{}"],
    },
    Tool {
        name: "tshark -q -z conv,tcp",
        line: &["tshark", "-n", "-r", "{}", "-q", "-z", "conv,tcp"],
    },
    Tool {
        name: "tcptrace -l",
        line: &["tcptrace", "-n", "-l", "{}"],
    },
    Tool {
        name: "tcpdump -w (copies only)",
        line: &["tcpdump", "-n", "-r", "{}", "-w", "{copy}"],
    },
];
const PEER: usize = 2;

/// One run: seconds, and the most memory that was resident, in MiB.
type Sample = (f64, f64);

struct Row {
    name: &'static str,
    samples: Vec<Sample>,
}

/// Makes the captures, runs everything in turn, and returns what is to stand in the results.
pub(crate) fn compare(rounds: usize, connections: u64, mib: u64) -> io::Result<String> {
    let folder = std::env::temp_dir().join(format!("transom-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = (|| {
        let mut text = format!("{HEADING}\n\n{}", about(rounds)?);
        let file = folder.join("short.pcap");
        let made = generate::short(&file, connections)?;
        text.push_str(&section(
            &format!("{connections} short connections"),
            &file,
            made,
            rounds,
        )?);
        let file = folder.join("bulk.pcap");
        let made = generate::bulk(&file, mib << 20)?;
        text.push_str(&section(
            "One transfer in full-size segments",
            &file,
            made,
            rounds,
        )?);
        Ok(text)
    })();
    fs::remove_dir_all(&folder)?;
    result
}

fn about(rounds: usize) -> io::Result<String> {
    Ok(format!(
        "Made by `cargo run --release -p bench -- explain --rounds {rounds}`. The captures are made for it and lie in the page \
         cache; the programs\ntake turns A B C … A B C …, medians of wall-clock time. `transom explain` is the whole command: \
         verdicts for all connections, the list and\ndiagrams of the worst. Linux {} on {} cores; load of the machine before: {}. \
         Read ratios, not single figures.\n",
        table::kernel()?,
        std::thread::available_parallelism()?,
        table::load()?,
    ))
}

fn section(title: &str, file: &Path, made: Made, rounds: usize) -> io::Result<String> {
    // Into the page cache.
    io::copy(&mut fs::File::open(file)?, &mut io::sink())?;
    let mut rows: Vec<Row> = TOOLS
        .iter()
        .map(|tool| Row {
            name: tool.name,
            samples: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for (tool, row) in TOOLS.iter().zip(&mut rows) {
            let sample = run(tool, file)?;
            complain(&format!(
                "round {round}: {title}: {} {:.2} s, {:.0} MiB",
                tool.name, sample.0, sample.1
            ));
            row.samples.push(sample);
        }
    }
    Ok(table(title, made, &rows))
}

fn table(title: &str, made: Made, rows: &[Row]) -> String {
    let gib = made.bytes as f64 / f64::from(1 << 30);
    let millions = made.packets as f64 / 1e6;
    let mut text = format!(
        "\n## {title}: {millions:.2} million packets, {gib:.2} GiB\n\n\
         | | million packets/s, median | lowest … highest | GiB/s | peak memory, MiB | × tshark |\n|---|---|---|---|---|---|\n"
    );
    let rate = |row: &Row| millions / median(row.samples.iter().map(|sample| sample.0));
    let peer = rows.get(PEER).map_or(f64::NAN, rate);
    for row in rows {
        let rates = row.samples.iter().map(|sample| millions / sample.0);
        let lowest = rates.clone().fold(f64::INFINITY, f64::min);
        let highest = rates.fold(0.0, f64::max);
        let memory = median(row.samples.iter().map(|sample| sample.1));
        let _ = writeln!(
            text,
            "| {} | {:.2} | {lowest:.2} … {highest:.2} | {:.2} | {memory:.0} | {:.1} |",
            row.name,
            rate(row),
            rate(row) / millions * gib,
            rate(row) / peer,
        );
    }
    text
}

fn run(tool: &Tool, file: &Path) -> io::Result<Sample> {
    let copy = file.with_extension("copy");
    let transom = transom()?;
    let word = |word: &&str| match *word {
        "{}" => file.as_os_str().to_owned(),
        "{copy}" => copy.as_os_str().to_owned(),
        "{transom}" => transom.as_os_str().to_owned(),
        other => other.into(),
    };
    let words: Vec<_> = tool.line.iter().map(word).collect();
    let start = Instant::now();
    let child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::other(format!("{}: {error}", tool.name)))?;
    let (is_success, peak) = sys::wait_with_peak(child)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(fs::remove_file(copy));
    if !is_success {
        return Err(io::Error::other(format!("{} failed", tool.name)));
    }
    Ok((seconds, peak as f64 / 1024.0))
}

/// The command that was built with the benchmarks.
fn transom() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("transom");
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::other(
        "no transom beside the benchmarks: cargo build --release -p transom-cli",
    ))
}

/// Puts the results into the file of all results, in place of the former ones.
pub(super) fn write(text: &str) -> io::Result<()> {
    table::replace(&table::results(), HEADING, text)
}
