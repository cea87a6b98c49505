//! Two devices joined by memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use transom_wire::frame::{Capabilities, Medium, RxChecksum, RxFrame, TxFrame, TxOffload};

use crate::buffer::{BUFFER_SIZE, Buffers};
use crate::{Device, DeviceCounters, Notify, Readiness};

/// Frames that wait in one direction before `send` would block.
const QUEUE_FRAMES: usize = 512;
/// Bytes that wait in one direction before `send` would block.
const QUEUE_BYTES: usize = 8 << 20;
/// Bytes of an Ethernet header, which the MTU does not count.
const ETHERNET_HEADER: usize = 14;

/// Two devices with the same capabilities: what one sends the other receives, unchanged and in order.
///
/// Offload is passed through as between a kernel and its virtual devices: a packet to be segmented
/// arrives whole with its segment size, a checksum left to the device counts as valid.
#[must_use]
pub fn pair(capabilities: Capabilities) -> (MemoryDevice, MemoryDevice) {
    let wire = Arc::new([Direction::default(), Direction::default()]);
    let end = |number: usize| MemoryDevice {
        capabilities,
        wire: Arc::clone(&wire),
        number,
        buffers: Buffers::new(),
        counters: DeviceCounters::default(),
    };
    (end(0), end(1))
}

/// One end of a memory link; see [`pair`].
pub struct MemoryDevice {
    capabilities: Capabilities,
    wire: Arc<[Direction; 2]>,
    /// Which end: end n receives from direction n and sends to direction 1 - n.
    number: usize,
    buffers: Buffers,
    counters: DeviceCounters,
}

/// The frames on their way to one end.
#[derive(Default)]
struct Direction {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<RxFrame>,
    bytes: usize,
    /// The end that reads waits for frames.
    reader: Option<Waker>,
    /// The end that writes waits for room.
    writer: Option<Waker>,
    /// The end that writes found no room.
    blocked: bool,
    /// One of the ends is gone.
    closed: bool,
}

impl Queue {
    /// Frames and bytes that may be added. The last frame may exceed the bytes.
    fn room(&self) -> (usize, usize) {
        let frames = QUEUE_FRAMES.saturating_sub(self.frames.len());
        (frames, QUEUE_BYTES.saturating_sub(self.bytes))
    }

    fn has_room(&self) -> bool {
        let (frames, bytes) = self.room();
        frames > 0 && bytes > 0
    }
}

impl Direction {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryDevice {
    fn incoming(&self) -> &Direction {
        let [first, second] = &*self.wire;
        if self.number == 0 { first } else { second }
    }

    fn outgoing(&self) -> &Direction {
        let [first, second] = &*self.wire;
        if self.number == 0 { second } else { first }
    }

    /// Whether the capabilities cover the frame.
    fn accepts(&self, frame: &TxFrame) -> bool {
        let link_header = match self.capabilities.medium {
            Medium::Ip => 0,
            Medium::Ethernet => ETHERNET_HEADER,
        };
        let packet = frame.len().saturating_sub(link_header);
        let (offered, limit) = match frame.offload {
            TxOffload::None => (true, self.capabilities.mtu),
            TxOffload::Checksum { .. } => (self.capabilities.tx_checksum, self.capabilities.mtu),
            TxOffload::Segment { gso_size, .. } => (
                self.capabilities.has_gso() && gso_size > 0,
                self.capabilities.max_gso,
            ),
        };
        offered && packet <= limit && frame.len() <= BUFFER_SIZE
    }

    /// The frame as the other end receives it.
    fn carry(&mut self, frame: &TxFrame) -> RxFrame {
        let (head, body) = (frame.headers.as_slice(), &frame.payload);
        let buffer = self.buffers.current();
        if let Some((start, rest)) = buffer.split_at_mut_checked(head.len()) {
            start.copy_from_slice(head);
            body.copy_to(rest);
        }
        let data = self.buffers.take(frame.len());
        let (checksum, gso_size) = match frame.offload {
            TxOffload::None => (RxChecksum::Unverified, 0),
            TxOffload::Checksum { .. } => (RxChecksum::Valid, 0),
            TxOffload::Segment { gso_size, .. } => (RxChecksum::Valid, gso_size),
        };
        RxFrame {
            data,
            checksum,
            gso_size,
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the other end of the memory link was dropped",
    )
}

impl Device for MemoryDevice {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let mut queue = self.incoming().lock();
        let count = queue.frames.len().min(max);
        if count == 0 && max > 0 {
            return Err(if queue.closed {
                gone()
            } else {
                io::ErrorKind::WouldBlock.into()
            });
        }
        let start = out.len();
        out.extend(queue.frames.drain(..count));
        let bytes: usize = out.iter().skip(start).map(|frame| frame.data.len()).sum();
        queue.bytes -= bytes;
        let writer = if queue.blocked {
            queue.writer.take()
        } else {
            None
        };
        queue.blocked &= writer.is_none();
        drop(queue);
        if let Some(writer) = writer {
            writer.wake();
        }
        self.counters.received += count as u64;
        Ok(count)
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let offered = frames.len();
        // The copies are made outside the lock. Only this end adds to the queue, so the room found
        // here can only grow meanwhile.
        let (mut room_frames, mut room_bytes) = {
            let queue = self.outgoing().lock();
            if queue.closed {
                return Err(gone());
            }
            queue.room()
        };
        let mut carried = Vec::new();
        while let Some(frame) = frames.front() {
            if !self.accepts(frame) {
                frames.pop_front();
                self.counters.send_refused += 1;
                continue;
            }
            if room_frames == 0 || room_bytes == 0 {
                break;
            }
            let arrived = self.carry(frame);
            frames.pop_front();
            room_frames -= 1;
            room_bytes = room_bytes.saturating_sub(arrived.data.len());
            carried.push(arrived);
        }
        self.counters.sent += carried.len() as u64;

        let mut queue = self.outgoing().lock();
        queue.blocked = !frames.is_empty();
        let reader = if carried.is_empty() {
            None
        } else {
            queue.reader.take()
        };
        queue.bytes += carried.iter().map(|frame| frame.data.len()).sum::<usize>();
        queue.frames.extend(carried);
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
        let taken = offered - frames.len();
        if taken == 0 && offered > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Notify(self)
    }

    fn counters(&self) -> DeviceCounters {
        self.counters
    }
}

impl Notify for MemoryDevice {
    fn register(&self, waker: &Waker) {
        let mut incoming = self.incoming().lock();
        incoming.reader = Some(waker.clone());
        let ready = !incoming.frames.is_empty() || incoming.closed;
        drop(incoming);
        let mut outgoing = self.outgoing().lock();
        outgoing.writer = Some(waker.clone());
        // Room that came back before the waker did.
        let room = outgoing.blocked && outgoing.has_room();
        drop(outgoing);
        if ready || room {
            waker.wake_by_ref();
        }
    }
}

impl Drop for MemoryDevice {
    fn drop(&mut self) {
        for direction in self.wire.iter() {
            let mut queue = direction.lock();
            queue.closed = true;
            let wakers = [queue.reader.take(), queue.writer.take()];
            drop(queue);
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}
