//! TIME-WAIT at the host (requirements TW-*, PORT-3).

use transom_stack::tcp::{self, State};
use transom_stack::wire::tcp::{Options, Timestamps};
use transom_stack::{
    ConnId, ConnectError, ConnectOptions, Discard, ListenOn, ListenOptions, Stack, StackConfig,
};

use crate::harness::*;

fn with_timestamps(mut seg: Seg, val: u32, ecr: u32) -> Seg {
    seg.options.timestamps = Some(Timestamps { val, ecr });
    seg
}

/// Opens a connection from `local`, closes it from our side, and leaves its tuple in TIME-WAIT.
fn closed_by_us(stack: &mut Stack, ms: u64, local: &str, timestamps: bool) -> (ConnId, Peer) {
    let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket(local));
    let id = stack.tcp_connect(at(ms), options).unwrap();
    let syn = one_tcp(&drain(stack, at(ms)));
    let ours = syn
        .options
        .timestamps
        .map_or(0, |timestamps| timestamps.val);
    let stamp = |seg: Seg| {
        if timestamps {
            with_timestamps(seg, 100, ours)
        } else {
            seg
        }
    };
    let mut peer = Peer {
        us: syn.src.to_string(),
        peer: syn.dst.to_string(),
        snd_nxt: 5001,
        rcv_nxt: syn.seq + 1,
    };
    let syn_ack = stamp(peer.seg(SYN | ACK).seq(5000).mss(1460));
    exchange(stack, at(ms), syn_ack.bytes());
    stack.tcp_release(at(ms), id);
    let fin = one_tcp(&drain(stack, at(ms)));
    assert_eq!(fin.flags, FIN | ACK);
    peer.rcv_nxt = fin.seq + 1;
    let answer = stamp(peer.seg(FIN | ACK));
    let last = one_tcp(&exchange(stack, at(ms), answer.bytes()));
    assert_eq!((last.flags, last.ack), (ACK, 5002));
    peer.snd_nxt = 5002;
    assert_eq!(
        stack.tcp_state(id),
        None,
        "nobody holds it: the small form is left"
    );
    (id, peer)
}

fn states(stack: &Stack) -> Vec<State> {
    stack.connections().map(|(_, _, _, state)| state).collect()
}

#[test]
fn req_must_13_and_tw_14_time_wait_lasts_and_ends_by_itself() {
    let mut stack = stack();
    closed_by_us(&mut stack, 0, "10.0.0.1:4000", true);
    assert_eq!(states(&stack), [State::TimeWait]);
    assert_eq!(stack.poll_timeout(at(0)), Some(at(60_000)));
    stack.handle_timeout(at(59_999));
    assert_eq!(states(&stack), [State::TimeWait]);
    stack.handle_timeout(at(60_000));
    assert!(states(&stack).is_empty());
    assert_eq!(stack.poll_timeout(at(60_000)), None);
    let config = tcp::Config::default().time_wait(core::time::Duration::from_secs(5));
    let mut short = stack_with(StackConfig::default().tcp(config));
    closed_by_us(&mut short, 0, "10.0.0.1:4000", true);
    assert_eq!(short.poll_timeout(at(0)), Some(at(5_000)));
}

#[test]
fn req_tw_9_a_fin_again_is_acknowledged_and_restarts_the_time() {
    let mut stack = stack();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", false);
    let fin = peer.seg(FIN | ACK).seq(5001);
    let ack = one_tcp(&exchange(&mut stack, at(30_000), fin.bytes()));
    assert_eq!((ack.flags, ack.ack), (ACK, 5002));
    stack.handle_timeout(at(60_000));
    assert_eq!(states(&stack), [State::TimeWait]);
    stack.handle_timeout(at(90_000));
    assert!(states(&stack).is_empty());
}

#[test]
fn req_tw_10_and_sec_tw_1_a_reset_does_not_end_it() {
    let mut stack = stack();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", false);
    for flags in [RST, RST | ACK] {
        assert!(exchange(&mut stack, at(1), peer.seg(flags).bytes()).is_empty());
    }
    assert_eq!(states(&stack), [State::TimeWait]);
    let reason = Discard::Tcp(tcp::Discard::ResetInTimeWait);
    assert_eq!(stack.counters().discarded(reason), 2);
}

