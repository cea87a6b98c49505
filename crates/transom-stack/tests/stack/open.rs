//! Active opens and ICMP errors about connections (requirements MUST-43..46, MUST-54, MUST-56, C.15).

use transom_stack::tcp::{self, CloseReason, Event, PathError, State};
use transom_stack::wire::tcp::Flags;
use transom_stack::wire::{icmpv4, icmpv6};
use transom_stack::{
    ConnId, ConnectError, ConnectOptions, Discard, RouteTarget, Stack, StackConfig, StackEvent,
};

use crate::harness::*;

fn connect(stack: &mut Stack, remote: &str) -> Result<ConnId, ConnectError> {
    stack.tcp_connect(at(0), ConnectOptions::new(socket(remote)))
}

#[test]
fn req_must_43_the_local_address_can_be_given() {
    let mut stack = stack();
    stack.add_address(cidr("10.0.0.3/24"));
    let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("10.0.0.3:0"));
    stack.tcp_connect(at(0), options).unwrap();
    let syn = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!(syn.src.ip(), ip("10.0.0.3"));
    let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("10.0.0.77:0"));
    assert_eq!(
        stack.tcp_connect(at(0), options),
        Err(ConnectError::InvalidLocal)
    );
    let options = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("[2001:db8::1]:0"));
    assert_eq!(
        stack.tcp_connect(at(0), options),
        Err(ConnectError::InvalidLocal)
    );
}

#[test]
fn req_must_44_otherwise_the_route_decides() {
    let mut stack = stack();
    stack.add_address(cidr("172.16.0.1/16"));
    stack.add_route(cidr("0.0.0.0/0"), RouteTarget::Gateway(ip("172.16.0.254")));
    for (remote, source) in [
        ("10.0.0.2:80", "10.0.0.1"),
        ("172.16.9.9:80", "172.16.0.1"),
        ("8.8.8.8:80", "172.16.0.1"),
        ("[2001:db8::9]:80", "2001:db8::1"),
    ] {
        connect(&mut stack, remote).unwrap();
        assert_eq!(one_tcp(&drain(&mut stack, at(0))).src.ip(), ip(source));
    }
    assert_eq!(
        connect(&mut stack, "[2606::1]:80"),
        Err(ConnectError::NoRoute)
    );
    stack.add_route(cidr("198.51.100.0/24"), RouteTarget::Unreachable);
    assert_eq!(
        connect(&mut stack, "198.51.100.1:80"),
        Err(ConnectError::NoRoute)
    );
}

#[test]
fn req_must_45_the_local_address_stays() {
    let mut stack = stack();
    let (id, peer) = connected(&mut stack, at(0), "10.0.0.2:80");
    let source = socket(&peer.us).ip();
    stack.add_address(cidr("10.0.0.3/24"));
    stack.tcp_send(at(0), id, "data".into()).unwrap();
    assert_eq!(one_tcp(&drain(&mut stack, at(0))).src.ip(), source);
    stack.remove_address(source);
    let fin = peer.seg(FIN | ACK).ack(peer.rcv_nxt + 4);
    // The address is gone, so nothing reaches the connection; what it sends is still from there.
    assert!(exchange(&mut stack, at(0), fin.bytes()).is_empty());
    stack.tcp_abort(at(0), id);
    let reset = one_tcp(&drain(&mut stack, at(0)));
    assert!(reset.flags.contains(RST));
    assert_eq!(reset.src.ip(), source);
}

