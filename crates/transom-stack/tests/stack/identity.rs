//! Initial sequence numbers as a peer sees them (requirements MUST-8, MUST-9, SHLD-1), and ECN from
//! the IP header to the engine and back (SHLD-8).

use core::time::Duration;

use transom_stack::tcp::{Config, EcnUse, Instant};
use transom_stack::wire::ip::Packet;
use transom_stack::wire::tcp::Flags;
use transom_stack::wire::{Capabilities, Ecn, Protocol};
use transom_stack::{ConnectOptions, ListenOn, ListenOptions, Stack, StackConfig};

use crate::harness::*;

fn with_secret(secret: u8) -> Stack {
    let capabilities = Capabilities::ip(1500);
    let mut stack = Stack::new(
        StackConfig::default(),
        capabilities,
        [secret; 32],
        Instant::ORIGIN,
    );
    stack.add_address(cidr("10.0.0.1/24"));
    stack.add_address(cidr("10.0.0.3/24"));
    stack
}

/// The number of the SYN of a connection that opens now; the connection is gone afterwards.
fn initial(stack: &mut Stack, now: Instant, local: &str, remote: &str) -> u32 {
    let options = ConnectOptions::new(socket(remote)).local(socket(local));
    let id = stack.tcp_connect(now, options).unwrap();
    let syn = one_tcp(&drain(stack, now));
    assert_eq!(syn.flags, SYN);
    stack.tcp_abort(now, id);
    stack.tcp_release(now, id);
    assert!(drain(stack, now).is_empty());
    while stack.poll_event().is_some() {}
    syn.seq
}

#[test]
fn req_must_8_the_same_tuple_moves_by_one_every_four_microseconds() {
    let mut stack = with_secret(1);
    let (local, remote) = ("10.0.0.1:4000", "10.0.0.2:80");
    let start = Instant::from_origin(Duration::from_secs(5));
    let first = initial(&mut stack, start, local, remote);
    let mut last = start;
    for micros in [4, 8, 1000, 1_000_000, 60_000_000, 3_600_000_000_u64] {
        let now = start + Duration::from_micros(micros);
        assert!(now > last);
        last = now;
        let isn = initial(&mut stack, now, local, remote);
        let ticks = u32::try_from(micros / 4).unwrap();
        assert_eq!(isn.wrapping_sub(first), ticks, "after {micros} µs");
    }
    // The clock goes round in 4.77 hours, and the number with it.
    let round = Duration::from_micros(4 << 32);
    assert_eq!(initial(&mut stack, start + round, local, remote), first);
}

#[test]
fn req_shld_1_and_must_9_the_rest_is_a_function_of_the_tuple_and_the_secret_alone() {
    let now = at(1000);
    let mut stack = with_secret(1);
    let base = initial(&mut stack, now, "10.0.0.1:4000", "10.0.0.2:80");
    // Each part of the tuple counts.
    for (local, remote) in [
        ("10.0.0.3:4000", "10.0.0.2:80"),
        ("10.0.0.1:4001", "10.0.0.2:80"),
        ("10.0.0.1:4000", "10.0.0.9:80"),
        ("10.0.0.1:4000", "10.0.0.2:81"),
        // Not the sum of the ports, nor their set.
        ("10.0.0.1:80", "10.0.0.2:4000"),
    ] {
        assert_ne!(initial(&mut stack, now, local, remote), base);
    }
    // Nothing else does: not how many connections there were before.
    assert_eq!(
        initial(&mut stack, now, "10.0.0.1:4000", "10.0.0.2:80"),
        base
    );
    let mut twin = with_secret(1);
    assert_eq!(
        initial(&mut twin, now, "10.0.0.1:4000", "10.0.0.2:80"),
        base
    );
    // The secret does.
    let mut other = with_secret(2);
    assert_ne!(
        initial(&mut other, now, "10.0.0.1:4000", "10.0.0.2:80"),
        base
    );
}

/// A segment of the peer with an ECN field of the caller's choice.
fn marked(seg: &Seg, ecn: Ecn) -> Vec<u8> {
    let bytes = seg.bytes();
    let plain = Packet::new(&bytes).unwrap();
    packet_with(PEER, US, Protocol::TCP, plain.payload(), 64, ecn)
}

fn field(frame: &[u8]) -> Ecn {
    Packet::new(frame).unwrap().ecn()
}

