use crate::{A4, A6, B4, B6, plain_checksum};
use bytes::Bytes;
use proptest::prelude::*;
use transom_wire::checksum;
use transom_wire::frame::{HeaderBuf, Payload, Pieces, TxFrame, TxOffload, segment};
use transom_wire::ip::{Packet, ipv4, ipv6};
use transom_wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom_wire::udp;
use transom_wire::{Protocol, Seq};

const FLAGS: Flags = Flags::ACK
    .union(Flags::PSH)
    .union(Flags::FIN)
    .union(Flags::CWR);

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// A frame as a stack would hand it down: link header of `link` bytes, partial checksum, data in pieces.
fn frame(v6: bool, link: usize, header: Header, data: &[u8], size: u16) -> TxFrame {
    let tcp_len = header.header_len();
    let ip_len = if v6 { 40 } else { 20 };
    let mut headers = HeaderBuf::new();
    // A link header that looks like the start of an IP header must not be taken for one.
    headers.extend(&vec![if v6 { 0x60 } else { 0x45 }; link]);
    let ip = headers.grow(ip_len).unwrap();
    let (src, dst) = if v6 {
        ipv6::Header::new(A6, B6, Protocol::TCP).emit(ip, tcp_len + data.len());
        (A6.into(), B6.into())
    } else {
        let ipv4 = ipv4::Header {
            id: 0xfffe,
            ..ipv4::Header::new(A4, B4, Protocol::TCP)
        };
        ipv4.emit(ip, tcp_len + data.len());
        (A4.into(), B4.into())
    };
    header.emit_partial(headers.grow(tcp_len).unwrap(), src, dst, data.len());
    TxFrame {
        payload: data.chunks(700).map(Bytes::copy_from_slice).collect(),
        offload: TxOffload::Segment {
            ipv6: v6,
            gso_size: size,
            header_len: (link + ip_len + tcp_len) as u16,
            checksum_start: (link + ip_len) as u16,
            checksum_offset: 16,
        },
        headers,
    }
}

fn header(flags: Flags) -> Header {
    Header {
        src_port: 1,
        dst_port: 2,
        seq: Seq::new(0xffff_fe00),
        ack: Seq::new(77),
        flags,
        window: 500,
        urgent: 0,
        options: Options {
            timestamps: Some(Timestamps { val: 3, ecr: 4 }),
            ..Options::EMPTY
        },
    }
}

#[test]
fn req_lnk_8_segments_have_their_own_seq_id_length_flags_and_checksum() {
    for v6 in [false, true] {
        for link in [0, 14, 18] {
            for (len, size) in [
                (1, 1000),
                (1000, 1000),
                (1001, 1000),
                (9999, 1448),
                (300, 1),
            ] {
                let sent = data(len);
                let large = frame(v6, link, header(FLAGS), &sent, size);
                let count = len.div_ceil(size.into());
                let mut received: Vec<u8> = Vec::new();
                let parts: Vec<_> = segment(large).collect();
                assert_eq!(parts.len(), count);
                for (i, part) in parts.iter().enumerate() {
                    assert_eq!(part.offload, TxOffload::None);
                    let bytes = part.to_vec();
                    assert_eq!(bytes.len(), part.len());
                    let packet = Packet::new(&bytes[link..]).unwrap();
                    assert_eq!(
                        packet.header_len() + packet.payload().len(),
                        bytes.len() - link
                    );
                    if let Packet::V4(view) = packet {
                        assert_eq!(view.id(), 0xfffe_u16.wrapping_add(i as u16));
                    }
                    let tcp = TcpView::new(packet.payload()).unwrap();
                    assert!(tcp.verify_checksum(packet.src(), packet.dst()));
                    let (first, last) = (i == 0, i + 1 == count);
                    let mut flags = Flags::ACK;
                    if last {
                        flags |= Flags::PSH | Flags::FIN;
                    }
                    if first {
                        flags |= Flags::CWR;
                    }
                    let expected = Header {
                        seq: header(FLAGS).seq + (i as u32) * u32::from(size),
                        ..header(flags)
                    };
                    assert_eq!(Header::from_view(&tcp), expected);
                    assert!(last || tcp.payload().len() == usize::from(size));
                    received.extend(tcp.payload());
                }
                assert_eq!(received, sent);
            }
        }
    }
}

/// The packets that are written of a frame, and what is left of it after `count` of them.
fn written(frame: TxFrame, count: usize) -> (Vec<Vec<u8>>, Option<TxFrame>) {
    let mut pieces = Pieces::new(frame);
    let mut packets = Vec::new();
    while packets.len() < count
        && let Some(len) = pieces.next_len()
    {
        let mut packet = vec![0xaa; len];
        assert_eq!(
            pieces.write_next(&mut packet[..len - 1], checksum::copy),
            None
        );
        assert_eq!(pieces.write_next(&mut packet, checksum::copy), Some(len));
        packets.push(packet);
    }
    (packets, pieces.into_rest())
}

