//! IEEE 802.11 data frames, and the headers that capture programs put in front of them.

use super::link::{NoIp, skip};

/// The frame behind a radiotap header, and whether its header is padded to four bytes.
pub(super) fn radiotap(data: &[u8]) -> Result<(&[u8], bool), NoIp> {
    const TSFT: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const MORE: u32 = 1 << 31;
    const DATA_PAD: u8 = 0x20;
    // The words that say which fields there are; nobody has more than a few.
    const WORDS_MAX: usize = 16;
    let &[0, _, l0, l1, ..] = data else {
        return Err(if data.len() < 4 {
            NoIp::Short
        } else {
            NoIp::Other
        });
    };
    let len = usize::from(u16::from_le_bytes([l0, l1]));
    let frame = skip(data, len.max(8))?;
    let word = |at: usize| {
        let word = data.get(at..).and_then(<[u8]>::first_chunk).copied();
        word.map_or(0, u32::from_le_bytes)
    };
    let present = word(4);
    let mut at = 8;
    for _ in 0..WORDS_MAX {
        if word(at - 4) & MORE == 0 {
            break;
        }
        at += 4;
    }
    if present & TSFT != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if present & FLAGS != 0 && at < len {
        data.get(at).copied().unwrap_or(0)
    } else {
        0
    };
    Ok((frame, flags & DATA_PAD != 0))
}

/// The frame behind a Prism or AVS header: either has its length in the second word.
pub(super) fn prism(data: &[u8]) -> Result<&[u8], NoIp> {
    const AVS: [u8; 3] = [0x80, 0x21, 0x10];
    let (&[m0, m1, m2, _, l0, l1, l2, l3], _) = data.split_first_chunk().ok_or(NoIp::Short)?;
    let len = if [m0, m1, m2] == AVS {
        u32::from_be_bytes([l0, l1, l2, l3])
    } else {
        u32::from_le_bytes([l0, l1, l2, l3])
    };
    skip(data, usize::try_from(len).unwrap_or(usize::MAX).max(8))
}

/// The body of a data frame: what follows the MAC header (IEEE 802.11 §9.3.2).
pub(super) fn body(frame: &[u8], is_padded: bool) -> Result<&[u8], NoIp> {
    const DATA: u8 = 0b10;
    const NO_DATA: u8 = 0x40;
    const QOS: u8 = 0x80;
    const TO_AND_FROM_DS: u8 = 0b11;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const AGGREGATE: u8 = 0x80;
    let &[kind, flags, ..] = frame else {
        return Err(NoIp::Short);
    };
    if kind >> 2 & 0b11 != DATA || kind & NO_DATA != 0 {
        return Err(NoIp::Other);
    }
    if flags & PROTECTED != 0 {
        return Err(NoIp::Encrypted);
    }
    let mut len = 24;
    if flags & TO_AND_FROM_DS == TO_AND_FROM_DS {
        len += 6;
    }
    if kind & QOS != 0 {
        // Several packets in one frame: the first would be found, the others lost in silence.
        if frame.get(len).copied().unwrap_or(0) & AGGREGATE != 0 {
            return Err(NoIp::Other);
        }
        len += 2;
        if flags & ORDER != 0 {
            len += 4;
        }
    }
    if is_padded {
        len = len.next_multiple_of(4);
    }
    skip(frame, len)
}
