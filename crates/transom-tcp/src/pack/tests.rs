//! Everything comes back, in either way of reading.

use alloc::boxed::Box;
use core::num::NonZeroU32;
use core::time::Duration;

use transom_wire::{Seq, SeqRange};

use super::types::{at_distance, distance};
use super::*;
use crate::time::Instant;

/// Writes one value, reads it in both ways, and says how many octets were kept of what is seldom.
fn there_and_back<T: core::fmt::Debug + PartialEq, K: Kind<T>>(_: K, value: T, other: T) -> usize {
    let base = at(1_000_000_000);
    let (mut here, mut seldom) = ([7; HERE], [0; SELDOM]);
    let mut to = Packer::new(&mut here, &mut seldom, At::START);
    Base::pack(&base, &mut to);
    5_u64.pack(&mut to);
    Seq::new(9).pack(&mut to);
    K::pack(&value, &mut to);
    let end = to.at;
    let kept = to.outcome(HERE, SELDOM).keep(&seldom).expect("it fits");
    let stretched = kept.as_deref().map_or(NOTHING, stretch);
    assert_eq!(stretched, seldom);
    let mut skipped = None;
    let mut read = |place: Option<&mut T>| {
        let mut from = Unpacker::new(&here, &stretched, At::START);
        let _: Instant = Base::unpack(&mut from);
        let _ = (u64::unpack(&mut from), Seq::unpack(&mut from));
        skipped = Some(from.at);
        let read = match place {
            Some(place) => {
                K::unpack_into(place, &mut from);
                None
            }
            None => Some(K::unpack(&mut from)),
        };
        assert_eq!((from.at.here, from.at.seldom), (end.here, end.seldom));
        read
    };
    assert_eq!(read(None).as_ref(), Some(&value));
    let mut place = other;
    read(Some(&mut place));
    assert_eq!(place, value);
    let mut at = skipped.expect("it was read");
    K::skip(&mut at);
    assert_eq!((at.here, at.seldom), (end.here, end.seldom));
    kept.map_or(0, |kept| size_of_val(&*kept))
}

fn at(nanos: u64) -> Instant {
    Instant::from_origin(Duration::from_nanos(nanos))
}

#[test]
fn numbers_of_every_size_come_back() {
    for bits in 0..64 {
        let number = 1_u64 << bits;
        for number in [
            0,
            number,
            number - 1,
            number + 1,
            number | number >> 1,
            !number,
        ] {
            assert_eq!(there_and_back(Usual, number, 3), 0);
            let beside = there_and_back(In::<3>, number, 3);
            assert_eq!(beside != 0, number >> 24 != 0);
            assert_eq!(there_and_back(Rare, number, 3) != 0, number != 0);
            assert_eq!(there_and_back(Like, number, 3) != 0, number != 5);
            assert_eq!(there_and_back(Is::<9>, number, 3) != 0, number != 9);
            there_and_back(Unless::<{ u64::MAX >> 1 }>, number, 3);
            there_and_back(Usual, number.cast_signed(), 3);
            there_and_back(Usual, at(number), at(3));
            there_and_back(Rare, at(number), at(3));
            there_and_back(Like, at(number), at(3));
        }
    }
    assert_eq!(there_and_back(Unless::<1000>, 1000, 3), 0);
    there_and_back(In::<1>, u16::MAX, 3);
    there_and_back(Usual, usize::MAX, 3);
}

#[test]
fn times_near_the_one_that_others_are_the_distance_from_have_a_place() {
    let hours = 38 * 3600 * 1_000_000_000;
    for nanos in [0, 1, 999_999_999, 1_000_000_000, 1_000_000_001, hours] {
        assert_eq!(there_and_back(Usual, at(nanos), at(3)), 0);
    }
    for base in [0, 1, 5, 1 << 40, 1 << 63, u64::MAX] {
        for nanos in [
            0,
            1,
            4,
            5,
            6,
            1 << 40,
            (1 << 63) + 5,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(at_distance(distance(nanos, base), base), nanos);
        }
    }
}

#[test]
fn a_time_of_what_never_happened_is_the_origin() {
    struct Pair;
    impl Kind<(bool, Instant)> for Pair {
        fn pack(value: &(bool, Instant), to: &mut Packer<'_>) {
            Ever::pack(&value.0, to);
            Like::pack(&value.1, to);
        }
        fn unpack(from: &mut Unpacker<'_>) -> (bool, Instant) {
            (Ever::unpack(from), Like::unpack(from))
        }
        fn skip(at: &mut At) {
            <Ever as Kind<bool>>::skip(at);
            <Like as Kind<Instant>>::skip(at);
        }
    }
    let other = (true, at(7));
    // The time before is that from which others are the distance.
    assert_eq!(there_and_back(Pair, (true, at(1_000_000_000)), other), 0);
    assert_eq!(there_and_back(Pair, (false, Instant::ORIGIN), other), 0);
    assert_ne!(there_and_back(Pair, (true, Instant::ORIGIN), other), 0);
    assert_ne!(there_and_back(Pair, (false, at(3)), other), 0);
}

#[test]
fn sequence_numbers_are_distances_where_they_should_be() {
    assert_eq!(there_and_back(Like, Seq::new(9), Seq::new(0)), 0);
    assert_ne!(there_and_back(Like, Seq::new(u32::MAX), Seq::new(0)), 0);
    let range = SeqRange {
        start: Seq::new(u32::MAX),
        end: Seq::new(4),
    };
    there_and_back(Rare, Some(range), None);
    there_and_back(Rare, None, Some(range));
}

#[test]
fn what_may_be_missing_comes_back() {
    let some = (Duration::MAX, [3_u16, 4]);
    for (value, other) in [
        (None, Some(some)),
        (Some(some), None),
        (Some(some), Some(some)),
    ] {
        there_and_back(Usual, value, other);
        assert_eq!(there_and_back(Rare, value, other) != 0, value.is_some());
        there_and_back(Either, value, other);
    }
    there_and_back(Rare, Some(Box::new(NonZeroU32::MIN)), None);
    assert_eq!(there_and_back(Either, Some(3_u32), None), 0);
    assert_eq!(there_and_back(Either, None, Some(3_u32)), 0);
}

#[test]
fn what_was_not_written_here_reads_as_something() {
    let mut from = Unpacker::new(&[0xff; HERE], &NOTHING, At::START);
    from.at.here = HERE - 1;
    assert_eq!(u32::unpack(&mut from), 0);
    assert_eq!(stretch(&[]), NOTHING);
    assert_eq!(stretch(&[u64::MAX, u64::MAX]), NOTHING);
}

#[test]
fn what_does_not_fit_is_not_kept() {
    let (mut here, mut seldom) = ([0; HERE], [0; SELDOM]);
    let mut to = Packer::new(&mut here, &mut seldom, At::START);
    to.at.seldom = SELDOM;
    true.pack(&mut to);
    assert!(to.outcome(HERE, SELDOM).keep(&seldom).is_none());
}
