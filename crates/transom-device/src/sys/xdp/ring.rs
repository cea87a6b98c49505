//! The rings of an AF_XDP socket: each has one writer and one reader, of which one is the kernel.
//!
//! Both count the entries that they have written or read, without end; the place of an entry is its number modulo
//! the ring's size, a power of two. What the other side counts is believed only as far as the ring is long.

use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::xdp_ring_offset;

use super::memory::Memory;

/// What both kinds of rings have.
struct Ring<T> {
    memory: Memory,
    producer: u64,
    consumer: u64,
    flags: u64,
    entries: u64,
    size: u32,
    /// What we have counted; the other side sees it later.
    own: u32,
    kind: PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    fn map(socket: &OwnedFd, page: u64, offsets: &xdp_ring_offset, size: u32) -> io::Result<Self> {
        debug_assert!(size.is_power_of_two());
        let len = offsets.desc as usize + size as usize * size_of::<T>();
        Ok(Self {
            memory: Memory::of_ring(socket, len, page)?,
            producer: offsets.producer,
            consumer: offsets.consumer,
            flags: offsets.flags,
            entries: offsets.desc,
            size,
            own: 0,
            kind: PhantomData,
        })
    }

    /// One of the ring's three words. The kernel gave the offsets, which lie before the entries; were they wrong,
    /// the word would be one that nobody changes.
    fn word(&self, at: u64) -> &AtomicU32 {
        static NOTHING: AtomicU32 = AtomicU32::new(0);
        match self.memory.pointer(at, size_of::<u32>()) {
            // SAFETY: the word is in the mapping, which lives as long as `self`; the kernel aligns it, and changes it
            // only as a whole.
            Some(word) if at.is_multiple_of(4) => unsafe {
                AtomicU32::from_ptr(word.as_ptr().cast())
            },
            _ => &NOTHING,
        }
    }

    /// Where an entry is.
    fn entry(&self, number: u32) -> Option<NonNull<T>> {
        let place = u64::from(number & (self.size - 1));
        let at = self.entries + place * size_of::<T>() as u64;
        Some(self.memory.pointer(at, size_of::<T>())?.cast())
    }
}

/// A ring that we write.
pub(super) struct Producer<T>(Ring<T>);

impl<T: Copy> Producer<T> {
    pub(super) fn map(
        socket: &OwnedFd,
        page: u64,
        offsets: &xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        Ring::map(socket, page, offsets, size).map(Self)
    }

    /// Puts an entry in, which the kernel sees after [`submit`](Self::submit). There is room: no ring is shorter
    /// than there are chunks for it.
    pub(super) fn push(&mut self, value: T) {
        if let Some(entry) = self.0.entry(self.0.own) {
            // SAFETY: the entry is in the mapping, aligned as the kernel aligns entries; the kernel reads none that
            // was not submitted.
            unsafe { entry.write(value) };
        }
        self.0.own = self.0.own.wrapping_add(1);
    }

    pub(super) fn submit(&self) {
        // Release: the kernel sees the entries when it sees the count.
        self.0
            .word(self.0.producer)
            .store(self.0.own, Ordering::Release);
    }

    /// Submitted entries that the kernel has not read.
    pub(super) fn waiting(&self) -> u32 {
        let read = self.0.word(self.0.consumer).load(Ordering::Acquire);
        self.0.own.wrapping_sub(read).min(self.0.size)
    }

    /// Whether the kernel reads only when it is told to.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.0.word(self.0.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that we read.
pub(super) struct Consumer<T>(Ring<T>);

impl<T: Copy> Consumer<T> {
    pub(super) fn map(
        socket: &OwnedFd,
        page: u64,
        offsets: &xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        Ring::map(socket, page, offsets, size).map(Self)
    }

    /// The next entry. Its place is the kernel's again after [`release`](Self::release).
    pub(super) fn pop(&mut self) -> Option<T> {
        // Acquire: the entries that are counted are seen.
        let written = self.0.word(self.0.producer).load(Ordering::Acquire);
        let there = written.wrapping_sub(self.0.own);
        if there == 0 || there > self.0.size {
            return None;
        }
        let entry = self.0.entry(self.0.own)?;
        self.0.own = self.0.own.wrapping_add(1);
        // SAFETY: the entry is in the mapping, aligned, written by the kernel, and not written again until it is
        // released; every bit pattern is valid for the integers in it.
        Some(unsafe { entry.read() })
    }

    pub(super) fn release(&self) {
        // Release: all entries have been read.
        self.0
            .word(self.0.consumer)
            .store(self.0.own, Ordering::Release);
    }
}
