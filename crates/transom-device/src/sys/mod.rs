//! Calls to the kernel that the standard library does not offer, memory shared with it, and vector instructions. The only
//! unsafe code of the crate.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

pub(crate) mod bpf;
pub(crate) mod ending;
pub(crate) mod filter;
pub(crate) mod interface;
pub(crate) mod monitor;
pub(crate) mod packet;
pub(crate) mod ring;
pub(crate) mod sum;
pub(crate) mod tun;
pub(crate) mod xdp;

/// Turns the C convention into a result.
fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

/// Makes reads and writes return at once.
pub(crate) fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL takes no pointer, and the descriptor is open while it is borrowed.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes an integer, and the descriptor is open while it is borrowed.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// Sets a socket option whose value is plain data.
fn set_option<T: Copy>(fd: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `value`, which is alive during the call; the kernel
    // only reads it.
    check(unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size,
        )
    })?;
    Ok(())
}

/// Reads a socket option whose value is an integer or a structure of integers.
fn option<T: Copy + Default>(fd: &impl AsFd, level: i32, name: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the size describe `value`, which is alive during the call; the kernel
    // writes at most `size` bytes, and every bit pattern is valid for the integers it is used with.
    check(unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_mut(&mut value).cast(),
            &raw mut size,
        )
    })?;
    Ok(value)
}
