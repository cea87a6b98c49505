//! Many connections, names, link layers, limits, and input that makes no sense.

mod scene;

use proptest::prelude::*;
use scene::{CLIENT, SERVER, Scene, addr, packet};
use std::net::Ipv6Addr;
use std::time::Duration;
use transom_flow::wire::ip::{Protocol, ipv6};
use transom_flow::wire::tcp::{Flags, Header, Options};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{
    ClosedBy, End, Entry, Fate, Frame, Ignored, Limits, Process, State, Tracker, Truth, TruthEvent,
};

fn header(from: End, flags: Flags, seq: u32, ack: u32) -> Header {
    Header {
        src_port: addr(from).port(),
        dst_port: addr(from.other()).port(),
        seq: Seq::new(seq),
        ack: Seq::new(ack),
        flags,
        window: 1000,
        urgent: 0,
        options: Options::EMPTY,
    }
}

#[test]
fn a_new_syn_after_the_end_is_a_new_connection_and_the_same_syn_is_not() {
    let mut scene = Scene::new(Limits::default());
    scene.play(
        "
        0     > S
        1     < RA
        1000  > S seq=0
        1001  < RA
        2000  > S seq=5000
        2001  < RA ack=5001
        ",
    );
    scene.tracker.finish();
    let all: Vec<_> = scene.tracker.connections().collect();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0].totals().client.segments,
        2,
        "the repeated SYN belongs to the first attempt"
    );
    assert!(
        all.iter()
            .all(|connection| connection.closed_by() == ClosedBy::Refused)
    );
}

#[test]
fn time_wait_is_followed_for_late_segments_and_then_let_go() {
    let mut scene = Scene::new(Limits::default());
    scene.play(
        "
        0     > S
        1     < SA
        2     > A
        3     > FA
        4     < FA
        5     > A
        6     < FA seq=1
        7     > A
        ",
    );
    assert_eq!(scene.connection().totals().server.retransmitted, 1);
    assert!(
        scene
            .tracker
            .connection(addr(End::Server), addr(End::Client))
            .is_some()
    );
    scene.play("300000 > S seq=9000");
    assert_eq!(scene.tracker.connections().count(), 2);
}

#[test]
fn names_and_programs_are_attached_whenever_they_are_told() {
    let mut scene = Scene::new(Limits::default());
    scene.tracker.label(SERVER.0.into(), "example.com");
    let process = Process {
        name: "curl".into(),
        pid: 42,
    };
    scene.truth(Duration::ZERO, End::Client, TruthEvent::Process(process));
    scene.play("1 > S");
    scene.tracker.label(CLIENT.0.into(), "laptop");
    let connection = scene.connection();
    assert_eq!(connection.endpoint(End::Server).label(), "example.com:80");
    assert_eq!(connection.endpoint(End::Client).label(), "laptop:43210");
    let process = connection.endpoint(End::Client).process.as_ref().unwrap();
    assert_eq!(process.to_string(), "curl[42]");
}

#[test]
fn truths_without_a_connection_are_bounded_and_counted() {
    let mut tracker = Tracker::default();
    for pid in 0..5000 {
        let event = TruthEvent::Process(Process {
            name: "x".into(),
            pid,
        });
        let (local, peer) = (addr(End::Client), addr(End::Server));
        tracker.truth(Truth {
            time: Duration::ZERO,
            local,
            peer,
            event,
        });
    }
    tracker.finish();
    assert_eq!(tracker.counters().unmatched_truths, 5000);
}

#[test]
fn ethernet_with_vlan_tags_and_ipv6_are_read() {
    let (src, dst): (Ipv6Addr, Ipv6Addr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let mut segment = vec![0; 20];
    let syn = header(End::Client, Flags::SYN, 1, 0);
    syn.emit_with_checksum(&mut segment, src.into(), dst.into(), &[]);
    let mut frame = vec![0; 12];
    frame.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 0x86, 0xdd]);
    let at = frame.len();
    frame.resize(at + ipv6::HEADER_LEN, 0);
    ipv6::Header::new(src, dst, Protocol::TCP).emit(&mut frame[at..], segment.len());
    frame.extend(segment);
    let mut tracker = Tracker::default();
    let tracked = tracker
        .frame(&Frame::new(Duration::ZERO, Medium::Ethernet, &frame))
        .unwrap();
    assert_eq!((tracked.frame, tracked.connection), (1, 1));
    let connection = tracker.connections().next().unwrap();
    assert_eq!(
        connection.endpoint(End::Client).addr,
        "[fd00::1]:43210".parse().unwrap()
    );
    frame[20] = 0x08;
    frame[21] = 0x06;
    let arp = tracker.frame(&Frame::new(Duration::ZERO, Medium::Ethernet, &frame));
    assert_eq!(arp, Err(Ignored::NotIp));
    assert_eq!(tracker.counters().not_ip, 1);
}

