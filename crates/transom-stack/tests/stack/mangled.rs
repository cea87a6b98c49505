//! Frames that were damaged on purpose: no panic, no storm, no memory without end (requirements E.1, E.3).

use bytes::Bytes;
use transom_stack::wire::ip::Packet;
use transom_stack::wire::{Capabilities, Medium, Protocol, RxChecksum, RxFrame, icmpv4, icmpv6};
use transom_stack::{
    ConnectOptions, DatagramOptions, EchoMode, ListenOn, ListenOptions, Stack, StackConfig,
    StackEvent, UdpOn, Unreachable,
};

use crate::harness::*;

/// A small generator: the tests print the seed, and the same seed does the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A stack that has a bit of everything, and the frames that are worth damaging.
fn busy(medium: Medium) -> (Stack, Vec<Vec<u8>>) {
    let capabilities = match medium {
        Medium::Ip => Capabilities::ip(1500),
        Medium::Ethernet => Capabilities::ethernet(1500),
    };
    let config = StackConfig::default()
        .any_address(true)
        .echo(EchoMode::Deliver)
        .max_connections(64)
        .max_incoming(16);
    let mut stack = on_device(config, capabilities);
    let on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(8);
    stack.tcp_listen(on).unwrap();
    stack
        .tcp_listen(ListenOptions::new(ListenOn::Everything).manual(true))
        .unwrap();
    let udp = stack.udp_bind(UdpOn::Everything).unwrap();
    for neighbour in [PEER, PEER6] {
        stack.add_neighbour(at(0), ip(neighbour), [2, 0, 0, 0, 0, 2]);
    }
    let mut corpus = Vec::new();
    for (us, peer) in [(US, PEER), (US6, PEER6)] {
        let socket_of = |host: &str, port: u16| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let to = socket(&socket_of(peer, 80));
        stack.tcp_connect(at(0), ConnectOptions::new(to)).unwrap();
        let options = DatagramOptions::from(socket(&socket_of(us, 53)));
        stack
            .udp_send(at(0), udp, socket(&socket_of(peer, 9)), "x".into(), options)
            .unwrap();
        let skip = if medium == Medium::Ethernet { 14 } else { 0 };
        let sent: Vec<Vec<u8>> = drain(&mut stack, at(0))
            .into_iter()
            .map(|frame| frame[skip..].to_vec())
            .collect();
        let syn = sent
            .iter()
            .find(|packet| Packet::new(packet).unwrap().protocol() == Protocol::TCP)
            .map(|packet| parse_tcp(packet))
            .unwrap();
        let end = Peer {
            us: syn.src.to_string(),
            peer: syn.dst.to_string(),
            snd_nxt: 5001,
            rcv_nxt: syn.seq + 1,
        };
        corpus.push(end.seg(SYN | ACK).seq(5000).mss(1460).bytes());
        for flags in [ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | FIN] {
            corpus.push(end.seg(flags).payload(b"some data to read").bytes());
        }
        corpus.push(
            seg(&socket_of(peer, 9), &socket_of(us, 80), SYN)
                .mss(536)
                .bytes(),
        );
        corpus.push(seg(&socket_of(peer, 9), &socket_of(us, 443), SYN).bytes());
        corpus.push(datagram(
            &socket_of(peer, 9),
            &socket_of(us, 53),
            b"question",
        ));
        for quote in &sent {
            if us == US {
                for code in [3, 4] {
                    let message = icmpv4::Message::DestinationUnreachable {
                        code,
                        next_hop_mtu: 1000,
                        quote,
                    };
                    corpus.push(icmp4(peer, us, message));
                }
                let data = &quote[..8];
                corpus.push(icmp4(
                    peer,
                    us,
                    icmpv4::Message::EchoRequest {
                        id: 1,
                        seq: 2,
                        data,
                    },
                ));
            } else {
                corpus.push(icmp6(
                    peer,
                    us,
                    icmpv6::Message::PacketTooBig { mtu: 1280, quote },
                ));
                let data = &quote[..8];
                corpus.push(icmp6(
                    peer,
                    us,
                    icmpv6::Message::EchoRequest {
                        id: 1,
                        seq: 2,
                        data,
                    },
                ));
            }
        }
        if us == US6 {
            let mut fragment = vec![17, 0, 0, 1, 0, 0, 0, 7];
            fragment.extend_from_slice(&[0; 64]);
            corpus.push(packet(peer, us, Protocol::FRAGMENT, &fragment));
            let mut extended = vec![6, 0, 1, 4, 0, 0, 0, 0];
            extended.extend_from_slice(&corpus[0][20..]);
            corpus.push(packet(peer, us, Protocol::HOP_BY_HOP, &extended));
        }
    }
    if medium == Medium::Ethernet {
        for packet in &mut corpus {
            let ether_type = if packet[0] >> 4 == 4 {
                [8, 0]
            } else {
                [0x86, 0xdd]
            };
            let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
            frame.extend_from_slice(&ether_type);
            frame.append(packet);
            *packet = frame;
        }
        corpus.push(
            [
                &[0xff; 6][..],
                &[
                    2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2,
                ],
                &[0, 0, 0, 0, 0, 0, 10, 0, 0, 1],
            ]
            .concat(),
        );
    }
    (stack, corpus)
}