#[test]
fn req_must_46_invalid_remotes_are_refused() {
    let mut stack = stack();
    for remote in [
        "255.255.255.255:80",
        "10.0.0.255:80",
        "224.0.0.1:80",
        "0.0.0.0:80",
        "[ff02::1]:80",
        "[::]:80",
        "10.0.0.2:0",
        "[::ffff:10.0.0.2]:80",
    ] {
        assert_eq!(
            connect(&mut stack, remote),
            Err(ConnectError::InvalidRemote),
            "{remote}"
        );
    }
    assert!(drain(&mut stack, at(0)).is_empty());
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_port_3_and_port_4_tuples_in_use_are_avoided_until_none_is_left() {
    let mut stack = stack_with(StackConfig::default().ephemeral_ports(40_000..=40_099));
    let mut ports = std::collections::HashSet::new();
    for _ in 0..100 {
        let id = connect(&mut stack, "10.0.0.2:80").unwrap();
        let (local, _) = stack.tcp_addresses(id).unwrap();
        assert!(ports.insert(local.port()));
    }
    assert_eq!(
        connect(&mut stack, "10.0.0.2:80"),
        Err(ConnectError::PortsExhausted)
    );
    // Towards another socket they are all free.
    connect(&mut stack, "10.0.0.2:81").unwrap();
    let taken = ConnectOptions::new(socket("10.0.0.2:80")).local(socket("10.0.0.1:40000"));
    assert_eq!(
        stack.tcp_connect(at(0), taken),
        Err(ConnectError::AddressInUse)
    );
}

/// A connection in `state`, and its peer.
fn in_state(stack: &mut Stack, state: State) -> (ConnId, Peer) {
    if state == State::SynSent {
        let id = connect(stack, "10.0.0.2:80").unwrap();
        let syn = one_tcp(&drain(stack, at(0)));
        let (us, peer) = (syn.src.to_string(), syn.dst.to_string());
        let (snd_nxt, rcv_nxt) = (5001, syn.seq + 1);
        return (
            id,
            Peer {
                us,
                peer,
                snd_nxt,
                rcv_nxt,
            },
        );
    }
    let (id, peer) = connected(stack, at(0), "10.0.0.2:80");
    let fin = peer.seg(FIN | ACK).bytes();
    if matches!(state, State::CloseWait | State::LastAck) {
        exchange(stack, at(0), fin.clone());
    }
    if !matches!(state, State::Established | State::CloseWait) {
        stack.tcp_shutdown_write(at(0), id).unwrap();
        drain(stack, at(0));
    }
    match state {
        State::FinWait2 => {
            let ack = peer.seg(ACK).ack(peer.rcv_nxt + 1);
            exchange(stack, at(0), ack.bytes());
        }
        State::Closing => {
            exchange(stack, at(0), fin);
        }
        _ => {}
    }
    (id, peer)
}

// RFC 9293 §3.10.1: "connection already exists".
#[test]
fn an_open_of_a_connection_that_exists_is_an_error_in_every_state_and_changes_nothing() {
    for state in [
        State::SynSent,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
    ] {
        let mut stack = stack();
        let (id, peer) = in_state(&mut stack, state);
        assert_eq!(stack.tcp_state(id), Some(state));
        let again = ConnectOptions::new(socket(&peer.peer)).local(socket(&peer.us));
        let refused = stack.tcp_connect(at(0), again);
        assert_eq!(refused, Err(ConnectError::AddressInUse), "{state}");
        assert_eq!(stack.tcp_state(id), Some(state));
        assert!(drain(&mut stack, at(0)).is_empty(), "{state}");
        assert_eq!(stack.connections().count(), 1);
    }
}

#[test]
fn req_port_1_and_isn_1_first_port_and_number_depend_on_the_secret() {
    let mut seen = std::collections::HashSet::new();
    for secret in 0..32 {
        let capabilities = transom_stack::wire::Capabilities::ip(1500);
        let mut stack = Stack::new(StackConfig::default(), capabilities, [secret; 32], at(0));
        stack.add_address(cidr("10.0.0.1/24"));
        connect(&mut stack, "10.0.0.2:80").unwrap();
        let syn = one_tcp(&drain(&mut stack, at(0)));
        assert!(seen.insert((syn.src.port(), syn.seq)));
    }
}

fn unreachable(code: u8, quote: &[u8]) -> Vec<u8> {
    let message = icmpv4::Message::DestinationUnreachable {
        code,
        next_hop_mtu: 0,
        quote,
    };
    icmp4("10.0.0.254", US, message)
}

/// The packet that the stack sent, as a router quotes it.
fn sent_data(stack: &mut Stack, id: ConnId) -> Vec<u8> {
    stack.tcp_send(at(0), id, "data".into()).unwrap();
    let mut frames = drain(stack, at(0));
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn soft_errors(stack: &mut Stack, of: ConnId) -> Vec<PathError> {
    core::iter::from_fn(|| stack.poll_event())
        .filter_map(|event| match event {
            StackEvent::Tcp(id, Event::SoftError(error)) if id == of => Some(error),
            _ => None,
        })
        .collect()
}

#[test]
fn req_must_54_and_icmpa_1_errors_reach_only_their_connection() {
    let mut stack = stack();
    let (one, _) = connected(&mut stack, at(0), "10.0.0.2:80");
    let (two, _) = connected(&mut stack, at(0), "10.0.0.2:81");
    let packet = sent_data(&mut stack, one);
    while stack.poll_event().is_some() {}
    exchange(&mut stack, at(0), unreachable(1, &packet));
    assert_eq!(soft_errors(&mut stack, one), [PathError::HostUnreachable]);
    assert!(soft_errors(&mut stack, two).is_empty());
    // Eight bytes of TCP are enough, fewer are not.
    exchange(&mut stack, at(0), unreachable(1, &packet[..28]));
    assert_eq!(soft_errors(&mut stack, one), [PathError::HostUnreachable]);
    assert_dropped(
        &mut stack,
        unreachable(1, &packet[..27]),
        Discard::IcmpErrorTruncated,
    );
    // Another tuple, and a number that is not in flight.
    let mut other = packet.clone();
    other[21] ^= 1;
    assert_dropped(
        &mut stack,
        unreachable(1, &other),
        Discard::IcmpErrorUnmatched,
    );
    for offset in [-1i32, 4, 100_000, i32::MIN] {
        let seq = u32::from_be_bytes(packet[24..28].try_into().unwrap());
        let mut wrong = packet.clone();
        wrong[24..28].copy_from_slice(&seq.wrapping_add_signed(offset).to_be_bytes());
        let reason = Discard::Tcp(tcp::Discard::PathErrorNotInFlight);
        assert_dropped(&mut stack, unreachable(1, &wrong), reason);
    }
    assert!(soft_errors(&mut stack, one).is_empty());
}

#[test]
fn req_must_56_and_icmpa_2_and_sec_icmp_1_no_error_ends_an_established_connection() {
    let mut stack = stack();
    let (id, _) = connected(&mut stack, at(0), "10.0.0.2:80");
    let packet = sent_data(&mut stack, id);
    for code in [0, 1, 2, 3, 5, 9, 10, 13] {
        exchange(&mut stack, at(0), unreachable(code, &packet));
        assert_eq!(stack.tcp_state(id), Some(State::Established), "code {code}");
        assert_eq!(soft_errors(&mut stack, id).len(), 1);
    }
    for code in [0, 1] {
        let message = icmpv4::Message::TimeExceeded {
            code,
            quote: &packet,
        };
        exchange(&mut stack, at(0), icmp4("10.0.0.254", US, message));
        assert_eq!(soft_errors(&mut stack, id), [PathError::TimeExceeded]);
    }
    let message = icmpv4::Message::ParameterProblem {
        code: 0,
        pointer: 0,
        quote: &packet,
    };
    exchange(&mut stack, at(0), icmp4("10.0.0.254", US, message));
    assert_eq!(soft_errors(&mut stack, id), [PathError::ParameterProblem]);
    assert_eq!(stack.tcp_state(id), Some(State::Established));
}

#[test]
fn req_must_56_the_same_over_ipv6() {
    let mut stack = stack();
    let (id, _) = connected(&mut stack, at(0), "[2001:db8::2]:80");
    let packet = sent_data(&mut stack, id);
    for code in [0, 1, 3, 4] {
        let message = icmpv6::Message::DestinationUnreachable {
            code,
            quote: &packet,
        };
        exchange(&mut stack, at(0), icmp6(PEER6, US6, message));
        assert_eq!(soft_errors(&mut stack, id).len(), 1);
    }
    for code in 0..=2 {
        let message = icmpv6::Message::ParameterProblem {
            code,
            pointer: 40,
            quote: &packet,
        };
        exchange(&mut stack, at(0), icmp6(PEER6, US6, message));
    }
    assert_eq!(stack.tcp_state(id), Some(State::Established));
}

#[test]
fn req_icmpa_3_and_ev_s_11_and_shld_26_hard_errors_end_an_attempt_to_connect() {
    for code in [2, 3, 13] {
        let mut stack = stack();
        let id = connect(&mut stack, "10.0.0.2:80").unwrap();
        let syn = drain(&mut stack, at(0)).remove(0);
        // Not with another sequence number.
        let mut wrong = syn.clone();
        wrong[27] ^= 1;
        let reason = Discard::Tcp(tcp::Discard::PathErrorNotInFlight);
        assert_dropped(&mut stack, unreachable(code, &wrong), reason);
        exchange(&mut stack, at(0), unreachable(code, &syn));
        let closed = stack.tcp_connection(id).unwrap().closed();
        assert!(
            matches!(closed, Some(CloseReason::Unreachable(_))),
            "{closed:?}"
        );
    }
    // Soft ones do not.
    let mut stack = stack();
    let id = connect(&mut stack, "10.0.0.2:80").unwrap();
    let syn = drain(&mut stack, at(0)).remove(0);
    for code in [0, 1, 5] {
        exchange(&mut stack, at(0), unreachable(code, &syn));
        assert_eq!(stack.tcp_state(id), Some(State::SynSent));
    }
}

#[test]
fn req_icmpa_7_errors_about_an_embryo() {
    let mut stack = stack();
    let on = transom_stack::ListenOptions::new(transom_stack::ListenOn::AnyAddress(80));
    stack.tcp_listen(on).unwrap();
    let syn = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
    let syn_ack = exchange(&mut stack, at(0), syn).remove(0);
    assert_eq!(parse_tcp(&syn_ack).flags, Flags::SYN | Flags::ACK);
    let mut wrong = syn_ack.clone();
    wrong[27] ^= 1;
    exchange(&mut stack, at(0), unreachable(3, &wrong));
    assert_eq!(stack.connections().count(), 1);
    exchange(&mut stack, at(0), unreachable(3, &syn_ack));
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_must_48_and_shld_21_and_shld_22_dscp_is_on_every_segment_and_can_change() {
    let mut stack = stack();
    let config = tcp::Config::default().dscp(46);
    let options = ConnectOptions::new(socket("10.0.0.2:80")).config(config);
    let id = stack.tcp_connect(at(0), options).unwrap();
    let frame = drain(&mut stack, at(0)).remove(0);
    assert_eq!(frame[1], 46 << 2);
    Peer::answer(&mut stack, at(0), &parse_tcp(&frame));
    stack.tcp_send(at(0), id, "data".into()).unwrap();
    assert_eq!(drain(&mut stack, at(0))[0][1], 46 << 2);
    // SHLD-21: it can be changed.
    stack.tcp_with(at(0), id, |connection| connection.set_dscp(10));
    stack.tcp_send(at(0), id, "data".into()).unwrap();
    stack.tcp_abort(at(0), id);
    for frame in drain(&mut stack, at(0)) {
        assert_eq!(frame[1], 10 << 2);
    }
}

#[test]
fn an_idle_connection_has_no_deadline() {
    let mut stack = stack();
    let ids: Vec<_> = (0..1000)
        .map(|port| connected(&mut stack, at(0), &format!("10.0.0.2:{}", 1 + port)).0)
        .collect();
    let _ = run_until(&mut stack, at(0), at(10_000));
    assert_eq!(stack.poll_timeout(at(10_000)), None);
    assert!(
        ids.iter()
            .all(|id| stack.tcp_state(*id) == Some(State::Established))
    );
}
