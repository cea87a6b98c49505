//! System calls on one [`Stack`] in virtual time, with the results and error numbers that Linux gives.
//!
//! [`Sockets`] is what a kernel is to a program: file descriptors and calls. A call that has to wait gives a
//! [`Waiting`], to be tried again after whatever happens next; nothing in here waits by itself.
//!
//! | calls | file |
//! |---|---|
//! | socket, bind, listen, accept, connect, shutdown, close | `open` |
//! | read, write and their family, pipe, splice | `transfer` |
//! | setsockopt, getsockopt | `option` |
//! | TCP Fast Open | `fastopen` |
//! | fcntl, ioctl | `control` |
//! | poll, epoll | `ready` |
//! | `tcp_info` | `info` |

mod call;
mod control;
mod errno;
mod fastopen;
mod file;
mod info;
mod limits;
pub mod names;
mod open;
mod option;
mod ready;
mod transfer;

pub use call::{Call, Fault, Fd, OptionValue, Outcome, Output, Progress, Returned, Waiting};
pub use errno::Errno;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use transom_stack::tcp::{Config, Event, Instant, State};
use transom_stack::wire::RxFrame;
use transom_stack::{ConnId, Stack, StackEvent};

use file::{File, Kind, Stage, Tcp, errno_of};
use limits::Limits;
use names::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};

/// Everything may have changed.
const ANYTHING: i64 = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP;

/// A program's view of one stack.
#[derive(Debug)]
pub struct Sockets {
    stack: Stack,
    files: BTreeMap<Fd, File>,
    /// What new sockets start with.
    config: Config,
    /// Frames that the stack sent and nobody has taken.
    sent: VecDeque<(Instant, Vec<u8>)>,
    /// Octets in each pipe.
    pipes: Vec<usize>,
    /// The next port for those who ask for any.
    next_port: u16,
    /// Frames are thrown away instead of sent, as a full queue in front of a device does.
    refuses: bool,
    /// The connection whose `close` waits (SO_LINGER).
    lingering: Option<ConnId>,
    /// `net.ipv4.tcp_fastopen`.
    fast_open: i64,
    /// A write waits for the SYN-ACK to send more.
    write_pending: bool,
    /// What held connections back.
    limits: BTreeMap<ConnId, Limits>,
}

impl Sockets {
    /// Most files open at once.
    pub const MAX_FILES: usize = 1024;
    /// Most octets that one call moves.
    pub const MAX_LEN: usize = 64 << 20;

    /// A program on a host whose new sockets begin with `config`.
    #[must_use]
    pub const fn new(stack: Stack, config: Config) -> Self {
        Self {
            stack,
            files: BTreeMap::new(),
            config,
            sent: VecDeque::new(),
            pipes: Vec::new(),
            next_port: 40_000,
            refuses: false,
            lingering: None,
            fast_open: fastopen::UNTUNED,
            write_pending: false,
            limits: BTreeMap::new(),
        }
    }

    /// The stack.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, to change its addresses or routes.
    pub const fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// What sockets made from now on begin with.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Whether frames are thrown away instead of sent.
    pub const fn refuse_output(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    /// A frame arrives.
    pub fn handle_frame(&mut self, now: Instant, frame: RxFrame) {
        self.stack.handle_frame(now, frame);
        if self.write_pending {
            // As Linux: what the writer that waits has to say goes with the acknowledgement.
            self.take_events();
        } else {
            self.drain(now);
        }
    }

    /// When something happens by itself.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.stack.poll_timeout(now)
    }

