//! One host: frames aimed at what it has, frames damaged, calls and time.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::{Config, Instant, State};
use transom_stack::{
    ConnId, ConnectOptions, DatagramOptions, EchoMode, FastOpenListen, ListenOn, ListenOptions,
    Stack, StackConfig, StackEvent, UdpId, UdpOn, Unreachable,
};
use transom_wire::ip::Packet;
use transom_wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom_wire::{Protocol, RxChecksum, RxFrame, Seq, icmpv4, icmpv6};

use super::{Trace, at, check, drain, packets, stack};
use crate::Input;

const MAX_STEPS: usize = 120;
const MAX_FLOWS: usize = 8;
const LIMIT: usize = 32;

/// A connection as the peer knows it from the wire.
#[derive(Clone, Copy, Debug)]
struct Flow {
    us: SocketAddr,
    peer: SocketAddr,
    /// What the stack will send next, and the first that the peer has not acknowledged.
    their_nxt: Seq,
    their_una: Seq,
    /// What the stack expects next.
    expected: Seq,
}

struct Host {
    stack: Stack,
    now: Instant,
    flows: Vec<Flow>,
    held: Vec<ConnId>,
    udp: Option<UdpId>,
    /// What the stack sent lately, for ICMP errors to quote and for echoes.
    sent: Vec<Vec<u8>>,
    trace: Trace,
    inputs: usize,
    frames: usize,
}

pub(super) fn run(mut input: Input<'_>) -> Trace {
    let mut host = Host::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        host.step(&mut input);
        host.settle(&mut input);
    }
    host.end();
    host.trace
}

fn address(six: bool, ours: bool) -> IpAddr {
    let text = match (six, ours) {
        (false, true) => "10.0.0.1",
        (false, false) => "10.0.0.2",
        (true, true) => "2001:db8::1",
        (true, false) => "2001:db8::2",
    };
    text.parse().expect("an address")
}

impl Host {
    fn new(input: &mut Input<'_>) -> Self {
        let bits = input.byte();
        let tcp = Config::default()
            .recv_buffer(input.of(&[100, 3000, 70_000, 1 << 18]))
            .send_buffer(1 << 16)
            .timestamps(bits & 1 != 0)
            .sack(bits & 2 != 0);
        let config = StackConfig::default()
            .any_address(bits & 4 != 0)
            .echo(if bits & 8 != 0 {
                EchoMode::Deliver
            } else {
                EchoMode::Reply
            })
            .tcp(tcp)
            .max_connections(LIMIT)
            .max_time_wait(4)
            .max_orphans(4)
            .max_incoming(4)
            .max_fragment_bytes(1 << 14);
        let mut stack = stack(config, "10.0.0.1/24", "2001:db8::1/64");
        let backlog = input.of(&[0, 1, 2, 8]);
        let mut on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(backlog);
        if backlog == 2 {
            on = on.fast_open(FastOpenListen::new(2).without_cookie(true));
        }
        stack.tcp_listen(on).expect("the port is free");
        let manual = ListenOptions::new(ListenOn::AnyAddress(81)).manual(true);
        stack.tcp_listen(manual).expect("the port is free");
        let udp = stack.udp_bind(UdpOn::Everything).ok();
        Self {
            stack,
            now: at(1000),
            flows: Vec::new(),
            held: Vec::new(),
            udp,
            sent: Vec::new(),
            trace: Trace(0),
            inputs: 0,
            frames: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..5 => self.segment(input),
            5 => self.syn(input),
            6 => self.raw(input),
            7 => self.other(input),
            8 => self.router(input),
            9..12 => self.call(input),
            12 => self.socket(input),
            13 => self.wait(Duration::from_millis(u64::from(input.short()))),
            14 => {
                let next = self.stack.poll_timeout(self.now).unwrap_or(self.now);
                let next = next.clamp(self.now, self.now + Duration::from_secs(200));
                self.wait(next - self.now);
            }
            _ => self.connect(input),
        }
    }

