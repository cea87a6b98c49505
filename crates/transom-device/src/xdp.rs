//! AF_XDP: Ethernet frames of one queue of an interface, in memory shared with the kernel.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transom_wire::checksum::pseudo_header;
use transom_wire::ethernet;
use transom_wire::frame::{Capabilities, RxChecksum, RxFrame, TxFrame, TxOffload};
use transom_wire::ip::{Packet, Protocol};

use crate::channel::MAX_REFUSED;
use crate::complete::{TCP_CHECKSUM, UDP_CHECKSUM};
use crate::error::failed;
use crate::sys::bpf::{Attachment, Place};
use crate::sys::xdp::{Checksum, Copying, Pushed, Size, Socket};
use crate::{Device, DeviceCounters, Readiness, sys};

/// Bytes of a chunk that suffices for an MTU of 1500, and the largest one that the kernel knows.
const CHUNKS: [u32; 2] = [2048, 4096];
/// Fewest and most chunks of a direction.
const FRAMES: (u32, u32) = (64, 1 << 16);
/// When the kernel is asked again to send what it has left in the ring.
const AGAIN: Duration = Duration::from_micros(500);
/// How long a queue may take to become free after its socket was closed.
const RELEASE: Duration = Duration::from_millis(250);
/// Frames that one busy poll takes from the driver.
const POLL_BUDGET: u32 = 64;

/// Whether a driver works in our memory itself, see [`XdpOptions::zero_copy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroCopy {
    /// If the driver can; otherwise the kernel copies, and [`XdpMode::fallback`] says why.
    #[default]
    IfPossible,
    /// Or not at all.
    Required,
    /// No: the kernel copies.
    Off,
}

/// How to open an [`XdpSocket`].
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `XdpSocket::open`"]
pub struct XdpOptions {
    interface: String,
    zero_copy: ZeroCopy,
    busy_poll: Option<Duration>,
    receive_frames: u32,
    send_frames: u32,
}

impl XdpOptions {
    /// For this interface: zero-copy where possible, no busy polling, memory for 1024 frames to be received and 1024 to
    /// be sent.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            zero_copy: ZeroCopy::default(),
            busy_poll: None,
            receive_frames: 1024,
            send_frames: 1024,
        }
    }

    /// Whether the driver reads and writes our memory itself.
    pub const fn zero_copy(mut self, zero_copy: ZeroCopy) -> Self {
        self.zero_copy = zero_copy;
        self
    }

    /// Each time that no frame waits, [`Device::recv`] has the kernel look into the driver for at most this long
    /// before it gives up (`SO_BUSY_POLL`, `SO_PREFER_BUSY_POLL`), so that frames need not wait for an interrupt. It
    /// takes processor time, and is of use where the interface defers interrupts (`gro_flush_timeout`,
    /// `napi_defer_hard_irqs` in sysfs). Default: not.
    pub const fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = Some(time);
        self
    }

    /// Frames that may wait to be received; more are lost. Rounded up to a power of two, 64 to 65,536. Each takes 2
    /// KiB, 4 KiB for an MTU above 1,700.
    pub const fn receive_frames(mut self, frames: u32) -> Self {
        self.receive_frames = frames;
        self
    }

    /// Frames that may be on their way out of the interface. Rounded up to a power of two, 64 to 65,536.
    pub const fn send_frames(mut self, frames: u32) -> Self {
        self.send_frames = frames;
        self
    }
}

/// What was obtained of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpMode {
    /// The driver works in our memory; otherwise the kernel copies.
    pub zero_copy: bool,
    /// The program that takes the frames runs in the driver; otherwise behind it, where frames have become packets of
    /// the kernel, which is slower.
    pub in_driver: bool,
    /// A sentence that says what was not to be had, and why.
    pub fallback: Option<String>,
}

