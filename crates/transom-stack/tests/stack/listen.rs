//! Listeners (requirements B.2 LISTEN, MUST-41, MUST-42, C.13 rows without cookies).

use transom_stack::tcp::{self, State};
use transom_stack::{
    ConnectOptions, Discard, IncomingError, ListenError, ListenOn, ListenOptions, ListenerId,
    Stack, StackConfig, StackEvent,
};

use crate::harness::*;

fn listening() -> (Stack, ListenerId) {
    let mut stack = stack();
    let listener = stack
        .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
        .unwrap();
    (stack, listener)
}

fn to_us(flags: transom_stack::wire::tcp::Flags) -> Seg {
    seg("10.0.0.2:9", "10.0.0.1:80", flags)
}

#[test]
fn req_ev_l_1_and_ev_l_6_and_cve_22_and_cve_27_resets_are_dropped() {
    let (mut stack, _) = listening();
    let gone = Discard::Tcp(tcp::Discard::ResetWithoutConnection);
    for flags in [RST, RST | ACK, RST | SYN] {
        assert_dropped(&mut stack, to_us(flags).bytes(), gone);
    }
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_ev_l_2_and_ev_l_6_acks_are_answered_with_a_reset() {
    for flags in [ACK, SYN | ACK, FIN | ACK] {
        let (mut stack, _) = listening();
        let reset = one_tcp(&exchange(&mut stack, at(0), to_us(flags).ack(777).bytes()));
        assert_eq!((reset.flags, reset.seq), (RST, 777));
        assert_eq!(stack.connections().count(), 0);
    }
}

#[test]
fn req_ev_l_3_a_syn_is_answered_and_makes_a_child() {
    let (mut stack, listener) = listening();
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), to_us(SYN).mss(1000).bytes()));
    assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, 1001));
    assert_eq!(syn_ack.options.mss, Some(1460));
    let children: Vec<_> = stack
        .connections()
        .map(|(_, _, peer, state)| (peer, state))
        .collect();
    assert_eq!(children, [(socket("10.0.0.2:9"), State::SynReceived)]);
    assert_eq!(stack.tcp_accept(listener), None);
    let ack = to_us(ACK).seq(1001).ack(syn_ack.seq + 1);
    assert!(exchange(&mut stack, at(0), ack.bytes()).is_empty());
    assert_eq!(stack.poll_event(), Some(StackEvent::Acceptable(listener)));
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.tcp_state(id), Some(State::Established));
    assert_eq!(stack.tcp_info(id).unwrap().irs.raw(), 1000);
}

#[test]
fn req_ev_l_4_data_with_the_syn_is_not_delivered_before_the_handshake() {
    let (mut stack, listener) = listening();
    let syn_ack = one_tcp(&exchange(
        &mut stack,
        at(0),
        to_us(SYN).mss(1460).payload(b"early").bytes(),
    ));
    // Kept or dropped, the acknowledgement says which.
    assert!(syn_ack.ack == 1001 || syn_ack.ack == 1006);
    assert_eq!(stack.tcp_accept(listener), None);
    let ack = to_us(ACK).seq(syn_ack.ack).ack(syn_ack.seq + 1);
    exchange(&mut stack, at(0), ack.bytes());
    let id = stack.tcp_accept(listener).unwrap();
    let early = stack.tcp_recv(at(0), id, 100).unwrap();
    assert_eq!(early.is_some(), syn_ack.ack == 1006);
}

#[test]
fn req_ev_l_5_syn_with_fin_is_dropped() {
    let (mut stack, _) = listening();
    let reason = Discard::Tcp(tcp::Discard::SynWithFin);
    assert_dropped(&mut stack, to_us(SYN | FIN).bytes(), reason);
}

#[test]
fn req_ev_l_7_anything_else_is_dropped() {
    let (mut stack, _) = listening();
    let reason = Discard::Tcp(tcp::Discard::ListenWithoutSyn);
    let none = to_us(FIN & ACK);
    assert_dropped(&mut stack, none.bytes(), reason);
    assert_dropped(&mut stack, to_us(FIN).bytes(), reason);
    assert_dropped(&mut stack, none.payload(b"data").bytes(), reason);
}

