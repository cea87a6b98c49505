//! The pseudo-random source of the simulation.

/// A SplitMix64 generator: 64 bits of state, every seed valid, period 2^64.
///
/// Chosen because it is a dozen lines, gives the same numbers on every machine, and streams of
/// different seeds are independent enough for drawing losses. It is *not* fit for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator that begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator for one purpose of several that share a seed. Separate streams keep the losses
    /// of a run in place when, say, jitter is switched on.
    #[must_use]
    pub fn stream(seed: u64, purpose: u64) -> Self {
        let mut mixer = Self::new(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self::new(mixer.next_u64())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// So many octets.
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        for part in octets.chunks_mut(8) {
            part.copy_from_slice(&self.next_u64().to_be_bytes()[..part.len()]);
        }
        octets
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below 2^-32 for any `bound` that
    /// fits 32 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 64x64 product maps the range without a division.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The numbers that everyone's SplitMix64 gives for seed 0.
    #[test]
    fn known_sequence() {
        let mut random = Random::new(0);
        assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next_u64(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(random.next_u64(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| random.below(7)).collect();
        assert!(drawn.iter().all(|&n| n < 7));
        assert!((0..7).all(|n| drawn.contains(&n)));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let mut one = Random::stream(7, 1);
        let mut two = Random::stream(7, 2);
        assert_ne!(one.next_u64(), two.next_u64());
    }
}