    fn frame(&mut self, bytes: Vec<u8>, checksum: RxChecksum, gso_size: u16) {
        self.inputs += 1;
        let frame = RxFrame {
            data: Bytes::from(bytes),
            checksum,
            gso_size,
        };
        self.stack.handle_frame(self.now, frame);
    }

    /// A segment of a connection that there is, or was.
    fn segment(&mut self, input: &mut Input<'_>) {
        let Some(flow) = self.pick(input) else {
            return self.syn(input);
        };
        let near = |input: &mut Input<'_>, base: Seq| match input.byte() {
            0..160 => base,
            160..180 => base + 1,
            180..200 => base - 1,
            200..230 => base + u32::from(input.short()),
            230..250 => base - u32::from(input.short()),
            _ => Seq::new(input.word()),
        };
        let base = input.of(&[flow.their_nxt, flow.their_nxt, flow.their_una]);
        let (seq, ack) = (near(input, flow.expected), near(input, base));
        let flags = match input.below(8) {
            0..4 => Flags::ACK,
            4 => Flags::ACK | Flags::PSH,
            5 => Flags::ACK | Flags::FIN,
            6 => Flags::ACK | Flags::SYN,
            _ => Flags::from_bits(input.short()),
        };
        let len = input.of(&[0, 0, 1, 10, 500, 1400]);
        let header = Header {
            src_port: flow.peer.port(),
            dst_port: flow.us.port(),
            seq,
            ack,
            flags,
            window: input.of(&[0, 1, 1000, 65_535]),
            urgent: input.of(&[0, 1, 100]),
            options: self.options(input, flags),
        };
        let bytes = packets::tcp(flow.peer.ip(), flow.us.ip(), &header, &vec![5; len]);
        let gso = input.of(&[0, 0, 0, 1, 536]);
        self.frame(bytes, RxChecksum::Unverified, gso);
    }

    fn options(&self, input: &mut Input<'_>, flags: Flags) -> Options {
        let bits = input.byte();
        let syn = flags.contains(Flags::SYN);
        Options {
            mss: (syn && bits & 1 != 0).then(|| input.of(&[0, 64, 536, 1460])),
            window_scale: (syn && bits & 2 != 0).then(|| input.of(&[0, 7, 14])),
            sack_permitted: syn && bits & 4 != 0,
            timestamps: (bits & 8 != 0).then(|| Timestamps {
                val: input.of(&[1, 2, 1000, u32::MAX]),
                ecr: self.now.since_origin().as_millis() as u32,
            }),
            ..Options::EMPTY
        }
    }

    fn pick(&self, input: &mut Input<'_>) -> Option<Flow> {
        let index = input.below(MAX_FLOWS);
        self.flows.get(index).or_else(|| self.flows.last()).copied()
    }

    /// Somebody wants to connect, or to know whether somebody listens.
    fn syn(&mut self, input: &mut Input<'_>) {
        let six = input.flag();
        let flags = input.of(&[Flags::SYN, Flags::SYN, Flags::ACK, Flags::RST, Flags::EMPTY]);
        let header = Header {
            src_port: input.of(&[5000, 5001, 5002, 80]),
            dst_port: input.of(&[80, 80, 81, 82]),
            seq: Seq::new(input.of(&[0, 100, u32::MAX, 1 << 31])),
            ack: Seq::new(input.word()),
            flags,
            window: input.of(&[0, 1000, 65_535]),
            urgent: 0,
            options: self.options(input, flags),
        };
        let len = input.of(&[0, 0, 0, 10]);
        let from = if input.byte() < 250 {
            address(six, false)
        } else {
            address(six, true)
        };
        let bytes = packets::tcp(from, address(six, true), &header, &vec![5; len]);
        self.frame(bytes, RxChecksum::Unverified, 0);
    }

    /// Bytes of the input as they are, or a frame of ours sent back damaged.
    fn raw(&mut self, input: &mut Input<'_>) {
        let checksum = input.of(&[RxChecksum::Valid, RxChecksum::Unverified]);
        let gso = input.of(&[0, 0, 1, 1000]);
        let mut bytes = match self.sent.last() {
            Some(sent) if input.flag() => {
                let mut bytes = sent.clone();
                // Back to where it came from: addresses and ports change places.
                let (at, len) = if bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
                let (left, right) = bytes.split_at_mut(at + len);
                left[at..].swap_with_slice(&mut right[..len]);
                bytes
            }
            _ => {
                let len = usize::from(input.byte());
                input.bytes(len).to_vec()
            }
        };
        for _ in 0..input.below(4) {
            let at = usize::from(input.byte());
            let value = input.byte();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if bytes.len() >= 20 && bytes[0] == 0x45 {
            bytes[10..12].fill(0);
            let sum = transom_wire::checksum::checksum(&bytes[..20]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        self.frame(bytes, checksum, gso);
    }

    /// Datagrams, pings, fragments.
    fn other(&mut self, input: &mut Input<'_>) {
        let six = input.flag();
        let (us, peer) = (address(six, true), address(six, false));
        let len = usize::from(input.byte());
        let data = vec![input.byte(); len];
        let bytes = match input.below(4) {
            0 => packets::datagram(peer, us, (9, 53), &data),
            1 if six => {
                let (id, seq) = (1, 2);
                packets::icmp6(
                    peer,
                    us,
                    icmpv6::Message::EchoRequest {
                        id,
                        seq,
                        data: &data,
                    },
                )
            }
            1 => {
                let (id, seq) = (1, 2);
                packets::icmp4(
                    peer,
                    us,
                    icmpv4::Message::EchoRequest {
                        id,
                        seq,
                        data: &data,
                    },
                )
            }
            _ => {
                let mut bytes = packets::datagram(peer, us, (9, 53), &[1; 64]);
                if six {
                    let body = bytes.split_off(40);
                    let mut fragment = vec![17, 0, 0, 0, 0, 0, 0, input.byte()];
                    let offset = u16::from(input.byte() & 15) << 3 | u16::from(input.flag());
                    fragment[2..4].copy_from_slice(&offset.to_be_bytes());
                    fragment.extend(body);
                    bytes = packets::ip(peer, us, Protocol::FRAGMENT, &fragment);
                } else {
                    let more = if input.flag() { 0x20 } else { 0 };
                    bytes[6..8].copy_from_slice(&[more, input.byte() & 15]);
                    bytes[5] = input.byte();
                    bytes[10..12].fill(0);
                    let sum = transom_wire::checksum::checksum(&bytes[..20]);
                    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                }
                bytes
            }
        };
        self.frame(bytes, RxChecksum::Unverified, 0);
    }

    /// An ICMP error about something that the stack sent.
    fn router(&mut self, input: &mut Input<'_>) {
        let index = input.below(8);
        let Some(quote) = self.sent.get(index).or_else(|| self.sent.last()).cloned() else {
            return;
        };
        let code = input.below(16) as u8;
        let mtu = input.of(&[0, 68, 552, 1000, 1280, 1499, 9000]);
        let six = quote[0] >> 4 == 6;
        let (us, router) = (address(six, true), address(six, false));
        let bytes = if six {
            let message = if input.flag() {
                icmpv6::Message::PacketTooBig {
                    mtu: mtu.into(),
                    quote: &quote,
                }
            } else {
                icmpv6::Message::DestinationUnreachable {
                    code,
                    quote: &quote,
                }
            };
            packets::icmp6(router, us, message)
        } else {
            let message = icmpv4::Message::DestinationUnreachable {
                code,
                next_hop_mtu: mtu,
                quote: &quote,
            };
            packets::icmp4(router, us, message)
        };
        self.frame(bytes, RxChecksum::Unverified, 0);
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        let remote = SocketAddr::new(address(input.flag(), false), input.of(&[80, 443, 0]));
        let mut options = ConnectOptions::new(remote);
        if input.flag() {
            let local = SocketAddr::new(address(remote.is_ipv6(), true), input.of(&[0, 80, 7000]));
            options = options.local(local);
        }
        if let Ok(id) = self.stack.tcp_connect(self.now, options) {
            self.held.push(id);
        }
    }

    /// A call on a connection that the application holds.
    fn call(&mut self, input: &mut Input<'_>) {
        let index = input.below(MAX_FLOWS);
        let Some(&id) = self.held.get(index).or_else(|| self.held.last()) else {
            return;
        };
        let (stack, now) = (&mut self.stack, self.now);
        match input.below(12) {
            0..3 => {
                let len = input.of(&[1, 100, 3000, 40_000]);
                stack.tcp_send(now, id, Bytes::from(vec![6; len])).ok();
            }
            3 | 4 => {
                stack.tcp_recv(now, id, usize::MAX).ok();
            }
            5 => {
                stack.tcp_shutdown_write(now, id).ok();
            }
            6 => stack.tcp_shutdown_read(now, id),
            7 => stack.tcp_close(now, id),
            8 => stack.tcp_abort(now, id),
            9 => {
                stack.tcp_release(now, id);
                self.held.retain(|held| *held != id);
            }
            10 => {
                stack.tcp_set_hop_limit(id, input.byte());
            }
            _ => stack.set_mtu(input.of(&[1500, 1280, 576])),
        }
    }

    /// Listeners, datagrams, addresses.
    fn socket(&mut self, input: &mut Input<'_>) {
        let (stack, now) = (&mut self.stack, self.now);
        match input.below(8) {
            0 => {
                let on = ListenOn::AnyAddress(input.of(&[80, 82]));
                stack.tcp_listen(ListenOptions::new(on).backlog(1)).ok();
            }
            1 => {
                let first = stack.listeners().map(|(id, _)| id).next();
                if let Some(id) = first {
                    stack.tcp_close_listener(now, id);
                }
            }
            2 => {
                let to = SocketAddr::new(address(input.flag(), false), 9);
                let data = vec![3; input.of(&[0, 10, 1400, 5000])];
                let from = SocketAddr::new(address(to.is_ipv6(), true), 53);
                if let Some(id) = self.udp {
                    let options = DatagramOptions::from(from);
                    stack.udp_send(now, id, to, Bytes::from(data), options).ok();
                }
            }
            3 => {
                if let Some(id) = self.udp.take() {
                    stack.udp_close(id);
                }
                self.udp = stack.udp_bind(UdpOn::Everything).ok();
            }
            4 => {
                stack.remove_address(address(true, true));
            }
            5 => stack.add_address("2001:db8::1/64".parse().expect("an address")),
            _ => stack.handle_timeout(now),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.stack.handle_timeout(self.now);
    }

    /// What comes out, what the application is told, and what must hold.
    fn settle(&mut self, input: &mut Input<'_>) {
        self.answer(input);
        self.output();
        check(&self.stack, self.now);
        let all = self.stack.connections().count();
        assert!(all <= LIMIT + 4, "{all} connections");
    }

    fn output(&mut self) {
        for frame in drain(&mut self.stack, self.now) {
            self.trace.add(self.now, &frame);
            self.frames += 1;
            self.learn(&frame);
            self.sent.insert(0, frame);
            self.sent.truncate(8);
        }
    }

    /// A peer learns from each segment what it may send.
    fn learn(&mut self, frame: &[u8]) {
        let Ok(packet) = Packet::new(frame) else {
            return;
        };
        if packet.protocol() != Protocol::TCP {
            return;
        }
        let Ok(view) = TcpView::new(packet.payload()) else {
            return;
        };
        let header = Header::from_view(&view);
        if header.flags.contains(Flags::RST) {
            return;
        }
        let us = SocketAddr::new(packet.src(), header.src_port);
        let peer = SocketAddr::new(packet.dst(), header.dst_port);
        let end = header.seq + u32::try_from(view.segment_len()).unwrap_or(0);
        let known = self
            .flows
            .iter_mut()
            .find(|flow| (flow.us, flow.peer) == (us, peer));
        let fresh = Flow {
            us,
            peer,
            their_nxt: end,
            their_una: header.seq,
            expected: if header.flags.contains(Flags::ACK) {
                header.ack
            } else {
                Seq::new(7000)
            },
        };
        match known {
            Some(flow) if header.flags.contains(Flags::SYN) => *flow = fresh,
            Some(flow) => {
                if end.gt(flow.their_nxt) {
                    flow.their_nxt = end;
                }
                flow.expected = header.ack;
            }
            None => {
                self.flows.insert(0, fresh);
                self.flows.truncate(MAX_FLOWS);
            }
        }
    }

    fn answer(&mut self, input: &mut Input<'_>) {
        let now = self.now;
        let mut told = 0;
        while let Some(event) = self.stack.poll_event() {
            told += 1;
            assert!(told < 5000, "events without end");
            match event {
                StackEvent::Incoming(listener) => {
                    while let Some(incoming) = self.stack.tcp_incoming(listener) {
                        match input.below(4) {
                            0 => {
                                let made = self.stack.incoming_accept(now, incoming.id, None);
                                self.held.extend(made);
                            }
                            1 => self.stack.incoming_refuse(now, incoming.id),
                            2 => {
                                let reason = Unreachable::Host;
                                self.stack.incoming_unreachable(now, incoming.id, reason);
                            }
                            _ => self.stack.incoming_ignore(incoming.id),
                        }
                    }
                }
                StackEvent::Acceptable(listener) => {
                    while let Some(id) = self.stack.tcp_accept(listener) {
                        self.held.push(id);
                    }
                }
                StackEvent::UdpReadable(id) => {
                    while let Some(datagram) = self.stack.udp_recv(id) {
                        self.stack
                            .udp_unreachable(now, &datagram, Unreachable::Port);
                    }
                }
                StackEvent::UdpError(id) => while self.stack.udp_take_error(id).is_some() {},
                StackEvent::EchoRequest(request) => drop(self.stack.echo_reply(now, &request)),
                _ => {}
            }
        }
    }

    /// INV-7: left alone, everything comes to its end, and nothing is left.
    fn end(&mut self) {
        let mut nothing = Input::new(&[]);
        for id in core::mem::take(&mut self.held) {
            self.stack.tcp_release(self.now, id);
        }
        let listeners: Vec<_> = self.stack.listeners().map(|(id, _)| id).collect();
        for id in listeners {
            self.stack.tcp_close_listener(self.now, id);
        }
        for _ in 0..20_000 {
            self.settle(&mut nothing);
            for id in core::mem::take(&mut self.held) {
                self.stack.tcp_release(self.now, id);
            }
            let Some(next) = self.stack.poll_timeout(self.now) else {
                break;
            };
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
        }
        let left: Vec<State> = self.stack.connections().map(|(.., state)| state).collect();
        assert!(left.is_empty(), "{left:?} are left");
        // INV-6: an answer a frame, and what timers send again.
        let most = 100 * self.inputs + 4000;
        assert!(
            self.frames <= most,
            "{} frames for {}",
            self.frames,
            self.inputs
        );
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for bits in [0, 0x0f] {
        // A peer connects, sends, is answered, closes; then we connect.
        let mut seed = vec![2, bits, 3, 3];
        seed.extend([5, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0x0f, 3, 1, 2, 0, 0]);
        seed.extend([0, 0, 0, 0, 0, 0, 0, 3, 0, 8]);
        seed.extend([0, 0, 0, 0, 0, 4, 4, 3, 0, 0, 0]);
        seed.extend([9, 0, 0, 2, 14, 14, 9, 0, 3, 13, 1, 0]);
        seed.extend([0, 0, 0, 0, 0, 5, 0, 3, 0, 0, 0]);
        seed.extend([
            9, 0, 5, 15, 1, 0, 0, 14, 8, 0, 4, 1, 7, 1, 40, 0, 1, 12, 2, 0, 2,
        ]);
        seeds.push(seed);
        seeds.push([&[0, bits, 2, 2, 6, 0, 0, 0, 60][..], &[0x45; 60]].concat());
    }
    seeds
}
