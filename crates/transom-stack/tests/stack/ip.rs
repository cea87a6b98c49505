//! IP in and out, fragments (requirements D.1, D.2, D.4).

use bytes::Bytes;
use transom_stack::tcp::Instant;
use transom_stack::wire::ip::{Fragment, ipv4, ipv6};
use transom_stack::wire::{Ecn, Protocol, RxFrame, icmpv4, icmpv6};
use transom_stack::{Discard, StackConfig, UdpOn};

use crate::harness::*;

/// An IPv4 fragment.
fn fragment4(
    id: u16,
    offset: u16,
    more: bool,
    data: &[u8],
    ecn: Ecn,
    protocol: Protocol,
) -> Vec<u8> {
    let mut out = vec![0; ipv4::MIN_HEADER_LEN];
    let header = ipv4::Header {
        id,
        ecn,
        dont_fragment: false,
        more_fragments: more,
        fragment_offset: offset,
        ..ipv4::Header::new(PEER.parse().unwrap(), US.parse().unwrap(), protocol)
    };
    header.emit(&mut out, data.len());
    out.extend_from_slice(data);
    out
}

/// An IPv6 fragment.
fn fragment6(id: u32, offset: u16, more: bool, data: &[u8], next_header: Protocol) -> Vec<u8> {
    let mut body = vec![0; 8];
    let header = ipv6::FragmentHeader {
        next_header,
        fragment: Fragment { id, offset, more },
    };
    header.emit(&mut body);
    body.extend_from_slice(data);
    packet(PEER6, US6, Protocol::FRAGMENT, &body)
}

/// The UDP part of a datagram of `len` bytes of data from the peer to port 53, without its IP header.
fn udp4(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    datagram("10.0.0.2:9", "10.0.0.1:53", &data).split_off(20)
}

fn udp6(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    datagram("[2001:db8::2]:9", "[2001:db8::1]:53", &data).split_off(40)
}

/// A stack with a UDP socket on port 53 of everything, and what it gets from these packets.
fn received(packets: &[Vec<u8>]) -> (Vec<transom_stack::Datagram>, transom_stack::Stack) {
    let mut stack = stack();
    let id = stack.udp_bind(UdpOn::Everything).unwrap();
    for packet in packets {
        stack.handle_frame(at(0), RxFrame::from(Bytes::from(packet.clone())));
    }
    let mut got = Vec::new();
    while let Some(datagram) = stack.udp_recv(id) {
        got.push(datagram);
    }
    (got, stack)
}

#[test]
fn req_lnk_1_first_nibble_selects_the_version() {
    for nibble in 0..16u8 {
        if nibble != 4 && nibble != 6 {
            assert_dropped(&mut stack(), vec![nibble << 4; 60], Discard::IpMalformed);
        }
    }
    for len in 0..20 {
        assert_dropped(&mut stack(), vec![0x45; len], Discard::IpMalformed);
    }
}

#[test]
fn req_ip4_1_malformed_headers_are_dropped() {
    let good = datagram("10.0.0.2:9", "10.0.0.1:53", b"x");
    let mut bad_sum = good.clone();
    bad_sum[10] ^= 1;
    assert_dropped(&mut stack(), bad_sum, Discard::IpMalformed);
    let mut short_ihl = good.clone();
    short_ihl[0] = 0x44;
    assert_dropped(&mut stack(), short_ihl, Discard::IpMalformed);
    let mut long = good;
    long.truncate(25);
    assert_dropped(&mut stack(), long, Discard::IpMalformed);
}

#[test]
fn req_ip4_2_and_must_63_bad_sources_are_dropped() {
    for src in [
        "0.0.0.0",
        "255.255.255.255",
        "10.0.0.255",
        "224.0.0.1",
        "127.0.0.1",
        "240.0.0.1",
        "0.1.2.3",
        US,
    ] {
        let mut stack = stack();
        let syn = seg(&format!("{src}:999"), "10.0.0.1:80", SYN).bytes();
        assert_dropped(&mut stack, syn, Discard::IpBadSource);
    }
}

#[test]
fn req_ip6_2_and_must_63_bad_sources_are_dropped() {
    for src in ["::", "::1", "ff02::1", "::ffff:10.0.0.2", US6] {
        let mut stack = stack();
        let syn = seg(&format!("[{src}]:999"), "[2001:db8::1]:80", SYN).bytes();
        assert_dropped(&mut stack, syn, Discard::IpBadSource);
    }
}

