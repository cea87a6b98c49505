//! What can be seen of a stack from outside.

use core::net::SocketAddr;
use std::sync::{Arc, Mutex};

use transom_stack::tcp::{self, Event, Instant, PathError, State};
use transom_stack::wire::icmpv4;
use transom_stack::{
    ConnectOptions, Direction, Discard, FrameRef, Metrics, Recorder, StackConfig, StackEvent,
};

use crate::harness::*;

#[derive(Debug, Default)]
struct Seen {
    frames: Vec<(Direction, usize)>,
    states: Vec<(State, State)>,
    discards: Vec<(Option<SocketAddr>, Discard)>,
    timers: usize,
    metrics: Vec<Metrics>,
}

#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Seen>>);

impl Recorder for Witness {
    fn frame(&mut self, _: Instant, direction: Direction, frame: FrameRef<'_>) {
        assert_eq!(frame.to_vec().len(), frame.len());
        self.0.lock().unwrap().frames.push((direction, frame.len()));
    }

    fn state(&mut self, _: Instant, _: SocketAddr, _: SocketAddr, from: State, to: State) {
        self.0.lock().unwrap().states.push((from, to));
    }

    fn discard(
        &mut self,
        _: Instant,
        _: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        reason: Discard,
    ) {
        self.0.lock().unwrap().discards.push((peer, reason));
    }

    fn timer(&mut self, _: Instant, _: SocketAddr, _: SocketAddr) {
        self.0.lock().unwrap().timers += 1;
    }

    fn wants_metrics(&self) -> bool {
        true
    }

    fn metrics(&mut self, _: Instant, _: SocketAddr, _: SocketAddr, metrics: Metrics) {
        self.0.lock().unwrap().metrics.push(metrics);
    }
}

#[test]
fn a_recorder_sees_frames_states_discards_timers_and_metrics() {
    use State::*;
    let witness = Witness::default();
    let mut stack = stack();
    stack.set_recorder(Some(Box::new(witness.clone())));
    let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("10.0.0.1:4000"));
    let id = stack.tcp_connect(at(0), options).unwrap();
    drain(&mut stack, at(0));
    stack.handle_timeout(at(1_000));
    let syn = one_tcp(&drain(&mut stack, at(1_000)));
    let peer = Peer::answer(&mut stack, at(1_020), &syn);
    stack.tcp_release(at(1_020), id);
    let fin = one_tcp(&drain(&mut stack, at(1_020)));
    exchange(
        &mut stack,
        at(1_040),
        peer.seg(FIN | ACK).ack(fin.seq + 1).bytes(),
    );
    exchange(
        &mut stack,
        at(1_040),
        seg("10.0.0.2:80", "10.0.0.1:4000", RST).bytes(),
    );
    stack.handle_timeout(at(70_000));

    let seen = witness.0.lock().unwrap();
    let directions: Vec<_> = seen
        .frames
        .iter()
        .map(|(direction, _)| *direction)
        .collect();
    use Direction::{In, Out};
    assert_eq!(directions, [Out, Out, In, Out, Out, In, Out, In]);
    assert_eq!(
        seen.states,
        [
            (Closed, SynSent),
            (SynSent, Established),
            (Established, FinWait1),
            (FinWait1, FinWait2),
            (FinWait2, TimeWait),
            (TimeWait, Closed),
        ]
    );
    let reset = Discard::Tcp(tcp::Discard::ResetInTimeWait);
    assert_eq!(seen.discards, [(Some(socket("10.0.0.2:80")), reset)]);
    assert_eq!(seen.timers, 1);
    assert!(!seen.metrics.is_empty());
    drop(seen);
    // Taken away, it sees no more.
    stack.set_recorder(None);
    exchange(
        &mut stack,
        at(70_000),
        seg("10.0.0.2:80", "10.0.0.1:4000", SYN).bytes(),
    );
    assert_eq!(witness.0.lock().unwrap().frames.len(), 8);
}

#[test]
fn a_passive_open_begins_in_listen() {
    let witness = Witness::default();
    let mut stack = stack();
    stack.set_recorder(Some(Box::new(witness.clone())));
    let on = transom_stack::ListenOptions::new(transom_stack::ListenOn::AnyAddress(80));
    stack.tcp_listen(on).unwrap();
    Peer::open(&mut stack, at(0), "10.0.0.2:9", "10.0.0.1:80");
    let states = &witness.0.lock().unwrap().states;
    let expected = [
        (State::Listen, State::SynReceived),
        (State::SynReceived, State::Established),
    ];
    assert_eq!(states[..], expected);
}

#[test]
fn req_must_47_and_shld_25_and_shld_20_soft_errors_are_events_that_can_be_switched_off() {
    for report in [true, false] {
        let config = tcp::Config::default().report_soft_errors(report);
        let mut stack = stack_with(StackConfig::default().tcp(config));
        let (id, _) = connected(&mut stack, at(0), "10.0.0.2:80");
        stack.tcp_send(at(0), id, "data".into()).unwrap();
        let sent = drain(&mut stack, at(0)).remove(0);
        // Many errors before the application looks are one event.
        for _ in 0..10 {
            let message = icmpv4::Message::DestinationUnreachable {
                code: 0,
                next_hop_mtu: 0,
                quote: &sent,
            };
            exchange(&mut stack, at(0), icmp4("10.0.0.254", US, message));
        }
        let errors = core::iter::from_fn(|| stack.poll_event())
            .filter(|event| {
                let error = Event::SoftError(PathError::NetworkUnreachable);
                *event == StackEvent::Tcp(id, error)
            })
            .count();
        assert_eq!(errors, usize::from(report));
    }
}

#[test]
fn req_ip6_12_the_hop_limit_is_64_unless_chosen() {
    let sent = exchange(
        &mut stack(),
        at(0),
        seg("[2001:db8::2]:9", "[2001:db8::1]:80", SYN).bytes(),
    );
    assert_eq!(sent[0][7], 64);
}

#[test]
fn req_ip6_11_a_flow_keeps_its_label_and_others_have_others() {
    let label = |frame: &[u8]| u32::from_be_bytes([0, frame[1] & 0xf, frame[2], frame[3]]);
    let mut stack = stack();
    let mut labels = std::collections::HashSet::new();
    for port in 1..100 {
        let options = ConnectOptions::new(socket(&format!("[2001:db8::2]:{port}")));
        stack.tcp_connect(at(0), options).unwrap();
        let frames = drain(&mut stack, at(0));
        assert_eq!(frames.len(), 1);
        labels.insert(label(&frames[0]));
    }
    assert!(labels.len() > 95);
    let sent = run_until(&mut stack, at(0), at(1_000));
    assert_eq!(sent.len(), 99, "each SYN again");
    assert!(sent.iter().all(|(_, frame)| labels.contains(&label(frame))));
}
