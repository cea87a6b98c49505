//! Options: setsockopt, getsockopt, fcntl, ioctl.

use std::time::Duration;

use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{Connection, Instant, KeepAlive, State};

use super::file::{Stage, Tcp};
use super::names::{
    AF_INET, AF_INET6, IP_FREEBIND, IP_MTU, IP_MTU_DISCOVER, IP_RECVERR, IP_TOS, IP_TTL,
    IPPROTO_TCP, IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_RECVERR, IPV6_TCLASS, IPV6_UNICAST_HOPS,
    IPV6_V6ONLY, SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_INCOMING_CPU, SO_KEEPALIVE, SO_LINGER,
    SO_MARK, SO_OOBINLINE, SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF, SO_RCVBUFFORCE, SO_RCVLOWAT,
    SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDBUFFORCE, SO_SNDTIMEO,
    SO_TIMESTAMPING, SO_TYPE, SO_ZEROCOPY, SOCK_STREAM, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP,
    TCP_CONGESTION, TCP_CORK, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY,
    TCP_FASTOPEN_NO_COOKIE, TCP_INQ, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_LINGER2,
    TCP_MAXSEG, TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_QUICKACK,
    TCP_REPAIR, TCP_SYNCNT, TCP_USER_TIMEOUT,
};
use super::transfer::whole;
use super::{Errno, Fault, Fd, OptionValue, Output, Returned, Sockets};

/// net.core.wmem_max and rmem_max, as Linux sets them: what SO_SNDBUF and SO_RCVBUF may ask for.
const LARGEST_BUFFER: i64 = 212_992;
/// The least that Linux makes of them.
const LEAST_SEND_BUFFER: i64 = 4608;
const LEAST_RECEIVE_BUFFER: i64 = 2304;

/// What Linux makes of a wish for a buffer: twice as much, half of it for its own book-keeping.
fn buffer_size(asked: i64, forced: bool) -> i64 {
    let most = if forced { i64::MAX } else { LARGEST_BUFFER };
    asked.clamp(0, most).saturating_mul(2)
}

/// A number that must lie between two others, which are not negative.
fn within(number: i64, least: i64, most: i64) -> Result<u64, Errno> {
    if (least..=most).contains(&number) {
        Ok(number.unsigned_abs())
    } else {
        Err(Errno::EINVAL)
    }
}

impl Sockets {
    pub(super) fn set_option(
        &mut self,
        now: Instant,
        fd: Fd,
        (level, name): (i64, i64),
        value: &OptionValue,
        len: i64,
    ) -> Result<Returned, Fault> {
        self.tcp(fd)?;
        let number = match value {
            OptionValue::Null => return Err(Errno::EFAULT.into()),
            // Options of IP may be one octet.
            OptionValue::Integer(_) if len < 4 && !(level == SOL_IP && len > 0) => {
                return Err(Errno::EINVAL.into());
            }
            // An int on Linux: 0xffffffff is -1.
            #[expect(clippy::cast_possible_truncation, reason = "an int is 32 bits")]
            OptionValue::Integer(number) => Some(i64::from(*number as i32)),
            _ => None,
        };
        match (level, name, value) {
            (SOL_SOCKET, SO_LINGER, OptionValue::Linger { on, seconds }) => {
                let seconds = u64::try_from(*seconds).unwrap_or(0);
                self.tcp_mut(fd)?.options.linger = on.then(|| Duration::from_secs(seconds));
            }
            (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO, OptionValue::Time { seconds, micros }) => {
                let Ok(micros) = u64::try_from(seconds.saturating_mul(1_000_000) + micros) else {
                    return Err(Errno::EDOM.into());
                };
                let limit = (micros > 0).then(|| Duration::from_micros(micros));
                let options = &mut self.tcp_mut(fd)?.options;
                if name == SO_RCVTIMEO {
                    options.receive_timeout = limit;
                } else {
                    options.send_timeout = limit;
                }
            }
            (SOL_TCP, TCP_CONGESTION, OptionValue::Text(text)) => {
                self.set_congestion(now, fd, text)?;
            }
            (SOL_TCP, TCP_FASTOPEN_KEY, OptionValue::Text(text)) => {
                self.set_fast_open_key(fd, text, len)?;
            }
            _ => {
                let number = number.ok_or(Errno::EINVAL)?;
                match level {
                    SOL_SOCKET => self.set_socket_option(now, fd, name, number)?,
                    SOL_TCP => self.set_tcp_option(now, fd, name, number)?,
                    SOL_IP | SOL_IPV6 => self.set_ip_option(now, fd, (level, name), number)?,
                    _ => return Err(Errno::ENOPROTOOPT.into()),
                }
            }
        }
        Ok(0.into())
    }