#[test]
fn req_ip4_3_only_what_is_ours_is_delivered() {
    let syn = seg("10.0.0.2:9", "10.0.0.77:80", SYN).bytes();
    assert_dropped(&mut stack(), syn.clone(), Discard::IpNotOurs);
    let mut any = stack_with(StackConfig::default().any_address(true));
    assert_dropped_with_reset(&mut any, syn);
}

fn assert_dropped_with_reset(stack: &mut transom_stack::Stack, packet: Vec<u8>) {
    let reset = one_tcp(&exchange(stack, at(0), packet));
    assert!(reset.flags.contains(RST));
}

#[test]
fn req_ip4_4_and_must_50_and_cve_27_options_are_skipped_and_source_routes_dropped() {
    let with_options = |options: [u8; 4]| {
        let plain = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
        let mut out = plain[..20].to_vec();
        out[0] = 0x46;
        let total = (plain.len() + 4) as u16;
        out[2..4].copy_from_slice(&total.to_be_bytes());
        out[10..12].fill(0);
        out.extend_from_slice(&options);
        let sum = transom_stack::wire::checksum::checksum(&out);
        out[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&plain[20..]);
        out
    };
    // An unknown option and a record route are passed over: the closed port answers.
    assert_dropped_with_reset(&mut stack(), with_options([0x99, 4, 0, 0]));
    assert_dropped_with_reset(&mut stack(), with_options([7, 3, 4, 0]));
    for bad in [[0x99, 0, 0, 0], [0x99, 1, 0, 0], [0x99, 40, 0, 0]] {
        assert_dropped(&mut stack(), with_options(bad), Discard::IpMalformed);
    }
}

#[test]
fn source_routes_are_neither_followed_nor_reflected() {
    for kind in [131, 137] {
        let plain = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
        let mut out = plain[..20].to_vec();
        out[0] = 0x47;
        let total = (plain.len() + 8) as u16;
        out[2..4].copy_from_slice(&total.to_be_bytes());
        out[10..12].fill(0);
        out.extend_from_slice(&[kind, 7, 4, 192, 0, 2, 1, 0]);
        let sum = transom_stack::wire::checksum::checksum(&out);
        out[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&plain[20..]);
        assert_dropped(&mut stack(), out, Discard::IpMalformed);
    }
}

#[test]
fn req_ip4_5_and_must_49_hop_limit_is_configurable_and_not_checked_on_arrival() {
    let mut stack = stack_with(StackConfig::default().hop_limit(7));
    let syn = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
    let mut ttl_zero = syn.clone();
    ttl_zero[8] = 0;
    ttl_zero[10..12].fill(0);
    let sum = transom_stack::wire::checksum::checksum(&ttl_zero[..20]);
    ttl_zero[10..12].copy_from_slice(&sum.to_be_bytes());
    for packet in [syn, ttl_zero] {
        let sent = exchange(&mut stack, at(0), packet);
        assert_eq!(sent[0][8], 7);
    }
    // 0 would never arrive anywhere.
    let mut zero = stack_with(StackConfig::default().hop_limit(0));
    let sent = exchange(
        &mut zero,
        at(0),
        seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes(),
    );
    assert_ne!(sent[0][8], 0);
}

#[test]
fn req_ip4_7_any_order_of_fragments() {
    let whole = udp4(4 * 80 + 11);
    let cut: Vec<Vec<u8>> = whole
        .chunks(80)
        .enumerate()
        .map(|(i, data)| {
            let at = i * 80;
            let more = at + data.len() < whole.len();
            fragment4(7, at as u16, more, data, Ecn::NotEct, Protocol::UDP)
        })
        .collect();
    assert_eq!(cut.len(), 5);
    for order in permutations(5) {
        let packets: Vec<_> = order.iter().map(|i| cut[*i].clone()).collect();
        let (got, stack) = received(&packets);
        assert_eq!(got.len(), 1, "{order:?}");
        assert_eq!(got[0].payload.len(), 4 * 80 + 11);
        assert_eq!(got[0].payload[300], 300u32 as u8);
        assert_eq!(stack.counters().reassembled, 1);
    }
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    permutations(n - 1)
        .into_iter()
        .flat_map(|rest| {
            (0..n).map(move |at| {
                let mut one = rest.clone();
                one.insert(at, n - 1);
                one
            })
        })
        .collect()
}

