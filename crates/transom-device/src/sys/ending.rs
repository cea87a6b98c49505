//! A socket that becomes readable when an interface is gone from its namespace.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;
use super::filter::{self, EQUALS, HALF, RETURN, WORD, instruction};

/// `RTMGRP_LINK` of `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;

/// Hears of the end of the interface of this index in the current namespace, and of nothing else: a filter keeps all
/// other news away, so that the socket need not be read.
pub(crate) fn of_interface(index: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    keep_end(&fd, index)?;
    // SAFETY: `sockaddr_nl` is plain data, for which all zeros is a valid value.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = GROUP_LINK;
    let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `address`, which is alive during the call; the kernel
    // only reads it.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
    Ok(fd)
}

/// Lets through `RTM_DELLINK` of this interface only.
fn keep_end(fd: &OwnedFd, index: i32) -> io::Result<()> {
    /// Where `struct nlmsghdr` has its type.
    const TYPE: u32 = 4;
    /// Where `struct ifinfomsg` behind it has the interface.
    const INDEX: u32 = 16 + 4;
    // A filter reads numbers of the network, and these are the machine's.
    let gone = u32::from(libc::RTM_DELLINK.to_be());
    let mut program = [
        instruction(HALF, 0, 0, TYPE),
        instruction(EQUALS, 0, 3, gone),
        instruction(WORD, 0, 0, INDEX),
        instruction(EQUALS, 0, 1, index.cast_unsigned().to_be()),
        instruction(RETURN, 0, 0, u32::MAX),
        instruction(RETURN, 0, 0, 0),
    ];
    filter::attach(fd, &mut program)
}
