//! Writing the state of a connection down in few octets, and reading it back exactly, in about as many steps as it has fields.
//!
//! What is usually something has a place of its own, always the same ([`HERE`] octets), so that neither who writes nor who reads asks
//! anything. What is seldom anything but zero is written beside, where only whether anything is different from zero has to be known:
//! nothing is kept of it then, and zeros are read. Otherwise those of its words that are not zero are kept. So that much is zero, an octet count
//! is written in as many octets as it usually needs and the rest beside ([`In`]), a sequence number that is mostly the same as another one as
//! the distance from it ([`Like`]), and a time as the distance from the one at which the peer was last heard.
//!
//! Who writes and who reads go through the same fields in the same order, which [`packed!`] sees to: each structure names its fields
//! once, and one that is forgotten does not compile. All of it is inlined, and every place is a constant then.
//!
//! What is read was written here, in this process. Should it not have been, all that is read has some meaning.

mod kinds;
mod seldom;
mod types;

use alloc::boxed::Box;

pub(crate) use kinds::{Base, Either, Ever, Expected, In, Is, Like, Rare, Soon, Unless, Usual};
use seldom::squeeze;
pub(crate) use seldom::{NOTHING, SELDOM, Seldom, stretch};

use crate::config::Config;
use crate::info::Counters;
use crate::recv::out_of_order_limit;
use crate::rtt::Bounds;
use crate::send::Sender;
use crate::tcb::rtt_config;
use crate::time::nanos;

/// Octets of what has a place of its own: with what an allocator keeps beside it, four lines of memory.
pub(crate) const HERE: usize = 248;
/// Octets of what has a place of its own that are the congestion controller's: the first.
pub(crate) const CONTROLLER_HERE: usize = 22;
/// Where in what is seldom that begins which is the congestion controller's.
pub(crate) const CONTROLLER_SELDOM: usize = 512;

/// What has a place of its own.
pub(crate) type Here = [u8; HERE];

/// How far who writes or reads has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    here: usize,
    seldom: usize,
    /// Everything goes to what is seldom.
    deep: bool,
    last_number: u64,
    last_seq: u64,
    last_time: u64,
    /// The time from which others are the distance.
    base: u64,
    /// What some numbers usually are.
    expected: [u64; EXPECTED],
}

/// What is expected of some numbers.
const EXPECTED: usize = 6;
pub(crate) const MIN_RTO: usize = 0;
pub(crate) const MAX_RTO: usize = 1;
pub(crate) const INITIAL_RTO: usize = 2;
pub(crate) const OUT_OF_ORDER_LIMIT: usize = 3;
/// As many octets as were acknowledged.
pub(crate) const ACKED: usize = 4;
/// As many octets as were received.
pub(crate) const RECEIVED: usize = 5;

impl At {
    const fn new(here: usize, seldom: usize, base: u64) -> Self {
        Self {
            here,
            seldom,
            deep: false,
            last_number: 0,
            last_seq: 0,
            last_time: 0,
            base,
            expected: [0; EXPECTED],
        }
    }

    /// What is known once what is sent is written or read: where the scoreboard stands, which the SYN does not move.
    #[inline(always)]
    pub(crate) fn board(&mut self, snd: &Sender) {
        let carried_nothing = snd.una == snd.iss + 1;
        self.last_seq = if carried_nothing { snd.iss } else { snd.una }.number();
    }

    /// What is known before anything is written or read: what follows from the configuration.
    #[inline(always)]
    pub(crate) fn expect(&mut self, config: &Config) {
        let Bounds {
            min_rto, max_rto, ..
        } = Bounds::new(&rtt_config(config));
        let limit = out_of_order_limit(config) as u64;
        self.expected = [min_rto, max_rto, nanos(config.rto_initial), limit, 0, 0];
    }

    /// What is known once the totals are written or read.
    #[inline(always)]
    pub(crate) const fn count(&mut self, counters: &Counters) {
        let [.., acked, received] = &mut self.expected;
        (*acked, *received) = (counters.bytes_acked, counters.bytes_received);
    }

