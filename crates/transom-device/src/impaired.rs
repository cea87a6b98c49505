//! A device behind a bad link.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transom_sim::ip::{self, PureAck};
use transom_sim::{Impairment, Link, LinkCounters, Packet};
use transom_wire::frame::{
    Capabilities, Payload, RxChecksum, RxFrame, TxFrame, TxOffload, segment,
};

use crate::Flows;
use crate::complete::{complete, link_header_len};
use crate::{Device, DeviceCounters, Readiness};

/// Rounds of reading from the device below in one call; then others get their turn.
const MAX_ROUNDS: usize = 16;

/// When to try again to send what the device below had no room for.
const RETRY: Duration = Duration::from_millis(1);

/// Wraps a device and treats each frame as a simulated link would, in real time; each direction has
/// a link of its own.
///
/// Faults strike single packets: segments that the kernel merged are cut apart first and their
/// checksums filled in, and no offload is offered for sending. A flipped bit is therefore noticed, as
/// on a real wire, and never lies in the link header. Sizes count IP packets, without link header.
///
/// The owner must also mind [`next_deadline`](Device::next_deadline): frames that are late come out
/// then, in both directions.
pub struct Impaired<D> {
    device: D,
    clock: Box<dyn Fn() -> Instant + Send>,
    /// Time zero of the links.
    origin: Instant,
    inbound: Link<Parcel>,
    outbound: Link<Parcel>,
    /// Arrived at the other end of the outbound link, not yet taken by the device.
    leaving: VecDeque<TxFrame>,
    received: Vec<RxFrame>,
    /// The device below may have more to read although nothing makes it ready anew.
    unread: bool,
    capabilities: Capabilities,
}

/// A frame on a link.
#[derive(Clone)]
struct Parcel {
    frame: TxFrame,
    link_header: usize,
    /// The state of the checksum, for frames that could not be completed.
    checksum: RxChecksum,
}

impl Parcel {
    fn into_received(self) -> RxFrame {
        let data = match (self.frame.headers.is_empty(), single(&self.frame.payload)) {
            (true, Some(data)) => data,
            _ => Bytes::from(self.frame.to_vec()),
        };
        let gso_size = match self.frame.offload {
            TxOffload::Segment { gso_size, .. } => gso_size,
            _ => 0,
        };
        RxFrame {
            data,
            checksum: self.checksum,
            gso_size,
        }
    }
}

impl Packet for Parcel {
    fn size(&self) -> usize {
        self.frame.len().saturating_sub(self.link_header)
    }

    fn flip_bit(&mut self, bit: usize) {
        let at = self.link_header + bit / 8;
        let mask = 1 << (bit % 8);
        let headers = self.frame.headers.len();
        self.checksum = RxChecksum::Unverified;
        if let Some(byte) = self.frame.headers.get_mut(at) {
            *byte ^= mask;
            return;
        }
        let mut data = self.frame.payload.to_vec();
        if let Some(byte) = data.get_mut(at - headers) {
            *byte ^= mask;
        }
        self.frame.payload = Payload::from(Bytes::from(data));
    }

    fn mark_congestion(&mut self) -> bool {
        let mut packet = self.frame.to_vec();
        let ip = packet.get_mut(self.link_header..);
        if !ip.is_some_and(ip::mark_congestion) {
            return false;
        }
        // Only the IP header changed, and it lies in the headers where they are set apart.
        match packet.get(..self.frame.headers.len()) {
            Some(headers) if !headers.is_empty() => self.frame.headers.copy_from_slice(headers),
            _ => self.frame.payload = Payload::from(Bytes::from(packet)),
        }
        true
    }

    fn pure_ack(&self) -> Option<PureAck> {
        let packet = self.frame.to_vec();
        ip::pure_ack(packet.get(self.link_header..)?)
    }
}