#[test]
fn req_ip4_8_reassembles_up_to_the_largest_datagram() {
    let whole = udp4(60_000);
    let cut: Vec<_> = whole
        .chunks(1480)
        .enumerate()
        .map(|(i, data)| {
            let more = i * 1480 + data.len() < whole.len();
            fragment4(7, (i * 1480) as u16, more, data, Ecn::NotEct, Protocol::UDP)
        })
        .collect();
    assert_eq!(received(&cut).0[0].payload.len(), 60_000);
}

#[test]
fn req_ip4_9_and_sec_frag_1_and_cve_29_odd_lengths_and_pings_of_death_are_dropped() {
    let odd = fragment4(7, 0, true, &[0; 13], Ecn::NotEct, Protocol::UDP);
    assert_dropped(&mut stack(), odd, Discard::IpMalformed);
    let death = fragment4(7, 65_528, false, &[0; 40], Ecn::NotEct, Protocol::ICMP);
    assert_dropped(&mut stack(), death, Discard::IpMalformed);
}

#[test]
fn req_ip4_10_and_cve_29_overlap_discards_the_datagram_and_a_copy_is_harmless() {
    let whole = udp4(92);
    let part = |from: usize, to: usize| {
        fragment4(
            7,
            from as u16,
            to < 100,
            &whole[from..to],
            Ecn::NotEct,
            Protocol::UDP,
        )
    };
    let (got, stack) = received(&[part(0, 48), part(40, 100), part(48, 100)]);
    assert!(got.is_empty());
    assert_eq!(stack.counters().discarded(Discard::FragmentOverlap), 2);
    let (got, stack) = received(&[part(0, 48), part(0, 48), part(48, 100)]);
    assert_eq!(got.len(), 1);
    assert_eq!(stack.counters().discarded(Discard::FragmentDuplicate), 1);
}

#[test]
fn req_ip4_11_and_lx_23_timeout_is_reported_only_when_the_first_fragment_came() {
    let whole = udp4(92);
    let first = fragment4(7, 0, true, &whole[..48], Ecn::NotEct, Protocol::UDP);
    let last = fragment4(8, 48, false, &whole[48..], Ecn::NotEct, Protocol::UDP);
    let mut stack = stack();
    assert!(exchange(&mut stack, at(0), first).is_empty());
    assert!(exchange(&mut stack, at(0), last).is_empty());
    assert_eq!(stack.poll_timeout(at(0)), Some(at(30_000)));
    stack.handle_timeout(at(29_999));
    assert!(drain(&mut stack, at(29_999)).is_empty());
    stack.handle_timeout(at(30_000));
    let sent = drain(&mut stack, at(30_000));
    assert_eq!(sent.len(), 1);
    let (_, to, kind, code, quote) = parse_icmp(&sent[0]);
    assert_eq!((to, kind, code), (ip(PEER), icmpv4::kind::TIME_EXCEEDED, 1));
    assert_eq!(quote[4..6], [0, 7]);
    assert_eq!(stack.counters().discarded(Discard::FragmentTimeout), 2);
    assert_eq!(stack.poll_timeout(at(30_000)), None);
}

#[test]
fn req_ip4_12_and_sec_frag_1_fragments_held_are_bounded() {
    let mut stack = stack_with(StackConfig::default().max_fragment_bytes(100_000));
    for id in 0..60_000u16 {
        let src = format!("10.0.{}.{}", 1 + id / 250, 1 + id % 250);
        let mut out = vec![0; 20];
        let header = ipv4::Header {
            id,
            dont_fragment: false,
            more_fragments: true,
            ..ipv4::Header::new(src.parse().unwrap(), US.parse().unwrap(), Protocol::UDP)
        };
        header.emit(&mut out, 800);
        out.extend_from_slice(&[0; 800]);
        stack.handle_frame(at(0), RxFrame::from(Bytes::from(out)));
    }
    // The oldest went without a word; what is held now can still be completed.
    stack.handle_timeout(at(31_000));
    let held = stack.counters().discarded(Discard::FragmentTimeout);
    assert!(held > 50 && held * 800 <= 100_000, "{held} datagrams held");
}

