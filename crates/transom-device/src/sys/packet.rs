//! Packet sockets.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::{check, option, set_option};
use crate::error::failed;

/// Wanted size of the receive buffer in bytes. The kernel counts 64 KiB packets with their overhead,
/// so this is some fifty of them.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// Opens a socket that exchanges frames with a vnet header over one interface.
pub(crate) fn open(name: &str, index: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0 receives nothing: no frame of another interface slips in before `bind`.
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }).map_err(|error| {
        failed(
            format_args!("cannot make a packet socket for {name}"),
            &error,
            "this needs CAP_NET_RAW in the network namespace (root, or `unshare -rn`)",
        )
    })?;
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let set = |what: &str, option, value: libc::c_int| {
        set_option(&fd, libc::SOL_PACKET, option, &value)
            .map_err(|error| failed(format_args!("cannot set {what} on {name}"), &error, ""))
    };
    set("PACKET_VNET_HDR", libc::PACKET_VNET_HDR, 1)?;
    set("PACKET_IGNORE_OUTGOING", libc::PACKET_IGNORE_OUTGOING, 1)?;
    set_receive_buffer(&fd, name)?;
    be_promiscuous(&fd, index)
        .map_err(|error| failed(format_args!("cannot make {name} promiscuous"), &error, ""))?;
    bind(&fd, index).map_err(|error| {
        failed(
            format_args!("cannot bind a packet socket to {name}"),
            &error,
            "",
        )
    })?;
    Ok(fd)
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

fn set_receive_buffer(fd: &OwnedFd, name: &str) -> io::Result<()> {
    // Beyond the system's limit when that is allowed, up to it otherwise.
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER))
        .map_err(|error| {
            failed(
                format_args!("cannot enlarge the buffer of {name}"),
                &error,
                "",
            )
        })
}

fn be_promiscuous(fd: &OwnedFd, index: i32) -> io::Result<()> {
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

fn bind(fd: &OwnedFd, index: i32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `address`, which is alive during the call; the kernel
    // only reads it.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
    Ok(())
}
