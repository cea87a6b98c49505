//! Calls that move data: read, write and their family, pipe, splice.

use bytes::Bytes;
use transom_stack::tcp::{Connection, Instant, State};

use super::fastopen::Step;
use super::file::{Kind, Stage};
use super::names::{
    MSG_DONTWAIT, MSG_ERRQUEUE, MSG_MORE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_ZEROCOPY,
    SPLICE_F_NONBLOCK,
};
use super::{Errno, Fault, Fd, Output, Returned, Sockets, Waiting};

/// Octets that a pipe holds on Linux.
const PIPE_CAPACITY: usize = 65_536;

impl Sockets {
    /// Whether a call returns at once what it has: because it was asked to, or has waited long enough.
    fn may_not_wait(
        &self,
        now: Instant,
        fd: Fd,
        flags: i64,
        waiting: &Waiting,
    ) -> Result<bool, Errno> {
        Ok(waiting.is_late(now) || flags & MSG_DONTWAIT != 0 || self.file(fd)?.nonblocking)
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        fd: Fd,
        (len, null): (usize, bool),
        flags: i64,
        waiting: &mut Waiting,
    ) -> Result<Option<Returned>, Fault> {
        if let Kind::Pipe { number, .. } = self.file(fd)?.kind {
            return self.read_pipe(number, len).map(Some);
        }
        let nonblocking = self.may_not_wait(now, fd, flags, waiting)?;
        let tcp = self.tcp(fd)?;
        if matches!(tcp.stage, Stage::Listening(_)) {
            return Err(Errno::ENOTCONN.into());
        }
        if flags & MSG_ERRQUEUE != 0 {
            // Nothing in here ever queues an error there.
            return Err(Errno::EAGAIN.into());
        }
        if flags & MSG_OOB != 0 {
            return Err(Fault::Unsupported(
                "reading out of band (urgent data is read in its place)".to_owned(),
            ));
        }
        let target = if flags & MSG_WAITALL != 0 {
            len
        } else {
            tcp.options.receive_low_water.clamp(1, len.max(1))
        };
        let is_readable = self.unread(fd)? > 0;
        if null && is_readable && len > 0 {
            return Err(Errno::EFAULT.into());
        }
        let rest = len.saturating_sub(waiting.done);
        waiting.done += self.take(now, fd, rest, flags)?;
        if waiting.done >= target && waiting.done > 0 || len == 0 && is_readable {
            return self.received(fd, waiting.done).map(Some);
        }
        let state = self.state(self.tcp(fd)?);
        let tcp = self.tcp_mut(fd)?;
        if waiting.done > 0 {
            let over = tcp.finished || tcp.error.is_some() || state == State::Closed;
            return if over || tcp.read_shut || nonblocking {
                self.received(fd, waiting.done).map(Some)
            } else {
                Ok(None)
            };
        }
        if tcp.finished {
            return self.received(fd, 0).map(Some);
        }
        if let Some(error) = tcp.take_error() {
            return Err(error.into());
        }
        match (tcp.connection(), state) {
            _ if tcp.read_shut => self.received(fd, 0).map(Some),
            // An end that was told already is the end of the stream.
            (Some(_), State::Closed) => self.received(fd, 0).map(Some),
            (None, _) => Err(Errno::ENOTCONN.into()),
            _ if nonblocking => Err(Errno::EAGAIN.into()),
            _ => Ok(None),
        }
    }

    /// Takes, or looks at, what is there.
    fn take(&mut self, now: Instant, fd: Fd, len: usize, flags: i64) -> Result<usize, Fault> {
        let Some(id) = self.tcp(fd)?.connection() else {
            return Ok(0);
        };
        let len = len.min(Self::MAX_LEN);
        if flags & MSG_PEEK != 0 {
            return Ok(self.unread(fd)?.min(len));
        }
        let mut taken = 0;
        while taken < len {
            match self.stack.tcp_recv(now, id, len - taken) {
                Ok(Some(data)) if !data.is_empty() => {
                    if flags & MSG_TRUNC == 0 && data.iter().any(|octet| *octet != 0) {
                        return Err(Fault::Unsupported(
                            "data that is not zero was received".to_owned(),
                        ));
                    }
                    taken += data.len();
                }
                _ => break,
            }
        }
        Ok(taken)
    }

