//! TCP options: RFC 9293 §3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK), RFC 9768 (accurate ECN).
//!
//! Invariants
//! - Reading never fails: what is well-formed before the first fault is kept, the rest counts as absent.
//! - What is written is at most 40 bytes, a multiple of 4, and has zeros nowhere but after an EOL.

use super::accecn::{KIND_0, KIND_1};
use super::fast_open::EXPERIMENT;
use super::{AccEcn, FastOpen, MAX_OPTIONS_LEN, SackBlocks};
use crate::seq::{Seq, SeqRange};

/// Option kinds, as assigned by IANA.
mod kind {
    pub(super) const EOL: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const USER_TIMEOUT: u8 = 28;
    pub(super) const FAST_OPEN: u8 = 34;
    pub(super) const EXPERIMENT: u8 = 254;
}

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub val: u32,
    /// TSecr: the value echoed; counts only with ACK.
    pub ecr: u32,
}

impl Timestamps {
    /// The option behind two NOPs, as RFC 7323 appendix A has it.
    #[inline]
    pub(super) const fn aligned(self) -> [u8; Options::TIMESTAMPS_LEN] {
        let [a, b, c, d] = self.val.to_be_bytes();
        let [e, f, g, h] = self.ecr.to_be_bytes();
        let (nop, kind) = (kind::NOP, kind::TIMESTAMPS);
        [nop, nop, kind, 10, a, b, c, d, e, f, g, h]
    }
}

/// Why reading options stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptionsFault {
    /// An option's length is 0 or 1, which cannot hold its own kind and length.
    LengthTooSmall {
        /// The option's kind.
        kind: u8,
        /// Offset in bytes from the first option.
        at: usize,
    },
    /// An option runs past the end of the header.
    LengthTooLarge {
        /// The option's kind.
        kind: u8,
        /// Offset in bytes from the first option.
        at: usize,
    },
    /// The last byte is a kind that needs a length.
    LengthMissing {
        /// The option's kind.
        kind: u8,
        /// Offset in bytes from the first option.
        at: usize,
    },
}

/// One option as it stands in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpOption<'a> {
    /// End of option list.
    EndOfList,
    /// No operation.
    Nop,
    /// Maximum segment size in bytes.
    Mss(u16),
    /// Window scale: the shift, as sent (RFC 7323 limits it to 14 on use).
    WindowScale(u8),
    /// SACK permitted.
    SackPermitted,
    /// SACK blocks.
    Sack(SackBlocks),
    /// Timestamps.
    Timestamps(Timestamps),
    /// User timeout (RFC 5482): granularity bit and value as sent.
    UserTimeout(u16),
    /// TCP Fast Open (RFC 7413): the cookie, empty in a request.
    FastOpen(&'a [u8]),
    /// Accurate ECN (RFC 9768), of either order.
    AccEcn(AccEcn),
    /// Anything else, also a known kind with a length it never has.
    Other {
        /// The kind.
        kind: u8,
        /// The bytes after kind and length.
        data: &'a [u8],
    },
}

impl<'a> TcpOption<'a> {
    fn read(kind: u8, data: &'a [u8]) -> Self {
        match (kind, data) {
            (kind::MSS, &[a, b]) => Self::Mss(u16::from_be_bytes([a, b])),
            (kind::WINDOW_SCALE, &[shift]) => Self::WindowScale(shift),
            (kind::SACK_PERMITTED, []) => Self::SackPermitted,
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => Self::Timestamps(Timestamps {
                val: u32::from_be_bytes([a, b, c, d]),
                ecr: u32::from_be_bytes([e, f, g, h]),
            }),
            (kind::SACK, _) => match data.as_chunks::<8>() {
                (blocks @ [_, ..], []) => {
                    Self::Sack(blocks.iter().map(|block| read_block(*block)).collect())
                }
                _ => Self::Other { kind, data },
            },
            (kind::USER_TIMEOUT, &[a, b]) => Self::UserTimeout(u16::from_be_bytes([a, b])),
            (kind::FAST_OPEN, _) => Self::FastOpen(data),
            (KIND_0 | KIND_1, _) => Self::AccEcn(AccEcn::read(kind, data)),
            _ => Self::Other { kind, data },
        }
    }
}

#[inline]
fn read_block([a, b, c, d, e, f, g, h]: [u8; 8]) -> SeqRange {
    SeqRange {
        start: Seq::new(u32::from_be_bytes([a, b, c, d])),
        end: Seq::new(u32::from_be_bytes([e, f, g, h])),
    }
}