#[test]
fn req_must_45_acks_of_time_wait_come_from_the_same_address() {
    let mut stack = stack();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", false);
    stack.add_address(cidr("10.0.0.3/24"));
    let ack = one_tcp(&exchange(
        &mut stack,
        at(1),
        peer.seg(FIN | ACK).seq(5001).bytes(),
    ));
    assert_eq!(ack.src, socket("10.0.0.1:4000"));
}

#[test]
fn req_tw_11_and_port_3_a_tuple_in_time_wait_is_taken_over_only_with_timestamps_and_after_a_second()
{
    let again = |stack: &mut Stack, ms: u64| {
        let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("10.0.0.1:4000"));
        stack.tcp_connect(at(ms), options)
    };
    let mut plain = stack();
    closed_by_us(&mut plain, 0, "10.0.0.1:4000", false);
    assert_eq!(again(&mut plain, 5_000), Err(ConnectError::AddressInUse));

    let mut stack = stack();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", true);
    assert_eq!(again(&mut stack, 900), Err(ConnectError::AddressInUse));
    let id = again(&mut stack, 2_000).unwrap();
    assert_eq!(stack.tcp_state(id), Some(State::SynSent));
    assert_eq!(states(&stack), [State::SynSent]);
    let syn = one_tcp(&drain(&mut stack, at(2_000)));
    // TW-7: beyond every number of the old connection.
    let beyond = syn.seq.wrapping_sub(peer.rcv_nxt);
    assert!(beyond > 0 && beyond < 1 << 31);
}

#[test]
fn req_port_3_ephemeral_ports_in_time_wait_are_the_last_choice() {
    let mut stack = stack_with(StackConfig::default().ephemeral_ports(4000..=4003));
    closed_by_us(&mut stack, 0, "10.0.0.1:4000", true);
    let mut ports = Vec::new();
    for _ in 0..4 {
        let options = ConnectOptions::new(socket("10.0.0.2:80"));
        let id = stack.tcp_connect(at(2_000), options).unwrap();
        ports.push(stack.tcp_addresses(id).unwrap().0.port());
    }
    assert_eq!(ports.pop(), Some(4000));
    let options = ConnectOptions::new(socket("10.0.0.2:80"));
    assert_eq!(
        stack.tcp_connect(at(2_000), options),
        Err(ConnectError::PortsExhausted)
    );
}

#[test]
fn req_tw_12_and_sec_tw_2_the_table_is_bounded_and_the_oldest_goes() {
    let mut stack = stack_with(StackConfig::default().max_time_wait(10));
    for port in 0..25 {
        closed_by_us(
            &mut stack,
            port,
            &format!("10.0.0.1:{}", 4000 + port),
            false,
        );
    }
    let left: Vec<_> = stack
        .connections()
        .map(|(_, local, _, _)| local.port())
        .collect();
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|port| *port >= 4015), "{left:?}");
    assert_eq!(stack.counters().time_wait_overflows, 15);
    // Deadlines of those that went early do no harm.
    stack.handle_timeout(at(60_020));
    stack.handle_timeout(at(60_024));
    assert!(states(&stack).is_empty());
    assert_eq!(stack.poll_timeout(at(60_024)), None);
}

#[test]
fn req_may_2_and_tw_1_and_tw_7_a_new_syn_reopens_for_a_listener() {
    let mut stack = stack();
    let listener = stack
        .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(4000)))
        .unwrap();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", true);
    let old = with_timestamps(peer.seg(SYN).seq(9_000), 99, 0);
    assert!(
        exchange(&mut stack, at(1_000), old.bytes())
            .iter()
            .all(|frame| { !parse_tcp(frame).flags.contains(SYN) })
    );
    assert_eq!(states(&stack), [State::TimeWait]);
    let new = with_timestamps(peer.seg(SYN).seq(9_000), 2_000, 0);
    let syn_ack = one_tcp(&exchange(&mut stack, at(1_000), new.bytes()));
    assert_eq!((syn_ack.flags, syn_ack.ack), (SYN | ACK, 9_001));
    let beyond = syn_ack.seq.wrapping_sub(peer.rcv_nxt);
    assert!(beyond > 0 && beyond < 1 << 31);
    assert_eq!(states(&stack), [State::SynReceived]);
    assert_eq!(stack.tcp_accept(listener), None);
}

