//! How a host on Ethernet comes by its addresses and routes, and keeps them (requirements D.4 to D.6).

use bytes::Bytes;
use transom_stack::tcp::Instant;
use transom_stack::wire::arp::Operation;
use transom_stack::wire::ethernet::{self, EtherType, MacAddr};
use transom_stack::wire::ip::Packet;
use transom_stack::wire::{Capabilities, Protocol, icmpv6, ndp};
use transom_stack::{ConnectOptions, Discard, Stack, StackConfig, StackEvent};

use crate::harness::*;
use crate::neighbour::*;

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
