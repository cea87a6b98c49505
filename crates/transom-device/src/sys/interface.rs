//! Name, index, MTU and flags of a network interface in the current namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::check;
use crate::error::failed;

const NEEDS_ADMIN: &str =
    "this needs CAP_NET_ADMIN in the network namespace (root, or the user namespace that owns it)";

/// `SIOCETHTOOL` of `linux/sockios.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// A request about the interface of this name.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain data, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let fits = name.len() < libc::IFNAMSIZ && !name.is_empty() && !name.bytes().any(|b| b == 0);
    if !fits {
        let text =
            format!("{name:?} cannot be the name of an interface: 1 to 15 bytes are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// The interface's name in an answer of the kernel.
pub(super) fn name_in(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> = request
        .ifr_name
        .iter()
        .map(|&byte| byte as u8)
        .take_while(|&byte| byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request about an interface of the current namespace to the kernel.
fn perform(call: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    perform_on(&fd, call, request)
}

/// Sends a request about an interface of the socket's namespace to the kernel.
fn perform_on(socket: &impl AsFd, call: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the SIOC* calls used here read and write one `ifreq`, which is alive during the call, as is what
    // SIOCETHTOOL finds through it.
    check(unsafe { libc::ioctl(fd, call, std::ptr::from_mut(request)) })?;
    Ok(())
}

pub(crate) fn index(name: &str) -> io::Result<i32> {
    let mut request = request(name)?;
    answer_index(perform(libc::SIOCGIFINDEX, &mut request), name, &request)
}

/// The index of an interface in the socket's namespace, which need not be the current one.
pub(crate) fn index_beside(socket: &impl AsFd, name: &str) -> io::Result<i32> {
    let mut request = request(name)?;
    let result = perform_on(socket, libc::SIOCGIFINDEX, &mut request);
    answer_index(result, name, &request)
}

fn answer_index(result: io::Result<()>, name: &str, request: &libc::ifreq) -> io::Result<i32> {
    result.map_err(|error| {
        failed(
            format_args!("cannot find the interface {name}"),
            &error,
            "`ip link` lists the interfaces of a network namespace",
        )
    })?;
    // SAFETY: SIOCGIFINDEX filled this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex })
}

pub(crate) fn mtu(name: &str) -> io::Result<usize> {
    let mut request = request(name)?;
    perform(libc::SIOCGIFMTU, &mut request)
        .map_err(|error| failed(format_args!("cannot read the MTU of {name}"), &error, ""))?;
    // SAFETY: SIOCGIFMTU fills this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(usize::try_from(mtu).unwrap_or(0))
}

/// Whether frames of the interface begin with an Ethernet header.
pub(crate) fn is_ethernet(name: &str) -> io::Result<bool> {
    let mut request = request(name)?;
    perform(libc::SIOCGIFHWADDR, &mut request)
        .map_err(|error| failed(format_args!("cannot read the kind of {name}"), &error, ""))?;
    // SAFETY: SIOCGIFHWADDR fills this member of the union; its family is the kind of hardware.
    let kind = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
    Ok(kind == libc::ARPHRD_ETHER)
}

/// The driver of an interface.
pub(crate) fn driver(name: &str) -> io::Result<String> {
    /// `ETHTOOL_GDRVINFO` of `linux/ethtool.h`.
    const DRIVER_INFO: u32 = 3;
    /// Length of `struct ethtool_drvinfo`, and where the driver's name is in it.
    const LENGTH: usize = 196;
    const NAME: std::ops::Range<usize> = 4..36;
    let mut request = request(name)?;
    // Aligned as the structure is.
    let mut info = [0_u32; LENGTH / 4];
    info[0] = DRIVER_INFO;
    request.ifr_ifru.ifru_data = info.as_mut_ptr().cast();
    perform(SIOCETHTOOL, &mut request)
        .map_err(|error| failed(format_args!("cannot read the driver of {name}"), &error, ""))?;
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = bytes.get(NAME).unwrap_or_default();
    let end = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    Ok(String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned())
}

pub(crate) fn set_mtu(name: &str, mtu: usize) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_mtu = libc::c_int::try_from(mtu).unwrap_or(libc::c_int::MAX);
    perform(libc::SIOCSIFMTU, &mut request).map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::InvalidInput => "a TUN device takes 68 to 65535 bytes",
            _ => NEEDS_ADMIN,
        };
        failed(
            format_args!("cannot set the MTU of {name} to {mtu}"),
            &error,
            mend,
        )
    })
}

pub(crate) fn set_up(name: &str) -> io::Result<()> {
    let fail = |error| failed(format_args!("cannot switch on {name}"), &error, NEEDS_ADMIN);
    let mut request = request(name)?;
    perform(libc::SIOCGIFFLAGS, &mut request).map_err(fail)?;
    // SAFETY: SIOCGIFFLAGS filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    perform(libc::SIOCSIFFLAGS, &mut request).map_err(fail)
}
