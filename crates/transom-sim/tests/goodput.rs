//! How much flows carry, and how they share: tables that a reviewer can read, `tests/snapshots/*.txt`.
//!
//! A figure that moved by more than its tolerance fails, with what it was and what it is. Where the change is meant,
//! `TRANSOM_WRITE_GOODPUT=1 cargo test -p transom-sim --test goodput` writes the tables anew; the difference is then
//! part of the change that is reviewed.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use transom_drill::bed::{Dumbbell, Flow, Report, jain};
use transom_stack::tcp::congestion::Algorithm;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Computes all cells on the cores there are; the order of the results is that of the jobs.
fn all<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn megabits(octets_a_second: f64) -> f64 {
    octets_a_second * 8e-6
}

/// `4.61 0.3% 12ms`: goodput, sent again, mean wait in the queue.
fn cell(report: &Report) -> String {
    let flow = &report.flows[0];
    format!(
        "{:5.2} {:4.1}% {:3.0}ms",
        megabits(flow.goodput()),
        flow.retransmitted_share() * 100.0,
        report.bottleneck.waits.mean().as_secs_f64() * 1e3
    )
}

const LOSSES: [&str; 4] = ["0%", "0.1%", "1%", "3%"];

fn goodput_table() -> String {
    let mut jobs = Vec::new();
    for algorithm in Algorithm::ALL {
        for rtt in [20, 80] {
            for queue in ["0.5bdp", "1bdp", "4bdp"] {
                for loss in LOSSES {
                    jobs.push((*algorithm, rtt, queue, loss));
                }
            }
        }
    }
    let cells = all(&jobs, |(algorithm, rtt, queue, loss)| {
        let one_way = rtt / 2;
        let spec = format!("rate=5mbit,delay={one_way}ms,queue={queue},loss={loss}");
        let bed = Dumbbell::new(spec.parse().unwrap()).flow(Flow::new(*algorithm));
        cell(&bed.run(ms(12_000)))
    });
    let mut text = "\
One flow for 12 s over 5 Mbit/s (4.83 of data at most): goodput in Mbit/s, octets sent again, mean wait in
the queue; by congestion control, round trip and queue, over the share of packets that are lost by chance.

"
    .to_owned();
    let heads: Vec<String> = LOSSES.iter().map(|loss| format!("{loss:>17}")).collect();
    writeln!(text, "{:22} | {}", "", heads.join(" | ")).unwrap();
    for (jobs, cells) in jobs.chunks(LOSSES.len()).zip(cells.chunks(LOSSES.len())) {
        let (algorithm, rtt, queue, _) = jobs[0];
        let label = format!("{:7} {rtt:3} ms {queue}", algorithm.name());
        writeln!(text, "{label:22} | {}", cells.join(" | ")).unwrap();
    }
    text
}

fn fairness_table() -> String {
    let mut pairs: Vec<(Algorithm, Algorithm)> = Vec::new();
    for (index, one) in Algorithm::ALL.iter().enumerate() {
        pairs.extend(Algorithm::ALL[index..].iter().map(|two| (*one, *two)));
    }
    let settings = ["queue=1bdp", "queue=4bdp", "queue=4bdp,aqm=codel"];
    let mut jobs = Vec::new();
    for (one, two) in pairs {
        for (rtts, delays) in [("same rtt", [0, 0]), ("40/80 ms", [0, 20])] {
            for setting in settings {
                jobs.push((one, two, rtts, delays, setting));
            }
        }
    }
    let cells = all(&jobs, |(one, two, _, delays, setting)| {
        let spec = format!("rate=5mbit,delay=20ms,{setting}");
        let bed = Dumbbell::new(spec.parse().unwrap())
            .flow(Flow::new(*one).delay(ms(delays[0])))
            .flow(Flow::new(*two).delay(ms(delays[1])).starts(ms(1000)))
            .sample(ms(500));
        let report = bed.run(ms(40_000));
        let shares = [0, 1].map(|flow| megabits(report.flows[flow].goodput_from(ms(10_000))));
        format!("{:5.2} {:5.2} J{:.2}", shares[0], shares[1], jain(&shares))
    });
    let mut text = "\
Two flows over 5 Mbit/s and 40 ms, the second a second later: goodput of each in Mbit/s from 10 s to 40 s, and Jain's
index (1: the same, 0.5: one has all); by congestion control and round trips, over the queue.

"
    .to_owned();
    let heads: Vec<String> = settings.iter().map(|head| format!("{head:>20}")).collect();
    writeln!(text, "{:22} | {}", "", heads.join(" | ")).unwrap();
    for (jobs, cells) in jobs
        .chunks(settings.len())
        .zip(cells.chunks(settings.len()))
    {
        let (one, two, rtts, ..) = jobs[0];
        let label = format!("{} {} {rtts}", one.name(), two.name());
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>20}")).collect();
        writeln!(text, "{label:22} | {}", cells.join(" | ")).unwrap();
    }
    text
}

