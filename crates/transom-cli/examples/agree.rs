//! Compares `transom explain --json` with tshark's analysis on any captures.
//!
//! ```text
//! cargo build --release -p transom-cli
//! cargo run --release -p transom-cli --example agree -- FILE...
//! ```
//!
//! Prints each figure that differs, as ours/tshark's, with what is special about the connection, and sums
//! up. The exit code is 1 if anything differs: `docs/EXPLAIN.md` says which differences are meant.
//! `TRANSOM` names another program than the one that was built beside this one.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what it is for"
)]

#[path = "../tests/agree/compare.rs"]
mod compare;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use compare::{Comparison, compare};

fn main() -> ExitCode {
    let captures: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let Some(transom) = transom() else {
        eprintln!("agree: no transom program beside this one: set TRANSOM");
        return ExitCode::from(2);
    };
    if captures.is_empty() {
        eprintln!("agree: which captures?");
        return ExitCode::from(2);
    }
    let mut total = Comparison::default();
    let mut failed = 0_u32;
    for capture in &captures {
        match compare(&transom, capture) {
            Ok(comparison) => {
                for difference in &comparison.differences {
                    println!("{} {difference}", capture.display());
                }
                total.connections += comparison.connections;
                total.figures += comparison.figures;
                total.differences.extend(comparison.differences);
            }
            Err(error) => {
                failed += 1;
                eprintln!("agree: {}: {error}", capture.display());
            }
        }
    }
    sum_up(captures.len(), &total);
    ExitCode::from(u8::from(failed > 0 || !total.differences.is_empty()))
}

/// The program that Cargo built: examples are in a directory beside it.
fn transom() -> Option<PathBuf> {
    if let Some(path) = env::var_os("TRANSOM") {
        return Some(path.into());
    }
    let path = env::current_exe().ok()?.parent()?.parent()?.join("transom");
    path.exists().then_some(path)
}

fn sum_up(captures: usize, total: &Comparison) {
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for difference in &total.differences {
        let (count, special) = kinds.entry(difference.what).or_default();
        *count += 1;
        *special += u64::from(!difference.remarks.is_empty());
    }
    println!(
        "{captures} captures, {} connections, {} figures compared, {} differ",
        total.connections,
        total.figures,
        total.differences.len(),
    );
    for (what, (count, special)) in kinds {
        println!("  {what}: {count}, {special} of them where the capture is special");
    }
}
