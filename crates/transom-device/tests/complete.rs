//! Undoing offload: any frame survives it, and what comes out is what a wire would carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use proptest::prelude::*;
use transom_device::complete;
use transom_wire::ethernet::{EtherType, Header as EthernetHeader, MacAddr};
use transom_wire::frame::{Medium, RxChecksum, RxFrame, TxOffload};
use transom_wire::ip::{Packet, Protocol, ipv4, ipv6};
use transom_wire::seq::Seq;
use transom_wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom_wire::udp;

const SRC: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::LOCALHOST);
const DST: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 0, 0, 2), Ipv6Addr::UNSPECIFIED);

fn ends(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        (SRC.1.into(), DST.1.into())
    } else {
        (SRC.0.into(), DST.0.into())
    }
}

/// A frame with these transport bytes.
fn frame(medium: Medium, v6: bool, protocol: Protocol, transport: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if medium == Medium::Ethernet {
        let ether_type = if v6 { EtherType::IPV6 } else { EtherType::IPV4 };
        bytes.resize(EthernetHeader::LEN, 0);
        EthernetHeader {
            dst: MacAddr::ZERO,
            src: MacAddr::ZERO,
            ether_type,
        }
        .emit(&mut bytes);
    }
    let start = bytes.len();
    if v6 {
        bytes.resize(start + 40, 0);
        ipv6::Header::new(SRC.1, DST.1, protocol).emit(&mut bytes[start..], transport.len());
    } else {
        bytes.resize(start + 20, 0);
        ipv4::Header::new(SRC.0, DST.0, protocol).emit(&mut bytes[start..], transport.len());
    }
    bytes.extend_from_slice(transport);
    bytes
}

fn any_medium() -> impl Strategy<Value = Medium> {
    prop_oneof![Just(Medium::Ip), Just(Medium::Ethernet)]
}

/// The packets that come out, without link header.
fn completed(data: Vec<u8>, gso_size: u16, medium: Medium) -> Vec<Vec<u8>> {
    let link = if medium == Medium::Ethernet {
        EthernetHeader::LEN
    } else {
        0
    };
    let whole = RxFrame {
        data: Bytes::from(data),
        checksum: RxChecksum::Valid,
        gso_size,
    };
    complete(whole, medium)
        .map(|frame| {
            assert_eq!(frame.offload, TxOffload::None);
            frame.to_vec().split_off(link)
        })
        .collect()
}

proptest! {
    #[test]
    fn merged_segments_are_cut_and_checked(
        medium in any_medium(),
        v6 in any::<bool>(),
        timestamps in any::<bool>(),
        seq in any::<u32>(),
        len in 0_usize..20_000,
        gso_size in 1_u16..3000,
    ) {
        let options = Options {
            timestamps: timestamps.then_some(Timestamps { val: 1, ecr: 2 }),
            ..Options::default()
        };
        let header = Header {
            src_port: 1,
            dst_port: 2,
            seq: Seq::new(seq),
            ack: Seq::new(5),
            flags: Flags::ACK | Flags::PSH | Flags::FIN,
            window: 100,
            urgent: 0,
            options,
        };
        let data: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut transport = vec![0; header.header_len()];
        let (src, dst) = ends(v6);
        header.emit_partial(&mut transport, src, dst, len);
        transport.extend_from_slice(&data);
        let packets = completed(frame(medium, v6, Protocol::TCP, &transport), gso_size, medium);

        prop_assert_eq!(packets.len(), len.div_ceil(usize::from(gso_size)).max(1));
        let mut joined = Vec::new();
        for (index, bytes) in packets.iter().enumerate() {
            let packet = Packet::new(bytes).unwrap();
            let view = TcpView::new(packet.payload()).unwrap();
            prop_assert!(view.verify_checksum(src, dst));
            prop_assert_eq!(view.seq(), Seq::new(seq) + joined.len() as u32);
            prop_assert_eq!(view.flags().contains(Flags::FIN), index + 1 == packets.len());
            joined.extend_from_slice(view.payload());
        }
        prop_assert_eq!(joined, data);
    }

    #[test]
    fn merged_datagrams_are_cut_and_checked(
        medium in any_medium(),
        v6 in any::<bool>(),
        len in 0_usize..10_000,
        gso_size in 0_u16..3000,
    ) {
        let data: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut transport = vec![0; udp::Header::LEN];
        udp::Header { src_port: 1, dst_port: 2 }.emit(&mut transport, len);
        transport.extend_from_slice(&data);
        let packets = completed(frame(medium, v6, Protocol::UDP, &transport), gso_size, medium);
        let size = if gso_size == 0 { len.max(1) } else { usize::from(gso_size) };
        prop_assert_eq!(packets.len(), len.div_ceil(size).max(1));
        let (src, dst) = ends(v6);
        let mut joined = Vec::new();
        for bytes in &packets {
            let packet = Packet::new(bytes).unwrap();
            let view = udp::View::new(packet.payload()).unwrap();
            prop_assert!(view.checksum() != 0 && view.verify_checksum(src, dst));
            joined.extend_from_slice(view.payload());
        }
        prop_assert_eq!(joined, data);
    }

    #[test]
    fn anything_is_survived(
        medium in any_medium(),
        first in any::<u8>(),
        mut data in prop::collection::vec(any::<u8>(), 0..200),
        gso_size in any::<u16>(),
    ) {
        // Half of the time something that begins like IP.
        let at = if medium == Medium::Ethernet { EthernetHeader::LEN } else { 0 };
        if let (Some(byte), 0..=127) = (data.get_mut(at), first) {
            *byte = if first < 64 { 0x45 } else { 0x60 };
        }
        for checksum in [RxChecksum::Valid, RxChecksum::Unverified] {
            let whole = RxFrame { data: Bytes::from(data.clone()), checksum, gso_size };
            let count = complete(whole, medium).count();
            prop_assert!((1..=200).contains(&count));
        }
    }
}