/// Walks the options of a header one by one, in order. Ends after EOL and after a fault.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    bytes: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> OptionIter<'a> {
    /// Over the bytes between the fixed header and the data.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            done: false,
        }
    }
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<TcpOption<'a>, OptionsFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let at = self.at;
        let (&kind, rest) = self.bytes.get(at..)?.split_first()?;
        match kind {
            kind::EOL => {
                self.done = true;
                return Some(Ok(TcpOption::EndOfList));
            }
            kind::NOP => {
                self.at += 1;
                return Some(Ok(TcpOption::Nop));
            }
            _ => {}
        }
        // RFC 9293 §3.1 MUST-68: every option but EOL and NOP has a length byte.
        let fault = match rest.split_first() {
            None => OptionsFault::LengthMissing { kind, at },
            Some((&len, _)) if len < 2 => OptionsFault::LengthTooSmall { kind, at },
            Some((&len, data)) => {
                // RFC 9293 §3.2 MUST-64: options need not be aligned; each begins where the last ended.
                let len = usize::from(len);
                if let Some(data) = data.get(..len - 2) {
                    self.at += len;
                    return Some(Ok(TcpOption::read(kind, data)));
                }
                OptionsFault::LengthTooLarge { kind, at }
            }
        };
        // RFC 9293 §3.1 MUST-7: an illegal length ends the walk. Resetting the connection instead, as
        // the RFC suggests, would hand a blind attacker a reset.
        self.done = true;
        Some(Err(fault))
    }
}

/// The options that the stack understands, as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Maximum segment size in bytes; written in SYN segments only.
    pub mss: Option<u16>,
    /// Window scale shift as on the wire (a reader limits it to 14); written in SYN segments only.
    pub window_scale: Option<u8>,
    /// SACK permitted; written in SYN segments only.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// Accurate ECN.
    pub accecn: Option<AccEcn>,
    /// SACK blocks, most recent first; as many are written as there is room for.
    pub sack: SackBlocks,
    /// TCP Fast Open; written in SYN segments only.
    pub fast_open: Option<FastOpen>,
}

