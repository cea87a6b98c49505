//! Packets to feed a stack with, and what may be said of those that it sends.

use core::net::IpAddr;

use transom_wire::ip::{Packet, ipv4, ipv6};
use transom_wire::tcp::{Header, TcpView};
use transom_wire::{Protocol, icmpv4, icmpv6, udp};

/// An IP packet of either version around `payload`; nothing when the addresses are of two families.
pub(super) fn ip(src: IpAddr, dst: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut out;
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            out = vec![0; ipv4::MIN_HEADER_LEN];
            ipv4::Header::new(src, dst, protocol).emit(&mut out, payload.len());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out = vec![0; ipv6::HEADER_LEN];
            ipv6::Header::new(src, dst, protocol).emit(&mut out, payload.len());
        }
        _ => return Vec::new(),
    }
    out.extend_from_slice(payload);
    out
}

pub(super) fn tcp(src: IpAddr, dst: IpAddr, header: &Header, data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; header.header_len()];
    header.emit_with_checksum(&mut segment, src, dst, data);
    segment.extend_from_slice(data);
    ip(src, dst, Protocol::TCP, &segment)
}

pub(super) fn datagram(src: IpAddr, dst: IpAddr, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let header = udp::Header {
        src_port: ports.0,
        dst_port: ports.1,
    };
    let mut out = vec![0; udp::HEADER_LEN];
    header.emit_with_checksum(&mut out, src, dst, data);
    out.extend_from_slice(data);
    ip(src, dst, Protocol::UDP, &out)
}

pub(super) fn icmp4(src: IpAddr, dst: IpAddr, message: icmpv4::Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.len()];
    message.emit(&mut out);
    ip(src, dst, Protocol::ICMP, &out)
}

pub(super) fn icmp6(src: IpAddr, dst: IpAddr, message: icmpv6::Message<'_>) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (src, dst) else {
        return Vec::new();
    };
    let mut out = vec![0; message.len()];
    message.emit(&mut out, from, to);
    ip(src, dst, Protocol::ICMPV6, &out)
}

/// INV-9: a packet that the stack sends is well formed, with its checksums.
pub(super) fn check(bytes: &[u8]) {
    assert!(
        bytes.len() <= 1500,
        "{} bytes on a link of 1500",
        bytes.len()
    );
    let packet = Packet::new(bytes).expect("what is sent can be read");
    if packet.fragment().is_some() {
        return;
    }
    let (src, dst, payload) = (packet.src(), packet.dst(), packet.payload());
    match packet.protocol() {
        Protocol::TCP => {
            let view = TcpView::new(payload).expect("a segment");
            assert!(view.verify_checksum(src, dst), "a segment's checksum");
            assert_eq!(view.options().1, None);
        }
        Protocol::UDP => {
            let view = udp::View::new(payload).expect("a datagram");
            assert!(view.verify_checksum(src, dst), "a datagram's checksum");
        }
        Protocol::ICMP => {
            let view = icmpv4::View::new(payload).expect("a message");
            assert!(view.verify_checksum(), "a message's checksum");
        }
        Protocol::ICMPV6 => {
            let view = icmpv6::View::new(payload).expect("a message");
            let (IpAddr::V6(src), IpAddr::V6(dst)) = (src, dst) else {
                panic!("ICMPv6 over IPv4");
            };
            assert!(view.verify_checksum(src, dst), "a message's checksum");
        }
        other => panic!("the stack sent protocol {}", other.raw()),
    }
}
