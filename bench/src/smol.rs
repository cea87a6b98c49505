//! smoltcp on the same device and doing the same work, and two of its sockets in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TunTapInterface,
    TxToken,
};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::memory::{Load, Transfer};
use crate::net::{self, ECHO, REQUESTS, Roles, SINK, SOURCE};
use crate::null::{fold, sum};
use crate::sys::{self, VNET_HEADER};
use crate::trial::{CONNECT_WARM_UP, CONNECT_WINDOW, Stack, Trial, Work};

/// Listening sockets for connections of one byte.
const POOL: usize = 64;
/// Buffer of each of those, in bytes.
const POOL_BUFFER: usize = 4096;

/// smoltcp behind its own TUN device, as shipped.
pub(crate) fn serve_stock(trial: &Trial, roles: &Roles) -> io::Result<()> {
    net::ip(&["tuntap", "add", "mode", "tun", "name", &roles.device])?;
    roles.configure()?;
    let mut device = TunTapInterface::new(&roles.device, Medium::Ip)?;
    let fd = device.as_raw_fd();
    serve(&mut device, fd, trial, roles)
}

/// smoltcp behind a device written for the comparison, which does not allocate. With virtio headers the kernel hands over
/// super-segments and leaves checksums out; smoltcp itself cannot send super-segments.
pub(crate) fn serve_ours(trial: &Trial, roles: &Roles) -> io::Result<()> {
    let fd = sys::open_tun(&roles.device, roles.vnet)?;
    roles.configure()?;
    let mut device = OurDevice {
        fd,
        mtu: roles.mtu,
        header: if roles.vnet { VNET_HEADER } else { 0 },
        rx: vec![0; 70_000],
        tx: RefCell::new(vec![0; 70_000]),
    };
    let fd = device.fd.as_raw_fd();
    serve(&mut device, fd, trial, roles)
}

fn socket(receive: usize, send: usize) -> Socket<'static> {
    let mut socket = Socket::new(
        SocketBuffer::new(vec![0; receive]),
        SocketBuffer::new(vec![0; send]),
    );
    socket.set_nagle_enabled(false);
    socket
}

fn serve<D: Device>(device: &mut D, fd: i32, trial: &Trial, roles: &Roles) -> io::Result<()> {
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), device, Instant::now());
    let address: IpAddress = net::STACK
        .parse()
        .map_err(|_| io::Error::other("address"))?;
    interface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(address, 24)));
    let mut sockets = SocketSet::new(Vec::new());
    let mut work = Application::new(&mut sockets, trial, roles);
    let spinning = matches!(trial.stack, Stack::SmoltcpSpinning(_));
    let mut told = false;
    loop {
        let now = Instant::now();
        interface.poll(now, device, &mut sockets);
        if work.act(&mut interface, &mut sockets)? {
            return Ok(());
        }
        if !told {
            net::ready();
            told = true;
        }
        match interface.poll_at(now, &sockets) {
            _ if spinning => {}
            Some(at) if now < at => sys::wait_readable(&fd, (at - now).total_micros()),
            Some(_) => {}
            None => sys::wait_readable(&fd, 1_000_000),
        }
    }
}

/// What is done with the sockets between two polls.
enum Application {
    Serves {
        source: SocketHandle,
        sink: SocketHandle,
        /// The first is for [`ECHO`], all others for [`REQUESTS`].
        echoes: Vec<SocketHandle>,
    },
    Connects(Clients),
}

impl Application {
    /// With sockets for the work alone: each of them is looked at in every poll.
    fn new(sockets: &mut SocketSet<'_>, trial: &Trial, roles: &Roles) -> Self {
        if let Work::Connect(at_once) = trial.work {
            let handles = (0..at_once).map(|_| sockets.add(socket(POOL_BUFFER, POOL_BUFFER)));
            return Self::Connects(Clients::new(handles.collect()));
        }
        let pool = if matches!(trial.work, Work::Accept(_)) {
            POOL
        } else {
            0
        };
        let source = sockets.add(socket(4096, roles.buffer));
        let sink = sockets.add(socket(roles.buffer, 4096));
        let mut echoes = vec![sockets.add(socket(POOL_BUFFER, POOL_BUFFER))];
        echoes.extend((0..pool).map(|_| sockets.add(socket(POOL_BUFFER, POOL_BUFFER))));
        Self::Serves {
            source,
            sink,
            echoes,
        }
    }

