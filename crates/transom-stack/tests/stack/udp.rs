//! UDP (requirements D.7), and fragments of our own.

use bytes::Bytes;
use transom_stack::tcp::PathError;
use transom_stack::wire::ip::Packet;
use transom_stack::wire::{Capabilities, Ecn, Protocol, RxChecksum, RxFrame, icmpv4, udp};
use transom_stack::{
    BindError, DatagramError, DatagramOptions, Discard, StackConfig, StackEvent, UdpOn, Unreachable,
};

use crate::harness::*;

fn on(address: &str) -> UdpOn {
    UdpOn::Address(socket(address))
}

#[test]
fn req_udp_1_length_field_rules() {
    let mut stack = stack();
    let id = stack.udp_bind(on("10.0.0.1:53")).unwrap();
    // Bytes beyond the UDP length are ignored.
    let mut trailing = datagram("10.0.0.2:9", "10.0.0.1:53", b"hello").split_off(20);
    trailing.extend_from_slice(b"junk");
    exchange(
        &mut stack,
        at(0),
        packet(PEER, US, Protocol::UDP, &trailing),
    );
    assert_eq!(stack.udp_recv(id).unwrap().payload, "hello");
    for len in [0u16, 7, 100] {
        let mut bad = datagram("10.0.0.2:9", "10.0.0.1:53", b"hello").split_off(20);
        bad[4..6].copy_from_slice(&len.to_be_bytes());
        assert_dropped(
            &mut stack,
            packet(PEER, US, Protocol::UDP, &bad),
            Discard::UdpMalformed,
        );
    }
}

#[test]
fn req_udp_2_and_ip6_15_checksum_zero() {
    let mut stack = stack();
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    let mut none = datagram("10.0.0.2:9", "10.0.0.1:53", b"hello").split_off(20);
    none[6..8].fill(0);
    exchange(&mut stack, at(0), packet(PEER, US, Protocol::UDP, &none));
    assert!(stack.udp_recv(id).is_some());
    let mut none = datagram("[2001:db8::2]:9", "[2001:db8::1]:53", b"hello").split_off(40);
    none[6..8].fill(0);
    assert_dropped(
        &mut stack,
        packet(PEER6, US6, Protocol::UDP, &none),
        Discard::UdpChecksum,
    );
    let mut bad = datagram("10.0.0.2:9", "10.0.0.1:53", b"hello").split_off(20);
    bad[6] ^= 1;
    assert_dropped(
        &mut stack,
        packet(PEER, US, Protocol::UDP, &bad),
        Discard::UdpChecksum,
    );
}

#[test]
fn req_udp_2_computed_zero_goes_out_as_all_ones() {
    let mut stack = stack();
    let id = stack.udp_bind(on("10.0.0.1:53")).unwrap();
    let mut seen = false;
    for value in 0..=u16::MAX {
        let payload = Bytes::copy_from_slice(&value.to_be_bytes());
        let to = socket("10.0.0.2:9");
        stack
            .udp_send(at(0), id, to, payload, DatagramOptions::default())
            .unwrap();
        let sent = drain(&mut stack, at(0));
        let field = &sent[0][26..28];
        assert_ne!(field, [0, 0]);
        seen |= field == [0xff, 0xff];
    }
    assert!(seen, "one of the 2^16 payloads sums to zero");
}

#[test]
fn req_udp_3_and_ic4_5_closed_port_is_reported() {
    let sent = exchange(
        &mut stack(),
        at(0),
        datagram("10.0.0.2:9", "10.0.0.1:53", b"x"),
    );
    let (from, to, kind, code, quote) = parse_icmp(&sent[0]);
    assert_eq!(
        (from, to, kind, code),
        (ip(US), ip(PEER), 3, icmpv4::unreachable::PORT)
    );
    assert_eq!(quote.len(), 29);
    let sent = exchange(
        &mut stack(),
        at(0),
        datagram("[2001:db8::2]:9", "[2001:db8::1]:53", b"x"),
    );
    let (_, to, kind, code, _) = parse_icmp(&sent[0]);
    assert_eq!((to, kind, code), (ip(PEER6), 1, 4));
    let mut hole = stack_with(StackConfig::default().black_hole(true));
    assert_dropped(
        &mut hole,
        datagram("10.0.0.2:9", "10.0.0.1:53", b"x"),
        Discard::UdpNoSocket,
    );
}

