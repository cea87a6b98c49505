//! Tables of sockets, by what names them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// A table that is asked several times for each connection.
pub(crate) type Table<K, V> = HashMap<K, V, Secret>;

/// A set of that kind.
pub(crate) type Set<K> = HashSet<K, Secret>;

/// Makes hashes that the program, which chooses ports and descriptors, cannot foresee.
#[derive(Clone, Debug)]
pub(crate) struct Secret(u64);

impl Default for Secret {
    fn default() -> Self {
        static SECRET: OnceLock<u64> = OnceLock::new();
        Self(*SECRET.get_or_init(|| RandomState::new().hash_one(0)))
    }
}

impl BuildHasher for Secret {
    type Hasher = Spread;

    fn build_hasher(&self) -> Spread {
        Spread(self.0)
    }
}

/// Multiplies for each word, and folds the product.
#[derive(Clone, Debug)]
pub(crate) struct Spread(u64);

/// Odd, and without a pattern: the golden ratio's digits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Spread {
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        let [low, high] = [product, product >> 64].map(|half| half as u64);
        // Turned, so that a word of zeros and the same words in another order are told apart.
        self.0 = (low ^ high).rotate_left(23).wrapping_add(FACTOR);
    }
}

impl Hasher for Spread {
    #[inline]
    fn finish(&self) -> u64 {
        // A table looks at the lowest and at the highest bits.
        let last = u128::from(self.0) * u128::from(FACTOR);
        (last as u64) ^ ((last >> 64) as u64)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            if let Some(place) = word.get_mut(..piece.len()) {
                place.copy_from_slice(piece);
            }
            self.add(u64::from_ne_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn sockets_that_differ_little_lie_far_apart() {
        let secret = Secret::default();
        let peer = SocketAddr::from(([10, 0, 2, 2], 80));
        let hash = |port: u16| secret.hash_one((SocketAddr::from(([10, 0, 2, 100], port)), peer));
        let hashes: Vec<u64> = (1..=u16::MAX).map(hash).collect();
        for shift in [0, 57 - 12] {
            // As full as 65,535 in 4,096 places are by chance, within five standard deviations.
            let mut places = vec![0; 4096];
            for hash in &hashes {
                places[(hash >> shift) as usize % 4096] += 1;
            }
            let (least, most) = (places.iter().min(), places.iter().max());
            assert!(least >= Some(&1) && most <= Some(&40), "{least:?} {most:?}");
        }
        let ends = (SocketAddr::from(([10, 0, 2, 100], 80)), peer);
        let turned = (ends.1, ends.0);
        assert_ne!(secret.hash_one(ends), secret.hash_one(turned));
    }
}