#[test]
fn a_new_syn_without_a_listener_leaves_time_wait_alone() {
    let mut stack = stack();
    let (_, peer) = closed_by_us(&mut stack, 0, "10.0.0.1:4000", true);
    let new = with_timestamps(peer.seg(SYN).seq(9_000), 2_000, 0);
    assert!(exchange(&mut stack, at(1_000), new.bytes()).is_empty());
    assert_eq!(states(&stack), [State::TimeWait]);
}

#[test]
fn a_connection_that_the_application_holds_stays_readable_in_time_wait() {
    let mut stack = stack();
    let (id, peer) = connected(&mut stack, at(0), "10.0.0.2:80");
    exchange(
        &mut stack,
        at(0),
        peer.seg(ACK).payload(b"last words").bytes(),
    );
    stack.tcp_shutdown_write(at(0), id).unwrap();
    let fin = drain(&mut stack, at(0))
        .iter()
        .map(|f| parse_tcp(f))
        .find(|s| s.flags.contains(FIN));
    let fin = fin.unwrap();
    let answer = peer.seg(FIN | ACK).seq(peer.snd_nxt + 10).ack(fin.seq + 1);
    exchange(&mut stack, at(0), answer.bytes());
    assert_eq!(stack.tcp_state(id), Some(State::TimeWait));
    assert_eq!(
        stack.tcp_recv(at(0), id, 100).unwrap().unwrap(),
        "last words"
    );
    assert_eq!(stack.tcp_recv(at(0), id, 100).unwrap().unwrap(), "");
    stack.tcp_release(at(0), id);
    drain(&mut stack, at(0));
    assert_eq!(stack.tcp_state(id), None);
    assert_eq!(states(&stack), [State::TimeWait]);
}

#[test]
fn req_sec_zwp_2_and_sec_res_1_connections_left_behind_are_bounded() {
    let mut stack = stack_with(StackConfig::default().max_orphans(5));
    for port in 0..20 {
        let (id, _) = connected(&mut stack, at(0), &format!("10.0.0.2:{}", 1 + port));
        stack.tcp_release(at(0), id);
        let sent = drain(&mut stack, at(0));
        let reset = sent
            .iter()
            .any(|frame| parse_tcp(frame).flags.contains(RST));
        assert_eq!(reset, port >= 5);
    }
    assert_eq!(states(&stack), [State::FinWait1; 5]);
    assert_eq!(stack.counters().orphan_overflows, 15);
}

#[test]
fn req_sec_res_1_connections_are_bounded() {
    let mut stack = stack_with(StackConfig::default().max_connections(3));
    stack
        .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
        .unwrap();
    let connect = |stack: &mut Stack| {
        let id = stack.tcp_connect(at(0), ConnectOptions::new(socket("10.0.0.2:80")));
        drain(stack, at(0));
        id
    };
    connect(&mut stack).unwrap();
    connect(&mut stack).unwrap();
    let syn = |port: u16| seg(&format!("10.0.0.2:{port}"), "10.0.0.1:80", SYN);
    // The last place is a handshake's; the next SYN gets a cookie, and none a place.
    let first = one_tcp(&exchange(&mut stack, at(0), syn(1).bytes()));
    one_tcp(&exchange(&mut stack, at(0), syn(2).bytes()));
    assert_eq!(stack.connections().count(), 3);
    assert_eq!(stack.counters().syn_cookies_out, 1);
    // A handshake takes no place away from ourselves.
    connect(&mut stack).unwrap();
    assert_eq!(connect(&mut stack), Err(ConnectError::ConnectionLimit));
    assert_dropped(&mut stack, syn(3).bytes(), Discard::ConnectionLimit);
    let ack = seg("10.0.0.2:1", "10.0.0.1:80", ACK).seq(1001);
    let ack = ack.ack(first.seq + 1).bytes();
    assert_dropped(&mut stack, ack, Discard::ConnectionLimit);
    assert_eq!(stack.connections().count(), 4);
}

#[test]
fn options_are_what_the_harness_says() {
    assert_eq!(
        Options::EMPTY,
        seg("10.0.0.2:1", "10.0.0.1:80", SYN).options
    );
}
