use crate::{A6, B6};
use transom_wire::icmpv6::{Report, parameter_problem};
use transom_wire::ip::{Fragment, Packet, ipv6};
use transom_wire::{Ecn, Layer, Malformed, Protocol, Reason};

const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// A packet of extension headers `(type, bytes without the next-header byte)` and an upper layer.
fn packet(extensions: &[(u8, Vec<u8>)], upper: u8, payload: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    for (i, (_, bytes)) in extensions.iter().enumerate() {
        rest.push(extensions.get(i + 1).map_or(upper, |(kind, _)| *kind));
        rest.extend(bytes);
    }
    rest.extend(payload);
    let first = extensions.first().map_or(upper, |(kind, _)| *kind);
    let mut out = vec![0; 40];
    ipv6::Header::new(A6, B6, Protocol(first)).emit(&mut out, rest.len());
    out.extend(rest);
    out
}

/// A hop-by-hop or destination options header around some option bytes.
fn options(bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![((bytes.len() + 2).div_ceil(8) - 1) as u8];
    header.extend(bytes);
    while (header.len() + 1) % 8 != 0 {
        header.push(0);
    }
    header
}

fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let [a, b] = (offset | u16::from(more)).to_be_bytes();
    vec![0, a, b, 1, 2, 3, 4]
}

fn fault(bytes: &[u8]) -> Malformed {
    Packet::new(bytes).unwrap_err()
}

fn extension_fault(reason: Reason, at: usize) -> Malformed {
    Malformed::new(Layer::Ipv6Extension, reason, at)
}

#[test]
fn the_bytes_are_where_the_rfc_draws_them() {
    let header = ipv6::Header {
        hop_limit: 9,
        dscp: 46,
        ecn: Ecn::Ect1,
        flow_label: 0xf_1234,
        ..ipv6::Header::new(A6, B6, Protocol::TCP)
    };
    let mut out = [0xee; 40];
    assert_eq!(header.emit(&mut out, 0x0102), 40);
    assert_eq!(out[..8], [0x6b, 0x9f, 0x12, 0x34, 1, 2, 6, 9]);
    assert_eq!(out[8..24], A6.octets());
    assert_eq!(out[24..], B6.octets());
}

#[test]
fn req_ip6_1_lengths_are_checked_and_trailing_bytes_trimmed() {
    let mut bytes = packet(&[], TCP, &[7; 20]);
    for len in 0..bytes.len() {
        assert_eq!(fault(&bytes[..len]).reason, Reason::Truncated);
    }
    bytes.extend([0; 6]);
    assert_eq!(Packet::new(&bytes).unwrap().payload(), [7; 20]);
    bytes[0] = 0x50;
    assert!(ipv6::View::new(&bytes).is_err());
    // A jumbogram says 0 and hop-by-hop.
    let mut jumbo = packet(
        &[(HOP_BY_HOP, options(&[0xc2, 4, 0, 1, 0, 0]))],
        TCP,
        &[7; 20],
    );
    jumbo[4..6].fill(0);
    assert_eq!(
        fault(&jumbo),
        Malformed::new(Layer::Ipv6, Reason::TotalLength, 4)
    );
    // Nothing at all behind the header is no jumbogram.
    assert!(Packet::new(&packet(&[], 59, &[])).is_ok());
}

#[test]
fn req_ip6_3_action_bits_of_unknown_options() {
    for (kind, reason, report) in [
        (0x1e, None, None),
        (0x5e, Some(Reason::OptionDiscard), None),
        (0x9e, Some(Reason::OptionReport), Some(true)),
        (0xde, Some(Reason::OptionReportUnicast), Some(false)),
    ] {
        for header in [HOP_BY_HOP, DESTINATION] {
            // Pad1, PadN, then the unknown option at offset 40 + 2 + 1 + 3.
            let bytes = packet(
                &[(header, options(&[0, 1, 1, 9, kind, 2, 1, 2]))],
                TCP,
                &[7; 20],
            );
            match reason {
                None => assert_eq!(Packet::new(&bytes).unwrap().payload(), [7; 20]),
                Some(reason) => {
                    let fault = fault(&bytes);
                    assert_eq!(fault, extension_fault(reason, 46));
                    let expected = report.map(|even_if_multicast| Report {
                        code: parameter_problem::OPTION,
                        pointer: 46,
                        even_if_multicast,
                    });
                    assert_eq!(Report::for_fault(fault), expected);
                }
            }
        }
    }
}