    fn set_socket_option(
        &mut self,
        now: Instant,
        fd: Fd,
        name: i64,
        number: i64,
    ) -> Result<(), Fault> {
        let tcp = self.tcp_mut(fd)?;
        let on = number != 0;
        match name {
            SO_REUSEADDR => tcp.options.reuse_address = on,
            SO_REUSEPORT => tcp.options.reuse_port = on,
            SO_OOBINLINE => tcp.options.inline_urgent = on,
            SO_KEEPALIVE => {
                tcp.options.keep_alive = on;
                self.apply_keep_alive(now, fd)?;
            }
            SO_RCVLOWAT => {
                tcp.options.receive_low_water =
                    usize::try_from(number).unwrap_or(usize::MAX).max(1);
            }
            SO_SNDBUF | SO_SNDBUFFORCE => {
                let forced = name == SO_SNDBUFFORCE;
                let size = buffer_size(number, forced).max(LEAST_SEND_BUFFER);
                tcp.options.send_buffer = Some(size);
                let octets = usize::try_from(size).unwrap_or(usize::MAX);
                self.configure(now, fd, |config| {
                    config.send_buffer = octets;
                    config.send_buffer_initial = octets;
                })?;
            }
            SO_RCVBUF | SO_RCVBUFFORCE => {
                let forced = name == SO_RCVBUFFORCE;
                let size = buffer_size(number, forced).max(LEAST_RECEIVE_BUFFER);
                tcp.options.receive_buffer = Some(size);
                // Half of it is window (tcp_adv_win_scale 1).
                let octets = usize::try_from(size / 2).unwrap_or(usize::MAX);
                self.configure(now, fd, |config| {
                    config.recv_buffer = octets;
                    config.recv_buffer_initial = octets;
                })?;
            }
            SO_MARK | SO_PRIORITY | SO_INCOMING_CPU | SO_ZEROCOPY => {
                tcp.options.kept.insert((SOL_SOCKET, name), number);
            }
            SO_TIMESTAMPING => return Err(Fault::Unsupported("SO_TIMESTAMPING".to_owned())),
            SO_TYPE | SO_ERROR | SO_ACCEPTCONN | SO_PROTOCOL | SO_DOMAIN => {
                return Err(Errno::ENOPROTOOPT.into());
            }
            _ => {
                return Err(Fault::Unsupported(format!(
                    "option {name} of level SOL_SOCKET"
                )));
            }
        }
        Ok(())
    }

    fn set_tcp_option(
        &mut self,
        now: Instant,
        fd: Fd,
        name: i64,
        number: i64,
    ) -> Result<(), Fault> {
        match name {
            TCP_NODELAY => {
                let on = number != 0;
                self.tcp_mut(fd)?.config.nodelay = on;
                self.with(now, fd, |connection| connection.set_nodelay(now, on))?;
            }
            TCP_CORK => {
                let on = number != 0;
                self.tcp_mut(fd)?.options.cork = on;
                self.with(now, fd, |connection| connection.set_cork(now, on))?;
            }
            TCP_MAXSEG => {
                // 0 takes the choice back.
                let size = if number == 0 {
                    0
                } else {
                    within(number, 88, 32_767)?
                };
                let size = u16::try_from(size).ok().filter(|size| *size > 0);
                self.configure(now, fd, |config| config.max_segment = size)?;
            }
            TCP_NOTSENT_LOWAT => {
                // 0 is the system's default, which is none.
                let limit = u32::try_from(number & 0xffff_ffff).unwrap_or(0);
                let octets = (limit != 0 && limit != u32::MAX)
                    .then(|| usize::try_from(limit).unwrap_or(usize::MAX));
                self.configure(now, fd, |config| config.unsent_limit = octets)?;
                let kept = &mut self.tcp_mut(fd)?.options.kept;
                kept.insert((SOL_TCP, name), number & 0xffff_ffff);
            }
            TCP_QUICKACK => {
                let on = number != 0;
                let kept = &mut self.tcp_mut(fd)?.options.kept;
                kept.insert((SOL_TCP, name), i64::from(on));
                self.with(now, fd, |connection| connection.set_quick_ack(now, on))?;
            }
            TCP_INQ => self.tcp_mut(fd)?.options.tell_unread = within(number, 0, 1)? == 1,
            _ => self.set_tcp_timer(now, fd, name, number)?,
        }
        Ok(())
    }