    /// Where what is not the congestion controller's begins.
    pub(crate) const START: Self = Self::new(CONTROLLER_HERE, 0, 0);

    /// Where what is the congestion controller's begins.
    #[inline(always)]
    pub(crate) const fn controller(base: u64) -> Self {
        Self::new(0, CONTROLLER_SELDOM, base)
    }

    pub(crate) const fn base(&self) -> u64 {
        self.base
    }

    /// Passes over a number that takes so many octets here and so many among what is seldom.
    #[inline(always)]
    const fn pass(&mut self, here: usize, seldom: usize) {
        if self.deep {
            self.seldom += here + seldom;
        } else {
            self.here += here;
            self.seldom += seldom;
        }
    }
}

/// Where a connection is written to.
#[derive(Debug)]
pub struct Packer<'a> {
    here: &'a mut Here,
    seldom: &'a mut Seldom,
    pub(crate) at: At,
    /// Everything written among what is seldom, one number over the other.
    any: u64,
    /// It did not fit.
    fails: bool,
}

impl<'a> Packer<'a> {
    pub(crate) const fn new(here: &'a mut Here, seldom: &'a mut Seldom, at: At) -> Self {
        Self {
            here,
            seldom,
            at,
            any: 0,
            fails: false,
        }
    }

    /// What came of it, which is to end here at the latest.
    #[inline(always)]
    pub(crate) const fn outcome(&self, here: usize, seldom: usize) -> Outcome {
        Outcome {
            any: self.any != 0,
            fails: self.fails || self.at.here > here || self.at.seldom > seldom,
        }
    }

    #[inline(always)]
    fn put_here(&mut self, number: u64, octets: usize) {
        let (from, to) = (self.at.here, self.at.here + octets);
        match (
            self.here.get_mut(from..to),
            number.to_le_bytes().get(..octets),
        ) {
            (Some(place), Some(number)) => place.copy_from_slice(number),
            _ => self.fails = true,
        }
        self.at.here = to;
    }

    #[inline(always)]
    fn put_seldom(&mut self, number: u64, octets: usize) {
        self.any |= number;
        let (from, to) = (self.at.seldom, self.at.seldom + octets);
        match (
            self.seldom.get_mut(from..to),
            number.to_le_bytes().get(..octets),
        ) {
            (Some(place), Some(number)) => place.copy_from_slice(number),
            _ => self.fails = true,
        }
        self.at.seldom = to;
    }

    /// A number of `octets`, of which `here` are usually enough.
    #[inline(always)]
    fn put(&mut self, number: u64, here: usize, octets: usize) {
        if self.at.deep {
            return self.put_seldom(number, octets);
        }
        self.put_here(number, here);
        if here < octets {
            self.put_seldom(number >> (8 * here), octets - here);
        }
    }

    /// Begins what is the congestion controller's, anew, so that where that is is known in code of its own.
    #[inline(always)]
    pub(crate) const fn begin(&mut self) -> Packer<'_> {
        let at = At::controller(self.at.base());
        Packer::new(self.here, self.seldom, at)
    }

    /// What came of that.
    #[inline(always)]
    pub(crate) const fn end(&mut self, part: Outcome) {
        self.any |= part.any as u64;
        self.fails |= part.fails;
    }

    /// Passes over what is not there.
    #[inline(always)]
    fn skip(&mut self, skip: impl FnOnce(&mut At)) {
        let from = self.at.seldom;
        skip(&mut self.at);
        match self.seldom.get_mut(from..self.at.seldom) {
            Some(rest) => rest.fill(0),
            None => self.fails = true,
        }
    }
}

/// What came of writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Something is not zero that seldom is anything else.
    any: bool,
    fails: bool,
}

impl Outcome {
    /// What came of both of two parts.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            any: self.any || other.any,
            fails: self.fails || other.fails,
        }
    }

    /// What is to be kept of what is seldom, if anything of it is not zero; nothing at all where it did not fit.
    #[inline]
    pub(crate) fn keep(self, seldom: &Seldom) -> Option<Option<Box<[u64]>>> {
        let kept = self.any.then(|| squeeze(seldom));
        (!self.fails).then_some(kept)
    }
}

