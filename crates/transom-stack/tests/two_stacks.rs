//! Two stacks, a wire in memory between them, and a clock that jumps.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the failure"
)]

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use transom_stack::tcp::{CloseReason, Event, FastOpenUse, Instant, State};
use transom_stack::wire::frame::segment;
use transom_stack::wire::{Capabilities, Medium, RxChecksum, RxFrame, TxFrame, TxOffload};
use transom_stack::{
    ConnId, ConnectOptions, DatagramOptions, FastOpenListen, ListenOn, ListenOptions, ListenerId,
    Stack, StackConfig, StackEvent, UdpOn, Unreachable,
};

/// What carries frames from one stack to the other.
#[derive(Clone, Copy)]
struct Wire {
    capabilities: Capabilities,
    delay: Duration,
    /// Frames that are to be cut stay whole and arrive as one.
    merged: bool,
    /// The n-th frame in each direction is lost, again and again.
    lose_every: usize,
}

impl Wire {
    fn plain() -> Self {
        Self {
            capabilities: Capabilities::ip(1500),
            delay: Duration::from_millis(5),
            merged: false,
            lose_every: 0,
        }
    }

    fn offloading() -> Self {
        let mut wire = Self::plain();
        wire.capabilities.tx_checksum = true;
        wire.capabilities.max_gso = 65_535;
        wire.merged = true;
        wire
    }
}

struct Pair {
    stacks: [Stack; 2],
    in_flight: [VecDeque<(Instant, RxFrame)>; 2],
    sent: [usize; 2],
    wire: Wire,
    now: Instant,
    events: [Vec<StackEvent>; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

fn socket(text: &str) -> std::net::SocketAddr {
    text.parse().unwrap()
}

impl Pair {
    fn new(wire: Wire) -> Self {
        Self::with(wire, StackConfig::default(), StackConfig::default())
    }

    fn with(wire: Wire, client: StackConfig, server: StackConfig) -> Self {
        let now = Instant::from_origin(Duration::from_secs(1));
        let make = |config: StackConfig, last: u8| {
            let config = config.mac([2, 0, 0, 0, 0, last]);
            let mut stack = Stack::new(config, wire.capabilities, [last; 32], now);
            stack.add_address(format!("10.0.0.{last}/24").parse().unwrap());
            stack.add_address(format!("2001:db8::{last}/64").parse().unwrap());
            stack
        };
        Self {
            stacks: [make(client, 1), make(server, 2)],
            in_flight: Default::default(),
            sent: [0; 2],
            wire,
            now,
            events: Default::default(),
        }
    }

    /// Puts what a stack sends on the wire.
    fn carry(&mut self, from: usize) {
        while let Some(frame) = self.stacks[from].poll_transmit(self.now) {
            let arrives = self.now + self.wire.delay;
            for frame in received(frame, &self.wire) {
                self.sent[from] += 1;
                let lost = self.wire.lose_every > 0
                    && self.sent[from].is_multiple_of(self.wire.lose_every);
                if !lost {
                    self.in_flight[1 - from].push_back((arrives, frame));
                }
            }
        }
        while let Some(event) = self.stacks[from].poll_event() {
            self.events[from].push(event);
        }
    }

    /// One step: everything that is due now, then on to the next moment at which anything is. False at rest.
    fn step(&mut self) -> bool {
        for end in [CLIENT, SERVER] {
            self.carry(end);
        }
        let arrivals = self
            .in_flight
            .iter()
            .filter_map(|frames| frames.front().map(|(at, _)| *at));
        let timers = self
            .stacks
            .iter()
            .filter_map(|stack| stack.poll_timeout(self.now));
        let Some(next) = arrivals.chain(timers).min() else {
            return false;
        };
        self.now = self.now.max(next);
        for end in [CLIENT, SERVER] {
            while let Some((at, _)) = self.in_flight[end].front()
                && *at <= self.now
            {
                let (_, frame) = self.in_flight[end].pop_front().unwrap();
                self.stacks[end].handle_frame(self.now, frame);
            }
            self.stacks[end].handle_timeout(self.now);
        }
        true
    }

    /// Steps until `done`, or panics when the two come to rest or take too long before.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..2_000_000 {
            for end in [CLIENT, SERVER] {
                self.carry(end);
            }
            if done(self) {
                return;
            }
            assert!(self.step(), "at rest before: {what}");
        }
        panic!("takes too long: {what}");
    }

