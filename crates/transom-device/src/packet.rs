//! A packet socket: Ethernet frames of an existing interface, usually one end of a veth pair.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use transom_wire::frame::{Capabilities, Medium, RxFrame, TxFrame};

use crate::channel::Channel;
use crate::error::failed;
use crate::sys::packet::Capture;
use crate::tun::MAX_GSO;
use crate::{Device, DeviceCounters, Flows, Readiness, sys};

/// A raw packet socket on one interface, with offload in both directions.
///
/// It sees every frame that arrives at the interface, and none that this host sends through it. The
/// kernel on this side of the interface sees the arriving frames too: the interface should have no
/// addresses of its own, so that the kernel leaves them alone.
///
/// On a veth pair the kernel at the other end hands its frames over as it would to hardware: TCP in
/// packets of up to 64 KiB, checksums not yet filled in. The vnet header says so, and the same holds
/// for what is sent. UDP datagrams that were sent together (`UDP_SEGMENT`) would come as one packet too,
/// and are cut apart here, as unlike a TUN device the interface knows nothing of its reader.
pub struct PacketSocket {
    channel: Channel,
    mtu: usize,
}

impl PacketSocket {
    /// Opens a socket on an interface of the current network namespace.
    ///
    /// # Errors
    /// When the socket cannot be made or the interface does not exist; the text says what is missing.
    pub fn open(interface: &str) -> io::Result<Self> {
        let index = sys::interface::index(interface)?;
        let mtu = sys::interface::mtu(interface)?;
        let fd = sys::packet::open(interface, index, Capture::Arriving)?;
        Self::attach(fd, mtu, interface.to_owned())
    }

    /// Takes over a packet socket that is bound to an interface, perhaps of another network
    /// namespace, and has `PACKET_VNET_HDR` set, as [`PacketSocket::open`] and
    /// [`PacketSocket::into_fd`] give it. `mtu` repeats the interface's MTU.
    ///
    /// # Errors
    /// When the descriptor is not such a socket.
    pub fn from_fd(fd: OwnedFd, mtu: usize) -> io::Result<Self> {
        Self::attach(fd, mtu, "the packet socket".to_owned())
    }

