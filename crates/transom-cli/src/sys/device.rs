//! Making the devices that carry packets.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Opens /dev/net/tun and makes the TUN device `name` in the current network namespace, with
/// virtio-net headers (segmentation and checksum offload).
///
/// Errors are those of open(2) and of TUNSETIFF.
pub(crate) fn attach_tun(name: &str) -> io::Result<OwnedFd> {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    // SAFETY: ifreq is plain data for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = libc::c_char::from_ne_bytes([byte]);
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(flags).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open and the request is a valid ifreq that outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file.into())
}

/// Opens a packet socket that sees and sends every frame of one interface, non-blocking.
pub(crate) fn packet_socket(interface: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Without a protocol it collects nothing until it is bound to the one interface.
    // SAFETY: touches no memory; the descriptor returned is new and ours alone.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: sockaddr_ll is plain data for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(invalid)?;
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).map_err(invalid)?.to_be();
    address.sll_ifindex = i32::try_from(interface).map_err(invalid)?;
    let length = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(invalid)?;
    // SAFETY: the address is a valid sockaddr_ll of the length given and outlives the call.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}
