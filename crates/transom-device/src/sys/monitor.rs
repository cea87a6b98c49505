//! Packet sockets that listen only: what an interface carries, both ways, with the kernel's times.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::packet::{be_promiscuous, bind, set_receive_buffer, unbound};
use super::{check, set_option};
use crate::error::failed;

/// Wanted size of the receive buffer in bytes: half a second of a gigabit.
const RECEIVE_BUFFER: libc::c_int = 32 << 20;
/// Frames taken in one system call.
pub(crate) const BATCH: usize = 64;
/// Room for a timestamp and the packet's auxiliary data.
const CONTROL: usize = 128;

/// `struct tpacket_auxdata` of `linux/if_packet.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Auxiliary {
    status: u32,
    len: u32,
    snaplen: u32,
    mac: u16,
    net: u16,
    vlan_tci: u16,
    vlan_tpid: u16,
}

/// What the kernel says of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meta {
    /// Bytes in the buffer.
    pub(crate) len: usize,
    /// Bytes on the wire.
    pub(crate) original_len: usize,
    /// Since the start of 1970 UTC.
    pub(crate) time: Option<Duration>,
    /// ARPHRD_*: what the frame starts with.
    pub(crate) hardware: u16,
    /// This host sends it.
    pub(crate) is_leaving: bool,
    /// EtherType and contents of a VLAN tag that the kernel took off.
    pub(crate) vlan: Option<(u16, u16)>,
    /// The transport checksum is for the device to complete.
    pub(crate) is_checksum_partial: bool,
}

/// Opens a socket that hears one interface, or all of them for index 0.
pub(crate) fn open(name: &str, index: i32, promiscuous: bool) -> io::Result<OwnedFd> {
    let fd = unbound().map_err(|error| {
        failed(
            format_args!("cannot listen on {name}"),
            &error,
            "this needs CAP_NET_RAW (root, or `setcap cap_net_raw+ep` on the program)",
        )
    })?;
    let fail =
        |what: &str, error: io::Error| failed(format_args!("cannot {what} on {name}"), &error, "");
    set_option(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1_i32)
        .map_err(|error| fail("ask for times", error))?;
    set_option(&fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)
        .map_err(|error| fail("ask for VLAN tags", error))?;
    set_receive_buffer(&fd, RECEIVE_BUFFER)
        .map_err(|error| fail("enlarge the receive buffer", error))?;
    if promiscuous && index != 0 {
        be_promiscuous(&fd, index).map_err(|error| fail("hear every frame", error))?;
    }
    bind(&fd, index).map_err(|error| fail("bind a packet socket", error))?;
    Ok(fd)
}

/// Takes up to [`BATCH`] frames that wait: each into its slice of `buffers`, from `headroom` on; gives how
/// many, and what is known of each in `metas`.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    buffers: &mut [u8],
    stride: usize,
    headroom: usize,
    metas: &mut [Meta; BATCH],
) -> io::Result<usize> {
    // SAFETY: these are plain data, for which all zeros is a valid value.
    let mut addresses: [libc::sockaddr_ll; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut pieces: [libc::iovec; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    // Control messages are aligned as `usize`.
    let mut controls = [[0_usize; CONTROL / size_of::<usize>()]; BATCH];
    let mut count = 0;
    let slots = buffers.chunks_exact_mut(stride).zip(&mut controls);
    for (at, (slot, control)) in slots.take(BATCH).enumerate() {
        let room = slot.get_mut(headroom..).unwrap_or_default();
        pieces[at] = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        let header = &mut messages[at].msg_hdr;
        header.msg_name = (&raw mut addresses[at]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        header.msg_iov = &raw mut pieces[at];
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        count += 1;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the first `count` messages point to an address, a piece of `buffers` and a control buffer of the
    // lengths given, all alive during the call and used by nobody else.
    let got = check(unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            count as libc::c_uint,
            flags as _,
            std::ptr::null_mut(),
        )
    })?;
    let got = usize::try_from(got).unwrap_or(0);
    for at in 0..got {
        let message = &messages[at];
        let original_len = message.msg_len as usize;
        let mut meta = Meta {
            len: original_len.min(pieces[at].iov_len),
            original_len,
            hardware: addresses[at].sll_hatype,
            is_leaving: addresses[at].sll_pkttype == libc::PACKET_OUTGOING,
            ..Meta::default()
        };
        read_control(&message.msg_hdr, &mut meta);
        metas[at] = meta;
    }
    Ok(got)
}

/// Reads the time and the auxiliary data.
fn read_control(header: &libc::msghdr, meta: &mut Meta) {
    // SAFETY: the kernel has filled in the control buffer and its length, and the CMSG_* macros stay inside them.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: not null, so it lies inside the control buffer, aligned as a header.
        let (level, kind, len) = unsafe {
            let header = &*control;
            (
                header.cmsg_level,
                header.cmsg_type,
                header.cmsg_len as usize,
            )
        };
        // SAFETY: CMSG_LEN only computes; CMSG_DATA points behind the header.
        let (data, holds) = unsafe {
            let holds = |size: usize| len >= libc::CMSG_LEN(size as libc::c_uint) as usize;
            (libc::CMSG_DATA(control), holds)
        };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if holds(size_of::<libc::timespec>()) => {
                // SAFETY: the message is long enough to hold a timespec; it need not be aligned.
                let time: libc::timespec =
                    unsafe { data.cast::<libc::timespec>().read_unaligned() };
                let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
                meta.time = Some(Duration::new(seconds, nanos));
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) if holds(size_of::<Auxiliary>()) => {
                // SAFETY: the message is long enough, and every bit pattern is valid for these integers.
                let aux: Auxiliary = unsafe { data.cast::<Auxiliary>().read_unaligned() };
                if aux.status & libc::TP_STATUS_VLAN_VALID != 0 {
                    let has_tpid = aux.status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
                    let tpid = if has_tpid { aux.vlan_tpid } else { 0x8100 };
                    meta.vlan = Some((tpid, aux.vlan_tci));
                }
                meta.is_checksum_partial = aux.status & libc::TP_STATUS_CSUMNOTREADY != 0;
            }
            _ => {}
        }
        // SAFETY: `control` came from this header.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
}
