//! The device, with the frames that it has not taken yet.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use transom_device::{Device, Readiness};
use transom_stack::wire::{RxFrame, TxFrame};

use crate::mutex::Mutex;

/// The device and its output queue, behind a lock of their own: a system call never holds up who
/// wants the stack.
pub(crate) struct Port {
    pub(crate) device: Box<dyn Device>,
    /// Frames that left the stack. Not empty between two calls only while the device is full;
    /// meanwhile the stack is not asked for more, so what waits is bounded.
    pub(crate) tx: VecDeque<TxFrame>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port")
            .field("tx", &self.tx.len())
            .finish_non_exhaustive()
    }
}

impl Port {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        Self {
            device,
            tx: VecDeque::new(),
        }
    }

    /// The device is full.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.tx.is_empty()
    }

    /// Hands frames to the device until none is left or it is full.
    ///
    /// # Errors
    /// The device does not work any more.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        while !self.tx.is_empty() {
            match self.device.send(&mut self.tx) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Registers a descriptor with tokio.
///
/// # Errors
/// The kernel cannot wait for it.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor may change; an OwnedFd's cannot"
)]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// The descriptor has nothing new, but a device that delays frames may have some whose time has come.
fn recv_late(port: &Mutex<Port>, frames: &mut Vec<RxFrame>, max: usize) -> Poll<io::Result<usize>> {
    let mut port = port.lock("receive what is late");
    let is_due = port
        .device
        .next_deadline()
        .is_some_and(|at| at <= std::time::Instant::now());
    if !is_due {
        return Poll::Pending;
    }
    match port.device.recv(frames, max) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// What a device held that was tried without waiting for the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Frames, which are taken, and perhaps more.
    Frames,
    /// Frames whose time has not come.
    Delayed,
    Nothing,
}

/// Takes a batch of frames whether or not the descriptor is known to be readable, and looks so often for one to come. Of
/// what comes meanwhile it takes `next`.
///
/// # Errors
/// The device does not work any more.
pub(crate) fn recv_now(
    port: &Mutex<Port>,
    frames: &mut Vec<RxFrame>,
    max: usize,
    next: usize,
    looks: usize,
) -> io::Result<Held> {
    let mut held = look(port, frames, max)?;
    for _ in 1..looks {
        if held != Held::Nothing {
            break;
        }
        held = look(port, frames, next)?;
    }
    Ok(held)
}

fn look(port: &Mutex<Port>, frames: &mut Vec<RxFrame>, max: usize) -> io::Result<Held> {
    let mut port = port.lock("receive what is left");
    match port.device.recv(frames, max) {
        Ok(_) => Ok(Held::Frames),
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Err(_) if port.device.next_deadline().is_some() => Ok(Held::Delayed),
        Err(_) => Ok(Held::Nothing),
    }
}

/// How the driver waits for the device.
#[derive(Debug)]
pub(crate) struct Readable {
    wait: Wait,
    /// A duplicate of the descriptor that tells of the device's end, if it has one.
    ending: Option<AsyncFd<OwnedFd>>,
}

#[derive(Debug)]
enum Wait {
    /// A duplicate of its descriptor, registered with tokio.
    Fd(AsyncFd<OwnedFd>),
    /// It keeps our waker.
    Notify,
}

impl Readable {
    /// # Errors
    /// The descriptor cannot be duplicated or registered.
    pub(crate) fn new(device: &dyn Device) -> io::Result<Self> {
        let wait = match device.readiness() {
            Readiness::Fd(fd) => Wait::Fd(watch(fd.try_clone_to_owned()?)?),
            Readiness::Notify(_) => Wait::Notify,
            other => {
                let text = format!("cannot wait for a device by {other:?}");
                return Err(io::Error::other(text));
            }
        };
        let ending = device.ending().map(|fd| watch(fd.try_clone_to_owned()?));
        Ok(Self {
            wait,
            ending: ending.transpose()?,
        })
    }

    /// The device may be gone: looks, and gives the error then. Pending: it is not, and the waker is in place.
    fn poll_ending(
        &self,
        cx: &mut Context<'_>,
        port: &Mutex<Port>,
        frames: &mut Vec<RxFrame>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(ending) = &self.ending else {
            return Poll::Pending;
        };
        loop {
            let mut guard = ready!(ending.poll_read_ready(cx))?;
            match port.lock("receive at the end").device.recv(frames, max) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }

    /// Takes a batch of frames from the device. Pending: there is none, and the waker is in place.
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        port: &Mutex<Port>,
        frames: &mut Vec<RxFrame>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = match &self.wait {
                Wait::Fd(fd) => match fd.poll_read_ready(cx)? {
                    Poll::Ready(guard) => Some(guard),
                    Poll::Pending => {
                        return match self.poll_ending(cx, port, frames, max) {
                            Poll::Pending => recv_late(port, frames, max),
                            ready => ready,
                        };
                    }
                },
                Wait::Notify => None,
            };
            let mut port = port.lock("receive");
            match port.device.recv(frames, max) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => match &mut guard {
                    Some(guard) => guard.clear_ready(),
                    None => return self.register(cx, &port),
                },
                result => {
                    // That there is no more is known already, and need not be asked again.
                    if let Some(guard) = &mut guard
                        && port.device.is_drained()
                    {
                        guard.clear_ready();
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Hands the waiting frames to the device. Pending: it is full, and the waker is in place.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        port: &Mutex<Port>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = match &self.wait {
                Wait::Fd(fd) => Some(ready!(fd.poll_write_ready(cx))?),
                Wait::Notify => None,
            };
            let mut port = port.lock("send what waits");
            port.send()?;
            if !port.is_blocked() {
                return Poll::Ready(Ok(()));
            }
            match &mut guard {
                Some(guard) => guard.clear_ready(),
                None => return self.register(cx, &port),
            }
        }
    }

    /// Leaves the waker with the device, which wakes it at once if there is something already.
    fn register<T>(&self, cx: &Context<'_>, port: &Port) -> Poll<T> {
        if let Readiness::Notify(notify) = port.device.readiness() {
            notify.register(cx.waker());
        }
        Poll::Pending
    }
}
