//! What a segment costs in instructions, counted by callgrind, which is stable where time is not.
//!
//! The limits are a fifth above what was counted when they were set, for the compiler's and the optimisation's sake of the
//! test profile. A change that needs more says why and raises them; `bench memory` counts what a release needs.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends on any surprise"
)]

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::{Config, Instant};
use transom_stack::wire::ip::Packet;
use transom_stack::wire::tcp::TcpView;
use transom_stack::wire::{Capabilities, RxChecksum, RxFrame, TxFrame};
use transom_stack::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, RouteTarget, Stack, StackConfig,
};

/// Set for the process that callgrind watches: connections beside the one that is used.
const WATCHED: &str = "TRANSOM_TEST_INSTRUCTIONS";
const ROUNDS: u64 = 400;
const SEGMENT: &[u8] = &[7; 1448];

#[inline(never)]
fn counted_parse(bytes: &[u8]) -> usize {
    let packet = Packet::new(bytes).unwrap();
    let tcp = TcpView::new(packet.payload()).unwrap();
    black_box(tcp.options());
    tcp.payload().len()
}

#[inline(never)]
fn counted_transmit(stack: &mut Stack, now: Instant) -> Option<TxFrame> {
    stack.poll_transmit(now)
}

// What is passed to `black_box` keeps equal functions apart, which an optimiser makes one.
#[inline(never)]
fn counted_data(stack: &mut Stack, now: Instant, frame: RxFrame) {
    black_box("data");
    stack.handle_frame(now, frame);
}

#[inline(never)]
fn counted_ack(stack: &mut Stack, now: Instant, frame: RxFrame) {
    black_box("ack");
    stack.handle_frame(now, frame);
}

#[inline(never)]
fn counted_answer(stack: &mut Stack, now: Instant, frame: RxFrame) {
    black_box("answer");
    stack.handle_frame(now, frame);
}

#[inline(never)]
fn counted_receive(stack: &mut Stack, now: Instant, id: ConnId) -> Option<Bytes> {
    stack.tcp_recv(now, id, usize::MAX).unwrap()
}

/// What is counted, and the most that it may be.
const LIMITS: &[(&str, u64)] = &[
    ("parse", 360),
    ("transmit", 3630),
    ("data", 2450),
    ("ack", 1760),
    ("answer", 3950),
    ("receive", 760),
];

fn stack(address: &str, secret: u8, now: Instant) -> Stack {
    let capabilities = Capabilities {
        // Sums over data would drown what is counted; they are the device's.
        tx_checksum: true,
        ..Capabilities::ip(1500)
    };
    let tcp = Config::default().nodelay(true);
    let config = StackConfig::default().tcp(tcp);
    let mut stack = Stack::new(config, capabilities, [secret; 32], now);
    stack.add_address(address.parse().unwrap());
    stack.add_route("0.0.0.0/0".parse().unwrap(), RouteTarget::OnLink);
    stack
}

fn carried(frame: &TxFrame) -> RxFrame {
    RxFrame {
        data: frame.to_vec().into(),
        checksum: RxChecksum::Valid,
        gso_size: 0,
    }
}

/// Both ways until nothing is owed.
fn exchange(one: &mut Stack, other: &mut Stack, now: Instant) {
    loop {
        let there = one.poll_transmit(now);
        if let Some(frame) = &there {
            other.handle_frame(now, carried(frame));
        }
        let back = other.poll_transmit(now);
        if let Some(frame) = &back {
            one.handle_frame(now, carried(frame));
        }
        if there.is_none() && back.is_none() {
            return;
        }
    }
}

