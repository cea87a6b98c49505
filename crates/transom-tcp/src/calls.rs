//! The calls of the application (RFC 9293 §3.10.1 to §3.10.6).

use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use crate::config::{Config, KeepAlive, Linger};
use crate::connection::{Block, Connection};
use crate::env::Env;
use crate::error::{CloseError, RecvError, SendError};
use crate::event::CloseReason;
use crate::recv::ack::AckOwed;
use crate::recv::{Reader, RecvQueue};
use crate::send::Fin;
use crate::send::SendQueue;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::Timer;

impl Connection {
    /// SEND (§3.10.2): queues data without copying it. Gives how many octets were taken, from the
    /// front; 0 means that the buffer is full, and [`Event::Writable`](crate::Event::Writable)
    /// will tell when it no longer is.
    ///
    /// # Errors
    /// The sending side is shut down, or the connection is over.
    pub fn send(&mut self, now: Instant, mut data: Bytes) -> Result<usize, SendError> {
        let taken = self.admit(data.len())?;
        data.truncate(taken);
        self.enqueue(now, taken, |queue| queue.push(data));
        Ok(taken)
    }

    /// As [`send`](Self::send), with one copy.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_slice(&mut self, now: Instant, data: &[u8]) -> Result<usize, SendError> {
        let taken = self.admit(data.len())?;
        let data = data.get(..taken).unwrap_or(data);
        self.enqueue(now, taken, |queue| queue.push_slice(data));
        Ok(taken)
    }

    /// As [`send`](Self::send), and marks the end of the data as urgent (RFC 9293 §3.8.5).
    ///
    /// Discouraged: stacks disagree about what the urgent pointer points at, and middleboxes clear
    /// it (RFC 6093, SHLD-13).
    ///
    /// # Errors
    /// As `send`.
    pub fn send_urgent(&mut self, now: Instant, data: Bytes) -> Result<usize, SendError> {
        let taken = self.send(now, data)?;
        match &mut self.block {
            // RFC 9293 §3.10.2: SND.UP is the end of what is queued; MUST-62: the octet after it.
            Block::Tcb(tcb) if taken > 0 => tcb.snd.up = Some(tcb.snd.queue.end()),
            Block::SynSent(syn_sent) if taken > 0 => syn_sent.up = Some(syn_sent.queue.end()),
            _ => {}
        }
        Ok(taken)
    }

    /// How much of a write is taken.
    fn admit(&mut self, len: usize) -> Result<usize, SendError> {
        let capacity = self.send_capacity();
        let wants_writable = match &mut self.block {
            Block::SynSent(syn_sent) => &mut syn_sent.wants_writable,
            // EV-U-6: "connection closing" once our FIN is asked for.
            Block::Tcb(tcb) if tcb.snd.fin != Fin::Open => return Err(SendError::Finished),
            Block::Tcb(tcb) => &mut tcb.snd.wants_writable,
            Block::Closed(closed) => return Err(SendError::Closed(closed.reason)),
        };
        // Also when the buffer is filled exactly: whoever asks then finds it full, and waits.
        *wants_writable |= len >= capacity;
        Ok(len.min(capacity))
    }

    fn enqueue(&mut self, now: Instant, taken: usize, push: impl FnOnce(&mut SendQueue)) {
        if taken == 0 {
            return;
        }
        match &mut self.block {
            Block::SynSent(syn_sent) => {
                push(&mut syn_sent.queue);
                syn_sent.fast_open_data(&mut self.env);
            }
            Block::Tcb(tcb) => {
                tcb.check_app_limited();
                push(&mut tcb.snd.queue);
                tcb.start_user_timer(&mut self.env, now);
            }
            Block::Closed(_) => {}
        }
        self.env.touch(now);
    }

    /// RECEIVE (§3.10.3): takes up to `max` octets without copying. `None` would block; an empty
    /// slice is the end of the stream.
    ///
    /// # Errors
    /// The connection ended without the peer's FIN. What had been received in order before that is
    /// still given first.
    pub fn recv(&mut self, now: Instant, max: usize) -> Result<Option<Bytes>, RecvError> {
        if max == 0 {
            return Ok(None);
        }
        match self.recv_queue_mut().and_then(|queue| queue.pop(max)) {
            Some(data) => {
                self.consumed(now, data.len());
                Ok(Some(data))
            }
            None => Ok(self.end_of_stream()?.map(|()| Bytes::new())),
        }
    }

    /// As [`recv`](Self::recv), with one copy into `out`: `Some(0)` is the end of the stream.
    ///
    /// # Errors
    /// As `recv`.
    pub fn recv_into(&mut self, now: Instant, out: &mut [u8]) -> Result<Option<usize>, RecvError> {
        if out.is_empty() {
            return Ok(None);
        }
        match self.recv_queue_mut().map_or(0, |queue| queue.pop_into(out)) {
            0 => Ok(self.end_of_stream()?.map(|()| 0)),
            len => {
                self.consumed(now, len);
                Ok(Some(len))
            }
        }
    }

    /// As [`recv_into`](Self::recv_into), and leaves the data where it is.
    ///
    /// # Errors
    /// As `recv`.
    pub fn peek(&self, out: &mut [u8]) -> Result<Option<usize>, RecvError> {
        if out.is_empty() {
            return Ok(None);
        }
        match self
            .recv_queue_ref()
            .map_or(0, |queue| queue.peek_into(out))
        {
            0 => Ok(self.end_of_stream()?.map(|()| 0)),
            len => Ok(Some(len)),
        }
    }

    pub(crate) fn recv_queue_ref(&self) -> Option<&RecvQueue> {
        match &self.block {
            Block::Tcb(tcb) => Some(&tcb.rcv.queue),
            Block::Closed(closed) => closed.unread.as_deref(),
            Block::SynSent(_) => None,
        }
    }

    fn recv_queue_mut(&mut self) -> Option<&mut RecvQueue> {
        match &mut self.block {
            // EV-DA-4, EV-L-4: nothing is given before the handshake is complete, because nothing is kept, but for
            // what came with a valid cookie.
            Block::Tcb(tcb) => Some(&mut tcb.rcv.queue),
            Block::Closed(closed) => closed.unread.as_deref_mut(),
            Block::SynSent(_) => None,
        }
    }

    /// With the queue empty: `Some` at the end of the stream, `None` when more may come.
    fn end_of_stream(&self) -> Result<Option<()>, RecvError> {
        match &self.block {
            Block::SynSent(_) => Ok(None),
            Block::Tcb(tcb) => {
                let over = tcb.rcv.fin_received || tcb.rcv.reader != Reader::Open;
                Ok(over.then_some(()))
            }
            // RFC 9293 §3.6 MUST-12: an orderly end is told apart from an abort.
            // What the application threw away itself did not end.
            Block::Closed(closed)
                if closed.peer_finished && closed.reason != CloseReason::Aborted
                    || closed.reason == CloseReason::Normal =>
            {
                Ok(Some(()))
            }
            Block::Closed(closed) => Err(RecvError::Closed(closed.reason)),
        }
    }

    pub(crate) fn is_recv_over(&self) -> bool {
        !matches!(self.end_of_stream(), Ok(None))
    }

    /// The application has read: the window may open.
    fn consumed(&mut self, now: Instant, len: usize) {
        let Block::Tcb(tcb) = &mut self.block else {
            return;
        };
        let env = &self.env;
        tcb.rcv
            .on_read(len, &env.config, tcb.rtt.srtt(), env.memory_pressure, now);
        let shift = tcb.negotiated.rcv_shift();
        // The peer of a Fast Open has used nothing of the window that the SYN-ACK offered: it does not wait for more.
        let is_unused = tcb.rcv.nxt() == tcb.rcv.irs + 1 + env.syn_data_taken();
        if !is_unused && tcb.rcv.is_update_due(u32::from(tcb.rcv.rmss), shift) {
            if matches!(tcb.rcv.ack, AckOwed::No | AckOwed::Delayed) {
                tcb.rcv.ack = AckOwed::WindowUpdate;
            }
            self.env.touch(now);
        }
    }

    /// CLOSE of the sending side (§3.10.4): FIN after what is queued. Reading goes on.
    ///
    /// # Errors
    /// It was done before, or the connection is over.
    pub fn shutdown_write(&mut self, now: Instant) -> Result<(), CloseError> {
        self.env.touch(now);
        match &mut self.block {
            // EV-U-3: nothing was agreed on with anyone; the TCB is deleted.
            Block::SynSent(_) => self.env.end(CloseReason::Normal, None),
            Block::Tcb(tcb) if tcb.snd.fin != Fin::Open => return Err(CloseError::AlreadyClosing),
            Block::Tcb(tcb) => tcb.queue_fin(&mut self.env, now),
            Block::Closed(closed) => return Err(CloseError::Closed(closed.reason)),
        }
        self.settle();
        Ok(())
    }

    /// The application reads no more: `recv` gives the end of the stream, and what still comes is
    /// acknowledged and thrown away, as Linux does; the peer is not told (EV-X-19).
    pub fn shutdown_read(&mut self, now: Instant) {
        let Block::Tcb(tcb) = &mut self.block else {
            return;
        };
        if tcb.rcv.reader == Reader::Open {
            tcb.rcv.reader = Reader::Shut;
            tcb.rcv.queue.clear_readable();
            self.env.touch(now);
        }
    }

    /// CLOSE of both sides: the application lets go of the connection.
    ///
    /// What is queued is sent, then FIN. With data unread, or data that comes later, the peer gets a
    /// reset instead, because its data was lost (RFC 9293 §3.6.1 SHLD-3). May be called again.
    pub fn close(&mut self, now: Instant) {
        self.env.touch(now);
        match &mut self.block {
            Block::SynSent(_) => self.env.end(CloseReason::Normal, None),
            Block::Tcb(tcb) => tcb.close(&mut self.env, now),
            Block::Closed(closed) => closed.unread = None,
        }
        self.settle();
    }

    /// ABORT (§3.10.5): everything queued is thrown away, and the peer gets a reset.
    pub fn abort(&mut self, now: Instant) {
        self.env.touch(now);
        match &mut self.block {
            Block::SynSent(_) => self.env.end(CloseReason::Aborted, None),
            Block::Tcb(tcb) => tcb.abort(&mut self.env, now),
            Block::Closed(closed) => closed.unread = None,
        }
        self.settle();
    }

    /// Switches Nagle's algorithm off (RFC 9293 MUST-17) or on. Switching it off sends what is held
    /// back, even by a cork.
    pub fn set_nodelay(&mut self, now: Instant, nodelay: bool) {
        Arc::make_mut(&mut self.env.config).nodelay = nodelay;
        if let Block::Tcb(tcb) = &mut self.block {
            tcb.snd.override_due |= nodelay && tcb.snd.unsent() > 0;
            tcb.snd.waits_for_more &= !nodelay;
        }
        self.env.touch(now);
    }

    /// Says, before `send`, whether more follows at once what is written then (MSG_MORE): if so, a
    /// partial segment waits for it, for an acknowledgement, or for [`Config::cork_limit`]. A write
    /// without more to come sends everything.
    pub fn set_more(&mut self, more: bool) {
        if let Block::Tcb(tcb) = &mut self.block {
            tcb.snd.more = more;
            tcb.snd.waits_for_more = more;
        }
    }

    /// Holds partial segments back until this is called again, at most `Config::cork_limit`.
    pub fn set_cork(&mut self, now: Instant, cork: bool) {
        match &mut self.block {
            Block::SynSent(syn_sent) => syn_sent.cork = cork,
            Block::Tcb(tcb) => {
                // Letting go sends everything, whatever Nagle's algorithm thinks of it.
                tcb.snd.override_due |= tcb.snd.cork && !cork && tcb.snd.unsent() > 0;
                tcb.snd.cork = cork;
            }
            Block::Closed(_) => {}
        }
        self.env.touch(now);
    }

    /// Switches keep-alive probes on or off (RFC 9293 MUST-24).
    pub fn set_keep_alive(&mut self, now: Instant, keep_alive: Option<KeepAlive>) {
        Arc::make_mut(&mut self.env.config).keep_alive = keep_alive;
        let Block::Tcb(tcb) = &mut self.block else {
            return;
        };
        tcb.keep_alive_probes = 0;
        match keep_alive {
            Some(keep_alive) => {
                let deadline = (tcb.last_heard + keep_alive.idle).max(now);
                self.env.timers.set(Timer::KeepAlive, deadline);
            }
            None => self.env.timers.stop(Timer::KeepAlive),
        }
    }

    /// Limits the time that data may stay unacknowledged (RFC 9293 MUST-21).
    pub fn set_user_timeout(&mut self, now: Instant, timeout: Option<Duration>) {
        Arc::make_mut(&mut self.env.config).user_timeout = timeout;
        self.env.timers.stop(Timer::User);
        let waits = match &self.block {
            Block::SynSent(_) => true,
            Block::Tcb(tcb) => !tcb.snd.is_idle(),
            Block::Closed(_) => false,
        };
        if let Some(timeout) = timeout.filter(|_| waits) {
            self.env.timers.set(Timer::User, now + timeout);
        }
    }

    /// Changes choices that have no call of their own, such as buffers and limits. They hold from
    /// the next decision on; what the handshake agreed on stays.
    pub fn reconfigure(&mut self, now: Instant, change: impl FnOnce(&mut Config)) {
        change(Arc::make_mut(&mut self.env.config));
        self.env.touch(now);
    }

    /// Acknowledges what comes at once (TCP_QUICKACK), or no longer so. Whatever the application
    /// sends afterwards decides anew, as on Linux.
    pub fn set_quick_ack(&mut self, now: Instant, quick: bool) {
        let all = self.env.config.quick_acks;
        let Block::Tcb(tcb) = &mut self.block else {
            return;
        };
        tcb.rcv.quick_acks = if quick { all } else { 0 };
        if quick && tcb.rcv.ack == AckOwed::Delayed {
            tcb.rcv.ack = AckOwed::Now;
        }
        self.env.touch(now);
    }

    /// Asks for [`Event::Writable`](crate::Event::Writable) once there is room, as a `send` that
    /// took less than it was given does.
    pub fn want_writable(&mut self) {
        match &mut self.block {
            Block::SynSent(syn_sent) => syn_sent.wants_writable = true,
            Block::Tcb(tcb) => tcb.snd.wants_writable = true,
            Block::Closed(_) => {}
        }
    }

    /// What [`close`](Self::close) does with data not yet sent.
    pub fn set_linger(&mut self, linger: Linger) {
        Arc::make_mut(&mut self.env.config).linger = linger;
    }

    /// Sets the differentiated-services code point (6 bits) of the segments to come (MUST-48,
    /// SHLD-21). Changing it during a connection may reorder its segments (SHLD-23).
    pub fn set_dscp(&mut self, dscp: u8) {
        Arc::make_mut(&mut self.env.config).dscp = dscp & 0x3f;
    }
}

