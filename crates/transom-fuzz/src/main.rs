//! Runs a fuzz target without any tool: inputs come from the corpus and from the target, and are changed at random.
//!
//! `cargo run --profile fuzz -p transom-fuzz -- TARGET [--seconds N] [--runs N] [--seed N] [--corpus DIR] [FILE…]`
//!
//! With files it runs these and nothing else; `--export DIR` writes the target's own seeds there. An input that panics is written to `fuzz/artifacts/TARGET/`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use transom_fuzz::mutate::mutate;
use transom_fuzz::{TARGETS, Target, target};
use transom_sim::Random;

struct Wishes {
    target: Target,
    seconds: u64,
    runs: u64,
    seed: u64,
    corpus: PathBuf,
    files: Vec<PathBuf>,
}

/// Writes the target's own seeds into a folder, for another fuzzer to begin with.
fn export(target: Target, folder: &str) -> Result<Wishes, String> {
    let written = fs::create_dir_all(folder).and_then(|()| {
        (target.seeds)()
            .iter()
            .enumerate()
            .try_for_each(|(index, seed)| fs::write(format!("{folder}/seed-{index:02}"), seed))
    });
    match written {
        Ok(()) => std::process::exit(0),
        Err(problem) => Err(format!("{folder}: {problem}")),
    }
}

fn wishes() -> Result<Wishes, String> {
    let mut args = std::env::args().skip(1);
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let name = args.next().unwrap_or_default();
    let target = target(&name).ok_or_else(|| format!("which target? {}", names.join(", ")))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut wishes = Wishes {
        target,
        seconds: 60,
        runs: u64::MAX,
        seed: 1,
        corpus: root.join("corpus").join(target.name),
        files: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64, String> {
            let text = args.next().unwrap_or_default();
            text.parse().map_err(|_| format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--seconds" => wishes.seconds = number()?,
            "--runs" => wishes.runs = number()?,
            "--seed" => wishes.seed = number()?,
            "--export" => return export(target, &args.next().unwrap_or_default()),
            "--corpus" => wishes.corpus = args.next().unwrap_or_default().into(),
            _ => wishes.files.push(arg.into()),
        }
    }
    Ok(wishes)
}

fn main() -> ExitCode {
    let wishes = match wishes() {
        Ok(wishes) => wishes,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    if wishes.files.is_empty() {
        fuzz(&wishes)
    } else {
        replay(&wishes)
    }
}

fn replay(wishes: &Wishes) -> ExitCode {
    for file in &wishes.files {
        match fs::read(file) {
            Ok(bytes) => (wishes.target.run)(&bytes),
            Err(problem) => {
                eprintln!("{}: {problem}", file.display());
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(wishes: &Wishes) -> ExitCode {
    let mut inputs = (wishes.target.seeds)();
    if let Ok(folder) = fs::read_dir(&wishes.corpus) {
        let mut files: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        files.sort();
        inputs.extend(files.iter().filter_map(|file| fs::read(file).ok()));
    }
    let mut random = Random::new(wishes.seed);
    let begin = Instant::now();
    let mut next_report = Duration::from_secs(10);
    let mut bytes = Vec::new();
    let mut runs = 0;
    while runs < wishes.runs {
        let pick = |random: &mut Random| random.below(inputs.len() as u64) as usize;
        bytes.clone_from(&inputs[pick(&mut random)]);
        let other = &inputs[pick(&mut random)];
        mutate(&mut random, &mut bytes, other, wishes.target.max_len);
        runs += 1;
        let run = wishes.target.run;
        if catch_unwind(|| run(&bytes)).is_err() {
            keep(wishes, runs, &bytes);
            return ExitCode::FAILURE;
        }
        if runs % 256 == 0 {
            let passed = begin.elapsed();
            if passed >= next_report || passed.as_secs() >= wishes.seconds {
                next_report += Duration::from_secs(10);
                let rate = runs as f64 / passed.as_secs_f64();
                println!("{}: {runs} inputs, {rate:.0} a second", wishes.target.name);
            }
            if passed.as_secs() >= wishes.seconds {
                break;
            }
        }
    }
    ExitCode::SUCCESS
}

fn keep(wishes: &Wishes, runs: u64, bytes: &[u8]) {
    let name = wishes.target.name;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/artifacts")
        .join(name);
    let file = folder.join(format!("seed-{}-{runs}", wishes.seed));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, bytes));
    match written {
        Ok(()) => eprintln!("{name}: input {runs} panics; kept as {}", file.display()),
        Err(problem) => eprintln!("{name}: input {runs} panics, {bytes:?} ({problem})"),
    }
}
