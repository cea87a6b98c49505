//! The receive ring of a packet socket (`PACKET_RX_RING`, `TPACKET_V2`): memory shared with the
//! kernel, cut into slots of one frame each.
//!
//! A slot begins with its header, whose first word says whose it is. The kernel fills its slots in
//! order, each on the processor that sends, so a later one may be ready before an earlier one; we
//! read in order and stop at the first that is the kernel's. It wakes pollers after each frame that
//! it has put in, so reading until that slot misses nothing, edge-triggered or not.
//!
//! Version 3 packs frames tightly, but hands them over in blocks, up to a millisecond late.
//!
//! Sources: `include/uapi/linux/if_packet.h` and `Documentation/networking/packet_mmap.rst`.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{tpacket_req, tpacket2_hdr};

use super::{check, set_option};
use crate::vnet;

/// Bytes of a slot: its header, the vnet header, and the longest frame (an Ethernet header and 65,535
/// bytes) fit. A multiple of 16, as the kernel demands.
const SLOT: usize = 65_536 + 256;
/// Bytes that the kernel allocates at once. What is left behind the last slot of a block is lost.
const BLOCK: usize = 1 << 20;
const SLOTS_PER_BLOCK: usize = BLOCK / SLOT;
const BLOCKS: usize = 16;
/// Number of slots.
const SLOTS: usize = BLOCKS * SLOTS_PER_BLOCK;
/// Bytes of the mapping. They are the kernel's pages: neither swapped nor counted as locked memory.
const LENGTH: usize = BLOCKS * BLOCK;

const _: () = assert!(SLOT.is_multiple_of(16) && SLOT <= BLOCK && SLOTS == 240);

/// A frame in its slot.
pub(crate) struct Slot<'a> {
    pub(crate) vnet: &'a [u8; vnet::LEN],
    pub(crate) frame: &'a [u8],
}

/// The ring of one socket, mapped.
pub(crate) struct Ring {
    memory: NonNull<u8>,
    /// The slot to read next.
    next: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and nothing else refers to it.
unsafe impl Send for Ring {}

impl Ring {
    /// Gives a packet socket with vnet headers a ring. What waits in its queue is lost.
    ///
    /// # Errors
    /// When the kernel has no such ring, no memory for it, or the socket has one already.
    pub(crate) fn map(socket: &OwnedFd) -> io::Result<Self> {
        if !expresses_udp_segmentation()? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        request(socket, BLOCKS)?;
        // SAFETY: the kernel chooses an address where nothing of ours is, and the length is that of
        // the ring.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_fd().as_raw_fd(),
                0,
            )
        };
        let mapped = if memory == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            NonNull::new(memory.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
        };
        match mapped {
            Ok(memory) => Ok(Self { memory, next: 0 }),
            Err(error) => {
                // With a ring that nobody reads the socket would be deaf.
                request(socket, 0)?;
                Err(error)
            }
        }
    }

    /// Takes the ring from its socket, which has a queue again.
    pub(crate) fn remove(self, socket: &OwnedFd) -> io::Result<()> {
        drop(self);
        request(socket, 0)
    }

    /// Reads the next frame and gives its slot back to the kernel. None: there is no frame. The inner
    /// result is None for a slot whose header contradicts itself, or with a part of a frame only.
    pub(crate) fn read<T>(&mut self, read: impl FnOnce(Slot<'_>) -> T) -> Option<Option<T>> {
        let (block, place) = (self.next / SLOTS_PER_BLOCK, self.next % SLOTS_PER_BLOCK);
        // SAFETY: `next` is below SLOTS, so the slot lies within the mapping.
        let slot = unsafe { self.memory.as_ptr().add(block * BLOCK + place * SLOT) };
        // SAFETY: the word is in the mapping, aligned (slots are aligned to 16 bytes), and the kernel
        // too changes it only as a whole.
        let status = unsafe {
            AtomicU32::from_ptr(slot.add(offset_of!(tpacket2_hdr, tp_status)).cast::<u32>())
        };
        // Acquire: what the kernel wrote before it gave the slot away is seen.
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the slot is ours until `status` is stored: the kernel does not touch it, and nobody
        // else has it mapped.
        let bytes = unsafe { slice::from_raw_parts(slot, SLOT) };
        let result = parse(bytes).map(read);
        self.next = (self.next + 1) % SLOTS;
        // Release: the kernel writes only after all has been read.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        Some(result)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and no reference into it is left.
        let _ = unsafe { libc::munmap(self.memory.as_ptr().cast(), LENGTH) };
    }
}