/// Damages a frame; most of the time the IPv4 header checksum is mended, so that the damage gets further.
fn damage(chance: &mut Chance, frame: &mut Vec<u8>, link: usize) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(frame.len());
        match chance.below(8) {
            0 => frame.truncate(at),
            1 => frame.extend_from_slice(&[chance.next() as u8; 40]),
            2 => frame[at] = 0xff,
            3 => frame[at] = 0,
            4 => frame[at] ^= 1 << chance.below(8),
            5 => {
                let end = (at + 1 + chance.below(8)).min(frame.len());
                frame.drain(at..end);
            }
            _ => frame[at] = chance.next() as u8,
        }
        if frame.is_empty() {
            frame.push(0x45);
        }
    }
    if chance.below(4) > 0
        && let Some(packet) = frame.get_mut(link..)
        && packet.len() >= 20
        && packet[0] == 0x45
    {
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[10..12].fill(0);
        let sum = transom_stack::wire::checksum::checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// What an application does with whatever comes up.
fn answer(stack: &mut Stack, ms: u64, chance: &mut Chance) {
    while let Some(event) = stack.poll_event() {
        match event {
            StackEvent::Incoming(listener) => {
                while let Some(incoming) = stack.tcp_incoming(listener) {
                    match chance.below(4) {
                        0 => drop(stack.incoming_accept(at(ms), incoming.id, None)),
                        1 => stack.incoming_refuse(at(ms), incoming.id),
                        2 => stack.incoming_unreachable(at(ms), incoming.id, Unreachable::Host),
                        _ => stack.incoming_ignore(incoming.id),
                    }
                }
            }
            StackEvent::Acceptable(listener) => {
                while let Some(id) = stack.tcp_accept(listener) {
                    stack.tcp_release(at(ms), id);
                }
            }
            StackEvent::Tcp(id, _) => {
                let _ = stack.tcp_recv(at(ms), id, usize::MAX);
                if chance.below(4) == 0 {
                    stack.tcp_release(at(ms), id);
                }
            }
            StackEvent::UdpReadable(id) => {
                while let Some(datagram) = stack.udp_recv(id) {
                    stack.udp_unreachable(at(ms), &datagram, Unreachable::Port);
                }
            }
            StackEvent::EchoRequest(request) => drop(stack.echo_reply(at(ms), &request)),
            _ => {}
        }
    }
}

#[test]
fn req_sec_amp_1_and_sec_xmas_1_damaged_frames_do_no_harm() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        let link = if medium == Medium::Ethernet { 14 } else { 0 };
        for seed in 1..=60u64 {
            let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (mut stack, corpus) = busy(medium);
            let mut ms = 0;
            let mut sent = 0;
            for _ in 0..400 {
                let mut frame = corpus[chance.below(corpus.len())].clone();
                if chance.below(8) > 0 {
                    damage(&mut chance, &mut frame, link);
                }
                let checksum = if chance.below(3) > 0 {
                    RxChecksum::Valid
                } else {
                    RxChecksum::Unverified
                };
                let gso_size = if chance.below(8) == 0 {
                    chance.next() as u16
                } else {
                    0
                };
                stack.handle_frame(
                    at(ms),
                    RxFrame {
                        data: Bytes::from(frame),
                        checksum,
                        gso_size,
                    },
                );
                answer(&mut stack, ms, &mut chance);
                sent += drain(&mut stack, at(ms)).len();
                if chance.below(16) == 0 {
                    ms += chance.below(5_000) as u64;
                    stack.handle_timeout(at(ms));
                }
            }
            sent += run_until(&mut stack, at(ms), at(ms + 1_000_000)).len();
            // An answer a frame, and what timers send again.
            assert!(sent < 2_000, "seed {seed}: {sent} frames for 400");
            assert!(stack.connections().count() <= 64, "seed {seed}");
            answer(&mut stack, ms + 1_000_000, &mut chance);
        }
    }
}
