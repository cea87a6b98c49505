//! The public face of one connection.

use alloc::boxed::Box;
use alloc::sync::Arc;

use transom_wire::Seq;

use crate::arrives::{closed, listen, other, syn_sent};
use crate::config::{Config, Identity, Path};
use crate::discard::Discard;
use crate::env::{Ended, Env};
use crate::event::{CloseReason, Event, PathError};
use crate::info::ConnectionInfo;
use crate::path;
use crate::recv::RecvQueue;
use crate::segment::{Segment, Transmit};
use crate::state::State;
use crate::synsent::SynSent;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::Timer;
use crate::timewait::TimeWait;

/// One TCP connection, from its SYN to its end.
///
/// It has no socket, no clock and no thread. Its methods are of four kinds:
///
/// - **getters**, such as [`state`](Self::state), [`info`](Self::info),
///   [`is_readable`](Self::is_readable);
/// - **input**: [`handle_segment`](Self::handle_segment) or [`take_segment`](Self::take_segment),
///   [`handle_timeout`](Self::handle_timeout), [`handle_path_error`](Self::handle_path_error),
///   [`handle_packet_too_big`](Self::handle_packet_too_big);
/// - **calls** of the application: [`send`](Self::send), [`recv`](Self::recv),
///   [`shutdown_write`](Self::shutdown_write), [`close`](Self::close), [`abort`](Self::abort) …;
/// - **output**: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
///
/// # Contract
/// After input or calls, one or many, drain the outputs: `poll_transmit` until it gives `None`,
/// then `poll_event` until `None`; then `poll_timeout` says when to call `handle_timeout`. Input
/// never transmits, it only marks what is owed, so handling a whole batch first gives fewer
/// acknowledgements. Until it is drained, `poll_timeout` lies in the past: forgetting to drain
/// costs time and nothing else. `now` must not go backwards.
#[derive(Debug)]
pub struct Connection {
    pub(crate) env: Env,
    pub(crate) block: Block,
}

/// The shapes of the control block: what is known differs, so the types do.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every connection is a Tcb nearly always"
)]
pub(crate) enum Block {
    /// The peer's SYN is awaited.
    SynSent(SynSent),
    /// Both sequence spaces are known.
    Tcb(Tcb),
    /// The connection is over.
    Closed(Closed),
}

/// What is left of a connection.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) reason: CloseReason,
    /// Received in order and not read; the peer was told that it arrived, so it must not be lost.
    pub(crate) unread: Option<Box<RecvQueue>>,
    /// The stream had come to its end.
    pub(crate) peer_finished: bool,
    /// The reset to be sent.
    pub(crate) reset: Option<Box<Transmit>>,
    /// What was known at the end.
    pub(crate) last: Box<ConnectionInfo>,
}

impl Connection {
    /// Active OPEN (RFC 9293 §3.10.1): a connection in SYN-SENT that owes its SYN.
    pub fn connect(
        config: impl Into<Arc<Config>>,
        path: Path,
        identity: Identity,
        now: Instant,
    ) -> Self {
        let mut env = Env::new(config.into(), path, identity.ts_offset, now);
        env.enter(State::Closed, State::SynSent);
        if let Some(timeout) = env.config.user_timeout {
            env.timers.set(Timer::User, now + timeout);
        }
        let syn_sent = SynSent::new(&env, identity.iss, now);
        Self {
            env,
            block: Block::SynSent(syn_sent),
        }
    }

