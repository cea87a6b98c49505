//! smoltcp with itself: sockets of one interface, in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::Socket;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::memory::{Connections, Load, Transfer};
use crate::smol::{Clients, POOL_BUFFER, listen, send_back, socket};

const LOOPBACK: IpAddress = IpAddress::v4(127, 0, 0, 1);
/// Where the server's sockets listen.
const PORT: u16 = 1234;

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

impl Memory {
    fn new(mtu: usize, checksums: bool) -> Self {
        Self {
            frames: Frames::default(),
            mtu,
            checksums,
        }
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

fn interface(device: &mut Memory) -> Interface {
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, device, Instant::now());
    interface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(LOOPBACK, 8)));
    interface
}

/// Two sockets of one smoltcp interface, the application copying in and out with 64 KiB buffers.
pub(crate) fn bulk(load: Load) -> io::Result<Transfer> {
    let mut device = Memory::new(load.mtu, load.checksums);
    let mut interface = interface(&mut device);
    let mut sockets = SocketSet::new(Vec::new());
    let server = sockets.add(socket(load.buffer, 4096));
    let client = sockets.add(socket(4096, load.buffer));
    listen(sockets.get_mut(server), PORT)?;
    let to = (LOOPBACK, PORT);
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

/// Connections from sockets to others of the same interface; a byte goes there and back, and who connected closes.
///
/// Where a socket would stay in TIME-WAIT it resets the connection.
pub(crate) fn connections(load: Connections) -> io::Result<Duration> {
    let mut device = Memory::new(1500, true);
    let mut interface = interface(&mut device);
    let mut sockets = SocketSet::new(Vec::new());
    let mut add = || sockets.add(socket(POOL_BUFFER, POOL_BUFFER));
    let clients = (0..load.at_once).map(|_| add()).collect();
    // One that closes is not yet there for the next.
    let servers: Vec<SocketHandle> = (0..2 * load.at_once).map(|_| add()).collect();
    let mut clients = Clients::new((LOOPBACK, PORT), clients);
    let started = std::time::Instant::now();
    while load.goes_on(started, clients.done)? {
        interface.poll(Instant::now(), &mut device, &mut sockets);
        for server in &servers {
            send_back(sockets.get_mut(*server), PORT)?;
        }
        clients.act(&mut interface, &mut sockets)?;
    }
    Ok(started.elapsed())
}