#[test]
fn what_is_written_at_once_is_what_segments_are() {
    for v6 in [false, true] {
        for link in [0, 14] {
            for (len, size) in [(0, 1000), (1, 1000), (1001, 1000), (9999, 1448), (300, 7)] {
                let large = frame(v6, link, header(FLAGS), &data(len), size);
                let expected: Vec<_> = segment(large.clone()).map(|part| part.to_vec()).collect();
                for count in 0..=expected.len() {
                    let (mut packets, rest) = written(large.clone(), count);
                    assert_eq!(rest.is_none(), count == expected.len());
                    packets.extend(
                        rest.into_iter()
                            .flat_map(|rest| written(rest, usize::MAX).0),
                    );
                    assert_eq!(packets, expected, "{len} by {size}, stopped after {count}");
                }
            }
        }
    }
}

#[test]
fn a_frame_that_is_not_cut_is_written_with_its_checksum() {
    let large = frame(false, 0, header(Flags::ACK), &data(1001), 2000);
    let whole = TxFrame {
        offload: TxOffload::Checksum {
            start: 20,
            offset: 16,
        },
        ..large
    };
    let mut filled = whole.clone();
    assert!(filled.fill_checksum());
    assert_eq!(written(whole, 1).0, [filled.to_vec()]);
    assert_eq!(written(filled.clone(), 1).0, [filled.to_vec()]);
}

#[test]
fn the_accurate_ecn_counter_is_repeated_on_every_segment() {
    let flags = Flags::ACK | Flags::AE | Flags::CWR | Flags::ECE;
    for part in segment(frame(false, 0, header(flags), &data(3000), 1000)) {
        let bytes = part.to_vec();
        let packet = Packet::new(&bytes).unwrap();
        assert_eq!(TcpView::new(packet.payload()).unwrap().flags(), flags);
    }
}

#[test]
fn a_request_that_does_not_fit_its_headers_is_left_to_the_device() {
    let good = frame(false, 14, header(FLAGS), &data(3000), 1000);
    let wrong = |ipv6: bool, gso_size: u16, header_len: u16, checksum_start: u16| {
        let checksum_offset = 16;
        let offload = TxOffload::Segment {
            ipv6,
            gso_size,
            header_len,
            checksum_start,
            checksum_offset,
        };
        let frame = TxFrame {
            offload,
            ..good.clone()
        };
        assert_eq!(segment(frame.clone()).collect::<Vec<_>>(), [frame]);
    };
    wrong(false, 0, 66, 34);
    wrong(true, 1000, 66, 34);
    wrong(false, 1000, 65, 34);
    wrong(false, 1000, 66, 33);
    wrong(false, 1000, 66, 60);
    wrong(false, 1000, 66, u16::MAX);
}

#[test]
fn checksums_are_completed_in_software() {
    for len in [0, 1, 699, 700, 701, 2100, 3333] {
        for v6 in [false, true] {
            let mut frame = frame(v6, 14, header(FLAGS), &data(len), 1000);
            let start = if v6 { 54 } else { 34 };
            frame.offload = TxOffload::Checksum { start, offset: 16 };
            assert!(frame.fill_checksum());
            assert_eq!(frame.offload, TxOffload::None);
            let bytes = frame.to_vec();
            let packet = Packet::new(&bytes[14..]).unwrap();
            let tcp = TcpView::new(packet.payload()).unwrap();
            assert!(tcp.verify_checksum(packet.src(), packet.dst()), "{len}");
        }
    }
    // Nothing to do is done; the impossible changes nothing.
    let mut frame = frame(false, 0, header(FLAGS), b"", 1);
    assert!(!frame.fill_checksum());
    for offload in [
        TxOffload::Checksum {
            start: 51,
            offset: 0,
        },
        TxOffload::Checksum {
            start: 20,
            offset: 31,
        },
        TxOffload::Checksum {
            start: 200,
            offset: 0,
        },
        TxOffload::Checksum {
            start: u16::MAX,
            offset: u16::MAX,
        },
    ] {
        frame.offload = offload;
        let before = frame.clone();
        assert!(!frame.fill_checksum());
        assert_eq!(frame, before);
    }
    frame.offload = TxOffload::None;
    assert!(frame.fill_checksum());
}

#[test]
fn a_completed_udp_checksum_is_never_zero() {
    let mut seen = false;
    for word in 0..=u16::MAX {
        let payload = word.to_be_bytes();
        let mut headers = HeaderBuf::zeroed(8).unwrap();
        udp::Header {
            src_port: 1,
            dst_port: 2,
        }
        .emit(&mut headers, 2);
        let partial = checksum::pseudo_header(A4.into(), B4.into(), 17, 10).partial();
        headers[6..8].copy_from_slice(&partial.to_be_bytes());
        let mut frame = TxFrame {
            headers,
            payload: Bytes::copy_from_slice(&payload).into(),
            offload: TxOffload::Checksum {
                start: 0,
                offset: 6,
            },
        };
        assert!(frame.fill_checksum());
        let bytes = frame.to_vec();
        let view = udp::View::new(&bytes).unwrap();
        assert!(view.checksum() != 0 && view.verify_checksum(A4.into(), B4.into()));
        seen |= view.checksum() == 0xffff;
    }
    assert!(seen);
}

