//! Mapped memory.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;

/// A mapping of this process.
pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and nothing else refers to it.
unsafe impl Send for Memory {}

impl Memory {
    /// Zeroed memory for frames.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Self::map(len, flags, -1, 0)
    }

    /// A ring of a socket.
    pub(super) fn of_ring(socket: &OwnedFd, len: usize, offset: u64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let offset = libc::off_t::try_from(offset).unwrap_or(libc::off_t::MAX);
        Self::map(len, flags, socket.as_raw_fd(), offset)
    }

    fn map(
        len: usize,
        flags: libc::c_int,
        fd: libc::c_int,
        offset: libc::off_t,
    ) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses an address where nothing of ours is.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where it begins, to tell the kernel.
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// A pointer to `len` bytes at `at`, if they lie within.
    pub(super) fn pointer(&self, at: u64, len: usize) -> Option<NonNull<u8>> {
        let at = usize::try_from(at).ok()?;
        if at.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: the offset lies within the mapping.
        Some(unsafe { self.start.add(at) })
    }

    /// `len` bytes at `at` that lie within one chunk, which belongs to us at the moment.
    pub(super) fn frame(&self, at: u64, len: usize, chunk: usize) -> Option<&[u8]> {
        let pointer = self.within(at, len, chunk)?;
        // SAFETY: the bytes lie within the mapping. The kernel gave the chunk to us and does not write to it until
        // it gets it back, which needs `&mut` of the socket.
        Some(unsafe { slice::from_raw_parts(pointer.as_ptr(), len) })
    }

    /// As [`frame`](Self::frame), to be written.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "what lies behind the pointer is borrowed mutably"
    )]
    pub(super) fn place(&mut self, at: u64, len: usize, chunk: usize) -> Option<&mut [u8]> {
        let pointer = self.within(at, len, chunk)?;
        // SAFETY: as above, and the memory is borrowed mutably.
        Some(unsafe { slice::from_raw_parts_mut(pointer.as_ptr(), len) })
    }

    fn within(&self, at: u64, len: usize, chunk: usize) -> Option<NonNull<u8>> {
        let start = usize::try_from(at).ok()? % chunk;
        (start.checked_add(len)? <= chunk).then(|| self.pointer(at, len))?
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and no reference into it is left.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lies_within_its_chunk() {
        let mut memory = Memory::new(4 * 4096).unwrap();
        memory.place(2048, 2048, 2048).unwrap().fill(7);
        assert_eq!(memory.frame(4000, 96, 2048).unwrap(), [7; 96]);
        assert_eq!(memory.frame(4096, 10, 2048).unwrap(), [0; 10]);
        for (at, len) in [
            (0, 2049),
            (4000, 97),
            (2047, 2),
            (4 * 4096, 1),
            (u64::MAX, 1),
            (u64::MAX - 4096, 4096),
            (0, usize::MAX),
        ] {
            assert!(memory.frame(at, len, 2048).is_none(), "{at} {len}");
            assert!(memory.place(at, len, 2048).is_none(), "{at} {len}");
        }
    }
}