    fn attach(fd: OwnedFd, mtu: usize, name: String) -> io::Result<Self> {
        if !sys::packet::has_vnet_header(&fd, &name)? {
            let text = format!("{name} cannot be used: PACKET_VNET_HDR is not set on it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        sys::set_nonblocking(&fd)
            .map_err(|error| failed(format_args!("cannot make {name} non-blocking"), &error, ""))?;
        Ok(Self {
            channel: Channel::new(fd, name, true).separate_datagrams(Medium::Ethernet),
            mtu,
        })
    }

    /// Opens a socket on a veth pair of which both ends are in the current network namespace: `theirs`
    /// is the one that the kernel uses, `ours` the one that only this socket uses.
    ///
    /// Frames are taken where `theirs` sends them, not where `ours` receives them: between the two each
    /// processor has a queue of its own, so that a sender that runs on several processors overtakes
    /// itself, which TCP takes for loss. It also saves the way through that queue.
    ///
    /// # Errors
    /// When the socket cannot be made or an interface does not exist; the text says what is missing.
    pub fn open_pair(ours: &str, theirs: &str) -> io::Result<Self> {
        let mtu = sys::interface::mtu(ours)?;
        let index = sys::interface::index(theirs)?;
        let fd = sys::packet::open(theirs, index, Capture::Leaving)?;
        Self::from_pair_fd(fd, mtu, ours)
    }

    /// As [`PacketSocket::open`], so many sockets that receive a part of the frames each, to be used on different
    /// processors (`PACKET_FANOUT`). All frames go to the first until [`Device::divide`] says how to spread them. Some
    /// kernels want the interface to be up.
    ///
    /// # Errors
    /// As [`PacketSocket::open`].
    pub fn open_queues(interface: &str, queues: usize) -> io::Result<Vec<Self>> {
        let index = sys::interface::index(interface)?;
        let mtu = sys::interface::mtu(interface)?;
        let open = |_| sys::packet::open(interface, index, Capture::Arriving);
        let sockets = (0..queues).map(open).collect::<io::Result<Vec<_>>>()?;
        sys::packet::join(&sockets, interface)?;
        let attach = |fd| Self::attach(fd, mtu, interface.to_owned());
        sockets.into_iter().map(attach).collect()
    }

    /// As [`PacketSocket::open_pair`], so many sockets that receive a part of the frames each, see
    /// [`PacketSocket::open_queues`].
    ///
    /// # Errors
    /// As [`PacketSocket::open_pair`].
    pub fn open_pair_queues(ours: &str, theirs: &str, queues: usize) -> io::Result<Vec<Self>> {
        let mtu = sys::interface::mtu(ours)?;
        let index = sys::interface::index(theirs)?;
        let open = |_| sys::packet::open(theirs, index, Capture::Leaving);
        let sockets = (0..queues).map(open).collect::<io::Result<Vec<_>>>()?;
        sys::packet::join(&sockets, theirs)?;
        let attach = |fd| Self::from_pair_fd(fd, mtu, ours);
        sockets.into_iter().map(attach).collect()
    }

    /// Takes over a packet socket that [`PacketSocket::open_pair`] made, perhaps in another network
    /// namespace, and [`PacketSocket::into_fd`] gave. `mtu` repeats the interface's MTU, and `ours` is
    /// the name of our end in the socket's namespace.
    ///
    /// # Errors
    /// When the descriptor is not such a socket, or the interface is not in its namespace.
    pub fn from_pair_fd(fd: OwnedFd, mtu: usize, ours: &str) -> io::Result<Self> {
        let index = sys::interface::index_beside(&fd, ours)?;
        let Self { channel, mtu } = Self::attach(fd, mtu, ours.to_owned())?;
        Ok(Self {
            channel: channel.send_through(index),
            mtu,
        })
    }

    /// Receives into a ring of 240 frames in 16 MiB of memory shared with the kernel, if the socket's
    /// buffer is smaller than it should be and the kernel has such a ring (from Linux 6.2 on); as before
    /// otherwise. Frames that wait in the socket are lost: do this before there is traffic.
    ///
    /// Without privileges the buffer is limited by `net.core.rmem_max`, on most systems to six packets
    /// of 64 KiB; a kernel that sends fast loses packets there. The ring has no such limit. It costs a
    /// second copy of each frame, in the sender's time, which a large buffer does not.
    ///
    /// Meant for a socket of [`PacketSocket::open_pair`]. At the interface of a network, frames may
    /// arrive that the vnet header cannot express, which block the ring.
    #[must_use]
    pub fn with_ring(mut self) -> Self {
        if sys::packet::has_full_buffer(self.channel.fd()) {
            return self;
        }
        // Without a ring everything works, only with less room.
        let _ = self.channel.set_ring();
        self
    }

    /// Whether frames arrive in a ring, see [`PacketSocket::with_ring`].
    #[must_use]
    pub fn has_ring(&self) -> bool {
        self.channel.has_ring()
    }

    /// The descriptor, to be given to another process. A ring stays behind.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.channel.into_fd()
    }

    /// Frames that the kernel dropped since the last call because there was no room for them.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn take_overflows(&mut self) -> io::Result<u64> {
        sys::packet::take_drops(self.channel.fd(), self.channel.name())
    }

    /// To call [`PacketSocket::take_overflows`] when the device has been given away.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn overflows(&self) -> io::Result<Overflows> {
        Ok(Overflows {
            fd: self.channel.fd().try_clone_to_owned()?,
            name: self.channel.name().to_owned(),
        })
    }
}

/// Tells how many frames a [`PacketSocket`] that is elsewhere could not take.
#[derive(Debug)]
pub struct Overflows {
    fd: OwnedFd,
    name: String,
}

impl Overflows {
    /// See [`PacketSocket::take_overflows`]; the two share one count.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn take(&self) -> io::Result<u64> {
        sys::packet::take_drops(&self.fd, &self.name)
    }
}

impl Device for PacketSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ethernet,
            tx_checksum: true,
            max_gso: MAX_GSO,
            ..Capabilities::ethernet(self.mtu)
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

    fn divide(&mut self, flows: &Flows) -> io::Result<()> {
        if !sys::packet::is_joined(self.channel.fd()) {
            return Ok(());
        }
        sys::packet::choose_by(self.channel.fd(), flows.filter()).map_err(|error| {
            let name = self.channel.name();
            failed(
                format_args!("cannot say which frames of {name} go to which socket"),
                &error,
                "",
            )
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Fd(self.channel.fd())
    }

    fn counters(&self) -> DeviceCounters {
        self.channel.counters()
    }
}
