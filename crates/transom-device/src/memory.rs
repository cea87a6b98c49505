//! Two devices joined by memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use transom_wire::frame::{Capabilities, Medium, Pieces, RxChecksum, RxFrame, TxFrame, TxOffload};

use crate::buffer::{BUFFER_SIZE, Buffers};
use crate::merge::{Merger, copy};
use crate::{Device, DeviceCounters, Notify, Readiness};

/// Frames that wait in one direction before `send` would block.
const QUEUE_FRAMES: usize = 512;
/// Bytes that wait in one direction before `send` would block.
const QUEUE_BYTES: usize = 8 << 20;
/// Longest packet that is written to a place of its own before it is read: it stays in the first-level cache.
const SMALL: usize = 4096;
/// The largest packet that a stack may hand over to be cut.
const LARGEST_PACKET: usize = 65_535;
/// Bytes of an Ethernet header, which the MTU does not count.
const ETHERNET_HEADER: usize = 14;

/// Two devices with the same capabilities: what one sends the other receives, unchanged and in order.
///
/// Offload is passed through as between a kernel and its virtual devices: a packet to be segmented
/// arrives whole with its segment size, a checksum left to the device counts as valid.
#[must_use]
pub fn pair(capabilities: Capabilities) -> (MemoryDevice, MemoryDevice) {
    ends(capabilities, false)
}

/// Two devices joined by a wire that carries IP packets of at most `mtu` bytes, complete with their checksums.
///
/// The devices do in software what such a wire asks for, as a driver would for a card without offload: what a stack
/// sends in one piece is cut and its checksums filled while it is copied out, and segments of one flow that arrive
/// together are verified and joined while they are copied in. Data on its way is the sender's until it is received.
#[must_use]
pub fn cable(mtu: usize) -> (MemoryDevice, MemoryDevice) {
    let capabilities = Capabilities {
        tx_checksum: true,
        max_gso: LARGEST_PACKET,
        ..Capabilities::ip(mtu)
    };
    ends(capabilities, true)
}

fn ends(capabilities: Capabilities, is_cable: bool) -> (MemoryDevice, MemoryDevice) {
    let wire = Arc::new([Direction::default(), Direction::default()]);
    let end = |number: usize| MemoryDevice {
        capabilities,
        is_cable,
        wire: Arc::clone(&wire),
        number,
        buffers: Buffers::new(),
        merger: Merger::new(capabilities.mtu),
        merged: VecDeque::new(),
        packet: vec![0; if is_cable { SMALL } else { 0 }].into_boxed_slice(),
        arrived: VecDeque::new(),
        counters: DeviceCounters::default(),
    };
    (end(0), end(1))
}

/// One end of a memory link; see [`pair`] and [`cable`].
pub struct MemoryDevice {
    capabilities: Capabilities,
    /// Frames are cut and joined here.
    is_cable: bool,
    wire: Arc<[Direction; 2]>,
    /// Which end: end n receives from direction n and sends to direction 1 - n.
    number: usize,
    buffers: Buffers,
    merger: Merger,
    /// Frames that one call received beyond those it was asked for.
    merged: VecDeque<RxFrame>,
    /// A small packet on the wire.
    packet: Box<[u8]>,
    /// What a call receives; empty between two.
    arrived: VecDeque<TxFrame>,
    counters: DeviceCounters,
}

