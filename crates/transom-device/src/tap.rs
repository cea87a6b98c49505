//! A device that shows each frame to somebody.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Instant, SystemTime};

use transom_wire::frame::{Capabilities, RxChecksum, RxFrame, TxFrame, TxOffload};

use crate::{Device, DeviceCounters, Flows, Readiness};

/// Frames offered to the device at once.
const BATCH: usize = 256;

/// Which way a frame goes, seen from the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device to the stack.
    Received,
    /// From the stack to the device.
    Sent,
}

/// A frame as it passes a [`Tap`].
#[derive(Clone, Copy, Debug)]
pub struct TappedFrame<'a> {
    /// When it passed.
    pub time: SystemTime,
    /// Which way.
    pub direction: Direction,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Received(&'a RxFrame),
    Sent(&'a TxFrame),
}

impl<'a> TappedFrame<'a> {
    /// The bytes in order, in one or more pieces, from the link header on.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, payload) = match self.content {
            Content::Received(frame) => (&frame.data[..], None),
            Content::Sent(frame) => (frame.headers.as_slice(), Some(&frame.payload)),
        };
        let rest = payload
            .into_iter()
            .flat_map(|payload| payload.chunks().map(|chunk| &chunk[..]));
        std::iter::once(first).chain(rest)
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.content {
            Content::Received(frame) => frame.data.len(),
            Content::Sent(frame) => frame.len(),
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the transport checksum in the bytes need not be right, because a device fills it in or
    /// has checked it.
    #[must_use]
    pub fn checksum_offloaded(&self) -> bool {
        match self.content {
            Content::Received(frame) => frame.checksum == RxChecksum::Valid,
            Content::Sent(frame) => frame.offload != TxOffload::None,
        }
    }

    /// Data bytes of each segment that the frame stands for; 0 when it is a single one.
    #[must_use]
    pub fn gso_size(&self) -> u16 {
        match self.content {
            Content::Received(frame) => frame.gso_size,
            Content::Sent(frame) => match frame.offload {
                TxOffload::Segment { gso_size, .. } => gso_size,
                _ => 0,
            },
        }
    }
}

/// Wraps a device and shows each frame that passes, in both directions, to a recorder.
///
/// Received frames are shown before the stack sees them, sent ones after the device took them; a frame
/// that the device refused is shown too. The recorder runs on the spot and should be quick.
pub struct Tap<D, F> {
    device: D,
    recorder: F,
    batch: VecDeque<TxFrame>,
    /// What was offered, to be shown once it is taken; the data is shared, not copied.
    offered: Vec<TxFrame>,
}

impl<D: Device, F: FnMut(&TappedFrame<'_>) + Send> Tap<D, F> {
    /// A tap on `device`.
    pub fn new(device: D, recorder: F) -> Self {
        Self {
            device,
            recorder,
            batch: VecDeque::new(),
            offered: Vec::new(),
        }
    }

    /// The device below.
    pub fn into_inner(self) -> D {
        self.device
    }
}

impl<D: Device, F: FnMut(&TappedFrame<'_>) + Send> Device for Tap<D, F> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let start = out.len();
        let count = self.device.recv(out, max)?;
        let (time, direction) = (SystemTime::now(), Direction::Received);
        for frame in out.iter().skip(start) {
            let content = Content::Received(frame);
            (self.recorder)(&TappedFrame {
                time,
                direction,
                content,
            });
        }
        Ok(count)
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let mut total = 0;
        loop {
            self.batch.extend(frames.drain(..frames.len().min(BATCH)));
            self.offered.extend(self.batch.iter().cloned());
            let (time, direction) = (SystemTime::now(), Direction::Sent);
            let result = self.device.send(&mut self.batch);
            let taken = self.offered.len() - self.batch.len();
            for frame in self.offered.iter().take(taken) {
                (self.recorder)(&TappedFrame {
                    time,
                    direction,
                    content: Content::Sent(frame),
                });
            }
            self.offered.clear();
            total += taken;
            let blocked = !self.batch.is_empty();
            while let Some(frame) = self.batch.pop_back() {
                frames.push_front(frame);
            }
            match result {
                Err(error) if total == 0 => return Err(error),
                Err(_) => return Ok(total),
                Ok(_) if blocked || frames.is_empty() => return Ok(total),
                Ok(_) => {}
            }
        }
    }

    fn readiness(&self) -> Readiness<'_> {
        self.device.readiness()
    }

    fn divide(&mut self, flows: &Flows) -> io::Result<()> {
        self.device.divide(flows)
    }

    fn ending(&self) -> Option<BorrowedFd<'_>> {
        self.device.ending()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.device.next_deadline()
    }

    fn counters(&self) -> DeviceCounters {
        self.device.counters()
    }
}
