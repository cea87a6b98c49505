//! The receive window (RFC 9293 §3.8.6): how much is offered, and when the offer is renewed.

use core::time::Duration;

use transom_wire::Seq;

use super::Receiver;
use crate::config::Config;
use crate::time::Instant;

/// RFC 7323 §2.3: the largest window is 2^30.
const MAX_WINDOW: usize = 1 << 30;
/// What may be taken in beyond the capacity, because the window as advertised is rounded up.
const ROUNDING_ROOM: u32 = 4096;

/// A length as a distance in sequence space; everything held is far below 2^31.
pub(crate) fn octets(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX >> 1)
}

/// What the window offers at first.
pub(crate) fn initial_capacity(config: &Config) -> u32 {
    octets(
        config
            .recv_buffer_initial
            .min(config.recv_buffer)
            .min(MAX_WINDOW),
    )
}

/// The window in our SYN, which is never scaled (RFC 7323 §2.2 WS-4).
pub(crate) fn syn_window(config: &Config) -> u16 {
    u16::try_from(initial_capacity(config)).unwrap_or(u16::MAX)
}

impl Receiver {
    /// Room for data, had the peer been told of all of it.
    fn free(&self) -> u32 {
        self.capacity.saturating_sub(octets(self.queue.readable()))
    }

    /// Least gain for which the edge is moved.
    fn worthwhile(&self, mss: u32) -> u32 {
        // RFC 9293 §3.8.6.2.2 MUST-39: min(half of the buffer, one segment).
        (self.capacity / 2).min(mss).max(1)
    }

    /// The window to write into the next segment, which moves the edge.
    pub(crate) fn select_window(&mut self, shift: u8, mss: u32) -> u16 {
        let offered = self.wnd();
        let free = self.free();
        let least = offered.div_ceil(1 << shift);
        let field = if free >= offered.saturating_add(self.worthwhile(mss)) {
            // WS-10: a window that is worth offering must not be rounded to nothing.
            (free >> shift).max(least).max(1)
        } else {
            // WS-7, SHLD-14: rounded up, so that the edge stays where it is or moves a little to
            // the right. What that can add up to is bounded by `acceptable_end`.
            least
        };
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        self.edge = self.edge.max(self.nxt() + (u32::from(field) << shift));
        field
    }

    /// The end of what is taken in: the edge, unless rounding has moved it beyond the memory
    /// that was set aside.
    pub(crate) fn acceptable_end(&self, shift: u8) -> Seq {
        let slack = ROUNDING_ROOM.max(2 << shift);
        let memory_end = self.read_seq() + self.capacity.saturating_add(slack);
        self.edge.min(memory_end).max(self.queue.rcv_nxt())
    }

    /// Whether the peer should be told that the application has made room.
    pub(crate) fn is_update_due(&self, mss: u32, shift: u8) -> bool {
        // More than the window field can say cannot be told.
        let (offered, free) = (self.wnd(), self.free().min(u32::from(u16::MAX) << shift));
        // While the offer is large the peer is not waiting; acknowledgements of its data tell it.
        if self.fin.is_some() || offered > self.capacity / 2 {
            return false;
        }
        // RFC 9293 §3.8.6.2.2 SWS-4: two segments, or half of the buffer. A sixteenth of a large
        // buffer, lest each read of a fast reader sends a segment.
        let gain = (2 * mss)
            .max(self.capacity / 16)
            .min(self.capacity / 2)
            .max(1);
        free >= offered.saturating_add(gain)
    }

    /// The application has read: the buffer grows as its pace deserves, up to the configured size. Only ever grows.
    ///
    /// `pressure`: memory is short, and nothing grows.
    pub(crate) fn on_read(
        &mut self,
        len: usize,
        config: &Config,
        srtt: Option<Duration>,
        pressure: bool,
        now: Instant,
    ) {
        self.forget_read_urgent();
        let limit = octets(config.recv_buffer.min(MAX_WINDOW));
        // DRS-4: where a size was asked for there is no room to grow.
        if self.capacity >= limit {
            return;
        }
        let window = self
            .sizing
            .on_read(octets(len), srtt, u32::from(self.rmss), now);
        // DRS-6: the offer stays as it is, because the edge never moves left.
        if let Some(window) = window.filter(|_| !pressure) {
            let window = u32::try_from(window).unwrap_or(limit);
            self.capacity = self.capacity.max(window.min(limit));
        }
    }
}
