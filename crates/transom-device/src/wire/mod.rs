//! A bad wire between two interfaces of the kernel, in real time.
//!
//! [`Port`] is an end of the wire: an interface that exists, or one that is made for it. [`Wire`] is one
//! direction: frames of one port go through a [`Link`] and leave by the other port. Super-segments
//! are judged as the packets that a real wire would carry, and leave as few frames as their fates allow.

mod frame;
mod piece;
mod port;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use transom_sim::{Impairment, Link, LinkCounters, Waits};

use self::frame::Frame;
use self::piece::{Piece, Run};
pub use self::port::{Port, PortOptions};

/// Frames taken from a port before those that are due get their turn.
const BATCH: usize = 32;
/// Bytes of received frames of which a part is still on the wire. A few packets may hold on to a large frame, so
/// that this is more than the packets have; beyond it frames are dropped.
const MAX_HELD: usize = 1 << 30;

/// Between two deliveries, so that the packets of a fast stream leave together as they would reach a host whose card
/// collects them. A packet that comes alone is delivered when it is due.
const COLLECT: Duration = Duration::from_micros(50);

/// What the ports of a wire did, in frames; a super-segment is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireCounters {
    /// Taken from the port.
    pub received: u64,
    /// Given to the other port.
    pub sent: u64,
    /// Not taken by the other port, such as an interface that is down.
    pub refused: u64,
    /// Lost before they came to the wire: nobody took them from the port in time.
    pub overrun: u64,
    /// Dropped because the wire holds as many bytes as it may.
    pub no_memory: u64,
}

/// One direction of a wire between two ports.
///
/// The owner's loop is: [`carry`](Self::carry), then wait until [`descriptor`](Self::descriptor) is readable or
/// [`next_deadline`](Self::next_deadline) has come.
pub struct Wire {
    from: Port,
    to: Port,
    link: Link<Piece>,
    is_perfect: bool,
    /// The next delivery is not before.
    collects_until: Duration,
    counters: WireCounters,
}

impl Wire {
    /// A wire that takes frames from `from` and gives them to `to`.
    #[must_use]
    pub fn new(from: Port, to: Port, impairment: Impairment) -> Self {
        Self {
            is_perfect: impairment.is_perfect(),
            link: Link::new(impairment),
            from,
            to,
            collects_until: Duration::ZERO,
            counters: WireCounters::default(),
        }
    }

    /// Takes what has come, and gives away what is due. `now` is a clock that begins anywhere.
    ///
    /// # Errors
    /// When an interface is gone.
    pub fn carry(&mut self, now: impl Fn() -> Duration) -> io::Result<()> {
        self.deliver(now())?;
        for _ in 0..BATCH {
            let Some(frame) = self.from.recv()? else {
                break;
            };
            self.counters.received += 1;
            if self.is_perfect {
                self.counters.count(self.to.send(&frame.vnet, &frame.data)?);
                continue;
            }
            let Some(frame) = Frame::new(frame, MAX_HELD) else {
                self.counters.no_memory += 1;
                continue;
            };
            let now = now();
            for piece in frame.pieces() {
                self.link.push(now, piece);
            }
        }
        self.deliver(now())
    }

    /// When [`carry`](Self::carry) is to be called again although nothing has come.
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let due = self.link.next(now)?;
        Some(due.max(self.collects_until))
    }

    /// Readable when frames have come.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// What the ports did.
    #[must_use]
    pub fn counters(&self) -> WireCounters {
        WireCounters {
            overrun: self.from.overrun(),
            ..self.counters
        }
    }

    /// What happened on the wire, in packets: each segment of a super-segment is one. All zero on a wire without
    /// impairment, which does not look into frames.
    #[must_use]
    pub fn link_counters(&self) -> LinkCounters {
        self.link.counters()
    }

    /// How long packets have waited for the rate so far.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.link.waits()
    }

    fn deliver(&mut self, now: Duration) -> io::Result<()> {
        if now < self.collects_until {
            return Ok(());
        }
        let mut run: Option<Run> = None;
        while let Some(piece) = self.link.pop(now) {
            self.collects_until = now + COLLECT;
            let full = match &mut run {
                Some(run) => run.join(piece).err(),
                None => Some(piece),
            };
            if let Some(next) = full
                && let Some(done) = run.replace(Run::new(next))
            {
                self.emit(&done)?;
            }
        }
        run.map_or(Ok(()), |run| self.emit(&run))
    }

    fn emit(&mut self, run: &Run) -> io::Result<()> {
        let (vnet, headers, payload) = run.assemble();
        let sent = self.to.send_pieces(&vnet, &headers, payload)?;
        self.counters.count(sent);
        Ok(())
    }
}

impl WireCounters {
    fn count(&mut self, sent: bool) {
        if sent {
            self.sent += 1;
        } else {
            self.refused += 1;
        }
    }
}
