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

pub(crate) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

pub(crate) fn ethernet_stack() -> Stack {
    on_device(StackConfig::default(), Capabilities::ethernet(1500))
}

pub(crate) fn framed(dst: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
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

pub(crate) fn ip_framed(dst: MacAddr, packet: &[u8]) -> Vec<u8> {
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

pub(crate) fn arp(
    operation: Operation,
    sender: (MacAddr, &str),
    target: (MacAddr, &str),
) -> Vec<u8> {
    let dst = if operation == Operation::Request {
        MacAddr::BROADCAST
    } else {
        OUR_MAC
    };
    framed(dst, EtherType::ARP, &arp_message(operation, sender, target))
}

pub(crate) fn parse_arp(frame: &[u8]) -> (MacAddr, arp::Header) {
    let view = ethernet::View::new(frame).unwrap();
    assert_eq!(view.ether_type(), EtherType::ARP);
    assert_eq!(view.src(), OUR_MAC);
    let view_arp = arp::View::new(view.payload()).unwrap();
    (view.dst(), arp::Header::from_view(&view_arp).unwrap())
}

pub(crate) fn ndp_frame(src: &str, dst: &str, hop_limit: u8, message: &ndp::Message) -> Vec<u8> {
    let mut body = vec![0; message.len()];
    message.emit(&mut body, src.parse().unwrap(), dst.parse().unwrap());
    let ecn = transom_stack::wire::Ecn::NotEct;
    let packet = packet_with(src, dst, Protocol::ICMPV6, &body, hop_limit, ecn);
    ip_framed(OUR_MAC, &packet)
}

pub(crate) fn parse_ndp(frame: &[u8]) -> (MacAddr, core::net::IpAddr, ndp::Message) {
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

pub(crate) fn solicitation(target: &str, link: Option<MacAddr>) -> ndp::Message {
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