impl<D: Device> Impaired<D> {
    /// `device` with a link for each direction; inbound is from the device to the stack.
    pub fn new(device: D, inbound: Impairment, outbound: Impairment) -> Self {
        let capabilities = Capabilities {
            tx_checksum: false,
            max_gso: 0,
            ..device.capabilities()
        };
        Self {
            device,
            clock: Box::new(Instant::now),
            origin: Instant::now(),
            inbound: Link::new(inbound),
            outbound: Link::new(outbound),
            leaving: VecDeque::new(),
            received: Vec::new(),
            unread: false,
            capabilities,
        }
    }

    /// The same impairment in both directions, but not the same chance: the outbound link uses the
    /// next seed.
    pub fn both(device: D, impairment: Impairment) -> Self {
        let seed = impairment.seed;
        Self::new(
            device,
            impairment.clone(),
            impairment.seed(seed.wrapping_add(1)),
        )
    }

    /// Uses another clock than the system's; to be set before the first frame.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Instant + Send + 'static) -> Self {
        self.origin = clock();
        self.clock = Box::new(clock);
        self
    }

    /// What happened so far on the inbound and on the outbound link.
    pub fn link_counters(&self) -> (LinkCounters, LinkCounters) {
        (self.inbound.counters(), self.outbound.counters())
    }

    fn now(&self) -> Duration {
        (self.clock)().saturating_duration_since(self.origin)
    }

    /// Hands the device below what has come through the outbound link.
    fn pass_on(&mut self, now: Duration) -> io::Result<()> {
        while let Some(parcel) = self.outbound.pop(now) {
            self.leaving.push_back(parcel.frame);
        }
        while !self.leaving.is_empty() {
            match self.device.send(&mut self.leaving) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts on the inbound link what the device below has received.
    fn take_in(&mut self, max: usize) -> io::Result<()> {
        let medium = self.capabilities.medium;
        let link_header = link_header_len(medium);
        self.unread = true;
        for _ in 0..MAX_ROUNDS {
            match self.device.recv(&mut self.received, max) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unread = false;
                    return Ok(());
                }
                Err(error) => {
                    self.unread = false;
                    return Err(error);
                }
            }
            let now = self.now();
            for frame in self.received.drain(..) {
                let original = frame.checksum;
                for frame in complete(frame, medium) {
                    // A frame that was understood has its headers set apart, and asks for nothing more.
                    let completed = !frame.headers.is_empty() && frame.offload == TxOffload::None;
                    let checksum = if completed {
                        RxChecksum::Unverified
                    } else {
                        original
                    };
                    self.inbound.push(
                        now,
                        Parcel {
                            frame,
                            link_header,
                            checksum,
                        },
                    );
                }
            }
        }
        Ok(())
    }
}

impl<D: Device> Device for Impaired<D> {
    /// Those of the device below, without offload for sending.
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let passed = self.pass_on(self.now());
        let taken = self.take_in(max);
        let now = self.now();
        let mut count = 0;
        while count < max
            && let Some(parcel) = self.inbound.pop(now)
        {
            out.push(parcel.into_received());
            count += 1;
        }
        if count > 0 {
            return Ok(count);
        }
        passed.and(taken)?;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let now = self.now();
        self.pass_on(now)?;
        if !self.leaving.is_empty() && !frames.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = frames.len();
        let link_header = link_header_len(self.capabilities.medium);
        for frame in frames.drain(..).flat_map(segment) {
            let checksum = RxChecksum::Unverified;
            self.outbound.push(
                now,
                Parcel {
                    frame,
                    link_header,
                    checksum,
                },
            );
        }
        self.pass_on(now)?;
        Ok(count)
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
        let now = self.now();
        let retry = (!self.leaving.is_empty()).then(|| now + RETRY);
        let unread = self.unread.then_some(now);
        let links = [
            self.inbound.next(now),
            self.outbound.next(now),
            retry,
            unread,
        ];
        let own = links
            .into_iter()
            .flatten()
            .min()
            .and_then(|at| self.origin.checked_add(at));
        [own, self.device.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn counters(&self) -> DeviceCounters {
        self.device.counters()
    }
}

/// The bytes of a payload of one piece.
fn single(payload: &Payload) -> Option<Bytes> {
    let mut chunks = payload.chunks();
    let first = chunks.next()?;
    chunks.next().is_none().then(|| first.clone())
}
