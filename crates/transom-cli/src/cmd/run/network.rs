//! The program's network while it runs: our stack on the device, everything that serves it, and
//! everything that watches.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::timeout;
use transom::{EchoMode, RouteTarget, Stack, StackConfig};
use transom_device::{Device, Impaired, Overflows, PacketSocket, Tun};
use transom_sim::Impairment;

use super::activity::Activity;
use super::capture::Capture;
use super::control::{Control, Ours};
use super::destination::Destinations;
use super::diag::Diag;
use super::echo::Pings;
use super::leg_b::Closings;
use super::legs::Legs;
use super::link::PointToPoint;
use super::observe::{Collected, Collector, Looker, Observer, Seen, Tape};
use super::plan::{Addresses, INTERFACE_MAC, PEER_INTERFACE, PEER_MAC, Plan};
use super::processes::Inside;
use super::publish::{Door, Published};
use super::udp::{Carrying, Datagrams};
use super::vigil::Vigil;
use crate::failure::Failure;
use crate::sys;

/// What the network is to be.
#[derive(Debug)]
pub(crate) struct Settings {
    inside: Vec<Addresses>,
    mtu: u32,
    nameservers: Vec<SocketAddr>,
    published: Vec<Published>,
    fault: Option<Impairment>,
}

impl Settings {
    /// From the plan, the host's name servers (at least one), and the ports to publish.
    pub(crate) fn new(
        plan: &Plan,
        nameservers: Vec<SocketAddr>,
        published: Vec<Published>,
        fault: Option<Impairment>,
    ) -> Self {
        Self {
            inside: plan.families().copied().collect(),
            mtu: plan.mtu,
            nameservers,
            published,
            fault,
        }
    }

    /// The addresses inside.
    pub(crate) fn inside(&self) -> &[Addresses] {
        &self.inside
    }

    fn destinations(&self) -> Destinations {
        let unspecified = SocketAddr::from(([127, 0, 0, 1], super::host::DNS_PORT));
        let nameserver = self.nameservers.first().copied().unwrap_or(unspecified);
        Destinations::new(self.inside.clone(), nameserver)
    }
}

/// What the sandbox gives for it.
pub(crate) struct Parts {
    /// What is run.
    pub(crate) command: String,
    /// "tun" or "veth".
    pub(crate) kind: String,
    /// What carries packets.
    pub(crate) device: OwnedFd,
    /// Two sock_diag sockets of the inside.
    pub(crate) diags: [OwnedFd; 2],
    /// The program's process.
    pub(crate) program: Pid,
    /// The keeper's.
    pub(crate) keeper: Pid,
}

/// How long the stack may take to say what its connections still have to say.
const FAREWELL: Duration = Duration::from_millis(100);

/// How long the program's last frames may take out of the device, and its last datagrams to the
/// host's sockets, each.
const LAST: Duration = Duration::from_millis(125);

/// A network that runs.
pub(crate) struct Network {
    stack: Stack,
    tasks: JoinSet<()>,
    datagrams: Carrying,
    observer: Observer,
    activity: Activity,
    inside: Inside,
    collector: JoinHandle<Collected>,
    looker: JoinHandle<()>,
    overflows: Option<Overflows>,
    /// The device, where it need not be taken apart before the namespace is.
    tun: Option<OwnedFd>,
}

impl Network {
    /// Starts everything. The program does not run yet.
    pub(crate) async fn start(
        settings: &Settings,
        parts: Parts,
        capture: Option<Capture>,
    ) -> Result<Self, Failure> {
        let Parts {
            command,
            kind,
            device,
            diags,
            program,
            keeper,
        } = parts;
        let failed = |error: io::Error| Failure::doing("start the program's network", error);
        let destinations = settings.destinations();
        let inside = Inside::of(program, keeper).map_err(failed)?;
        let observer = Observer::new(diags.map(Diag::new), &inside);
        let tun = (kind == "tun").then(|| device.try_clone());
        let tun = tun.transpose().map_err(failed)?;
        let (device, overflows) = open_device(&kind, device, settings.mtu).map_err(failed)?;
        let vigil = Vigil::default();
        let tape = Tape::new(observer.clone(), vigil.clone(), capture.is_some());
        let stack = start_stack(settings, device, tape).map_err(failed)?;
        let activity = Activity::new();
        let legs = Legs {
            destinations: destinations.clone(),
            observer: observer.clone(),
            activity: activity.clone(),
            closings: Closings::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(vigil.keep());
        for &published in &settings.published {
            let door = Door::open(published).await?;
            tasks.spawn(door.serve(stack.clone(), legs.clone()));
        }
        let datagrams = Datagrams::new(
            stack.udp_flows().map_err(failed)?,
            destinations.clone(),
            settings.nameservers.clone(),
            observer.clone(),
        )
        .start();
        let pings = Pings::new(stack.echo_requests(), destinations, observer.clone());
        tasks.spawn(pings.serve());
        tasks.spawn(legs.serve(stack.incoming().map_err(failed)?));
        let ours = Ours::default();
        // Without it the run is as good, and `transom ss` does not show it.
        if let Ok(control) = Control::open(&command, &kind) {
            tasks.spawn(control.serve(observer.clone(), ours.clone()));
        }
        let looker = Looker::new(observer.clone());
        let looker = thread::Builder::new()
            .name("looker".to_owned())
            .spawn(move || looker.run())
            .map_err(failed)?;
        let notes = observer.clone();
        let collector = thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || Collector::new(capture, ours).run(&notes))
            .map_err(failed)?;
        Ok(Self {
            stack,
            tasks,
            datagrams,
            observer,
            activity,
            inside,
            collector,
            looker,
            overflows,
            tun,
        })
    }