/// Whether two figures are the same for our purpose; the unit says how much they may differ.
fn is_near(old: &str, new: &str, is_share: bool) -> bool {
    let number = |word: &str| -> Option<f64> {
        let digits = word
            .trim_start_matches('J')
            .trim_end_matches(['%', 'm', 's']);
        digits.parse().ok()
    };
    let (Some(one), Some(two)) = (number(old), number(new)) else {
        return old == new;
    };
    let apart = (one - two).abs();
    match old.chars().last() {
        _ if old.starts_with('J') => apart <= 0.08,
        Some('%') => apart <= 0.75,
        Some('s') => apart <= (one * 0.2).max(6.0),
        // What one of two flows gets hangs on single losses more than what a lone flow gets.
        _ if is_share => apart <= 0.6,
        _ => apart <= (one * 0.08).max(0.25),
    }
}

/// What differs, one line each: where, what it was and what it is.
fn differences(old: &str, new: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (old, new) = (lines(old), lines(new));
    if old.len() != new.len() {
        found.push(format!("{} lines were there, {} are", old.len(), new.len()));
    }
    for (old, new) in old.iter().zip(&new) {
        let (was, is): (Vec<&str>, Vec<&str>) =
            (old.split('|').collect(), new.split('|').collect());
        if was[0].trim() != is[0].trim() || was.len() != is.len() {
            found.push(format!("was {old:?}\n    is  {new:?}"));
            continue;
        }
        for (column, (was, is)) in was.iter().zip(&is).enumerate().skip(1) {
            let mut words = was.split_whitespace().zip(is.split_whitespace());
            let is_share = was.contains('J');
            if !words.all(|(was, is)| is_near(was, is, is_share)) {
                let label = old.split('|').next().unwrap_or("").trim();
                found.push(format!(
                    "{label}, column {column}: was {}, is {}",
                    was.trim(),
                    is.trim()
                ));
            }
        }
    }
    found
}

fn check(name: &str, new: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("TRANSOM_WRITE_GOODPUT").is_some() {
        std::fs::write(&path, new).unwrap();
        return;
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let found = differences(&old, new);
    assert!(
        found.is_empty(),
        "{name} differs:\n    {}\nWhere that is meant: TRANSOM_WRITE_GOODPUT=1 cargo test -p transom-sim --test goodput",
        found.join("\n    ")
    );
}

#[test]
fn goodput_is_as_it_was() {
    check("goodput.txt", &goodput_table());
}

#[test]
fn fairness_is_as_it_was() {
    check("fairness.txt", &fairness_table());
}

#[test]
fn a_figure_that_moves_is_noticed() {
    let table = "head\nreno 20 ms | 4.61 0.3% 12ms | 2.00 3.0% 1ms\n";
    assert!(differences(table, table).is_empty());
    let near = table.replace("4.61", "4.50").replace("12ms", "14ms");
    assert!(differences(table, &near).is_empty());
    for (was, is) in [
        ("4.61", "4.11"),
        ("3.0%", "4.0%"),
        ("12ms", "30ms"),
        ("reno", "cubic"),
    ] {
        assert_eq!(
            differences(table, &table.replace(was, is)).len(),
            1,
            "{was}"
        );
    }
    if differences("reno | J0.90\n", "reno | J0.80\n").is_empty() {
        panic!("fairness is not looked at");
    }
}
