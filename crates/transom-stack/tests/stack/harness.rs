//! One stack, and a peer made of bytes.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::Instant;
use transom_stack::wire::ip::{Packet, ipv4, ipv6};
use transom_stack::wire::tcp::{Flags, Header, Options, TcpView};
use transom_stack::wire::{
    Capabilities, Cidr, Ecn, Protocol, RxFrame, Seq, TxFrame, icmpv4, icmpv6, udp,
};
use transom_stack::{Discard, Stack, StackConfig};

pub(crate) fn at(ms: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(ms))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// The stack's addresses in most tests, and the peer's.
pub(crate) const US: &str = "10.0.0.1";
pub(crate) const PEER: &str = "10.0.0.2";
pub(crate) const US6: &str = "2001:db8::1";
pub(crate) const PEER6: &str = "2001:db8::2";

/// A stack on a device for bare IP packets, with one address of each family.
pub(crate) fn stack() -> Stack {
    stack_with(StackConfig::default())
}

pub(crate) fn stack_with(config: StackConfig) -> Stack {
    on_device(config, Capabilities::ip(1500))
}

pub(crate) fn on_device(config: StackConfig, capabilities: Capabilities) -> Stack {
    let mut stack = Stack::new(config, capabilities, [42; 32], at(0));
    stack.add_address(cidr("10.0.0.1/24"));
    stack.add_address(cidr("2001:db8::1/64"));
    stack
}

/// Hands bytes in and gives what comes out.
pub(crate) fn exchange(stack: &mut Stack, now: Instant, packet: Vec<u8>) -> Vec<Vec<u8>> {
    stack.handle_frame(now, RxFrame::from(Bytes::from(packet)));
    drain(stack, now)
}

/// Everything that the stack has to send.
pub(crate) fn drain(stack: &mut Stack, now: Instant) -> Vec<Vec<u8>> {
    drain_frames(stack, now)
        .iter()
        .map(TxFrame::to_vec)
        .collect()
}

pub(crate) fn drain_frames(stack: &mut Stack, now: Instant) -> Vec<TxFrame> {
    let mut out = Vec::new();
    while let Some(frame) = stack.poll_transmit(now) {
        out.push(frame);
        assert!(out.len() < 100_000, "the stack does not stop sending");
    }
    out
}

/// Lets time pass until the stack has nothing to do before `until`, and gives what it sends.
pub(crate) fn run_until(
    stack: &mut Stack,
    from: Instant,
    until: Instant,
) -> Vec<(Instant, Vec<u8>)> {
    let mut now = from;
    let mut out = Vec::new();
    for _ in 0..100_000 {
        out.extend(drain(stack, now).into_iter().map(|frame| (now, frame)));
        match stack.poll_timeout(now) {
            Some(next) if next <= until => {
                now = next.max(now);
                stack.handle_timeout(now);
            }
            _ => return out,
        }
    }
    panic!("the stack never comes to rest");
}

/// An IP packet of either version around `payload`.
pub(crate) fn packet(src: &str, dst: &str, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    packet_with(src, dst, protocol, payload, 64, Ecn::NotEct)
}

pub(crate) fn packet_with(
    src: &str,
    dst: &str,
    protocol: Protocol,
    payload: &[u8],
    hop_limit: u8,
    ecn: Ecn,
) -> Vec<u8> {
    let mut out;
    match (ip(src), ip(dst)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            out = vec![0; ipv4::MIN_HEADER_LEN];
            let header = ipv4::Header {
                ttl: hop_limit,
                ecn,
                ..ipv4::Header::new(src, dst, protocol)
            };
            header.emit(&mut out, payload.len());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out = vec![0; ipv6::HEADER_LEN];
            let header = ipv6::Header {
                hop_limit,
                ecn,
                ..ipv6::Header::new(src, dst, protocol)
            };
            header.emit(&mut out, payload.len());
        }
        _ => panic!("addresses of two families"),
    }
    out.extend_from_slice(payload);
    out
}

/// A TCP segment of the peer.
#[derive(Clone, Debug)]
pub(crate) struct Seg {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const RST: Flags = Flags::RST;
pub(crate) const FIN: Flags = Flags::FIN;

/// From the peer's socket to ours.
pub(crate) fn seg(src: &str, dst: &str, flags: Flags) -> Seg {
    Seg {
        src: socket(src),
        dst: socket(dst),
        seq: 1000,
        ack: 0,
        flags,
        window: 65535,
        options: Options::EMPTY,
        payload: Vec::new(),
    }
}

impl Seg {
    pub(crate) fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    pub(crate) fn ack(mut self, ack: u32) -> Self {
        self.ack = ack;
        self
    }

