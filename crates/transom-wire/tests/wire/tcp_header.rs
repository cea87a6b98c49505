use crate::{pairs, plain_checksum, with_pseudo_header};
use transom_wire::tcp::{Flags, Header, Options, TcpView, Timestamps};
use transom_wire::{Reason, Seq};

fn syn() -> Header {
    Header {
        src_port: 43210,
        dst_port: 80,
        seq: Seq::new(0xfedc_ba98),
        flags: Flags::SYN,
        window: 64240,
        options: Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { val: 1, ecr: 0 }),
            ..Options::EMPTY
        },
        ..Header::default()
    }
}

#[test]
fn the_bytes_are_where_the_rfc_draws_them() {
    let header = Header {
        src_port: 0x0102,
        dst_port: 0x0304,
        seq: Seq::new(0x0506_0708),
        ack: Seq::new(0x090a_0b0c),
        flags: Flags::ACK | Flags::URG | Flags::AE | Flags::FIN,
        window: 0x0d0e,
        urgent: 0x0f10,
        options: Options::EMPTY,
    };
    let mut out = [0xee; 20];
    assert_eq!(header.emit(&mut out), 20);
    let expected = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0a, 0x0b, 0x0c, 0x51, 0x31, 0x0d, 0x0e, 0, 0, 0x0f, 0x10,
    ];
    assert_eq!(out, expected);
    assert_eq!(Header::from_view(&TcpView::new(&out).unwrap()), header);
}

#[test]
fn fields_that_do_not_count_are_written_as_zero() {
    let header = Header {
        ack: Seq::new(7),
        urgent: 9,
        ..syn()
    };
    let mut out = [0; 60];
    let len = header.emit(&mut out);
    let view = TcpView::new(&out[..len]).unwrap();
    assert_eq!((view.ack(), view.urgent()), (Seq::new(0), 0));
}

#[test]
fn req_must_2_the_checksum_covers_pseudo_header_header_and_data() {
    for (src, dst) in pairs() {
        for len in [0, 1, 2, 3, 1459, 1460] {
            let data = vec![0xa5; len];
            for header in [
                syn(),
                Header {
                    flags: Flags::RST,
                    ..Header::default()
                },
            ] {
                let mut bytes = vec![0; header.header_len()];
                assert_eq!(
                    header.emit_with_checksum(&mut bytes, src, dst, &data),
                    bytes.len()
                );
                bytes.extend(&data);
                assert!(TcpView::new(&bytes).unwrap().verify_checksum(src, dst));
                assert_eq!(plain_checksum(&with_pseudo_header(src, dst, 6, &bytes)), 0);
            }
        }
    }
}

#[test]
fn req_must_3_every_flipped_bit_is_noticed() {
    for (src, dst) in pairs() {
        let header = syn();
        let mut bytes = vec![0; header.header_len()];
        header.emit_with_checksum(&mut bytes, src, dst, b"odd");
        bytes.extend(b"odd");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let noticed = TcpView::new(&flipped).is_ok_and(|v| v.verify_checksum(src, dst));
            assert!(!noticed, "bit {bit}");
        }
        for field in [[0, 0], [0xff, 0xff]] {
            let mut wrong = bytes.clone();
            wrong[16..18].copy_from_slice(&field);
            assert!(!TcpView::new(&wrong).unwrap().verify_checksum(src, dst));
        }
        assert!(
            !TcpView::new(&bytes)
                .unwrap()
                .verify_checksum(dst, [9, 9, 9, 9].into())
        );
    }
}

#[test]
fn a_header_cut_short_or_with_an_impossible_length_is_refused() {
    let header = syn();
    let mut bytes = vec![0; header.header_len()];
    header.emit(&mut bytes);
    for len in 0..bytes.len() {
        let fault = TcpView::new(&bytes[..len]).unwrap_err();
        let reason = if len < 20 {
            Reason::Truncated
        } else {
            Reason::HeaderLength
        };
        assert_eq!(fault.reason, reason, "{len}");
        // A capture's reader still gets what is there.
        assert_eq!(TcpView::lax(&bytes[..len]).is_ok(), len >= 20);
    }
    let lax = TcpView::lax(&bytes[..24]).unwrap();
    assert_eq!((lax.options().0.mss, lax.payload().len()), (Some(1460), 0));
}

#[test]
fn flags_are_named_as_in_prose() {
    assert_eq!((Flags::ACK | Flags::SYN).to_string(), "SYN,ACK");
    assert_eq!(
        (Flags::PSH | Flags::ACK | Flags::FIN).to_string(),
        "FIN,PSH,ACK"
    );
    assert_eq!(Flags::EMPTY.to_string(), "none");
    assert_eq!(!Flags::ALL, Flags::EMPTY);
    assert_eq!(Flags::from_bits(0xffff), Flags::ALL);
    assert!(Flags::ALL.contains(Flags::AE) && !Flags::SYN.intersects(Flags::ACK));
}

#[test]
fn segment_length_counts_syn_and_fin() {
    let header = Header {
        flags: Flags::SYN | Flags::FIN,
        ..Header::default()
    };
    let mut bytes = vec![0; 20];
    header.emit(&mut bytes);
    bytes.extend(b"xyz");
    assert_eq!(TcpView::new(&bytes).unwrap().segment_len(), 5);
}