/// Asks for a ring of this many blocks; none removes it.
fn request(socket: &OwnedFd, blocks: usize) -> io::Result<()> {
    let request = tpacket_req {
        tp_block_size: BLOCK as libc::c_uint,
        tp_block_nr: blocks as libc::c_uint,
        tp_frame_size: SLOT as libc::c_uint,
        tp_frame_nr: (blocks * SLOTS_PER_BLOCK) as libc::c_uint,
    };
    set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

/// The frame in a slot, if it lies within and is whole.
fn parse(slot: &[u8]) -> Option<Slot<'_>> {
    let number = |at: usize| {
        let bytes = slot.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_ne_bytes(*bytes)).ok()
    };
    let mac = slot
        .get(offset_of!(tpacket2_hdr, tp_mac)..)?
        .first_chunk()?;
    let mac = usize::from(u16::from_ne_bytes(*mac));
    let stored = number(offset_of!(tpacket2_hdr, tp_snaplen))?;
    if stored == 0 || stored < number(offset_of!(tpacket2_hdr, tp_len))? {
        return None;
    }
    // The vnet header ends where the frame begins.
    let vnet = mac
        .checked_sub(vnet::LEN)
        .filter(|&at| at >= size_of::<tpacket2_hdr>())?;
    Some(Slot {
        vnet: slot.get(vnet..)?.first_chunk()?,
        frame: slot.get(mac..mac.checked_add(stored)?)?,
    })
}

/// Whether the kernel's vnet header can express UDP segmentation, as from Linux 6.2 on.
///
/// A frame that it cannot express is merely lost on its way into a queue, but blocks its slot of a
/// ring, and with it the ring, for ever: an older kernel does that as soon as a program sends with
/// `UDP_SEGMENT`.
fn expresses_udp_segmentation() -> io::Result<bool> {
    // SAFETY: `utsname` is plain data, for which all zeros is a valid value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure, which is alive during the call.
    check(unsafe { libc::uname(&raw mut name) })?;
    let release: Vec<u8> = name.release.iter().map(|&byte| byte as u8).collect();
    Ok(version(&release) >= Some((6, 2)))
}

/// The first two numbers of a kernel's release.
fn version(release: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|byte| !byte.is_ascii_digit())
        .map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(mac: u16, stored: u32, len: u32) -> Vec<u8> {
        let mut slot: Vec<u8> = (0..SLOT).map(|n| n as u8).collect();
        slot[4..8].copy_from_slice(&len.to_ne_bytes());
        slot[8..12].copy_from_slice(&stored.to_ne_bytes());
        slot[12..14].copy_from_slice(&mac.to_ne_bytes());
        slot
    }

    #[test]
    fn a_frame_lies_behind_its_vnet_header() {
        let bytes = slot(76, 100, 100);
        let found = parse(&bytes).unwrap();
        assert_eq!(found.vnet[..], bytes[66..76]);
        assert_eq!(found.frame, &bytes[76..176]);
        let longest = slot(76, 65_549, 65_549);
        assert_eq!(parse(&longest).unwrap().frame.len(), 65_549);
    }

    #[test]
    fn a_header_that_contradicts_itself_gives_no_frame() {
        for (mac, stored, len) in [
            (76, 0, 0),
            (76, 99, 100),
            (0, 100, 100),
            (9, 100, 100),
            (41, 100, 100),
            (76, 65_792, 65_792),
            (76, u32::MAX, u32::MAX),
            (u16::MAX, 300, 300),
        ] {
            assert!(
                parse(&slot(mac, stored, len)).is_none(),
                "{mac} {stored} {len}"
            );
        }
    }

    #[test]
    fn the_version_is_read_from_the_release() {
        assert_eq!(version(b"6.18.44-generic\0\0"), Some((6, 18)));
        assert_eq!(version(b"6.2-rc1"), Some((6, 2)));
        assert_eq!(version(b"5.15.0-91"), Some((5, 15)));
        assert_eq!(version(b"strange"), None);
        assert!(version(b"5.19.2") < Some((6, 2)) && version(b"x") < Some((6, 2)));
    }
}