#[test]
fn req_udp_4_icmp_errors_reach_the_socket() {
    let mut stack = stack();
    let id = stack.udp_bind(on("10.0.0.1:5000")).unwrap();
    let other = stack.udp_bind(on("10.0.0.1:5001")).unwrap();
    let to = socket("10.0.0.2:53");
    stack
        .udp_send(at(0), id, to, "x".into(), DatagramOptions::default())
        .unwrap();
    let sent = drain(&mut stack, at(0)).remove(0);
    let error = icmpv4::Message::DestinationUnreachable {
        code: 3,
        next_hop_mtu: 0,
        quote: &sent[..28],
    };
    exchange(&mut stack, at(0), icmp4(PEER, US, error));
    assert_eq!(stack.poll_event(), Some(StackEvent::UdpError(id)));
    let error = stack.udp_take_error(id).unwrap();
    assert_eq!((error.local, error.peer), (socket("10.0.0.1:5000"), to));
    assert_eq!(error.error, PathError::PortUnreachable);
    assert_eq!(stack.udp_take_error(id), None);
    assert_eq!(stack.udp_take_error(other), None);
}

#[test]
fn req_udp_5_addresses_and_fields_both_ways() {
    let mut stack = stack_with(StackConfig::default().any_address(true));
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    let inner = datagram("10.0.0.2:9", "192.0.2.53:53", b"q").split_off(20);
    let query = packet_with(PEER, "192.0.2.53", Protocol::UDP, &inner, 33, Ecn::Ect0);
    exchange(&mut stack, at(0), query);
    assert_eq!(stack.poll_event(), Some(StackEvent::UdpReadable(id)));
    let got = stack.udp_recv(id).unwrap();
    assert_eq!(
        (got.local, got.peer),
        (socket("192.0.2.53:53"), socket("10.0.0.2:9"))
    );
    assert_eq!((got.hop_limit, got.ecn), (33, Ecn::Ect0));
    let mut options = DatagramOptions::from(got.local);
    options.hop_limit = Some(9);
    options.dscp = 46;
    options.ecn = Ecn::Ect1;
    stack
        .udp_send(at(0), id, got.peer, "answer".into(), options)
        .unwrap();
    let sent = drain(&mut stack, at(0));
    let packet = Packet::new(&sent[0]).unwrap();
    assert_eq!((packet.src(), packet.dst()), (ip("192.0.2.53"), ip(PEER)));
    assert_eq!(
        (packet.ttl(), packet.dscp(), packet.ecn()),
        (9, 46, Ecn::Ect1)
    );
    let view = udp::View::new(packet.payload()).unwrap();
    assert!(view.verify_checksum(packet.src(), packet.dst()));
    assert_eq!((view.src_port(), view.payload()), (53, &b"answer"[..]));
    // And an error in place of an answer comes from that address as well.
    stack.udp_unreachable(at(0), &got, Unreachable::Host);
    let (from, to, kind, code, _) = parse_icmp(&drain(&mut stack, at(0))[0]);
    assert_eq!((from, to, kind, code), (ip("192.0.2.53"), ip(PEER), 3, 1));
}

#[test]
fn datagrams_that_the_device_left_together_stay_datagrams() {
    let mut stack = stack_with(StackConfig::default().udp_receive_buffer(4000));
    let id = stack.udp_bind(on("10.0.0.1:443")).unwrap();
    let sending: Vec<u8> = (0..2500_u32).map(|n| n as u8).collect();
    let frame = |payload: &[u8], gso_size| RxFrame {
        data: datagram("10.0.0.2:9", "10.0.0.1:443", payload).into(),
        checksum: RxChecksum::Valid,
        gso_size,
    };
    stack.handle_frame(at(0), frame(&sending, 1200));
    let parts: Vec<_> = core::iter::from_fn(|| stack.udp_recv(id))
        .map(|datagram| datagram.payload)
        .collect();
    assert!(parts.iter().eq(sending.chunks(1200)), "{parts:?}");
    // A single one, also an empty one, is not touched.
    for payload in [&sending[..], &sending[..1200], b""] {
        let size = if payload.len() == 1200 { 1200 } else { 0 };
        stack.handle_frame(at(0), frame(payload, size));
        assert_eq!(stack.udp_recv(id).unwrap().payload, payload);
        assert_eq!(stack.udp_recv(id), None);
    }
    // Those that find no room are counted one by one.
    stack.handle_frame(at(0), frame(&[0; 6000], 1200));
    let held = core::iter::from_fn(|| stack.udp_recv(id)).count() as u64;
    assert_eq!((held, stack.counters().datagrams_in), (2, 8));
    assert_eq!(stack.counters().discarded(Discard::UdpQueueFull), 3);
}

