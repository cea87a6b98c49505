//! What the frames of a connection leave to be answered by its end.
//!
//! With `n` different questions about the connection, a frame's own fields turn the filter into a
//! function of `n` yes-or-no answers. Its table has `2^n` bits, is worked out for all of them at
//! once, and two frames' tables are joined with "or", since one frame that fits is enough. So the
//! memory for a connection does not depend on how many frames it has, and nothing is approximate.

/// Different questions about connections in one filter.
pub(super) const QUESTIONS_MAX: usize = 8;
const WORDS: usize = (1 << QUESTIONS_MAX) / 64;

/// For which answers about its connection a frame fits, or one of several frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits([u64; WORDS]);

impl Hits {
    pub(super) const NEVER: Self = Self([0; WORDS]);
    pub(super) const ALWAYS: Self = Self([u64::MAX; WORDS]);

    /// Fits exactly where question `n` is answered with yes.
    pub(super) const fn question(n: usize) -> Self {
        /// Bit `i` is set where bit `n` of `i` is.
        const WITHIN: [u64; 6] = [
            0xaaaa_aaaa_aaaa_aaaa,
            0xcccc_cccc_cccc_cccc,
            0xf0f0_f0f0_f0f0_f0f0,
            0xff00_ff00_ff00_ff00,
            0xffff_0000_ffff_0000,
            0xffff_ffff_0000_0000,
        ];
        match n {
            0 => Self([WITHIN[0]; WORDS]),
            1 => Self([WITHIN[1]; WORDS]),
            2 => Self([WITHIN[2]; WORDS]),
            3 => Self([WITHIN[3]; WORDS]),
            4 => Self([WITHIN[4]; WORDS]),
            5 => Self([WITHIN[5]; WORDS]),
            6 => Self([0, u64::MAX, 0, u64::MAX]),
            _ => Self([0, 0, u64::MAX, u64::MAX]),
        }
    }

    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        for (word, other) in words.iter_mut().zip(other.0) {
            *word = with(*word, other);
        }
        Self(words)
    }

    pub(super) fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    pub(super) fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    pub(super) fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Whether it fits where these are the answers: bit `n` for question `n`.
    pub(super) fn fits(self, answers: u8) -> bool {
        let word = self.0.get(usize::from(answers / 64)).copied();
        word.is_some_and(|word| word >> (answers % 64) & 1 == 1)
    }

    /// Takes in what another frame of the connection leaves open.
    pub fn add(&mut self, other: Self) {
        *self = self.or(other);
    }

    /// Whether it does not depend on the answers any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self == Self::NEVER || *self == Self::ALWAYS
    }

    /// Whether it fits whatever the answers are; further frames change nothing.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::ALWAYS
    }

    /// Whether no answer would make it fit.
    #[must_use]
    pub fn is_never(&self) -> bool {
        *self == Self::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_fit_where_their_bit_is_set() {
        for n in 0..QUESTIONS_MAX {
            for answers in 0..=u8::MAX {
                assert_eq!(Hits::question(n).fits(answers), answers >> n & 1 == 1);
            }
        }
        assert_eq!(Hits::NEVER.not(), Hits::ALWAYS);
    }
}