    /// True when everything is done.
    fn act(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'_>) -> io::Result<bool> {
        let (source, sink, echoes) = match self {
            Self::Connects(clients) => return clients.act(interface, sockets),
            Self::Serves {
                source,
                sink,
                echoes,
            } => (source, sink, echoes),
        };
        let broken = |_| io::Error::other("smoltcp refused to listen");
        let socket = sockets.get_mut::<Socket<'_>>(*source);
        if !socket.is_open() {
            socket.listen(SOURCE).map_err(broken)?;
        }
        while socket.can_send() && socket.send(|room| (room.len(), room.len())).unwrap_or(0) > 0 {}
        if socket.may_send() && !socket.may_recv() {
            socket.close();
        }
        let socket = sockets.get_mut::<Socket<'_>>(*sink);
        if !socket.is_open() {
            socket.listen(SINK).map_err(broken)?;
        }
        while socket.can_recv() && socket.recv(|data| (data.len(), data.len())).is_ok() {}
        if socket.state() == State::CloseWait {
            socket.close();
        }
        let mut buffer = [0; 64];
        for (at, echo) in echoes.iter().enumerate() {
            let socket = sockets.get_mut::<Socket<'_>>(*echo);
            if !socket.is_open() {
                let port = if at == 0 { ECHO } else { REQUESTS };
                socket.listen(port).map_err(broken)?;
            }
            while socket.can_recv() && socket.can_send() {
                let n = socket.recv_slice(&mut buffer).unwrap_or(0);
                // It has room.
                let _ = socket.send_slice(&buffer[..n]);
            }
            if socket.state() == State::CloseWait {
                socket.close();
            }
        }
        Ok(false)
    }
}

/// Sockets that connect to the kernel again and again.
struct Clients {
    handles: Vec<SocketHandle>,
    /// Whether the byte of each is on its way.
    asked: Vec<bool>,
    port: u16,
    done: u64,
    started: std::time::Instant,
    /// When counting began, and from what.
    counting: Option<(std::time::Instant, u64)>,
}

impl Clients {
    fn new(handles: Vec<SocketHandle>) -> Self {
        Self {
            asked: vec![false; handles.len()],
            handles,
            port: *net::PORTS.start(),
            done: 0,
            started: std::time::Instant::now(),
            counting: None,
        }
    }

    fn act(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'_>) -> io::Result<bool> {
        let address: IpAddress = net::KERNEL_ADDRESS
            .parse()
            .map_err(|_| io::Error::other("address"))?;
        for (handle, asked) in self.handles.iter().zip(&mut self.asked) {
            let socket = sockets.get_mut::<Socket<'_>>(*handle);
            if socket.state() == State::TimeWait {
                // smoltcp keeps the socket for its time; the port is not used again so soon.
                socket.abort();
            }
            if !socket.is_open() {
                *asked = false;
                self.port = if self.port < *net::PORTS.end() {
                    self.port + 1
                } else {
                    *net::PORTS.start()
                };
                socket
                    .connect(interface.context(), (address, REQUESTS), self.port)
                    .map_err(|_| io::Error::other("smoltcp refused to connect"))?;
            } else if !*asked && socket.can_send() {
                *asked = socket.send_slice(&[7]).is_ok();
            } else if socket.can_recv() {
                let mut byte = [0];
                self.done += socket.recv_slice(&mut byte).unwrap_or(0) as u64;
                socket.close();
            }
        }
        match self.counting {
            None if self.started.elapsed() >= CONNECT_WARM_UP => {
                self.counting = Some((std::time::Instant::now(), self.done));
            }
            Some((since, before)) if since.elapsed() >= CONNECT_WINDOW => {
                let rate = (self.done - before) as f64 / since.elapsed().as_secs_f64();
                crate::trial::say(&rate.to_string());
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}

struct OurDevice {
    fd: OwnedFd,
    mtu: usize,
    /// Length of the header in front of each packet.
    header: usize,
    rx: Vec<u8>,
    tx: RefCell<Vec<u8>>,
}

struct Received<'a>(&'a [u8]);
struct Sending<'a>(&'a OurDevice);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let Self(device) = self;
        let mut buffer = device.tx.borrow_mut();
        let result = f(&mut buffer[device.header..device.header + length]);
        let (header, packet) = buffer.split_at_mut(device.header);
        header.fill(0);
        if device.header > 0 && length >= 40 && packet[0] == 0x45 && packet[9] == 6 {
            let pseudo = sum(6 + (length - 20) as u32, &packet[12..20]);
            packet[36..38].copy_from_slice(&fold(pseudo).to_be_bytes());
            header[0] = 1;
            header[6..8].copy_from_slice(&20u16.to_ne_bytes());
            header[8..10].copy_from_slice(&16u16.to_ne_bytes());
        }
        sys::write(&device.fd, &buffer[..device.header + length]);
        result
    }
}

impl Device for OurDevice {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        if self.header > 0 {
            capabilities.checksum.tcp = Checksum::None;
        }
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let n = sys::read(&self.fd, &mut self.rx)?;
        let device = &*self;
        Some((Received(device.rx.get(device.header..n)?), Sending(device)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(self))
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
