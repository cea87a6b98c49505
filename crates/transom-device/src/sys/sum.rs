//! Checksums by the vector instructions that the machine has.

use transom_wire::checksum::{self, Sum};

/// Copies as much of `data` as fits into `out`, and adds up what it copies, in one pass where the machine can.
#[inline]
pub(crate) fn copy(out: &mut [u8], data: &[u8]) -> Sum {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has what the function is compiled for.
        return unsafe { avx2::copy(out, data) };
    }
    checksum::copy(out, data)
}

/// Adds up.
#[inline]
pub(crate) fn sum(data: &[u8]) -> Sum {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has what the function is compiled for.
        return unsafe { avx2::sum(data) };
    }
    let mut sum = Sum::ZERO;
    sum.add_bytes(data);
    sum
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_set1_epi64x,
        _mm256_setzero_si256, _mm256_srli_epi64, _mm256_storeu_si256,
    };

    use transom_wire::checksum::Sum;

    /// Bytes of a register.
    const WIDTH: usize = 32;

    /// The low and the high halves of 64-bit words, added apart, so that no carry is lost: a lane overflows only after
    /// 2^32 words.
    struct Lanes {
        low: __m256i,
        high: __m256i,
    }

    impl Lanes {
        #[target_feature(enable = "avx2")]
        fn new() -> Self {
            let zero = _mm256_setzero_si256();
            Self {
                low: zero,
                high: zero,
            }
        }

        #[target_feature(enable = "avx2")]
        fn add(&mut self, words: __m256i) {
            let mask = _mm256_set1_epi64x(0xffff_ffff);
            self.low = _mm256_add_epi64(self.low, _mm256_and_si256(words, mask));
            self.high = _mm256_add_epi64(self.high, _mm256_srli_epi64::<32>(words));
        }

        #[target_feature(enable = "avx2")]
        fn finish(self) -> u64 {
            let mut lanes = [0_u64; 4];
            let both = _mm256_add_epi64(self.low, self.high);
            // SAFETY: the array is as large as the register, and unaligned stores are meant.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), both) };
            lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn copy(out: &mut [u8], data: &[u8]) -> Sum {
        let len = out.len().min(data.len());
        let (out, data) = (&mut out[..len], &data[..len]);
        let (places, out_rest) = out.as_chunks_mut::<WIDTH>();
        let (blocks, rest) = data.as_chunks::<WIDTH>();
        let (pairs_of_places, last_place) = places.as_chunks_mut::<2>();
        let (pairs_of_blocks, last_block) = blocks.as_chunks::<2>();
        let mut lanes = Lanes::new();
        for ([place, next_place], [block, next]) in pairs_of_places.iter_mut().zip(pairs_of_blocks)
        {
            lanes.add(copy_block(place, block));
            lanes.add(copy_block(next_place, next));
        }
        for (place, block) in last_place.iter_mut().zip(last_block) {
            lanes.add(copy_block(place, block));
        }
        out_rest.copy_from_slice(rest);
        lanes.add(padded(rest));
        Sum::of_native(lanes.finish(), len)
    }

    #[target_feature(enable = "avx2")]
    fn copy_block(place: &mut [u8; WIDTH], block: &[u8; WIDTH]) -> __m256i {
        let words = load(block);
        // SAFETY: the place is as large as the register, and unaligned stores are meant.
        unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), words) };
        words
    }

    #[target_feature(enable = "avx2")]
    fn load(block: &[u8; WIDTH]) -> __m256i {
        // SAFETY: the block is as large as the register, and unaligned loads are meant.
        unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum(data: &[u8]) -> Sum {
        let (blocks, rest) = data.as_chunks::<WIDTH>();
        let mut lanes = Lanes::new();
        for block in blocks {
            lanes.add(load(block));
        }
        lanes.add(padded(rest));
        Sum::of_native(lanes.finish(), data.len())
    }

    /// What is shorter than a register, filled up with zeros.
    #[target_feature(enable = "avx2")]
    fn padded(rest: &[u8]) -> __m256i {
        let mut block = [0; WIDTH];
        let (start, _) = block.split_at_mut(rest.len());
        start.copy_from_slice(rest);
        load(&block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_instruction_adds_up_to_the_same() {
        let data: Vec<u8> = (0..2000_u32).map(|n| (n * 37 + n / 256) as u8).collect();
        for data in [data, vec![0xff; 70_000]] {
            for len in (0..200).chain([1447, 1448, 2000, data.len()]) {
                for from in [0, 1, 7] {
                    let data = &data[from.min(len)..len];
                    let mut expected = Sum::ZERO;
                    data.chunks(2).for_each(|pair| {
                        let low = pair.get(1).copied().unwrap_or(0);
                        expected.add_u16(u16::from_be_bytes([pair[0], low]));
                    });
                    let mut copied = vec![0; data.len()];
                    let mut portable = Sum::ZERO;
                    portable.add_bytes(data);
                    let sums = [copy(&mut copied, data), sum(data), portable];
                    assert_eq!(copied, data);
                    for sum in sums {
                        assert_eq!(sum.finish(), expected.finish(), "{len} from {from}");
                    }
                }
            }
        }
    }
}