impl Tcb {
    /// Our FIN is to follow what is queued; the state changes at once.
    fn queue_fin(&mut self, env: &mut Env, now: Instant) {
        self.snd.fin = Fin::Queued;
        self.start_user_timer(env, now);
        match self.phase {
            // EV-U-4: with data queued the close waits for ESTABLISHED (see `establish`), unless data may go
            // before (RFC 7413 §4.2.2, TFO-13).
            Phase::SynReceived if !self.snd.queue.is_empty() && !env.is_fast_opened() => {}
            Phase::SynReceived | Phase::Established => self.enter(env, Phase::FinWait1, now),
            Phase::CloseWait => self.enter(env, Phase::LastAck, now),
            _ => {}
        }
    }

    fn close(&mut self, env: &mut Env, now: Instant) {
        if self.is_orphan() {
            return;
        }
        self.rcv.reader = Reader::Gone;
        let unread = self.rcv.queue.readable() > 0;
        self.rcv.queue.clear_readable();
        let owes_reset = matches!(
            self.phase,
            Phase::Established | Phase::FinWait1 | Phase::FinWait2 | Phase::CloseWait
        ) || env.is_fast_opened() && self.phase == Phase::SynReceived;
        // EV-X-17 (SHLD-3), EV-X-18.
        if owes_reset && (unread || env.config.linger == Linger::Reset) {
            self.end_with_reset(env, now, CloseReason::Aborted);
            return;
        }
        if self.snd.fin == Fin::Open {
            self.queue_fin(env, now);
        }
        if let Linger::Limit(limit) = env.config.linger
            && !self.snd.is_idle()
        {
            env.timers.set(Timer::Linger, now + limit);
        }
        if self.phase == Phase::FinWait2 {
            self.limit_fin_wait_2(env, now);
        }
    }

    /// EV-X-20: one reset, except where the peer has nothing left to be told.
    fn abort(&mut self, env: &mut Env, now: Instant) {
        self.rcv.reader = Reader::Gone;
        match self.phase {
            Phase::TimeWait => env.end(CloseReason::Aborted, None),
            // RFC 9293 enters these states when the FIN is sent, Transom as soon as it is queued: a
            // peer that has not been sent everything must be told (as Linux).
            Phase::Closing | Phase::LastAck if self.snd.fin != Fin::Queued => {
                env.end(CloseReason::Aborted, None);
            }
            _ => self.end_with_reset(env, now, CloseReason::Aborted),
        }
    }
}
