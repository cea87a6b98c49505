//! `transom run -- CMD`: any program, its network carried by our own TCP, and a picture of what
//! happened.

mod child;
mod host;
mod netlink;
mod plan;
mod prefix;
mod sandbox;
mod signals;
mod watch;

use crate::args::RunArgs;
use crate::failure::{Failure, Outcome};
use crate::sys;

use self::host::Host;
use self::plan::Plan;
use self::sandbox::Sandbox;

/// Runs the program to its end.
pub(crate) fn run(args: RunArgs) -> Result<Outcome, Failure> {
    let name = args
        .command
        .first()
        .map(|word| word.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let host = Host::read().map_err(|error| Failure::doing("read the host's network", error))?;
    let plan = Plan::new(&args, &host);
    let (signals, mask) = sys::block_and_watch(&signals::watched())
        .map_err(|error| Failure::doing("watch for signals", error))?;
    let sandbox = Sandbox::make(&plan, &mask, args.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::doing("start the runtime", error))?;
    runtime.block_on(watch::carry(sandbox, signals, &name))
}
