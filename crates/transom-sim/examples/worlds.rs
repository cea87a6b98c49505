//! Random worlds: `cargo run --release -p transom-sim --example worlds -- --count 100000 --seed 1`.
//!
//! Plays so many worlds from a seed on, prints the failing ones with their description, and ends with 1 when there
//! were any. `--show` describes the world of the seed and plays nothing else; `--capture FILE` too, and writes what its
//! hosts sent, lost packets included, for `transom explain`.

#![expect(clippy::print_stdout, reason = "it is what an example is for")]

mod capture;

use std::error::Error;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use transom_drill::worlds::Scenario;
use transom_sim::Trace;

#[derive(Default)]
struct Sums {
    worlds: AtomicU64,
    failing: AtomicU64,
    received: AtomicU64,
    failed: AtomicU64,
    simulated: Mutex<Duration>,
}

const USAGE: &str = "worlds [--count N] [--seed S] [--jobs N] [--show | --capture FILE]";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut count, mut seed, mut jobs, mut show) = (1000_u64, 1_u64, 1_u64, false);
    let mut file = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, Box<dyn Error>> {
            let value = words.next().ok_or("a number is missing")?;
            Ok(value.parse()?)
        };
        match word.as_str() {
            "--count" => count = number()?,
            "--seed" => seed = number()?,
            "--jobs" => jobs = number()?.max(1),
            "--show" => show = true,
            "--capture" => file = Some(words.next().ok_or("a file is missing")?),
            _ => return Err(USAGE.into()),
        }
    }
    if let Some(file) = file {
        let scenario = Scenario::new(seed);
        let (_, trace) = scenario.play_and_keep(Trace::with_limits(1 << 20, 1 << 30));
        capture::write(&trace, &file, |entry| scenario.is_of_a_host(entry))?;
        show = true;
    }
    if show {
        println!("{}", Scenario::new(seed));
        count = 1;
    }
    let (sums, next, began) = (Sums::default(), AtomicU64::new(seed), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed_now = next.fetch_add(1, Ordering::Relaxed);
                    if seed_now >= seed + count {
                        break;
                    }
                    play(seed_now, &sums);
                }
            });
        }
    });
    let failing = sums.failing.load(Ordering::Relaxed);
    let simulated = sums.simulated.lock().map_or(Duration::ZERO, |time| *time);
    println!(
        "{} worlds, {failing} failing; {} MiB carried, {} ends failed as they may, {:.0} h simulated in {:.0} s",
        sums.worlds.load(Ordering::Relaxed),
        sums.received.load(Ordering::Relaxed) >> 20,
        sums.failed.load(Ordering::Relaxed),
        simulated.as_secs_f64() / 3600.0,
        began.elapsed().as_secs_f64(),
    );
    Ok(if failing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn play(seed: u64, sums: &Sums) {
    sums.worlds.fetch_add(1, Ordering::Relaxed);
    let problem = match catch_unwind(|| Scenario::new(seed).play()) {
        Ok(Ok(played)) => {
            sums.received.fetch_add(played.received, Ordering::Relaxed);
            sums.failed.fetch_add(played.failed, Ordering::Relaxed);
            if let Ok(mut simulated) = sums.simulated.lock() {
                *simulated += played.silent;
            }
            return;
        }
        Ok(Err(violation)) => violation.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    sums.failing.fetch_add(1, Ordering::Relaxed);
    println!("FAILED {}  {problem}\n", Scenario::new(seed));
}
