//! Two of our own stacks on a link in virtual time, and what a scene can make them do.

use std::net::SocketAddr;
use std::time::Duration;

use transom_drill::{Entry, Journal, Node, What, instant};
use transom_flow::{Fate, Frame, Limits, Tracker, Truth, TruthEvent};
use transom_sim::{Fate as LinkFate, HostId, Impairment, LinkId, Outcome, World};
use transom_stack::tcp::{Config, State};
use transom_stack::wire::ip::Packet;
use transom_stack::wire::tcp::{Flags, TcpView};
use transom_stack::wire::{Cidr, Medium};
use transom_stack::{
    ConnId, ConnectOptions, Direction, ListenOn, ListenOptions, ListenerId, StackConfig,
};

use crate::failure::Failure;

/// The client and its port in the capture that the first scene plays.
pub(super) const CLIENT: &str = "192.168.100.100:11699";
/// The server of that capture.
pub(super) const SERVER: &str = "157.112.150.6:80";
/// One way, on the link between the two.
const DELAY: Duration = Duration::from_millis(10);
const MTU: usize = 1500;
/// More than the longest scene takes, in virtual time.
const PATIENCE: Duration = Duration::from_secs(600);
const MAX_STEPS: u64 = 100_000;
/// Points kept for graphs; no scene has more.
const POINTS: usize = 1024;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// The two hosts, the link, and the connection of the scene.
pub(super) struct Stage {
    world: World<Node>,
    hosts: [HostId; 2],
    links: [LinkId; 2],
    journals: [Journal; 2],
    addresses: [SocketAddr; 2],
    listener: Option<ListenerId>,
    connections: [Option<ConnId>; 2],
    /// Sides whose application does not read.
    deaf: [bool; 2],
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the scene could not be played: {what}"))
}

impl Stage {
    /// Both hosts up, nothing open. `config` is the server's.
    pub(super) fn new(config: Config) -> Result<Self, Failure> {
        let addresses: [SocketAddr; 2] = [
            CLIENT.parse().map_err(broken)?,
            SERVER.parse().map_err(broken)?,
        ];
        let mut world = World::new();
        let configs = [Config::default(), config];
        let mut add = |index: usize, config: Config| {
            let address = Cidr::new(addresses[index].ip(), 32).map_err(broken)?;
            // Any fixed secret will do: a scene is the same each time.
            let secret = [index as u8 + 1; 32];
            let mut node = Node::new(StackConfig::default().tcp(config), address, MTU, secret);
            let journal = node.record();
            Ok::<_, Failure>((world.add_host(node), journal))
        };
        let [client_config, server_config] = configs;
        let (client, client_journal) = add(0, client_config)?;
        let (server, server_journal) = add(1, server_config)?;
        let link = || Impairment::new().delay(DELAY);
        let (there, back) = world.connect(client, server, link(), link());
        Ok(Self {
            world,
            hosts: [client, server],
            links: [there, back],
            journals: [client_journal, server_journal],
            addresses,
            listener: None,
            connections: [None; 2],
            deaf: [false; 2],
        })
    }

    fn node(&mut self, side: Side) -> &mut Node {
        self.world.host_mut(self.hosts[side as usize])
    }

    fn connection(&self, side: Side) -> Result<ConnId, Failure> {
        self.connections[side as usize].ok_or_else(|| broken("there is no connection yet"))
    }

    /// The server's application opens its port.
    pub(super) fn listen(&mut self) -> Result<(), Failure> {
        let on = ListenOptions::new(ListenOn::Address(self.addresses[1]));
        let listener = self
            .node(Side::Server)
            .stack_mut()
            .tcp_listen(on)
            .map_err(broken)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// The side's application connects to the other's address.
    pub(super) fn connect(&mut self, side: Side) -> Result<(), Failure> {
        let now = instant(self.world.now());
        let (local, remote) = match side {
            Side::Client => (self.addresses[0], self.addresses[1]),
            Side::Server => (self.addresses[1], self.addresses[0]),
        };
        let options = ConnectOptions::new(remote).local(local);
        let connection = self
            .node(side)
            .stack_mut()
            .tcp_connect(now, options)
            .map_err(broken)?;
        self.connections[side as usize] = Some(connection);
        Ok(())
    }

    /// Lets time pass; both applications read whatever arrives, unless told not to.
    pub(super) fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = self.world.now() + time;
        loop {
            let next = self
                .world
                .next_deadline()
                .filter(|next| *next <= until)
                .unwrap_or(until);
            if self.world.run_until(next) == Outcome::StepsExhausted {
                return Err(broken("the hosts never came to rest"));
            }
            self.applications()?;
            if next >= until {
                // What the applications did just now leaves at this very moment.
                return match self.world.run_until(until) {
                    Outcome::StepsExhausted => Err(broken("the hosts never came to rest")),
                    _ => Ok(()),
                };
            }
        }
    }

