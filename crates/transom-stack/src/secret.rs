//! Keys derived from the one secret of a stack, and the keyed functions that use them.
//!
//! Everything that has to be unguessable (initial sequence numbers, ports, hash-table order, timestamp
//! offsets, IP identifications) is a keyed function of public values, so a stack that is given the
//! same secret and the same input behaves the same.

use core::fmt;
use core::hash::{BuildHasher, Hasher};

use siphasher::sip::{SipHasher13, SipHasher24};

/// What a key is used for. Two purposes never share a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Demux = 1,
    InitialSequence,
    TimestampOffset,
    PortOffset,
    PortTable,
    Identification,
    FlowLabel,
    Random,
    RateLimit,
    Cookie,
    CookieSlot,
    FastOpen,
    Division,
}

/// A 128-bit SipHash key.
#[derive(Clone, Copy)]
pub(crate) struct Key(u64, u64);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys never appear in logs.
        f.write_str("Key(..)")
    }
}

impl Key {
    /// Derives the key for one purpose from the secret of the stack.
    pub(crate) fn derive(secret: &[u8; 32], purpose: Purpose) -> Self {
        let (low, high) = secret.split_at(16);
        let half = |index: u8| {
            let mut hasher = SipHasher24::new_with_keys(word(low, 0), word(low, 8));
            hasher.write(high);
            hasher.write(&[purpose as u8, index]);
            hasher.finish()
        };
        Self(half(0), half(1))
    }

    /// A key that is given.
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(bytes);
        Self(key as u64, (key >> 64) as u64)
    }

    /// Another key for each `label`.
    pub(crate) fn child(&self, label: &[u8]) -> Self {
        Self(self.mac_of(label, &[0]), self.mac_of(label, &[1]))
    }

    /// SipHash-2-4 of `bytes`: for values that are visible on the wire.
    pub(crate) fn mac(&self, bytes: &[u8]) -> u64 {
        SipHasher24::new_with_keys(self.0, self.1).hash(bytes)
    }

    /// SipHash-2-4 of `head` followed by `tail`.
    pub(crate) fn mac_of(&self, head: &[u8], tail: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        hasher.write(head);
        hasher.write(tail);
        hasher.finish()
    }

    /// SipHash-1-3 of `bytes`: for hash tables, whose values nobody sees.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(bytes)
    }
}

impl BuildHasher for Key {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A hash map whose order an attacker cannot choose, and a test can repeat.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, Key>;

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|slice| slice.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// Random numbers of a stack: SipHash of a counter under a derived key.
#[derive(Debug)]
pub(crate) struct Random {
    key: Key,
    counter: u64,
}

impl Random {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: Key::derive(secret, Purpose::Random),
            counter: 0,
        }
    }

    /// Goes on in a part of the sequence that has this number.
    pub(crate) fn branch(&mut self, part: u32) {
        self.counter = u64::from(part) << 32;
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.key.mac(&self.counter.to_le_bytes())
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let product = (self.next_u64() & 0xffff_ffff) * u64::from(bound);
        (product >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_sec_mem_1_keys_do_not_show_in_debug_output() {
        let key = Key::derive(&[7; 32], Purpose::Demux);
        assert_eq!(format!("{key:?}"), "Key(..)");
    }

    #[test]
    fn purposes_have_different_keys() {
        let secret = [3; 32];
        let one = Key::derive(&secret, Purpose::Demux).mac(b"x");
        let two = Key::derive(&secret, Purpose::PortOffset).mac(b"x");
        assert_ne!(one, two);
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::new(&[1; 32]);
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }
}
