//! Socket options that have no safe wrapper.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Room for a `struct tcp_info` of kernels to come; today's takes less than 300 bytes.
const TCP_INFO_ROOM: usize = 512;

/// A `struct tcp_info`, as long as this kernel knows it.
pub(crate) struct TcpInfoBytes {
    bytes: [u8; TCP_INFO_ROOM],
    length: usize,
}

impl AsRef<[u8]> for TcpInfoBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// The kernel's `struct tcp_info` of a TCP socket.
pub(crate) fn tcp_info(socket: &impl AsFd) -> io::Result<TcpInfoBytes> {
    let mut bytes = [0_u8; TCP_INFO_ROOM];
    let mut length =
        libc::socklen_t::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the pointer and the length describe `bytes`, which lives during the call; the kernel
    // writes at most `length` bytes and says how many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(TcpInfoBytes {
        bytes,
        length: usize::try_from(length).unwrap_or(0),
    })
}
