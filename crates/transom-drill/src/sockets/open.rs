//! Calls that open and close: socket, bind, listen, accept, connect, shutdown, close.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use transom_stack::tcp::{Config, Instant, Linger, State};
use transom_stack::{ConnId, ConnectError, ConnectOptions, ListenOn, ListenOptions};

use super::file::{Kind, Stage, Tcp, errno_of};
use super::names::{
    AF_INET, AF_INET6, IPPROTO_TCP, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK,
    SOCK_STREAM,
};
use super::{ANYTHING, Call, Errno, Fault, Fd, Returned, Sockets, Waiting};

/// IPv4 in place of the IPv6 address that stands for it.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), address.port()),
            None => address,
        },
        IpAddr::V4(_) => address,
    }
}

impl Sockets {
    pub(super) fn socket(
        &mut self,
        domain: i64,
        kind: i64,
        protocol: i64,
    ) -> Result<Returned, Fault> {
        let v6 = match domain {
            AF_INET => false,
            AF_INET6 => true,
            _ => return Err(Errno::EAFNOSUPPORT.into()),
        };
        let nonblocking = kind & SOCK_NONBLOCK != 0;
        if kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != SOCK_STREAM {
            return Err(Fault::Unsupported(
                "sockets other than SOCK_STREAM".to_owned(),
            ));
        }
        if protocol != 0 && protocol != IPPROTO_TCP {
            return Err(Errno::EPROTONOSUPPORT.into());
        }
        let tcp = Tcp::new(v6, self.config.clone());
        let fd = self.open(Kind::Tcp(Box::new(tcp)), nonblocking)?;
        Ok(i64::from(fd).into())
    }

