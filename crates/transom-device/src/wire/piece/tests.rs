//! Super-segments taken apart and put together again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends on any surprise"
)]

use super::*;
use transom_wire::ip::{Packet as IpPacket, Protocol, ipv4, ipv6};
use transom_wire::udp;

const SRC: [u8; 4] = [10, 0, 0, 1];
const DST: [u8; 4] = [10, 0, 0, 2];

/// An Ethernet frame as the kernel hands it over: headers, `len` bytes of data, the checksum not filled in.
fn raw(gso_type: u8, size: u16, len: usize, flags: u8) -> RawFrame {
    let is_v6 = gso_type == vnet::GSO_TCPV6;
    let is_udp = gso_type == vnet::GSO_UDP_L4;
    let ip_len = if is_v6 { 40 } else { 20 };
    let (transport, header) = (14 + ip_len, if is_udp { 8 } else { 20 });
    let mut bytes = vec![0; transport + header];
    bytes[12..14].copy_from_slice(if is_v6 { &[0x86, 0xdd] } else { &[8, 0] });
    let protocol = if is_udp { Protocol::UDP } else { Protocol::TCP };
    if is_v6 {
        let [src, dst] = [[1; 16], [2; 16]].map(Into::into);
        ipv6::Header::new(src, dst, protocol).emit(&mut bytes[14..], header + len);
    } else {
        ipv4::Header::new(SRC.into(), DST.into(), protocol).emit(&mut bytes[14..], header + len);
        bytes[18..20].copy_from_slice(&0xffff_u16.to_be_bytes());
    }
    if is_udp {
        let ports = udp::Header {
            src_port: 7,
            dst_port: 9,
        };
        ports.emit(&mut bytes[transport..], len);
    } else {
        bytes[transport..transport + 4].copy_from_slice(&[0, 7, 0, 9]);
        bytes[transport + 4..transport + 8].copy_from_slice(&u32::MAX.to_be_bytes());
        bytes[transport + 12..transport + 14].copy_from_slice(&[0x50, flags]);
    }
    bytes.extend((0..len).map(|n| n as u8));
    let offset: u16 = if is_udp { 6 } else { 16 };
    let mut vnet = [0; vnet::LEN];
    vnet[..2].copy_from_slice(&[1, gso_type]);
    for (at, number) in [
        // More than the headers: the kernel tells the length of what it has in one piece.
        (vnet::HEADER_LEN, 200),
        (vnet::GSO_SIZE, size),
        (vnet::CHECKSUM_START, transport as u16),
        (vnet::CHECKSUM_OFFSET, offset),
    ] {
        vnet[at..at + 2].copy_from_slice(&number.to_ne_bytes());
    }
    RawFrame {
        vnet,
        data: Bytes::from(bytes),
    }
}

fn pieces(raw: RawFrame) -> Vec<Piece> {
    Frame::new(raw, usize::MAX).unwrap().pieces().collect()
}

/// The packet of a frame, whose checksum must be right.
fn checked(data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let packet = IpPacket::new(&data[14..]).unwrap();
    let payload = packet.payload();
    let mut sum = pseudo_header(
        packet.src(),
        packet.dst(),
        packet.protocol().raw(),
        payload.len() as u32,
    );
    sum.add_bytes(payload);
    assert!(sum.is_valid(), "transport checksum");
    if data[14] >> 4 == 4 {
        assert_eq!(checksum(&data[14..34]), 0, "header checksum");
    }
    let header = if packet.protocol() == Protocol::TCP {
        20
    } else {
        8
    };
    (payload[..header].to_vec(), payload[header..].to_vec())
}

#[test]
fn each_segment_is_a_packet_of_its_own() {
    for kind in [vnet::GSO_TCPV4, vnet::GSO_TCPV6] {
        let pieces = pieces(raw(kind, 1000, 2500, 0x99));
        assert_eq!(pieces.len(), 3);
        let headers = if kind == vnet::GSO_TCPV4 { 40 } else { 60 };
        let sizes: Vec<usize> = pieces.iter().map(Packet::size).collect();
        assert_eq!(sizes, [headers + 1000, headers + 1000, headers + 500]);
        let mut data = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let complete = piece.complete();
            assert_eq!(complete.vnet, [0; vnet::LEN]);
            let (tcp_header, payload) = checked(&complete.data);
            let seq = u32::from_be_bytes([4, 5, 6, 7].map(|at| tcp_header[at]));
            assert_eq!(seq, u32::MAX.wrapping_add(index as u32 * 1000));
            // CWR with the first, FIN and PSH with the last, ACK with all.
            assert_eq!(tcp_header[13], [0x90, 0x10, 0x19][index]);
            if kind == vnet::GSO_TCPV4 {
                let id = u16::from_be_bytes([complete.data[18], complete.data[19]]);
                assert_eq!(id, 0xffff_u16.wrapping_add(index as u16));
            }
            data.extend(payload);
        }
        let expected: Vec<u8> = (0..2500).map(|n| n as u8).collect();
        assert_eq!(data, expected);
    }
}

#[test]
fn datagrams_are_cut_apart() {
    let pieces = pieces(raw(vnet::GSO_UDP_L4, 600, 1500, 0));
    let lengths: Vec<usize> = pieces
        .iter()
        .map(|piece| {
            let (header, payload) = checked(&piece.complete().data);
            assert_eq!(
                usize::from(u16::from_be_bytes([header[4], header[5]])),
                8 + payload.len()
            );
            payload.len()
        })
        .collect();
    assert_eq!(lengths, [600, 600, 300]);
}