    /// What has to do with time, and retries.
    fn set_tcp_timer(&mut self, now: Instant, fd: Fd, name: i64, number: i64) -> Result<(), Fault> {
        match name {
            TCP_KEEPIDLE | TCP_KEEPINTVL => {
                let time = Duration::from_secs(within(number, 1, 32_767)?);
                let keep = &mut self.tcp_mut(fd)?.options.keep;
                if name == TCP_KEEPIDLE {
                    keep.idle = time;
                } else {
                    keep.interval = time;
                }
                self.apply_keep_alive(now, fd)?;
            }
            TCP_KEEPCNT => {
                let probes = u8::try_from(within(number, 1, 127)?).unwrap_or(127);
                self.tcp_mut(fd)?.options.keep.probes = probes;
                self.apply_keep_alive(now, fd)?;
            }
            TCP_SYNCNT => {
                let retries = u8::try_from(within(number, 1, 127)?).unwrap_or(127);
                self.configure(now, fd, |config| config.syn_retries = retries)?;
            }
            TCP_LINGER2 => {
                // At most two minutes; negative means none at all.
                let seconds = number.clamp(0, 120).unsigned_abs();
                self.configure(now, fd, |config| {
                    config.fin_wait_2 = Duration::from_secs(seconds);
                })?;
                let kept = &mut self.tcp_mut(fd)?.options.kept;
                kept.insert((SOL_TCP, name), number.clamp(-1, 120));
            }
            TCP_USER_TIMEOUT => {
                let limit = u64::try_from(number).map_err(|_| Errno::EINVAL)?;
                let limit = (limit > 0).then(|| Duration::from_millis(limit));
                self.tcp_mut(fd)?.config.user_timeout = limit;
                self.with(now, fd, |connection| {
                    connection.set_user_timeout(now, limit)
                })?;
            }
            TCP_FASTOPEN => self.set_fast_open_queue(fd, number)?,
            TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_NO_COOKIE => {
                self.set_fast_open_switch(fd, name, number)?;
            }
            TCP_MD5SIG | TCP_MD5SIG_EXT => {
                return Err(Fault::Unsupported("TCP_MD5SIG".to_owned()));
            }
            TCP_REPAIR => return Err(Fault::Unsupported("TCP_REPAIR".to_owned())),
            _ => {
                return Err(Fault::Unsupported(format!(
                    "option {name} of level SOL_TCP"
                )));
            }
        }
        Ok(())
    }

    fn set_ip_option(
        &mut self,
        now: Instant,
        fd: Fd,
        (level, name): (i64, i64),
        number: i64,
    ) -> Result<(), Fault> {
        match (level, name) {
            (SOL_IP, IP_TOS) | (SOL_IPV6, IPV6_TCLASS) => {
                let tos = u8::try_from(number & 0xff).unwrap_or(0);
                let tcp = self.tcp_mut(fd)?;
                // The two low bits belong to ECN, and TCP sets them itself.
                tcp.options.tos = tos & 0xfc;
                tcp.config.dscp = tos >> 2;
                self.with(now, fd, |connection| connection.set_dscp(tos >> 2))?;
            }
            (SOL_IP, IP_TTL) | (SOL_IPV6, IPV6_UNICAST_HOPS) => {
                let ttl = u8::try_from(number).map_err(|_| Errno::EINVAL)?;
                if ttl == 0 {
                    return Err(Errno::EINVAL.into());
                }
                self.tcp_mut(fd)?.options.ttl = Some(ttl);
                if let Some(id) = self.tcp(fd)?.connection() {
                    self.stack.tcp_set_hop_limit(id, ttl);
                }
            }
            (SOL_IP, IP_MTU_DISCOVER | IP_RECVERR | IP_FREEBIND)
            | (SOL_IPV6, IPV6_MTU_DISCOVER | IPV6_RECVERR | IPV6_V6ONLY) => {
                let kept = &mut self.tcp_mut(fd)?.options.kept;
                kept.insert((level, name), number);
            }
            _ => {
                return Err(Fault::Unsupported(format!(
                    "option {name} of level {level}"
                )));
            }
        }
        Ok(())
    }

