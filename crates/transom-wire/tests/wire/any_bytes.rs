//! Any bytes may be fed to everything that reads.

use crate::{A4, A6, B4, B6};
use proptest::prelude::*;
use transom_wire::icmpv6::Report;
use transom_wire::ip::{Packet, ipv4, ipv6};
use transom_wire::quote::Quoted;
use transom_wire::tcp::{Header, TcpView};
use transom_wire::{Protocol, arp, ethernet, icmpv4, icmpv6, ndp, udp};

/// Reads the bytes as everything, and everything inside them, and uses every field.
fn read_as_everything(bytes: &[u8]) {
    if let Ok(view) = ethernet::View::new(bytes) {
        let _ = (ethernet::Header::from_view(&view), view.vlan());
        read_packet(view.payload());
    }
    if let Ok(view) = arp::View::new(bytes) {
        let _ = (arp::Header::from_view(&view), view.operation());
    }
    read_packet(bytes);
    read_transport(bytes);
    let _ = (icmpv4::quote(bytes), icmpv6::quote(bytes));
    if let Ok(quoted) = Quoted::new(bytes) {
        let _ = (
            quoted.src(),
            quoted.dst(),
            quoted.ports(),
            quoted.tcp_seq(),
            quoted.echo(),
        );
        assert!(quoted.transport().len() <= bytes.len());
    }
}

fn read_packet(bytes: &[u8]) {
    match Packet::new(bytes) {
        Ok(packet) => {
            assert!(packet.header_len() + packet.payload().len() <= bytes.len());
            let _ = (
                packet.src(),
                packet.dst(),
                packet.ttl(),
                packet.ecn(),
                packet.dscp(),
            );
            match packet {
                Packet::V4(view) => assert_eq!(view.check(), Ok(())),
                Packet::V6(_, chain) => {
                    assert!(chain.len <= ipv6::MAX_CHAIN_LEN);
                    let _ = Report::for_unknown_protocol(&chain);
                }
            }
            if let Ok(icmp) = icmpv6::View::new(packet.payload())
                && let Ok(message) = ndp::Message::parse(&packet, &icmp)
            {
                assert!(message.len() <= 24 + 16 + 32 * ndp::MAX_PREFIXES);
            }
            read_transport(packet.payload());
        }
        Err(fault) => {
            let _ = (Report::for_fault(fault), fault.to_string());
        }
    }
    if let Ok(packet) = Packet::lax(bytes) {
        assert!(packet.header_len() + packet.payload().len() <= bytes.len());
        let _ = packet.fragment();
        read_transport(packet.payload());
    }
}

fn read_transport(bytes: &[u8]) {
    for view in [TcpView::new(bytes), TcpView::lax(bytes)]
        .into_iter()
        .flatten()
    {
        assert_eq!(view.header_len() + view.payload().len(), bytes.len());
        let _ = (
            view.options(),
            view.segment_len(),
            view.reserved(),
            view.checksum(),
        );
        let _ = view.verify_checksum(A4.into(), B4.into());
        assert!(view.iter_options().count() <= 41);
        assert!(Header::from_view(&view).header_len() <= 60);
    }
    if let Ok(view) = udp::View::new(bytes) {
        assert!(view.payload().len() + 8 <= bytes.len());
        let _ = view.verify_checksum(A6.into(), B6.into());
    }
    if let Ok(view) = icmpv4::View::new(bytes) {
        assert_eq!(view.message().len(), bytes.len());
        let _ = view.verify_checksum();
    }
    if let Ok(view) = icmpv6::View::new(bytes) {
        assert_eq!(view.message().len(), bytes.len());
        let _ = view.verify_checksum(A6, B6);
    }
}

/// One well-formed packet of each protocol that can be read.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for protocol in [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::ICMP,
        Protocol::ICMPV6,
    ] {
        let mut body = vec![0; 64];
        match protocol {
            Protocol::TCP => body[12] = 0xf0,
            Protocol::UDP => body[4..6].copy_from_slice(&[0, 64]),
            Protocol::ICMP => body[0] = 3,
            _ => body[0] = 134,
        }
        let mut v4 = vec![0; 20];
        ipv4::Header::new(A4, B4, protocol).emit(&mut v4, body.len());
        let mut v6 = vec![0; 40];
        let header = ipv6::Header {
            hop_limit: 255,
            ..ipv6::Header::new(A6, B6, protocol)
        };
        header.emit(&mut v6, body.len());
        let mut extended = v6.clone();
        extended[6] = 0;
        extended[5] += 16;
        extended.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        extended.extend([protocol.raw(), 0, 1, 4, 0, 0, 0, 0]);
        packets.extend([v4, v6, extended].map(|ip| [ip, body.clone()].concat()));
    }
    packets
}

#[test]
fn req_cve_02_headers_truncated_at_each_byte_are_refused_or_read_within_bounds() {
    for packet in packets() {
        for len in 0..=packet.len() {
            read_as_everything(&packet[..len]);
        }
    }
}

#[test]
fn every_byte_of_a_good_packet_may_have_any_value() {
    for packet in packets() {
        for at in 0..packet.len() {
            for value in 0..=u8::MAX {
                let mut bytes = packet.clone();
                bytes[at] = value;
                read_as_everything(&bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_plausible_start_are_survived(
        which in 0usize..12,
        edits in proptest::collection::vec((0usize..120, any::<u8>()), 0..12),
        len in 0usize..200,
    ) {
        let mut bytes = packets()[which].clone();
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(len);
        read_as_everything(&bytes);
    }
}
