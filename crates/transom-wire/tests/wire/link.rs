use crate::{A4, B4};
use transom_wire::ethernet::{EtherType, MacAddr};
use transom_wire::{Reason, arp, ethernet};

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn request() -> arp::Header {
    arp::Header {
        operation: arp::Operation::Request,
        sender_mac: A,
        sender_ip: A4,
        target_mac: MacAddr::ZERO,
        target_ip: B4,
    }
}

#[test]
fn req_arp_1_types_lengths_and_size_are_checked() {
    let mut bytes = [0; 28];
    assert_eq!(request().emit(&mut bytes), 28);
    assert_eq!(bytes[..8], [0, 1, 8, 0, 6, 4, 0, 1]);
    assert_eq!(
        arp::Header::from_view(&arp::View::new(&bytes).unwrap()),
        Some(request())
    );
    for len in 0..28 {
        assert_eq!(
            arp::View::new(&bytes[..len]).unwrap_err().reason,
            Reason::Truncated
        );
    }
    for at in 0..6 {
        for value in 0..=u8::MAX {
            let mut other = bytes;
            other[at] = value;
            let read = arp::View::new(&other);
            assert_eq!(read.is_ok(), value == bytes[at]);
            if let Err(fault) = read {
                assert_eq!((fault.reason, fault.at), (Reason::Unsupported, at));
            }
        }
    }
    let mut other = bytes;
    other[7] = 3;
    assert_eq!(arp::View::new(&other).unwrap().operation(), None);
}

#[test]
fn ethernet_headers_are_read_and_written() {
    let header = ethernet::Header {
        dst: B,
        src: A,
        ether_type: EtherType::IPV6,
    };
    let mut bytes = vec![0; 14];
    assert_eq!(header.emit(&mut bytes), 14);
    bytes.extend(b"rest");
    let view = ethernet::View::new(&bytes).unwrap();
    assert_eq!(ethernet::Header::from_view(&view), header);
    assert_eq!((view.payload(), view.vlan()), (&b"rest"[..], None));
    for len in 0..14 {
        assert!(ethernet::View::new(&bytes[..len]).is_err());
    }
}

#[test]
fn req_lnk_5_a_tag_is_never_taken_for_a_packet() {
    let header = ethernet::Header {
        dst: B,
        src: A,
        ether_type: EtherType::VLAN,
    };
    let mut bytes = vec![0; 14];
    header.emit(&mut bytes);
    bytes.extend([0xa0, 0x07, 0x08, 0x00, 0x45]);
    let view = ethernet::View::new(&bytes).unwrap();
    assert_eq!(view.ether_type(), EtherType::VLAN);
    let vlan = view.vlan().unwrap();
    assert_eq!(
        (vlan.id(), vlan.ether_type, vlan.payload),
        (7, EtherType::IPV4, &[0x45][..])
    );
    for len in 14..18 {
        assert_eq!(ethernet::View::new(&bytes[..len]).unwrap().vlan(), None);
    }
}

#[test]
fn addresses_know_their_kind() {
    assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
    assert!(A.is_unicast() && !MacAddr::ZERO.is_unicast() && !MacAddr::BROADCAST.is_unicast());
    let group = MacAddr::for_ipv4_multicast([224, 129, 2, 3].into());
    assert_eq!(group.to_string(), "01:00:5e:01:02:03");
    let group = MacAddr::for_ipv6_multicast("ff02::1:ff01:203".parse().unwrap());
    assert_eq!(group.to_string(), "33:33:ff:01:02:03");
}