    fn set_congestion(&mut self, now: Instant, fd: Fd, text: &[u8]) -> Result<(), Fault> {
        let name: Vec<u8> = text
            .iter()
            .copied()
            .take_while(|octet| *octet != 0)
            .collect();
        let algorithm = core::str::from_utf8(&name)
            .ok()
            .and_then(Algorithm::from_name)
            .ok_or(Errno::ENOENT)?;
        let is_open = self.tcp(fd)?.connection().is_some();
        if is_open && self.tcp(fd)?.config.congestion != algorithm {
            return Err(Fault::Unsupported(
                "another congestion controller for a connection that is open".to_owned(),
            ));
        }
        self.configure(now, fd, |config| config.congestion = algorithm)
    }

    fn apply_keep_alive(&mut self, now: Instant, fd: Fd) -> Result<(), Fault> {
        let tcp = self.tcp_mut(fd)?;
        let keep: Option<KeepAlive> = tcp.options.keep_alive.then_some(tcp.options.keep);
        tcp.config.keep_alive = keep;
        self.with(now, fd, |connection| connection.set_keep_alive(now, keep))
    }

    /// Changes the choices of a socket, and of what it stands for already.
    fn configure(
        &mut self,
        now: Instant,
        fd: Fd,
        change: impl Fn(&mut transom_stack::tcp::Config),
    ) -> Result<(), Fault> {
        let tcp = self.tcp_mut(fd)?;
        change(&mut tcp.config);
        self.with(now, fd, |connection| connection.reconfigure(now, &change))
    }

    /// Does something to the connection, if there is one; a listener learns what its children begin with.
    fn with(
        &mut self,
        now: Instant,
        fd: Fd,
        act: impl FnOnce(&mut Connection),
    ) -> Result<(), Fault> {
        let tcp = self.tcp(fd)?;
        match tcp.stage {
            Stage::Unconnected => {}
            Stage::Listening(id) => {
                let config = tcp.config.clone();
                self.stack.tcp_set_listener_config(id, config);
            }
            Stage::Connecting(id) | Stage::Connected(id) => {
                self.stack.tcp_with(now, id, act);
            }
        }
        Ok(())
    }

    pub(super) fn get_option(
        &mut self,
        fd: Fd,
        level: i64,
        name: i64,
        len: i64,
    ) -> Result<Returned, Fault> {
        if len < 0 {
            return Err(Errno::EINVAL.into());
        }
        let value = match (level, name) {
            (SOL_SOCKET, SO_ERROR) => {
                let error = self.tcp_mut(fd)?.take_error();
                OptionValue::Integer(error.map_or(0, |errno| i64::from(errno.0)))
            }
            (SOL_SOCKET, SO_LINGER) => {
                let linger = self.tcp(fd)?.options.linger;
                let seconds = linger.map_or(0, |linger| linger.as_secs());
                OptionValue::Linger {
                    on: linger.is_some(),
                    seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
                }
            }
            (SOL_TCP, TCP_CONGESTION) => {
                OptionValue::Text(self.tcp(fd)?.config.congestion.name().into())
            }
            _ => OptionValue::Integer(self.integer_option(fd, level, name)?),
        };
        let written = match &value {
            OptionValue::Integer(_) => 4,
            OptionValue::Linger { .. } => 8,
            // The name field of Linux has 16 octets.
            _ => 16,
        };
        Ok(Returned {
            value: 0,
            output: Output::Option(value, len.min(written)),
        })
    }

