//! Bytes of a capture through one buffer, unpacked if they are gzipped.
//!
//! Invariants
//! - `start <= end <= buffer.len()`; `base` is the offset of `buffer[0]` in the (unpacked) file.
//! - The buffer grows only when somebody asks for more than it holds, so who asks sets the bound.

use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Cursor, Read};

/// Large enough that records carried over to its front cost nothing, small enough for a cache.
const BUFFER_LEN: usize = 256 << 10;
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
    buffer: Vec<u8>,
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
            buffer: Vec::new(),
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

    /// Moves what is left to the front of the buffer, and grows it if that is not enough.
    fn make_room(&mut self, want: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        let len = want.max(BUFFER_LEN);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let is_gzip = self.is_gzip();
        let Some(room) = self.buffer.get_mut(self.end..) else {
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
