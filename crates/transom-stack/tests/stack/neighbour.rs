//! Ethernet, ARP and neighbour discovery (requirements D.1, D.5, D.6).

use bytes::Bytes;
use transom_stack::tcp::{Event, Instant, PathError};
use transom_stack::wire::arp::{self, Operation};
use transom_stack::wire::ethernet::{self, EtherType, MacAddr};
use transom_stack::wire::ip::Packet;
use transom_stack::wire::{Capabilities, Protocol, icmpv6, ndp};
use transom_stack::{
    ConnectOptions, DatagramOptions, Discard, Stack, StackConfig, StackEvent, UdpOn,
};

use crate::harness::*;

const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

fn ethernet_stack() -> Stack {
    on_device(StackConfig::default(), Capabilities::ethernet(1500))
}

fn framed(dst: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = ethernet::Header {
        dst,
        src: PEER_MAC,
        ether_type,
    };
    let mut out = vec![0; 14];
    header.emit(&mut out);
    out.extend_from_slice(payload);
    out
}

fn ip_framed(dst: MacAddr, packet: &[u8]) -> Vec<u8> {
    let ether_type = if packet[0] >> 4 == 4 {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    };
    framed(dst, ether_type, packet)
}

fn arp_message(operation: Operation, sender: (MacAddr, &str), target: (MacAddr, &str)) -> Vec<u8> {
    let header = arp::Header {
        operation,
        sender_mac: sender.0,
        sender_ip: sender.1.parse().unwrap(),
        target_mac: target.0,
        target_ip: target.1.parse().unwrap(),
    };
    let mut out = vec![0; arp::LEN];
    header.emit(&mut out);
    out
}

fn arp(operation: Operation, sender: (MacAddr, &str), target: (MacAddr, &str)) -> Vec<u8> {
    let dst = if operation == Operation::Request {
        MacAddr::BROADCAST
    } else {
        OUR_MAC
    };
    framed(dst, EtherType::ARP, &arp_message(operation, sender, target))
}

fn parse_arp(frame: &[u8]) -> (MacAddr, arp::Header) {
    let view = ethernet::View::new(frame).unwrap();
    assert_eq!(view.ether_type(), EtherType::ARP);
    assert_eq!(view.src(), OUR_MAC);
    let view_arp = arp::View::new(view.payload()).unwrap();
    (view.dst(), arp::Header::from_view(&view_arp).unwrap())
}

fn ndp_frame(src: &str, dst: &str, hop_limit: u8, message: &ndp::Message) -> Vec<u8> {
    let mut body = vec![0; message.len()];
    message.emit(&mut body, src.parse().unwrap(), dst.parse().unwrap());
    let ecn = transom_stack::wire::Ecn::NotEct;
    let packet = packet_with(src, dst, Protocol::ICMPV6, &body, hop_limit, ecn);
    ip_framed(OUR_MAC, &packet)
}

fn parse_ndp(frame: &[u8]) -> (MacAddr, core::net::IpAddr, ndp::Message) {
    let link = ethernet::View::new(frame).unwrap();
    let packet = Packet::new(link.payload()).unwrap();
    let view = icmpv6::View::new(packet.payload()).unwrap();
    let (core::net::IpAddr::V6(src), core::net::IpAddr::V6(dst)) = (packet.src(), packet.dst())
    else {
        panic!("IPv6 expected");
    };
    assert!(view.verify_checksum(src, dst));
    (
        link.dst(),
        packet.dst(),
        ndp::Message::parse(&packet, &view).unwrap(),
    )
}

/// Sends a datagram to `to` and gives the frames that come of it.
fn send_to(stack: &mut Stack, now: Instant, to: &str) -> Vec<Vec<u8>> {
    let any = if to.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let id = stack.udp_bind(UdpOn::Address(socket(any))).unwrap();
    let options = DatagramOptions::default();
    stack
        .udp_send(now, id, socket(to), Bytes::from_static(b"x"), options)
        .unwrap();
    drain(stack, now)
}

fn is_data(frame: &[u8]) -> bool {
    let view = ethernet::View::new(frame).unwrap();
    view.ether_type() != EtherType::ARP
        && Packet::new(view.payload()).unwrap().protocol() == Protocol::UDP
}

#[test]
fn req_lnk_2_padding_is_not_data() {
    let mut stack = ethernet_stack();
    let id = stack
        .udp_bind(UdpOn::Address(socket("10.0.0.1:53")))
        .unwrap();
    let mut frame = ip_framed(OUR_MAC, &datagram("10.0.0.2:9", "10.0.0.1:53", b"abc"));
    frame.resize(60, 0xee);
    exchange(&mut stack, at(0), frame);
    assert_eq!(stack.udp_recv(id).unwrap().payload, "abc");
    let mut short = ip_framed(OUR_MAC, &datagram("10.0.0.2:9", "10.0.0.1:53", b"abc"));
    short.truncate(40);
    assert_dropped(&mut stack, short, Discard::IpMalformed);
}

#[test]
fn req_lnk_3_and_must_57_frames_for_others_and_for_all() {
    let mut stack = ethernet_stack();
    let syn = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
    assert_dropped(&mut stack, ip_framed(OTHER_MAC, &syn), Discard::LinkNotOurs);
    assert_dropped(
        &mut stack,
        ip_framed(MacAddr::BROADCAST, &syn),
        Discard::TcpBroadcast,
    );
    let udp = datagram("10.0.0.2:9", "10.0.0.1:53", b"x");
    assert_dropped(
        &mut stack,
        ip_framed(MacAddr::BROADCAST, &udp),
        Discard::UdpNoSocket,
    );
    assert_dropped(&mut stack, vec![0; 13], Discard::LinkMalformed);
    let vlan = framed(OUR_MAC, EtherType::VLAN, &[0; 40]);
    assert_dropped(&mut stack, vlan, Discard::EtherTypeUnknown);
}