/// What a connection is read from.
#[derive(Debug)]
pub struct Unpacker<'a> {
    here: &'a Here,
    seldom: &'a Seldom,
    pub(crate) at: At,
}

impl<'a> Unpacker<'a> {
    pub(crate) const fn new(here: &'a Here, seldom: &'a Seldom, at: At) -> Self {
        Self { here, seldom, at }
    }

    /// As [`Packer::begin`].
    #[inline(always)]
    pub(crate) const fn begin(&self) -> Unpacker<'_> {
        let at = At::controller(self.at.base());
        Unpacker::new(self.here, self.seldom, at)
    }

    #[inline(always)]
    fn get_here(&mut self, octets: usize) -> u64 {
        let from = self.at.here;
        self.at.here = from + octets;
        number_of(self.here, from, octets)
    }

    #[inline(always)]
    fn get_seldom(&mut self, octets: usize) -> u64 {
        let from = self.at.seldom;
        self.at.seldom = from + octets;
        number_of(self.seldom, from, octets)
    }

    #[inline(always)]
    fn get(&mut self, here: usize, octets: usize) -> u64 {
        if self.at.deep {
            return self.get_seldom(octets);
        }
        let low = self.get_here(here);
        if here < octets {
            low | self.get_seldom(octets - here) << (8 * here)
        } else {
            low
        }
    }
}

/// The number in so many octets, which are known where this is inlined.
#[inline(always)]
fn number_of<const ZONE: usize>(zone: &[u8; ZONE], from: usize, octets: usize) -> u64 {
    let one = |at| u64::from(u8::from_le_bytes(some(zone, at)));
    let two = |at| u64::from(u16::from_le_bytes(some(zone, at)));
    let four = |at| u64::from(u32::from_le_bytes(some(zone, at)));
    match octets {
        1 => one(from),
        2 => two(from),
        3 => two(from) | one(from + 2) << 16,
        4 => four(from),
        5 => four(from) | one(from + 4) << 32,
        6 => four(from) | two(from + 4) << 32,
        7 => four(from) | two(from + 4) << 32 | one(from + 6) << 48,
        8 => u64::from_le_bytes(some(zone, from)),
        _ => 0,
    }
}

#[inline(always)]
fn some<const ZONE: usize, const OCTETS: usize>(zone: &[u8; ZONE], from: usize) -> [u8; OCTETS] {
    let octets = zone.get(from..).and_then(|zone| zone.first_chunk());
    octets.copied().unwrap_or([0; OCTETS])
}