#[test]
fn super_packets_count_as_the_segments_they_are_cut_into() {
    let mut scene = Scene::new(Limits::default());
    scene.play(
        "
        0     > S
        1     < SA
        1.1   > A
        2     < A len=14480 gso=1448
        2.1   > A
        2.2   < A len=1448 seq=1449
        2.3   < PA len=14500 gso=1448
        ",
    );
    let totals = scene.connection().totals().server;
    assert_eq!((totals.frames, totals.segments), (4, 1 + 10 + 1 + 11));
    assert_eq!((totals.bytes, totals.retransmitted), (14_480 + 14_500, 1));
}

/// A long transfer with one remarkable step in its middle.
fn long_transfer(limits: Limits) -> Scene {
    let mut scene = Scene::new(limits);
    scene.play("0 > S\n1 < SA\n1.1 > A");
    for round in 0..5000 {
        scene.play(&format!(
            "{} < A len=1000\n{}.5 > A",
            10 + round,
            10 + round
        ));
        if round == 2500 {
            scene.play("2510.6 > A win=0");
        }
    }
    scene.play("6000 < FA\n6001 > FA\n6002 < A");
    scene
}

#[test]
fn a_long_connection_keeps_its_ends_and_counts_its_middle() {
    let scene = long_transfer(Limits::default());
    let connection = scene.connection();
    let entries: Vec<_> = connection.entries().collect();
    assert!(entries.len() <= 64 + 64 + 3, "{} entries", entries.len());
    assert_eq!(connection.totals().server.bytes, 5_000_000);
    let mut next = 0;
    let mut bytes = 0;
    let mut zero_windows = 0;
    for entry in entries {
        match entry {
            Entry::Step(step) => {
                assert_eq!(step.index, next);
                next += 1;
                if let transom_flow::What::Segment(segment) = &step.what {
                    bytes += u64::from(segment.len);
                    zero_windows += u32::from(segment.window == 0);
                }
            }
            Entry::Fold(fold) => {
                assert_eq!(fold.first, next);
                next = fold.last + 1;
                assert_eq!(fold.steps, fold.last + 1 - fold.first);
                bytes += fold.sent.server.bytes;
            }
        }
    }
    assert_eq!(
        (next, bytes, zero_windows),
        (connection.step_count(), 5_000_000, 1)
    );
    assert_eq!(connection.closed_by(), ClosedBy::Fin(End::Server));
    assert_eq!(connection.states()[End::Client].state, Some(State::Closed));
}

#[test]
fn open_and_closed_connections_are_capped_and_counted() {
    let mut limits = Limits::default();
    limits.open = 10;
    limits.closed = 20;
    let mut tracker = Tracker::new(limits);
    for port in 1000..1100 {
        let syn = Header {
            src_port: port,
            ..header(End::Client, Flags::SYN, 1, 0)
        };
        let frame = packet(End::Client, &syn, &[]);
        tracker
            .frame(&Frame::new(Duration::from_secs(1), Medium::Ip, &frame))
            .unwrap();
    }
    let kept: Vec<u64> = tracker
        .connections()
        .map(|connection| connection.number())
        .collect();
    assert_eq!(kept, (71..=100).collect::<Vec<_>>());
    let counters = tracker.counters();
    assert_eq!(
        (counters.connections, counters.evicted, counters.forgotten),
        (100, 90, 70)
    );
}

/// A SYN of one of many clients.
fn syn_from(port: u16, seq: u32) -> Vec<u8> {
    let syn = Header {
        src_port: port,
        ..header(End::Client, Flags::SYN, seq, 0)
    };
    packet(End::Client, &syn, &[])
}

/// The reset that refuses it.
fn refusal_of(port: u16, seq: u32) -> Vec<u8> {
    let reset = Header {
        dst_port: port,
        ..header(End::Server, Flags::RST | Flags::ACK, 0, seq + 1)
    };
    packet(End::Server, &reset, &[])
}

#[test]
fn connections_that_are_over_are_handed_over_once_and_the_rest_at_the_end() {
    let mut tracker = Tracker::default();
    let give = |tracker: &mut Tracker, secs: u64, frame: &[u8]| {
        let frame = Frame::new(Duration::from_secs(secs), Medium::Ip, frame);
        tracker.frame(&frame).unwrap().connection
    };
    assert_eq!(give(&mut tracker, 0, &syn_from(1000, 1)), 1);
    assert_eq!(give(&mut tracker, 0, &syn_from(1001, 1)), 2);
    assert_eq!(give(&mut tracker, 1, &refusal_of(1001, 1)), 2);
    assert_eq!(give(&mut tracker, 2, &syn_from(1002, 1)), 3);
    assert_eq!(tracker.take_closed().count(), 0, "late segments may come");
    // The same sockets again, and later the time to linger has passed.
    assert_eq!(give(&mut tracker, 3, &refusal_of(1002, 1)), 3);
    assert_eq!(give(&mut tracker, 4, &syn_from(1002, 9000)), 4);
    let numbers = |taken: Vec<transom_flow::Connection>| -> Vec<u64> {
        assert!(taken.iter().all(transom_flow::Connection::is_finished));
        taken.iter().map(transom_flow::Connection::number).collect()
    };
    assert_eq!(numbers(tracker.take_closed().collect()), [3]);
    give(&mut tracker, 400, &syn_from(1000, 1));
    assert_eq!(numbers(tracker.take_closed().collect()), [2]);
    assert_eq!(tracker.take_closed().count(), 0);
    tracker.finish();
    assert_eq!(numbers(tracker.take_all().collect()), [1, 4]);
    assert_eq!(tracker.connections().count(), 0);
    assert_eq!(give(&mut tracker, 401, &syn_from(1000, 1)), 5);
}

