//! The `transom` command: runs any program over our own TCP and shows what its connections did.
//!
//! The way through this crate: [`args`] is what was typed; each command under [`cmd`] makes a plan
//! from it and carries the plan out; [`failure`] is how a command says that it could not. This file
//! is the only place where outcomes become exit codes:
//!
//! | code | meaning |
//! |------|---------|
//! | the program's own | the program ran and ended by itself |
//! | dies by the same signal | the program was killed by a signal |
//! | 125 | transom itself failed: wrong usage, no namespace, no device |
//! | 126 | the program was found but cannot be executed |
//! | 127 | the program was not found |

mod args;
mod browse;
mod calendar;
mod cmd;
mod failure;
mod kernel;
mod pcapng;
mod sys;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::Outcome;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason to fail harder than the usage error already does.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                failure::EXIT_OURS
            } else {
                0
            });
        }
    };
    match cmd::dispatch(cli) {
        Ok(Outcome::Exited(code)) => ExitCode::from(code),
        Ok(Outcome::Signaled(signal)) => {
            sys::die_by(signal);
            // Only reached for a signal whose default action does not end a process.
            ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "transom: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}