    fn received(&self, fd: Fd, len: usize) -> Result<Returned, Fault> {
        let tcp = self.tcp(fd)?;
        let unread = if tcp.options.tell_unread {
            // Linux counts the end of the stream as something to read.
            let end = usize::from(tcp.finished);
            Some(whole(self.unread(fd)?.max(end)))
        } else {
            None
        };
        Ok(Returned {
            value: whole(len),
            output: Output::Message { flags: 0, unread },
        })
    }

    /// Octets that can be read.
    pub(super) fn unread(&self, fd: Fd) -> Result<usize, Errno> {
        let connection = self.tcp(fd)?.connection();
        Ok(connection
            .and_then(|id| self.stack.tcp_connection(id))
            .map_or(0, |connection| connection.recv_queue()))
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        fd: Fd,
        (len, null): (usize, bool),
        flags: i64,
        waiting: &mut Waiting,
    ) -> Result<Option<Returned>, Fault> {
        if let Kind::Pipe { number, .. } = self.file(fd)?.kind {
            return self.write_pipe(number, len).map(Some);
        }
        let nonblocking = self.may_not_wait(now, fd, flags, waiting)?;
        match self.send_fast(now, fd, (len, null), waiting, nonblocking)? {
            Step::Ordinary => {}
            Step::Wait => return Ok(None),
            Step::Done(octets) => return Ok(Some(whole(octets).into())),
        }
        let tcp = self.tcp(fd)?;
        let state = self.state(tcp);
        let connection = tcp
            .connection()
            .and_then(|id| self.stack.tcp_connection(id));
        let connection = connection.as_deref();
        let is_early =
            state == State::SynReceived && connection.is_some_and(Connection::is_fast_opened);
        let tcp = self.tcp_mut(fd)?;
        if flags & MSG_ZEROCOPY != 0 && tcp.options.zerocopy() {
            return Err(Fault::Unsupported("MSG_ZEROCOPY".to_owned()));
        }
        if len > Self::MAX_LEN {
            return Err(Errno::ENOBUFS.into());
        }
        // A write that had begun tells how far it came; what went wrong comes with the next one.
        let partly = |done: usize| Ok(Some(Returned::from(whole(done))));
        let may_send = matches!(state, State::Established | State::CloseWait) || is_early;
        if !may_send || tcp.write_shut || tcp.error.is_some() {
            let is_opening = matches!(state, State::SynSent | State::SynReceived);
            if waiting.done > 0 {
                return partly(waiting.done);
            }
            return match tcp.take_error() {
                Some(error) => Err(error.into()),
                None if !is_opening || tcp.write_shut => Err(Errno::EPIPE.into()),
                None if nonblocking => Err(Errno::EAGAIN.into()),
                None => Ok(None),
            };
        }
        if null && len > 0 {
            return Err(Errno::EFAULT.into());
        }
        waiting.done += self.put(now, fd, len - waiting.done, flags)?;
        match () {
            () if waiting.done == len => partly(len),
            () if nonblocking && waiting.done > 0 => partly(waiting.done),
            () if nonblocking => Err(Errno::EAGAIN.into()),
            () => Ok(None),
        }
    }

