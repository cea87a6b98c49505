//! What is seldom anything but zero, and how it is kept where it is.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Octets of what is seldom anything but zero, at most.
pub(crate) const SELDOM: usize = 1024;
const WORDS: usize = SELDOM / 8;

/// What is seldom anything but zero.
pub(crate) type Seldom = [u8; SELDOM];

/// The words that are not zero, behind two that say which those are.
#[inline(never)]
pub(super) fn squeeze(seldom: &Seldom) -> Box<[u64]> {
    let mut kept = Vec::with_capacity(32);
    kept.extend([0, 0]);
    for (half, words) in seldom.chunks_exact(SELDOM / 2).enumerate() {
        let mut mask = 0;
        for (index, word) in words.as_chunks().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            if word != 0 {
                mask |= 1 << index;
                kept.push(word);
            }
        }
        if let Some(place) = kept.get_mut(half) {
            *place = mask;
        }
    }
    Box::from(kept.as_slice())
}

/// The reverse of [`squeeze`].
#[inline(never)]
pub(crate) fn stretch(kept: &[u64]) -> Seldom {
    let mut seldom = [0; SELDOM];
    let (words, _) = seldom.as_chunks_mut();
    let Some((masks, mut kept)) = kept.split_first_chunk::<2>() else {
        return seldom;
    };
    for (half, mut mask) in masks.iter().copied().enumerate() {
        while mask != 0 {
            let index = half * (WORDS / 2) + mask.trailing_zeros() as usize;
            mask &= mask - 1;
            if let Some((word, rest)) = kept.split_first()
                && let Some(place) = words.get_mut(index)
            {
                *place = word.to_le_bytes();
                kept = rest;
            }
        }
    }
    seldom
}

/// What is seldom, where nothing of it is anything but zero.
pub(crate) const NOTHING: Seldom = [0; SELDOM];