/// What can be written down.
pub(crate) trait Pack: Sized {
    fn pack(&self, to: &mut Packer<'_>);
    fn unpack(from: &mut Unpacker<'_>) -> Self;
    /// The same, in a place that held another one.
    #[inline(always)]
    fn unpack_into(&mut self, from: &mut Unpacker<'_>) {
        *self = Self::unpack(from);
    }
    /// Goes on behind it, where it was not written.
    fn skip(at: &mut At);
}

/// How a field is written down.
pub(crate) trait Kind<T> {
    fn pack(value: &T, to: &mut Packer<'_>);
    fn unpack(from: &mut Unpacker<'_>) -> T;
    #[inline(always)]
    fn unpack_into(place: &mut T, from: &mut Unpacker<'_>) {
        *place = Self::unpack(from);
    }
    fn skip(at: &mut At);
}

/// What is a number to who writes it down.
pub(crate) trait Number: Copy {
    /// Octets that it takes at most.
    const OCTETS: usize;
    /// Octets of the distance from another of its kind.
    const LIKE: usize = 8;
    fn number(self) -> u64;
    fn of(number: u64) -> Self;
    /// The one before of the same kind.
    #[inline(always)]
    fn last(at: &mut At) -> &mut u64 {
        &mut at.last_number
    }
}

/// What holds nothing while a connection rests.
pub(crate) trait Empty: Default {
    /// Becomes what it was at first, memory included.
    #[inline(always)]
    fn empty(&mut self) {
        *self = Self::default();
    }
}

/// Goes on behind a field of this kind.
#[inline(always)]
pub(crate) fn skip_field<K: Kind<T>, S, T>(_: fn(&S) -> &T, at: &mut At) {
    K::skip(at);
}

/// The kind of a field.
macro_rules! kind {
    () => {
        $crate::pack::Usual
    };
    ($kind:ty) => {
        $kind
    };
}

/// Writes a structure field by field, each in the way that is usual for its type or that stands behind it. After a semicolon
/// stand fields that hold nothing while a connection rests: they are not written, and read as their default.
macro_rules! packed {
    ($type:ty { $($field:ident $(: $kind:ty)?),+ $(,)? $(; $($empty:ident),+ $(,)?)? }) => {
        impl $crate::pack::Pack for $type {
            #[inline(always)]
            fn pack(&self, to: &mut $crate::pack::Packer<'_>) {
                let Self { $($field,)+ $($($empty: _,)+)? } = self;
                $(<$crate::pack::kind!($($kind)?) as $crate::pack::Kind<_>>::pack($field, to);)+
            }

            #[inline(always)]
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                $(let $field = <$crate::pack::kind!($($kind)?) as $crate::pack::Kind<_>>::unpack(from);)+
                Self { $($field,)+ $($($empty: Default::default(),)+)? }
            }

            #[inline(always)]
            fn unpack_into(&mut self, from: &mut $crate::pack::Unpacker<'_>) {
                let Self { $($field,)+ $($($empty,)+)? } = self;
                $(<$crate::pack::kind!($($kind)?) as $crate::pack::Kind<_>>::unpack_into($field, from);)+
                $($($crate::pack::Empty::empty($empty);)+)?
            }

            #[inline(always)]
            fn skip(at: &mut $crate::pack::At) {
                $($crate::pack::skip_field::<$crate::pack::kind!($($kind)?), Self, _>(|it| &it.$field, at);)+
            }
        }
    };
}

/// Writes a number, which is usually something, or with `rare` seldom.
macro_rules! packed_number {
    (rare $type:ty) => {
        $crate::pack::packed_number!($type, 0);
    };
    ($type:ty, $octets:literal) => {
        impl $crate::pack::Pack for $type {
            #[inline(always)]
            fn pack(&self, to: &mut $crate::pack::Packer<'_>) {
                <$crate::pack::In<$octets> as $crate::pack::Kind<_>>::pack(self, to);
            }

            #[inline(always)]
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                <$crate::pack::In<$octets> as $crate::pack::Kind<_>>::unpack(from)
            }

            #[inline(always)]
            fn skip(at: &mut $crate::pack::At) {
                <$crate::pack::In<$octets> as $crate::pack::Kind<Self>>::skip(at);
            }
        }
    };
}

/// Writes a choice as its number, which is seldom anything but zero.
macro_rules! packed_choice {
    ($type:ty { $($variant:ident),+ $(,)? }) => {
        impl $crate::pack::Number for $type {
            const OCTETS: usize = 1;

            #[inline(always)]
            fn number(self) -> u64 {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                let number = match self { $(Self::$variant => Self::$variant as u64),+ };
                debug_assert_eq!(ALL.get(usize::try_from(number).unwrap_or(0)), Some(&self));
                number
            }

            #[inline(always)]
            fn of(number: u64) -> Self {
                const ALL: &[$type] = &[$(<$type>::$variant),+];
                const FIRST: $type = {
                    let [first, ..] = [$(<$type>::$variant),+];
                    first
                };
                let number = usize::try_from(number).unwrap_or(0);
                ALL.get(number).copied().unwrap_or(FIRST)
            }
        }

        $crate::pack::packed_number!(rare $type);
    };
}

pub(crate) use {kind, packed, packed_choice, packed_number};

#[cfg(test)]
mod tests;