    pub(super) fn bind(&mut self, fd: Fd, address: SocketAddr) -> Result<Returned, Fault> {
        let tcp = self.tcp(fd)?;
        if tcp.stage != Stage::Unconnected || tcp.local.is_some() {
            return Err(Errno::EINVAL.into());
        }
        if address.is_ipv6() && !tcp.v6 {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let mut address = unmapped(address);
        let is_ours = address.ip().is_unspecified()
            || self
                .stack
                .addresses()
                .iter()
                .any(|own| own.addr() == address.ip());
        if !is_ours {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        if address.port() == 0 {
            address.set_port(self.any_port());
        } else if self.is_taken(fd, address) {
            return Err(Errno::EADDRINUSE.into());
        }
        self.tcp_mut(fd)?.local = Some(address);
        Ok(0.into())
    }

    fn any_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(40_000);
        port
    }

    /// Whether somebody else is in the way of binding to `address`.
    fn is_taken(&self, fd: Fd, address: SocketAddr) -> bool {
        let overlaps = |other: SocketAddr| {
            other.port() == address.port()
                && (other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified())
        };
        let Ok(own) = self.tcp(fd) else {
            return false;
        };
        let reuse = own.options.reuse_address;
        let by_file = self.files.iter().any(|(other, file)| match &file.kind {
            Kind::Tcp(tcp) if *other != fd && tcp.local.is_some_and(overlaps) => {
                let shares =
                    reuse && tcp.options.reuse_address && !matches!(tcp.stage, Stage::Listening(_));
                let shares_port = own.options.reuse_port && tcp.options.reuse_port;
                !shares && !shares_port
            }
            _ => false,
        });
        // What closed sockets left behind, down to TIME-WAIT, is in the way too unless told otherwise.
        let by_connection = !reuse
            && self
                .stack
                .connections()
                .any(|(_, local, _, state)| state != State::Closed && overlaps(local));
        by_file || by_connection
    }

    pub(super) fn listen(&mut self, fd: Fd, backlog: i64) -> Result<Returned, Fault> {
        // Linux takes the number as unsigned and limits it to net.core.somaxconn.
        let backlog = usize::try_from(backlog).unwrap_or(4096).min(4096);
        let tcp = self.tcp(fd)?;
        match tcp.stage {
            Stage::Listening(id) => {
                self.stack.tcp_set_backlog(id, backlog);
                self.tcp_mut(fd)?.options.fast_open.backlog = backlog;
                self.listen_fast(fd)?;
                return Ok(0.into());
            }
            Stage::Connecting(_) | Stage::Connected(_) => return Err(Errno::EINVAL.into()),
            Stage::Unconnected => {}
        }
        let any = if tcp.v6 {
            SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)
        } else {
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)
        };
        let (v6, config) = (tcp.v6, tcp.config.clone());
        let mut local = tcp.local.unwrap_or(any);
        if local.port() == 0 {
            local.set_port(self.any_port());
        }
        let on = if v6 && local.ip().is_unspecified() {
            ListenOn::AnyAddress(local.port())
        } else {
            ListenOn::Address(local)
        };
        let options = ListenOptions::new(on).backlog(backlog).config(config);
        let id = self
            .stack
            .tcp_listen(options)
            .map_err(|_| Errno::EADDRINUSE)?;
        let tcp = self.tcp_mut(fd)?;
        tcp.local = Some(local);
        tcp.stage = Stage::Listening(id);
        tcp.options.fast_open.backlog = backlog;
        self.listen_fast(fd)?;
        Ok(0.into())
    }

    pub(super) fn accept(
        &mut self,
        fd: Fd,
        flags: i64,
        is_late: bool,
    ) -> Result<Option<Returned>, Fault> {
        let nonblocking = self.file(fd)?.nonblocking;
        let tcp = self.tcp(fd)?;
        let Stage::Listening(listener) = tcp.stage else {
            return Err(Errno::EINVAL.into());
        };
        let mut child = tcp.clone();
        let Some(id) = self.stack.tcp_accept(listener) else {
            return if nonblocking || is_late {
                Err(Errno::EAGAIN.into())
            } else {
                Ok(None)
            };
        };
        child.stage = Stage::Connected(id);
        child.local = self.stack.tcp_addresses(id).map(|(local, _)| local);
        // What happened before is not told again: it is asked for.
        if let Some(connection) = self.stack.tcp_connection(id) {
            child.finished = connection.is_recv_finished();
            child.error = connection.closed().and_then(errno_of);
        }
        let child = Kind::Tcp(Box::new(child));
        let accepted = self.open(child, flags & SOCK_NONBLOCK != 0)?;
        Ok(Some(i64::from(accepted).into()))
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        fd: Fd,
        address: Option<SocketAddr>,
        waiting: &mut Waiting,
        is_late: bool,
    ) -> Result<Option<Returned>, Fault> {
        let nonblocking = self.file(fd)?.nonblocking;
        let Some(address) = address else {
            self.dissolve(now, fd)?;
            return Ok(Some(0.into()));
        };
        match self.tcp(fd)?.stage {
            Stage::Connected(_) | Stage::Listening(_) => Err(Errno::EISCONN.into()),
            Stage::Connecting(id) if self.is_deferred(id) => Err(Errno::EISCONN.into()),
            Stage::Connecting(id) => {
                self.connecting(fd, id, waiting.done > 0, nonblocking || is_late)
            }
            Stage::Unconnected => {
                let tcp = self.tcp(fd)?;
                let is_fast = Self::connects_fast(tcp);
                let config = if is_fast {
                    self.fast_config(tcp)
                } else {
                    tcp.config.clone()
                };
                let id = self.start_connect(now, fd, address, config, is_fast)?;
                waiting.done = 1;
                self.tcp_mut(fd)?.stage = Stage::Connecting(id);
                self.drain(now);
                if self.is_deferred(id) {
                    // TCP_FASTOPEN_CONNECT: the first write sends the SYN.
                    Ok(Some(0.into()))
                } else if nonblocking {
                    Err(Errno::EINPROGRESS.into())
                } else {
                    Ok(None)
                }
            }
        }
    }

    pub(super) fn start_connect(
        &mut self,
        now: Instant,
        fd: Fd,
        address: SocketAddr,
        config: Config,
        waits_for_data: bool,
    ) -> Result<ConnId, Errno> {
        let address = unmapped(address);
        let tcp = self.tcp(fd)?;
        let mut options = ConnectOptions::new(address)
            .config(config)
            .wait_for_data(waits_for_data);
        options.local = tcp.local;
        let (ttl, v6) = (tcp.options.ttl, tcp.v6);
        if address.is_ipv6() && !v6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let id = self
            .stack
            .tcp_connect(now, options)
            .map_err(|error| match error {
                ConnectError::InvalidRemote | ConnectError::NoRoute => Errno::ENETUNREACH,
                ConnectError::ConnectionLimit => Errno::ENOMEM,
                // Also a pair of sockets in use: Linux says the same of both.
                _ => Errno::EADDRNOTAVAIL,
            })?;
        if let Some(ttl) = ttl {
            self.stack.tcp_set_hop_limit(id, ttl);
        }
        // A port that the stack chose is not kept: another try gets another.
        let tcp = self.tcp_mut(fd)?;
        tcp.read_shut = false;
        tcp.write_shut = false;
        tcp.finished = false;
        tcp.error = None;
        Ok(id)
    }

    /// A connection that was begun: by this call, or by one before.
    fn connecting(
        &mut self,
        fd: Fd,
        id: ConnId,
        is_own: bool,
        gives_up: bool,
    ) -> Result<Option<Returned>, Fault> {
        let state = self.stack.tcp_state(id).unwrap_or(State::Closed);
        match state {
            State::SynSent | State::SynReceived if !gives_up => Ok(None),
            State::SynSent | State::SynReceived if is_own => Err(Errno::EINPROGRESS.into()),
            State::SynSent | State::SynReceived => Err(Errno::EALREADY.into()),
            State::Closed => {
                let tcp = self.tcp_mut(fd)?;
                tcp.stage = Stage::Unconnected;
                let errno = tcp.take_error().unwrap_or(Errno::ECONNABORTED);
                Err(errno.into())
            }
            _ => {
                self.tcp_mut(fd)?.stage = Stage::Connected(id);
                Ok(Some(0.into()))
            }
        }
    }

    /// `connect` with `AF_UNSPEC`.
    fn dissolve(&mut self, now: Instant, fd: Fd) -> Result<(), Errno> {
        let stage = self.tcp(fd)?.stage;
        match stage {
            Stage::Unconnected => {}
            Stage::Listening(id) => self.stack.tcp_close_listener(now, id),
            Stage::Connecting(id) | Stage::Connected(id) => {
                self.stack.tcp_abort(now, id);
                self.stack.tcp_release(now, id);
            }
        }
        let tcp = self.tcp_mut(fd)?;
        tcp.stage = Stage::Unconnected;
        tcp.error = None;
        tcp.read_shut = false;
        tcp.write_shut = false;
        tcp.finished = false;
        self.wake(fd, ANYTHING);
        Ok(())
    }

    pub(super) fn shutdown(&mut self, now: Instant, fd: Fd, how: i64) -> Result<Returned, Fault> {
        let (reads, writes) = match how {
            SHUT_RD => (true, false),
            SHUT_WR => (false, true),
            SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL.into()),
        };
        let stage = self.tcp(fd)?.stage;
        match stage {
            Stage::Unconnected => return Err(Errno::ENOTCONN.into()),
            Stage::Listening(id) => {
                // Linux stops listening when the reading side is shut.
                if reads {
                    self.stack.tcp_close_listener(now, id);
                    self.tcp_mut(fd)?.stage = Stage::Unconnected;
                    self.wake(fd, ANYTHING);
                }
                return Ok(0.into());
            }
            Stage::Connecting(_) | Stage::Connected(_) => {}
        }
        let Some(id) = self.tcp(fd)?.connection() else {
            return Err(Errno::ENOTCONN.into());
        };
        match self.stack.tcp_state(id).unwrap_or(State::Closed) {
            State::Closed => return Err(Errno::ENOTCONN.into()),
            State::SynSent => {
                self.dissolve(now, fd)?;
                self.tcp_mut(fd)?.error = Some(Errno::ECONNRESET);
                return Ok(0.into());
            }
            _ => {}
        }
        let tcp = self.tcp_mut(fd)?;
        // Data that comes is still taken, acknowledged and read; `read` just no longer waits for it.
        tcp.read_shut |= reads;
        let had = tcp.write_shut;
        tcp.write_shut |= writes;
        if writes && !had {
            // It was asked for before, or there is nothing left to close: no error on Linux.
            let _ = self.stack.tcp_shutdown_write(now, id);
        }
        self.wake(fd, ANYTHING);
        Ok(0.into())
    }

    pub(super) fn close(
        &mut self,
        now: Instant,
        fd: Fd,
        waiting: &mut Waiting,
    ) -> Result<Option<Returned>, Fault> {
        if waiting.done > 0 {
            return Ok(self.closed_enough(now, waiting));
        }
        let Some(file) = self.files.remove(&fd) else {
            return Err(Errno::EBADF.into());
        };
        for other in self.files.values_mut() {
            if let Kind::Epoll(epoll) = &mut other.kind {
                epoll.watched.remove(&fd);
                epoll.ready.retain(|ready| *ready != fd);
            }
        }
        let Kind::Tcp(tcp) = file.kind else {
            return Ok(Some(0.into()));
        };
        match tcp.stage {
            Stage::Unconnected => {}
            Stage::Listening(id) => self.stack.tcp_close_listener(now, id),
            Stage::Connecting(id) | Stage::Connected(id) => {
                if tcp.options.linger.is_some_and(|linger| linger.is_zero()) {
                    self.stack
                        .tcp_with(now, id, |connection| connection.set_linger(Linger::Reset));
                }
                self.stack.tcp_release(now, id);
                if tcp.options.linger.is_some_and(|linger| !linger.is_zero()) {
                    waiting.done = 1;
                    waiting.call = Call::Close { fd };
                    self.lingering = Some(id);
                    self.drain(now);
                    return Ok(self.closed_enough(now, waiting));
                }
            }
        }
        Ok(Some(0.into()))
    }

    /// SO_LINGER: `close` waits until what was written and the FIN are acknowledged, or time is over.
    fn closed_enough(&mut self, now: Instant, waiting: &Waiting) -> Option<Returned> {
        let state = self.lingering.and_then(|id| self.stack.tcp_state(id));
        let is_busy = matches!(
            state,
            Some(State::FinWait1 | State::Closing | State::LastAck)
        );
        if is_busy && waiting.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.lingering = None;
        Some(0.into())
    }
}
