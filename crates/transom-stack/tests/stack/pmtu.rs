//! Path MTU (requirements C.16, ICMPA-4, ICMPA-5, LNK-11).

use transom_stack::tcp;
use transom_stack::wire::{Capabilities, TxOffload, icmpv4, icmpv6};
use transom_stack::{ConnId, ConnectOptions, Discard, Stack, StackConfig};

use crate::harness::*;

fn too_big(mtu: u16, quote: &[u8]) -> Vec<u8> {
    let message = icmpv4::Message::DestinationUnreachable {
        code: icmpv4::unreachable::FRAGMENTATION_NEEDED,
        next_hop_mtu: mtu,
        quote,
    };
    icmp4("10.0.0.254", US, message)
}

fn too_big6(mtu: u32, quote: &[u8]) -> Vec<u8> {
    icmp6(
        "2001:db8::fe",
        US6,
        icmpv6::Message::PacketTooBig { mtu, quote },
    )
}

/// A connection that has just sent ten full segments, none of them acknowledged.
fn sending(stack: &mut Stack, remote: &str) -> (ConnId, Peer, Vec<Vec<u8>>) {
    let (id, peer) = connected(stack, at(0), remote);
    stack.tcp_send(at(0), id, vec![7; 14_000].into()).unwrap();
    let frames = drain(stack, at(0));
    assert!(frames.len() >= 9);
    (id, peer, frames)
}

#[test]
fn req_pmtu_1_segments_fit_the_path_and_forbid_fragmentation() {
    let mut stack = stack();
    let (_, _, frames) = sending(&mut stack, "10.0.0.2:80");
    for frame in &frames {
        assert!(frame.len() <= 1500);
        assert_eq!(frame[6] & 0x40, 0x40, "DF");
    }
    assert_eq!(frames[0].len(), 1500);
}

#[test]
fn req_pmtu_4_and_pmtu_13_too_large_segments_go_out_again_smaller() {
    let mut stack = stack();
    let (id, peer, frames) = sending(&mut stack, "10.0.0.2:80");
    let cwnd = stack.tcp_info(id).unwrap().cwnd;
    let rto = stack.tcp_info(id).unwrap().rto;
    let again = exchange(&mut stack, at(1), too_big(1000, &frames[0][..28]));
    assert!(!again.is_empty());
    let mut covered = peer.rcv_nxt;
    for frame in &again {
        assert!(frame.len() <= 1000);
        let segment = parse_tcp(frame);
        assert_eq!(segment.seq, covered, "same numbers, in order");
        covered += segment.payload.len() as u32;
    }
    let info = stack.tcp_info(id).unwrap();
    assert!(
        info.cwnd + 1460 >= cwnd,
        "{} after {cwnd}: this is no congestion",
        info.cwnd
    );
    assert_eq!((info.rto, info.backoff), (rto, 0));
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1000);
}

#[test]
fn req_pmtu_2_and_sec_icmp_2_floors_hold_for_connections() {
    let mut stack = stack();
    let (id, _, frames) = sending(&mut stack, "10.0.0.2:80");
    for mtu in [1, 68, 296, 551] {
        assert_dropped(
            &mut stack,
            too_big(mtu, &frames[0]),
            Discard::IcmpMtuImplausible,
        );
    }
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1500);
    let (id, _, frames) = sending(&mut stack, "[2001:db8::2]:80");
    for mtu in [0, 68, 1279] {
        assert_dropped(
            &mut stack,
            too_big6(mtu, &frames[0][..1200]),
            Discard::IcmpMtuImplausible,
        );
    }
    exchange(&mut stack, at(0), too_big6(1280, &frames[0][..1200]));
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1280);
}

#[test]
fn req_pmtu_3_an_old_router_does_not_say() {
    let mut stack = stack();
    let (id, _, frames) = sending(&mut stack, "10.0.0.2:80");
    exchange(&mut stack, at(0), too_big(0, &frames[0][..28]));
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1492);
}

#[test]
fn req_icmpa_4_a_report_waits_while_data_gets_through() {
    let mut stack = stack();
    let (id, peer, frames) = sending(&mut stack, "10.0.0.2:80");
    // Everything arrives, so segments of that size pass; more is sent.
    let all = peer.seg(ACK).ack(peer.rcv_nxt + 14_000);
    exchange(&mut stack, at(10), all.bytes());
    stack.tcp_send(at(10), id, vec![7; 14_000].into()).unwrap();
    let more = drain(&mut stack, at(10));
    assert!(exchange(&mut stack, at(11), too_big(600, &more[0][..28])).is_empty());
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1500);
    // Another connection to the host is not touched either.
    let other = stack
        .tcp_connect(at(11), ConnectOptions::new(socket("10.0.0.2:81")))
        .unwrap();
    assert_eq!(stack.tcp_connection(other).unwrap().path_mtu(), 1500);
    drop(frames);
}

#[test]
fn req_icmpa_5_a_report_never_raises() {
    let mut stack = stack();
    let (id, _, frames) = sending(&mut stack, "10.0.0.2:80");
    exchange(&mut stack, at(0), too_big(1000, &frames[0][..28]));
    let reason = Discard::Tcp(tcp::Discard::PathMtuNotLower);
    assert_dropped(&mut stack, too_big(1400, &frames[0][..28]), reason);
    assert_eq!(stack.tcp_connection(id).unwrap().path_mtu(), 1000);
    assert_dropped(
        &mut stack,
        too_big(9000, &frames[0][..28]),
        Discard::IcmpMtuImplausible,
    );
}

