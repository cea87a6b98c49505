//! Several workers tell the same of a capture as one.

mod scene;

use proptest::prelude::*;
use scene::account;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, Reader};
use transom_flow::parallel::Crew;
use transom_flow::wire::ip::{Protocol, ipv4};
use transom_flow::wire::tcp::{Flags, Header, Options};
use transom_flow::wire::{Medium, Seq, checksum};
use transom_flow::{Connection, Counters, Frame, Ignored, Limits, Past, Tracker};

/// A packet of a client, by its number, to the server or back.
fn packet(client: u8, to_server: bool, header: &Header, data: &[u8]) -> Vec<u8> {
    let mut addrs = [Ipv4Addr::new(10, 0, 0, client), Ipv4Addr::new(10, 9, 9, 9)];
    if !to_server {
        addrs.reverse();
    }
    let [src, dst] = addrs;
    let mut packet = vec![0; 20 + header.header_len()];
    ipv4::Header::new(src, dst, Protocol::TCP).emit(&mut packet, header.header_len() + data.len());
    header.emit_with_checksum(&mut packet[20..], IpAddr::V4(src), IpAddr::V4(dst), data);
    packet.extend(data);
    packet
}

/// An ICMP error of a router about a packet.
fn port_unreachable(about: &[u8]) -> Vec<u8> {
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
    message.extend(&about[..28]);
    let sum = checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let to = Ipv4Addr::new(about[12], about[13], about[14], about[15]);
    let mut packet = vec![0; 20];
    ipv4::Header::new(Ipv4Addr::new(10, 8, 8, 8), to, Protocol::ICMP)
        .emit(&mut packet, message.len());
    packet.extend(message);
    packet
}

/// The conversation of one client, of which each has its own way to end.
fn conversation(client: u8, kind: u8) -> Vec<Vec<u8>> {
    let port = 2000 + u16::from(kind);
    let segment = |to_server: bool, flags: Flags, seq: u32, ack: u32, data: &[u8]| {
        let (src_port, dst_port) = if to_server { (port, 80) } else { (80, port) };
        let (own, peer) = if to_server {
            (1000, 5000)
        } else {
            (5000, 1000)
        };
        let header = Header {
            src_port,
            dst_port,
            seq: Seq::new(own) + seq,
            ack: Seq::new(peer) + ack,
            flags,
            window: 1000,
            urgent: 0,
            options: Options::EMPTY,
        };
        packet(client, to_server, &header, data)
    };
    let (syn, ack, fin, rst) = (Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST);
    let mut frames = vec![segment(true, syn, 0, 0, &[])];
    match kind {
        0 => frames.push(port_unreachable(&frames[0])),
        1 => frames.push(segment(false, rst | ack, 0, 1, &[])),
        _ => {
            frames.push(segment(false, syn | ack, 0, 1, &[]));
            frames.push(segment(true, ack, 1, 1, &[]));
            frames.push(segment(true, ack, 1, 1, b"GET / HTTP/1.1\r\n\r\n"));
            frames.push(segment(false, ack, 1, 19, &[b'x'; 700]));
            if kind == 3 {
                frames.push(segment(false, ack, 1, 19, &[b'x'; 700]));
            }
            frames.push(segment(true, ack, 19, 701, &[]));
        }
    }
    if kind == 4 {
        frames.push(segment(false, rst | ack, 701, 19, &[]));
    } else if kind > 1 {
        frames.push(segment(true, fin | ack, 19, 701, &[]));
        frames.push(segment(false, fin | ack, 701, 20, &[]));
        frames.push(segment(true, ack, 20, 702, &[]));
    }
    frames
}

/// Frames of many conversations, mixed as `order` says; some are no TCP at all.
fn mix(clients: &[u8], order: &[usize]) -> Vec<Vec<u8>> {
    let mut left: Vec<_> = (0u8..)
        .zip(clients)
        .map(|(at, kind)| conversation(at, *kind).into_iter())
        .collect();
    let mut frames = Vec::new();
    let mut turn = 0;
    while !left.is_empty() {
        let at = order[turn % order.len()] % left.len();
        turn += 1;
        match left[at].next() {
            Some(frame) => frames.push(frame),
            None => drop(left.swap_remove(at)),
        }
        if turn % 17 == 0 {
            frames.push(vec![0x45; 30]);
        }
    }
    frames
}

fn told(connections: impl Iterator<Item = Connection>) -> Vec<(u64, String)> {
    let words = |c: Connection| {
        let totals = format!("{:?} {:?}", c.totals(), c.measures());
        (c.number(), format!("{}\n{totals}", account(&c)))
    };
    let mut all: Vec<_> = connections.map(words).collect();
    all.sort();
    all
}

/// Frames, numbered, `pace` milliseconds from each other.
fn paced(frames: &[Vec<u8>], pace: u64) -> impl Iterator<Item = Frame<'_>> {
    frames.iter().zip(0u64..).map(move |(data, at)| Frame {
        number: Some(at + 1),
        ..Frame::new(Duration::from_millis(at * pace), Medium::Ip, data)
    })
}

fn by_one(frames: &[Vec<u8>], pace: u64) -> (Vec<(u64, String)>, Counters) {
    let mut tracker = Tracker::default();
    for frame in paced(frames, pace) {
        let _ = tracker.frame(&frame);
    }
    tracker.finish();
    (told(tracker.take_all()), *tracker.counters())
}

