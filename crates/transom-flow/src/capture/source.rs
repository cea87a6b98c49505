//! Bytes of a capture through one buffer, unpacked if they are gzipped.
//!
//! Invariants
//! - `start <= end <= buffer.len()`; `base` is the offset of `buffer[0]` in the (unpacked) file.
//! - The buffer grows only when somebody asks for more than it holds, so who asks sets the bound.
//! - Nothing is written into a buffer that somebody else still looks at: reading goes on in another.

use super::Chunk;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Cursor, Read};

/// Large enough that records carried over to its front cost nothing, small enough for a cache.
const BUFFER_LEN: usize = 256 << 10;
/// A buffer with less in it is not worth to be kept for what is in it.
const SHARED_MIN: usize = BUFFER_LEN / 2;
/// Buffers that wait until others have looked at them.
const LENT_MAX: usize = 32;
/// Bytes that a gzip member begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

type Unpacker<R> = MultiGzDecoder<BufReader<io::Chain<Cursor<Vec<u8>>, R>>>;

enum Input<R> {
    Plain(R),
    Gzip(Box<Unpacker<R>>),
    /// Only while the input is being replaced.
    Taken,
}

/// Bytes of a capture, read ahead.
pub(super) struct Source<R> {
    input: Input<R>,
    buffer: Chunk,
    /// Other buffers of the usual length, which somebody may still look at.
    lent: Vec<Chunk>,
    start: usize,
    end: usize,
    base: u64,
    /// Bytes to be passed over before the next that count.
    skipping: u64,
    /// The packed bytes ended before their trailer.
    is_gzip_cut: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: Input::Plain(input),
            buffer: Chunk::new(0),
            lent: Vec::new(),
            start: 0,
            end: 0,
            base: 0,
            skipping: 0,
            is_gzip_cut: false,
        }
    }

    /// What is read and not consumed.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes bytes and gives them.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let from = self.start;
        self.start = self.start.saturating_add(len).min(self.end);
        self.buffer.get(from..self.start).unwrap_or_default()
    }

    /// The bytes that the last [`take`](Self::take) gave.
    #[inline]
    pub(super) fn taken(&self, len: usize) -> &[u8] {
        self.buffer
            .get(self.start.saturating_sub(len)..self.start)
            .unwrap_or_default()
    }

    /// The buffer in which what was taken lies, if it may be kept.
    #[inline]
    pub(super) fn chunk(&self) -> Option<&Chunk> {
        // One that grew would be much to keep, one with little in it too much for that little.
        let is_worth_it = self.end >= SHARED_MIN && self.buffer.len() == BUFFER_LEN;
        is_worth_it.then_some(&self.buffer)
    }

    /// Offset of the byte behind the last that was read.
    pub(super) const fn read_end(&self) -> u64 {
        self.base + self.end as u64
    }

    /// Offset of the next byte that counts.
    #[inline]
    pub(super) const fn offset(&self) -> u64 {
        self.base + self.start as u64 + self.skipping
    }

    /// Bytes that are passed over, but have not come yet.
    pub(super) const fn skipping(&self) -> u64 {
        self.skipping
    }

    pub(super) const fn is_gzip_cut(&self) -> bool {
        self.is_gzip_cut
    }

    pub(super) const fn is_gzip(&self) -> bool {
        matches!(self.input, Input::Gzip(_))
    }

    /// Passes over bytes as they come.
    pub(super) fn skip(&mut self, len: u64) {
        self.skipping += len;
        self.pass_over();
    }

    fn pass_over(&mut self) {
        if self.skipping > 0 {
            let there = self.end - self.start;
            let len = usize::try_from(self.skipping).map_or(there, |skipping| skipping.min(there));
            self.start += len;
            self.skipping -= len as u64;
        }
    }

    /// Whether at least `want` bytes are there, reading as needed; no means that the input has ended for now.
    #[inline]
    pub(super) fn ensure(&mut self, want: usize) -> io::Result<bool> {
        if self.end - self.start >= want && self.skipping == 0 {
            return Ok(true);
        }
        self.fill(want)
    }

    #[cold]
    #[inline(never)]
    fn fill(&mut self, want: usize) -> io::Result<bool> {
        while self.skipping > 0 || self.end - self.start < want {
            let wanted_room = if self.skipping > 0 { 1 } else { want };
            self.make_room(wanted_room);
            let count = self.read()?;
            if count == 0 {
                return Ok(false);
            }
            self.end += count;
            self.pass_over();
        }
        Ok(true)
    }

    /// Moves what is left to the front of the buffer, or of another if this one is looked at or too short.
    fn make_room(&mut self, want: usize) {
        let left = self.start..self.end;
        self.base += self.start as u64;
        self.start = 0;
        self.end = left.len();
        let len = want.max(BUFFER_LEN);
        if let Some(own) = self.buffer.own()
            && own.len() >= len
        {
            if left.start > 0 {
                own.copy_within(left, 0);
            }
            return;
        }
        let mut next = self.another(len);
        let from = self.buffer.get(left).unwrap_or_default();
        if let Some(to) = next.own().and_then(|own| own.get_mut(..from.len())) {
            to.copy_from_slice(from);
        }
        let last = core::mem::replace(&mut self.buffer, next);
        if last.len() == BUFFER_LEN && self.lent.len() < LENT_MAX {
            self.lent.push(last);
        }
    }

    /// A buffer that nobody looks at; the one lent last, as it may still be in the cache.
    fn another(&mut self, len: usize) -> Chunk {
        let is_usual = len == BUFFER_LEN;
        let free = self.lent.iter_mut().rposition(|c| c.own().is_some());
        match free.filter(|_| is_usual) {
            Some(at) => self.lent.swap_remove(at),
            None => Chunk::new(len),
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let is_gzip = self.is_gzip();
        let Some(room) = self.buffer.own().and_then(|own| own.get_mut(self.end..)) else {
            return Ok(0);
        };
        loop {
            let result = match &mut self.input {
                Input::Plain(input) => input.read(room),
                Input::Gzip(input) => input.read(room),
                Input::Taken => Ok(0),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_gzip && error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.is_gzip_cut = true;
                    return Ok(0);
                }
                // A reader that claims more than it was given room for is not believed.
                Ok(count) => return Ok(count.min(room.len())),
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts to unpack if the bytes so far are the start of a gzip member; whether they are.
    pub(super) fn unpack(&mut self) -> bool {
        if !self.bytes().starts_with(&GZIP_MAGIC) {
            return false;
        }
        match core::mem::replace(&mut self.input, Input::Taken) {
            Input::Plain(input) => {
                let packed = Cursor::new(self.bytes().to_vec()).chain(input);
                let unpacker = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, packed));
                self.input = Input::Gzip(Box::new(unpacker));
                self.start = 0;
                self.end = 0;
                self.base = 0;
                true
            }
            // Packed twice: not done by anybody, and endless if followed.
            other => {
                self.input = other;
                false
            }
        }
    }
}