    /// Gives the connection as much as it takes, sending meanwhile.
    pub(super) fn put(
        &mut self,
        now: Instant,
        fd: Fd,
        len: usize,
        flags: i64,
    ) -> Result<usize, Fault> {
        let tcp = self.tcp_mut(fd)?;
        let Some(id) = tcp.connection() else {
            return Err(Errno::EPIPE.into());
        };
        let more = flags & MSG_MORE != 0;
        self.stack
            .tcp_with(now, id, |connection| connection.set_more(more));
        let zeros = Bytes::from(vec![0; len]);
        let mut done = 0;
        loop {
            let rest = zeros.slice(done..);
            let is_urgent = flags & MSG_OOB != 0;
            let taken = self.stack.tcp_with(now, id, |connection| {
                if is_urgent {
                    connection.send_urgent(now, rest)
                } else {
                    connection.send(now, rest)
                }
            });
            let taken = taken.and_then(Result::ok).unwrap_or(0);
            done += taken;
            self.drain(now);
            if taken == 0 || done == len {
                break;
            }
        }
        if done < len {
            self.tcp_mut(fd)?.no_space = true;
        }
        Ok(done)
    }

    pub(super) fn pipe(&mut self) -> Result<Returned, Fault> {
        let number = self.pipes.len();
        let reader = self.open(
            Kind::Pipe {
                number,
                writes: false,
            },
            false,
        )?;
        let writer = self.open(
            Kind::Pipe {
                number,
                writes: true,
            },
            false,
        )?;
        self.pipes.push(0);
        Ok(Returned {
            value: 0,
            output: Output::Pipe([reader, writer]),
        })
    }

    fn read_pipe(&mut self, number: usize, len: usize) -> Result<Returned, Fault> {
        let held = self.pipes.get_mut(number).ok_or(Errno::EBADF)?;
        if *held == 0 {
            return Err(Errno::EAGAIN.into());
        }
        let taken = len.min(*held);
        *held -= taken;
        Ok(whole(taken).into())
    }

    fn write_pipe(&mut self, number: usize, len: usize) -> Result<Returned, Fault> {
        let held = self.pipes.get_mut(number).ok_or(Errno::EBADF)?;
        let taken = len.min(PIPE_CAPACITY.saturating_sub(*held));
        if taken == 0 {
            return Err(Errno::EAGAIN.into());
        }
        *held += taken;
        Ok(whole(taken).into())
    }

    /// Data from a socket into a pipe, or from a pipe into a socket.
    pub(super) fn splice(
        &mut self,
        now: Instant,
        from: Fd,
        to: Fd,
        len: usize,
        flags: i64,
    ) -> Result<Option<Returned>, Fault> {
        let kinds = (&self.file(from)?.kind, &self.file(to)?.kind);
        match kinds {
            (
                Kind::Tcp(_),
                Kind::Pipe {
                    number,
                    writes: true,
                },
            ) => {
                let number = *number;
                let room = PIPE_CAPACITY.saturating_sub(*self.pipes.get(number).unwrap_or(&0));
                let taken = self.take(now, from, len.min(room), 0)?;
                if taken == 0 {
                    return self.nothing_to_splice(from, flags);
                }
                self.write_pipe(number, taken).map(Some)
            }
            (
                Kind::Pipe {
                    number,
                    writes: false,
                },
                Kind::Tcp(_),
            ) => {
                let number = *number;
                let held = self.pipes.get(number).copied().unwrap_or(0);
                let sent = self.put(now, to, len.min(held), 0)?;
                self.read_pipe(number, sent).map(Some)
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn nothing_to_splice(&mut self, from: Fd, flags: i64) -> Result<Option<Returned>, Fault> {
        let nonblocking = self.file(from)?.nonblocking || flags & SPLICE_F_NONBLOCK != 0;
        let state = self.state(self.tcp(from)?);
        let tcp = self.tcp_mut(from)?;
        if tcp.finished || tcp.read_shut {
            return Ok(Some(0.into()));
        }
        match tcp.take_error() {
            Some(error) => Err(error.into()),
            None if tcp.connection().is_none() => Err(Errno::ENOTCONN.into()),
            None if state == State::Closed => Ok(Some(0.into())),
            None if nonblocking => Err(Errno::EAGAIN.into()),
            None => Ok(None),
        }
    }
}

/// A length as a call's result.
pub(super) fn whole(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