fn by_crew(frames: &[Vec<u8>], pace: u64, workers: usize) -> (Vec<(u64, String)>, Counters) {
    let mut crew = Crew::new(Limits::default(), workers, |past| *past.into_connection());
    let mut over = Vec::new();
    for frame in paced(frames, pace) {
        let _ = crew.frame(&frame);
        over.extend(crew.take());
    }
    crew.finish();
    over.extend(crew.take());
    (told(over.into_iter()), crew.counters())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the conversations are mixed and however many work, the same is told of the same numbers.
    #[test]
    fn a_crew_tells_what_one_tracker_tells(
        clients in proptest::collection::vec(0u8..6, 1..40),
        order in proptest::collection::vec(0usize..1000, 1..50),
        pace in prop_oneof![Just(9u64), 1000u64..100_000],
        workers in 1usize..5,
    ) {
        let frames = mix(&clients, &order);
        let (one, counted) = by_one(&frames, pace);
        let (crew, counted_too) = by_crew(&frames, pace, workers);
        prop_assert_eq!(one, crew);
        prop_assert_eq!(counted, counted_too);
    }
}

/// A pcap file of IP packets, `pace` milliseconds from each other.
fn pcap(frames: &[Vec<u8>], pace: u32) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([65535, 101].map(u32::to_le_bytes).concat());
    for (data, at) in frames.iter().zip(0..) {
        let (seconds, micros) = (at * pace / 1000, at * pace % 1000 * 1000);
        let len = data.len() as u32;
        file.extend([seconds, micros, len, len].map(u32::to_le_bytes).concat());
        file.extend(data);
    }
    file
}

#[test]
fn frames_are_followed_where_they_were_read() {
    let clients: Vec<u8> = (0..250).map(|client| client % 6).collect();
    let order: Vec<usize> = (0..997).map(|n| n * 61).collect();
    // Twice the same sockets, so that the file is longer than a buffer.
    let frames = [mix(&clients, &order), mix(&clients, &order)].concat();
    let file = pcap(&frames, 7);
    let (one, _) = by_one(&frames, 7);
    for workers in 1..5 {
        let mut crew = Crew::new(Limits::default(), workers, |past| *past.into_connection());
        let mut reader = Reader::new(&*file).unwrap();
        let mut decapsulator = Decapsulator::new();
        let mut held = 0;
        while let Some(record) = reader.next().unwrap() {
            held += usize::from(record.chunk().is_some());
            if let Ok(frame) = decapsulator.frame(&record) {
                let _ = crew.frame_in(&frame, record.chunk());
            }
        }
        crew.finish();
        assert!(held * 2 > frames.len(), "{held} of {}", frames.len());
        assert_eq!(told(crew.take()), one, "{workers}");
    }
}

#[test]
fn a_worker_s_panic_reaches_the_caller() {
    for workers in 1..4 {
        let run = || {
            let mut crew: Crew<Past> = Crew::new(Limits::default(), workers, |_| panic!("no!"));
            for client in 0..100 {
                for data in conversation(client, 2) {
                    let _ = crew.frame(&Frame::new(Duration::ZERO, Medium::Ip, &data));
                }
            }
            crew.finish();
        };
        assert!(std::panic::catch_unwind(run).is_err(), "{workers}");
    }
}

#[test]
fn connections_that_are_over_come_while_frames_are_given_and_always_in_the_same_order() {
    let mut limits = Limits::default();
    limits.lingering = 100;
    let run = |workers| {
        let mut crew = Crew::new(limits, workers, |past| *past.into_connection());
        let mut early = Vec::new();
        let mut number = 0;
        for round in 0..300u32 {
            for client in 0..40 {
                // The same sockets again and again.
                for data in conversation(client, 2 + (round % 4) as u8) {
                    number += 1;
                    let time =
                        Duration::from_secs(u64::from(round) * 300) + Duration::from_micros(number);
                    crew.frame(&Frame::new(time, Medium::Ip, &data)).unwrap();
                }
            }
            early.extend(crew.take().map(|connection| connection.number()));
        }
        crew.finish();
        let rest: Vec<u64> = crew.take().map(|connection| connection.number()).collect();
        (early, rest)
    };
    for workers in 2..4 {
        let (early, rest) = run(workers);
        assert!(early.len() > 3000, "{} before the end", early.len());
        let mut all: Vec<u64> = early.iter().chain(&rest).copied().collect();
        let (early, rest) = run(workers);
        assert!(early.iter().chain(&rest).eq(&all), "the same order again");
        all.sort_unstable();
        assert_eq!(all, (1..=12_000).collect::<Vec<_>>());
    }
}

#[test]
fn names_reach_all_workers_and_reasons_are_given() {
    let mut crew = Crew::new(Limits::default(), 3, |past| *past.into_connection());
    crew.label(Ipv4Addr::new(10, 9, 9, 9).into(), "server");
    for client in 0..20 {
        for data in conversation(client, 1) {
            crew.frame(&Frame::new(Duration::ZERO, Medium::Ip, &data))
                .unwrap();
        }
    }
    let arp = crew.frame(&Frame::new(Duration::ZERO, Medium::Ethernet, &[0; 60]));
    assert_eq!(arp, Err(Ignored::NotIp));
    crew.finish();
    let all: Vec<Connection> = crew.take().collect();
    assert_eq!(all.len(), 20);
    let is_named = |c: &Connection| c.endpoint(transom_flow::End::Server).label() == "server:80";
    assert!(all.iter().all(is_named));
    assert_eq!(crew.counters().not_ip, 1);
    assert_eq!(crew.counters().frames, 41);
}