    fn listen(&mut self, options: ListenOptions) -> ListenerId {
        self.stacks[SERVER].tcp_listen(options).unwrap()
    }

    fn connect(&mut self, to: &str) -> ConnId {
        let options = ConnectOptions::new(socket(to));
        self.stacks[CLIENT].tcp_connect(self.now, options).unwrap()
    }

    /// A connection from the client to port 80 of the server, both ends.
    fn connected(&mut self, to: &str) -> (ConnId, ConnId) {
        let listener = self.listen(ListenOptions::new(ListenOn::AnyAddress(80)));
        let client = self.connect(to);
        let mut server = None;
        self.until("the handshake", |pair| {
            server = server.or_else(|| pair.stacks[SERVER].tcp_accept(listener));
            server.is_some()
        });
        (client, server.unwrap())
    }

    fn state(&self, end: usize, id: ConnId) -> Option<State> {
        self.stacks[end].tcp_state(id)
    }

    /// Sends `data` from one end and reads it at the other, and gives what was read.
    fn transfer(
        &mut self,
        from: usize,
        (sender, receiver): (ConnId, ConnId),
        data: &[u8],
    ) -> Vec<u8> {
        let mut rest = Bytes::copy_from_slice(data);
        let mut got = Vec::new();
        self.until("the transfer", |pair| {
            if !rest.is_empty() {
                let taken = pair.stacks[from]
                    .tcp_send(pair.now, sender, rest.clone())
                    .unwrap();
                rest = rest.slice(taken..);
            }
            while let Some(part) = pair.stacks[1 - from]
                .tcp_recv(pair.now, receiver, usize::MAX)
                .unwrap()
            {
                assert!(!part.is_empty(), "end of stream in the middle");
                got.extend_from_slice(&part);
            }
            got.len() == data.len()
        });
        got
    }
}

