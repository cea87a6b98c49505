//! Plays a scenario and checks it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use transom_sim::{Host, HostId, Outcome, Random, Router, Trace, TraceEntry, World};
use transom_stack::wire::Cidr;
use transom_stack::{ListenOn, ListenOptions, StackConfig};

use super::Scenario;
use super::application::{Application, PATIENCE, Source};
use crate::{Member, Node};

/// More steps than any of these worlds needs.
const MAX_STEPS: u64 = 4_000_000;
/// After the last application has let go: retransmissions up to R2 with their longest wait, FIN-WAIT-2 and TIME-WAIT,
/// the aging of path MTUs.
const AFTERMATH: Duration = Duration::from_secs(3600);

/// What was wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub(super) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// A scenario that was played and found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Played {
    /// When the world was silent.
    pub silent: Duration,
    /// Octets that arrived.
    pub received: u64,
    /// Connections that failed, as they may in a harsh world.
    pub failed: u64,
}

/// A host with applications.
struct Station {
    node: Node,
    applications: Vec<Application>,
    /// The node has its deadlines and the applications theirs: the node is told of its own only.
    wake: Option<Duration>,
}

impl Station {
    fn act(&mut self, now: Duration) {
        let stack = self.node.stack_mut();
        while stack.poll_event().is_some() {}
        for application in &mut self.applications {
            application.act(stack, now);
        }
        self.wake = self.applications.iter().filter_map(Application::wake).min();
    }
}

impl Host for Station {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        self.node.handle_frame(now, frame);
        self.act(now);
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.node.poll_transmit(now)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let deadlines = [self.node.poll_timeout(), self.wake];
        deadlines.into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.node.handle_timeout(now);
        self.act(now);
    }
}

impl Scenario {
    /// Runs the world to its end.
    ///
    /// # Errors
    /// The first thing that must never be.
    pub fn play(&self) -> Result<Played, Violation> {
        self.play_and_keep(Trace::with_limits(0, 0)).0
    }

    /// Runs the world to its end, and hands back the trace with what it kept of it: packets of hosts and routers, IP
    /// without a link's header.
    pub fn play_and_keep(&self, trace: Trace) -> (Result<Played, Violation>, Trace) {
        let mut play = match Play::new(self, trace) {
            Ok(play) => play,
            Err(violation) => return (Err(violation), Trace::with_limits(0, 0)),
        };
        let outcome = play.run().and_then(|()| play.verdict());
        (outcome, play.world.into_trace())
    }

    /// Whether who sent this is a host, and no router that passes it on.
    #[must_use]
    pub fn is_of_a_host(&self, entry: &TraceEntry) -> bool {
        entry.from.index() < self.hosts.len()
    }

    fn address(&self, host: usize) -> IpAddr {
        let (side, number) = (host % 2 + 1, host / 2 + 1);
        if self.v6 {
            Ipv6Addr::new(0xfd00, side as u16, 0, 0, 0, 0, 0, number as u16).into()
        } else {
            Ipv4Addr::new(10, side as u8, 0, number as u8).into()
        }
    }
}

struct Play<'a> {
    scenario: &'a Scenario,
    world: World<Member<Station>>,
    stations: Vec<HostId>,
    /// The routers that send to the path.
    routers: Vec<HostId>,
}

impl<'a> Play<'a> {
    fn new(scenario: &'a Scenario, trace: Trace) -> Result<Self, Violation> {
        let mut play = Self {
            scenario,
            world: World::new().with_trace(trace),
            stations: Vec::new(),
            routers: Vec::new(),
        };
        let mut random = Random::stream(scenario.seed, 0x706c_6179);
        for host in 0..scenario.hosts.len() {
            let station = play.station(host, &mut random)?;
            let member = Member::Host(Box::new(station));
            let id = play.world.add_host(member);
            play.stations.push(id);
        }
        play.wire();
        Ok(play)
    }

