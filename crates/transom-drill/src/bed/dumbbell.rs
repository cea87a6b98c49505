//! Senders, two routers, receivers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use transom_sim::{HostId, Impairment, LinkId, Outcome, Random, Router, TooBig, Trace, World};
use transom_stack::wire::Cidr;
use transom_stack::{ConnId, ConnectOptions, ListenOn, ListenOptions, StackConfig};

use super::Flow;
use super::flow::{Progress, Shared, look, read, write};
use super::report::{Bottleneck, FlowReport, Moment, Report, Sample};
use crate::{Member, Node, instant};

const PORT: u16 = 5001;
/// Rates and queues are for the bottleneck; the ways to it carry what comes.
const ACCESS_JITTER: Duration = Duration::from_micros(20);

/// A bottleneck between two routers, and flows that cross it.
#[derive(Clone, Debug)]
pub struct Dumbbell {
    bottleneck: Impairment,
    back: Impairment,
    flows: Vec<Flow>,
    seed: u64,
    mtu: usize,
    mtu_changes: Vec<(Duration, usize, TooBig)>,
    sample: Option<Duration>,
    frames: usize,
}

impl Dumbbell {
    /// Most flows; their addresses are made of their number.
    pub const MAX_FLOWS: usize = 250;

    /// A bottleneck from left to right. The way back has its delay and its MTU, and nothing else.
    #[must_use]
    pub fn new(bottleneck: Impairment) -> Self {
        let back = Impairment::new().delay(bottleneck.delay);
        Self {
            bottleneck,
            back,
            flows: Vec::new(),
            seed: 1,
            mtu: 1500,
            mtu_changes: Vec::new(),
            sample: None,
            frames: 0,
        }
    }

    /// Sets the way back: another rate, loss or delay, thinning of acknowledgements.
    #[must_use]
    pub fn back(mut self, back: Impairment) -> Self {
        self.back = back;
        self
    }

    /// Adds a flow. What exceeds [`Dumbbell::MAX_FLOWS`] is left out.
    #[must_use]
    pub fn flow(mut self, flow: Flow) -> Self {
        if self.flows.len() < Self::MAX_FLOWS {
            self.flows.push(flow);
        }
        self
    }

    /// Sets the seed of all chance: links, ports, sequence numbers. The bottleneck's own seed counts too.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the MTU of the hosts' links. Default 1500.
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// The path from left to right carries no more than `mtu` from `at` on.
    #[must_use]
    pub fn mtu_change(mut self, at: Duration, mtu: usize, too_big: TooBig) -> Self {
        self.mtu_changes.push((at, mtu, too_big));
        self
    }

    /// Looks at flows and queue each `period` and keeps what it sees. Without it only the ends are kept.
    #[must_use]
    pub fn sample(mut self, period: Duration) -> Self {
        self.sample = Some(period.max(Duration::from_micros(10)));
        self
    }

    /// Keeps the first so many packets of all links in the [`World`]'s trace. Default none.
    #[must_use]
    pub fn frames(mut self, packets: usize) -> Self {
        self.frames = packets;
        self
    }

    /// The round trip of an empty network for a flow.
    #[must_use]
    pub fn round_trip(&self, flow: &Flow) -> Duration {
        self.bottleneck.delay + self.back.delay + flow.delay * 2
    }

    /// Plays until every flow has ended, at most until `limit`.
    #[must_use]
    pub fn run(&self, limit: Duration) -> Report {
        self.run_world(limit).0
    }

    /// As [`Dumbbell::run`], and gives the world as it is then.
    #[must_use]
    pub fn run_world(&self, limit: Duration) -> (Report, World<Member<Node>>) {
        let mut run = Run::new(self);
        let outcome = run.play(limit);
        (run.report(outcome), run.world)
    }
}

/// A flow in a world.
struct Playing<'a> {
    plan: &'a Flow,
    sender: HostId,
    receiver: HostId,
    to: SocketAddr,
    shared: Shared,
    samples: Vec<Sample>,
}

/// A dumbbell under way.
struct Run<'a> {
    plan: &'a Dumbbell,
    world: World<Member<Node>>,
    left: HostId,
    bottleneck: LinkId,
    back: LinkId,
    flows: Vec<Playing<'a>>,
    moments: [Vec<Moment>; 2],
}

