//! TCP Fast Open as Linux offers it to programs: MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN and their sysctls.

use std::net::SocketAddr;

use transom_stack::tcp::{Config, FastOpenUse, Instant, State};
use transom_stack::{ConnId, FastOpenKeys, FastOpenListen};

use super::file::{Kind, Stage, Tcp};
use super::names::{MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE};
use super::{Call, Errno, Fault, Fd, Sockets, Waiting};

/// Bits of `net.ipv4.tcp_fastopen`.
const CLIENT: i64 = 1;
const SERVER: i64 = 2;
const CLIENT_WITHOUT_COOKIE: i64 = 4;
const SERVER_WITHOUT_COOKIE: i64 = 0x200;
const EVERY_LISTENER: i64 = 0x400;

/// The value of `net.ipv4.tcp_fastopen` on a Linux host that nobody has tuned.
pub(super) const UNTUNED: i64 = CLIENT;

/// What a socket was told about Fast Open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FastOpenOptions {
    /// TCP_FASTOPEN_CONNECT.
    connect: bool,
    /// TCP_FASTOPEN_NO_COOKIE.
    without_cookie: bool,
    /// TCP_FASTOPEN.
    pub(crate) queue: usize,
    /// TCP_FASTOPEN_KEY.
    keys: Option<FastOpenKeys>,
    /// The backlog of `listen`.
    pub(super) backlog: usize,
}

impl Sockets {
    /// Sets `net.ipv4.tcp_fastopen`.
    pub fn set_fast_open(&mut self, bits: i64) {
        self.fast_open = bits;
        let listening: Vec<Fd> = self
            .files
            .iter()
            .filter(|(_, file)| matches!(&file.kind, Kind::Tcp(tcp) if matches!(tcp.stage, Stage::Listening(_))))
            .map(|(fd, _)| *fd)
            .collect();
        for fd in listening {
            // Each is open.
            let _ = self.listen_fast(fd);
        }
    }

    /// How a listener takes data in SYNs, from its options and the sysctl.
    fn fast_open_listen(&self, tcp: &Tcp) -> Option<FastOpenListen> {
        let options = &tcp.options.fast_open;
        if self.fast_open & SERVER == 0 {
            return None;
        }
        let queue = self.fast_open_queue(tcp);
        if queue == 0 {
            return None;
        }
        let without_cookie = options.without_cookie || self.fast_open & SERVER_WITHOUT_COOKIE != 0;
        let listen = FastOpenListen::new(queue).without_cookie(without_cookie);
        Some(match options.keys {
            Some(keys) => listen.keys(keys),
            None => listen,
        })
    }

    /// How many handshakes with data a listener may have under way.
    pub(super) const fn fast_open_queue(&self, tcp: &Tcp) -> usize {
        let options = &tcp.options.fast_open;
        match options.queue {
            0 if self.fast_open & EVERY_LISTENER != 0 => options.backlog,
            queue => queue,
        }
    }

    /// Tells the stack what a listener's options say.
    pub(super) fn listen_fast(&mut self, fd: Fd) -> Result<(), Errno> {
        let tcp = self.tcp(fd)?;
        let Stage::Listening(id) = tcp.stage else {
            return Ok(());
        };
        let wanted = self.fast_open_listen(tcp);
        self.stack.tcp_set_fast_open(id, wanted);
        Ok(())
    }

    /// TCP_FASTOPEN: for sockets that listen, or may.
    pub(super) fn set_fast_open_queue(&mut self, fd: Fd, number: i64) -> Result<(), Fault> {
        let queue = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
        let tcp = self.tcp_mut(fd)?;
        if !matches!(tcp.stage, Stage::Unconnected | Stage::Listening(_)) {
            return Err(Errno::EINVAL.into());
        }
        tcp.options.fast_open.queue = queue.min(4096);
        self.listen_fast(fd).map_err(Fault::from)
    }

    /// TCP_FASTOPEN_CONNECT and TCP_FASTOPEN_NO_COOKIE.
    pub(super) fn set_fast_open_switch(
        &mut self,
        fd: Fd,
        name: i64,
        number: i64,
    ) -> Result<(), Fault> {
        if !matches!(number, 0 | 1) {
            return Err(Errno::EINVAL.into());
        }
        let enabled = self.fast_open & CLIENT != 0;
        let tcp = self.tcp_mut(fd)?;
        let is_new = tcp.stage == Stage::Unconnected;
        let options = &mut tcp.options.fast_open;
        match name {
            TCP_FASTOPEN_CONNECT if !enabled => return Err(Errno::EOPNOTSUPP.into()),
            TCP_FASTOPEN_CONNECT if !is_new => return Err(Errno::EINVAL.into()),
            TCP_FASTOPEN_CONNECT => options.connect = number == 1,
            TCP_FASTOPEN_NO_COOKIE => {
                options.without_cookie = number == 1;
                self.listen_fast(fd)?;
            }
            _ => return Err(Errno::ENOPROTOOPT.into()),
        }
        Ok(())
    }

    /// TCP_FASTOPEN_KEY: one key, or two.
    pub(super) fn set_fast_open_key(&mut self, fd: Fd, text: &[u8], len: i64) -> Result<(), Fault> {
        let given = usize::try_from(len).ok().and_then(|len| text.get(..len));
        let keys = match given.map(<[u8]>::as_chunks::<16>) {
            Some(([primary], [])) => FastOpenKeys::new(*primary),
            Some(([primary, backup], [])) => FastOpenKeys::new(*primary).backup(*backup),
            _ => return Err(Errno::EINVAL.into()),
        };
        self.tcp_mut(fd)?.options.fast_open.keys = Some(keys);
        self.listen_fast(fd).map_err(Fault::from)
    }

