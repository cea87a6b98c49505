//! smoltcp on the same device and doing the same work, and two of its sockets in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TunTapInterface,
    TxToken,
};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::memory::{Load, Transfer};
use crate::net::{self, Roles, SINK, SOURCE};
use crate::null::{fold, sum};
use crate::sys::{self, VNET_HEADER};

/// smoltcp behind its own TUN device, as shipped.
pub(crate) fn serve_stock(roles: &Roles) -> io::Result<()> {
    net::ip(&["tuntap", "add", "mode", "tun", "name", &roles.device])?;
    roles.configure()?;
    let mut device = TunTapInterface::new(&roles.device, Medium::Ip)?;
    let fd = device.as_raw_fd();
    serve(&mut device, fd, roles)
}

/// smoltcp behind a device with virtio headers, written for the comparison: the kernel hands over
/// super-segments and leaves checksums out; smoltcp itself cannot send super-segments.
pub(crate) fn serve_vnet(roles: &Roles) -> io::Result<()> {
    let fd = sys::open_tun(&roles.device, true)?;
    roles.configure()?;
    let mut device = Vnet {
        fd,
        mtu: roles.mtu,
        rx: vec![0; 70_000],
        tx: RefCell::new(vec![0; 70_000]),
    };
    let fd = device.fd.as_raw_fd();
    serve(&mut device, fd, roles)
}

fn socket(receive: usize, send: usize) -> Socket<'static> {
    let mut socket = Socket::new(
        SocketBuffer::new(vec![0; receive]),
        SocketBuffer::new(vec![0; send]),
    );
    socket.set_nagle_enabled(false);
    socket
}

fn serve<D: Device>(device: &mut D, fd: i32, roles: &Roles) -> io::Result<()> {
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), device, Instant::now());
    let address: IpAddress = net::STACK
        .parse()
        .map_err(|()| io::Error::other("address"))?;
    interface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(address, 24)));
    let mut sockets = SocketSet::new(Vec::new());
    let source = sockets.add(socket(4096, roles.buffer));
    let sink = sockets.add(socket(roles.buffer, 4096));
    let broken = |_| io::Error::other("smoltcp refused to listen");
    let mut told = false;
    loop {
        let now = Instant::now();
        interface.poll(now, device, &mut sockets);
        let socket = sockets.get_mut::<Socket<'_>>(source);
        if !socket.is_open() {
            socket.listen(SOURCE).map_err(broken)?;
        }
        while socket.can_send() && socket.send(|room| (room.len(), room.len())).unwrap_or(0) > 0 {}
        if socket.may_send() && !socket.may_recv() {
            socket.close();
        }
        let socket = sockets.get_mut::<Socket<'_>>(sink);
        if !socket.is_open() {
            socket.listen(SINK).map_err(broken)?;
        }
        while socket.can_recv() && socket.recv(|data| (data.len(), data.len())).is_ok() {}
        if socket.state() == State::CloseWait {
            socket.close();
        }
        if !told {
            net::ready();
            told = true;
        }
        match interface.poll_at(now, &sockets) {
            Some(at) if now < at => sys::wait_readable(&fd, (at - now).total_micros()),
            Some(_) => {}
            None => sys::wait_readable(&fd, 1_000_000),
        }
    }
}

struct Vnet {
    fd: OwnedFd,
    mtu: usize,
    rx: Vec<u8>,
    tx: RefCell<Vec<u8>>,
}

struct Received<'a>(&'a [u8]);
struct Sending<'a>(&'a OwnedFd, &'a RefCell<Vec<u8>>);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut buffer = self.1.borrow_mut();
        let result = f(&mut buffer[VNET_HEADER..VNET_HEADER + length]);
        let (header, packet) = buffer.split_at_mut(VNET_HEADER);
        header.fill(0);
        if length >= 40 && packet[0] == 0x45 && packet[9] == 6 {
            let pseudo = sum(6 + (length - 20) as u32, &packet[12..20]);
            packet[36..38].copy_from_slice(&fold(pseudo).to_be_bytes());
            header[0] = 1;
            header[6..8].copy_from_slice(&20u16.to_ne_bytes());
            header[8..10].copy_from_slice(&16u16.to_ne_bytes());
        }
        sys::write(self.0, &buffer[..VNET_HEADER + length]);
        result
    }
}

impl Device for Vnet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let n = sys::read(&self.fd, &mut self.rx)?;
        Some((
            Received(self.rx.get(VNET_HEADER..n)?),
            Sending(&self.fd, &self.tx),
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&self.fd, &self.tx))
    }
}

type Frames = RefCell<(VecDeque<Vec<u8>>, Vec<Vec<u8>>)>;

struct Memory {
    frames: Frames,
    mtu: usize,
    checksums: bool,
}

struct FromMemory<'a>(Vec<u8>, &'a Frames);
struct ToMemory<'a>(&'a Frames);

impl RxToken for FromMemory<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().1.push(self.0);
        result
    }
}

impl TxToken for ToMemory<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = self.0.borrow_mut().1.pop().unwrap_or_default();
        frame.resize(length, 0);
        let result = f(&mut frame);
        self.0.borrow_mut().0.push_back(frame);
        result
    }
}

impl Device for Memory {
    type RxToken<'a> = FromMemory<'a>;
    type TxToken<'a> = ToMemory<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        if !self.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(FromMemory<'_>, ToMemory<'_>)> {
        let frame = self.frames.borrow_mut().0.pop_front()?;
        Some((FromMemory(frame, &self.frames), ToMemory(&self.frames)))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToMemory<'_>> {
        Some(ToMemory(&self.frames))
    }
}

/// Two sockets of one smoltcp interface, the application copying in and out with 64 KiB buffers.
pub(crate) fn in_memory(load: Load) -> io::Result<Transfer> {
    let mut device = Memory {
        frames: Frames::default(),
        mtu: load.mtu,
        checksums: load.checksums,
    };
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        _ = addresses.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8))
    });
    let mut sockets = SocketSet::new(Vec::new());
    let server = sockets.add(socket(load.buffer, 4096));
    let client = sockets.add(socket(4096, load.buffer));
    let broken = |_| io::Error::other("smoltcp refused to listen");
    sockets
        .get_mut::<Socket<'_>>(server)
        .listen(1234)
        .map_err(broken)?;
    let to = (IpAddress::v4(127, 0, 0, 1), 1234);
    let connected = sockets
        .get_mut::<Socket<'_>>(client)
        .connect(interface.context(), to, 65_000);
    connected.map_err(|_| io::Error::other("smoltcp refused to connect"))?;
    let mut application = vec![1u8; 65_536];
    let mut received = 0;
    let started = std::time::Instant::now();
    while received < load.bytes {
        interface.poll(Instant::now(), &mut device, &mut sockets);
        let socket = sockets.get_mut::<Socket<'_>>(server);
        while socket.can_recv() {
            received += socket.recv_slice(&mut application).unwrap_or(0);
        }
        let socket = sockets.get_mut::<Socket<'_>>(client);
        while socket.can_send() && socket.send_slice(&application).unwrap_or(0) > 0 {}
    }
    Ok(Transfer {
        bytes: received,
        elapsed: started.elapsed(),
    })
}
