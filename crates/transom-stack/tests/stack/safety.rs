//! Peers that take memory, time or places (requirements part E that concern more than one connection).

use bytes::Bytes;
use transom_stack::tcp::{CloseReason, Config, Event, State};
use transom_stack::wire::ip::ipv4;
use transom_stack::wire::{Cidr, Protocol, RxFrame};
use transom_stack::{
    ConnId, Discard, ListenOn, ListenOptions, ListenerId, Stack, StackConfig, StackEvent, UdpOn,
};

use crate::harness::*;

/// A stack with a listener on port 80.
fn serving(config: StackConfig) -> (Stack, ListenerId) {
    let mut stack = stack_with(config);
    let on = ListenOptions::new(ListenOn::AnyAddress(80));
    let listener = stack.tcp_listen(on).unwrap();
    (stack, listener)
}

/// The n-th peer's connection.
fn open(stack: &mut Stack, listener: ListenerId, n: usize) -> (ConnId, Peer) {
    let peer = format!("10.0.{}.{}:9", 1 + n / 200, 1 + n % 200);
    let peer = Peer::open(stack, at(0), &peer, "10.0.0.1:80");
    (stack.tcp_accept(listener).unwrap(), peer)
}

#[test]
fn req_sec_ooo_2_data_beyond_gaps_is_bounded_over_all_connections() {
    let limit = 100_000;
    let config = StackConfig::default().max_out_of_order_bytes(limit);
    let (mut stack, listener) = serving(config);
    let held = |stack: &Stack, ids: &[ConnId]| -> usize {
        let memory = |id: &ConnId| stack.tcp_connection(*id).unwrap().out_of_order_memory();
        ids.iter().map(memory).sum()
    };
    // An interactive connection from before, with a short gap now and then.
    let (honest, mut its_peer) = open(&mut stack, listener, 0);
    let mut ids = vec![honest];
    for n in 1..200 {
        let (id, peer) = open(&mut stack, listener, n);
        ids.push(id);
        // A gap that is never filled.
        let beyond = peer.seg(ACK).seq(peer.snd_nxt + 1).payload(&[7; 1400]);
        for step in 0..3 {
            let piece = beyond.clone().seq(beyond.seq + step * 1500);
            exchange(&mut stack, at(n as u64), piece.bytes());
        }
        assert!(held(&stack, &ids) <= limit);
        // The honest one loses a segment, and gets it a little later.
        let late = its_peer.seg(ACK).payload(b"12345");
        let early = its_peer
            .seg(ACK)
            .seq(its_peer.snd_nxt + 5)
            .payload(b"67890");
        exchange(&mut stack, at(n as u64), early.bytes());
        exchange(&mut stack, at(n as u64), late.bytes());
        its_peer.snd_nxt += 10;
        let read = stack.tcp_recv(at(n as u64), honest, 100).unwrap().unwrap();
        let rest = stack.tcp_recv(at(n as u64), honest, 100).unwrap();
        let all = [read, rest.unwrap_or_default()].concat();
        assert_eq!(all, b"1234567890");
        drain(&mut stack, at(n as u64));
    }
    let counters = stack.counters();
    assert!(counters.out_of_order_overflows > 100);
    // Nobody was reset: what was forgotten can be sent again.
    let open = |id: &ConnId| stack.tcp_state(*id) == Some(State::Established);
    assert!(ids.iter().all(open));
    // The oldest gaps went first.
    assert_eq!(held(&stack, &ids[..50]), 0);
    assert!(held(&stack, &ids[190..]) > 0);
    for id in ids {
        stack.tcp_abort(at(1000), id);
        stack.tcp_release(at(1000), id);
    }
    drain(&mut stack, at(1000));
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_sec_zwp_1_and_cve_29_peers_that_take_nothing_are_reset_when_memory_is_short() {
    let buffer = 10_000;
    let limit = 20 * buffer;
    let config = StackConfig::default()
        .tcp(Config::default().send_buffer(buffer))
        .max_send_bytes(limit);
    let (mut stack, listener) = serving(config);
    let (honest, mut its_peer) = open(&mut stack, listener, 0);
    let mut ids = Vec::new();
    for n in 1..100 {
        let (id, peer) = open(&mut stack, listener, n);
        let mut shut = peer.seg(ACK);
        shut.window = 0;
        exchange(&mut stack, at(n as u64), shut.bytes());
        let data = Bytes::from(vec![1; buffer]);
        assert_eq!(stack.tcp_send(at(n as u64), id, data), Ok(buffer));
        drain(&mut stack, at(n as u64));
        ids.push(id);
        let queued = |id: &ConnId| stack.tcp_info(*id).map_or(0, |info| info.send_queue);
        let all: usize = ids.iter().map(queued).sum();
        assert!(all <= limit + buffer, "{all} bytes held");
        // Who answers is served meanwhile.
        let now = at(n as u64);
        stack.tcp_send(now, honest, "pong".into()).unwrap();
        let sent: Vec<_> = drain(&mut stack, now)
            .iter()
            .map(|f| parse_tcp(f))
            .collect();
        assert!(sent.iter().any(|sent| sent.payload == b"pong"));
        its_peer.rcv_nxt += 4;
        exchange(&mut stack, now, its_peer.seg(ACK).bytes());
    }
    // The longest stalled went first, and their applications are told. Nineteen have room beside the honest one.
    assert_eq!(stack.counters().send_overflows, 80);
    let state = |id: ConnId| stack.tcp_state(id).unwrap();
    assert_eq!(state(ids[0]), State::Closed);
    assert_eq!(state(ids[98]), State::Established);
    assert_eq!(state(honest), State::Established);
    let told = core::iter::from_fn(|| stack.poll_event())
        .any(|event| event == StackEvent::Tcp(ids[0], Event::Closed(CloseReason::Aborted)));
    assert!(told);
    // Those that are left may stall as long as they answer; their applications' own limit holds.
    let config = Config::default().user_timeout(Some(core::time::Duration::from_secs(20)));
    let on = ListenOptions::new(ListenOn::AnyAddress(81)).config(config);
    let impatient = stack.tcp_listen(on).unwrap();
    let peer = Peer::open(&mut stack, at(200), "10.0.0.2:9", "10.0.0.1:81");
    let id = stack.tcp_accept(impatient).unwrap();
    let mut shut = peer.seg(ACK);
    shut.window = 0;
    exchange(&mut stack, at(200), shut.bytes());
    stack.tcp_send(at(200), id, "data".into()).unwrap();
    let mut now = at(200);
    while stack.tcp_state(id) == Some(State::Established) && now < at(60_000) {
        for frame in drain(&mut stack, now) {
            let probe = parse_tcp(&frame);
            if probe.dst == socket("10.0.0.2:9") {
                exchange(&mut stack, now, shut.bytes());
            }
        }
        now = stack.poll_timeout(now).unwrap().max(now);
        stack.handle_timeout(now);
    }
    assert!(now >= at(20_000) && now < at(23_000), "{now:?}");
}

#[test]
fn req_sec_frag_2_a_forged_fragment_spoils_a_datagram_and_never_changes_one() {
    let whole = datagram("10.0.0.2:9", "10.0.0.1:53", &[5; 64]).split_off(20);
    let fragment = |offset: u16, more, data: &[u8]| {
        let mut out = vec![0; ipv4::MIN_HEADER_LEN];
        let header = ipv4::Header {
            id: 7,
            dont_fragment: false,
            more_fragments: more,
            fragment_offset: offset,
            ..ipv4::Header::new(PEER.parse().unwrap(), US.parse().unwrap(), Protocol::UDP)
        };
        header.emit(&mut out, data.len());
        out.extend_from_slice(data);
        out
    };
    let (head, tail) = (
        fragment(0, true, &whole[..32]),
        fragment(32, false, &whole[32..]),
    );
    let forged = fragment(32, false, &[6; 40]);
    let mut stack = stack();
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    let give = |stack: &mut Stack, packet: &Vec<u8>| {
        stack.handle_frame(at(0), RxFrame::from(Bytes::from(packet.clone())));
    };
    // Guessed and first: the sum over the whole finds it out.
    give(&mut stack, &forged);
    give(&mut stack, &head);
    assert_eq!(stack.udp_recv(id), None);
    assert_eq!(stack.counters().discarded(Discard::UdpChecksum), 1);
    // The genuine rest is no datagram either.
    give(&mut stack, &tail);
    assert_eq!(stack.udp_recv(id), None);
    // Second: it replaces nothing; the datagram is spoilt.
    let mut stack = stack_with(StackConfig::default());
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    give(&mut stack, &tail);
    give(&mut stack, &forged);
    give(&mut stack, &head);
    assert_eq!(stack.udp_recv(id), None);
    assert!(stack.counters().discarded(Discard::FragmentOverlap) > 0);
    // Untouched, it arrives.
    let mut stack = stack_with(StackConfig::default());
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    give(&mut stack, &head);
    give(&mut stack, &tail);
    assert_eq!(stack.udp_recv(id).unwrap().payload, [5; 64][..]);
}

#[test]
fn a_held_fragment_does_not_keep_its_frame() {
    let mut stack = stack();
    let mut frame = vec![0; ipv4::MIN_HEADER_LEN];
    let header = ipv4::Header {
        id: 7,
        dont_fragment: false,
        more_fragments: true,
        ..ipv4::Header::new(PEER.parse().unwrap(), US.parse().unwrap(), Protocol::UDP)
    };
    header.emit(&mut frame, 16);
    frame.extend_from_slice(&[0; 16]);
    let frame = Bytes::from(frame);
    stack.handle_frame(at(0), RxFrame::from(frame.clone()));
    assert!(frame.is_unique());
}

#[test]
fn req_sec_res_3_a_storm_of_timers_does_not_hold_up_frames() {
    let count = 5000;
    let config = StackConfig::default().max_time_wait(count);
    let (mut stack, listener) = serving(config);
    let mut frames = 0;
    for n in 0..count {
        let (id, mut peer) = open(&mut stack, listener, n);
        stack.tcp_close(at(0), id);
        stack.tcp_release(at(0), id);
        let fin = one_tcp(&drain(&mut stack, at(0)));
        peer.rcv_nxt = fin.seq + 1;
        exchange(&mut stack, at(0), peer.seg(FIN | ACK).bytes());
    }
    assert_eq!(stack.connections().count(), count);
    // All of them end in the same instant, a bounded number in each call.
    let end = at(60_000);
    let mut calls = 0;
    while stack
        .connections()
        .any(|(.., state)| state == State::TimeWait)
    {
        let before = stack.connections().count();
        stack.handle_timeout(end);
        calls += 1;
        let done = before - stack.connections().count().min(before);
        assert!(done <= 1024, "{done} in one call");
        // Between two calls there is a turn for frames, and the stack says that it is not done.
        let (id, _) = open(&mut stack, listener, count + calls);
        assert_eq!(stack.tcp_state(id), Some(State::Established));
        frames += 1;
        if stack
            .connections()
            .any(|(.., state)| state == State::TimeWait)
        {
            assert_eq!(stack.poll_timeout(end), Some(end));
        }
    }
    assert!((5..=6).contains(&calls), "{calls} calls, {frames} frames");
}

#[test]
fn req_cve_01_and_cve_10_lengths_that_contradict_each_other_are_refused() {
    // A header of each protocol, and an IP payload that is shorter than it, or than what it says.
    let udp = datagram("10.0.0.2:9", "10.0.0.1:53", b"0123456789").split_off(20);
    let tcp = seg("10.0.0.2:9", "10.0.0.1:80", SYN)
        .mss(1460)
        .bytes()
        .split_off(20);
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let transports = [
        (Protocol::UDP, &udp[..]),
        (Protocol::TCP, &tcp[..]),
        (Protocol::ICMP, &echo[..]),
    ];
    for (protocol, bytes) in transports {
        for len in 0..bytes.len() {
            for trailing in [0, 40] {
                let mut stack = stack();
                let id = stack.udp_bind(UdpOn::Everything).unwrap();
                let on = ListenOptions::new(ListenOn::AnyAddress(80));
                stack.tcp_listen(on).unwrap();
                // The frame goes on behind the packet, with what the packet lacks.
                let mut cut = packet(PEER, US, protocol, &bytes[..len]);
                cut.extend_from_slice(&vec![0x41; trailing]);
                let sent = exchange(&mut stack, at(0), cut);
                let replied = sent.iter().any(|frame| frame[9] != 1);
                assert!(!replied, "{protocol:?} of {len} bytes is answered");
                assert_eq!(stack.udp_recv(id), None);
                assert_eq!(stack.connections().count(), 0);
                assert_eq!(stack.counters().discards().count(), 1);
            }
        }
    }
    // Packets within packets are nobody's: the inner one is not looked at.
    for tunnel in [4, 41] {
        let inner = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
        let mut stack = stack();
        let on = ListenOptions::new(ListenOn::AnyAddress(80));
        stack.tcp_listen(on).unwrap();
        let outer = packet(PEER, US, Protocol(tunnel), &inner);
        exchange(&mut stack, at(0), outer);
        assert_eq!(stack.connections().count(), 0);
        let unknown = Discard::IpProtocolUnknown;
        assert_eq!(stack.counters().discarded(unknown), 1);
    }
}

#[test]
fn req_cve_18_nothing_of_the_unspecified_address_reaches_tcp() {
    for (src, dst) in [("0.0.0.0:9", "10.0.0.1:80"), ("[::]:9", "[2001:db8::1]:80")] {
        let (mut stack, _) = serving(StackConfig::default().any_address(true));
        for flags in [SYN, ACK, RST, RST | ACK, FIN | ACK] {
            let bad = seg(src, dst, flags).bytes();
            assert_dropped(&mut stack, bad, Discard::IpBadSource);
        }
        assert_eq!(stack.connections().count(), 0);
    }
    for (src, dst) in [("10.0.0.2:9", "0.0.0.0:80"), ("[2001:db8::2]:9", "[::]:80")] {
        let (mut stack, _) = serving(StackConfig::default().any_address(true));
        let sent = exchange(&mut stack, at(0), seg(src, dst, SYN).bytes());
        assert_eq!(sent, Vec::<Vec<u8>>::new());
        assert_eq!(stack.connections().count(), 0);
    }
}

#[test]
fn req_sec_rng_1_everything_unpredictable_follows_the_secret() {
    // There is no stack without a secret, and no secret of its own in it: two secrets agree in nothing.
    let first = |secret: [u8; 32]| {
        let capabilities = transom_stack::wire::Capabilities::ip(1500);
        let mut stack = Stack::new(StackConfig::default(), capabilities, secret, at(0));
        stack.add_address("10.0.0.1/24".parse::<Cidr>().unwrap());
        let to = transom_stack::ConnectOptions::new(socket("10.0.0.2:80"));
        stack.tcp_connect(at(0), to).unwrap();
        let syn = one_tcp(&drain(&mut stack, at(0)));
        (syn.src.port(), syn.seq, syn.options.timestamps.unwrap().val)
    };
    let mut secret = [0; 32];
    let all: Vec<_> = (0..32)
        .map(|index| {
            // Every byte of it counts.
            secret = [0; 32];
            secret[index] = 1;
            first(secret)
        })
        .collect();
    for (index, one) in all.iter().enumerate() {
        assert_eq!(*one, {
            let mut secret = [0; 32];
            secret[index] = 1;
            first(secret)
        });
        for other in &all[index + 1..] {
            assert_ne!(one.1, other.1);
            assert_ne!(one.2, other.2);
        }
    }
}
