//! What a stack needs from a network device.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;
use std::time::Instant;

use crate::Flows;
use transom_wire::frame::{Capabilities, RxFrame, TxFrame};

/// A network device.
///
/// All calls return at once. The owner's loop is: [`recv`](Self::recv) until it would block, let the
/// stack work, [`send`](Self::send) what it owes, then wait for [`readiness`](Self::readiness) or
/// [`next_deadline`](Self::next_deadline), whichever comes first, and call `recv` again.
///
/// A frame that the device cannot take (too large, offload not offered, interface down) is dropped and
/// counted, as a wire would lose it; it never stops the frames behind it. An error other than
/// `WouldBlock` says that the device as a whole no longer works.
pub trait Device: Send {
    /// What the device carries and which work it takes over. Constant.
    fn capabilities(&self) -> Capabilities;

    /// Appends up to `max` received frames to `out` and returns how many; 0 when those that came were
    /// refused and there may be more.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; anything else when the device is gone.
    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize>;

    /// Whether the last [`recv`](Self::recv), which returned frames, came to the end of what there was. Who waits for
    /// [`readiness`](Self::readiness) then need not call it once more to learn that it would block.
    fn is_drained(&self) -> bool {
        false
    }

    /// Sends frames from the front of `frames`, taking them out, and returns how many it took. What
    /// is left did not fit and is to be offered again.
    ///
    /// # Errors
    /// `WouldBlock` when `frames` is not empty and none fits; anything else when the device is gone.
    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize>;

    /// How to wait until `recv` or `send` is worth calling again.
    fn readiness(&self) -> Readiness<'_>;

    /// This device is one queue of several, and connections are divided among them so: has it receive, as far as it
    /// can, what belongs to it. What comes all the same for another queue the owner hands over.
    ///
    /// # Errors
    /// When the device could do so, and it fails.
    fn divide(&mut self, flows: &Flows) -> io::Result<()> {
        let _ = flows;
        Ok(())
    }

    /// A second descriptor, of devices whose first one is silent when the device is gone: when it is readable,
    /// [`recv`](Self::recv) is worth calling, and fails if the device is gone.
    fn ending(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// When to call [`recv`](Self::recv) at the latest even though nothing became ready: a device
    /// that delays frames needs it to pass them on, in both directions.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// What happened so far.
    fn counters(&self) -> DeviceCounters {
        DeviceCounters::default()
    }
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        (**self).recv(out, max)
    }

    fn is_drained(&self) -> bool {
        (**self).is_drained()
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        (**self).send(frames)
    }

    fn readiness(&self) -> Readiness<'_> {
        (**self).readiness()
    }

    fn divide(&mut self, flows: &Flows) -> io::Result<()> {
        (**self).divide(flows)
    }

    fn ending(&self) -> Option<BorrowedFd<'_>> {
        (**self).ending()
    }

    fn next_deadline(&self) -> Option<Instant> {
        (**self).next_deadline()
    }

    fn counters(&self) -> DeviceCounters {
        (**self).counters()
    }
}

/// How to wait for a device.
#[non_exhaustive]
pub enum Readiness<'a> {
    /// Wait until this descriptor is readable (to receive) or writable (to send).
    Fd(BorrowedFd<'a>),
    /// Leave a waker here.
    Notify(&'a dyn Notify),
}

impl fmt::Debug for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(fd) => f.debug_tuple("Fd").field(fd).finish(),
            Self::Notify(_) => f.write_str("Notify(..)"),
        }
    }
}

/// Wakes a task when a device without a descriptor may have become ready.
pub trait Notify {
    /// Replaces the waker. It is woken when frames have arrived, or when there is room again after
    /// `send` found none; perhaps also without a reason. To miss nothing, register first and try
    /// `recv` and `send` afterwards.
    fn register(&self, waker: &Waker);
}

/// What happened on a device, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceCounters {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
    /// Not sent: the device refused them.
    pub send_refused: u64,
    /// Arrived, but could not be handed out.
    pub recv_refused: u64,
}