#[test]
fn req_pmtu_6_and_pmtu_5_the_path_is_remembered_for_the_host_and_forgotten_in_time() {
    let mut stack = stack();
    let (one, _, frames) = sending(&mut stack, "10.0.0.2:80");
    let (idle, _) = connected(&mut stack, at(0), "10.0.0.2:82");
    exchange(&mut stack, at(0), too_big(1000, &frames[0][..28]));
    // A new connection to the same host starts with it; to another it does not.
    let path = |stack: &Stack, id| stack.tcp_connection(id).unwrap().path_mtu();
    let (two, _) = connected(&mut stack, at(0), "10.0.0.2:81");
    assert_eq!(path(&stack, two), 1000);
    let (three, _) = connected(&mut stack, at(0), "10.0.0.3:81");
    assert_eq!(path(&stack, three), 1500);
    // One that exists follows before it sends again.
    stack.tcp_send(at(0), idle, vec![7; 3000].into()).unwrap();
    assert!(
        drain(&mut stack, at(0))
            .iter()
            .all(|frame| frame.len() <= 1000)
    );
    // Ten minutes later larger segments are tried again.
    stack.tcp_abort(at(0), one);
    drain(&mut stack, at(0));
    stack.handle_timeout(at(599_999));
    stack.tcp_with(at(599_999), two, |_| ());
    drain(&mut stack, at(599_999));
    assert_eq!(path(&stack, two), 1000);
    stack.handle_timeout(at(600_000));
    stack
        .tcp_send(at(600_000), two, vec![7; 3000].into())
        .unwrap();
    let frames = drain(&mut stack, at(600_000));
    assert_eq!(frames[0].len(), 1500);
}

#[test]
fn req_pmtu_12_the_mss_offered_follows_the_link_not_the_path() {
    let mut stack = stack();
    let (_, _, frames) = sending(&mut stack, "10.0.0.2:80");
    exchange(&mut stack, at(0), too_big(1000, &frames[0][..28]));
    stack
        .tcp_connect(at(0), ConnectOptions::new(socket("10.0.0.2:81")))
        .unwrap();
    let syn = drain(&mut stack, at(0))
        .into_iter()
        .map(|frame| parse_tcp(&frame))
        .find(|segment| segment.flags == SYN);
    assert_eq!(syn.unwrap().options.mss, Some(1460));
}

#[test]
fn req_lnk_11_the_mtu_of_the_device_can_change() {
    let mut stack = stack();
    let (id, _) = connected(&mut stack, at(0), "10.0.0.2:80");
    stack.set_mtu(1300);
    stack.tcp_send(at(0), id, vec![7; 5000].into()).unwrap();
    let frames = drain(&mut stack, at(0));
    assert_eq!(frames[0].len(), 1300);
    assert!(frames.iter().all(|frame| frame.len() <= 1300));
    stack
        .tcp_connect(at(0), ConnectOptions::new(socket("10.0.0.2:81")))
        .unwrap();
    let syn = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!(syn.options.mss, Some(1260));
}

#[test]
fn req_lnk_6_offload_follows_the_capabilities() {
    let plain = Capabilities::ip(1500);
    let mut sums = plain;
    sums.tx_checksum = true;
    let mut cuts = sums;
    cuts.max_gso = 65_535;
    for (capabilities, largest) in [(plain, 1500), (sums, 1500), (cuts, 14_040)] {
        let mut stack = on_device(StackConfig::default(), capabilities);
        let options = ConnectOptions::new(socket("10.0.0.2:80"));
        let id = stack.tcp_connect(at(0), options).unwrap();
        let syn = &drain_frames(&mut stack, at(0))[0];
        let mut summed = syn.clone();
        assert!(matches!(
            (syn.offload, capabilities.tx_checksum),
            (TxOffload::None, false) | (TxOffload::Checksum { .. }, true)
        ));
        if capabilities.tx_checksum {
            assert!(summed.fill_checksum());
        }
        let syn = parse_tcp(&summed.to_vec());
        let peer = Peer {
            us: syn.src.to_string(),
            peer: syn.dst.to_string(),
            snd_nxt: 5001,
            rcv_nxt: syn.seq + 1,
        };
        let syn_ack = peer.seg(SYN | ACK).seq(5000).mss(1460);
        exchange(&mut stack, at(0), syn_ack.bytes());
        stack.tcp_send(at(0), id, vec![7; 14_000].into()).unwrap();
        let frames = drain_frames(&mut stack, at(0));
        let longest = frames.iter().map(|frame| frame.len()).max().unwrap();
        assert!(
            longest <= largest && longest > largest / 2,
            "{longest} of {largest}"
        );
        for frame in frames {
            match frame.offload {
                TxOffload::Segment {
                    ipv6,
                    gso_size,
                    header_len,
                    checksum_start,
                    checksum_offset,
                } => {
                    assert_eq!(capabilities, cuts);
                    assert!(!ipv6 && gso_size == 1460);
                    assert_eq!((header_len, checksum_start, checksum_offset), (40, 20, 16));
                    for part in transom_stack::wire::frame::segment(frame.clone()) {
                        assert!(parse_tcp(&part.to_vec()).payload.len() <= 1460);
                    }
                }
                TxOffload::Checksum { start, offset } => {
                    assert!(capabilities.tx_checksum);
                    assert_eq!((start, offset), (20, 16));
                }
                TxOffload::None => {
                    assert!(!capabilities.tx_checksum);
                    parse_tcp(&frame.to_vec());
                }
            }
        }
    }
}
