//! Any schedule of loss, delay, reordering, duplication and corruption delivers the same bytes in both
//! directions, or a clean error, in bounded time and memory.
//!
//! Each seed is one world: two of our stacks, a link, amounts of data, the size of reads and writes, and who closes
//! when. A failing seed is printed; `TRANSOM_SEED=n cargo test -p transom-drill --test any_schedule` plays it alone.
//! `TRANSOM_SEEDS=n` sets how many are played (default 2000).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure ends the test")]

use std::time::Duration;

use transom_drill::{Node, instant};
use transom_sim::{HostId, Impairment, Loss, Outcome, Probability, Queue, Random, World};
use transom_stack::tcp::State;
use transom_stack::{ConnId, ConnectOptions, ListenOn, ListenOptions, ListenerId, StackConfig};

const SERVER: &str = "10.0.0.2:80";
/// More than any retransmission schedule of these worlds needs, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3600);
const MAX_STEPS: u64 = 2_000_000;

/// One end's application: what it has to send, what it got, and what it saw.
struct Application {
    host: HostId,
    connection: Option<ConnId>,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    write_size: usize,
    read_size: usize,
    /// Shut down the sending half only after the other's end was seen.
    closes_last: bool,
    shut: bool,
    end_seen: bool,
    failed: Option<String>,
}