#[test]
fn req_udp_6_receive_queue_is_bounded() {
    let mut stack = stack_with(StackConfig::default().udp_receive_buffer(10_000));
    let id = stack.udp_bind(on("10.0.0.1:53")).unwrap();
    for _ in 0..100 {
        exchange(
            &mut stack,
            at(0),
            datagram("10.0.0.2:9", "10.0.0.1:53", &[0; 1000]),
        );
    }
    let held = core::iter::from_fn(|| stack.udp_recv(id)).count();
    assert!((5..=10).contains(&held), "{held}");
    assert_eq!(
        stack.counters().discarded(Discard::UdpQueueFull),
        100 - held as u64
    );
    // Emptied, it takes more.
    exchange(
        &mut stack,
        at(0),
        datagram("10.0.0.2:9", "10.0.0.1:53", b"x"),
    );
    assert!(stack.udp_recv(id).is_some());
}

#[test]
fn sockets_are_told_apart() {
    let mut stack = stack();
    let exact = stack.udp_bind(on("10.0.0.1:53")).unwrap();
    let any = stack.udp_bind(on("0.0.0.0:53")).unwrap();
    let rest = stack.udp_bind(UdpOn::Everything).unwrap();
    assert_eq!(
        stack.udp_bind(on("10.0.0.1:53")),
        Err(BindError::AddressInUse)
    );
    assert_eq!(
        stack.udp_bind(UdpOn::Everything),
        Err(BindError::AddressInUse)
    );
    assert_eq!(
        stack.udp_bind(on("10.9.9.9:53")),
        Err(BindError::InvalidLocal)
    );
    stack.add_address(cidr("10.0.1.1/24"));
    exchange(
        &mut stack,
        at(0),
        datagram("10.0.0.2:9", "10.0.0.1:53", b"exact"),
    );
    exchange(
        &mut stack,
        at(0),
        datagram("10.0.0.2:9", "10.0.1.1:53", b"any"),
    );
    exchange(
        &mut stack,
        at(0),
        datagram("10.0.0.2:9", "10.0.1.1:54", b"rest"),
    );
    assert_eq!(stack.udp_recv(exact).unwrap().payload, "exact");
    assert_eq!(stack.udp_recv(any).unwrap().payload, "any");
    assert_eq!(stack.udp_recv(rest).unwrap().payload, "rest");
    stack.udp_close(exact);
    let to = socket("10.0.0.2:9");
    let closed = stack.udp_send(at(0), exact, to, "x".into(), DatagramOptions::default());
    assert_eq!(closed, Err(DatagramError::Closed));
    let free = stack.udp_bind(on("0.0.0.0:0")).unwrap();
    let Some(UdpOn::Address(bound)) = stack.udp_local(free) else {
        panic!("bound to an address");
    };
    assert!((32768..=60999).contains(&bound.port()));
}

#[test]
fn req_ip4_16_and_ip6_10_and_cve_24_large_datagrams_go_out_in_fragments() {
    for (us, peer) in [
        ("10.0.0.1:53", "10.0.0.2:9"),
        ("[2001:db8::1]:53", "[2001:db8::2]:9"),
    ] {
        let mut sender = on_device(StackConfig::default(), Capabilities::ip(1400));
        let id = sender.udp_bind(on(us)).unwrap();
        let payload: Vec<u8> = (0..5000).map(|i| i as u8).collect();
        let to = socket(peer);
        let options = DatagramOptions::default();
        sender
            .udp_send(at(0), id, to, payload.clone().into(), options)
            .unwrap();
        let sent = drain(&mut sender, at(0));
        assert_eq!(sent.len(), 4);
        let mut ends = 0;
        for (i, bytes) in sent.iter().enumerate() {
            assert!(bytes.len() <= 1400);
            let packet = Packet::new(bytes).unwrap();
            let fragment = packet.fragment().unwrap();
            assert_eq!(usize::from(fragment.offset), ends);
            assert_eq!(fragment.more, i < 3);
            ends += packet.payload().len();
        }
        assert_eq!(ends, 5008);
        // A stack in the peer's place puts them together again.
        let mut receiver = transom_stack::Stack::new(
            StackConfig::default().any_address(true),
            Capabilities::ip(1400),
            [7; 32],
            at(0),
        );
        let there = receiver.udp_bind(UdpOn::Everything).unwrap();
        for bytes in sent {
            exchange(&mut receiver, at(0), bytes);
        }
        assert_eq!(receiver.udp_recv(there).unwrap().payload, payload);
        // With DF it is refused instead.
        let mut whole = DatagramOptions::default();
        whole.dont_fragment = true;
        let refused = sender.udp_send(at(0), id, to, payload.into(), whole);
        assert_eq!(refused, Err(DatagramError::TooLarge));
    }
}