#[test]
fn req_ev_l_8_a_full_backlog_drops_and_a_second_syn_makes_no_second_child() {
    let mut stack = stack_with(StackConfig::default().syn_cookies(false));
    let on = ListenOn::Address(socket("10.0.0.1:80"));
    let listener = stack.tcp_listen(ListenOptions::new(on).backlog(2)).unwrap();
    let syn = |port: u16| seg(&format!("10.0.0.2:{port}"), "10.0.0.1:80", SYN).mss(1460);
    // As Linux: the backlog and one more.
    let first = one_tcp(&exchange(&mut stack, at(0), syn(1).bytes()));
    for port in 2..=3 {
        one_tcp(&exchange(&mut stack, at(0), syn(port).bytes()));
    }
    assert_dropped(&mut stack, syn(4).bytes(), Discard::BacklogFull);
    // The same SYN again: the same SYN-ACK again.
    let again = exchange(&mut stack, at(1), syn(1).bytes());
    for frame in again {
        let again = parse_tcp(&frame);
        assert_eq!(
            (again.flags, again.seq, again.ack),
            (SYN | ACK, first.seq, first.ack)
        );
    }
    assert_eq!(stack.connections().count(), 3);
    // Taken up, they make room.
    let ack = seg("10.0.0.2:1", "10.0.0.1:80", ACK)
        .seq(1001)
        .ack(first.seq + 1);
    exchange(&mut stack, at(1), ack.bytes());
    assert!(stack.tcp_accept(listener).is_some());
    one_tcp(&exchange(&mut stack, at(1), syn(4).bytes()));
}

#[test]
fn req_synf_8_and_cve_27_a_full_accept_queue_leaves_the_handshake_incomplete() {
    let mut stack = stack();
    let on = ListenOn::AnyAddress(80);
    let listener = stack.tcp_listen(ListenOptions::new(on).backlog(1)).unwrap();
    let mut acks = Vec::new();
    for port in 1..=2 {
        let peer = format!("10.0.0.2:{port}");
        let syn = seg(&peer, "10.0.0.1:80", SYN).mss(1460);
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        acks.push(
            seg(&peer, "10.0.0.1:80", ACK)
                .seq(1001)
                .ack(syn_ack.seq + 1),
        );
    }
    exchange(&mut stack, at(0), acks[0].bytes());
    exchange(&mut stack, at(0), acks[1].bytes());
    // Two wait, one more than the backlog; a third cannot even begin.
    let syn = seg("10.0.0.2:3", "10.0.0.1:80", SYN).mss(1460);
    assert_dropped(&mut stack, syn.bytes(), Discard::BacklogFull);
    assert!(stack.tcp_accept(listener).is_some());
    let third = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    let fourth = seg("10.0.0.2:4", "10.0.0.1:80", SYN).mss(1460);
    let fourth = one_tcp(&exchange(&mut stack, at(0), fourth.bytes()));
    let ack = |port: u16, syn_ack: &Seg| {
        seg(&format!("10.0.0.2:{port}"), "10.0.0.1:80", ACK)
            .seq(1001)
            .ack(syn_ack.seq + 1)
    };
    exchange(&mut stack, at(0), ack(3, &third).bytes());
    assert_dropped(
        &mut stack,
        ack(4, &fourth).bytes(),
        Discard::AcceptQueueFull,
    );
    // Nobody was reset: once there is room, the peer's next segment completes the handshake.
    assert!(stack.tcp_accept(listener).is_some());
    exchange(&mut stack, at(0), ack(4, &fourth).bytes());
    assert!(stack.tcp_accept(listener).is_some());
    assert!(stack.tcp_accept(listener).is_some());
}

#[test]
fn req_synf_9_an_embryo_that_gives_up_is_let_go_although_the_accept_queue_is_full() {
    let mut stack = stack();
    let on = ListenOn::AnyAddress(80);
    stack.tcp_listen(ListenOptions::new(on).backlog(1)).unwrap();
    let syn_of = |stack: &mut Stack, port: u16| {
        let peer = format!("10.0.0.2:{port}");
        let syn = seg(&peer, "10.0.0.1:80", SYN).mss(1460);
        let syn_ack = one_tcp(&exchange(stack, at(0), syn.bytes()));
        move |flags| {
            seg(&peer, "10.0.0.1:80", flags)
                .seq(1001)
                .ack(syn_ack.seq + 1)
                .bytes()
        }
    };
    // Two embryos, of which the first fills what room is left in the queue.
    let ready = syn_of(&mut stack, 1);
    exchange(&mut stack, at(0), ready(ACK));
    let (second, third) = (syn_of(&mut stack, 2), syn_of(&mut stack, 3));
    exchange(&mut stack, at(0), second(ACK));
    assert_dropped(&mut stack, third(ACK), Discard::AcceptQueueFull);
    assert_eq!(stack.connections().count(), 3);
    assert!(exchange(&mut stack, at(0), third(RST | ACK)).is_empty());
    assert_eq!(stack.connections().count(), 2);
}

