//! Which device carries the program's packets: TUN, else a veth pair with a packet socket, else
//! a sentence that says what to do.

use std::io;
use std::os::fd::OwnedFd;

use nix::net::if_::if_nametoindex;

use super::super::netlink::Netlink;
use super::super::plan::{INTERFACE, INTERFACE_MAC, PEER_INTERFACE, PEER_MAC, Plan};
use super::sysctl;
use crate::args::DeviceChoice;
use crate::sys;

/// A device that stands, down and without addresses.
pub(crate) struct Made {
    /// "tun" or "veth".
    pub(crate) kind: &'static str,
    /// What the parent reads and writes packets with.
    pub(crate) descriptor: OwnedFd,
    /// The program's interface.
    pub(crate) index: u32,
}

/// Makes the best device that is allowed and possible.
pub(crate) fn make_device(plan: &Plan, netlink: &mut Netlink) -> Result<Made, String> {
    if plan.device != DeviceChoice::Veth {
        match make_tun(netlink) {
            Ok(made) => return Ok(made),
            Err(error) if plan.device == DeviceChoice::Tun => return Err(tun_refused(&error)),
            Err(_) => {}
        }
    }
    make_veth(plan, netlink).map_err(|error| veth_refused(&error))
}

/// Packets that may wait in the TUN device: 500, the kernel's choice, are a burst of a single fast
/// sender of small packets.
const TUN_QUEUE: u32 = 10_000;

fn make_tun(netlink: &mut Netlink) -> io::Result<Made> {
    let descriptor = sys::attach_tun(INTERFACE)?;
    let index = if_nametoindex(INTERFACE)?;
    // A shorter queue serves too.
    let _ = netlink.set_queue(index, TUN_QUEUE);
    Ok(Made {
        kind: "tun",
        descriptor,
        index,
    })
}

fn tun_refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "there is no /dev/net/tun; load it with: sudo modprobe tun, or leave out --device tun"
                .to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => {
            "/dev/net/tun is closed to this user; open it with: sudo chmod a+rw /dev/net/tun, \
             or leave out --device tun"
                .to_owned()
        }
        _ => format!("cannot make a TUN device: {error}; leave out --device tun to use veth"),
    }
}

/// Makes a veth pair, both ends in this namespace.
///
/// The program's end does no neighbour discovery (IFF_NOARP): the kernel then addresses every
/// frame to that end's own hardware address, which the packet socket on the other end sees and
/// the kernel's own stack there ignores, as it is meant for somebody else.
fn make_veth(plan: &Plan, netlink: &mut Netlink) -> io::Result<Made> {
    netlink.add_veth((INTERFACE, INTERFACE_MAC), (PEER_INTERFACE, PEER_MAC))?;
    let index = if_nametoindex(INTERFACE)?;
    sysctl::quiet_peer(PEER_INTERFACE);
    // The pair carries nothing until both ends are up; the other comes up with its addresses.
    netlink.bring_up(if_nametoindex(PEER_INTERFACE)?, Some(plan.mtu), false)?;
    let descriptor = transom_device::PacketSocket::open_pair(PEER_INTERFACE, INTERFACE)?.into_fd();
    Ok(Made {
        kind: "veth",
        descriptor,
        index,
    })
}

/// Not the kernel's choice of 1000; a veth has no queue whose length this could be.
const WAKING_QUEUE: u32 = 1001;

/// Lets our end send from now on, once both ends are up.
///
/// An end that came up before the other had no carrier then. When it gets one, the kernel lets it send
/// only after some work of its own in the background, and until then drops what we send: on a busy
/// machine the first packets for the program. Changing the queue's length makes it do that work here.
pub(crate) fn wake_peer(netlink: &mut Netlink) -> io::Result<()> {
    netlink.set_queue(if_nametoindex(PEER_INTERFACE)?, WAKING_QUEUE)
}

fn veth_refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENODEV) => {
            "this kernel has neither an open /dev/net/tun nor veth; \
             load one with: sudo modprobe veth, or open the other with: \
             sudo chmod a+rw /dev/net/tun"
                .to_owned()
        }
        Some(libc::EPERM | libc::EACCES) => super::namespaces::refused(
            "a network device",
            error
                .raw_os_error()
                .map_or(nix::errno::Errno::EPERM, nix::errno::Errno::from_raw),
        ),
        _ => format!(
            "cannot make a network device: {error}; \
             open /dev/net/tun with: sudo chmod a+rw /dev/net/tun"
        ),
    }
}
