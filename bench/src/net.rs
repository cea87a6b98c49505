//! What every server of the comparison shares: ports, addresses, and the kernel's end of the device.

use std::io;
use std::ops::RangeInclusive;
use std::process::Command;

/// A server on this port sends for ever.
pub(crate) const SOURCE: u16 = 1000;
/// A server on this port reads until the end.
pub(crate) const SINK: u16 = 1001;
/// A server on this port sends back what it gets.
pub(crate) const ECHO: u16 = 1002;
/// As [`ECHO`], for many short connections.
pub(crate) const REQUESTS: u16 = 1003;
/// The kernel's address, with the network's length.
pub(crate) const KERNEL: &str = "10.9.0.1/24";
/// The kernel's address.
pub(crate) const KERNEL_ADDRESS: &str = "10.9.0.1";
/// The address of the stack under test.
pub(crate) const STACK: &str = "10.9.0.2";
/// The address of the stack under test, with the network's length.
pub(crate) const STACK_NETWORK: &str = "10.9.0.2/24";
/// The kernel's end of a veth pair.
pub(crate) const THEIRS: &str = "veth0";
/// The other end.
pub(crate) const OURS: &str = "veth1";

/// Local ports of who connects, whichever stack it is.
pub(crate) const PORTS: RangeInclusive<u16> = 10_000..=65_000;

/// How a stack under test is set up.
pub(crate) struct Roles {
    /// Name of the TUN device, or of the kernel's end of the veth pair.
    pub(crate) device: String,
    /// With virtio headers: checksum and segmentation offload.
    pub(crate) vnet: bool,
    /// IP MTU in bytes.
    pub(crate) mtu: usize,
    /// Socket buffer in bytes, for stacks with fixed buffers.
    pub(crate) buffer: usize,
}

impl Roles {
    /// Configures the kernel's end of the device.
    pub(crate) fn configure(&self) -> io::Result<()> {
        self.configure_as(&self.device, KERNEL)
    }

    /// Configures an interface for the kernel.
    pub(crate) fn configure_as(&self, device: &str, network: &str) -> io::Result<()> {
        let mtu = self.mtu.to_string();
        ip(&["addr", "add", network, "dev", device])?;
        ip(&[
            "link",
            "set",
            "dev",
            device,
            "mtu",
            &mtu,
            "txqueuelen",
            "10000",
            "up",
        ])
    }
}

/// Makes a veth pair: the kernel has the address of one end, and leaves the other alone.
pub(crate) fn veth(roles: &Roles) -> io::Result<()> {
    ip(&["link", "add", THEIRS, "type", "veth", "peer", "name", OURS])?;
    for interface in [OURS, THEIRS] {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
        // A kernel without IPv6 sends nothing of it either.
        drop(std::fs::write(path, "1"));
    }
    let mtu = roles.mtu.to_string();
    ip(&["link", "set", "dev", OURS, "mtu", &mtu, "up"])?;
    roles.configure()
}

/// Tells the parent process that the stack may be talked to.
pub(crate) fn ready() {
    crate::trial::say("ready");
}

/// Runs `ip` with the arguments.
pub(crate) fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