#[test]
fn req_shld_8_ecn_from_the_ip_header_to_the_engine_and_back() {
    let mut stack = stack();
    let listener = stack
        .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
        .unwrap();
    let syn = seg("10.0.0.2:9", "10.0.0.1:80", SYN | Flags::ECE | Flags::CWR);
    let sent = exchange(&mut stack, at(0), syn.mss(1460).bytes());
    let syn_ack = one_tcp(&sent);
    assert_eq!(syn_ack.flags, SYN | ACK | Flags::ECE);
    assert_eq!(field(&sent[0]), Ecn::NotEct);
    let mut peer = Peer {
        us: "10.0.0.1:80".to_owned(),
        peer: "10.0.0.2:9".to_owned(),
        snd_nxt: 1001,
        rcv_nxt: syn_ack.seq + 1,
    };
    exchange(&mut stack, at(0), peer.seg(ACK).bytes());
    let id = stack.tcp_accept(listener).unwrap();
    // A router marks our peer's data: every acknowledgement says so.
    let data = peer.seg(ACK).payload(b"marked");
    let sent = exchange(&mut stack, at(1), marked(&data, Ecn::Ce));
    assert_eq!(one_tcp(&sent).flags, ACK | Flags::ECE);
    assert_eq!(field(&sent[0]), Ecn::NotEct, "a bare acknowledgement");
    peer.snd_nxt += 6;
    // Our data may be marked, and echoes as well.
    stack
        .tcp_send(at(2), id, b"answer".to_vec().into())
        .unwrap();
    let sent = drain(&mut stack, at(2));
    assert!(one_tcp(&sent).flags.contains(Flags::ECE));
    assert_eq!(field(&sent[0]), Ecn::Ect0);
    peer.rcv_nxt += 6;
    // CWR ends the echo.
    let data = peer.seg(ACK | Flags::CWR).payload(b"reduced");
    assert!(exchange(&mut stack, at(3), marked(&data, Ecn::Ect0)).is_empty());
    let sent = run_until(&mut stack, at(3), at(100));
    let [(_, delayed)] = sent.as_slice() else {
        panic!("one delayed acknowledgement expected, {} sent", sent.len());
    };
    assert_eq!(parse_tcp(delayed).flags, ACK);
}

#[test]
fn req_shld_8_ecn_is_asked_for_only_on_request() {
    for (ecn, flags) in [
        (EcnUse::Off, SYN),
        (EcnUse::Accept, SYN),
        (EcnUse::Request, SYN | Flags::ECE | Flags::CWR),
    ] {
        let mut stack = stack_with(StackConfig::default().tcp(Config::default().ecn(ecn)));
        let options = ConnectOptions::new(socket("10.0.0.2:80"));
        stack.tcp_connect(at(0), options).unwrap();
        assert_eq!(one_tcp(&drain(&mut stack, at(0))).flags, flags);
    }
}

#[test]
fn req_tw_8_a_reopened_connection_agrees_on_ecn_anew() {
    use Flags as F;
    let none = (SYN, SYN | ACK);
    let classic = (SYN | F::ECE | F::CWR, SYN | ACK | F::ECE);
    let accurate = (SYN | F::ECE | F::CWR | F::AE, SYN | ACK | F::CWR);
    for (old, new) in [
        (classic, none),
        (none, classic),
        (accurate, none),
        (accurate, classic),
        (classic, accurate),
        (none, accurate),
    ] {
        let config = Config::default().ecn(EcnUse::AcceptAccurate);
        let mut stack = stack_with(StackConfig::default().tcp(config));
        let listener = stack
            .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
            .unwrap();
        let syn = seg("10.0.0.2:9", "10.0.0.1:80", old.0).mss(1460);
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        assert_eq!(syn_ack.flags, old.1);
        let peer = Peer {
            us: "10.0.0.1:80".to_owned(),
            peer: "10.0.0.2:9".to_owned(),
            snd_nxt: 1001,
            rcv_nxt: syn_ack.seq + 1,
        };
        // The code that says how the SYN-ACK arrived.
        let code = if old == accurate { F::CWR } else { F::EMPTY };
        exchange(&mut stack, at(0), peer.seg(ACK | code).bytes());
        let id = stack.tcp_accept(listener).unwrap();
        // We close first, so the tuple stays in TIME-WAIT here.
        stack.tcp_release(at(1), id);
        assert!(one_tcp(&drain(&mut stack, at(1))).flags.contains(FIN));
        let fin = peer.seg(FIN | ACK).ack(peer.rcv_nxt + 1);
        // TIME-WAIT goes on showing the old counter, and nothing else of it.
        let counter = if old == accurate {
            F::AE | F::ECE
        } else {
            F::EMPTY
        };
        assert_eq!(
            one_tcp(&exchange(&mut stack, at(1), fin.bytes())).flags,
            ACK | counter
        );
        assert_eq!(
            one_tcp(&exchange(&mut stack, at(1), fin.bytes())).flags,
            ACK | counter
        );
        let again = seg("10.0.0.2:9", "10.0.0.1:80", new.0)
            .seq(900_000)
            .mss(1460);
        let syn_ack = one_tcp(&exchange(&mut stack, at(2), again.bytes()));
        assert_eq!(syn_ack.flags, new.1);
    }
}
