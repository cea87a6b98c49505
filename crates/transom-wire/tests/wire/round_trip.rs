//! What is written is read back the same, and what was read is written so that it reads the same.

use crate::{A6, B6, pairs};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use transom_wire::ethernet::{self, EtherType, MacAddr};
use transom_wire::ip::{ipv4, ipv6};
use transom_wire::tcp::{
    AccEcn, AccEcnOrder, FastOpen, Flags, Header, Options, SackBlocks, TcpView, Timestamps,
};
use transom_wire::{Ecn, HeaderBuf, Protocol, Seq, SeqRange, arp, icmpv4, icmpv6, udp};

fn timestamps() -> impl Strategy<Value = Option<Timestamps>> {
    of((any::<u32>(), any::<u32>()).prop_map(|(val, ecr)| Timestamps { val, ecr }))
}

fn sack() -> impl Strategy<Value = SackBlocks> {
    vec((any::<u32>(), any::<u32>()), 0..=4).prop_map(|blocks| {
        blocks
            .into_iter()
            .map(|(a, b)| SeqRange::new(Seq::new(a), Seq::new(b)))
            .collect()
    })
}

fn accecn() -> impl Strategy<Value = AccEcn> {
    (any::<bool>(), 0usize..4, any::<[u32; 3]>()).prop_map(|(one, fields, [e0b, ceb, e1b])| {
        let order = if one {
            AccEcnOrder::One
        } else {
            AccEcnOrder::Zero
        };
        AccEcn::new(order, fields, e0b, ceb, e1b)
    })
}

fn fast_open() -> impl Strategy<Value = Option<FastOpen>> {
    of((vec(any::<u8>(), 0..=16), any::<bool>())).prop_map(|option| {
        let (cookie, experimental) = option?;
        Some(FastOpen::new(&cookie)?.experimental(experimental))
    })
}

fn options() -> impl Strategy<Value = Options> {
    (
        of(any::<u16>()),
        of(any::<u8>()),
        any::<bool>(),
        timestamps(),
        of(accecn()),
        sack(),
        fast_open(),
    )
        .prop_map(
            |(mss, window_scale, sack_permitted, timestamps, accecn, sack, fast_open)| Options {
                mss,
                window_scale,
                sack_permitted,
                timestamps,
                // Beside the longest cookie there is no room for it.
                accecn: accecn.filter(|_| fast_open.is_none()),
                sack,
                fast_open,
            },
        )
}

fn header() -> impl Strategy<Value = Header> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u16>(), any::<u16>());
    (any::<u16>(), any::<u16>(), numbers, 0u16..0x200, options()).prop_map(
        |(src_port, dst_port, (seq, ack, window, urgent), flags, options)| Header {
            src_port,
            dst_port,
            seq: Seq::new(seq),
            ack: Seq::new(ack),
            flags: Flags::from_bits(flags),
            window,
            urgent,
            options,
        },
    )
}

/// The header with all that is not written left out.
fn as_written(header: Header) -> Header {
    let mut options = header.options.allowed_in(header.flags.contains(Flags::SYN));
    options.sack = options
        .sack
        .iter()
        .take(options.emitted_sack_blocks())
        .collect();
    Header {
        ack: if header.flags.contains(Flags::ACK) {
            header.ack
        } else {
            Seq::new(0)
        },
        urgent: if header.flags.contains(Flags::URG) {
            header.urgent
        } else {
            0
        },
        options,
        ..header
    }
}

fn emitted(header: &Header) -> Vec<u8> {
    let mut out = vec![0xee; header.header_len()];
    assert_eq!(header.emit(&mut out), out.len());
    out
}

fn ecn() -> impl Strategy<Value = Ecn> {
    (0u8..4).prop_map(Ecn::from_bits)
}