/// One receive queue of an interface, and a way to send through it, by AF_XDP (Linux 5.9 and later).
///
/// A small program in the interface's driver hands each frame of the queue to this socket before the kernel looks at
/// it: the kernel on this side sees none of them. Frames of queues without a socket go to the kernel as ever. The
/// program is gone when the last socket is, however the process ends.
///
/// Frames lie in memory that is shared with the kernel, of a size that [`XdpOptions`] bound; received ones are copied out
/// of it. There is no segmentation offload: that is what AF_XDP is not for, and where [`PacketSocket`](crate::PacketSocket) on
/// a veth pair is faster. It is for cards, of which each queue can have a processor of its own.
///
/// On a veth pair the kernel at the other end leaves checksums to be filled in by whoever sends the frame on. Frames of
/// which that can be told (the field holds the sum of the pseudo-header) count as valid there, and only there.
pub struct XdpSocket {
    socket: Socket,
    /// The socket itself says nothing when the interface is gone.
    ending: OwnedFd,
    /// The program goes with the last socket that uses it.
    _program: Arc<Attachment>,
    name: String,
    mtu: usize,
    mode: XdpMode,
    /// Frames come from a kernel that leaves checksums to be filled in.
    is_local: bool,
    /// The interface is down: what is sent is lost.
    is_down: bool,
    /// The kernel left frames in the ring, and is to be asked again then.
    again: Option<Instant>,
    overflows: u64,
    counters: DeviceCounters,
}

impl XdpSocket {
    /// Takes over the first receive queue of the interface: all of it, if it has one only, as a veth usually has.
    ///
    /// # Errors
    /// When the kernel or the interface does not offer it, privileges are missing, or the queue is taken; the text
    /// says what is missing.
    pub fn open(options: &XdpOptions) -> io::Result<Self> {
        let sockets = Self::open_queues(options, 0..1)?;
        sockets
            .into_iter()
            .next()
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Takes over several receive queues of one interface, a socket for each.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_queues(options: &XdpOptions, queues: Range<u32>) -> io::Result<Vec<Self>> {
        let name = &options.interface;
        let index = sys::interface::index(name)?;
        let mtu = sys::interface::mtu(name)?;
        if !sys::interface::is_ethernet(name)? {
            let text = format!("cannot use AF_XDP on {name}: it carries no Ethernet frames");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let is_local = sys::interface::driver(name).is_ok_and(|driver| driver == "veth");
        // Memory first: what it says of missing kernel support is plainer than what bpf(2) says.
        let sockets = queues
            .clone()
            .map(|_| memory(options, mtu))
            .collect::<io::Result<Vec<_>>>()?;
        let program = Arc::new(Attachment::new(name, index, queues.end)?);
        let open = |(queue, socket): (u32, Socket)| {
            let mut socket = socket;
            let refused = bind(&mut socket, options, index, queue)?;
            program.lead(queue, socket.fd()).map_err(|error| {
                failed(
                    format_args!("cannot lead queue {queue} of {name} to its socket"),
                    &error,
                    "",
                )
            })?;
            let ending = sys::ending::of_interface(index)
                .map_err(|error| failed(format_args!("cannot watch {name}"), &error, ""))?;
            Ok(Self {
                ending,
                mode: mode(&socket, &program, name, refused.as_ref()),
                socket,
                _program: Arc::clone(&program),
                name: name.clone(),
                mtu,
                is_local,
                is_down: false,
                again: None,
                overflows: 0,
                counters: DeviceCounters::default(),
            })
        };
        queues.zip(sockets).map(open).collect()
    }

    /// What was obtained of what was asked for.
    #[must_use]
    pub const fn mode(&self) -> &XdpMode {
        &self.mode
    }

    /// Frames that the kernel dropped since the last call because nobody took those before them in time.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn take_overflows(&mut self) -> io::Result<u64> {
        let total = self.socket.overflows().map_err(|error| {
            failed(
                format_args!("cannot read the statistics of {}", self.name),
                &error,
                "",
            )
        })?;
        Ok(total - std::mem::replace(&mut self.overflows, total))
    }

    /// Frames given to the kernel to send whose memory has not come back yet.
    pub fn sending(&mut self) -> usize {
        self.socket.reap();
        self.socket.sending()
    }

    /// Has the kernel send what is in the ring.
    fn push(&mut self) -> io::Result<()> {
        let pushed = self
            .socket
            .push()
            .map_err(|error| self.gone("send through", &error))?;
        self.is_down = matches!(pushed, Pushed::Down);
        self.again = matches!(pushed, Pushed::Some).then(|| Instant::now() + AGAIN);
        Ok(())
    }

    fn gone(&self, what: &str, error: &io::Error) -> io::Error {
        let mend = match error.raw_os_error() {
            Some(libc::ENXIO) => "the interface is gone",
            _ => "",
        };
        failed(format_args!("cannot {what} {}", self.name), error, mend)
    }

    /// Puts a frame into the ring. None: all memory is in use. False: the frame cannot be sent.
    fn queue(&mut self, frame: &TxFrame) -> Option<bool> {
        let checksum = match frame.offload {
            TxOffload::None => None,
            TxOffload::Checksum { start, offset } if self.socket.offers_checksum() => {
                Some(Checksum { start, offset })
            }
            _ => return Some(false),
        };
        let len = frame.len();
        if len < ethernet::HEADER_LEN || len > self.socket.longest() {
            return Some(false);
        }
        let written = self.socket.write(len, checksum, |place| {
            let (head, rest) = place.split_at_mut(frame.headers.len());
            head.copy_from_slice(&frame.headers);
            frame.payload.copy_to(rest);
        });
        written.then_some(true)
    }
}

impl fmt::Debug for XdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdpSocket")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Device for XdpSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            tx_checksum: self.socket.offers_checksum(),
            ..Capabilities::ethernet(self.mtu)
        }
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        if self.again.is_some_and(|at| at <= Instant::now()) {
            self.push()?;
        }
        let mut looked = false;
        loop {
            let (mut taken, mut refused) = (0, 0);
            while taken + refused < max {
                let is_local = self.is_local;
                match self.socket.read(|bytes| receive(bytes, is_local)) {
                    Some(Some(frame)) => {
                        out.push(frame);
                        taken += 1;
                    }
                    Some(None) => refused += 1,
                    None => break,
                }
            }
            if taken + refused > 0 || max == 0 {
                self.socket.done_reading();
                self.counters.received += taken as u64;
                self.counters.recv_refused += refused as u64;
                return Ok(taken);
            }
            if looked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match self.socket.look() {
                Ok(()) => {}
                // Down, which may end; or interrupted, or nothing to look at.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ENETDOWN | libc::EINTR | libc::EAGAIN | libc::ENOBUFS)
                    ) => {}
                Err(error) => return Err(self.gone("read from", &error)),
            }
            looked = true;
        }
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        if self.is_down {
            self.push()?;
        }
        let (mut taken, mut refused) = (0, 0);
        while let Some(frame) = frames.front()
            && refused < MAX_REFUSED
        {
            let sent = if self.is_down {
                Some(false)
            } else {
                self.queue(frame)
            };
            match sent {
                Some(true) => self.counters.sent += 1,
                Some(false) => {
                    self.counters.send_refused += 1;
                    refused += 1;
                }
                None => break,
            }
            frames.pop_front();
            taken += 1;
        }
        if !self.is_down {
            self.push()?;
        }
        if !frames.is_empty() && !self.is_down {
            // A card that has taken everything says nothing when it gives chunks back.
            self.again.get_or_insert_with(|| Instant::now() + AGAIN);
        }
        if taken == 0 && !frames.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Fd(self.socket.fd())
    }

    fn ending(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ending.as_fd())
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.again
    }

    fn counters(&self) -> DeviceCounters {
        self.counters
    }
}