    /// Who is told what happens.
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// What goes on.
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Where the program lives.
    pub(crate) fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Stops everything and returns what was seen.
    pub(crate) async fn stop(mut self) -> Collected {
        // What the program sent just before its end is still in the device. Its host would deliver it.
        let _ = timeout(LAST, self.stack.caught_up()).await;
        self.datagrams.finish(LAST).await;
        self.tasks.shutdown().await;
        // Connections that nobody holds any more may still have something to say.
        let _ = timeout(FAREWELL, self.stack.idle()).await;
        if let Err(error) = self.stack.check() {
            self.observer.notice(&format!(
                "the program's network failed: {error}; run it again, perhaps with another --device"
            ));
        }
        tell_overflows(self.overflows.as_ref(), &self.observer);
        if let Some(tun) = self.tun
            && self.inside.inhabitants().is_empty()
        {
            // Nobody sees it any more, so it may end with its namespace, in the background. Otherwise
            // closing it would wait for all processors, several times.
            let _ = sys::keep_tun(&tun);
        }
        drop(self.stack);
        self.observer.look_no_more();
        // A thread that panicked has nothing to say; the report is then shorter.
        let _ = self.looker.join();
        self.observer.note(Seen::End);
        self.collector.join().unwrap_or_default()
    }
}

/// Says when frames of the program were lost before our stack saw them.
fn tell_overflows(overflows: Option<&Overflows>, observer: &Observer) {
    // A kernel that does not tell takes nothing from the report but this.
    let lost = overflows.map(Overflows::take);
    if let Some(Ok(lost @ 1..)) = lost {
        observer.notice(&lost_before_us(lost));
    }
}

fn lost_before_us(count: u64) -> String {
    let frames = if count == 1 {
        "1 frame of the program was"
    } else {
        &format!("{count} frames of the program were")
    };
    format!(
        "{frames} lost on the way to us, as the program sent faster than we took; \
         the retransmissions that followed are not the network's fault"
    )
}

/// The device behind a descriptor, and who knows what it could not take.
fn open_device(
    kind: &str,
    device: OwnedFd,
    mtu: u32,
) -> io::Result<(Box<dyn Device>, Option<Overflows>)> {
    let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
    if kind == "tun" {
        return Ok((Box::new(Tun::from_fd(device, mtu, true)?), None));
    }
    // The program does not run yet: nothing that waits in the socket matters.
    let socket = PacketSocket::from_pair_fd(device, mtu, PEER_INTERFACE)?.with_ring();
    let overflows = socket.overflows()?;
    // What came before the program started was not its own.
    let _ = overflows.take()?;
    let device = PointToPoint::new(socket, PEER_MAC, INTERFACE_MAC);
    Ok((Box::new(device), Some(overflows)))
}

fn start_stack(settings: &Settings, device: Box<dyn Device>, tape: Tape) -> io::Result<Stack> {
    let device: Box<dyn Device> = match &settings.fault {
        Some(fault) => Box::new(Impaired::both(device, fault.clone())),
        None => device,
    };
    let config = StackConfig::default()
        .any_address(true)
        .echo(EchoMode::Deliver);
    let mut builder = Stack::builder()
        .config(config)
        .recorder(tape)
        .device(device);
    for addresses in &settings.inside {
        builder = builder.address(format!("{}/{}", addresses.gateway, addresses.prefix_len));
        // Whatever source address the program chooses, it is behind the device.
        let everything = if addresses.gateway.is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        builder = builder.route(everything, RouteTarget::OnLink);
    }
    builder.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_frames_are_counted_in_a_sentence() {
        assert!(lost_before_us(1).starts_with("1 frame of the program was lost on the way to us,"));
        assert!(
            lost_before_us(2).starts_with("2 frames of the program were lost on the way to us")
        );
    }
}