#[test]
fn req_must_41_a_listener_affects_nothing_that_exists() {
    let (mut stack, listener) = listening();
    let peer = Peer::open(&mut stack, at(0), "10.0.0.2:9", "10.0.0.1:80");
    one_tcp(&exchange(
        &mut stack,
        at(0),
        seg("10.0.0.2:10", "10.0.0.1:80", SYN).bytes(),
    ));
    let before: Vec<_> = stack
        .connections()
        .map(|(_, _, peer, state)| (peer, state))
        .collect();
    let again = ListenOptions::new(ListenOn::AnyAddress(80));
    assert_eq!(stack.tcp_listen(again), Err(ListenError::AddressInUse));
    let exact = ListenOptions::new(ListenOn::Address(socket("10.0.0.1:80")));
    let exact = stack.tcp_listen(exact).unwrap();
    let after: Vec<_> = stack
        .connections()
        .map(|(_, _, peer, state)| (peer, state))
        .collect();
    assert_eq!(before, after);
    // The closer listener takes new ones, the older connection goes on.
    Peer::open(&mut stack, at(0), "10.0.0.2:11", "10.0.0.1:80");
    assert!(stack.tcp_accept(exact).is_some());
    let id = stack.tcp_accept(listener).unwrap();
    exchange(&mut stack, at(0), peer.seg(ACK).payload(b"data").bytes());
    assert_eq!(stack.tcp_recv(at(0), id, 10).unwrap().unwrap(), "data");
}

#[test]
fn req_must_42_listen_on_the_port_of_a_connection_under_way() {
    let mut stack = stack();
    let options = ConnectOptions::new(socket("10.0.0.2:9")).local(socket("10.0.0.1:80"));
    let id = stack.tcp_connect(at(0), options).unwrap();
    let syn = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!(stack.tcp_state(id), Some(State::SynSent));
    let on = ListenOn::Address(socket("10.0.0.1:80"));
    let listener = stack.tcp_listen(ListenOptions::new(on)).unwrap();
    // Each gets its own: the SYN-ACK goes to the connection, a SYN of somebody else to the listener.
    Peer::answer(&mut stack, at(0), &syn);
    assert_eq!(stack.tcp_state(id), Some(State::Established));
    Peer::open(&mut stack, at(0), "10.0.0.2:10", "10.0.0.1:80");
    assert!(stack.tcp_accept(listener).is_some());
}

#[test]
fn req_must_43_a_listener_on_one_address_ignores_others() {
    let mut stack = stack();
    stack.add_address(cidr("10.0.0.3/24"));
    let on = ListenOn::Address(socket("10.0.0.1:80"));
    stack.tcp_listen(ListenOptions::new(on)).unwrap();
    let reset = one_tcp(&exchange(
        &mut stack,
        at(0),
        seg("10.0.0.2:9", "10.0.0.3:80", SYN).bytes(),
    ));
    assert_eq!(reset.flags, RST | ACK);
    one_tcp(&exchange(&mut stack, at(0), to_us(SYN).bytes()));
    let foreign = ListenOptions::new(ListenOn::Address(socket("10.0.0.77:80")));
    assert_eq!(stack.tcp_listen(foreign), Err(ListenError::InvalidLocal));
}

#[test]
fn req_ev_x_1_an_embryo_of_a_listener_closed_in_the_meantime_is_reset() {
    let (mut stack, listener) = listening();
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), to_us(SYN).bytes()));
    assert_eq!(syn_ack.flags, SYN | ACK);
    stack.tcp_close_listener(at(1), listener);
    let reset = one_tcp(&drain(&mut stack, at(1)));
    assert_eq!(reset.flags, RST | ACK);
    assert_eq!(
        reset.seq,
        syn_ack.seq + 1,
        "the number that the peer expects"
    );
    assert_eq!(stack.connections().count(), 0);
    // The end of the handshake comes too late: there is nobody any more.
    let ack = to_us(ACK).seq(1001).ack(syn_ack.seq + 1);
    let reset = one_tcp(&exchange(&mut stack, at(2), ack.bytes()));
    assert_eq!((reset.flags, reset.seq), (RST, syn_ack.seq + 1));
    // Nothing is left that would send the SYN-ACK again.
    assert!(run_until(&mut stack, at(2), at(100_000)).is_empty());
}

