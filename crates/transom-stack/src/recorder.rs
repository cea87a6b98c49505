//! Looking at a stack from outside.

use core::net::SocketAddr;
use core::time::Duration;

use transom_tcp::{Instant, State};
use transom_wire::{RxFrame, TxFrame};

use crate::discard::Discard;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the network.
    In,
    /// To the network.
    Out,
}

/// A frame that passes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FrameRef<'a> {
    /// Received.
    Rx(&'a RxFrame),
    /// Sent.
    Tx(&'a TxFrame),
}

impl FrameRef<'_> {
    /// The bytes in one piece, copied.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Rx(frame) => frame.data.to_vec(),
            Self::Tx(frame) => frame.to_vec(),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Rx(frame) => frame.data.len(),
            Self::Tx(frame) => frame.len(),
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of TCP payload per segment on the wire when the frame stands for several; 0 for one.
    #[must_use]
    pub fn gso_size(&self) -> u16 {
        match self {
            Self::Rx(frame) => frame.gso_size,
            Self::Tx(frame) => match frame.offload {
                transom_wire::TxOffload::Segment { gso_size, .. } => gso_size,
                _ => 0,
            },
        }
    }
}

/// What congestion control and the round-trip estimate hold after they changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Congestion window in bytes.
    pub cwnd: u64,
    /// Slow-start threshold in bytes.
    pub ssthresh: u64,
    /// Smoothed round-trip time, once measured.
    pub srtt: Option<Duration>,
    /// Retransmission timeout.
    pub rto: Duration,
}

/// Is told what happens, as it happens. Every method does nothing unless it is overridden.
pub trait Recorder {
    /// A frame was handed in or out.
    fn frame(&mut self, now: Instant, direction: Direction, frame: FrameRef<'_>) {
        let _ = (now, direction, frame);
    }

    /// A connection went from one state to another. A connection that begins comes from CLOSED (or
    /// LISTEN when a peer opens it).
    fn state(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, from: State, to: State) {
        let _ = (now, local, peer, from, to);
    }

    /// Something was discarded. The addresses are known where it got as far as TCP or UDP.
    fn discard(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        reason: Discard,
    ) {
        let _ = (now, local, peer, reason);
    }

    /// A deadline of a connection came up.
    fn timer(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr) {
        let _ = (now, local, peer);
    }

    /// Whether [`metrics`](Self::metrics) is of interest; asking each connection after each segment has a cost.
    fn wants_metrics(&self) -> bool {
        false
    }

    /// The congestion window or the round-trip estimate of a connection changed.
    fn metrics(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, metrics: Metrics) {
        let _ = (now, local, peer, metrics);
    }
}