#[test]
fn req_arp_1_and_arp_4_bad_messages_are_dropped() {
    let mut stack = ethernet_stack();
    let good = arp(Operation::Request, (PEER_MAC, PEER), (MacAddr::ZERO, US));
    for (at_byte, value) in [(1, 2), (3, 1), (4, 5), (5, 5), (7, 9)] {
        let mut bad = good.clone();
        bad[14 + at_byte] = value;
        assert_dropped(&mut stack, bad, Discard::ArpMalformed);
    }
    let short = framed(OUR_MAC, EtherType::ARP, &good[14..40]);
    assert_dropped(&mut stack, short, Discard::ArpMalformed);
    for mac in [
        MacAddr::ZERO,
        MacAddr::BROADCAST,
        MacAddr([1, 0, 0x5e, 0, 0, 1]),
    ] {
        let bad = arp(Operation::Request, (mac, PEER), (MacAddr::ZERO, US));
        assert_dropped(&mut stack, bad, Discard::ArpBadSender);
    }
    for sender in ["224.0.0.1", "10.0.0.255"] {
        let bad = arp(Operation::Request, (PEER_MAC, sender), (MacAddr::ZERO, US));
        assert_dropped(&mut stack, bad, Discard::ArpBadSender);
    }
    // One who speaks as us teaches nothing, and hears that the address is taken (RFC 5227 §2.4).
    let thief = arp(Operation::Request, (PEER_MAC, US), (MacAddr::ZERO, US));
    let sent = exchange(&mut stack, at(0), thief);
    let (to, announcement) = parse_arp(&sent[0]);
    assert_eq!((sent.len(), to), (1, MacAddr::BROADCAST));
    assert_eq!(announcement.sender_ip.to_string(), US);
    assert_eq!(stack.counters().discarded(Discard::AddressConflict), 1);
    let zero = arp(Operation::Reply, (PEER_MAC, "0.0.0.0"), (OUR_MAC, US));
    assert_dropped(&mut stack, zero, Discard::ArpBadSender);
}

#[test]
fn req_arp_2_only_own_addresses_are_answered_for() {
    let mut stack = ethernet_stack();
    let request = arp(Operation::Request, (PEER_MAC, PEER), (MacAddr::ZERO, US));
    let sent = exchange(&mut stack, at(0), request);
    let (dst, reply) = parse_arp(&sent[0]);
    assert_eq!((dst, reply.operation), (PEER_MAC, Operation::Reply));
    assert_eq!(
        (reply.sender_mac, reply.sender_ip),
        (OUR_MAC, US.parse().unwrap())
    );
    assert_eq!(
        (reply.target_mac, reply.target_ip),
        (PEER_MAC, PEER.parse().unwrap())
    );
    let other = arp(
        Operation::Request,
        (PEER_MAC, PEER),
        (MacAddr::ZERO, "10.0.0.9"),
    );
    assert_dropped(&mut stack, other, Discard::ArpNotOurs);
    // A probe for our address is defended.
    let probe = arp(
        Operation::Request,
        (PEER_MAC, "0.0.0.0"),
        (MacAddr::ZERO, US),
    );
    assert_eq!(exchange(&mut stack, at(0), probe).len(), 1);
}

#[test]
fn req_arp_3_entries_are_made_only_by_who_speaks_to_us_or_was_asked() {
    let mut stack = ethernet_stack();
    // A reply that nobody asked for, and a request to somebody else: no entry, so we have to ask.
    exchange(
        &mut stack,
        at(0),
        arp(Operation::Reply, (OTHER_MAC, PEER), (OUR_MAC, US)),
    );
    exchange(
        &mut stack,
        at(0),
        arp(
            Operation::Request,
            (OTHER_MAC, PEER),
            (MacAddr::ZERO, "10.0.0.9"),
        ),
    );
    let sent = send_to(&mut stack, at(0), "10.0.0.2:9");
    let (dst, request) = parse_arp(&sent[0]);
    assert_eq!(
        (sent.len(), dst, request.operation),
        (1, MacAddr::BROADCAST, Operation::Request)
    );
    assert_eq!(request.target_ip.to_string(), PEER);
    // The answer releases what waited, and is kept.
    let sent = exchange(
        &mut stack,
        at(1),
        arp(Operation::Reply, (PEER_MAC, PEER), (OUR_MAC, US)),
    );
    assert_eq!(sent.len(), 1);
    assert!(is_data(&sent[0]));
    assert_eq!(ethernet::View::new(&sent[0]).unwrap().dst(), PEER_MAC);
    assert!(is_data(&send_to(&mut stack, at(2), "10.0.0.2:9")[0]));
    // Who asks for us is known afterwards.
    exchange(
        &mut stack,
        at(3),
        arp(
            Operation::Request,
            (OTHER_MAC, "10.0.0.3"),
            (MacAddr::ZERO, US),
        ),
    );
    let sent = send_to(&mut stack, at(3), "10.0.0.3:9");
    assert_eq!(ethernet::View::new(&sent[0]).unwrap().dst(), OTHER_MAC);
}

#[test]
fn req_arp_3_and_arp_8_a_neighbour_that_moves_is_followed() {
    let mut stack = ethernet_stack();
    exchange(
        &mut stack,
        at(0),
        arp(Operation::Request, (PEER_MAC, PEER), (MacAddr::ZERO, US)),
    );
    // A gratuitous message: sender and target are the same.
    exchange(
        &mut stack,
        at(1),
        arp(Operation::Request, (OTHER_MAC, PEER), (MacAddr::ZERO, PEER)),
    );
    let sent = send_to(&mut stack, at(2), "10.0.0.2:9");
    assert_eq!(ethernet::View::new(&sent[0]).unwrap().dst(), OTHER_MAC);
}

