//! ICMP in both directions (requirements D.3, D.5, C.15).

use transom_stack::wire::ip::{Packet, ipv4};
use transom_stack::wire::{Protocol, icmpv4, icmpv6};
use transom_stack::{Discard, EchoMode, RateLimit, StackConfig, StackEvent, Unreachable};

use crate::harness::*;

fn ping(dst: &str, data: &[u8]) -> Vec<u8> {
    icmp4(
        PEER,
        dst,
        icmpv4::Message::EchoRequest {
            id: 7,
            seq: 9,
            data,
        },
    )
}

fn ping6(dst: &str, data: &[u8]) -> Vec<u8> {
    icmp6(
        PEER6,
        dst,
        icmpv6::Message::EchoRequest {
            id: 7,
            seq: 9,
            data,
        },
    )
}

#[test]
fn req_ic4_1_and_ic6_2_echo_is_answered() {
    let sent = exchange(&mut stack(), at(0), ping(US, b"hello"));
    let (from, to, kind, code, data) = parse_icmp(&sent[0]);
    assert_eq!((from, to, kind, code), (ip(US), ip(PEER), 0, 0));
    assert_eq!(data, b"hello");
    assert_eq!(sent[0][24..28], [0, 7, 0, 9]);
    let sent = exchange(&mut stack(), at(0), ping6(US6, b"hello"));
    let (from, to, kind, _, data) = parse_icmp(&sent[0]);
    assert_eq!((from, to, kind), (ip(US6), ip(PEER6), 129));
    assert_eq!(data, b"hello");
}

#[test]
fn req_ic4_1_large_and_fragmented_echo() {
    let data: Vec<u8> = (0..4000).map(|i| i as u8).collect();
    let mut stack = stack();
    let whole = ping(US, &data).split_off(20);
    let mut sent = Vec::new();
    for (i, part) in whole.chunks(1480).enumerate() {
        let header = ipv4::Header {
            id: 3,
            dont_fragment: false,
            more_fragments: i < 2,
            fragment_offset: (i * 1480) as u16,
            ..ipv4::Header::new(PEER.parse().unwrap(), US.parse().unwrap(), Protocol::ICMP)
        };
        let mut out = vec![0; 20];
        header.emit(&mut out, part.len());
        out.extend_from_slice(part);
        sent = exchange(&mut stack, at(0), out);
    }
    assert_eq!(sent.len(), 3);
    let body: Vec<u8> = sent.iter().flat_map(|frame| frame[20..].to_vec()).collect();
    let view = icmpv4::View::new(&body).unwrap();
    assert!(view.verify_checksum());
    assert_eq!(view.body(), data);
}

#[test]
fn req_ic4_2_echo_to_many_is_not_answered() {
    for dst in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
        assert_dropped(&mut stack(), ping(dst, b"x"), Discard::EchoBroadcast);
    }
}

#[test]
fn echo_can_be_delivered_or_ignored() {
    let mut stack = stack_with(
        StackConfig::default()
            .any_address(true)
            .echo(EchoMode::Deliver),
    );
    assert!(exchange(&mut stack, at(0), ping("192.0.2.1", b"hello")).is_empty());
    let Some(StackEvent::EchoRequest(request)) = stack.poll_event() else {
        panic!("an echo request is delivered");
    };
    assert_eq!((request.local, request.peer), (ip("192.0.2.1"), ip(PEER)));
    stack.echo_reply(at(0), &request).unwrap();
    let (from, _, kind, _, data) = parse_icmp(&drain(&mut stack, at(0))[0]);
    assert_eq!((from, kind, data), (ip("192.0.2.1"), 0, b"hello".to_vec()));
    stack.echo_unreachable(at(0), &request, Unreachable::Host);
    let (_, _, kind, code, _) = parse_icmp(&drain(&mut stack, at(0))[0]);
    assert_eq!((kind, code), (3, 1));
    // A flood is bounded.
    for _ in 0..1000 {
        exchange(&mut stack, at(0), ping(US, b"x"));
    }
    assert!(stack.counters().discarded(Discard::EchoQueueFull) > 500);
    let mut silent = stack_with(StackConfig::default().echo(EchoMode::Ignore));
    assert_dropped(&mut silent, ping(US, b"x"), Discard::EchoIgnored);
}

#[test]
fn req_ic4_3_no_errors_about_errors_broadcasts_later_fragments_and_bad_sources() {
    // About an error: an unreachable message that matches nothing.
    let quote = datagram("10.0.0.1:9", "10.0.0.2:53", b"x");
    let error = icmpv4::Message::DestinationUnreachable {
        code: 3,
        next_hop_mtu: 0,
        quote: &quote,
    };
    assert_dropped(
        &mut stack(),
        icmp4(PEER, US, error),
        Discard::IcmpErrorUnmatched,
    );
    // To many.
    let many = datagram("10.0.0.2:9", "10.0.0.255:53", b"x");
    assert_dropped(&mut stack(), many, Discard::UdpNoSocket);
    // A later fragment of an unknown protocol is held, not answered.
    let header = ipv4::Header {
        dont_fragment: false,
        fragment_offset: 64,
        ..ipv4::Header::new(PEER.parse().unwrap(), US.parse().unwrap(), Protocol(200))
    };
    let mut later = vec![0; 20];
    header.emit(&mut later, 8);
    later.extend_from_slice(&[0; 8]);
    let mut stack = stack();
    assert!(exchange(&mut stack, at(0), later).is_empty());
    stack.handle_timeout(at(40_000));
    assert!(drain(&mut stack, at(40_000)).is_empty());
    // A bad source.
    let bad = datagram("224.0.0.9:9", "10.0.0.1:53", b"x");
    assert_dropped(&mut stack, bad, Discard::IpBadSource);
}

