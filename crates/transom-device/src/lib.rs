//! Devices for a user-space network stack.
//!
//! [`Device`] is what a stack needs from a device: frames in and out in batches, without blocking.
//! Payload is not copied between a device and the stack; checksums and TCP segmentation may be left
//! to the device, see [`Capabilities`](transom_wire::frame::Capabilities). Where what is behind a device does neither, the
//! device does both in software, and joins segments that arrive one by one: a stack does per frame what it does, and
//! there is one frame for up to 64 KiB.
//!
//! - [`memory::pair`]: two devices joined by memory, for tests and for stacks in one process; [`memory::cable`] carries
//!   packets as a wire would;
//! - [`Tun`]: IP packets to and from the kernel of a network namespace (Linux);
//! - [`PacketSocket`]: Ethernet frames of an interface, usually one end of a veth pair (Linux);
//! - [`XdpSocket`]: Ethernet frames of one queue of an interface, by AF_XDP (Linux);
//! - [`Monitor`]: hears what an interface carries, and sends nothing (Linux); no device;
//! - [`Tap`]: shows each frame of another device to a recorder;
//! - [`Impaired`]: puts a bad link in front of another device;
//! - [`Wire`]: a bad link between two interfaces of the kernel (Linux); no device.
//!
//! Unsafe code is confined to one private module of system calls and vector instructions.

mod buffer;
mod complete;
mod device;
#[cfg(target_os = "linux")]
mod error;
mod flows;
mod impaired;
mod merge;
mod tap;

pub mod memory;

#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod packet;
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "system calls that the standard library does not offer"
)]
mod sys;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod vnet;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(target_os = "linux")]
mod xdp;

pub use complete::complete;
pub use device::{Device, DeviceCounters, Notify, Readiness};
pub use flows::{Flows, Owner};
pub use impaired::Impaired;
#[cfg(target_os = "linux")]
pub use monitor::{Heard, Monitor, Start};
#[cfg(target_os = "linux")]
pub use packet::{Overflows, PacketSocket};
pub use tap::{Direction, Tap, TappedFrame};
#[cfg(target_os = "linux")]
pub use tun::{Tun, TunOptions};
#[cfg(target_os = "linux")]
pub use wire::{Port, PortOptions, Wire, WireCounters};
#[cfg(target_os = "linux")]
pub use xdp::{XdpMode, XdpOptions, XdpSocket, ZeroCopy};
