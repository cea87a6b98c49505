//! How the types of numbers, times and what may be missing are written down, and what holds nothing while a connection rests.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::num::NonZeroU32;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use transom_wire::{Seq, SeqRange};

use super::kinds::{pack_inner, unpack_inner, unpack_inner_into};
use super::{At, Empty, Number, Pack, Packer, Unpacker, packed, packed_number};
use crate::time::Instant;

/// Nearly always it is so already, and that is soon seen.
impl<T> Empty for VecDeque<T> {
    #[inline(always)]
    fn empty(&mut self) {
        if self.capacity() != 0 {
            *self = Self::default();
        }
    }
}

/// As a list.
impl Empty for BytesMut {
    #[inline(always)]
    fn empty(&mut self) {
        if self.capacity() != 0 {
            *self = Self::default();
        }
    }
}

impl<T> Empty for Option<T> {
    #[inline(always)]
    fn empty(&mut self) {
        if self.is_some() {
            *self = None;
        }
    }
}

impl Empty for Bytes {}
impl Empty for Seq {}
impl Empty for bool {}
impl Empty for u32 {}
impl Empty for usize {}

macro_rules! numbers {
    ($($type:ty, $octets:literal;)+) => {$(
        impl Number for $type {
            const OCTETS: usize = $octets;

            #[inline(always)]
            fn number(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }

            #[inline(always)]
            fn of(number: u64) -> Self {
                Self::try_from(number).unwrap_or(Self::MAX)
            }
        }

        packed_number!($type, $octets);
    )+};
}

numbers! {
    u8, 1;
    u16, 2;
    u32, 4;
    u64, 8;
    usize, 8;
}

impl Number for bool {
    const OCTETS: usize = 1;

    #[inline(always)]
    fn number(self) -> u64 {
        u64::from(self)
    }

    #[inline(always)]
    fn of(number: u64) -> Self {
        number != 0
    }
}

packed_number!(rare bool);

/// Small numbers of either sign become small numbers.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

impl Number for i64 {
    const OCTETS: usize = 8;

    #[inline(always)]
    fn number(self) -> u64 {
        zigzag(self)
    }

    #[inline(always)]
    fn of(number: u64) -> Self {
        unzigzag(number)
    }
}

packed_number!(rare i64);

impl Number for NonZeroU32 {
    const OCTETS: usize = 4;

    #[inline(always)]
    fn number(self) -> u64 {
        u64::from(self.get())
    }

    #[inline(always)]
    fn of(number: u64) -> Self {
        Self::new(u32::of(number)).unwrap_or(Self::MIN)
    }
}

packed_number!(rare NonZeroU32);

impl Number for Seq {
    const OCTETS: usize = 4;
    const LIKE: usize = 4;

    #[inline(always)]
    fn number(self) -> u64 {
        u64::from(self.raw())
    }

    #[inline(always)]
    fn of(number: u64) -> Self {
        Self::new(u32::of(number))
    }

    #[inline(always)]
    fn last(at: &mut At) -> &mut u64 {
        &mut at.last_seq
    }
}

packed_number!(Seq, 4);

impl Number for Instant {
    const OCTETS: usize = 8;

    #[inline(always)]
    fn number(self) -> u64 {
        self.since_origin_nanos()
    }

    #[inline(always)]
    fn of(number: u64) -> Self {
        Self::ORIGIN.after_nanos(number)
    }

    #[inline(always)]
    fn last(at: &mut At) -> &mut u64 {
        &mut at.last_time
    }
}

/// Octets of the distance from one time to another: 39 hours.
const TIME: usize = 6;

impl Pack for Instant {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        let nanos = self.number();
        to.at.last_time = nanos;
        to.put(distance(nanos, to.at.base), TIME, 8);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let nanos = at_distance(from.get(TIME, 8), from.at.base);
        from.at.last_time = nanos;
        Self::of(nanos)
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(TIME, 8 - TIME);
    }
}

/// The distance from `base`, a small number if it is short. The origin, which stands for "never yet", is nothing; all that are less
/// than its distance are one more for that.
#[inline(always)]
pub(super) const fn distance(nanos: u64, base: u64) -> u64 {
    let origin = zigzag(base.wrapping_neg().cast_signed());
    let distance = zigzag(nanos.wrapping_sub(base).cast_signed());
    if nanos == 0 {
        0
    } else if distance < origin {
        distance + 1
    } else {
        distance
    }
}

/// The reverse of [`distance`].
#[inline(always)]
pub(super) const fn at_distance(distance: u64, base: u64) -> u64 {
    let origin = zigzag(base.wrapping_neg().cast_signed());
    let distance = match distance {
        0 => return 0,
        distance if distance <= origin => distance - 1,
        distance => distance,
    };
    base.wrapping_add(unzigzag(distance).cast_unsigned())
}

impl Pack for Duration {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        to.put(self.as_secs(), 0, 8);
        to.put(u64::from(self.subsec_nanos()), 4, 4);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (seconds, nanos) = (from.get(0, 8), from.get(4, 4));
        Self::from_secs(seconds).saturating_add(Self::from_nanos(nanos))
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(4, 8);
    }
}

packed!(SeqRange { start, end });

/// Usually there; or usually not, where everything is seldom anything but zero.
impl<T: Pack> Pack for Option<T> {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        let flag = self.is_some() == to.at.deep;
        to.put_seldom(u64::from(flag), 1);
        pack_inner(self.as_ref(), to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let is_some = (from.get_seldom(1) != 0) == from.at.deep;
        unpack_inner(is_some, from)
    }

    #[inline(always)]
    fn unpack_into(&mut self, from: &mut Unpacker<'_>) {
        let is_some = (from.get_seldom(1) != 0) == from.at.deep;
        unpack_inner_into(is_some, self, from);
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        at.pass(0, 1);
        T::skip(at);
    }
}

impl<T: Pack> Pack for Box<T> {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        (**self).pack(to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::new(T::unpack(from))
    }

    #[inline(always)]
    fn unpack_into(&mut self, from: &mut Unpacker<'_>) {
        (**self).unpack_into(from);
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        T::skip(at);
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        self.0.pack(to);
        self.1.pack(to);
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let first = A::unpack(from);
        (first, B::unpack(from))
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        A::skip(at);
        B::skip(at);
    }
}

impl<T: Pack + Copy, const N: usize> Pack for [T; N] {
    #[inline(always)]
    fn pack(&self, to: &mut Packer<'_>) {
        for value in self {
            value.pack(to);
        }
    }

    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        // Not by a function that is given to another one: where this has come would not be a constant then.
        let mut values = [T::unpack(from); N];
        for value in values.iter_mut().skip(1) {
            *value = T::unpack(from);
        }
        values
    }

    #[inline(always)]
    fn skip(at: &mut At) {
        for _ in 0..N {
            T::skip(at);
        }
    }
}
