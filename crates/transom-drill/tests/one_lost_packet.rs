//! One lost packet, at each place of a short connection in turn, costs no more time than it costs Linux.
//!
//! Request, answer, both ends finish; a round trip of 100 ms, everything else at once. What a loss may cost is
//! computed from what is lost:
//!
//! - a SYN or SYN-ACK: the initial timeout, 1 s (RFC 6298 §2.1);
//! - something inside a flight: a round trip; where less than three segments follow it, the reordering window too, a
//!   quarter of one (RFC 8985 §6.2);
//! - the end of a flight, a FIN too: by the time that all the rest is acknowledged it is alone, so that a probe waits for
//!   a delayed acknowledgement (RFC 8985 §7.2) but not past the timeout, which is a round trip and 200 ms;
//! - an acknowledgement: nothing that the applications see.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure ends the test")]

use std::time::Duration;

use transom_drill::{Node, instant};
use transom_sim::{HostId, Impairment, Loss, Trace, World};
use transom_stack::tcp::{Counters, State};
use transom_stack::wire::tcp::Flags;
use transom_stack::{ConnId, ConnectOptions, ListenOn, ListenOptions, StackConfig};

const SERVER: &str = "10.0.0.2:80";
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// SRTT + max(4·RTTVAR, 200 ms), with RTTVAR half of the first round trip at most.
const TIMEOUT: Duration = Duration::from_millis(300);
/// What the packets' own time on the wire, and the ticks of clocks, may cost.
const SLACK: Duration = Duration::from_millis(5);

/// What one end does: sends, and finishes when it has sent and, if it `answers`, read everything.
struct Application {
    host: HostId,
    connection: Option<ConnId>,
    to_send: usize,
    answers: bool,
    expects: usize,
    received: usize,
    shut: bool,
    end_seen: bool,
    /// When everything had been read, the end of the data included.
    read_all: Option<Duration>,
    counters: Counters,
}