#[test]
fn req_ev_u_2_closing_a_listener_resets_its_children() {
    let (mut stack, listener) = listening();
    Peer::open(&mut stack, at(0), "10.0.0.2:9", "10.0.0.1:80");
    one_tcp(&exchange(
        &mut stack,
        at(0),
        seg("10.0.0.2:10", "10.0.0.1:80", SYN).bytes(),
    ));
    stack.tcp_close_listener(at(0), listener);
    let resets = drain(&mut stack, at(0));
    assert_eq!(resets.len(), 2);
    assert!(
        resets
            .iter()
            .all(|frame| parse_tcp(frame).flags.contains(RST))
    );
    assert_eq!(stack.connections().count(), 0);
    assert_eq!(stack.tcp_accept(listener), None);
    // The place is free again.
    stack
        .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
        .unwrap();
}

#[test]
fn req_synf_9_an_embryo_leaves_no_trace_when_it_is_reset_or_never_answered() {
    let (mut stack, listener) = listening();
    one_tcp(&exchange(&mut stack, at(0), to_us(SYN).bytes()));
    exchange(&mut stack, at(0), to_us(RST).seq(1001).bytes());
    assert_eq!(stack.connections().count(), 0);
    assert_eq!(stack.tcp_accept(listener), None);
    // A peer that never answers is given up.
    one_tcp(&exchange(&mut stack, at(0), to_us(SYN).bytes()));
    let sent = run_until(&mut stack, at(0), at(600_000));
    assert_eq!(sent.len(), 5);
    assert!(
        sent.iter()
            .all(|(_, frame)| parse_tcp(frame).flags == SYN | ACK)
    );
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_ev_o_9_a_syn_ack_that_a_repeated_syn_drew_has_its_time_to_be_answered() {
    let (mut stack, listener) = listening();
    let first = one_tcp(&exchange(&mut stack, at(0), to_us(SYN).bytes()));
    // Both back off alike: each time the SYN comes just before the SYN-ACK would go again by itself.
    let mut now = at(0);
    for seconds in [1, 3, 7, 15, 31, 63] {
        let again = at(seconds * 1000 - 1);
        run_until(&mut stack, now, again);
        let answer = one_tcp(&exchange(&mut stack, again, to_us(SYN).bytes()));
        assert_eq!((answer.seq, answer.flags), (first.seq, SYN | ACK));
        // Not twice in one moment.
        now = at(seconds * 1000 + 400);
        assert_eq!(run_until(&mut stack, again, now), []);
    }
    exchange(
        &mut stack,
        now,
        to_us(ACK).seq(1001).ack(first.seq + 1).bytes(),
    );
    assert!(stack.tcp_accept(listener).is_some());
}

#[test]
fn incoming_attempts_are_bounded_expire_and_can_be_called_off() {
    let mut stack = stack_with(StackConfig::default().any_address(true).max_incoming(3));
    let on = ListenOptions::new(ListenOn::Everything).manual(true);
    let listener = stack.tcp_listen(on).unwrap();
    let syn = |port: u16| seg(&format!("10.0.0.2:{port}"), "192.0.2.1:80", SYN);
    for port in 1..=3 {
        assert!(exchange(&mut stack, at(0), syn(port).bytes()).is_empty());
    }
    assert_dropped(&mut stack, syn(4).bytes(), Discard::IncomingLimit);
    assert_dropped(&mut stack, syn(1).bytes(), Discard::IncomingPending);
    assert_eq!(stack.poll_event(), Some(StackEvent::Incoming(listener)));
    assert_eq!(stack.poll_event(), None);
    // The first peer gives up: the application that holds the attempt hears of it. A reset with
    // any other number is not the peer's.
    let first = stack.tcp_incoming(listener).unwrap();
    for seq in [999, 1002, 70_000] {
        let forged = seg("10.0.0.2:1", "192.0.2.1:80", RST).seq(seq);
        assert_dropped(&mut stack, forged.bytes(), Discard::IncomingPending);
    }
    assert_eq!(stack.poll_event(), None);
    exchange(
        &mut stack,
        at(0),
        seg("10.0.0.2:1", "192.0.2.1:80", RST).seq(1001).bytes(),
    );
    assert_eq!(stack.poll_event(), Some(StackEvent::IncomingGone(first.id)));
    assert_eq!(
        stack.incoming_accept(at(0), first.id, None),
        Err(IncomingError::Gone)
    );
    // The others expire; one was never looked at, and nobody needs to hear of that.
    let second = stack.tcp_incoming(listener).unwrap();
    assert_eq!(stack.poll_timeout(at(0)), Some(at(180_000)));
    stack.handle_timeout(at(180_000));
    assert_eq!(
        stack.poll_event(),
        Some(StackEvent::IncomingGone(second.id))
    );
    assert_eq!(stack.poll_event(), None);
    assert_eq!(stack.tcp_incoming(listener), None);
    assert_eq!(stack.counters().discarded(Discard::IncomingExpired), 2);
    assert!(drain(&mut stack, at(180_000)).is_empty());
}
