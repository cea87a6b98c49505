//! Our end of the wire: hand-made packets over any device, with the kernel at the other end.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use transom_device::{Device, PacketSocket, Readiness, Tun, TunOptions};
use transom_wire::ethernet::{EtherType, Header as EthernetHeader, MacAddr};
use transom_wire::frame::{HeaderBuf, Medium, Payload, RxChecksum, RxFrame, TxFrame, TxOffload};
use transom_wire::icmpv6;
use transom_wire::ip::{Packet, Protocol, ipv4, ipv6};

use super::namespace::run;

pub(crate) const KERNEL_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// How long the kernel may take for an answer. It takes microseconds; the rest is for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Usual value of `net.core.rmem_max`, bytes.
pub(crate) const USUAL_LIMIT: usize = 212_992;

/// The addresses of both ends in one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) kernel: IpAddr,
    pub(crate) ours: IpAddr,
}

pub(crate) const V4: Ends = Ends {
    kernel: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)),
    ours: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)),
};

pub(crate) const V6: Ends = Ends {
    kernel: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    ours: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
};

pub(crate) struct Wire {
    pub(crate) device: Box<dyn Device>,
    received: VecDeque<RxFrame>,
}

/// A TUN device, with the kernel's addresses on its interface.
pub(crate) fn tun(vnet: bool) -> Wire {
    let options = TunOptions::new("tun%d").vnet(vnet);
    let tun = Tun::open(&options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tun.name(), "tun0");
    run("ip addr add 10.9.0.1/24 dev tun0");
    run("ip addr add fd00::1/64 dev tun0 nodad");
    Wire::new(Box::new(tun))
}

/// A packet socket on one end of a veth pair, or on both; the kernel's addresses are on the other.
pub(crate) fn veth(both: bool) -> Wire {
    Wire::new(Box::new(veth_socket(both)))
}

/// As [`veth`] on both ends, with a ring.
pub(crate) fn veth_with_ring() -> Wire {
    Wire::new(Box::new(with_ring(veth_socket(true))))
}

/// With the buffer that an ordinary user gets on most systems, so that a ring is of use.
pub(crate) fn with_ring(socket: PacketSocket) -> PacketSocket {
    let Readiness::Fd(fd) = socket.readiness() else {
        panic!("a packet socket has a descriptor")
    };
    setsockopt(&fd, RcvBuf, &USUAL_LIMIT).unwrap();
    let socket = socket.with_ring();
    assert!(socket.has_ring(), "the kernel gives no ring");
    socket
}

/// A veth pair: `kernel0` with the kernel's addresses, and `ours0`.
pub(crate) fn veth_pair() {
    run(
        "ip link add kernel0 address 02:00:00:00:00:01 type veth peer name ours0 address 02:00:00:00:00:02",
    );
    // The kernel must stay silent on our end.
    run("ip link set ours0 addrgenmode none arp off");
    run("ip link set kernel0 up");
    run("ip link set ours0 up");
    run("ip addr add 10.9.0.1/24 dev kernel0");
    run("ip addr add fd00::1/64 dev kernel0 nodad");
    run("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev kernel0");
    run("ip neigh replace fd00::2 lladdr 02:00:00:00:00:02 dev kernel0");
}

pub(crate) fn veth_socket(both: bool) -> PacketSocket {
    veth_pair();
    let socket = if both {
        PacketSocket::open_pair("ours0", "kernel0")
    } else {
        PacketSocket::open("ours0")
    };
    socket.unwrap_or_else(|error| panic!("{error}"))
}

