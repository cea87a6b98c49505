use crate::{A4, B4, plain_checksum};
use transom_wire::ip::{Cidr, Packet, ipv4};
use transom_wire::{Ecn, Layer, Malformed, Protocol, Reason};

/// A packet with options, whose header checksum is right.
fn packet(protocol: Protocol, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    ipv4::Header::new(A4, B4, protocol).emit(&mut bytes, options.len() + payload.len());
    bytes.extend(options);
    bytes[0] = 0x40 | (bytes.len() / 4) as u8;
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    fill_checksum(&mut bytes);
    bytes.extend(payload);
    bytes
}

fn fill_checksum(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let checksum = plain_checksum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

fn fault(bytes: &[u8]) -> Reason {
    let fault = Packet::new(bytes).unwrap_err();
    assert_eq!(fault.layer, Layer::Ipv4);
    fault.reason
}

#[test]
fn the_bytes_are_where_the_rfc_draws_them() {
    let header = ipv4::Header {
        ttl: 7,
        dscp: 46,
        ecn: Ecn::Ce,
        id: 0x1234,
        ..ipv4::Header::new(A4, B4, Protocol::TCP)
    };
    let mut out = [0xee; 20];
    assert_eq!(header.emit(&mut out, 100), 20);
    assert_eq!(
        out[..10],
        [0x45, 46 << 2 | 3, 0, 120, 0x12, 0x34, 0x40, 0, 7, 6]
    );
    assert_eq!(out[12..], [10, 0, 0, 1, 10, 0, 0, 2]);
    assert_eq!(plain_checksum(&out), 0);
}

#[test]
fn req_ip4_1_headers_that_cannot_be_are_dropped() {
    let good = packet(Protocol::UDP, 0, &[], b"12345678");
    assert!(Packet::new(&good).is_ok());

    for version in (0..16).filter(|version| *version != 4 && *version != 6) {
        let mut bytes = good.clone();
        bytes[0] = version << 4 | 5;
        let expected = Malformed::new(Layer::Ip, Reason::Version, 0);
        assert_eq!(Packet::new(&bytes).unwrap_err(), expected);
    }
    for words in 0..5 {
        let mut bytes = good.clone();
        bytes[0] = 0x40 | words;
        assert_eq!(fault(&bytes), Reason::HeaderLength);
    }
    // IHL beyond the total length, though not beyond the frame.
    let mut bytes = good.clone();
    bytes.extend([0; 40]);
    bytes[0] = 0x4f;
    fill_checksum(&mut bytes);
    assert_eq!(fault(&bytes), Reason::TotalLength);
    // Total length beyond the frame.
    assert_eq!(fault(&good[..good.len() - 1]), Reason::Truncated);
    // Every bit of the header is covered by its checksum.
    for bit in 0..160 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Packet::new(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn req_lnk_1_the_first_nibble_selects_the_version() {
    assert_eq!(Packet::new(&[]).unwrap_err().reason, Reason::Truncated);
    for nibble in 0..16u8 {
        let layer = Packet::new(&[nibble << 4]).unwrap_err().layer;
        let expected = match nibble {
            4 => Layer::Ipv4,
            6 => Layer::Ipv6,
            _ => Layer::Ip,
        };
        assert_eq!(layer, expected);
    }
}

#[test]
fn req_cve_19_a_header_length_below_five_words_and_an_empty_packet_are_refused() {
    assert!(Packet::new(&[]).is_err());
    for words in 0..5 {
        let mut bytes = packet(Protocol::TCP, 0, &[], &[0; 20]);
        bytes[0] = 0x40 | words;
        assert!(Packet::new(&bytes).is_err());
        assert!(Packet::lax(&bytes).is_err());
    }
}

#[test]
fn req_lnk_2_link_padding_is_no_data() {
    let mut bytes = packet(Protocol::TCP, 0, &[], &[7; 20]);
    bytes.resize(46, 0);
    let packet = Packet::new(&bytes).unwrap();
    assert_eq!(packet.payload(), [7; 20]);
    assert_eq!(packet.header_len(), 20);
    assert!(matches!(fault(&bytes[..39]), Reason::Truncated));
}

#[test]
fn req_ip4_4_options_are_walked_within_bounds() {
    let walk = |options: &[u8]| Packet::new(&packet(Protocol::TCP, 0, options, &[])).map(|_| ());
    // Record route, router alert, an unknown one, padding: passed over.
    assert_eq!(
        walk(&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0x99, 3, 1, 0, 0]),
        Ok(())
    );
    // What stands behind the end is nothing.
    assert_eq!(walk(&[0, 131, 0, 0]), Ok(()));
    let at = |reason, at| Err(Malformed::new(Layer::Ipv4, reason, at));
    assert_eq!(walk(&[1, 7, 0, 0]), at(Reason::OptionLength, 21));
    assert_eq!(walk(&[7, 1, 0, 0]), at(Reason::OptionLength, 20));
    assert_eq!(walk(&[7, 5, 0, 0]), at(Reason::OptionLength, 20));
    assert_eq!(walk(&[1, 1, 1, 7]), at(Reason::OptionLength, 23));
    assert_eq!(walk(&[131, 3, 4, 0]), at(Reason::SourceRoute, 20));
    assert_eq!(walk(&[1, 137, 3, 4]), at(Reason::SourceRoute, 21));
}

#[test]
fn req_must_50_a_packet_with_unknown_options_is_still_read() {
    for options in [&[0x99, 4, 1, 2][..], &[7, 7, 4, 0, 0, 0, 0, 0]] {
        let bytes = packet(Protocol::TCP, 0, options, &[5; 20]);
        let packet = Packet::new(&bytes).unwrap();
        assert_eq!(packet.payload(), [5; 20]);
        assert_eq!(packet.header_len(), 20 + options.len());
    }
}

#[test]
fn req_ip4_9_fragments_of_impossible_size_are_dropped() {
    let more = 0x2000;
    assert!(Packet::new(&packet(Protocol::UDP, more, &[], &[0; 16])).is_ok());
    assert_eq!(
        fault(&packet(Protocol::UDP, more, &[], &[0; 15])),
        Reason::FragmentLength
    );
    // The last fragment may have any length, unless it ends beyond 65535.
    assert!(Packet::new(&packet(Protocol::UDP, 3, &[], &[0; 15])).is_ok());
    let last = 65_512 / 8;
    assert!(Packet::new(&packet(Protocol::UDP, last, &[], &[0; 3])).is_ok());
    assert_eq!(
        fault(&packet(Protocol::UDP, last, &[], &[0; 4])),
        Reason::FragmentOverflow
    );
    assert_eq!(
        fault(&packet(Protocol::ICMP, 0x1fff, &[], &[0; 1480])),
        Reason::FragmentOverflow
    );
}

#[test]
fn req_ip4_13_fragments_that_split_the_tcp_header_are_dropped() {
    assert_eq!(
        fault(&packet(Protocol::TCP, 0x2000, &[], &[0; 16])),
        Reason::TinyFragment
    );
    assert_eq!(
        fault(&packet(Protocol::TCP, 1, &[], &[0; 100])),
        Reason::TinyFragment
    );
    assert!(Packet::new(&packet(Protocol::TCP, 0x2000, &[], &[0; 24])).is_ok());
    assert!(Packet::new(&packet(Protocol::TCP, 3, &[], &[0; 5])).is_ok());
    assert!(Packet::new(&packet(Protocol::UDP, 1, &[], &[0; 16])).is_ok());
}

#[test]
fn fragment_fields_are_in_bytes() {
    let bytes = packet(Protocol::UDP, 0x2000 | 185, &[], &[0; 8]);
    let fragment = Packet::new(&bytes).unwrap().fragment().unwrap();
    assert_eq!(
        (fragment.offset, fragment.more, fragment.is_first()),
        (1480, true, false)
    );
    let whole = packet(Protocol::UDP, 0x4000, &[], &[0; 8]);
    assert_eq!(Packet::new(&whole).unwrap().fragment(), None);
}

#[test]
fn a_capture_is_read_though_cut_short_or_not_filled_in() {
    let mut bytes = packet(Protocol::TCP, 0, &[], &[9; 40]);
    let cut = Packet::lax(&bytes[..30]).unwrap();
    assert_eq!(cut.payload(), [9; 10]);
    bytes[2..4].fill(0);
    bytes[10..12].fill(0);
    assert_eq!(Packet::lax(&bytes).unwrap().payload(), [9; 40]);
}

#[test]
fn networks_contain_their_addresses() {
    let contains =
        |net: &str, addr: &str| net.parse::<Cidr>().unwrap().contains(addr.parse().unwrap());
    assert!(contains("10.0.0.1/24", "10.0.0.255") && !contains("10.0.0.1/24", "10.0.1.0"));
    assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::"));
    assert!(contains("10.0.0.1", "10.0.0.1") && !contains("10.0.0.1/32", "10.0.0.0"));
    assert!(contains("::/0", "ff02::1") && contains("fd00::1/64", "fd00::ffff"));
    assert!(!contains("fd00::1/128", "fd00::2"));
    for text in [
        "10.0.0.1/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/-1",
    ] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
    let net: Cidr = "192.168.7.9/20".parse().unwrap();
    assert_eq!(net.network().to_string(), "192.168.0.0/20");
    assert_eq!(net.broadcast(), Some([192, 168, 15, 255].into()));
    assert_eq!("10.0.0.0/31".parse::<Cidr>().unwrap().broadcast(), None);
    assert_eq!(
        "fd00::f/0".parse::<Cidr>().unwrap().network().to_string(),
        "::/0"
    );
}