impl<'a> Run<'a> {
    fn new(plan: &'a Dumbbell) -> Self {
        let mut world = World::new().with_trace(Trace::with_limits(
            plan.frames,
            plan.frames.saturating_mul(2048),
        ));
        let mut random = Random::new(plan.seed);
        let mut router = |number: u8| {
            let v4 = Ipv4Addr::new(10, 0, number, 1);
            let v6 = Ipv6Addr::new(0xfd00, 0, 0, u16::from(number), 0, 0, 0, 1);
            world.add_host(Member::Router(Box::new(Router::new(v4, v6))))
        };
        let (left, right) = (router(1), router(2));
        // The queue is of the round trip of the bottleneck alone.
        let round_trip = plan.bottleneck.delay + plan.back.delay;
        let seeded = |link: &Impairment, random: &mut Random| {
            let seed = link.seed ^ random.next_u64();
            link.clone().resolve(round_trip).seed(seed)
        };
        let there = seeded(&plan.bottleneck, &mut random);
        let back = seeded(&plan.back, &mut random);
        let (bottleneck, back) = world.connect(left, right, there, back);
        let mut run = Self {
            plan,
            world,
            left,
            bottleneck,
            back,
            flows: Vec::new(),
            moments: [Vec::new(), Vec::new()],
        };
        for (router, side) in [(left, 2), (right, 1)] {
            run.route(router, Ipv4Addr::new(10, side, 0, 0), 16, 0);
            run.route(router, Ipv4Addr::new(10, 0, 3 - side, 0), 24, 0);
        }
        for (number, flow) in plan.flows.iter().enumerate() {
            run.add(number, flow, [left, right], &mut random);
        }
        run
    }

    fn route(&mut self, router: HostId, network: Ipv4Addr, prefix_len: u8, port: usize) {
        if let Some(router) = self.world.host_mut(router).router_mut() {
            router.add_route(IpAddr::V4(network), prefix_len, port);
        }
    }

    /// Adds the hosts of a flow.
    fn add(&mut self, number: usize, flow: &'a Flow, routers: [HostId; 2], random: &mut Random) {
        let third = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let shared = Shared::default();
        let mut hosts = [None, None];
        for (index, router) in routers.into_iter().enumerate() {
            let side = if index == 0 { 1 } else { 2 };
            let is_sender = (index == 0) != flow.reversed;
            let config = if is_sender {
                &flow.sender
            } else {
                &flow.receiver
            };
            let address = Ipv4Addr::new(10, side, third, 1);
            let secret = random.octets();
            let Ok(network) = Cidr::new(IpAddr::V4(address), 16) else {
                continue;
            };
            let mut node = Node::new(
                StackConfig::default().tcp(config.clone()),
                network,
                self.plan.mtu,
                secret,
            );
            attach(&mut node, flow, is_sender, &shared);
            let host = self.world.add_host(Member::Host(Box::new(node)));
            hosts[usize::from(!is_sender)] = Some((host, address));
            // The delay of the flow is on the left; a little jitter keeps flows from running in step.
            let delay = if index == 0 {
                flow.delay
            } else {
                Duration::ZERO
            };
            let mut access = || {
                Impairment::new()
                    .delay(delay + ACCESS_JITTER)
                    .jitter(ACCESS_JITTER)
                    .seed(random.next_u64())
            };
            self.world.connect(router, host, access(), access());
            self.route(router, address, 32, number + 1);
        }
        if let [Some((sender, _)), Some((receiver, address))] = hosts {
            self.flows.push(Playing {
                plan: flow,
                sender,
                receiver,
                to: SocketAddr::new(IpAddr::V4(address), PORT),
                shared,
                samples: Vec::new(),
            });
        }
    }

    /// Opens what is to be opened now.
    fn open(&mut self) {
        let now = self.world.now();
        for flow in &self.flows {
            let mut progress = look(&flow.shared);
            if progress.connection.is_some() || progress.failed.is_some() || flow.plan.starts > now
            {
                continue;
            }
            let Some(node) = self.world.host_mut(flow.sender).host_mut() else {
                continue;
            };
            let stack = node.stack_mut();
            match stack.tcp_connect(instant(now), ConnectOptions::new(flow.to)) {
                Ok(connection) => progress.connection = Some(connection),
                Err(error) => progress.failed = Some(error.to_string()),
            }
            write(stack, instant(now), flow.plan.bytes, &mut progress);
        }
    }

    fn change_mtu(&mut self) {
        let now = self.world.now();
        let plan = self.plan;
        let due = plan.mtu_changes.iter().filter(|(at, ..)| *at <= now);
        let last = due.max_by_key(|(at, ..)| *at);
        if let Some((_, mtu, too_big)) = last
            && let Some(router) = self.world.host_mut(self.left).router_mut()
        {
            router.set_mtu(0, *mtu, *too_big);
        }
    }

