//! The Internet checksum: RFC 1071 (computing), RFC 1624 (updating).
//!
//! Invariants
//! - The sum does not depend on how the bytes are cut into calls: odd pieces are allowed anywhere.
//! - Bytes are added as native words and put in network order once per call; the one's-complement sum
//!   allows this because swapping the bytes of every word swaps the bytes of the sum.

use core::net::IpAddr;

/// Up to so many bytes are added where the sum is needed, without a call.
const FEW: usize = 40;

/// A running one's-complement sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Sum of the big-endian 16-bit words so far, not folded.
    acc: u64,
    /// Whether an odd number of bytes has been added, so that the next byte is a low one.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self { acc: 0, odd: false };

    /// The sum of nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::ZERO
    }

    /// Adds bytes that follow those already added.
    #[inline]
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let sum = if bytes.len() <= FEW {
            sum_of_few(bytes)
        } else {
            sum_of_many(bytes)
        };
        self.combine(Self::of_native(sum, bytes.len()));
    }

    /// From the sum of `len` bytes that were read as words of the machine's byte order, two or more bytes wide, the
    /// last one filled up with zeros. For who adds them up by other means.
    #[inline]
    #[must_use]
    pub const fn of_native(sum: u64, len: usize) -> Self {
        Self {
            acc: u16::from_be(fold(sum)) as u64,
            odd: len % 2 == 1,
        }
    }

    /// Whether a sum as [`of_native`](Self::of_native) takes it, over bytes that include their own checksum, is right.
    #[inline]
    pub(crate) const fn is_native_valid(sum: u64) -> bool {
        // All ones are the same in either byte order.
        fold(sum) == 0xffff
    }

    /// Adds data that follows the bytes already added.
    #[inline]
    pub fn add_payload(&mut self, payload: &crate::frame::Payload) {
        for chunk in payload.chunks() {
            self.add_bytes(chunk);
        }
    }

    /// Adds one 16-bit field.
    #[inline]
    pub fn add_u16(&mut self, word: u16) {
        self.add_folded(word, false);
    }

    /// Adds one 32-bit field.
    #[inline]
    pub fn add_u32(&mut self, word: u32) {
        if self.odd {
            self.add_folded(fold(u64::from(word)), false);
        } else {
            // Its two halves are added when the sum is folded.
            self.acc = self.acc.wrapping_add(u64::from(word));
        }
    }

    /// Adds a sum over the bytes that follow those already added.
    #[inline]
    pub fn combine(&mut self, next: Self) {
        self.add_folded(fold(next.acc), next.odd);
    }

    #[inline]
    fn add_folded(&mut self, word: u16, odd: bool) {
        let word = if self.odd { word.swap_bytes() } else { word };
        self.acc = self.acc.wrapping_add(u64::from(word));
        self.odd ^= odd;
    }

    /// The checksum to put on the wire.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !fold(self.acc)
    }

    /// The folded sum without the final complement: what a device that completes a partial checksum
    /// expects in the checksum field.
    #[inline]
    #[must_use]
    pub const fn partial(self) -> u16 {
        fold(self.acc)
    }

    /// Whether a sum over bytes that include their own checksum is right.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        fold(self.acc) == 0xffff
    }
}

/// Folds to 16 bits with end-around carry.
#[inline]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "after a 33-bit value is folded twice by 16 bits, at most one carry is left and added here"
    )]
    let sum = ((sum >> 16) + (sum & 0xffff)) as u16;
    sum
}

/// Sum of the bytes read as native-endian words.
#[inline(never)]
fn sum_of_many(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<16>();
    // Two sums of 128 bits, side by side: two instructions for eight bytes, and no carry is lost.
    let mut sums = [0_u128; 2];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u128::from(u64::from_ne_bytes(*word)));
        }
    }
    let sum = sums.iter().fold(0, |sum, more| sum + fold_wide(*more));
    sum + sum_of_few(rest)
}

/// Folds to 34 bits with end-around carry.
#[inline]
const fn fold_wide(sum: u128) -> u64 {
    const LOW: u128 = 0xffff_ffff;
    let sum = (sum & LOW) + (sum >> 32 & LOW) + (sum >> 64 & LOW) + (sum >> 96);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the sum of four numbers of 32 bits"
    )]
    let sum = sum as u64;
    sum
}

/// The same for a few bytes.
#[inline]
fn sum_of_few(bytes: &[u8]) -> u64 {
    let mut sum = 0u64;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
    }
    let (pair, last) = rest.as_chunks::<2>();
    if let [pair] = pair {
        sum = sum.wrapping_add(u64::from(u16::from_ne_bytes(*pair)));
    }
    if let [last] = last {
        sum = sum.wrapping_add(u64::from(u16::from_ne_bytes([*last, 0])));
    }
    sum
}

/// Copies as much of `data` as fits into `out`, and adds up what it copies.
///
/// A device may have one for the machine's vector instructions, which needs one pass through memory in place of two.
#[must_use]
pub fn copy(out: &mut [u8], data: &[u8]) -> Sum {
    let len = out.len().min(data.len());
    let mut sum = Sum::ZERO;
    if let (Some(out), Some(data)) = (out.get_mut(..len), data.get(..len)) {
        out.copy_from_slice(data);
        sum.add_bytes(data);
    }
    sum
}

/// The checksum over bytes whose checksum field is zero.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = Sum::ZERO;
    sum.add_bytes(bytes);
    sum.finish()
}

/// The sum of the pseudo-header of TCP, UDP and ICMPv6.
///
/// `dst` is the final destination and `protocol` the upper layer's, also where IPv6 extension headers
/// stand between (RFC 8200 §8.1). `len` is the length of the upper layer's header and data in bytes.
#[inline]
#[must_use]
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: u32) -> Sum {
    let mut sum = Sum::ZERO;
    for addr in [src, dst] {
        match addr {
            IpAddr::V4(addr) => sum.add_u32(u32::from(addr)),
            IpAddr::V6(addr) => sum.add_bytes(&addr.octets()),
        }
    }
    sum.add_u32(len);
    sum.add_u16(u16::from(protocol));
    sum
}

/// The checksum after a 16-bit field it covers changed from `old` to `new`.
#[inline]
#[must_use]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    // RFC 1624 §3 eqn. 3: HC' = ~(~HC + ~m + m'). The order of complements matters: eqn. 2 of
    // RFC 1141 gives 0x0000 where 0xffff is right.
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// The checksum after a 32-bit field it covers changed from `old` to `new`.
#[inline]
#[must_use]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}
