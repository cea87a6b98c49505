//! The ways in which a field is written down.

use core::mem::replace;

use super::{At, Kind, Number, Pack, Packer, Unpacker};
use crate::time::Instant;

/// As it is usual for its type.
pub(crate) struct Usual;

impl<T: Pack> Kind<T> for Usual {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        value.pack(to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        T::unpack(from)
    }

    #[inline(always)]
    fn unpack_into(place: &mut T, from: &mut Unpacker<'_>) {
        place.unpack_into(from);
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        T::skip(at);
    }
}

/// All of it is seldom anything but zero.
pub(crate) struct Rare;

impl<T: Pack> Kind<T> for Rare {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        let deep = replace(&mut to.at.deep, true);
        value.pack(to);
        to.at.deep = deep;
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        let deep = replace(&mut from.at.deep, true);
        let value = T::unpack(from);
        from.at.deep = deep;
        value
    }

    #[inline(always)]
    fn unpack_into(place: &mut T, from: &mut Unpacker<'_>) {
        let deep = replace(&mut from.at.deep, true);
        place.unpack_into(from);
        from.at.deep = deep;
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        let deep = replace(&mut at.deep, true);
        T::skip(at);
        at.deep = deep;
    }
}

/// A number for which so many octets are usually enough.
pub(crate) struct In<const OCTETS: usize>;

impl<T: Number, const OCTETS: usize> Kind<T> for In<OCTETS> {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        let number = value.number();
        *T::last(&mut to.at) = number;
        to.put(number, OCTETS, T::OCTETS);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        let number = from.get(OCTETS, T::OCTETS);
        *T::last(&mut from.at) = number;
        T::of(number)
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(OCTETS, T::OCTETS - OCTETS);
    }
}

/// A number that is usually this one.
pub(crate) struct Is<const NUMBER: u64>;

impl<T: Number, const NUMBER: u64> Kind<T> for Is<NUMBER> {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        to.put_seldom(value.number() ^ NUMBER, T::OCTETS);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        T::of(from.get_seldom(T::OCTETS) ^ NUMBER)
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(0, T::OCTETS);
    }
}

/// A number, time or sequence number that is usually the same as the one before of its kind.
pub(crate) struct Like;

impl<T: Number> Kind<T> for Like {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        let number = value.number();
        let last = replace(T::last(&mut to.at), number);
        to.put_seldom(number ^ last, T::LIKE);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        let number = from.get_seldom(T::LIKE) ^ *T::last(&mut from.at);
        *T::last(&mut from.at) = number;
        T::of(number)
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(0, T::LIKE);
    }
}

/// A number of which it is known what it usually is.
pub(crate) struct Expected<const WHICH: usize>;

impl<const WHICH: usize> Expected<WHICH> {
    #[inline(always)]
    fn of(at: &At) -> u64 {
        at.expected.get(WHICH).copied().unwrap_or(0)
    }
}

impl<T: Number, const WHICH: usize> Kind<T> for Expected<WHICH> {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        to.put_seldom(value.number() ^ Self::of(&to.at), 8);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        T::of(from.get_seldom(8) ^ Self::of(&from.at))
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(0, 8);
    }
}

/// A time that is usually less than four seconds after the one before.
pub(crate) struct Soon;

impl Kind<Instant> for Soon {
    #[inline(always)]
    fn pack(value: &Instant, to: &mut Packer<'_>) {
        let number = value.number();
        let last = replace(&mut to.at.last_time, number);
        to.put(number.wrapping_sub(last), 4, 8);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Instant {
        let number = from.get(4, 8).wrapping_add(from.at.last_time);
        from.at.last_time = number;
        Instant::of(number)
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(4, 4);
    }
}

/// Whether something has ever happened. Where not, the time that follows is expected to be the origin, which stands for "never yet".
pub(crate) struct Ever;

impl Ever {
    #[inline(always)]
    const fn expect(happened: bool, at: &mut At) {
        at.last_time = if happened { at.last_time } else { 0 };
    }
}

impl Kind<bool> for Ever {
    #[inline(always)]
    fn pack(value: &bool, to: &mut Packer<'_>) {
        In::<1>::pack(value, to);
        Self::expect(*value, &mut to.at);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> bool {
        let value = In::<1>::unpack(from);
        Self::expect(value, &mut from.at);
        value
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(1, 0);
    }
}

/// A number that is usually small, or this one.
pub(crate) struct Unless<const NUMBER: u64>;

impl<const NUMBER: u64> Unless<NUMBER> {
    /// It stands for nothing, and nothing for it.
    #[inline(always)]
    const fn swap(number: u64) -> u64 {
        match number {
            0 => NUMBER,
            number if number == NUMBER => 0,
            number => number,
        }
    }
}

impl<const NUMBER: u64> Kind<u64> for Unless<NUMBER> {
    #[inline(always)]
    fn pack(value: &u64, to: &mut Packer<'_>) {
        to.put(Self::swap(*value), 4, 8);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> u64 {
        Self::swap(from.get(4, 8))
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(4, 4);
    }
}

/// The time from which others are the distance.
pub(crate) struct Base;

impl<T: Number> Kind<T> for Base {
    #[inline(always)]
    fn pack(value: &T, to: &mut Packer<'_>) {
        to.at.base = value.number();
        In::<8>::pack(value, to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> T {
        let value: T = In::<8>::unpack(from);
        from.at.base = value.number();
        value
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(8, 0);
    }
}

/// What is there as often as not.
pub(crate) struct Either;

impl<T: Pack> Kind<Option<T>> for Either {
    #[inline(always)]
    fn pack(value: &Option<T>, to: &mut Packer<'_>) {
        to.put(u64::from(value.is_some()), 1, 1);
        pack_inner(value.as_ref(), to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Option<T> {
        let is_some = from.get(1, 1) != 0;
        unpack_inner(is_some, from)
    }

    #[inline(always)]
    fn unpack_into(place: &mut Option<T>, from: &mut Unpacker<'_>) {
        let is_some = from.get(1, 1) != 0;
        unpack_inner_into(is_some, place, from);
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(1, 0);
        T::skip(at);
    }
}

#[inline(always)]
pub(super) fn pack_inner<T: Pack>(value: Option<&T>, to: &mut Packer<'_>) {
    match value {
        Some(value) => value.pack(to),
        None => to.skip(T::skip),
    }
}

#[inline(always)]
pub(super) fn unpack_inner<T: Pack>(is_some: bool, from: &mut Unpacker<'_>) -> Option<T> {
    if is_some {
        Some(T::unpack(from))
    } else {
        T::skip(&mut from.at);
        None
    }
}

#[inline(always)]
pub(super) fn unpack_inner_into<T: Pack>(
    is_some: bool,
    place: &mut Option<T>,
    from: &mut Unpacker<'_>,
) {
    match place {
        Some(place) if is_some => place.unpack_into(from),
        _ => *place = unpack_inner(is_some, from),
    }
}
