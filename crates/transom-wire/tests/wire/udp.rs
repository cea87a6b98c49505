use crate::{A4, A6, B4, B6, pairs, plain_checksum, with_pseudo_header};
use transom_wire::Reason;
use transom_wire::udp::{Header, View};

const HEADER: Header = Header {
    src_port: 5353,
    dst_port: 53,
};

#[test]
fn req_udp_1_length_is_at_least_8_and_at_most_what_ip_brought() {
    let mut bytes = vec![0; 8];
    HEADER.emit(&mut bytes, 4);
    bytes.extend(b"datapadding");
    assert_eq!(View::new(&bytes).unwrap().payload(), b"data");
    for len in 0..8 {
        let mut short = bytes.clone();
        short[4..6].copy_from_slice(&u16::to_be_bytes(len));
        assert_eq!(View::new(&short).unwrap_err().reason, Reason::TotalLength);
    }
    assert_eq!(
        View::new(&bytes[..11]).unwrap_err().reason,
        Reason::TotalLength
    );
    for len in 0..8 {
        assert_eq!(
            View::new(&bytes[..len]).unwrap_err().reason,
            Reason::Truncated
        );
    }
}

#[test]
fn req_udp_2_no_checksum_is_0_and_a_computed_0_is_sent_as_ffff() {
    for (src, dst) in pairs() {
        // Some two bytes of data make the sum come out as 0.
        let mut zeros = 0;
        for data in 0..=u16::MAX {
            let data = data.to_be_bytes();
            let mut bytes = vec![0; 8];
            assert_eq!(HEADER.emit_with_checksum(&mut bytes, src, dst, &data), 8);
            bytes.extend(data);
            let view = View::new(&bytes).unwrap();
            assert_ne!(view.checksum(), 0);
            assert!(view.verify_checksum(src, dst));
            if view.checksum() == 0xffff {
                zeros += 1;
                bytes[6..8].fill(0);
                assert_eq!(plain_checksum(&with_pseudo_header(src, dst, 17, &bytes)), 0);
            }
        }
        assert_eq!(zeros, 1);
    }
    let mut none = vec![0; 8];
    HEADER.emit(&mut none, 0);
    assert!(
        View::new(&none)
            .unwrap()
            .verify_checksum(A4.into(), B4.into())
    );
}

#[test]
fn req_ip6_15_a_zero_checksum_over_ipv6_is_refused() {
    let mut none = vec![0; 8];
    HEADER.emit(&mut none, 0);
    assert!(
        !View::new(&none)
            .unwrap()
            .verify_checksum(A6.into(), B6.into())
    );
}

#[test]
fn a_flipped_bit_is_noticed() {
    let (src, dst) = (A4.into(), B4.into());
    let mut bytes = vec![0; 8];
    HEADER.emit_with_checksum(&mut bytes, src, dst, b"abc");
    bytes.extend(b"abc");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!View::new(&flipped).is_ok_and(|view| view.verify_checksum(src, dst)));
    }
}