#[test]
fn req_ic4_4_and_ic6_3_quotes_fit() {
    let sent = exchange(
        &mut stack(),
        at(0),
        datagram("10.0.0.2:9", "10.0.0.1:53", &[7; 1400]),
    );
    assert_eq!(sent[0].len(), 576);
    let (.., quote) = parse_icmp(&sent[0]);
    assert_eq!(Packet::lax(&quote).unwrap().dst(), ip(US));
    let large = datagram("[2001:db8::2]:9", "[2001:db8::1]:53", &[7; 1400]);
    let sent = exchange(&mut stack(), at(0), large);
    assert_eq!(sent[0].len(), 1280);
}

#[test]
fn req_ic4_5_unknown_protocol_is_reported() {
    let sent = exchange(
        &mut stack(),
        at(0),
        packet(PEER, US, Protocol(200), &[0; 40]),
    );
    let (_, to, kind, code, quote) = parse_icmp(&sent[0]);
    assert_eq!((to, kind, code), (ip(PEER), 3, 2));
    assert_eq!(quote[9], 200);
}

#[test]
fn req_ic4_6_and_ic6_3_errors_are_limited() {
    let config = StackConfig::default()
        .icmp_limit(RateLimit::new(1000, 1000))
        .icmp_limit_each(RateLimit::new(1, 5));
    let mut stack = stack_with(config);
    let mut count = |peer: &str, us: &str| -> usize {
        (0..20)
            .map(|_| exchange(&mut stack, at(0), datagram(peer, us, b"x")).len())
            .sum()
    };
    assert_eq!(count("10.0.0.2:9", "10.0.0.1:53"), 5);
    // One destination does not use up another's.
    assert_eq!(count("10.0.0.3:9", "10.0.0.1:53"), 5);
    assert_eq!(count("[2001:db8::2]:9", "[2001:db8::1]:53"), 5);
    assert_eq!(stack.counters().discarded(Discard::IcmpRateLimited), 45);
}

#[test]
fn req_ic4_7_and_icmpa_8_quotes_of_any_length_and_content() {
    let mut stack = stack();
    let whole = seg("10.0.0.1:9", "10.0.0.2:53", SYN).bytes();
    for len in 0..whole.len() {
        let error = icmpv4::Message::DestinationUnreachable {
            code: 3,
            next_hop_mtu: 0,
            quote: &whole[..len],
        };
        assert!(exchange(&mut stack, at(0), icmp4(PEER, US, error)).is_empty());
    }
    let truncated = stack.counters().discarded(Discard::IcmpErrorTruncated);
    assert_eq!(truncated, 28);
    // Header length, total length and options that lie about the quote.
    for byte in 0..20 {
        for value in [0, 0x0f, 0x4f, 0xff] {
            let mut quote = whole.clone();
            quote[byte] = value;
            let error = icmpv4::Message::TimeExceeded {
                code: 0,
                quote: &quote,
            };
            assert!(exchange(&mut stack, at(0), icmp4(PEER, US, error)).is_empty());
        }
    }
    let whole = seg("[2001:db8::1]:9", "[2001:db8::2]:53", SYN).bytes();
    for len in 0..whole.len() {
        let error = icmpv6::Message::DestinationUnreachable {
            code: 4,
            quote: &whole[..len],
        };
        assert!(exchange(&mut stack, at(0), icmp6(PEER6, US6, error)).is_empty());
    }
}

#[test]
fn req_ic4_8_redirects_and_old_requests_are_ignored() {
    let quote = datagram("10.0.0.1:9", "10.0.0.2:53", b"x");
    let redirect = icmpv4::Message::Redirect {
        code: 1,
        gateway: "10.0.0.66".parse().unwrap(),
        quote: &quote,
    };
    assert_dropped(
        &mut stack(),
        icmp4(PEER, US, redirect),
        Discard::IcmpRedirect,
    );
    for kind in [13, 15, 17] {
        let other = icmpv4::Message::Other {
            kind,
            code: 0,
            rest: [0; 4],
            body: &[0; 12],
        };
        assert_dropped(&mut stack(), icmp4(PEER, US, other), Discard::IcmpIgnored);
    }
}

#[test]
fn req_ic4_9_and_ic6_1_bad_checksums_are_dropped() {
    let mut bad = ping(US, b"hello");
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_dropped(&mut stack(), bad, Discard::IcmpChecksum);
    let mut bad = ping6(US6, b"hello");
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_dropped(&mut stack(), bad, Discard::IcmpChecksum);
    let short = packet(PEER, US, Protocol::ICMP, &[8, 0, 0]);
    assert_dropped(&mut stack(), short, Discard::IcmpMalformed);
}

#[test]
fn req_ic6_4_unknown_messages_are_dropped() {
    for kind in [5, 100, 127, 200, 255] {
        let other = icmpv6::Message::Other {
            kind,
            code: 0,
            rest: [0; 4],
            body: &[0; 48],
        };
        assert_dropped(&mut stack(), icmp6(PEER6, US6, other), Discard::IcmpIgnored);
    }
}

#[test]
fn req_must_55_and_icmpa_6_and_sec_icmp_3_source_quench_is_ignored() {
    let quote = seg("10.0.0.1:9", "10.0.0.2:53", SYN).bytes();
    let quench = icmpv4::Message::SourceQuench { quote: &quote };
    assert_dropped(
        &mut stack(),
        icmp4(PEER, US, quench),
        Discard::IcmpSourceQuench,
    );
}
