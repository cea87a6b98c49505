//! Packet sockets.

use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::filter::{self, BYTE, EQUALS, HALF, RETURN, instruction};
use super::{check, option, set_option};
use crate::error::failed;

/// Wanted size of the receive buffer in bytes, for sockets without a ring. The kernel counts 64 KiB packets with their overhead,
/// so this is some fifty of them.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// Which frames of its interface a socket receives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capture {
    /// Those that arrive, whomever they are addressed to.
    Arriving,
    /// Those that this host sends.
    Leaving,
}

/// Opens a socket that exchanges frames with a vnet header over one interface.
pub(crate) fn open(name: &str, index: i32, capture: Capture) -> io::Result<OwnedFd> {
    let fd = unbound().map_err(|error| {
        failed(
            format_args!("cannot make a packet socket for {name}"),
            &error,
            "this needs CAP_NET_RAW in the network namespace (root, or `unshare -rn`)",
        )
    })?;
    let fail =
        |what: &str, error: io::Error| failed(format_args!("cannot {what} on {name}"), &error, "");
    let set = |option| set_option(&fd, libc::SOL_PACKET, option, &1);
    set(libc::PACKET_VNET_HDR).map_err(|error| fail("set PACKET_VNET_HDR", error))?;
    match capture {
        Capture::Arriving => {
            set(libc::PACKET_IGNORE_OUTGOING)
                .map_err(|error| fail("set PACKET_IGNORE_OUTGOING", error))?;
            be_promiscuous(&fd, index).map_err(|error| fail("hear every frame", error))?;
        }
        Capture::Leaving => {
            keep_leaving(&fd).map_err(|error| fail("filter the frames that leave", error))?;
        }
    }
    set_receive_buffer(&fd, RECEIVE_BUFFER)
        .map_err(|error| fail("enlarge the receive buffer", error))?;
    bind(&fd, index).map_err(|error| fail("bind a packet socket", error))?;
    // An interface that is still down leaves an error behind, which reading takes away. The socket
    // works as soon as the interface is up.
    let _: libc::c_int = option(&fd, libc::SOL_SOCKET, libc::SO_ERROR)
        .map_err(|error| fail("look for errors", error))?;
    Ok(fd)
}

/// Has sockets of one interface receive a part of its frames each: a program, which is still to be given, chooses
/// the socket (`PACKET_FANOUT_CBPF`). Until then all go to the first.
pub(crate) fn join(sockets: &[OwnedFd], name: &str) -> io::Result<()> {
    /// Has the kernel choose a number for the group that nobody uses.
    const UNIQUE: libc::c_int = 0x2000;
    /// As the sockets themselves: frames that this host sends are not received.
    const IGNORE_OUTGOING: libc::c_int = 0x4000;
    let say = |error: io::Error| {
        let mend = match error.raw_os_error() {
            Some(libc::EINVAL) => {
                "the kernel wants the interface to be up; `ip link set dev NAME up` switches it on"
            }
            Some(libc::ENOSPC) => "a group has 256 sockets at most",
            _ => "",
        };
        failed(
            format_args!("cannot spread the frames of {name} over several sockets"),
            &error,
            mend,
        )
    };
    let by_program = libc::PACKET_FANOUT_CBPF as libc::c_int;
    let mut group = 0;
    for (number, socket) in sockets.iter().enumerate() {
        let ignores: libc::c_int =
            option(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING).map_err(say)?;
        let mut flags = if ignores == 0 { 0 } else { IGNORE_OUTGOING };
        if number == 0 {
            flags |= UNIQUE;
        }
        let value = group | (by_program | flags) << 16;
        set_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &value).map_err(say)?;
        let joined: libc::c_int =
            option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT).map_err(say)?;
        group = joined & 0xffff;
    }
    Ok(())
}

/// Whether a socket shares its interface's frames with others.
pub(crate) fn is_joined(fd: impl AsFd) -> bool {
    option::<libc::c_int>(&fd, libc::SOL_PACKET, libc::PACKET_FANOUT).is_ok_and(|value| value != 0)
}

