//! `/dev/net/tun`.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::check;
use super::interface::{name_in, request};
use crate::error::failed;
use crate::vnet;

const PATH: &str = "/dev/net/tun";

/// Of which kind a TUN descriptor is.
pub(crate) struct Kind {
    pub(crate) tun: bool,
    pub(crate) no_packet_info: bool,
    pub(crate) vnet: bool,
}

/// What frames of an interface start with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// An IP header: TUN.
    Ip,
    /// An Ethernet header: TAP.
    Ethernet,
}

/// Makes an interface and returns its descriptor and name.
pub(crate) fn create(name: &str, layer: Layer, vnet: bool) -> io::Result<(OwnedFd, String)> {
    create_queue(name, layer, vnet, 0)
}

/// As [`create`], an interface of several queues; or one more queue of an interface that was made so.
pub(crate) fn create_one_of_several(name: &str, vnet: bool) -> io::Result<(OwnedFd, String)> {
    create_queue(name, Layer::Ip, vnet, libc::IFF_MULTI_QUEUE)
}

fn create_queue(
    name: &str,
    layer: Layer,
    vnet: bool,
    queues: libc::c_int,
) -> io::Result<(OwnedFd, String)> {
    let mut request = request(name)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(PATH)
        .map_err(|error| {
            let mend = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "run as root, or open the device to everybody with `sudo chmod 666 /dev/net/tun`"
                }
                _ => "the kernel lacks the TUN driver; load it with `sudo modprobe tun`",
            };
            failed(format_args!("cannot open {PATH}"), &error, mend)
        })?;
    let fd = OwnedFd::from(file);
    let vnet = if vnet { libc::IFF_VNET_HDR } else { 0 };
    let (layer, kind) = match layer {
        Layer::Ip => (libc::IFF_TUN, "TUN"),
        Layer::Ethernet => (libc::IFF_TAP, "TAP"),
    };
    request.ifr_ifru.ifru_flags = (layer | libc::IFF_NO_PI | vnet | queues) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which is alive during the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) }).map_err(
        |error| {
            let mend = match error.raw_os_error() {
                Some(libc::EBUSY) => "another program uses an interface of this name",
                Some(libc::E2BIG) => "an interface has 256 queues at most",
                Some(libc::EPERM) => {
                    "this needs CAP_NET_ADMIN in the network namespace (root, or `unshare -rn`)"
                }
                _ => "",
            };
            failed(
                format_args!("cannot make the {kind} interface {name}"),
                &error,
                mend,
            )
        },
    )?;
    Ok((fd, name_in(&request)))
}

/// The name of the interface behind a descriptor, and its kind.
pub(crate) fn identify(fd: &OwnedFd) -> io::Result<(String, Kind)> {
    // SAFETY: `ifreq` is plain data, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: TUNGETIFF writes one `ifreq`, which is alive during the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNGETIFF, &raw mut request) })
        .map_err(|error| failed("the descriptor is not that of a TUN interface", &error, ""))?;
    // SAFETY: TUNGETIFF filled this member of the union.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    let kind = Kind {
        tun: flags & libc::IFF_TUN != 0,
        no_packet_info: flags & libc::IFF_NO_PI != 0,
        vnet: flags & libc::IFF_VNET_HDR != 0,
    };
    Ok((name_in(&request), kind))
}

/// Tells the kernel that this side takes packets to be segmented and checksums still to be filled.
pub(crate) fn enable_offload(fd: &OwnedFd, name: &str, udp: bool) -> io::Result<()> {
    let size = vnet::LEN as libc::c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one integer, which is alive during the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) }).map_err(
        |error| {
            failed(
                format_args!("cannot set the vnet header's length on {name}"),
                &error,
                "",
            )
        },
    )?;
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    if udp && set_offload(fd, tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6).is_ok() {
        return Ok(());
    }
    // Kernels before 6.2 do not know the UDP flags.
    set_offload(fd, tcp)
        .map_err(|error| failed(format_args!("cannot enable offload on {name}"), &error, ""))
}

fn set_offload(fd: &OwnedFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes the flags by value.
    check(unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            libc::TUNSETOFFLOAD,
            libc::c_ulong::from(flags),
        )
    })?;
    Ok(())
}