/// A transfer of one segment a round, each acknowledged, as callgrind watches it.
fn transfer(others: usize) {
    let mut now = Instant::from_origin(Duration::from_secs(1));
    let (mut client, mut server) = (stack("10.0.0.1/24", 1, now), stack("10.0.0.2/24", 2, now));
    let address = "10.0.0.2:80".parse().unwrap();
    let listener = server
        .tcp_listen(ListenOptions::new(ListenOn::Address(address)).backlog(10))
        .unwrap();
    let connect = |client: &mut Stack, server: &mut Stack| -> (ConnId, ConnId) {
        let near = client
            .tcp_connect(now, ConnectOptions::new(address))
            .unwrap();
        exchange(client, server, now);
        (near, server.tcp_accept(listener).unwrap())
    };
    for _ in 0..others {
        connect(&mut client, &mut server);
    }
    let (sender, receiver) = connect(&mut client, &mut server);
    for round in 0..ROUNDS + 50 {
        now += Duration::from_micros(100);
        client
            .tcp_send(now, sender, Bytes::from_static(SEGMENT))
            .unwrap();
        // The first rounds are those of slow start and of acknowledgements at once.
        let is_counted = round >= 50;
        while let Some(frame) = transmitted(&mut client, now, is_counted) {
            let frame = carried(&frame);
            if is_counted {
                assert_eq!(counted_parse(&frame.data), SEGMENT.len());
                counted_data(&mut server, now, frame);
            } else {
                server.handle_frame(now, frame);
            }
        }
        while let Some(chunk) = server.tcp_recv(now, receiver, usize::MAX).unwrap() {
            assert!(!chunk.is_empty());
        }
        // The delayed acknowledgement of every other one.
        now += Duration::from_millis(50);
        server.handle_timeout(now);
        while let Some(frame) = server.poll_transmit(now) {
            let frame = carried(&frame);
            if is_counted {
                counted_ack(&mut client, now, frame);
            } else {
                client.handle_frame(now, frame);
            }
        }
        while client.poll_event().is_some() || server.poll_event().is_some() {}
    }
    for round in 0..ROUNDS + 50 {
        now += Duration::from_micros(100);
        let is_counted = round >= 50;
        ask(now, (&mut client, sender), (&mut server, receiver), false);
        ask(
            now,
            (&mut server, receiver),
            (&mut client, sender),
            is_counted,
        );
    }
}

/// An octet from one to the other, which acknowledges the last that came the other way.
fn ask(now: Instant, from: (&mut Stack, ConnId), to: (&mut Stack, ConnId), is_counted: bool) {
    let ((from, near), (to, far)) = (from, to);
    from.tcp_send(now, near, Bytes::from_static(b"?")).unwrap();
    while let Some(frame) = from.poll_transmit(now) {
        let frame = carried(&frame);
        assert_eq!(frame.data.len(), 20 + 32 + 1, "nothing goes by itself");
        if is_counted {
            counted_answer(to, now, frame);
        } else {
            to.handle_frame(now, frame);
        }
    }
    let data = if is_counted {
        counted_receive(to, now, far)
    } else {
        to.tcp_recv(now, far, usize::MAX).unwrap()
    };
    assert_eq!(data.as_deref(), Some(&b"?"[..]));
    while from.poll_event().is_some() || to.poll_event().is_some() {}
}

fn transmitted(stack: &mut Stack, now: Instant, is_counted: bool) -> Option<TxFrame> {
    if is_counted {
        counted_transmit(stack, now)
    } else {
        stack.poll_transmit(now)
    }
}

/// Instructions a round in the function of this name, with so many connections beside.
fn count(what: &str, others: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=*instructions*counted_{what}*"))
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_segment_costs_no_more_instructions_than_it_did",
        ])
        .env(WATCHED, others.to_string())
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}; install the package of this name"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("Collected"));
    let total: u64 = line
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no count in: {text}"));
    total / ROUNDS
}

#[test]
fn a_segment_costs_no_more_instructions_than_it_did() {
    if let Ok(others) = std::env::var(WATCHED) {
        return transfer(others.parse().unwrap());
    }
    let counts: Vec<_> = LIMITS
        .iter()
        .map(|&(what, limit)| (what, count(what, 0), limit))
        .collect();
    let too_many = counts
        .iter()
        .any(|(_, count, limit)| count > limit || *count == 0);
    assert!(!too_many, "counted, and at most: {counts:?}");
}

#[test]
fn finding_a_connection_costs_the_same_among_many() {
    let (alone, among_many) = (count("data", 0), count("data", 300));
    assert!(
        among_many.abs_diff(alone) * 20 < alone,
        "{alone} alone, {among_many} among 300"
    );
}
