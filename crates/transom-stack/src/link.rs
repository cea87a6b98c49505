//! The way out to the device: link headers, neighbours, and the queue of the stack's own frames.

use std::collections::VecDeque;

use core::net::IpAddr;

use transom_tcp::Instant;
use transom_wire::{Capabilities, HeaderBuf, Medium, TxFrame};

use crate::config::StackConfig;
use crate::discard::Discard;
use crate::neighbour::{Neighbours, Solicit};
use crate::route;
use crate::secret::Key;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_LEN: usize = 14;

/// The link layer of one device.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) capabilities: Capabilities,
    pub(crate) mac: [u8; 6],
    pub(crate) neighbours: Neighbours,
    queue: VecDeque<TxFrame>,
    capacity: usize,
    turn: bool,
}

/// A frame that was handed to the link waits until the neighbour answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Somebody has to ask.
    pub(crate) solicit: Option<Solicit>,
    /// An older frame had to go.
    pub(crate) dropped: bool,
}

impl Link {
    pub(crate) fn new(
        config: &StackConfig,
        capabilities: Capabilities,
        tables: Key,
        _now: Instant,
    ) -> Self {
        Self {
            capabilities,
            mac: config.mac,
            neighbours: Neighbours::new(config.max_neighbours, tables),
            queue: VecDeque::new(),
            capacity: config.max_output_queue.max(1),
            turn: false,
        }
    }

    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        self.capabilities.mtu = mtu;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many more frames the queue takes.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.capacity
    }

    /// Whether the stack's own frames go first this time.
    pub(crate) fn its_turn(&mut self) -> bool {
        self.turn = !self.turn;
        self.turn
    }

    /// Takes the first of the queue; false when there is none, and so it is nearly always.
    #[inline]
    pub(crate) fn pop_into(&mut self, frame: &mut TxFrame) -> bool {
        !self.queue.is_empty() && self.pop(frame)
    }

    fn pop(&mut self, frame: &mut TxFrame) -> bool {
        let Some(first) = self.queue.pop_front() else {
            return false;
        };
        *frame = first;
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        true
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.neighbours.next_timeout()
    }

    /// Headers with room for the link header, its addresses still to be filled.
    pub(crate) fn start(&self, ipv4: bool) -> HeaderBuf {
        let mut headers = HeaderBuf::new();
        self.start_in(&mut headers, ipv4);
        headers
    }

    /// The same in headers that are empty.
    #[inline]
    pub(crate) fn start_in(&self, headers: &mut HeaderBuf, ipv4: bool) {
        if self.capabilities.medium == Medium::Ethernet {
            let [a, b, c, d, e, f] = self.mac;
            let [t0, t1] = if ipv4 { [0x08, 0x00] } else { [0x86, 0xdd] };
            headers.extend(&[0, 0, 0, 0, 0, 0, a, b, c, d, e, f, t0, t1]);
        }
    }

    /// Length in bytes of the link header.
    pub(crate) fn header_len(&self) -> usize {
        match self.capabilities.medium {
            Medium::Ip => 0,
            Medium::Ethernet => ETHERNET_LEN,
        }
    }

    /// Fills the link address of `next_hop`, or takes the frame and keeps it until it is known.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        now: Instant,
        frame: &mut TxFrame,
        next_hop: IpAddr,
    ) -> Result<(), Waiting> {
        if self.capabilities.medium == Medium::Ip {
            return Ok(());
        }
        let known = multicast_mac(next_hop).or_else(|| self.neighbours.lookup(now, next_hop));
        match known {
            Some(mac) => {
                set_destination(frame, mac);
                Ok(())
            }
            None => {
                let frame = core::mem::take(frame);
                let (solicit, dropped) = self.neighbours.wait(now, next_hop, frame);
                Err(Waiting { solicit, dropped })
            }
        }
    }

    /// Queues a frame of the stack itself.
    pub(crate) fn push(&mut self, frame: TxFrame) -> Result<(), Discard> {
        if self.is_full() {
            return Err(Discard::OutputQueueFull);
        }
        self.queue.push_back(frame);
        Ok(())
    }
}

/// Writes the destination of an Ethernet frame.
pub(crate) fn set_destination(frame: &mut TxFrame, mac: [u8; 6]) {
    if let Some(field) = frame.headers.as_mut_slice().get_mut(..6) {
        field.copy_from_slice(&mac);
    }
}

/// The link address of a group, which needs no asking (RFC 1112 §6.4, RFC 2464 §7).
fn multicast_mac(address: IpAddr) -> Option<[u8; 6]> {
    if !route::is_multicast(address) {
        let limited = address == IpAddr::V4(core::net::Ipv4Addr::BROADCAST);
        return limited.then_some([0xff; 6]);
    }
    Some(match address {
        IpAddr::V4(v4) => {
            let [_, b, c, d] = v4.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            [0x33, 0x33, a, b, c, d]
        }
    })
}
