//! The Linux kernel as the host, in the network namespace of this process, behind a TUN device.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use transom::device::{Device, Readiness, Tun, TunOptions, complete};
use transom::stack_engine::wire::frame::{HeaderBuf, TxOffload};
use transom::stack_engine::wire::{Medium, Payload, TxFrame};

use crate::dialogue::{Answer, Call, Dialogue, Seen, Setup, Step};
use crate::namespace::run;
use crate::packets::{HOST, Numbers, Out, PEER, Read, build, ping, read};

/// How long the kernel may take for an answer. It takes microseconds; the rest is for busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// What would let time or chance decide.
const SETTINGS: [&str; 6] = [
    // No loss probes, no reordering timer, no holding back of small segments.
    "tcp_early_retrans=0",
    "tcp_recovery=0",
    "tcp_autocorking=0",
    // Every challenge is answered: the limits are tested elsewhere.
    "tcp_invalid_ratelimit=0",
    "tcp_challenge_ack_limit=2147483647",
    // RFC 1337, as our stack does.
    "tcp_rfc1337=1",
];

pub(crate) struct Kernel {
    device: Tun,
    listener: Socket,
    pings: u16,
}

/// One dialogue.
struct Play<'a> {
    kernel: &'a mut Kernel,
    setup: Setup,
    numbers: Numbers,
    stream: Option<TcpStream>,
}

impl Kernel {
    pub(crate) fn new() -> Self {
        for setting in SETTINGS {
            let (name, value) = setting.split_once('=').unwrap();
            fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
        }
        let device = Tun::open(&TunOptions::new("tun0").vnet(false)).unwrap();
        run("ip addr add 10.9.0.1/32 dev tun0");
        // Acknowledgements at once, no retransmission.
        run("ip route add 10.9.0.0/24 dev tun0 src 10.9.0.1 quickack 1 rto_min 30s");
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        listener.set_reuse_address(true).unwrap();
        listener
            .bind(&SocketAddr::from((HOST, 7000)).into())
            .unwrap();
        listener.listen(1000).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            device,
            listener,
            pings: 0,
        }
    }

    pub(crate) fn play(&mut self, dialogue: &Dialogue) -> Vec<Seen> {
        let mut play = Play {
            kernel: self,
            setup: dialogue.setup,
            numbers: dialogue.setup.numbers(),
            stream: None,
        };
        let seen = dialogue.steps.iter().map(|step| play.step(step)).collect();
        play.end();
        seen
    }

    fn wait(&self, events: PollFlags) {
        let Readiness::Fd(fd) = self.device.readiness() else {
            panic!("a TUN device has a descriptor");
        };
        poll(&mut [PollFd::new(fd, events)], PollTimeout::from(100_u16)).unwrap();
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let frame = TxFrame {
            headers: HeaderBuf::new(),
            payload: Payload::from(Bytes::from(bytes)),
            offload: TxOffload::None,
        };
        let mut frames = VecDeque::from([frame]);
        while let Err(error) = self.device.send(&mut frames) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            self.wait(PollFlags::POLLOUT);
        }
    }

    /// What the kernel sends until it answers a ping.
    fn until_pong(&mut self, numbers: &mut Numbers) -> Vec<Out> {
        self.pings = self.pings.wrapping_add(1);
        self.send(ping(self.pings));
        let deadline = Instant::now() + PATIENCE;
        let mut sent = Vec::new();
        loop {
            let mut frames = Vec::new();
            match self.device.recv(&mut frames, 64) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(
                        Instant::now() < deadline,
                        "the kernel does not answer a ping"
                    );
                    self.wait(PollFlags::POLLIN);
                }
                Err(error) => panic!("{error}"),
            }
            let mut answered = false;
            // The device joins segments; what counts is how the kernel cut them.
            let packets = frames
                .into_iter()
                .flat_map(|frame| complete(frame, Medium::Ip));
            for packet in packets {
                match read(numbers, &packet.to_vec()) {
                    Read::Segment(out) => sent.push(out),
                    Read::Pong(seq) => answered |= seq == self.pings,
                    Read::Other => {}
                }
            }
            if answered {
                return sent;
            }
        }
    }
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> Seen {
        let answer = match step {
            Step::Segment(seg) => {
                let bytes = build(&self.numbers, seg, &self.setup.syn_options());
                self.kernel.send(bytes);
                Answer::Nothing
            }
            Step::Call(call) => self.call(*call),
        };
        let sent = self.kernel.until_pong(&mut self.numbers);
        Seen {
            sent,
            state: self.state(),
            answer,
        }
    }

    /// Leaves nothing behind that the next dialogue could meet.
    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            abort(stream);
        }
        while let Ok((stream, _)) = self.kernel.listener.accept() {
            abort(stream.into());
        }
        self.kernel.until_pong(&mut self.numbers);
    }

    fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Connect => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket.set_tcp_nodelay(true).unwrap();
                // In progress is what it says.
                let remote = SocketAddr::from((PEER, self.setup.port));
                let error = socket.connect(&remote.into()).unwrap_err();
                assert_eq!(
                    error.raw_os_error(),
                    Some(nix::libc::EINPROGRESS),
                    "{error}"
                );
                self.stream = Some(socket.into());
                return Answer::Done(0);
            }
            Call::Accept => {
                if self.stream.is_some() || !self.setup.passive {
                    return Answer::Nothing;
                }
                let Ok((socket, _)) = self.kernel.listener.accept() else {
                    return Answer::WouldBlock;
                };
                socket.set_nonblocking(true).unwrap();
                socket.set_tcp_nodelay(true).unwrap();
                self.stream = Some(socket.into());
                return Answer::Done(0);
            }
            _ => {}
        }
        let Some(stream) = &mut self.stream else {
            return Answer::Nothing;
        };
        match call {
            Call::Connect | Call::Accept => Answer::Nothing,
            Call::Send(len) => match stream.write(&vec![b'h'; len]) {
                Ok(taken) => Answer::Done(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Answer::WouldBlock,
                Err(_) => Answer::Failed,
            },
            Call::Receive => match stream.read(&mut vec![0; 1 << 16]) {
                Ok(0) => Answer::EndOfStream,
                Ok(len) => Answer::Done(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Answer::WouldBlock,
                Err(_) => Answer::Failed,
            },
            Call::ShutdownWrite => match stream.shutdown(std::net::Shutdown::Write) {
                Ok(()) => Answer::Done(0),
                Err(_) => Answer::Failed,
            },
            Call::Close => {
                self.stream = None;
                Answer::Done(0)
            }
            Call::Abort => {
                if let Some(stream) = self.stream.take() {
                    abort(stream);
                }
                Answer::Done(0)
            }
        }
    }

    /// The state, from the list of the namespace's sockets.
    fn state(&self) -> String {
        let list = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        let peer = format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(PEER.octets()),
            self.setup.port
        );
        let state = list.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            (words.next() == Some(&peer)).then(|| words.next())?
        });
        match state {
            Some("01") => "ESTABLISHED",
            Some("02") => "SYN-SENT",
            Some("03") => "SYN-RECEIVED",
            Some("04") => "FIN-WAIT-1",
            Some("05") => "FIN-WAIT-2",
            Some("06") => "TIME-WAIT",
            Some("08") => "CLOSE-WAIT",
            Some("09") => "LAST-ACK",
            Some("0B") => "CLOSING",
            _ => "CLOSED",
        }
        .to_owned()
    }
}

/// Closes with a reset.
fn abort(stream: TcpStream) {
    let socket = Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