#[test]
fn req_ip4_12_one_source_cannot_take_all() {
    let mut stack = stack();
    for id in 0..1000u16 {
        let part = fragment4(id, 0, true, &[0; 800], Ecn::NotEct, Protocol::UDP);
        stack.handle_frame(at(0), RxFrame::from(Bytes::from(part)));
    }
    assert_eq!(
        stack.counters().discarded(Discard::FragmentLimit),
        1000 - 64
    );
}

#[test]
fn req_ip4_13_tiny_fragments_of_tcp_are_dropped() {
    let tiny = fragment4(7, 0, true, &[0; 16], Ecn::NotEct, Protocol::TCP);
    assert_dropped(&mut stack(), tiny, Discard::IpMalformed);
    let at_8 = fragment4(7, 8, false, &[0; 40], Ecn::NotEct, Protocol::TCP);
    assert_dropped(&mut stack(), at_8, Discard::IpMalformed);
}

#[test]
fn req_ip4_14_two_ends_discard_the_datagram() {
    let part = |from, to, more| {
        fragment4(
            7,
            from,
            more,
            &vec![0; to - from as usize],
            Ecn::NotEct,
            Protocol::UDP,
        )
    };
    let (got, stack) = received(&[part(64, 100, false), part(32, 60, false), part(0, 32, true)]);
    assert!(got.is_empty());
    assert_eq!(stack.counters().discarded(Discard::FragmentLength), 1);
    // Data beyond the end that is known.
    let (got, stack) = received(&[part(32, 64, false), part(64, 96, true), part(0, 32, true)]);
    assert!(got.is_empty());
    assert_eq!(stack.counters().discarded(Discard::FragmentLength), 1);
}

#[test]
fn req_ip4_15_ecn_over_fragments() {
    use Ecn::{Ce, Ect0, Ect1, NotEct};
    let table = [
        (Ce, Ect0, Some(Ce)),
        (Ect0, Ce, Some(Ce)),
        (Ect0, Ect0, Some(Ect0)),
        (Ect1, Ect1, Some(Ect1)),
        (NotEct, NotEct, Some(NotEct)),
        (NotEct, Ect0, Some(NotEct)),
        (Ce, NotEct, None),
        (NotEct, Ce, None),
    ];
    let whole = udp4(92);
    for (first, second, expected) in table {
        let packets = [
            fragment4(7, 0, true, &whole[..48], first, Protocol::UDP),
            fragment4(7, 48, false, &whole[48..], second, Protocol::UDP),
        ];
        let (got, stack) = received(&packets);
        assert_eq!(
            got.first().map(|datagram| datagram.ecn),
            expected,
            "{first:?} {second:?}"
        );
        let dropped = stack.counters().discarded(Discard::FragmentEcn);
        assert_eq!(dropped, u64::from(expected.is_none()));
    }
}

#[test]
fn req_ip4_18_and_must_57_and_ev_c_4_broadcasts_are_never_answered() {
    for dst in ["255.255.255.255", "10.0.0.255", "224.0.0.1"] {
        let syn = seg("10.0.0.2:9", &format!("{dst}:80"), SYN).bytes();
        assert_dropped(&mut stack(), syn, Discard::TcpBroadcast);
        let udp = datagram("10.0.0.2:9", &format!("{dst}:53"), b"x");
        assert_dropped(&mut stack(), udp, Discard::UdpNoSocket);
    }
    let syn = seg("[2001:db8::2]:9", "[ff02::1]:80", SYN).bytes();
    assert_dropped(&mut stack(), syn, Discard::TcpBroadcast);
}

#[test]
fn req_ip6_1_lengths_padding_and_jumbograms() {
    let good = datagram("[2001:db8::2]:9", "[2001:db8::1]:53", b"hello");
    let mut padded = good.clone();
    padded.extend_from_slice(&[0; 20]);
    assert_eq!(received(&[padded]).0[0].payload, "hello");
    let mut short = good.clone();
    short.truncate(good.len() - 1);
    assert_dropped(&mut stack(), short, Discard::IpMalformed);
    let mut jumbo = packet(
        PEER6,
        US6,
        Protocol::HOP_BY_HOP,
        &[17, 0, 0xc2, 4, 0, 1, 0, 0],
    );
    jumbo[4..6].fill(0);
    assert_dropped(&mut stack(), jumbo, Discard::IpMalformed);
}

