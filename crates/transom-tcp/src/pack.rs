//! Writing the state of a connection down in as few octets as it takes, and reading it back exactly.
//!
//! Most numbers of a connection that rests are zero, small, or near to another one of their kind. So a number that is
//! zero takes one bit, others seven bits an octet; times and sequence numbers are written as the distance from the one
//! before. Who writes and who reads go through the same fields in the same order, which [`packed!`] sees to: each
//! structure names its fields once, and one that is forgotten does not compile.
//!
//! What is read was written here, in this process. Should it end too early all the same, what is missing reads as nothing or
//! as the largest number.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use transom_wire::{Seq, SeqRange};

/// Octets that one connection hardly exceeds.
const USUAL: usize = 384;

/// Where a connection is written to.
#[derive(Debug)]
pub struct Packer {
    octets: Vec<u8>,
    /// Where the octet of flags stands that is not full, and its next bit; 0: there is none.
    flags_at: usize,
    next_flag: u8,
    last_seq: u32,
    last_time: u64,
}

impl Packer {
    pub(crate) fn new() -> Self {
        Self {
            octets: Vec::with_capacity(USUAL),
            flags_at: 0,
            next_flag: 0,
            last_seq: 0,
            last_time: 0,
        }
    }

    pub(crate) fn finish(self) -> Box<[u8]> {
        // A copy: an allocator that cuts the rest off leaves small pieces behind, and takes longer.
        Box::from(self.octets.as_slice())
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        if self.next_flag == 0 {
            self.flags_at = self.octets.len();
            self.next_flag = 1;
            self.octets.push(0);
        }
        if flag && let Some(flags) = self.octets.get_mut(self.flags_at) {
            *flags |= self.next_flag;
        }
        self.next_flag <<= 1;
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.flag(number != 0);
        if number != 0 {
            self.digits(number);
        }
    }

    /// A number that is not zero. What is none, so that it has no octet of its own, stands for the largest: "no limit".
    fn digits(&mut self, number: u64) {
        if number >> MOST_AT_ONCE != 0 {
            return self.many_digits(number);
        }
        // Without asking for each octet whether it is the last, which a processor cannot foresee.
        let len = (number.ilog2() / 7) as usize;
        let more = CONTINUED & ((1 << (8 * len)) - 1);
        let octets = (spread(number) | more).to_le_bytes();
        let end = self.octets.len() + len + 1;
        self.octets.extend_from_slice(&octets);
        self.octets.truncate(end);
    }

    #[cold]
    fn many_digits(&mut self, mut number: u64) {
        if number == u64::MAX {
            return self.octets.push(0);
        }
        while number > 0x7f {
            self.octets.push(low_octet(number) | 0x80);
            number >>= 7;
        }
        self.octets.push(low_octet(number));
    }

    /// A time in nanoseconds. The origin, which stands for "never yet", does not become the one to compare with.
    pub(crate) fn time(&mut self, nanos: u64) {
        let is_new = nanos != 0 && nanos != self.last_time;
        self.flag(is_new);
        if is_new {
            // The times differ, so that the distance is not zero.
            self.digits(zigzag(nanos.wrapping_sub(self.last_time).cast_signed()));
            self.last_time = nanos;
        } else {
            self.flag(nanos != 0);
        }
    }

    pub(crate) fn seq(&mut self, seq: Seq) {
        let distance = seq.offset_from(Seq::new(self.last_seq));
        self.number(zigzag(i64::from(distance)));
        self.last_seq = seq.raw();
    }
}

/// What a connection is read from.
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    octets: &'a [u8],
    flags: u8,
    /// Bits of `flags` that were not read.
    flags_left: u8,
    last_seq: u32,
    last_time: u64,
}