/// A socket with its memory for the interface's MTU.
fn memory(options: &XdpOptions, mtu: usize) -> io::Result<Socket> {
    let name = &options.interface;
    // A VLAN tag more than the MTU counts.
    let longest = mtu + ethernet::HEADER_LEN + 4;
    let chunk = CHUNKS
        .into_iter()
        .find(|&chunk| longest + 256 <= chunk as usize);
    let Some(chunk) = chunk else {
        let text = format!(
            "cannot use AF_XDP on {name}: its MTU is {mtu}, and a frame must fit 4096 bytes; \
             `ip link set dev {name} mtu 1500` makes it smaller"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    let frames = |wanted: u32| wanted.clamp(FRAMES.0, FRAMES.1).next_power_of_two();
    let size = Size {
        receive: frames(options.receive_frames),
        send: frames(options.send_frames),
        chunk,
    };
    let socket = Socket::new(size).map_err(|error| {
        let mend = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                "this needs CAP_NET_RAW in the network namespace (root, or `unshare -rn`)"
            }
            Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => {
                "the kernel was built without CONFIG_XDP_SOCKETS"
            }
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                "its memory is counted as locked; `ulimit -l` tells and sets the limit, or ask for fewer frames"
            }
            _ => "",
        };
        failed(format_args!("cannot make an AF_XDP socket for {name}"), &error, mend)
    })?;
    if let Some(time) = options.busy_poll {
        socket.set_busy_poll(time, POLL_BUDGET).map_err(|error| {
            let mend = "this needs Linux 5.11 or later, and CAP_NET_ADMIN";
            failed(format_args!("cannot have {name} polled"), &error, mend)
        })?;
    }
    Ok(socket)
}