/// A UDP datagram behind one extension header.
fn extended(kind: Protocol, option: &[u8; 6]) -> Vec<u8> {
    let mut body = vec![17, 0];
    body.extend_from_slice(option);
    body.extend_from_slice(&udp6(5));
    packet(PEER6, US6, kind, &body)
}

#[test]
fn req_ip6_3_and_cve_24_unknown_options_by_their_action_bits() {
    for kind in [Protocol::HOP_BY_HOP, Protocol::DESTINATION_OPTIONS] {
        let skip = extended(kind, &[0x1e, 4, 0, 0, 0, 0]);
        assert_eq!(received(&[skip]).0.len(), 1);
        assert_dropped(
            &mut stack(),
            extended(kind, &[0x5e, 4, 0, 0, 0, 0]),
            Discard::IpMalformed,
        );
        for option in [0x9e, 0xde] {
            let sent = exchange(
                &mut stack(),
                at(0),
                extended(kind, &[option, 4, 0, 0, 0, 0]),
            );
            let (_, to, kind, code, body) = parse_icmp(&sent[0]);
            assert_eq!(
                (to, kind, code),
                (ip(PEER6), icmpv6::kind::PARAMETER_PROBLEM, 2)
            );
            assert_eq!(body[40], 17);
        }
    }
}

#[test]
fn req_ip6_4_unknown_next_header_is_reported_with_a_pointer() {
    let sent = exchange(
        &mut stack(),
        at(0),
        packet(PEER6, US6, Protocol(200), &[0; 8]),
    );
    let (_, to, kind, code, _) = parse_icmp(&sent[0]);
    assert_eq!(
        (to, kind, code),
        (ip(PEER6), icmpv6::kind::PARAMETER_PROBLEM, 1)
    );
    assert_eq!(sent[0][44..48], [0, 0, 0, 6]);
    let nothing = packet(PEER6, US6, Protocol::NO_NEXT_HEADER, &[0; 8]);
    assert_dropped(&mut stack(), nothing, Discard::IpNothingFollows);
}

#[test]
fn req_ip6_5_long_chains_are_dropped() {
    let mut body = Vec::new();
    for _ in 0..20 {
        body.extend_from_slice(&[60, 0, 1, 4, 0, 0, 0, 0]);
    }
    let chain = packet(PEER6, US6, Protocol::DESTINATION_OPTIONS, &body);
    assert_dropped(&mut stack(), chain, Discard::IpMalformed);
}

#[test]
fn req_ip6_6_routing_headers() {
    let with = |segments_left: u8| {
        let mut body = vec![17, 0, 0, segments_left, 0, 0, 0, 0];
        body.extend_from_slice(&udp6(5));
        packet(PEER6, US6, Protocol::ROUTING, &body)
    };
    assert_eq!(received(&[with(0)]).0.len(), 1);
    let sent = exchange(&mut stack(), at(0), with(1));
    let (_, _, kind, code, _) = parse_icmp(&sent[0]);
    assert_eq!((kind, code), (icmpv6::kind::PARAMETER_PROBLEM, 0));
}

#[test]
fn req_ip6_7_and_cve_27_fragments() {
    let whole = udp6(92);
    let first = fragment6(7, 0, true, &whole[..48], Protocol::UDP);
    let last = fragment6(7, 48, false, &whole[48..], Protocol::UDP);
    assert_eq!(
        received(&[last.clone(), first.clone()]).0[0].payload.len(),
        92
    );
    // Overlap: silence, also about what comes later.
    let over = fragment6(7, 40, false, &whole[40..], Protocol::UDP);
    let (got, mut stack) = received(&[first.clone(), over, last]);
    assert!(got.is_empty() && drain(&mut stack, at(0)).is_empty());
    // Timeout with the first fragment.
    let mut stack = crate::harness::stack();
    assert!(exchange(&mut stack, at(0), first).is_empty());
    stack.handle_timeout(at(60_000));
    let sent = drain(&mut stack, at(60_000));
    let (_, _, kind, code, _) = parse_icmp(&sent[0]);
    assert_eq!((kind, code), (icmpv6::kind::TIME_EXCEEDED, 1));
    // Not a multiple of 8, and beyond 65535.
    for (bad, pointer) in [
        (fragment6(7, 0, true, &[0; 13], Protocol::UDP), 4),
        (fragment6(7, 65_528, false, &[0; 16], Protocol::UDP), 42),
    ] {
        let sent = exchange(&mut crate::harness::stack(), at(0), bad);
        let (_, _, kind, code, _) = parse_icmp(&sent[0]);
        assert_eq!((kind, code), (icmpv6::kind::PARAMETER_PROBLEM, 0));
        assert_eq!(sent[0][44..48], u32::to_be_bytes(pointer));
    }
    // Headers split over fragments.
    let split = fragment6(7, 0, true, &[0; 16], Protocol::TCP);
    let sent = exchange(&mut crate::harness::stack(), at(0), split);
    let (_, _, kind, code, _) = parse_icmp(&sent[0]);
    assert_eq!((kind, code), (icmpv6::kind::PARAMETER_PROBLEM, 3));
}