#[test]
fn output_queue_is_bounded() {
    let mut stack = stack_with(StackConfig::default().max_output_queue(8));
    let id = stack.udp_bind(on("10.0.0.1:53")).unwrap();
    let to = socket("10.0.0.2:9");
    let mut send = || stack.udp_send(at(0), id, to, "x".into(), DatagramOptions::default());
    for _ in 0..8 {
        assert_eq!(send(), Ok(()));
    }
    assert_eq!(send(), Err(DatagramError::WouldBlock));
    assert_eq!(drain(&mut stack, at(0)).len(), 8);
}

#[test]
fn an_error_quotes_what_a_wire_would_have_carried() {
    for (peer, us) in [
        ("10.0.0.2:9", "10.0.0.1:53"),
        ("[2001:db8::2]:9", "[2001:db8::1]:53"),
    ] {
        let mut stack = stack();
        let id = stack.udp_bind(UdpOn::Everything).unwrap();
        let sent = datagram(peer, us, b"hello");
        // As a local kernel leaves it to the device: the checksum is not filled in.
        let mut offloaded = sent.clone();
        let field = sent.len() - 5 - 2;
        offloaded[field..field + 2].copy_from_slice(&[0x12, 0x34]);
        stack.handle_frame(
            at(0),
            RxFrame {
                data: offloaded.into(),
                checksum: RxChecksum::Valid,
                gso_size: 0,
            },
        );
        let got = stack.udp_recv(id).unwrap();
        stack.udp_unreachable(at(0), &got, Unreachable::Port);
        let error = drain(&mut stack, at(0)).remove(0);
        let quote = &error[error.len() - sent.len()..];
        assert_eq!(quote, sent, "{peer}");
    }
}

#[test]
fn req_udp_7_the_application_knows_the_path_and_may_forbid_fragments() {
    let mut stack = stack();
    let id = stack
        .udp_bind(UdpOn::Address(socket("10.0.0.1:53")))
        .unwrap();
    let peer = socket("10.0.0.2:9");
    let mut whole = DatagramOptions::default();
    whole.dont_fragment = true;
    assert_eq!(stack.path_mtu(peer.ip()), 1500);
    let send = |stack: &mut transom_stack::Stack, len: usize, options| {
        let sent = stack.udp_send(at(0), id, peer, vec![7; len].into(), options);
        sent.map(|()| drain(stack, at(0)))
    };
    // As large as the path, with DF; one byte more is refused, or cut where that is allowed.
    let frames = send(&mut stack, 1472, whole).unwrap();
    assert_eq!((frames.len(), frames[0][6] & 0x40), (1, 0x40));
    let error = send(&mut stack, 1473, whole).unwrap_err();
    assert_eq!(error, DatagramError::TooLarge);
    let cut = send(&mut stack, 1473, DatagramOptions::default()).unwrap();
    assert_eq!((cut.len(), cut[0][6] & 0x40), (2, 0));
    // A router knows better, and what is known of the path follows.
    let too_big = icmpv4::Message::DestinationUnreachable {
        code: icmpv4::unreachable::FRAGMENTATION_NEEDED,
        next_hop_mtu: 1000,
        quote: &frames[0][..28],
    };
    exchange(&mut stack, at(0), icmp4("10.0.0.254", US, too_big));
    assert_eq!(stack.path_mtu(peer.ip()), 1000);
    assert_eq!(send(&mut stack, 973, whole), Err(DatagramError::TooLarge));
    assert_eq!(send(&mut stack, 972, whole).unwrap().len(), 1);
}
