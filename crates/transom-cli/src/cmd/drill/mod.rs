//! `transom drill`: packet scripts against our own stack, in virtual time.

pub(crate) mod args;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use transom_drill::run::{self, Report, Settings};
use transom_drill::script::{Options, Script};

use self::args::DrillArgs;
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Plays every script that was named.
pub(crate) fn drill(args: &DrillArgs) -> Result<Outcome, Failure> {
    let settings = settings(args)?;
    let color = terminal::options(Some(&io::stdout()), args.color).color;
    let files = files(&args.files)?;
    let started = Instant::now();
    let mut failed = 0_usize;
    for file in &files {
        let (passed, text) = play(file, args, &settings, color)?;
        failed += usize::from(!passed);
        terminal::print(&text)?;
    }
    terminal::print(&format!(
        "{} passed, {failed} failed ({:.2} s)\n",
        files.len() - failed,
        started.elapsed().as_secs_f64()
    ))?;
    Ok(Outcome::Exited(u8::from(failed > 0)))
}

fn settings(args: &DrillArgs) -> Result<Settings, Failure> {
    let mut options = Options::default();
    for (name, value) in args.options() {
        options
            .set(name, value)
            .map_err(|error| Failure::new(error.to_string()))?;
    }
    Ok(Settings {
        options,
        verbose: args.verbose,
    })
}

/// Plays one script: whether it passed, and what to print.
fn play(
    file: &Path,
    args: &DrillArgs,
    settings: &Settings,
    color: bool,
) -> Result<(bool, String), Failure> {
    let name = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| Failure::doing(&format!("read {name}"), error))?;
    let text = String::from_utf8_lossy(&bytes);
    let script = match Script::parse(&name, &text, &settings.options.defines) {
        Ok(script) => script,
        Err(error) => return Ok((false, verdict(&name, Err(error.to_string()), color))),
    };
    if args.dry_run {
        return Ok((true, verdict(&name, Ok("can be read".to_owned()), color)));
    }
    let report = run::run(&script, settings);
    Ok((report.passed(), told(&report, color)))
}

fn told(report: &Report, color: bool) -> String {
    let mut text = String::new();
    for line in &report.log {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "{remark}");
    }
    let outcome = match &report.failure {
        None => Ok(format!("{:.3} s", report.lasted.as_secs_f64())),
        Some(failure) => Err(failure.to_string()),
    };
    text.push_str(&verdict(&report.name, outcome, color));
    text
}

fn verdict(name: &str, outcome: Result<String, String>, color: bool) -> String {
    let (mark, code) = match outcome {
        Ok(_) => ("ok  ", "32"),
        Err(_) => ("FAIL", "31"),
    };
    let mark = if color {
        format!("\x1b[{code}m{mark}\x1b[0m")
    } else {
        mark.to_owned()
    };
    match outcome {
        Ok(text) => format!("{mark} {name} ({text})\n"),
        Err(text) => format!("{mark} {name}\n{text}\n"),
    }
}

/// The files named, and the scripts in the folders named, in order.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            scripts_in(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Err(Failure::new(
            "there is no script (*.pkt) in the folders named",
        ));
    }
    Ok(files)
}

fn scripts_in(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::doing(&format!("read {}", folder.display()), error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            scripts_in(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            files.push(path);
        }
    }
    Ok(())
}
