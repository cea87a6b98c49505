//! Readiness: poll and epoll.

use transom_stack::tcp::{Connection, State};

use super::file::{Epoll, Kind, Stage, Watch};
use super::names::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP,
    EPOLLONESHOT, EPOLLWAKEUP, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP,
    POLLRDNORM, POLLWRNORM,
};
use super::transfer::whole;
use super::{Errno, Fault, Fd, Output, Returned, Sockets};

/// The bits of an epoll mask that are no events.
const EPOLL_FLAGS: i64 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;

impl Sockets {
    /// What `poll` says of a file.
    fn readiness(&mut self, fd: Fd) -> i64 {
        let Ok(file) = self.file(fd) else {
            return POLLNVAL;
        };
        match &file.kind {
            Kind::Tcp(_) => self.tcp_readiness(fd),
            Kind::Epoll(epoll) => {
                if epoll.ready.is_empty() {
                    0
                } else {
                    POLLIN | POLLRDNORM
                }
            }
            Kind::Pipe { number, writes } => {
                let held = self.pipes.get(*number).copied().unwrap_or(0);
                match (writes, held) {
                    (false, 0) => 0,
                    (false, _) => POLLIN | POLLRDNORM,
                    (true, _) => POLLOUT | POLLWRNORM,
                }
            }
        }
    }

    fn tcp_readiness(&mut self, fd: Fd) -> i64 {
        let Ok(tcp) = self.tcp(fd) else {
            return POLLNVAL;
        };
        if let Stage::Listening(id) = tcp.stage {
            let waits = self.stack.tcp_ready(id).unwrap_or(0) > 0;
            return if waits { POLLIN | POLLRDNORM } else { 0 };
        }
        let connection = tcp
            .connection()
            .and_then(|id| self.stack.tcp_connection(id));
        let connection = connection.as_deref();
        let state = self.state(tcp);
        let was_open = tcp.connection().is_some();
        let closed = state == State::Closed;
        let read_over = tcp.read_shut || tcp.finished || closed && was_open;
        let write_over = tcp.write_shut || closed && was_open;
        let mut mask = 0;
        if read_over && write_over || closed {
            mask |= POLLHUP;
        }
        if read_over {
            mask |= POLLIN | POLLRDNORM | POLLRDHUP;
        }
        if tcp.error.is_some() {
            mask |= POLLERR;
        }
        let mut finds_no_room = false;
        let is_early = connection.is_some_and(Connection::is_fast_opened);
        if state == State::SynSent && connection.is_some_and(|open| open.fast_open_room().1) {
            // A write is what it waits for.
            mask |= POLLOUT | POLLWRNORM;
        }
        let is_opening = matches!(state, State::SynSent | State::SynReceived);
        if !is_opening || is_early {
            let unread = connection.map_or(0, Connection::recv_queue);
            if unread >= tcp.options.receive_low_water {
                mask |= POLLIN | POLLRDNORM;
            }
            let urgent = connection.map_or(0, Connection::urgent_remaining);
            if urgent > 0 {
                mask |= POLLPRI;
            }
            if write_over || connection.is_none_or(Connection::has_room) {
                mask |= POLLOUT | POLLWRNORM;
            } else {
                finds_no_room = true;
            }
        }
        if finds_no_room && let Ok(tcp) = self.tcp_mut(fd) {
            tcp.no_space = true;
            if let Some(id) = tcp.connection() {
                self.stack.tcp_want_writable(id);
            }
        }
        mask
    }

    pub(super) fn poll(&mut self, entries: &[(Fd, i64)], at_once: bool) -> Option<Returned> {
        let found: Vec<i64> = entries
            .iter()
            .map(|(fd, wanted)| {
                if *fd < 0 {
                    return 0;
                }
                self.readiness(*fd) & (wanted | POLLERR | POLLHUP | POLLNVAL)
            })
            .collect();
        let count = found.iter().filter(|events| **events != 0).count();
        (count > 0 || at_once).then(|| Returned {
            value: whole(count),
            output: Output::Poll(found),
        })
    }

