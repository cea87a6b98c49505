//! Options of a connection.

use std::io;
use std::time::Duration;

use transom_stack::tcp::{Config, Connection, Instant, KeepAlive, Linger};

use super::TcpStream;
use super::stream::not_connected;

impl TcpStream {
    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.config(|config| config.nodelay)
    }

    /// Switches Nagle's algorithm off: small segments are sent at once.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.change("set nodelay", |connection, now| {
            connection.set_nodelay(now, nodelay)
        })
    }

    /// Holds small segments back until released, or for at most 200 ms (TCP_CORK).
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.change("set cork", |connection, now| connection.set_cork(now, cork))
    }

    /// The TTL or hop limit of what is sent.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn ttl(&self) -> io::Result<u32> {
        self.stack
            .shared()
            .look("ttl", |inner| inner.stack.tcp_hop_limit(self.id))
            .map(u32::from)
            .ok_or_else(not_connected)
    }

    /// Sets the TTL or hop limit of what is sent from now on.
    ///
    /// # Errors
    /// `InvalidInput` for 0 or more than 255, `NotConnected` when the connection has ended.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl)
            .ok()
            .filter(|hop_limit| *hop_limit > 0)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.stack
            .shared()
            .look("set ttl", |inner| {
                inner.stack.tcp_set_hop_limit(self.id, hop_limit)
            })
            .then_some(())
            .ok_or_else(not_connected)
    }

    /// What becomes of unsent data when the stream is dropped; see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.config(|config| match config.linger {
            Linger::Background => None,
            Linger::Reset => Some(Duration::ZERO),
            Linger::Limit(limit) => Some(limit),
        })
    }

    /// Chooses what becomes of unsent data when the stream is dropped.
    ///
    /// `None`, the default: it is delivered in the background. Zero: it is thrown away and the peer gets a
    /// reset. Otherwise it is delivered in the background, and the peer gets a reset when that takes
    /// longer. Dropping never blocks, unlike SO_LINGER.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let linger = match linger {
            None => Linger::Background,
            Some(Duration::ZERO) => Linger::Reset,
            Some(limit) => Linger::Limit(limit),
        };
        self.change("set linger", |connection, _| connection.set_linger(linger))
    }

    /// As `set_linger(Some(Duration::ZERO))`.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The keep-alive probes in use.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn keepalive(&self) -> io::Result<Option<KeepAlive>> {
        self.config(|config| config.keep_alive)
    }

    /// Switches keep-alive probes on or off.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_keepalive(&self, keepalive: Option<KeepAlive>) -> io::Result<()> {
        self.change("set keepalive", |connection, now| {
            connection.set_keep_alive(now, keepalive);
        })
    }

    /// Limits how long data may stay unacknowledged (TCP_USER_TIMEOUT).
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.change("set user timeout", |connection, now| {
            connection.set_user_timeout(now, timeout);
        })
    }

    fn config<R>(&self, read: impl FnOnce(&Config) -> R) -> io::Result<R> {
        self.stack
            .shared()
            .look("read an option", |inner| {
                let connection = inner.stack.tcp_connection(self.id)?;
                Some(read(connection.config()))
            })
            .ok_or_else(not_connected)
    }

    fn change(
        &self,
        purpose: &'static str,
        change: impl FnOnce(&mut Connection, Instant),
    ) -> io::Result<()> {
        self.stack
            .shared()
            .act(purpose, |inner, now| {
                inner
                    .stack
                    .tcp_with(now, self.id, |connection| change(connection, now))
            })
            .ok_or_else(not_connected)
    }
}