impl Wire {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        Self {
            device,
            received: VecDeque::new(),
        }
    }

    fn link_header_len(&self) -> usize {
        match self.device.capabilities().medium {
            Medium::Ip => 0,
            Medium::Ethernet => EthernetHeader::LEN,
        }
    }

    /// Whether the device takes over checksums and segmentation.
    pub(crate) fn offloads(&self) -> bool {
        self.device.capabilities().tx_checksum && self.device.capabilities().has_gso()
    }

    /// Whether the device fills in checksums.
    pub(crate) fn fills_checksums(&self) -> bool {
        self.device.capabilities().tx_checksum
    }

    /// Sends an IP packet. Offsets of `offload` count from the transport header and are put right here.
    pub(crate) fn send(
        &mut self,
        ends: Ends,
        protocol: Protocol,
        transport: &[u8],
        payload: Payload,
        offload: TxOffload,
    ) {
        let mut headers = HeaderBuf::new();
        if self.link_header_len() > 0 {
            let ether_type = if ends.ours.is_ipv4() {
                EtherType::IPV4
            } else {
                EtherType::IPV6
            };
            let link = EthernetHeader {
                dst: KERNEL_MAC,
                src: OUR_MAC,
                ether_type,
            };
            link.emit(headers.grow(EthernetHeader::LEN).unwrap());
        }
        let len = transport.len() + payload.len();
        match (ends.ours, ends.kernel) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = ipv4::Header::new(src, dst, protocol);
                header.emit(headers.grow(20).unwrap(), len);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let header = ipv6::Header::new(src, dst, protocol);
                header.emit(headers.grow(40).unwrap(), len);
            }
            _ => panic!("{ends:?} are of two families"),
        }
        let start = headers.len() as u16;
        assert!(headers.extend(transport));
        let offload = match offload {
            TxOffload::None => TxOffload::None,
            TxOffload::Checksum { offset, .. } => TxOffload::Checksum { start, offset },
            TxOffload::Segment {
                gso_size,
                checksum_offset,
                ..
            } => TxOffload::Segment {
                ipv6: ends.ours.is_ipv6(),
                gso_size,
                header_len: headers.len() as u16,
                checksum_start: start,
                checksum_offset,
            },
        };
        self.send_frame(TxFrame {
            headers,
            payload,
            offload,
        });
    }

    pub(crate) fn send_frame(&mut self, frame: TxFrame) {
        let mut frames = VecDeque::from([frame]);
        while let Err(error) = self.device.send(&mut frames) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            self.wait(PollFlags::POLLOUT);
        }
        assert!(frames.is_empty());
    }

    /// The next IP packet from the kernel's address for which `wanted` finds something.
    pub(crate) fn recv<T>(&mut self, ends: Ends, wanted: impl Fn(&Received) -> Option<T>) -> T {
        let link_header = self.link_header_len();
        self.until("the kernel sends something of the kind", |received| {
            while let Some(frame) = received.pop_front() {
                let packet = Received::new(&frame, link_header).filter(|p| p.is_from(ends));
                if let Some(found) = packet.as_ref().and_then(&wanted) {
                    return Some(found);
                }
            }
            None
        })
    }

    /// Keeps the device going until something is there.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&mut VecDeque<RxFrame>) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&mut self.received) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            let mut out = Vec::new();
            match self.device.recv(&mut out, 64) {
                Ok(count) => assert_eq!(count, out.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLIN);
                }
                Err(error) => panic!("{error}"),
            }
            self.received.extend(out);
        }
    }

    /// Waits until the kernel answers to its IPv6 address, which it sets up in the background and
    /// until then ignores.
    pub(crate) fn settle_ipv6(&mut self) {
        let (IpAddr::V6(ours), IpAddr::V6(kernel)) = (V6.ours, V6.kernel) else {
            panic!("{V6:?} is not IPv6")
        };
        let request = icmpv6::Message::EchoRequest {
            id: 1,
            seq: 1,
            data: b"",
        };
        let mut bytes = vec![0; request.len()];
        request.emit(&mut bytes, ours, kernel);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(
                Instant::now() < deadline,
                "the kernel's IPv6 address stays silent"
            );
            self.send(
                V6,
                Protocol::ICMPV6,
                &bytes,
                Payload::new(),
                TxOffload::None,
            );
            self.wait(PollFlags::POLLIN);
            let mut out = Vec::new();
            let _ = self.device.recv(&mut out, 64);
            let link = self.link_header_len();
            let mut answers = out.iter().filter_map(|frame| Received::new(frame, link));
            if answers.any(|answer| answer.is_from(V6)) {
                return;
            }
        }
    }

    fn wait(&self, events: PollFlags) {
        let fd: BorrowedFd<'_> = match self.device.readiness() {
            Readiness::Fd(fd) => fd,
            other => panic!("{other:?} is not a descriptor"),
        };
        // A device that delays frames must also be asked when its deadline has come.
        let deadline = self.device.next_deadline();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()).as_millis() + 1);
        let timeout = PollTimeout::from(left.map_or(20, |left| left.min(20) as u16));
        poll(&mut [PollFd::new(fd, events)], timeout).unwrap();
    }
}

/// An IP packet as the device gave it.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) checksum: RxChecksum,
    pub(crate) gso_size: u16,
}

impl Received {
    fn new(frame: &RxFrame, link_header: usize) -> Option<Self> {
        let bytes = (frame.data.len() > link_header).then(|| frame.data.slice(link_header..))?;
        Some(Self {
            bytes,
            checksum: frame.checksum,
            gso_size: frame.gso_size,
        })
    }

    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet::new(&self.bytes).unwrap_or_else(|error| panic!("the kernel sent {error:?}"))
    }

    fn is_from(&self, ends: Ends) -> bool {
        // Neighbour and router discovery use other addresses.
        let packet = Packet::lax(&self.bytes);
        packet.is_ok_and(|packet| packet.src() == ends.kernel && packet.dst() == ends.ours)
    }
}