/// Gives a group of sockets, through any of them, the program that chooses among them.
pub(crate) fn choose_by(fd: impl AsFd, mut program: Vec<libc::sock_filter>) -> io::Result<()> {
    let name = libc::PACKET_FANOUT_DATA;
    filter::set_program(&fd, libc::SOL_PACKET, name, &mut program)
}

/// Makes a socket that receives nothing yet: no frame of another interface slips in before `bind`.
pub(super) fn unbound() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0 is what receives nothing.
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the descriptor was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets through only frames that this host sends, and no SCTP: its segmentation offload cannot be
/// expressed by the vnet header, which blocks a ring for ever.
fn keep_leaving(fd: &OwnedFd) -> io::Result<()> {
    /// Offset at which a filter finds the packet type (`SKF_AD_OFF + SKF_AD_PKTTYPE`).
    const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    const SCTP: u32 = libc::IPPROTO_SCTP as u32;
    let mut program = [
        instruction(BYTE, 0, 0, PACKET_TYPE),
        instruction(EQUALS, 0, 8, u32::from(libc::PACKET_OUTGOING)),
        // The EtherType, then the protocol of IPv4 or IPv6.
        instruction(HALF, 0, 0, 12),
        instruction(EQUALS, 0, 2, libc::ETH_P_IP as u32),
        instruction(BYTE, 0, 0, 14 + 9),
        instruction(EQUALS, 4, 3, SCTP),
        instruction(EQUALS, 0, 2, libc::ETH_P_IPV6 as u32),
        instruction(BYTE, 0, 0, 14 + 6),
        instruction(EQUALS, 1, 0, SCTP),
        instruction(RETURN, 0, 0, u32::MAX),
        instruction(RETURN, 0, 0, 0),
    ];
    filter::attach(fd, &mut program)
}

/// Sends one frame, given in pieces, through the interface of this index.
pub(crate) fn send(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>], index: i32) -> io::Result<usize> {
    let mut address = link_address(index);
    // SAFETY: `msghdr` is plain data, for which all zeros is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // `IoSlice` has the layout of `iovec`; the kernel only reads through it.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len();
    // SAFETY: the address, the pieces and what they point to are alive during the call, and the
    // kernel writes to none of them.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether frames of this packet socket carry a vnet header.
pub(crate) fn has_vnet_header(fd: &OwnedFd, name: &str) -> io::Result<bool> {
    let set: libc::c_int = option(fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR)
        .map_err(|error| failed(format_args!("{name} is not a packet socket"), &error, ""))?;
    Ok(set != 0)
}

/// Frames dropped for want of buffer space since the last call.
pub(crate) fn take_drops(fd: impl AsFd, name: &str) -> io::Result<u64> {
    // `struct tpacket_stats`: packets, drops.
    let [_, drops]: [u32; 2] =
        option(&fd, libc::SOL_PACKET, libc::PACKET_STATISTICS).map_err(|error| {
            failed(
                format_args!("cannot read the statistics of {name}"),
                &error,
                "",
            )
        })?;
    Ok(u64::from(drops))
}

pub(super) fn set_receive_buffer(fd: &OwnedFd, bytes: libc::c_int) -> io::Result<()> {
    // Beyond the system's limit when that is allowed, up to it otherwise.
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes))
}

/// Makes both buffers of a socket this large, or as large as this user may.
pub(crate) fn set_buffers(fd: &OwnedFd, bytes: libc::c_int) -> io::Result<()> {
    set_receive_buffer(fd, bytes)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes))
}

/// Whether the receive buffer has the wanted size.
pub(crate) fn has_full_buffer(fd: impl AsFd) -> bool {
    // The kernel tells twice what was set: it allows for its own overhead.
    option::<libc::c_int>(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF)
        .is_ok_and(|size| size >= 2 * RECEIVE_BUFFER)
}

pub(super) fn be_promiscuous(fd: &OwnedFd, index: i32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(
        fd,
        libc::SOL_PACKET,
        libc::PACKET_ADD_MEMBERSHIP,
        &membership,
    )
}

pub(super) fn bind(fd: &OwnedFd, index: i32) -> io::Result<()> {
    let address = link_address(index);
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `address`, which is alive during the call; the kernel
    // only reads it.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
    Ok(())
}

/// An interface, for all protocols.
fn link_address(index: i32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
