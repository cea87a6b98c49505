//! Listening to an interface of the kernel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::monitor::{BATCH, Meta, open, receive};
use crate::sys::{interface, packet};

/// The name that stands for all interfaces.
const ANY: &str = "any";
/// ARPHRD_LOOPBACK of `linux/if_arp.h`.
const LOOPBACK: u16 = 772;
/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;
/// Bytes of a VLAN tag, which is put back where the kernel took one off.
const TAG: usize = 4;
/// Bytes of the two addresses at the start of an Ethernet frame.
const ADDRESSES: usize = 12;
/// Bytes kept of a frame at most; no frame of Linux is longer.
const MAX_SNAPLEN: usize = 256 << 10;

/// What a frame starts with, by the interface that carried it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Start {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
    /// Something else: the kernel's number (`ARPHRD_*`).
    Other(u16),
}

/// A frame that was heard.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Heard<'a> {
    /// When the kernel saw it, since the start of 1970 UTC.
    pub time: Duration,
    /// What it starts with.
    pub start: Start,
    /// Its first bytes, as many as are wanted.
    pub data: &'a [u8],
    /// Its length in bytes, which is more where not all of it is wanted.
    pub original_len: usize,
    /// Whether this host sends it.
    pub is_leaving: bool,
    /// Whether its transport checksum is still to be completed by the device.
    pub is_checksum_partial: bool,
}

/// Hears every frame that an interface carries, both ways, and sends nothing (Linux).
///
/// Frames of the loopback interface are told once, though the kernel sees them leave and arrive.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
    name: String,
    buffers: Vec<u8>,
    stride: usize,
}

impl Monitor {
    /// Listens on the interface of this name in the current network namespace; `any` is all of them.
    ///
    /// `snaplen`: bytes wanted of each frame, 262,144 at most.
    ///
    /// # Errors
    /// If there is no such interface, or the capability CAP_NET_RAW is missing; the text says so.
    pub fn open(name: &str, snaplen: usize) -> io::Result<Self> {
        let index = if name == ANY {
            0
        } else {
            interface::index(name)?
        };
        let fd = open(name, index, true)?;
        let stride = TAG + snaplen.clamp(64, MAX_SNAPLEN).next_multiple_of(8);
        Ok(Self {
            fd,
            name: name.to_owned(),
            buffers: vec![0; stride * BATCH],
            stride,
        })
    }

    /// Gives the frames that wait, a batch at most, to `each`; returns how many the kernel handed over. Never
    /// waits: the descriptor is readable when there are frames.
    ///
    /// # Errors
    /// As the kernel says; an interface that goes down is one.
    pub fn hear(&mut self, mut each: impl FnMut(&Heard<'_>)) -> io::Result<usize> {
        let mut metas = [Meta::default(); BATCH];
        let received = receive(
            self.fd.as_fd(),
            &mut self.buffers,
            self.stride,
            TAG,
            &mut metas,
        );
        let got = match received {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        let frames = self.buffers.chunks_exact_mut(self.stride).zip(&metas);
        for (slot, meta) in frames.take(got) {
            if meta.hardware == LOOPBACK && meta.is_leaving {
                continue;
            }
            if let Some(heard) = heard(slot, meta) {
                each(&heard);
            }
        }
        Ok(got)
    }

    /// Frames lost since the last call, because nobody took them in time.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn take_drops(&self) -> io::Result<u64> {
        packet::take_drops(&self.fd, &self.name)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The frame in its slot, its VLAN tag put back.
fn heard<'a>(slot: &'a mut [u8], meta: &Meta) -> Option<Heard<'a>> {
    let start = match meta.hardware {
        ETHERNET | LOOPBACK => Start::Ethernet,
        // ARPHRD_NONE, RAWIP, TUNNEL, TUNNEL6, SIT: nothing before the IP header.
        0xfffe | 519 | 768 | 769 | 776 => Start::Ip,
        other => Start::Other(other),
    };
    let (mut from, mut original_len) = (TAG, meta.original_len);
    if let Some((tpid, tci)) = meta.vlan
        && start == Start::Ethernet
        && meta.len >= ADDRESSES
    {
        slot.copy_within(TAG..TAG + ADDRESSES, 0);
        let tag = slot.get_mut(ADDRESSES..ADDRESSES + TAG)?;
        tag[..2].copy_from_slice(&tpid.to_be_bytes());
        tag[2..].copy_from_slice(&tci.to_be_bytes());
        (from, original_len) = (0, original_len + TAG);
    }
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    };
    Some(Heard {
        time: meta.time.unwrap_or_else(now),
        start,
        data: slot.get(from..TAG + meta.len)?,
        original_len,
        is_leaving: meta.is_leaving,
        is_checksum_partial: meta.is_checksum_partial,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_tag_that_the_kernel_took_off_is_put_back() {
        let mut slot = vec![0; 64];
        for (place, byte) in slot[TAG..].iter_mut().zip(1..=20) {
            *place = byte;
        }
        let meta = Meta {
            len: 20,
            original_len: 90,
            hardware: ETHERNET,
            vlan: Some((0x8100, 0x2007)),
            ..Meta::default()
        };
        let heard = heard(&mut slot, &meta).unwrap();
        assert_eq!((heard.data.len(), heard.original_len), (24, 94));
        assert_eq!(heard.data[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(heard.data[12..16], [0x81, 0, 0x20, 7]);
        assert_eq!(heard.data[16..], [13, 14, 15, 16, 17, 18, 19, 20]);
    }

    #[test]
    fn what_a_frame_starts_with_follows_the_interface() {
        let meta = |hardware| Meta {
            len: 20,
            original_len: 20,
            hardware,
            ..Meta::default()
        };
        let start = |hardware| heard(&mut [0; 64], &meta(hardware)).unwrap().start;
        assert_eq!(start(1), Start::Ethernet);
        assert_eq!(start(LOOPBACK), Start::Ethernet);
        assert_eq!(start(0xfffe), Start::Ip, "TUN");
        assert_eq!(start(801), Start::Other(801));
    }
}