    pub(crate) fn mss(mut self, mss: u16) -> Self {
        self.options.mss = Some(mss);
        self
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = Header {
            src_port: self.src.port(),
            dst_port: self.dst.port(),
            seq: Seq::new(self.seq),
            ack: Seq::new(self.ack),
            flags: self.flags,
            window: self.window,
            urgent: 0,
            options: self.options,
        };
        let mut tcp = vec![0; header.header_len()];
        header.emit_with_checksum(&mut tcp, self.src.ip(), self.dst.ip(), &self.payload);
        tcp.extend_from_slice(&self.payload);
        let (src, dst) = (self.src.ip().to_string(), self.dst.ip().to_string());
        packet(&src, &dst, Protocol::TCP, &tcp)
    }
}

/// A segment that the stack sent, its checksums verified.
pub(crate) fn parse_tcp(bytes: &[u8]) -> Seg {
    let packet = Packet::new(bytes).expect("a well-formed IP packet");
    assert_eq!(packet.protocol(), Protocol::TCP);
    let view = TcpView::new(packet.payload()).expect("a well-formed segment");
    assert!(
        view.verify_checksum(packet.src(), packet.dst()),
        "bad TCP checksum"
    );
    Seg {
        src: SocketAddr::new(packet.src(), view.src_port()),
        dst: SocketAddr::new(packet.dst(), view.dst_port()),
        seq: view.seq().raw(),
        ack: view.ack().raw(),
        flags: view.flags(),
        window: view.window(),
        options: view.options().0,
        payload: view.payload().to_vec(),
    }
}

/// The one segment that the stack sent.
pub(crate) fn one_tcp(frames: &[Vec<u8>]) -> Seg {
    let [frame] = frames else {
        panic!("one segment expected, {} frames sent", frames.len());
    };
    parse_tcp(frame)
}

/// A UDP datagram of the peer.
pub(crate) fn datagram(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = (socket(src), socket(dst));
    let header = udp::Header {
        src_port: src.port(),
        dst_port: dst.port(),
    };
    let mut out = vec![0; udp::Header::LEN];
    header.emit_with_checksum(&mut out, src.ip(), dst.ip(), payload);
    out.extend_from_slice(payload);
    packet(
        &src.ip().to_string(),
        &dst.ip().to_string(),
        Protocol::UDP,
        &out,
    )
}

/// An ICMP message of the peer.
pub(crate) fn icmp4(src: &str, dst: &str, message: icmpv4::Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.len()];
    message.emit(&mut out);
    packet(src, dst, Protocol::ICMP, &out)
}

/// An ICMPv6 message of the peer.
pub(crate) fn icmp6(src: &str, dst: &str, message: icmpv6::Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.len()];
    message.emit(&mut out, src.parse().unwrap(), dst.parse().unwrap());
    packet(src, dst, Protocol::ICMPV6, &out)
}

/// Source, destination, type, code and what follows the eight bytes of header of an ICMP message that the stack sent.
pub(crate) fn parse_icmp(bytes: &[u8]) -> (IpAddr, IpAddr, u8, u8, Vec<u8>) {
    let packet = Packet::new(bytes).expect("a well-formed IP packet");
    let (src, dst) = (packet.src(), packet.dst());
    match (src, dst) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            assert_eq!(packet.protocol(), Protocol::ICMP);
            let view = icmpv4::View::new(packet.payload()).unwrap();
            assert!(view.verify_checksum());
            (src, dst, view.kind(), view.code(), view.body().to_vec())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            assert_eq!(packet.protocol(), Protocol::ICMPV6);
            let view = icmpv6::View::new(packet.payload()).unwrap();
            assert!(view.verify_checksum(from, to));
            (src, dst, view.kind(), view.code(), view.body().to_vec())
        }
        _ => panic!("addresses of two families"),
    }
}

/// Hands bytes in and asserts that nothing comes out, and for what reason.
pub(crate) fn assert_dropped(stack: &mut Stack, packet: Vec<u8>, reason: Discard) {
    let before = stack.counters().discarded(reason);
    let sent = exchange(stack, at(0), packet);
    assert!(sent.is_empty(), "{reason}: {} frames sent", sent.len());
    let counts: Vec<_> = stack.counters().discards().collect();
    assert_eq!(
        stack.counters().discarded(reason),
        before + 1,
        "{reason} expected: {counts:?}"
    );
}

/// A peer's end of a connection: what it sends next and what it has received.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) us: String,
    pub(crate) peer: String,
    pub(crate) snd_nxt: u32,
    pub(crate) rcv_nxt: u32,
}

impl Peer {
    /// The next segment of the peer.
    pub(crate) fn seg(&self, flags: Flags) -> Seg {
        seg(&self.peer, &self.us, flags)
            .seq(self.snd_nxt)
            .ack(self.rcv_nxt)
    }

    /// Answers a SYN of the stack, and gives the peer's end of the connection.
    pub(crate) fn answer(stack: &mut Stack, now: Instant, syn: &Seg) -> Self {
        let peer = Self {
            us: syn.src.to_string(),
            peer: syn.dst.to_string(),
            snd_nxt: 5001,
            rcv_nxt: syn.seq + 1,
        };
        let syn_ack = peer.seg(SYN | ACK).seq(5000).mss(1460);
        let sent = exchange(stack, now, syn_ack.bytes());
        assert_eq!(one_tcp(&sent).flags, ACK);
        peer
    }

    /// Opens a connection to a listener of the stack.
    pub(crate) fn open(stack: &mut Stack, now: Instant, peer: &str, us: &str) -> Self {
        let syn = seg(peer, us, SYN).seq(7000).mss(1460);
        let syn_ack = one_tcp(&exchange(stack, now, syn.bytes()));
        assert_eq!(syn_ack.flags, SYN | ACK);
        assert_eq!(syn_ack.ack, 7001);
        let peer = Self {
            us: us.to_string(),
            peer: peer.to_string(),
            snd_nxt: 7001,
            rcv_nxt: syn_ack.seq + 1,
        };
        exchange(stack, now, peer.seg(ACK).bytes());
        peer
    }
}

/// A connection of the stack to `remote`, established, and the peer's end.
pub(crate) fn connected(
    stack: &mut Stack,
    now: Instant,
    remote: &str,
) -> (transom_stack::ConnId, Peer) {
    let options = transom_stack::ConnectOptions::new(socket(remote));
    let id = stack.tcp_connect(now, options).unwrap();
    let syn = one_tcp(&drain(stack, now));
    assert_eq!(syn.flags, SYN);
    let peer = Peer::answer(stack, now, &syn);
    assert_eq!(
        stack.tcp_state(id),
        Some(transom_stack::tcp::State::Established)
    );
    (id, peer)
}
