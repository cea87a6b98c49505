//! The commands, one module each.

pub(crate) mod demo;
pub(crate) mod drill;
pub(crate) mod explain;
pub(crate) mod link;
pub(crate) mod run;
pub(crate) mod ss;
pub(crate) mod watch;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

/// Carries out what was typed.
pub(crate) fn dispatch(cli: Cli) -> Result<Outcome, Failure> {
    match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Explain(args) => explain::explain(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Drill(args) => drill::drill(&args),
        Command::Watch(args) => watch::watch(&args),
        Command::Link(args) => link::link(&args),
        Command::Ss(args) => ss::ss(&args),
    }
}