#[test]
fn closed_connections_make_room_before_open_ones() {
    let mut limits = Limits::default();
    limits.open = 4;
    limits.lingering = 2;
    let mut tracker = Tracker::new(limits);
    let mut number = 0;
    let mut give = |tracker: &mut Tracker, frame: &[u8]| {
        number += 10;
        let frame = Frame {
            number: Some(number),
            ..Frame::new(Duration::from_secs(1), Medium::Ip, frame)
        };
        assert_eq!(tracker.frame(&frame).unwrap().frame, number);
    };
    give(&mut tracker, &syn_from(1000, 1));
    for port in 1001..1008 {
        give(&mut tracker, &syn_from(port, 1));
        give(&mut tracker, &refusal_of(port, 1));
    }
    let taken: Vec<_> = tracker.take_closed().collect();
    let numbers: Vec<u64> = taken.iter().map(transom_flow::Connection::number).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6], "two linger");
    assert_eq!(taken[0].verdict().ending.frames, [30], "numbers as given");
    assert_eq!(tracker.counters().evicted, 0);
    for port in 1008..1012 {
        give(&mut tracker, &syn_from(port, 1));
    }
    let taken: Vec<u64> = tracker.take_closed().map(|c| c.number()).collect();
    assert_eq!(taken, [7, 8, 1], "only then the longest open one");
    assert_eq!(tracker.counters().evicted, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes at all: nothing but a named reason comes of them.
    #[test]
    fn any_bytes_are_a_segment_or_have_a_reason(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..20),
        ethernet in any::<bool>(),
    ) {
        let medium = if ethernet { Medium::Ethernet } else { Medium::Ip };
        let mut tracker = Tracker::default();
        for frame in &frames {
            let _ = tracker.frame(&Frame::new(Duration::ZERO, medium, frame));
        }
        tracker.finish();
        let c = *tracker.counters();
        let sum = c.segments + c.icmp + c.icmp_unknown + c.not_ip + c.not_tcp + c.fragments + c.malformed;
        prop_assert_eq!(sum, frames.len() as u64);
    }

    /// Any segments in any order between two sockets, by a clock that may jump: every one has its step, and
    /// words are found.
    #[test]
    fn any_segments_make_a_connection_that_can_be_told(
        segments in proptest::collection::vec(
            (any::<bool>(), 0u16..64, -3i32..3000, -3i32..3000, 0usize..3000, 0u8..4, any::<bool>()),
            1..60,
        ),
        truths in proptest::collection::vec((0usize..60, any::<bool>(), 0usize..11, 0usize..11), 0..6),
        wild in any::<bool>(),
    ) {
        let mut tracker = Tracker::default();
        for (at, &(is_client, bits, seq, ack, len, fate, zero)) in segments.iter().enumerate() {
            let from = if is_client { End::Client } else { End::Server };
            let time = Duration::from_millis(at as u64 * 7);
            let time = if wild && at % 3 == 1 { Duration::MAX - time } else { time };
            let number = |n: i32| u32::MAX.wrapping_sub(1000).wrapping_add_signed(n);
            let mut header = header(from, Flags::from_bits(bits), number(seq), number(ack));
            header.window = if zero { 0 } else { 500 };
            let packet = packet(from, &header, &vec![b'G'; len]);
            let fate = match fate {
                0 => Fate::Lost,
                1 => Fate::Arrives(time.saturating_add(Duration::from_millis(20))),
                _ => Fate::Unknown,
            };
            tracker.frame(&Frame { fate, ..Frame::new(time, Medium::Ip, &packet) }).unwrap();
            for &(when, is_client, old, new) in &truths {
                if when == at {
                    let end = if is_client { End::Client } else { End::Server };
                    let state = |n: usize| State::ALL[n];
                    let event = if old == new {
                        TruthEvent::Sample(state(new))
                    } else {
                        TruthEvent::State { from: state(old), to: state(new) }
                    };
                    tracker.truth(Truth { time, local: addr(end), peer: addr(end.other()), event });
                }
            }
        }
        tracker.finish();
        let mut frames = 0;
        for connection in tracker.connections() {
            prop_assert!(!connection.verdict().text().is_empty());
            let mut next = 0;
            for entry in connection.entries() {
                if let Entry::Step(step) = entry {
                    prop_assert_eq!(step.index, next);
                    next += 1;
                }
            }
            prop_assert_eq!(next, connection.step_count());
            frames += connection.totals().client.frames + connection.totals().server.frames;
        }
        prop_assert_eq!(frames, segments.len() as u64);
    }
}
