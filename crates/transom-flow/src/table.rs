//! The connections that are followed, found by their sockets or by the slot that holds them.
//!
//! Invariants
//! - A pair of sockets leads to one slot, and the slot's connection is the one of that pair.
//! - Look-up, insertion and removal take constant time, however many connections there are.

use crate::connection::Connection;
use crate::model::End;
use crate::past::Followed;
use core::hash::BuildHasher;
use core::hint::black_box;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};

/// The two sockets of a connection as numbers, the lower one first: the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair([u64; 5]);

/// The bit of the last word that tells IPv6 from IPv4, so that a mapped address is not the other's.
const IS_IPV6: u64 = 1 << 32;

impl Pair {
    #[inline]
    pub(crate) fn new(a: SocketAddr, b: SocketAddr) -> Self {
        let ports = |low: SocketAddr, high: SocketAddr| {
            u64::from(low.port()) << 16 | u64::from(high.port())
        };
        match (a, b) {
            (SocketAddr::V4(x), SocketAddr::V4(y)) => {
                let [x, y] = [x, y].map(|addr| u64::from(addr.ip().to_bits()));
                let in_order = (x, a.port()) <= (y, b.port());
                let ((low, high), ports) = if in_order {
                    ((x, y), ports(a, b))
                } else {
                    ((y, x), ports(b, a))
                };
                Self([low, high, 0, 0, ports])
            }
            _ => {
                let bits = |addr: SocketAddr| match addr.ip() {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
                    IpAddr::V6(ip) => ip.to_bits(),
                };
                let (x, y) = (bits(a), bits(b));
                let in_order = (x, a.port()) <= (y, b.port());
                let ((low, high), ports) = if in_order {
                    ((x, y), ports(a, b))
                } else {
                    ((y, x), ports(b, a))
                };
                #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                let halves = |n: u128| [(n >> 64) as u64, n as u64];
                let ([a, b], [c, d]) = (halves(low), halves(high));
                Self([a, b, c, d, ports | IS_IPV6])
            }
        }
    }

    /// The sockets of a connection.
    pub(crate) fn of(connection: &Followed) -> Self {
        Self::new(connection.addr(End::Client), connection.addr(End::Server))
    }

    /// Equality without a call, as it is asked for every frame.
    #[inline]
    fn is(&self, other: &Self) -> bool {
        let ([a, b, c, d, e], [v, w, x, y, z]) = (self.0, other.0);
        (a ^ v) | (b ^ w) | (c ^ x) | (d ^ y) | (e ^ z) == 0
    }

    /// A hash that whoever makes a capture cannot foresee while `key` is secret: multiplications whose
    /// two halves are folded, as it is computed for every frame.
    pub(crate) fn hash(&self, key: HashKey) -> u64 {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            let halves = ((product >> 64) as u64, product as u64);
            halves.0 ^ halves.1
        };
        let [a, b, c, d, ports] = self.0;
        let HashKey([k0, k1, k2]) = key;
        let mut hash = fold(a ^ k0, b ^ k1);
        if ports & IS_IPV6 != 0 {
            hash = fold(hash ^ c, d ^ k2);
        }
        fold(hash ^ ports, k2 ^ k0.rotate_left(17))
    }
}

/// What makes the hash of a table its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashKey([u64; 3]);

impl HashKey {
    /// A key by chance.
    pub(crate) fn random() -> Self {
        let state = RandomState::new();
        // An odd multiplier loses nothing.
        Self([0u8, 1, 2].map(|n| state.hash_one(n) | 1))
    }

    /// The key that spreads connections over workers: the same in each run, so that the outcome is.
    pub(crate) const FIXED: Self = Self([
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
    ]);
}

/// Where a connection is found: small, as places are read at random. Its sockets stand with the connection.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Half of the hash of the sockets.
    hash: u32,
    slot: u32,
}

impl Place {
    const fn new(hash: u64, slot: u32) -> Self {
        Self {
            hash: (hash >> 32) as u32,
            slot,
        }
    }