    pub(super) fn epoll_create(&mut self) -> Result<Returned, Fault> {
        let fd = self.open(Kind::Epoll(Epoll::default()), false)?;
        Ok(i64::from(fd).into())
    }

    pub(super) fn epoll_control(
        &mut self,
        epoll: Fd,
        operation: i64,
        fd: Fd,
        events: i64,
        data: u64,
    ) -> Result<Returned, Fault> {
        self.file(fd)?;
        let Kind::Epoll(set) = &mut self.file_mut(epoll)?.kind else {
            return Err(Errno::EINVAL.into());
        };
        if fd == epoll {
            return Err(Errno::EINVAL.into());
        }
        let is_watched = set.watched.contains_key(&fd);
        match operation {
            EPOLL_CTL_ADD if is_watched => return Err(Errno::EEXIST.into()),
            EPOLL_CTL_MOD | EPOLL_CTL_DEL if !is_watched => return Err(Errno::ENOENT.into()),
            EPOLL_CTL_DEL => {
                set.watched.remove(&fd);
                set.ready.retain(|ready| *ready != fd);
                return Ok(0.into());
            }
            EPOLL_CTL_ADD | EPOLL_CTL_MOD => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        // These two are always told.
        let events = events | EPOLLERR | EPOLLHUP;
        set.watched.insert(fd, Watch { events, data });
        let now = self.readiness(fd) & events & !EPOLL_FLAGS;
        if now != 0
            && let Kind::Epoll(set) = &mut self.file_mut(epoll)?.kind
            && !set.ready.contains(&fd)
        {
            set.ready.push(fd);
        }
        Ok(0.into())
    }

    pub(super) fn epoll_wait(
        &mut self,
        epoll: Fd,
        max: i64,
        at_once: bool,
    ) -> Result<Option<Returned>, Fault> {
        let Kind::Epoll(set) = &mut self.file_mut(epoll)?.kind else {
            return Err(Errno::EINVAL.into());
        };
        let max = usize::try_from(max)
            .ok()
            .filter(|max| *max > 0)
            .ok_or(Errno::EINVAL)?;
        let ready = core::mem::take(&mut set.ready);
        let watched = set.watched.clone();
        let mut told = Vec::new();
        let mut again = Vec::new();
        for fd in ready {
            let Some(watch) = watched.get(&fd).copied() else {
                continue;
            };
            if told.len() == max {
                again.push(fd);
                continue;
            }
            let events = self.readiness(fd) & watch.events & !EPOLL_FLAGS;
            if events == 0 {
                continue;
            }
            told.push((events, watch.data));
            let Kind::Epoll(set) = &mut self.file_mut(epoll)?.kind else {
                continue;
            };
            if watch.events & EPOLLONESHOT != 0 {
                // Disarmed until it is modified.
                if let Some(watch) = set.watched.get_mut(&fd) {
                    watch.events &= EPOLL_FLAGS;
                }
            } else if watch.events & EPOLLET == 0 {
                again.push(fd);
            }
        }
        if let Kind::Epoll(set) = &mut self.file_mut(epoll)?.kind {
            set.ready = again;
        }
        if told.is_empty() && !at_once {
            return Ok(None);
        }
        Ok(Some(Returned {
            value: whole(told.len()),
            output: Output::Epoll(told),
        }))
    }

    /// Whoever watches `fd` for one of these events looks at it again.
    pub(super) fn wake(&mut self, fd: Fd, events: i64) {
        for file in self.files.values_mut() {
            if let Kind::Epoll(epoll) = &mut file.kind
                && let Some(watch) = epoll.watched.get(&fd)
                && watch.events & !EPOLL_FLAGS & events != 0
                && !epoll.ready.contains(&fd)
            {
                epoll.ready.push(fd);
            }
        }
    }
}
