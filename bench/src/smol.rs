//! smoltcp on the same device and doing the same work, and two of its sockets in memory.

use std::cell::RefCell;
use std::io;
use std::net::{AddrParseError, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{
    Checksum, Device, DeviceCapabilities, Medium, RxToken, TunTapInterface, TxToken,
};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::net::{self, ECHO, REQUESTS, Roles, SINK, SOURCE};
use crate::null::{fold, sum};
use crate::sys::{self, VNET_HEADER};
use crate::trial::{CONNECT_WARM_UP, CONNECT_WINDOW, Stack, Trial, Work};

/// Listening sockets for connections of one byte.
const POOL: usize = 64;
/// Buffer of each of those, in bytes.
pub(crate) const POOL_BUFFER: usize = 4096;

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

pub(crate) fn socket(receive: usize, send: usize) -> Socket<'static> {
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
    let mut work = Application::new(&mut sockets, trial, roles).map_err(io::Error::other)?;
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
    Connects(Clients, Count),
}

impl Application {
    /// With sockets for the work alone: each of them is looked at in every poll.
    fn new(
        sockets: &mut SocketSet<'_>,
        trial: &Trial,
        roles: &Roles,
    ) -> Result<Self, AddrParseError> {
        if let Work::Connect(at_once) = trial.work {
            let handles = (0..at_once).map(|_| sockets.add(socket(POOL_BUFFER, POOL_BUFFER)));
            let to: Ipv4Addr = net::KERNEL_ADDRESS.parse()?;
            let clients = Clients::new((to.into(), REQUESTS), handles.collect());
            return Ok(Self::Connects(clients, Count::new()));
        }
        let pool = if matches!(trial.work, Work::Accept(_)) {
            POOL
        } else {
            trial.idle
        };
        let source = sockets.add(socket(4096, roles.buffer));
        let sink = sockets.add(socket(roles.buffer, 4096));
        let mut echoes = vec![sockets.add(socket(POOL_BUFFER, POOL_BUFFER))];
        echoes.extend((0..pool).map(|_| sockets.add(socket(POOL_BUFFER, POOL_BUFFER))));
        Ok(Self::Serves {
            source,
            sink,
            echoes,
        })
    }

    /// True when everything is done.
    fn act(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'_>) -> io::Result<bool> {
        let (source, sink, echoes) = match self {
            Self::Connects(clients, count) => {
                clients.act(interface, sockets)?;
                return Ok(count.look(clients.done));
            }
            Self::Serves {
                source,
                sink,
                echoes,
            } => (source, sink, echoes),
        };
        let socket = sockets.get_mut::<Socket<'_>>(*source);
        if !socket.is_open() {
            listen(socket, SOURCE)?;
        }
        while socket.can_send() && socket.send(|room| (room.len(), room.len())).unwrap_or(0) > 0 {}
        if socket.may_send() && !socket.may_recv() {
            socket.close();
        }
        let socket = sockets.get_mut::<Socket<'_>>(*sink);
        if !socket.is_open() {
            listen(socket, SINK)?;
        }
        while socket.can_recv() && socket.recv(|data| (data.len(), data.len())).is_ok() {}
        if socket.state() == State::CloseWait {
            socket.close();
        }
        for (at, echo) in echoes.iter().enumerate() {
            let port = if at == 0 { ECHO } else { REQUESTS };
            send_back(sockets.get_mut(*echo), port)?;
        }
        Ok(false)
    }
}

pub(crate) fn listen(socket: &mut Socket<'_>, port: u16) -> io::Result<()> {
    let listens = socket.listen(port);
    listens.map_err(|_| io::Error::other("smoltcp refused to listen"))
}

/// Listens where nobody is connected, and sends back what comes.
pub(crate) fn send_back(socket: &mut Socket<'_>, port: u16) -> io::Result<()> {
    if !socket.is_open() {
        listen(socket, port)?;
    }
    while socket.can_recv() && socket.can_send() {
        let mut buffer = [0; 64];
        let n = socket.recv_slice(&mut buffer).unwrap_or(0);
        // It has room.
        let _ = socket.send_slice(&buffer[..n]);
    }
    if socket.state() == State::CloseWait {
        socket.close();
    }
    Ok(())
}

/// Sockets that connect again and again; a byte goes there and back.
pub(crate) struct Clients {
    to: (IpAddress, u16),
    handles: Vec<SocketHandle>,
    /// Whether the byte of each is on its way.
    asked: Vec<bool>,
    port: u16,
    /// Connections whose byte came back.
    pub(crate) done: u64,
}

impl Clients {
    pub(crate) fn new(to: (IpAddress, u16), handles: Vec<SocketHandle>) -> Self {
        Self {
            to,
            asked: vec![false; handles.len()],
            handles,
            port: *net::PORTS.start(),
            done: 0,
        }
    }

    pub(crate) fn act(
        &mut self,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
    ) -> io::Result<()> {
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
                    .connect(interface.context(), self.to, self.port)
                    .map_err(|_| io::Error::other("smoltcp refused to connect"))?;
            } else if !*asked && socket.can_send() {
                *asked = socket.send_slice(&[7]).is_ok();
            } else if socket.can_recv() {
                let mut byte = [0];
                self.done += socket.recv_slice(&mut byte).unwrap_or(0) as u64;
                socket.close();
            }
        }
        Ok(())
    }
}

/// Counts for a while after a warm-up.
struct Count {
    started: std::time::Instant,
    /// When counting began, and from what.
    since: Option<(std::time::Instant, u64)>,
}

impl Count {
    fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
            since: None,
        }
    }

    /// Tells the rate when the time is over; true then.
    fn look(&mut self, done: u64) -> bool {
        match self.since {
            None if self.started.elapsed() >= CONNECT_WARM_UP => {
                self.since = Some((std::time::Instant::now(), done));
            }
            Some((since, before)) if since.elapsed() >= CONNECT_WINDOW => {
                let rate = (done - before) as f64 / since.elapsed().as_secs_f64();
                crate::trial::say(&rate.to_string());
                return true;
            }
            _ => {}
        }
        false
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