impl Application {
    fn act(&mut self, world: &mut World<Node>) {
        let Some(connection) = self.connection else {
            return;
        };
        let (time, now) = (world.now(), instant(world.now()));
        let stack = world.host_mut(self.host).stack_mut();
        if let Ok(info) = stack.tcp_info(connection) {
            self.counters = info.counters;
        }
        while !self.end_seen {
            match stack.tcp_recv(now, connection, usize::MAX) {
                Ok(Some(bytes)) if bytes.is_empty() => {
                    self.end_seen = true;
                    self.read_all = Some(time);
                }
                Ok(Some(bytes)) => self.received += bytes.len(),
                Ok(None) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let connected = !matches!(stack.tcp_state(connection), None | Some(State::SynSent));
        if self.answers && self.received < self.expects || !connected {
            return;
        }
        if self.to_send > 0 {
            let text = vec![7; self.to_send];
            self.to_send -= stack.tcp_send_slice(now, connection, &text).unwrap();
        }
        if self.to_send == 0 && !self.shut {
            self.shut = true;
            stack.tcp_shutdown_write(now, connection).unwrap();
        }
    }

    fn is_over(&self, world: &World<Node>) -> bool {
        let state = self
            .connection
            .and_then(|connection| world.host(self.host).stack().tcp_state(connection));
        self.end_seen && matches!(state, None | Some(State::TimeWait | State::Closed))
    }
}

/// A packet of the undisturbed connection.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Duration,
    flags: Flags,
    len: usize,
}

#[derive(Debug)]
struct Course {
    /// When both applications had read everything.
    read: Duration,
    /// When neither end waited for the other any more, TIME-WAIT aside.
    over: Duration,
    timeouts: u32,
    packets: [Vec<Sent>; 2],
}

/// `request` octets to the server, which answers with `answer` octets; packet number `lost` of one direction, counted
/// from 1, does not arrive.
fn play(request: usize, answer: usize, lost: Option<(usize, u64)>) -> Course {
    let mut world = World::new().with_trace(Trace::default());
    let mut host = |address: &str| {
        // Linux, which the costs are measured by, does not pace.
        let config =
            StackConfig::default().tcp(transom_stack::tcp::Config::default().pacing(false));
        world.add_host(Node::new(config, address.parse().unwrap(), 1500, [3; 32]))
    };
    let hosts = [host("10.0.0.1/24"), host("10.0.0.2/24")];
    let [there, back] = [0, 1].map(|way| {
        let list = lost.filter(|&(lost_way, _)| lost_way == way);
        Impairment::new()
            .delay(ROUND_TRIP / 2)
            .rate(100_000_000)
            .loss(Loss::List(
                list.map(|(_, number)| number).into_iter().collect(),
            ))
    });
    world.connect(hosts[0], hosts[1], there, back);
    let address = ListenOn::Address(SERVER.parse().unwrap());
    let server = world.host_mut(hosts[1]).stack_mut();
    let listener = server.tcp_listen(ListenOptions::new(address)).unwrap();
    let options = ConnectOptions::new(SERVER.parse().unwrap());
    let now = instant(world.now());
    let client = world.host_mut(hosts[0]).stack_mut();
    let connection = client.tcp_connect(now, options).unwrap();
    let mut ends = [(request, answer), (answer, request)].map(|(to_send, expects)| Application {
        host: hosts[0],
        connection: Some(connection),
        to_send,
        answers: false,
        expects,
        received: 0,
        shut: false,
        end_seen: false,
        read_all: None,
        counters: Counters::default(),
    });
    ends[1].host = hosts[1];
    ends[1].connection = None;
    ends[1].answers = true;
    let _ = world.run_while(100_000, Duration::from_secs(60), |world| {
        if ends[1].connection.is_none() {
            ends[1].connection = world.host_mut(hosts[1]).stack_mut().tcp_accept(listener);
        }
        for end in &mut ends {
            end.act(world);
            while world.host_mut(end.host).stack_mut().poll_event().is_some() {}
        }
        !ends.iter().all(|end| end.is_over(world))
    });
    for end in &ends {
        assert_eq!(end.received, end.expects, "{lost:?}");
        assert!(end.is_over(&world), "{lost:?}");
    }
    let packets = [0, 1].map(|way| {
        let entries = world.trace().entries().iter();
        entries
            .filter(|entry| entry.from == hosts[way])
            .map(|entry| sent(entry.sent, &entry.packet))
            .collect()
    });
    Course {
        read: ends.iter().filter_map(|end| end.read_all).max().unwrap(),
        over: world.now(),
        timeouts: ends.iter().map(|end| end.counters.timeouts).sum(),
        packets,
    }
}

/// IPv4 without options.
fn sent(at: Duration, packet: &[u8]) -> Sent {
    let tcp = &packet[20..];
    Sent {
        at,
        flags: Flags::from_bits(u16::from(tcp[13])),
        len: tcp.len() - usize::from(tcp[12] >> 4) * 4,
    }
}

/// What the loss of packet `number` of one direction may cost: until all is read, and until all is over.
fn bound(way: &[Sent], number: usize) -> (Duration, Duration) {
    let packet = way[number];
    let takes_room = |packet: &Sent| packet.len > 0 || packet.flags.contains(Flags::FIN);
    if packet.flags.contains(Flags::SYN) {
        let initial = Duration::from_secs(1);
        return (initial, initial);
    }
    if !takes_room(&packet) {
        // At most the last FIN is sent again for want of it.
        return (Duration::ZERO, TIMEOUT);
    }
    // What follows within the same flight tells of the gap.
    let soon = |other: &&Sent| other.at < packet.at + ROUND_TRIP / 2 && takes_room(other);
    let cost = match way.iter().skip(number + 1).filter(soon).count() {
        0 => TIMEOUT,
        1 | 2 => ROUND_TRIP + ROUND_TRIP / 4,
        _ => ROUND_TRIP,
    };
    (cost, cost)
}

#[test]
fn one_lost_packet_at_each_place_in_turn_costs_what_it_costs_linux() {
    let mut places = 0;
    for (request, answer) in [
        (500, 30_000),
        (30_000, 500),
        (500, 500),
        (0, 20_000),
        (3000, 0),
    ] {
        let clean = play(request, answer, None);
        assert_eq!(clean.timeouts, 0);
        for way in 0..2 {
            for number in 0..clean.packets[way].len() {
                let course = play(request, answer, Some((way, number as u64 + 1)));
                let (read, over) = bound(&clean.packets[way], number);
                let cost = course.read.saturating_sub(clean.read);
                let until_over = course.over.saturating_sub(clean.over);
                let name = format!(
                    "{request}/{answer} way {way} packet {number} {:?}",
                    clean.packets[way][number]
                );
                assert!(
                    cost <= read + SLACK,
                    "{name} costs {cost:?}, {read:?} would do"
                );
                assert!(
                    until_over <= over + SLACK,
                    "{name}: over {until_over:?} later, {over:?} would do"
                );
                // What is lost alone waits for the timer, which Linux and we count as a probe when it is data.
                let is_syn = clean.packets[way][number].flags.contains(Flags::SYN);
                assert!(
                    course.timeouts == 0 || is_syn,
                    "{name}: {} timeouts",
                    course.timeouts
                );
                places += 1;
            }
        }
    }
    assert!(places > 100, "{places}");
}