impl<R> core::fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Source")
            .field("offset", &(self.base + self.start as u64))
            .field("read_ahead", &(self.end - self.start))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ops::Range;
    use std::collections::{BTreeSet, VecDeque};

    /// Bytes that differ from place to place.
    fn bytes(len: usize) -> Vec<u8> {
        let word = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        (0..).flat_map(word).take(len).collect()
    }

    #[test]
    fn what_somebody_looks_at_is_not_written_over() {
        const STEP: usize = 1000;
        let input = bytes(5 * BUFFER_LEN);
        let mut source = Source::new(&*input);
        let mut kept: Vec<(Chunk, Range<usize>, &[u8])> = Vec::new();
        for step in input.chunks_exact(STEP) {
            assert!(source.ensure(STEP).unwrap());
            source.take(STEP);
            assert_eq!(source.taken(STEP), step);
            // The end of the input fills no buffer by half.
            if let Some(chunk) = source.chunk() {
                let range = chunk.range_of(source.taken(STEP)).unwrap();
                kept.push((chunk.clone(), range, step));
            }
        }
        assert!(kept.len() * STEP > 4 * BUFFER_LEN);
        for (chunk, range, step) in &kept {
            assert_eq!(chunk.get(range.clone()), Some(*step));
        }
    }

    #[test]
    fn memory_is_used_again_once_nobody_looks_at_it() {
        let input = bytes(64 * BUFFER_LEN);
        let mut source = Source::new(&*input);
        let mut places = BTreeSet::new();
        let mut kept = VecDeque::new();
        while source.ensure(BUFFER_LEN - 100).unwrap() {
            source.take(BUFFER_LEN - 100);
            let chunk = source.chunk().unwrap().clone();
            places.insert(chunk.as_ptr().addr());
            kept.push_back(chunk);
            if kept.len() > 3 {
                kept.pop_front();
            }
        }
        assert!((3..=5).contains(&places.len()), "{}", places.len());
    }

    #[test]
    fn a_buffer_with_little_in_it_is_not_kept() {
        let input = bytes(SHARED_MIN - 1);
        let mut source = Source::new(&*input);
        assert!(source.ensure(100).unwrap());
        source.take(100);
        assert!(source.chunk().is_none());
    }
}