impl Options {
    /// Length in bytes of the timestamps with the two NOPs before them.
    pub(super) const TIMESTAMPS_LEN: usize = 12;
    /// No options.
    pub const EMPTY: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        accecn: None,
        sack: SackBlocks::EMPTY,
        fast_open: None,
    };

    /// Reads options, and says what was wrong if reading stopped early.
    ///
    /// A known kind with a wrong length and an unknown kind are skipped. Of two options of one kind, the
    /// last counts (as Linux does).
    #[inline]
    #[must_use]
    pub fn parse(bytes: &[u8]) -> (Self, Option<OptionsFault>) {
        let mut options = Self::EMPTY;
        if bytes.is_empty() {
            return (options, None);
        }
        // The layout of nearly every segment of an established connection: NOP, NOP, timestamps.
        if let &[
            kind::NOP,
            kind::NOP,
            kind::TIMESTAMPS,
            10,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        ] = bytes
        {
            options.timestamps = Some(Timestamps {
                val: u32::from_be_bytes([a, b, c, d]),
                ecr: u32::from_be_bytes([e, f, g, h]),
            });
            return (options, None);
        }
        Self::parse_any(bytes)
    }

    fn parse_any(bytes: &[u8]) -> (Self, Option<OptionsFault>) {
        let mut options = Self::EMPTY;
        for option in OptionIter::new(bytes) {
            match option {
                Ok(TcpOption::Mss(mss)) => options.mss = Some(mss),
                Ok(TcpOption::WindowScale(shift)) => options.window_scale = Some(shift),
                Ok(TcpOption::SackPermitted) => options.sack_permitted = true,
                Ok(TcpOption::Timestamps(timestamps)) => options.timestamps = Some(timestamps),
                Ok(TcpOption::Sack(blocks)) => options.sack = blocks,
                Ok(TcpOption::AccEcn(accecn)) => options.accecn = Some(accecn),
                Ok(TcpOption::FastOpen(cookie)) => options.note_fast_open(cookie, false),
                Ok(TcpOption::Other {
                    kind: kind::EXPERIMENT,
                    data,
                }) => {
                    if let Some(cookie) = data.strip_prefix(&EXPERIMENT) {
                        options.note_fast_open(cookie, true);
                    }
                }
                // RFC 9293 §3.1 MUST-6: an unknown option is skipped without an error.
                Ok(_) => {}
                Err(fault) => return (options, Some(fault)),
            }
        }
        (options, None)
    }

    fn note_fast_open(&mut self, cookie: &[u8], experimental: bool) {
        // RFC 7413 §4.1.1: a length that no cookie has makes the option one to ignore. As in Linux, an even one takes
        // the place of what stood before, an odd one does not.
        if cookie.len().is_multiple_of(2) {
            self.fast_open = FastOpen::new(cookie).map(|option| option.experimental(experimental));
        }
    }

    /// Whether there is nothing to write.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.mss.is_none()
            && self.window_scale.is_none()
            && !self.sack_permitted
            && self.timestamps.is_none()
            && self.accecn.is_none()
            && self.sack.is_empty()
            && self.fast_open.is_none()
    }

    /// The timestamps, if nothing else is to be written: so it is in nearly every segment of an established connection.
    #[inline]
    #[must_use]
    pub const fn only_timestamps(&self) -> Option<Timestamps> {
        let others = self.mss.is_some()
            || self.window_scale.is_some()
            || self.sack_permitted
            || self.accecn.is_some()
            || !self.sack.is_empty()
            || self.fast_open.is_some();
        if others { None } else { self.timestamps }
    }

    /// These options without those that a segment with or without SYN may not carry.
    #[inline]
    #[must_use]
    pub const fn allowed_in(&self, syn: bool) -> Self {
        let mut options = *self;
        if syn {
            options.sack = SackBlocks::EMPTY;
        } else {
            // RFC 9293 §3.2 MUST-65: MSS only in SYN segments. RFC 7323 §2.2: so is window scale.
            // RFC 2018 §2: so is SACK-permitted.
            options.mss = None;
            options.window_scale = None;
            options.sack_permitted = false;
            // RFC 7413 §4.1.1: so is Fast Open.
            options.fast_open = None;
        }
        options
    }

    /// Length in bytes of all but SACK blocks; a multiple of 4.
    const fn len_without_sack(&self) -> usize {
        let mut len = 0;
        if self.mss.is_some() {
            len += 4;
        }
        len += match (self.sack_permitted, self.timestamps.is_some()) {
            (_, true) => 12,
            (true, false) => 4,
            (false, false) => 0,
        };
        if self.window_scale.is_some() {
            len += 4;
        }
        if let Some(fast_open) = &self.fast_open {
            len += fast_open.padded_len();
        }
        len
    }

    /// Accurate ECN, if there is room for it beside the others: Fast Open goes first, as in Linux.
    #[must_use]
    pub const fn emitted_accecn(&self) -> Option<AccEcn> {
        match self.accecn {
            Some(accecn)
                if self.len_without_sack() + accecn.option_len().next_multiple_of(4)
                    > MAX_OPTIONS_LEN =>
            {
                None
            }
            accecn => accecn,
        }
    }

    /// Length in bytes that accurate ECN adds; a multiple of 4. `shares`: an option with two NOPs before it follows,
    /// whose place its last one or two octets take.
    const fn accecn_len(&self, shares: bool) -> usize {
        let Some(accecn) = self.emitted_accecn() else {
            return 0;
        };
        let len = accecn.option_len();
        if shares && len % 4 < 3 {
            len / 4 * 4
        } else {
            len.next_multiple_of(4)
        }
    }

    /// SACK-permitted is written with two NOPs before it.
    const fn is_sack_permitted_alone(&self) -> bool {
        self.sack_permitted && self.timestamps.is_none()
    }

    /// An option with two NOPs before it follows accurate ECN. `sack`: SACK blocks are written.
    const fn shares_nops(&self, sack: bool) -> bool {
        let follows = self.window_scale.is_none() && self.fast_open.is_none();
        self.is_sack_permitted_alone() || sack && follows
    }

    /// Number of SACK blocks that are written: those that fit the 40 bytes.
    #[must_use]
    pub fn emitted_sack_blocks(&self) -> usize {
        if self.sack.is_empty() {
            return 0;
        }
        // RFC 2018 §3 SACK-3: 8n + 2 bytes, padded by two NOPs; so at most 4, 3 beside timestamps.
        let others = self.len_without_sack() + self.accecn_len(self.shares_nops(true));
        let room = MAX_OPTIONS_LEN.saturating_sub(others + 4) / 8;
        self.sack.len().min(room)
    }

    /// Length in bytes that [`emit`](Self::emit) writes: a multiple of 4, at most 40.
    #[must_use]
    pub fn emitted_len(&self) -> usize {
        if self.sack.is_empty() && self.accecn.is_none() {
            // Nearly every segment.
            return self.len_without_sack();
        }
        let blocks = self.emitted_sack_blocks();
        let sack = if blocks == 0 { 0 } else { 4 + 8 * blocks };
        let accecn = self.accecn_len(self.shares_nops(blocks > 0));
        self.len_without_sack() + accecn + sack
    }

    /// Writes the options and returns the length written.
    ///
    /// The order is that of Linux: MSS, SACK-permitted, timestamps, accurate ECN, window scale, Fast Open, SACK;
    /// SACK-permitted takes the place of the two NOPs before the timestamps, and the end of accurate ECN that of other
    /// two. Writes nothing and returns 0 if `out` is shorter than
    /// [`emitted_len`](Self::emitted_len).
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let len = self.emitted_len();
        let Some(mut out) = out.get_mut(..len) else {
            debug_assert!(false, "buffer shorter than emitted_len()");
            return 0;
        };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&mut out, [kind::MSS, 4, a, b]);
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(timestamps)) => {
                put(&mut out, [kind::SACK_PERMITTED, 2]);
                put_timestamps(&mut out, timestamps);
            }
            (false, Some(timestamps)) => {
                put(&mut out, [kind::NOP, kind::NOP]);
                put_timestamps(&mut out, timestamps);
            }
            (true | false, None) => {}
        }
        let blocks = self.emitted_sack_blocks();
        let mut lead = put_accecn(
            &mut out,
            self.emitted_accecn(),
            self.shares_nops(blocks > 0),
        );
        if self.is_sack_permitted_alone() {
            put(&mut out, core::mem::replace(&mut lead, NOPS));
            put(&mut out, [kind::SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.window_scale {
            put(&mut out, [kind::NOP, kind::WINDOW_SCALE, 3, shift]);
        }
        if let Some(fast_open) = &self.fast_open {
            put_fast_open(&mut out, fast_open);
        }
        if blocks > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "at most 4 blocks")]
            let sack_len = (2 + 8 * blocks) as u8;
            put(&mut out, lead);
            put(&mut out, [kind::SACK, sack_len]);
            for block in self.sack.iter().take(blocks) {
                put(&mut out, block.start.raw().to_be_bytes());
                put(&mut out, block.end.raw().to_be_bytes());
            }
        }
        len
    }
}

