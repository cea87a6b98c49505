use crate::{A4, A6, B4, B6, plain_checksum, with_pseudo_header};
use transom_wire::ip::{ipv4, ipv6};
use transom_wire::quote::Quoted;
use transom_wire::tcp::{Flags, Header, Options, Timestamps};
use transom_wire::{Protocol, Seq, icmpv4, icmpv6};

const SEGMENT: Header = Header {
    src_port: 40000,
    dst_port: 443,
    seq: Seq::new(0xdead_beef),
    ack: Seq::new(5),
    flags: Flags::ACK,
    window: 100,
    urgent: 0,
    options: Options {
        timestamps: Some(Timestamps { val: 3, ecr: 4 }),
        ..Options::EMPTY
    },
};

fn tcp_packet(v6: bool, data: usize) -> Vec<u8> {
    let mut segment = vec![0; SEGMENT.header_len()];
    SEGMENT.emit(&mut segment);
    segment.resize(segment.len() + data, 0x55);
    let mut packet = vec![0; if v6 { 40 } else { 20 }];
    if v6 {
        ipv6::Header::new(A6, B6, Protocol::TCP).emit(&mut packet, segment.len());
    } else {
        ipv4::Header::new(A4, B4, Protocol::TCP).emit(&mut packet, segment.len());
    }
    packet.extend(segment);
    packet
}

#[test]
fn req_ic4_4_an_error_quotes_the_ip_header_and_8_bytes_or_more_within_576() {
    for data in [0, 1, 400, 600, 1400] {
        let mut packet = tcp_packet(false, data);
        let whole = packet.len();
        // Link padding is not quoted.
        packet.extend([0; 7]);
        let quote = icmpv4::quote(&packet);
        assert_eq!(quote.len(), whole.min(548));
        let message = icmpv4::Message::DestinationUnreachable {
            code: icmpv4::unreachable::FRAGMENTATION_NEEDED,
            next_hop_mtu: 1400,
            quote,
        };
        let mut out = vec![0; message.len()];
        assert_eq!(message.emit(&mut out), out.len());
        assert!(out.len() + 20 <= 576 && quote.len() >= 28);
        assert_eq!(plain_checksum(&out), 0);
        let view = icmpv4::View::new(&out).unwrap();
        assert!(view.verify_checksum() && view.is_error());
        assert_eq!(view.message(), message);
        let quoted = Quoted::new(quote).unwrap();
        assert_eq!(quoted.ports(), Some((40000, 443)));
        assert_eq!(quoted.tcp_seq(), Some(Seq::new(0xdead_beef)));
        assert_eq!(quoted.total_len(), whole);
    }
}

#[test]
fn an_icmpv6_error_fits_1280_bytes() {
    for data in [0, 1100, 1400] {
        let packet = tcp_packet(true, data);
        let quote = icmpv6::quote(&packet);
        assert_eq!(quote.len(), packet.len().min(1232));
        let message = icmpv6::Message::PacketTooBig { mtu: 1400, quote };
        let mut out = vec![0; message.len()];
        assert_eq!(message.emit(&mut out, B6, A6), out.len());
        assert!(out.len() + 40 <= 1280);
        let plain = with_pseudo_header(B6.into(), A6.into(), 58, &out);
        assert_eq!(plain_checksum(&plain), 0);
        let view = icmpv6::View::new(&out).unwrap();
        assert!(view.verify_checksum(B6, A6) && !view.verify_checksum(B6, B6) && view.is_error());
        assert_eq!(view.message(), message);
        assert_eq!(
            Quoted::new(quote).unwrap().tcp_seq(),
            Some(Seq::new(0xdead_beef))
        );
    }
}

#[test]
fn req_icmpa_8_a_quote_cut_anywhere_is_never_read_beyond_its_end() {
    for v6 in [false, true] {
        let packet = tcp_packet(v6, 10);
        let ip_len = if v6 { 40 } else { 20 };
        for len in 0..packet.len() {
            match Quoted::new(&packet[..len]) {
                Err(_) => assert!(len < ip_len),
                Ok(quoted) => {
                    assert_eq!(quoted.ports().is_some(), len >= ip_len + 4);
                    assert_eq!(quoted.tcp_seq().is_some(), len >= ip_len + 8);
                    assert_eq!(quoted.total_len(), packet.len());
                }
            }
        }
    }
    // IPv4 options and IPv6 extension headers stand before the ports.
    let mut options = tcp_packet(false, 0);
    options[0] = 0x46;
    options.splice(20..20, [1, 1, 1, 1]);
    assert_eq!(Quoted::new(&options).unwrap().ports(), Some((40000, 443)));
    let mut extension = tcp_packet(true, 0);
    extension[6] = 60;
    extension.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(Quoted::new(&extension).unwrap().ports(), Some((40000, 443)));
    // A fragment that is not the first has no ports.
    let mut fragment = tcp_packet(false, 0);
    fragment[7] = 100;
    let quoted = Quoted::new(&fragment).unwrap();
    assert_eq!((quoted.ports(), quoted.tcp_seq()), (None, None));
}

#[test]
fn echo_is_read_from_messages_and_quotes() {
    let request = icmpv4::Message::EchoRequest {
        id: 7,
        seq: 9,
        data: b"ping",
    };
    let mut packet = vec![0; 20 + request.len()];
    ipv4::Header::new(A4, B4, Protocol::ICMP).emit(&mut packet, request.len());
    request.emit(&mut packet[20..]);
    let view = icmpv4::View::new(&packet[20..]).unwrap();
    assert!(!view.is_error());
    assert_eq!(view.message(), request);
    assert_eq!(Quoted::new(&packet).unwrap().echo(), Some((7, 9)));
    assert_eq!(Quoted::new(&packet).unwrap().ports(), None);
}

#[test]
fn a_flipped_bit_is_noticed() {
    let message = icmpv4::Message::EchoReply {
        id: 1,
        seq: 2,
        data: b"abc",
    };
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!icmpv4::View::new(&flipped).unwrap().verify_checksum());
    }
}