    fn integer_option(&self, fd: Fd, level: i64, name: i64) -> Result<i64, Fault> {
        let tcp = self.tcp(fd)?;
        let options = &tcp.options;
        let kept = options.kept.get(&(level, name)).copied();
        let known = match (level, name) {
            (SOL_SOCKET, SO_REUSEADDR) => options.reuse_address.into(),
            (SOL_SOCKET, SO_REUSEPORT) => options.reuse_port.into(),
            (SOL_SOCKET, SO_KEEPALIVE) => options.keep_alive.into(),
            (SOL_SOCKET, SO_OOBINLINE) => options.inline_urgent.into(),
            (SOL_SOCKET, SO_RCVLOWAT) => whole(options.receive_low_water),
            (SOL_SOCKET, SO_SNDBUF) => options
                .send_buffer
                .unwrap_or_else(|| whole(tcp.config.send_buffer)),
            (SOL_SOCKET, SO_RCVBUF) => {
                let double = || whole(tcp.config.recv_buffer_initial).saturating_mul(2);
                options.receive_buffer.unwrap_or_else(double)
            }
            (SOL_SOCKET, SO_TYPE) => SOCK_STREAM,
            (SOL_SOCKET, SO_PROTOCOL) => IPPROTO_TCP,
            (SOL_SOCKET, SO_DOMAIN) => {
                if tcp.v6 {
                    AF_INET6
                } else {
                    AF_INET
                }
            }
            (SOL_SOCKET, SO_ACCEPTCONN) => matches!(tcp.stage, Stage::Listening(_)).into(),
            (SOL_IP, IP_TOS) | (SOL_IPV6, IPV6_TCLASS) => options.tos.into(),
            (SOL_IP, IP_TTL) | (SOL_IPV6, IPV6_UNICAST_HOPS) => options.ttl.unwrap_or(64).into(),
            (SOL_IP, IP_MTU) | (SOL_IPV6, IPV6_MTU) => {
                let id = tcp.connection().ok_or(Errno::ENOTCONN)?;
                let connection = self.stack.tcp_connection(id).ok_or(Errno::ENOTCONN)?;
                whole(connection.path_mtu())
            }
            (SOL_TCP, _) => self.tcp_option(tcp, name, kept)?,
            _ => match kept {
                Some(kept) => kept,
                None => {
                    return Err(Fault::Unsupported(format!(
                        "reading option {name} of level {level}"
                    )));
                }
            },
        };
        Ok(known)
    }

    fn tcp_option(&self, tcp: &Tcp, name: i64, kept: Option<i64>) -> Result<i64, Fault> {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let config = &tcp.config;
        Ok(match name {
            TCP_NODELAY => config.nodelay.into(),
            TCP_FASTOPEN => whole(self.fast_open_queue(tcp)),
            TCP_CORK => tcp.options.cork.into(),
            TCP_MAXSEG => self.max_segment(tcp),
            TCP_KEEPIDLE => seconds(tcp.options.keep.idle),
            TCP_KEEPINTVL => seconds(tcp.options.keep.interval),
            TCP_KEEPCNT => tcp.options.keep.probes.into(),
            TCP_SYNCNT => config.syn_retries.into(),
            TCP_LINGER2 => kept.unwrap_or_else(|| seconds(config.fin_wait_2)),
            TCP_USER_TIMEOUT => config.user_timeout.map_or(0, |time| {
                i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
            }),
            TCP_NOTSENT_LOWAT => kept.unwrap_or(0),
            TCP_QUICKACK => kept.unwrap_or(1),
            TCP_INQ => tcp.options.tell_unread.into(),
            _ => {
                return Err(Fault::Unsupported(format!(
                    "reading option {name} of level SOL_TCP"
                )));
            }
        })
    }

    /// TCP_MAXSEG: what was asked for while there is no connection, else what is sent at most.
    fn max_segment(&self, tcp: &Tcp) -> i64 {
        let connection = tcp
            .connection()
            .filter(|_| !matches!(self.state(tcp), State::Closed | State::SynSent));
        match connection.and_then(|id| self.stack.tcp_info(id).ok()) {
            Some(info) => info.eff_snd_mss.into(),
            None => i64::from(tcp.config.max_segment.unwrap_or(536)),
        }
    }
}
