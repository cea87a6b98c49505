//! `transom run -- CMD`: any program, its network carried by our own TCP, and a picture of what
//! happened.
//!
//! In the order of a run: [`host`] is read, a [`plan`] made, the [`sandbox`] built, the
//! [`network`] started on its device, the program started and [`watch`]ed, its [`ending`] seen
//! off, the [`report`] written.

mod activity;
mod capture;
mod carrier;
mod child;
mod control;
mod crew;
mod destination;
mod diag;
mod dns;
mod echo;
mod ending;
mod host;
mod key_log;
mod leg_b;
mod legs;
mod link;
pub(in crate::cmd) mod netlink;
mod network;
mod observe;
mod plan;
mod prefix;
mod processes;
mod publish;
mod report;
mod samples;
mod sandbox;
mod signals;
mod sink;
mod spread;
mod udp;
mod vigil;
mod watch;
mod witness;

use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::args::RunArgs;
use crate::failure::{Failure, Outcome};
use crate::sys;

use self::capture::Capture;
use self::carrier::Carrier;
use self::child::Program;
use self::ending::Ending;
use self::host::Host;
use self::key_log::KeyLog;
use self::network::{Parts, Settings};
use self::observe::{Collected, Seen};
use self::plan::{HOST_NAME, Plan};
use self::publish::Published;
use self::report::{Facts, Report};
use self::sandbox::Sandbox;
use self::signals::Signals;
use self::sink::Haste;
use self::witness::Witness;

/// Runs the program to its end.
pub(crate) fn run(args: RunArgs) -> Result<Outcome, Failure> {
    let inherited = sys::inherited();
    let published = args
        .publish
        .iter()
        .map(|text| Published::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let host = Host::read().map_err(|error| Failure::doing("read the host's network", error))?;
    let plan = Plan::new(&args, &host);
    let report = Report::open(&args)?;
    let key_log = args.tls_keys.then(KeyLog::create).transpose()?;
    let program = Program {
        command: args.command.clone(),
        key_log: key_log.as_ref().map(|keys| keys.path().to_owned()),
    };
    let capture = args.write.as_deref();
    let haste = Haste::default();
    let capture = capture
        .map(|path| Capture::create(path, key_log, haste.clone()))
        .transpose()?;
    let (signals, mask) = sys::block_and_watch(&signals::watched())
        .map_err(|error| Failure::doing("watch for signals", error))?;
    // Without it, what is sent to the whole group reaches the program twice; that is all.
    let witness = Witness::start().ok();
    // Everything above and this happen with a single thread.
    let sandbox = Sandbox::make(&plan, &mask, program)?;
    sys::release(&inherited);
    sys::raise_descriptor_limit();
    let settings = Settings::new(&plan, host.nameservers(), published, args.fault.clone());
    let (device, started) = (sandbox.kind.clone(), Instant::now());
    let inside = settings.inside().to_vec();
    // Only signals and the program's end are waited for here; the network has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::doing("start the runtime", error))?;
    let witness = witness.as_ref();
    let carried = carry(&args, sandbox, settings, (capture, haste), signals, witness);
    let (outcome, collected) = runtime.block_on(carried)?;
    let facts = Facts {
        command: &args.command,
        outcome,
        duration: started.elapsed(),
        device: &device,
        mtu: plan.mtu,
        inside: &inside,
    };
    report.write(&collected, &facts)?;
    Ok(outcome)
}

/// Everything between the sandbox and the report.
async fn carry(
    args: &RunArgs,
    sandbox: Sandbox,
    settings: Settings,
    (capture, haste): (Option<Capture>, Haste),
    signals: OwnedFd,
    witness: Option<&Witness>,
) -> Result<(Outcome, Collected), Failure> {
    let signals =
        Signals::new(signals).map_err(|error| Failure::doing("watch for signals", error))?;
    let Sandbox {
        kind,
        device,
        diags,
        notices,
        program,
        mut starter,
        keeper,
    } = sandbox;
    let line: Vec<_> = args
        .command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let parts = Parts {
        command: line.join(" "),
        kind,
        device,
        diags,
        program,
        keeper: keeper.pid(),
    };
    let names = Seen::Names {
        name: HOST_NAME.to_owned(),
        addresses: settings
            .inside()
            .iter()
            .map(|family| family.gateway)
            .collect(),
    };
    let network = match Carrier::start(settings, parts, capture).await {
        Ok(network) => network,
        Err(failure) => {
            drop(starter);
            watch::abandon(program, keeper);
            return Err(failure);
        }
    };
    for notice in &notices {
        network.observer.notice(notice);
    }
    network.observer.note(names);
    signals::catch_up(&signals, program, witness);
    if let Err(error) = starter.start() {
        watch::abandon(program, keeper);
        return Err(Failure::doing("start the program", error));
    }
    let outcome = watch::until_end(program, &signals, witness).await?;
    let name = line.first().map(AsRef::as_ref).unwrap_or_default();
    if let Some(failure) = starter.refused(name) {
        keeper.dismiss();
        return Err(failure);
    }
    let ending = Ending {
        inside: &network.inside,
        activity: &network.activity,
        signals: &signals,
        observer: &network.observer,
        haste: &haste,
        no_wait: args.no_wait,
        quiet: args.quiet,
    };
    ending.see_off().await;
    let leaving = keeper.dismiss();
    let collected = network.stop(&signals, &haste).await;
    drop(leaving);
    Ok((outcome, collected))
}