    /// Acts on the deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.drain(now);
    }

    /// The oldest frame sent that was not taken, and when it was sent.
    pub fn take_sent(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.sent.pop_front()
    }

    /// Begins a call.
    pub fn begin(&mut self, now: Instant, call: Call) -> Progress {
        let deadline = self.deadline(now, &call);
        self.resume(
            now,
            Waiting {
                call,
                done: 0,
                opening: false,
                deadline,
            },
        )
    }

    /// Tries a call that blocks once more.
    pub fn resume(&mut self, now: Instant, mut waiting: Waiting) -> Progress {
        let outcome = self.attempt(now, &mut waiting);
        self.drain(now);
        match outcome {
            Ok(Some(returned)) => Progress::Done(Ok(returned)),
            Err(fault) => Progress::Done(Err(fault)),
            Ok(None) => Progress::Blocked(waiting),
        }
    }

    fn attempt(&mut self, now: Instant, waiting: &mut Waiting) -> Result<Option<Returned>, Fault> {
        let call = waiting.call.clone();
        let is_late = waiting.is_late(now);
        match call {
            Call::Socket {
                domain,
                kind,
                protocol,
            } => self.socket(domain, kind, protocol).map(Some),
            Call::Bind { fd, address } => self.bind(fd, address).map(Some),
            Call::Listen { fd, backlog } => self.listen(fd, backlog).map(Some),
            Call::Accept { fd, flags } => self.accept(fd, flags, is_late),
            Call::Connect { fd, address } => self.connect(now, fd, address, waiting, is_late),
            Call::Receive {
                fd,
                len,
                null,
                flags,
            } => self.receive(now, fd, (len, null), flags, waiting),
            Call::Send {
                fd,
                len,
                null,
                flags,
                to: _,
            } => self.send(now, fd, (len, null), flags, waiting),
            Call::Shutdown { fd, how } => self.shutdown(now, fd, how).map(Some),
            Call::Close { fd } => self.close(now, fd, waiting),
            Call::Fcntl {
                fd,
                command,
                argument,
            } => self.fcntl(fd, command, argument).map(Some),
            Call::Ioctl {
                fd,
                request,
                argument,
            } => self.ioctl(fd, request, argument).map(Some),
            Call::GetOption {
                fd,
                level,
                name,
                len,
            } => self.get_option(fd, level, name, len).map(Some),
            Call::SetOption {
                fd,
                level,
                name,
                value,
                len,
            } => self
                .set_option(now, fd, (level, name), &value, len)
                .map(Some),
            Call::Poll { entries, timeout } => Ok(self.poll(&entries, is_late || timeout == 0)),
            Call::EpollCreate => self.epoll_create().map(Some),
            Call::EpollControl {
                epoll,
                operation,
                fd,
                events,
                data,
            } => self
                .epoll_control(epoll, operation, fd, events, data)
                .map(Some),
            Call::EpollWait {
                epoll,
                max,
                timeout,
            } => self.epoll_wait(epoll, max, is_late || timeout == 0),
            Call::Pipe => self.pipe().map(Some),
            Call::Splice {
                from,
                to,
                len,
                flags,
            } => self.splice(now, from, to, len, flags),
        }
    }

    /// When a call that blocks gives up.
    fn deadline(&self, now: Instant, call: &Call) -> Option<Instant> {
        let wait = match call {
            Call::Poll { timeout, .. } | Call::EpollWait { timeout, .. } => {
                u64::try_from(*timeout).ok().map(Duration::from_millis)
            }
            Call::Accept { fd, .. } | Call::Receive { fd, .. } => {
                self.tcp(*fd).ok()?.options.receive_timeout
            }
            Call::Connect { fd, .. } | Call::Send { fd, .. } => {
                self.tcp(*fd).ok()?.options.send_timeout
            }
            Call::Close { fd } => self.tcp(*fd).ok()?.options.linger,
            _ => None,
        };
        wait.map(|wait| now + wait)
    }

    /// Takes what the stack owes: frames to send, and news for sockets.
    fn drain(&mut self, now: Instant) {
        while let Some(frame) = self.stack.poll_transmit(now) {
            if !self.refuses {
                self.sent.push_back((now, frame.to_vec()));
            }
        }
        self.take_events();
        self.note_limits(now);
    }

    /// Takes what is new about sockets.
    fn take_events(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                StackEvent::Tcp(id, event) => self.note(id, event),
                StackEvent::Acceptable(listener) => {
                    let fd = self.find(|tcp| tcp.stage == Stage::Listening(listener));
                    if let Some(fd) = fd {
                        self.wake(fd, EPOLLIN);
                    }
                }
                _ => {}
            }
        }
    }

    /// Looks at what holds the open connections back.
    fn note_limits(&mut self, now: Instant) {
        let stack = &self.stack;
        self.limits.retain(|id, _| stack.tcp_state(*id).is_some());
        for file in self.files.values() {
            if let Kind::Tcp(tcp) = &file.kind
                && let Some(id) = tcp.connection()
                && let Ok(info) = self.stack.tcp_info(id)
            {
                self.limits
                    .entry(id)
                    .or_default()
                    .note(now, &info, tcp.no_space);
            }
        }
    }

    /// Something happened to a connection.
    fn note(&mut self, id: ConnId, event: Event) {
        let Some(fd) = self.find(|tcp| tcp.connection() == Some(id)) else {
            return;
        };
        let Ok(tcp) = self.tcp_mut(fd) else {
            return;
        };
        let wakes = match event {
            Event::Readable => EPOLLIN,
            // Linux wakes writers only after one of them found no room.
            Event::Writable if core::mem::take(&mut tcp.no_space) => EPOLLOUT,
            Event::PeerFinished => {
                tcp.finished = true;
                ANYTHING
            }
            Event::Closed(reason) => {
                tcp.error = match errno_of(reason) {
                    // As Linux: there is nobody left to hear what is written.
                    Some(Errno::ECONNRESET) if tcp.left == State::CloseWait => Some(Errno::EPIPE),
                    error => error,
                };
                ANYTHING
            }
            Event::State { from, .. } => {
                tcp.left = from;
                0
            }
            Event::Connected => ANYTHING,
            _ => 0,
        };
        if wakes != 0 {
            self.wake(fd, wakes);
        }
    }

    fn find(&self, is_it: impl Fn(&Tcp) -> bool) -> Option<Fd> {
        self.files.iter().find_map(|(fd, file)| match &file.kind {
            Kind::Tcp(tcp) if is_it(tcp) => Some(*fd),
            _ => None,
        })
    }

    fn file(&self, fd: Fd) -> Result<&File, Errno> {
        self.files.get(&fd).ok_or(Errno::EBADF)
    }

    fn file_mut(&mut self, fd: Fd) -> Result<&mut File, Errno> {
        self.files.get_mut(&fd).ok_or(Errno::EBADF)
    }

    fn tcp(&self, fd: Fd) -> Result<&Tcp, Errno> {
        match &self.file(fd)?.kind {
            Kind::Tcp(tcp) => Ok(tcp),
            Kind::Epoll(_) | Kind::Pipe { .. } => Err(Errno::ENOTSOCK),
        }
    }

    fn tcp_mut(&mut self, fd: Fd) -> Result<&mut Tcp, Errno> {
        match &mut self.file_mut(fd)?.kind {
            Kind::Tcp(tcp) => Ok(tcp),
            Kind::Epoll(_) | Kind::Pipe { .. } => Err(Errno::ENOTSOCK),
        }
    }

    /// The state of a socket's connection; CLOSED where there is none.
    fn state(&self, tcp: &Tcp) -> State {
        tcp.connection()
            .and_then(|id| self.stack.tcp_state(id))
            .unwrap_or(State::Closed)
    }

    /// Opens a file under the lowest free number.
    fn open(&mut self, kind: Kind, nonblocking: bool) -> Result<Fd, Errno> {
        if self.files.len() >= Self::MAX_FILES {
            return Err(Errno::EMFILE);
        }
        // 0 to 2 are open in every program.
        let fd = (3..)
            .find(|fd| !self.files.contains_key(fd))
            .ok_or(Errno::EMFILE)?;
        self.files.insert(fd, File { nonblocking, kind });
        Ok(fd)
    }

    /// Where a descriptor listens, if it does.
    #[must_use]
    pub fn listens_on(&self, fd: Fd) -> Option<SocketAddr> {
        let tcp = self.tcp(fd).ok()?;
        match tcp.stage {
            Stage::Listening(_) => tcp.local,
            _ => None,
        }
    }

    /// Changes the choices of sockets that are not connected yet, as a sysctl does.
    pub fn reconfigure_waiting(&mut self, change: impl Fn(&mut Config)) {
        for file in self.files.values_mut() {
            let Kind::Tcp(tcp) = &mut file.kind else {
                continue;
            };
            match tcp.stage {
                Stage::Unconnected => change(&mut tcp.config),
                Stage::Listening(id) => {
                    change(&mut tcp.config);
                    self.stack.tcp_set_listener_config(id, tcp.config.clone());
                }
                Stage::Connecting(_) | Stage::Connected(_) => {}
            }
        }
    }

    /// The connection behind a descriptor.
    #[must_use]
    pub fn connection(&self, fd: Fd) -> Option<ConnId> {
        self.tcp(fd).ok()?.connection()
    }
}