/// Binds with or without zero-copy; gives the error that zero-copy came to where that was not needed.
fn bind(
    socket: &mut Socket,
    options: &XdpOptions,
    index: i32,
    queue: u32,
) -> io::Result<Option<io::Error>> {
    let say = |error: io::Error| {
        let mend = match error.raw_os_error() {
            Some(libc::EBUSY) => "another AF_XDP socket has this queue",
            Some(libc::EINVAL) => {
                "the interface has no such queue; `ethtool -l` tells how many it has"
            }
            Some(libc::EOPNOTSUPP) => "its driver has no zero-copy; ask for less",
            Some(libc::ENETDOWN) => "`ip link set dev NAME up` switches it on",
            _ => "",
        };
        let what = format_args!("cannot bind to queue {queue} of {}", options.interface);
        failed(what, &error, mend)
    };
    let refused = match options.zero_copy {
        ZeroCopy::Off => None,
        ZeroCopy::Required | ZeroCopy::IfPossible => {
            match bind_patiently(socket, index, queue, Copying::Zero) {
                Ok(()) => return Ok(None),
                Err(error) if options.zero_copy == ZeroCopy::Required => return Err(say(error)),
                Err(error) => Some(error),
            }
        }
    };
    bind_patiently(socket, index, queue, Copying::Copy).map_err(say)?;
    Ok(refused)
}

/// Binds, and waits a moment for a queue that was just given up: the kernel does that in the background.
fn bind_patiently(socket: &mut Socket, index: i32, queue: u32, copying: Copying) -> io::Result<()> {
    let deadline = Instant::now() + RELEASE;
    loop {
        match socket.bind(index, queue, copying) {
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                std::thread::sleep(RELEASE / 50);
            }
            result => return result,
        }
    }
}

/// What was obtained, in words where it is less than what was asked for.
fn mode(
    socket: &Socket,
    program: &Attachment,
    name: &str,
    no_zero_copy: Option<&io::Error>,
) -> XdpMode {
    let mut fallback = Vec::new();
    if let Some(error) = program.why_generic() {
        fallback.push(format!(
            "{name} runs XDP programs behind its driver, which is slow: the driver takes none ({error})"
        ));
    }
    if let Some(error) = no_zero_copy {
        fallback.push(format!(
            "{name} copies frames: its driver offers no zero-copy ({error})"
        ));
    }
    XdpMode {
        zero_copy: socket.copying() == Copying::Zero,
        in_driver: program.place() == Place::Driver,
        fallback: (!fallback.is_empty()).then(|| fallback.join("; ")),
    }
}

/// A frame of its own, copied: it is below the size that buffers are kept for.
fn receive(bytes: &[u8], is_local: bool) -> RxFrame {
    let checksum = if is_local && has_partial_checksum(bytes).unwrap_or(false) {
        RxChecksum::Valid
    } else {
        RxChecksum::Unverified
    };
    RxFrame {
        data: Bytes::copy_from_slice(bytes),
        checksum,
        gso_size: 0,
    }
}

/// Whether the transport checksum is still to be filled in: the field holds the sum of the pseudo-header.
fn has_partial_checksum(frame: &[u8]) -> Option<bool> {
    let packet = Packet::lax(frame.get(ethernet::HEADER_LEN..)?).ok()?;
    let protocol = packet.protocol();
    let at = match protocol {
        Protocol::TCP => TCP_CHECKSUM,
        Protocol::UDP => UDP_CHECKSUM,
        _ => return None,
    };
    let transport = packet.payload();
    let field = u16::from_be_bytes(*transport.get(at..)?.first_chunk()?);
    let len = u32::try_from(transport.len()).ok()?;
    let sum = pseudo_header(packet.src(), packet.dst(), protocol.raw(), len).partial();
    Some(field == sum)
}
