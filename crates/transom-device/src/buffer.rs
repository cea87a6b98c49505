//! Memory for received frames.
//!
//! A frame is read into a buffer of 64 KiB, since its size is not known before. A large frame leaves
//! with its buffer, which comes back when the last slice of it is dropped; the last one returned is
//! the next one used, so it is still in the cache. A small frame is copied out: it must not hold
//! 64 KiB while it waits in a queue.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Size of a buffer: the longest IP packet (65,535) and the longest link header fit.
pub(crate) const BUFFER_SIZE: usize = 65_536 + 64;

/// Bytes before a frame, for what a device says about it in the same read.
const ROOM: usize = 64;

/// Frames below this are copied out. A frame therefore holds at most eight times its own size.
const COPY_BELOW: usize = 8 * 1024;

/// Buffers that wait for use beyond this number are freed.
const MAX_SPARE: usize = 64;

type Spare = Arc<Mutex<Vec<Box<[u8]>>>>;

/// Gives out frames; buffers return by themselves.
pub(crate) struct Buffers {
    spare: Spare,
    /// The buffer for the next frame.
    current: Option<Box<[u8]>>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            spare: Arc::default(),
            current: None,
        }
    }

    /// The buffer to read the next frame into, [`BUFFER_SIZE`] bytes long.
    pub(crate) fn current(&mut self) -> &mut [u8] {
        self.current_behind(0)
    }

    /// The same with so many bytes before it, at most [`ROOM`], which are no part of the frame.
    pub(crate) fn current_behind(&mut self, header: usize) -> &mut [u8] {
        let spare = &self.spare;
        let buffer = self.current.get_or_insert_with(|| {
            let returned = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            returned.unwrap_or_else(|| vec![0; ROOM + BUFFER_SIZE].into_boxed_slice())
        });
        buffer
            .get_mut(ROOM.saturating_sub(header)..)
            .unwrap_or_default()
    }

    /// A frame of its own with these bytes, which are copied once.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() < COPY_BELOW {
            return Bytes::copy_from_slice(bytes);
        }
        match self.current().get_mut(..bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => return Bytes::copy_from_slice(bytes),
        }
        self.take(bytes.len())
    }

    /// The first `len` bytes of the current buffer as a frame of its own.
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        if len < COPY_BELOW {
            let buffer = self.current.as_deref();
            let filled = buffer.and_then(|buffer| buffer.get(ROOM..ROOM + len));
            return Bytes::copy_from_slice(filled.unwrap_or_default());
        }
        match self.current.take() {
            Some(buffer) => {
                let spare = Arc::clone(&self.spare);
                Bytes::from_owner(Lent {
                    buffer,
                    len: len.min(BUFFER_SIZE),
                    spare,
                })
            }
            None => Bytes::new(),
        }
    }
}

/// A buffer out in the world.
struct Lent {
    buffer: Box<[u8]>,
    len: usize,
    spare: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        let end = ROOM + self.len;
        self.buffer.get(ROOM..end).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffers: &mut Buffers, byte: u8, len: usize) -> Bytes {
        buffers.current()[..len].fill(byte);
        buffers.take(len)
    }

    #[test]
    fn a_large_frame_keeps_its_buffer_until_its_last_slice_is_gone() {
        let mut buffers = Buffers::new();
        let first = fill(&mut buffers, 1, 60_000);
        let address = first.as_ptr();
        let slice = first.slice(100..200);
        drop(first);
        let second = fill(&mut buffers, 2, 60_000);
        assert_ne!(second.as_ptr(), address);
        assert!(slice.iter().all(|&byte| byte == 1));
        drop(slice);
        let third = fill(&mut buffers, 3, 60_000);
        assert_eq!(third.as_ptr(), address, "the returned buffer is used again");
        assert!(second.iter().all(|&byte| byte == 2));
    }

    #[test]
    fn a_small_frame_holds_no_buffer() {
        let mut buffers = Buffers::new();
        let address = buffers.current().as_ptr();
        let frames: Vec<Bytes> = (0..100).map(|n| fill(&mut buffers, n, 1500)).collect();
        assert_eq!(buffers.current().as_ptr(), address);
        assert!(
            frames
                .iter()
                .zip(0..)
                .all(|(frame, n)| frame.iter().all(|&byte| byte == n))
        );
    }

    #[test]
    fn a_copied_frame_is_in_a_buffer_only_if_large() {
        let mut buffers = Buffers::new();
        let bytes: Vec<u8> = (0..BUFFER_SIZE + 1).map(|n| n as u8).collect();
        for len in [1, COPY_BELOW - 1, COPY_BELOW, BUFFER_SIZE, BUFFER_SIZE + 1] {
            let address = buffers.current().as_ptr();
            let frame = buffers.copy(&bytes[..len]);
            assert_eq!(frame, bytes[..len]);
            let large = (COPY_BELOW..=BUFFER_SIZE).contains(&len);
            assert_eq!(frame.as_ptr() == address, large, "{len}");
        }
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut buffers = Buffers::new();
        let frames: Vec<Bytes> = (0..200).map(|_| fill(&mut buffers, 0, 10_000)).collect();
        drop(frames);
        assert_eq!(buffers.spare.lock().unwrap().len(), MAX_SPARE);
    }
}