    fn applications(&mut self) -> Result<(), Failure> {
        if let (Some(listener), None) = (self.listener, self.connections[1]) {
            self.connections[1] = self.node(Side::Server).stack_mut().tcp_accept(listener);
        }
        let now = instant(self.world.now());
        for side in [Side::Client, Side::Server] {
            while self.node(side).stack_mut().poll_event().is_some() {}
            let (Some(connection), false) =
                (self.connections[side as usize], self.deaf[side as usize])
            else {
                continue;
            };
            // An error here is the connection's end, which the diagram shows.
            while let Ok(Some(data)) = self
                .node(side)
                .stack_mut()
                .tcp_recv(now, connection, 65_536)
            {
                if data.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The application stops reading, or reads again.
    pub(super) fn set_deaf(&mut self, side: Side, deaf: bool) -> Result<(), Failure> {
        self.deaf[side as usize] = deaf;
        self.applications()
    }

    /// The application writes.
    pub(super) fn send(&mut self, side: Side, data: &[u8]) -> Result<(), Failure> {
        let (now, connection) = (instant(self.world.now()), self.connection(side)?);
        let sent = self
            .node(side)
            .stack_mut()
            .tcp_send_slice(now, connection, data);
        sent.map(drop).map_err(broken)
    }

    /// The application says that it will send no more, and goes on reading: `shutdown(SHUT_WR)`.
    pub(super) fn shut_down_writing(&mut self, side: Side) -> Result<(), Failure> {
        let (now, connection) = (instant(self.world.now()), self.connection(side)?);
        self.node(side)
            .stack_mut()
            .tcp_shutdown_write(now, connection)
            .map_err(broken)
    }

    /// The application is done with the socket: `close()`.
    pub(super) fn close(&mut self, side: Side) -> Result<(), Failure> {
        let (now, connection) = (instant(self.world.now()), self.connection(side)?);
        self.node(side).stack_mut().tcp_close(now, connection);
        Ok(())
    }

    /// The application will close as soon as it sees the end of the other's data, before its TCP has answered.
    pub(super) fn close_at_end(&mut self, side: Side) -> Result<(), Failure> {
        let connection = self.connection(side)?;
        self.node(side)
            .set_application(Some(Box::new(move |stack, now| {
                // Data before the end is read and left.
                while let Ok(Some(data)) = stack.tcp_recv(now, connection, 65_536) {
                    if data.is_empty() {
                        stack.tcp_close(now, connection);
                        break;
                    }
                }
            })));
        Ok(())
    }

    /// The application aborts: `SO_LINGER` with zero and `close()`.
    pub(super) fn abort(&mut self, side: Side) -> Result<(), Failure> {
        let (now, connection) = (instant(self.world.now()), self.connection(side)?);
        self.node(side).stack_mut().tcp_abort(now, connection);
        Ok(())
    }

    /// The link loses the next packet that this side sends with these flags.
    pub(super) fn lose_next(&mut self, side: Side, flags: Flags) {
        let mut armed = true;
        self.lose_while(side, move |sent| {
            let hit = armed && sent.contains(flags);
            armed &= !hit;
            hit
        });
    }

    /// The link loses each TCP segment of this side for whose flags the question is answered yes.
    pub(super) fn lose_while(
        &mut self,
        side: Side,
        mut loses: impl FnMut(Flags) -> bool + Send + 'static,
    ) {
        let link = self.world.link_mut(self.links[side as usize]);
        link.set_filter(Some(Box::new(move |_, packet: &Vec<u8>| {
            !flags_of(packet).is_some_and(&mut loses)
        })));
    }

    /// Gives the link from this side a speed, so that segments sent together arrive one by one.
    pub(super) fn set_rate(&mut self, side: Side, bits_per_second: u64) {
        let link = self.world.link_mut(self.links[side as usize]);
        let slower = link.impairment().clone().rate(bits_per_second);
        link.set_impairment(slower);
    }

    /// Lets everything come to its end, TIME-WAIT included.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        for _ in 0..MAX_STEPS {
            match self.world.next_deadline() {
                Some(next) if next <= PATIENCE => {
                    let step = next.saturating_sub(self.world.now());
                    self.pass(step)?;
                }
                _ => return Ok(()),
            }
        }
        Err(broken("the hosts never came to rest"))
    }

    /// The state of a side's connection.
    pub(super) fn state(&self, side: Side) -> Option<State> {
        let stack = self.world.host(self.hosts[side as usize]).stack();
        self.connections[side as usize].and_then(|connection| stack.tcp_state(connection))
    }

    /// Everything that happened, as the model that is drawn.
    pub(super) fn tracker(&self) -> Tracker {
        let mut limits = Limits::default();
        limits.series = POINTS;
        let mut tracker = Tracker::new(limits);
        let mut fates = self.fates();
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        for (side, journal) in self.journals.iter().enumerate() {
            entries.extend(journal.entries().into_iter().map(|entry| (side, entry)));
        }
        // A stable sort: what one host did at one moment stays in its order.
        entries.sort_by_key(|(_, entry)| entry.time);
        for (side, Entry { time, what }) in entries {
            match what {
                What::Frame {
                    direction: Direction::Out,
                    packet,
                } => {
                    let mut frame = Frame::new(time, Medium::Ip, &packet);
                    frame.fate = fates[side].next().unwrap_or_default();
                    // Only TCP and ICMP travel here; the tracker counts what it does not follow.
                    let _ = tracker.frame(&frame);
                }
                What::State {
                    local,
                    peer,
                    from,
                    to,
                } => {
                    let event = TruthEvent::State { from, to };
                    tracker.truth(Truth {
                        time,
                        local,
                        peer,
                        event,
                    });
                }
                What::Frame { .. } | What::Discard { .. } => {}
            }
        }
        tracker.finish();
        tracker
    }

    /// What became of the packets of each side, in the order of sending.
    fn fates(&self) -> [std::vec::IntoIter<Fate>; 2] {
        self.hosts.map(|host| {
            let sent = self
                .world
                .trace()
                .entries()
                .iter()
                .filter(|entry| entry.from == host);
            let fates = sent.map(|entry| match entry.fate {
                LinkFate::Carried(passage) => Fate::Arrives(passage.arrives),
                LinkFate::Dropped(_) => Fate::Lost,
                LinkFate::Queued => Fate::Unknown,
            });
            fates.collect::<Vec<_>>().into_iter()
        })
    }
}

fn flags_of(packet: &[u8]) -> Option<Flags> {
    let packet = Packet::lax(packet).ok()?;
    Some(TcpView::new(packet.payload()).ok()?.flags())
}