impl<'a> Unpacker<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self {
            octets,
            flags: 0,
            flags_left: 0,
            last_seq: 0,
            last_time: 0,
        }
    }

    /// Everything was read.
    pub(crate) const fn is_over(&self) -> bool {
        self.octets.is_empty()
    }

    fn octet(&mut self) -> u8 {
        match self.octets.split_first() {
            Some((&first, rest)) => {
                self.octets = rest;
                first
            }
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn flag(&mut self) -> bool {
        if self.flags_left == 0 {
            self.flags = self.octet();
            self.flags_left = 8;
        }
        let flag = self.flags & 1 != 0;
        self.flags >>= 1;
        self.flags_left -= 1;
        flag
    }

    /// In each place of its own, so that a processor learns which fields are zero.
    #[inline]
    pub(crate) fn number(&mut self) -> u64 {
        if self.flag() { self.digits() } else { 0 }
    }

    #[inline(never)]
    fn digits(&mut self) -> u64 {
        if let Some(octets) = self.octets.first_chunk() {
            let octets = u64::from_le_bytes(*octets);
            // The highest bit of the last octet.
            let last = !octets & CONTINUED;
            let last = last & last.wrapping_neg();
            let number = gather(octets & (last.wrapping_sub(1) | last));
            let len = last.trailing_zeros() / 8 + 1;
            if last != 0
                && let Some(rest) = self.octets.get(len as usize..)
            {
                self.octets = rest;
                return if number == 0 { u64::MAX } else { number };
            }
        }
        self.many_digits()
    }

    #[cold]
    fn many_digits(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet();
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        if number == 0 { u64::MAX } else { number }
    }

    pub(crate) fn time(&mut self) -> u64 {
        if self.flag() {
            let distance = unzigzag(self.digits());
            self.last_time = self.last_time.wrapping_add(distance.cast_unsigned());
            self.last_time
        } else if self.flag() {
            self.last_time
        } else {
            0
        }
    }

    pub(crate) fn seq(&mut self) -> Seq {
        let distance = unzigzag(self.number()).cast_unsigned();
        let distance = u32::try_from(distance & u64::from(u32::MAX)).unwrap_or(0);
        self.last_seq = self.last_seq.wrapping_add(distance);
        Seq::new(self.last_seq)
    }
}

/// Numbers of so many bits are written and read in one step: eight octets of seven bits.
const MOST_AT_ONCE: u32 = 56;
/// In each octet, the bit that says that it is not the last.
const CONTINUED: u64 = 0x8080_8080_8080_8080;

/// Seven bits to each octet, the lowest first.
const fn spread(number: u64) -> u64 {
    let number = number & 0x0fff_ffff | (number & 0xff_ffff_f000_0000) << 4;
    let number = number & 0x3fff_0000_3fff | (number & 0x0fff_c000_0fff_c000) << 2;
    number & 0x007f_007f_007f_007f | (number & 0x3f80_3f80_3f80_3f80) << 1
}

/// The reverse of [`spread`]; the highest bits of the octets do not matter.
const fn gather(octets: u64) -> u64 {
    let number = octets & 0x007f_007f_007f_007f | (octets & 0x7f00_7f00_7f00_7f00) >> 1;
    let number = number & 0x3fff_0000_3fff | (number & 0x3fff_0000_3fff_0000) >> 2;
    number & 0x0fff_ffff | (number & 0x0fff_ffff_0000_0000) >> 4
}

const fn low_octet(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

/// Small numbers of either sign become small numbers.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// What can be written down.
pub(crate) trait Pack: Sized {
    fn pack(&self, to: &mut Packer);
    fn unpack(from: &mut Unpacker<'_>) -> Self;
}

/// Writes a structure field by field. After a semicolon stand fields that hold nothing while a connection rests: they
/// are not written, and read as their default.
macro_rules! packed {
    ($type:ty { $($field:ident),+ $(,)? $(; $($empty:ident),+ $(,)?)? }) => {
        impl $crate::pack::Pack for $type {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                let Self { $($field,)+ $($($empty: _,)+)? } = self;
                $($crate::pack::Pack::pack($field, to);)+
            }

            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                $(let $field = $crate::pack::Pack::unpack(from);)+
                Self { $($field,)+ $($($empty: Default::default(),)+)? }
            }
        }
    };
}

/// Writes a choice as its number.
macro_rules! packed_choice {
    ($type:ty { $($variant:ident),+ $(,)? }) => {
        impl $crate::pack::Pack for $type {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let number = match self { $(Self::$variant => Self::$variant as u64),+ };
                debug_assert_eq!(ALL.get(usize::try_from(number).unwrap_or(0)), Some(self));
                to.number(number);
            }

            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                const FIRST: $type = {
                    let [first, ..] = [$(<$type>::$variant),+];
                    first
                };
                let number = usize::try_from(from.number()).unwrap_or(0);
                ALL.get(number).copied().unwrap_or(FIRST)
            }
        }
    };
}

pub(crate) use {packed, packed_choice};

