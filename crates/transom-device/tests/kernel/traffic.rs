//! The same traffic over every kind of device.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transom_device::Impaired;
use transom_wire::checksum::pseudo_header;
use transom_wire::frame::{Payload, RxChecksum, TxOffload};
use transom_wire::icmpv4::{self, Message};
use transom_wire::ip::Protocol;
use transom_wire::udp;

use super::namespace::{in_namespace, in_namespace_with_tun};
use super::tcp::{Segment, kernel_receives, kernel_sends, pattern};
use super::wire::{Ends, V4, V6, Wire, tun, veth, veth_with_ring};

pub(crate) fn echo_is_answered(wire: &mut Wire) {
    for len in [0, 1, 56, 1400] {
        let data = pattern(len);
        let request = Message::EchoRequest {
            id: 7,
            seq: len as u16,
            data: &data,
        };
        let mut bytes = vec![0; request.len()];
        request.emit(&mut bytes);
        let payload = Payload::from(Bytes::from(bytes));
        wire.send(V4, Protocol::ICMP, &[], payload, TxOffload::None);
        let answer = wire.recv(V4, |received| {
            let view = icmpv4::View::new(received.packet().payload()).ok()?;
            assert!(view.verify_checksum());
            match view.message() {
                Message::EchoReply { id: 7, seq, data } if usize::from(seq) == len => {
                    Some(data.to_vec())
                }
                _ => None,
            }
        });
        assert_eq!(answer, data);
    }
}