#[test]
fn segments_that_leave_together_are_one_frame_again() {
    let original = raw(vnet::GSO_TCPV4, 1000, 4500, 0x18);
    let (before, vnet_before) = (original.data.clone(), original.vnet);
    let pieces = pieces(original);
    let run = |range: std::ops::Range<usize>| {
        let mut run = Run::new(pieces[range.start].clone());
        for piece in &pieces[range.start + 1..range.end] {
            assert!(run.join(piece.clone()).is_ok());
        }
        let (vnet, mut headers, payload) = run.assemble();
        headers.extend_from_slice(payload);
        (vnet, headers)
    };
    // All of them are the frame that came, untouched.
    assert_eq!(run(0..5), (vnet_before, before.to_vec()));
    let (vnet, frame) = run(1..4);
    assert_eq!(vnet[1], vnet::GSO_TCPV4);
    assert_eq!(vnet::number(&vnet, vnet::GSO_SIZE), 1000);
    assert_eq!(vnet::number(&vnet, vnet::HEADER_LEN), 54);
    assert_eq!(frame.len(), 54 + 3000);
    assert_eq!(u16::from_be_bytes([frame[16], frame[17]]), 3040);
    assert_eq!(frame[47], 0x10, "the push belongs to the last");
    // What is cut out is cut as the whole would have been.
    let again: Vec<Piece> = Frame::new(
        RawFrame {
            vnet,
            data: frame.into(),
        },
        usize::MAX,
    )
    .unwrap()
    .pieces()
    .collect();
    for (again, first) in again.iter().zip(&pieces[1..4]) {
        assert_eq!(again.complete().data, first.complete().data);
    }
    let (vnet, frame) = run(4..5);
    assert_eq!(
        (vnet[0], vnet[1]),
        (1, 0),
        "one segment, its checksum still to be filled in"
    );
    assert_eq!(frame.len(), 54 + 500);
    // A gap, or another frame, begins anew.
    let mut run = Run::new(pieces[0].clone());
    assert!(run.join(pieces[2].clone()).is_err());
}

#[test]
fn damage_strikes_the_packet_and_is_noticed() {
    for bit in [0, 8 * 20 + 3, 8 * 1039 + 7] {
        let mut piece = pieces(raw(vnet::GSO_TCPV4, 1000, 2500, 0x10)).remove(1);
        let before = piece.complete().data;
        piece.flip_bit(bit);
        assert_eq!(piece.size(), 1040);
        let run = Run::new(piece);
        let (vnet, mut after, payload) = run.assemble();
        after.extend_from_slice(payload);
        assert_eq!(vnet, [0; vnet::LEN]);
        let differing: Vec<usize> = (0..after.len())
            .filter(|&at| before[at] != after[at])
            .collect();
        assert_eq!(differing, [14 + bit / 8]);
    }
}

#[test]
fn what_is_not_understood_is_carried_whole() {
    // The vnet header and the packet contradict each other.
    let mut odd = raw(vnet::GSO_TCPV4, 1000, 2500, 0x10);
    odd.vnet[1] = vnet::GSO_TCPV6;
    let (data, vnet) = (odd.data.clone(), odd.vnet);
    let mut pieces = pieces(odd);
    assert_eq!(pieces.len(), 1);
    let run = Run::new(pieces.remove(0));
    let (after, mut headers, payload) = run.assemble();
    headers.extend_from_slice(payload);
    assert_eq!((after, headers), (vnet, data.to_vec()));
    // Nor do short frames, or frames that are not IP, surprise.
    for len in [0, 13, 14, 20, 33] {
        let frame = RawFrame {
            vnet,
            data: data.slice(..len),
        };
        let mut piece = Frame::new(frame, usize::MAX)
            .unwrap()
            .pieces()
            .next()
            .unwrap();
        assert!(piece.size() <= len + 64);
        piece.flip_bit(3);
    }
}

/// The frame, its sender capable of ECN, and its header of IPv4 as long as can be.
fn with_options(raw: RawFrame) -> RawFrame {
    let mut bytes = raw.data.to_vec();
    bytes.splice(34..34, [1; 40]);
    let len = (bytes.len() - 14) as u16;
    bytes[14..16].copy_from_slice(&[0x4f, 0b10]);
    bytes[16..18].copy_from_slice(&len.to_be_bytes());
    bytes[24..26].fill(0);
    let sum = checksum(&bytes[14..74]).to_be_bytes();
    bytes[24..26].copy_from_slice(&sum);
    RawFrame {
        vnet: [0; vnet::LEN],
        data: Bytes::from(bytes),
    }
}

#[test]
fn a_mark_of_congestion_leaves_a_right_header() {
    let mut v6 = raw(vnet::GSO_TCPV6, 1000, 2500, 0x10);
    let mut v4 = raw(vnet::GSO_TCPV4, 1000, 2500, 0x10);
    for (raw, ect) in [(&mut v4, [0x45, 0b01]), (&mut v6, [0x60, 0b10 << 4])] {
        let mut bytes = raw.data.to_vec();
        bytes[14..16].copy_from_slice(&ect);
        raw.data = Bytes::from(bytes);
    }
    let long = with_options(raw(vnet::GSO_TCPV4, 0, 100, 0x10));
    for (raw, index) in [(v4, 1), (v6, 1), (long, 0)] {
        let mut piece = pieces(raw).remove(index);
        assert!(piece.mark_congestion());
        let data = piece.complete().data;
        let packet = IpPacket::new(&data[14..]).unwrap();
        assert_eq!(packet.ecn(), ip::Ecn::Ce);
    }
    // Who does not understand marks gets none.
    let mut piece = pieces(raw(vnet::GSO_TCPV4, 1000, 2500, 0x10)).remove(1);
    assert!(!piece.mark_congestion());
}