    /// What a connection begins with that may put data into its SYN.
    pub(super) fn fast_config(&self, tcp: &Tcp) -> Config {
        let without = self.fast_open & CLIENT_WITHOUT_COOKIE != 0;
        let fast_open = if without || tcp.options.fast_open.without_cookie {
            FastOpenUse::WithoutCookie
        } else {
            FastOpenUse::Cookie
        };
        tcp.config.clone().fast_open(fast_open)
    }

    /// Whether `connect` on a socket makes use of Fast Open.
    pub(super) const fn connects_fast(tcp: &Tcp) -> bool {
        tcp.options.fast_open.connect
    }

    /// Whether a connection waits for data before it sends its SYN.
    pub(super) fn is_deferred(&self, id: ConnId) -> bool {
        let connection = self.stack.tcp_connection(id);
        connection.is_some_and(|connection| connection.fast_open_room().1)
    }

    /// A write that may open the connection too.
    pub(super) fn send_fast(
        &mut self,
        now: Instant,
        fd: Fd,
        (len, null): (usize, bool),
        waiting: &mut Waiting,
        nonblocking: bool,
    ) -> Result<Step, Fault> {
        let stage = self.tcp(fd)?.stage;
        let Call::Send { flags, to, .. } = &waiting.call else {
            return Ok(Step::Ordinary);
        };
        let (asked, to) = (flags & MSG_FASTOPEN != 0, *to);
        let id = match stage {
            _ if waiting.opening => return self.await_opening(now, fd, waiting, nonblocking),
            Stage::Connecting(id) if self.is_deferred(id) => id,
            _ if !asked => return Ok(Step::Ordinary),
            _ if self.fast_open & CLIENT == 0 || to == Some(None) => {
                return Err(Errno::EOPNOTSUPP.into());
            }
            Stage::Connecting(_) => return self.connecting_already(fd, nonblocking),
            Stage::Connected(_) | Stage::Listening(_) => return Err(Errno::EISCONN.into()),
            Stage::Unconnected if null && len > 0 => return Err(Errno::EFAULT.into()),
            Stage::Unconnected => {
                let Some(Some(address)) = to else {
                    return Err(Errno::EINVAL.into());
                };
                let id = self.start_fast(now, fd, address)?;
                self.tcp_mut(fd)?.stage = Stage::Connecting(id);
                id
            }
        };
        if null && len > 0 {
            return Err(Errno::EFAULT.into());
        }
        self.open_with_data(now, fd, id, len, waiting, nonblocking)
    }

    fn start_fast(&mut self, now: Instant, fd: Fd, address: SocketAddr) -> Result<ConnId, Errno> {
        let config = self.fast_config(self.tcp(fd)?);
        self.start_connect(now, fd, address, config, false)
    }

    /// Puts into the SYN what goes into it.
    fn open_with_data(
        &mut self,
        now: Instant,
        fd: Fd,
        id: ConnId,
        len: usize,
        waiting: &mut Waiting,
        nonblocking: bool,
    ) -> Result<Step, Fault> {
        let connection = self.stack.tcp_connection(id);
        let (room, _) = connection.map_or((0, false), |connection| connection.fast_open_room());
        let first = len.min(room);
        if first > 0 {
            self.put(now, fd, first, 0)?;
        }
        self.stack
            .tcp_with(now, id, |connection| connection.send_syn(now));
        self.drain(now);
        if nonblocking {
            return match first {
                0 => Err(Errno::EINPROGRESS.into()),
                first => Ok(Step::Done(first)),
            };
        }
        waiting.done = first;
        waiting.opening = true;
        self.write_pending = first < len;
        Ok(Step::Wait)
    }

    /// The call has sent the SYN and waits for its answer.
    fn await_opening(
        &mut self,
        now: Instant,
        fd: Fd,
        waiting: &mut Waiting,
        gives_up: bool,
    ) -> Result<Step, Fault> {
        let state = self.state(self.tcp(fd)?);
        let is_opening = matches!(state, State::SynSent | State::SynReceived);
        let more = core::mem::take(&mut self.write_pending);
        self.write_pending = more && is_opening && !gives_up;
        match state {
            State::SynSent | State::SynReceived if gives_up => match waiting.done {
                0 => Err(Errno::EINPROGRESS.into()),
                done => Ok(Step::Done(done)),
            },
            State::SynSent | State::SynReceived => Ok(Step::Wait),
            State::Closed => {
                let tcp = self.tcp_mut(fd)?;
                tcp.stage = Stage::Unconnected;
                Err(tcp.take_error().unwrap_or(Errno::ECONNABORTED).into())
            }
            _ => {
                waiting.opening = false;
                if more && let Some(id) = self.tcp(fd)?.connection() {
                    // A request that goes with the acknowledgement of the SYN-ACK makes Linux expect an answer, which
                    // it acknowledges with the next request.
                    self.stack
                        .tcp_with(now, id, |connection| connection.set_quick_ack(now, false));
                }
                Ok(Step::Ordinary)
            }
        }
    }

    /// Another call has sent the SYN.
    fn connecting_already(&self, fd: Fd, nonblocking: bool) -> Result<Step, Fault> {
        match self.state(self.tcp(fd)?) {
            State::SynSent | State::SynReceived if nonblocking => Err(Errno::EALREADY.into()),
            State::SynSent | State::SynReceived => Ok(Step::Wait),
            _ => Ok(Step::Ordinary),
        }
    }
}

/// What becomes of a write.
pub(super) enum Step {
    /// It is one like any other.
    Ordinary,
    /// It waits for the SYN-ACK.
    Wait,
    /// It is done with so many octets.
    Done(usize),
}