impl Application {
    fn new(host: HostId, random: &mut Random, label: u8) -> Self {
        let length = match random.below(4) {
            0 => 0,
            1 => random.below(2000),
            2 => random.below(60_000),
            _ => random.below(600_000),
        };
        let to_send = (0..length)
            .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ label)
            .collect();
        Self {
            host,
            connection: None,
            to_send,
            sent: 0,
            received: Vec::new(),
            write_size: 1 + random.below(70_000) as usize,
            read_size: 1 + random.below(70_000) as usize,
            closes_last: random.below(2) == 0,
            shut: false,
            end_seen: false,
            failed: None,
        }
    }

    fn done(&self) -> bool {
        self.failed.is_some() || (self.end_seen && self.shut)
    }

    /// Reads, writes and shuts down as far as the stack lets it.
    fn act(&mut self, world: &mut World<Node>) {
        let Some(connection) = self.connection else {
            return;
        };
        let now = instant(world.now());
        let stack = world.host_mut(self.host).stack_mut();
        while !self.end_seen && self.failed.is_none() {
            match stack.tcp_recv(now, connection, self.read_size) {
                Ok(Some(bytes)) if bytes.is_empty() => self.end_seen = true,
                Ok(Some(bytes)) => self.received.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
        while self.sent < self.to_send.len() && self.failed.is_none() {
            let end = (self.sent + self.write_size).min(self.to_send.len());
            match stack.tcp_send_slice(now, connection, &self.to_send[self.sent..end]) {
                Ok(0) => break,
                Ok(taken) => self.sent += taken,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
        let may_close = !self.closes_last || self.end_seen;
        if self.sent == self.to_send.len() && may_close && !self.shut && self.failed.is_none() {
            if stack
                .tcp_state(connection)
                .is_some_and(|state| state == State::SynSent)
            {
                return;
            }
            match stack.tcp_shutdown_write(now, connection) {
                Ok(()) => self.shut = true,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
    }
}

fn impairment(random: &mut Random, seed: u64) -> Impairment {
    // Parts of a hundred million: a percent is a million.
    let up_to = |random: &mut Random, percent: u64| {
        Probability::from_parts(u32::try_from(random.below(percent * 1_000_000)).unwrap())
    };
    let mut link = Impairment::new()
        .seed(seed)
        .delay(Duration::from_micros(random.below(120_000)));
    if random.below(3) > 0 {
        link = link.loss(Loss::Random(up_to(random, 12)));
    }
    if random.below(3) == 0 {
        link = link
            .reorder(up_to(random, 20))
            .reorder_by(Duration::from_micros(random.below(60_000)));
    }
    if random.below(3) == 0 {
        link = link.duplicate(up_to(random, 10));
    }
    if random.below(3) == 0 {
        link = link.corrupt(up_to(random, 4));
    }
    if random.below(3) == 0 {
        link = link.jitter(Duration::from_micros(random.below(30_000)));
    }
    if random.below(3) == 0 {
        link = link
            .rate(500_000 + random.below(50_000_000))
            .queue(Queue::Packets(8 + random.below(200)));
    }
    link
}

fn play(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::new();
    let mut host = |address: &str, random: &mut Random| {
        let mut secret = [0u8; 32];
        secret[..8].copy_from_slice(&random.next_u64().to_be_bytes());
        let mut config = transom_stack::tcp::Config::default();
        if random.below(2) == 0 {
            config = config.recv_buffer(4096 + random.below(200_000) as usize);
        }
        if random.below(3) == 0 {
            config = config.send_buffer(4096 + random.below(200_000) as usize);
        }
        config = config
            .sack(random.below(4) > 0)
            .rack(random.below(4) > 0)
            .timestamps(random.below(4) > 0)
            .window_scaling(random.below(4) > 0)
            .nodelay(random.below(2) == 0);
        if random.below(3) == 0 {
            config = config.ecn(if random.below(2) == 0 {
                transom_stack::tcp::EcnUse::Request
            } else {
                transom_stack::tcp::EcnUse::Accurate
            });
        }
        let node = Node::new(
            StackConfig::default().tcp(config),
            address.parse().unwrap(),
            1500,
            secret,
        );
        world.add_host(node)
    };
    let a = host("10.0.0.1/24", &mut random);
    let b = host("10.0.0.2/24", &mut random);
    let (there, back) = (
        impairment(&mut random, seed ^ 1),
        impairment(&mut random, seed ^ 2),
    );
    world.connect(a, b, there, back);
    let listener = world
        .host_mut(b)
        .stack_mut()
        .tcp_listen(ListenOptions::new(ListenOn::Address(
            SERVER.parse().unwrap(),
        )))
        .unwrap();
    let mut client = Application::new(a, &mut random, 0xa5);
    let mut server = Application::new(b, &mut random, 0x5a);
    // If each waited for the other, neither would ever close.
    server.closes_last &= !client.closes_last;
    let now = instant(world.now());
    let options = ConnectOptions::new(SERVER.parse().unwrap());
    client.connection = Some(
        world
            .host_mut(a)
            .stack_mut()
            .tcp_connect(now, options)
            .unwrap(),
    );
    let outcome = world.run_while(MAX_STEPS, PATIENCE, |world| {
        accept(world, listener, &mut server);
        client.act(world);
        server.act(world);
        drain_events(world, a, b);
        bounded(world, &client, &server, seed);
        !(client.done() && server.done())
    });
    verdict(seed, outcome, &client, &server);
}

fn accept(world: &mut World<Node>, listener: ListenerId, server: &mut Application) {
    if server.connection.is_none() {
        server.connection = world.host_mut(server.host).stack_mut().tcp_accept(listener);
    }
}

fn drain_events(world: &mut World<Node>, a: HostId, b: HostId) {
    for host in [a, b] {
        while world.host_mut(host).stack_mut().poll_event().is_some() {}
    }
}

/// Neither end ever holds more than its buffers allow.
fn bounded(world: &World<Node>, client: &Application, server: &Application, seed: u64) {
    for application in [client, server] {
        let Some(info) = application.connection.and_then(|connection| {
            world
                .host(application.host)
                .stack()
                .tcp_info(connection)
                .ok()
        }) else {
            continue;
        };
        assert!(
            info.recv_queue <= 8 << 20,
            "seed {seed}: {} bytes received and not read",
            info.recv_queue
        );
        assert!(
            info.send_queue <= 8 << 20,
            "seed {seed}: {} bytes to send",
            info.send_queue
        );
    }
}

fn verdict(seed: u64, outcome: Outcome, client: &Application, server: &Application) {
    for (from, to, way) in [
        (client, server, "client to server"),
        (server, client, "server to client"),
    ] {
        let n = to.received.len();
        assert!(
            n <= from.to_send.len(),
            "seed {seed}: more arrived than was sent, {way}"
        );
        assert!(
            to.received == from.to_send[..n],
            "seed {seed}: other bytes arrived, {way}"
        );
        if to.end_seen {
            assert_eq!(
                n,
                from.to_send.len(),
                "seed {seed}: an end of data before the data's end, {way}"
            );
        }
    }
    assert!(
        outcome == Outcome::Stopped,
        "seed {seed}: {outcome:?}; client {:?} sent {}/{} got {} end {} shut {}; server {:?} sent {}/{} got {} end {} shut {}",
        client.failed,
        client.sent,
        client.to_send.len(),
        client.received.len(),
        client.end_seen,
        client.shut,
        server.failed,
        server.sent,
        server.to_send.len(),
        server.received.len(),
        server.end_seen,
        server.shut,
    );
    // These links lose at most one packet in six: nobody may give up.
    for application in [client, server] {
        if let Some(error) = &application.failed {
            panic!("seed {seed}: a connection failed: {error}");
        }
    }
}

#[test]
fn any_schedule_delivers_the_same_bytes() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    if let Some(seed) = number("TRANSOM_SEED") {
        return play(seed);
    }
    for seed in 0..number("TRANSOM_SEEDS").unwrap_or(2000) {
        play(seed);
    }
}