fn udp_goes_both_ways(wire: &mut Wire, ends: Ends) {
    let socket = UdpSocket::bind((ends.kernel, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    for len in [0, 1, 999, 1400] {
        let data = pattern(len);
        let header = udp::Header {
            src_port: 5000,
            dst_port: port,
        };
        let mut bytes = [0; udp::Header::LEN];
        let offload = if wire.fills_checksums() {
            header.emit(&mut bytes, len);
            let total = (bytes.len() + len) as u32;
            let sum = pseudo_header(ends.ours, ends.kernel, 17, total).partial();
            bytes[6..].copy_from_slice(&sum.to_be_bytes());
            TxOffload::Checksum {
                start: 0,
                offset: 6,
            }
        } else {
            header.emit_with_checksum(&mut bytes, ends.ours, ends.kernel, &data);
            TxOffload::None
        };
        wire.send(
            ends,
            Protocol::UDP,
            &bytes,
            Payload::from(data.clone()),
            offload,
        );
        let mut buffer = [0; 2000];
        let (count, from) = wire.until("the socket has a datagram", |_| {
            socket.recv_from(&mut buffer).ok()
        });
        assert_eq!(
            (&buffer[..count], from.ip(), from.port()),
            (&data[..], ends.ours, 5000)
        );

        socket.send_to(&data, from).unwrap();
        let answer = wire.recv(ends, |received| {
            let packet = received.packet();
            let view = udp::View::new(packet.payload()).ok()?;
            if packet.protocol() != Protocol::UDP || view.src_port() != port {
                return None;
            }
            if received.checksum == RxChecksum::Unverified {
                assert!(view.verify_checksum(ends.kernel, ends.ours));
            }
            Some(view.payload().to_vec())
        });
        assert_eq!(answer, data);
    }
}

/// What the kernel sent is in super-segments, and the segment size is that of the connection.
fn is_super(segments: &[Segment], mss: usize) {
    let largest = segments
        .iter()
        .map(|segment| segment.frame_len)
        .max()
        .unwrap();
    assert!(
        largest > 60_000,
        "the largest frame had {largest} bytes only"
    );
    for segment in segments
        .iter()
        .filter(|segment| segment.payload.len() > mss)
    {
        assert_eq!(
            usize::from(segment.gso_size),
            mss,
            "{} bytes",
            segment.payload.len()
        );
    }
}

/// `in_order` says whether the device keeps the order in which the kernel sends.
pub(crate) fn all_traffic(wire: &mut Wire, ends: Ends, in_order: bool) {
    let mss = if ends.ours.is_ipv4() { 1460 } else { 1440 };
    if ends.ours.is_ipv6() {
        wire.settle_ipv6();
    }
    udp_goes_both_ways(wire, ends);
    kernel_receives(wire, ends, 0, 1);
    let (segments, disorder) = kernel_sends(wire, ends);
    assert!(
        disorder == 0 || !in_order,
        "{disorder} segments were out of order"
    );
    if wire.offloads() {
        is_super(&segments, mss);
        kernel_receives(wire, ends, 44 * mss, 1);
        kernel_receives(wire, ends, 44 * mss, 3);
        kernel_receives(wire, ends, 44 * mss - 7, 60);
    } else {
        assert!(segments.iter().all(|segment| segment.frame_len <= 1500));
    }
    let counters = wire.device.counters();
    assert_eq!((counters.send_refused, counters.recv_refused), (0, 0));
    assert!(counters.sent > 0 && counters.received > 0);
}

#[test]
fn tun_with_offload_ipv4() {
    in_namespace_with_tun("traffic::tun_with_offload_ipv4", || {
        let mut wire = tun(true);
        echo_is_answered(&mut wire);
        all_traffic(&mut wire, V4, true);
    });
}

#[test]
fn tun_with_offload_ipv6() {
    in_namespace_with_tun("traffic::tun_with_offload_ipv6", || {
        all_traffic(&mut tun(true), V6, true)
    });
}

#[test]
fn tun_without_offload_ipv4() {
    in_namespace_with_tun("traffic::tun_without_offload_ipv4", || {
        let mut wire = tun(false);
        echo_is_answered(&mut wire);
        all_traffic(&mut wire, V4, true);
    });
}

#[test]
fn tun_without_offload_ipv6() {
    in_namespace_with_tun("traffic::tun_without_offload_ipv6", || {
        all_traffic(&mut tun(false), V6, true)
    });
}

#[test]
fn packet_socket_ipv4() {
    in_namespace("traffic::packet_socket_ipv4", || {
        let mut wire = veth(false);
        echo_is_answered(&mut wire);
        all_traffic(&mut wire, V4, false);
    });
}

#[test]
fn packet_socket_ipv6() {
    in_namespace("traffic::packet_socket_ipv6", || {
        all_traffic(&mut veth(false), V6, false);
    });
}

#[test]
fn packet_socket_on_a_pair_ipv4() {
    in_namespace("traffic::packet_socket_on_a_pair_ipv4", || {
        let mut wire = veth(true);
        echo_is_answered(&mut wire);
        all_traffic(&mut wire, V4, true);
    });
}

#[test]
fn packet_socket_on_a_pair_ipv6() {
    in_namespace("traffic::packet_socket_on_a_pair_ipv6", || {
        all_traffic(&mut veth(true), V6, true);
    });
}

#[test]
fn packet_socket_with_ring_ipv4() {
    in_namespace("traffic::packet_socket_with_ring_ipv4", || {
        let mut wire = veth_with_ring();
        echo_is_answered(&mut wire);
        all_traffic(&mut wire, V4, true);
    });
}

#[test]
fn packet_socket_with_ring_ipv6() {
    in_namespace("traffic::packet_socket_with_ring_ipv6", || {
        all_traffic(&mut veth_with_ring(), V6, true);
    });
}

/// Behind an impaired link every frame is a single segment with a right checksum of its own.
fn delayed_traffic(wire: Wire, ends: Ends) {
    let impairment = "delay=3ms,jitter=1ms,rate=1gbit,queue=10m,seed=3"
        .parse()
        .unwrap();
    let mut wire = Wire::new(Box::new(Impaired::both(wire.device, impairment)));
    assert!(!wire.offloads());
    if ends.ours.is_ipv4() {
        let start = Instant::now();
        echo_is_answered(&mut wire);
        assert!(
            start.elapsed() >= Duration::from_millis(4 * 2 * 2),
            "{:?}",
            start.elapsed()
        );
    }
    if ends.ours.is_ipv6() {
        wire.settle_ipv6();
    }
    udp_goes_both_ways(&mut wire, ends);
    let (segments, _) = kernel_sends(&mut wire, ends);
    assert!(
        segments
            .iter()
            .all(|segment| segment.frame_len <= 1500 && segment.gso_size == 0)
    );
    assert!(segments.len() > 4_000_000 / 1460);
}

#[test]
fn impaired_tun_ipv4() {
    in_namespace_with_tun("traffic::impaired_tun_ipv4", || {
        delayed_traffic(tun(true), V4)
    });
}

#[test]
fn impaired_tun_ipv6() {
    in_namespace_with_tun("traffic::impaired_tun_ipv6", || {
        delayed_traffic(tun(true), V6)
    });
}

#[test]
fn impaired_packet_socket_ipv4() {
    in_namespace("traffic::impaired_packet_socket_ipv4", || {
        delayed_traffic(veth(true), V4)
    });
}