impl Pack for bool {
    fn pack(&self, to: &mut Packer) {
        to.flag(*self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.flag()
    }
}

macro_rules! packed_numbers {
    ($($type:ty),+) => {$(
        impl Pack for $type {
            fn pack(&self, to: &mut Packer) {
                to.number(u64::try_from(*self).unwrap_or(u64::MAX));
            }

            fn unpack(from: &mut Unpacker<'_>) -> Self {
                <$type>::try_from(from.number()).unwrap_or(<$type>::MAX)
            }
        }
    )+};
}

packed_numbers!(u8, u16, u32, u64, usize);

impl Pack for i64 {
    fn pack(&self, to: &mut Packer) {
        to.number(zigzag(*self));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        unzigzag(from.number())
    }
}

impl Pack for NonZeroU32 {
    fn pack(&self, to: &mut Packer) {
        self.get().pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::new(u32::unpack(from)).unwrap_or(Self::MIN)
    }
}

impl Pack for Duration {
    fn pack(&self, to: &mut Packer) {
        to.number(self.as_secs());
        to.number(u64::from(self.subsec_nanos()));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (seconds, nanos) = (from.number(), u32::unpack(from));
        Self::from_secs(seconds).saturating_add(Self::from_nanos(u64::from(nanos)))
    }
}

impl Pack for Seq {
    fn pack(&self, to: &mut Packer) {
        to.seq(*self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.seq()
    }
}

impl Pack for SeqRange {
    fn pack(&self, to: &mut Packer) {
        let Self { start, end } = self;
        start.pack(to);
        end.pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (start, end) = Pack::unpack(from);
        Self { start, end }
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, to: &mut Packer) {
        to.flag(self.is_some());
        if let Some(value) = self {
            value.pack(to);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.flag().then(|| T::unpack(from))
    }
}

impl<T: Pack> Pack for Box<T> {
    fn pack(&self, to: &mut Packer) {
        (**self).pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::new(T::unpack(from))
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, to: &mut Packer) {
        self.0.pack(to);
        self.1.pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let first = A::unpack(from);
        (first, B::unpack(from))
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    fn pack(&self, to: &mut Packer) {
        for value in self {
            value.pack(to);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        core::array::from_fn(|_| T::unpack(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn there_and_back<T: Pack + PartialEq + core::fmt::Debug>(values: &[T]) -> usize {
        let mut packer = Packer::new();
        for value in values {
            value.pack(&mut packer);
        }
        let octets = packer.finish();
        let mut from = Unpacker::new(&octets);
        for value in values {
            assert_eq!(T::unpack(&mut from), *value);
        }
        assert!(from.is_over());
        octets.len()
    }

    #[test]
    fn numbers_come_back_and_small_ones_are_short() {
        there_and_back(&[0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX]);
        there_and_back(&[0_i64, -1, 1, i64::MIN, i64::MAX]);
        there_and_back(&[0_u8, 255]);
        assert_eq!(there_and_back(&[0_u64; 64]), 8);
        assert_eq!(there_and_back(&[100_u64; 8]), 9);
        assert_eq!(there_and_back(&[true; 17]), 3);
    }

    #[test]
    fn numbers_of_every_length_come_back_whatever_follows() {
        for bits in 0..64 {
            let number = 1_u64 << bits;
            let neighbours = [number, number - 1, number + 1, number | number >> 1];
            for few in [0, 1, 9] {
                let mut values = neighbours.to_vec();
                values.extend([u64::MAX, 0x80].iter().cycle().take(few));
                there_and_back(&values);
            }
        }
        assert_eq!(there_and_back(&[0x80_u64; 8]), 1 + 16);
        assert_eq!(there_and_back(&[(1_u64 << 56) - 1; 8]), 1 + 64);
        assert_eq!(there_and_back(&[1_u64 << 56; 8]), 1 + 72);
    }

    #[test]
    fn times_and_sequence_numbers_are_distances() {
        let at = |nanos| Instant::from_origin(Duration::from_nanos(nanos));
        there_and_back(&[at(u64::MAX), at(0), at(5), at(u64::MAX), at(1)]);
        let day = 86_400_000_000_000;
        assert!(there_and_back(&[at(day), at(day), at(0), at(day + 90), at(day)]) <= 1 + 7 + 2 + 2);
        let seqs = [u32::MAX - 3, 5, 5, 1 << 31, 0].map(Seq::new);
        there_and_back(&seqs);
        assert_eq!(there_and_back(&[Seq::new(1 << 30); 8]), 1 + 5);
    }

    #[test]
    fn what_may_be_missing_comes_back() {
        there_and_back(&[None, Some((Duration::MAX, [3_u16, 4])), None]);
        there_and_back(&[Some(Box::new(NonZeroU32::MIN)), None]);
    }

    #[test]
    fn an_early_end_reads_as_something() {
        let mut from = Unpacker::new(&[0xff, 0xff]);
        assert_eq!(from.number(), 0x7f);
        assert_eq!(u16::unpack(&mut from), u16::MAX);
        assert_eq!(Option::<bool>::unpack(&mut Unpacker::new(&[])), None);
    }
}