    fn play(&mut self, limit: Duration) -> Outcome {
        loop {
            self.change_mtu();
            self.open();
            if self.plan.sample.is_some() {
                self.look();
            }
            let now = self.world.now();
            let is_over = |flow: &Playing<'_>| {
                let progress = look(&flow.shared);
                progress.finished.is_some() || progress.failed.is_some()
            };
            if now >= limit || self.flows.iter().all(is_over) {
                return Outcome::Stopped;
            }
            let outcome = self.world.run_until(self.next_look(now, limit));
            if outcome == Outcome::StepsExhausted {
                return outcome;
            }
        }
    }

    /// When something of the plan is due next.
    fn next_look(&self, now: Duration, limit: Duration) -> Duration {
        let openings = self.plan.flows.iter().map(|flow| flow.starts);
        let changes = self.plan.mtu_changes.iter().map(|(at, ..)| *at);
        // Without samples the end of the flows is still looked for.
        let period = self.plan.sample.unwrap_or(Duration::from_millis(100));
        openings
            .chain(changes)
            .chain([limit, now + period])
            .filter(|at| *at > now)
            .min()
            .unwrap_or(limit)
    }

    /// Takes a sample of everything.
    fn look(&mut self) {
        let time = self.world.now();
        for (link, moments) in [self.bottleneck, self.back]
            .into_iter()
            .zip(&mut self.moments)
        {
            let backlog = self.world.link_mut(link).backlog(time);
            moments.push(Moment { time, backlog });
        }
        for flow in &mut self.flows {
            let progress = look(&flow.shared).clone();
            let info = progress.connection.and_then(|connection| {
                let node = self.world.host(flow.sender).host()?;
                node.stack().tcp_info(connection).ok()
            });
            if let Some(info) = info {
                flow.samples.push(Sample {
                    time,
                    cwnd: info.cwnd,
                    ssthresh: info.ssthresh,
                    in_flight: info.pipe,
                    srtt: info.srtt.unwrap_or_default(),
                    received: progress.received,
                    sent: info.counters.bytes_sent,
                    retransmitted: info.counters.bytes_retransmitted,
                    state: info.congestion_state,
                });
            }
        }
    }

    fn report(&mut self, outcome: Outcome) -> Report {
        let ended = self.world.now();
        let [there, back] = std::mem::take(&mut self.moments);
        let bottleneck = |link: LinkId, moments| Bottleneck {
            counters: self.world.link(link).counters(),
            waits: self.world.link(link).waits(),
            moments,
        };
        let (bottleneck, back) = (
            bottleneck(self.bottleneck, there),
            bottleneck(self.back, back),
        );
        let world = &self.world;
        let flows = self.flows.iter_mut().map(|flow| {
            let progress: Progress = look(&flow.shared).clone();
            let info = |host, connection: Option<ConnId>| {
                let node = world.host(host).host()?;
                node.stack().tcp_info(connection?).ok()
            };
            let receiver = info(flow.receiver, progress.accepted);
            let info = info(flow.sender, progress.connection);
            let until = progress.finished.unwrap_or(ended);
            FlowReport {
                congestion: flow.plan.sender.congestion.name(),
                starts: flow.plan.starts,
                finished: progress.finished,
                received: progress.received,
                lasted: until.saturating_sub(flow.plan.starts),
                counters: info.as_ref().map(|info| info.counters).unwrap_or_default(),
                accurate_ecn: info.and_then(|info| info.accurate_ecn),
                receiver_ecn: receiver.and_then(|info| info.accurate_ecn),
                failed: progress.failed,
                samples: std::mem::take(&mut flow.samples),
            }
        });
        Report {
            ended,
            outcome,
            flows: flows.collect(),
            bottleneck,
            back,
        }
    }
}

/// Gives a node its application.
fn attach(node: &mut Node, flow: &Flow, is_sender: bool, shared: &Shared) {
    let (shared, bytes) = (shared.clone(), flow.bytes);
    if is_sender {
        node.set_application(Some(Box::new(move |stack, now| {
            drain(stack);
            write(stack, now, bytes, &mut look(&shared));
        })));
        return;
    }
    let listener = node
        .stack_mut()
        .tcp_listen(ListenOptions::new(ListenOn::Address(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            PORT,
        ))));
    match listener {
        Ok(listener) => node.set_application(Some(Box::new(move |stack, now| {
            drain(stack);
            read(stack, now, listener, &mut look(&shared));
        }))),
        Err(error) => look(&shared).failed = Some(error.to_string()),
    }
}

/// The applications look for themselves.
fn drain(stack: &mut transom_stack::Stack) {
    while stack.poll_event().is_some() {}
}
