//! The public face of one connection.

use alloc::sync::Arc;
use bytes::Bytes;
use transom_wire::Seq;

use crate::config::{Config, Identity, KeepAlive, Linger, Path};
use crate::discard::Discard;
use crate::error::{CloseError, RecvError, SendError};
use crate::event::{CloseReason, Event, PathError};
use crate::info::ConnectionInfo;
use crate::segment::{Segment, Transmit};
use crate::state::State;
use crate::time::Instant;
use crate::timewait::TimeWait;

/// One TCP connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
}

#[expect(
    unused_variables,
    clippy::unused_self,
    clippy::needless_pass_by_ref_mut,
    reason = "signatures first"
)]
impl Connection {
    /// Active OPEN (RFC 9293 §3.10.1): a connection in SYN-SENT that owes its SYN.
    pub fn connect(
        config: impl Into<Arc<Config>>,
        path: Path,
        identity: Identity,
        now: Instant,
    ) -> Self {
        Self {
            config: config.into(),
            state: State::SynSent,
        }
    }
    /// Passive open: a SYN that a listener accepted becomes a connection in SYN-RECEIVED.
    ///
    /// # Errors
    /// The segment is no SYN that could open a connection.
    pub fn accept(
        config: impl Into<Arc<Config>>,
        path: Path,
        identity: Identity,
        syn: &Segment,
        now: Instant,
    ) -> Result<Self, Discard> {
        Ok(Self {
            config: config.into(),
            state: State::SynReceived,
        })
    }
    /// The state.
    pub fn state(&self) -> State {
        self.state
    }
    /// Snapshot of everything.
    pub fn info(&self) -> ConnectionInfo {
        crate::info::ConnectionInfo::empty(self.state)
    }
    /// Recv-Q: octets that `recv` would give.
    pub fn recv_queue(&self) -> usize {
        0
    }
    /// Send-Q: octets not acknowledged yet.
    pub fn send_queue(&self) -> usize {
        0
    }
    /// Octets that `send` would take now.
    pub fn send_capacity(&self) -> usize {
        0
    }
    /// `recv` would not say "would block".
    pub fn is_readable(&self) -> bool {
        false
    }
    /// `send` would not say "would block".
    pub fn is_writable(&self) -> bool {
        false
    }
    /// Why the connection ended, once it has.
    pub fn closed(&self) -> Option<CloseReason> {
        None
    }
    /// The options in force.
    pub fn config(&self) -> &Config {
        &self.config
    }
    /// Octets from the read position to the end of urgent data (RFC 9293 MUST-33).
    pub fn urgent_remaining(&self) -> u32 {
        0
    }

    /// SEGMENT ARRIVES.
    ///
    /// # Errors
    /// The reason, when the segment was not processed to its end. What is owed in answer is sent by
    /// `poll_transmit` all the same.
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment) -> Result<(), Discard> {
        Ok(())
    }
    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {}
    /// An ICMP error that quotes a segment of this connection.
    ///
    /// # Errors
    /// The quoted sequence number is not in flight.
    pub fn handle_path_error(
        &mut self,
        now: Instant,
        error: PathError,
        quoted: Seq,
    ) -> Result<(), Discard> {
        Ok(())
    }
    /// A packet-too-big message that quotes a segment of this connection.
    ///
    /// # Errors
    /// The quoted sequence number is not in flight, or the MTU is no news.
    pub fn handle_packet_too_big(
        &mut self,
        now: Instant,
        mtu: usize,
        quoted: Seq,
    ) -> Result<(), Discard> {
        Ok(())
    }
    /// The path MTU changed.
    pub fn set_path_mtu(&mut self, now: Instant, mtu: usize) {}

    /// Queues data; returns how many octets were taken, 0 when the buffer is full.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&mut self, now: Instant, data: Bytes) -> Result<usize, SendError> {
        Ok(0)
    }
    /// As `send`, with one copy.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_slice(&mut self, now: Instant, data: &[u8]) -> Result<usize, SendError> {
        Ok(0)
    }
    /// As `send`, and marks the end of the data as urgent (RFC 9293 §3.8.5). New applications
    /// should not use it (SHLD-13).
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_urgent(&mut self, now: Instant, data: Bytes) -> Result<usize, SendError> {
        Ok(0)
    }
    /// Takes up to `max` octets: `None` would block, an empty slice is the end of the stream.
    ///
    /// # Errors
    /// The connection ended otherwise than by the peer's FIN.
    pub fn recv(&mut self, now: Instant, max: usize) -> Result<Option<Bytes>, RecvError> {
        Ok(None)
    }
    /// As `recv`, with one copy: `Some(0)` is the end of the stream.
    ///
    /// # Errors
    /// As `recv`.
    pub fn recv_into(&mut self, now: Instant, out: &mut [u8]) -> Result<Option<usize>, RecvError> {
        Ok(None)
    }
    /// As `recv_into`, and leaves the data in the queue.
    ///
    /// # Errors
    /// As `recv`.
    pub fn peek(&self, out: &mut [u8]) -> Result<Option<usize>, RecvError> {
        Ok(None)
    }
    /// CLOSE of the sending side: FIN after the data that is queued.
    ///
    /// # Errors
    /// See [`CloseError`].
    pub fn shutdown_write(&mut self, now: Instant) -> Result<(), CloseError> {
        Ok(())
    }
    /// The application reads no more; what comes is acknowledged and thrown away.
    pub fn shutdown_read(&mut self, now: Instant) {}
    /// CLOSE of both sides. With data unread, or data that comes later, the peer gets a reset.
    pub fn close(&mut self, now: Instant) {}
    /// ABORT: a reset, and all queues are flushed.
    pub fn abort(&mut self, now: Instant) {}

    /// Switches Nagle's algorithm off or on.
    pub fn set_nodelay(&mut self, now: Instant, nodelay: bool) {}
    /// Holds partial segments back until released, at most `Config::cork_limit`.
    pub fn set_cork(&mut self, now: Instant, cork: bool) {}
    /// Switches keep-alive probes on or off.
    pub fn set_keep_alive(&mut self, now: Instant, keep_alive: Option<KeepAlive>) {}
    /// Limits the time that data may stay unacknowledged.
    pub fn set_user_timeout(&mut self, now: Instant, timeout: Option<core::time::Duration>) {}
    /// What `close` does with unsent data.
    pub fn set_linger(&mut self, linger: Linger) {}
    /// Sets the differentiated-services code point of the segments to come.
    pub fn set_dscp(&mut self, dscp: u8) {}

    /// The next segment to send, with up to `max_payload` octets where the device can cut.
    pub fn poll_transmit(&mut self, now: Instant, max_payload: usize) -> Option<Transmit> {
        None
    }
    /// When to call `handle_timeout` next; in the past while anything is owed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// What to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Once in TIME-WAIT with nothing left to read or send: the small form of it.
    ///
    /// # Errors
    /// Gives the connection back when it is not that far.
    pub fn into_time_wait(self) -> Result<TimeWait, Self> {
        Err(self)
    }
}