proptest! {
    #[test]
    fn req_inv_9_a_tcp_header_is_read_as_it_was_written(
        header in header(), data in vec(any::<u8>(), 0..40),
    ) {
        for (src, dst) in pairs() {
            let mut bytes = vec![0xee; header.header_len()];
            prop_assert_eq!(header.emit_with_checksum(&mut bytes, src, dst, &data), bytes.len());
            bytes.extend(&data);
            let view = TcpView::new(&bytes).unwrap();
            prop_assert!(view.verify_checksum(src, dst));
            prop_assert_eq!(Header::from_view(&view), as_written(header));
            prop_assert_eq!(view.options().1, None);
            prop_assert_eq!(view.payload(), &data[..]);
            prop_assert_eq!(view.reserved(), 0);
        }
    }

    #[test]
    fn a_partial_checksum_is_the_pseudo_headers(header in header(), len in 0usize..70_000) {
        for (src, dst) in pairs() {
            let mut bytes = emitted(&header);
            prop_assert_eq!(header.emit_partial(&mut bytes, src, dst, len), bytes.len());
            let total = u32::try_from(bytes.len() + len).unwrap();
            let sum = transom_wire::checksum::pseudo_header(src, dst, 6, total);
            prop_assert_eq!(TcpView::new(&bytes).unwrap().checksum(), sum.partial());
        }
    }

    #[test]
    fn a_tcp_header_that_was_read_is_written_so_that_it_reads_the_same(
        mut bytes in vec(any::<u8>(), 20..80), words in 5u8..16,
    ) {
        bytes[12] = words << 4 | bytes[12] & 15;
        if let Ok(view) = TcpView::new(&bytes) {
            let read = as_written(Header::from_view(&view));
            let again = emitted(&read);
            prop_assert_eq!(Header::from_view(&TcpView::new(&again).unwrap()), read);
        }
    }

    #[test]
    fn a_header_is_appended_as_it_is_emitted(header in header(), before in 0usize..128, val: u32, ecr: u32) {
        let plain = Header {
            options: Options { timestamps: Some(Timestamps { val, ecr }), ..Options::EMPTY },
            ..header
        };
        for header in [header, plain] {
            let expected = emitted(&header);
            let mut headers = HeaderBuf::zeroed(before).unwrap();
            if before + expected.len() > HeaderBuf::CAPACITY {
                prop_assert_eq!(header.append(&mut headers), None);
                prop_assert_eq!(headers.len(), before);
            } else {
                prop_assert_eq!(header.append(&mut headers), Some(expected.len()));
                prop_assert_eq!(&headers[before..], &expected);
            }
        }
    }

    #[test]
    fn options_fill_whole_words_and_at_most_40_bytes(options in options()) {
        let len = options.emitted_len();
        prop_assert!(len <= 40 && len % 4 == 0);
        let mut out = vec![0xee; len];
        prop_assert_eq!(options.emit(&mut out), len);
        let (read, fault) = Options::parse(&out);
        prop_assert_eq!(fault, None);
        let sack = options.sack.iter().take(options.emitted_sack_blocks()).collect();
        prop_assert_eq!(read, Options { sack, ..options });
    }

    #[test]
    fn ipv4(
        (src, dst, id) in any::<(u32, u32, u16)>(), (protocol, ttl) in any::<(u8, u8)>(), dscp in 0u8..64, ecn in ecn(),
        (dont_fragment, more_fragments) in any::<(bool, bool)>(), words in 0u16..0x2000, len in 0usize..100,
    ) {
        let header = ipv4::Header {
            src: src.into(), dst: dst.into(), protocol: Protocol(protocol), ttl, dscp, ecn, id,
            dont_fragment, more_fragments, fragment_offset: words * 8,
        };
        let mut bytes = vec![0xee; 20 + len];
        prop_assert_eq!(header.emit(&mut bytes, len), 20);
        let view = ipv4::View::new(&bytes).unwrap();
        prop_assert!(view.verify_checksum());
        prop_assert_eq!(ipv4::Header::from_view(&view), header);
        prop_assert_eq!(view.payload().len(), len);
    }

    #[test]
    fn ipv6(
        (src, dst) in any::<(u128, u128)>(), (next, hop_limit) in any::<(u8, u8)>(), dscp in 0u8..64, ecn in ecn(),
        flow_label in 0u32..1 << 20, len in 1usize..100,
    ) {
        let header = ipv6::Header {
            src: src.into(), dst: dst.into(), next_header: Protocol(next), hop_limit, dscp, ecn,
            flow_label,
        };
        let mut bytes = vec![0xee; 40 + len];
        prop_assert_eq!(header.emit(&mut bytes, len), 40);
        let view = ipv6::View::new(&bytes).unwrap();
        prop_assert_eq!(ipv6::Header::from_view(&view), header);
        prop_assert_eq!(view.payload().len(), len);
    }

    #[test]
    fn udp_arp_and_ethernet(ports: (u16, u16), macs: ([u8; 6], [u8; 6]), ips: (u32, u32), raw: u16, reply: bool) {
        let header = udp::Header { src_port: ports.0, dst_port: ports.1 };
        let mut bytes = [0xee; 8];
        prop_assert_eq!(header.emit(&mut bytes, 0), 8);
        prop_assert_eq!(udp::Header::from_view(&udp::View::new(&bytes).unwrap()), header);

        let (a, b) = (MacAddr(macs.0), MacAddr(macs.1));
        let header = ethernet::Header { dst: a, src: b, ether_type: EtherType(raw) };
        let mut bytes = [0xee; 14];
        prop_assert_eq!(header.emit(&mut bytes), 14);
        prop_assert_eq!(ethernet::Header::from_view(&ethernet::View::new(&bytes).unwrap()), header);

        let operation = if reply { arp::Operation::Reply } else { arp::Operation::Request };
        let header = arp::Header {
            operation, sender_mac: a, sender_ip: ips.0.into(), target_mac: b, target_ip: ips.1.into(),
        };
        let mut bytes = [0xee; 28];
        prop_assert_eq!(header.emit(&mut bytes), 28);
        prop_assert_eq!(arp::Header::from_view(&arp::View::new(&bytes).unwrap()), Some(header));
    }

    #[test]
    fn icmp_messages_of_any_bytes(bytes in vec(any::<u8>(), 8..100), kind in 0u8..20) {
        for kind in [kind, kind + 125, bytes[0]] {
            let mut bytes = bytes.clone();
            bytes[0] = kind;
            let message = icmpv4::View::new(&bytes).unwrap().message();
            let mut again = vec![0xee; message.len()];
            prop_assert_eq!(message.emit(&mut again), again.len());
            let view = icmpv4::View::new(&again).unwrap();
            prop_assert!(view.verify_checksum());
            prop_assert_eq!(view.message(), message);

            let message = icmpv6::View::new(&bytes).unwrap().message();
            prop_assert_eq!(message.emit(&mut again, A6, B6), again.len());
            let view = icmpv6::View::new(&again).unwrap();
            prop_assert!(view.verify_checksum(A6, B6));
            prop_assert_eq!(view.message(), message);
        }
    }
}