/// The frames on their way to one end.
#[derive(Default)]
struct Direction {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// As the other end receives them.
    frames: VecDeque<RxFrame>,
    /// On a cable: to be written as packets when the other end receives them, so that each is still in the first-level cache
    /// when it is read.
    uncut: VecDeque<TxFrame>,
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
        let frames = QUEUE_FRAMES.saturating_sub(self.frames.len() + self.uncut.len());
        (frames, QUEUE_BYTES.saturating_sub(self.bytes))
    }

    /// Some frames that were offered were taken, or all. Gives the waker of the end that reads, if there is something for it.
    fn taken(&mut self, some: bool, all: bool) -> Option<Waker> {
        self.blocked = !all;
        if some { self.reader.take() } else { None }
    }

    fn has_frames(&self) -> bool {
        !self.frames.is_empty() || !self.uncut.is_empty()
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
            TxOffload::Segment { gso_size, .. } => {
                let piece = frame.headers.len() + usize::from(gso_size);
                let fits = !self.is_cable || piece <= self.capabilities.mtu;
                (
                    self.capabilities.has_gso() && gso_size > 0 && fits,
                    self.capabilities.max_gso,
                )
            }
        };
        offered && packet <= limit && frame.len() <= BUFFER_SIZE
    }

    /// Hands frames to the cable.
    fn send_uncut(&self, frames: &mut VecDeque<TxFrame>) -> io::Result<()> {
        let mut queue = self.outgoing().lock();
        if queue.closed {
            return Err(gone());
        }
        let (mut room_frames, mut room_bytes) = queue.room();
        let bytes: usize = frames.iter().map(TxFrame::len).sum();
        let before = frames.len();
        if queue.uncut.is_empty() && before <= room_frames && bytes < room_bytes {
            std::mem::swap(frames, &mut queue.uncut);
            queue.bytes += bytes;
        }
        while room_frames > 0
            && room_bytes > 0
            && let Some(frame) = frames.pop_front()
        {
            let len = frame.len();
            room_frames -= 1;
            room_bytes = room_bytes.saturating_sub(len);
            queue.bytes += len;
            queue.uncut.push_back(frame);
        }
        let reader = queue.taken(frames.len() < before, frames.is_empty());
        drop(queue);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Hands copies of frames to the other end.
    fn send_copies(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<()> {
        // The copies are made outside the lock. Only this end adds to the queue, so the room found
        // here can only grow meanwhile.
        let (mut room_frames, mut room_bytes) = {
            let queue = self.outgoing().lock();
            if queue.closed {
                return Err(gone());
            }
            queue.room()
        };
        let mut copies = Vec::new();
        let mut bytes = 0;
        while room_frames > 0
            && room_bytes > 0
            && let Some(frame) = frames.pop_front()
        {
            let copy = self.copy(&frame);
            room_frames -= 1;
            room_bytes = room_bytes.saturating_sub(copy.data.len());
            bytes += copy.data.len();
            copies.push(copy);
        }
        let mut queue = self.outgoing().lock();
        let reader = queue.taken(!copies.is_empty(), frames.is_empty());
        queue.bytes += bytes;
        queue.frames.extend(copies);
        drop(queue);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Makes packets of what arrived over a cable, and frames of these.
    fn take_in(&mut self, out: &mut Vec<RxFrame>) {
        for frame in &mut self.arrived {
            if !matches!(frame.offload, TxOffload::Segment { .. })
                && let Some(len) = frame.write_whole(&mut self.packet, copy)
            {
                let packet = self.packet.get(..len).unwrap_or_default();
                self.merger.push(&mut self.buffers, packet, out);
                continue;
            }
            let mut pieces = Pieces::new(std::mem::take(frame));
            while let Some(len) = pieces.write_next(&mut self.packet, copy) {
                let packet = self.packet.get(..len).unwrap_or_default();
                self.merger.push(&mut self.buffers, packet, out);
            }
            // What is longer.
            let mut next = |place: &mut [u8]| pieces.write_next(place, copy).ok_or(());
            while self.merger.read(&mut self.buffers, out, &mut next).is_ok() {}
        }
        self.arrived.clear();
        self.merger.flush(&mut self.buffers, out);
    }

    /// Takes up to `max` frames off the wire: those of a cable to where [`take_in`](Self::take_in) finds them, others to
    /// `out`. Gives the other end's waker if it waits for room, and says how many they were.
    fn take_off(
        &mut self,
        max: usize,
        out: &mut Vec<RxFrame>,
    ) -> Result<(usize, Option<Waker>), ()> {
        let [first, second] = &*self.wire;
        let mut queue = if self.number == 0 { first } else { second }.lock();
        let queue = &mut *queue;
        let count = max.min(queue.frames.len() + queue.uncut.len());
        if count == 0 && queue.closed {
            return Err(());
        }
        if count > 0 && count == queue.uncut.len() {
            std::mem::swap(&mut self.arrived, &mut queue.uncut);
            queue.bytes = 0;
        } else if self.is_cable {
            self.arrived.extend(queue.uncut.drain(..count));
            queue.bytes -= self.arrived.iter().map(TxFrame::len).sum::<usize>();
        } else {
            let from = out.len();
            out.extend(queue.frames.drain(..count));
            let taken = out.iter().skip(from);
            queue.bytes -= taken.map(|frame| frame.data.len()).sum::<usize>();
        }
        let writer = if queue.blocked && count > 0 {
            queue.writer.take()
        } else {
            None
        };
        queue.blocked &= writer.is_none();
        Ok((count, writer))
    }

    /// The frame as the other end receives it.
    fn copy(&mut self, frame: &TxFrame) -> RxFrame {
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
        let start = out.len();
        let ready = self.merged.len().min(max);
        if ready > 0 {
            out.extend(self.merged.drain(..ready));
        }
        let (taken, writer) = match self.take_off(max - ready, out) {
            Ok(taken) => taken,
            Err(()) if ready == 0 && max > 0 => return Err(gone()),
            Err(()) => (0, None),
        };
        if taken + ready == 0 && max > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        writer.into_iter().for_each(Waker::wake);
        self.take_in(out);
        let count = out.len() - start;
        if count > max {
            // One frame that was cut, and whose pieces could not be joined.
            self.merged.extend(out.drain(start + max..));
        }
        self.counters.received += count.min(max) as u64;
        Ok(count.min(max))
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let offered = frames.len();
        frames.retain(|frame| self.accepts(frame));
        let accepted = frames.len();
        self.counters.send_refused += (offered - accepted) as u64;
        if self.is_cable {
            self.send_uncut(frames)?;
        } else {
            self.send_copies(frames)?;
        }
        self.counters.sent += (accepted - frames.len()) as u64;
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
        let ready = incoming.has_frames() || !self.merged.is_empty() || incoming.closed;
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