#[test]
fn req_sec_arp_1_a_configured_entry_does_not_change() {
    let mut stack = ethernet_stack();
    stack.add_neighbour(at(0), ip(PEER), PEER_MAC.octets());
    exchange(
        &mut stack,
        at(1),
        arp(Operation::Request, (OTHER_MAC, PEER), (MacAddr::ZERO, US)),
    );
    exchange(
        &mut stack,
        at(1),
        arp(Operation::Reply, (OTHER_MAC, PEER), (OUR_MAC, US)),
    );
    let sent = send_to(&mut stack, at(2), "10.0.0.2:9");
    assert_eq!(ethernet::View::new(&sent[0]).unwrap().dst(), PEER_MAC);
}

#[test]
fn req_arp_5_and_nd_4_and_nd_5_three_requests_a_second_apart_then_unreachable() {
    for (remote, v6) in [("10.0.0.2:80", false), ("[2001:db8::2]:80", true)] {
        let mut stack = ethernet_stack();
        let id = stack
            .tcp_connect(at(0), ConnectOptions::new(socket(remote)))
            .unwrap();
        let sent = run_until(&mut stack, at(0), at(2_999));
        let asked: Vec<_> = sent.iter().map(|(when, _)| *when).collect();
        assert_eq!(asked, [at(0), at(1_000), at(2_000)]);
        for (_, frame) in &sent {
            if v6 {
                let (link, dst, message) = parse_ndp(frame);
                assert_eq!(link, MacAddr([0x33, 0x33, 0xff, 0, 0, 2]));
                assert_eq!(dst, ip("ff02::1:ff00:2"));
                assert!(matches!(
                    message,
                    ndp::Message::NeighborSolicitation {
                        source_link: Some(OUR_MAC),
                        ..
                    }
                ));
            } else {
                assert_eq!(parse_arp(frame).0, MacAddr::BROADCAST);
            }
        }
        stack.handle_timeout(at(3_000));
        let told = core::iter::from_fn(|| stack.poll_event()).any(|event| {
            event == StackEvent::Tcp(id, Event::SoftError(PathError::HostUnreachable))
        });
        assert!(told, "the connection hears that the host cannot be reached");
        assert!(stack.counters().discarded(Discard::NeighbourUnreachable) >= 1);
    }
}

#[test]
fn req_nd_5_and_arp_5_and_cve_26_frames_that_wait_are_bounded_and_the_oldest_goes() {
    let mut stack = ethernet_stack();
    let id = stack
        .udp_bind(UdpOn::Address(socket("10.0.0.1:53")))
        .unwrap();
    for number in 0..40u8 {
        let data = Bytes::copy_from_slice(&[number]);
        let to = socket("10.0.0.2:9");
        stack
            .udp_send(at(0), id, to, data, DatagramOptions::default())
            .unwrap();
    }
    assert_eq!(drain(&mut stack, at(0)).len(), 1);
    assert_eq!(stack.counters().discarded(Discard::NeighbourQueueFull), 24);
    let sent = exchange(
        &mut stack,
        at(1),
        arp(Operation::Reply, (PEER_MAC, PEER), (OUR_MAC, US)),
    );
    let numbers: Vec<u8> = sent.iter().map(|frame| frame[14 + 28]).collect();
    assert_eq!(numbers, (24..40).collect::<Vec<_>>());
}

#[test]
fn req_arp_6_and_nd_4_entries_age_and_are_confirmed() {
    let mut stack = ethernet_stack();
    send_to(&mut stack, at(0), "10.0.0.2:9");
    exchange(
        &mut stack,
        at(0),
        arp(Operation::Reply, (PEER_MAC, PEER), (OUR_MAC, US)),
    );
    // After 45 s at the most it is no longer trusted, but still used; 5 s later it is asked, alone.
    stack.handle_timeout(at(45_001));
    assert!(is_data(&send_to(&mut stack, at(46_000), "10.0.0.2:9")[0]));
    assert_eq!(stack.poll_timeout(at(46_000)), Some(at(51_000)));
    stack.handle_timeout(at(51_000));
    let (dst, request) = parse_arp(&drain(&mut stack, at(51_000))[0]);
    assert_eq!((dst, request.operation), (PEER_MAC, Operation::Request));
    // Confirmed, nothing more happens for a while.
    exchange(
        &mut stack,
        at(51_001),
        arp(Operation::Reply, (PEER_MAC, PEER), (OUR_MAC, US)),
    );
    stack.handle_timeout(at(52_000));
    assert!(drain(&mut stack, at(52_000)).is_empty());
    // Unused for twenty minutes it is forgotten.
    stack.handle_timeout(at(100_000));
    stack.handle_timeout(at(100_000 + 21 * 60_000));
    let sent = send_to(&mut stack, at(1_400_000), "10.0.0.2:9");
    assert_eq!(parse_arp(&sent[0]).0, MacAddr::BROADCAST);
}

#[test]
fn req_nd_3_a_neighbour_that_does_not_confirm_is_asked_three_times_and_forgotten() {
    let mut stack = ethernet_stack();
    exchange(
        &mut stack,
        at(0),
        arp(Operation::Request, (PEER_MAC, PEER), (MacAddr::ZERO, US)),
    );
    assert!(is_data(&send_to(&mut stack, at(0), "10.0.0.2:9")[0]));
    let sent = run_until(&mut stack, at(0), at(60_000));
    let asked: Vec<_> = sent.iter().map(|(when, _)| *when).collect();
    assert_eq!(asked, [at(5_000), at(6_000), at(7_000)]);
    let sent = send_to(&mut stack, at(60_000), "10.0.0.2:9");
    assert_eq!(parse_arp(&sent[0]).0, MacAddr::BROADCAST);
}