    /// The hash by which the place is found.
    fn spread(&self) -> u64 {
        let hash = u64::from(self.hash);
        hash << 32 | hash
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Table {
    key: HashKey,
    places: HashTable<Place>,
    slots: Vec<Option<Followed>>,
    free: Vec<u32>,
    /// Slots with the numbers of their connections, in the order of numbers; those that were removed
    /// since stay in it for a while.
    order: VecDeque<(u64, u32)>,
    /// Where the next frame's connection is looked for first: where the last one's was, as frames of one
    /// connection often follow each other.
    expected: u32,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            key: HashKey::random(),
            places: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            expected: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slot of the connection between two sockets.
    #[inline]
    pub(crate) fn find(&self, pair: &Pair) -> Option<u32> {
        let wanted = Place::new(pair.hash(self.key), 0);
        let is_it = |place: &Place| {
            let connection = self.get(place.slot);
            place.hash == wanted.hash && connection.is_some_and(|c| Pair::of(c).is(pair))
        };
        let place = self.places.find(wanted.spread(), is_it);
        place.map(|place| place.slot)
    }

    /// The same, for one frame after the other.
    pub(crate) fn find_next(&mut self, src: &SocketAddr, dst: &SocketAddr) -> Option<u32> {
        let expected = self.get(self.expected);
        if expected.is_some_and(|connection| connection.joins(src, dst)) {
            return Some(self.expected);
        }
        self.expected = self.find(&Pair::new(*src, *dst))?;
        Some(self.expected)
    }

    /// Looks for the next frame's connection in this slot first.
    pub(crate) const fn look_first_in(&mut self, slot: u32) {
        self.expected = slot;
    }

    /// Reads what following frames between these sockets will need, and adds the slots in which that is. If one
    /// frame were followed after the other, each would wait for memory several times; here the waits overlap.
    pub(crate) fn warm(&self, pairs: impl Iterator<Item = Pair>, slots: &mut Vec<u32>) {
        slots.extend(pairs.map(|pair| {
            let wanted = Place::new(pair.hash(self.key), 0);
            let found = self
                .places
                .find(wanted.spread(), |place| place.hash == wanted.hash);
            found.map_or(0, |place| place.slot)
        }));
        let followed = slots.iter().filter_map(|slot| self.get(*slot));
        black_box(followed.map(Followed::read).fold(0, u64::wrapping_add));
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Followed> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Followed> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The connection in a slot, if there is more than a record of it.
    pub(crate) fn whole(&self, slot: u32) -> Option<&Connection> {
        self.get(slot)?.whole()
    }

    /// Adds a connection between two sockets, of which none may be in the table.
    pub(crate) fn insert(&mut self, connection: Followed) -> Option<u32> {
        let number = connection.number();
        let pair = Pair::of(&connection);
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.slots.get_mut(slot as usize)? = Some(connection);
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Some(connection));
                slot
            }
        };
        let place = Place::new(pair.hash(self.key), slot);
        self.places
            .insert_unique(place.spread(), place, Place::spread);
        if self.order.len() > 2 * self.len() + 64 {
            let slots = &self.slots;
            self.order.retain(|&(number, slot)| {
                matches!(slots.get(slot as usize), Some(Some(c)) if c.number() == number)
            });
        }
        self.order.push_back((number, slot));
        Some(slot)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Followed> {
        let connection = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        let wanted = Place::new(Pair::of(&connection).hash(self.key), slot);
        let is_it = |place: &Place| place.slot == slot;
        if let Ok(place) = self.places.find_entry(wanted.spread(), is_it) {
            place.remove();
        }
        Some(connection)
    }

    /// The slot of the connection that is followed for the longest time.
    pub(crate) fn longest(&mut self) -> Option<u32> {
        while let Some(&(number, slot)) = self.order.front() {
            if self.get(slot).is_some_and(|c| c.number() == number) {
                return Some(slot);
            }
            self.order.pop_front();
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Followed> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Followed> {
        self.slots.iter_mut().flatten()
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Followed> {
        self.places.clear();
        self.free.clear();
        self.order.clear();
        core::mem::take(&mut self.slots).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_directions_are_one_pair_and_nothing_else_is() {
        let sockets = [
            "10.0.0.1:80",
            "10.0.0.1:81",
            "10.0.0.2:80",
            "[::1]:80",
            "[::ffff:10.0.0.1]:80",
            "[fe80::1:0:0:1]:80",
            "[fe80::1]:80",
        ]
        .map(addr);
        let key = HashKey::random();
        let mut seen = Vec::new();
        for (at, a) in sockets.iter().enumerate() {
            let is_same_family = |b: &&SocketAddr| a.is_ipv4() == b.is_ipv4();
            for b in sockets.iter().skip(at).filter(is_same_family) {
                let pair = Pair::new(*a, *b);
                assert_eq!(pair, Pair::new(*b, *a));
                assert!(!seen.contains(&pair), "{a} {b}");
                let hash = |pair: &Pair| pair.hash(key);
                assert!(seen.iter().all(|other| hash(other) != hash(&pair)));
                seen.push(pair);
            }
        }
    }

    #[test]
    fn the_hash_spreads_neighbouring_sockets() {
        let key = HashKey::random();
        let mut buckets = [0u32; 64];
        for port in 0..6400u16 {
            let pair = Pair::new(
                SocketAddr::from(([10, 0, 0, 1], 1024 + port)),
                addr("10.0.0.2:80"),
            );
            let bucket = buckets.get_mut((pair.hash(key) % 64) as usize);
            *bucket.unwrap() += 1;
        }
        assert!(buckets.iter().all(|n| (40..200).contains(n)), "{buckets:?}");
    }
}
