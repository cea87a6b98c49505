//! Frames that arrive together: what they need is looked up for many of them before the first is handled.
//!
//! Of many connections most are in memory and not in the processor's caches, and a segment waits for one line of memory
//! after the other: for its place in the table, for the connection's slot, for what was written down of it. Reading
//! these for all frames of a batch, step by step, lets the waits overlap. Nothing is concluded from what is read, so it does not
//! matter what earlier frames of the batch change.

use core::hint::black_box;

use transom_tcp::Instant;
use transom_wire::ip::{Packet, Protocol};
use transom_wire::{Medium, RxFrame, ethernet};

use crate::demux::Entry;
use crate::endpoint::{Endpoints, Slot};
use crate::stack::Stack;
use crate::tuple::Tuple;

/// Frames that are looked at together: what they need stays in a first-level cache until they are handled.
const TOGETHER: usize = 32;
/// Fewer connections stay in a processor's caches by themselves.
const MANY: usize = 1024;

impl Stack {
    /// Takes frames that arrived together, the first first, as [`handle_frame`](Self::handle_frame) each. With many
    /// connections that takes less time.
    pub fn handle_frames(&mut self, now: Instant, frames: &mut Vec<RxFrame>) {
        let has_many = self.endpoints.tenants.connections.len() >= MANY;
        let mut frames = frames.drain(..);
        while !frames.as_slice().is_empty() {
            // Who comes alone has nobody to wait beside.
            if has_many
                && let Some(next) = frames.as_slice().chunks(TOGETHER).next()
                && next.len() > 1
            {
                self.look_ahead(next);
            }
            for frame in frames.by_ref().take(TOGETHER) {
                self.handle_frame(now, frame);
            }
        }
    }

    fn look_ahead(&self, frames: &[RxFrame]) {
        let ip_at = match self.link.capabilities.medium {
            Medium::Ip => 0,
            Medium::Ethernet => ethernet::HEADER_LEN,
        };
        let (mut hashes, mut count) = ([0; TOGETHER], 0);
        let mut last = None;
        for frame in frames {
            let packet = frame.data.get(ip_at..).unwrap_or_default();
            // The next segment of the same connection needs the same.
            let flow = flow_of(packet);
            if flow.is_some() && flow == last {
                continue;
            }
            last = flow;
            if let Some(tuple) = tuple_of(packet)
                && let Some(place) = hashes.get_mut(count)
            {
                *place = self.endpoints.demux.hash(&tuple);
                count += 1;
            }
        }
        if let Some(hashes) = hashes.get(..count)
            && count > 1
        {
            black_box(self.endpoints.read_ahead(hashes));
        }
    }
}

impl Endpoints {
    /// Reads something of each line of memory that segments for tuples of these hashes need to come to their connections,
    /// one step for all after the other. What is returned has no meaning.
    fn read_ahead(&self, hashes: &[u32]) -> u64 {
        let mut indices = [0; TOGETHER];
        let mut count = 0;
        for hash in hashes {
            if let Some(Entry::Connection(index)) = self.demux.find(*hash, |_| true)
                && let Some(free) = indices.get_mut(count)
            {
                *free = index;
                count += 1;
            }
        }
        let slots = indices.get(..count).unwrap_or_default().iter();
        let slots = slots.filter_map(|index| self.tenants.connections.at(*index));
        let lines = slots
            .clone()
            .map(Slot::read_ahead)
            .fold(0, u64::wrapping_add);
        let bodies = slots.map(|slot| slot.body.read_ahead());
        bodies.fold(lines, u64::wrapping_add)
    }
}

impl Slot {
    /// Something of each of its lines of memory.
    fn read_ahead(&self) -> u64 {
        let parts = [
            u64::from(self.tuple.remote_port),
            u64::from(self.epoch),
            u64::from(self.told_mtu),
            u64::from(self.armed.is(Instant::ORIGIN)),
            u64::from(self.body.whole().is_some()),
        ];
        parts.into_iter().fold(0, u64::wrapping_add)
    }
}

/// What two segments of one connection have in common where no header has options: addresses and ports.
fn flow_of(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 => packet.get(12..24),
        6 => packet.get(8..44),
        _ => None,
    }
}

/// Between which sockets a packet goes, if it is plainly a segment of TCP.
fn tuple_of(packet: &[u8]) -> Option<Tuple> {
    let packet = Packet::lax(packet).ok()?;
    if packet.protocol() != Protocol::TCP {
        return None;
    }
    let [r0, r1, l0, l1] = *packet.payload().first_chunk()?;
    Some(Tuple {
        local: packet.dst(),
        remote: packet.src(),
        local_port: u16::from_be_bytes([l0, l1]),
        remote_port: u16::from_be_bytes([r0, r1]),
    })
}