#[test]
fn req_ip6_3_hop_by_hop_stands_first_or_nowhere() {
    let pad = || options(&[1, 4, 0, 0, 0, 0]);
    let first = packet(&[(HOP_BY_HOP, pad()), (DESTINATION, pad())], TCP, &[]);
    assert_eq!(Packet::new(&first).unwrap().protocol(), Protocol::TCP);
    let second = packet(&[(DESTINATION, pad()), (HOP_BY_HOP, pad())], TCP, &[]);
    let fault = fault(&second);
    assert_eq!(fault, extension_fault(Reason::HopByHopNotFirst, 40));
    assert_eq!(
        Report::for_fault(fault).unwrap().code,
        parameter_problem::NEXT_HEADER
    );
}

#[test]
fn req_ip6_4_unknown_next_header_is_reported_and_59_ends_the_packet() {
    let bytes = packet(&[(DESTINATION, options(&[]))], 253, &[7; 20]);
    let Packet::V6(_, chain) = Packet::new(&bytes).unwrap() else {
        panic!("IPv6")
    };
    let report = Report::for_unknown_protocol(&chain).unwrap();
    assert_eq!(
        (report.code, report.pointer),
        (parameter_problem::NEXT_HEADER, 40)
    );
    let plain = packet(&[], 253, &[]);
    let Packet::V6(_, chain) = Packet::new(&plain).unwrap() else {
        panic!("IPv6")
    };
    assert_eq!(Report::for_unknown_protocol(&chain).unwrap().pointer, 6);
    let nothing = packet(&[], 59, &[7; 20]);
    let Packet::V6(_, chain) = Packet::new(&nothing).unwrap() else {
        panic!("IPv6")
    };
    assert_eq!(chain.protocol, Protocol::NO_NEXT_HEADER);
    assert_eq!(Report::for_unknown_protocol(&chain), None);
}