#[test]
fn req_ip6_7_extension_headers_after_the_fragment_header() {
    let mut whole = vec![17, 0, 1, 4, 0, 0, 0, 0];
    whole.extend_from_slice(&udp6(92));
    let first = fragment6(7, 0, true, &whole[..48], Protocol::DESTINATION_OPTIONS);
    let last = fragment6(7, 48, false, &whole[48..], Protocol::DESTINATION_OPTIONS);
    assert_eq!(received(&[first, last]).0[0].payload.len(), 92);
}

#[test]
fn req_cve_14_a_fragment_within_fragments_is_dropped() {
    let whole = udp6(92);
    let inner = |from: usize, to: usize, more| {
        let mut out = vec![0; 8];
        let fragment = Fragment {
            id: 8,
            offset: from as u16,
            more,
        };
        let header = ipv6::FragmentHeader {
            next_header: Protocol::UDP,
            fragment,
        };
        header.emit(&mut out);
        out.extend_from_slice(&whole[from..to]);
        out
    };
    // The first half of a datagram, itself cut in two; then its second half, plain.
    let nested = inner(0, 48, true);
    let packets = [
        fragment6(7, 0, true, &nested[..24], Protocol::FRAGMENT),
        fragment6(7, 24, false, &nested[24..], Protocol::FRAGMENT),
        fragment6(8, 48, false, &whole[48..], Protocol::UDP),
    ];
    let (got, stack) = received(&packets);
    assert!(got.is_empty());
    assert_eq!(stack.counters().discarded(Discard::IpMalformed), 1);
    // Without the nesting the datagram would have been whole.
    let plain = fragment6(8, 0, true, &whole[..48], Protocol::UDP);
    let last = fragment6(8, 48, false, &whole[48..], Protocol::UDP);
    assert_eq!(received(&[plain, last]).0.len(), 1);
}

#[test]
fn req_ip6_8_atomic_fragments_stand_alone() {
    let whole = udp6(92);
    let first = fragment6(7, 0, true, &whole[..48], Protocol::UDP);
    let atomic = fragment6(7, 0, false, &udp6(5), Protocol::UDP);
    let last = fragment6(7, 48, false, &whole[48..], Protocol::UDP);
    let (got, _) = received(&[first, atomic, last]);
    let lengths: Vec<_> = got.iter().map(|datagram| datagram.payload.len()).collect();
    assert_eq!(lengths, [5, 92]);
}

#[test]
fn req_ip6_9_reassembles_1500_bytes() {
    let whole = udp6(1500 - 48);
    let first = fragment6(7, 0, true, &whole[..1232], Protocol::UDP);
    let last = fragment6(7, 1232, false, &whole[1232..], Protocol::UDP);
    assert_eq!(received(&[first, last]).0[0].payload.len(), 1452);
}

#[test]
fn fragments_cost_no_more_than_their_turn() {
    // A poisoned datagram is forgotten in time like any other.
    let part = |from: u16, data: &[u8]| fragment4(7, from, true, data, Ecn::NotEct, Protocol::UDP);
    let (_, mut stack) = received(&[part(0, &[0; 48]), part(40, &[0; 48])]);
    let due: Option<Instant> = stack.poll_timeout(at(0));
    assert_eq!(due, Some(at(30_000)));
    stack.handle_timeout(at(30_000));
    assert!(drain(&mut stack, at(30_000)).is_empty());
    assert_eq!(stack.poll_timeout(at(30_000)), None);
}
