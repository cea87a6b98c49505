//! Segments for no connection (requirements B.2, CLOSED).

use transom_stack::tcp;
use transom_stack::{Discard, RateLimit, StackConfig};

use crate::harness::*;

#[test]
fn req_ev_c_1_resets_are_not_answered() {
    let gone = Discard::Tcp(tcp::Discard::ResetWithoutConnection);
    for flags in [RST, RST | ACK, RST | SYN, RST | FIN | ACK] {
        assert_dropped(
            &mut stack(),
            seg("10.0.0.2:9", "10.0.0.1:80", flags).bytes(),
            gone,
        );
    }
}

#[test]
fn req_ev_c_2_without_ack_the_reset_acknowledges_the_segment() {
    for (flags, data, len) in [(SYN, 0, 1), (FIN, 0, 1), (SYN | FIN, 3, 5), (SYN, 10, 11)] {
        let segment = seg("10.0.0.2:9", "10.0.0.1:80", flags).payload(&vec![1; data]);
        let reset = one_tcp(&exchange(&mut stack(), at(0), segment.bytes()));
        assert_eq!(
            (reset.flags, reset.seq, reset.ack),
            (RST | ACK, 0, 1000 + len)
        );
        assert_eq!(
            (reset.src, reset.dst),
            (socket("10.0.0.1:80"), socket("10.0.0.2:9"))
        );
    }
}

#[test]
fn req_ev_c_3_with_ack_the_reset_takes_its_number() {
    for flags in [ACK, SYN | ACK, FIN | ACK] {
        let segment = seg("[2001:db8::2]:9", "[2001:db8::1]:80", flags)
            .ack(777)
            .payload(b"data");
        let reset = one_tcp(&exchange(&mut stack(), at(0), segment.bytes()));
        assert_eq!((reset.flags, reset.seq, reset.ack), (RST, 777, 0));
        assert_eq!(reset.window, 0);
    }
}

#[test]
fn req_ev_c_5_and_sec_ack_1_resets_are_limited_and_a_black_hole_is_silent() {
    let config = StackConfig::default()
        .reset_limit(RateLimit::new(100, 10))
        .reset_limit_each(RateLimit::new(100, 10));
    let mut stack = stack_with(config);
    let mut flood = |ms: u64| -> usize {
        (0..1000)
            .map(|port| {
                let segment = seg(&format!("10.0.0.2:{}", 1 + port), "10.0.0.1:80", ACK);
                exchange(&mut stack, at(ms), segment.bytes()).len()
            })
            .sum()
    };
    assert_eq!(flood(0), 10);
    assert_eq!(flood(50), 5);
    assert_eq!(stack.counters().discarded(Discard::ResetRateLimited), 1985);
    let mut hole = stack_with(StackConfig::default().black_hole(true));
    let segment = seg("10.0.0.2:9", "10.0.0.1:80", SYN);
    assert_dropped(&mut hole, segment.bytes(), Discard::TcpNoConnection);
}

#[test]
fn req_sec_land_1_and_ev_l_9_a_segment_from_ourselves_is_dropped() {
    // The address alone condemns it; with any address accepted, the tuple does.
    let land = seg("10.0.0.1:80", "10.0.0.1:80", SYN).bytes();
    assert_dropped(&mut stack(), land, Discard::IpBadSource);
    let mut any = stack_with(StackConfig::default().any_address(true));
    let on = transom_stack::ListenOptions::new(transom_stack::ListenOn::Everything);
    any.tcp_listen(on).unwrap();
    let land = seg("192.0.2.1:80", "192.0.2.1:80", SYN).bytes();
    assert_dropped(&mut any, land, Discard::TcpLand);
}

#[test]
fn bad_segments_are_named() {
    let good = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
    let mut bad_sum = good.clone();
    bad_sum[30] ^= 1;
    assert_dropped(&mut stack(), bad_sum, Discard::TcpChecksum);
    let mut short_header = good;
    short_header[32] = 0x40;
    assert_dropped(&mut stack(), short_header, Discard::TcpMalformed);
    let port_zero = seg("10.0.0.2:0", "10.0.0.1:80", SYN).bytes();
    assert_dropped(&mut stack(), port_zero, Discard::TcpPortZero);
}
