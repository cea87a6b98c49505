//! smoltcp at the near end, behind its own packet socket.

use std::cell::Cell as Shared;
use std::io::{self, BufRead};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RawSocket, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use super::cell::{Cell, FAR, INTERFACE, Mode, OURS};
use super::sender::{Sent, answer, order, say};
use crate::net::SINK;
use crate::sys;

/// Of the sender, octets: more than any path of the grid holds.
const SEND_BUFFER: usize = 4 << 20;
const RECEIVE_BUFFER: usize = 65_535;
/// A connection that makes no progress ends a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what each line says.
pub(super) fn node(cell: &Cell) -> io::Result<()> {
    if cell.mode != Mode::Send {
        // Its packet socket cannot take the super-segments that a kernel's flow comes in.
        return Err(io::Error::other("smoltcp is measured as a sender only"));
    }
    let control = match cell.stack.as_str() {
        "smoltcp" => CongestionControl::None,
        "smoltcp-reno" => CongestionControl::Reno,
        "smoltcp-cubic" => CongestionControl::Cubic,
        other => return Err(io::Error::other(format!("{other} is not known"))),
    };
    let mut near = Near::new()?;
    say("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, number) = order(&line)?;
        answer(&near.send(what, number, control)?)?;
    }
    Ok(())
}

struct Near {
    device: Counting,
    interface: Interface,
    port: u16,
}

impl Near {
    fn new() -> io::Result<Self> {
        let mut device = Counting {
            socket: RawSocket::new(INTERFACE, Medium::Ethernet)?,
            sent: Rc::default(),
        };
        let address = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 3]));
        let mut interface = Interface::new(Config::new(address), &mut device, now());
        let ours: IpAddress = parsed(OURS)?;
        interface.update_ip_addrs(|all| _ = all.push(IpCidr::new(ours, 24)));
        Ok(Self {
            device,
            interface,
            port: 40_000,
        })
    }

    /// A connection that sends `number` octets and ends (`flow`), or sends for so many milliseconds.
    fn send(&mut self, what: &str, number: u64, control: CongestionControl) -> io::Result<Sent> {
        let mut socket = Socket::new(
            SocketBuffer::new(vec![0; RECEIVE_BUFFER]),
            SocketBuffer::new(vec![0; SEND_BUFFER]),
        );
        socket.set_congestion_control(control);
        socket.set_nagle_enabled(false);
        self.port += 1;
        self.device.sent.set(Counted::default());
        let far: IpAddress = parsed(FAR)?;
        socket
            .connect(self.interface.context(), (far, SINK), self.port)
            .map_err(|error| io::Error::other(format!("smoltcp does not connect: {error}")))?;
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let start = Instant::now();
        let mut flow = Flow {
            handle,
            left: if what == "flow" { number } else { u64::MAX },
            written: 0,
        };
        let until = match what {
            "flow" => start + PATIENCE,
            _ => start + Duration::from_millis(number),
        };
        while Instant::now() < until && !flow.is_over(&sockets) {
            self.interface.poll(now(), &mut self.device, &mut sockets);
            if !flow.act(&mut sockets) && !flow.is_over(&sockets) {
                self.wait(&sockets, until);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let socket = sockets.get_mut::<Socket<'_>>(handle);
        let bytes = flow.written.saturating_sub(socket.send_queue() as u64);
        if what == "flow" && bytes < number {
            return Err(io::Error::other("smoltcp: a short flow does not end"));
        }
        socket.abort();
        self.interface.poll(now(), &mut self.device, &mut sockets);
        let counted = self.device.sent.get();
        Ok(Sent {
            bytes,
            seconds,
            sent: counted.octets,
            retransmitted: counted.again,
            words: String::new(),
        })
    }

    fn wait(&mut self, sockets: &SocketSet<'_>, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let wait = match self.interface.poll_delay(now(), sockets) {
            Some(delay) => left.min(delay.into()),
            None => left,
        };
        if !wait.is_zero() {
            sys::wait_readable(&self.device.socket.as_raw_fd(), wait.as_micros() as u64);
        }
    }
}