/// What becomes of a frame on the wire.
fn received(mut frame: TxFrame, wire: &Wire) -> Vec<RxFrame> {
    match frame.offload {
        TxOffload::Segment { gso_size, .. } if wire.merged => vec![RxFrame {
            data: frame.to_vec().into(),
            checksum: RxChecksum::Valid,
            gso_size,
        }],
        TxOffload::Segment { .. } => segment(frame)
            .map(|part| RxFrame::from(Bytes::from(part.to_vec())))
            .collect(),
        TxOffload::Checksum { .. } => {
            assert!(frame.fill_checksum());
            vec![RxFrame::from(Bytes::from(frame.to_vec()))]
        }
        TxOffload::None => {
            let link = if wire.capabilities.medium == Medium::Ethernet {
                14
            } else {
                0
            };
            assert!(
                frame.len() <= wire.capabilities.mtu + link,
                "larger than the MTU"
            );
            vec![RxFrame::from(Bytes::from(frame.to_vec()))]
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[test]
fn handshake_data_both_ways_and_orderly_close() {
    for to in ["10.0.0.2:80", "[2001:db8::2]:80"] {
        let mut pair = Pair::new(Wire::plain());
        let (client, server) = pair.connected(to);
        assert_eq!(pair.state(CLIENT, client), Some(State::Established));
        assert_eq!(pair.state(SERVER, server), Some(State::Established));
        let (local, peer) = pair.stacks[CLIENT].tcp_addresses(client).unwrap();
        assert_eq!(
            pair.stacks[SERVER].tcp_addresses(server),
            Some((peer, local))
        );
        let request = pattern(100_000);
        assert!(pair.transfer(CLIENT, (client, server), &request) == request);
        let answer = pattern(300_000);
        assert!(pair.transfer(SERVER, (server, client), &answer) == answer);

        let now = pair.now;
        pair.stacks[SERVER].tcp_shutdown_write(now, server).unwrap();
        pair.until("the end of the stream", |pair| {
            pair.stacks[CLIENT].tcp_recv(pair.now, client, 1).unwrap() == Some(Bytes::new())
        });
        assert_eq!(pair.state(CLIENT, client), Some(State::CloseWait));
        let now = pair.now;
        pair.stacks[CLIENT].tcp_release(now, client);
        pair.until("TIME-WAIT of the active closer", |pair| {
            pair.state(SERVER, server) == Some(State::TimeWait)
        });
        let now = pair.now;
        pair.stacks[SERVER].tcp_release(now, server);
        pair.until("the handle to be gone", |pair| {
            pair.state(SERVER, server).is_none()
        });
        let left: Vec<_> = pair.stacks[SERVER].connections().collect();
        assert_eq!(left, [(None, peer, local, State::TimeWait)]);
        pair.until("the last acknowledgement", |pair| {
            pair.stacks[CLIENT].connections().count() == 0
        });
        let began = pair.now;
        while pair.step() {}
        assert_eq!(pair.stacks[SERVER].connections().count(), 0);
        assert!(pair.now.duration_since(began) <= Duration::from_secs(61));
    }
}

#[test]
fn super_segments_travel_whole() {
    let mut pair = Pair::new(Wire::offloading());
    let ends = pair.connected("10.0.0.2:80");
    let before = pair.stacks[SERVER].counters().frames_in;
    let data = pattern(20_000_000);
    assert!(pair.transfer(CLIENT, ends, &data) == data);
    let frames = pair.stacks[SERVER].counters().frames_in - before;
    assert!(frames < 1000, "{frames} frames for 20 MB");
}

#[test]
fn a_device_that_only_sums_and_one_that_only_cuts() {
    let mut sums = Wire::plain();
    sums.capabilities.tx_checksum = true;
    let mut cuts = Wire::offloading();
    cuts.merged = false;
    for wire in [sums, cuts] {
        let mut pair = Pair::new(wire);
        let ends = pair.connected("[2001:db8::2]:80");
        let data = pattern(1_000_000);
        assert!(pair.transfer(CLIENT, ends, &data) == data);
        assert_eq!(pair.stacks[SERVER].counters().discards().count(), 0);
    }
}

#[test]
fn over_ethernet_with_neighbours_to_find() {
    for to in ["10.0.0.2:80", "[2001:db8::2]:80"] {
        let mut wire = Wire::plain();
        wire.capabilities = Capabilities::ethernet(1500);
        let mut pair = Pair::new(wire);
        let ends = pair.connected(to);
        let data = pattern(1_000_000);
        assert!(pair.transfer(CLIENT, ends, &data) == data);
    }
}

#[test]
fn loss_is_repaired() {
    let mut wire = Wire::plain();
    wire.lose_every = 23;
    let mut pair = Pair::new(wire);
    let ends = pair.connected("10.0.0.2:80");
    let data = pattern(3_000_000);
    assert!(pair.transfer(CLIENT, ends, &data) == data);
}

/// A request of 5000 octets, what fits of it in the SYN, and an answer of 20,000 that begins before the handshake is
/// complete. Gives the octets that the server had with the SYN.
fn ask_fast(pair: &mut Pair, listener: ListenerId, to: &str) -> u32 {
    let (request, answer) = (pattern(5000), pattern(20_000));
    let options = ConnectOptions::new(socket(to)).fast_open(FastOpenUse::Cookie);
    let client = pair.stacks[CLIENT].tcp_connect(pair.now, options).unwrap();
    pair.stacks[CLIENT]
        .tcp_send(pair.now, client, request.clone().into())
        .unwrap();
    let (mut server, mut early) = (None, 0);
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    pair.until("the answer", |pair| {
        if server.is_none() {
            server = pair.stacks[SERVER].tcp_accept(listener);
            if let Some(id) = server {
                early = pair.stacks[SERVER].tcp_info(id).unwrap().syn_data_taken;
                let taken = pair.stacks[SERVER].tcp_send(pair.now, id, answer.clone().into());
                assert_eq!(taken, Ok(answer.len()));
            }
        }
        if let Some(id) = server {
            while let Ok(Some(part)) = pair.stacks[SERVER].tcp_recv(pair.now, id, usize::MAX) {
                asked.extend_from_slice(&part);
            }
        }
        while let Ok(Some(part)) = pair.stacks[CLIENT].tcp_recv(pair.now, client, usize::MAX) {
            answered.extend_from_slice(&part);
        }
        asked.len() >= request.len() && answered.len() >= answer.len()
    });
    assert!(asked == request && answered == answer, "other octets");
    for (end, id) in [(CLIENT, client), (SERVER, server.unwrap())] {
        pair.stacks[end].tcp_abort(pair.now, id);
        pair.stacks[end].tcp_release(pair.now, id);
    }
    early
}

#[test]
fn req_tfo_3_and_tfo_9_whatever_is_lost_fast_open_delivers_the_same_octets() {
    for to in ["10.0.0.2:80", "[2001:db8::2]:80"] {
        for lose_every in 2..8 {
            for already in 0..lose_every {
                let mut pair = Pair::new(Wire::plain());
                let on = ListenOptions::new(ListenOn::AnyAddress(80));
                let listener = pair.listen(on.fast_open(FastOpenListen::new(8)));
                assert_eq!(ask_fast(&mut pair, listener, to), 0);
                let room = if to.starts_with('[') { 1400 } else { 1420 };
                assert_eq!(ask_fast(&mut pair, listener, to), room);
                pair.sent = [already, already / 2];
                pair.wire.lose_every = lose_every;
                ask_fast(&mut pair, listener, to);
            }
        }
    }
}

#[test]
fn many_connections_share_the_device_fairly() {
    let client =
        StackConfig::default().tcp(transom_stack::tcp::Config::default().send_buffer(4 << 20));
    let mut pair = Pair::with(Wire::offloading(), client, StackConfig::default());
    let listener = pair.listen(ListenOptions::new(ListenOn::AnyAddress(80)));
    let clients: Vec<_> = (0..50).map(|_| pair.connect("10.0.0.2:80")).collect();
    let mut servers = Vec::new();
    pair.until("all handshakes", |pair| {
        servers.extend(core::iter::from_fn(|| {
            pair.stacks[SERVER].tcp_accept(listener)
        }));
        servers.len() == 50
    });
    let data = Bytes::from(pattern(500_000));
    for client in &clients {
        let now = pair.now;
        assert_eq!(
            pair.stacks[CLIENT].tcp_send(now, *client, data.clone()),
            Ok(500_000)
        );
    }
    // One frame a turn: before anybody's second frame everybody had a first one.
    let mut turns = std::collections::HashMap::new();
    for _ in 0..50 {
        let frame = pair.stacks[CLIENT].poll_transmit(pair.now).unwrap();
        *turns.entry(frame.headers[20..22].to_vec()).or_insert(0) += 1;
    }
    assert_eq!(turns.len(), 50);
}

#[test]
fn a_manual_listener_accepts_refuses_reports_and_ignores() {
    let config = StackConfig::default().any_address(true);
    let mut pair = Pair::with(Wire::plain(), StackConfig::default(), config);
    let listener = pair.listen(ListenOptions::new(ListenOn::Everything).manual(true));
    let route = "0.0.0.0/0".parse().unwrap();
    pair.stacks[CLIENT].add_route(route, transom_stack::RouteTarget::OnLink);
    let next = |pair: &mut Pair| {
        let mut incoming = None;
        pair.until("a SYN", |pair| {
            incoming = pair.stacks[SERVER].tcp_incoming(listener);
            incoming.is_some()
        });
        incoming.unwrap()
    };

    let client = pair.connect("192.0.2.1:443");
    let incoming = next(&mut pair);
    assert_eq!(incoming.local, socket("192.0.2.1:443"));
    assert_eq!(incoming.syn.mss, Some(1460));
    // Withheld: the client is still waiting, its SYN sent again.
    let began = pair.now;
    pair.until("the SYN again", |pair| {
        pair.now.duration_since(began) > Duration::from_secs(2)
    });
    assert_eq!(pair.state(CLIENT, client), Some(State::SynSent));
    assert!(pair.stacks[SERVER].tcp_incoming(listener).is_none());
    let now = pair.now;
    let server = pair.stacks[SERVER]
        .incoming_accept(now, incoming.id, None)
        .unwrap();
    pair.until("the handshake", |pair| {
        pair.state(SERVER, server) == Some(State::Established)
            && pair.state(CLIENT, client) == Some(State::Established)
    });
    let data = pattern(10_000);
    assert!(pair.transfer(SERVER, (server, client), &data) == data);

    let refused = pair.connect("192.0.2.2:443");
    let incoming = next(&mut pair);
    let now = pair.now;
    pair.stacks[SERVER].incoming_refuse(now, incoming.id);
    pair.until("the refusal", |pair| {
        pair.state(CLIENT, refused) == Some(State::Closed)
    });
    let closed = |pair: &Pair, id| pair.stacks[CLIENT].tcp_connection(id).unwrap().closed();
    assert_eq!(closed(&pair, refused), Some(CloseReason::Refused));

    let reported = pair.connect("192.0.2.3:443");
    let incoming = next(&mut pair);
    let now = pair.now;
    pair.stacks[SERVER].incoming_unreachable(now, incoming.id, Unreachable::Port);
    pair.until("the report", |pair| {
        pair.state(CLIENT, reported) == Some(State::Closed)
    });
    assert!(matches!(
        closed(&pair, reported),
        Some(CloseReason::Unreachable(_))
    ));

    let ignored = pair.connect("192.0.2.4:443");
    let incoming = next(&mut pair);
    pair.stacks[SERVER].incoming_ignore(incoming.id);
    // Its next SYN is a new one.
    let incoming = next(&mut pair);
    assert_eq!(incoming.local, socket("192.0.2.4:443"));
    let now = pair.now;
    pair.stacks[CLIENT].tcp_abort(now, ignored);
    assert_eq!(closed(&pair, ignored), Some(CloseReason::Aborted));
}

#[test]
fn a_reset_ends_both_ends_and_a_stale_handle_names_nothing() {
    let mut pair = Pair::new(Wire::plain());
    let (client, server) = pair.connected("10.0.0.2:80");
    let now = pair.now;
    pair.stacks[SERVER].tcp_abort(now, server);
    pair.stacks[SERVER].tcp_release(now, server);
    pair.until("the reset", |pair| {
        pair.state(CLIENT, client) == Some(State::Closed)
    });
    assert!(pair.events[CLIENT].contains(&StackEvent::Tcp(
        client,
        Event::Closed(CloseReason::ResetByPeer)
    )));
    assert_eq!(pair.state(SERVER, server), None);
    let now = pair.now;
    assert!(
        pair.stacks[SERVER]
            .tcp_send(now, server, "x".into())
            .is_err()
    );
    pair.stacks[CLIENT].tcp_release(now, client);
    pair.until("both to forget", |pair| {
        pair.stacks
            .iter()
            .all(|stack| stack.connections().count() == 0)
    });
}

#[test]
fn datagrams_cross() {
    let mut pair = Pair::new(Wire::plain());
    let server = pair.stacks[SERVER].udp_bind(UdpOn::Everything).unwrap();
    let client = pair.stacks[CLIENT]
        .udp_bind(UdpOn::Address(socket("0.0.0.0:0")))
        .unwrap();
    let now = pair.now;
    let to = socket("10.0.0.2:53");
    let options = DatagramOptions::default();
    pair.stacks[CLIENT]
        .udp_send(now, client, to, "question".into(), options)
        .unwrap();
    let mut question = None;
    pair.until("the question", |pair| {
        question = pair.stacks[SERVER].udp_recv(server);
        question.is_some()
    });
    let question = question.unwrap();
    assert_eq!(
        (question.local, &question.payload[..]),
        (to, &b"question"[..])
    );
    let now = pair.now;
    let options = DatagramOptions::from(question.local);
    pair.stacks[SERVER]
        .udp_send(now, server, question.peer, "answer".into(), options)
        .unwrap();
    pair.until("the answer", |pair| {
        pair.stacks[CLIENT]
            .udp_recv(client)
            .is_some_and(|got| got.payload == "answer")
    });
}
