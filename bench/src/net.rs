//! What every server of the comparison shares: ports, addresses, and the kernel's end of the device.

use std::io;
use std::process::Command;

/// A server on this port sends for ever.
pub(crate) const SOURCE: u16 = 1000;
/// A server on this port reads until the end.
pub(crate) const SINK: u16 = 1001;
/// The kernel's address, with the network's length.
pub(crate) const KERNEL: &str = "10.9.0.1/24";
/// The address of the stack under test.
pub(crate) const STACK: &str = "10.9.0.2";

/// How a stack under test is set up.
pub(crate) struct Roles {
    /// Name of the TUN device.
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
        ip(&["addr", "add", KERNEL, "dev", &self.device])?;
        let mtu = self.mtu.to_string();
        ip(&[
            "link",
            "set",
            "dev",
            &self.device,
            "mtu",
            &mtu,
            "txqueuelen",
            "10000",
            "up",
        ])?;
        Ok(())
    }
}

/// Tells the parent process that the stack may be talked to.
#[expect(clippy::print_stdout, reason = "the parent waits for this line")]
pub(crate) fn ready() {
    println!("ready");
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