fn solicitation(target: &str, link: Option<MacAddr>) -> ndp::Message {
    ndp::Message::NeighborSolicitation {
        target: target.parse().unwrap(),
        source_link: link,
    }
}

fn advertisement(link: Option<MacAddr>, solicited: bool, override_cached: bool) -> ndp::Message {
    ndp::Message::NeighborAdvertisement {
        router: false,
        solicited,
        override_cached,
        target: PEER6.parse().unwrap(),
        target_link: link,
    }
}

#[test]
fn req_nd_1_hop_limit_options_and_fragments() {
    let mut stack = ethernet_stack();
    let good = solicitation(US6, Some(PEER_MAC));
    assert_dropped(
        &mut stack,
        ndp_frame(PEER6, US6, 254, &good),
        Discard::NdpInvalid,
    );
    // An option of length 0.
    let mut body = vec![0; good.len()];
    good.emit(&mut body, PEER6.parse().unwrap(), US6.parse().unwrap());
    body[25] = 0;
    body[2..4].fill(0);
    let mut sum =
        transom_stack::wire::checksum::pseudo_header(ip(PEER6), ip(US6), 58, body.len() as u32);
    sum.add_bytes(&body);
    body[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let ecn = transom_stack::wire::Ecn::NotEct;
    let zero = packet_with(PEER6, US6, Protocol::ICMPV6, &body, 255, ecn);
    assert_dropped(&mut stack, ip_framed(OUR_MAC, &zero), Discard::NdpInvalid);
}

#[test]
fn req_nd_2_solicitations_are_answered() {
    let mut stack = ethernet_stack();
    let asked = ndp_frame(
        PEER6,
        "ff02::1:ff00:1",
        255,
        &solicitation(US6, Some(PEER_MAC)),
    );
    let sent = exchange(&mut stack, at(0), asked);
    let (link, dst, message) = parse_ndp(&sent[0]);
    assert_eq!((link, dst), (PEER_MAC, ip(PEER6)));
    assert_eq!(
        message,
        ndp::Message::NeighborAdvertisement {
            router: false,
            solicited: true,
            override_cached: true,
            target: US6.parse().unwrap(),
            target_link: Some(OUR_MAC),
        }
    );
    // Who checks for duplicates is answered too, through all nodes.
    let probe = ndp_frame("::", "ff02::1:ff00:1", 255, &solicitation(US6, None));
    let sent = exchange(&mut stack, at(0), probe);
    let (link, dst, message) = parse_ndp(&sent[0]);
    assert_eq!(
        (link, dst),
        (MacAddr([0x33, 0x33, 0, 0, 0, 1]), ip("ff02::1"))
    );
    assert!(matches!(
        message,
        ndp::Message::NeighborAdvertisement {
            solicited: false,
            ..
        }
    ));
    let other = ndp_frame(
        PEER6,
        US6,
        255,
        &solicitation("2001:db8::77", Some(PEER_MAC)),
    );
    assert_dropped(&mut stack, other, Discard::NdpNotOurs);
}

/// Where a datagram to the peer goes now: to a link address, or nowhere before somebody answers.
fn goes_to(stack: &mut Stack, ms: u64) -> Option<MacAddr> {
    let sent = send_to(stack, at(ms), "[2001:db8::2]:9");
    sent.iter()
        .find(|frame| is_data(frame))
        .map(|frame| ethernet::View::new(frame).unwrap().dst())
}

#[test]
fn req_nd_3_and_nd_7_advertisements_by_state_and_flags() {
    // No entry: an advertisement does not make one.
    let mut stack = ethernet_stack();
    exchange(
        &mut stack,
        at(0),
        ndp_frame(PEER6, US6, 255, &advertisement(Some(PEER_MAC), true, true)),
    );
    assert_eq!(goes_to(&mut stack, 0), None);
    // INCOMPLETE: one without an address is useless, one with it is taken.
    exchange(
        &mut stack,
        at(0),
        ndp_frame(PEER6, US6, 255, &advertisement(None, true, true)),
    );
    assert_eq!(goes_to(&mut stack, 0), None);
    let sent = exchange(
        &mut stack,
        at(0),
        ndp_frame(PEER6, US6, 255, &advertisement(Some(PEER_MAC), true, false)),
    );
    assert_eq!(sent.iter().filter(|frame| is_data(frame)).count(), 2);
    assert_eq!(goes_to(&mut stack, 0), Some(PEER_MAC));
    stack.handle_timeout(at(1_000));
    // REACHABLE: another address without O is not taken, but trust is gone.
    exchange(
        &mut stack,
        at(1_000),
        ndp_frame(
            PEER6,
            US6,
            255,
            &advertisement(Some(OTHER_MAC), false, false),
        ),
    );
    assert_eq!(goes_to(&mut stack, 1_000), Some(PEER_MAC));
    assert_eq!(stack.poll_timeout(at(1_000)), Some(at(6_000)));
    // STALE or DELAY: still not without O; with it, yes.
    exchange(
        &mut stack,
        at(1_002),
        ndp_frame(
            PEER6,
            US6,
            255,
            &advertisement(Some(OTHER_MAC), true, false),
        ),
    );
    assert_eq!(goes_to(&mut stack, 1_002), Some(PEER_MAC));
    exchange(
        &mut stack,
        at(1_003),
        ndp_frame(PEER6, US6, 255, &advertisement(Some(OTHER_MAC), true, true)),
    );
    assert_eq!(goes_to(&mut stack, 1_003), Some(OTHER_MAC));
    // Confirmed by S: no question in five seconds.
    stack.handle_timeout(at(10_000));
    assert!(drain(&mut stack, at(10_000)).is_empty());
}

#[test]
fn req_nd_7_and_sec_arp_1_the_cache_is_bounded() {
    let config = StackConfig::default().max_neighbours(16);
    let mut stack = on_device(config, Capabilities::ethernet(1500));
    send_to(&mut stack, at(0), "10.0.0.2:9");
    exchange(
        &mut stack,
        at(0),
        arp(Operation::Reply, (PEER_MAC, PEER), (OUR_MAC, US)),
    );
    for last in 3..250 {
        let sender = format!("10.0.0.{last}");
        exchange(
            &mut stack,
            at(1),
            arp(
                Operation::Request,
                (OTHER_MAC, &sender),
                (MacAddr::ZERO, US),
            ),
        );
    }
    // The one that is trusted is still there.
    assert!(is_data(&send_to(&mut stack, at(2), "10.0.0.2:9")[0]));
    let known = (3..250)
        .filter(|last| {
            send_to(&mut stack, at(3), &format!("10.0.0.{last}:9"))
                .iter()
                .any(|f| is_data(f))
        })
        .count();
    assert!(known <= 16);
}

#[test]
fn req_nd_13_a_device_for_bare_packets_has_no_neighbours() {
    let mut stack = stack();
    let message = solicitation(US6, None);
    let frame = ndp_frame(PEER6, US6, 255, &message);
    assert_dropped(&mut stack, frame[14..].to_vec(), Discard::NdpNotOurs);
    let sent = send_to(&mut stack, at(0), "[2001:db8::2]:9");
    assert_eq!(Packet::new(&sent[0]).unwrap().protocol(), Protocol::UDP);
}

#[test]
fn req_ip6_16_link_local_addresses_stay_on_the_link() {
    let mut stack = ethernet_stack();
    stack.add_address(cidr("fe80::1/64"));
    // A router for everything else, whose link address is known.
    let router = "2001:db8::ff".parse().unwrap();
    stack.add_route(cidr("::/0"), transom_stack::RouteTarget::Gateway(router));
    stack.add_neighbour(at(0), router, OTHER_MAC.octets());
    stack.add_neighbour(at(0), "fe80::2".parse().unwrap(), PEER_MAC.octets());
    let on = transom_stack::ListenOptions::new(transom_stack::ListenOn::AnyAddress(80));
    stack.tcp_listen(on).unwrap();
    let syn = |peer: &str, us: &str| ip_framed(OUR_MAC, &seg(peer, us, SYN).bytes());
    // The answer comes from the address that was asked, and goes to the neighbour itself.
    let sent = exchange(&mut stack, at(0), syn("[fe80::2]:9", "[fe80::1]:80"));
    assert_eq!(sent[0][..6], PEER_MAC.octets());
    assert_eq!(parse_tcp(&sent[0][14..]).src, socket("[fe80::1]:80"));
    let sent = exchange(
        &mut stack,
        at(0),
        syn("[2001:db9::2]:9", "[2001:db8::1]:80"),
    );
    assert_eq!(sent[0][..6], OTHER_MAC.octets());
    // What we open ourselves has a source of the same scope, and asks no router either.
    let to = ConnectOptions::new(socket("[fe80::2]:80"));
    stack.tcp_connect(at(0), to).unwrap();
    let sent = drain(&mut stack, at(0));
    assert_eq!(sent[0][..6], PEER_MAC.octets());
    assert_eq!(parse_tcp(&sent[0][14..]).src.ip(), ip("fe80::1"));
    // One that nobody has is asked for on the link.
    let to = ConnectOptions::new(socket("[fe80::99]:80"));
    stack.tcp_connect(at(0), to).unwrap();
    let sent = drain(&mut stack, at(0));
    let (_, _, message) = parse_ndp(&sent[0]);
    assert!(matches!(message, ndp::Message::NeighborSolicitation { .. }));
}

#[test]
fn req_nd_6_forward_progress_of_tcp_confirms_a_neighbour() {
    for progress in [true, false] {
        let mut stack = ethernet_stack();
        // The peer asks for us, which leaves a stale entry.
        let ask = arp(Operation::Request, (PEER_MAC, PEER), (MacAddr::ZERO, US));
        exchange(&mut stack, at(0), ask);
        let to = ConnectOptions::new(socket("10.0.0.2:80"));
        let id = stack.tcp_connect(at(0), to).unwrap();
        // Its first use puts it in doubt.
        let syn = parse_tcp(&drain(&mut stack, at(0))[0][14..]);
        let answer = seg("10.0.0.2:80", "10.0.0.1:1", SYN | ACK)
            .seq(5000)
            .ack(syn.seq + 1);
        let mut answer = answer.mss(1460);
        answer.dst = syn.src;
        exchange(&mut stack, at(1), ip_framed(OUR_MAC, &answer.bytes()));
        stack.tcp_send(at(2), id, "data".into()).unwrap();
        drain(&mut stack, at(2));
        if progress {
            let mut ack = answer.clone().seq(5001).ack(syn.seq + 5);
            ack.flags = ACK;
            exchange(&mut stack, at(3), ip_framed(OUR_MAC, &ack.bytes()));
        }
        // Nobody has to ask when the data was acknowledged.
        let later = run_until(&mut stack, at(3), at(9_000));
        let asked = later.iter().filter(|(_, frame)| {
            ethernet::View::new(frame).unwrap().ether_type() == EtherType::ARP
        });
        assert_eq!(asked.count() > 0, !progress);
    }
}

#[test]
fn req_nd_11_redirects_are_off() {
    let mut stack = ethernet_stack();
    let router = "2001:db8::ff".parse().unwrap();
    stack.add_route(cidr("::/0"), transom_stack::RouteTarget::Gateway(router));
    stack.add_neighbour(at(0), router, OTHER_MAC.octets());
    let redirect = ndp::Message::Redirect {
        target: "fe80::66".parse().unwrap(),
        destination: "2001:db9::2".parse().unwrap(),
        target_link: Some(PEER_MAC),
    };
    let before = stack.counters().discarded(Discard::NdpNotOurs);
    for from in ["fe80::ff", "2001:db8::ff", "fe80::66"] {
        let frame = ndp_frame(from, US6, 255, &redirect);
        assert_eq!(exchange(&mut stack, at(0), frame), Vec::<Vec<u8>>::new());
    }
    let after = stack.counters().discarded(Discard::NdpNotOurs)
        + stack.counters().discarded(Discard::NdpInvalid);
    assert_eq!(after - before, 3);
    // The way is what it was.
    let to = ConnectOptions::new(socket("[2001:db9::2]:80"));
    stack.tcp_connect(at(0), to).unwrap();
    assert_eq!(drain(&mut stack, at(0))[0][..6], OTHER_MAC.octets());
}

#[test]
fn req_lnk_7_an_unfinished_checksum_counts_only_when_the_device_vouches_for_it() {
    use transom_stack::wire::{RxChecksum, RxFrame};
    let whole = seg("10.0.0.2:9", "10.0.0.1:80", SYN).bytes();
    // As the kernel leaves it: the sum of the pseudo-header, not complemented.
    let mut partial = whole.clone();
    let sum = transom_stack::wire::checksum::pseudo_header(
        ip(PEER),
        ip(US),
        Protocol::TCP.raw(),
        u32::try_from(whole.len() - 20).unwrap(),
    );
    let field = !sum.finish();
    partial[36..38].copy_from_slice(&field.to_be_bytes());
    let mut stack = stack();
    let mut give = |checksum| {
        let mut frame = RxFrame::from(Bytes::from(partial.clone()));
        frame.checksum = checksum;
        stack.handle_frame(at(0), frame);
        let answered = !drain(&mut stack, at(0)).is_empty();
        (answered, stack.counters().discarded(Discard::TcpChecksum))
    };
    assert_eq!(give(RxChecksum::Unverified), (false, 1));
    // The closed port answers.
    assert_eq!(give(RxChecksum::Valid), (true, 1));
}

fn events(stack: &mut Stack) -> Vec<StackEvent> {
    core::iter::from_fn(|| stack.poll_event()).collect()
}

/// What the stack sends until `until`: when, and what.
fn probes(stack: &mut Stack, from: u64, until: u64) -> Vec<(Instant, Vec<u8>)> {
    run_until(stack, at(from), at(until))
}

#[test]
fn req_nd_8_an_address_is_used_when_nobody_answers_for_it() {
    let target: core::net::Ipv6Addr = "2001:db8::77".parse().unwrap();
    let mut stack = ethernet_stack();
    assert!(stack.try_address(at(0), cidr("2001:db8::77/64")));
    assert!(!stack.try_address(at(0), cidr("2001:db8::77/64")), "once");
    let sent = probes(&mut stack, 0, 1_000);
    // The group, and one solicitation from nobody to those who might have the address.
    assert_eq!(sent.len(), 2);
    let groups = reported(&sent[0].1);
    assert_eq!(
        groups,
        [ndp::solicited_node(OUR_V6), ndp::solicited_node(target)]
    );
    let packet = Packet::new(&sent[1].1[14..]).unwrap();
    assert!(packet.src().is_unspecified());
    let (_, to, message) = parse_ndp(&sent[1].1);
    assert_eq!(to, core::net::IpAddr::V6(ndp::solicited_node(target)));
    assert_eq!(message, solicitation("2001:db8::77", None));
    // Until a second has passed it is not ours: who asks for it gets no answer.
    let ask = ndp_frame(
        PEER6,
        &ndp::solicited_node(target).to_string(),
        255,
        &solicitation("2001:db8::77", Some(PEER_MAC)),
    );
    assert!(exchange(&mut stack, at(1_000), ask.clone()).is_empty());
    assert!(!stack.addresses().contains(&cidr("2001:db8::77/64")));
    assert_eq!(probes(&mut stack, 1_000, 2_000), []);
    assert_eq!(
        events(&mut stack),
        [StackEvent::AddressReady(target.into())]
    );
    assert_eq!(exchange(&mut stack, at(2_000), ask).len(), 1);
    // Disputed by somebody who has it, or who tries it as well: it is not used.
    let tries = ndp_frame(
        "::",
        &ndp::solicited_node(target).to_string(),
        255,
        &solicitation("2001:db8::77", None),
    );
    let has = ndp::Message::NeighborAdvertisement {
        router: false,
        solicited: false,
        override_cached: true,
        target,
        target_link: Some(PEER_MAC),
    };
    let has = ndp_frame("2001:db8::77", "ff02::1", 255, &has);
    for dispute in [tries, has] {
        let mut stack = ethernet_stack();
        stack.try_address(at(0), cidr("2001:db8::77/64"));
        probes(&mut stack, 0, 1_000);
        exchange(&mut stack, at(1_000), dispute);
        let conflict = StackEvent::AddressConflict(target.into());
        assert_eq!(events(&mut stack), [conflict]);
        assert_eq!(probes(&mut stack, 1_000, 10_000), []);
        assert!(!stack.addresses().contains(&cidr("2001:db8::77/64")));
    }
    // Where there is no link nobody can have it.
    let mut tun = stack_with(StackConfig::default());
    tun.try_address(at(0), cidr("2001:db8::77/64"));
    assert_eq!(events(&mut tun), [StackEvent::AddressReady(target.into())]);
    assert!(drain(&mut tun, at(0)).is_empty());
}

#[test]
fn req_arp_7_an_address_is_probed_announced_and_defended() {
    let mut stack = ethernet_stack();
    stack.try_address(at(0), cidr("10.0.0.77/24"));
    let sent = probes(&mut stack, 0, 20_000);
    let messages: Vec<_> = sent.iter().map(|(_, frame)| parse_arp(frame).1).collect();
    assert_eq!(messages.len(), 5);
    for probe in &messages[..3] {
        assert!(probe.sender_ip.is_unspecified());
        assert_eq!(probe.target_ip.to_string(), "10.0.0.77");
    }
    for announcement in &messages[3..] {
        assert_eq!(announcement.sender_ip.to_string(), "10.0.0.77");
        assert_eq!(announcement.target_ip, announcement.sender_ip);
    }
    let gap = |n: usize| sent[n + 1].0.duration_since(sent[n].0).as_millis();
    assert!(sent[0].0 <= at(1_000));
    assert!((1_000..=2_000).contains(&gap(0)) && (1_000..=2_000).contains(&gap(1)));
    assert_eq!((gap(2), gap(3)), (2_000, 2_000));
    let address = ip("10.0.0.77");
    assert_eq!(events(&mut stack), [StackEvent::AddressReady(address)]);
    // In use: defended, but not more than once in ten seconds.
    let thief = arp(
        Operation::Request,
        (OTHER_MAC, "10.0.0.77"),
        (MacAddr::ZERO, "10.0.0.77"),
    );
    let mut defences = 0;
    for second in 30..55 {
        defences += exchange(&mut stack, at(second * 1_000), thief.clone()).len();
    }
    assert_eq!(defences, 3);
    assert!(stack.addresses().contains(&cidr("10.0.0.77/24")));
    events(&mut stack);
    // Disputed while it is probed, by one who has it, and by one who probes it too.
    let has = arp(
        Operation::Reply,
        (OTHER_MAC, "10.0.0.78"),
        (OUR_MAC, "0.0.0.0"),
    );
    let tries = arp(
        Operation::Request,
        (OTHER_MAC, "0.0.0.0"),
        (MacAddr::ZERO, "10.0.0.78"),
    );
    for round in 0..10 {
        let start = 100_000 + round * 10_000;
        assert!(stack.try_address(at(start), cidr("10.0.0.78/24")));
        probes(&mut stack, start, start + 1_500);
        let dispute = if round % 2 == 0 { &has } else { &tries };
        exchange(&mut stack, at(start + 1_500), dispute.clone());
        let conflict = StackEvent::AddressConflict(ip("10.0.0.78"));
        assert_eq!(events(&mut stack), [conflict], "round {round}");
    }
    // After ten of them a minute passes before the next is tried.
    let start = 200_000;
    stack.try_address(at(start), cidr("10.0.0.79/24"));
    let sent = probes(&mut stack, start, start + 40_000);
    assert_eq!(sent, []);
    assert!(!probes(&mut stack, start + 40_000, start + 70_000).is_empty());
}

/// A router's advertisement with a lifetime in seconds, and a prefix.
fn router_says(lifetime: u16, prefix: &str, prefix_lifetime: u32) -> ndp::RouterAdvertisement {
    ndp::RouterAdvertisement {
        hop_limit: 33,
        router_lifetime: lifetime,
        source_link: Some(OTHER_MAC),
        mtu: Some(1400),
        prefixes: vec![ndp::PrefixInformation {
            prefix: prefix.parse().unwrap(),
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid_lifetime: prefix_lifetime,
            preferred_lifetime: prefix_lifetime,
        }],
        ..ndp::RouterAdvertisement::default()
    }
}

#[test]
fn req_nd_9_and_ip6_12_routers_are_asked_for_and_followed() {
    let config = StackConfig::default().router_discovery(true);
    let mut stack = on_device(config.clone(), Capabilities::ethernet(1500));
    stack.add_address(cidr("fe80::1/64"));
    // Three questions, four seconds apart.
    let asked = probes(&mut stack, 0, 60_000);
    assert_eq!(asked.len(), 3);
    assert!(asked[0].0 <= at(1_000));
    for (n, (when, frame)) in asked.iter().enumerate() {
        let (_, to, message) = parse_ndp(frame);
        assert_eq!(to, ip("ff02::2"));
        let source_link = Some(OUR_MAC);
        assert_eq!(message, ndp::Message::RouterSolicitation { source_link });
        assert_eq!(when.duration_since(asked[0].0).as_secs(), n as u64 * 4);
    }
    let says = |from: &str, said: ndp::RouterAdvertisement| {
        ndp_frame(
            from,
            "ff02::1",
            255,
            &ndp::Message::RouterAdvertisement(said),
        )
    };
    let far = socket("[2001:db9::2]:80");
    let connect = |stack: &mut Stack, now| {
        let id = stack.tcp_connect(now, ConnectOptions::new(far)).ok()?;
        let syn = drain(stack, now).remove(0);
        stack.tcp_abort(now, id);
        drain(stack, now);
        Some(syn)
    };
    assert_eq!(connect(&mut stack, at(60_000)), None, "no way out");
    // Only a link-local source tells a router; and who does not listen is told nothing.
    let now = at(60_000);
    let good = router_says(1800, "2001:dba::", 7200);
    assert_dropped(
        &mut stack,
        says("2001:db8::ff", good.clone()),
        Discard::NdpInvalid,
    );
    let mut deaf = ethernet_stack();
    assert_dropped(
        &mut deaf,
        says("fe80::ff", good.clone()),
        Discard::NdpNotOurs,
    );
    exchange(&mut stack, now, says("fe80::ff", good.clone()));
    let syn = connect(&mut stack, now).unwrap();
    assert_eq!(syn[..6], OTHER_MAC.octets(), "by way of the router");
    assert_eq!(syn[14 + 7], 33, "its hop limit");
    // The MSS follows the advertised MTU, IPv4 does not; nonsense is not believed.
    assert_eq!(parse_tcp(&syn[14..]).options.mss, Some(1400 - 60));
    assert_eq!(stack.path_mtu(ip("10.0.0.2")), 1500);
    for mtu in [0, 1279, 1501, 9000, u32::MAX] {
        let mut odd = good.clone();
        odd.mtu = Some(mtu);
        exchange(&mut stack, now, says("fe80::ff", odd));
        assert_eq!(stack.path_mtu(far.ip()), 1400);
    }
    // What has the prefix is asked for itself, until that expires or is withdrawn.
    let on_link = |stack: &mut Stack, now| {
        let near = ConnectOptions::new(socket("[2001:dba::5]:80"));
        let id = stack.tcp_connect(now, near).unwrap();
        let frame = drain(stack, now).remove(0);
        stack.tcp_abort(now, id);
        frame[14 + 6] == Protocol::ICMPV6.raw()
    };
    assert!(on_link(&mut stack, now));
    exchange(
        &mut stack,
        now,
        says("fe80::ff", router_says(1800, "2001:dba::", 0)),
    );
    assert!(!on_link(&mut stack, now));
    // A second router stands in when the first says that it is none any more.
    let mut second = good;
    second.source_link = Some(PEER_MAC);
    exchange(&mut stack, at(70_000), says("fe80::fe", second));
    assert_eq!(
        connect(&mut stack, at(70_000)).unwrap()[..6],
        OTHER_MAC.octets()
    );
    exchange(
        &mut stack,
        at(70_000),
        says("fe80::ff", router_says(0, "2001:dba::", 7200)),
    );
    assert_eq!(
        connect(&mut stack, at(70_000)).unwrap()[..6],
        PEER_MAC.octets()
    );
    // Its lifetime ends, and with it the way out.
    run_until(&mut stack, at(70_000), at(1_871_000));
    assert_eq!(connect(&mut stack, at(1_871_000)), None);
    // A forger who names many makes us remember few, and a configured route stays.
    let mut stack = on_device(config, Capabilities::ethernet(1500));
    let gateway = "2001:db8::ff".parse().unwrap();
    stack.add_route(cidr("::/0"), transom_stack::RouteTarget::Gateway(gateway));
    stack.add_neighbour(at(0), gateway, PEER_MAC.octets());
    for n in 0..1000 {
        let said = router_says(1800, &format!("2001:{n:x}::"), 7200);
        exchange(
            &mut stack,
            at(0),
            says(&format!("fe80::{:x}", n + 0x100), said),
        );
    }
    assert_eq!(connect(&mut stack, at(0)).unwrap()[..6], PEER_MAC.octets());
}

const OUR_V6: core::net::Ipv6Addr = core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The groups that a report names.
fn reported(frame: &[u8]) -> Vec<core::net::Ipv6Addr> {
    let group = "ff02::16".parse::<core::net::Ipv6Addr>().unwrap();
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0x16]);
    let packet = Packet::new(&frame[14..]).unwrap();
    assert_eq!((packet.dst(), packet.ttl()), (group.into(), 1));
    assert_eq!(packet.protocol(), Protocol::ICMPV6);
    // Hop by hop: router alert, for MLD.
    assert_eq!(frame[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
    let core::net::IpAddr::V6(src) = packet.src() else {
        panic!("IPv6 expected");
    };
    let view = icmpv6::View::new(packet.payload()).unwrap();
    assert!(view.verify_checksum(src, group));
    assert_eq!((view.kind(), view.code()), (143, 0));
    let records = view.body().chunks(20).map(|record| {
        assert_eq!(record[..4], [2, 0, 0, 0]);
        core::net::Ipv6Addr::from(<[u8; 16]>::try_from(&record[4..]).unwrap())
    });
    records.collect()
}

#[test]
fn req_nd_12_the_groups_of_our_addresses_are_reported() {
    let ours = ndp::solicited_node(OUR_V6);
    let query = |src: &str, hop_limit: u8, group: core::net::Ipv6Addr| {
        let mut body = vec![130, 0, 0, 0, 0x03, 0xe8, 0, 0];
        body.extend(group.octets());
        body.extend([2, 125, 0, 0]);
        let to = "ff02::1";
        icmpv6::fill_checksum(&mut body, src.parse().unwrap(), to.parse().unwrap());
        let ecn = transom_stack::wire::Ecn::NotEct;
        let packet = packet_with(src, to, Protocol::ICMPV6, &body, hop_limit, ecn);
        ip_framed(OUR_MAC, &packet)
    };
    let everything = core::net::Ipv6Addr::UNSPECIFIED;
    for group in [everything, ours] {
        let mut stack = ethernet_stack();
        stack.add_address(cidr("fe80::1/64"));
        // Many queries, one answer, within the second that they allow.
        for _ in 0..5 {
            assert!(exchange(&mut stack, at(0), query("fe80::ff", 1, group)).is_empty());
        }
        let sent = probes(&mut stack, 0, 1_000);
        assert_eq!(sent.len(), 1);
        // Both addresses share a group, and the report comes from the link-local one.
        assert_eq!(reported(&sent[0].1), [ours]);
        assert_eq!(Packet::new(&sent[0].1[14..]).unwrap().src(), ip("fe80::1"));
    }
    // What does not come from a router of the link, or asks for a group that is not ours, is not answered.
    let mut stack = ethernet_stack();
    let other = ndp::solicited_node("2001:db8::99".parse().unwrap());
    for bad in [
        query("2001:db8::ff", 1, everything),
        query("fe80::ff", 64, everything),
        query("fe80::ff", 1, other),
    ] {
        exchange(&mut stack, at(0), bad);
        assert_eq!(probes(&mut stack, 0, 10_000), []);
    }
}
