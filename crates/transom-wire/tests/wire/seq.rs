use proptest::prelude::*;
use transom_wire::{Seq, SeqRange};

/// Where wrap-around and sign mistakes show.
const CORNERS: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff];

#[test]
fn order_holds_around_every_corner() {
    for start in CORNERS.map(Seq::new) {
        for step in [1, 2, 1460, 0x4000_0000, 0x7fff_ffff] {
            let later = start + step;
            assert!(start.lt(later) && start.le(later) && later.gt(start) && later.ge(start));
            assert!(!later.lt(start) && !later.le(start) && !start.gt(later) && !start.ge(later));
            assert_eq!(later.since(start), step);
            assert_eq!(later.offset_from(start), i32::try_from(step).unwrap());
            assert_eq!(start.offset_from(later), -i32::try_from(step).unwrap());
            assert_eq!((start.min(later), start.max(later)), (start, later));
            assert_eq!((later.min(start), later.max(start)), (start, later));
        }
        assert!(start.le(start) && start.ge(start) && !start.lt(start) && !start.gt(start));
    }
}

#[test]
fn a_window_is_half_open_and_may_be_larger_than_half_the_space() {
    for start in CORNERS.map(Seq::new) {
        assert!(!start.in_window(start, 0));
        assert!(start.in_window(start, 1));
        assert!(!(start + 1).in_window(start, 1));
        assert!(!(start - 1).in_window(start, 0xffff_fffe));
        assert!((start + 0xffff_fffe).in_window(start, 0xffff_ffff));
    }
}

#[test]
fn req_rec_1_window_arithmetic_has_32_bits() {
    // The largest window that scaling can express, and 2^30 - 1.
    for window in [65_535 << 14, (1 << 30) - 1] {
        for start in CORNERS.map(Seq::new) {
            let range = SeqRange::from_len(start, window);
            assert_eq!(
                (range.len(), range.end.since(range.start)),
                (window, window)
            );
            assert!((start + (window - 1)).in_window(start, window));
            assert!(!(start + window).in_window(start, window));
            assert!(!(start - 1).in_window(start, window));
            assert!(range.contains(start + (window - 1)) && !range.contains(range.end));
        }
    }
}

#[test]
fn a_range_with_its_end_first_is_empty() {
    let range = SeqRange::new(Seq::new(5), Seq::new(4));
    assert!(range.is_empty());
    assert_eq!(range.len(), 0);
    assert!(!range.contains(Seq::new(4)) && !range.contains(Seq::new(5)));
    assert!(!range.overlaps(SeqRange::new(Seq::new(0), Seq::new(10))));
}

proptest! {
    #[test]
    fn order_is_that_of_unwrapped_numbers(origin: u32, a in 0u32..0x4000_0000, b in 0u32..0x4000_0000) {
        let (x, y) = (Seq::new(origin) + a, Seq::new(origin) + b);
        prop_assert_eq!(x.lt(y), a < b);
        prop_assert_eq!(x.le(y), a <= b);
        prop_assert_eq!(x.gt(y), a > b);
        prop_assert_eq!(x.ge(y), a >= b);
        prop_assert_eq!(x.max(y), Seq::new(origin) + a.max(b));
        prop_assert_eq!(x.min(y), Seq::new(origin) + a.min(b));
    }

    #[test]
    fn addition_and_subtraction_undo_each_other(a: u32, n: u32) {
        let seq = Seq::new(a);
        prop_assert_eq!((seq + n) - n, seq);
        prop_assert_eq!((seq + n).since(seq), n);
        let mut moved = seq;
        moved += n;
        prop_assert_eq!(moved, seq + n);
        moved -= n;
        prop_assert_eq!(moved, seq);
    }

    #[test]
    fn ranges_behave_as_sets(
        origin: u32, a in 0u32..64, n in 0u32..64, b in 0u32..64, m in 0u32..64,
    ) {
        let at = |offset| Seq::new(origin) + offset;
        let x = SeqRange::from_len(at(a), n);
        let y = SeqRange::from_len(at(b), m);
        let both: Vec<_> = (0..128).map(at).filter(|s| x.contains(*s) && y.contains(*s)).collect();
        prop_assert_eq!(x.len(), n);
        prop_assert_eq!(x.overlaps(y), !both.is_empty());
        prop_assert_eq!(y.overlaps(x), !both.is_empty());
        match x.intersection(y) {
            Some(shared) => {
                let inside: Vec<_> = (0..128).map(at).filter(|s| shared.contains(*s)).collect();
                prop_assert_eq!(&inside, &both);
            }
            None => prop_assert!(both.is_empty()),
        }
        prop_assert_eq!(x.contains_range(y), m == 0 || both.len() == y.len() as usize);
    }
}
