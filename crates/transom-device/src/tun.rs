//! A TUN device: IP packets between this process and the kernel of a network namespace.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use transom_wire::frame::{Capabilities, Medium, RxFrame, TxFrame};

use crate::channel::Channel;
use crate::error::failed;
use crate::{Device, DeviceCounters, Readiness, sys};

/// Largest packet exchanged with segmentation offload: the largest that IPv4 can express.
pub(crate) const MAX_GSO: usize = 65_535;

/// How [`Tun::open`] makes the interface.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TunOptions {
    /// Name of the interface; a `%d` in it is replaced by the first free number. At most 15 bytes.
    /// Default `tun%d`.
    pub name: String,
    /// Largest IP packet in bytes; default 1500.
    pub mtu: usize,
    /// Whether frames carry a vnet header, so that checksums and TCP segmentation are left to the
    /// kernel in both directions. Default true: it is many times faster.
    pub vnet: bool,
    /// Whether the kernel may also hand over several UDP datagrams of one sender as one frame with
    /// [`RxFrame::gso_size`] set, where it can. Default false: the receiver must be able to cut them.
    pub udp_segmentation: bool,
}

impl Default for TunOptions {
    fn default() -> Self {
        Self {
            name: "tun%d".to_owned(),
            mtu: 1500,
            vnet: true,
            udp_segmentation: false,
        }
    }
}

impl TunOptions {
    /// The defaults for an interface of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Sets [`TunOptions::mtu`].
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Sets [`TunOptions::vnet`].
    #[must_use]
    pub fn vnet(mut self, vnet: bool) -> Self {
        self.vnet = vnet;
        self
    }

    /// Sets [`TunOptions::udp_segmentation`].
    #[must_use]
    pub fn udp_segmentation(mut self, udp_segmentation: bool) -> Self {
        self.udp_segmentation = udp_segmentation;
        self
    }
}

/// Frames that are received at a time, where each may be a super-segment.
const FRAMES: usize = 64;
/// The same where they are packets of the MTU, to be joined to a few frames.
const PACKETS: usize = 192;

/// One queue of a TUN device.
pub struct Tun {
    channel: Channel,
    mtu: usize,
    vnet: bool,
}

impl Tun {
    /// Makes a TUN interface in the current network namespace, sets its MTU and switches it on.
    /// It has no addresses, and disappears when the device is dropped.
    ///
    /// # Errors
    /// When `/dev/net/tun` cannot be opened, or the interface cannot be made; the text says what is
    /// missing and what would mend it.
    pub fn open(options: &TunOptions) -> io::Result<Self> {
        let (fd, name) = sys::tun::create(&options.name, sys::tun::Layer::Ip, options.vnet)?;
        sys::interface::set_mtu(&name, options.mtu)?;
        sys::interface::set_up(&name)?;
        Self::attach(fd, options.mtu, options.vnet, options.udp_segmentation)
    }

    /// As [`Tun::open`], with several queues (`IFF_MULTI_QUEUE`), each a device of its own, to be used on different
    /// processors. The kernel learns from what is sent: packets of a connection arrive on the queue through which the last
    /// one was sent, and those of a new connection on any.
    ///
    /// # Errors
    /// As [`Tun::open`].
    pub fn open_queues(options: &TunOptions, queues: usize) -> io::Result<Vec<Self>> {
        let mut opened = Vec::new();
        let mut name = options.name.clone();
        for _ in 0..queues {
            let (fd, given) = sys::tun::create_one_of_several(&name, options.vnet)?;
            name = given;
            opened.push(fd);
        }
        sys::interface::set_mtu(&name, options.mtu)?;
        sys::interface::set_up(&name)?;
        let attach = |fd| Self::attach(fd, options.mtu, options.vnet, options.udp_segmentation);
        opened.into_iter().map(attach).collect()
    }

    /// Takes over a TUN descriptor that somebody else made, perhaps in another network namespace.
    /// It must be of kind `IFF_TUN | IFF_NO_PI`; `vnet` says whether it is also `IFF_VNET_HDR`, and
    /// `mtu` repeats the interface's MTU. The descriptor is made non-blocking.
    ///
    /// # Errors
    /// When the descriptor is not of that kind.
    pub fn from_fd(fd: OwnedFd, mtu: usize, vnet: bool) -> io::Result<Self> {
        Self::attach(fd, mtu, vnet, false)
    }

    fn attach(fd: OwnedFd, mtu: usize, vnet: bool, udp_segmentation: bool) -> io::Result<Self> {
        let (name, kind) = sys::tun::identify(&fd)?;
        let wrong = |problem: &str| {
            let text = format!("the TUN device {name} cannot be used: {problem}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        };
        if !kind.tun {
            return wrong("it carries Ethernet frames; make it with IFF_TUN");
        }
        if !kind.no_packet_info {
            return wrong("it puts four bytes before each packet; make it with IFF_NO_PI");
        }
        if kind.vnet != vnet {
            return wrong(if vnet {
                "it has no vnet header, though one was announced; make it with IFF_VNET_HDR"
            } else {
                "it has a vnet header, though none was announced"
            });
        }
        sys::set_nonblocking(&fd).map_err(|error| {
            failed(
                format_args!("cannot make the TUN device {name} non-blocking"),
                &error,
                "",
            )
        })?;
        if vnet {
            sys::tun::enable_offload(&fd, &name, udp_segmentation)?;
        }
        let channel = Channel::new(fd, name, vnet);
        Ok(Self {
            channel: if vnet {
                channel
            } else {
                channel.in_software(mtu)
            },
            mtu,
            vnet,
        })
    }

    /// Name of the interface.
    #[must_use]
    pub fn name(&self) -> &str {
        self.channel.name()
    }

    /// The descriptor, to be given to another process.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.channel.into_fd()
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        // Without a vnet header both are done here, in software: once for each packet there is less than for a stack.
        Capabilities {
            medium: Medium::Ip,
            tx_checksum: true,
            max_gso: MAX_GSO,
            rx_batch: if self.vnet { FRAMES } else { PACKETS },
            ..Capabilities::ip(self.mtu)
        }
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        self.channel.recv(out, max)
    }

    fn is_drained(&self) -> bool {
        self.channel.is_drained()
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        self.channel.send(frames)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Fd(self.channel.fd())
    }

    fn counters(&self) -> DeviceCounters {
        self.channel.counters()
    }
}