    /// A SYN that a listener accepts (see [`listen::verdict`]) becomes a connection in SYN-RECEIVED
    /// that owes its SYN-ACK.
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
        let mut env = Env::new(config.into(), path, identity.ts_offset, now);
        let tcb = listen::open(&mut env, identity, syn, now)?;
        Ok(Self {
            env,
            block: Block::Tcb(tcb),
        })
    }

    /// The state.
    pub fn state(&self) -> State {
        match &self.block {
            Block::SynSent(_) => State::SynSent,
            Block::Tcb(tcb) => tcb.phase.state(),
            Block::Closed(_) => State::Closed,
        }
    }

    /// Why the connection ended, once it has.
    pub fn closed(&self) -> Option<CloseReason> {
        match &self.block {
            Block::Closed(closed) => Some(closed.reason),
            Block::SynSent(_) | Block::Tcb(_) => None,
        }
    }

    /// The options in force.
    pub fn config(&self) -> &Config {
        &self.env.config
    }

    /// The path MTU in force, in octets of IP packet: what the stack said, or less if the network did.
    pub fn path_mtu(&self) -> usize {
        self.env.path.mtu
    }

    /// Recv-Q: octets that `recv` would give.
    pub fn recv_queue(&self) -> usize {
        self.recv_queue_ref().map_or(0, RecvQueue::readable)
    }

    /// What is held of octets beyond a gap, their bookkeeping included.
    pub fn out_of_order_memory(&self) -> usize {
        match &self.block {
            Block::Tcb(tcb) => tcb.rcv.queue.out_of_order_memory(),
            Block::SynSent(_) | Block::Closed(_) => 0,
        }
    }

    /// Forgets the octets beyond a gap. The peer was told that they arrived, but keeps them until they are acknowledged
    /// (RFC 2018 §8), and sends them again.
    pub fn forget_out_of_order(&mut self) {
        if let Block::Tcb(tcb) = &mut self.block {
            tcb.rcv.queue.clear_out_of_order();
        }
    }

    /// Memory is short: neither buffer grows any more, until it no longer is. What was offered to the peer stays.
    // DRS-6.
    pub const fn set_memory_pressure(&mut self, pressure: bool) {
        self.env.memory_pressure = pressure;
    }

    /// Octets of data that the peer has acknowledged.
    pub const fn bytes_acked(&self) -> u64 {
        self.env.counters.bytes_acked
    }

    /// Data waits, and the peer's window is closed.
    pub fn is_stalled(&self) -> bool {
        self.env.timers.is_set(Timer::Persist)
    }

    /// Send-Q: octets that the peer has not acknowledged, sent or not.
    pub fn send_queue(&self) -> usize {
        match &self.block {
            Block::SynSent(syn_sent) => syn_sent.queue.len(),
            Block::Tcb(tcb) => tcb.snd.queue.len(),
            Block::Closed(_) => 0,
        }
    }

    /// Octets written and not yet sent once.
    pub fn unsent(&self) -> usize {
        match &self.block {
            Block::SynSent(syn_sent) => {
                let sent = self.env.syn_data_sent() as usize;
                syn_sent.queue.len().saturating_sub(sent)
            }
            Block::Tcb(tcb) => tcb.snd.unsent() as usize,
            Block::Closed(_) => 0,
        }
    }

    /// Most octets held for the application, sent or not: [`Config::send_buffer_initial`], or more if the congestion
    /// window has deserved it.
    pub fn send_limit(&self) -> usize {
        let deserved = match &self.block {
            Block::Tcb(tcb) => tcb.snd.buffer,
            Block::SynSent(_) | Block::Closed(_) => 0,
        };
        self.env.config.send_limit(deserved)
    }

    /// Octets that `send` would take now.
    pub fn send_capacity(&self) -> usize {
        if !self.may_send() {
            return 0;
        }
        let free = self.send_limit().saturating_sub(self.send_queue());
        let config = &self.env.config;
        match config.unsent_limit {
            Some(limit) => free.min(limit.saturating_sub(self.unsent())),
            None => free,
        }
    }

    /// There is so much room for writing that waking somebody is worth it: a third of the send
    /// buffer, and half of [`Config::unsent_limit`], as Linux tells `poll`.
    pub fn has_room(&self) -> bool {
        let config = &self.env.config;
        let limit = self.send_limit();
        let free = limit.saturating_sub(self.send_queue());
        let below_limit = config
            .unsent_limit
            .is_none_or(|limit| self.unsent() < limit.div_ceil(2));
        !self.may_send() || (free > 0 && free >= limit / 3 && below_limit)
    }

    /// The peer's FIN was received: after what is in the queue comes the end of the stream.
    pub fn is_recv_finished(&self) -> bool {
        match &self.block {
            Block::SynSent(_) => false,
            Block::Tcb(tcb) => tcb.rcv.fin_received,
            Block::Closed(closed) => closed.peer_finished,
        }
    }

    /// The application may still write.
    pub(crate) fn may_send(&self) -> bool {
        match &self.block {
            Block::SynSent(_) => true,
            Block::Tcb(tcb) => {
                tcb.snd.fin == crate::send::Fin::Open && tcb.phase.state().may_send()
            }
            Block::Closed(_) => false,
        }
    }

    /// `send` would not take 0 octets, or would give an error.
    pub fn is_writable(&self) -> bool {
        !self.may_send() || self.send_capacity() > 0
    }

    /// `recv` would give data, the end of the stream, or an error.
    pub fn is_readable(&self) -> bool {
        self.recv_queue() > 0 || self.is_recv_over()
    }

    /// Octets of urgent data ahead of the reader (RFC 9293 MUST-33).
    pub fn urgent_remaining(&self) -> u32 {
        match &self.block {
            Block::Tcb(tcb) => tcb.rcv.urgent_remaining(),
            Block::SynSent(_) | Block::Closed(_) => 0,
        }
    }

    /// SEGMENT ARRIVES (RFC 9293 §3.10.7).
    ///
    /// # Errors
    /// The reason, when the segment was not processed to its end. What is owed in answer comes from
    /// `poll_transmit` all the same.
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment) -> Result<(), Discard> {
        self.take_segment(now, &mut segment.clone())
    }

    /// As [`handle_segment`](Self::handle_segment), for who does not need the segment any more: its data is taken out of
    /// it instead of being shared.
    ///
    /// # Errors
    /// As `handle_segment`.
    pub fn take_segment(&mut self, now: Instant, segment: &mut Segment) -> Result<(), Discard> {
        self.env.touch(now);
        let pieces = if segment.gso_size == 0 {
            1
        } else {
            segment
                .payload_len()
                .div_ceil(u32::from(segment.gso_size))
                .max(1)
        };
        let counters = &mut self.env.counters;
        counters.segments_received = counters.segments_received.wrapping_add(pieces);
        let outcome = match &mut self.block {
            Block::Tcb(tcb) => {
                tcb.heard(&mut self.env, now);
                other::segment_arrives(tcb, &mut self.env, now, segment)
            }
            Block::SynSent(_) => {
                syn_sent::segment_arrives(&mut self.block, &mut self.env, now, segment)
            }
            Block::Closed(closed) => {
                // EV-X-21: each further segment of the peer is answered with a reset again.
                closed.reset = closed::reply(segment).ok().map(Box::new);
                Err(Discard::ConnectionClosed)
            }
        };
        if let Err(discard) = outcome {
            self.env.count_discard(discard);
        }
        self.settle();
        outcome
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.block {
            Block::SynSent(syn_sent) => syn_sent.on_timeout(&mut self.env, now),
            Block::Tcb(tcb) => tcb.on_timeout(&mut self.env, now),
            Block::Closed(_) => return,
        }
        self.env.touch(now);
        self.settle();
    }

    /// An ICMP error that quotes a segment of this connection with the sequence number `quoted`.
    ///
    /// # Errors
    /// The quoted number is not in flight (RFC 5927 §4.1), so the error may be forged.
    pub fn handle_path_error(
        &mut self,
        now: Instant,
        error: PathError,
        quoted: Seq,
    ) -> Result<(), Discard> {
        self.env.touch(now);
        let outcome = match &mut self.block {
            Block::SynSent(syn_sent) => syn_sent.on_path_error(&mut self.env, error, quoted),
            Block::Tcb(tcb) => tcb.on_path_error(&mut self.env, error, quoted),
            Block::Closed(_) => Err(Discard::ConnectionClosed),
        };
        self.settle();
        outcome
    }

    /// A packet-too-big message (ICMPv4 fragmentation needed) that quotes a segment of this
    /// connection. `mtu`: octets of IP packet that the next link carries.
    ///
    /// # Errors
    /// The quoted number is not in flight, or the MTU is no lower or not credible.
    pub fn handle_packet_too_big(
        &mut self,
        now: Instant,
        mtu: usize,
        quoted: Seq,
    ) -> Result<(), Discard> {
        self.env.touch(now);
        match &mut self.block {
            Block::SynSent(syn_sent) if quoted == syn_sent.iss => {
                // EV-S-12: the SYN itself is small, unless it carries data; later segments follow the path.
                path::is_news(&self.env, mtu)?;
                self.env.path.mtu = mtu;
                syn_sent.fast_open_too_big(&self.env);
                Ok(())
            }
            Block::SynSent(_) => Err(Discard::PathErrorNotInFlight),
            Block::Tcb(tcb) => tcb.on_packet_too_big(&mut self.env, now, mtu, quoted),
            Block::Closed(_) => Err(Discard::ConnectionClosed),
        }
    }

    /// The path MTU as known elsewhere: another connection to the same peer has learnt it, or the
    /// interface has changed. May go up as well as down.
    pub fn set_path_mtu(&mut self, now: Instant, mtu: usize) {
        self.env.touch(now);
        match &mut self.block {
            Block::Tcb(tcb) => tcb.set_path_mtu(&mut self.env, now, mtu),
            Block::SynSent(_) | Block::Closed(_) => {
                let path = Path {
                    mtu,
                    ..self.env.path
                };
                self.env.path = path::at_first(&self.env.config, path);
            }
        }
    }

    /// The next segment to send, if any is owed.
    ///
    /// `max_payload`: octets of payload that the device can take at once and cut; when that is
    /// below one segment, single segments are given.
    pub fn poll_transmit(&mut self, now: Instant, max_payload: usize) -> Option<Transmit> {
        self.env.undrained?;
        let transmit = match &mut self.block {
            Block::Tcb(tcb) => return tcb.poll_transmit(&mut self.env, now, max_payload),
            Block::SynSent(syn_sent) => syn_sent.poll_transmit(&mut self.env, now),
            Block::Closed(closed) => closed.reset.take().map(|reset| *reset),
        };
        match &transmit {
            Some(_) => self.env.count_sent(1),
            None => self.env.undrained = None,
        }
        transmit
    }

    /// Whether `poll_transmit` may give a segment; if not, it gives none.
    #[inline]
    pub const fn may_owe(&self) -> bool {
        self.env.undrained.is_some()
    }

    /// When to call `handle_timeout`; in the past while `poll_transmit` may owe something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.env.undrained.or_else(|| self.env.timers.next())
    }

    /// [`poll_event`](Self::poll_event) has something to give.
    #[inline]
    pub const fn has_events(&self) -> bool {
        !self.env.events.is_empty()
    }

    /// What to tell the application, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.env.events.poll()
    }

    /// TIME-WAIT with nothing left to read or to send: the small form of it, which keeps the pair
    /// of sockets busy and no more.
    ///
    /// # Errors
    /// Gives the connection back when it is not that far.
    #[expect(
        clippy::result_large_err,
        reason = "the error is the caller's own value"
    )]
    pub fn into_time_wait(self) -> Result<TimeWait, Self> {
        self.to_time_wait().ok_or(self)
    }

    /// As [`into_time_wait`](Self::into_time_wait), for who needs the memory of the connection for another one.
    pub fn to_time_wait(&self) -> Option<TimeWait> {
        match &self.block {
            Block::Tcb(tcb)
                if tcb.phase == Phase::TimeWait
                    && tcb.rcv.queue.readable() == 0
                    && self.env.undrained.is_none() =>
            {
                Some(TimeWait::new(&self.env, tcb))
            }
            _ => None,
        }
    }

    /// Replaces the control block of a connection that has ended.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.env.ended.is_some() {
            self.bury();
        }
    }

    fn bury(&mut self) {
        let Some(Ended { reason, reset }) = self.env.ended.take() else {
            return;
        };
        let from = self.state();
        let last = Box::new(self.info());
        let fin_beyond_gap = match &self.block {
            Block::Tcb(tcb) => tcb.rcv.fin.is_some() && !tcb.rcv.fin_received,
            Block::SynSent(_) | Block::Closed(_) => false,
        };
        self.env.fast_open_ended(reason, fin_beyond_gap);
        let (unread, peer_finished) = match &mut self.block {
            Block::Tcb(tcb) => {
                let mut queue =
                    core::mem::replace(&mut tcb.rcv.queue, RecvQueue::new(Seq::default(), 0));
                queue.clear_out_of_order();
                let unread = (queue.readable() > 0 && !tcb.is_orphan()).then(|| Box::new(queue));
                (unread, tcb.rcv.fin_received)
            }
            Block::SynSent(_) => (None, false),
            Block::Closed(_) => return,
        };
        self.env.enter(from, State::Closed);
        self.env.timers.stop_all();
        self.env.events.push(Event::Closed(reason));
        self.block = Block::Closed(Closed {
            reason,
            unread,
            peer_finished,
            reset,
            last,
        });
    }
}
