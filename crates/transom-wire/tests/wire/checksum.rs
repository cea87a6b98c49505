use crate::{A4, A6, B4, B6, plain_checksum, with_pseudo_header};
use proptest::prelude::*;
use transom_wire::checksum::{Sum, checksum, pseudo_header, update_u16, update_u32};

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn req_lnk_6_software_checksum_equals_the_plain_one_for_all_lengths_and_alignments() {
    let bytes = noise(400);
    for start in 0..33 {
        for end in start..bytes.len() {
            let part = &bytes[start..end];
            assert_eq!(checksum(part), plain_checksum(part), "{start}..{end}");
        }
    }
    for len in [1460, 8999, 65_535, 65_536] {
        assert_eq!(checksum(&noise(len)), plain_checksum(&noise(len)));
        assert_eq!(checksum(&vec![0xff; len]), plain_checksum(&vec![0xff; len]));
    }
}

#[test]
fn pseudo_header_is_the_one_of_each_family() {
    for len in [0, 1, 20, 33] {
        let message = noise(len);
        for (src, dst) in crate::pairs() {
            let mut sum = pseudo_header(src, dst, 6, len as u32);
            sum.add_bytes(&message);
            let plain = plain_checksum(&with_pseudo_header(src, dst, 6, &message));
            assert_eq!(sum.finish(), plain);
        }
    }
}

#[test]
fn pseudo_header_takes_lengths_above_16_bits() {
    let message = vec![0xab; 70_000];
    let mut sum = pseudo_header(A6.into(), B6.into(), 17, 70_000);
    sum.add_bytes(&message);
    let plain = with_pseudo_header(A6.into(), B6.into(), 17, &message);
    assert_eq!(sum.finish(), plain_checksum(&plain));
}

/// Every value of the changed field and every value of the old checksum, against all that the other words can add up
/// to at the corners.
#[test]
fn req_lnk_10_incremental_update_equals_the_full_sum_for_every_16_bit_value() {
    const CORNERS: [u16; 9] = [
        0x0000, 0x0001, 0x00ff, 0x7fff, 0x8000, 0xff00, 0xfffd, 0xfffe, 0xffff,
    ];
    let full = |field: u16, other: u16| {
        // The third word stands for the rest of a header, which is never all zero (RFC 1624 §3).
        let mut sum = Sum::ZERO;
        for word in [field, other, 0x4500] {
            sum.add_u16(word);
        }
        sum.finish()
    };
    for value in 0..=u16::MAX {
        for corner in CORNERS {
            for other in CORNERS {
                let (there, back) = (full(value, other), full(corner, other));
                assert_eq!(
                    update_u16(there, value, corner),
                    back,
                    "{value:#x} {corner:#x} {other:#x}"
                );
                assert_eq!(
                    update_u16(back, corner, value),
                    there,
                    "{value:#x} {corner:#x} {other:#x}"
                );
            }
            // `value` as the sum of the rest.
            let (before, after) = (full(corner, value), full(!corner, value));
            assert_eq!(update_u16(before, corner, !corner), after);
        }
    }
}

#[test]
fn rfc_1624_example() {
    // RFC 1624 §4: checksum 0xdd2f, field 0x5555 becomes 0x3285, new checksum 0x0000 and not 0xffff.
    assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn a_sum_over_its_own_checksum_is_valid() {
    let mut bytes = noise(101);
    bytes[10..12].fill(0);
    let field = checksum(&bytes).to_be_bytes();
    bytes[10..12].copy_from_slice(&field);
    let mut sum = Sum::new();
    sum.add_bytes(&bytes);
    assert!(sum.is_valid());
    bytes[50] ^= 1;
    let mut sum = Sum::new();
    sum.add_bytes(&bytes);
    assert!(!sum.is_valid());
}

#[test]
fn v4_mapped_pairs_do_not_panic() {
    // Mixed families make no packet, yet a caller's mistake must not end the process.
    let _ = pseudo_header(A4.into(), B6.into(), 6, 0).finish();
    let _ = pseudo_header(B6.into(), B4.into(), 6, u32::MAX).finish();
}

proptest! {
    #[test]
    fn cutting_the_bytes_anywhere_changes_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in proptest::collection::vec(0usize..600, 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let (mut added, mut combined) = (Sum::ZERO, Sum::ZERO);
        for pair in cuts.windows(2) {
            let piece = &bytes[pair[0]..pair[1]];
            added.add_bytes(piece);
            let mut alone = Sum::ZERO;
            alone.add_bytes(piece);
            combined.combine(alone);
        }
        prop_assert_eq!(added.finish(), plain_checksum(&bytes));
        prop_assert_eq!(combined.finish(), plain_checksum(&bytes));
        prop_assert_eq!(added.partial(), !plain_checksum(&bytes));
    }

    #[test]
    fn update_of_32_bits_equals_the_full_sum(old: u32, new: u32, rest in 1u16..) {
        let full = |field: u32| {
            let mut sum = Sum::ZERO;
            sum.add_u16(rest);
            sum.add_u32(field);
            sum.finish()
        };
        prop_assert_eq!(update_u32(full(old), old, new), full(new));
    }
}