#[test]
fn req_ip6_5_the_chain_is_bounded_in_count_and_length() {
    let pad = || options(&[]);
    let chain = |n| packet(&vec![(DESTINATION, pad()); n], TCP, &[7; 20]);
    assert_eq!(Packet::new(&chain(8)).unwrap().header_len(), 40 + 64);
    assert_eq!(
        fault(&chain(9)),
        extension_fault(Reason::TooManyHeaders, 40 + 64)
    );
    let long = |n| packet(&[(DESTINATION, options(&vec![0; n]))], TCP, &[7; 20]);
    assert_eq!(Packet::new(&long(510)).unwrap().header_len(), 40 + 512);
    assert_eq!(
        fault(&long(518)),
        extension_fault(Reason::TooManyHeaders, 40)
    );
    // Cut short at every byte, and with every value of the length byte.
    let bytes = chain(3);
    for len in 40..bytes.len() - 20 {
        let mut cut = bytes[..len].to_vec();
        cut[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
        assert!(Packet::new(&cut).is_err(), "{len}");
    }
    for len in 0..=u8::MAX {
        let mut wrong = bytes.clone();
        wrong[41] = len;
        let _ = Packet::new(&wrong);
    }
}

#[test]
fn req_cve_04_and_cve_05_lengths_of_0_and_255_neither_wrap_nor_loop() {
    for kind in [HOP_BY_HOP, ROUTING, DESTINATION, 51] {
        for len in [0, 1, 254, 255] {
            let mut header = vec![len];
            header.extend([0; 6]);
            let bytes = packet(&vec![(kind, header); 60], kind, &[kind; 64]);
            assert!(Packet::new(&bytes).is_err(), "type {kind} length {len}");
            assert!(Packet::lax(&bytes).is_err(), "type {kind} length {len}");
        }
    }
}

#[test]
fn options_that_run_past_their_header_are_refused() {
    for bad in [
        &[0x1e, 7, 0, 0, 0, 0][..],
        &[0, 0, 0, 0, 0, 0x1e],
        &[0x1e, 255],
    ] {
        let bytes = packet(&[(DESTINATION, options(bad))], TCP, &[7; 20]);
        // The last one is padded with zeros, which are inside its claimed length.
        assert_eq!(fault(&bytes).reason, Reason::OptionLength, "{bad:?}");
    }
}

#[test]
fn req_ip6_6_routing_headers_with_segments_left_are_refused() {
    for kind in [0, 2, 3, 4, 200] {
        for left in [0, 1, 255] {
            let header = vec![0, kind, left, 0, 0, 0, 0];
            let bytes = packet(&[(ROUTING, header)], TCP, &[7; 20]);
            if left == 0 {
                assert_eq!(Packet::new(&bytes).unwrap().payload(), [7; 20]);
            } else {
                let fault = fault(&bytes);
                assert_eq!(fault, extension_fault(Reason::Routing, 42));
                let report = Report::for_fault(fault).unwrap();
                assert_eq!(
                    (report.code, report.pointer),
                    (parameter_problem::FIELD, 42)
                );
            }
        }
    }
}

#[test]
fn fragment_headers_are_read() {
    let bytes = packet(&[(FRAGMENT, fragment(1448, true))], 17, &[7; 16]);
    let packet = Packet::new(&bytes).unwrap();
    let expected = Fragment {
        id: 0x0102_0304,
        offset: 1448,
        more: true,
    };
    assert_eq!(packet.fragment(), Some(expected));
    assert_eq!(
        (packet.protocol(), packet.payload().len()),
        (Protocol::UDP, 16)
    );
    let mut out = [0; 8];
    let header = ipv6::FragmentHeader {
        next_header: Protocol::UDP,
        fragment: expected,
    };
    assert_eq!(header.emit(&mut out), 8);
    assert_eq!(out, bytes[40..48]);
}

#[test]
fn an_atomic_fragment_is_read_through() {
    let pad = options(&[]);
    let bytes = packet(
        &[(FRAGMENT, fragment(0, false)), (DESTINATION, pad)],
        TCP,
        &[7; 20],
    );
    let packet = Packet::new(&bytes).unwrap();
    assert!(packet.fragment().unwrap().is_atomic());
    assert_eq!(
        (packet.protocol(), packet.header_len()),
        (Protocol::TCP, 56)
    );
}

#[test]
fn fragments_that_cannot_be_are_reported() {
    let report = |extensions: &[(u8, Vec<u8>)], upper, payload: &[u8]| {
        let report = Report::for_fault(fault(&packet(extensions, upper, payload)));
        report.map(|report| (report.code, report.pointer))
    };
    let field = parameter_problem::FIELD;
    // Not a multiple of 8, with more to come: the payload length is at fault.
    assert_eq!(
        report(&[(FRAGMENT, fragment(0, true))], 17, &[7; 17]),
        Some((field, 4))
    );
    // Beyond 65535: the offset is.
    assert_eq!(
        report(&[(FRAGMENT, fragment(65528, false))], 17, &[7; 8]),
        Some((field, 42))
    );
    // The first fragment does not reach to the end of the upper header.
    let chain = parameter_problem::INCOMPLETE_CHAIN;
    assert_eq!(
        report(&[(FRAGMENT, fragment(0, true))], TCP, &[7; 16]),
        Some((chain, 0))
    );
    let headers = [(FRAGMENT, fragment(0, true)), (DESTINATION, options(&[]))];
    assert_eq!(report(&headers, 17, &[]), Some((chain, 0)));
    assert!(Packet::new(&packet(&headers, 17, &[7; 8])).is_ok());
    // A fragment of fragments.
    for more in [false, true] {
        let nested = [
            (FRAGMENT, fragment(0, more)),
            (FRAGMENT, fragment(0, false)),
        ];
        assert_eq!(fault(&packet(&nested, 17, &[7; 8])).reason, Reason::Value);
    }
}

#[test]
fn req_ip6_13_the_pseudo_header_uses_the_upper_layers_number() {
    use transom_wire::tcp::{Header, TcpView};
    let mut segment = vec![0; 20];
    Header::default().emit_with_checksum(&mut segment, A6.into(), B6.into(), b"");
    let routing = vec![0, 4, 0, 0, 0, 0, 0];
    let headers = [(HOP_BY_HOP, options(&[])), (ROUTING, routing)];
    let bytes = packet(&headers, TCP, &segment);
    let packet = Packet::new(&bytes).unwrap();
    assert_eq!(packet.protocol(), Protocol::TCP);
    let view = TcpView::new(packet.payload()).unwrap();
    assert!(view.verify_checksum(packet.src(), packet.dst()));
}

#[test]
fn a_capture_is_read_though_cut_short() {
    let bytes = packet(&[(FRAGMENT, fragment(0, true))], 17, &[7; 64]);
    let cut = Packet::lax(&bytes[..40 + 8 + 13]).unwrap();
    assert_eq!((cut.protocol(), cut.payload().len()), (Protocol::UDP, 13));
    assert!(Packet::new(&bytes[..40 + 8 + 13]).is_err());
}