#[test]
fn headers_hold_what_fits() {
    let mut headers = HeaderBuf::new();
    assert!(headers.is_empty() && headers.extend(&[1; 100]));
    assert!(!headers.extend(&[2; 29]) && headers.grow(29).is_none());
    assert!(headers.extend(&[3; 28]) && headers.len() == 128);
    headers.truncate(2);
    assert_eq!(headers.as_slice(), [1, 1]);
    assert!(HeaderBuf::zeroed(128).is_some() && HeaderBuf::zeroed(129).is_none());
    assert!(HeaderBuf::zeroed(usize::MAX).is_none());
    // Ethernet with a tag, IPv6 and the longest TCP header fit.
    let options = Options {
        mss: Some(1),
        window_scale: Some(1),
        sack_permitted: true,
        timestamps: Some(Timestamps::default()),
        ..Options::EMPTY
    };
    assert!(18 + 40 + 20 + options.emitted_len() <= HeaderBuf::CAPACITY);
    const { assert!(18 + 40 + 60 <= HeaderBuf::CAPACITY) };
}

#[test]
fn req_lnk_4_and_sec_eth_1_short_frames_are_padded_with_zeros() {
    for len in 0..70 {
        let mut short = TxFrame {
            payload: Bytes::from(vec![9; len]).into(),
            ..TxFrame::default()
        };
        short.headers.extend(&[7; 14]);
        short.pad_to(60);
        let bytes = short.to_vec();
        assert_eq!(bytes.len(), (14 + len).max(60));
        assert!(bytes[14 + len..].iter().all(|byte| *byte == 0));
    }
    // The request fits before and after: zeros do not change a sum.
    let mut padded = frame(
        false,
        14,
        Header {
            options: Options::EMPTY,
            ..header(FLAGS)
        },
        b"x",
        1,
    );
    padded.offload = TxOffload::Checksum {
        start: 34,
        offset: 16,
    };
    let mut plain = padded.clone();
    padded.pad_to(60);
    assert!(plain.fill_checksum() && padded.fill_checksum());
    assert_eq!(padded.headers, plain.headers);
    assert_eq!(padded.len(), 60);
}

#[test]
fn plain_frames_pass_through() {
    let frame = TxFrame {
        payload: Bytes::from_static(b"x").into(),
        ..TxFrame::default()
    };
    assert_eq!(segment(frame.clone()).collect::<Vec<_>>(), [frame]);
    assert!(TxFrame::default().is_empty());
    assert_eq!(plain_checksum(&[]), 0xffff);
}

proptest! {
    #[test]
    fn a_payload_is_its_bytes_however_cut(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..8),
        at in 0usize..100, to in 0usize..100,
    ) {
        let all = pieces.concat();
        let payload: Payload = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        prop_assert_eq!(payload.len(), all.len());
        prop_assert_eq!(payload.is_empty(), all.is_empty());
        prop_assert_eq!(&payload.to_vec(), &all);
        prop_assert!(payload.chunks().all(|chunk| !chunk.is_empty()));
        prop_assert_eq!(&payload, &Payload::from(Bytes::from(all.clone())));

        let mut out = vec![0; at];
        let n = payload.copy_to(&mut out);
        prop_assert_eq!(n, at.min(all.len()));
        prop_assert_eq!(&out[..n], &all[..n]);

        let (from, end) = (at.min(all.len()), to.min(all.len()));
        let expected = all.get(from..end).unwrap_or_default();
        prop_assert_eq!(payload.slice(at, to).to_vec(), expected);

        let mut rest = payload;
        let head = rest.split_to(at);
        prop_assert_eq!(head.to_vec(), &all[..from]);
        prop_assert_eq!(rest.to_vec(), &all[from..]);
        prop_assert_eq!((head.len(), rest.len()), (from, all.len() - from));
    }

    #[test]
    fn any_offload_request_on_any_headers_is_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..128),
        ipv6: bool, gso_size in 0u16..40, header_len in 0u16..140, start in 0u16..140, offset in 0u16..140,
    ) {
        let mut headers = HeaderBuf::new();
        headers.extend(&bytes);
        let payload = Payload::from(Bytes::from_static(&[5; 100]));
        let cut = TxOffload::Segment { ipv6, gso_size, header_len, checksum_start: start, checksum_offset: offset };
        let frame = TxFrame { headers, payload, offload: cut };
        let parts: Vec<_> = segment(frame.clone()).collect();
        prop_assert!(!parts.is_empty() && parts.len() <= 100);
        let mut fill = TxFrame { offload: TxOffload::Checksum { start, offset }, ..frame };
        let _ = fill.fill_checksum();
    }
}
