//! The program's network on a thread of its own.
//!
//! It waits for whoever reads the capture, if that is a pipe, and is then as slow as the reader. Signals, the stops of the
//! program and its end do not wait: they are the first thread's, which does nothing else.

use std::pin::pin;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::activity::Activity;
use super::capture::Capture;
use super::network::{Network, Parts, Settings};
use super::observe::{Collected, Observer};
use super::processes::Inside;
use super::signals::Signals;
use super::sink::Haste;
use crate::failure::Failure;

/// Turns of tasks between two looks at what is ready: a turn may carry a batch of super-segments, and who waits
/// for one byte should not wait for many of them.
const EVENTS: u32 = 8;

/// A network that runs elsewhere, and what is known of it here.
pub(crate) struct Carrier {
    pub(crate) observer: Observer,
    pub(crate) activity: Activity,
    pub(crate) inside: Inside,
    stop: oneshot::Sender<()>,
    collected: oneshot::Receiver<Collected>,
}

impl Carrier {
    /// Starts the network. The program does not run yet.
    pub(crate) async fn start(
        settings: Settings,
        parts: Parts,
        capture: Option<Capture>,
    ) -> Result<Self, Failure> {
        let doing = |error| Failure::doing("start the runtime", error);
        let runtime = runtime().map_err(doing)?;
        let (started, starts) = oneshot::channel();
        let carry = move || {
            runtime.block_on(async {
                match Network::start(&settings, parts, capture).await {
                    Ok(network) => carry(network, started).await,
                    // Somebody waits for it.
                    Err(failure) => drop(started.send(Err(failure))),
                }
            });
            // Whatever still waits for the network waits in vain.
            runtime.shutdown_background();
        };
        let name = "network".to_owned();
        thread::Builder::new()
            .name(name)
            .spawn(carry)
            .map_err(doing)?;
        let gone = |_| Failure::new("the program's network ended before it began");
        starts.await.map_err(gone)?
    }

    /// Stops everything and returns what was seen. A signal that would end us ends the waiting for the capture's reader.
    pub(crate) async fn stop(self, signals: &Signals, haste: &Haste) -> Collected {
        // It has not ended by itself.
        let _ = self.stop.send(());
        let mut collected = pin!(self.collected);
        tokio::select! {
            collected = &mut collected => return collected.unwrap_or_default(),
            () = signals.told_to_leave() => haste.at_once(),
        }
        collected.await.unwrap_or_default()
    }
}

fn runtime() -> std::io::Result<Runtime> {
    // One thread: what passes between threads costs more than what a second one gains, since every frame goes
    // through the one stack anyway.
    Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENTS)
        .build()
}

/// Says that the network runs, and lets it until it is to stop, or nobody is left to say so.
async fn carry(network: Network, started: oneshot::Sender<Result<Carrier, Failure>>) {
    let (stop, stops) = oneshot::channel();
    let (done, collected) = oneshot::channel();
    let carrier = Carrier {
        observer: network.observer().clone(),
        activity: network.activity().clone(),
        inside: network.inside().clone(),
        stop,
        collected,
    };
    if started.send(Ok(carrier)).is_ok() && stops.await.is_ok() {
        // Who asked for it waits.
        let _ = done.send(network.stop().await);
    }
}