const NOPS: [u8; 2] = [kind::NOP; 2];

/// Writes accurate ECN, all but what stands where the next option would have its two NOPs, and returns those two octets.
fn put_accecn(out: &mut &mut [u8], accecn: Option<AccEcn>, shares: bool) -> [u8; 2] {
    let Some(accecn) = accecn else {
        return NOPS;
    };
    let [a, b, c, d, e, f, g, h, i, j, k] = accecn.bytes();
    let lead = match accecn.fields() {
        0 => [a, b],
        1 => {
            put(out, [a, b, c, d]);
            [e, kind::NOP]
        }
        2 => {
            put(out, [a, b, c, d, e, f, g, h]);
            return NOPS;
        }
        _ => {
            put(out, [a, b, c, d, e, f, g, h, i, j, k, kind::NOP]);
            return NOPS;
        }
    };
    if !shares {
        put(out, lead);
        put(out, NOPS);
        return NOPS;
    }
    lead
}

#[inline]
fn put_timestamps(out: &mut &mut [u8], timestamps: Timestamps) {
    put(out, [kind::TIMESTAMPS, 10]);
    put(out, timestamps.val.to_be_bytes());
    put(out, timestamps.ecr.to_be_bytes());
}

fn put_fast_open(out: &mut &mut [u8], option: &FastOpen) {
    #[expect(clippy::cast_possible_truncation, reason = "at most 20")]
    let len = option.option_len() as u8;
    if option.is_experimental() {
        put(out, [kind::EXPERIMENT, len]);
        put(out, EXPERIMENT);
    } else {
        put(out, [kind::FAST_OPEN, len]);
    }
    for byte in option.cookie() {
        put(out, [*byte]);
    }
    for _ in option.option_len()..option.padded_len() {
        put(out, [kind::NOP]);
    }
}

/// Writes `bytes` at the front of `out` and moves `out` past them.
#[inline]
fn put<const N: usize>(out: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((head, tail)) = core::mem::take(out).split_first_chunk_mut::<N>() {
        *head = bytes;
        *out = tail;
    }
}