struct Flow {
    handle: SocketHandle,
    left: u64,
    written: u64,
}

impl Flow {
    /// Whether the far end has closed too, which it does when it has everything.
    fn is_over(&self, sockets: &SocketSet<'_>) -> bool {
        let state = sockets.get::<Socket<'_>>(self.handle).state();
        matches!(state, State::TimeWait | State::Closed)
    }

    /// Writes what there is room for, and closes; whether there is something new to be sent.
    fn act(&mut self, sockets: &mut SocketSet<'_>) -> bool {
        static DATA: [u8; 65_536] = [0; 65_536];
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        let before = (self.written, socket.state());
        while self.left > 0 && socket.can_send() {
            let most = usize::try_from(self.left).map_or(DATA.len(), |left| left.min(DATA.len()));
            let Ok(written @ 1..) = socket.send_slice(&DATA[..most]) else {
                break;
            };
            self.written += written as u64;
            self.left -= written as u64;
        }
        if self.left == 0 {
            socket.close();
        }
        before != (self.written, socket.state())
    }
}

fn now() -> smoltcp::time::Instant {
    smoltcp::time::Instant::now()
}

fn parsed(address: &str) -> io::Result<IpAddress> {
    address
        .parse()
        .map_err(|()| io::Error::other(format!("{address} is no address")))
}

/// What data was sent since the connection began.
#[derive(Clone, Copy, Default)]
struct Counted {
    octets: u64,
    again: u64,
    /// The highest sequence number sent, and whether there is one.
    edge: Option<u32>,
}

impl Counted {
    /// Looks at a frame that is sent: Ethernet, IPv4 without options, TCP.
    fn frame(&mut self, frame: &[u8]) {
        const TCP: usize = 14 + 20;
        let (Some(&protocol), Some(header)) = (frame.get(23), frame.get(TCP..TCP + 20)) else {
            return;
        };
        let payload = frame.len() - TCP;
        let payload = payload.saturating_sub(usize::from(header[12] >> 4) * 4) as u32;
        if protocol != 6 || payload == 0 {
            return;
        }
        let seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let end = seq.wrapping_add(payload);
        let edge = self.edge.unwrap_or(seq);
        // How much of it lies below what was sent before.
        let new = end.wrapping_sub(edge).cast_signed().max(0).cast_unsigned();
        self.octets += u64::from(payload);
        self.again += u64::from(payload.saturating_sub(new));
        self.edge = Some(edge.wrapping_add(new));
    }
}

/// Its packet socket, with what it sends counted. The kernel leaves checksums of what it sends to a device that it does not
/// have here, so that those of arriving segments are not checked.
struct Counting {
    socket: RawSocket,
    sent: Rc<Shared<Counted>>,
}

impl Device for Counting {
    type RxToken<'a> = <RawSocket as Device>::RxToken<'a>;
    type TxToken<'a> = Token<<RawSocket as Device>::TxToken<'a>>;

    fn receive(
        &mut self,
        now: smoltcp::time::Instant,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let sent = self.sent.clone();
        let (rx, tx) = self.socket.receive(now)?;
        Some((rx, Token { tx, sent }))
    }

    fn transmit(&mut self, now: smoltcp::time::Instant) -> Option<Self::TxToken<'_>> {
        let sent = self.sent.clone();
        let tx = self.socket.transmit(now)?;
        Some(Token { tx, sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.socket.capabilities();
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Token<T> {
    tx: T,
    sent: Rc<Shared<Counted>>,
}

impl<T: TxToken> TxToken for Token<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.tx.consume(len, |frame| {
            let outcome = fill(frame);
            let mut counted = self.sent.get();
            counted.frame(frame);
            self.sent.set(counted);
            outcome
        })
    }
}