    fn station(&self, host: usize, random: &mut Random) -> Result<Station, Violation> {
        let plan = &self.scenario.hosts[host];
        let address = self.scenario.address(host);
        let config = StackConfig::default().tcp(plan.config.clone());
        let mut node = Node::new(config, Cidr::host(address), plan.mtu, random.octets());
        let mut applications = Vec::new();
        for (number, connection) in self.scenario.connections.iter().enumerate() {
            let [mut client, server] = connection.scripts.clone();
            let port = 5000 + number as u16;
            if connection.client == host {
                if connection.stops_short {
                    client.bytes = client.bytes.saturating_sub(1);
                }
                let to = SocketAddr::new(self.scenario.address(connection.server), port);
                let source = Source::Connects(to, connection.opens);
                applications.push(Application::new(client, server, source));
            } else if connection.server == host {
                let listener = node
                    .stack_mut()
                    .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(port)))
                    .map_err(|error| Violation(format!("cannot listen: {error}")))?;
                applications.push(Application::new(server, client, Source::Accepts(listener)));
            }
        }
        let wake = applications.iter().filter_map(Application::wake).min();
        Ok(Station {
            node,
            applications,
            wake,
        })
    }

    /// Joins the hosts: by one wire, or by two routers.
    fn wire(&mut self) {
        let scenario = self.scenario;
        let [there, back] = scenario.path.clone();
        if !scenario.routers {
            if let [left, right] = *self.stations {
                self.world.connect(left, right, there, back);
            }
            return;
        }
        let mut routers = [0_u8, 1].map(|side| {
            let v4 = Ipv4Addr::new(10, 9, 0, side + 1);
            let v6 = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, u16::from(side) + 1);
            Router::new(v4, v6)
        });
        let bits = if scenario.v6 { 128 } else { 32 };
        for host in 0..scenario.hosts.len() {
            // The path is port 0; a router's hosts follow in their order.
            routers[host % 2].add_route(scenario.address(host), bits, host / 2 + 1);
            routers[1 - host % 2].add_route(scenario.address(host), bits, 0);
        }
        let ids = routers.map(|router| self.world.add_host(Member::Router(Box::new(router))));
        self.world.connect(ids[0], ids[1], there, back);
        for (host, (station, access)) in self.stations.iter().zip(&scenario.access).enumerate() {
            let other = access.clone().seed(access.seed ^ 0x100);
            self.world
                .connect(ids[host % 2], *station, access.clone(), other);
        }
        self.routers = ids.to_vec();
    }

    fn applications(&self) -> impl Iterator<Item = (usize, &Application)> {
        self.stations.iter().enumerate().flat_map(|(host, id)| {
            let station = self.world.host(*id).host();
            let applications = station
                .into_iter()
                .flat_map(|station| &station.applications);
            applications.map(move |application| (host, application))
        })
    }

    fn run(&mut self) -> Result<(), Violation> {
        let mut changes = self.scenario.mtu_changes.clone();
        changes.sort_by_key(|(at, ..)| *at);
        for (at, mtu, too_big) in changes {
            self.until(at, false)?;
            for id in self.routers.clone() {
                if let Some(router) = self.world.host_mut(id).router_mut() {
                    router.set_mtu(0, mtu, too_big);
                }
            }
        }
        let is_orderly = self
            .applications()
            .all(|(_, application)| application.is_orderly);
        let patience = match (self.scenario.is_harsh, is_orderly) {
            // Each pause ends, each wait for progress too.
            (true, _) => PATIENCE * 4,
            // The reset of an abort may be lost, and the peer has nothing to send.
            (false, false) => PATIENCE,
            (false, true) => Duration::ZERO,
        };
        let limit = self.scenario.bound() + patience + AFTERMATH;
        self.until(limit, true)
    }

    /// Runs up to a time; to the end of everything when it must be over by then.
    fn until(&mut self, limit: Duration, must_end: bool) -> Result<(), Violation> {
        let outcome = self.world.run_bounded(MAX_STEPS, limit);
        match outcome {
            Outcome::Idle => Ok(()),
            Outcome::TimeReached if !must_end => Ok(()),
            outcome => Err(Violation(format!(
                "{outcome:?} at {:?}: something still goes on after its bound{}",
                self.world.now(),
                self.describe()
            ))),
        }
    }

    /// Where everything stands.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (host, application) in self.applications() {
            text += &format!(
                "\n  host {host}: sent {}/{} received {}/{} end {} shut {} released {} gave up {} failed {:?}",
                application.sent,
                application.script.bytes,
                application.received,
                application.peer.bytes,
                application.end_seen,
                application.shut,
                application.released,
                application.gave_up,
                application.failed,
            );
        }
        for (host, id) in self.stations.iter().enumerate() {
            if let Some(station) = self.world.host(*id).host() {
                for (id, local, peer, state) in station.node.stack().connections() {
                    text += &format!("\n  host {host}: {local} {peer} {state}");
                    // What a connection knows says why it stands still.
                    let info = id.and_then(|id| station.node.stack().tcp_info(id).ok());
                    text += &info.map_or_else(String::new, |info| format!("\n    {info:?}"));
                }
            }
        }
        text
    }

    fn verdict(&self) -> Result<Played, Violation> {
        let fail = |what: String| Err(Violation(format!("{what}{}", self.describe())));
        for (host, application) in self.applications() {
            if let Some(broken) = &application.broken {
                return fail(format!("host {host}: {broken}"));
            }
            if !application.released && !application.is_waiting() {
                return fail(format!("host {host}: an application waits for ever"));
            }
        }
        for (host, id) in self.stations.iter().enumerate() {
            if let Some(station) = self.world.host(*id).host()
                && station.node.stack().connections().next().is_some()
            {
                return fail(format!("host {host}: a connection outlives everything"));
            }
        }
        if !self.scenario.is_harsh {
            self.all_arrived()?;
        }
        let applications = || self.applications().map(|(_, application)| application);
        Ok(Played {
            silent: self.world.now(),
            received: applications().map(|application| application.received).sum(),
            failed: applications()
                .filter(|application| application.failed.is_some())
                .count() as u64,
        })
    }

    /// In a gentle world orderly connections carry everything.
    fn all_arrived(&self) -> Result<(), Violation> {
        let fail = |what: String| Err(Violation(format!("{what}{}", self.describe())));
        for (host, application) in self.applications() {
            if !application.is_orderly {
                continue;
            }
            if let Some(failed) = &application.failed {
                return fail(format!("host {host}: a connection failed: {failed}"));
            }
            if application.gave_up || !application.end_seen {
                return fail(format!("host {host}: not everything arrived"));
            }
        }
        Ok(())
    }
}
